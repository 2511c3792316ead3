"""The still picture of the training dashboard, drawn from the data that the page gets.

Loss, accuracy and length of the gradient over the steps, and the first validation
examples with the answers of each run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.dashboard import TrainingRuns

LOOKS = {"A": "#0072b2", "B": "#d55e00"}
ACROSS = 12  # examples in the strip


def dashboard_figure(simulation: TrainingRuns) -> Figure:
    """Three charts over a strip of examples."""
    figure = Figure(figsize=(10.5, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(2, 1))
    loss, right, gradient = (figure.add_subplot(grid[0, k]) for k in range(3))
    for name, run in simulation.runs.items():
        rows = np.array([record.row() for record in run.history])
        label = f"{name}: {run.label}, {run.settings.optimizer}"
        look = {"color": LOOKS[name], "linewidth": 1.8, "marker": "."}
        loss.plot(rows[:, 0], rows[:, 3], label=label, **look)
        loss.plot(rows[:, 0], rows[:, 4], linestyle="--", **look)
        right.plot(rows[:, 0], rows[:, 5], **look)
        right.plot(rows[:, 0], rows[:, 6], linestyle="--", **look)
        gradient.plot(rows[:, 0], rows[:, 8], **look)
    loss.set(yscale="log", xlabel="step", ylabel="loss (dashed: validation)")
    right.set(ylim=(0, 1.02), xlabel="step", ylabel="accuracy")
    gradient.set(yscale="log", xlabel="step", ylabel="length of the gradient")
    loss.legend(fontsize=7)
    for axes in (loss, right, gradient):
        axes.grid(alpha=0.25)
    _draw_examples(figure.add_subplot(grid[1, :]), simulation)
    return figure


def _draw_examples(axes: Any, simulation: TrainingRuns) -> None:
    """The first validation examples, each with its class and the answers."""
    e = simulation.examples
    axes.axis("off")
    if e.kind == "tokens":
        for k, text in enumerate(e.texts[:4]):
            axes.text(0, 0.9 - 0.26 * k, f"{text[:90]}   {_answers(simulation, k)}",
                      fontsize=8, transform=axes.transAxes)  # fmt: skip
        return
    for k, x in enumerate(e.x_check[:ACROSS].detach().cpu().numpy()):
        left = 1.4 * k
        if e.kind == "pictures":
            shown = x.transpose(1, 2, 0) if len(x) == 3 else x[0]
            axes.imshow(shown, cmap="gray_r", extent=(left, left + 1, 0, 1))
        elif len(x) == 2:
            axes.plot(*(left + 0.5 + x[0] / 5, 0.5 + x[1] / 5), "o", color="#44566b")
        else:
            across = left + np.arange(len(x)) / len(x)
            axes.bar(across, x / 6, 1 / len(x), 0.5, align="edge", color="#44566b")
        frame = [left, left + 1, left + 1, left, left], [0, 0, 1, 1, 0]
        axes.plot(*frame, color="#b0b0b0", linewidth=0.8)
        axes.text(left + 0.5, -0.1, _answers(simulation, k), fontsize=7, ha="center",
                  va="top")  # fmt: skip
    axes.set(xlim=(-0.1, 1.4 * ACROSS - 0.3), ylim=(-0.9, 1.05), aspect="equal")


def _answers(simulation: TrainingRuns, k: int) -> str:
    """ "is 7 / A: 7 98 %" of one validation example."""
    e = simulation.examples
    parts = [f"is {e.targets[int(e.y_check[k])]}"]
    for name, run in simulation.runs.items():
        if run.details:
            shares = run.details[-1].probabilities[k]
            best = int(shares.argmax())
            parts.append(
                f"{name}: {e.targets[best]} {float(shares[best]) / 2.55:.0f} %"
            )
    return "\n".join(parts) if e.kind != "tokens" else "   ".join(parts)
