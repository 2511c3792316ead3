"""Does an explanation depend on what the model has learnt? Weights made random.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3: the cascade
from the last layer to the first.

`lib.explain` has these names too. Left out: the paper's second test, a model trained on
labels in random order.
"""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Randomised(NamedTuple):
    """One part of `randomise_steps`.

    Fields:
        done, total: layers.
        layer: the name of the one that was made random last; "" for none yet.
        map: what the explanation says now.
        correlation: (B,), rank correlation with the map of the trained model.
    """

    done: int
    total: int
    layer: str
    map: Tensor
    correlation: Tensor


def randomise_steps(
    model: nn.Module, explain: Callable[[nn.Module], Tensor], generator: torch.Generator
) -> Iterator[Randomised]:
    """Does an explanation depend on what the model has learnt?

    Layer by layer, from the last to the first, the weights of a copy are drawn anew,
    normal with the mean and standard deviation they had. A map that stays the same
    shows the picture, not the model.

        for part in randomise_steps(model, lambda m: saliency(m, x, 3), generator):
            print(part.layer, part.correlation)

    Args:
        model: stays as it is.
        explain: explain(model) is a map (B, ...). Name the target: the answer of a
            random model is another one.
        generator: of the weights.

    Yields:
        for no layer, then for each; L + 1 explanations for L layers.
    """
    names = [
        name
        for name, part in model.named_modules()
        if next(part.parameters(recurse=False), None) is not None
    ]
    if not names:
        raise ValueError("The model has no parameters to make random.")
    broken = copy.deepcopy(model)
    first = map = explain(broken)
    yield Randomised(0, len(names), "", map, rank_correlation(first, map))
    for i, name in enumerate(reversed(names), start=1):
        _randomise(broken.get_submodule(name), generator)
        map = explain(broken)
        yield Randomised(i, len(names), name, map, rank_correlation(first, map))


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation of two batches of maps, from −1 to 1.

    Args:
        a, b: (B, ...) of the same shape. Equal numbers share their mean rank.

    Returns:
        (B,) float64 on the CPU; 0 where a map is the same everywhere.
    """
    if a.shape != b.shape or a.dim() < 2:
        raise ValueError(
            f"The maps have the shapes {tuple(a.shape)} and {tuple(b.shape)}; give two "
            "of the same shape, (B, ...)."
        )
    ranks = [
        torch.stack([_ranks(row) for row in v.detach().cpu().flatten(1)])
        for v in (a, b)
    ]
    u, v = (F.normalize(r - r.mean(1, keepdim=True)) for r in ranks)
    return (u * v).sum(1)


def _ranks(row: Tensor) -> Tensor:
    _, inverse, counts = row.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0).double() - (counts - 1) / 2)[inverse]


@torch.no_grad()
def _randomise(layer: nn.Module, generator: torch.Generator) -> None:
    for p in layer.parameters(recurse=False):
        draw = torch.randn(p.shape, generator=generator, device=generator.device)
        p.copy_(p.mean() + p.std(correction=0) * draw.to(p.device, p.dtype))
