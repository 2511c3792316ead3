"""The exercises of the lesson on seeing inside a network.

A saliency map by autograd, the sum of integrated gradients, a map by covering squares,
and attention rollout.
"""

import torch

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

# A saliency map --------------------------------------------------------------


def saliency_map(model, x, target):
    x = x.clone().requires_grad_()
    score = model(x[None])[0, target]
    (gradient,) = torch.autograd.grad(score, x)
    return gradient.abs()


def _gradient_of(x, score):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(score(x), x)[0]


def _with_signs(model, x, target):
    return _gradient_of(x, lambda v: model(v[None])[0, target])


def _of_the_probability(model, x, target):
    return _gradient_of(x, lambda v: model(v[None]).softmax(1)[0, target]).abs()


def _of_all_scores(model, x, target):
    return _gradient_of(x, lambda v: model(v[None]).sum()).abs()


def _of_the_highest(model, x, target):
    return _gradient_of(x, lambda v: model(v[None])[0].max()).abs()


def _times_input(model, x, target):
    return saliency_map(model, x, target) * x.abs()


def two_classes(x):
    """A small network without weights to learn: (B, 3) to scores (B, 2)."""
    first = 3 * x[:, 0] - 2 * x[:, 1] + x[:, 2] ** 2
    second = x[:, 0] * x[:, 1] - 4 * x[:, 2]
    return torch.stack([first, second], dim=1)


ASKED = [
    (two_classes, torch.tensor([1.0, -2.0, 0.5]), 1),
    (two_classes, torch.tensor([0.5, 1.0, -1.0]), 0),
]

SALIENCY_MISTAKES = [
    (
        _with_signs,
        "This is the gradient with its signs. A saliency map is its size: take the "
        "absolute value.",
    ),
    (
        _of_the_probability,
        "This is the gradient of the probability. Take the score before the softmax: "
        "the softmax mixes in the scores of all other classes.",
    ),
    (
        _of_all_scores,
        "This is the gradient of the sum of all scores. Pick the score of the target "
        "first.",
    ),
    (
        _of_the_highest,
        "This explains the class with the highest score. The question is about the "
        "class `target`.",
    ),
    (
        _times_input,
        "The gradient is multiplied by the input. That is another map; leave the "
        "input out.",
    ),
]

register(
    Exercise(
        name="saliency map",
        chapter="core concepts",
        lesson="07_seeing_inside",
        prompt=(
            "Write saliency_map(model, x, target). model turns a batch (B, ...) into "
            "scores (B, classes); x is one example, without the batch. Return the "
            "absolute value of the derivative of the target's score by each number of "
            "x, in the shape of x."
        ),
        minutes=6,
        difficulty=1,
        reference=saliency_map,
        checks=[
            *(diagnose(wrong, text, *ASKED) for wrong, text in SALIENCY_MISTAKES),
            *(same_result(saliency_map, *case, tolerance=1e-5) for case in ASKED),
        ],
        hints=[
            "Make a copy of x that records what happens to it: "
            "x.clone().requires_grad_().",
            "model(x[None]) has the shape (1, classes); the score is at [0, target].",
            "torch.autograd.grad(score, x) returns a tuple with one gradient. Take its "
            "absolute value.",
        ],
        wrong_answers=SALIENCY_MISTAKES,
    )
)


# Integrated gradients --------------------------------------------------------


def integrate(gradient, x, baseline, steps):
    way = x - baseline
    total = torch.zeros_like(x)
    for k in range(steps):
        total += gradient(baseline + (k + 0.5) / steps * way)
    return way * total / steps


def _without_way(gradient, x, baseline, steps):
    return integrate(gradient, x, baseline, steps) / (x - baseline)


def _not_divided(gradient, x, baseline, steps):
    return integrate(gradient, x, baseline, steps) * steps


def _backwards(gradient, x, baseline, steps):
    return integrate(gradient, baseline, x, steps)


def _at_the_end(gradient, x, baseline, steps):
    return (x - baseline) * gradient(x)


def _left_ends(gradient, x, baseline, steps):
    points = [baseline + k / steps * (x - baseline) for k in range(steps)]
    return (x - baseline) * sum(map(gradient, points)) / steps


def _right_ends(gradient, x, baseline, steps):
    points = [baseline + (k + 1) / steps * (x - baseline) for k in range(steps)]
    return (x - baseline) * sum(map(gradient, points)) / steps


def _both_ends(gradient, x, baseline, steps):
    places = torch.linspace(0, 1, steps)
    points = [baseline + t * (x - baseline) for t in places]
    return (x - baseline) * sum(map(gradient, points)) / steps


def _from_zero(gradient, x, baseline, steps):
    return integrate(gradient, x, torch.zeros_like(x), steps)


def bent_gradient(x):
    """Gradient of the sum of x ** 3, plus x[0] * x[1]."""
    return 3 * x**2 + torch.stack([x[1], x[0]])


WAYS = [
    (bent_gradient, torch.tensor([2.0, -1.0]), torch.tensor([0.5, 1.0]), 4),
    (bent_gradient, torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.5]), 3),
]

WAY_MISTAKES = [
    (
        _without_way,
        "The factor x - baseline is missing: so far this is the mean gradient on the "
        "way. A share is the mean gradient times how far that number moved.",
    ),
    (_not_divided, "This is a sum over the points. Divide by steps for the mean."),
    (
        _backwards,
        "The sign is the wrong way round. The way leads from the baseline to x, so the "
        "factor is x - baseline.",
    ),
    (
        _at_the_end,
        "Only the gradient at x counts here, which is `gradient times input`. Take the "
        "mean over points on the way from the baseline to x.",
    ),
    (
        _left_ends,
        "These are the points at the beginnings of the pieces, 0, 1 / steps, ... Take "
        "the middles, (k + 0.5) / steps.",
    ),
    (
        _right_ends,
        "These are the points at the ends of the pieces, 1 / steps, ... 1. Take the "
        "middles, (k + 0.5) / steps.",
    ),
    (
        _both_ends,
        "These points run from the baseline itself to x itself. Take the middles of "
        "the pieces, (k + 0.5) / steps.",
    ),
    (_from_zero, "The way starts at zero here. It starts at the baseline."),
]

register(
    Exercise(
        name="integrated gradients",
        chapter="core concepts",
        lesson="07_seeing_inside",
        prompt=(
            "Write integrate(gradient, x, baseline, steps). gradient(v) gives the "
            "gradient of the score at v, a tensor like x. Cut the straight way from "
            "baseline to x into `steps` equal pieces, take the mean of the gradients "
            "in the middles of the pieces, and return x - baseline times that mean."
        ),
        minutes=10,
        difficulty=2,
        reference=integrate,
        checks=[
            *(diagnose(wrong, text, *WAYS) for wrong, text in WAY_MISTAKES),
            *(same_result(integrate, *case, tolerance=1e-5) for case in WAYS),
        ],
        hints=[
            "A point on the way is baseline + t * (x - baseline), with t from 0 to 1.",
            "The middle of piece k is at t = (k + 0.5) / steps, for k = 0, 1, ..., "
            "steps - 1.",
            "Add up gradient(point) in a loop, divide by steps, multiply by "
            "x - baseline.",
        ],
        wrong_answers=WAY_MISTAKES,
    )
)


# Occlusion -------------------------------------------------------------------


def cover_map(score, picture, size):
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    falls = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            covered = picture.clone()
            covered[i * size : (i + 1) * size, j * size : (j + 1) * size] = 0
            falls[i, j] = score(picture) - score(covered)
    return falls


def _rises(score, picture, size):
    return -cover_map(score, picture, size)


def _new_scores(score, picture, size):
    return score(picture) - cover_map(score, picture, size)


def _stays_covered(score, picture, size):
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    falls, covered = torch.zeros(rows, columns), picture.clone()
    for i in range(rows):
        for j in range(columns):
            covered[i * size : (i + 1) * size, j * size : (j + 1) * size] = 0
            falls[i, j] = score(picture) - score(covered)
    return falls


def _one_pixel_further(score, picture, size):
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    falls = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            covered = picture.clone()
            covered[i : i + size, j : j + size] = 0
            falls[i, j] = score(picture) - score(covered)
    return falls


def _keeps_the_square(score, picture, size):
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    falls = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            place = slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size)
            kept = torch.zeros_like(picture)
            kept[place] = picture[place]
            falls[i, j] = score(picture) - score(kept)
    return falls


def pattern_score(picture):
    """How well a picture fits a pattern, with a bend so that squares interact."""
    rows, columns = picture.shape
    down = torch.arange(1.0, rows + 1)[:, None]
    pattern = torch.cos(down + 2 * torch.arange(columns))
    return (picture * pattern).sum() + 0.1 * picture.sum() ** 2


COVERED = [
    (pattern_score, torch.arange(1.0, 25.0).reshape(4, 6) % 7, 2),
    (pattern_score, torch.arange(1.0, 37.0).reshape(6, 6) % 5, 3),
]

COVER_MISTAKES = [
    (
        _rises,
        "The sign is the wrong way round. A fall is the score before minus the score "
        "with the square covered.",
    ),
    (
        _new_scores,
        "These are the scores of the covered pictures. The map shows how far they fell "
        "below the score of the whole picture.",
    ),
    (
        _stays_covered,
        "Squares stay covered when the next one is tried. Begin with a new "
        "picture.clone() for each.",
    ),
    (
        _one_pixel_further,
        "The square moves by one pixel. Square (i, j) begins at row i * size and "
        "column j * size.",
    ),
    (
        _keeps_the_square,
        "You keep the square and cover the rest. Cover the square and keep the rest.",
    ),
]

register(
    Exercise(
        name="occlusion map",
        chapter="core concepts",
        lesson="07_seeing_inside",
        prompt=(
            "Write cover_map(score, picture, size). score(picture) gives one number "
            "for a picture (H, W); H and W are multiples of size. Cover one square of "
            "size x size pixels with zeros, note how far the score falls, and go on to "
            "the next square. Return the falls, a tensor (H // size, W // size)."
        ),
        minutes=8,
        difficulty=2,
        reference=cover_map,
        checks=[
            *(diagnose(wrong, text, *COVERED) for wrong, text in COVER_MISTAKES),
            *(same_result(cover_map, *case, tolerance=1e-5) for case in COVERED),
        ],
        hints=[
            "Two loops: i over H // size, j over W // size.",
            "Copy the picture with clone(), and set rows i * size to (i + 1) * size "
            "and the same columns of the copy to 0.",
            "The entry (i, j) is score(picture) - score(covered).",
        ],
        wrong_answers=COVER_MISTAKES,
    )
)


# Attention rollout -----------------------------------------------------------


def rollout(maps):
    T = maps.shape[-1]
    result = torch.eye(T)
    for A in maps:
        result = (0.5 * torch.eye(T) + 0.5 * A) @ result
    return result


def _without_residual(maps):
    result = torch.eye(maps.shape[-1])
    for A in maps:
        result = A @ result
    return result


def _other_order(maps):
    return rollout(maps.flip(0))


def _not_halved(maps):
    return rollout(maps) * 2.0 ** len(maps)


def _mean_of_layers(maps):
    return 0.5 * torch.eye(maps.shape[-1]) + 0.5 * maps.mean(0)


def _entry_by_entry(maps):
    result = torch.ones_like(maps[0])
    for A in maps:
        result = (0.5 * torch.eye(len(A)) + 0.5 * A) * result
    return result


def _last_layer(maps):
    return maps[-1]


STACKS = [
    (
        torch.tensor(
            [
                [[0.8, 0.1, 0.1], [0.3, 0.3, 0.4], [0.0, 0.5, 0.5]],
                [[0.2, 0.6, 0.2], [0.1, 0.1, 0.8], [0.7, 0.2, 0.1]],
            ]
        ),
    ),
    (
        torch.tensor(
            [
                [[0.9, 0.1], [0.4, 0.6]],
                [[0.3, 0.7], [1.0, 0.0]],
                [[0.5, 0.5], [0.2, 0.8]],
            ]
        ),
    ),
]

ROLLOUT_MISTAKES = [
    (
        _without_residual,
        "The way round the block is missing. Take half of the identity matrix and half "
        "of the attention, and multiply those.",
    ),
    (
        _other_order,
        "The order is the wrong way round. The first layer is applied first, so it "
        "stands on the right: A3 @ A2 @ A1.",
    ),
    (
        _not_halved,
        "The rows do not add up to 1. Half goes round the block and half through it: "
        "0.5 * I + 0.5 * A.",
    ),
    (
        _mean_of_layers,
        "This is a mean over the layers. What one layer hands on goes through the "
        "next: multiply the matrices.",
    ),
    (
        _entry_by_entry,
        "`*` multiplies entry by entry. Paths through two layers are summed over the "
        "token in the middle: that is the matrix product `@`.",
    ),
    (
        _last_layer,
        "This is the attention of the last layer alone. It looks at mixtures that the "
        "layers below have made.",
    ),
]

register(
    Exercise(
        name="attention rollout",
        chapter="core concepts",
        lesson="07_seeing_inside",
        prompt=(
            "Write rollout(maps). maps has the shape (L, T, T): the attention of L "
            "layers, the first layer first, already averaged over the heads; each row "
            "has the sum 1. In each layer half of a vector goes round the attention, "
            "by the residual connection, and half through it. Return the (T, T) "
            "matrix that says how much of each input token is in each output."
        ),
        minutes=8,
        difficulty=2,
        reference=rollout,
        checks=[
            *(diagnose(wrong, text, *STACKS) for wrong, text in ROLLOUT_MISTAKES),
            *(same_result(rollout, *case, tolerance=1e-5) for case in STACKS),
        ],
        hints=[
            "One layer is the matrix 0.5 * torch.eye(T) + 0.5 * A.",
            "Start with the identity matrix: before the first layer each token holds "
            "itself alone.",
            "In a loop over the layers: result = layer @ result.",
        ],
        wrong_answers=ROLLOUT_MISTAKES,
    )
)
