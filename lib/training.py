"""One training loop for every lesson: a generator that yields after each step.

A lesson, a widget and a script all run the same loop and differ in what they do between
two steps: print, draw, stop, or change the rate.

    for step in train(model, loss, batches, optimizer, epochs=10):
        losses.append(step.loss)

A step costs what the mathematics costs: the loss is handed over as a tensor, not as a
number, because `.item()` makes a GPU stop and wait.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or NaN; the parameters are those that gave it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of training did.

    Attributes:
        step: steps taken so far, this one included; the first is 1.
        epoch: pass over the data that the step belongs to; the first is 1.
        loss: () of the batch before the step, detached and on the model's device.
        learning_rate: rate of the step.
        examples: examples seen so far, counted again in each epoch.
    """

    step: int
    epoch: int
    loss: Tensor
    learning_rate: float
    examples: int


def train(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[Batch],
    optimizer: Any,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    schedule: Callable[[int], float] | None = None,
    check_finite: bool = False,
) -> Generator[Step, None, None]:
    """Train a model; yields a `Step` after each update of its parameters.

    The model is in training mode while a step runs. You may evaluate it between two
    steps (`model.eval()`). At the end, after an error, and when you leave the
    generator (`close()`), each part of it is in the mode in which it was found.

    Args:
        model: predictions = model(inputs).
        loss: loss(predictions, targets) is a tensor of shape () to make small.
        batches: gives pairs (inputs, targets), and gives them anew for each epoch:
            `minibatches`, a list, or torch's `DataLoader`.
        optimizer: of `lib.optimizers`, or of `torch.optim`.
        epochs, steps: give one of the two: passes over the data, or updates.
        schedule: schedule(n) is the learning rate after n updates, so schedule(0) is
            that of the first. None leaves the rate to the optimizer.
        check_finite: True raises `NonFiniteLoss` before a loss that is infinite or
            NaN changes the parameters. It costs one wait for the GPU at each step.

    Raises:
        ValueError: neither or both of epochs and steps, or less than 1; batches that
            are empty, used up or not pairs; a loss that is not one number.
    """
    if (epochs is None) == (steps is None):
        raise ValueError(
            f"epochs={epochs} and steps={steps}: give one of the two, not both."
        )
    _check_count(**({"epochs": epochs} if steps is None else {"steps": steps}))
    # The checks above run at the call; the generator below waits for the first step.
    return _run(model, loss, batches, optimizer, epochs, steps, schedule, check_finite)


def _run(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[Batch],
    optimizer: Any,
    epochs: int | None,
    steps: int | None,
    schedule: Callable[[int], float] | None,
    check_finite: bool,
) -> Generator[Step, None, None]:
    modes = [(part, part.training) for part in model.modules()]
    done = examples = 0
    try:
        for epoch in itertools.count(1):
            for inputs, targets in _pairs(batches, epoch):
                if schedule is not None:
                    _set_rate(optimizer, schedule(done))
                if not model.training:
                    model.train()
                value = _forward(model, loss, inputs, targets)
                if check_finite:
                    _refuse_non_finite(value, done + 1)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                done, examples = done + 1, examples + len(targets)
                yield Step(done, epoch, value.detach(), _rate(optimizer), examples)
                if done == steps:
                    return
            if epoch == epochs:
                return
    finally:
        for part, training in modes:
            part.training = training


def _pairs(batches: Iterable[Batch], epoch: int) -> Iterator[Batch]:
    """The batches of one epoch, each checked to be a pair."""
    empty = True
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(
                f"a batch was a {type(batch).__name__}; give pairs (inputs, targets)."
            )
        empty = False
        yield batch[0], batch[1]
    if empty:
        raise ValueError(
            f"batches gave nothing in epoch {epoch}. An iterator is used up after one "
            "pass; give a list, minibatches(...) or a DataLoader."
        )


def _forward(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
) -> Tensor:
    value = loss(model(inputs), targets)
    if not isinstance(value, Tensor) or value.ndim != 0:
        shape = (
            tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        )
        raise ValueError(
            f"the loss was {shape}; it must be a tensor of shape (), one number for "
            "the whole batch. Take the mean over the batch."
        )
    return value


def _refuse_non_finite(value: Tensor, step: int) -> None:
    number = value.item()
    if not math.isfinite(number):
        raise NonFiniteLoss(
            f"the loss was {number} at step {step}. Often a smaller rate helps."
        )


def _rate(optimizer: Any) -> float:
    if hasattr(optimizer, "learning_rate"):
        return optimizer.learning_rate
    return optimizer.param_groups[0]["lr"]  # torch's name for it


def _set_rate(optimizer: Any, rate: float) -> None:
    if hasattr(optimizer, "learning_rate"):
        optimizer.learning_rate = rate
        return
    for group in optimizer.param_groups:
        group["lr"] = rate


def _check_count(**counts: Any) -> None:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} was {count!r}; it is a whole number from 1 up.")


class minibatches:
    """The data in small batches, in a new random order at each pass.

    The order comes from a generator on the CPU, whatever device the data is on. So the
    same seed gives the same batches on every machine, and pass k of one object is pass
    k of another made alike.

    Args:
        x: (N, ...) inputs.
        y: (N, ...) targets, on the same device.
        batch_size: examples in a batch. None gives everything at once, in the order
            given: batch gradient descent.
        seed: of the order.
        generator: on the CPU, in place of a seed; it moves on at each pass.
        drop_last: True leaves out a last batch that is smaller.

    Raises:
        ValueError: x and y do not match or are empty, or there would be no batch.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int | None,
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
    ) -> None:
        N = _check_pair(x, y)
        if batch_size is not None:
            _check_count(batch_size=batch_size)
            if drop_last and batch_size > N:
                raise ValueError(
                    f"batch_size was {batch_size} for {N} examples, and drop_last "
                    "leaves out the only batch. Take a smaller one."
                )
        if generator is None:
            generator = torch.Generator().manual_seed(seed)
        elif generator.device.type != "cpu":
            raise ValueError(
                f"the generator is on {generator.device}; the order of the batches "
                "takes one on the CPU, torch.Generator()."
            )
        self.x, self.y = x, y
        self.batch_size, self.drop_last = batch_size, drop_last
        self.generator = generator

    def __iter__(self) -> Iterator[Batch]:
        if self.batch_size is None:
            yield self.x, self.y
            return
        order = torch.randperm(len(self.x), generator=self.generator)
        order = order.to(self.x.device)
        for i in range(len(self)):
            chosen = order[i * self.batch_size : (i + 1) * self.batch_size]
            yield self.x[chosen], self.y[chosen]

    def __len__(self) -> int:
        """Batches in one pass."""
        if self.batch_size is None:
            return 1
        whole, rest = divmod(len(self.x), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __repr__(self) -> str:
        return f"minibatches({len(self)} of {self.batch_size or len(self.x)})"


def _check_pair(x: Tensor, y: Tensor) -> int:
    """The number of examples in x and in y."""
    for name, data in (("x", x), ("y", y)):
        if not isinstance(data, Tensor) or data.ndim == 0:
            raise ValueError(
                f"{name} was a {type(data).__name__}; give a tensor with one row for "
                "each example."
            )
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"x has {len(x)} examples and y has {len(y)}; both need the same number, "
            "at least 1."
        )
    if x.device != y.device:
        raise ValueError(
            f"x is on {x.device} and y on {y.device}; move one with .to(device)."
        )
    return len(x)
