"""What one threshold makes of the scores of a classifier of two classes.

An example is said to be of class 1 where its score is at or above the threshold. From
the scores alone follow the confusion matrix, the rates, the curves, the calibration
and, once a missed case has a price, the cheapest threshold.

The rates come from `lib.metrics`. Another share of class 1 than that of the data
(prevalence) is had by weighting the examples: each of class 1 counts π / π₀ times and
each of class 0 (1 − π) / (1 − π₀) times, so that together they still count N. Recall
and specificity, which look at one class each, stay as they are.

Calibration: Brier, "Verification of forecasts expressed in terms of probability",
Monthly Weather Review 78(1), 1950. Intervals: `lib.intervals`.

Left out: more than two classes.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import ArrayLike

from lib import metrics
from lib.intervals import Interval, Values, as_array, bootstrap_interval

LARGEST = 10_000  # examples that a page still moves without delay
RESAMPLES = 200
RATES = ("accuracy", "precision", "recall", "specificity", "f1", "false_positive_rate")


class ThresholdLab:
    """The scores of one classifier, and all that follows from a threshold.

    Args:
        truth: (N,) classes 0 and 1, both of them; N up to 10,000.
        score: (N,), higher is more likely class 1.

    Attributes:
        score: (N,) float64, falling, with the precision of float32 as the page has it.
        truth: (N,) int64, in the order of `score`.
        order: (N,) int64, the number of each example in what was given.
        low, high: between which thresholds lie: 0 and 1, or the ends of the scores.
        probable: whether all scores lie from 0 to 1, so that they may be probabilities.
        share: π₀, the part of the examples that is of class 1.

    Raises:
        ValueError: sizes that differ, too many examples, one class only, scores that
            are not finite.
    """

    def __init__(self, truth: Values, score: Values) -> None:
        score = as_array(score, "score").astype(np.float32).astype(np.float64)
        truth = as_array(truth, "truth")
        if score.shape != truth.shape or score.ndim != 1:
            raise ValueError(
                f"truth has the shape {truth.shape}, score {score.shape}; give one of "
                "each for every example, (N,)."
            )
        if len(score) > LARGEST:
            raise ValueError(
                f"There are {len(score):,} examples; give {LARGEST:,} at most, such as "
                "a random part of them."
            )
        if not np.isfinite(score).all():
            raise ValueError("score holds infinite numbers; give finite ones.")
        if {*np.unique(truth).tolist()} != {0, 1}:
            found = np.unique(truth).tolist()[:5]
            raise ValueError(f"truth holds {found}; give the classes 0 and 1, both.")
        self.order = np.argsort(-score, kind="stable")
        self.score, self.truth = score[self.order], truth[self.order].astype(np.int64)
        self.probable = bool(score.min() >= 0 and score.max() <= 1)
        self.low, self.high = 0.0, 1.0
        if not self.probable:
            air = 0.02 * (score.max() - score.min()) or 1.0
            self.low, self.high = score.min() - air, score.max() + air
        self.share = float(self.truth.mean())

    def __repr__(self) -> str:
        return f"ThresholdLab({len(self.score):,} examples, {self.share:.0%} positive)"

    def weights(self, prevalence: float | None = None) -> np.ndarray:
        """(N,), how often each example counts; 1 each where no prevalence is given."""
        if prevalence is None:
            return np.ones(len(self.truth))
        positive = prevalence / self.share
        negative = (1 - prevalence) / (1 - self.share)
        return np.where(self.truth == 1, positive, negative)

    def confusion(
        self, threshold: float, prevalence: float | None = None
    ) -> np.ndarray:
        """(2, 2): rows are the truth, columns what was said; [[TN, FP], [FN, TP]]."""
        said = (self.score >= threshold).astype(np.int64)
        counts = metrics.confusion_matrix(said, self.truth, classes=2).astype(float)
        if prevalence is not None:
            counts[0] *= (1 - prevalence) / (1 - self.share)
            counts[1] *= prevalence / self.share
        return counts

    def rates(
        self, threshold: float, prevalence: float | None = None
    ) -> dict[str, float]:
        """Every one of `RATES`, from 0 to 1; 0 where nothing was said to be class 1."""
        return rates_of(self.confusion(threshold, prevalence))

    def areas(self, prevalence: float | None = None) -> tuple[float, float]:
        """Area under the ROC curve, and average precision."""
        from sklearn.metrics import average_precision_score

        weights = self.weights(prevalence)
        precision = average_precision_score(
            self.truth, self.score, sample_weight=weights
        )
        return metrics.auc(self.score, self.truth), float(precision)

    def brier(self, prevalence: float | None = None) -> float:
        """Mean of (probability − class)², 0 is perfect; NaN if scores are no such."""
        if not self.probable:
            return float("nan")
        errors = (self.score - self.truth) ** 2
        return float(np.average(errors, weights=self.weights(prevalence)))

    def reliability(
        self, bins: int = 10, of: str = "positive", prevalence: float | None = None
    ) -> metrics.Calibration:
        """Whether things happen as often as the scores say.

        Args:
            bins: of equal width.
            of: "positive", the score against the share of class 1; or "answer", the
                probability of the likelier class against how often it is right, which
                is `lib.metrics.calibration`.
            prevalence: as in `weights`.
        """
        w, p, hit = self.weights(prevalence), self.score, self.truth == 1
        if of == "answer":
            answer = p > 0.5
            p, hit = np.where(answer, p, 1 - p), answer == hit
        which = np.digitize(p, np.linspace(0, 1, bins + 1)[1:-1], right=True)
        total, sure, right = (
            np.bincount(which, w * v, minlength=bins) for v in (np.ones(len(p)), p, hit)
        )
        with np.errstate(invalid="ignore"):
            sure, right = sure / total, right / total
        gap = np.nan_to_num(np.abs(right - sure))
        count = np.bincount(which, minlength=bins)
        return metrics.Calibration(sure, right, count, float(gap @ total / total.sum()))

    def cheapest(
        self, cost: float, prevalence: float | None = None
    ) -> tuple[float, float]:
        """The threshold with the lowest cost, and that cost for one example.

        A false alarm costs 1 and a missed case `cost`. Of several equally cheap ones
        it is the highest; it lies halfway between two scores.
        """
        thresholds, costs = self.costs(cost, prevalence)
        best = int(np.argmax(costs <= costs.min() + 1e-9))  # sums differ by rounding
        return float(thresholds[best]), float(costs[best])

    def costs(
        self, cost: float, prevalence: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """One threshold between any two different scores, falling, and its cost."""
        w = self.weights(prevalence)
        missed = np.append(0, np.cumsum(w * self.truth))
        missed = missed[-1] - missed
        alarms = np.append(0, np.cumsum(w * (1 - self.truth)))
        edges = np.concatenate([[self.high], self.score, [self.low]])
        middle = (edges[:-1] + edges[1:]) / 2
        middle[0], middle[-1] = self.high, self.low
        # k examples lie above: possible only if the next one has another score
        k = np.flatnonzero(edges[:-1] > edges[1:])
        k = np.union1d(k, [len(w)])
        return middle[k], (cost * missed + alarms)[k] / len(w)

    def interval_work(
        self, name: str, threshold: float, prevalence: float | None, seed: int = 0
    ) -> Generator[None, None, Interval]:
        """The bootstrap of one rate, "auc" or "average_precision", a sample a step."""
        generator = torch.Generator().manual_seed(seed)
        metric, data = self._metric(name, threshold, prevalence)
        values = []
        for _ in range(RESAMPLES):
            one = bootstrap_interval(metric, *data, generator=generator, resamples=1)
            values.append(one.low)
            yield
        low, high = np.nanquantile(values, [0.025, 0.975])
        return Interval(float(low), float(high))

    def _metric(self, name: str, threshold: float, prevalence: float | None):
        if name in RATES:
            cells = 2 * self.truth + (self.score >= threshold)
            back = self.weights(prevalence)

            def rate(cells: np.ndarray, weights: np.ndarray) -> float:
                counts = np.bincount(cells, weights, minlength=4).reshape(2, 2)
                return rates_of(counts)[name]

            return rate, (cells, back)
        last = np.append(self.score[:-1] > self.score[1:], True)  # of equal scores
        weights = self.weights(prevalence)

        def area(rows: np.ndarray) -> float:
            counts = weights * np.bincount(rows, minlength=len(last))
            hits = np.cumsum(counts * self.truth)[last]
            alarms = np.cumsum(counts * (1 - self.truth))[last]
            return _area(name, hits, alarms)

        return area, (np.arange(len(last)),)


def rates_of(confusion: ArrayLike) -> dict[str, float]:
    """The rates of a matrix [[TN, FP], [FN, TP]]; 0 where a divisor is 0."""
    (tn, fp), (fn, tp) = np.asarray(confusion, dtype=float)
    pairs = {
        "accuracy": (tp + tn, tp + tn + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "false_positive_rate": (fp, fp + tn),
    }
    return {k: float(a / b) if b else 0.0 for k, (a, b) in pairs.items()}


def trained_scores(
    features: tuple[str, ...] = ("mean texture", "mean smoothness", "mean symmetry"),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """A classifier of `lib` on the breast-cancer set: truth and score of its test half.

    Logistic regression on a few features, so that it errs and a threshold matters.

    Returns:
        truth (N,) int64, 1 is malignant, and the probability of it, (N,).
    """
    from lib.datasets import load
    from lib.examples import Scaler
    from lib.losses import binary_cross_entropy
    from lib.models.mlp import Linear
    from lib.optimizers import Adam

    data = load("breast_cancer").select(*features)
    malignant = data.targets.index("malignant")
    parts = data.split(validation=0.0, test=0.5, seed=seed)
    scale = Scaler(parts.train.x)
    model = Linear(len(features), 1, seed=seed)
    optimizer = Adam(model.parameters(), learning_rate=0.1)
    x, y = scale(parts.train.x), (parts.train.y == malignant).float()
    for _ in range(150):
        optimizer.zero_grad()
        binary_cross_entropy(model(x)[:, 0], y).backward()
        optimizer.step()
    with torch.no_grad():
        score = model(scale(parts.test.x))[:, 0].sigmoid()
    return (parts.test.y == malignant).long().numpy(), score.numpy()


def _area(name: str, hits: np.ndarray, alarms: np.ndarray) -> float:
    """Area under ROC or average precision, of counts above each threshold; or NaN."""
    if not hits[-1] or (name == "auc" and not alarms[-1]):
        return float("nan")
    found = np.append(0, hits / hits[-1])
    if name == "auc":
        return float(np.trapezoid(found, np.append(0, alarms / alarms[-1])))
    said = hits + alarms  # 0 where a sample holds none of the first scores
    precision = np.divide(hits, said, out=np.zeros_like(hits), where=said > 0)
    return float(np.diff(found) @ precision)
