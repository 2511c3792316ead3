"""The still picture of `Search`: the plane, all curves, and the best so far."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lib.search_lab import SearchLab
from lib.search_sides import Side

LOOKS = {"first": ("#c14f00", "o", "-"), "second": ("#7b3294", "s", "--"),
         "hand": ("#00805c", "D", ":")}  # fmt: skip
MARKS = {"stopped": 4, "done": 7, "waiting": 5, "running": 7}


def search_figure(lab: SearchLab, names: dict, others: dict) -> Figure:
    """What the page shows of the newest moment.

    Args:
        names: method -> what to call it; others: hyperparameter -> its label.
    """
    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    plane, curves, race = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    losses = [e.loss for e in lab.events if math.isfinite(e.loss)]
    high = math.log(lab.problem.classes)
    low = max(min([*losses, high / 8]), 1e-4)
    for key, side in lab.sides.items():
        if not side.trials:
            continue
        colour, shape, dash = LOOKS[key]
        for trial in side.trials:
            _draw_trial(plane, trial, (low, high), colour, shape)
            line = [min(e.validation_loss, 1.7 * high) for e in trial.history]
            best = trial is side.best
            curves.plot(range(1, len(line) + 1), line, dash, color=colour,
                        linewidth=2.2 if best else 0.8)  # fmt: skip
        costs, best = _best_so_far(lab, side)
        race.step(costs, best, dash, where="post", color=colour,
                  label=names[side.method])  # fmt: skip
        if side.best is not None:
            at = side.best.settings.values()
            plane.plot(*([v] for v in at), "o", markersize=14, color="black",
                       markerfacecolor="none")  # fmt: skip
    _label(plane, curves, race, lab, others)
    ends = (0.8 * low, 1.7 * high)
    curves.set(ylim=ends)
    race.set(ylim=ends, xlim=(0, 1.03 * lab.budget))
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if ends[0] <= t]
    for axes in (curves, race):
        axes.set_yticks([t for t in ticks if t <= ends[1]], minor=False)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    if race.lines:
        race.legend(fontsize=8)
    return figure


def _draw_trial(axes: Any, trial: Any, ends: tuple, colour: str, shape: str) -> None:
    at = [[value] for value in trial.settings.values()]
    if trial.state == "diverged":
        axes.plot(*at, "x", color=colour, markersize=7)
        return
    low, high = ends
    share = 0.0
    if math.isfinite(trial.loss):
        share = math.log(high / max(trial.loss, low)) / math.log(high / low)
    blue = np.array([0.043, 0.184, 0.42])
    fill = 1 - min(max(share, 0), 1) * (1 - blue)
    axes.plot(*at, shape, markersize=MARKS[trial.state], markerfacecolor=tuple(fill),
              markeredgecolor=colour)  # fmt: skip


def _best_so_far(lab: SearchLab, side: Side) -> tuple[list[float], list[float]]:
    """Epochs that the side had spent, and its lowest loss until then."""
    costs, best = [], []
    for event in lab.events:
        if lab.trials[event.trial][1] is side and math.isfinite(event.loss):
            costs.append(event.spent)
            best.append(min([event.loss, *best[-1:]]))
    return costs, best


def _label(plane: Any, curves: Any, race: Any, lab: SearchLab, others: dict) -> None:
    axis, rates = lab.space[lab.other], lab.space["learning_rate"]
    plane.set(xscale="log", xlim=(rates.low / 1.6, rates.high * 1.6),
              xlabel="learning rate", ylabel=others[lab.other],
              yscale="log" if axis.log else "linear")  # fmt: skip
    curves.set(yscale="log", xlabel="epochs of the trial", ylabel="validation loss")
    race.set(
        yscale="log", xlabel="epochs spent by each", ylabel="lowest loss, any epoch"
    )
