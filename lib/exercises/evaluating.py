"""The exercises of the lesson on evaluating a model.

Precision, recall and F1; AUC counted pair by pair; the cheapest threshold; the folds of
cross-validation; a bootstrap interval for the difference of two models.
"""

import math

import torch

from lib.exercises.checks import Answer, CheckFailed, diagnose, same_result
from lib.exercises.engine import Exercise, register

CHAPTER, LESSON = "best practices", "03_evaluating_a_model"

# Precision, recall, F1 ---------------------------------------------------------


def precision_recall_f1(truth, predictions):
    pairs = list(zip(truth, predictions, strict=True))
    found = sum(t == 1 and p == 1 for t, p in pairs)
    precision = found / sum(p == 1 for t, p in pairs)
    recall = found / sum(t == 1 for t, p in pairs)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _exchanged(truth, predictions):
    precision, recall, both = precision_recall_f1(truth, predictions)
    return recall, precision, both


def _plain_mean(truth, predictions):
    precision, recall, _ = precision_recall_f1(truth, predictions)
    return precision, recall, (precision + recall) / 2


def _of_all_examples(truth, predictions):
    found = sum(t == 1 and p == 1 for t, p in zip(truth, predictions, strict=True))
    share = found / len(truth)
    return share, share, share


def _right_answers(truth, predictions):
    right = sum(t == p for t, p in zip(truth, predictions, strict=True))
    precision = right / sum(p == 1 for p in predictions)
    recall = right / sum(t == 1 for t in truth)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _other_class(truth, predictions):
    return precision_recall_f1([1 - t for t in truth], [1 - p for p in predictions])


SAID = [
    ([0, 1, 0, 1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 1, 0, 0, 1, 1]),
    ([1, 0, 1, 1, 0, 1, 0, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0, 1]),
]
SAID_MISTAKES = [
    (
        _exchanged,
        "Precision and recall are swapped. Precision divides by what was said to be "
        "class 1, recall by what is class 1.",
    ),
    (
        _plain_mean,
        "F1 is the harmonic mean, 2 P R / (P + R), and not (P + R) / 2.",
    ),
    (
        _of_all_examples,
        "You divide by the number of all examples. Precision looks only at those that "
        "were said to be class 1, and recall only at those that are.",
    ),
    (
        _right_answers,
        "The true negatives are counted as well. Only class 1 that was said to be "
        "class 1 is a true positive.",
    ),
    (_other_class, "These are the rates of class 0. Class 1 is the one to find."),
]

register(
    Exercise(
        name="metrics precision and recall",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write precision_recall_f1(truth, predictions). Both are lists of 0 and 1. "
            "Return three numbers: precision, recall and F1 of class 1. At least one "
            "example is class 1 and is said to be."
        ),
        minutes=5,
        difficulty=1,
        reference=precision_recall_f1,
        checks=[
            *(diagnose(wrong, text, *SAID) for wrong, text in SAID_MISTAKES),
            *(same_result(precision_recall_f1, *case) for case in SAID),
        ],
        hints=[
            "Count the true positives first: truth 1 and prediction 1. Both rates have "
            "that number on top.",
            "Precision divides it by the number of predictions that are 1, recall by "
            "the number of true classes that are 1.",
            "F1 is 2 * precision * recall / (precision + recall).",
        ],
        wrong_answers=SAID_MISTAKES,
    )
)


# AUC, pair by pair -------------------------------------------------------------


def auc_by_pairs(positive, negative):
    won = 0.0
    for high in positive:
        for low in negative:
            won += 1.0 if high > low else 0.5 if high == low else 0.0
    return won / (len(positive) * len(negative))


def _ties_lost(positive, negative):
    won = sum(high > low for high in positive for low in negative)
    return won / (len(positive) * len(negative))


def _ties_won(positive, negative):
    won = sum(high >= low for high in positive for low in negative)
    return won / (len(positive) * len(negative))


def _other_way_round(positive, negative):
    return auc_by_pairs(negative, positive)


def _not_divided(positive, negative):
    return auc_by_pairs(positive, negative) * len(positive) * len(negative)


def _side_by_side(positive, negative):
    pairs = list(zip(positive, negative, strict=False))
    won = sum(1.0 if high > low else 0.5 * (high == low) for high, low in pairs)
    return won / len(pairs)


def _above_a_half(positive, negative):
    right = sum(s >= 0.5 for s in positive) + sum(s < 0.5 for s in negative)
    return right / (len(positive) + len(negative))


RANKED = [
    ([0.9, 0.6, 0.4], [0.6, 0.3, 0.2, 0.7]),
    ([0.2, 0.8, 0.8], [0.1, 0.8]),
]
RANKED_MISTAKES = [
    (_ties_lost, "A pair with equal scores counts one half, and you count it 0."),
    (_ties_won, "A pair with equal scores counts one half, and you count it 1."),
    (
        _other_way_round,
        "This counts the pairs in which the negative example is above. A pair is won "
        "if the positive one has the higher score.",
    ),
    (
        _not_divided,
        "This is the number of pairs that are won. Divide by the number of all pairs.",
    ),
    (
        _side_by_side,
        "You compare only examples that stand at the same place of the two lists. "
        "Compare each positive with each negative: two loops, one inside the other.",
    ),
    (
        _above_a_half,
        "You compare the scores with a threshold. AUC has none: compare the two scores "
        "of each pair with each other.",
    ),
]

register(
    Exercise(
        name="metrics auc by pairs",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write auc_by_pairs(positive, negative). Both are lists of scores, of the "
            "examples of class 1 and of class 0. Take each positive with each negative "
            "example. Return the share of these pairs in which the positive one has "
            "the higher score; a pair with equal scores counts one half."
        ),
        minutes=5,
        difficulty=2,
        reference=auc_by_pairs,
        checks=[
            *(diagnose(wrong, text, *RANKED) for wrong, text in RANKED_MISTAKES),
            *(same_result(auc_by_pairs, *case) for case in RANKED),
        ],
        hints=[
            "Two loops, one inside the other, visit all pairs.",
            "Add 1 if the positive score is higher, 0.5 if the two are equal.",
            "Divide by len(positive) * len(negative), the number of pairs.",
        ],
        wrong_answers=RANKED_MISTAKES,
    )
)


# The cheapest threshold ----------------------------------------------------------


def cheapest_threshold(truth, score, cost):
    best, lowest = None, math.inf
    for threshold in sorted(set(score), reverse=True):
        price = 0
        for t, s in zip(truth, score, strict=True):
            if t == 1 and s < threshold:
                price += cost  # missed
            elif t == 0 and s >= threshold:
                price += 1  # a false alarm
        if price < lowest:
            best, lowest = threshold, price
    return best


def _searched(price):
    """The highest of the thresholds with the lowest price(truth, said)."""

    def threshold(truth, score, cost):
        choices = sorted(set(score), reverse=True)
        said = [[s >= t for s in score] for t in choices]
        prices = [price(truth, each, cost) for each in said]
        return choices[prices.index(min(prices))]

    return threshold


def _missed(truth, said):
    return sum(t == 1 and not s for t, s in zip(truth, said, strict=True))


def _alarms(truth, said):
    return sum(t == 0 and s for t, s in zip(truth, said, strict=True))


def _fewest_errors(truth, score, cost):
    pick = _searched(lambda t, said, _: _missed(t, said) + _alarms(t, said))
    return pick(truth, score, cost)


def _costs_exchanged(truth, score, cost):
    pick = _searched(lambda t, said, c: _missed(t, said) + c * _alarms(t, said))
    return pick(truth, score, cost)


def _only_misses(truth, score, cost):
    pick = _searched(lambda t, said, c: c * _missed(t, said))
    return pick(truth, score, cost)


def _only_above(truth, score, cost):
    choices = sorted(set(score), reverse=True)
    said = [[s > t for s in score] for t in choices]
    prices = [cost * _missed(truth, each) + _alarms(truth, each) for each in said]
    return choices[prices.index(min(prices))]


def _lowest_of_equals(truth, score, cost):
    opposite = [-s for s in score]
    choices = sorted(set(opposite), reverse=True)
    said = [[s <= t for s in opposite] for t in choices]
    prices = [cost * _missed(truth, each) + _alarms(truth, each) for each in said]
    return -choices[prices.index(min(prices))]


def _dearest(truth, score, cost):
    pick = _searched(lambda t, said, c: -c * _missed(t, said) - _alarms(t, said))
    return pick(truth, score, cost)


def _the_price(truth, score, cost):
    threshold = cheapest_threshold(truth, score, cost)
    said = [s >= threshold for s in score]
    return cost * _missed(truth, said) + _alarms(truth, said)


PRICED = [
    ([0, 0, 0, 1, 1, 0, 1, 0], [0.4, 0.6, 0.5, 0.9, 0.1, 0.8, 0.7, 0.2], 2),
    ([1, 0, 1, 1, 0, 0, 1, 0], [0.5, 0.4, 0.2, 0.9, 0.3, 0.1, 0.6, 0.7], 2),
]
PRICED_MISTAKES = [
    (
        _fewest_errors,
        "This threshold makes the fewest mistakes. They do not cost the same: a missed "
        "case costs `cost`, a false alarm 1.",
    ),
    (
        _costs_exchanged,
        "The two prices are swapped. A missed case (truth 1, score below) costs "
        "`cost`, a false alarm (truth 0, score at or above) costs 1.",
    ),
    (
        _only_misses,
        "Only the missed cases are counted. False alarms cost 1 each.",
    ),
    (
        _only_above,
        "An example whose score equals the threshold is said to be class 1. Your "
        "answer fits > where it must be >=.",
    ),
    (
        _lowest_of_equals,
        "Where several thresholds cost the same, you return the lowest. Return the "
        "highest.",
    ),
    (_dearest, "This is the threshold with the highest cost. Take the lowest."),
    (_the_price, "This is the cost. Return the threshold that has it."),
]

register(
    Exercise(
        name="validation cheapest threshold",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write cheapest_threshold(truth, score, cost). truth is a list of 0 and 1, "
            "score a list of numbers. An example is said to be class 1 if its score is "
            "at or above the threshold. A missed case costs `cost`, a false alarm 1. "
            "Try each score as the threshold and return the one with the lowest total "
            "cost; of several, the highest."
        ),
        minutes=7,
        difficulty=2,
        reference=cheapest_threshold,
        checks=[
            *(diagnose(wrong, text, *PRICED) for wrong, text in PRICED_MISTAKES),
            *(same_result(cheapest_threshold, *case) for case in PRICED),
        ],
        hints=[
            "Go through the thresholds in a loop, and for each through all examples.",
            "Add `cost` where truth is 1 and the score is below the threshold. Add 1 "
            "where truth is 0 and the score is at or above it.",
            "Begin with the highest: for threshold in sorted(score, reverse=True). "
            "Keep a new one only if its cost is lower than the best so far.",
        ],
        wrong_answers=PRICED_MISTAKES,
    )
)


# The folds of cross-validation -----------------------------------------------------


def k_folds(n, k):
    folds = []
    for i in range(k):
        test = list(range(i, n, k))
        train = [row for row in range(n) if row % k != i]
        folds.append((train, test))
    return folds


def _parts_swapped(n, k):
    return [(test, train) for train, test in k_folds(n, k)]


def _trains_on_all(n, k):
    return [(list(range(n)), test) for _, test in k_folds(n, k)]


def _rest_forgotten(n, k):
    size = n // k
    blocks = [list(range(i * size, (i + 1) * size)) for i in range(k)]
    return [([r for r in range(n) if r not in block], block) for block in blocks]


def _one_fold(n, k):
    return k_folds(n, k)[:1]


def _same_test(n, k):
    return [k_folds(n, k)[0]] * k


def _one_row_each(n, k):
    return [([r for r in range(n) if r != i], [i]) for i in range(k)]


def _rows(part):
    return [int(row) for row in part]


def is_k_fold(answer: Answer) -> None:
    """Any fair division will do; each breach has its own sentence."""
    for n, k in ((10, 5), (11, 3), (7, 2)):
        folds = answer(n, k)
        try:
            folds = [(_rows(train), _rows(test)) for train, test in folds]
        except (TypeError, ValueError):
            raise CheckFailed(
                f"{answer.call}\nmust return a list of pairs (train, test), each of "
                "them a list of row numbers."
            ) from None
        problem = _unfair(folds, n, k)
        if problem:
            raise CheckFailed(f"{answer.call}\n{problem}")


def _unfair(folds, n, k):
    if len(folds) != k:
        return f"returned {len(folds)} pairs; there are k = {k} folds, one for each."
    tested = sorted(row for _, test in folds for row in test)
    sizes = {len(test) for _, test in folds}
    if all(len(train) < len(test) for train, test in folds) and k > 2:
        return "The two parts are swapped. The small part is for testing: (train, test)"
    if any(set(train) & set(test) for train, test in folds):
        return "A row is trained on and tested in one fold. That is what must not be."
    if len(set(tested)) < len(tested):
        return "Some row is tested in two folds. Each fold tests other rows."
    if tested != list(range(n)) and len(sizes) == 1 and max(sizes) == 1:
        return "Each fold tests one row only, so most rows are never tested."
    if tested != list(range(n)):
        return (
            f"Only {len(tested)} of the {n} rows are tested. Where n is no multiple of "
            "k, some folds have one row more."
        )
    if any(sorted(train + test) != list(range(n)) for train, test in folds):
        return "Each fold trains on all rows that it does not test, each of them once."
    if max(sizes) - min(sizes) > 1:
        return "The sizes of the folds differ by more than one row."
    return ""


def _uneven(n, k):
    ends = [*range(k), n]
    tests = [list(range(ends[i], ends[i + 1])) for i in range(k)]
    return [([r for r in range(n) if r not in test], test) for test in tests]


FOLD_MISTAKES = [
    (_parts_swapped, "The two parts are swapped"),
    (_trains_on_all, "A row is trained on and tested in one fold"),
    (_rest_forgotten, "Where n is no multiple of k"),
    (_one_fold, "there are k = 5 folds"),
    (_same_test, "Some row is tested in two folds"),
    (_one_row_each, "Each fold tests one row only"),
    (_uneven, "differ by more than one row"),
]

register(
    Exercise(
        name="validation folds",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write k_folds(n, k). The rows 0 to n - 1 are in random order already. "
            "Return a list of k pairs (train, test) of lists of row numbers. Each row "
            "is tested in exactly one fold, and each fold trains on all rows that it "
            "does not test. The numbers of tested rows differ by one at most."
        ),
        minutes=6,
        difficulty=2,
        reference=k_folds,
        checks=[is_k_fold],
        hints=[
            "Fold i may test every k-th row, beginning with row i.",
            "list(range(i, n, k)) are these rows. It works for any n.",
            "The rest is for training: [row for row in range(n) if row % k != i].",
        ],
        wrong_answers=FOLD_MISTAKES,
    )
)


# An interval for a difference --------------------------------------------------------


def difference_interval(right_a, right_b, draws):
    difference = (right_a - right_b)[draws].mean(1)
    low, high = difference.quantile(torch.tensor([0.025, 0.975]))
    return low, high


def _quantiles(differences, low, high):
    low, high = differences.quantile(torch.tensor([low, high]))
    return low, high


def _drawn_apart(right_a, right_b, draws):
    apart = right_a[draws].mean(1) - right_b[draws.flip(0)].mean(1)
    return _quantiles(apart, 0.025, 0.975)


def _b_not_drawn(right_a, right_b, draws):
    return _quantiles(right_a[draws].mean(1) - right_b.mean(), 0.025, 0.975)


def _ninety_percent(right_a, right_b, draws):
    return _quantiles((right_a - right_b)[draws].mean(1), 0.05, 0.95)


def _extremes(right_a, right_b, draws):
    difference = (right_a - right_b)[draws].mean(1)
    return difference.min(), difference.max()


def _of_examples(right_a, right_b, draws):
    return _quantiles((right_a - right_b)[draws].flatten(), 0.025, 0.975)


def _b_minus_a(right_a, right_b, draws):
    return difference_interval(right_b, right_a, draws)


def _summed_up(right_a, right_b, draws):
    return _quantiles((right_a - right_b)[draws].sum(1), 0.025, 0.975)


def _answers(n, seed):
    draw = torch.Generator().manual_seed(seed)
    right_a = (torch.rand(n, generator=draw) < 0.8).float()
    right_b = (torch.rand(n, generator=draw) < 0.6).float()
    return right_a, right_b, torch.randint(n, (200, n), generator=draw)


COMPARED = [_answers(30, 0), _answers(25, 1)]
COMPARED_MISTAKES = [
    (
        _drawn_apart,
        "The two models get different rows. Both must be judged on the same examples: "
        "index both with the same row of draws.",
    ),
    (
        _b_not_drawn,
        "Only the first model is drawn anew. Index both with the same rows.",
    ),
    (
        _ninety_percent,
        "This is the interval of 90 %. For 95 % leave out 2.5 % at each end: the "
        "quantiles 0.025 and 0.975.",
    ),
    (
        _extremes,
        "These are the smallest and the largest difference. Take the quantiles 0.025 "
        "and 0.975.",
    ),
    (
        _of_examples,
        "The quantiles are those of single examples. Take the mean of each row of "
        "draws first, .mean(1), and then the quantiles of these means.",
    ),
    (_b_minus_a, "The sign is the wrong way round: it is a less b."),
    (
        _summed_up,
        "This is a number of examples. The difference of two accuracies is a mean: "
        ".mean(1).",
    ),
]

register(
    Exercise(
        name="interval of a difference",
        chapter=CHAPTER,
        lesson=LESSON,
        prompt=(
            "Write difference_interval(right_a, right_b, draws). right_a and right_b "
            "are tensors (N,) with 1.0 where the model is right and 0.0 where it is "
            "not, for the same examples. draws is (R, N) int64: each row holds N row "
            "numbers, drawn with putting back. For each row of draws take the accuracy "
            "of a less that of b on these examples. Return the pair (low, high): the "
            "quantiles 0.025 and 0.975 of the R differences."
        ),
        minutes=6,
        difficulty=3,
        reference=difference_interval,
        checks=[
            *(diagnose(wrong, text, *COMPARED) for wrong, text in COMPARED_MISTAKES),
            *(same_result(difference_interval, *case) for case in COMPARED),
        ],
        hints=[
            "right_a[draws] is (R, N): it takes from right_a the rows that draws "
            "names. Do the same with right_b and the same draws.",
            "The mean along dimension 1 is the accuracy on each sample, (R,).",
            "differences.quantile(torch.tensor([0.025, 0.975])) gives low and high.",
        ],
        wrong_answers=COMPARED_MISTAKES,
    )
)
