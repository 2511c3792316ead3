"""The timeline of published models: size, data or compute against the year.

`Timeline()` shows it. The numbers and their sources are those of `lib.history`. The
page has all of them at once, so playing, choosing and pointing need no kernel.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

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
        axes.set(yscale="log", xlabel="year", ylabel=LABELS[quantity])
        if self.chosen:
            axes.legend()
        models = [(r.name, r.year, value_of(r, quantity)) for r in self.chosen]
        _name_models(axes, models)
        return figure


def _name_models(axes: Any, models: list[tuple[str, int, float]]) -> None:
    """Write each name beside its mark, right or left, where there is room for it.

    A name that would lie on another name, a mark, the legend or an edge is left out.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # from here on the axes stay where they are
    figure.set_layout_engine("none")
    legend = axes.get_legend()
    taken = [] if legend is None else [legend.get_window_extent()]
    for _, year, value in models:
        x, y = axes.transData.transform((year, value))
        taken.append(Bbox.from_extents(x - 4, y - 4, x + 4, y + 4))
    for name, year, value in models:
        for align, shift in (("left", 6), ("right", -6)):
            text = axes.annotate(
                name, (year, value), xytext=(shift, 0), textcoords="offset points",
                fontsize=8, ha=align, va="center",
            )  # fmt: skip
            place = text.get_window_extent()
            inside = axes.bbox.x0 < place.x0 and place.x1 < axes.bbox.x1
            if inside and not place.count_overlaps(taken):
                taken.append(place)
                break
            text.remove()
