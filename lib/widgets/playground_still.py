"""The still picture of the playground: network, output with the points, and curves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lib.playground import FEATURES, FINE, Moment, grid_points
from lib.playground import Playground as Simulation

# the page's colours of signed numbers: negative is orange, positive is blue
ANCHORS = ("#8f3b00", "#d55e00", "#f2b98a", "#ffffff", "#9cc7e6", "#0072b2", "#003a63")
SIGNED = LinearSegmentedColormap.from_list("signed", ANCHORS)


def playground_figure(widget: Any) -> Figure:
    """The present moment of a `lib.widgets.playground.Playground`."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    net, map_, curves = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    _draw_net(net, widget.simulation, widget.moment)
    _draw_map(map_, widget.simulation, widget.moment, widget.values)
    _draw_curves(curves, np.array(widget.rows))
    return figure


def _draw_net(axes: Any, simulation: Simulation, moment: Moment) -> None:
    """Units as small maps in columns, weights as lines between them."""
    sizes, x = simulation.sizes, grid_points()
    features = [FEATURES[name](x[:, 0], x[:, 1]) for name in simulation.features]
    maps = [f.reshape(FINE, FINE).numpy() for f in features]
    maps += [
        *np.nan_to_num(moment.neurons, posinf=0, neginf=0),
        shown(moment.output, simulation.points.classes),
    ]
    most = max(sizes)
    half = min(0.4 * 8 / most, 0.4) * most / 8
    places = [(8 * c / (len(sizes) - 1), most / 2 + (n - 1) / 2 - k)
              for c, n in enumerate(sizes) for k in range(n)]  # fmt: skip
    _draw_weights(axes, sizes, places, moment.theta)
    for (px, py), picture in zip(places, maps, strict=True):
        reach = 1.5 * float(np.abs(picture).max()) or 1.0
        extent = (px - half, px + half, py - half, py + half)
        axes.imshow(picture, SIGNED, vmin=-reach, vmax=reach, extent=extent,
                    origin="lower", zorder=2)  # fmt: skip
        axes.plot(*_box(extent), color="#505050", linewidth=0.8, zorder=3)
    for name, (px, py) in zip(simulation.features, places, strict=False):
        axes.text(px - half - 0.1, py, name, ha="right", va="center", fontsize=9)
    axes.set(xlim=(-1.6, 8.6), ylim=(0, most + 0.2), title="network")
    axes.set_aspect("auto")
    axes.set_axis_off()


def _box(extent: tuple[float, ...]) -> tuple[list[float], list[float]]:
    left, right, low, high = extent
    return [left, right, right, left, left], [low, low, high, high, low]


def _draw_weights(axes: Any, sizes, places, theta: np.ndarray) -> None:
    at, first = 0, 0
    for n, m in pairwise(sizes):
        matrix = theta[at : at + n * m].reshape(m, n)
        for j in range(m):
            for i in range(n):
                w = float(matrix[j, i])
                if not np.isfinite(w):
                    continue
                ends = np.array([places[first + i], places[first + n + j]])
                part = abs(w) / (abs(w) + 1.5)
                axes.plot(*ends.T, color=SIGNED(0.17 if w < 0 else 0.83),
                          linewidth=0.5 + 5 * part, alpha=0.2 + 0.7 * part,
                          zorder=1)  # fmt: skip
        at, first = at + n * m + m, first + n


def shown(output: np.ndarray, classes: bool) -> np.ndarray:
    """The output from -1 to 1: twice the probability less 1, or the height."""
    output = np.nan_to_num(output)
    return np.tanh(output / 2) if classes else np.clip(output, -1, 1)


def _draw_map(axes: Any, simulation: Simulation, moment: Moment, values: dict) -> None:
    points = simulation.points
    picture = shown(moment.output, points.classes)
    if values["discretise"]:
        picture = np.where(picture > 0, 0.8, -0.8)
    axes.imshow(picture, SIGNED, vmin=-2.3, vmax=2.3, extent=points.bounds,
                origin="lower", aspect="auto", interpolation="bilinear")  # fmt: skip
    place, y = points.to_own_units().numpy(), points.y.numpy()
    shade = SIGNED(0.14 + 0.72 * np.clip(y if points.classes else (y + 1) / 2, 0, 1))
    test = points.test.numpy()
    axes.scatter(*place[~test].T, c=shade[~test], s=22, edgecolors="white")
    if values["show_test"]:
        axes.scatter(*place[test].T, c=shade[test], s=16, marker="s", edgecolors="#222")
    names = dict(zip(("xlabel", "ylabel"), points.names, strict=True))
    axes.set(title="output, with the points", **names)


def _draw_curves(axes: Any, rows: np.ndarray) -> None:
    for column, label, style in ((2, "training", "-"), (3, "test", "--")):
        colour = "#d55e00" if column == 2 else "#0072b2"
        if np.isfinite(rows[:, column]).any():
            axes.plot(rows[:, 1], rows[:, column], style, color=colour,
                      label=f"{label} {rows[-1, column]:.3g}")  # fmt: skip
    if axes.lines:
        axes.legend()
    axes.set(xlabel="epoch", ylabel="loss", title="loss")
    axes.grid(alpha=0.25)
