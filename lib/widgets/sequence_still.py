"""The still picture of `lib.widgets.sequence`: gates and states, and the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

LOOKS = {"rnn": ("RNN", "#d55e00", "s"), "gru": ("GRU", "#009e73", "^"),
         "lstm": ("LSTM", "#0072b2", "o")}  # fmt: skip


def sequence_figure(widget: Any) -> Figure:
    """Units against time for each gate and state, and gradient against distance."""
    figure = Figure(figsize=(10.5, 4.8), layout="constrained")
    chosen = widget.values["cell"]
    traces = [t for k, t in widget.traces.items() if chosen in (k, "all")]
    strips = [(t, name) for t in traces for name in t.values]
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    for axes, (trace, name) in zip(
        np.atleast_1d(left.subplots(len(strips), 1, sharex=True)), strips, strict=True
    ):
        _draw_strip(axes, trace, name)
    ticks = range(len(widget.labels))
    axes.set_xticks(ticks, widget.labels, fontsize=7, rotation=90)
    _draw_reach(right.subplots(), widget)
    return figure


def _draw_strip(axes: Any, trace: Any, name: str) -> None:
    values = trace.values[name].T
    gate = name.endswith("gate")
    top = 1.0 if gate else max(1.0, float(np.abs(values).max()))
    low, colours = (0.0, "Blues") if gate else (-top, "RdBu")
    axes.imshow(values, aspect="auto", cmap=colours, vmin=low, vmax=top,
                interpolation="nearest")  # fmt: skip
    axes.set_yticks([])
    label = f"{LOOKS[trace.kind][0]}\n{name.replace('_', ' ')}"
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=7)


def _draw_reach(axes: Any, widget: Any) -> None:
    which = ("input", "state").index(widget.values["of"])
    records = widget.records
    for row, kind in enumerate(widget.kinds):
        label, colour, mark = LOOKS[kind]
        for record, line, when in ((records[0], ":", "before"),
                                   (records[-1], "-", "after training")):  # fmt: skip
            if record is records[0] and when != "before":
                continue
            reach = record.reach[row, which][::-1]
            share = np.where(reach > 0, reach, np.nan) / reach[0]
            look = {"color": colour, "marker": mark, "markersize": 4}
            look["markevery"] = max(1, len(share) // 8)
            axes.plot(share, line, label=f"{label} {when}", **look)
    axes.set(yscale="log", xlabel="distance from the end, steps",
             ylabel="gradient, share of that at the end")  # fmt: skip
    axes.legend(fontsize=7)
    axes.grid(alpha=0.25)
