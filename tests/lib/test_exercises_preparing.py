"""The reference answers of the lesson on preparing data, against others that know."""

from collections import Counter

import pytest
import torch

from lib.byte_pairs import BytePairTraining, to_bytes
from lib.datasets import Scaler, load
from lib.exercises import engine
from lib.exercises.checks import Answer, CheckFailed, same_value

NAN = float("nan")


def reference(name):
    return engine.find(name).reference


def test_holes_are_filled_from_the_training_column_alone():
    column, known = torch.tensor([NAN, 9.0]), torch.tensor([1.0, 3.0, NAN, 100.0])
    filled, hole = reference("data fill holes")(column, known)
    assert filled.tolist() == [3.0, 9.0]
    assert hole.tolist() == [1.0, 0.0]


def test_standardise_is_the_scaler_of_the_library():
    parts = load("wine").split(validation=0, test=0.3)
    train, test = reference("data standardise")(parts.train.x, parts.test.x)
    scaler = Scaler(parts.train.x)
    torch.testing.assert_close(train, scaler(parts.train.x))
    torch.testing.assert_close(test, scaler(parts.test.x))


def test_stratified_rows_keep_the_shares_and_every_row_once():
    classes = load("wine").y.tolist()
    train, test = reference("data stratified split")(classes, 0.3)
    assert sorted(train + test) == list(range(len(classes)))
    counts, of_test = Counter(classes), Counter(classes[i] for i in test)
    assert of_test == {k: round(0.3 * n) for k, n in counts.items()}


def test_rows_seen_finds_copies_and_only_those():
    x = load("wine").x
    seen = reference("data rows seen")(x[:100], torch.cat([x[90:110], x[:1] + 1]))
    assert seen.tolist() == [True] * 10 + [False] * 11


def test_best_pair_is_the_first_merge_of_byte_pair_encoding():
    texts = [text.lower() for text in load("reviews").texts[:200]]
    training = BytePairTraining(texts)
    words = {}
    for word, times in zip(training.words, training.times, strict=True):
        words[tuple(map(chr, word))] = times
    left, right = reference("data best pair")(words)
    merge = training.step()
    assert to_bytes(left + right) == bytes([merge.left, merge.right])


def test_a_hole_in_an_argument_is_no_change_but_a_filled_one_is():
    x = torch.tensor([1.0, NAN])
    assert same_value(x, x.clone())
    assert not same_value(x, torch.tensor([1.0, 0.0]))
    assert not same_value(x, torch.tensor([NAN, 1.0]))
    assert same_value(torch.tensor([True, False]), torch.tensor([True, False]))
    assert not same_value(torch.zeros(2), torch.zeros(1, 2))

    def fills(column):
        return column.nan_to_num_(0.0)

    with pytest.raises(CheckFailed, match="changed its argument column"):
        Answer(fills)(x)
