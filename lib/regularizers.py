"""Against overfitting: penalties on the weights, dropout, early stopping.

L2: Hoerl, Kennard, "Ridge Regression", Technometrics 12(1), 1970. L1: Tibshirani,
"Regression Shrinkage and Selection via the Lasso", JRSS B 58(1), 1996. Dropout:
Srivastava et al., "Dropout", JMLR 15, 2014. Early stopping: Prechelt, "Early Stopping -
But When?", 1998.

Coupled and decoupled. A penalty added to the loss goes through the optimizer like any
other gradient: `l2_penalty` with SGD is SGD's `weight_decay`. An optimizer that divides
by the size of the gradient, such as Adam, then divides the pull towards zero as well,
so the weights with the largest gradients are held back least. `lib.optimizers.AdamW`
pulls every weight on its own, beside the step: decoupled (Loshchilov, Hutter, 2019).

Two more are elsewhere: label smoothing in `losses`, more data in `augment`.
"""

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lib.models.layers import Dropout

__all__ = [
    "Dropout",
    "EarlyStopping",
    "dropout",
    "l1_penalty",
    "l2_penalty",
    "shrink",
    "weights",
]


def weights(model: nn.Module) -> list[nn.Parameter]:
    """The matrices and kernels of a model, without biases and norms.

    Penalties are usually for these alone: a bias multiplies no input, so a large one
    does not make the model more winding.
    """
    return [p for p in model.parameters() if p.dim() >= 2]


def l1_penalty(params: Iterable[Tensor], strength: float) -> Tensor:
    """λ Σ |θ|, a pull of the same force λ on every weight, whatever its size.

    Weights that earn less than that go to zero; a gradient step jumps to and fro around
    it, while `shrink` ends exactly there.

    Args:
        params: of any shapes, such as `weights(model)`; not an optimizer's theta,
            whose views the loss is made of, and which gets no gradient itself.
        strength: λ, from 0.

    Returns:
        (), to add to the loss.

    Raises:
        ValueError: no parameters, or a strength below 0 or not finite.
    """
    return strength * sum(p.abs().sum() for p in _checked(params, strength))


def l2_penalty(params: Iterable[Tensor], strength: float) -> Tensor:
    """λ/2 Σ θ², a pull of the force λ θ: the larger the weight, the stronger.

    The half makes λ the `weight_decay` of `lib.optimizers.SGD`. Arguments, result and
    errors as in `l1_penalty`.
    """
    return strength / 2 * sum((p * p).sum() for p in _checked(params, strength))


@torch.no_grad()
def shrink(params: Iterable[Tensor], amount: float) -> None:
    """Move every weight towards zero by `amount`, in place, and stop at zero.

        θ = sign(θ) max(|θ| − amount, 0)

    After a plain gradient step, with amount = learning rate × λ, this minimises the
    loss with the L1 penalty (Beck, Teboulle, "A Fast Iterative Shrinkage-Thresholding
    Algorithm", 2009, equation 1.5), and leaves exact zeros. Errors as in `l1_penalty`.
    """
    for p in _checked(params, amount):
        p.copy_(p.sign() * (p.abs() - amount).clamp(min=0))


def dropout(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Set each number to 0 with probability p and divide the rest by 1 − p.

    Without the division the sums of the next layer would be smaller in training than
    afterwards, when nothing is dropped. With it their expected value is the same.
    The layer `Dropout` does this in training, and nothing in evaluation.

    Args:
        x: any shape, floating-point.
        p: from 0 to below 1.
        generator: on the device of x.

    Raises:
        ValueError: a p outside that range, or a generator on another device.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p is {p}; give a number from 0 to below 1.")
    if generator.device != x.device:
        raise ValueError(
            f"x is on {x.device}, the generator on {generator.device}; make it with "
            f"torch.Generator({str(x.device)!r})."
        )
    keep = torch.empty_like(x).bernoulli_(1 - p, generator=generator)
    return x * keep / (1 - p)


class EarlyStopping:
    """Stop when the validation loss has not improved for a while; keep the best model.

        stopping = EarlyStopping(patience=5)
        for epoch in range(100):
            ...
            if stopping.update(validation_loss, model):
                break
        stopping.restore(model)

    Args:
        patience: updates without improvement after which it stops, from 1.
        min_delta: how much better counts as better, from 0.
        mode: "min" for a loss, "max" for an accuracy.

    Attributes:
        best: the best value; None before the first.
        best_update: which update gave it, from 1; 0 before.
        waited: updates since then.
        stopped: True once it has said stop.
    """

    def __init__(
        self, patience: int = 5, min_delta: float = 0.0, mode: str = "min"
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"patience is {patience!r}; give a whole number from 1.")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"min_delta is {min_delta}; give a finite number from 0.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode is {mode!r}; choose 'min' or 'max'.")
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.best: float | None = None
        self.best_update = self.waited = 0
        self.stopped = False
        self._state: dict[str, Tensor] | None = None

    def __repr__(self) -> str:
        best = "none yet" if self.best is None else f"{self.best:.4g}"
        return (
            f"EarlyStopping(best {best} at update {self.best_update}, waited "
            f"{self.waited} of {self.patience})"
        )

    def update(self, value: float | Tensor, model: nn.Module | None = None) -> bool:
        """Look at one more value; True if it is time to stop.

        Args:
            value: loss or accuracy, a number or a tensor of shape (). NaN is never an
                improvement.
            model: what to keep a copy of when the value is the best so far. None keeps
                nothing.
        """
        value = float(value)
        if self._is_better(value):
            self.best, self.best_update = value, self.best_update + self.waited + 1
            self.waited = 0
            if model is not None:
                # Trap: state_dict() holds the parameters themselves, which train on.
                self._state = copy.deepcopy(model.state_dict())
        else:
            self.waited += 1
        self.stopped = self.waited >= self.patience
        return self.stopped

    def restore(self, model: nn.Module) -> None:
        """Give the model the weights and buffers of the best update.

        Raises:
            ValueError: if `update` never saw a model.
        """
        if self._state is None:
            raise ValueError(
                "No weights were kept: call update(value, model), with a value that is "
                "not NaN, before restore."
            )
        model.load_state_dict(self._state)

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.min_delta


def _checked(params: Iterable[Tensor], strength: float) -> list[Tensor]:
    if isinstance(params, Tensor):  # its rows would be taken for parameters
        params = [params]
    params = list(params)
    if not params:
        raise ValueError(
            "There are no parameters. model.parameters() can be used up; give a list."
        )
    if not 0 <= strength < math.inf:
        raise ValueError(f"The strength is {strength}; give a finite number from 0.")
    return params
