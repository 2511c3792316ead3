"""The learning-rate range test: one short run that tells which rates a network bears.

Smith, "Cyclical Learning Rates for Training Neural Networks", 2015 (arXiv:1506.01186),
section 3.3. Smith lets the rate rise by equal differences over some epochs; here it
rises by equal ratios, which sees small and large rates alike. The suggestion, a tenth
of the rate with the lowest loss, is a rule of thumb and not Smith's.

Left out: cyclical rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.batches import check_count
from lib.loop_parts import NonFiniteLoss
from lib.losses import fused_cross_entropy
from lib.search_trials import Problem
from lib.training import train

SMOOTHING = 0.8  # of the loss: the share of what was before
EXPLODED = 3.0  # the test ends when the smooth loss is so many times its lowest


@dataclass(eq=False)
class RangeTest:
    """The loss while the learning rate rises.

    Attributes:
        rates, losses: one for each step; the loss is that of the batch before it.
        smooth: the losses, each averaged with those before it.
        spent: epochs that it has cost; parts count.
        exploded: whether it ended because the loss went up.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smooth: list[float] = field(default_factory=list)
    spent: float = 0.0
    exploded: bool = False

    @property
    def lowest(self) -> float:
        """The rate at which the smooth loss is lowest; ValueError before a step."""
        if not self.rates:
            raise ValueError("the range test has taken no step yet; run it first.")
        return self.rates[self.smooth.index(min(self.smooth))]

    @property
    def suggested(self) -> float:
        """A tenth of `lowest`: a rate that still has room before the loss goes up."""
        return self.lowest / 10

    def add(self, rate: float, loss: float) -> None:
        """Take down one step."""
        self.rates.append(rate)
        self.losses.append(loss)
        if len(self.losses) == 1:
            self._mean = 0.0
        self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * loss
        self.smooth.append(self._mean / (1 - SMOOTHING ** len(self.losses)))

    def __repr__(self) -> str:
        return f"RangeTest({len(self.rates)} steps, exploded={self.exploded})"


def range_test(
    problem: Problem,
    settings: Mapping[str, Any] | None = None,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    seed: int = 0,
) -> Iterator[RangeTest]:
    """Learning-rate range test: one short run in which the rate rises all the time.

        rate of step i = low (high / low)^(i / (steps − 1)),  i = 0, 1, ...

    It ends before `high` when the smooth loss is `EXPLODED` times its lowest, or not
    finite. Yields its one record after each step.

    Args:
        settings: of everything but the learning rate.

    Raises:
        ValueError: rates that do not rise from above 0, or fewer than 10 steps.
    """
    check_count(steps=steps)
    if not 0 < low < high < math.inf or steps < 10:
        raise ValueError(
            f"the rates go from {low} to {high} in {steps} steps; give two finite "
            "numbers above 0, the smaller one first, and 10 steps or more."
        )
    settings = {**(settings or {}), "learning_rate": low}
    model, optimizer, batches = problem.build(settings, seed)
    growth = (high / low) ** (1 / (steps - 1))

    def rate(n: int) -> float:
        return low * growth**n

    def run() -> Iterator[RangeTest]:
        test, N = RangeTest(), len(problem.train[1])
        options = {"steps": steps, "schedule": rate, "check_finite": True}
        try:
            for step in train(
                model, fused_cross_entropy, batches, optimizer, **options
            ):
                test.add(step.learning_rate, step.loss.item())
                test.spent = step.examples / N
                test.exploded = test.smooth[-1] > EXPLODED * min(test.smooth)
                yield test
                if test.exploded:
                    return
        except NonFiniteLoss:
            test.exploded = True
            yield test

    return run()
