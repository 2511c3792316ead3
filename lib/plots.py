"""Static figures in one style: white ground, colours safe for the colour-blind, words.

Every function returns a `Picture`, a matplotlib Figure that carries a text for those
who cannot see it. Put it last in a cell, or `display` it. A notebook gets the picture
as PNG, with the text as `text/plain` and as the PNG's `alt` metadata. The text names
what is drawn and no measured number, so it is the same on every run. HTML made by
nbconvert has the `alt`, JupyterLab 4.6 ignores it: let the lesson's own words say what
the figure shows.

The colours are those of M. Okabe and K. Ito, "Color Universal Design", 2008; curves
also differ in their dashes. The figures use no pyplot, so nothing global is changed.

Left out: anything that moves (see `lib.widgets`).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from PIL import Image

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PINK, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK, YELLOW)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
GREYS = LinearSegmentedColormap.from_list("light greys", ["#fcfcfc", "#8c8c8c"])

SIZE = (6.6, 4.0)  # inches
DOTS = 144  # pixels in an inch: sharp on a dense screen
SHOWN = 96  # pixels of the page in an inch

STYLE = {
    "figure.facecolor": "white",  # opaque, so that it reads on a dark page too
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "text.color": "#111111",
}


class Picture(Figure):
    """A Figure with a text alternative; a notebook shows it as PNG.

    Attributes:
        alt: what the picture shows, in a sentence without measured numbers.
    """

    def __init__(
        self,
        alt: str,
        size: tuple[float, float] = SIZE,
        rows: int = 1,
        columns: int = 1,
    ) -> None:
        if not alt.strip():
            raise ValueError("alt was empty; say in a sentence what the picture shows.")
        with matplotlib.rc_context(STYLE):
            super().__init__(figsize=size, dpi=DOTS, layout="constrained")
            self.subplots(rows, columns)
        self.alt = alt

    def png(self) -> bytes:
        """The picture as the bytes of a PNG file."""
        with matplotlib.rc_context(STYLE):
            canvas = FigureCanvasAgg(self)
            canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        # 256 colours, none off by more than a few levels of 255, make a map a quarter
        # as large, and a lesson keeps its pictures in its own file.
        best, none = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        image = image.quantize(256, best, dither=none)
        file = io.BytesIO()
        image.save(file, format="png", optimize=True, dpi=(DOTS, DOTS))
        return file.getvalue()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data = {
            "image/png": base64.b64encode(self.png()).decode(),
            "text/plain": self.alt,
        }
        width = round(self.get_figwidth() * SHOWN)
        return data, {"image/png": {"alt": self.alt, "width": width}}

    def __repr__(self) -> str:
        return f"Picture({self.alt!r})"


def curves(
    series: Mapping[str, Any],
    *,
    x: Any = None,
    title: str = "",
    x_label: str = "step",
    y_label: str = "loss",
    log_y: bool = False,
    y_limits: tuple[float, float] | None = None,
    alt: str | None = None,
) -> Picture:
    """One line for each named series of numbers, such as losses.

    A series that becomes infinite or NaN ends there with a cross, and the legend says
    that it diverges.

    Args:
        series: name -> (N,) numbers; a list of 0-d tensors will do.
        x: (N,) positions, the same for all; None counts 0, 1, 2, ...
        log_y: True draws the logarithm; what is not above 0 is left out.
        y_limits: lowest and highest value shown, for curves that shoot off.
        alt: text alternative; None makes one from the names.

    Raises:
        ValueError: no series, an empty one, one that does not match x, or one with
            nothing above 0 under log_y.
    """
    if not series:
        raise ValueError("series was empty; give at least one, {name: numbers}.")
    names = ", ".join(series)
    picture = Picture(
        alt or f"Curves of {y_label} against {x_label}{_about(title)}: {names}."
    )
    with matplotlib.rc_context(STYLE):
        axes = _labelled(picture, title, x_label, y_label)
        for i, (name, values) in enumerate(series.items()):
            values = _row(name, values)
            places = np.arange(len(values)) if x is None else _row("x", x, len(values))
            if log_y and not (values > 0).any():
                raise ValueError(f"{name} has no value above 0; draw it without log_y.")
            _curve(axes, i, name, places, values)
        if log_y:
            axes.set_yscale("log", nonpositive="mask")
        if y_limits is not None:
            axes.set_ylim(*y_limits)
        if len(series) > 1 or any(_diverges(_row(*item)) for item in series.items()):
            axes.legend()
    return picture


def contour(
    values: Any,
    bounds: Sequence[float],
    *,
    paths: Mapping[str, Any] | None = None,
    minima: Sequence[tuple[float, float]] = (),
    log_scale: bool = False,
    title: str = "",
    x_label: str = "x",
    y_label: str = "y",
    z_label: str = "loss",
    levels: int = 24,
    alt: str | None = None,
) -> Picture:
    """A surface seen from above, with the paths of those who walk on it.

    Args:
        values: (n, m) grid; row 0 is y0 and column 0 is x0, as `Surface.grid` gives it.
        bounds: (x0, x1, y0, y1) of the grid; paths are cut off there.
        paths: name -> (N, 2) points. A circle marks the start, a dot the last point,
            a cross the last finite point of a path that diverges.
        minima: points to mark with a star.
        log_scale: True spaces the colours by the logarithm of the height above the
            lowest value.
        alt: text alternative; None makes one from the names.

    Raises:
        ValueError: values that are not a finite grid, bounds out of order, a path that
            is not (N, 2) or has no finite start.
    """
    values = _numpy(values)
    x0, x1, y0, y1 = _bounds(bounds)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"values had shape {values.shape}; give a grid of finite numbers, at least "
            "2 by 2."
        )
    walkers = f" with the paths of {', '.join(paths)}" if paths else ""
    picture = Picture(alt or f"Contour map of {z_label}{_about(title)}{walkers}.")
    with matplotlib.rc_context(STYLE):
        axes = _labelled(picture, title, x_label, y_label)
        axes.grid(False)
        _map(picture, axes, values, (x0, x1, y0, y1), log_scale, levels, z_label)
        for i, (name, path) in enumerate((paths or {}).items()):
            _path(axes, i, name, _numpy(path))
        for star in minima:
            axes.plot(*star, "*", color="white", markeredgecolor=BLACK, markersize=13)
        axes.set(xlim=(x0, x1), ylim=(y0, y1))
        if paths:
            axes.legend(loc="upper right", frameon=True, framealpha=0.9)
    return picture


def line_fit(
    x: Any,
    y: Any,
    predictions: Any = None,
    *,
    errors: bool = False,
    title: str = "",
    x_label: str = "x",
    y_label: str = "y",
    alt: str | None = None,
) -> Picture:
    """Points, and the line or lines that are to fit them.

    Args:
        x, y: (N,) the points.
        predictions: (N,) of one model at x, or name -> (N,) of several; None draws the
            points alone.
        errors: True draws the vertical distance from each point to the first line.
        alt: text alternative; None makes one from the names.

    Raises:
        ValueError: lengths that do not match.
    """
    x = _row("x", x)
    y = _row("y", y, len(x))
    if not isinstance(predictions, Mapping):
        predictions = {} if predictions is None else {"prediction": predictions}
    fits = f" with {', '.join(predictions)}" if predictions else ""
    picture = Picture(alt or f"Points of {y_label} against {x_label}{fits}.")
    order = np.argsort(x, kind="stable")
    with matplotlib.rc_context(STYLE):
        axes = _labelled(picture, title, x_label, y_label)
        axes.plot(x, y, "o", color=BLACK, markersize=4, alpha=0.6, label="data")
        for i, (name, line) in enumerate(predictions.items()):
            line = _row(name, line, len(x))
            if errors and i == 0:
                axes.vlines(x, line, y, color=ORANGE, linewidth=1.2, label="error")
            _curve(axes, i, name, x[order], line[order])
        if predictions:
            axes.legend()
    return picture


def _labelled(picture: Picture, title: str, x_label: str, y_label: str) -> Axes:
    axes = picture.axes[0]
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    return axes


def _curve(axes: Axes, i: int, name: str, x: np.ndarray, y: np.ndarray) -> None:
    """One line; where it stops being finite, a cross."""
    colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
    end = int(np.argmin(np.isfinite(y))) if _diverges(y) else len(y)
    label = f"{name} (diverges)" if _diverges(y) else name
    axes.plot(x[:end], y[:end], color=colour, linestyle=dash, label=label)
    if 0 < end < len(y):
        axes.plot(x[end - 1], y[end - 1], "x", color=colour, markersize=9)


def _diverges(y: np.ndarray) -> bool:
    return not np.isfinite(y).all()


def _path(axes: Axes, i: int, name: str, path: np.ndarray) -> None:
    if path.ndim != 2 or path.shape[1] != 2 or not np.isfinite(path[:1]).all():
        raise ValueError(
            f"the path {name!r} had shape {path.shape}; give (N, 2) points, the first "
            "of them finite."
        )
    finite = np.isfinite(path).all(axis=1)
    end = len(path) if finite.all() else int(np.argmin(finite))
    x, y = path[:end].T
    colour = COLOURS[i % len(COLOURS)]
    mark = "o" if end == len(path) else "x"
    label = name if end == len(path) else f"{name} (diverges)"
    # A white edge keeps every colour apart from the map below it.
    axes.plot(x, y, color="white", linewidth=3.5)
    axes.plot(x, y, ".-", color=colour, linewidth=1.6, markersize=4, label=label)
    axes.plot(x[:1], y[:1], "o", color="white", markeredgecolor=colour, markersize=8)
    axes.plot(x[-1:], y[-1:], mark, color=colour, markersize=8, markeredgewidth=2)


def _map(
    picture: Picture,
    axes: Axes,
    values: np.ndarray,
    bounds: Sequence[float],
    log_scale: bool,
    levels: int,
    z_label: str,
) -> None:
    """Filled contours in light greys, so that every path stands out, and their key."""
    x0, x1, y0, y1 = bounds
    across = np.linspace(x0, x1, values.shape[1])
    up = np.linspace(y0, y1, values.shape[0])
    height, norm, edges, ticks = values, None, levels, None
    if log_scale:
        height = values - values.min()
        top = max(float(height.max()), 1e-300)
        # Under a hundred-thousandth of the range nothing can be told apart any more.
        edges = np.geomspace(top * 1e-5, top, levels)
        height = np.clip(height, edges[0], top)
        norm, ticks = LogNorm(edges[0], top), LogLocator()
        z_label = f"{z_label} above the lowest"
    filled = axes.contourf(across, up, height, edges, norm=norm, cmap=GREYS)
    axes.contour(across, up, height, filled.levels, colors="#50607880", linewidths=0.6)
    bar = picture.colorbar(filled, ax=axes, label=z_label, ticks=ticks)
    bar.ax.minorticks_off()


def _bounds(bounds: Sequence[float]) -> tuple[float, float, float, float]:
    x0, x1, y0, y1 = map(float, bounds)
    if not (x0 < x1 and y0 < y1):
        raise ValueError(
            f"bounds were {tuple(bounds)}; give (x0, x1, y0, y1) with x0 < x1 and "
            "y0 < y1."
        )
    return x0, x1, y0, y1


def _row(name: str, values: Any, length: int | None = None) -> np.ndarray:
    """The values as (N,) float64; of the given length, where there is one."""
    values = _numpy(values)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(
            f"{name} had shape {values.shape}; give a row of numbers, (N,) with N of "
            "at least 1."
        )
    if length is not None and len(values) != length:
        raise ValueError(
            f"{name} has {len(values)} numbers where {length} are needed, one for each "
            "point."
        )
    return values


def _numpy(values: Any) -> np.ndarray:
    """float64 numbers from tensors on any device, lists of tensors, or numbers."""
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().double().numpy()
    if isinstance(values, (list, tuple)) and any(
        isinstance(each, torch.Tensor) for each in values
    ):
        values = [torch.as_tensor(each).detach().cpu().double() for each in values]
        return torch.stack(values).numpy()
    return np.asarray(values, dtype=np.float64)


def _about(title: str) -> str:
    return f", {title}" if title else ""
