"""What a decoder keeps of earlier positions: their keys and values.

Shazeer, "Fast transformer decoding", 2019, section 2.4, calls it incremental inference.

Left out: memory set aside in advance, a window of the newest positions, quantised
caches.
"""

import torch
from torch import Tensor


class Cache:
    """Keys and values of one attention layer, kept from one call to the next.

    Attributes:
        k, v: (B, H, S, D), None before the first call.
    """

    def __init__(self) -> None:
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    def __len__(self) -> int:
        """Positions kept."""
        return 0 if self.k is None else self.k.shape[-2]

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, H, T, D) of the newest positions; returns all (B, H, S, D)."""
        if self.k is not None:
            if len(k) != len(self.k):
                raise ValueError(
                    f"The cache holds {len(self.k)} sequences and now gets {len(k)}; "
                    "make a new cache for another batch."
                )
            k, v = torch.cat([self.k, k], dim=-2), torch.cat([self.v, v], dim=-2)
        self.k, self.v = k, v
        return k, v

    def reorder(self, rows: Tensor) -> None:
        """Keep sequence rows[i] in place i; beam search drops some, doubles others."""
        if self.k is not None:
            self.k, self.v = self.k[rows], self.v[rows]


class KeyValueCache:
    """What a decoder has computed of earlier positions: a `Cache` or two a layer.

    The keys and values of a position never change, because it sees only what stands
    before it. So each new token costs one position instead of the whole text.
    """

    def __init__(self, num_layers: int) -> None:
        self.layers = [(Cache(), Cache()) for _ in range(num_layers)]

    def __len__(self) -> int:
        """Positions kept."""
        return len(self.layers[0][0])

    def __repr__(self) -> str:
        return f"KeyValueCache({len(self.layers)} layers, {len(self)} positions)"

    def reorder(self, rows: Tensor) -> None:
        """Keep sequence rows[i] in place i. The context stays: all rows share it."""
        for own, _ in self.layers:
            own.reorder(rows)
