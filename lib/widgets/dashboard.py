"""The training dashboard: one or two models train live, and everything is on show.

`TrainingDashboard("mlp", "digits")` draws what `lib.dashboard.TrainingRuns` measures.
Training runs on the kernel's main loop in short slices. Curves travel as a row of
numbers a record; weights, answers and confusions only for the newest record of each
message, since they are larger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from lib.dashboard import Record, Settings, TrainingRuns
from lib.dashboard_data import examples_of, fitting, label_of
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.dashboard_parts import (
    AGAIN,
    CONTROLS,
    DECAYS,
    DEEP_DECAY,
    LIVE,
    OF_A_RUN,
    about_examples,
    about_run,
    own_models,
    packed,
    starting_values,
    with_own,
)
from lib.widgets.model_race import FRAME, RATES, _listed
from lib.widgets.playing import Beat

RECORDS = 0.045  # of the time that records may take from training at full speed
FOLLOWED = 0.75  # likewise at the speeds that a person can follow
EVERY = 5  # steps between two records of `run`


class TrainingDashboard(LiveWidget):
    """Watch and steer the training of any classifier on any data set with classes.

    Args:
        model: a name ("mlp", "cnn", "deep", "dropout", "lstm", "gru", or of `models`),
            or a function of the seed that makes a model.
        data: a name of `lib.datasets`, "digits_28", a `Dataset` or a `TextSet`.
        models: models of one's own to choose from: name -> callable(seed).
        compare: None for one run; True, or a dict of what run B has different:
            `compare={"optimizer": "Adam", "learning_rate": 0.001}`.
        seed: of first weights and mini-batches.
        **values: other controls by name: optimizer, learning_rate, batch_size,
            weight_decay, dropout, schedule, epochs, device, speed.

    Raises:
        ValueError: data without classes, a model that does not fit it, a control that
            does not exist or a value that it does not allow.
    """

    PICTURED = True
    _esm = page("core.js", "ui.js", "training.js", "plot.js", "heat.js",
                "dashboard_panels.js", "dashboard_answers.js", "dashboard_records.js",
                "dashboard.js")  # fmt: skip
    _css = styles("dashboard.css")

    CONTROLS = CONTROLS

    def __init__(
        self,
        model: str | Callable[[int], nn.Module] = "mlp",
        data: Any = "digits",
        *,
        models: dict[str, Callable[[int], nn.Module]] | None = None,
        compare: bool | dict[str, Any] | None = None,
        seed: int = 0,
        **values: Any,
    ) -> None:
        self.models, self.seed = own_models(models), seed
        if not isinstance(model, str):
            name = getattr(model, "__name__", "own model").replace("<lambda>", "own")
            self.models |= own_models({name: model})
            model = name
        name = data if isinstance(data, str) else getattr(data, "name", "own data")
        self._data = {} if isinstance(data, str) else {name: data}
        self.CONTROLS = tuple(with_own(c, self.models, name) for c in self.CONTROLS)
        self._examples = examples_of(data)
        self._playing = self._stepping = self._stopped = False
        self._goal = self._runs = self._datas = 0
        self._told: dict[str, Any] = {}
        self.simulation: TrainingRuns | None = None
        values["device"] = _listed(values.get("device"))
        starting = starting_values(model, values, compare, self._fits())
        super().__init__(data=name, **starting)
        self.simulation = self._fresh()
        given = {k for k in values if k.startswith("dropout")}
        if isinstance(compare, dict) and "dropout" in compare:
            given.add("dropout_b")
        self._keep_dropouts(given)
        _drain(self.simulation.record_work())

    # ---- controls

    def _fits(self) -> list[str]:
        return fitting(self._examples, self.models)

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """Weight decays may be given as numbers."""
        for name in ("weight_decay", "weight_decay_b"):
            value = values.get(name)
            if isinstance(value, Real) and not isinstance(value, bool):
                same = [d for d in DECAYS if float(d) == value]
                values = {**values, name: same[0] if same else value}
        return super()._checked(values)

    def set(self, **values: Any) -> None:
        """Set controls by name; what starts again comes first, rates last.

        Raises:
            ValueError: as `LiveWidget.set`, or a model that does not fit the data; all
                controls then stay as they were.
        """
        before, examples = dict(self.values), self._examples
        first = sorted(values, key=lambda n: (n != "data", n.removesuffix("_b")
                                              not in AGAIN))  # fmt: skip
        try:
            super().set(**{name: values[name] for name in first})
        except Exception:
            self.values, self._examples = before, examples
            raise

    def changed(self, name: str) -> None:
        part = name.removesuffix("_b")
        end = name[len(part) :]
        if part in LIVE:
            self._steer("B" if end else "A")
            return
        if name == "epochs":
            self.simulation.set_epochs(self.values["epochs"])
        elif name == "device":
            self.simulation.move_to(self.values["device"])
        elif name == "speed":
            return
        elif name == "optimizer" + end:
            self.values["learning_rate" + end] = RATES[self.values[name]]
        elif name == "model" + end:
            deep = self.values[name] == "deep"
            self.values["weight_decay" + end] = DEEP_DECAY if deep else "0"
        elif name == "data":
            self._take_data()
        if part in AGAIN or name in ("data", "compare"):
            shown = self.values["compare"] or not end
            if shown:
                self.do_reset()
            if part in ("model", "data"):
                self._keep_dropouts(set())

    def _steer(self, run: str) -> None:
        if self.simulation is not None and run in self.simulation.runs:
            self.simulation.runs[run].change(self._settings("" if run == "A" else "_b"))

    def _take_data(self) -> None:
        name = self.values["data"]
        self._examples = examples_of(self._data.get(name, name))
        self._datas += 1
        for key in ("model", "model_b"):
            if self.values[key] not in self._fits():
                self.values[key] = self._fits()[0]

    def _keep_dropouts(self, given: set[str]) -> None:
        """The control shows what the model came with, unless it was given."""
        for run, end in (("A", ""), ("B", "_b")):
            drops = (
                self.simulation.runs[run].drops if run in self.simulation.runs else ()
            )
            if drops and "dropout" + end not in given:
                self.values["dropout" + end] = drops[0].p
            elif drops:
                self._steer(run)

    def _settings(self, end: str) -> Settings:
        chosen = {c.name: self.values[c.name + end] for c in OF_A_RUN}
        return Settings(**chosen | {"weight_decay": float(chosen["weight_decay"])})

    def _fresh(self) -> TrainingRuns:
        chosen = {"A": self._settings("")}
        if self.values["compare"]:
            chosen["B"] = self._settings("_b")
        # a model keeps its own dropout until the control moves
        old = {} if self.simulation is None else self.simulation.runs
        for (
            name,
            each,
        ) in chosen.items():
            if name not in old or old[name].settings.model != each.model:
                chosen[name] = replace(each, dropout=None)
        made = TrainingRuns(self._examples, chosen, self.models, self.values["epochs"],
                            self.seed, self.values["device"])  # fmt: skip
        self._runs += 1
        return made

    # ---- commands

    def do_play(self) -> None:
        """Train on from here, live; from the start where the training is over."""
        if self._stopped or not self.simulation.active:
            self.do_reset()
        self._halt()
        self._playing = True
        self.start(self._training())

    def do_pause(self) -> None:
        """Stop after the step in hand; playing goes on from there."""
        self._halt()
        self.start(self._recording())

    def do_stop(self) -> None:
        """End this training here; play then starts a new one."""
        self.do_pause()
        self._stopped = self.simulation.step > 0

    def do_step(self, steps: int = 1) -> None:
        """One step of every run."""
        pending = (
            self._goal if self._stepping and self.working else self.simulation.step
        )
        self._halt()
        self._goal, self._stepping, self._stopped = pending + int(steps), True, False
        self.start(self._training())

    def do_epoch(self) -> None:
        """As many steps as the longest pass over the data has."""
        self.do_step(self._epoch)

    def do_reset(self) -> None:
        """Back to the first weights and the first mini-batch of the same seed."""
        made = self._fresh()
        self._halt()
        self.simulation.close()
        self.simulation, self._stopped = made, False
        self.start(self._recording())

    def run(self, steps: int | None = None) -> dict[str, Record]:
        """Train here and now, without a page; the last record of each run.

        Args:
            steps: how many; to the end of the training if not given.
        """
        self._halt()
        goal = self.simulation.total if steps is None else self.simulation.step + steps
        _drain(self.simulation.record_work())
        while self.simulation.step < goal and self.simulation.active:
            _drain(self.simulation.advance_work())
            if self.simulation.step % EVERY == 0:
                _drain(self.simulation.record_work())
        _drain(self.simulation.record_work())
        self._note_change()
        self.pump(now=True)
        return {n: run.history[-1] for n, run in self.simulation.runs.items()}

    def unwatched(self) -> None:
        self._halt()
        _drain(self.simulation.record_work())

    def close(self) -> None:
        """End the work, the loops and the widget. Can be called again."""
        super().close()
        if getattr(self, "simulation", None) is not None:
            self.simulation.close()

    def _halt(self) -> None:
        self.stop()
        self._playing = self._stepping = False

    @property
    def _epoch(self) -> int:
        return max(len(run.feed) for run in self.simulation.runs.values())

    # ---- work

    def _recording(self) -> Work:
        for _ in self.simulation.record_work():
            yield None

    def _training(self) -> Work:
        """Steps and records, until the goal or the end of the training."""
        sim = self.simulation
        try:
            yield from self._recording()
            beat, since = Beat(), time.perf_counter()
            spent = 0.0
            while sim.active and (self._playing or sim.step < self._goal):
                speed = self.values["speed"] if self._playing else "0"
                stride = self._epoch if speed == "epoch" else int(speed) or 1
                goal = sim.step + stride
                while sim.active and sim.step < goal:
                    for _ in sim.advance_work():
                        yield None
                now = time.perf_counter()
                share = RECORDS if speed == "0" else FOLLOWED
                if spent <= share * (now - since):
                    yield from self._recording()
                    spent += time.perf_counter() - now
                rest = beat.rest(FRAME)
                if speed != "0" and rest:
                    yield rest
            yield from self._recording()
        finally:
            self._playing = self._stepping = False

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self._news(every_detail=True)
        return {**content, **dict(zip(content["parts"], buffers, strict=True))}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        return self._news()

    def _news(self, every_detail: bool = False):
        sim, told = self.simulation, self._told
        now = {
            "kind": "news",
            "run": self._runs,
            "step": sim.step,
            "total": sim.total,
            "epoch": self._epoch,
            "playing": self._playing,
            "over": self._stopped or not sim.active,
            "values": dict(self.values),
            "runs": [about_run(name, run) for name, run in sim.runs.items()],
        }
        counts = {name: len(run.history) for name, run in sim.runs.items()}
        if told.get("now") == now and told.get("counts") == counts:
            return None
        same = told.get("run") == self._runs
        start = {n: told["counts"].get(n, 0) if same else 0 for n in sim.runs}
        content, buffers = {**now, "parts": [], "from": start, "details": {}}, []
        for name, run in sim.runs.items():
            rows = [record.row() for record in run.history[start[name] :]]
            details = run.details if every_detail else run.details[-1:]
            details = details if rows else []
            content["parts"] += ["rows_" + name, "details_" + name]
            content["details"][name] = len(details)
            buffers += as_bytes(np.array(rows, dtype=np.float32))
            buffers += [b"".join(packed(each) for each in details)]
        if told.get("datas") != self._datas:
            about, shown = about_examples(self._examples, self._fits())
            content["data"] = about
            content["parts"].append("shown")
            buffers.append(shown)
        self._told = {"run": self._runs, "now": now, "counts": counts,
                      "datas": self._datas}  # fmt: skip
        return content, buffers

    # ---- without a page

    def describe(self) -> str:
        label = label_of(self.values["model"], self._examples)
        return f"Training dashboard of {label} on {self.values['data']}"

    def figure(self) -> Figure:
        from lib.widgets.dashboard_still import dashboard_figure

        return dashboard_figure(self.simulation)


def _drain(work: Iterator[None]) -> None:
    for _ in work:
        pass
