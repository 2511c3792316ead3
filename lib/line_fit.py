"""Fitting a line by least squares: the smallest loss surface of a real problem.

The loss is the mean squared error of `w * x + b` over the data,

    L(w, b) = 1/N * sum over i of (w * x_i + b - y_i) ** 2

a bowl over the plane of w and b, so that whatever runs on a `lib.surfaces.Surface`
runs on it too. A. M. Legendre published least squares in 1805 ("Nouvelles méthodes
pour la détermination des orbites des comètes", appendix).

Left out: more than one input, and weights of the examples.
"""

from __future__ import annotations

import numpy as np
import torch


class LineLoss:
    """The mean squared error of a line, as a surface over slope w and intercept b.

    Args:
        x, y: (N,) numbers; arrays, tensors or lists.
        bounds: (w0, w1, b0, b1) to draw; around the best line if not given.

    Attributes:
        minima: the one best (w, b), by the normal equations.
        curvatures: (smallest, largest) eigenvalue of the loss's second derivatives.

    Raises:
        ValueError: x and y differ in length, hold fewer than two different points, or
            are not finite.
    """

    key, title, log_scale, noise = "line", "Mean squared error of a line", False, 0.0

    def __init__(self, x, y, bounds=None) -> None:
        self.x, self.y = (np.asarray(v, dtype=np.float64) for v in (x, y))
        if self.x.ndim != 1 or self.x.shape != self.y.shape:
            raise ValueError(
                f"x has the shape {self.x.shape} and y {self.y.shape}; give two lists "
                "of numbers of equal length."
            )
        if not (np.isfinite(self.x).all() and np.isfinite(self.y).all()):
            raise ValueError("x or y holds NaN or infinity; clean the data first.")
        if len(np.unique(self.x)) < 2:
            raise ValueError("x needs at least two different values to hold a line.")
        w, b = np.polyfit(self.x, self.y, 1)
        self.minima = ((float(w), float(b)),)
        mean, square = self.x.mean(), (self.x**2).mean()
        second = 2 * np.array([[square, mean], [mean, 1.0]])  # of L in (w, b)
        self.curvatures = tuple(float(v) for v in np.linalg.eigvalsh(second))
        reach_w, reach_b = 3 * abs(w) + 1, 1.5 * abs(b) + 1
        around = (w - reach_w, w + reach_w, b - reach_b, b + reach_b)
        self.bounds = tuple(float(v) for v in (bounds or around))
        self.start = (0.0, 0.0)

    def value(self, w, b):
        """The loss at (w, b): numbers, or arrays or tensors of one shape."""
        if isinstance(w, torch.Tensor):
            x, y = torch.from_numpy(self.x), torch.from_numpy(self.y)
        else:
            x, y = self.x, self.y
            w, b = np.asarray(w), np.asarray(b)
        with np.errstate(over="ignore", invalid="ignore"):  # far out it is infinite
            error = w[..., None] * x + b[..., None] - y
            return (error**2).mean(-1)

    def gradient(self, w: float, b: float) -> tuple[float, float]:
        """(dL/dw, dL/db). The factor x in the first is what makes the line turn."""
        error = w * self.x + b - self.y
        return 2 * float((error * self.x).mean()), 2 * float(error.mean())

    @property
    def lowest(self) -> float:
        """The loss of the best line."""
        return float(self.value(*self.minima[0]))

    def grid(self, n: int = 97) -> torch.Tensor:
        """(n, n) float32 losses over the bounds; row 0 is b0, column 0 is w0."""
        w0, w1, b0, b1 = self.bounds
        w, b = np.meshgrid(np.linspace(w0, w1, n), np.linspace(b0, b1, n))
        return torch.from_numpy(self.value(w, b)).float()

    def __repr__(self) -> str:
        return f"LineLoss({len(self.x)} points)"
