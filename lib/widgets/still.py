"""The still pictures of the widgets, drawn from the data that the page gets.

They stand where no widget can live: on GitHub, in nbviewer, in an untrusted notebook.
Object-oriented matplotlib only: pyplot keeps figures alive and is not safe in
callbacks.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lib.descent import Race
from lib.widgets.racers import RACERS, line_style, mark_style

DOTS = 80  # pixels in an inch


def as_png(figure: Figure, pictured: bool = False) -> bytes:
    """A figure as a PNG file, small since every notebook keeps it in its outputs.

    The palette is fixed: greys, the racers' colours, and their blends with white and
    black. One chosen from the picture would lose the colours of thin lines. `pictured`
    is for heatmaps and photographs, whose colours no fixed palette has: 200 colours
    chosen from the picture itself.
    """
    figure.set_dpi(DOTS)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
    image = Image.fromarray(pixels)
    if pictured:
        image = image.quantize(200, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    else:
        image = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, format="png", optimize=True)
    return file.getvalue()


@cache
def _palette() -> Image.Image:
    """32 greys and 24 blends of each colour, as an image that has them as its palette.

    Pillow looks colours up in steps of 8, so closer greys would make white grey.
    """
    entries = [(255 - 8 * k,) * 3 for k in range(32)]
    for _label, light, *_look in RACERS.values():
        rgb = np.array([int(light[k : k + 2], 16) for k in (1, 3, 5)])
        if np.ptp(rgb):
            entries += [rgb + t * (255 - rgb) for t in np.arange(16) / 16]
            entries += [rgb * (1 - t) for t in np.arange(1, 9) / 9]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.rint(entries).astype(int).ravel().tolist())
    return palette


def race_figure(race: Race, place: Any) -> Figure:
    """Map with paths, and loss above the lowest point against step."""
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    if race.along_x:
        _draw_cut(left, race, place)
    else:
        _draw_map(left, race, place)
    lowest = min(place.lowest, np.nanmin(race.losses, initial=np.inf))
    draw_losses(right, race.names, race.losses - lowest)
    return figure


def field_on(axes: Any, grid: np.ndarray, bounds: tuple, lowest: float, log: bool):
    """Grey field and contour lines of a loss grid (rows from the lowest y up)."""
    x0, x1, y0, y1 = bounds
    above = np.maximum(np.asarray(grid, dtype=float) - lowest, 0)
    if log:
        above = np.log1p(above / max(float(np.quantile(above, 0.02)), 1e-6))
    x = np.linspace(x0, x1, above.shape[1])
    y = np.linspace(y0, y1, above.shape[0])
    # flat bands: a smooth field would not survive the palette of the PNG
    top = 2.4 * float(above.max()) or 1.0
    axes.contourf(x, y, above, levels=13, cmap="Greys", vmin=0, vmax=top)
    axes.contour(x, y, above, levels=13, colors="#50607880", linewidths=0.7)
    axes.set(xlim=(x0, x1), ylim=(y0, y1), xlabel="x", ylabel="y")


def _draw_map(axes: Any, race: Race, place: Any) -> None:
    lowest = place.lowest
    field_on(axes, place.grid(97).numpy(), place.bounds, lowest, place.log_scale)
    axes.plot(*np.array(place.minima).T, "*", color="black", markersize=9)
    for row, name in enumerate(race.names):
        axes.plot(*race.paths[row].T, **line_style(name))
        axes.plot(*race.final(name)[:2], **mark_style(name))
    ring = {"markersize": 13, "markerfacecolor": "none", "markeredgecolor": "black"}
    axes.plot(*race.start, "o", **ring)
    axes.set_title(place.title)


def _draw_cut(axes: Any, race: Race, place: Any) -> None:
    x = np.linspace(place.bounds[0], place.bounds[1], 401)
    curve = place.cut(race.start[1], 401).numpy()
    axes.plot(x, curve, color="#707070", linewidth=2)
    for name in race.names:
        at, _y, loss = race.final(name)
        axes.plot(at, loss, **mark_style(name))
    low, high = curve.min(), curve.max()
    air = 0.06 * (high - low)
    axes.set(xlim=place.bounds[:2], ylim=(low - air, high + air),
             xlabel="x", ylabel="loss", title=place.title)  # fmt: skip


def draw_losses(axes: Any, names: list[str], above: np.ndarray) -> None:
    """Loss above the lowest against step, one line a racer, on a log axis."""
    for row, name in enumerate(names):
        axes.plot(np.maximum(above[row], 1e-16), **line_style(name))
    axes.set(yscale="log", xlabel="step", ylabel="loss above the lowest")
    if names:
        top = max(float(np.nanmax(above[:, 0])), 1e-12)
        axes.set_ylim(top=30 * top)
        axes.legend(fontsize=8)
    axes.grid(alpha=0.25)


def model_race_figure(race: Any, grid: np.ndarray) -> Figure:
    """Map of a real network's loss with the ways over it, and the loss while it trains.

    Args:
        race: a `lib.model_race.ModelRace`.
        grid: (n, n) losses over `race.bounds`.
    """
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    field_on(left, grid, race.bounds, float(np.nanmin(grid)), True)
    left.set(xlabel="first direction of the weights", ylabel="second direction")
    for name, records in race.history.items():
        rows = np.array([record.row() for record in records]).reshape(-1, 7)
        left.plot(rows[:, 1], rows[:, 2], **line_style(name))
        left.plot(rows[-1:, 1], rows[-1:, 2], **mark_style(name))
        right.plot(rows[:, 0], rows[:, 3], **line_style(name))
    right.set(yscale="log", xlabel="step", ylabel="training loss")
    if race.history:
        right.legend(fontsize=8)
    right.grid(alpha=0.25)
    return figure


def line_fit_figure(widget: Any) -> Figure:
    """The data with the line, and the map of the loss with the path of the descent."""
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss, race = widget.loss, widget.race
    w, b = widget.values["w"], widget.values["b"]
    field_on(right, loss.grid(65).numpy(), loss.bounds, loss.lowest, False)
    if race is not None:
        right.plot(*race.paths[0].T, "o-", color="#0072b2", markersize=3)
        w, b, _loss = race.final("GradientDescent")
    right.plot(w, b, "s", color="#0072b2", markersize=8, markeredgecolor="white")
    right.set(xlabel="slope w", ylabel="intercept b")
    x = np.array([loss.x.min(), loss.x.max()])
    left.plot(loss.x, loss.y, ".", color="#44566b", markersize=4)
    left.plot(x, w * x + b, color="#d55e00", linewidth=2.5)
    left.set(xlabel=widget.names[0], ylabel=widget.names[1])
    return figure
