"""Still figures of explanations: heatmaps side by side, and one bar for each token.

Drawn as everything in `lib.plots`: a `Picture` with a text for those who cannot see it.
Sizes have the colours of inferno, from dark to bright; numbers with a sign are orange
against and purple for, white at 0.

Left out: anything that moves (see `lib.widgets.heatmaps`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from torch import Tensor

from lib.plots import COLOURS, STYLE, Picture

HATCHES = ("", "////", "....", "xxxx")  # bars also differ without colour


def map_figure(
    rows: Mapping[str, Mapping[str, Tensor]],
    *,
    outline: Tensor | None = None,
    signed: bool = False,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """Rows of heatmaps, each in parts of its own largest number.

    Args:
        rows: name of a row -> {name: map}; all rows have the same names. A map is
            (H, W) or (1, H, W); (3, H, W) is a picture in colour, from 0 to 1, and is
            shown as it is.
        outline: (H, W), from 0 to 1; its edge is drawn into every map.
        signed: False shows sizes.
        alt: text alternative; None makes one from the names.

    Raises:
        ValueError: no rows, rows of different names, a map of another shape.
    """
    names = list(next(iter(rows.values()), ()))
    if not names or any(list(row) != names for row in rows.values()):
        raise ValueError(
            "rows are empty or differ in their names; give {row: {name: map}} with "
            "the same names in each row."
        )
    shape = _pixels(rows[next(iter(rows))][names[0]]).shape
    width = 8.0 / len(names)  # inches; the rest of 9.2 is for the key
    size = (9.2, len(rows) * (width * shape[0] / shape[1] + 0.1) + 0.6)
    what = f" of {title}" if title else ""
    words = f"Heatmaps{what}: {', '.join(names)}; rows: {', '.join(rows)}."
    picture = Picture(alt or words, size, len(rows), len(names))
    norm = Normalize(-1 if signed else 0, 1)
    colours = "PuOr" if signed else "inferno"
    grid = np.array(picture.axes).reshape(len(rows), len(names))
    with matplotlib.rc_context(STYLE):
        for axes, name in zip(grid[0], names, strict=True):
            axes.set_title(name, fontsize=10)
        for places, (row, maps) in zip(grid, rows.items(), strict=True):
            places[0].set_ylabel(row, fontsize=10)
            for axes, map in zip(places, maps.values(), strict=True):
                _draw(axes, _pixels(map), norm, colours, outline)
        bar = picture.colorbar(
            ScalarMappable(norm, colours), ax=picture.axes, shrink=0.8, pad=0.01
        )
        bar.set_label("part of each map's largest", fontsize=9)
        picture.suptitle(title, fontsize=12)
    return picture


def token_bars(
    tokens: Sequence[str],
    values: Mapping[str, Tensor],
    *,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """For each token one bar of each explanation, each with an axis of its own.

    Args:
        tokens: T names.
        values: what the axis is called -> (T,) numbers.
        alt: text alternative; None makes one from the names.

    Raises:
        ValueError: no values, or not one number for each token.
    """
    if not values or any(len(v) != len(tokens) for v in values.values()):
        raise ValueError(
            f"There are {len(tokens)} tokens; give values with one number for each."
        )
    what = f" of {title}" if title else ""
    words = f"Bars{what}, one for each token: {', '.join(values)}."
    picture = Picture(alt or words, (8.6, 0.6 + 1.7 * len(values)), len(values), 1)
    with matplotlib.rc_context(STYLE):
        for i, (axes, (name, numbers)) in enumerate(
            zip(picture.axes, values.items(), strict=True)
        ):
            axes.bar(
                range(len(tokens)),
                torch.as_tensor(numbers).detach().cpu().numpy(),
                color=COLOURS[i % len(COLOURS)],
                hatch=HATCHES[i % len(HATCHES)],
                edgecolor="white",
            )
            axes.set_axisbelow(True)
            axes.grid(False, axis="x")
            axes.axhline(0, color="#444444", linewidth=0.8)
            axes.set_ylabel(name, fontsize=10)
            axes.set_xticks(range(len(tokens)), tokens, fontsize=9)
        picture.axes[0].set_title(title)
    return picture


def _pixels(map: Tensor) -> np.ndarray:
    """(H, W) numbers, or (H, W, 3) of a picture in colour."""
    array = torch.as_tensor(map).detach().cpu().double().numpy()
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and len(array) == 3:
        return array.transpose(1, 2, 0).clip(0, 1)
    if array.ndim != 2:
        raise ValueError(
            f"a map has the shape {array.shape}; give (H, W), (1, H, W), or a picture "
            "in colour (3, H, W)."
        )
    return array


def _draw(
    axes: Axes, map: np.ndarray, norm: Normalize, colours: str, outline: Tensor | None
) -> None:
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if map.ndim == 3:
        axes.imshow(map)
        return
    share = map / (np.abs(map).max() or 1.0)
    share = share if norm.vmin < 0 else np.abs(share)
    axes.imshow(share, cmap=colours, norm=norm)
    if outline is not None:
        line = "#222222" if norm.vmin < 0 else "#dddddd"
        axes.contour(_pixels(outline), levels=[0.4], colors=line, linewidths=0.8)
