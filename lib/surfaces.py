"""Loss surfaces of two variables, to watch an optimizer walk on.

Seven surfaces by name: `SURFACES["rosenbrock"].value(x, y)` and `.gradient(x, y)`. Each
formula is written out once, in plain arithmetic, and takes Python floats, NumPy arrays
and torch tensors alike. Three are the classic test functions collected by M. Jamil and
X.-S. Yang, "A literature survey of benchmark functions for global optimization
problems", 2013 (arXiv 1308.4008); four are made for this course.

Left out: more than two variables, and second derivatives. The loss surface of a real
model is in `loss_plane`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

# A float, a NumPy array or a torch tensor: what goes in comes out.
Number = Any


@dataclass(frozen=True)
class Surface:
    """A loss surface of two variables, with the facts a picture of it needs.

    Fields:
        key: its name in `SURFACES`.
        title: its name in prose.
        formula: LaTeX, without the dollar signs.
        value: `value(x, y)` is the loss; any numbers or arrays of one shape.
        gradient: `gradient(x, y)` is `(df/dx, df/dy)`.
        bounds: `(x0, x1, y0, y1)`, the part worth drawing.
        start: `(x, y)` where a descent begins, inside the bounds.
        minima: every lowest point inside the bounds; all have the same loss. Minima
            that are only local are not listed.
        saddle_points: points of zero gradient inside the bounds that are downhill one
            way and uphill another.
        log_scale: True where colours should follow the logarithm of `loss - lowest`,
            because the loss spans many powers of ten.
        noise: standard deviation of the noise to add to each part of the gradient.
        source: where the function comes from.

    Raises:
        ValueError: if the bounds are not in order or the start lies outside them.
    """

    key: str
    title: str
    formula: str
    value: Callable[[Number, Number], Number] = field(repr=False)
    gradient: Callable[[Number, Number], tuple[Number, Number]] = field(repr=False)
    bounds: tuple[float, float, float, float]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    saddle_points: tuple[tuple[float, float], ...] = ()
    log_scale: bool = False
    noise: float = 0.0
    source: str = "made for this course"

    def __post_init__(self) -> None:
        x0, x1, y0, y1 = self.bounds
        if not (x0 < x1 and y0 < y1):
            raise ValueError(
                f"The bounds of {self.key!r} are {self.bounds}; "
                "give (x0, x1, y0, y1) with x0 < x1 and y0 < y1."
            )
        if not self.contains(*self.start):
            raise ValueError(
                f"The start {self.start} of {self.key!r} lies outside its bounds "
                f"{self.bounds}; choose a point inside them."
            )
        if not self.minima:
            raise ValueError(f"{self.key!r} has no minimum; list at least one (x, y).")
        if not 0 <= self.noise < math.inf:
            raise ValueError(
                f"The noise of {self.key!r} is {self.noise}; give zero or a positive "
                "standard deviation."
            )

    def __repr__(self) -> str:
        return f"Surface({self.key!r}, start={self.start}, bounds={self.bounds})"

    @property
    def lowest(self) -> float:
        """The loss at the minima."""
        return float(self.value(*self.minima[0]))

    def contains(self, x: float, y: float) -> bool:
        """Whether the point lies inside the bounds; False for NaN."""
        x0, x1, y0, y1 = self.bounds
        return x0 <= x <= x1 and y0 <= y <= y1

    def grid(self, n: int = 161) -> torch.Tensor:
        """The loss on n x n points of the bounds, edges included.

        Returns:
            (n, n) float32; row 0 is y0 and column 0 is x0.
        """
        x0, x1, y0, y1 = self.bounds
        x = _spread(x0, x1, n)[None, :]  # (1, n)
        y = _spread(y0, y1, n)[:, None]  # (n, 1)
        return self.value(x, y).float()

    def cut(self, y: float, n: int = 161) -> torch.Tensor:
        """The loss along x at one fixed y: the surface as a curve, (n,) float32."""
        if not math.isfinite(y):
            raise ValueError(f"y is {y}; a cut needs a finite number.")
        x = _spread(*self.bounds[:2], n)
        return self.value(x, torch.full_like(x, y)).float()


def _spread(low: float, high: float, n: int) -> torch.Tensor:
    """n evenly spaced float64 numbers from low to high, both included."""
    if not isinstance(n, int) or n < 2:
        raise ValueError(f"n is {n!r}; give a whole number of points, 2 or more.")
    return torch.linspace(low, high, n, dtype=torch.float64)


def gradient_noise(seed: int, steps: int) -> torch.Tensor:
    """Standard normal noise for a noisy descent, the same for every optimizer.

    Row t is added, times the wanted standard deviation, to the gradient of step t. A
    longer stream begins with the shorter one, so that a race can be prolonged.

    Returns:
        (steps, 2) float64, from a generator of its own.

    Raises:
        ValueError: if steps is negative or not a whole number.
    """
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps is {steps!r}; give a whole number, 0 or more.")
    # NumPy's generator fills arrays in order; torch.randn draws in blocks of 16, and
    # its first numbers change with the length asked for.
    noise = np.random.default_rng(seed).standard_normal((steps, 2))
    return torch.from_numpy(noise)


# The formulas. Squares are written x * x: for Python floats x**2 raises OverflowError
# where x * x is inf, and a descent that diverges must be able to show it.


def _bowl(x: Number, y: Number) -> Number:
    return (x * x + y * y) / 2


def _bowl_gradient(x: Number, y: Number) -> tuple[Number, Number]:
    return x, y


def _ravine(x: Number, y: Number) -> Number:
    return (x * x + 25 * y * y) / 2


def _ravine_gradient(x: Number, y: Number) -> tuple[Number, Number]:
    return x, 25 * y


def _saddle(x: Number, y: Number) -> Number:
    return x * x / 2 - y * y / 2 + y * y * y * y / 4


def _saddle_gradient(x: Number, y: Number) -> tuple[Number, Number]:
    return x, y * y * y - y


def _rosenbrock(x: Number, y: Number) -> Number:
    away, above = 1 - x, y - x * x
    return away * away + 100 * above * above


def _rosenbrock_gradient(x: Number, y: Number) -> tuple[Number, Number]:
    above = y - x * x
    return -2 * (1 - x) - 400 * x * above, 200 * above


def _beale(x: Number, y: Number) -> Number:
    y2 = y * y
    a = 1.5 - x + x * y
    b = 2.25 - x + x * y2
    c = 2.625 - x + x * y2 * y
    return a * a + b * b + c * c


def _beale_gradient(x: Number, y: Number) -> tuple[Number, Number]:
    y2 = y * y
    y3 = y2 * y
    a = 1.5 - x + x * y
    b = 2.25 - x + x * y2
    c = 2.625 - x + x * y3
    dx = 2 * (a * (y - 1) + b * (y2 - 1) + c * (y3 - 1))
    dy = 2 * x * (a + 2 * b * y + 3 * c * y2)
    return dx, dy


def _himmelblau(x: Number, y: Number) -> Number:
    a = x * x + y - 11
    b = x + y * y - 7
    return a * a + b * b


def _himmelblau_gradient(x: Number, y: Number) -> tuple[Number, Number]:
    a = x * x + y - 11
    b = x + y * y - 7
    return 4 * x * a + 2 * b, 2 * a + 4 * y * b


def _cos(v: Number) -> Number:
    if isinstance(v, float | int):  # math.cos refuses infinity
        return math.cos(v) if math.isfinite(v) else math.nan
    return torch.cos(v) if isinstance(v, torch.Tensor) else np.cos(v)


def _sin(v: Number) -> Number:
    if isinstance(v, float | int):
        return math.sin(v) if math.isfinite(v) else math.nan
    return torch.sin(v) if isinstance(v, torch.Tensor) else np.sin(v)


def _noisy(x: Number, y: Number) -> Number:
    return (x * x + y * y) / 8 + (2 - _cos(4 * x) - _cos(4 * y)) / 4


def _noisy_gradient(x: Number, y: Number) -> tuple[Number, Number]:
    return x / 4 + _sin(4 * x), y / 4 + _sin(4 * y)


_ALL = (
    Surface(
        key="bowl",
        title="Round bowl",
        formula=r"\frac{1}{2}(x^2 + y^2)",
        value=_bowl,
        gradient=_bowl_gradient,
        bounds=(-3.0, 3.0, -3.0, 3.0),
        start=(-2.5, 1.5),
        minima=((0.0, 0.0),),
    ),
    Surface(
        key="ravine",
        title="Ravine",
        formula=r"\frac{1}{2}(x^2 + 25 y^2)",
        value=_ravine,
        gradient=_ravine_gradient,
        bounds=(-5.0, 5.0, -2.0, 2.0),
        start=(-4.5, 1.0),
        minima=((0.0, 0.0),),
    ),
    Surface(
        key="saddle",
        title="Saddle between two valleys",
        formula=r"\frac{1}{2}x^2 - \frac{1}{2}y^2 + \frac{1}{4}y^4",
        value=_saddle,
        gradient=_saddle_gradient,
        bounds=(-2.0, 2.0, -1.75, 1.75),
        start=(-1.75, 0.01),
        minima=((0.0, 1.0), (0.0, -1.0)),
        saddle_points=((0.0, 0.0),),
    ),
    Surface(
        key="rosenbrock",
        title="Rosenbrock's valley",
        formula=r"(1 - x)^2 + 100\,(y - x^2)^2",
        value=_rosenbrock,
        gradient=_rosenbrock_gradient,
        bounds=(-2.0, 2.0, -1.0, 3.0),
        start=(-1.2, 1.0),
        minima=((1.0, 1.0),),
        log_scale=True,
        source="H. H. Rosenbrock, The Computer Journal 3(3), 1960, p. 175",
    ),
    Surface(
        key="beale",
        title="Beale's function",
        formula=r"(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2",
        value=_beale,
        gradient=_beale_gradient,
        bounds=(-4.5, 4.5, -4.5, 4.5),
        start=(1.0, 1.5),
        minima=((3.0, 0.5),),
        saddle_points=((0.0, 1.0), (0.10053793732415833, -2.6445135850231254)),
        log_scale=True,
        source="E. M. L. Beale, 1958; no. 10 in arXiv 1308.4008",
    ),
    Surface(
        key="himmelblau",
        title="Himmelblau's four valleys",
        formula=r"(x^2 + y - 11)^2 + (x + y^2 - 7)^2",
        value=_himmelblau,
        gradient=_himmelblau_gradient,
        bounds=(-5.0, 5.0, -5.0, 5.0),
        start=(0.0, 0.0),
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.2831859912861696),
            (3.5844283403304917, -1.8481265269644036),
        ),
        saddle_points=(
            (3.385154183607021, 0.07385187983774928),
            (0.08667750455539636, 2.884254701174776),
            (-3.0730257507643897, -0.08135304428796751),
            (-0.12796134673068005, -1.9537149802445766),
        ),
        log_scale=True,
        source="D. M. Himmelblau, Applied Nonlinear Programming, 1972",
    ),
    Surface(
        key="noisy",
        title="Rippled bowl, noisy gradient",
        formula=(
            r"\frac{1}{8}(x^2 + y^2) + \frac{1}{4}\bigl(2 - \cos 4x - \cos 4y\bigr)"
        ),
        value=_noisy,
        gradient=_noisy_gradient,
        bounds=(-4.0, 4.0, -4.0, 4.0),
        start=(-3.2, 2.6),
        minima=((0.0, 0.0),),
        noise=0.5,
        source="made for this course, after L. A. Rastrigin, 1974",
    ),
)

SURFACES: dict[str, Surface] = {surface.key: surface for surface in _ALL}
