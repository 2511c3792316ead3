"""Five heatmaps of one answer side by side, while the network that gives it trains.

`Heatmaps()` shows them. The maps are made by `lib.heatmap_inquiry`, the networks and
pictures by `lib.heatmap_subjects`. Maps travel as bytes with a scale; colours, opacity,
threshold and what lies under the pointer are the page's own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from lib.datasets import Dataset, load
from lib.device import available_devices, choose_device
from lib.heatmap_inquiry import Inquiry
from lib.heatmap_subjects import SUBJECTS, Subject, from_data
from lib.heatmaps import BASELINES, METHODS, Settings, window_of
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control
from lib.widgets.playing import Beat

FRAME = 1 / 32  # seconds between two updates at the speeds that a person can follow
FAST = 10  # steps between two updates at full speed
SPEEDS = (("1", "1 step a frame"), ("5", "5 steps"), ("0", "as fast as it can"))
TITLES = {"digits": "digits, drawn or chosen", "photographs": "photographs",
          "shapes": "shapes", "own": "this lesson's pictures"}  # fmt: skip
MADE_WITH = {"samples": "smooth_grad", "noise": "smooth_grad",
             "steps": "integrated_gradients", "baseline": "integrated_gradients",
             "window": "occlusion", "layer": "grad_cam"}  # fmt: skip
PREDICTED = ("predicted", "the predicted class")
LAST = ("last", "the usual one")


class Heatmaps(LiveWidget):
    """Draw or choose a picture; see which part of it the answer comes from.

    Args:
        model: trained in the lesson; a copy of it is asked, and trained when you press
            play. None: small networks of the widget's own.
        data: a `Dataset` of pictures (N, 1 or 3, H, W), 0 to 1, with classes. With a
            model alone: digits, 28 x 28.
        seed: of weights, batches and noise.
        device: "cpu", "cuda", "mps"; the best one found if not given.
        **values: other controls by name, as in `CONTROLS`.

    Raises:
        ValueError: model and data that do not fit, or a value that is not allowed.
    """

    _esm = page("core.js", "ui.js", "plot.js", "heat.js", "pad.js",
                "heatmaps_pictures.js", "heatmaps.js")  # fmt: skip
    _css = styles("heatmaps.css")
    PICTURED = True

    CONTROLS = (
        Control("source", "Pictures", "choice", "digits",
                choices=tuple((k, TITLES[k]) for k in SUBJECTS)),
        Control("target", "Explain", "choice", "predicted",
                choices=(PREDICTED, *((str(k), str(k)) for k in range(10))),
                help="The class whose score the maps explain"),
        Control("layer", "Layer", "choice", "last", choices=(LAST,),
                help="The maps inside the network that Grad-CAM weighs"),
        Control("sign", "Show", "choice", "absolute",
                choices=(("absolute", "how much (absolute)"),
                         ("signed", "for and against (signed)"))),
        Control("opacity", "Opacity", "range", 0.85, 0.0, 1.0, 0.05,
                help="0 shows the picture alone"),
        Control("threshold", "Hide below", "range", 0.0, 0.0, 0.95, 0.05,
                help="Cells below this part of the map's largest are not coloured"),
        Control("samples", "Samples", "range", 25, 1, 100, 1,
                help="Noisy copies of the picture"),
        Control("noise", "Noise", "range", 0.15, 0.0, 0.5, 0.01,
                help="Standard deviation, as a part of the picture's range"),
        Control("steps", "Steps", "range", 50, 1, 200, 1,
                help="Points on the way from the baseline to the picture"),
        Control("baseline", "Baseline", "choice", "black",
                choices=tuple((b, b) for b in BASELINES),
                help="The picture that says nothing, where the way begins"),
        Control("window", "Window %", "range", 16.0, 4.0, 50.0, 1.0,
                help="Side of the covering square, in % of the picture's shorter side"),
        Control("speed", "Speed", "choice", "1", choices=SPEEDS),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices()),
                help="Where the network trains; a new device starts again"),
    )  # fmt: skip

    def __init__(
        self,
        model: nn.Module | None = None,
        data: Dataset | None = None,
        seed: int = 0,
        **values: Any,
    ) -> None:
        values["device"] = _listed(values.get("device"))
        self.seed, self._playing = seed, False
        self._own = None
        if model is not None or data is not None:
            if data is None:
                data = load("digits", size=28, flat=False)
            self._own = (data, model)
            values.setdefault("source", "own")
        self._told: dict[str, Any] = {}
        self._progress: tuple[str, int, int] | None = None  # of making the pictures
        self.subject: Subject | None = None
        self.inquiry: Inquiry | None = None
        self._subjects: dict[str, Subject] = {}
        self.CONTROLS = self._fitted(self.CONTROLS, values["device"])
        super().__init__(**values)
        for _ in self._fetching():
            pass
        self._check_for_subject(self.values)
        for _ in self.inquiry.cheap():
            pass
        self.start(self.inquiry.explain())

    def _fitted(
        self, controls: tuple[Control, ...], device: str
    ) -> tuple[Control, ...]:
        """Choices for the lesson's own model: its pictures, classes and layers."""
        sources, layers = tuple(SUBJECTS), ["conv", "hidden", "pooled", "stem"]
        layers += [f"block_{i}{end}" for i in (1, 2, 3) for end in ("_hidden", "")]
        classes = 10
        if self._own is not None:
            self._subjects["own"] = own = from_data(*self._own, self.seed, device)
            sources, layers, classes = ("own",), own.layers, len(own.classes)
        choices = {
            "source": tuple((k, TITLES[k]) for k in sources),
            "layer": (LAST, *((n, n) for n in layers)),
            "target": (PREDICTED, *((str(k), str(k)) for k in range(classes))),
        }
        return tuple(
            replace(c, choices=choices[c.name],
                    default=sources[0] if c.name == "source" else c.default)
            if c.name in choices else c
            for c in controls
        )  # fmt: skip

    # ---- controls and commands

    def set(self, **values: Any) -> None:
        """Set controls by name, as a hand on the page would.

        Raises:
            ValueError: also for a class or layer that these pictures' network lacks.
        """
        checked = self._checked(values)
        if checked.get("source", self.values["source"]) == self.values["source"]:
            self._check_for_subject(checked)
        super().set(**checked)

    def _check_for_subject(self, values: dict[str, Any]) -> None:
        subject = self.subject
        if subject is None:
            return
        target, layer = values.get("target"), values.get("layer")
        if target not in (None, "predicted") and int(target) >= len(subject.classes):
            raise ValueError(
                f"target was given {target!r}; these pictures have the classes 0 to "
                f"{len(subject.classes) - 1}: {', '.join(subject.classes)}."
            )
        if layer not in (None, "last", *subject.layers):
            raise ValueError(
                f"layer was given {layer!r}; this network has "
                f"{', '.join(subject.layers) or 'none that Grad-CAM can use'}."
            )

    def changed(self, name: str) -> None:
        if name in ("source", "device"):
            self._playing = False
            if name == "device":
                self._subjects.clear()
            self.values["target"], self.values["layer"] = "predicted", "last"
            self.start(self._changing())
        elif name == "target":
            self._redo(METHODS)
        elif name in MADE_WITH:
            self._redo((MADE_WITH[name],))

    def do_example(self, index: int) -> None:
        """Choose one of the example pictures."""
        if not self._fetched:
            return
        if not 0 <= int(index) < len(self.subject.examples):
            raise ValueError(
                f"There is no example {index}; choose one from 0 to "
                f"{len(self.subject.examples) - 1}."
            )
        self._take_picture(self.subject.examples[int(index)][None], int(index))

    def do_draw(self, ink: str, page: str = "", number: int = 0) -> None:
        """Ask about a drawing: H x W bytes, base64; page and number name its origin."""
        if not self._fetched:
            return
        H, W = self.inquiry.picture.shape[2:]
        try:
            levels = np.frombuffer(base64.b64decode(ink, validate=True), np.uint8)
        except (binascii.Error, TypeError, ValueError):
            levels = np.zeros(0, np.uint8)
        if levels.size != H * W or not self.drawable:
            raise ValueError(
                f"A drawing of {levels.size} cells was given; these pictures take "
                f"{f'{H} x {W} cells of one byte' if self.drawable else 'none'}."
            )
        drawn = torch.from_numpy(levels.reshape(1, 1, H, W) / np.float32(255))
        self._drawing = [page, number]
        self._take_picture(drawn.to(self.subject.device), None)

    def do_play(self) -> None:
        if self._fetched and not self._playing:
            self._playing = True
            self.start(self._training())

    def do_pause(self) -> None:
        if self._playing:
            self._playing = False
            self.subject.record(now=True)
            self._see(None)

    def do_step(self) -> None:
        """One step of training."""
        if self._fetched:
            self._playing = False
            self.subject.advance()
            self.subject.record(now=True)
            self._see(None)

    def do_reset(self) -> None:
        """Back to the first weights, untrained unless the lesson trained them."""
        if self._fetched:
            self._playing = False
            self.subject.reset()
            self._see(None)

    def do_seek(self, step: int) -> None:
        """Ask the network of an earlier step."""
        if self._fetched:
            self._playing = False
            self._see(int(step))

    def do_randomise(self) -> None:
        """Draw the weights anew from the last layer down; see what each map does."""
        if self._fetched:
            self._playing = False
            generator = torch.Generator().manual_seed(self.seed)
            self.start(self.inquiry.randomise(generator))

    def do_cancel(self) -> None:
        """End the long job that runs; what is done stays."""
        self._abandon()

    def run(self, steps: int = 0) -> dict[str, np.ndarray]:
        """Train so many steps and make all maps, here and now; the maps, (H, W)."""
        self.finish()
        for _ in range(steps):
            self.subject.advance()
            self.subject.record()
        if steps:
            self.subject.record(now=True)
            self._see(None)
        self._redo(self.inquiry.due)
        self.finish()
        return {method: entry.map for method, entry in self.inquiry.maps.items()}

    def unwatched(self) -> None:
        self._abandon()

    # ---- the picture and the network

    @property
    def drawable(self) -> bool:
        """Whether the reader can draw these pictures: grey and square."""
        _, C, H, W = self.inquiry.picture.shape
        return C == 1 and H == W

    def _take_picture(self, picture: torch.Tensor, example: int | None) -> None:
        self.inquiry.show(picture, example)
        if not self._playing:
            self.start(self.inquiry.explain())

    def _see(self, step: int | None) -> None:
        self.subject.look(step)
        self._redo(METHODS)

    def _redo(self, methods: Iterable[str], start: bool = True) -> None:
        """Make these maps anew: now, or at the next update while the network trains."""
        names = ("samples", "noise", "steps", "baseline", "window")
        settings = {name: self.values[name] for name in names}
        self.inquiry.settings = Settings(seed=self.seed, **settings)
        target, layer = self.values["target"], self.values["layer"]
        self.inquiry.wanted = None if target == "predicted" else int(target)
        self.inquiry.layer = self.subject.layer if layer == "last" else layer
        self.inquiry.redo(methods)
        if start and self._fetched and not self._playing:
            self.start(self.inquiry.explain())

    def _fetching(self) -> Work:
        """Make the subject that is asked for, and train it for a moment."""
        name = self.values["source"]
        self._fetched = False
        if name not in self._subjects:
            if name == "own":
                subject = from_data(*self._own, self.seed, self.values["device"])
            else:
                making = SUBJECTS[name](self.seed, self.values["device"])
                subject = yield from self._made(making)
            self._subjects[name] = subject
            for k in range(subject.warm):
                self._progress = ("first steps of training", k, subject.warm)
                subject.advance()
                if k % 5 == 4:
                    subject.record(now=True)
                yield
        self.subject = self._subjects[name]
        self._drawing = ["", 0]
        self.subject.look(None)
        self.inquiry = Inquiry(self.subject, Settings())
        self._subject_serial = self.inquiry.next_serial()
        self._progress, self._fetched = None, True
        self._redo(METHODS, start=False)

    def _made(self, making: Iterator) -> Work:
        while True:
            try:
                share = next(making)
            except StopIteration as end:
                return end.value
            self._progress = ("making the pictures", round(100 * share), 100)
            yield

    def _changing(self) -> Work:
        yield from self._fetching()
        yield from self.inquiry.explain()

    def _abandon(self) -> None:
        """End the work; pictures that were not ready are not those that are shown."""
        self._playing = False
        self.stop()
        self._progress = None
        self.inquiry.progress = None
        if not self._fetched:
            self.values["source"], self._fetched = self.subject.name, True

    def _training(self) -> Work:
        """Steps, and after each few the cheap maps; the costly ones at the end."""
        subject = self.subject
        goal = (subject.step // subject.goal + 1) * subject.goal
        beat = Beat()
        try:
            while self._playing and subject.step < goal:
                pace = int(self.values["speed"])
                for _ in range(min(pace or FAST, goal - subject.step)):
                    subject.advance()
                    yield
                subject.record(now=subject.step == goal)
                yield
                subject.look(None)
                self._redo(METHODS, start=False)
                yield from self.inquiry.cheap()
                yield beat.rest(FRAME) if pace else None
        except Exception:
            self._playing = False  # the page then offers "play" again
            raise
        self._playing = False
        yield from self.inquiry.explain()

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        return {**content, "buffers": parts}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        now, told = self._now(), self._told
        if told.get("now") == now:
            return None
        content, parts, buffers = {"kind": "news", **now}, [], []

        def add(name: str, serial: Any, make: Any) -> None:
            if told.get(name) != serial:
                parts.append(name)
                buffers.append(make())
            kept[name] = serial

        kept: dict[str, Any] = {"now": now}
        subject, inquiry = self.subject, self.inquiry
        add("examples", self._subject_serial, lambda: _levels(subject.examples))
        add("picture", inquiry.picture_serial, lambda: _levels(inquiry.picture))
        for m, entry in inquiry.maps.items():
            add(f"map:{m}", entry.serial, entry.levels.tobytes)
        for k, stage in enumerate(inquiry.stages):
            for m, entry in stage["maps"].items():
                add(f"stage:{k}:{m}", entry.serial, entry.levels.tobytes)
        rows = [(m.step, m.accuracy) for m in subject.moments]
        add("film", [len(rows), rows[0], rows[-1]], lambda: as_bytes(rows)[0])
        self._told = kept
        return {**content, "parts": parts}, buffers

    def _now(self) -> dict[str, Any]:
        """All that is small, as JSON values."""
        subject, inquiry = self.subject, self.inquiry
        complete, progress = inquiry.complete, self._progress or inquiry.progress
        return {
            "subject": self._subject_serial,
            "name": subject.name,
            "note": subject.note,
            "classes": list(subject.classes),
            "layers": list(subject.layers),
            "layer": inquiry.layer,
            "answers": subject.answers.tolist(),
            "shape": list(inquiry.picture.shape[1:]),
            "drawable": self.drawable,
            "drawing": list(self._drawing),
            "example": inquiry.example,
            "step": subject.looked,
            "last": subject.step,
            "playing": self._playing,
            "target": inquiry.target,
            "predicted": inquiry.predicted,
            "scores": inquiry.scores.tolist(),
            "chances": inquiry.chances.tolist(),
            "maps": {m: entry.told() for m, entry in inquiry.maps.items()},
            "due": list(inquiry.due),
            "window": window_of(inquiry.picture, self.values["window"]),
            "complete": list(complete) if complete else None,
            "stages": [{"what": s["what"], "kept": s["kept"],
                        "scales": {m: e.scale for m, e in s["maps"].items()}}
                       for s in inquiry.stages],
            "progress": list(progress) if progress else None,
            "values": dict(self.values),
        }  # fmt: skip

    # ---- without a page

    def describe(self) -> str:
        return "Five heatmaps of one answer, side by side, while the network trains"

    def figure(self) -> Figure:
        from lib.widgets.heatmaps_still import heatmaps_figure

        if not self.watched:
            self.finish()
        return heatmaps_figure(self)


def _levels(pictures: torch.Tensor) -> bytes:
    """Pictures from 0 to 1 as bytes, in the order of their dimensions."""
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy().tobytes()


def _listed(device: Any) -> str:
    """The name of a device as the control lists it; the best one for None."""
    wanted = choose_device(device)
    exact = [f"{wanted.type}:{wanted.index or 0}", wanted.type]  # "cuda" is "cuda:0"
    return next(name for name in available_devices() if name in exact)
