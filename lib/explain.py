"""Which part of the input a model's answer comes from: heatmaps, without hooks.

Saliency: Simonyan, Vedaldi, Zisserman, 2014. SmoothGrad: Smilkov et al., 2017.
Integrated gradients: Sundararajan, Taly, Yan, ICML 2017. Occlusion: Zeiler, Fergus,
ECCV 2014. Grad-CAM: Selvaraju et al., ICCV 2017. Attention rollout: Abnar, Zuidema, ACL
2020. The test with random weights: Adebayo et al., "Sanity Checks for Saliency Maps",
NeurIPS 2018.

A model is anything that turns (B, ...) into scores (B, V), or (B,) for one number; a
dict with "logits" or "output" will do. A module is in evaluation mode while it is
asked, and in its own mode afterwards; a function of your own sees to that itself. For
text, explain what follows the embeddings, with x the embeddings:
`lambda e: head(encoder.transform(e).mean(1))`.

The long jobs are generators that yield a `Progress` after each part, so that a widget
stays awake; without `_steps` in the name they run to the end. No parameter gets a
gradient, and nothing that is returned holds on to the graph. What needs no gradients is
in `lib.occlusion`, the test with random weights in `lib.randomise`, and how a model is
asked in `lib.scores`.

Left out: guided backpropagation, which fails the test with random weights; Shapley
values and LIME; attention flow.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.occlusion import occlusion, occlusion_steps, token_occlusion
from lib.randomise import Randomised, randomise_steps, rank_correlation
from lib.scores import (
    Model,
    Progress,
    Target,
    ask,
    asking,
    check_counts,
    check_input,
    choose,
    decide,
    find_target,
    finish,
    grad_of,
    parts_of,
    read_scores,
)

__all__ = [
    "Integrated",
    "Progress",
    "Randomised",
    "attention_rollout",
    "grad_cam",
    "gradient",
    "integrated_gradients",
    "integrated_gradients_steps",
    "occlusion",
    "occlusion_steps",
    "randomise_steps",
    "rank_correlation",
    "saliency",
    "smooth_grad",
    "smooth_grad_steps",
    "token_occlusion",
]


class Integrated(NamedTuple):
    """What `integrated_gradients` returns.

    Fields:
        map: the shape of x.
        gap: (B,), Σ map − (score of x − score of the baseline). It is 0 for an exact
            integral; if it is not small beside that difference, take more steps.
    """

    map: Tensor
    gap: Tensor


def gradient(model: Model, x: Tensor, target: Target = None) -> Tensor:
    """How the score changes with each number of the input: ∂ score / ∂ x.

    Args:
        model: as at the top of this file.
        x: (B, ...), floating-point.
        target: the class that is asked about: an integer; (B,) int64, one for each
            example; or None for the one with the highest score.

    Returns:
        the shape and dtype of x. Cost: one pass forward, one back.

    Raises:
        ValueError: NaN in x, scores of another shape, no way from x to the scores.
        IndexError: a target that the model does not have.
        TypeError: whole numbers, such as tokens.
    """
    check_input(x)
    with asking(model):
        x = x.detach().clone().requires_grad_()
        scores = read_scores(model(x), x)
        return grad_of(choose(scores, find_target(scores, target)), x)


def saliency(model: Model, x: Tensor, target: Target = None) -> Tensor:
    """|∂ score / ∂ x|: where a small change changes the score. As `gradient`."""
    return gradient(model, x, target).abs()


def smooth_grad_steps(
    model: Model,
    x: Tensor,
    target: Target = None,
    *,
    generator: torch.Generator,
    samples: int = 25,
    noise: float = 0.15,
    chunk: int = 64,
) -> Iterator[Progress]:
    """`smooth_grad` in parts, one part a chunk of samples."""
    check_input(x)
    check_counts(samples=samples, chunk=chunk)
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise is {noise}; give a finite number from 0.")
    flat = x.detach().flatten(1)
    std = noise * (flat.amax(1) - flat.amin(1)).reshape(-1, *[1] * (x.dim() - 1))
    target = decide(model, x, target)

    def noisy(samples: range) -> Tensor:
        # One draw a sample, so that the size of a chunk changes nothing.
        draws = [
            torch.randn(x.shape, generator=generator, device=generator.device)
            for _ in samples
        ]
        return x + std * torch.stack(draws).to(x.device, x.dtype)

    total = _wide_zeros(x)
    for part in parts_of(samples, chunk // len(x)):
        total += _sum_of_gradients(model, noisy(part), target)
        yield Progress(part.stop, samples, (total / part.stop).to(x.dtype))


def smooth_grad(model: Model, x: Tensor, target: Target = None, **options) -> Tensor:
    """The mean gradient over noisy copies of x, which is less ragged than one gradient.

    Args:
        model, x, target: as in `gradient`; the target is decided once, without noise.
        generator: of the noise.
        samples: copies.
        noise: its standard deviation, as a part of the range from the smallest to the
            largest number of the example.
        chunk: examples that the model sees at once; more is faster and takes more
            memory. The result is the same but for rounding.

    Returns:
        the shape and dtype of x, with signs; `.abs()` compares with `saliency`. Cost:
        `samples` passes forward and back. Errors as in `gradient`.
    """
    return finish(smooth_grad_steps(model, x, target, **options))


def integrated_gradients_steps(
    model: Model,
    x: Tensor,
    target: Target = None,
    *,
    baseline: float | Tensor = 0.0,
    steps: int = 50,
    chunk: int = 64,
) -> Iterator[Progress]:
    """`integrated_gradients` in parts: the map of the path walked so far."""
    check_input(x)
    check_counts(steps=steps, chunk=chunk)
    start = _baseline(baseline, x)
    target, way = decide(model, x, target), x.detach() - start
    total = _wide_zeros(x)
    for part in parts_of(steps, chunk // len(x)):
        at = torch.tensor([(k + 0.5) / steps for k in part])
        at = at.to(x.device, x.dtype).reshape(-1, *[1] * x.dim())  # (k, 1, 1, ...)
        total += _sum_of_gradients(model, start + at * way, target)
        yield Progress(part.stop, steps, (total / steps * way).to(x.dtype))


def integrated_gradients(
    model: Model,
    x: Tensor,
    target: Target = None,
    *,
    baseline: float | Tensor = 0.0,
    **options,
) -> Integrated:
    """Share out the score among the inputs: gradients along the way from a baseline.

        (x − x₀) · ∫ ∂ score(x₀ + t (x − x₀)) / ∂ x dt,    t from 0 to 1

    The integral is a mean over `steps` points in the middle of equal pieces. The shares
    add up to score(x) − score(x₀), which the paper calls completeness.

    Args:
        model, x, target: as in `gradient`.
        baseline: x₀, an input that says nothing: a number, or a tensor that broadcasts
            to the shape of x.
        steps: points on the way.
        chunk: as in `smooth_grad`.

    Returns:
        the map, and how far it is from complete. Cost: `steps` passes forward and back,
        and four forward for the target and the gap. Errors as in `gradient`.
    """
    check_input(x)
    target = decide(model, x, target)
    options["baseline"] = start = _baseline(baseline, x)
    map = finish(integrated_gradients_steps(model, x, target, **options))
    difference = ask(model, x, target) - ask(model, start.expand_as(x), target)
    return Integrated(map, map.flatten(1).sum(1) - difference)


def grad_cam(
    model: Model, x: Tensor, layer: str, target: Target = None, upsample: bool = True
) -> Tensor:
    """Which places of a convolution's output speak for the target.

        relu(Σ over channels c of w(c) A(c))
        w(c) = mean over places of ∂ score / ∂ A(c)

    Args:
        model: `model(x, return_intermediates=True)` gives a dict of named tensors, such
            as `lib.models.cnn.CNN`.
        x: (B, C, height, width).
        layer: the name of A in that dict, (B, channels, rows, columns); the last
            convolution is usual.
        target: as in `gradient`.
        upsample: enlarge to the size of x, bilinear.

    Returns:
        (B, 1, height, width), or (B, 1, rows, columns). Cost: one pass forward, and one
        back to the layer. Errors as in `gradient`, and for a layer that is not there.
    """
    check_input(x)
    with asking(model):
        # requires_grad: a frozen model would build no graph otherwise
        seen = model(x.detach().clone().requires_grad_(), return_intermediates=True)
        fits = [n for n, v in seen.items() if v.dim() == 4 and n != "input"]
        if layer not in fits:
            raise ValueError(
                f"There is no layer {layer!r} of pictures; choose one of "
                f"{', '.join(fits) or 'none: this model has no convolution'}."
            )
        scores = read_scores(seen, x)
        A = seen[layer]
        w = grad_of(choose(scores, find_target(scores, target)), A).mean((2, 3))
    map = torch.einsum("bc,bcij->bij", w, A.detach()).relu()[:, None]
    if upsample:
        map = F.interpolate(map, x.shape[-2:], mode="bilinear", align_corners=False)
    return map


def attention_rollout(maps: Tensor, residual: float = 0.5) -> Tensor:
    """How much of each input position has reached each output position.

        R = Aₗ Aₗ₋₁ ⋯ A₁,    A = residual · I + (1 − residual) · mean over heads

    Half of what leaves a block came round it, by the residual connection.

    Args:
        maps: (L, B, H, T, T), "attention_maps" of an encoder or decoder; rows have the
            sum 1.
        residual: the part that goes round, from 0 to 1.

    Returns:
        (B, T, T), row: output position, column: input position; rows have the sum 1.
        Cost: L products of T × T matrices, besides the pass that gave the maps.

    Raises:
        ValueError: another shape, rows that do not have the sum 1, a wrong residual.
    """
    if maps.dim() != 5 or maps.shape[-1] != maps.shape[-2] or not len(maps):
        raise ValueError(
            f"maps have the shape {tuple(maps.shape)}; give (L, B, H, T, T), such as "
            "encoder(tokens, return_intermediates=True)['attention_maps']."
        )
    # half precision adds up to 1 within a few thousandths; NaN fails as well
    if not ((maps.sum(-1) - 1).abs() < 0.05).all():
        raise ValueError(
            "The rows of maps do not add up to 1; give attention weights after the "
            "softmax, with no head switched off."
        )
    if not 0 <= residual <= 1:
        raise ValueError(f"residual is {residual}; give a number from 0 to 1.")
    T = maps.shape[-1]
    identity = torch.eye(T, device=maps.device, dtype=maps.dtype)
    result = identity.expand(maps.shape[1], T, T)
    for A in maps.detach().mean(2):  # (B, T, T) of each block, the first one first
        result = (residual * identity + (1 - residual) * A) @ result
    return result


def _sum_of_gradients(model: Model, x: Tensor, target: Tensor) -> Tensor:
    """(k, B, ...), k variants of each example, to the sum over them, (B, ...)."""
    grads = gradient(model, x.flatten(0, 1), target.repeat(len(x)))
    return grads.unflatten(0, x.shape[:2]).sum(0)


def _wide_zeros(x: Tensor) -> Tensor:
    """For sums: a half-precision sum of many gradients loses the small ones."""
    return torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))


def _baseline(baseline: float | Tensor, x: Tensor) -> Tensor:
    start = torch.as_tensor(baseline, device=x.device, dtype=x.dtype).detach()
    try:
        return start.expand_as(x)
    except RuntimeError:
        raise ValueError(
            f"baseline has the shape {tuple(start.shape)}, x {tuple(x.shape)}; give a "
            "number, one example, or one for each."
        ) from None
