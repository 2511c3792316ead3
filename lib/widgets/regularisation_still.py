"""The still picture of `Regularisation`: boundary, curves and sizes of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.regularisation_lab import BOUNDS, GRID, SIZES, RegularisationLab

HELD, FREE = "#0072b2", "#8a8a8a"


def regularisation_figure(lab: RegularisationLab) -> Figure:
    """What the page shows of the newest records; grey is the run without."""
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    boundary, curves, sizes = figure.subplots(1, 3)
    _draw_map(boundary, lab)
    for run, colour, name in ((lab.free, FREE, "without"), (lab.held, HELD, "with")):
        steps = [r["step"] for r in run.records]
        for part, dash in (("train", "-"), ("validation", "--")):
            losses = [r[f"{part}_loss"] for r in run.records]
            curves.plot(steps, losses, dash, color=colour, label=f"{name}, {part}")
        best = run.best
        curves.plot(best["step"], best["validation_loss"], "v", color=colour)
        share = np.linspace(0, 1, SIZES)
        size = np.maximum(run.records[-1].sizes.numpy(), 1e-6)
        sizes.plot(share, size, color=colour)
    curves.set(xlabel="step", ylabel="loss", yscale="log")
    curves.legend(fontsize=7)
    sizes.axhline(1e-3, color="black", linewidth=1, linestyle=":")
    sizes.set(xlabel="share of the weights", ylabel="size at most", yscale="log",
              title=f"{lab.held.records[-1]['tiny']:.0%} below 0.001",
              )  # fmt: skip
    return figure


def _draw_map(axes: Any, lab: RegularisationLab) -> None:
    x0, x1, y0, y1 = BOUNDS
    x, y = np.linspace(x0, x1, GRID), np.linspace(y0, y1, GRID)
    held, free = (run.records[-1].grid.reshape(GRID, GRID).numpy() for run in lab.runs)
    levels = np.linspace(0, 255, 14)
    axes.contourf(x, y, held, levels=levels, cmap="RdBu_r", alpha=0.5)
    if held.min() < 127 < held.max():
        axes.contour(x, y, held, levels=[127.5], colors=HELD, linewidths=2)
    if free.min() < 127 < free.max():
        axes.contour(x, y, free, levels=[127.5], colors=FREE, linewidths=1.5)
    points, labels = (part.cpu().numpy() for part in lab.train)
    for label, mark, colour in ((0, "s", "#003a63"), (1, "o", "#8f3b00")):
        here = points[labels == label]
        axes.plot(*here.T, mark, color=colour, markersize=4, markeredgecolor="white")
    right = lab.held.records[-1]["validation_accuracy"]
    axes.set(xlim=(x0, x1), ylim=(y0, y1), xlabel="x1", ylabel="x2",
             title=f"{right:.1%} of validation right")  # fmt: skip
