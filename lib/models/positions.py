"""Where in the sequence: attention itself does not know the order of its keys.

Sinusoidal positions: Vaswani et al., "Attention is all you need", 2017, section 3.5.
Learned ones: Gehring et al., "Convolutional sequence to sequence learning", 2017.
Rotary ones: Su et al., "RoFormer", 2021, section 3.2.2.

The first two are added to the embeddings, once, before the first layer. Rotary
positions turn queries and keys in every layer.

Left out: positions relative to each other as a bias on the scores (T5, ALiBi), and ways
to read on beyond the context.
"""

import torch
from torch import Tensor, nn

from lib.models import mlp


def sinusoidal_positions(T: int, C: int) -> Tensor:
    """Waves of C / 2 lengths, one sine and one cosine each (2017, section 3.5).

    Column 2i is sin(t / 10000^(2i / C)), column 2i + 1 the cosine.

    Returns:
        (T, C) float64.
    """
    angles = _angles(T, C)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def _angles(T: int, C: int) -> Tensor:
    """t · 10000^(-2i / C) for t < T and i < C / 2: (T, C / 2) float64."""
    if C % 2:
        raise ValueError(
            f"Positions come in pairs; {C} numbers is odd, give an even C."
        )
    frequencies = 10_000.0 ** (-torch.arange(0, C, 2, dtype=torch.float64) / C)
    return torch.arange(T, dtype=torch.float64)[:, None] * frequencies


class SinusoidalPositions(nn.Module):
    """The table of `sinusoidal_positions`, nothing to learn: `model(T, start)`.

    Args:
        context: positions that there are.
        channels: C, even.
    """

    def __init__(
        self,
        context: int,
        channels: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        table = sinusoidal_positions(context, channels)
        table = table.to(device, dtype or torch.float32)
        self.register_buffer("table", table, persistent=False)

    def extra_repr(self) -> str:
        return "{}, {}".format(*self.table.shape)

    def forward(self, T: int, start: int = 0) -> Tensor:
        """(T, C), for the positions from start on."""
        _check_context(start + T, len(self.table))
        return self.table[start : start + T]


class LearnedPositions(nn.Module):
    """A vector to learn for each position: `model(T, start)`.

    Args: as in `SinusoidalPositions`, and
        std: the vectors start normal around 0 with this standard deviation.
        seed: of the vectors, an integer or a `torch.Generator`.

    Parameters:
        weight: (context, C).
    """

    def __init__(
        self,
        context: int,
        channels: int,
        std: float = 0.02,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        w = torch.randn(context, channels, generator=mlp._generator(seed)) * std
        self.weight = nn.Parameter(w.to(device, dtype))

    def extra_repr(self) -> str:
        return "{}, {}".format(*self.weight.shape)

    def forward(self, T: int, start: int = 0) -> Tensor:
        """(T, C), for the positions from start on."""
        _check_context(start + T, len(self.weight))
        return self.weight[start : start + T]


class Rotary(nn.Module):
    """Turn each pair of numbers in q and k by an angle that grows with the position.

    The product of a query and a key, turned, depends on how far apart they stand and no
    longer on where (RoFormer, equation 34: pairs are neighbours, 2i and 2i + 1).

    Args:
        context: positions that there are.
        size: D, the head size, even.
    """

    def __init__(
        self,
        context: int,
        size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        angles = _angles(context, size)
        for name, table in (("cos", angles.cos()), ("sin", angles.sin())):
            table = table.to(device, dtype or torch.float32)
            self.register_buffer(name, table, persistent=False)

    def extra_repr(self) -> str:
        return f"{len(self.cos)}, {2 * self.cos.shape[1]}"

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """(..., T, D) to the same shape; the first is position `start`."""
        stop = start + x.shape[-2]
        _check_context(stop, len(self.cos))
        cos, sin = self.cos[start:stop], self.sin[start:stop]  # (T, D / 2)
        a, b = x[..., 0::2], x[..., 1::2]
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)
        return turned.flatten(-2)


def _check_context(stop: int, context: int) -> None:
    if stop > context:
        raise ValueError(
            f"The sequence reaches position {stop}, but there are {context}; give a "
            "shorter one, or build the model with a longer context."
        )
