"""The timeline of published models: size, data or compute against the year.

`Timeline()` shows it. The numbers and their sources are those of `lib.history`. The
page has all of them at once, so playing, choosing and pointing need no kernel.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.history import Published, doubling_months, published, value_of
from lib.widgets.base import LiveWidget, page, styles
from lib.widgets.controls import Control

LABELS = {"parameters": "parameters", "examples": "training tokens",
          "compute": "training compute, FLOP"}  # fmt: skip
STYLES = {  # colours of Okabe and Ito; marks differ too
    "language": {"light": "#0072b2", "dark": "#4da3e0", "dash": [], "mark": "circle"},
    "pictures": {"light": "#d55e00", "dark": "#ff9a5c", "dash": [], "mark": "square"},
    "sound": {"light": "#007e5d", "dark": "#3fc79c", "dash": [], "mark": "up"},
}
MARKS = {"circle": "o", "square": "s", "up": "^"}


class Timeline(LiveWidget):
    """Published models on a line of years, with the source of each number.

    Args:
        models: rows of `lib.history`; all of `published()` if not given.
        **values: controls by name: quantity ("parameters", "examples" or "compute"),
            language, pictures, sound, trend.

    Raises:
        ValueError: no model, a control that does not exist, or a value that it does not
            allow.
    """

    _esm = page("core.js", "ui.js", "plot.js", "timeline.js")
    _css = styles("timeline.css")

    CONTROLS = (
        Control("quantity", "Show", "choice", "parameters",
                choices=(("parameters", "parameters"),
                         ("examples", "training data, in tokens"),
                         ("compute", "training compute, in FLOP"))),
        Control("language", "Language", "toggle", True),
        Control("pictures", "Pictures", "toggle", True),
        Control("sound", "Sound", "toggle", True),
        Control("trend", "Trend", "toggle", False,
                help="A straight line through the logarithms of what is shown"),
    )  # fmt: skip

    def __init__(
        self, models: tuple[Published, ...] | None = None, **values: Any
    ) -> None:
        self.models = tuple(published() if models is None else models)
        if not self.models:
            raise ValueError("models is empty; give one row of lib.history or more.")
        self._told: dict[str, Any] = {}
        super().__init__(**values)

    @property
    def chosen(self) -> list[Published]:
        """The models of the kinds that are switched on and have the quantity."""
        quantity = self.values["quantity"]
        return [
            row
            for row in self.models
            if self.values[row.kind] and value_of(row, quantity) is not None
        ]

    def run(self) -> float | None:
        """Months in which the quantity doubled, over the models that are chosen."""
        return doubling_months(self.chosen, self.values["quantity"])

    def state(self) -> dict[str, Any]:
        self._told = dict(self.values)
        rows = [
            {
                **asdict(row),
                "compute": row.compute,
                "tokens": value_of(row, "examples"),
                "estimated": row.flop is None,
            }
            for row in self.models
        ]
        return {"rows": rows, "styles": STYLES, "labels": LABELS}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        if self._told == self.values:
            return None
        self._told = dict(self.values)
        return {"kind": "news", "values": dict(self.values)}, []

    def describe(self) -> str:
        first, last = self.models[0].year, self.models[-1].year
        return f"Timeline of {len(self.models)} published models, {first} to {last}"

    def figure(self) -> Figure:
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        axes = figure.subplots()
        quantity = self.values["quantity"]
        for kind, style in STYLES.items():
            rows = [row for row in self.chosen if row.kind == kind]
            if rows:
                axes.plot(
                    [row.year for row in rows],
                    [value_of(row, quantity) for row in rows],
                    MARKS[style["mark"]],
                    color=style["light"],
                    label=kind,
                )
        for row in _apart(self.chosen, quantity):
            axes.annotate(
                row.name,
                (row.year, value_of(row, quantity)),
                xytext=(5, 3),
                textcoords="offset points",
                fontsize=7,
            )
        axes.set(yscale="log", xlabel="year", ylabel=LABELS[quantity])
        if self.chosen:
            axes.legend()
        return figure


def _apart(rows: list[Published], quantity: str) -> list[Published]:
    """Models whose names can stand in the picture without lying on each other."""
    kept: list[tuple[int, float]] = []
    out = []
    for row in rows:
        at = row.year, float(np.log10(value_of(row, quantity)))
        if all(abs(at[0] - x) > 5 or abs(at[1] - y) > 0.35 for x, y in kept):
            kept.append(at)
            out.append(row)
    return out
