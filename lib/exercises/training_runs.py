"""More exercises of the lesson on training: the run itself.

What the curves of a run say, the length of a gradient, and where a run stands that is
to go on. Those about the model are in `lib.exercises.training`.
"""

import math

import torch

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register
from lib.exercises.training import LESSON

# Reading curves --------------------------------------------------------------


def read_curves(train, validation, guess):
    if not train[-1] <= 0.9 * guess:  # True for NaN as well
        return "does not learn"
    if validation[-1] > 1.3 * min(validation):
        return "overfits"
    if train[-1] < 0.75 * train[-2]:
        return "train longer"
    return "finished"


def _nan_passes(train, validation, guess):
    if train[-1] > 0.9 * guess:
        return "does not learn"
    if validation[-1] > 1.3 * min(validation):
        return "overfits"
    return "train longer" if train[-1] < 0.75 * train[-2] else "finished"


def _overfits_by_the_gap(train, validation, guess):
    said = read_curves(train, validation, guess)
    if said != "does not learn" and validation[-1] > 1.3 * train[-1]:
        return "overfits"
    return "train longer" if said == "overfits" else said


def _against_the_one_before(train, validation, guess):
    return read_curves(train, validation[-2:], guess)


def _longer_before_overfits(train, validation, guess):
    if train[-1] <= 0.9 * guess and train[-1] < 0.75 * train[-2]:
        return "train longer"
    return read_curves(train, validation, guess)


def _validation_still_falls(train, validation, guess):
    said = read_curves(train, validation, guess)
    if said in ("finished", "train longer"):
        falls = validation[-1] < 0.75 * validation[-2]
        return "train longer" if falls else "finished"
    return said


def _guess_itself(train, validation, guess):
    if not train[-1] <= guess:
        return "does not learn"
    return read_curves(train, validation, 10 * guess)


def _first_epoch(train, validation, guess):
    if not train[-1] <= 0.9 * guess or train[-1] >= train[0]:
        return "does not learn"
    return read_curves(train, validation, 10 * guess)


NAN, GUESS = math.nan, 2.3
STUCK = ([2.31, 2.30, 2.29], [2.3, 2.29, 2.29], GUESS)
BLOWN = ([2.1, 50.0, NAN], [2.6, NAN, NAN], GUESS)
OVERFITS = ([1.5, 0.5, 0.2, 0.17], [1.2, 0.6, 0.7, 0.8], GUESS)
OVERFITS_FAST = ([1.5, 0.5, 0.2, 0.05], [1.2, 0.6, 0.8, 0.9], GUESS)
LONGER = ([1.9, 0.9, 0.4], [1.4, 0.6, 0.55], GUESS)
DONE = ([1.9, 0.5, 0.3, 0.28], [1.4, 0.6, 0.45, 0.44], GUESS)
RISES = ([0.4, 0.5, 0.5], [0.5, 0.5, 0.5], GUESS)
CURVE_CASES = [STUCK, BLOWN, OVERFITS, OVERFITS_FAST, LONGER, DONE, RISES]

CURVE_MISTAKES = [
    (
        _nan_passes,
        "NaN > 2 is False, and so is every comparison with NaN. Ask the other way "
        "round: not train[-1] <= 0.9 * guess.",
        [BLOWN, LONGER],
    ),
    (
        _overfits_by_the_gap,
        "A gap between the two losses is normal: a model knows its training pictures "
        "better. It overfits when the validation loss has gone up again, so compare "
        "its last value with its own lowest one.",
        [DONE, OVERFITS],
    ),
    (
        _against_the_one_before,
        "The rise may be spread over many epochs. Compare the last validation loss "
        "with the lowest of all, not with the one before.",
        [OVERFITS, DONE],
    ),
    (
        _longer_before_overfits,
        "A model that overfits still lowers its training loss. Ask for overfitting "
        "before you ask for more training.",
        [OVERFITS_FAST, LONGER],
    ),
    (
        _validation_still_falls,
        "For 'train longer' compare the last two training losses.",
        [LONGER, DONE],
    ),
    (
        _guess_itself,
        "A loss a little below that of guessing is guessing still: the limit is "
        "0.9 * guess.",
        [STUCK, LONGER],
    ),
    (
        _first_epoch,
        "Compare with the loss of guessing, not with the first epoch: a run may begin "
        "well below it.",
        [RISES, LONGER],
    ),
]

register(
    Exercise(
        name="training read curves",
        chapter="best practices",
        lesson=LESSON,
        prompt=(
            "Write read_curves(train, validation, guess). train and validation are "
            "lists of losses, one an epoch, and guess is the loss of guessing. Return "
            "the first of these that holds: 'does not learn' if the last training loss "
            "is above 0.9 * guess, or NaN; 'overfits' if the last validation loss is "
            "above 1.3 times the lowest one; 'train longer' if the last training loss "
            "is below 0.75 times the one before; else 'finished'."
        ),
        minutes=10,
        difficulty=2,
        reference=read_curves,
        checks=[
            *(diagnose(wrong, said, *cases) for wrong, said, cases in CURVE_MISTAKES),
            *(same_result(read_curves, *case) for case in CURVE_CASES),
        ],
        hints=[
            "Four questions, one after the other; the first that is answered by yes "
            "returns. train[-1] is the last loss, train[-2] the one before.",
            "Every comparison with NaN is False. `not train[-1] <= 0.9 * guess` is "
            "True for NaN as well.",
            "Overfitting: validation[-1] > 1.3 * min(validation).",
        ],
        wrong_answers=[(wrong, said) for wrong, said, _ in CURVE_MISTAKES],
    )
)


# The length of a gradient ----------------------------------------------------


def clip_gradients(gradients, longest):
    norm = sum((g**2).sum() for g in gradients) ** 0.5
    factor = min(1.0, float(longest / norm)) if norm > 0 else 1.0
    return [factor * g for g in gradients]


def _each_alone(gradients, longest):
    return [clip_gradients([g], longest)[0] for g in gradients]


def _each_number(gradients, longest):
    return [g.clamp(-longest, longest) for g in gradients]


def _always_scaled(gradients, longest):
    norm = sum((g**2).sum() for g in gradients) ** 0.5
    return [longest / norm * g for g in gradients]


def _without_root(gradients, longest):
    squared = sum((g**2).sum() for g in gradients)
    return [min(1.0, float(longest / squared)) * g for g in gradients]


def _lengths_added(gradients, longest):
    norm = sum(g.norm() for g in gradients)
    return [min(1.0, float(longest / norm)) * g for g in gradients]


def _divided_by_its_length(gradients, longest):
    norm = sum((g**2).sum() for g in gradients) ** 0.5
    return [g / norm if norm > longest else g for g in gradients]


def _in_place(gradients, longest):
    norm = sum((g**2).sum() for g in gradients) ** 0.5
    for g in gradients:
        g *= min(1.0, float(longest / norm))
    return gradients


LONG = ([torch.tensor([3.0, 0.0]), torch.tensor([[4.0], [12.0]])], 6.5)
SHORT = ([torch.tensor([0.3, 0.4]), torch.tensor([[0.0], [1.2]])], 6.5)
NUMBER = ([torch.tensor([0.6, -2.0]), torch.tensor([1.5])], 2.0)

CLIP_MISTAKES = [
    (
        _each_alone,
        "Each gradient is shortened alone, which turns the direction of the step. "
        "Compute one length over all of them, and one factor.",
        [LONG, NUMBER],
    ),
    (
        _each_number,
        "Each number is cut off alone, which turns the direction of the step. "
        "Multiply all of them by one factor.",
        [LONG, NUMBER],
    ),
    (
        _always_scaled,
        "A short gradient was made longer. One that is not longer than `longest` "
        "stays as it is: the factor is at most 1.",
        [LONG, SHORT],
    ),
    (
        _without_root,
        "The root is missing: a length is the root of the sum of squares.",
        [LONG, NUMBER],
    ),
    (
        _lengths_added,
        "The lengths of the parts do not add up. Add the squares of all numbers, then "
        "take the root.",
        [LONG, NUMBER],
    ),
    (
        _divided_by_its_length,
        "A long gradient ends with the length 1. Its length must be `longest`.",
        [LONG, NUMBER],
    ),
]

register(
    Exercise(
        name="training clip gradients",
        chapter="best practices",
        lesson=LESSON,
        prompt=(
            "Write clip_gradients(gradients, longest). gradients is a list of tensors, "
            "one for each parameter of a model. Compute the length of all of them "
            "together, as of one long vector. If it is above longest, return them "
            "multiplied by longest / length; if not, as they are. Leave the tensors "
            "that you are given unchanged."
        ),
        minutes=7,
        difficulty=2,
        reference=clip_gradients,
        checks=[
            *(diagnose(wrong, said, *cases) for wrong, said, cases in CLIP_MISTAKES),
            *(
                same_result(clip_gradients, *case, tolerance=1e-5)
                for case in (LONG, SHORT, NUMBER)
            ),
            same_result(clip_gradients, [torch.zeros(2)], 1.0),
        ],
        hints=[
            "The square of the length is the sum of (g ** 2).sum() over the list.",
            "The factor is longest / length, but never above 1. A gradient of zeros "
            "has the length 0; mind the division.",
            "Return [factor * g for g in gradients].",
        ],
        wrong_answers=[
            *((wrong, said) for wrong, said, _ in CLIP_MISTAKES),
            (_in_place, "changed its argument gradients"),
        ],
    )
)


# Where a run stands ----------------------------------------------------------


def place_in_run(examples, batch_size, steps):
    per_epoch = math.ceil(examples / batch_size)
    return steps // per_epoch + 1, steps % per_epoch


def _small_batch_left_out(examples, batch_size, steps):
    per_epoch = examples // batch_size
    return steps // per_epoch + 1, steps % per_epoch


def _counted_from_zero(examples, batch_size, steps):
    epoch, taken = place_in_run(examples, batch_size, steps)
    return epoch - 1, taken


def _steps_are_examples(examples, batch_size, steps):
    return steps // examples + 1, steps % examples


def _rounded_up(examples, batch_size, steps):
    per_epoch = math.ceil(examples / batch_size)
    return math.ceil(steps / per_epoch), steps % per_epoch


def _examples_taken(examples, batch_size, steps):
    epoch, taken = place_in_run(examples, batch_size, steps)
    return epoch, taken * batch_size


def _swapped(examples, batch_size, steps):
    return place_in_run(examples, batch_size, steps)[::-1]


PLACES = [(1000, 32, 75), (1000, 32, 64), (100, 10, 3), (50, 20, 7)]
PLACE_MISTAKES = [
    (
        _small_batch_left_out,
        "The last batch of an epoch is missing: 1000 examples make 31 batches of 32 "
        "and a smaller one. Round up.",
        PLACES,
    ),
    (_counted_from_zero, "Epochs are counted from 1: step 0 is in epoch 1.", PLACES),
    (
        _steps_are_examples,
        "A step takes a batch, not one example. First work out the steps of an epoch.",
        PLACES,
    ),
    (
        _rounded_up,
        "Where an epoch is just complete, the run stands at the start of the next one, "
        "with 0 batches taken: divide without rest and add 1.",
        PLACES,
    ),
    (
        _examples_taken,
        "The second number counts batches, and these are examples.",
        PLACES,
    ),
    (_swapped, "The two are swapped. Return the epoch first.", PLACES),
]

register(
    Exercise(
        name="training place in run",
        chapter="best practices",
        lesson=LESSON,
        prompt=(
            "Write place_in_run(examples, batch_size, steps). A run has taken so many "
            "steps, each on one batch; the last batch of an epoch may be smaller, and "
            "it counts. Return the pair (epoch, taken): the epoch in which the next "
            "step is, counted from 1, and how many batches of it are done."
        ),
        minutes=5,
        difficulty=1,
        reference=place_in_run,
        checks=[
            *(diagnose(wrong, said, *cases) for wrong, said, cases in PLACE_MISTAKES),
            *(same_result(place_in_run, *case) for case in PLACES),
        ],
        hints=[
            "How many batches has an epoch of 1000 examples in batches of 32? Not 31.",
            "math.ceil(examples / batch_size) steps make an epoch.",
            "Whole epochs: steps // per_epoch. Batches of the present one: "
            "steps % per_epoch.",
        ],
        wrong_answers=[(wrong, said) for wrong, said, _ in PLACE_MISTAKES],
    )
)
