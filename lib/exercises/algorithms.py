"""The exercises of the chapter on algorithms.

So far those of the lesson on gradient descent: the gradient of a line's loss, the
descent itself, and the largest learning rate that does not diverge.
"""

import torch

from lib.exercises.checks import Answer, CheckFailed, diagnose, same_result
from lib.exercises.engine import Exercise, register

# The gradient of a line's loss -----------------------------------------------


def line_gradient(x, y, w, b):
    error = w * x + b - y  # (N,)
    dw = 2 * (error * x).mean()
    db = 2 * error.mean()
    return dw, db


def _without_x(x, y, w, b):
    db = line_gradient(x, y, w, b)[1]
    return db, db


def _without_two(x, y, w, b):
    return tuple(part / 2 for part in line_gradient(x, y, w, b))


def _uphill(x, y, w, b):
    return tuple(-part for part in line_gradient(x, y, w, b))


def _summed(x, y, w, b):
    return tuple(part * len(x) for part in line_gradient(x, y, w, b))


def _swapped(x, y, w, b):
    return line_gradient(x, y, w, b)[::-1]


LINES = [
    (torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 5.0]), 0.5, 0.0),
    (torch.tensor([-1.0, 3.0, 0.5, 2.0]), torch.tensor([2.0, 0.0, 1.0, 1.0]), 1.0, -2),
]

LINE_MISTAKES = [
    (
        _without_x,
        "The slope's gradient lacks the factor x. w * x changes by x when w changes by "
        "1, so the chain rule multiplies each error by its x before the mean.",
    ),
    (
        _without_two,
        "Both numbers are half of what they should be. The derivative of error ** 2 is "
        "2 * error.",
    ),
    (
        _uphill,
        "The sign is the wrong way round. The error is prediction - target; the minus "
        "of gradient descent comes later, in the step.",
    ),
    (_summed, "This is the gradient of the sum. The loss is a mean: divide by N."),
    (_swapped, "The two are swapped. Return the one of w first, then the one of b."),
]

register(
    Exercise(
        name="line gradient",
        chapter="algorithms",
        lesson="01_gradient_descent",
        prompt=(
            "Write line_gradient(x, y, w, b). x and y are tensors of N numbers, w and "
            "b are numbers. The line predicts w * x + b, and its loss is the mean "
            "squared error. Return the pair (dw, db): the derivatives of the loss by w "
            "and by b."
        ),
        minutes=10,
        difficulty=2,
        reference=line_gradient,
        checks=[
            *(diagnose(wrong, message, *LINES) for wrong, message in LINE_MISTAKES),
            *(same_result(line_gradient, *line, tolerance=1e-5) for line in LINES),
        ],
        hints=[
            "Write down the loss of one example, (w * x + b - y) ** 2, and take its "
            "derivative by w and by b. The mean over the examples comes last.",
            "The outer derivative is 2 * error for both. The inner one is x for w, and "
            "1 for b.",
            "dw = 2 * (error * x).mean(), where error = w * x + b - y. db is alike, "
            "without the x.",
        ],
        wrong_answers=LINE_MISTAKES,
    )
)


# Gradient descent ------------------------------------------------------------


def gradient_descent(gradient, start, learning_rate, steps):
    points = [start]
    for _ in range(steps):
        theta = points[-1]
        points.append(theta - learning_rate * gradient(theta))
    return points


def _ascent(gradient, start, learning_rate, steps):
    return gradient_descent(gradient, start, -learning_rate, steps)


def _without_start(gradient, start, learning_rate, steps):
    return gradient_descent(gradient, start, learning_rate, steps)[1:]


def _one_step_short(gradient, start, learning_rate, steps):
    return gradient_descent(gradient, start, learning_rate, max(steps - 1, 0))


def _one_step_more(gradient, start, learning_rate, steps):
    return gradient_descent(gradient, start, learning_rate, steps + 1)


def _same_object(gradient, start, learning_rate, steps):
    theta = start.clone()
    points = [theta]
    for _ in range(steps):
        theta -= learning_rate * gradient(theta)
        points.append(theta)
    return points


def _frozen_gradient(gradient, start, learning_rate, steps):
    slope = gradient(start)
    return [start - learning_rate * slope * n for n in range(steps + 1)]


def _only_the_last(gradient, start, learning_rate, steps):
    return gradient_descent(gradient, start, learning_rate, steps)[-1]


def _without_rate(gradient, start, learning_rate, steps):
    return gradient_descent(gradient, start, 1.0, steps)


def _changes_the_start(gradient, start, learning_rate, steps):
    theta = start
    points = [theta.clone()]
    for _ in range(steps):
        theta -= learning_rate * gradient(theta)
        points.append(theta.clone())
    return points


def bowl_gradient(theta):
    """Gradient of theta[0] ** 2 + 2 * theta[1] ** 2."""
    return torch.tensor([2.0, 4.0], dtype=theta.dtype) * theta


WALKS = [
    (bowl_gradient, torch.tensor([1.0, -1.0]), 0.1, 3),
    (bowl_gradient, torch.tensor([0.5, 2.0]), 0.2, 4),
]

WALK_MISTAKES = [
    (
        _ascent,
        "You add the gradient, which leads uphill. Descent subtracts it.",
    ),
    (
        _without_start,
        "The starting point is missing: the list begins with it, so it has steps + 1 "
        "entries.",
    ),
    (
        _one_step_short,
        "One step is missing. The list has the start and then one point for each step, "
        "steps + 1 entries in all.",
    ),
    (
        _one_step_more,
        "There is one step too many. The list has steps + 1 entries with the start.",
    ),
    (
        _same_object,
        "All entries of the list are the same tensor. `theta -= ...` changes that one "
        "tensor in place; `theta = theta - ...` makes a new one.",
    ),
    (
        _frozen_gradient,
        "The gradient is taken once, at the start. Take it anew at each point, inside "
        "the loop.",
    ),
    (
        _only_the_last,
        "This is the last point alone. Return the list of all points.",
    ),
    (_without_rate, "The gradient is not multiplied by the learning rate."),
]

register(
    Exercise(
        name="gradient descent",
        chapter="algorithms",
        lesson="01_gradient_descent",
        prompt=(
            "Write gradient_descent(gradient, start, learning_rate, steps). "
            "gradient(theta) gives the gradient at a point; points are tensors. Take "
            "so many steps, each against the gradient and as long as learning_rate "
            "says. Return the list of all points, the start included, and leave start "
            "as it was."
        ),
        minutes=10,
        difficulty=2,
        reference=gradient_descent,
        checks=[
            *(diagnose(wrong, message, *WALKS) for wrong, message in WALK_MISTAKES),
            *(same_result(gradient_descent, *walk, tolerance=1e-5) for walk in WALKS),
            same_result(
                gradient_descent, bowl_gradient, torch.tensor([3.0, 1.0]), 1, 0
            ),
        ],
        hints=[
            "One step is theta - learning_rate * gradient(theta).",
            "Begin with points = [start], and let the loop run `steps` times.",
            "In the loop, take the last point, points[-1], work out the next one as a "
            "new tensor, and append it.",
        ],
        wrong_answers=[
            *WALK_MISTAKES,
            (_changes_the_start, "changed its argument start"),
        ],
    )
)


# The largest stable rate -----------------------------------------------------


def largest_stable_rate(curvatures):
    return 2 / max(curvatures)


def _one_over_largest(curvatures):
    return 1 / max(curvatures)


def _two_over_smallest(curvatures):
    return 2 / min(curvatures)


def _two_over_mean(curvatures):
    return 2 / (sum(curvatures) / len(curvatures))


def _two_over_sum(curvatures):
    return 2 / sum(curvatures)


def _twice_the_largest(curvatures):
    return 2 * max(curvatures)


def _a_little_too_much(curvatures):
    return 2.2 / max(curvatures)


def _a_little_too_little(curvatures):
    return 1.8 / max(curvatures)


def walks_away(curvatures, rate):
    """Whether descent diverges: some direction grows by 1 - rate * c at each step."""
    return not all(abs(1 - rate * c) <= 1 for c in curvatures)  # True for NaN


def is_the_edge(answer: Answer) -> None:
    """Just below the answer descent must converge, and just above it diverge."""
    for curvatures in BOWLS:
        rate = float(answer(curvatures))
        if walks_away(curvatures, 0.99 * rate):
            raise CheckFailed(
                f"{answer.call}\nreturned {rate:.6g}, but descent diverges already at "
                "0.99 times that rate. Which direction of the bowl is the steepest?"
            )
        if not walks_away(curvatures, 1.01 * rate):
            raise CheckFailed(
                f"{answer.call}\nreturned {rate:.6g}, but descent still converges at "
                "1.01 times that rate. There is a larger one."
            )


BOWLS = [[1.0, 10.0], [4.0, 0.5, 2.0]]

RATE_MISTAKES = [
    (
        _one_over_largest,
        "At this rate one step lands right on the minimum, along the steepest "
        "direction. Descent stays stable beyond it, until each step overshoots by as "
        "much as the distance that was left.",
    ),
    (
        _two_over_smallest,
        "This is the limit along the flattest direction. The steepest one diverges "
        "long before.",
    ),
    (
        _two_over_mean,
        "This is the limit for the mean curvature. One direction that diverges is "
        "enough, so the steepest one alone decides.",
    ),
    (
        _two_over_sum,
        "The curvatures do not add up: each direction goes its own way, and the "
        "steepest one alone decides.",
    ),
    (
        _twice_the_largest,
        "The steeper the bowl, the smaller the rate must be: divide by the curvature.",
    ),
]

register(
    Exercise(
        name="largest stable rate",
        chapter="algorithms",
        lesson="01_gradient_descent",
        prompt=(
            "Write largest_stable_rate(curvatures). A bowl has the loss "
            "c1 / 2 * theta1 ** 2 + c2 / 2 * theta2 ** 2 + ..., and curvatures is the "
            "list [c1, c2, ...] of positive numbers. Return the learning rate at which "
            "gradient descent is on the edge: a smaller one converges, a larger one "
            "diverges."
        ),
        minutes=12,
        difficulty=3,
        reference=largest_stable_rate,
        checks=[
            *(
                diagnose(wrong, message, *((bowl,) for bowl in BOWLS))
                for wrong, message in RATE_MISTAKES
            ),
            is_the_edge,
            *(same_result(largest_stable_rate, bowl) for bowl in BOWLS),
        ],
        hints=[
            "Take one direction first. The gradient is c * theta, so a step turns "
            "theta into (1 - learning_rate * c) * theta.",
            "The distance shrinks as long as 1 - learning_rate * c lies between -1 "
            "and 1.",
            "Along one direction the edge is 2 / c. The bowl diverges as soon as its "
            "steepest direction does.",
        ],
        wrong_answers=[
            *RATE_MISTAKES,
            (_a_little_too_much, "diverges already at 0.99"),
            (_a_little_too_little, "still converges at 1.01"),
        ],
    )
)
