"""Numbers of a threshold against scikit-learn's, which count each one on its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from lib import metrics
from lib.threshold_lab import RESAMPLES, ThresholdLab, trained_scores

THRESHOLDS = (0.0, 0.3, 0.5, 1.0)


def scores(n: int = 300, seed: int = 0, ties: bool = False):
    generator = np.random.default_rng(seed)
    truth = (generator.random(n) < 0.3).astype(int)
    score = 1 / (1 + np.exp(-generator.normal(1.5 * truth - 0.7, 1)))
    score = np.round(score, 1) if ties else score
    return truth, score.astype(np.float32).astype(float)


@pytest.fixture(params=[False, True], ids=["all different", "with ties"])
def pair(request):
    truth, score = scores(ties=request.param)
    return ThresholdLab(truth, score), truth, score


@pytest.mark.parametrize("t", THRESHOLDS)
def test_rates_are_those_of_the_library(pair, t):
    lab, truth, score = pair
    said, rates = (score >= t).astype(int), lab.rates(t)
    assert rates["accuracy"] == pytest.approx(metrics.accuracy(said, truth))
    for name in ("precision", "recall", "f1"):
        wanted = getattr(metrics, name)(said, truth, average="binary")
        assert rates[name] == pytest.approx(wanted)
    (tn, fp), _ = metrics.confusion_matrix(said, truth, classes=2)
    assert rates["specificity"] == pytest.approx(tn / (tn + fp))
    assert rates["false_positive_rate"] == pytest.approx(fp / (tn + fp))


@pytest.mark.parametrize("share", [0.001, 0.2, 0.9])
def test_another_share_is_scikit_learns_sample_weight(pair, share):
    lab, truth, score = pair
    own = truth.mean()
    w = np.where(truth == 1, share / own, (1 - share) / (1 - own))
    assert w.sum() == pytest.approx(len(truth))
    for t in THRESHOLDS:
        said, rates = (score >= t).astype(int), lab.rates(t, share)
        for name in ("precision", "recall", "f1"):
            scorer = getattr(reference, f"{name}_score")
            wanted = scorer(truth, said, sample_weight=w, zero_division=0)
            assert rates[name] == pytest.approx(wanted)
        wanted = reference.accuracy_score(truth, said, sample_weight=w)
        assert rates["accuracy"] == pytest.approx(wanted)
        assert rates["recall"] == pytest.approx(lab.rates(t)["recall"])
    auc, average = lab.areas(share)
    assert auc == pytest.approx(reference.roc_auc_score(truth, score, sample_weight=w))
    wanted = reference.average_precision_score(truth, score, sample_weight=w)
    assert average == pytest.approx(wanted)
    wanted = reference.brier_score_loss(truth, score, sample_weight=w)
    assert lab.brier(share) == pytest.approx(wanted)


@pytest.mark.parametrize("bins", [2, 10, 17])
def test_calibration_of_the_answer_is_the_librarys(pair, bins):
    lab, truth, score = pair
    wanted = metrics.calibration(np.column_stack([1 - score, score]), truth, bins)
    found = lab.reliability(bins, "answer")
    np.testing.assert_array_equal(found.count, wanted.count)
    np.testing.assert_allclose(found.accuracy, wanted.accuracy)
    np.testing.assert_allclose(found.confidence, wanted.confidence)
    assert found.expected_error == pytest.approx(wanted.expected_error)


def test_calibration_of_the_score_is_counted_by_hand():
    lab = ThresholdLab([0, 0, 1, 1, 1], [0.1, 0.3, 0.2, 0.9, 0.7])
    found = lab.reliability(2)
    np.testing.assert_array_equal(found.count, [3, 2])
    np.testing.assert_allclose(found.confidence, [0.2, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found.accuracy, [1 / 3, 1])
    assert found.expected_error == pytest.approx(3 / 5 * (1 / 3 - 0.2) + 2 / 5 * 0.2)


@pytest.mark.parametrize("cost", [0.1, 1.0, 7.0, 500.0])
@pytest.mark.parametrize("share", [None, 0.05])
def test_no_threshold_is_cheaper_than_the_cheapest(pair, cost, share):
    lab = pair[0]
    threshold, lowest = lab.cheapest(cost, share)

    def price(t: float) -> float:
        said, w = lab.score >= t, lab.weights(share)
        missed, alarms = w @ (~said & (lab.truth == 1)), w @ (said & (lab.truth == 0))
        return (cost * missed + alarms) / len(lab.truth)

    assert price(threshold) == pytest.approx(lowest)
    everywhere = [price(t) for t in np.linspace(0, 1, 1001)]
    assert min(everywhere) >= lowest - 1e-9
    assert min(everywhere) == pytest.approx(lowest, rel=0.05, abs=1e-3)


def test_the_dearer_a_missed_case_the_lower_the_threshold():
    lab = ThresholdLab(*scores())
    found = [lab.cheapest(cost)[0] for cost in (0.1, 1, 10, 100)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.5 > found[-1]


@pytest.mark.parametrize("name", ["f1", "auc", "average_precision"])
def test_intervals_are_those_of_the_bootstrap(name):
    lab = ThresholdLab(*scores(60))
    work = lab.interval_work(name, 0.4, None)
    steps = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            found = end.value
            break
        steps += 1
    assert steps == RESAMPLES

    def metric(said, score, truth):
        if name == "f1":
            return metrics.f1(said, truth, average="binary")
        if name == "auc":
            return metrics.auc(score, truth)
        return reference.average_precision_score(truth, score)

    wanted = metrics.bootstrap_interval(
        metric, (lab.score >= 0.4).astype(int), lab.score, lab.truth,
        generator=torch.Generator().manual_seed(0), resamples=RESAMPLES,
    )  # fmt: skip
    assert found == pytest.approx(wanted)


def test_scores_that_are_no_probabilities_have_no_brier_score():
    truth, score = scores()
    lab = ThresholdLab(truth, np.log(score / (1 - score)))
    assert not lab.probable
    assert np.isnan(lab.brier())
    assert lab.low < lab.score.min() < lab.score.max() < lab.high
    assert lab.areas() == pytest.approx(ThresholdLab(truth, score).areas())


@pytest.mark.parametrize(
    ("truth", "score", "message"),
    [
        ([0, 1], [0.1], "one of each"),
        ([1, 1], [0.1, 0.2], "both"),
        ([0, 2], [0.1, 0.2], "both"),
        ([0, 1], [0.1, float("inf")], "infinite"),
        ([0, 1], [0.1, float("nan")], "NaN"),
        ([0, 1] * 5001, [0.5] * 10_002, "10,000 at most"),
    ],
)
def test_what_cannot_be_used_is_refused(truth, score, message):
    with pytest.raises(ValueError, match=message):
        ThresholdLab(truth, score)


def test_the_default_classifier_is_trained_and_errs():
    truth, score = trained_scores()
    assert len(truth) == len(score) == 284
    assert 0.75 < metrics.auc(score, truth) < 0.95
    again = trained_scores()
    np.testing.assert_array_equal(score, again[1])
    assert not np.array_equal(score, trained_scores(seed=1)[1])
