"""Two classes of points in the plane: circles, moons, spirals, exclusive or.

Small enough to see everything: the points, the boundary that a model draws, and what
each neuron does. Each set is made from a seed and asks something else of a model: none
of them can be divided by a straight line.

Left out: more than two classes, more than two features.
"""

import math

import torch

from lib.examples import Dataset


def _points(n: int, noise: float, seed: int, of_class) -> tuple[torch.Tensor, ...]:
    """x (n, 2) with noise and y (n,): the first half of class 0, then mixed.

    `of_class(label, u)` gives clean points for u (m, 2), uniform from 0 to 1.
    """
    if not isinstance(n, int) or n < 2:
        raise ValueError(f"n is {n!r}; give a whole number of points, 2 or more.")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise is {noise}; give a finite number of 0 or more.")
    generator = torch.Generator().manual_seed(seed)
    y = (torch.arange(n) >= n - n // 2).long()
    u = torch.rand(n, 2, generator=generator)
    x = torch.cat([of_class(label, u[y == label]) for label in (0, 1)])
    x = x + noise * torch.randn(n, 2, generator=generator)
    order = torch.randperm(n, generator=generator)
    return x[order], y[order]


def _set(name: str, x: torch.Tensor, y: torch.Tensor, targets, text: str, seed: int):
    return Dataset(
        name=name,
        x=x,
        y=y,
        features=("x1", "x2"),
        targets=targets,
        description=f"{len(y)} points of two classes: {text}.",
        source=f"made for this course, seed {seed}",
        licence="Apache-2.0",
    )


def circles(
    n: int = 200, noise: float = 0.08, inner: float = 0.5, seed: int = 0
) -> Dataset:
    """A circle inside another one.

    Args:
        n: how many points, half of them on each circle, 2 or more.
        noise: standard deviation of the normal noise on each coordinate, 0 or more.
        inner: radius of the inner circle, between 0 and 1; that of the outer one is 1.
        seed: of the points and their order.

    Returns:
        x (n, 2) float32, y (n,) int64: 0 outer, 1 inner.

    Raises:
        ValueError: for numbers outside these bounds.
    """
    if not 0 < inner < 1:
        raise ValueError(f"inner is {inner}; give a radius between 0 and 1.")

    def of_class(label, u):
        angle = 2 * math.pi * u[:, 0]
        return (inner if label else 1) * torch.stack([angle.cos(), angle.sin()], 1)

    x, y = _points(n, noise, seed, of_class)
    return _set("circles", x, y, ("outer", "inner"), "a circle in a circle", seed)


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> Dataset:
    """Two half circles, each of which reaches into the other.

    Arguments, result and errors as `circles`; y is 0 for the upper, 1 for the
    lower one.
    """

    def of_class(label, u):
        angle = math.pi * u[:, 0]
        upper = torch.stack([angle.cos(), angle.sin()], 1)
        return torch.tensor([1.0, 0.5]) - upper if label else upper

    x, y = _points(n, noise, seed, of_class)
    return _set("moons", x, y, ("upper", "lower"), "two half circles", seed)


def spirals(
    n: int = 300, noise: float = 0.03, turns: float = 1.5, seed: int = 0
) -> Dataset:
    """Two arms that wind around each other: the hardest of the four.

    Args:
        turns: how often each arm winds around the centre, above 0 and at most 4.
        n, noise, seed: as in `circles`.

    Returns:
        x (n, 2) float32 with radius up to 1, y (n,) int64: the arm.

    Raises:
        ValueError: for numbers outside these bounds.
    """
    if not 0 < turns <= 4:
        raise ValueError(f"turns is {turns}; give a number above 0, at most 4.")

    def of_class(label, u):
        radius = u[:, 0].sqrt()  # as many points outside as inside
        angle = 2 * math.pi * turns * radius + math.pi * label
        return radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)

    x, y = _points(n, noise, seed, of_class)
    return _set("spirals", x, y, ("one arm", "other arm"), "two spiral arms", seed)


def exclusive_or(n: int = 200, noise: float = 0.08, seed: int = 0) -> Dataset:
    """A square in four fields: the class is 1 where exactly one coordinate is positive.

    Minsky and Papert, "Perceptrons", 1969: no single perceptron can do it. Arguments,
    result and errors as `circles`. The noise moves points over the edges.
    """

    def of_class(label, u):
        x = 2 * u - 1
        wrong = ((x[:, 0] > 0) != (x[:, 1] > 0)) != bool(label)
        x[wrong, 0] *= -1
        return x

    x, y = _points(n, noise, seed, of_class)
    targets = ("same signs", "different signs")
    return _set("exclusive_or", x, y, targets, "four fields of a square", seed)
