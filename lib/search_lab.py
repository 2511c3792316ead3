"""Two searches side by side with the same budget, and trials by hand against them.

The plane has the learning rate on x and one other hyperparameter on y. Each side has a
method; whichever has spent less trains the next epoch, so both reach the end of the
budget together. What happens is kept as rows of numbers, an `Event` for each epoch and
each change of state, so that a view can go back to any moment.

Left out: pictures and widgets (see `lib.widgets.search`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from lib.search import Epoch, Problem, Range, Trial, halving_plan, train_all
from lib.search_sides import METHODS, SIDES, Side
from lib.search_trials import STATES

RATES = Range(1e-4, 10.0, log=True)
AXES: dict[str, Range] = {
    "width": Range(2, 128, log=True, whole=True),
    "depth": Range(1, 4, whole=True),
    "batch_size": Range(4, 128, log=True, whole=True),
    "momentum": Range(0.0, 0.99),
    "weight_decay": Range(1e-6, 0.1, log=True),
}
MOST = 200  # trials by hand


class Event(NamedTuple):
    """One thing that happened to one trial.

    Attributes:
        trial: number in `SearchLab.trials`.
        state: number in `STATES` after it.
        epochs: that the trial has finished.
        train_loss, loss, accuracy: of its last epoch, the last two on the validation
            part; NaN where there is none.
        spent: epochs that its side has cost until then.
        time: epochs that everybody has cost until then.
    """

    trial: int
    state: int
    epochs: int
    train_loss: float
    loss: float
    accuracy: float
    spent: float
    time: float


class SearchLab:
    """Two sides and a hand on one problem.

    Args:
        problem: data and networks.
        methods: of the first and the second side; the second may be "none".
        space: {"learning_rate": Range, other: Range}.
        budget: epochs of each side.
        epochs: of each trial of grid, random search, range test and hand.
        candidates: trials with which halving begins; fewer if the budget asks for it.
        eta: halving keeps the best 1/eta.
        seed: of random points, first weights and batches.

    Attributes:
        trials: (trial, side) of all, in the order in which they came.
        born: the time at which each was chosen.
        events: list of `Event`, rising in time.
        sweeps: a row for each step of a range test: number of the side in `SIDES`,
            rate, loss, smooth loss, time.
        time: epochs that everybody has cost.
        tests: side -> `Epoch` of its winner on the test part, once asked for.
        looks: how often the test part was looked at.

    Raises:
        ValueError: methods that do not exist, or a budget below one trial.
    """

    def __init__(
        self,
        problem: Problem,
        methods: tuple[str, str] = ("grid", "random"),
        space: dict[str, Range] | None = None,
        budget: int = 96,
        epochs: int = 6,
        candidates: int = 27,
        eta: int = 3,
        seed: int = 0,
    ) -> None:
        allowed = [(*METHODS,), (*METHODS, "none")]
        for method, names in zip(methods, allowed, strict=True):
            if method not in names:
                raise ValueError(
                    f"there is no method {method!r}; choose one of {', '.join(names)}."
                )
        if not 1 <= epochs <= budget:
            raise ValueError(
                f"{epochs} epochs a trial do not fit a budget of {budget}; give 1 to "
                f"{budget}."
            )
        self.problem, self.budget, self.epochs = problem, budget, epochs
        self.space = space or {"learning_rate": RATES, "width": AXES["width"]}
        self.other = next(name for name in self.space if name != "learning_rate")
        self.candidates, self.eta = fitting(candidates, budget, eta), eta
        self.seed = seed
        self.trials: list[tuple[Trial, Side]] = []
        self.born: list[float] = []
        self.events: list[Event] = []
        self.sweeps: list[tuple[float, ...]] = []
        self.time, self.looks = 0.0, 0
        self.tests: dict[str, Epoch] = {}
        self._told: list[tuple[str, int]] = []
        self._asked: list[Trial] = []  # by hand, not yet begun
        self._turn: Side | None = None
        self.sides = {
            key: Side(key, method, self)
            for key, method in zip(SIDES, (*methods, "hand"), strict=True)
            if method != "none"
        }

    @property
    def finished(self) -> bool:
        """Whether both searches have spent what they wanted to spend."""
        return all(s.work is None or s.method == "hand" for s in self.sides.values())

    @property
    def busy(self) -> bool:
        """Whether anything is left to train, the trials by hand included."""
        return any(s.work is not None for s in self.sides.values())

    def enter(self, side: Side, trials: list[Trial]) -> None:
        """Trials that a side has chosen."""
        self.trials += [(trial, side) for trial in trials]
        self.born += [self.time] * len(trials)
        self._told += [("waiting", 0)] * len(trials)

    def advance(self) -> Iterator[None]:
        """One epoch of the side that has spent least; in pieces of one step."""
        side = self._turn or self._next()
        if side is None:
            return
        self._turn, before = side, side.spent  # an epoch left half done goes on first
        for _ in side.work:
            sweeping = side.sweep is not None and not side.trials
            if self._note(side) or (sweeping and side.spent - before >= 1):
                break
            yield
        else:
            side.work = None
            self._note(side)
        self._turn = None
        self._move_time()

    def _next(self) -> Side | None:
        """Who trains next: a hand that asks, else the side that has spent least."""
        waiting = [s for s in self.sides.values() if s.work is not None]
        return min(waiting, key=lambda s: (s.method != "hand", s.spent), default=None)

    def close(self) -> None:
        """End all training; what has come out of it stays."""
        for side in self.sides.values():
            if side.work is not None:
                side.work.close()
            side.work = None
        self._turn = None

    def try_at(self, rate: float, other: float) -> Trial:
        """A trial by hand, trained by the next calls of `advance`; the trial.

        Raises:
            ValueError: values outside the space, or too many trials.
        """
        point = {"learning_rate": float(rate), self.other: other}
        for name, value in point.items():
            axis = self.space[name]
            if not axis.low * 0.999 <= value <= axis.high * 1.001:
                raise ValueError(
                    f"{name} is {value:g}; give a number from {axis.low:g} to "
                    f"{axis.high:g}."
                )
            inside = min(max(value, axis.low), axis.high)
            point[name] = round(inside) if axis.whole else float(inside)
        hand = self.sides["hand"]
        if len(hand.trials) >= MOST:
            raise ValueError(
                f"there are {MOST} trials by hand already; reset to begin again."
            )
        (trial,) = hand.add([point])
        self._asked.append(trial)
        hand.work = hand.work or self._by_hand()
        return trial

    def _by_hand(self) -> Iterator[Trial]:
        while self._asked:
            yield from train_all([self._asked.pop(0)], self.epochs)

    def test(self) -> dict[str, Epoch]:
        """Every side's winner on the test part; side -> `Epoch`, as `Problem.test`."""
        winners = {key: side.best for key, side in self.sides.items() if side.best}
        self.tests = {key: self.problem.test(t) for key, t in winners.items()}
        self.looks += bool(winners)
        return self.tests

    # ---- what happened

    def _move_time(self) -> None:
        self.time = sum(side.spent for side in self.sides.values())

    def note_sweep(self, side: Side) -> None:
        """A row for the newest step of a side's range test."""
        self._move_time()
        test = side.sweep
        newest = (test.rates[-1], test.losses[-1], test.smooth[-1])
        self.sweeps.append((SIDES.index(side.key), *newest, self.time))

    def _note(self, side: Side) -> bool:
        """An event for each trial that is not as it was told; whether an epoch ended.

        A trial that begins or goes on makes none: nothing is known of it yet.
        """
        ended = False
        for number, (trial, owner) in enumerate(self.trials):
            now = (trial.state, len(trial.history))
            grown = now[1] > self._told[number][1]
            if owner is not side or now == self._told[number]:
                continue
            if trial.state != "running" or grown:
                self._add_event(number, trial, now[1], side.spent)
                ended |= grown or trial.state == "diverged"
            self._told[number] = now
        return ended

    def _add_event(self, number: int, trial: Trial, epochs: int, cost: float) -> None:
        self._move_time()
        last = trial.history[epochs - 1] if epochs else Epoch(*[math.nan] * 3)
        state = STATES.index(trial.state)
        self.events.append(Event(number, state, epochs, *last, cost, self.time))
        self.tests.pop(self.trials[number][1].key, None)  # another winner, perhaps

    def adopt(self, trials: list[Trial]) -> None:
        """Trials by hand of an earlier lab with the same problem, which have ended."""
        hand = self.sides["hand"]
        for trial in trials:
            cost = hand.spent
            hand.trials.append(trial)
            self.enter(hand, [trial])
            for epochs in range(1, len(trial.history) + 1):
                self._add_event(len(self.trials) - 1, trial, epochs, cost + epochs)
            if trial.state == "diverged":
                self._add_event(
                    len(self.trials) - 1, trial, len(trial.history), hand.spent
                )
            self._told[-1] = (trial.state, len(trial.history))


def fitting(n: int, budget: int, eta: int) -> int:
    """The most candidates, up to n, that halving can begin with on this budget."""
    for fewer in range(n, 1, -1):
        try:
            halving_plan(fewer, budget, eta)
        except ValueError:
            continue
        return fewer
    return 1
