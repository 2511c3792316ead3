"""Explaining without gradients: cover a part of the input and see the score fall.

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
section 4.2; for texts, one token after the other.

What a model and a target may be: `lib.scores`. Read `lib.explain` first, which also has
these names. Left out: squares that are not square, several tokens at once.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lib.scores import (
    Model,
    Progress,
    Target,
    ask,
    check_counts,
    check_input,
    decide,
    finish,
    parts_of,
)


def occlusion_steps(
    model: Model,
    x: Tensor,
    target: Target = None,
    *,
    size: int = 4,
    stride: int | None = None,
    value: float = 0.0,
    chunk: int = 64,
) -> Iterator[Progress]:
    """`occlusion` in parts, one part a chunk of places; 0 where none has been yet."""
    check_input(x)
    stride = size if stride is None else stride
    check_counts(size=size, stride=stride, chunk=chunk)
    if x.dim() != 4 or size > min(x.shape[-2:]) or stride > size:
        raise ValueError(
            f"x has the shape {tuple(x.shape)}, the square {size} pixels a side, and "
            f"the next is {stride} further; give pictures (B, C, height, width), a "
            "square that fits into them, and steps no longer than the square."
        )
    rows, columns = (
        [slice(i, i + size) for i in range(0, n - size + stride, stride)]
        for n in x.shape[-2:]
    )
    places = [(r, c) for r in rows for c in columns]  # the last are cut off at the edge
    target = decide(model, x, target)
    before = ask(model, x, target)
    total = before.new_zeros(len(x), 1, *x.shape[-2:])
    times = torch.zeros_like(total)
    for part in parts_of(len(places), chunk // len(x)):
        covered = x.detach().repeat(len(part), *[1] * x.dim())  # (k, B, C, h, w)
        for picture, k in zip(covered, part, strict=True):
            picture[(..., *places[k])] = value
        loss = before - ask(model, covered.flatten(0, 1), target).unflatten(
            0, (len(part), -1)
        )
        for k, drop in zip(part, loss, strict=True):
            total[(..., *places[k])] += drop[:, None, None, None]
            times[(..., *places[k])] += 1
        yield Progress(part.stop, len(places), total / times.clamp(min=1))


def occlusion(model: Model, x: Tensor, target: Target = None, **options) -> Tensor:
    """How much the score falls when a square of the picture is covered.

    Args:
        model, target: as in `gradient`; no gradients are needed.
        x: (B, C, height, width).
        size: pixels of a side of the square.
        stride: pixels to the next place; None is size, so that squares do not overlap.
            Where they do, the map is the mean.
        value: what covers.
        chunk: as in `smooth_grad`.

    Returns:
        (B, 1, height, width); positive where the picture spoke for the target. Cost:
        a pass forward for each place, about height × width / stride².
    """
    return finish(occlusion_steps(model, x, target, **options))


def token_occlusion(
    model: Model, tokens: Tensor, mask_token: int, target: Target = None
) -> Tensor:
    """How much the score falls when one token is exchanged for `mask_token`.

    Args:
        model, target: as in `gradient`; model takes tokens.
        tokens: (B, T) int64.

    Returns:
        (B, T). Cost: T + 1 passes forward (one more to decide the target).
    """
    if tokens.dim() != 2 or tokens.is_floating_point() or not tokens.numel():
        raise ValueError(
            f"tokens have the shape {tuple(tokens.shape)} and the dtype "
            f"{tokens.dtype}; give (B, T) whole numbers."
        )
    target = decide(model, tokens, target)
    before, result = ask(model, tokens, target), []
    for t in range(tokens.shape[1]):
        changed = tokens.clone()
        changed[:, t] = mask_token
        result.append(before - ask(model, changed, target))
    return torch.stack(result, 1)
