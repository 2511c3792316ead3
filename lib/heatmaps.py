"""Five heatmaps of one answer, side by side, in pieces short enough to stay awake.

`map_steps` makes one heatmap by the functions of `lib.explain`; the rest turns maps
into numbers that fit each other: one number a pixel, bytes with a scale, completeness,
copies of a network with random weights.

The networks that are asked, and their pictures, are in `lib.heatmap_subjects`. Left
out: pictures and widgets (see `lib.widgets.heatmaps`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.explain import (
    Progress,
    grad_cam,
    gradient,
    integrated_gradients_steps,
    occlusion_steps,
    randomise_steps,
    smooth_grad_steps,
)
from lib.scores import ask, asking, read_scores

METHODS = {
    "saliency": "Saliency",
    "smooth_grad": "SmoothGrad",
    "integrated_gradients": "Integrated gradients",
    "occlusion": "Occlusion",
    "grad_cam": "Grad-CAM",
}
CHEAP = ("saliency", "grad_cam")  # one pass each: for every update while training
BASELINES = ("black", "mean", "blurred")
PIXELS = 12_000  # of all pictures that the network sees at once: a short slice of work


@dataclass(frozen=True)
class Settings:
    """How the costly maps are made.

    Fields:
        samples, noise: of SmoothGrad; noise in parts of the range of the picture.
        steps, baseline: of integrated gradients; one of `BASELINES`.
        window: side of the occluding square, in percent of the picture's shorter side.
        seed: of the noise.
    """

    samples: int = 25
    noise: float = 0.15
    steps: int = 50
    baseline: str = "black"
    window: float = 16.0
    seed: int = 0


class Completeness(NamedTuple):
    """Σ map, score of the picture, score of the baseline; gap = total − difference."""

    total: float
    score: float
    start: float

    @property
    def difference(self) -> float:
        return self.score - self.start

    @property
    def gap(self) -> float:
        return self.total - self.difference


# ---- maps


def map_steps(
    method: str,
    model: nn.Module,
    x: Tensor,
    target: int,
    layer: str | None,
    settings: Settings,
) -> Iterator[Progress]:
    """One heatmap of one picture, in pieces of a few milliseconds on small networks.

    Args:
        method: one of `METHODS`.
        x: (1, C, H, W).
        layer: for Grad-CAM.

    Yields:
        `Progress` whose map is (H, W), with signs; done and total count passes of the
        network.
    """
    if method not in METHODS:
        raise ValueError(f"There is no {method!r}; choose one of {', '.join(METHODS)}.")
    chunk = max(1, PIXELS // x[0, 0].numel())
    if method == "saliency":
        parts = iter([Progress(1, 1, gradient(model, x, target))])
    elif method == "grad_cam":
        parts = iter([Progress(1, 1, grad_cam(model, x, layer, target))])
    elif method == "smooth_grad":
        parts = smooth_grad_steps(
            model, x, target, samples=settings.samples, noise=settings.noise,
            generator=torch.Generator().manual_seed(settings.seed), chunk=chunk,
        )  # fmt: skip
    elif method == "integrated_gradients":
        parts = integrated_gradients_steps(
            model, x, target, baseline=baseline_of(x, settings.baseline),
            steps=settings.steps, chunk=chunk,
        )  # fmt: skip
    else:
        size = window_of(x, settings.window)
        parts = occlusion_steps(
            model, x, target, size=size, stride=max(1, size // 2),
            value=cover_of(x), chunk=chunk,
        )  # fmt: skip
    for part in parts:
        yield part._replace(map=one_channel(part.map, method))


def one_channel(map: Tensor, method: str) -> Tensor:
    """(1, C, H, W) to (H, W).

    Shares of integrated gradients add up. Of gradients the channel with the largest
    counts, as in the saliency paper, and keeps its sign.
    """
    if method == "integrated_gradients":
        return map.sum(1)[0]
    return map.gather(1, map.abs().argmax(1, keepdim=True))[0, 0]


def baseline_of(x: Tensor, kind: str) -> Tensor:
    """A picture that says nothing: black, its mean colour, or x itself, blurred."""
    if kind == "black":
        return torch.zeros_like(x)
    if kind == "mean":
        return x.mean((2, 3), keepdim=True).expand_as(x).clone()
    if kind != "blurred":
        raise ValueError(f"baseline is {kind!r}; give one of {', '.join(BASELINES)}.")
    size = min(x.shape[-2:]) // 4 * 2 + 1  # odd, about half of the shorter side
    at = torch.arange(size, device=x.device, dtype=x.dtype) - size // 2
    bell = torch.exp(-0.5 * (at / (size / 5)) ** 2)
    bell = (bell / bell.sum()).expand(x.shape[1], 1, 1, size)
    for kernel in (bell, bell.transpose(2, 3)):
        pad = (kernel.shape[3] // 2,) * 2 + (kernel.shape[2] // 2,) * 2
        x = F.conv2d(F.pad(x, pad, mode="replicate"), kernel, groups=x.shape[1])
    return x


def window_of(x: Tensor, percent: float) -> int:
    """Pixels of a side of the occluding square."""
    return max(1, round(percent / 100 * min(x.shape[-2:])))


def cover_of(x: Tensor) -> float:
    """What covers: black where the ground is black, else the mean of the picture."""
    return 0.0 if x.shape[1] == 1 else float(x.mean())


def completeness(
    model: nn.Module, x: Tensor, target: int, baseline: str, map: Tensor
) -> Completeness:
    """Whether the shares of integrated gradients add up to what they divide."""
    classes = torch.tensor([target], device=x.device)
    score, start = (ask(model, v, classes) for v in (x, baseline_of(x, baseline)))
    return Completeness(float(map.sum()), float(score), float(start))


def as_levels(map: Tensor) -> tuple[np.ndarray, float]:
    """A map as bytes: value = (level − 128) / 127 · scale; the scale is max |map|."""
    scale = float(map.abs().max())
    levels = map / (scale or 1.0) * 127
    return (levels.round() + 128).to(torch.uint8).cpu().numpy(), scale


def probabilities(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and probabilities of all classes, (classes,) each, of (1, C, H, W)."""
    with asking(model), torch.no_grad():
        scores = read_scores(model(x), x)[0]
    return scores, scores.softmax(0)


def layers_of(model: nn.Module, x: Tensor) -> list[str]:
    """Names of the maps inside the model that Grad-CAM can use; first to last."""
    try:
        with asking(model), torch.no_grad():
            seen = model(x, return_intermediates=True)
    except TypeError:
        return []
    return [n for n, v in seen.items() if v.dim() == 4 and n != "input"]


def randomised(
    model: nn.Module, generator: torch.Generator, most: int = 4
) -> list[tuple[str, nn.Module]]:
    """Copies of the model, more and more of it random from the last layer down.

    Args:
        most: copies, evenly spaced over the layers; the last has no layer left.

    Returns:
        (what is random, model) pairs.
    """
    copies: list[nn.Module] = []

    def keep(broken: nn.Module) -> Tensor:
        copies.append(copy.deepcopy(broken))
        return torch.zeros(1, 1)

    parts = list(randomise_steps(model, keep, generator))[1:]
    L = len(parts)
    chosen = sorted({round(k) for k in np.linspace(1, L, min(most, L))})
    last = parts[0].layer
    names = [last, *(f"{last} to {part.layer}" for part in parts[1:-1]), "all layers"]
    return [(names[k - 1], copies[k]) for k in chosen]
