"""Turn each knob against overfitting, and see weights, boundary and curves move.

`Regularisation()` trains two copies of one network on few, noisy points: one with the
knobs' settings and, in grey, one without. The simulation is `lib.regularisation_lab`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.device import available_devices, choose_device
from lib.regularisation_lab import (
    BINS,
    BOUNDS,
    GRID,
    NUMBERS,
    OFF,
    SIZES,
    WIDEST,
    RegularisationLab,
    Run,
    knobs_of,
)
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control
from lib.widgets.playing import Beat, Played

FRAME = 1 / 32  # seconds between two records at the slower speeds
POINTS = ("examples", "label_noise")
STEERING = ("continues", "speed", "steps")  # change nothing in a run


class Regularisation(Played, LiveWidget):
    """A network that overfits, and beside it the same one with your knobs.

    Args:
        seed: of weights, points, wrong labels and dropout.
        hidden: width of the two hidden layers.
        **values: controls by name: l1, l1_way, l2, l2_way, dropout, rescale, smoothing,
            early_stopping, patience, examples, label_noise, continues, speed, steps,
            device. At 1e-5, the end of their sliders, l1 and l2 are off.

    Raises:
        ValueError: a control that does not exist, or a value that it does not allow.
    """

    _esm = page(
        "core.js",
        "ui.js",
        "training.js",
        "plot.js",
        "heat.js",
        "regularisation_pictures.js",
        "regularisation.js",
    )
    _css = styles("regularisation.css")
    PICTURED = True

    CONTROLS = (
        Control("l1", "L1, λ Σ|w|", "log", OFF, OFF, 1.0, 0.05,
                help="Pulls every weight with the same force towards zero"),
        Control("l1_way", "L1 acts", "choice", "loss",
                choices=(("loss", "in the loss"), ("proximal", "proximal step")),
                help="Only the proximal step makes weights exactly zero; under Adam it "
                     "needs a larger strength"),
        Control("l2", "L2, λ/2 Σ w²", "log", 0.01, OFF, 10.0, 0.05,
                help="Pulls a weight the harder, the larger it is"),
        Control("l2_way", "L2 acts", "choice", "loss",
                choices=(("loss", "in the loss"), ("decoupled", "decoupled (AdamW)")),
                help="Adam divides a pull in the loss by the size of the gradient; "
                     "decoupled decay goes past it and needs a larger strength"),
        Control("dropout", "Dropout", "range", 0.0, 0.0, 0.9, 0.05,
                help="Part of the hidden units that each step leaves out"),
        Control("rescale", "Rescale what is left", "toggle", True,
                help="Divide by 1 − dropout, so that sums are as large as without"),
        Control("smoothing", "Label smoothing", "range", 0.0, 0.0, 0.5, 0.02,
                help="Part of the target that is spread over both classes"),
        Control("early_stopping", "Early stopping", "toggle", False,
                help="Stop and take the weights with the lowest validation loss"),
        Control("patience", "Patience, in records", "range", 10, 1, 60, 1,
                help="Records of 5 steps without a better validation loss"),
        Control("examples", "Training points", "range", 50, 10, 400, 10),
        Control("label_noise", "Wrong labels", "range", 0.1, 0.0, 0.4, 0.02,
                help="Part of the training points whose class is wrong"),
        Control("continues", "A turned knob goes on from here", "toggle", False,
                help="Otherwise training starts again from the first weights"),
        Control("speed", "Speed", "choice", "1",
                choices=(("1", "5 steps a frame"), ("2", "10 steps"),
                         ("6", "30 steps"), ("0", "as fast as it can"))),
        Control("steps", "Steps", "range", 500, 100, 2000, 100,
                help="Play stops here"),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices())),
    )  # fmt: skip

    def __init__(self, seed: int = 0, hidden: int = 32, **values: Any) -> None:
        values.setdefault("device", "cpu")  # too small a network for a GPU to be faster
        self.seed, self.hidden = seed, hidden
        self._playing = False
        self._runs = 0
        self._told: dict[str, Any] = {}
        self.lab: RegularisationLab | None = None
        super().__init__(**values)
        self._rebuild()

    # ---- controls and commands

    def changed(self, name: str) -> None:
        """A turned knob starts again, or acts from the next step on."""
        if name in STEERING:
            return
        if name == "device":
            self._again(self._rebuild)
        elif name in POINTS:
            self.lab.set_points(*(self.values[k] for k in POINTS))
            if not self.values["continues"]:
                self._again(self._begin)
        elif self.values["continues"]:
            self.lab.held.set(knobs_of(self.values))
        else:
            self._again(self._begin)

    def _again(self, begin: Any) -> None:
        """From the first weights; what was in training trains."""
        moved = self._playing or self.lab.step > 0
        self.do_pause()
        begin()
        if moved:
            self.do_play()

    def _rebuild(self) -> None:
        self.lab = RegularisationLab(
            knobs_of(self.values),
            *(self.values[k] for k in POINTS),
            hidden=self.hidden,
            seed=self.seed,
            device=choose_device(self.values["device"]),
        )
        self._runs += 1

    def _begin(self) -> None:
        self.lab.begin(knobs_of(self.values))
        self._runs += 1

    def do_play(self) -> None:
        """Train both on from here, live."""
        if self.lab.step >= self.values["steps"]:
            self._begin()
        self._playing = True
        self.start(self._training())

    def do_reset(self) -> None:
        """Back to the first weights, with the same seed."""
        self.do_pause()
        self._begin()

    def run(self, steps: int | None = None) -> dict[str, dict[str, float]]:
        """Train here and now, without a page; the last numbers of both runs.

        Args:
            steps: how many more; up to the control `steps` if not given.
        """
        self.do_pause()
        goal = self.values["steps"] if steps is None else self.lab.step + steps
        while self.lab.step < goal:
            self.do_step()
        self._note_change()
        pairs = zip(("held", "free"), self.lab.runs, strict=True)
        return {
            name: dict(zip(NUMBERS, run.records[-1].numbers, strict=True))
            for name, run in pairs
        }

    def _training(self) -> Work:
        beat = Beat()
        try:
            while self._playing and self.lab.step < self.values["steps"]:
                records = int(self.values["speed"])
                for _ in range(records or 1):
                    yield from self.lab.advance()
                    if self.lab.step >= self.values["steps"]:
                        break
                if records:
                    yield beat.rest(FRAME)
        finally:
            self._playing = False

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        fixed = {"grid": GRID, "bounds": list(BOUNDS), "bins": BINS, "sizes": SIZES,
                 "widest": WIDEST, "off": OFF, "names": list(NUMBERS)}  # fmt: skip
        x, y = self.lab.validation
        judges = as_bytes(np.column_stack([x.cpu(), y.cpu()]))[0]
        return {**content, **parts, **fixed, "judges": judges}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """Records since the last message; the points too, if they are others."""
        lab, told = self.lab, self._told
        points = [self.values[k] for k in POINTS]
        now = {
            "run": self._runs,
            "step": lab.step,
            "playing": self._playing,
            "stopped": [run.stopped for run in lab.runs],
            "values": dict(self.values),
        }
        kept = told.get("kept", [0, 0]) if told.get("run") == self._runs else [0, 0]
        fresh = [run.records[k:] for run, k in zip(lab.runs, kept, strict=True)]
        if told.get("now") == now and not any(fresh):
            return None
        rows, maps = _packed(lab.runs, kept)
        content = {"kind": "news", **now, "from": kept,
                   "counts": [len(records) for records in fresh],
                   "parts": ["rows", "maps"]}  # fmt: skip
        buffers = [*as_bytes(rows), maps]
        if told.get("points") != points:
            x, y = lab.train
            table = np.column_stack([x.cpu(), y.cpu(), lab.wrong])
            content["parts"].append("points")
            buffers += as_bytes(table)
        self._told = {"now": now, "run": self._runs, "points": points,
                      "kept": [len(run.records) for run in lab.runs]}  # fmt: skip
        return content, buffers

    # ---- without a page

    def describe(self) -> str:
        return (
            f"A network of 2, {self.hidden}, {self.hidden} and 2 units on noisy half "
            "moons, with and without regularisation"
        )

    def figure(self) -> Figure:
        from lib.widgets.regularisation_still import regularisation_figure

        return regularisation_figure(self.lab)


def _packed(runs: tuple[Run, ...], kept: list[int]) -> tuple[np.ndarray, bytes]:
    """Records from `kept` on, first of one run, then of the other: rows and maps."""
    records = [r for run, k in zip(runs, kept, strict=True) for r in run.records[k:]]
    rows = [record.row().numpy() for record in records]
    maps = b"".join(record.grid.numpy().tobytes() for record in records)
    return np.concatenate(rows) if rows else np.zeros(0), maps
