"""The still picture of the heatmaps: the picture, its classes, and the five maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lib.heatmap_inquiry import Map
from lib.heatmaps import METHODS


def heatmaps_figure(widget: Any) -> Figure:
    """Draw the present state of a `lib.widgets.heatmaps.Heatmaps`."""
    figure = Figure(figsize=(10.5, 5.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    _draw_answer(top.subplots(1, 2, width_ratios=(1, 1.5)), widget)
    axes = bottom.subplots(1, len(METHODS))
    signed = widget.values["sign"] == "signed"
    norm = Normalize(-1 if signed else 0, 1)
    for place, (method, label) in zip(axes, METHODS.items(), strict=True):
        place.set_axis_off()
        if method in widget.inquiry.maps:
            _draw_map(place, widget, widget.inquiry.maps[method], norm)
        place.set_title(label, fontsize=9)
    bar = bottom.colorbar(
        ScalarMappable(norm, _scale(norm)), ax=list(axes), shrink=0.7, pad=0.01
    )
    bar.set_label("part of each map's largest", fontsize=8)
    return figure


def _draw_answer(axes: Any, widget: Any) -> None:
    left, right = axes
    left.imshow(_picture(widget), cmap="gray", vmin=0, vmax=1)
    left.set_axis_off()
    left.set_title(f"the picture, step {widget.subject.looked}", fontsize=9)
    chances, target = widget.inquiry.chances.tolist(), widget.inquiry.target
    colours = ["#d55e00" if k == target else "#8a97a6" for k in range(len(chances))]
    right.barh(range(len(chances)), chances, color=colours)
    right.set_yticks(range(len(chances)), widget.subject.classes, fontsize=8)
    right.set(xlim=(0, 1), xlabel="probability")
    right.invert_yaxis()
    right.set_title(f"explained: {widget.subject.classes[target]}", fontsize=9)


def _draw_map(axes: Any, widget: Any, entry: Map, norm: Normalize) -> None:
    """The map over the darkened picture, as the page draws it."""
    opacity = widget.values["opacity"]
    share = entry.map / (entry.scale or 1.0)
    share = share if norm.vmin < 0 else np.abs(share)
    size = np.abs(share)
    alpha = opacity * np.clip(3 * size, 0, 1) * (size >= widget.values["threshold"])
    axes.imshow(_picture(widget) * (1 - 0.5 * opacity), cmap="gray", vmin=0, vmax=1)
    axes.imshow(share, cmap=_scale(norm), norm=norm, alpha=alpha)


def _scale(norm: Normalize) -> str:
    return "inferno" if norm.vmin >= 0 else "PuOr"


def _picture(widget: Any) -> np.ndarray:
    """(H, W) or (H, W, 3) as imshow takes it."""
    pixels = widget.inquiry.picture[0].cpu().numpy()
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
