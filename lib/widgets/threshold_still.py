"""The still picture of `Threshold`: scores, ROC, precision-recall and calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

NEGATIVE, POSITIVE = "#0072b2", "#d55e00"


def threshold_figure(widget: Any) -> Figure:
    """The four pictures at the widget's threshold, with the numbers in the titles."""
    lab, t, share = widget.lab, widget.values["threshold"], widget.prevalence
    numbers, w = widget.numbers(), lab.weights(share)
    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    (scores, roc), (recall, reliable) = figure.subplots(2, 2)
    edges = np.linspace(lab.low, lab.high, 31)
    for label, colour, hatch in ((0, NEGATIVE, None), (1, POSITIVE, "///")):
        here = lab.truth == label
        scores.hist(
            lab.score[here], edges, weights=w[here], histtype="step", hatch=hatch,
            color=colour, label=widget.names[label], linewidth=1.6,
        )  # fmt: skip
    scores.axvline(t, color="black", linewidth=2)
    (_tn, fp), (fn, tp) = lab.confusion(t, share)
    scores.set(xlabel=f"score for {widget.names[1]}", ylabel="examples",
               title=f"threshold {t:.3g}: {tp:.4g} found, {fn:.4g} missed, "
                     f"{fp:.4g} false alarms")  # fmt: skip
    scores.legend(fontsize=8)
    _draw_curves(roc, recall, lab, w, numbers)
    if lab.probable:
        bins = lab.reliability(
            widget.values["bins"], widget.values["calibration_of"], share
        )
        reliable.plot([0, 1], [0, 1], color="#909090", linewidth=1)
        full = bins.count > 0
        reliable.plot(bins.confidence[full], bins.accuracy[full], "o-", color=NEGATIVE)
        error = numbers["calibration_error"]
        title = f"Brier {numbers['brier']:.3f}, calibration error {error:.3f}"
        reliable.set(xlabel="predicted", ylabel="found", title=title)
    else:
        thresholds, costs = lab.costs(widget.values["cost"], share)
        reliable.step(thresholds, costs, color=NEGATIVE)
        reliable.axvline(t, color="black", linewidth=2)
        reliable.set(xlabel="threshold", ylabel="cost of one example")
    for axes in (roc, recall, reliable):
        axes.grid(alpha=0.25)
    return figure


def _draw_curves(roc: Any, recall: Any, lab: Any, w: np.ndarray, numbers: dict) -> None:
    hits = np.append(0, np.cumsum(w * lab.truth))
    alarms = np.append(0, np.cumsum(w * (1 - lab.truth)))
    last = np.append(True, np.append(lab.score[:-1] > lab.score[1:], True))
    hits, alarms = hits[last], alarms[last]
    found = hits / hits[-1]
    roc.plot(alarms / alarms[-1], found, color=NEGATIVE)
    roc.plot([0, 1], [0, 1], color="#909090", linewidth=1)
    ring = {"markersize": 9, "markeredgecolor": "white", "color": "black"}
    roc.plot(numbers["false_positive_rate"], numbers["recall"], "o", **ring)
    roc.set(xlabel="false positive rate", ylabel="recall",
            title=f"ROC, area {numbers['auc']:.3f}")  # fmt: skip
    precision = hits[1:] / (hits + alarms)[1:]
    recall.step(found[1:], precision, where="pre", color=NEGATIVE)
    recall.plot(numbers["recall"], numbers["precision"], "o", **ring)
    recall.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05),
               title=f"average precision {numbers['average_precision']:.3f}",
               )  # fmt: skip
