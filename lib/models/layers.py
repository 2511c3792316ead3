"""The parts of a Transformer that work on each position alone.

Layer normalisation: Ba, Kiros, Hinton, "Layer normalization", 2016. GELU: Hendrycks,
Gimpel, "Gaussian error linear units", 2016. Feed-forward part: Vaswani et al.,
"Attention is all you need", 2017, section 3.3. Dropout: Srivastava et al., 2014.

`layer_norm`, `gelu` and `gelu_tanh` are the formulas. The modules use torch's kernels
for them, which the tests hold equal.

Left out: dropout inside the feed-forward part, which the paper does not have either;
gated feed-forward parts, mixtures of experts.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models import mlp


class Linear(mlp.Linear):
    """The linear layer of `lib.models.mlp` with z = W x + b in one call of torch's."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return F.linear(x, self.weight, self.bias)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """Bring each position to mean 0 and variance 1, then scale and shift: (..., C).

    The variance divides by C, not by C - 1.
    """
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return centred / (variance + epsilon).sqrt() * weight + bias


def gelu(x: Tensor) -> Tensor:
    """x times the chance that a normal number is below x. BERT uses it."""
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Tensor) -> Tensor:
    """`gelu` with tanh in place of erf; off by less than 0.001. GPT-2 uses it."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}


class LayerNorm(nn.Module):
    """`layer_norm` with its weight and bias, by torch's kernel.

    Parameters:
        weight: (C,), ones at first. bias: (C,), zeros.
    """

    def __init__(
        self,
        channels: int,
        epsilon: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        mlp._check_size(channels, "channels")
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(channels, device=device, dtype=dtype))

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, epsilon={self.epsilon}"

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


class Embedding(nn.Module):
    """A vector for each token: row t of a table.

    Args:
        count: V, tokens that there are.
        channels: C.
        std: the vectors start normal around 0 with this standard deviation.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Parameters:
        weight: (V, C).
    """

    def __init__(
        self,
        count: int,
        channels: int,
        std: float = 0.02,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        mlp._check_size(count, "count")
        mlp._check_size(channels, "channels")
        w = torch.randn(count, channels, generator=mlp._generator(seed)) * std
        self.weight = nn.Parameter(w.to(device, dtype))

    def extra_repr(self) -> str:
        return "{}, {}".format(*self.weight.shape)

    def forward(self, tokens: Tensor) -> Tensor:
        """(...) whole numbers from 0 to V - 1, to (..., C).

        Raises:
            IndexError: a token out of range.
            TypeError: tokens that are not whole numbers.
        """
        if tokens.dtype not in (torch.int64, torch.int32):
            raise TypeError(
                f"tokens have the dtype {tokens.dtype}; give whole numbers, int64."
            )
        if tokens.device.type != "cpu":  # there a wrong index ends the whole process
            self._check_range(tokens)
        try:
            return F.embedding(tokens, self.weight)
        except IndexError:
            self._check_range(tokens)
            raise

    def _check_range(self, tokens: Tensor) -> None:
        V = len(self.weight)
        if tokens.numel() and not 0 <= tokens.min() <= tokens.max() < V:
            raise IndexError(
                f"tokens run from {tokens.min()} to {tokens.max()}, but this table has "
                f"{V} rows, 0 to {V - 1}. Was another tokenizer used?"
            ) from None


class Dropout(nn.Module):
    """In training, set each number to 0 with probability p; divide the rest by 1 - p.

    torch's own draws from the global generator; this one has a generator of its own.
    """

    def __init__(self, p: float, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout is {p}; give a number from 0 to below 1.")
        self.p, self.seed, self.generator = p, seed, None

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.generator is None or self.generator.device != x.device:
            self.generator = torch.Generator(x.device).manual_seed(self.seed)
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep / (1 - self.p)


class FeedForward(nn.Module):
    """The same two-layer perceptron at every position: W₂ f(W₁ x + b₁) + b₂.

    Args:
        channels: C.
        hidden: F, numbers between the two layers, often 4C.
        activation: f, a name in `ACTIVATIONS`.
        seed, device, dtype: as in `lib.models.mlp.Linear`.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        activation: str = "gelu",
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"There is no activation {activation!r} here; choose one of "
                f"{', '.join(ACTIVATIONS)}."
            )
        self.activation = activation
        drawn = {"seed": mlp._generator(seed), "device": device, "dtype": dtype}
        self.up = Linear(channels, hidden, **drawn)
        self.down = Linear(hidden, channels, **drawn)

    def extra_repr(self) -> str:
        return self.activation

    def forward(
        self, x: Tensor, return_intermediates: bool = False
    ) -> Tensor | dict[str, Tensor]:
        """(B, T, C) to the same; or a dict: "hidden" (B, T, F) and "output"."""
        hidden = ACTIVATIONS[self.activation](self.up(x))
        output = self.down(hidden)
        return {"hidden": hidden, "output": output} if return_intermediates else output
