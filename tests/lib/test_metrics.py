"""The metrics against counting by hand, scikit-learn and scipy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lib import metrics

P = [0, 1, 1, 2, 2, 2, 0, 1]
Y = [0, 1, 2, 2, 2, 0, 0, 1]


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits(N=60, V=4, seed=1) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.randint(V, (N,), generator=generator(seed))
    z = torch.randn(N, V, generator=generator(seed + 1))
    return z + 1.5 * torch.nn.functional.one_hot(y, V), y


FORMS = {"list": list, "array": np.array, "tensor": torch.tensor}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_lists_arrays_and_tensors_give_the_same_numbers(form):
    assert metrics.accuracy(form(P), form(Y)) == 6 / 8
    assert metrics.precision(form(P), form(Y)) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert metrics.recall(form(P), form(Y)) == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    expected = [[2, 0, 1], [0, 2, 0], [0, 1, 2]]
    assert metrics.confusion_matrix(form(P), form(Y)).tolist() == expected


def test_scores_of_each_class_come_in_their_order():
    P1, Y1 = [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]
    assert metrics.precision(P1, Y1, None).tolist() == pytest.approx([1.0, 1 / 3])
    assert metrics.recall(P1, Y1, None).tolist() == pytest.approx([0.5, 1.0])
    assert metrics.f1(P1, Y1, None).tolist() == pytest.approx([2 / 3, 0.5])
    assert metrics.f1(P1, Y1, "binary") == pytest.approx(0.5)
    assert metrics.precision(P1, Y1, "binary") == pytest.approx(1 / 3)
    assert metrics.f1(P1, Y1, "micro") == pytest.approx(metrics.accuracy(P1, Y1))
    weighted = metrics.f1(P1, Y1, "weighted")
    assert weighted == pytest.approx(0.8 * 2 / 3 + 0.2 * 0.5)


def test_a_class_that_was_never_said_has_precision_zero_without_a_warning():
    assert metrics.precision([0, 0], [0, 1], None).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_largest_logit_is_the_answer(dtype):
    z, y = logits()
    z = z.to(dtype).requires_grad_()
    assert metrics.accuracy(z, y) == (z.argmax(1) == y).double().mean().item()


def test_the_confusion_matrix_has_a_row_for_classes_that_do_not_occur():
    assert metrics.confusion_matrix([0, 0], [1, 0], classes=3).shape == (3, 3)
    assert metrics.confusion_matrix(torch.eye(5)[:2], [1, 1]).shape == (5, 5)
    matrix = metrics.confusion_matrix([0, 0], [1, 0])
    assert matrix.tolist() == [[1, 0], [1, 0]]  # target 1 taken for 0: row 1, column 0


def test_the_roc_curve_is_the_one_worked_out_by_hand():
    curve = metrics.roc_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    assert curve.area == pytest.approx(0.75)
    assert curve.false_positive_rate.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.true_positive_rate.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.thresholds.tolist() == [np.inf, 0.8, 0.4, 0.35, 0.1]
    assert repr(curve) == "RocCurve(5 thresholds, area 0.750)"


def test_auc_is_the_chance_that_the_positive_example_has_the_higher_score():
    z, y = logits(V=2)
    score = z[:, 1] - z[:, 0]
    pairs = score[y == 1][:, None] - score[y == 0]
    expected = (pairs > 0).double().mean().item()
    assert metrics.auc(score, y) == pytest.approx(expected)
    assert metrics.auc(-score, y) == pytest.approx(1 - expected)


def test_r_squared_is_one_for_perfect_and_zero_for_the_mean():
    y = [1.0, 2.0, 4.0]
    assert metrics.r_squared(y, y) == 1
    assert metrics.r_squared([7 / 3] * 3, y) == pytest.approx(0)
    assert metrics.r_squared([1.0, 2.0, 3.0], y) == pytest.approx(1 - 1 / (42 / 9))


def test_calibration_counts_as_worked_out_by_hand():
    p = [[0.7, 0.3], [0.8, 0.2], [0.25, 0.75], [0.5, 0.5], [0.0, 1.0]]
    result = metrics.calibration(p, [0, 1, 1, 0, 1], bins=5)
    assert result.count.tolist() == [0, 0, 1, 3, 1]  # 0.8 is on an edge: below
    nan = float("nan")
    np.testing.assert_allclose(result.confidence, [nan, nan, 0.5, 0.75, 1])
    np.testing.assert_allclose(result.accuracy, [nan, nan, 1, 2 / 3, 1])
    assert result.expected_error == pytest.approx((0.5 + 3 * (0.75 - 2 / 3)) / 5)


def test_calibration_of_two_classes_equals_scikit_learns_above_one_half():
    from sklearn.calibration import calibration_curve

    p = torch.rand(300, generator=generator()).numpy() / 2 + 0.5  # class 1 is said
    y = (torch.rand(300, generator=generator(2)).numpy() < p).astype(int)
    ours = metrics.calibration(np.stack([1 - p, p], 1), y, bins=8)
    right, confidence = calibration_curve(y, p, n_bins=8)
    np.testing.assert_allclose(ours.accuracy[4:], right)
    np.testing.assert_allclose(ours.confidence[4:], confidence)
    assert ours.expected_error < 0.1


def test_a_model_that_is_too_sure_is_found_out():
    y = torch.arange(100) % 2
    sure = torch.tensor([[0.99, 0.01]]).expand(100, 2).half()
    result = metrics.calibration(sure, y)
    assert result.expected_error == pytest.approx(0.49, abs=1e-3)
    assert repr(result) == "Calibration(100 answers, error 0.490)"


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 20)])
def test_wilson_interval_equals_scipys(k, n, confidence):
    from scipy.stats import binomtest

    expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
    ours = metrics.wilson_interval(k, n, confidence)
    assert ours.low == pytest.approx(expected.low, abs=1e-12)
    assert ours.high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= ours.low < ours.high <= 1


def test_wilson_interval_never_leaves_0_to_1_by_rounding():
    for confidence in (0.5, 0.9, 0.99):
        for n in range(1, 80):
            assert metrics.wilson_interval(0, n, confidence).low >= 0
            assert metrics.wilson_interval(n, n, confidence).high <= 1


def test_bootstrap_interval_agrees_with_scipys():
    from scipy.stats import bootstrap

    x = torch.randn(80, generator=generator()).numpy()
    ours = metrics.bootstrap_interval(
        np.std, x, generator=generator(), resamples=2000, confidence=0.9
    )
    theirs = bootstrap(
        (x,),
        np.std,
        n_resamples=2000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.015)
    assert ours.high == pytest.approx(theirs.high, abs=0.015)


def test_bootstrap_draws_the_same_rows_of_everything_and_its_seed_decides():
    z, y = logits()
    found = [
        metrics.bootstrap_interval(
            metrics.accuracy, z, y, generator=generator(s), resamples=40
        )
        for s in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
    low, high = found[0]
    assert low < metrics.accuracy(z, y) < high
    perfect = metrics.bootstrap_interval(
        metrics.accuracy, y, y, generator=generator(), resamples=20
    )
    assert perfect == (1, 1)


def test_bootstrap_passes_over_samples_without_a_number():
    def mean_of_ones(p, y):
        return p[y == 1].mean() if (y == 1).any() else float("nan")

    interval = metrics.bootstrap_interval(
        mean_of_ones, [1.0, 2.0, 3.0], [1, 0, 0], generator=generator(), resamples=50
    )
    assert interval == (1, 1)


def test_importing_metrics_does_not_load_scikit_learn():
    program = "import lib.metrics, sys; print('sklearn' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == "False"


@pytest.mark.gpu
def test_tensors_on_the_gpu_give_the_same_numbers():
    z, y = logits()
    assert metrics.accuracy(z.cuda(), y.cuda()) == metrics.accuracy(z, y)


NAN = float("nan")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: metrics.accuracy([], []), "one example or more"),
        (lambda: metrics.accuracy([1, 0], [1]), r"\(2,\), targets \(1,\)"),
        (lambda: metrics.accuracy(torch.ones(2, 3) * NAN, [0, 1]), "NaN, 6 of 6"),
        (lambda: metrics.accuracy([0.3, 0.7], [0, 1]), r"hold 0.3; classes are whole"),
        (lambda: metrics.f1([0], [0], "mean"), "average is 'mean'"),
        (lambda: metrics.f1([0, 2], [0, 1], "binary"), "try 'macro'"),
        (lambda: metrics.confusion_matrix([0, 3], [0, 1], classes=3), "from 0 to 3"),
        (lambda: metrics.confusion_matrix([-1], [0]), "from -1 to 0"),
        (lambda: metrics.auc([0.1, 0.2], [1, 1]), r"hold \[1\]; give the classes"),
        (lambda: metrics.roc_curve([NAN, 1.0], [0, 1]), "hold NaN"),
        (lambda: metrics.r_squared([1.0], [1.0]), "two or more"),
        (lambda: metrics.calibration([[2.0, -1.0]], [0]), "softmax"),
        (lambda: metrics.calibration([[0.5, 0.5]], [0], bins=0), "bins is 0"),
        (lambda: metrics.wilson_interval(3, 2), "3 successes in 2 trials"),
        (lambda: metrics.wilson_interval(0, 0), "0 trials"),
        (lambda: metrics.wilson_interval(1, 2, 1.0), "confidence is 1.0"),
        (
            lambda: metrics.bootstrap_interval(
                np.mean, [1.0], [1, 2], generator=generator()
            ),
            r"lengths \[1, 2\]",
        ),
        (
            lambda: metrics.bootstrap_interval(
                lambda x: NAN, [1.0], generator=generator(), resamples=2
            ),
            "NaN for every sample",
        ),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
