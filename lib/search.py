"""Choosing hyperparameters: grid, random search, successive halving, a range test.

A search has a space (what may be chosen), trials (what is tried, `lib.search_trials`)
and a budget in epochs, the same unit for all methods, so that they can be compared:

    space = {"learning_rate": Range(1e-4, 10, log=True),
             "width": Range(4, 128, log=True, whole=True)}
    problem = Problem("digits")
    trials = problem.trials(random_points(space, 16, seed=0))
    finish(train_all(trials, epochs=6))  # or: finish(successive_halving(trials, 96))
    winner = best(trials)  # by the validation loss
    problem.test(winner)  # once, at the end

Grid and random search: Bergstra and Bengio, "Random Search for Hyper-Parameter
Optimization", JMLR 13, 2012. Successive halving: Jamieson and Talwalkar,
"Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016.
The range test for the learning rate alone is in `lib.range_test`.

Left out: Hyperband (Li et al., JMLR 18, 2018), which runs successive halving several
times, from many candidates that are given up early to few that all train long; and
searches that build a model of the score.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from lib.batches import check_count
from lib.range_test import RangeTest, range_test
from lib.search_trials import DEFAULTS, SETS, Epoch, Problem, Trial

__all__ = [
    "DEFAULTS", "SETS", "Choice", "Epoch", "Problem", "Range", "RangeTest", "Rung",
    "Space", "Trial", "best", "finish", "grid_points", "halving_plan",
    "random_points", "range_test", "spent", "successive_halving", "trace",
    "train_all",
]  # fmt: skip


# ---- what may be chosen


@dataclass(frozen=True)
class Choice:
    """One of a few values, in the order given: `Choice((16, 32, 64))`."""

    values: tuple

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or not len(tuple(self.values)):
            raise ValueError(f"values is {self.values!r}; give one or more in a tuple.")

    def at(self, u: float) -> Any:
        """The value at u, from 0 to 1: each value has an equal share."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def place(self, value: Any) -> float:
        """The u in the middle of the share of a value."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def points(self, n: int) -> list:
        """n values, spread over the list; all of them where it has no more than n."""
        n = min(n, len(self.values))
        return [self.at((i + 0.5) / n) for i in range(n)]


@dataclass(frozen=True)
class Range:
    """All numbers from low to high, both included.

    Args:
        log: equal ratios are equally likely, not equal differences: 0.001 to 0.01 is
            then as wide as 0.1 to 1. Right for rates, widths and penalties.
        whole: whole numbers only, rounded.

    Raises:
        ValueError: ends that are not finite and rising, or not above 0 where log.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(
                f"the range goes from {self.low} to {self.high}; give two finite "
                "numbers, the smaller one first."
            )
        if self.log and self.low <= 0:
            raise ValueError(
                f"the range begins at {self.low}, and a logarithmic one has no 0; give "
                "a low above 0."
            )
        parts = self.whole and (self.low % 1 or self.high % 1)
        if parts or (self.whole and self.log and self.low < 1):
            raise ValueError(
                f"the range goes from {self.low} to {self.high}; one of whole numbers "
                "has whole ends, from 1 up where it is logarithmic."
            )

    def at(self, u: float) -> float | int:
        """The value at u, from 0 (low) to 1 (high); whole numbers have equal shares."""
        return self._between(u, *self._ends)

    def place(self, value: float) -> float:
        """The u of a value: the inverse of `at`."""
        low, high = self._ends
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    def points(self, n: int) -> list:
        """n values from low to high at equal distances; the middle one for n = 1."""
        places = [i / (n - 1) for i in range(n)] if n > 1 else [0.5]
        values = [self._between(u, self.low, self.high) for u in places]
        return list(dict.fromkeys(values))  # whole ones may repeat

    @property
    def _ends(self) -> tuple[float, float]:
        half = 0.5 if self.whole else 0.0  # so that rounding is fair to both ends
        return self.low - half, self.high + half

    def _between(self, u: float, low: float, high: float) -> float | int:
        value = low * (high / low) ** u if self.log else low + (high - low) * u
        value = min(max(value, self.low), self.high)  # rounding may step over an end
        return round(value) if self.whole else value


Space = Mapping[str, Choice | Range]


def grid_points(space: Space, per_axis: int | Mapping[str, int]) -> list[dict]:
    """Every combination of a few values per hyperparameter.

    Args:
        per_axis: values of each hyperparameter, one number or one for each name. The
            number of settings is the product: 4 values of 3 hyperparameters are 64.

    Raises:
        ValueError: an empty space, or a number that is not whole and from 1 up.
    """
    _check_space(space)
    counts = dict.fromkeys(space, per_axis) if isinstance(per_axis, int) else per_axis
    if set(counts) != set(space):
        raise ValueError(
            f"per_axis names {', '.join(counts)}; name {', '.join(space)}, or give "
            "one number for all."
        )
    check_count(**counts)
    axes = [axis.points(counts[name]) for name, axis in space.items()]
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*axes)]


def random_points(space: Space, n: int, seed: int = 0) -> list[dict]:
    """n settings, each value drawn on its own: n different values on every axis.

    More points with the same seed begin with the same ones.

    Raises:
        ValueError: an empty space, or n that is not whole and from 1 up.
    """
    _check_space(space)
    check_count(n=n)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(n, len(space), generator=generator, dtype=torch.float64).tolist()
    return [
        {name: axis.at(u) for (name, axis), u in zip(space.items(), row, strict=True)}
        for row in rows
    ]


def _check_space(space: Space) -> None:
    for name, axis in space.items():
        if not isinstance(axis, (Choice, Range)):
            raise ValueError(
                f"{name} has {axis!r}; give a Choice((...)) or a Range(low, high)."
            )
    if not space:
        raise ValueError("the space is empty; name one hyperparameter or more.")


# ---- who trains for how long


def train_all(trials: Iterable[Trial], epochs: int) -> Iterator[Trial]:
    """Grid and random search: the same number of epochs for everybody.

    Yields the trial that trains after each of its steps.
    """
    for trial in trials:
        yield from trial.train(epochs)
        if trial.state != "diverged":
            trial.end("done")


class Rung(NamedTuple):
    """One round of successive halving: so many trials, each so many epochs more."""

    trials: int
    epochs: int


def halving_plan(n: int, budget: int, eta: int = 3) -> list[Rung]:
    """The rounds of successive halving for n candidates, until one is left.

    Every rung gets the same share of the budget, so those that are left train longer
    and longer: 27 candidates and 81 epochs are 27 x 1, 9 x 3 and 3 x 9.

    Args:
        budget: epochs of all trials together; what does not divide is not spent.
        eta: the best 1/eta of a rung, at least one, go on to the next.

    Raises:
        ValueError: numbers that are not whole, or a budget of less than an epoch each.
    """
    check_count(n=n, budget=budget)
    if isinstance(eta, bool) or not isinstance(eta, int) or eta < 2:
        raise ValueError(f"eta is {eta!r}; give a whole number from 2 up.")
    sizes = [n]
    while sizes[-1] > 1:
        sizes.append(max(sizes[-1] // eta, 1))
    sizes = sizes[:-1] or [1]  # the last one left is the winner and trains no more
    if budget < n * len(sizes):
        raise ValueError(
            f"a budget of {budget} epochs is too small for {n} candidates in "
            f"{len(sizes)} rungs; give at least {n * len(sizes)} epochs."
        )
    return [Rung(size, budget // (len(sizes) * size)) for size in sizes]


def successive_halving(
    trials: list[Trial], budget: int, eta: int = 3
) -> Iterator[Trial]:
    """Train all a little, keep the best 1/eta, train those longer, and so on.

    Trials go on with the weights they have; nothing is trained twice. The danger is a
    trial that begins slowly and would have won.

    Args, errors: as `halving_plan`. Yields as `train_all`.
    """
    plan = halving_plan(len(trials), budget, eta)
    alive = list(trials)
    for i, rung in enumerate(plan):
        for trial in alive:
            yield from trial.train(rung.epochs)
        alive = sorted((t for t in alive if t.state != "diverged"), key=_loss)
        keep = plan[i + 1].trials if i + 1 < len(plan) else 1
        for trial in alive[keep:]:
            trial.end("stopped")
        alive = alive[:keep]
    for trial in alive:
        trial.end("done")


def _loss(trial: Trial) -> float:
    return trial.loss


# ---- what came out


def finish(search: Iterator) -> Any:
    """Run a search to its end, here and now; what it yielded last."""
    last = None
    for last in search:  # noqa: B007 - the last one is the result
        pass
    return last


def best(trials: Iterable[Trial]) -> Trial:
    """The trial with the lowest validation loss after its last epoch.

    Raises:
        ValueError: none has a score.
    """
    found = min(trials, key=_loss, default=None)
    if found is None or found.loss == math.inf:
        raise ValueError(
            "no trial has a score: none has trained, or all have diverged. Run the "
            "search first, or try smaller learning rates."
        )
    return found


def spent(trials: Iterable[Trial]) -> int:
    """Epochs that all of them together have cost."""
    return sum(trial.spent for trial in trials)


def trace(search: Iterator[Trial], trials: Iterable[Trial]) -> list[tuple[int, float]]:
    """Run a search over these trials to its end, and see how good it is how soon.

    Returns:
        (epochs spent, lowest validation loss that any trial has had), one pair for
        each finished epoch.
    """
    line, seen, low = [], dict.fromkeys(trials, 0), math.inf
    for trial in search:
        if len(trial.history) > seen[trial]:
            seen[trial] = len(trial.history)
            low = min(low, trial.loss)
            line.append((spent(seen), low))
    return line
