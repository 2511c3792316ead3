"""Convolution with the hands: one kernel on one picture, and a network's every layer.

`Convolution()` has two parts. In the first the page computes: a kernel to edit, stride,
padding, dilation, pooling, and the sum behind each number, term by term. In the second
the kernel computes: a small `CNN` of lib, given or trained here, looks at the digit
that the reader draws, and its feature maps, dense layer and probabilities follow.

The numbers of both parts come from `lib.convolution_lab`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from lib.convolution_lab import (
    EXAMPLES,
    PATCH,
    SIZES,
    DigitNetwork,
    digits,
    feature_map,
    fit_digit,
    kernels,
    photographs,
    pooled,
    random_kernel,
)
from lib.datasets import load
from lib.device import available_devices
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control

SIDE = 16  # cells of the pad and of the network that is trained here
FIRST = 3  # the digit that stands on the pad at the beginning
MAPS = ("conv", "pooled", "output", "input")  # what travels of a network's work


@dataclass(frozen=True)
class Grid(Control):
    """A control whose value is a square of numbers; `sides` are its possible sizes."""

    sides: tuple[int, ...] = ()

    def _check_grid(self, value: Any) -> tuple[tuple[float, ...], ...]:
        sides = " or ".join(f"{n} x {n}" for n in self.sides)
        allowed = f"{sides} numbers from {self.low:g} to {self.high:g}, row by row"
        try:
            rows = tuple(tuple(row) for row in value)
        except TypeError:
            raise self._refuse(value, allowed) from None
        square = len(rows) in self.sides and {len(r) for r in rows} == {len(rows)}
        flat = [v for row in rows for v in row]
        right = all(isinstance(v, Real) and math.isfinite(v) for v in flat)
        if (
            not square
            or not right
            or not self.low <= min(flat) <= max(flat) <= (self.high)
        ):
            sizes = f"{len(rows)} rows with {len(flat)} values"
            raise ValueError(f"{self.name} was given {sizes}; it takes {allowed}.")
        return tuple(tuple(float(v) for v in row) for row in rows)


class Convolution(LiveWidget):
    """Slide a kernel over a picture, and look into a network that has learnt its own.

    Args:
        model: a trained `lib.models.cnn.CNN` for square grey pictures, to look into. If
            not given, the second part trains one of its own on the digits.
        epochs: how many passes that training makes.
        seed: of its first weights, and of the random kernels.
        **values: controls by name: part ("kernel" or "network"), picture, example,
            kernel (rows of numbers, or a name of `lib.convolution_lab.kernels(3)`),
            stride, padding, padding_mode, dilation, bias, relu, pooling, pool_size,
            drawing, fit, device.

    Raises:
        ValueError: another model, or a value that a control does not allow.
    """

    PICTURED = True
    _css = styles("convolution.css")
    _esm = page("core.js", "ui.js", "plot.js", "heat.js", "pad.js",
                "convolution_maps.js", "convolution_kernel.js",
                "convolution_layers.js", "convolution.js")  # fmt: skip

    CONTROLS = (
        Control("part", "Show", "choice", "kernel",
                choices=(("kernel", "1. One kernel on one picture"),
                         ("network", "2. Every layer of a trained network"))),
        Control("picture", "Picture", "choice", "digit",
                choices=(("digit", "a digit"), ("drawn", "what you draw"),
                         ("china", "photo of a temple"),
                         ("flower", "photo of a flower"))),
        Control("example", "Which digit", "range", FIRST, 0, EXAMPLES - 1, 1,
                help="Fifty digits of the set, 0 to 9 again and again"),
        Grid("kernel", "Kernel", "grid", (), -100.0, 100.0, sides=SIZES),
        Control("stride", "Stride", "range", 1, 1, 3, 1,
                help="Cells from one position of the window to the next"),
        Control("padding", "Padding", "range", 0, 0, 3, 1,
                help="Cells put round the picture, on each side"),
        Control("padding_mode", "Padding with", "choice", "zero",
                choices=(("zero", "zeros"), ("reflect", "a mirror"))),
        Control("dilation", "Dilation", "range", 1, 1, 3, 1,
                help="Cells from one weight of the kernel to the next"),
        Control("bias", "Bias", "range", 0.0, -2.0, 2.0, 0.1,
                help="Added to each sum"),
        Control("relu", "ReLU: negative sums become 0", "toggle", False),
        Control("pooling", "Pooling", "choice", "none",
                choices=(("none", "none"), ("max", "the largest"),
                         ("average", "the mean"))),
        Control("pool_size", "Pooling window", "range", 2, 2, 3, 1),
        Grid("drawing", "Your digit", "grid", (), 0.0, 1.0),
        Control("fit", "Centre and scale it", "toggle", True,
                help="As the digits of the training set are: filling the height"),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices()),
                help="A new device starts the training again"),
    )  # fmt: skip

    def __init__(
        self,
        model: nn.Module | None = None,
        epochs: int = 12,
        seed: int = 0,
        **values: Any,
    ) -> None:
        self.given, self.epochs, self.seed = model, epochs, seed
        self.network: DigitNetwork | None = None
        if model is not None:
            self.network = DigitNetwork(model)
        self.side = SIDE if self.network is None else self.network.size
        self.CONTROLS = tuple(self._fitted(c) for c in self.CONTROLS)
        if isinstance(values.get("kernel"), str):
            values["kernel"] = _named(values["kernel"])
        self.digits, self.photographs = digits()[0], photographs()
        self.shown: int | None = None  # epoch on show; None is the newest weights
        self._playing = False
        self._randoms = 0
        self._taken = -1  # the last digit of the validation part that was taken
        self._runs = 0
        self._told: dict[str, Any] = {}
        super().__init__(**values)
        self._open_network()

    def _fitted(self, control: Control) -> Control:
        from dataclasses import replace

        if control.name == "kernel":
            return replace(control, default=_rows(kernels(3)["edges left-right"]))
        if control.name == "drawing":
            first = load("digits", size=self.side, flat=False).x[FIRST, 0]
            return replace(control, default=_rows(first), sides=(self.side,))
        return control

    # ---- part 1: what the page computes too

    @property
    def picture(self) -> Tensor:
        """The picture under the kernel, (rows, columns) from 0 to 1."""
        name = self.values["picture"]
        if name == "digit":
            return self.digits[self.values["example"]]
        if name == "drawn":
            return torch.tensor(self.values["drawing"])
        return self.photographs[name]

    def result(self) -> dict[str, Tensor | None]:
        """The output map and the pooled one, as the page shows them.

        Returns:
            {"map": (rows, columns) or None where the kernel does not fit in, "pooled":
            (rows, columns) or None without pooling or room for it}.
        """
        v = self.values
        names = ("stride", "padding", "dilation", "bias", "relu")
        options = {name: v[name] for name in names} | {"mode": v["padding_mode"]}
        kernel = torch.tensor(v["kernel"])
        span = v["dilation"] * (len(kernel) - 1) + 1
        if span > len(self.picture) + 2 * v["padding"]:
            return {"map": None, "pooled": None}
        values = feature_map(self.picture, kernel, **options)
        room = v["pooling"] != "none" and min(values.shape) >= v["pool_size"]
        small = pooled(values, v["pooling"], v["pool_size"]) if room else None
        return {"map": values, "pooled": small}

    def do_random(self, size: int) -> None:
        """Another random kernel; the same one after the other for the same seed."""
        self.set(kernel=_rows(random_kernel(size, 1000 * self.seed + self._randoms)))
        self._randoms += 1

    # ---- part 2: the network

    def changed(self, name: str) -> None:
        if name == "part":
            self._open_network()
        elif name == "device" and self.network is not None:
            self.do_reset()

    def _open_network(self) -> None:
        """The first look at the second part makes the network and begins to train."""
        if self.values["part"] == "network" and self.network is None:
            self.network = self._untrained()
            self.do_play()

    def _untrained(self) -> DigitNetwork:
        self._runs += 1
        return DigitNetwork(None, self.epochs, self.seed, self.values["device"])

    def do_play(self, pace: float = 0.0) -> None:
        """Train on from here, `pace` epochs a second; 0 is as fast as it can."""
        if self.network is None or self.network.given:
            return
        if self.network.epoch >= self.epochs:
            self.network = self._untrained()
        self.shown, self._playing = None, True
        self.start(self._training(pace))

    def do_pause(self) -> None:
        self.stop()
        self._playing = False

    def do_step(self) -> None:
        """Train to the end of this epoch."""
        self.do_pause()
        if self.network is not None and not self.network.given:
            self.shown = None
            self.start(self._until(min(self.network.epoch + 1, self.epochs)))

    def do_reset(self) -> None:
        """Back to the first weights."""
        self.do_pause()
        if not self.given:
            self.network, self.shown = self._untrained(), None

    def do_seek(self, epoch: int) -> None:
        """Show the network as it was after this epoch."""
        self.do_pause()
        if self.network is not None:
            self.shown = min(max(0, int(epoch)), self.network.epoch)

    def do_another(self) -> None:
        """Put the next digit that the network was not trained on upon the pad."""
        parts = load("digits", size=self.side, flat=False).split(test=0.0)
        self._taken += 1
        x = parts.validation.x[self._taken % len(parts.validation.x), 0]
        self.set(drawing=_rows(x))

    def unwatched(self) -> None:
        self.do_pause()

    def _until(self, epoch: int) -> Work:
        while self.network.epoch < epoch:
            self.network.advance()
            yield None

    def _training(self, pace: float) -> Work:
        network = self.network
        pause = 1 / (pace * network.steps_an_epoch) if pace else None
        try:
            for _ in network.work():
                yield pause
        finally:
            self._playing = False

    def run(self) -> dict[str, Tensor | None]:
        """What the part on show computes, without a page; a network is trained first.

        Returns:
            `result()`, or what `lib.convolution_lab.DigitNetwork.see` gives.
        """
        if self.values["part"] == "kernel":
            return self.result()
        self.do_pause()
        for _ in self.network.work():
            pass
        self.shown = None
        self._note_change()
        return self.seen()

    @property
    def digit(self) -> Tensor:
        """What the network looks at: the drawing, centred and scaled if asked."""
        drawing = torch.tensor(self.values["drawing"])
        return fit_digit(drawing) if self.values["fit"] else drawing

    def seen(self) -> dict[str, Tensor]:
        """Everything the network on show computes of the drawing."""
        return self.network.see(self.digit, self.shown)

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        names = {str(n): {k: _rows(v) for k, v in kernels(n).items()} for n in SIZES}
        return {
            **content,
            **parts,
            "side": self.side,
            "examples": (16 * self.digits).round().byte().numpy().tobytes(),
            "patches": as_bytes(torch.stack([*self.photographs.values()]))[0],
            "patch": PATCH,
            "kernels": names,
            "given": self.given is not None,
        }

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        told = self._told
        fresh = {k: v for k, v in self.values.items() if told.get(k) != v}
        now = {} if self.network is None else self._progress()
        if not fresh and told.get("now") == now:
            return None
        content, buffers = {"kind": "news", "values": fresh, "parts": [], **now}, []
        seen = self._looked_at()
        if seen is not None and told.get("seen") != seen:
            content["parts"], buffers = self._network_parts(told.get("seen"))
        self._told = {**self.values, "now": now, "seen": seen}
        return content, buffers

    def _progress(self) -> dict[str, Any]:
        network = self.network
        return {
            "run": self._runs,
            "epoch": network.epoch,
            "epochs": 0 if network.given else network.epochs,
            "shown": network.epoch if self.shown is None else self.shown,
            "step": network.step,
            "steps": network.steps_an_epoch * network.epochs,
            "playing": self._playing,
            "accuracies": [None if math.isnan(a) else a for a in network.accuracies],
            "loss": network.losses[-1] if network.losses else None,
            "channels": len(network.model.conv.weight),
            "classes": len(network.model.dense.weight),
        }

    def _looked_at(self) -> tuple | None:
        """Which weights see which drawing."""
        if self.network is None:
            return None
        weights = (self._runs, self.network.step, self.shown)
        return weights, self.values["drawing"], self.values["fit"]

    def _network_parts(self, told: tuple | None) -> tuple[list[str], list[bytes]]:
        """The maps of this drawing; the weights only where those have changed."""
        seen = self.seen()
        parts = {name: seen[name] for name in MAPS}
        if told is None or told[0] != self._looked_at()[0]:
            weights = self.network.weights(self.shown)
            for name in ("conv.weight", "conv.bias", "dense.weight", "dense.bias"):
                parts[name] = weights[name]
        return list(parts), as_bytes(*parts.values())

    def describe(self) -> str:
        return "Convolution: a kernel on a picture, and the layers of a small CNN"

    def figure(self) -> Figure:
        from lib.widgets.convolution_still import kernel_figure, network_figure

        if self.values["part"] == "network":
            return network_figure(self.seen(), self.network, self.shown)
        return kernel_figure(self)


def _named(name: str) -> list[list[float]]:
    known = kernels(3)
    if name not in known:
        raise ValueError(
            f"kernel was given {name!r}; it takes rows of numbers or one of "
            f"{', '.join(known)}."
        )
    return _rows(known[name])


def _rows(values: Tensor) -> tuple[tuple[float, ...], ...]:
    """Numbers for JSON: floats without the digits that float32 does not have."""
    return tuple(
        tuple(float(np.format_float_positional(v, unique=True)) for v in row)
        for row in values.numpy()
    )
