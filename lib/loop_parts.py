"""What `lib.loop` is made of: evaluation, clipping, and small things around a step.

Clipping: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural
networks", ICML 2013, algorithm 1.

Left out: clipping of each number on its own.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lib.batches import Batch, minibatches, pairs

Loss = Callable[[Tensor, Tensor], Tensor]


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or NaN; the parameters are those that gave it."""


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loss: Loss,
    data: Batch | Iterable[Batch],
    metrics: Mapping[str, Callable[[Tensor, Tensor], float]] | None = None,
    batch_size: int = 1024,
) -> dict[str, float]:
    """Loss and metrics of a model on data, in evaluation mode and without gradients.

    Args:
        model, loss: as in `train`. The loss is a mean over the examples.
        data: (x, y), which is cut into batches of batch_size, or batches.
        metrics: metrics[name](predictions, targets) of all examples together.

    Returns:
        {"loss": mean over the examples, name: value, ...}.

    Raises:
        ValueError: no data; a metric called "loss".
    """
    if metrics and "loss" in metrics:
        raise ValueError('a metric is called "loss"; give it another name.')
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        x, y = data
        minibatches(x, y, batch_size)  # for its checks
        parts = zip(x.split(batch_size), y.split(batch_size), strict=True)
    else:
        parts = data
    total, examples, predictions, targets = 0.0, 0, [], []
    with evaluation_mode(model):
        for x, y in pairs(parts, 1):
            output = model(x)
            total += one_number(loss(output, y)).item() * len(y)
            examples += len(y)
            if metrics:
                predictions.append(output)
                targets.append(y)
    values = {"loss": total / examples}
    for name, metric in (metrics or {}).items():
        values[name] = float(metric(torch.cat(predictions), torch.cat(targets)))
    return values


def clip_gradient_norm(params: Iterable[Tensor], max_norm: float) -> Tensor:
    """Shorten the gradient of all parameters together to the length max_norm.

        g = g · min(1, max_norm / (‖g‖ + 10⁻⁶))

    In place, without waiting for a GPU. As `torch.nn.utils.clip_grad_norm_`.

    Args:
        params: those without a gradient are passed over.
        max_norm: above 0.

    Returns:
        (), the length ‖g‖ before, in the dtype of the gradients.

    Raises:
        ValueError: no parameter has a gradient, or max_norm is out of range.
    """
    check_norm(max_norm)
    gradients = [p.grad for p in params if p.grad is not None]
    if not gradients:
        raise ValueError("no parameter has a gradient; call loss.backward() first.")
    norm = torch.stack([g.norm() for g in gradients]).norm()  # ‖g‖ = √Σ‖gᵢ‖²
    scale = (max_norm / (norm + 1e-6)).clamp(max=1)
    for g in gradients:
        g.mul_(scale)
    return norm


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The whole model in evaluation mode, and afterwards each part as it was."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


class Interrupts:
    """Holds back Ctrl-C inside `with`, and lets it through at the end of it.

    An update that is torn apart leaves half of the parameters a step ahead. Installed
    once for a run, since that takes longer than many a step. Outside the main thread
    Python delivers no interrupts, and it does nothing.
    """

    def __init__(self) -> None:
        self.inside = self.waiting = self.ended = False
        self.before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        self.installed = main and self.before not in (None, signal.SIG_IGN)
        if self.installed:
            signal.signal(signal.SIGINT, self.take)

    def __enter__(self) -> None:
        self.inside = True

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.inside = False
        if self.waiting:
            self.waiting = False
            self.take(signal.SIGINT, None)

    def take(self, number: int, frame: Any) -> None:
        """What Python calls on Ctrl-C."""
        if self.inside:
            self.waiting = True
        elif callable(self.before):
            self.before(number, frame)  # as a rule it raises KeyboardInterrupt
        else:
            self.close()
            signal.raise_signal(number)

    def close(self) -> None:
        """Put back the handler that was there, unless there is a new one.

        If there is, from a run that is still under way, that run puts it back.
        """
        self.ended = True
        handler = now = signal.getsignal(signal.SIGINT)
        while isinstance(owner := getattr(handler, "__self__", None), Interrupts):
            if not owner.ended:
                break
            handler = owner.before
        main = threading.current_thread() is threading.main_thread()
        if main and handler is not now:
            signal.signal(signal.SIGINT, handler)


class Scaled:
    """What torch's `GradScaler` wants to see of an optimizer."""

    def __init__(self, params: list[Tensor], step: Callable[[], None]) -> None:
        self.param_groups, self.step = [{"params": params}], step


def one_number(value: Any) -> Tensor:
    """The loss, if it is a tensor of shape ()."""
    if not isinstance(value, Tensor) or value.ndim != 0:
        shape = (
            tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        )
        raise ValueError(
            f"the loss was {shape}; it must be a tensor of shape (), one number for "
            "the whole batch. Take the mean over the batch."
        )
    return value


def refuse_non_finite(value: Tensor, step: int) -> None:
    """Raise `NonFiniteLoss` for a loss that is infinite or NaN."""
    number = value.item()
    if not math.isfinite(number):
        raise NonFiniteLoss(
            f"the loss was {number} at step {step}. Often a smaller rate helps."
        )


def rate_of(optimizer: Any) -> float:
    """The learning rate of the first group."""
    if hasattr(optimizer, "learning_rate"):
        return optimizer.learning_rate
    return optimizer.param_groups[0]["lr"]  # torch's name for it


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the learning rate of every group."""
    if hasattr(optimizer, "learning_rate"):
        optimizer.learning_rate = rate
        return
    for group in optimizer.param_groups:
        group["lr"] = rate


def check_norm(max_norm: float) -> None:
    """Raise ValueError for a length that is no finite number above 0."""
    if not 0 < max_norm < math.inf:
        raise ValueError(f"the norm is {max_norm}; give a finite number above 0.")
