"""The exercises of the lesson on promises and risks: groups, misses, energy."""

import numpy as np

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

# Accuracy of each group --------------------------------------------------------


def accuracy_by_group(groups, truth, predictions):
    found = {}
    for group in sorted(set(groups)):
        rows = [i for i, each in enumerate(groups) if each == group]
        right = [truth[i] == predictions[i] for i in rows]
        found[group] = sum(right) / len(right)
    return found


def _of_all(groups, truth, predictions):
    right = [t == p for t, p in zip(truth, predictions, strict=True)]
    return {group: sum(right) / len(right) for group in sorted(set(groups))}


def _share_of_all(groups, truth, predictions):
    own = accuracy_by_group(groups, truth, predictions)
    return {g: own[g] * groups.count(g) / len(groups) for g in own}


def _counted(groups, truth, predictions):
    own = accuracy_by_group(groups, truth, predictions)
    return {g: round(own[g] * groups.count(g)) for g in own}


def _errors(groups, truth, predictions):
    own = accuracy_by_group(groups, truth, predictions)
    return {g: 1 - own[g] for g in own}


def _predicted_positive(groups, truth, predictions):
    return accuracy_by_group(groups, [1] * len(truth), predictions)


GROUPED = [
    (["a", "b", "a", "b", "b"], [1, 0, 1, 1, 0], [1, 1, 0, 1, 0]),
    (["x", "x", "y", "z", "x", "z"], [0, 0, 1, 1, 1, 0], [0, 1, 1, 0, 1, 0]),
]
GROUP_MISTAKES = [
    (
        _of_all,
        "This is the accuracy over everybody, given to each group. Count only the rows "
        "of the group.",
    ),
    (
        _share_of_all,
        "The right answers of a group are divided by the number of all rows. Divide by "
        "the rows of that group.",
    ),
    (_counted, "This counts the right answers. Divide by the rows of the group."),
    (
        _errors,
        "This is the share that is wrong. The accuracy is the share that is right.",
    ),
    (
        _predicted_positive,
        "This is how often the model says 1. Compare its answer with the truth.",
    ),
]

register(
    Exercise(
        name="accuracy by group",
        chapter="overview",
        lesson="03_promises_and_risks",
        prompt=(
            "Write accuracy_by_group(groups, truth, predictions). All three are lists "
            "of one length: the group of each row, its true class and the predicted "
            "one. Return a dict from each group to the share of its rows that is "
            "predicted right."
        ),
        minutes=10,
        difficulty=2,
        reference=accuracy_by_group,
        checks=[
            *(diagnose(wrong, message, *GROUPED) for wrong, message in GROUP_MISTAKES),
            *(
                same_result(accuracy_by_group, *case, tolerance=1e-9)
                for case in GROUPED
            ),
        ],
        hints=[
            "Go through the different groups, set(groups), and look at one at a time.",
            "The rows of one group are [i for i, each in enumerate(groups) if each == "
            "group].",
            "Of those rows, count where truth[i] == predictions[i], and divide by how "
            "many rows there are.",
        ],
        wrong_answers=GROUP_MISTAKES,
    )
)


# Misses ------------------------------------------------------------------------


def miss_rate(truth, predictions):
    missed = sum(t == 1 and p == 0 for t, p in zip(truth, predictions, strict=True))
    return missed / sum(t == 1 for t in truth)


def _of_everything(truth, predictions):
    missed = sum(t == 1 and p == 0 for t, p in zip(truth, predictions, strict=True))
    return missed / len(truth)


def _false_alarms(truth, predictions):
    return miss_rate([1 - t for t in truth], [1 - p for p in predictions])


def _recall(truth, predictions):
    return 1 - miss_rate(truth, predictions)


def _of_predicted_negative(truth, predictions):
    missed = sum(t == 1 and p == 0 for t, p in zip(truth, predictions, strict=True))
    return missed / sum(p == 0 for p in predictions)


def _error_rate(truth, predictions):
    return float(np.mean(np.array(truth) != np.array(predictions)))


ANSWERED = [
    ([1, 1, 1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 1, 1, 0, 0]),
    ([1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0]),
]
MISS_MISTAKES = [
    (
        _of_everything,
        "The misses are divided by all rows. Divide by the rows whose truth is 1: only "
        "those can be missed.",
    ),
    (
        _false_alarms,
        "This is the rate of false alarms: truth 0, answer 1. A miss is the other way "
        "round.",
    ),
    (
        _recall,
        "This is the share that is found. The share that is missed is 1 minus it.",
    ),
    (
        _of_predicted_negative,
        "The misses are divided by the rows that the model calls 0. Divide by those "
        "that truly are 1.",
    ),
    (_error_rate, "This is the rate of all errors. Only truth 1 with answer 0 counts."),
]

register(
    Exercise(
        name="miss rate",
        chapter="overview",
        lesson="03_promises_and_risks",
        prompt=(
            "Write miss_rate(truth, predictions): of the rows whose true class is 1, "
            "the share that is predicted as 0. Both are lists of 0 and 1, and at least "
            "one true class is 1."
        ),
        minutes=6,
        difficulty=1,
        reference=miss_rate,
        checks=[
            *(diagnose(wrong, message, *ANSWERED) for wrong, message in MISS_MISTAKES),
            *(same_result(miss_rate, *case, tolerance=1e-9) for case in ANSWERED),
        ],
        hints=[
            "Count the rows with truth 1 and answer 0. By which number do you divide?",
            "Divide by the number of rows with truth 1: sum(t == 1 for t in truth).",
        ],
        wrong_answers=MISS_MISTAKES,
    )
)


# Energy ------------------------------------------------------------------------


def energy_kwh(gpu_hours, watts, pue):
    return gpu_hours * watts * pue / 1000


def _watt_hours(gpu_hours, watts, pue):
    return gpu_hours * watts * pue


def _without_building(gpu_hours, watts, pue):
    return gpu_hours * watts / 1000


def _divided(gpu_hours, watts, pue):
    return gpu_hours * watts / 1000 / pue


def _added(gpu_hours, watts, pue):
    return gpu_hours * watts / 1000 + pue


RUNS = [(1000.0, 400.0, 1.2), (24.0, 330.0, 1.1), (3.552e6, 330.0, 1.1)]
ENERGY_MISTAKES = [
    (_watt_hours, "This is in watt hours. A kilowatt hour has 1,000 of them."),
    (
        _without_building,
        "The building is missing: cooling and power supply take their share, so the "
        "energy of the cards is multiplied by the PUE.",
    ),
    (_divided, "Cooling adds to the energy: multiply by the PUE, do not divide by it."),
    (_added, "The PUE is a factor, not an amount: 1.1 means 10 % on top."),
]

register(
    Exercise(
        name="training energy",
        chapter="overview",
        lesson="03_promises_and_risks",
        prompt=(
            "Write energy_kwh(gpu_hours, watts, pue): the energy of a training in "
            "kilowatt hours. gpu_hours is summed over all cards, watts is the power of "
            "one card, and pue says by which factor the whole building uses more than "
            "its computers."
        ),
        minutes=5,
        difficulty=1,
        reference=energy_kwh,
        checks=[
            *(diagnose(wrong, message, *RUNS) for wrong, message in ENERGY_MISTAKES),
            *(same_result(energy_kwh, *case, tolerance=1e-9) for case in RUNS),
        ],
        hints=[
            "Energy is power times time. One card of 1,000 watts for one hour is one "
            "kilowatt hour.",
            "gpu_hours * watts is in watt hours. Then the building, then the kilo.",
        ],
        wrong_answers=ENERGY_MISTAKES,
    )
)
