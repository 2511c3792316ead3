"""Attention: queries, keys, values, masks, heads and positions.

Vaswani et al., "Attention is all you need", 2017, sections 3.2 and 3.5; rotary
positions: Su et al., "RoFormer", 2021, section 3.2.2; switching heads off: Michel,
Levy, Neubig, "Are sixteen heads really better than one?", 2019.

Attention stands here twice. `attention` is the formula, line by line, and returns the
weights. `fused_attention` is torch's kernel: the same output, faster, without ever
holding the weights. The tests hold them equal.

A mask is boolean everywhere, and True means "may attend", as in
`scaled_dot_product_attention`; `torch.nn.MultiheadAttention` means the opposite.

Left out: dropout of the weights, keys and values of other widths, grouped heads,
windows, biases for distances.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models import mlp


def attention_scores(
    q: Tensor,
    k: Tensor,
    mask: Tensor | None = None,
    scale: float | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """How well each query fits each key: q kᵀ · scale / temperature.

    Args:
        q: (..., T, D) queries.
        k: (..., S, D) keys.
        mask: boolean, broadcast to (..., T, S); True may attend. None allows all.
        scale: None is 1 / √D: the sum of D products of independent numbers of variance
            1 has the variance D, and this brings it back to 1. With 1.0 see what
            happens without.
        temperature: below 1 sharpens the choice, above 1 evens it out.

    Returns:
        (..., T, S), -inf where the mask is False.
    """
    scores = q @ k.transpose(-2, -1) * _scale(q, scale, temperature)
    if mask is None:
        return scores
    return scores.masked_fill(~_check_mask(mask, scores.shape), float("-inf"))


def attention_weights(scores: Tensor) -> Tensor:
    """Softmax over the keys: (..., T, S), each row sums to 1.

    A query that may attend to nothing gets zeros. Its softmax would be 0 / 0, and one
    NaN spreads to every gradient.
    """
    nothing = (scores == float("-inf")).all(-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(nothing, 0.0), dim=-1)
    return weights.masked_fill(nothing, 0.0)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    scale: float | None = None,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: softmax(q kᵀ / √D) v (2017, equation 1).

    Args:
        q, k, mask, scale, temperature: as in `attention_scores`.
        v: (..., S, D) values.

    Returns:
        the output (..., T, D), and the weights (..., T, S) that mixed it.

    Raises:
        ValueError: shapes that do not match, a temperature that is not positive.
        TypeError: a mask that is not boolean.
    """
    _check_qkv(q, k, v)
    weights = attention_weights(attention_scores(q, k, mask, scale, temperature))
    return weights @ v, weights


def fused_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    scale: float | None = None,
    temperature: float = 1.0,
    causal: bool = False,
) -> Tensor:
    """The output of `attention` by torch's kernel, which keeps no weights.

    Args:
        causal: True adds `causal_mask(T, S)`. Without another mask, and with T = S,
            the kernel then skips the half that it would throw away.

    Others, errors and result (..., T, D) as in `attention`.
    """
    _check_qkv(q, k, v)
    T, S = q.shape[-2], k.shape[-2]
    if mask is not None:
        mask = _check_mask(mask, (*q.shape[:-1], S))
    skip_half = causal and mask is None and T == S
    if causal and not skip_half and T > 1:
        # Not is_causal: for T < S that one counts from the first key, not the last.
        rule = causal_mask(T, S, device=q.device)
        mask = rule if mask is None else mask & rule
    return F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=skip_half, scale=_scale(q, scale, temperature)
    )


def causal_mask(
    T: int, S: int | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Each position may attend to itself and to what came before it.

    Args:
        T: queries.
        S: keys; None is T. With S > T the queries are the last T of S positions, as
            when earlier keys come from a cache.

    Returns:
        (T, S) boolean, True may attend.
    """
    S = T if S is None else S
    if S < T:
        raise ValueError(f"There are {T} queries but {S} keys; give at least {T} keys.")
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def padding_mask(lengths: Tensor, T: int) -> Tensor:
    """Keys that are real; what stands behind the end of a sequence is padding.

    Args:
        lengths: (B,) whole numbers from 0 to T.

    Returns:
        (B, 1, 1, T) boolean, True may attend. It combines with a causal mask:
        `padding_mask(lengths, T) & causal_mask(T)`.
    """
    if lengths.dim() != 1 or lengths.is_floating_point():
        raise ValueError(
            f"lengths has the shape {tuple(lengths.shape)} and the dtype "
            f"{lengths.dtype}; give one whole number for each sequence, (B,)."
        )
    if lengths.numel() and not 0 <= lengths.min() <= lengths.max() <= T:
        raise ValueError(
            f"lengths run from {lengths.min()} to {lengths.max()}; they lie between 0 "
            f"and T = {T}."
        )
    return (torch.arange(T, device=lengths.device) < lengths[:, None])[:, None, None]


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
        raise ValueError(f"Positions come in pairs; {C} numbers is odd, give an even C.")
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


def _scale(q: Tensor, scale: float | None, temperature: float) -> float:
    if not 0 < temperature < float("inf"):
        raise ValueError(
            f"temperature is {temperature}; give a positive, finite number, such as "
            "0.1 for an attention that looks at almost one position only."
        )
    return (q.shape[-1] ** -0.5 if scale is None else scale) / temperature


def _check_qkv(q: Tensor, k: Tensor, v: Tensor) -> None:
    shapes = tuple(q.shape), tuple(k.shape), tuple(v.shape)
    if min(map(len, shapes)) < 2 or q.shape[-1] != k.shape[-1]:
        wrong = "queries and keys need the same last size, (..., T, D) and (..., S, D)"
    elif k.shape[-2] != v.shape[-2]:
        wrong = "each key needs one value, (..., S, D) both"
    else:
        return
    raise ValueError("q, k and v have the shapes {}, {}, {}; ".format(*shapes) + wrong)


def _check_mask(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    if mask.dtype != torch.bool:
        raise TypeError(
            f"mask has the dtype {mask.dtype}; give booleans, True where a query may "
            "attend to a key: mask.bool()."
        )
    pairs = zip(reversed(mask.shape), reversed(shape), strict=False)
    if mask.dim() > len(shape) or any(m not in (1, n) for m, n in pairs):
        raise ValueError(
            f"mask has the shape {tuple(mask.shape)}, which does not broadcast to "
            f"{tuple(shape)}: (..., queries, keys). For lengths: padding_mask(...)."
        )
    return mask


def _check_context(stop: int, context: int) -> None:
    if stop > context:
        raise ValueError(
            f"The sequence reaches position {stop}, but there are {context}; give a "
            "shorter one, or build the model with a longer context."
        )
