"""A race of optimizers on one surface: every racer takes the same number of steps.

The racers are the optimizers of `lib.optimizers`, each with a parameter vector of two
numbers. All start at one point and see the same noise at the same step. Gradient
descent alone sees the exact gradient; the others see the gradient plus noise, as if it
came from a mini-batch.

Left out: pictures and widgets (see `lib.widgets.race`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lib.optimizers import OPTIMIZERS
from lib.surfaces import gradient_noise

RATE_GRID = tuple(  # 1, 2 and 5 in every decade from 1e-5 to 5
    float(f"{digit}e{power}") for power in range(-5, 1) for digit in (1, 2, 5)
)
FAR = 1e4  # this many widths of the map away, a racer counts as diverged
CHUNK = 8  # steps between two yields


@dataclass
class Race:
    """Optimizers that descend one surface side by side.

    Args:
        surface: has `value(x, y)`, `gradient(x, y)` and `bounds`, as
            `lib.surfaces.Surface` has.
        settings: optimizer name -> keyword arguments of its class.
        start: the common starting point (x, y).
        steps: steps that each racer takes.
        noise: standard deviation of the gradient noise, in units of the gradient.
        seed: of the noise; the same seed gives the same race.
        along_x: True descends along the line y = start[1] only.

    Attributes:
        paths: (R, steps + 1, 2) float64, NaN where not run or diverged.
        losses: (R, steps + 1) float64, the exact loss at each point of the path.
        diverged_at: name -> step at which the racer left for infinity.
        done: steps run so far.
    """

    surface: Any
    settings: dict[str, dict[str, Any]]
    start: tuple[float, float]
    steps: int = 200
    noise: float = 0.0
    seed: int = 0
    along_x: bool = False
    diverged_at: dict[str, int] = field(default_factory=dict, init=False)
    done: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        unknown = [name for name in self.settings if name not in OPTIMIZERS]
        if unknown:
            raise ValueError(
                f"no optimizer is called {unknown[0]!r}; there are "
                f"{', '.join(OPTIMIZERS)}."
            )
        if self.steps < 1:
            raise ValueError(f"steps was {self.steps}; a race needs at least 1 step.")
        self.names = list(self.settings)
        R, N = len(self.names), self.steps + 1
        self.paths = np.full((R, N, 2), np.nan)
        self.losses = np.full((R, N), np.nan)
        self.paths[:, 0] = self.start
        self.losses[:, 0] = self.surface.value(*self.start)
        self._noise = (self.noise * gradient_noise(self.seed, self.steps)).tolist()
        x0, x1, y0, y1 = self.surface.bounds
        self._middle = (x0 + x1) / 2, (y0 + y1) / 2
        self._reach = FAR * (x1 - x0), FAR * (y1 - y0)
        self._racers: dict[str, _Racer] = {}
        self._known: dict[str, int] = {}  # name -> step up to which its path is known
        self._longest: Race | None = None  # what this one is the beginning of

    def keep(self, earlier: Race) -> Race:
        """Take over the paths of an earlier race that would come out the same again.

        A racer's path depends on nothing but the race's terms and its own settings, so
        a changed setting of one racer makes no other run again. A shorter race is the
        beginning of a longer one. A longer one goes on where the earlier one ended,
        with its racers, which the earlier one can then lend to no other.
        """
        known = earlier._longest or earlier
        if known.done < known.steps or known._terms() != self._terms():
            return self
        end = min(self.steps, known.steps)
        for row, (name, options) in enumerate(self.settings.items()):
            if known.settings.get(name) != options:
                continue
            stop = known.diverged_at.get(name, math.inf)
            if end < min(self.steps, stop):
                if name not in known._racers:
                    continue  # lent already
                self._racers[name] = known._racers.pop(name)
            there = known.names.index(name)
            self.paths[row, : end + 1] = known.paths[there, : end + 1]
            self.losses[row, : end + 1] = known.losses[there, : end + 1]
            if stop <= end:
                self.diverged_at[name] = stop
            self._known[name] = end
        if self.steps < known.steps and len(self._known) == len(self.names):
            self._longest = known
        return self

    def _terms(self) -> tuple:
        """What all racers share, but for the number of steps."""
        start = tuple(map(float, self.start))
        return id(self.surface), start, self.noise, self.seed, self.along_x

    def work(self) -> Generator[None, None, None]:
        """Run to the end; yields every few steps, and may be left at any yield."""
        running = []  # (row, racer, the last step that is known)
        for row, (name, options) in enumerate(self.settings.items()):
            known = self._known.get(name, 0)
            if known < self.steps and name not in self.diverged_at:
                if name not in self._racers:
                    with torch.inference_mode():
                        racer = _Racer(name, self.start, options, self.along_x)
                    self._racers[name] = racer
                running.append((row, self._racers[name], known))
        self.done = min((known for *_, known in running), default=self.steps)
        while self.done < self.steps:
            end = min(self.steps, self.done + CHUNK)
            with torch.inference_mode():  # a sixth faster: nothing is noted of a step
                for step in range(self.done + 1, end + 1):
                    for row, racer, known in running:
                        if step > known and racer.name not in self.diverged_at:
                            self._advance(row, racer, step)
            self.done = end
            yield

    def run(self) -> Race:
        """Run to the end, here and now."""
        for _ in self.work():
            pass
        return self

    def _advance(self, row: int, racer: _Racer, step: int) -> None:
        try:
            x, y = racer.step(*self._slope(racer, step))
            loss = float(self.surface.value(x, y))
        except OverflowError:  # Python's floats raise where torch gives inf
            loss = math.inf
        if not math.isfinite(loss) or self._is_far(x, y):
            self.diverged_at[racer.name] = step
            return
        self.paths[row, step, 0], self.paths[row, step, 1] = x, y
        self.losses[row, step] = loss

    def _slope(self, racer: _Racer, step: int) -> tuple[float, float]:
        dx, dy = self.surface.gradient(*racer.point)
        if racer.name != "GradientDescent":
            noise_x, noise_y = self._noise[step - 1]
            dx, dy = dx + noise_x, dy + noise_y
        return dx, 0.0 if self.along_x else dy

    def _is_far(self, x: float, y: float) -> bool:
        near_x = abs(x - self._middle[0]) <= self._reach[0]
        near_y = abs(y - self._middle[1]) <= self._reach[1]
        return not (near_x and near_y)  # NaN compares as False, so it counts as far

    @property
    def stays_on_map(self) -> bool:
        """Whether every point of every path lies inside the surface's bounds."""
        x0, x1, y0, y1 = self.surface.bounds
        x, y = self.paths[:, : self.done + 1].reshape(-1, 2).T
        return bool(((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)).all())

    def final(self, name: str) -> tuple[float, float, float]:
        """(x, y, loss) where the named racer is after the last step run."""
        row = self.names.index(name)
        last = min(self.done, self.diverged_at.get(name, self.done + 1) - 1)
        x, y = self.paths[row, last]
        return float(x), float(y), float(self.losses[row, last])


class _Racer:
    """One optimizer with a parameter of two numbers, seen by numpy without copies."""

    def __init__(
        self, name: str, start: Sequence[float], options: dict, along_x: bool
    ) -> None:
        theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        self.name = name
        self.optimizer = OPTIMIZERS[name]([theta], **options)
        self.gradient = torch.zeros(2, dtype=torch.float64)
        self._slots = self.gradient.numpy()
        self._place = self.optimizer.theta.detach().numpy()
        self._fixed_y = start[1] if along_x else None
        self.point: list[float] = self._place.tolist()

    def step(self, dx: float, dy: float) -> list[float]:
        self._slots[0], self._slots[1] = dx, dy
        self.optimizer.step(gradient=self.gradient)
        if self._fixed_y is not None:
            self._place[1] = self._fixed_y  # AdamW's decay moves y without a gradient
        self.point = self._place.tolist()
        return self.point


def best_rate(
    surface: Any,
    name: str,
    start: tuple[float, float],
    steps: int = 200,
    rates: Sequence[float] = RATE_GRID,
    along_x: bool = False,
    **options: Any,
) -> float:
    """The rate of the grid that ends lowest, without noise; the smallest of equals.

    Only rates whose path stays on the map count: a huge first step that lands well by
    luck is no advice.

    Args:
        surface, start, steps, along_x: as in `Race`.
        name: of the optimizer.
        rates: learning rates to try, ascending.
        **options: further arguments of the optimizer, such as `momentum=0.9`.

    Raises:
        ValueError: with every rate of the grid the path leaves the map.
    """
    search = rate_search(surface, name, start, steps, rates, along_x, **options)
    while True:
        try:
            next(search)
        except StopIteration as end:
            return end.value


def rate_search(
    surface: Any,
    name: str,
    start: tuple[float, float],
    steps: int = 200,
    rates: Sequence[float] = RATE_GRID,
    along_x: bool = False,
    **options: Any,
) -> Generator[None, None, float]:
    """`best_rate` in pieces: yields every few steps, and returns the rate."""
    best, lowest = None, math.inf
    for rate in rates:
        settings = {name: {"learning_rate": rate, **options}}
        race = Race(surface, settings, start, steps, along_x=along_x)
        for _ in race.work():
            yield
            if not race.stays_on_map:
                break
        loss = race.final(name)[2] if race.stays_on_map else math.inf
        if loss < lowest:
            best, lowest = rate, loss
    if best is None:
        raise ValueError(
            f"{name} leaves the map at every rate from {min(rates):g} to "
            f"{max(rates):g}; choose another start or fewer steps."
        )
    return best
