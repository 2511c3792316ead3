"""The descent of a real network: optimizers train it live on a map of its loss.

`ModelRace()` shows it. The simulation is `lib.model_race.ModelRace`. Training runs on
the kernel's main loop in short slices, on the CPU or a GPU; the page draws what has
come and can go back through all of it while the training runs on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.device import available_devices, choose_device
from lib.model_race import ModelRace as Simulation
from lib.model_race import Record
from lib.widgets.base import LiveWidget, Work, as_bytes, page
from lib.widgets.controls import Control
from lib.widgets.playing import Beat
from lib.widgets.racers import LABELS, RACERS, styles_for_page

MAP = 33  # points of the map along each axis
MAPS = 0.01  # of the time that maps may take from training at full speed
RECORDS = 0.015  # of the time that records may take from it
FRAME = 1 / 32  # seconds between two records at the speeds that a person can follow
RATES = {
    "GradientDescent": 0.2, "SGD": 0.2, "Momentum": 0.05, "Nesterov": 0.05,
    "AdaGrad": 0.02, "RMSProp": 0.002, "Adam": 0.005, "AdamW": 0.005,
}  # fmt: skip
SPEEDS = (("1", "1 step a frame"), ("5", "5 steps"), ("20", "20 steps"),
          ("0", "as fast as it can"))  # fmt: skip
FAST = 10  # steps between two records at full speed


class ModelRace(LiveWidget):
    """Optimizers train the same network; watch their ways over its loss surface.

    Args:
        optimizers: names of `lib.optimizers.OPTIMIZERS`; they share first weights and
            mini-batches.
        steps: how far "play" goes.
        device: "cpu", "cuda", "mps"; the best one found if not given.
        hidden: width of the network's hidden layer (64 inputs, 10 digits).
        **values: other controls by name: speed, batch_size, follow.

    Raises:
        ValueError: a control that does not exist, or a value that it does not allow.
    """

    _esm = page(
        "core.js", "ui.js", "training.js", "plot.js", "legend.js", "model_race.js"
    )

    CONTROLS = (
        Control("optimizers", "Optimizers", "several", ("SGD", "Momentum", "Adam"),
                choices=tuple((k, v) for k, v in LABELS.items()
                              if k != "GradientDescent")),
        Control("speed", "Speed", "choice", "1", choices=SPEEDS),
        Control("steps", "Steps", "range", 400, 100, 2000, 100,
                help="Play stops here"),
        Control("follow", "Map through", "choice", "lead",
                choices=(("lead", "the leader's weights now"),
                         ("pilot", "the pilot's last weights")),
                help="A plane through the present weights shows the loss that the "
                     "leader really stands on; the pilot's plane stays still"),
        Control("rate_of", "Rate of", "choice", "all",
                choices=(("all", "all optimizers"),
                         *((k, v) for k, v in LABELS.items()
                           if k != "GradientDescent"))),
        Control("learning_rate", "Learning rate", "log", 0.01, 1e-5, 10.0, 0.02,
                help="Changes at once, while the network trains"),
        Control("batch_size", "Batch", "range", 64, 1, 512, 1,
                help="Examples in a mini-batch; a new value starts again"),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices())),
    )  # fmt: skip

    def __init__(self, hidden: int = 16, seed: int = 0, **values: Any) -> None:
        values["device"] = _listed(values.get("device"))
        self.rates = {name: RATES[name] for name in RACERS}
        self.hidden, self.seed = hidden, seed
        self._playing = False
        self._map: np.ndarray | None = None
        self._map_run = 0
        self._runs = 0
        self._noted = 0  # the step of the newest records
        self._told: dict[str, Any] = {}
        self.simulation: Simulation | None = None
        super().__init__(**values)
        if "learning_rate" in values:
            self._set_rate(self.values["learning_rate"])
        self.simulation = self._fresh()
        self._draw_map_now()

    # ---- controls and commands

    def changed(self, name: str) -> None:
        if name in ("optimizers", "batch_size"):
            self.do_reset()
        elif name == "learning_rate":
            self._set_rate(self.values["learning_rate"])
        elif name == "rate_of" and self.values["rate_of"] != "all":
            self.values["learning_rate"] = self.rates[self.values["rate_of"]]
        elif name == "device":
            self.simulation.move_to(self.values["device"])
        elif name == "follow" and not self._playing:
            self.start(self._map_only())

    def set(self, **values: Any) -> None:
        """Set controls by name, as a hand on the page would.

        The rate on which the slider stands counts too: the racers may have their own.
        """
        super().set(**values)
        if "learning_rate" in values and self.values["rate_of"] == "all":
            self._set_rate(self.values["learning_rate"])

    def _set_rate(self, rate: float) -> None:
        chosen = self.values["rate_of"]
        for name in RACERS if chosen == "all" else (chosen,):
            self.rates[name] = rate
        for name in self.simulation.racers if self.simulation else ():
            self.simulation.set_rate(name, self.rates[name])

    def do_play(self) -> None:
        """Train on from here, live."""
        if self.simulation.step >= self.values["steps"]:
            self.do_reset()
        self._playing = True
        self.start(self._training())

    def do_pause(self) -> None:
        """Stop after the step in hand; playing goes on from there."""
        self.stop()
        self._playing = False
        if self.simulation is not None and self._noted < self.simulation.step:
            self._record()

    def do_step(self) -> None:
        """One step for every racer."""
        self.do_pause()
        self._take(1)

    def do_reset(self) -> None:
        """Back to the first weights and the first mini-batch."""
        self.do_pause()
        if self.simulation.batch_size == self.values["batch_size"]:
            self._runs += 1
            self._noted = 0
            self.simulation.begin(self._settings())  # no new pilot: at once
        else:
            self.simulation = self._fresh()
        self.start(self._map_only())

    def run(self, steps: int | None = None) -> dict[str, Record]:
        """Train here and now, without a page; the last record of each racer.

        Args:
            steps: how many; up to the control `steps` if not given.
        """
        self.do_pause()
        goal = self.values["steps"] if steps is None else self.simulation.step + steps
        while self.simulation.step < goal:
            self._take(min(FAST, goal - self.simulation.step))
        self._draw_map_now()
        self._note_change()
        return {n: records[-1] for n, records in self.simulation.history.items()}

    def unwatched(self) -> None:
        self.do_pause()

    def _settings(self) -> dict[str, dict[str, Any]]:
        return {n: {"learning_rate": self.rates[n]} for n in self.values["optimizers"]}

    def _fresh(self) -> Simulation:
        self._runs += 1
        self._noted = 0
        return Simulation(self._settings(), (64, self.hidden, 10),
                          self.values["batch_size"], self.seed,
                          self.values["device"])  # fmt: skip

    # ---- work

    def _take(self, steps: int) -> None:
        self.simulation.advance(steps)
        self._record()

    def _record(self) -> None:
        self.simulation.record()
        self._noted = self.simulation.step

    def _training(self) -> Work:
        """Steps, records and now and then a new map, until the goal."""
        rounds = self._rounds()
        try:
            while self.simulation.step < self.values["steps"] and self._playing:
                yield next(rounds)
        except Exception:
            self._playing = False  # the page then offers "play" again
            raise
        self._playing = False
        if self._noted < self.simulation.step:
            self._record()
        yield from self._map_only()

    def _rounds(self) -> Work:
        """Round after round: at a person's speed on the beat, else as fast as it can.

        At full speed watching pays for itself: each record and each piece of a map
        waits until its share of the time allows it.
        """
        maps, records, pieces = self._map_pieces(), _Share(RECORDS), _Share(MAPS)
        beat = Beat()
        while True:
            left = self.values["steps"] - self.simulation.step
            stride = int(self.values["speed"])
            if stride:
                self._take(min(stride, left))
                next(maps)
                yield beat.rest(FRAME)
            else:
                self.simulation.advance(min(FAST, left))
                records.use(self._record)
                pieces.use(maps.__next__)
                yield None

    def _map_pieces(self) -> Work:
        """An endless supply of small pieces of map making, with rests between maps."""
        rest_until = 0.0
        while True:
            began = time.perf_counter()
            while began < rest_until:
                yield
                began = time.perf_counter()
            for grid in self.simulation.surface_work(MAP, self._through()):
                if grid is not None:
                    self._map = grid.numpy()
                    self._map_run += 1
                yield
            rest_until = 2 * time.perf_counter() - began

    def _map_only(self) -> Work:
        for grid in self.simulation.surface_work(MAP, self._through()):
            if grid is not None:
                self._map = grid.numpy()
                self._map_run += 1
            yield

    def _draw_map_now(self) -> None:
        for _ in self._map_only():
            pass

    def _through(self) -> str | None:
        return self.leader if self.values["follow"] == "lead" else None

    @property
    def leader(self) -> str | None:
        """The racer with the lowest training loss that still trains."""
        records = {n: h[-1] for n, h in self.simulation.history.items() if h}
        alive = [n for n in records if self.simulation.racers[n].alive]
        return min(alive, key=lambda n: records[n].train_loss, default=None)

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        look = [r for r in styles_for_page() if r["name"] != "GradientDescent"]
        return {**content, **parts, "racers": look}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        sim, told = self.simulation, self._told
        names = list(sim.racers)
        now = {
            "kind": "news",
            "run": self._runs,
            "names": names,
            "bounds": list(sim.bounds),
            "share": round(sim.share, 3),
            "step": self._noted,
            "playing": self._playing,
            "leader": self.leader,
            "through": self._through(),
            "diverged": [n for n in names if not sim.racers[n].alive],
            "rates": dict(self.rates),
            "values": dict(self.values),
        }
        kept = told.get("kept", {}) if told.get("run") == self._runs else {}
        if told.get("now") == now and told.get("map") == self._map_run:
            return None
        rows = [_rows(sim.history[n][kept.get(n, 0) :]) for n in names]
        content = {**now, "parts": ["rows"], "from": [kept.get(n, 0) for n in names],
                   "counts": [len(r) for r in rows]}  # fmt: skip
        buffers = as_bytes(np.concatenate(rows) if rows else np.zeros(0))
        if told.get("map") != self._map_run and self._map is not None:
            content["size"] = MAP
            content["parts"].append("map")
            buffers += as_bytes(self._map)
        self._told = {"run": self._runs, "now": now, "map": self._map_run,
                      "kept": {n: len(sim.history[n]) for n in names}}  # fmt: skip
        return content, buffers

    # ---- without a page

    def describe(self) -> str:
        return f"A network of 64, {self.hidden} and 10 units that learns to read digits"

    def figure(self) -> Figure:
        from lib.widgets.still import model_race_figure

        return model_race_figure(self.simulation, self._map)


def _listed(device: Any) -> str:
    """The name of a device as the control lists it; the best one for None."""
    wanted = choose_device(device)
    exact = [f"{wanted.type}:{wanted.index or 0}", wanted.type]  # "cuda" is "cuda:0"
    return next(name for name in available_devices() if name in exact)


def _rows(records: list[Record]) -> np.ndarray:
    """(records, 7) float32: step, a, b, training and validation loss, accuracy, off."""
    return np.array([r.row() for r in records], dtype=np.float32).reshape(-1, 7)


class _Share:
    """Lets one kind of work take at most this share of the time that passes."""

    def __init__(self, share: float) -> None:
        self.share, self.spent, self.since = share, 0.0, time.perf_counter()

    def use(self, work: Callable[[], object]) -> None:
        """Do the work now if its share allows it, else do nothing."""
        began = time.perf_counter()
        if self.spent <= self.share * (began - self.since):
            work()
            self.spent += time.perf_counter() - began
