"""How good a model is: thin wrappers over scikit-learn, and calibration.

Counting is left to scikit-learn, which does it well. Written out here is calibration
(Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017),
and in `lib.intervals` how far a measured number may be trusted; both are here by name.

Everything takes (predictions, targets), in the order of `lib.losses`; scikit-learn has
them the other way round. Tensors on any device, arrays and lists will do. scikit-learn
is loaded when it is first needed.

Left out: scores of generated text, of boxes and of masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.intervals import (
    Interval,
    Values,
    as_array,
    bootstrap_interval,
    wilson_interval,
)

__all__ = [
    "Calibration",
    "Interval",
    "RocCurve",
    "accuracy",
    "auc",
    "bootstrap_interval",
    "calibration",
    "confusion_matrix",
    "f1",
    "precision",
    "r_squared",
    "recall",
    "roc_curve",
    "wilson_interval",
]

AVERAGES = ("macro", "micro", "weighted", "binary", None)


def accuracy(predictions: Values, targets: Values) -> float:
    """The part of the examples that is right, from 0 to 1.

    Args:
        predictions: (N,) classes; or (N, V) logits or probabilities, of which the
            largest counts.
        targets: (N,) classes.

    Raises:
        ValueError: no examples, sizes that differ, NaN.
    """
    from sklearn.metrics import accuracy_score

    predictions, targets = _classes(predictions, targets)
    return float(accuracy_score(targets, predictions))


def precision(
    predictions: Values, targets: Values, average: str | None = "macro"
) -> float | np.ndarray:
    """Of what was said to be a class, the part that is: true positives / said.

    Args:
        predictions, targets: as in `accuracy`.
        average: "macro", every class counts the same; "weighted", by its number of
            targets; "micro", every example counts the same; "binary", of class 1 alone;
            None, one number for each class, (V,).

    Returns:
        a number, or (V,) float64 with the classes in increasing order. Where nothing
        was said to be the class it is 0.

    Raises:
        ValueError: as in `accuracy`, or an average that is not known.
    """
    return _score("precision_score", predictions, targets, average)


def recall(
    predictions: Values, targets: Values, average: str | None = "macro"
) -> float | np.ndarray:
    """Of what is a class, the part that was found. The rest as in `precision`."""
    return _score("recall_score", predictions, targets, average)


def f1(
    predictions: Values, targets: Values, average: str | None = "macro"
) -> float | np.ndarray:
    """The harmonic mean of precision and recall: 2 P R / (P + R). The rest likewise."""
    return _score("f1_score", predictions, targets, average)


def confusion_matrix(
    predictions: Values, targets: Values, classes: int | None = None
) -> np.ndarray:
    """How often each class was taken for each: rows are targets, columns predictions.

    Args:
        predictions, targets: as in `accuracy`.
        classes: V; None takes one more than the largest class that occurs, or the
            columns of (N, V) predictions.

    Returns:
        (V, V) int64; the diagonal is right.

    Raises:
        ValueError: as in `accuracy`, or a class outside 0 to V − 1.
    """
    from sklearn.metrics import confusion_matrix as count

    shape = np.shape(as_array(predictions, "predictions"))
    predictions, targets = _classes(predictions, targets)
    low, high = _range(predictions, targets)
    if classes is None:
        classes = shape[1] if len(shape) == 2 else high + 1
    if low < 0 or high >= classes:
        raise ValueError(
            f"There are classes from {low} to {high}, and {classes} were announced; "
            f"give whole numbers from 0 to {classes - 1}."
        )
    return count(targets, predictions, labels=np.arange(classes))


@dataclass(frozen=True)
class RocCurve:
    """What each threshold of a two-class score gives.

    Attributes:
        false_positive_rate, true_positive_rate: (K,), from 0 to 1.
        thresholds: (K,), falling; the first is infinite, so that nothing is positive.
        area: under the curve: the chance that a positive example has the higher score.
    """

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    thresholds: np.ndarray
    area: float

    def __repr__(self) -> str:
        return f"RocCurve({len(self.thresholds)} thresholds, area {self.area:.3f})"


def roc_curve(scores: Values, targets: Values) -> RocCurve:
    """True against false positives, for every threshold.

    Args:
        scores: (N,), higher is more likely class 1: a logit or a probability.
        targets: (N,), classes 0 and 1, both of them present.

    Raises:
        ValueError: sizes that differ, NaN, one class only.
    """
    from sklearn.metrics import roc_curve as curve

    scores, targets = _two_classes(scores, targets)
    false, true, thresholds = curve(targets, scores)
    return RocCurve(false, true, thresholds, auc(scores, targets))


def auc(scores: Values, targets: Values) -> float:
    """Area under the curve of `roc_curve`, alone: 0.5 is guessing, 1 perfect."""
    from sklearn.metrics import roc_auc_score

    scores, targets = _two_classes(scores, targets)
    return float(roc_auc_score(targets, scores))


def r_squared(predictions: Values, targets: Values) -> float:
    """1 − Σ (y − p)² / Σ (y − mean)²: 1 is perfect, 0 is as good as the mean.

    Args:
        predictions, targets: (N,), two or more.
    """
    from sklearn.metrics import r2_score

    predictions, targets = _pair(predictions, targets)
    if len(targets) < 2:
        raise ValueError("There is one example; give two or more.")
    return float(r2_score(targets, predictions))


@dataclass(frozen=True)
class Calibration:
    """Whether a model is right as often as it says.

    Attributes:
        confidence: (bins,) mean probability of the answers in each bin; NaN if empty.
        accuracy: (bins,) part of them that is right; NaN if empty.
        count: (bins,) int64, answers in each bin.
        expected_error: mean of |accuracy − confidence| over all answers.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    expected_error: float

    def __repr__(self) -> str:
        return (
            f"Calibration({self.count.sum()} answers, error {self.expected_error:.3f})"
        )


def calibration(probabilities: Values, targets: Values, bins: int = 10) -> Calibration:
    """Sort the answers by how sure the model was, and see how often it was right.

    Args:
        probabilities: (N, V), each row with the sum 1; the answer is the largest.
        targets: (N,) classes.
        bins: of equal width from 0 to 1; an answer on an edge belongs to the bin below.

    Raises:
        ValueError: as in `accuracy`; rows that are not probabilities, such as logits.
    """
    p = as_array(probabilities, "probabilities").astype(np.float64)
    # half precision adds up to 1 only within a few thousandths
    if p.ndim != 2 or (p < 0).any() or not np.allclose(p.sum(-1), 1, atol=0.02):
        raise ValueError(
            f"probabilities have the shape {p.shape}, and must be (N, V) with rows "
            "from 0 to 1 that add up to 1; softmax(-1) makes them of logits."
        )
    answers, targets = _classes(p, targets)
    if not isinstance(bins, int) or bins < 1:
        raise ValueError(f"bins is {bins!r}; give a whole number from 1.")
    sure, right = p.max(-1), (answers == targets).astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    which = np.digitize(sure, edges, right=True)
    count = np.bincount(which, minlength=bins)
    confidence, hits = (
        np.divide(
            np.bincount(which, v, minlength=bins),
            count,
            out=np.full(bins, np.nan),
            where=count > 0,
        )
        for v in (sure, right)
    )
    gap = np.nan_to_num(np.abs(hits - confidence))
    return Calibration(confidence, hits, count, float(gap @ count / count.sum()))


def _score(
    name: str, predictions: Values, targets: Values, average: str | None
) -> float | np.ndarray:
    from sklearn import metrics

    if average not in AVERAGES:
        known = ", ".join(map(repr, AVERAGES))
        raise ValueError(f"average is {average!r}; choose one of {known}.")
    predictions, targets = _classes(predictions, targets)
    if average == "binary" and not {*predictions, *targets} <= {0, 1}:
        raise ValueError("'binary' is for the classes 0 and 1; try 'macro'.")
    score = getattr(metrics, name)
    result = score(targets, predictions, average=average, zero_division=0)
    return result if average is None else float(result)


def _pair(predictions: Values, targets: Values) -> tuple[np.ndarray, np.ndarray]:
    predictions = as_array(predictions, "predictions")
    targets = as_array(targets, "targets")
    if predictions.shape != targets.shape or targets.ndim != 1 or not len(targets):
        raise ValueError(
            f"predictions have the shape {predictions.shape}, targets {targets.shape}; "
            "give one of each for every example, (N,), and one example or more."
        )
    return predictions, targets


def _classes(predictions: Values, targets: Values) -> tuple[np.ndarray, np.ndarray]:
    """Both as (N,) int64 classes."""
    predictions = as_array(predictions, "predictions")
    if predictions.ndim == 2:
        predictions = predictions.argmax(-1)
    pair = _pair(predictions, targets)
    for name, values in zip(("predictions", "targets"), pair, strict=True):
        if values.dtype.kind == "f" and (values != np.round(values)).any():
            raise ValueError(
                f"{name} hold {values[values != np.round(values)][0]:g}; classes are "
                "whole numbers. Probabilities of two classes: (p > 0.5)."
            )
    return pair[0].astype(np.int64), pair[1].astype(np.int64)


def _two_classes(scores: Values, targets: Values) -> tuple[np.ndarray, np.ndarray]:
    scores, targets = _pair(scores, targets)
    found = sorted({*targets.tolist()})
    if found != [0, 1]:
        raise ValueError(
            f"targets hold {found[:5]}; give the classes 0 and 1, both of them."
        )
    return scores, targets


def _range(*values: Sequence[np.ndarray]) -> tuple[int, int]:
    return min(int(v.min()) for v in values), max(int(v.max()) for v in values)
