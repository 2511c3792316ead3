"""Points of the plane for the playground: named sets, surfaces, and a reader's own.

Two classes come from `lib.plane_sets` (and two clouds, which a straight line divides);
three surfaces are heights to predict. All are laid into the square that the network
sees, from -EDGE to EDGE, so that one network fits them all.

Left out: the network (`lib.playground`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lib.examples import Dataset
from lib.plane_sets import circles, exclusive_or, moons, spirals

EDGE = 3.0  # the network sees the plane from -EDGE to EDGE in both directions
SPLIT_FROM = 20  # fewer points are not divided: all of them are trained on


@dataclass(frozen=True, eq=False)
class Points:
    """Points of the plane with what is to be learnt of them.

    Fields:
        x: (N, 2) float32, as the network sees them, mostly within ±EDGE.
        y: (N,) float32: 0 or 1 for classes, else about -1 to 1.
        test: (N,) bool, True where a point is kept for the test.
        classes: whether y holds classes.
        bounds: (x1, x1, x2, x2) of the map in the reader's units: -EDGE to EDGE.
        names: of the two coordinates.
        heights: what y = -1 and y = 1 stand for, in the reader's units.
    """

    x: Tensor
    y: Tensor
    test: Tensor
    classes: bool = True
    bounds: tuple[float, float, float, float] = (-EDGE, EDGE, -EDGE, EDGE)
    names: tuple[str, str] = ("x1", "x2")
    heights: tuple[float, float] = (-1.0, 1.0)

    def to_own_units(self) -> Tensor:
        """(N, 2): the points where the reader's axes show them."""
        low, high = self._corners()
        return low + (self.x + EDGE) / (2 * EDGE) * (high - low)

    def with_point(self, x: Sequence[float], y: float) -> Points:
        """One more point to train on, given in the reader's units."""
        low, high = self._corners()
        seen = (torch.tensor([x], dtype=torch.float32) - low) / (high - low)
        return replace(
            self,
            x=torch.cat([self.x, (2 * seen - 1) * EDGE]),
            y=torch.cat([self.y, torch.tensor([y], dtype=torch.float32)]),
            test=torch.cat([self.test, torch.tensor([False])]),
        )

    def _corners(self) -> tuple[Tensor, Tensor]:
        return torch.tensor(self.bounds[::2]), torch.tensor(self.bounds[1::2])


def _clouds(n: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = (torch.arange(n) % 2).float()
    centre = torch.where(y[:, None] > 0, 0.55, -0.55)
    x = centre + (0.15 + noise) * torch.randn(n, 2, generator=generator)
    return 2.4 * x, y


def _of_plane_sets(make: Callable[..., Dataset], scale: float, shift=(0.0, 0.0)):
    def points(n: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
        made = make(n=n, noise=noise, seed=seed)
        return scale * (made.x - torch.tensor(shift)), made.y.float()

    return points


CLASSES = {
    "circles": _of_plane_sets(circles, 2.4),
    "moons": _of_plane_sets(moons, 1.6, (0.5, 0.25)),
    "spirals": _of_plane_sets(spirals, 2.6),
    "exclusive_or": _of_plane_sets(exclusive_or, 2.6),
    "clouds": _clouds,
}
SURFACES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "plane": lambda a, b: (a + b) / (2 * EDGE),
    "hills": lambda a, b: sum(
        sign * torch.exp(-((a - p) ** 2 + (b - q) ** 2) / 1.3)
        for p, q, sign in ((-1.6, 1.6, 1), (1.6, -1.6, 1), (1.6, 1.6, -1),
                           (-1.6, -1.6, -1))
    ),
    "ripples": lambda a, b: torch.cos(2.2 * (a * a + b * b).sqrt()),
}  # fmt: skip


def make_points(
    name: str, n: int = 200, noise: float = 0.1, test: float = 0.4, seed: int = 0
) -> Points:
    """Points of a named set: classes of `CLASSES`, or heights of `SURFACES`.

    Args:
        name: of the set, or "drawn" for no points at all, to draw one's own.
        n: how many, 2 or more.
        noise: standard deviation, from 0: of the places in units of the set's radius,
            or of the heights.
        test: the share kept for the test, from 0 to below 1.
        seed: of the points.

    Raises:
        ValueError: an unknown name, or a number outside these bounds.
    """
    if name == "drawn":
        return Points(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0).bool())
    if name in CLASSES:
        x, y = CLASSES[name](n, noise, seed)
    elif name in SURFACES:
        generator = torch.Generator().manual_seed(seed)
        x = EDGE * 0.95 * (2 * torch.rand(n, 2, generator=generator) - 1)
        y = SURFACES[name](x[:, 0], x[:, 1])
        y = y + noise * torch.randn(n, generator=generator)
    else:
        known = ", ".join([*CLASSES, *SURFACES, "drawn"])
        raise ValueError(f"There are no points {name!r}; choose one of {known}.")
    classes = name in CLASSES
    return Points(x, y, _held_back(x, y, classes, test, seed), classes)


def own_points(data: object, test: float = 0.4, seed: int = 0) -> Points:
    """A reader's own points, with the plane laid around them.

    Args:
        data: a `lib.examples.Dataset` of two features, or a pair (x, y): x (N, 2); y
            (N,), classes 0 and 1, or numbers, which are brought to -1 to 1.
        test, seed: as in `make_points`; fewer than 20 points are not divided.

    Raises:
        ValueError: anything else, or numbers that are not finite.
    """
    names = ("x1", "x2")
    if isinstance(data, Dataset):
        names, data = tuple(data.features) or names, (data.x, data.y)
    try:
        x, y = (torch.as_tensor(np.asarray(part), dtype=torch.float32) for part in data)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"data is a {type(data).__name__}; give a pair (x, y) of numbers or a "
            "Dataset of two features."
        ) from None
    if x.dim() != 2 or x.shape[1] != 2 or y.shape != x.shape[:1] or len(x) < 2:
        raise ValueError(
            f"x has the shape {tuple(x.shape)} and y {tuple(y.shape)}; give (N, 2) and "
            "(N,), 2 points or more. dataset.select(...) chooses two features."
        )
    low, high = x.amin(0), x.amax(0)
    if not (x.isfinite().all() and y.isfinite().all()) or (low == high).any():
        raise ValueError(
            "data hold NaN, infinity, or a coordinate that never changes; leave it out."
        )
    air = 0.15 * (high - low)
    low, high = low - air, high + air
    classes, heights = bool(((y == 0) | (y == 1)).all()), (-1.0, 1.0)
    if not classes:
        heights = (y.amin().item(), y.amax().item())
        reach = (y.amax() - y.amin()).clamp(min=1e-12) / 2
        y = (y - (y.amax() + y.amin()) / 2) / reach
    x = (2 * (x - low) / (high - low) - 1) * EDGE
    bounds = (low[0].item(), high[0].item(), low[1].item(), high[1].item())
    held = _held_back(x, y, classes, test, seed)
    return Points(x, y, held, classes, bounds, names, heights)


def _held_back(x: Tensor, y: Tensor, classes: bool, share: float, seed: int) -> Tensor:
    """(N,) bool: the points of the test, chosen by `Dataset.split`."""
    test = torch.zeros(len(x)).bool()
    if len(x) < SPLIT_FROM or share == 0:
        return test
    rows = torch.arange(len(x))[:, None].float()
    whole = Dataset("points", rows, y.long() if classes else y, (), ("y",), "", "", "")
    held = whole.split(validation=0, test=share, seed=seed).test.x
    test[held[:, 0].long()] = True
    return test
