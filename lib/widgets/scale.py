"""The scale calculator: from the shape of a Transformer to what training it costs.

`ScaleCalculator()` shows it. The formulas are those of `lib.scale`; the page has them
too, so every slider answers at once, and a test holds both to the same numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from lib.scale import (
    BYTES,
    GPUS,
    PRESETS,
    STATES,
    Shape,
    gpu_hours,
    memory,
    operations,
    parameters,
)
from lib.widgets.base import LiveWidget, page, styles
from lib.widgets.controls import Control

SHAPE = ("kind", "num_layers", "channels", "num_heads", "hidden", "vocab_size",
         "context", "tied")  # fmt: skip
NAMES = {"parameters": "Parameters", "operations": "Operations for one token, forward",
         "memory": "Memory for training, bytes"}  # fmt: skip


def _whole(name: str, label: str, default: int, low: int, high: int, help: str = ""):
    return Control(name, label, "log", default, low, high, 0.02, help=help)


class ScaleCalculator(LiveWidget):
    """Parameters, operations, memory and hours of a Transformer, from its shape.

    Args:
        preset: a key of `lib.scale.PRESETS`; the shape that is shown first.
        **values: controls by name: kind, num_layers, channels, num_heads, hidden,
            vocab_size, context, tied, batch, precision, tokens, gpu, utilisation.

    Raises:
        ValueError: a control that does not exist, or a value that it does not allow.
    """

    _esm = page("core.js", "ui.js", "plot.js", "scale.js")
    _css = styles("scale.css")

    CONTROLS = (
        Control("preset", "Model", "choice", "gpt2",
                choices=(*((key, title) for key, (title, _) in PRESETS.items()),
                         ("own", "your own"))),
        Control("kind", "Kind", "choice", "decoder",
                choices=(("decoder", "decoder, like GPT"),
                         ("encoder", "encoder, like BERT"))),
        _whole("num_layers", "Layers L", 12, 1, 200),
        _whole("channels", "Width C", 768, 8, 20_000, "Numbers for one position"),
        _whole("num_heads", "Heads H", 12, 1, 200, "They share the width"),
        _whole("hidden", "Feed-forward F", 3072, 8, 80_000, "Often 4 C"),
        _whole("vocab_size", "Vocabulary V", 50_257, 16, 300_000),
        _whole("context", "Context T", 1024, 8, 1_000_000, "Tokens of one sequence"),
        Control("tied", "Output shares the token table", "toggle", True,
                help="Else a decoder has a second table of V x C"),
        _whole("batch", "Batch", 8, 1, 4096, "Sequences of full context at once"),
        Control("precision", "Numbers", "choice", "bf16",
                choices=(("bf16", "16 bit, mixed"), ("fp32", "32 bit"))),
        Control("tokens", "Tokens seen", "log", 1e10, 1e6, 1e14, 0.02,
                help="In the whole training, repeated ones counted again"),
        Control("gpu", "GPU", "choice", "a100",
                choices=tuple((key, facts[0]) for key, facts in GPUS.items())),
        Control("utilisation", "Share of the peak", "range", 0.4, 0.05, 1.0, 0.05,
                help="0.3 to 0.5 is good for large models"),
    )  # fmt: skip

    def __init__(self, preset: str = "gpt2", **values: Any) -> None:
        self._told: dict[str, Any] = {}
        self._base = PRESETS["gpt2"][1]
        super().__init__(preset=preset, **values)
        self._take_preset()
        own = {name: value for name, value in values.items() if name in SHAPE}
        if own:
            self.set(**own)

    def _take_preset(self) -> None:
        if self.values["preset"] == "own":
            return
        self._base = PRESETS[self.values["preset"]][1]
        for name in SHAPE:
            self.values[name] = getattr(self._base, name)

    def changed(self, name: str) -> None:
        if name == "preset":
            self._take_preset()
        elif name in SHAPE:
            self.values["preset"] = "own"

    @property
    def shape(self) -> Shape:
        """The shape on show."""
        return replace(self._base, **{name: self.values[name] for name in SHAPE})

    def run(self) -> dict[str, Any]:
        """All results as a dict: the parts of lib.scale, and "gpu_hours"."""
        v, shape = self.values, self.shape
        return {
            "parameters": parameters(shape),
            "operations": operations(shape),
            "memory": memory(shape, v["batch"], v["precision"]),
            "gpu_hours": gpu_hours(
                shape, v["tokens"], v["gpu"], v["utilisation"], v["precision"]
            ),
        }

    def _extra(self) -> dict[str, Any]:
        """What the page needs beside the controls."""
        return {"segments": self._base.segments, "pooler": self._base.pooler}

    def state(self) -> dict[str, Any]:
        self._told = dict(self.values)
        gpus = {key: facts[1:] for key, facts in GPUS.items()}
        return {"extra": self._extra(), "gpus": gpus, "bytes": BYTES,
                "states": STATES, "names": NAMES}  # fmt: skip

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        if self._told == self.values:
            return None
        self._told = dict(self.values)
        content = {"kind": "news", "values": self._told, "extra": self._extra()}
        return content, []

    def describe(self) -> str:
        return "Scale calculator: what a Transformer of this shape costs"

    def figure(self) -> Figure:
        """The three bars of the page, with the totals."""
        results = self.run()
        figure = Figure(figsize=(10.5, 5.4), layout="constrained")
        for axes, (key, name) in zip(figure.subplots(3, 1), NAMES.items(), strict=True):
            left, total = 0.0, sum(results[key].values())
            for k, (part, value) in enumerate(results[key].items()):
                axes.barh([0], [value], left=left, color=COLOURS[k], label=part)
                left += value
            axes.set(yticks=[], xlim=(0, total), title=f"{name}: {total:.3g}")
            # below the bar, which fills its axes
            axes.legend(ncols=6, fontsize=9, frameon=False, loc="upper left",
                        bbox_to_anchor=(0, -0.25), borderaxespad=0)  # fmt: skip
        hours = results["gpu_hours"]
        figure.suptitle(f"{hours:.3g} hours of one {self.values['gpu'].upper()}")
        return figure


# Okabe and Ito's, in the order of the parts; the page has the same
COLOURS = ("#0072b2", "#e69f00", "#007e5d", "#d55e00", "#cc79a7", "#56b4e9")
