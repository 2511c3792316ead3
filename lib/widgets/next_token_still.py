"""The still picture of `lib.widgets.next_token`, from the data that the page gets."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure

from lib.next_token_lab import as_text

BARS = 15


def next_token_figure(widget: Any) -> Figure:
    """The likeliest next tokens before and after the cuts, and the loss of training."""
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    if widget.small is None:
        bars, curve = figure.subplots(), None
    else:
        bars, curve = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _bars(bars, widget)
    if curve is not None:
        _curve(curve, widget.small)
    return figure


def _bars(axes: Any, widget: Any) -> None:
    axes.set(xlabel="probability of the next token", yticks=[])
    text = ascii_safe(as_text(widget.tokenizer, widget.shown))[-60:]
    axes.set_title(f"after: {text}", fontsize=10, loc="left")
    if widget.reader.logits is None:
        return
    before = torch.softmax(widget.reader.logits, -1)
    after = widget.probabilities()
    tokens = before.sort(descending=True, stable=True).indices[:BARS]
    rows = range(len(tokens))
    axes.barh([r - 0.2 for r in rows], before[tokens].tolist(), 0.36, color="#b8b8b8",
              label="by the model")  # fmt: skip
    axes.barh([r + 0.2 for r in rows], after[tokens].tolist(), 0.36, color="#0072b2",
              label="after temperature, top-k, top-p")  # fmt: skip
    names = [ascii_safe(widget.tokenizer.vocabulary[i]) for i in tokens]
    axes.set_yticks(list(rows), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * axes.get_xlim()[1])  # room for the legend
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(axis="x", alpha=0.25)


def _curve(axes: Any, small: Any) -> None:
    losses = small.losses
    if losses:
        axes.plot(range(1, len(losses) + 1), losses, color="#b8b8b8", linewidth=1,
                  label="each batch")  # fmt: skip
    steps = [m.step for m in small.moments]
    axes.plot(steps, [m.validation for m in small.moments], "o-", color="#d55e00",
              markersize=4, label="test part")  # fmt: skip
    last = max(1, len(losses))
    axes.set(xlabel="step", ylabel="loss, nats a token", xlim=(-0.03 * last, last))
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.25)


def ascii_safe(text: str) -> str:
    """Characters that the figure's font has; others by their number; no formulas."""
    text = text.replace("\n", "\\n")
    shown = (c if _has_glyph(c) else f"[{ord(c):x}]" for c in text)
    return "".join(shown).replace("$", "\\$")


def _has_glyph(c: str) -> bool:
    return c in "·’“”…–—" or (c.isprintable() and ord(c) < 0x250)
