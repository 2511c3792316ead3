"""Low-rank adapters: a large matrix stays as it is, and two thin ones learn beside it.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, section 4.1
(arXiv:2106.09685). `LowRank` wraps one linear layer, `adapt` puts adapters into a
model, and `merge` adds what they learned to the matrices and takes them out again.

Left out: dropout on the way into an adapter, adapters for convolutions and embeddings.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lib.models.mlp import Linear, _check_size, _generator


class LowRank(nn.Module):
    """A frozen linear layer plus a product of two thin matrices that learn.

        y = W x + b + (alpha / rank) · B A x

    B begins at zero, so at first the output is that of the layer alone.

    Args:
        linear: the layer, of `lib.models` or `torch.nn.Linear`; it is frozen.
        rank: r, the numbers between A and B.
        alpha: divided by the rank it scales what the adapter adds.
        seed: of A, an integer or a `torch.Generator`.

    Parameters:
        A: (rank, inputs), normal with a deviation of 1 / sqrt(inputs).
        B: (outputs, rank), zeros.

    Raises:
        ValueError: no linear layer, or a rank that is not 1 up to its smaller side.
    """

    def __init__(
        self,
        linear: nn.Module,
        rank: int = 4,
        alpha: float = 8.0,
        seed: int | torch.Generator = 0,
    ) -> None:
        super().__init__()
        _check_linear(linear, rank)
        W = linear.weight  # (outputs, inputs)
        outputs, inputs = W.shape
        self.linear = linear.requires_grad_(False)
        A = torch.empty(rank, inputs).normal_(
            std=inputs**-0.5, generator=_generator(seed)
        )
        self.A = nn.Parameter(A.to(W.device, W.dtype))
        self.B = nn.Parameter(W.new_zeros(outputs, rank))
        self.scale = alpha / rank

    def extra_repr(self) -> str:
        return f"rank={len(self.A)}, {self.A.numel() + self.B.numel():,} parameters"

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return self.linear(x) + self.scale * (x @ self.A.T) @ self.B.T

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """One linear layer, a new one, that computes the same."""
        linear = copy.deepcopy(self.linear)
        linear.weight += self.scale * self.B @ self.A
        return linear.requires_grad_(True)


def adapt(
    model: nn.Module,
    layers: Sequence[str],
    rank: int = 4,
    alpha: float = 8.0,
    seed: int = 0,
) -> nn.Module:
    """Freeze a model, in place, and give an adapter to some of its linear layers.

    Args:
        layers: how their names end, such as "attention.qkv".
        rank, alpha: as in `LowRank`.
        seed: one generator draws all A, in the order of the layers.

    Returns:
        the same model; only A and B of each adapter learn.

    Raises:
        ValueError: an ending that no layer has, or a layer that is not linear. The
            model is then as it was.
    """
    found = [n for n, _ in model.named_modules() if _ends(n, layers)]
    missing = [e for e in layers if not any(_ends(n, [e]) for n in found)]
    if missing or not found:
        raise ValueError(
            f"No layer has a name that ends in {missing or list(layers)}; give ends of "
            "the names in model.named_modules()."
        )
    for name in found:
        _check_linear(model.get_submodule(name), rank)
    model.requires_grad_(False)
    generator = _generator(seed)
    for name in found:
        linear = model.get_submodule(name)
        _replace(model, name, LowRank(linear, rank, alpha, generator))
    return model


def merge(model: nn.Module) -> nn.Module:
    """Put plain linear layers, with the sums, in place of all adapters of a model."""
    found = [n for n, part in model.named_modules() if isinstance(part, LowRank)]
    for name in found:
        _replace(model, name, model.get_submodule(name).merged())
    return model


def _ends(name: str, endings: Sequence[str]) -> bool:
    return any(f".{name}".endswith(f".{ending}") for ending in endings)


def _replace(model: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, part)


def _check_linear(linear: nn.Module, rank: int) -> None:
    if not isinstance(linear, Linear | nn.Linear):
        raise ValueError(
            f"an adapter was asked for a {type(linear).__name__}; give a linear layer."
        )
    _check_size(rank, "rank")
    if rank > min(linear.weight.shape):
        raise ValueError(
            f"rank is {rank} for a matrix of {tuple(linear.weight.shape)}; give at "
            "most the smaller of its two sides."
        )
