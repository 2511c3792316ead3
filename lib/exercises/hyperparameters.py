"""The exercises of the lesson on choosing hyperparameters.

How many standard errors lie between two settings, a draw on a logarithmic scale, the
number of random trials, successive halving, and what to report in the end.
"""

import math
from statistics import mean, pvariance, variance

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

CHAPTER, LESSON = "best practices", "04_choosing_hyperparameters"

# The seed alone --------------------------------------------------------------


def standard_errors(a, b):
    return (mean(a) - mean(b)) / math.sqrt(variance(a) / len(a) + variance(b) / len(b))


def _divides_by_n(a, b):
    spread = pvariance(a) / len(a) + pvariance(b) / len(b)
    return (mean(a) - mean(b)) / math.sqrt(spread)


def _of_one_run(a, b):
    return (mean(a) - mean(b)) / math.sqrt(variance(a) + variance(b))


def _without_root(a, b):
    return (mean(a) - mean(b)) / (variance(a) / len(a) + variance(b) / len(b))


def _adds_deviations(a, b):
    first, second = (math.sqrt(variance(s) / len(s)) for s in (a, b))
    return (mean(a) - mean(b)) / (first + second)


def _b_minus_a(a, b):
    return -standard_errors(a, b)


def _difference_alone(a, b):
    return mean(a) - mean(b)


SCORES = [
    ([0.92, 0.90, 0.94], [0.88, 0.91]),
    ([0.5, 0.7, 0.6, 0.9], [0.8, 0.85, 0.95]),
]

NOISE_MISTAKES = [
    (
        _difference_alone,
        "This is the difference of the means alone. Divide it by its standard error.",
    ),
    (
        _divides_by_n,
        "The variance of a few scores is the sum of squares divided by n - 1, not by "
        "n: the mean comes from the same scores.",
    ),
    (
        _of_one_run,
        "This is how far single runs differ. The mean of n runs is steadier: divide "
        "each variance by its n first.",
    ),
    (
        _without_root,
        "The square root is missing: the two variances add up to a square.",
    ),
    (
        _adds_deviations,
        "The two errors do not add up; their squares do. Take one square root of the "
        "sum of both.",
    ),
    (_b_minus_a, "The sign is the wrong way round: mean of a minus mean of b."),
]

register(
    Exercise(
        name="search seed noise",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write standard_errors(a, b). Each is a list of two or more scores, one "
            "for each seed. Return the difference of the means, mean of a minus mean "
            "of b, divided by its standard error: the square root of "
            "variance(a) / len(a) + variance(b) / len(b)."
        ),
        minutes=8,
        difficulty=2,
        reference=standard_errors,
        checks=[
            *(diagnose(wrong, text, *SCORES) for wrong, text in NOISE_MISTAKES),
            *(same_result(standard_errors, *case) for case in SCORES),
        ],
        hints=[
            "Three parts: the two means, the two variances, one square root.",
            "from statistics import mean, variance. `variance` divides by n - 1.",
            "(mean(a) - mean(b)) / math.sqrt(variance(a) / len(a) + variance(b) / "
            "len(b)).",
        ],
        wrong_answers=NOISE_MISTAKES,
    )
)


# A draw on a logarithmic scale -------------------------------------------------


def log_uniform(low, high, u):
    return low * (high / low) ** u


def _on_a_straight_scale(low, high, u):
    return low + (high - low) * u


def _the_exponent(low, high, u):
    return math.log10(low) + (math.log10(high) - math.log10(low)) * u


def _from_the_top(low, high, u):
    return high * (low / high) ** u


def _adds_low(low, high, u):
    return low + (high / low) ** u


def _without_low(low, high, u):
    return (high / low) ** u


def _e_for_ten(low, high, u):
    return math.exp(_the_exponent(low, high, u))


DRAWS = [(1e-4, 1.0, 0.25), (0.01, 10.0, 0.9)]

DRAW_MISTAKES = [
    (
        _on_a_straight_scale,
        "This is the straight scale: nine draws of ten fall into the highest factor "
        "of ten. Equal steps of u must give equal ratios.",
    ),
    (_the_exponent, "This is the exponent. Take 10 to this power."),
    (_e_for_ten, "The logarithm and the power have different bases, 10 and e."),
    (
        _from_the_top,
        "u = 0 must give low and u = 1 must give high; it is turned round.",
    ),
    (_adds_low, "low is a factor here: with u = 0 the result must be low itself."),
    (_without_low, "The factor low is missing: u = 0 must give low, and not 1."),
]

register(
    Exercise(
        name="search log draw",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write log_uniform(low, high, u). low and high are positive numbers, u is "
            "a number from 0 to 1. Return low for u = 0 and high for u = 1; in "
            "between, equal steps of u multiply the result by equal factors."
        ),
        minutes=5,
        difficulty=1,
        reference=log_uniform,
        checks=[
            *(diagnose(wrong, text, *DRAWS) for wrong, text in DRAW_MISTAKES),
            *(same_result(log_uniform, *case, tolerance=1e-9) for case in DRAWS),
        ],
        hints=[
            "From low to high is a factor of high / low. Half of the way is its square "
            "root.",
            "A share u of the way is the factor (high / low) ** u.",
            "Multiply low by that factor.",
        ],
        wrong_answers=DRAW_MISTAKES,
    )
)


# How many random trials --------------------------------------------------------


def trials_needed(share, certainty):
    return math.ceil(math.log(1 - certainty) / math.log(1 - share))


def _one_too_few(share, certainty):
    return math.floor(math.log(1 - certainty) / math.log(1 - share))


def _not_whole(share, certainty):
    return math.log(1 - certainty) / math.log(1 - share)


def _on_average(share, certainty):
    return math.ceil(1 / share)


def _adds_chances(share, certainty):
    return math.ceil(certainty / share)


def _all_of_them(share, certainty):
    return math.ceil(math.log(certainty) / math.log(share))


CHANCES = [(0.05, 0.95), (0.2, 0.9), (0.01, 0.5)]

CHANCE_MISTAKES = [
    (
        _one_too_few,
        "This is one trial too few: round up, so that the certainty is reached.",
    ),
    (_not_whole, "Trials come whole. Round up."),
    (
        _on_average,
        "This many trials hit once on average. The certainty does not enter.",
    ),
    (
        _adds_chances,
        "Chances do not add up: with this sum, 30 trials at 5 % would hit with "
        "150 %. Ask with which chance all trials miss.",
    ),
    (
        _all_of_them,
        "This is about trials that all hit. You want that not all of them miss: "
        "(1 - share) ** n is at most 1 - certainty.",
    ),
]

register(
    Exercise(
        name="search trials needed",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write trials_needed(share, certainty). A share of all settings, between 0 "
            "and 1, is good. Settings are drawn at random, one independent of the "
            "other. Return the smallest whole number of draws with which at least one "
            "is good with the chance `certainty` or more."
        ),
        minutes=6,
        difficulty=2,
        reference=trials_needed,
        checks=[
            *(diagnose(wrong, text, *CHANCES) for wrong, text in CHANCE_MISTAKES),
            *(same_result(trials_needed, *case) for case in CHANCES),
        ],
        hints=[
            "One draw misses with the chance 1 - share. With which chance do n draws "
            "all miss?",
            "(1 - share) ** n must be at most 1 - certainty. Take the logarithm on "
            "both sides; log(1 - share) is negative, so the inequality turns round.",
            "n is at least math.log(1 - certainty) / math.log(1 - share); math.ceil "
            "rounds up.",
        ],
        wrong_answers=CHANCE_MISTAKES,
    )
)


# Successive halving ------------------------------------------------------------


def halving(curves):
    alive, trained, spent = list(range(len(curves))), 0, 0
    while len(alive) > 1:
        goal = 2 * trained or 1
        spent += len(alive) * (goal - trained)
        alive.sort(key=lambda i: curves[i][goal - 1])
        alive, trained = alive[: len(alive) // 2], goal
    return alive[0], spent


def _begins_anew(curves):
    return halving(curves)[0], len(curves) * int(math.log2(len(curves)))


def _keeps_the_worse(curves):
    return halving([[-loss for loss in curve] for curve in curves])


def _knows_the_end(curves):
    ends = [curve[-1] for curve in curves]
    return ends.index(min(ends)), halving(curves)[1]


def _first_epoch_decides(curves):
    starts = [curve[0] for curve in curves]
    return starts.index(min(starts)), halving(curves)[1]


def _first_round_costs(curves):
    return halving(curves)[0], len(curves)


def _place_among_the_rest(curves):
    return 0, halving(curves)[1]


def _one_epoch_a_round(curves):
    alive, trained, spent = list(range(len(curves))), 0, 0
    while len(alive) > 1:
        spent, trained = spent + len(alive), trained + 1
        alive.sort(key=lambda i: curves[i][trained - 1])
        alive = alive[: len(alive) // 2]
    return alive[0], spent


FOUR = [[0.9, 0.2, 0.1, 0.1], [0.8, 0.7, 0.7, 0.7], [0.5, 0.4, 0.4, 0.4], [1.0] * 4]
EIGHT = [
    [1.0, 0.3, 0.2, 0.1],
    [0.7, 0.5, 0.5, 0.5],
    [0.6, 0.4, 0.35, 0.3],
    [0.8, 0.45, 0.30, 0.2],
    [0.5, 0.6, 0.7, 0.8],
    [2.0, 2.0, 2.0, 0.05],
    [2.1, 2.0, 2.0, 2.0],
    [2.2, 2.0, 2.0, 2.0],
]
TABLES = [(FOUR,), (EIGHT,)]

HALVING_MISTAKES = [
    (
        _begins_anew,
        "The winner is right and the cost too high: candidates go on with the weights "
        "they have. From 1 epoch to 2 costs one more epoch, not two.",
    ),
    (_keeps_the_worse, "You keep the half with the higher loss. Low is good."),
    (
        _knows_the_end,
        "You chose by the end of the curves, which nobody has seen yet. In each round "
        "compare the losses at the epoch that this round reaches.",
    ),
    (
        _first_epoch_decides,
        "You compare the losses of the first epoch in every round. Look again at the "
        "epoch that the round reaches.",
    ),
    (_first_round_costs, "Later rounds cost too: count their epochs as well."),
    (
        _place_among_the_rest,
        "The winner is a place in the list of those that are left. Return its number "
        "in `curves`.",
    ),
    (
        _one_epoch_a_round,
        "The rounds reach 1, 2, 3, ... epochs. They should reach 1, 2, 4, ...: those "
        "that are left train for twice as long.",
    ),
]

register(
    Exercise(
        name="search halving",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write halving(curves). curves[i][k] is the validation loss of candidate i "
            "after k + 1 epochs; there are 2, 4, 8, ... candidates. The first round "
            "trains all of them to epoch 1, the next rounds those that are left to "
            "epoch 2, 4, 8, ..., going on from where they were. After each round the "
            "half with the lower loss goes on, until one is left. Return the pair "
            "(number of the winner, epochs that all of them have cost)."
        ),
        minutes=10,
        difficulty=3,
        reference=halving,
        checks=[
            *(diagnose(wrong, text, *TABLES) for wrong, text in HALVING_MISTAKES),
            *(same_result(halving, *case) for case in TABLES),
        ],
        hints=[
            "Keep three things: the numbers of those that are left, the epochs that "
            "they have, and the epochs spent so far. Loop while more than one is left.",
            "A round with the goal g costs len(alive) * (g - trained) epochs. The "
            "goals are 1, 2, 4, ...",
            "alive.sort(key=lambda i: curves[i][goal - 1]), and then keep "
            "alive[: len(alive) // 2].",
        ],
        wrong_answers=HALVING_MISTAKES,
    )
)


# What to report ----------------------------------------------------------------


def choose_and_report(validation, test):
    winner = validation.index(max(validation))
    return winner, test[winner]


def _chooses_on_test(validation, test):
    winner = test.index(max(test))
    return winner, test[winner]


def _reports_validation(validation, test):
    winner = validation.index(max(validation))
    return winner, validation[winner]


def _best_test_of_any(validation, test):
    return validation.index(max(validation)), max(test)


def _lowest(validation, test):
    winner = validation.index(min(validation))
    return winner, test[winner]


def _mean_of_both(validation, test):
    winner = validation.index(max(validation))
    return winner, (validation[winner] + test[winner]) / 2


ACCURACIES = [
    ([0.90, 0.95, 0.93], [0.91, 0.92, 0.94]),
    ([0.70, 0.80, 0.85, 0.60], [0.75, 0.84, 0.81, 0.50]),
]

REPORT_MISTAKES = [
    (
        _chooses_on_test,
        "You chose with the test scores. Then nothing is left that could judge the "
        "winner: choose by validation alone.",
    ),
    (
        _reports_validation,
        "The number that you report is the one by which you chose, so it is too good. "
        "Report the winner's test score.",
    ),
    (
        _best_test_of_any,
        "The test score is that of another candidate. Report the winner's own.",
    ),
    (_lowest, "These are accuracies: high is good. You took the lowest."),
    (
        _mean_of_both,
        "You mix in the validation score, by which you chose. Report the test alone.",
    ),
]

register(
    Exercise(
        name="search report",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write choose_and_report(validation, test). Both are lists with one "
            "accuracy for each candidate. Return the pair (number of the candidate "
            "that you choose, accuracy that you report for it)."
        ),
        minutes=4,
        difficulty=1,
        reference=choose_and_report,
        checks=[
            *(diagnose(wrong, text, *ACCURACIES) for wrong, text in REPORT_MISTAKES),
            *(same_result(choose_and_report, *case) for case in ACCURACIES),
        ],
        hints=[
            "One list chooses, the other one judges. Which is which?",
            "winner = validation.index(max(validation)).",
            "Return winner and test[winner].",
        ],
        wrong_answers=REPORT_MISTAKES,
    )
)
