"""The exercises of the lesson on preparing data.

Holes and their indicators, scaling with the numbers of the training part, a split that
keeps the shares of the classes, rows that stand on both sides of a split, and the pair
that byte-pair encoding merges next.
"""

from collections import Counter
from itertools import pairwise

import torch

from lib.exercises.checks import Answer, CheckFailed, diagnose, same_result
from lib.exercises.engine import Exercise, register

NAN = float("nan")


def _task(
    minutes: int,
    difficulty: int,
    mistakes: list,
    cases: list,
    first=(),
    more=(),
    **rest,
) -> None:
    """Register an exercise that is checked against its reference on all cases.

    Args:
        mistakes: known wrong answers, each with what to say.
        first: checks before all others.
        more: wrong answers that those checks or the comparison find.
    """
    reference = rest["reference"]
    register(
        Exercise(
            chapter="best practices",
            lesson="01_preparing_data",
            minutes=minutes,
            difficulty=difficulty,
            checks=[
                *first,
                *(diagnose(*each, *cases, tolerance=1e-5) for each in mistakes),
                *(same_result(reference, *case, tolerance=1e-5) for case in cases),
            ],
            wrong_answers=[*mistakes, *more],
            **rest,
        )
    )


# Missing values --------------------------------------------------------------


def fill_holes(column, known):
    hole = column.isnan()
    middle = known[~known.isnan()].median()
    return torch.where(hole, middle, column), hole.float()


def _with_zero(column, known):
    return column.nan_to_num(0.0), column.isnan().float()


def _own_median(column, known):
    return fill_holes(column, column)


def _with_mean(column, known):
    filled = torch.where(column.isnan(), known.nanmean(), column)
    return filled, column.isnan().float()


def _dropped(column, known):
    kept = column[~column.isnan()]
    return kept, torch.zeros(len(kept))


def _known_marked(column, known):
    filled, hole = fill_holes(column, known)
    return filled, 1 - hole


def _compared_with_nan(column, known):
    hole = column == NAN
    return torch.where(hole, known.nanmedian(), column), hole.float()


def _all_gone(column, known):
    return column * NAN, column.isnan().float()


def no_hole_is_left(answer: Answer) -> None:
    """The filled column has no NaN; says the two reasons why it may have one."""
    for case in HOLES:
        filled = answer(*case)[0]
        if filled.isnan().all():
            raise CheckFailed("Every number became NaN. Fill only where a hole is.")
        if filled.isnan().any():
            raise CheckFailed(
                "A hole is still there. Two traps: NaN is equal to nothing, not even "
                "to itself, so ask column.isnan(); and the median of a column with "
                "holes is NaN, so leave the holes of known out first."
            )


HOLES = [
    (
        torch.tensor([NAN, 2.0, 9.0, 4.0]),
        torch.tensor([1.0, NAN, 5.0, 30.0, NAN]),
    ),
    (torch.tensor([1.0, NAN, NAN, 8.0]), torch.tensor([4.0, 7.0, -1.0, NAN])),
]

_task(
    7,
    2,
    [
        (
            _with_zero,
            "The holes are filled with 0. A body mass index of 0 is no middle value: "
            "take the median of the training column.",
        ),
        (
            _own_median,
            "The median comes from column itself. It must come from known, the column "
            "of the training part, also when column is a test column.",
        ),
        (_with_mean, "This is the mean. The median of known was asked for."),
        (
            _dropped,
            "The rows with holes are gone. Every row stays, and the hole gets a value.",
        ),
        (
            _known_marked,
            "The indicator is the wrong way round: 1 stands where the value was "
            "missing, 0 where it was known.",
        ),
    ],
    HOLES,
    first=[no_hole_is_left],
    more=[
        (_compared_with_nan, "A hole is still there"),
        (_all_gone, "Every number became NaN"),
    ],
    name="data fill holes",
    prompt=(
        "Write fill_holes(column, known). column is a tensor of N numbers, some of "
        "them NaN; known is the same column of the training part, with holes too. "
        "Return the pair (filled, indicator): column with each hole filled by the "
        "median of the known numbers of known, and a tensor that is 1.0 where a hole "
        "was and 0.0 elsewhere."
    ),
    reference=fill_holes,
    hints=[
        "column.isnan() is True at the holes. It is the indicator, once it is float.",
        "The median must not see the holes: known[~known.isnan()].median().",
        "torch.where(hole, middle, column) takes middle where there is a hole.",
    ],
)


# Scaling with training statistics --------------------------------------------


def standardise(train, test):
    mean, std = train.mean(0), train.std(0, correction=0)
    return (train - mean) / std, (test - mean) / std


def _of_both(train, test):
    both = torch.cat([train, test])
    mean, std = both.mean(0), both.std(0, correction=0)
    return (train - mean) / std, (test - mean) / std


def _each_its_own(train, test):
    return standardise(train, train)[0], standardise(test, test)[0]


def _one_for_all_columns(train, test):
    mean, std = train.mean(), train.std(correction=0)
    return (train - mean) / std, (test - mean) / std


def _by_row(train, test):
    return tuple(
        (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True)
        for x in (train, test)
    )


def _only_shifted(train, test):
    return train - train.mean(0), test - train.mean(0)


def _by_variance(train, test):
    mean, variance = train.mean(0), train.var(0, correction=0)
    return (train - mean) / variance, (test - mean) / variance


def _sample_std(train, test):
    mean, std = train.mean(0), train.std(0)
    return (train - mean) / std, (test - mean) / std


def _test_as_it_is(train, test):
    return standardise(train, test)[0], test


TABLES = [
    (
        torch.tensor([[1.0, 10.0], [3.0, 40.0], [8.0, 10.0]]),
        torch.tensor([[2.0, 90.0], [20.0, 30.0]]),
    ),
    (torch.tensor([[0.0, 5.0], [4.0, 9.0]]), torch.tensor([[1.0, 3.0], [2.0, 0.0]])),
]

_task(
    5,
    1,
    [
        (
            _of_both,
            "The mean and the standard deviation come from both parts together, so the "
            "test part has been looked at. Take those of train.",
        ),
        (
            _each_its_own,
            "The test part is scaled by its own numbers. The same measurement would "
            "then mean something else in the two parts. Use those of train for both.",
        ),
        (
            _one_for_all_columns,
            "There is one mean for the whole table. Each column has its own unit, so "
            "each needs its own: mean(0).",
        ),
        (_by_row, "This scales each row. Features are columns: mean(0), std(0)."),
        (_only_shifted, "The mean is subtracted, and the division is missing."),
        (_by_variance, "You divide by the variance. Divide by its square root."),
        (
            _sample_std,
            "The standard deviation is divided by N - 1, torch's default. Here it is "
            "std(0, correction=0), which divides by N.",
        ),
        (_test_as_it_is, "The test part was not scaled. Use train's numbers on it."),
    ],
    TABLES,
    name="data standardise",
    prompt=(
        "Write standardise(train, test). Both are tensors of shape (N, features). "
        "Return the pair (train, test), each with the mean subtracted and divided by "
        "the standard deviation, column by column. Both numbers come from the training "
        "part; take std(0, correction=0)."
    ),
    reference=standardise,
    hints=[
        "mean(0) is the mean over the rows: one number a column.",
        "Work out mean and std once, from train, and use them twice.",
        "(train - mean) / std and (test - mean) / std, where std = "
        "train.std(0, correction=0).",
    ],
)


# A stratified split ----------------------------------------------------------


def stratified_rows(classes, share):
    test = []
    for value in sorted(set(classes)):
        rows = [i for i, each in enumerate(classes) if each == value]
        test += rows[: round(share * len(rows))]
    return [i for i in range(len(classes)) if i not in test], sorted(test)


def _first_of_all(classes, share):
    n = round(share * len(classes))
    return list(range(n, len(classes))), list(range(n))


def _last_of_all(classes, share):
    n = len(classes) - round(share * len(classes))
    return list(range(n)), list(range(n, len(classes)))


def _cut_off(classes, share):
    test = []
    for value in sorted(set(classes)):
        rows = [i for i, each in enumerate(classes) if each == value]
        test += rows[: int(share * len(rows))]
    return [i for i in range(len(classes)) if i not in test], sorted(test)


def _swapped_parts(classes, share):
    return stratified_rows(classes, share)[::-1]


def _same_number_of_each(classes, share):
    test, values = [], sorted(set(classes))
    n = max(1, round(share * len(classes) / len(values)))
    for value in values:
        test += [i for i, each in enumerate(classes) if each == value][:n]
    return [i for i in range(len(classes)) if i not in test], sorted(test)


def _class_after_class(classes, share):
    parts = [[], []]
    for value in sorted(set(classes)):
        rows = [i for i, each in enumerate(classes) if each == value]
        n = round(share * len(rows))
        parts[0] += rows[n:]
        parts[1] += rows[:n]
    return tuple(parts)


def _train_keeps_all(classes, share):
    return list(range(len(classes))), stratified_rows(classes, share)[1]


CLASSES = [
    ([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0], 0.5),
    (["b", "a", "a", "b", "b", "b", "a", "b", "b", "b", "b"], 0.34),
]

_task(
    9,
    2,
    [
        (
            _first_of_all,
            "The first rows went to the test part, whatever their class. Go through "
            "the classes and take the share of each.",
        ),
        (
            _last_of_all,
            "The last rows went to the test part, whatever their class. Go through "
            "the classes and take the share of each.",
        ),
        (
            _cut_off,
            "int cuts 2.7 down to 2, so small classes get too little. Use round.",
        ),
        (_swapped_parts, "The parts are swapped. Return (train, test)."),
        (
            _same_number_of_each,
            "Each class gives the same number of rows. It is to give the same share: "
            "a large class gives more.",
        ),
        (
            _class_after_class,
            "The right rows in the wrong order: sort the row numbers of each part.",
        ),
        (
            _train_keeps_all,
            "The training part still has the rows of the test part. A row is in one "
            "part only.",
        ),
    ],
    CLASSES,
    name="data stratified split",
    prompt=(
        "Write stratified_rows(classes, share). classes is the list of the class of "
        "each row; the rows are shuffled already. Of each class with n rows, the first "
        "round(share * n) go to the test part and the others to the training part. "
        "Return (train, test), two lists of row numbers, each in increasing order."
    ),
    reference=stratified_rows,
    hints=[
        "Go through the different classes, set(classes), one at a time.",
        "The rows of one class are [i for i, each in enumerate(classes) if each == "
        "value]. The first round(share * len(rows)) of them go to the test part.",
        "The training part is every other row: [i for i in range(len(classes)) if i "
        "not in test]. Sort test at the end.",
    ],
)


# Rows on both sides ----------------------------------------------------------


def rows_seen(train, test):
    return (test[:, None] == train).all(-1).any(1)


def _any_value(train, test):
    return (test[:, None] == train).any(-1).any(1)


def _by_place(train, test):
    n = min(len(train), len(test))
    same = torch.zeros(len(test), dtype=torch.bool)
    same[:n] = (test[:n] == train[:n]).all(1)
    return same


def _of_train(train, test):
    return rows_seen(test, train)


def _new_rows(train, test):
    return ~rows_seen(train, test)


def _each_value(train, test):
    return torch.isin(test, train).all(1)


def _only_counted(train, test):
    return rows_seen(train, test).sum()


SIDES = [
    (
        torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [1.0, 2.0]]),
        torch.tensor([[3.0, 4.0], [1.0, 9.0], [1.0, 4.0], [1.0, 2.0], [7.0, 7.0]]),
    ),
    (
        torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]),
        torch.tensor([[0.0, 1.0, 3.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
    ),
]

_task(
    6,
    2,
    [
        (
            _any_value,
            "One equal value is enough for you. A row was seen if all of its values "
            "are equal: all over the last axis first, then any over the training rows.",
        ),
        (
            _by_place,
            "You compare row i with row i. The copy may stand anywhere: compare each "
            "test row with every training row.",
        ),
        (
            _of_train,
            "This says which training rows are in the test part. One answer for each "
            "test row was asked for.",
        ),
        (_new_rows, "True and False are exchanged: True is a row that was seen."),
        (
            _each_value,
            "Each value occurs somewhere in the training part, but not together in one "
            "row. Compare whole rows.",
        ),
        (
            _only_counted,
            "This is how many were seen. Return one True or False for each test row.",
        ),
    ],
    SIDES,
    name="data rows seen",
    prompt=(
        "Write rows_seen(train, test). Both are tensors, (n, features) and (m, "
        "features). Return a tensor of m truth values: True where the test row is "
        "equal to some training row, in all features."
    ),
    reference=rows_seen,
    hints=[
        "test[:, None] has the shape (m, 1, features). Compared with train it gives "
        "(m, n, features): every test row against every training row.",
        "Two rows are equal if all features are: .all(-1) gives (m, n).",
        "Then ask for each test row whether any training row is equal: .any(1).",
    ],
)


# The next merge --------------------------------------------------------------


def best_pair(words):
    counts = Counter()
    for pieces, times in words.items():
        for pair in pairwise(pieces):
            counts[pair] += times
    return min(counts, key=lambda pair: (-counts[pair], pair))


def _pairs_of(words, weight=lambda times: times, step=1, first=min):
    counts = Counter()
    for pieces, times in words.items():
        for pair in list(pairwise(pieces))[::step]:
            counts[pair] += weight(times)
    most = max(counts.values())
    return first(pair for pair in counts if counts[pair] == most)


def _each_word_once(words):
    return _pairs_of(words, weight=lambda times: 1)


def _without_overlap(words):
    return _pairs_of(words, step=2)


def _last_of_equal(words):
    return _pairs_of(words, first=max)


def _first_met(words):
    return _pairs_of(words, first=next)


def _across_words(words):
    stream = [p for pieces, times in words.items() for p in [*pieces] * times]
    counts = Counter(pairwise(stream))
    return min(counts, key=lambda pair: (-counts[pair], pair))


def _rarest(words):
    return _pairs_of(words, weight=lambda times: -times)


def _joined(words):
    return "".join(best_pair(words))


COUNTED = [
    (
        {
            ("a", "b", "c"): 2,
            ("x", "b", "c"): 1,
            ("q", "x", "b"): 1,
            ("o", "n", "k"): 5,
            ("m", "y", "z"): 5,
        },
    ),
    ({("l", "o", "w"): 5, ("a",): 14, ("n", "e", "w"): 7, ("h", "e", "w"): 2},),
    ({("t", "h", "e", "t", "h"): 3, ("h", "e"): 2, ("o", "u", "o", "u", "o"): 2},),
]

_task(
    8,
    3,
    [
        (
            _each_word_once,
            "Each word is counted once. A word that occurs 5 times in the text adds 5 "
            "to each of its pairs.",
        ),
        (
            _without_overlap,
            "Pairs overlap: (a, b, c) has the pairs (a, b) and (b, c). You step over "
            "every second one.",
        ),
        (
            _last_of_equal,
            "Of equally frequent pairs take the first one by alphabet, so that two "
            "runs give the same merges.",
        ),
        (
            _first_met,
            "Of equally frequent pairs you take the one that you met first. Take the "
            "first by alphabet, so that the order of the words does not matter.",
        ),
        (
            _across_words,
            "Pieces of neighbouring words were paired. A pair lies inside one word.",
        ),
        (_rarest, "This is the rarest pair. The most frequent one is merged."),
        (_joined, "Return the pair itself, such as ('e', 'w'), not the joined text."),
    ],
    COUNTED,
    name="data best pair",
    prompt=(
        "Write best_pair(words). words is a dict from a word, a tuple of its pieces, "
        "to the number of times that the word occurs, such as {('n', 'e', 'w'): 7}. "
        "Return the pair of neighbouring pieces that occurs most often in all words. "
        "Of equally frequent pairs, return the first one by alphabet."
    ),
    reference=best_pair,
    hints=[
        "Count with collections.Counter: for each word go through its pairs, and add "
        "the number of times that the word occurs.",
        "zip(word, word[1:]) gives the neighbouring pairs of a word.",
        "min(counts, key=lambda pair: (-counts[pair], pair)) takes the largest count "
        "and, among equal ones, the first pair.",
    ],
)
