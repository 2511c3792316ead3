"""The exercise of the first notebook: a warm-up to see how exercises work."""

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register


def mean_squared_error(predictions, targets):
    errors = [p - t for p, t in zip(predictions, targets, strict=True)]
    return sum(error**2 for error in errors) / len(errors)


def _sum(predictions, targets):
    return mean_squared_error(predictions, targets) * len(targets)


def _not_squared(predictions, targets):
    return (sum(predictions) - sum(targets)) / len(targets)


def _absolute(predictions, targets):
    pairs = zip(predictions, targets, strict=True)
    return sum(abs(p - t) for p, t in pairs) / len(targets)


def _root(predictions, targets):
    return mean_squared_error(predictions, targets) ** 0.5


def _square_of_the_mean(predictions, targets):
    return _not_squared(predictions, targets) ** 2


CASES = [([3.0, 5.0], [1.0, 6.0]), ([0.5, -1.0, 2.0], [1.0, 1.0, 0.0])]

MISTAKES = [
    (_sum, "This is the sum of the squared errors. Divide by how many there are."),
    (
        _not_squared,
        "The errors are not squared, so one that is too high and one that is too low "
        "cancel each other.",
    ),
    (_absolute, "This is the mean of the absolute errors. Square each error instead."),
    (_root, "This is the square root of the mean squared error. Leave the root out."),
    (
        _square_of_the_mean,
        "The mean is squared here. Square each error first, and then take the mean.",
    ),
]

register(
    Exercise(
        name="first answer",
        chapter="start",
        lesson="00_start_here",
        prompt=(
            "Write mean_squared_error(predictions, targets). Both are lists of numbers "
            "of one length. Take the error of each prediction, square it, and return "
            "the mean of the squares."
        ),
        minutes=5,
        difficulty=1,
        reference=mean_squared_error,
        checks=[
            *(diagnose(wrong, message, *CASES) for wrong, message in MISTAKES),
            *(same_result(mean_squared_error, *case) for case in CASES),
            same_result(mean_squared_error, [2.0], [2.0]),
        ],
        hints=[
            "Work out the first example on paper: predictions [3, 5], targets [1, 6]. "
            "The errors are 2 and -1.",
            "`for p, t in zip(predictions, targets)` walks through both lists at once.",
            "Add up (p - t) ** 2 over all pairs, then divide by len(targets).",
        ],
        wrong_answers=MISTAKES,
    )
)
