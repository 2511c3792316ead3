"""One side of a race of searches: a method, the trials that it chooses, and their cost.

Read `lib.search` first: the methods are its generators. `lib.search_lab` has two sides
and a hand, and says whose turn it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from lib.search import (
    Range,
    RangeTest,
    Trial,
    best,
    grid_points,
    halving_plan,
    random_points,
    range_test,
    spent,
    successive_halving,
    train_all,
)

METHODS = ("grid", "random", "halving", "range_test")
SIDES = ("first", "second", "hand")
SWEEP_STEPS = 100  # of a range test


class Side:
    """One method with its trials.

    Args:
        key: one of `SIDES`.
        method: one of `METHODS`, or "hand".
        lab: the `lib.search_lab.SearchLab` that it belongs to, which gives the problem,
            the space and the rules, and is told of every new trial.

    Attributes:
        trials: those that it has chosen so far.
        sweep: the record of its range test, or None.
        work: the generator that trains them; None when there is nothing left to do.
    """

    def __init__(self, key: str, method: str, lab: Any) -> None:
        self.key, self.method, self.lab = key, method, lab
        self.trials: list[Trial] = []
        self.sweep: RangeTest | None = None
        self.work = self._search() if method != "hand" else None

    @property
    def spent(self) -> float:
        """Epochs that it has cost, those of its range test included."""
        return spent(self.trials) + (self.sweep.spent if self.sweep else 0.0)

    @property
    def best(self) -> Trial | None:
        """Its trial with the lowest validation loss; None before there is one."""
        scored = [trial for trial in self.trials if trial.loss < math.inf]
        return best(scored) if scored else None

    def add(self, points: list[dict]) -> list[Trial]:
        """Trials for these settings, which the lab then shows."""
        fresh = self.lab.problem.trials(points, self.lab.seed)
        self.trials += fresh
        self.lab.enter(self, fresh)
        return fresh

    @property
    def goal(self) -> float:
        """Epochs that it will have cost at its end, if nothing diverges."""
        if self.work is None:
            return self.spent
        if self.method == "halving":
            plan = halving_plan(len(self.trials), self.lab.budget, self.lab.eta)
            return sum(rung.trials * rung.epochs for rung in plan)
        if self.method == "range_test" and not self.trials:
            return self.lab.budget
        return self.lab.epochs * len(self.trials) + (
            self.sweep.spent if self.sweep else 0.0
        )

    def _search(self) -> Iterator[Any]:
        """The method, as a generator; its trials are known before it begins."""
        lab = self.lab
        n = max(1, lab.budget // lab.epochs)
        # The two sides draw different points, or they would lie on each other.
        seed = lab.seed + 1000 * SIDES.index(self.key)
        if self.method == "range_test":
            return self._range_then_train()
        if self.method == "halving":
            points = random_points(lab.space, lab.candidates, seed)
            return successive_halving(self.add(points), lab.budget, lab.eta)
        if self.method == "grid":
            points = grid_points(lab.space, grid_shape(lab.space, n))
        else:
            points = random_points(lab.space, n, seed)
        return train_all(self.add(points), lab.epochs)

    def _range_then_train(self) -> Iterator[Any]:
        """Let the range test choose the rate, then try the other axis at that rate."""
        lab, rates = self.lab, self.lab.space["learning_rate"]
        axis = lab.space[lab.other]
        middle = {lab.other: axis.points(1)[0]}
        ends = {"low": rates.low, "high": rates.high}
        for test in range_test(
            lab.problem, middle, **ends, steps=SWEEP_STEPS, seed=lab.seed
        ):
            self.sweep = test
            lab.note_sweep(self)
            yield test
        rate = max(self.sweep.suggested, rates.low)
        n = max(1, int(lab.budget - self.sweep.spent) // lab.epochs)
        points = [{"learning_rate": rate, lab.other: v} for v in axis.points(n)]
        yield from train_all(self.add(points), lab.epochs)


def grid_shape(space: dict[str, Range], n: int) -> dict[str, int]:
    """Values for each of two hyperparameters, at most n points together.

    As square as can be: 4 x 4 for 16, 5 x 4 for 20; the learning rate gets the more.
    """
    rate, other = space
    rows = max(1, math.isqrt(n))
    found = {rate: n // rows, other: rows}
    most = len(space[other].points(rows))  # whole numbers may be too few
    return found if most == rows else {rate: n // most, other: most}
