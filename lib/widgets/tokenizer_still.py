"""The still picture of `lib.widgets.tokenizer`, from the data that the page gets."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from lib.widgets.next_token_still import ascii_safe


def tokenizer_figure(widget: Any) -> Figure:
    """The first merges with their counts, and how the number of tokens falls."""
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    film = widget.film
    names = film.tokenizer().vocabulary
    merges = film.merges[:15]
    rows = range(len(merges))
    left.barh(list(rows), [m.count for m in merges], 0.7, color="#0072b2")
    shown = [
        f"{ascii_safe(names[m.left])} + {ascii_safe(names[m.right])}" for m in merges
    ]
    left.set_yticks(list(rows), shown)
    left.invert_yaxis()
    left.set(xlabel="how often the pair stood side by side", title="the first merges")
    totals = [film.first_total, *(m.total for m in film.merges)]
    right.plot(totals, color="#d55e00", linewidth=2)
    right.set(xlabel="merges", ylabel="tokens in the training text", ylim=(0, None))
    right.grid(alpha=0.25)
    return figure
