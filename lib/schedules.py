"""Learning-rate schedules: which rate to use at which step.

    Constant  StepDecay  Exponential  InverseTime  Cosine  LinearWarmup  WarmupCosine

A schedule is a small frozen object that is called: `schedule(n)` is the rate for the
update that comes after n others, so `schedule(0)` is that of the first. It keeps no
count of its own. Use it by hand, or give it to `lib.training.train(schedule=...)`:

    optimizer.learning_rate = schedule(n)

One set of letters: η learning_rate, n the updates done so far. Left out: schedules that
watch the loss, restarts, cycles.
"""

import math
import numbers
import operator
from dataclasses import dataclass, fields

# fields that count steps, and fields that multiply the rate
_COUNTS = ("steps", "every", "warmup_steps")
_FACTORS = ("factor",)


@dataclass(frozen=True)
class Schedule:
    """Base: checks the fields and the step. A schedule writes `rate(n)`.

    Errors: ValueError for a field or a step that is out of range.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(type(self).__name__, field.name, getattr(self, field.name))

    def __call__(self, step: int) -> float:
        """The rate after `step` updates, a number of 0 or more."""
        try:
            n = operator.index(step)
        except TypeError:
            n = -1
        if n < 0:
            raise ValueError(f"step is {step!r}: give a whole number, counted from 0")
        return self.rate(n)

    def rate(self, n: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no rate")


def _check(owner: str, name: str, value: object) -> None:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if name in _COUNTS:
        allowed = "a whole number of 1 or more"
        fits = isinstance(value, numbers.Integral) and number and value >= 1
    elif name in _FACTORS:
        allowed, fits = "a number above 0 and up to 1", number and 0 < value <= 1
    else:
        allowed = "a finite number of 0 or more"
        fits = number and 0 <= value < math.inf
    if not fits:
        raise ValueError(f"{name} of {owner} is {value!r}: give {allowed}")


@dataclass(frozen=True)
class Constant(Schedule):
    """η at every step. As `torch.optim.lr_scheduler.ConstantLR(factor=1)`."""

    def rate(self, n: int) -> float:
        return self.learning_rate


@dataclass(frozen=True)
class StepDecay(Schedule):
    """η · factor^⌊n / every⌋: multiplied by `factor` after each `every` updates.

    Used so in He et al., "Deep Residual Learning for Image Recognition", 2016,
    section 3.4. As `torch.optim.lr_scheduler.StepLR(step_size=every, gamma=factor)`.
    """

    every: int
    factor: float = 0.1

    def rate(self, n: int) -> float:
        return self.learning_rate * self.factor ** (n // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """η · factorⁿ: multiplied by `factor` after each update.

    As `torch.optim.lr_scheduler.ExponentialLR(gamma=factor)`.
    """

    factor: float

    def rate(self, n: int) -> float:
        return self.learning_rate * self.factor**n


@dataclass(frozen=True)
class InverseTime(Schedule):
    """η / (1 + κ n), κ being `decay`.

    Slow enough to get anywhere (the sum of all rates is infinite) and fast enough to
    silence the noise (the sum of their squares is finite): Robbins and Monro, "A
    Stochastic Approximation Method", 1951. `lib.optimizers.AdaGrad` has it built in.
    """

    decay: float

    def rate(self, n: int) -> float:
        return self.learning_rate / (1 + self.decay * n)


@dataclass(frozen=True)
class Cosine(Schedule):
    """η_end + (η − η_end) (1 + cos(π n / steps)) / 2, and η_end from n = steps on.

    η_end is `final`. Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with
    Warm Restarts", ICLR 2017, equation 5. Up to n = steps as
    `torch.optim.lr_scheduler.CosineAnnealingLR(T_max=steps, eta_min=final)`; torch's
    rises again after that, this one stays.
    """

    steps: int
    final: float = 0.0

    def rate(self, n: int) -> float:
        done = min(n / self.steps, 1.0)
        height = (1 + math.cos(math.pi * done)) / 2  # from 1 down to 0
        return self.final + (self.learning_rate - self.final) * height


@dataclass(frozen=True)
class LinearWarmup(Schedule):
    """η · min(n + 1, steps) / steps: η / steps first, full η from the steps-th update.

    It starts above 0, so that the first update is not wasted. Goyal et al., "Accurate,
    Large Minibatch SGD", 2017, section 2.2. As `torch.optim.lr_scheduler.LinearLR(
    start_factor=1 / steps, total_iters=steps - 1)`.
    """

    steps: int

    def rate(self, n: int) -> float:
        return self.learning_rate * min(n + 1, self.steps) / self.steps


@dataclass(frozen=True)
class WarmupCosine(Schedule):
    """`LinearWarmup` for warmup_steps updates, then `Cosine` down to `final` at steps.

    What most language models are trained with, for example Brown et al., "Language
    Models are Few-Shot Learners", 2020, appendix B.
    """

    warmup_steps: int
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps} and steps is {self.steps}: the "
                "warm-up is a part of steps, give it fewer"
            )

    def rate(self, n: int) -> float:
        if n < self.warmup_steps:
            return LinearWarmup(self.learning_rate, self.warmup_steps).rate(n)
        rest = self.steps - self.warmup_steps
        return Cosine(self.learning_rate, rest, self.final).rate(n - self.warmup_steps)
