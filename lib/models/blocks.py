"""Blocks and stacks: what the encoder and the decoder of a Transformer share.

Vaswani et al., "Attention is all you need", 2017, section 3.1; the two orders of norm
and sublayer: Xiong et al., "On layer normalization in the Transformer architecture",
2020.

Left out: dropout of attention weights, which the paper does not have either; attention
and feed-forward side by side.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lib.models import mlp
from lib.models.attention import MultiHeadAttention
from lib.models.cache import Cache, KeyValueCache
from lib.models.layers import Dropout, FeedForward, LayerNorm
from lib.models.positions import Rotary


def post_norm(x: Tensor, norm: LayerNorm, sublayer: Callable) -> Tensor:
    """Normalise after the sum: the paper of 2017, and BERT."""
    return norm(x + sublayer(x))


def pre_norm(x: Tensor, norm: LayerNorm, sublayer: Callable) -> Tensor:
    """Normalise before the sublayer: GPT-2. The sum x runs through untouched, which
    keeps gradients even and needs no warm-up (2020)."""
    return x + sublayer(norm(x))


ORDERS = {"post": post_norm, "pre": pre_norm}


class Block(nn.Module):
    """One layer of a Transformer: attention, perhaps to a context, then feed-forward.

    Args:
        channels: C.
        num_heads: H.
        hidden: F, of the feed-forward part.
        activation: a name in `ACTIVATIONS`.
        norm: "pre" or "post", where the layer norm stands.
        epsilon: of the layer norm, added to the variance.
        dropout: of what each sublayer adds.
        cross: True adds the attention to a context, for a decoder beside an encoder.
        rotary: as in `MultiHeadAttention`.
        seed, device, dtype: as in `lib.models.mlp.Linear`.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        hidden: int,
        activation: str = "gelu",
        norm: str = "pre",
        epsilon: float = 1e-5,
        dropout: float = 0.0,
        cross: bool = False,
        rotary: Rotary | None = None,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if norm not in ORDERS:
            raise ValueError(f"norm is {norm!r}; choose 'pre' or 'post'.")
        self.norm, seed = norm, mlp._generator(seed)
        factory = {"device": device, "dtype": dtype}

        def attention(rotary: Rotary | None) -> MultiHeadAttention:
            return MultiHeadAttention(
                channels, num_heads, rotary=rotary, seed=seed, **factory
            )

        self.attention = attention(rotary)
        self.attention_norm = LayerNorm(channels, epsilon, **factory)
        self.cross_attention = attention(None) if cross else None
        self.cross_norm = LayerNorm(channels, epsilon, **factory) if cross else None
        self.feed_forward = FeedForward(channels, hidden, activation, seed, **factory)
        self.feed_forward_norm = LayerNorm(channels, epsilon, **factory)
        number = torch.randint(2**31, (), generator=seed).item()
        self.dropout = Dropout(dropout, number)

    def extra_repr(self) -> str:
        return f"{self.norm}-norm"

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        cache: tuple[Cache | None, Cache | None] = (None, None),
        return_intermediates: bool = False,
        **attention,
    ) -> Tensor | dict[str, Tensor]:
        """(B, T, C) to the same shape; on request a dict of everything on the way.

        Args:
            x: (B, T, C).
            context, context_mask: as in `MultiHeadAttention`, for `cross_attention`.
            cache: of the attention, and of the attention to the context.
            attention: mask, causal, head_mask, scale, temperature, for `attention`.

        Returns:
            (B, T, C); or a dict with the intermediates of each part under its name,
            such as "attention.weights" and "feed_forward.hidden", and "output".
        """
        order, seen = ORDERS[self.norm], {}
        own, other = cache

        def call(name: str, *args, **options) -> Tensor:
            result = getattr(self, name)(
                *args, return_intermediates=return_intermediates, **options
            )
            if return_intermediates:
                seen.update({f"{name}.{key}": value for key, value in result.items()})
                result = result["output"]
            return self.dropout(result)

        x = order(
            x,
            self.attention_norm,
            lambda h: call("attention", h, cache=own, **attention),
        )
        if self.cross_attention is not None:
            if context is None:
                raise ValueError("This block attends to a context; give context=.")
            asked = {"context": context, "mask": context_mask, "cache": other}
            x = order(x, self.cross_norm, lambda h: call("cross_attention", h, **asked))
        x = order(x, self.feed_forward_norm, lambda h: call("feed_forward", h))
        return seen | {"output": x} if return_intermediates else x


class Stack(nn.Module):
    """Blocks one after the other; with "pre" a last norm, since the sum is not normed.

    Args:
        num_layers: L.
        channels, and options: as in `Block`.
    """

    def __init__(
        self,
        num_layers: int,
        channels: int,
        *args,
        norm: str = "pre",
        epsilon: float = 1e-5,
        seed: int | torch.Generator = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options,
    ) -> None:
        super().__init__()
        mlp._check_size(num_layers, "num_layers")
        factory = {"device": device, "dtype": dtype}
        options |= {"norm": norm, "epsilon": epsilon, "seed": mlp._generator(seed)}
        self.blocks = nn.ModuleList(
            Block(channels, *args, **options, **factory) for _ in range(num_layers)
        )
        last = norm == "pre"
        self.norm = LayerNorm(channels, epsilon, **factory) if last else nn.Identity()

    def forward(
        self,
        x: Tensor,
        cache: KeyValueCache | None = None,
        head_mask: Tensor | None = None,
        return_intermediates: bool = False,
        **options,
    ) -> Tensor | dict[str, Tensor]:
        """(B, T, C) to the same shape.

        Args:
            x: (B, T, C).
            cache: of the positions before x.
            head_mask: (L, H), factor of each head of each block: 1 is on, 0 off.
            options: as in `Block.forward`.

        Returns:
            (B, T, C); or a dict: for block i, from 0, "blocks.i." and the names of
            `Block`; "attention_maps" (L, B, H, T, S), with a context also
            "cross_attention_maps"; "hidden_states" (L + 1, B, T, C), x and what each
            block gave; "output". The last three hold copies: to see a gradient, call
            `retain_grad()` on "blocks.i.attention.weights" or "blocks.i.output".
        """
        L = len(self.blocks)
        if head_mask is not None and (head_mask.dim() != 2 or len(head_mask) != L):
            raise ValueError(
                f"head_mask has the shape {tuple(head_mask.shape)}; give one row of "
                f"factors for each of the {L} blocks, (L, H)."
            )
        seen, hidden = {}, [x]
        for i, block in enumerate(self.blocks):
            if cache is not None:
                options["cache"] = cache.layers[i]
            if head_mask is not None:
                options["head_mask"] = head_mask[i]
            x = block(x, return_intermediates=return_intermediates, **options)
            if return_intermediates:
                seen |= {f"blocks.{i}.{name}": value for name, value in x.items()}
                x = x["output"]
                hidden.append(x)
        x = self.norm(x)
        return _collect(seen, hidden, x) if return_intermediates else x


def _collect(seen: dict, hidden: list[Tensor], output: Tensor) -> dict[str, Tensor]:
    """All the names of the blocks, and what they have in common stacked."""
    for part in ("attention", "cross_attention"):
        maps = [
            value for name, value in seen.items() if name.endswith(f".{part}.weights")
        ]
        if maps:
            seen[f"{part}_maps"] = torch.stack(maps)
    return seen | {"hidden_states": torch.stack(hidden), "output": output}
