"""A network to play with: what it learns, what it is made of, and how it is trained.

`Playground()` shows it; `Playground(data=(x, y))` takes a reader's own points. The
network and its training are `lib.playground`. It trains on the kernel's main loop in
short slices and tells the page, some 30 times a second, the weights, the losses and the
response of every neuron; the page keeps them, so that going back needs no kernel.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.device import available_devices, choose_device
from lib.playground import COARSE, FEATURES, FINE, Moment
from lib.playground import Playground as Simulation
from lib.playground_points import Points, make_points, own_points
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.playground_controls import (
    CONTROLS,
    LAYERS,
    NEURONS,
    layer_sizes,
    with_own,
)
from lib.widgets.playground_wire import FINEST, input_maps, packed, point_rows

FRAME = 1 / 32  # seconds between two moments that are shown
WATCHING = 25  # at full speed training gets so many times what a moment costs
KEPT = 64  # moments for a page that opens late; of more, every other one goes
CURVE = 1500  # records of the loss, likewise
POINTS = ("problem", "dataset", "target", "points", "noise", "test_share", "data_seed")
NETWORK = ("features", "hidden", "activation", "seed")


class Playground(LiveWidget):
    """A small network that learns points of the plane while you turn its knobs.

    Args:
        data: a reader's own points: (x, y) with x (N, 2) and y (N,), classes 0 and 1 or
            numbers; or a `lib.examples.Dataset` of two features.
        **values: controls by name, such as dataset="spirals", hidden=(8, 8),
            features=("x1", "x2", "x1x2"), optimizer="Adam".

    Raises:
        ValueError: data that cannot be shown, a control that does not exist, or a value
            that it does not allow.
    """

    _esm = page("core.js", "ui.js", "training.js", "plot.js", "heat.js",
                "playground_net.js", "playground_draw.js", "playground.js")  # fmt: skip
    _css = styles("playground.css")
    PICTURED = True

    CONTROLS = CONTROLS

    def __init__(self, data: object = None, **values: Any) -> None:
        self._data = data
        if data is not None:
            classes = own_points(data).classes
            self.CONTROLS = with_own(self.CONTROLS, classes)
        values["device"] = _listed(values.get("device", "cpu"))
        self._added: list[tuple[float, float, float]] = []
        self._playing, self._ended = False, None
        self._runs = self._points_version = self._moment_version = 0
        self._cost = 0.0  # seconds that the last moment took
        self._told: dict[str, Any] = {}
        super().__init__(**values)
        self._points = self._make_points()
        self._fresh()

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        hidden = values.get("hidden")
        if isinstance(hidden, Sequence) and not isinstance(hidden, str):
            values = {**values, "hidden": " ".join(map(str, hidden))}
        checked = super()._checked(values)
        if "hidden" in checked:
            layer_sizes(checked["hidden"])
        if checked.get("features") == ():
            raise ValueError(
                f"features was given {values['features']!r}; it takes one or more of "
                f"{', '.join(FEATURES)}."
            )
        return checked

    # ---- controls and commands

    def changed(self, name: str) -> None:
        """Points and network start again; what trains them changes on the way."""
        if name in POINTS:
            if name in ("problem", "dataset", "target"):
                self._added = []
            self._points = self._make_points()
            self._points_version += 1
        if name in POINTS + NETWORK:
            self._fresh()
        elif name in ("learning_rate", "batch_size", "dropout"):
            setattr(self.simulation, name, self.values[name])
        elif name in ("l1", "l2"):
            setattr(self.simulation, name, float(self.values[name]))
        elif name == "optimizer":
            self.simulation.use_optimizer(
                self.values["optimizer"], self.values["learning_rate"]
            )
        elif name in ("epochs", "stop_loss"):
            self._ended = None
        elif name == "device":
            self.simulation.move_to(self.values["device"])

    def do_play(self) -> None:
        """Train on from here, live; at the end, start again."""
        if self._at_end():
            self._fresh()
        if not self._points.x[~self._points.test].numel():
            self.simulation.advance(1)  # which says what is missing
        self.stop()
        self._playing = True
        self.start(self._training())

    def do_pause(self) -> None:
        """Stop after the step in hand; playing goes on from there."""
        self.stop()
        self._playing = False
        if self.simulation.step != self.moment.step:
            self._record()

    def do_step(self) -> None:
        """Train on one mini-batch."""
        self.do_pause()
        self.simulation.advance(1)
        self._record()
        self._at_end()

    def do_reset(self) -> None:
        """Back to the first weights and the first mini-batch of the same seed."""
        self.do_pause()
        self._fresh()

    def do_weight(self, index: int, value: float) -> None:
        """Set one weight by hand: its place in theta, and its value."""
        self.simulation.set_weight(index, value)
        self._record()

    def do_point(self, x1: float, x2: float, label: int) -> None:
        """Add a point to train on, in the units of the axes; label 0 or 1.

        Where heights are learnt, label 0 stands for -1.
        """
        a0, a1, b0, b1 = self._points.bounds
        if not (a0 <= x1 <= a1 and b0 <= x2 <= b1) or label not in (0, 1):
            raise ValueError(
                f"The point ({x1}, {x2}) with label {label!r} was added; it lies from "
                f"({a0:g}, {b0:g}) to ({a1:g}, {b1:g}), and its label is 0 or 1."
            )
        y = float(label) if self._points.classes else 2.0 * label - 1
        self._added.append((x1, x2, y))
        self._new_points(self._points.with_point((x1, x2), y))

    def do_clear(self) -> None:
        """Take away the points that were added by hand."""
        self._added = []
        self._new_points(self._make_points())

    def run(self, epochs: int | None = None) -> Moment:
        """Train here and now, without a page.

        Args:
            epochs: how many more; None goes up to the stop conditions.

        Returns:
            the last moment: losses, weights, responses.
        """
        self.do_pause()
        goal = None if epochs is None else self.simulation.epoch + epochs
        while not self._at_end(goal):
            for _ in range(self.simulation.batches_in_epoch):
                self.simulation.advance(1)
            self._record()
        self._note_change()
        return self.moment

    def unwatched(self) -> None:
        self.do_pause()

    # ---- points, network, moments

    def _make_points(self) -> Points:
        v = self.values
        classes = v["problem"] == "classification"
        name = v["dataset"] if classes else v["target"]
        if name == "own":
            points = own_points(self._data, v["test_share"], v["data_seed"])
        else:
            points = make_points(name, v["points"], v["noise"], v["test_share"],
                                 v["data_seed"])  # fmt: skip
        points = replace(points, classes=classes)
        for x1, x2, y in self._added:
            points = points.with_point((x1, x2), y)
        return points

    def _new_points(self, points: Points) -> None:
        self._points = points
        self._points_version += 1
        self.simulation.use_points(points)
        self._record()

    def _fresh(self) -> None:
        v = self.values
        self.simulation = Simulation(
            self._points, v["features"], layer_sizes(v["hidden"]), v["activation"],
            v["optimizer"], v["learning_rate"], v["batch_size"], float(v["l1"]),
            float(v["l2"]), v["dropout"], v["seed"], v["device"],
        )  # fmt: skip
        self._runs += 1
        self._ended = None
        self.moments: list[Moment] = []
        self.rows: list[tuple[float, ...]] = []
        self._unsent_from = 0
        self._record()

    @property
    def moment(self) -> Moment:
        """The newest moment."""
        return self.moments[-1]

    def _record(self) -> None:
        """Keep this moment; one of the same step (a weight set by hand) is replaced."""
        began = time.perf_counter()
        moment = self.simulation.moment()
        if self.moments and self.moment.step == moment.step:
            self.moments.pop()
            self.rows.pop()
            self._unsent_from = min(self._unsent_from, len(self.rows))
        self.moments.append(moment)
        self.rows.append(moment.row())
        if len(self.moments) > KEPT:
            del self.moments[1:-1:2]
        if len(self.rows) > CURVE:
            del self.rows[1:-1:2]
            self._unsent_from = 0
        self._moment_version += 1
        self._cost = time.perf_counter() - began

    def _at_end(self, goal: float | None = None) -> bool:
        """Whether training is over, at an epoch if given; notes what ended it."""
        v, moment = self.values, self.moment
        loss = moment.test_loss if self._points.test.any() else moment.train_loss
        if not moment.finite:
            self._ended = "diverged"
        elif goal is not None:
            return self.simulation.epoch >= goal - 1e-6
        elif loss <= v["stop_loss"] and v["stop_loss"] > 0:
            self._ended = "loss"
        elif self._at_goal():
            self._ended = "epochs"
        else:
            self._ended = None
        return self._ended is not None

    def _at_goal(self) -> bool:
        return self.simulation.epoch >= self.values["epochs"] - 1e-6

    # ---- work

    def _training(self) -> Work:
        """Steps and moments until a stop condition holds."""
        due = time.perf_counter()
        try:
            while self._playing:
                yield from self._steps()
                self._record()
                if self._at_end():
                    break
                now = time.perf_counter()
                due = max(due + FRAME, now - FRAME)  # a late beat is made up for
                wait = self.values["speed"] != "fast" and due > now
                yield due - now if wait else None
        finally:
            self._playing = False

    def _steps(self) -> Work:
        """The steps of one frame."""
        speed, each = self.values["speed"], self.simulation.batches_in_epoch
        left = {"step": 1, "epoch": each, "ten": 10 * each}.get(speed, 1 << 30)
        end = time.perf_counter() + max(FRAME, WATCHING * self._cost)
        while left and not self._at_goal():
            self.simulation.advance(1)
            left -= 1
            yield None
            if speed == "fast" and time.perf_counter() >= end:
                return

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        self._unsent_from = 0
        content, buffers = self.news()
        kept = [packed(moment) for moment in self.moments]
        columns = [b"".join(parts) for parts in zip(*kept, strict=True)]
        return {
            **content,
            **dict(zip(content.pop("parts"), buffers, strict=True)),
            **dict(zip(("thetas", "scales", "neurons", "outputs"), columns,
                       strict=True)),
            "kept": [moment.row()[0] for moment in self.moments],
            **dict(zip(("inputs", "input_scales"), input_maps(), strict=True)),
            "fine": FINE, "coarse": COARSE, "finest": FINEST,
            "features_all": list(FEATURES), "most": [LAYERS, NEURONS],
        }  # fmt: skip

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        sim, told = self.simulation, self._told
        now = {
            "kind": "news",
            "run": self._runs,
            "step": self.moment.step,
            "epoch": self.moment.epoch,
            "each": sim.batches_in_epoch,
            "playing": self._playing,
            "ended": self._ended,
            "sizes": list(sim.sizes),
            "features": sim.features,
            "values": dict(self.values),
        }
        versions = (self._moment_version, self._points_version)
        if told.get("now") == now and told.get("versions") == versions:
            return None
        first = self._unsent_from
        rows = np.array(self.rows[first:], dtype="f4").reshape(-1, 6)
        content = {**now, "from": first, "parts": ["rows"]}
        buffers = as_bytes(rows)
        if told.get("versions", (0, 0))[0] != versions[0]:
            content["parts"] += ["theta", "scale", "neuron", "output"]
            buffers += packed(self.moment)
        if told.get("versions", (0, None))[1] != versions[1]:
            content |= {"bounds": list(self._points.bounds),
                        "names": list(self._points.names),
                        "heights": list(self._points.heights),
                        "classes": self._points.classes,
                        "added": len(self._added)}  # fmt: skip
            content["parts"].append("points")
            buffers += as_bytes(point_rows(self._points))
        self._unsent_from = len(self.rows)
        self._told = {"now": now, "versions": versions}
        return content, buffers

    # ---- without a page

    def describe(self) -> str:
        return "A playground: a small network learns points of the plane"

    def figure(self) -> Figure:
        from lib.widgets.playground_still import playground_figure

        return playground_figure(self)


def _listed(device: Any) -> str:
    """The name of a device as the control lists it."""
    wanted = choose_device(device)
    exact = [f"{wanted.type}:{wanted.index or 0}", wanted.type]
    return next(name for name in available_devices() if name in exact)
