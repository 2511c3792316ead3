"""The still picture of `AttentionView`, drawn from the data that the page gets."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

LABELS = 40  # tokens that still have room for their names


def attention_figure(widget: Any) -> Figure:
    """All heads, the chosen one with its tokens, and how far each output moved.

    The last only where something was changed, so that something has moved.

    Args:
        widget: an `AttentionView`.
    """
    record, values = widget.record, widget.values
    layer, head = values["layer"], values["head"]
    figure = Figure(figsize=(10.5, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    _grid(left.subplots(), record.look, layer, head, widget.off)
    moved = record.change.moved.numpy()
    if moved.max() > 0:
        large, bars = right.subplots(2, 1, height_ratios=(3, 1))
        bars.bar(range(len(moved)), moved, color="#0072b2")
        bars.set(ylabel="moved", ylim=(0, 1.1 * float(moved.max())))
        bars.set_xticks([])
    else:
        large = right.subplots()
    shown = np.sqrt(record.look.weights[layer, head].numpy())
    large.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    large.set(title=f"layer {layer}, head {head}", ylabel="from")
    tokens = record.look.tokens
    if len(tokens) <= LABELS:
        names = [token.replace("$", r"\$") for token in tokens]
        large.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        large.set_yticks(range(len(names)), names, fontsize=7)
    return figure


def _grid(axes: Any, look: Any, layer: int, head: int, off: set) -> None:
    """Every map as a tile; a frame around the chosen one, a cross over those off."""
    L, H, T, _ = look.weights.shape
    room = T + max(1, T // 12)
    tiles = np.full((L * room, H * room), np.nan)
    for i in range(L):
        for j in range(H):
            tile = np.sqrt(look.weights[i, j].numpy())
            tiles[i * room : i * room + T, j * room : j * room + T] = tile
    axes.imshow(tiles, cmap="Blues", vmin=0, vmax=1)
    centre = (T - 1) / 2
    axes.set_xticks([j * room + centre for j in range(H)], range(H))
    axes.set_yticks([i * room + centre for i in range(L)], range(L))
    axes.set(xlabel="head", ylabel="layer", title="root of the weight, 0 to 1")
    x, y = head * room - 0.5, layer * room - 0.5
    axes.plot([x, x + T, x + T, x, x], [y, y, y + T, y + T, y], color="#c44f00", lw=2)
    for i, j in off:
        x, y = np.array([0, T - 1]) + j * room, np.array([0, T - 1]) + i * room
        axes.plot(x, y, x, y[::-1], color="black", lw=1.5)
