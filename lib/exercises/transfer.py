"""The exercises of the lesson on transfer learning.

What is frozen, how far a weight has moved, and what a low-rank adapter amounts to: the
matrix it adds, and the rank up to which it saves anything.
"""

import torch
from torch import nn

from lib.exercises.checks import Answer, CheckFailed, diagnose, same_result
from lib.exercises.engine import Exercise, register

# Freezing --------------------------------------------------------------------


def freeze_all_but(model, part):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(part + "."))
    return model


def _sets_the_module(model, part):
    for name, child in model.named_children():
        child.requires_grad = name == part  # a new attribute, which nobody reads
    return model


def _freezes_all(model, part):
    return model.requires_grad_(False)


def _freezes_the_part(model, part):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(part + "."))
    return model


def _forgets_to_thaw(model, part):
    for name, parameter in model.named_parameters():
        if not name.startswith(part + "."):
            parameter.requires_grad_(False)
    return model


def _forgets_the_biases(model, part):
    for name, parameter in model.named_parameters():
        learns = name.startswith(part + ".") or name.endswith("bias")
        parameter.requires_grad_(learns)
    return model


def _returns_names(model, part):
    return [name for name, _ in freeze_all_but(model, part).named_parameters()]


def two_parts(frozen=False):
    body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model = nn.ModuleDict({"body": body, "head": nn.Linear(2, 2)})
    return model.requires_grad_(not frozen)


def only_the_part_learns(answer: Answer) -> None:
    for part in ("head", "body"):
        learns = _learns(answer, two_parts(), part)
        wrong = {name for name, on in learns.items() if on != name.startswith(part)}
        frozen = {name for name, on in learns.items() if not on}
        if not frozen:
            raise CheckFailed(
                "Every parameter still learns. `requires_grad` belongs to each "
                "parameter: on a layer, `layer.requires_grad = False` only makes a new "
                "attribute that nobody reads."
            )
        if len(frozen) == len(learns):
            raise CheckFailed(
                f"Nothing learns any more. The parameters of {part!r} must stay free."
            )
        if len(wrong) == len(learns):
            raise CheckFailed(
                f"It is the wrong way round: {part!r} is frozen, and the rest learns."
            )
        if wrong:
            raise CheckFailed(
                f"For the part {part!r}, these are not as they should be: "
                f"{', '.join(sorted(wrong))}. Go through all of "
                "model.named_parameters(), weights and biases."
            )


def it_wakes_the_part(answer: Answer) -> None:
    learns = _learns(answer, two_parts(frozen=True), "head")
    if not learns["head.weight"]:
        raise CheckFailed(
            "In a model that was frozen before, the head stays frozen. Set "
            "requires_grad to True for the part, too."
        )


def _learns(answer: Answer, model: nn.Module, part: str) -> dict[str, bool]:
    got = answer(model, part)
    if not isinstance(got, nn.Module):
        raise CheckFailed(f"Return the model itself; this is {type(got).__name__}.")
    return {name: p.requires_grad for name, p in got.named_parameters()}


register(
    Exercise(
        name="transfer freeze",
        chapter="core concepts",
        lesson="06_transfer_learning",
        prompt=(
            "Write freeze_all_but(model, part). part is the name of one part of the "
            'model, such as "head". Every parameter of that part must learn '
            "(requires_grad is True), and every other parameter must be frozen. Return "
            "the model."
        ),
        minutes=8,
        difficulty=2,
        reference=freeze_all_but,
        checks=[only_the_part_learns, it_wakes_the_part],
        hints=[
            "model.named_parameters() gives pairs (name, parameter). The names of the "
            'head begin with "head.".',
            "parameter.requires_grad_(True) lets it learn, parameter.requires_grad_("
            "False) freezes it.",
            'The condition is name.startswith(part + "."). Hand it to '
            "parameter.requires_grad_(...), and return the model after the loop.",
        ],
        wrong_answers=[
            (_sets_the_module, "a new attribute that nobody reads"),
            (_freezes_all, "Nothing learns any more"),
            (_freezes_the_part, "wrong way round"),
            (_forgets_to_thaw, "the head stays frozen"),
            (_forgets_the_biases, "weights and biases"),
            (_returns_names, "Return the model itself"),
        ],
    )
)


# How far a weight has moved --------------------------------------------------


def relative_change(before, after):
    return (after - before).norm() / before.norm()


def _not_divided(before, after):
    return (after - before).norm()


def _by_the_new(before, after):
    return (after - before).norm() / after.norm()


def _signs_cancel(before, after):
    return (after - before).sum() / before.sum()


def _change_of_length(before, after):
    return (after.norm() - before.norm()) / before.norm()


def _squared(before, after):
    return ((after - before) ** 2).sum() / (before**2).sum()


MOVES = [
    (torch.tensor([3.0, 4.0]), torch.tensor([3.0, 5.0])),
    (
        torch.tensor([[1.0, 2.0], [2.0, 4.0]]),
        torch.tensor([[2.0, 1.0], [-2.0, 4.0]]),
    ),
]

MOVE_MISTAKES = [
    (
        _not_divided,
        "This is the length of the move. Divide by the length of the weights before, "
        "so that a large layer and a small one can be compared.",
    ),
    (
        _by_the_new,
        "You divide by the length after the training. The change is measured against "
        "where the weights began.",
    ),
    (
        _signs_cancel,
        "Moves up and moves down cancel in a plain sum. Take the norm, the root of the "
        "sum of squares, of the difference.",
    ),
    (
        _change_of_length,
        "This tells how much longer the vector became. A vector that turns keeps its "
        "length and moves all the same: subtract first, then take the norm.",
    ),
    (_squared, "This is the square of the answer: a norm has a root."),
]

register(
    Exercise(
        name="transfer change",
        chapter="core concepts",
        lesson="06_transfer_learning",
        prompt=(
            "Write relative_change(before, after). Both are tensors of one shape: the "
            "same weights before and after training. Return the norm of the difference "
            "divided by the norm of the weights before."
        ),
        minutes=8,
        difficulty=1,
        reference=relative_change,
        checks=[
            *(diagnose(wrong, message, *MOVES) for wrong, message in MOVE_MISTAKES),
            *(same_result(relative_change, *move) for move in MOVES),
            same_result(relative_change, MOVES[0][0], MOVES[0][0].clone()),
        ],
        hints=[
            "The norm of a tensor is the root of the sum of its squares: x.norm().",
            "The difference is after - before. Its norm says how far the weights went.",
            "(after - before).norm() / before.norm()",
        ],
        wrong_answers=MOVE_MISTAKES,
    )
)


# The merged matrix -----------------------------------------------------------


def merged_weight(W, A, B, scale):
    return W + scale * B @ A


def _wrong_order(W, A, B, scale):
    return W + scale * A @ B


def _without_scale(W, A, B, scale):
    return W + B @ A


def _without_the_old(W, A, B, scale):
    return scale * B @ A


def _scales_both(W, A, B, scale):
    return scale * (W + B @ A)


def _transposed(W, A, B, scale):
    return W + scale * (B @ A).T


def _element_by_element(W, A, B, scale):
    return W + scale * B * A.T


_T = torch.tensor
# Square matrices, so that a product in the wrong order has a shape at all.
SQUARE = [
    (
        _T([[1.0, 2.0], [3.0, 4.0]]),
        _T([[1.0, 2.0], [0.0, 1.0]]),
        _T([[2.0, -1.0], [1.0, 3.0]]),
        2.0,
    )
]
LAYERS = [
    *SQUARE,
    (
        _T([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]),  # 2 outputs, 3 inputs
        _T([[1.0, 2.0, 3.0]]),
        _T([[1.0], [-2.0]]),
        0.5,
    ),
]

MERGE_MISTAKES = [
    (_without_scale, "The scale is missing: the adapter adds scale times B A."),
    (
        _without_the_old,
        "This is the adapter alone. The merged layer also does what W did: add W.",
    ),
    (
        _scales_both,
        "The scale belongs to the adapter alone; W is added as it is.",
    ),
    (
        _wrong_order,
        "The order is A B. The input meets A first, so A stands on the right: B A has "
        "the shape of W.",
    ),
    (
        _transposed,
        "The product is transposed. B A has the shape (outputs, inputs) as it is.",
    ),
    (
        _element_by_element,
        "`*` multiplies number by number. The product of matrices is `@`.",
    ),
]

register(
    Exercise(
        name="transfer merge",
        chapter="core concepts",
        lesson="06_transfer_learning",
        prompt=(
            "Write merged_weight(W, A, B, scale). W is (outputs, inputs), A is (rank, "
            "inputs), B is (outputs, rank), scale is a number. A layer with an adapter "
            "computes W x + scale * B A x. Return the one matrix, (outputs, inputs), "
            "that does the same to every x."
        ),
        minutes=8,
        difficulty=2,
        reference=merged_weight,
        checks=[
            *(diagnose(wrong, text, *SQUARE) for wrong, text in MERGE_MISTAKES),
            *(same_result(merged_weight, *layer) for layer in LAYERS),
        ],
        hints=[
            "Take x out of the bracket: W x + scale * B A x = (W + ...) x.",
            "B is (outputs, rank) and A is (rank, inputs), so B @ A is (outputs, "
            "inputs), the shape of W.",
            "W + scale * B @ A",
        ],
        wrong_answers=MERGE_MISTAKES,
    )
)


# The rank up to which an adapter is smaller ----------------------------------


def largest_saving_rank(outputs, inputs):
    return (outputs * inputs - 1) // (outputs + inputs)


def _one_too_many(outputs, inputs):
    return outputs * inputs // (outputs + inputs)


def _smaller_side(outputs, inputs):
    return min(outputs, inputs)


def _only_one_matrix(outputs, inputs):
    return (outputs * inputs - 1) // inputs


def _no_whole_number(outputs, inputs):
    return outputs * inputs / (outputs + inputs)


SHAPES = [(4, 4), (10, 15), (384, 384), (1536, 384)]

RANK_MISTAKES = [
    (
        _one_too_many,
        "For a matrix of 4 x 4 and rank 2 the adapter has 4 * 2 + 2 * 4 = 16 numbers, "
        "as many as the matrix. It must have fewer.",
    ),
    (
        _smaller_side,
        "This is the largest rank that a matrix can have. An adapter of that rank has "
        "more numbers than the matrix.",
    ),
    (
        _only_one_matrix,
        "One matrix is missing: A has rank * inputs numbers, and B has outputs * rank.",
    ),
    (
        _no_whole_number,
        "A rank is a whole number: the largest one for which rank * (outputs + inputs) "
        "stays below outputs * inputs.",
    ),
]

register(
    Exercise(
        name="transfer rank",
        chapter="core concepts",
        lesson="06_transfer_learning",
        prompt=(
            "Write largest_saving_rank(outputs, inputs). An adapter of some rank for "
            "a matrix of (outputs, inputs) has A of (rank, inputs) and B of (outputs, "
            "rank). Return the largest rank, a whole number, for which A and B have "
            "together fewer numbers than the matrix."
        ),
        minutes=6,
        difficulty=2,
        reference=largest_saving_rank,
        checks=[
            *(diagnose(wrong, text, *SHAPES) for wrong, text in RANK_MISTAKES),
            *(same_result(largest_saving_rank, *shape) for shape in SHAPES),
        ],
        hints=[
            "A and B together have rank * inputs + outputs * rank numbers.",
            "rank * (inputs + outputs) must stay below outputs * inputs. Try 4 x 4 by "
            "hand: rank 1 gives 8, rank 2 gives 16.",
            "Whole-number division does it: (outputs * inputs - 1) // (outputs + "
            "inputs).",
        ],
        wrong_answers=RANK_MISTAKES,
    )
)
