"""Attention: queries, keys, values, masks and heads.

Vaswani et al., "Attention is all you need", 2017, section 3.2; switching heads off:
Michel, Levy, Neubig, "Are sixteen heads really better than one?", 2019.

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
from lib.models.cache import Cache
from lib.models.layers import Linear
from lib.models.positions import Rotary


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
    if causal and not skip_half:
        # Not is_causal: for T < S that one counts from the first key, not the last.
        mask = _with_causal(mask, causal, q, k)
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


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each on its own D = C / H numbers.

    MultiHead(x) = [head_1, ..., head_H] Wᴼ, head_i = Attention(x Wᵢᑫ, x Wᵢᴷ, x Wᵢⱽ)
    (2017, section 3.2.2). The three projections of all heads are one matrix: one large
    product takes less time than many small ones.

    Args:
        channels: C.
        num_heads: H; divides C.
        bias: False leaves out the biases of the projections.
        rotary: turns queries and keys by their positions; None leaves them.
        seed, device, dtype: as in `lib.models.mlp.Linear`.

    Parameters:
        qkv.weight: (3C, C), the rows of queries, then keys, then values, in each the
            heads one after the other; qkv.bias: (3C,).
        out.weight: Wᴼ, (C, C); out.bias: (C,).
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        bias: bool = True,
        rotary: Rotary | None = None,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for size, name in ((channels, "channels"), (num_heads, "num_heads")):
            mlp._check_size(size, name)
        if channels % num_heads:
            raise ValueError(
                f"{channels} channels cannot be shared out to {num_heads} heads; "
                "num_heads must divide channels."
            )
        self.channels, self.num_heads, self.rotary = channels, num_heads, rotary
        options = {"seed": mlp._generator(seed), "device": device, "dtype": dtype}
        self.qkv = Linear(channels, 3 * channels, bias, **options)
        self.out = Linear(channels, channels, bias, **options)

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.num_heads} heads"

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        causal: bool = False,
        head_mask: Tensor | None = None,
        scale: float | None = None,
        temperature: float = 1.0,
        cache: Cache | None = None,
        return_intermediates: bool = False,
    ) -> Tensor | dict[str, Tensor]:
        """The attention of x to itself, or to a context.

        Args:
            x: (B, T, C), asks.
            context: (B, S, C) or (1, S, C), is asked; None is x itself.
            mask: boolean, broadcast to (B, H, T, S), True may attend; see
                `padding_mask`.
            causal: True lets no position see a later one.
            head_mask: (H,) or (B, H), factor of each head: 1 is on, 0 off. Its gradient
                says how much a head matters (2019, equation 2).
            scale, temperature: of the scores, as in `attention_scores`.
            cache: keys and values of earlier positions; x holds the positions after
                them. With a context it keeps the context's, computed once.
            return_intermediates: use the explicit form, return the named tensors.

        Returns:
            (B, T, C); or a dict with "q" (B, H, T, D), "k" and "v" (B, H, S, D),
            "scores" and "weights" (B, H, T, S), "heads" (B, H, T, D) and "output".

        Raises:
            ValueError: shapes that do not match.
            TypeError: a mask that is not boolean, an x of whole numbers.
        """
        mlp._check_input(x, self.channels, "MultiHeadAttention")
        if x.dim() != 3:
            raise ValueError(
                f"x has the shape {tuple(x.shape)}; give (B, T, {self.channels})."
            )
        q, k, v = self._project(x, context, cache)  # (B, H, T or S, D)
        seen = {"q": q, "k": k, "v": v}
        if return_intermediates:
            mask = _with_causal(mask, causal, q, k)
            seen["scores"] = attention_scores(q, k, mask, scale, temperature)
            seen["weights"] = attention_weights(seen["scores"])
            heads = seen["weights"] @ v
        else:
            heads = fused_attention(q, k, v, mask, scale, temperature, causal)
        if head_mask is not None:
            heads = heads * _check_head_mask(head_mask, heads)[..., None, None]
        seen["heads"] = heads
        seen["output"] = self.out(heads.transpose(1, 2).flatten(2))
        return seen if return_intermediates else seen["output"]

    def _project(
        self, x: Tensor, context: Tensor | None, cache: Cache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, with those of the cache: (B, H, T or S, D)."""
        start = 0 if cache is None else len(cache)
        if context is None:
            q, k, v = map(self._split, self.qkv(x).chunk(3, dim=-1))
            if self.rotary is not None:
                q, k = self.rotary(q, start), self.rotary(k, start)
            return q, *((k, v) if cache is None else cache.extend(k, v))
        C, W, b = self.channels, self.qkv.weight, self.qkv.bias
        q = self._split(F.linear(x, W[:C], None if b is None else b[:C]))
        if start:
            return q, cache.k, cache.v
        _check_asked(context, x)
        kv = F.linear(context, W[C:], None if b is None else b[C:])
        k, v = (self._split(z) for z in kv.chunk(2, dim=-1))
        return q, *((k, v) if cache is None else cache.extend(k, v))

    def _split(self, z: Tensor) -> Tensor:
        """(B, T, C) to (B, H, T, D), a view."""
        return z.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def _with_causal(
    mask: Tensor | None, causal: bool, q: Tensor, k: Tensor
) -> Tensor | None:
    """The mask, and the rule of `causal_mask` if it is asked for."""
    T, S = q.shape[-2], k.shape[-2]
    if not causal or T == 1:  # the last position may look at everything
        return mask
    rule = causal_mask(T, S, device=q.device)
    return rule if mask is None else mask & rule


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


def _check_head_mask(head_mask: Tensor, heads: Tensor) -> Tensor:
    B, H = heads.shape[:2]
    if head_mask.shape not in ((H,), (B, H)):
        raise ValueError(
            f"head_mask has the shape {tuple(head_mask.shape)}; give one factor for "
            f"each of the {H} heads, ({H},) or ({B}, {H})."
        )
    return head_mask.to(heads.dtype)


def _check_asked(context: Tensor, x: Tensor) -> None:
    B, _, C = x.shape
    if context.dim() != 3 or context.shape[-1] != C or len(context) not in (1, B):
        raise ValueError(
            f"context has the shape {tuple(context.shape)} and x {tuple(x.shape)}; "
            f"give ({B}, S, {C}) or (1, S, {C})."
        )
