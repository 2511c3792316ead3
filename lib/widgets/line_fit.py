"""Fit a line by hand, then let gradient descent do it from where the hand stopped.

`LineFit(x, y)` shows the data with a line, and beside it the map of the loss over slope
and intercept, with the trace of the reader's hand and the path of the descent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.descent import Race
from lib.line_fit import LineLoss
from lib.widgets.base import LiveWidget, as_bytes, page
from lib.widgets.controls import Control

GRID = 65


class LineFit(LiveWidget):
    """Sliders for slope and intercept, and a descent that takes over.

    Args:
        x, y: (N,) data.
        names: of the two axes.
        **values: controls by name: w, b, learning_rate, steps.

    Raises:
        ValueError: data that hold no line, or a value that a control does not allow.
    """

    _esm = page("core.js", "ui.js", "plot.js", "line_fit.js")

    CONTROLS = (
        Control("w", "Slope w", "range", 0.0, -1.0, 1.0, 0.01,
                help="How much the line climbs for one unit of x"),
        Control("b", "Intercept b", "range", 0.0, -1.0, 1.0, 0.01,
                help="The height of the line at x = 0"),
        Control("learning_rate", "Learning rate", "log", 0.05, 1e-3, 10.0, 0.02,
                help="The part of the gradient that one step goes"),
        Control("steps", "Steps", "range", 60, 10, 300, 10),
    )  # fmt: skip

    def __init__(self, x, y, names=("x", "y"), **values: Any) -> None:
        self.loss = LineLoss(x, y)
        self.names = names
        self.CONTROLS = _fitted(self.CONTROLS, self.loss)
        self.race: Race | None = None
        self._told: dict[str, Any] = {}
        self._runs = 0
        super().__init__(**values)

    def changed(self, name: str) -> None:
        """A hand on w or b ends the descent; a new rate or length runs it again."""
        if name in ("w", "b"):
            self.race = None
        elif self.race is not None:
            self._descend(self.race.start)

    def do_descend(self) -> None:
        """Gradient descent from where the sliders stand."""
        self._descend((self.values["w"], self.values["b"]))

    def run(self, steps: int | None = None) -> Race:
        """Descend here and now, without a page."""
        if steps is not None:
            self.set(steps=steps)
        self.do_descend()
        return self.race

    def _descend(self, start: tuple[float, float]) -> None:
        rate = self.values["learning_rate"]
        settings = {"GradientDescent": {"learning_rate": rate}}
        self._runs += 1
        self.race = Race(self.loss, settings, start, self.values["steps"]).run()

    def state(self) -> dict[str, Any]:
        self._told = {}
        points = as_bytes(np.stack([self.loss.x, self.loss.y]))[0]
        fixed = {
            "points": points,
            "grid": as_bytes(self.loss.grid(GRID))[0],
            "size": GRID,
            "bounds": list(self.loss.bounds),
            "lowest": self.loss.lowest,
            "best": list(self.loss.minima[0]),
            "names": list(self.names),
        }
        content, buffers = self.news()
        return {**content, **fixed, "path": buffers[0]}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        now = {"run": self._runs if self.race else None, "values": dict(self.values)}
        if now == self._told:
            return None
        self._told = now
        path, diverged = np.zeros((0, 3)), None
        if self.race is not None:
            path = np.column_stack([self.race.paths[0], self.race.losses[0]])
            diverged = self.race.diverged_at.get("GradientDescent")
            path = path[:diverged]
        content = {"kind": "news", **now, "diverged": diverged, "parts": ["path"]}
        return content, as_bytes(path)

    def describe(self) -> str:
        return (
            f"A line through {len(self.loss.x)} points, to fit by hand and by descent"
        )

    def figure(self) -> Figure:
        from lib.widgets.still import line_fit_figure

        return line_fit_figure(self)


def _fitted(controls: tuple[Control, ...], loss: LineLoss) -> tuple[Control, ...]:
    """The sliders of w and b, as wide as the map, in about 200 round steps."""
    from dataclasses import replace

    w0, w1, b0, b1 = loss.bounds
    out = []
    for control in controls:
        if control.name in ("w", "b"):
            low, high = (w0, w1) if control.name == "w" else (b0, b1)
            step = 10 ** math.floor(math.log10((high - low) / 100))
            low, high = math.ceil(low / step) * step, math.floor(high / step) * step
            control = replace(control, low=low, high=high, step=step)
        out.append(control)
    return tuple(out)
