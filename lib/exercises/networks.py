"""The exercises of the chapter on core concepts: networks of neurons.

So far those of its first lesson: one step of the perceptron, the weights of a network
for exclusive or, and two linear layers made into one.
"""

import torch

from lib.exercises.checks import Answer, CheckFailed, diagnose, same_result, show
from lib.exercises.engine import Exercise, register

LESSON = "01_from_machine_learning_to_deep_learning"

# One step of the perceptron --------------------------------------------------


def perceptron_step(w, b, x, target):
    score = w @ x + b
    if target * score <= 0:  # the wrong side, or on the line
        return w + target * x, b + target
    return w, b


def _always(w, b, x, target):
    return w + target * x, b + target


def _without_bias(w, b, x, target):
    return perceptron_step(w, b, x, target)[0], b


def _without_target(w, b, x, target):
    wrong = target * (w @ x + b) <= 0
    return (w + x, b + 1) if wrong else (w, b)


def _away(w, b, x, target):
    wrong = target * (w @ x + b) <= 0
    return (w - target * x, b - target) if wrong else (w, b)


def _not_on_the_line(w, b, x, target):
    wrong = target * (w @ x + b) < 0
    return (w + target * x, b + target) if wrong else (w, b)


def _class_of_the_score(w, b, x, target):
    answer = 1 if w @ x + b > 0 else -1
    return (w + target * x, b + target) if answer != target else (w, b)


def _when_right(w, b, x, target):
    right = target * (w @ x + b) > 0
    return (w + target * x, b + target) if right else (w, b)


def _ignores_class_of_score(w, b, x, target):
    wrong = w @ x + b <= 0
    return (w + target * x, b + target) if wrong else (w, b)


# A mistake on each class, two that are right, and one of each class on the line.
STEPS = [
    (torch.tensor([1.0, -2.0]), 0.5, torch.tensor([1.0, 3.0]), 1),
    (torch.tensor([1.0, 2.0]), -1.0, torch.tensor([2.0, 0.5]), -1),
    (torch.tensor([1.0, 2.0]), -1.0, torch.tensor([2.0, 0.5]), 1),
    (torch.tensor([0.5, -1.0, 2.0]), 0.0, torch.tensor([1.0, 3.0, -1.0]), -1),
    (torch.tensor([0.0, 0.0]), 0.0, torch.tensor([1.0, -1.0]), 1),
    (torch.tensor([2.0, 1.0]), -1.0, torch.tensor([1.0, -1.0]), -1),
]

STEP_MISTAKES = [
    (
        _always,
        "This moves the line at every example. The perceptron learns from mistakes "
        "only: where target * score is above 0, return w and b as they are.",
    ),
    (
        _without_bias,
        "The bias stays where it was. It moves too, by target, as if it were the "
        "weight of an input that is always 1.",
    ),
    (
        _without_target,
        "This adds x whatever the target is. For a target of -1 the score must go "
        "down: add target * x.",
    ),
    (
        _away,
        "The sign is the wrong way round: the score of this example moves away from "
        "its target.",
    ),
    (
        _not_on_the_line,
        "An example exactly on the line, with the score 0, counts as a mistake. "
        "Otherwise the perceptron never leaves its start, where w and b are 0.",
    ),
    (
        _class_of_the_score,
        "All right but for one case: a score of exactly 0 is a mistake for the target "
        "-1 as well. Look at the sign of target * score.",
    ),
    (
        _when_right,
        "This moves the line when the answer is right, and leaves it when it is wrong.",
    ),
    (
        _ignores_class_of_score,
        "Whether it is a mistake depends on the target: a score below 0 is right for "
        "a target of -1. Look at the sign of target * score.",
    ),
]

register(
    Exercise(
        name="perceptron step",
        chapter="core concepts",
        lesson=LESSON,
        prompt=(
            "Write perceptron_step(w, b, x, target). w and x are tensors of the same "
            "length, b is a number, and target is -1 or 1. The score is w · x + b. If "
            "target * score is above 0, the example is right: return (w, b). If not, "
            "return the pair (w + target * x, b + target)."
        ),
        minutes=8,
        difficulty=1,
        reference=perceptron_step,
        checks=[
            *(diagnose(wrong, message, *STEPS) for wrong, message in STEP_MISTAKES),
            *(same_result(perceptron_step, *step) for step in STEPS),
        ],
        hints=[
            "The score is w @ x + b, one number.",
            "The example is right if the score and the target have the same sign: if "
            "target * score > 0.",
            "if target * score <= 0: return w + target * x, b + target. After it: "
            "return w, b.",
        ],
        wrong_answers=STEP_MISTAKES,
    )
)


# A network for exclusive or --------------------------------------------------


def exclusive_or_weights():
    W1 = [[1.0, 1.0], [1.0, 1.0]]
    b1 = [0.0, -1.0]  # x1 + x2, and what of it is above 1
    w2 = [1.0, -2.0]
    b2 = -0.5
    return W1, b1, w2, b2


def _or():
    return [[1.0, 1.0], [0.0, 0.0]], [0.0, 0.0], [1.0, 0.0], -0.5


def _and():
    return [[1.0, 1.0], [0.0, 0.0]], [-1.0, 0.0], [1.0, 0.0], -0.5


def _the_opposite():
    return [[1.0, 1.0], [1.0, 1.0]], [0.0, -1.0], [-1.0, 2.0], 0.5


def _everything():
    return [[1.0, 1.0], [1.0, 1.0]], [0.0, -1.0], [1.0, -1.0], 0.5


def _nothing():
    return [[1.0, 1.0], [1.0, 1.0]], [0.0, -1.0], [1.0, -2.0], -1.0


def _first_input():
    return [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [1.0, 0.0], -0.5


def _three_parts():
    return [[1.0, 1.0], [1.0, 1.0]], [0.0, -1.0], [1.0, -2.0]


def _one_row():
    return [1.0, 1.0], [0.0, -1.0], [1.0, -2.0], -0.5


CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
WANTED = (False, True, True, False)
SHAPES = {"W1": (2, 2), "b1": (2,), "w2": (2,), "b2": ()}
OTHER_ANSWERS = {
    (False, True, True, True): (
        "This is `or`: the corner (1, 1) is in class 1 too. Let one hidden neuron be "
        "above 0 at (1, 1) alone, and give it a negative weight in w2."
    ),
    (False, False, False, True): (
        "This is `and`: it finds the corner (1, 1) alone. That is a good second "
        "neuron, with a negative weight in w2. The first one is still missing."
    ),
    (True, False, False, True): (
        "This is the opposite of exclusive or. Turn the signs of w2 and b2 around."
    ),
    (True, True, True, True): (
        "All four corners are in class 1. Make b2 smaller, so that the score of "
        "(0, 0) and of (1, 1) is 0 or less."
    ),
    (False, False, False, False): (
        "All four corners are in class 0. Make b2 larger, so that the score of "
        "(0, 1) and of (1, 0) is above 0."
    ),
}


def is_exclusive_or(answer: Answer) -> None:
    """The network of these weights must put the four corners into their classes."""
    given = answer()
    if not isinstance(given, (tuple, list)) or len(given) != len(SHAPES):
        raise CheckFailed("Return four things, in this order: W1, b1, w2, b2.")
    parts = []
    for (name, shape), value in zip(SHAPES.items(), given, strict=True):
        part = torch.as_tensor(value, dtype=torch.float32)
        if part.shape != shape:
            raise CheckFailed(
                f"{name} is {show(value)}; it has the shape {shape}: W1 has two rows "
                "of two numbers, b1 and w2 have two numbers, and b2 is one number."
            )
        parts.append(part)
    W1, b1, w2, b2 = parts
    scores = torch.relu(CORNERS @ W1.T + b1) @ w2 + b2
    classes = tuple((scores > 0).tolist())
    if classes == WANTED:
        return
    if classes in OTHER_ANSWERS:
        raise CheckFailed(OTHER_ANSWERS[classes])
    found = ", ".join(
        f"({x1:g}, {x2:g}): {score:g}"
        for (x1, x2), score in zip(CORNERS.tolist(), scores.tolist(), strict=True)
    )
    raise CheckFailed(
        f"The scores are {found}. They must be above 0 at (0, 1) and (1, 0), and 0 or "
        "less at the other two corners."
    )


register(
    Exercise(
        name="exclusive or by hand",
        chapter="core concepts",
        lesson=LESSON,
        prompt=(
            "Write exclusive_or_weights(). It takes nothing and returns "
            "(W1, b1, w2, b2), the weights of a network of two inputs, two hidden "
            "neurons with ReLU and one output: W1 is two rows of two numbers, b1 and "
            "w2 are two numbers each, b2 is one number. The score "
            "w2 · relu(W1 x + b1) + b2 must be above 0 at (0, 1) and (1, 0), and 0 or "
            "less at (0, 0) and (1, 1)."
        ),
        minutes=12,
        difficulty=3,
        reference=exclusive_or_weights,
        checks=[is_exclusive_or],
        hints=[
            "Exclusive or depends on x1 + x2 alone: it is true where the sum is 1, and "
            "not where it is 0 or 2. So let both hidden neurons see the sum: two "
            "equal rows [1, 1] in W1.",
            "With b1 = [0, -1] the first neuron gives 0, 1, 2 for the sums 0, 1, 2, "
            "and the second gives 0, 0, 1.",
            "Subtract the second neuron twice: 0 - 0, 1 - 0, 2 - 2. Then b2 = -0.5 "
            "puts the 1 above zero and the others below.",
        ],
        wrong_answers=[
            (_or, "This is `or`"),
            (_and, "This is `and`"),
            (_the_opposite, "the opposite of exclusive or"),
            (_everything, "All four corners are in class 1"),
            (_nothing, "All four corners are in class 0"),
            (_first_input, "The scores are (0, 0): -0.5"),
            (_three_parts, "Return four things"),
            (_one_row, "W1 is [1.0, 1.0]; it has the shape (2, 2)"),
        ],
    )
)


# Two linear layers are one ---------------------------------------------------


def merge_layers(W1, b1, W2, b2):
    return W2 @ W1, W2 @ b1 + b2


def _wrong_order(W1, b1, W2, b2):
    return W1 @ W2, W2 @ b1 + b2


def _transposed(W1, b1, W2, b2):
    return (W2 @ W1).T, W2 @ b1 + b2


def _biases_added(W1, b1, W2, b2):
    return W2 @ W1, b1 + b2


def _last_bias(W1, b1, W2, b2):
    return W2 @ W1, b2


def _without_last_bias(W1, b1, W2, b2):
    return W2 @ W1, W2 @ b1


def _added(W1, b1, W2, b2):
    return W1 + W2, b1 + b2


def _element_by_element(W1, b1, W2, b2):
    return W2 * W1, W2 @ b1 + b2


def _pair(hidden: int, inputs: int, outputs: int, seed: int) -> tuple:
    generator = torch.Generator().manual_seed(seed)

    def whole(*shape: int) -> torch.Tensor:
        return torch.randint(-3, 4, shape, generator=generator).double()

    return whole(hidden, inputs), whole(hidden), whole(outputs, hidden), whole(outputs)


SQUARE = [_pair(2, 2, 2, seed=1), _pair(3, 3, 3, seed=2)]
OBLONG = [_pair(4, 2, 3, seed=3), _pair(2, 5, 1, seed=4)]

MERGE_MISTAKES = [
    (
        _wrong_order,
        "The matrices are the wrong way round. W1 meets x first, so it stands next to "
        "x, on the right: W2 @ (W1 @ x).",
    ),
    (
        _transposed,
        "W is transposed. It takes x as W @ x, so it has one row for each output.",
    ),
    (
        _biases_added,
        "The biases cannot be added as they are: b1 goes through the second layer too.",
    ),
    (
        _last_bias,
        "The bias of the first layer is lost. It goes through the second layer and "
        "arrives as W2 @ b1.",
    ),
    (
        _without_last_bias,
        "The bias of the second layer is lost. Add b2 to W2 @ b1.",
    ),
    (
        _added,
        "The layers follow one another, so their matrices are multiplied, not added.",
    ),
    (
        _element_by_element,
        "The star multiplies element by element. The product of matrices is @.",
    ),
]

register(
    Exercise(
        name="merge two layers",
        chapter="core concepts",
        lesson=LESSON,
        prompt=(
            "Write merge_layers(W1, b1, W2, b2). The first layer computes "
            "h = W1 @ x + b1, the second one W2 @ h + b2, with no activation between "
            "them. W1 is (H, I), b1 (H,), W2 (O, H) and b2 (O,). Return the pair "
            "(W, b) of the one layer W @ x + b that gives the same result for each x."
        ),
        minutes=8,
        difficulty=2,
        reference=merge_layers,
        checks=[
            *(diagnose(wrong, message, *SQUARE) for wrong, message in MERGE_MISTAKES),
            *(same_result(merge_layers, *pair) for pair in SQUARE + OBLONG),
        ],
        hints=[
            "Put the first formula into the second one: W2 @ (W1 @ x + b1) + b2.",
            "Multiply out: (W2 @ W1) @ x + W2 @ b1 + b2. What stands before x is W, "
            "the rest is b.",
            "return W2 @ W1, W2 @ b1 + b2",
        ],
        wrong_answers=MERGE_MISTAKES,
    )
)
