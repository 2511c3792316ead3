"""Watch hyperparameters being chosen: two searches race, and you try to beat them.

`Search()` shows the plane of learning rate and one more hyperparameter. Every trial is
a real network in training; its mark takes its colour by the validation loss. A click
on the plane trains one there. The simulation is `lib.search_lab`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.device import available_devices, choose_device
from lib.search import Problem
from lib.search_lab import AXES, RATES, SearchLab
from lib.search_sides import SIDES
from lib.search_trials import SETS, STATES
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control
from lib.widgets.playing import Beat, Played

METHODS = (("grid", "Grid"), ("random", "Random"), ("halving", "Halving"),
           ("range_test", "Range test"))  # fmt: skip
NAMES = {**dict(METHODS), "hand": "You"}
OTHERS = {
    "width": "width",
    "depth": "depth",
    "batch_size": "batch size",
    "momentum": "momentum",
    "weight_decay": "weight decay (L2)",
}
PROBLEM = ("data", "seed", "device")  # a change makes other data or networks
RULES = ("first", "second", "budget", "epochs", "candidates", "eta")
TRIALS, EVENTS, SWEEPS = 4, 8, 5  # numbers in a row of each


class Search(Played, LiveWidget):
    """Two ways to choose hyperparameters, side by side on the same budget.

    Args:
        **values: controls by name: first, second (the two methods), data, other (the
            hyperparameter beside the learning rate), budget and epochs (in passes over
            the training data), candidates, eta, rate_low, rate_high, part, seed, speed,
            device.

    `run()` searches to the end and tells the winners with their test scores;
    `try_at(rate, other)` trains one setting by hand.

    Raises:
        ValueError: a control that does not exist, or a value that it does not allow.
    """

    _esm = page(
        "core.js",
        "ui.js",
        "training.js",
        "plot.js",
        "heat.js",
        "search_marks.js",
        "search_pictures.js",
        "search.js",
    )
    _css = styles("search.css")
    PICTURED = True

    CONTROLS = (
        Control("first", "First method", "choice", "grid", choices=METHODS),
        Control("second", "Second method", "choice", "random",
                choices=(*METHODS, ("none", "none"))),
        Control("other", "Beside the rate", "choice", "width",
                choices=tuple(OTHERS.items()),
                help="The hyperparameter on the upright axis"),
        Control("data", "Data", "choice", "digits",
                choices=tuple((name, name.replace("_", " ")) for name in SETS)),
        Control("budget", "Budget, epochs each", "range", 96, 24, 240, 12,
                help="Passes over the training data, those of all trials together"),
        Control("epochs", "Epochs of a trial", "range", 6, 1, 24, 1,
                help="For grid, random search, after the range test, and by hand"),
        Control("candidates", "Halving begins with", "range", 27, 4, 64, 1,
                help="Candidates; fewer if the budget does not give an epoch to each "
                     "in each round"),
        Control("eta", "Halving keeps one of", "range", 3, 2, 4, 1,
                help="After each round the best 1/eta of the trials go on"),
        Control("rate_low", "Smallest rate", "log", RATES.low, 1e-6, 0.01, 0.5),
        Control("rate_high", "Largest rate", "log", RATES.high, 0.1, 100.0, 0.5),
        Control("part", "Upright axis", "choice", "all",
                choices=(("all", "all of it"), ("low", "lower half"),
                         ("high", "upper half")),
                help="Search a part of it only"),
        Control("seed", "Seed", "range", 0, 0, 50, 1,
                help="Of the split of the data, the random points and the first "
                     "weights"),
        Control("speed", "Speed", "choice", "30",
                choices=(("4", "4 epochs a second"), ("12", "12 epochs a second"),
                         ("30", "30 epochs a second"), ("0", "as fast as it can"))),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices())),
    )  # fmt: skip

    def __init__(self, **values: Any) -> None:
        values.setdefault("device", "cpu")  # too small networks for a GPU to be faster
        self._playing = False
        self._runs = 0
        self._told: dict[str, Any] = {}
        self.lab: SearchLab | None = None
        super().__init__(**values)
        self._new_problem()
        self._rebuild()

    # ---- controls and commands

    def changed(self, name: str) -> None:
        """Another question begins anew; your own trials stay if they still answer."""
        if name == "speed":
            return
        moved = self._playing
        self.do_pause()
        if name in PROBLEM:
            self._new_problem()
        self._rebuild(keep=name in RULES)
        if moved:
            self.do_play()

    def _new_problem(self) -> None:
        v = self.values
        device = choose_device(v["device"])
        self.problem = Problem(v["data"], seed=v["seed"], device=device)

    def _rebuild(self, keep: bool = False) -> None:
        """A new lab; `keep` the trials by hand that have ended."""
        v, kept = self.values, []
        if keep and self.lab is not None:
            kept = self.lab.sides["hand"].trials
        rates = replace(RATES, low=v["rate_low"], high=v["rate_high"])
        space = {"learning_rate": rates, v["other"]: half(AXES[v["other"]], v["part"])}
        rules = {name: v[name] for name in ("budget", "epochs", "candidates", "eta")}
        methods = (v["first"], v["second"])
        if self.lab is not None:
            self.lab.close()
        self.lab = SearchLab(
            self.problem, methods, space=space, seed=v["seed"], **rules
        )
        self.lab.adopt([t for t in kept if t.state in ("done", "diverged")])
        self._runs += 1

    def do_play(self) -> None:
        """Search on from here, live; from the end, again from the start."""
        if not self.lab.busy:
            self._rebuild(keep=True)
        self._playing = True
        self.start(self._searching())

    def do_reset(self) -> None:
        """Back to the start with the same seed, without the trials by hand."""
        self.do_pause()
        self._rebuild()

    def do_try(self, rate: float, other: float) -> None:
        """A trial by hand at this point of the plane, trained at once."""
        self.lab.try_at(rate, other)
        if not self.working:
            self.start(self._by_hand())

    def do_test(self) -> None:
        """Judge the winners on the test part."""
        self.lab.test()

    def try_at(self, rate: float, other: float) -> dict[str, float]:
        """Train one setting here and now, without a page.

        Returns:
            Its loss and accuracy on the validation part, and the epochs it has cost.
        """
        self.do_pause()
        trial = self.lab.try_at(rate, other)
        while self.lab.sides["hand"].work is not None:
            self.do_step()
        self._note_change()
        return {"validation_loss": trial.loss, "validation_accuracy": trial.accuracy,
                "spent": trial.spent}  # fmt: skip

    def run(self, epochs: int | None = None) -> dict[str, dict[str, Any]]:
        """Search here and now, without a page.

        Args:
            epochs: how many more, of both together; to the end if not given.

        Returns:
            For each side that has trials: its method, trials, epochs spent, the
            settings, validation loss and accuracy of its best trial; and at the end
            the test accuracy of that one.
        """
        self.do_pause()
        goal = math.inf if epochs is None else self.lab.time + epochs
        while self.lab.busy and self.lab.time < goal:
            self.do_step()
        if self.lab.finished:
            self.lab.test()
        self._note_change()
        return {key: self._found(key) for key, s in self.lab.sides.items() if s.trials}

    def _found(self, key: str) -> dict[str, Any]:
        side, test = self.lab.sides[key], self.lab.tests.get(key)
        found = {"method": side.method, "trials": len(side.trials), "spent": side.spent}
        if side.best is not None:
            found["settings"] = side.best.settings
            found["validation_loss"] = side.best.loss
            found["validation_accuracy"] = side.best.accuracy
        if test is not None:
            found["test_accuracy"] = test.validation_accuracy
        return found

    def close(self) -> None:
        """End the work and the training, and free the widget."""
        super().close()
        if getattr(self, "lab", None) is not None:
            self.lab.close()

    def _searching(self) -> Work:
        beat = Beat()
        try:
            while self._playing and self.lab.busy:
                yield from self.lab.advance()
                rate = int(self.values["speed"])
                if rate:
                    yield beat.rest(1 / rate)
        finally:
            self._playing = False

    def _by_hand(self) -> Work:
        while self.lab.sides["hand"].work is not None:
            yield from self.lab.advance()

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        return {**content, **parts, "states": list(STATES), "names": NAMES,
                "keys": list(SIDES)}  # fmt: skip

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """Trials, events and steps of range tests since the last message."""
        lab, told = self.lab, self._told
        now = {
            "run": self._runs,
            "time": lab.time,
            "playing": self._playing,
            "busy": lab.busy,
            "values": dict(self.values),
            "looks": lab.looks,
            "sides": {key: _summary(lab, key) for key in lab.sides},
        }
        lists = (lab.trials, lab.events, lab.sweeps)
        kept = told["kept"] if told.get("run") == self._runs else [0, 0, 0]
        sizes = [len(each) for each in lists]
        if told.get("now") == now and kept == sizes:
            return None
        content = {"kind": "news", **now, "from": kept,
                   "parts": ["trials", "events", "sweeps"]}  # fmt: skip
        if told.get("run") != self._runs:
            content["plane"] = plane_of(lab)
        places = [
            (SIDES.index(side.key), *trial.settings.values(), born)
            for (trial, side), born in list(zip(lab.trials, lab.born, strict=True))[
                kept[0] :
            ]
        ]
        rows = [places, lab.events[kept[1] :], lab.sweeps[kept[2] :]]
        self._told = {"now": now, "run": self._runs, "kept": sizes}
        return content, as_bytes(*map(np.array, rows))

    # ---- without a page

    def describe(self) -> str:
        return (
            "A search for hyperparameters: trials on a plane, their validation loss, "
            "and the best so far"
        )

    def figure(self) -> Figure:
        from lib.widgets.search_still import search_figure

        return search_figure(self.lab, NAMES, OTHERS)


def half(axis: Any, part: str) -> Any:
    """The axis, or its half below or above its middle."""
    if part == "all":
        return axis
    middle = axis.points(3)[1]
    return replace(axis, **{"high" if part == "low" else "low": middle})


def plane_of(lab: SearchLab) -> dict[str, Any]:
    """What the page needs to draw the axes."""
    rates, axis = lab.space["learning_rate"], lab.space[lab.other]
    return {
        "rates": [rates.low, rates.high],
        "other": [axis.low, axis.high],
        "log": axis.log,
        "whole": axis.whole,
        "name": lab.other,
        "label": OTHERS[lab.other],
        "budget": lab.budget,
        "epochs": lab.epochs,
        "chance": math.log(lab.problem.classes),
    }


def _summary(lab: SearchLab, key: str) -> dict[str, Any]:
    """What stands in the table and cannot be read from the events."""
    side, test = lab.sides[key], lab.tests.get(key)
    done = side.sweep is not None and bool(side.trials)
    return {
        "method": side.method,
        "goal": side.goal,
        "rate": side.sweep.suggested if done else None,
        "test": None if test is None else test.validation_accuracy,
    }
