"""Augmentation: one picture in fifteen versions, and what they are good for.

`Augmentation(model=...)` shows what each setting of `lib.augment` does to a digit or a
photograph, what a trained model reads in every version, and beside it two networks that
learn from the same few digits, one with augmentation and one without. The numbers come
from `lib.augmentation_lab`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from lib.augmentation_lab import SIZE, Comparison, Settings, photographs, typical_digits
from lib.augmentation_lab import versions as make_versions
from lib.device import available_devices
from lib.widgets.base import LiveWidget, Work, as_bytes, page
from lib.widgets.controls import Control

COUNT = 15  # versions beside the picture itself
STEPS = 400  # updates of each network
PHOTOGRAPHS = ("china", "flower")
STRENGTHS = ("degrees", "shift", "scale", "flip", "noise", "erase")
WITH, WITHOUT = "#0072b2", "#d55e00"


class Augmentation(LiveWidget):
    """Versions of a picture, what a model reads in them, and training with and without.

    Args:
        model: takes digits from 0 to 1, (B, 1, 16, 16) or as its `image_size` says, and
            gives (B, 10) logits, such as a trained `CNN(16)`; its prediction stands
            under each version. None shows no predictions.
        **values: controls by name: picture, degrees, shift, scale, flip, noise, erase,
            honest, seed, examples, device.

    Raises:
        ValueError: a model of other shapes, or a value that a control does not allow.
    """

    PICTURED = True
    _esm = page("core.js", "ui.js", "plot.js", "augmentation.js")

    CONTROLS = (
        Control("picture", "Picture", "choice", "6",
                choices=(*((str(k), f"a digit: {k}") for k in range(10)),
                         ("china", "photo of a temple"),
                         ("flower", "photo of a flower"))),
        Control("degrees", "Turn, up to °", "range", 15, 0, 180, 5,
                help="Each version is turned by another angle, to the left or right"),
        Control("shift", "Shift, up to %", "range", 8, 0, 40, 1,
                help="Of the side of the picture, in both directions"),
        Control("scale", "Scale, up to ± %", "range", 10, 0, 60, 5,
                help="20 is from 0.8 to 1.2 times the size"),
        Control("flip", "Mirrored, %", "range", 0, 0, 100, 10,
                help="Of so many versions left and right change places"),
        Control("noise", "Noise, %", "range", 0, 0, 50, 2,
                help="Standard deviation on each pixel; 100 is from black to white"),
        Control("erase", "Erased square, %", "range", 0, 0, 60, 5,
                help="Its side, of the side of the picture"),
        Control("honest", "Mark versions read as another digit", "toggle", True,
                help="Where the model reads another digit, the label may no longer be "
                     "true"),
        Control("seed", "Seed", "range", 0, 0, 99, 1,
                help="The same seed draws the same versions"),
        Control("examples", "Training digits", "range", 100, 20, 400, 20,
                help="How many digits both networks learn from"),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices()),
                help="Where the two networks train; a new one starts again"),
    )  # fmt: skip

    def __init__(self, model: nn.Module | None = None, **values: Any) -> None:
        self.model = model
        size = getattr(model, "image_size", (SIZE, SIZE))[0]
        if model is not None:
            _check(model, size)
        self.pictures = typical_digits(size) | photographs()
        self.comparison: Comparison | None = None
        self._playing = False
        self._runs = 0
        self._told: dict[str, Any] = {}
        super().__init__(**values)
        self.versions: Tensor
        self.shares: Tensor | None
        self._draw()

    # ---- controls and commands

    @property
    def settings(self) -> Settings:
        return Settings(**{name: self.values[name] for name in STRENGTHS})

    def changed(self, name: str) -> None:
        if name in (*STRENGTHS, "picture", "seed"):
            self._draw()
        elif name in ("examples", "device"):
            self.do_reset()

    def _draw(self) -> None:
        """New versions, and what the model reads in them."""
        picture = self.pictures[self.values["picture"]]
        seed = self.values["seed"]
        self.versions = make_versions(picture, self.settings, seed, COUNT)
        self.shares = None
        if self.model is not None and self.values["picture"] not in PHOTOGRAPHS:
            self.shares = _read(self.model, self.versions)

    @property
    def changed_meaning(self) -> list[int]:
        """The versions, from 1, in which the model reads another digit."""
        if self.shares is None:
            return []
        other = self.shares.argmax(1) != int(self.values["picture"])
        return other[1:].nonzero()[:, 0].add(1).tolist()

    def do_play(self, pace: float = 0.0) -> None:
        """Train both on from here, `pace` steps a second; 0 is as fast as it can."""
        if self.comparison is None or self.comparison.step >= STEPS:
            self._begin()
        self._playing = True
        self.start(self._training(pace))

    def do_pause(self) -> None:
        self.stop()
        self._playing = False

    def do_step(self) -> None:
        """Train to the next measurement."""
        self.do_pause()
        if self.comparison is None:
            self._begin()
        self.start(self._until(len(self.comparison.rows) + 1))

    def do_reset(self) -> None:
        """Back to the first weights; the next training takes the present settings."""
        self.do_pause()
        self.comparison = None

    def unwatched(self) -> None:
        self.do_pause()

    def _begin(self) -> None:
        self._runs += 1
        v = self.values
        self.comparison = Comparison(
            self.settings, v["examples"], STEPS, seed=v["seed"], device=v["device"]
        )

    def _until(self, rows: int) -> Work:
        while len(self.comparison.rows) < rows and self.comparison.step < STEPS:
            self.comparison.advance()
            yield None

    def _training(self, pace: float) -> Work:
        try:
            for _ in self.comparison.work():
                yield 1 / pace if pace else None
        finally:
            self._playing = False

    def run(self, steps: int | None = None) -> Comparison:
        """Train both here and now, without a page.

        Args:
            steps: how many; to the end if not given.
        """
        self.do_pause()
        if self.comparison is None:
            self._begin()
        goal = STEPS if steps is None else self.comparison.step + steps
        while self.comparison.step < min(goal, STEPS):
            self.comparison.advance()
        self._note_change()
        return self.comparison

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        return {**content, **parts, "steps": STEPS}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        told, race = self._told, self.comparison
        rows = race.rows if race else []
        now = {
            "kind": "news",
            "values": dict(self.values),
            "run": self._runs,
            "playing": self._playing,
            "step": race.step if race else 0,
            "trained": [str(race.settings), race.examples] if race else None,
            "current": str(self.settings),
            "rows": len(rows),
        }
        if told.get("now") == now:
            return None
        same = told.get("now", {}).get("run") == self._runs and race is not None
        first = told["now"]["rows"] if same else 0
        shown = (self.settings, self.values["picture"], self.values["seed"])
        content = {**now, "from": first, "parts": ["rows"]}
        buffers = as_bytes(np.array(rows[first:], dtype="f4"))
        if told.get("shown") != shown:
            names, arrays = self._pictures()
            content["parts"] += names
            buffers += arrays
        self._told = {"now": now, "shown": shown}
        return content, buffers

    def _pictures(self) -> tuple[list[str], list[bytes]]:
        """Versions as bytes 0 to 255, row 0 on top, colours last; and probabilities."""
        x = (255 * self.versions.clamp(0, 1)).round().byte()
        shares = np.zeros(0) if self.shares is None else self.shares.numpy()
        pixels = x.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
        return ["versions", "shares"], [pixels, *as_bytes(shares)]

    # ---- without a page

    def describe(self) -> str:
        return f"Augmentation: {COUNT} versions of a picture, and training with them"

    def figure(self) -> Figure:
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        self._draw_versions(left)
        if self.comparison is not None:
            rows = np.array(self.comparison.rows)
            right.plot(rows[:, 0], 100 * rows[:, 1], color=WITH, label="with")
            right.plot(rows[:, 0], 100 * rows[:, 2], "--", color=WITHOUT,
                       label="without augmentation")  # fmt: skip
            right.legend()
        right.set(xlabel="step", ylabel="accuracy on digits kept back, %")
        right.set(xlim=(0, STEPS), ylim=(0, 100))
        right.grid(alpha=0.25)
        return figure

    def _draw_versions(self, axes: Any) -> None:
        """Two rows of eight; under each what the model reads."""
        x = self.versions.clamp(0, 1).permute(0, 2, 3, 1).numpy()
        for k, picture in enumerate(x):
            left, top = 1.1 * (k % 8), 1.45 * (k // 8)
            grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
            box = (left, left + 1, top + 1, top)
            axes.imshow(picture.squeeze(), extent=box, **grey)
            text = "picture" if k == 0 else ""
            if self.shares is not None:
                text = f"{self.shares[k].argmax()}: {self.shares[k].max():.2f}"
            marked = k in self.changed_meaning and self.values["honest"]
            look = {"color": WITHOUT, "fontweight": "bold"} if marked else {}
            axes.text(left + 0.5, top + 1.04, text, ha="center", va="top", fontsize=8,
                      **look)  # fmt: skip
        axes.set(xlim=(-0.05, 8.75), ylim=(2.75, -0.05))
        axes.set_axis_off()


@torch.no_grad()
def _read(model: nn.Module, x: Tensor) -> Tensor:
    """(versions, 10) probabilities on the CPU."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    was = model.training
    model.eval()
    try:
        return model(x.to(device)).softmax(1).cpu()
    finally:
        model.train(was)


def _check(model: nn.Module, size: int) -> None:
    """One picture through the model: it must give ten numbers."""
    asked = f"(B, 1, {size}, {size}) pictures and gives (B, 10) logits: a CNN({size})"
    try:
        shape = tuple(_read(model, torch.zeros(1, 1, size, size)).shape)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"model failed with {error}; give one that takes {asked}."
        ) from error
    if shape != (1, 10):
        raise ValueError(f"model gives {shape}; give one that takes {asked}.")
