"""Pictures of what a network sees: how it divides a plane, and small grey pictures.

`plane` draws points of two classes and the two regions that a model makes of the plane;
`tiles` draws digits, weights or other small pictures side by side. Both return a
`lib.plots.Picture`.

Left out: everything that moves (see `lib.widgets`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor

from lib.plots import BLUE, RED, STYLE, Picture

# Class 0 and class 1, the colours of negative and positive numbers in the playground.
GROUNDS = ("#f8dfcb", "#cfe3f2")
SIGNED = LinearSegmentedColormap.from_list("signed", [RED, "#ffffff", BLUE])
FINE = 161  # points of the grid along each side

Score = Callable[[Tensor], Tensor]


def plane(
    x: Tensor,
    y: Tensor,
    models: Mapping[str, Score | None],
    *,
    targets: Sequence[str] = ("class 0", "class 1"),
    names: Sequence[str] = ("x1", "x2"),
    alt: str | None = None,
) -> Picture:
    """The same points once for each model, on the two regions that it makes.

    Args:
        x: (N, 2) places. y: (N,) classes, 0 and 1.
        models: title -> score((n, 2)), which gives (n,) or (n, 1) numbers; above 0 is
            class 1. None draws the points alone.
        targets: the names of the two classes.
        names: of the two coordinates.
        alt: text alternative; None makes one from the titles.

    Raises:
        ValueError: no model, or points that are not (N, 2) with one class each.
    """
    if not models or x.dim() != 2 or x.shape[1] != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            f"x has the shape {tuple(x.shape)}, y {tuple(y.shape)}, and there are "
            f"{len(models)} models; give (N, 2), (N,), and one model or more."
        )
    said = f"Points of two classes, {targets[0]} and {targets[1]}: {', '.join(models)}."
    size = (0.9 + 3.0 * len(models), 3.9)
    picture = Picture(alt or said, size, 1, len(models))
    with matplotlib.rc_context(STYLE):
        for axes, (title, score) in zip(picture.axes, models.items(), strict=True):
            axes.set(title=title, xlabel=names[0], ylabel=names[1])
            axes.set_aspect("equal", adjustable="box")
            axes.grid(False)
            _regions(axes, x, score)
            for label, colour, mark in ((0, RED, "o"), (1, BLUE, "^")):
                dots = x[y == label]
                axes.scatter(*dots.T.tolist(), s=22 if len(x) > 30 else 80, c=colour,
                             marker=mark, edgecolors="white", linewidths=0.5,
                             label=targets[label])  # fmt: skip
        handles, labels = picture.axes[0].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside lower center", ncols=2)
    return picture


def tiles(
    pictures: Tensor,
    titles: Sequence[str],
    *,
    alt: str,
    columns: int = 8,
    signed: bool = False,
) -> Picture:
    """Small pictures side by side, each with its title.

    Args:
        pictures: (N, height, width).
        titles: one for each; "" for none.
        columns: how many in a row.
        signed: True draws negative numbers orange, 0 white and positive ones blue,
            each picture up to its own largest size; False draws 0 white and 1 black.

    Raises:
        ValueError: pictures and titles that do not match.
    """
    if pictures.dim() != 3 or len(pictures) != len(titles) or not len(titles):
        raise ValueError(
            f"pictures have the shape {tuple(pictures.shape)} with {len(titles)} "
            "titles; give (N, height, width) and N titles, one or more."
        )
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    head = 0.25 if any(titles) else 0.0
    size = (0.95 * columns, (0.95 + head) * rows)
    picture = Picture(alt, size, rows, columns)
    with matplotlib.rc_context(STYLE):
        for axes in picture.axes:
            axes.set_axis_off()
        for axes, values, title in zip(picture.axes, pictures, titles, strict=False):
            top = float(values.abs().max()) or 1.0
            look = {"cmap": SIGNED, "vmin": -top, "vmax": top} if signed else _INK
            axes.imshow(values.detach().numpy(), interpolation="nearest", **look)
            axes.set_title(title, fontsize=10)
    return picture


_INK: dict[str, Any] = {"cmap": "gray_r", "vmin": 0, "vmax": 1}


@torch.no_grad()
def _regions(axes: Any, x: Tensor, score: Score | None) -> None:
    """Shade the side of each class, with a line where the score is 0."""
    low, high = x.amin(0), x.amax(0)
    air = 0.08 * (high - low).max()
    (x0, y0), (x1, y1) = (low - air).tolist(), (high + air).tolist()
    axes.set(xlim=(x0, x1), ylim=(y0, y1))
    if score is None:
        return
    across, up = torch.linspace(x0, x1, FINE), torch.linspace(y0, y1, FINE)
    places = torch.cartesian_prod(across, up)
    values = score(places).reshape(FINE, FINE).T.numpy()  # row 0 has the lowest x2
    across, up, sides = across.numpy(), up.numpy(), (values > 0).astype("f4")
    axes.contourf(across, up, sides, [-0.5, 0.5, 1.5], colors=GROUNDS)
    if 0 < sides.mean() < 1:
        axes.contour(across, up, values, [0.0], colors="#222222", linewidths=1.5)
