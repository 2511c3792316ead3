"""One threshold over the scores of a classifier, and everything that follows from it.

`Threshold(truth, score)` sends the sorted scores to the page once. There, moving the
threshold changes the confusion matrix, the rates and the marks on the ROC, precision-
recall, calibration and cost curves at once; the kernel adds the bootstrap intervals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.intervals import Interval, Values
from lib.threshold_lab import ThresholdLab, trained_scores
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control


class Threshold(LiveWidget):
    """Move the threshold of a classifier of two classes and see all that follows.

    Args:
        truth: (N,) classes 0 and 1; without it, a classifier of breast-cancer cells is
            trained and its test half is shown.
        score: (N,), higher is more likely class 1: probabilities from 0 to 1, or any
            finite numbers; for those there is no calibration. N is 10,000 at most.
        names: of class 0 and class 1.
        **values: controls by name: threshold, stretch, cost, other_share, prevalence,
            bins, calibration_of.

    Raises:
        ValueError: data of which `ThresholdLab` makes nothing, names that are not two
            different ones, or a value that a control does not allow.
    """

    _esm = page(
        "core.js",
        "ui.js",
        "plot.js",
        "heat.js",
        "threshold_scores.js",
        "threshold_pictures.js",
        "threshold_curves.js",
        "threshold.js",
    )
    _css = styles("threshold.css")

    CONTROLS = (
        Control("threshold", "Threshold", "range", 0.5, 0.0, 1.0, 0.01,
                help="A score at or above it is said to be positive"),
        Control("stretch", "Stretch both ends", "toggle", False,
                help="Scores on a log-odds axis, ln(p / (1 − p))"),
        Control("cost", "A missed case costs", "log", 5.0, 0.1, 1000.0, 0.05,
                help="In false alarms, each of which costs 1"),
        Control("other_share", "Another share than in the data", "toggle", False,
                help="Weight the examples so that the positive class has this share"),
        Control("prevalence", "Share of positives", "log", 0.05, 0.001, 0.9, 0.02,
                help="Of all cases that the classifier will meet"),
        Control("bins", "Bins", "range", 10, 2, 30, 1,
                help="Of equal width, in the reliability diagram"),
        Control("calibration_of", "Calibration of", "choice", "positive",
                choices=(("positive", "the score"),
                         ("answer", "the likelier answer")),
                help="The score against the share of positives; or the probability of "
                     "the likelier class against how often it is right"),
    )  # fmt: skip

    def __init__(
        self,
        truth: Values | None = None,
        score: Values | None = None,
        names: tuple[str, str] = ("benign", "malignant"),
        **values: Any,
    ) -> None:
        if (truth is None) != (score is None):
            raise ValueError("Give truth and score both, or neither of them.")
        if len(names) != 2 or names[0] == names[1]:
            raise ValueError(f"names is {names!r}; give two different names.")
        if truth is None:
            truth, score = trained_scores()
        self.lab = ThresholdLab(truth, score)
        self.names = tuple(str(name) for name in names)
        self.CONTROLS = _fitted(self.CONTROLS, self.lab, self.names[1])
        self.intervals: dict[str, Interval] = {}
        self._told: dict[str, Any] = {}
        if "prevalence" in values:
            values.setdefault("other_share", True)
        super().__init__(**values)
        self.first = self.values["threshold"]  # where "Reset" goes back to
        self._begin()

    # ---- controls

    @property
    def prevalence(self) -> float | None:
        """The share of class 1 that is asked for; None for that of the data."""
        return self.values["prevalence"] if self.values["other_share"] else None

    def changed(self, name: str) -> None:
        if name == "prevalence":
            self.values["other_share"] = True
        if name in ("prevalence", "other_share"):
            self._begin()
        elif name == "threshold":
            self._begin(keep=("auc", "average_precision"))

    def run(self, threshold: float | None = None) -> dict[str, float]:
        """All numbers at a threshold, with their intervals, without a page."""
        if threshold is not None:
            self.set(threshold=threshold)
        self.finish()
        return self.numbers()

    def numbers(self) -> dict[str, float]:
        """What the widget shows at its threshold, by name."""
        v, lab, share = self.values, self.lab, self.prevalence
        auc, average = lab.areas(share)
        numbers = lab.rates(v["threshold"], share)
        numbers |= {"auc": auc, "average_precision": average, "brier": lab.brier(share)}
        if lab.probable:
            bins = lab.reliability(v["bins"], v["calibration_of"], share)
            numbers["calibration_error"] = bins.expected_error
        return numbers

    def unwatched(self) -> None:
        """The intervals that are still wanted wait for the next page."""
        self._begin(keep=tuple(self.intervals))

    # ---- intervals, in slices

    def _begin(self, keep: tuple[str, ...] = ()) -> None:
        """Forget the intervals that no longer hold, and start to find them anew."""
        self.intervals = {k: v for k, v in self.intervals.items() if k in keep}
        self.start(self._intervals())

    def _intervals(self) -> Work:
        """First what depends on the threshold. The other rates have Wilson's.

        With another share the examples are weighted, which Wilson's does not know.
        """
        share = self.prevalence
        names = ["f1"] if share is None else ["f1", "precision", "accuracy"]
        for name in [*names, "auc", "average_precision"]:
            if name not in self.intervals:
                work = self.lab.interval_work(name, self.values["threshold"], share)
                self.intervals[name] = yield from work

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, _buffers = self.news()
        lab = self.lab
        return {
            **content,
            "score": as_bytes(lab.score)[0],
            "truth": lab.truth.astype(np.uint8).tobytes(),
            "order": lab.order.astype("<i4").tobytes(),
            "low": lab.low,
            "high": lab.high,
            "probable": lab.probable,
            "names": list(self.names),
            "first": self.first,
        }

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        intervals = {name: list(found) for name, found in self.intervals.items()}
        now = {"values": dict(self.values), "intervals": intervals}
        if now == self._told:
            return None
        self._told = now
        return {"kind": "news", **now}, []

    # ---- without a page

    def describe(self) -> str:
        return (
            f"One threshold over {len(self.lab.score):,} scores: {self.names[1]} or "
            f"{self.names[0]}"
        )

    def figure(self) -> Figure:
        from lib.widgets.threshold_still import threshold_figure

        return threshold_figure(self)


def _fitted(
    controls: tuple[Control, ...], lab: ThresholdLab, positive: str
) -> tuple[Control, ...]:
    """The threshold's slider as wide as the scores; the share named after class 1."""
    out = []
    for control in controls:
        if control.name == "threshold" and not lab.probable:
            default = (lab.low + lab.high) / 2
            step = 10 ** np.floor(np.log10((lab.high - lab.low) / 50))
            control = replace(
                control, default=default, low=lab.low, high=lab.high, step=step
            )
        elif control.name == "prevalence":
            control = replace(control, label=f"Share of {positive}")
        out.append(control)
    return tuple(out)
