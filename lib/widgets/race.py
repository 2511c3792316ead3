"""The descent race: optimizers run down one surface, and every knob can be turned.

`DescentRace()` shows it. The race itself is `lib.descent.Race`; the paths travel to the
page once, and the page plays, steps and scrubs through them without the kernel.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lib.best_rates import BEST_RATES
from lib.descent import Race, rate_search
from lib.surfaces import SURFACES
from lib.widgets.base import LiveWidget, Work, as_bytes, page
from lib.widgets.controls import Control
from lib.widgets.racers import LABELS, RACERS, styles_for_page

GRID = 97  # points of the surface along each axis
WHOLE = 0.15  # seconds that a race may take before parts of it are shown
CUT = 401  # points of the one-dimensional view
SHOWN = ("GradientDescent", "Momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam")

_SURFACE_CHOICES = tuple((key, s.title) for key, s in SURFACES.items())
_RATE_CHOICES = (("all", "all optimizers"), *LABELS.items())


class DescentRace(LiveWidget):
    """Optimizers race down a surface, with equal step counts and the same noise.

    Args:
        surface: a key of `lib.surfaces.SURFACES`.
        optimizers: names of `lib.optimizers.OPTIMIZERS` to switch on.
        learning_rate: one rate for all of them. Without it, each gets the rate that
            ends lowest on the surface's own start (`best_rate`).
        start: (x, y); the surface's own start if not given.
        **values: other controls by name: view ("map" or "cut"), steps, momentum, beta1,
            beta2, decay, noise.

    Raises:
        ValueError: a control that does not exist, or a value that it does not allow.
    """

    _esm = page("core.js", "ui.js", "plot.js", "legend.js", "race.js")
    SHOWN_WHOLE = True

    CONTROLS = (
        Control("surface", "Surface", "choice", "ravine", choices=_SURFACE_CHOICES),
        Control("view", "View", "choice", "map",
                choices=(("map", "map from above"), ("cut", "one dimension"))),
        Control("steps", "Steps", "range", 200, 20, 500, 20,
                help="Every optimizer takes this many steps"),
        Control("optimizers", "Optimizers", "several", SHOWN,
                choices=tuple(LABELS.items())),
        Control("start", "Start", "point", (0.0, 0.0)),
        Control("rate_of", "Rate of", "choice", "all", choices=_RATE_CHOICES,
                help="Whose learning rate the slider sets"),
        Control("learning_rate", "Learning rate", "log", 0.01, 1e-5, 10.0, 0.02,
                help="How far one step goes; the scale is logarithmic"),
        Control("momentum", "Momentum", "range", 0.9, 0.0, 0.99, 0.01,
                help="Momentum and Nesterov: how much of the last step is kept"),
        Control("beta1", "β₁", "range", 0.9, 0.0, 0.99, 0.01,
                help="Adam and AdamW: memory of the gradient's mean"),
        Control("beta2", "β₂", "range", 0.999, 0.5, 0.999, 0.001,
                help="Adam and AdamW: memory of the gradient's square"),
        Control("decay", "Decay", "range", 0.99, 0.5, 0.999, 0.001,
                help="RMSProp: memory of the gradient's square"),
        Control("noise", "Noise", "range", 0.0, 0.0, 20.0, 0.1,
                help="Standard deviation added to each part of the gradient; "
                     "gradient descent alone sees the exact gradient"),
    )  # fmt: skip

    def __init__(self, surface: str = "ravine", **values: Any) -> None:
        place = SURFACES.get(surface)
        if place is not None:
            values.setdefault("start", place.start)
            values.setdefault("noise", place.noise)
        self.seed = 0
        self.rates = dict(BEST_RATES.get(surface, {}))
        self.race: Race | None = None
        self._run = 0
        self._told: dict[str, Any] = {}
        super().__init__(surface=surface, **values)
        if "learning_rate" in values:
            self._set_rate(self.values["learning_rate"])
        self._show_rate()
        self._keep_on_map()
        self._begin()
        self.finish()

    # ---- controls and commands

    @property
    def place(self):
        """The surface that is raced on."""
        return SURFACES[self.values["surface"]]

    def changed(self, name: str) -> None:
        if name == "surface":
            self.values["start"] = self.place.start
            self.values["noise"] = self.place.noise
            self._take_best_rates()
        elif name == "rate_of":
            self._show_rate()
            return
        elif name == "learning_rate":
            self._set_rate(self.values["learning_rate"])
        elif name == "start":
            self._keep_on_map()
        self._begin()

    def set(self, **values: Any) -> None:
        """Set controls by name, as a hand on the page would.

        The rate on which the slider stands counts too: the racers may have their own.
        """
        rate = self._checked(values).get("learning_rate")
        again = rate == self.values["learning_rate"]
        super().set(**values)
        if again and any(self.rates[name] != rate for name in self._chosen):
            self.values["learning_rate"] = rate
            self.changed("learning_rate")

    def unwatched(self) -> None:
        """A race that the last page left in its middle waits for the next one."""
        halfway = self.working
        super().unwatched()
        if halfway:
            self._begin()

    def do_tune(self) -> None:
        """Find the best rate of each racer from the present start, and race again."""
        self.start(self._tuning())

    def do_new_seed(self) -> None:
        """Other noise: the next seed."""
        self.seed += 1
        self._begin()

    def pump(self, now: bool = False) -> None:
        """A short race goes out whole: its parts would only delay its end."""
        soon = self._task is not None and time.monotonic() - self._began < WHOLE
        if not soon:
            super().pump(now)

    def run(self) -> Race:
        """The race, run to its end here and now. No page is needed."""
        self.finish()
        return self.race

    def _keep_on_map(self) -> None:
        x0, x1, y0, y1 = self.place.bounds
        x, y = self.values["start"]
        self.values["start"] = (min(max(x, x0), x1), min(max(y, y0), y1))

    @property
    def _chosen(self) -> tuple[str, ...]:
        """The racers whose rate the slider sets."""
        chosen = self.values["rate_of"]
        return tuple(RACERS) if chosen == "all" else (chosen,)

    def _set_rate(self, rate: float) -> None:
        for name in self._chosen:
            self.rates[name] = rate

    def _show_rate(self) -> None:
        """Put the slider on the rate of the chosen racer."""
        chosen = self.values["rate_of"]
        if chosen != "all":
            self.values["learning_rate"] = self.rates[chosen]
        elif len(set(self.rates.values())) == 1:
            self.values["learning_rate"] = next(iter(self.rates.values()))

    def _take_best_rates(self) -> None:
        self.rates = dict(BEST_RATES[self.place.key])
        self.values["rate_of"] = "all"
        self._show_rate()

    def _tuning(self) -> Work:
        """Search the rates of the racers that are on, then race with them."""
        x, y = self.values["start"]
        for name in self.values["optimizers"]:
            options = self._options(name)
            options.pop("learning_rate")
            try:
                self.rates[name] = yield from rate_search(
                    self.place, name, (x, y), self.values["steps"],
                    along_x=self.values["view"] == "cut", **options,
                )  # fmt: skip
            except ValueError as error:
                self._fail(error)
        self._show_rate()
        yield from self._fresh_race().work()

    # ---- the race

    def _options(self, name: str) -> dict[str, Any]:
        v = self.values
        extra: dict[str, dict[str, Any]] = {
            "Momentum": {"momentum": v["momentum"]},
            "Nesterov": {"momentum": v["momentum"]},
            "RMSProp": {"decay": v["decay"]},
            "Adam": {"betas": (v["beta1"], v["beta2"])},
            "AdamW": {"betas": (v["beta1"], v["beta2"])},
        }
        return {"learning_rate": self.rates[name], **extra.get(name, {})}

    def _fresh_race(self) -> Race:
        v = self.values
        self._run += 1
        self._began = time.monotonic()
        earlier, self.race = (
            self.race,
            Race(
                self.place,
                {name: self._options(name) for name in v["optimizers"]},
                v["start"],
                steps=v["steps"],
                noise=v["noise"],
                seed=self.seed,
                along_x=v["view"] == "cut",
            ),
        )
        return self.race if earlier is None else self.race.keep(earlier)

    def _begin(self) -> None:
        self.start(self._fresh_race().work())

    # ---- to the page

    def state(self) -> dict[str, Any]:
        if not self.watched:
            self.finish()
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        return {**content, **parts, "racers": styles_for_page()}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """Surface, cut and values if they changed, and the steps run since."""
        race, told = self.race, self._told
        if race is None:
            return None
        key, y = self.place.key, self.values["start"][1]
        from_step = told["done"] + 1 if told.get("run") == self._run else 0
        values = {name: self.values[name] for name in self.values}
        same = told.get("values") == values and told.get("rates") == self.rates
        if from_step > race.done and same:
            return None
        content: dict[str, Any] = {"kind": "news", "parts": [], "values": values,
                                   "rates": dict(self.rates),
                                   "start": list(self.values["start"])}  # fmt: skip
        buffers: list[bytes] = []
        if told.get("surface") != key:
            content["surface"] = _surface_facts(key)
            content["parts"].append("grid")
            buffers += as_bytes(self.place.grid(GRID))
        if told.get("cut") != (key, y):
            content["parts"].append("cut")
            buffers += as_bytes(self.place.cut(y, CUT))
        if from_step <= race.done:
            content |= {"run": {"id": self._run, "names": race.names,
                                "steps": race.steps},
                        "from": from_step, "to": race.done + 1,
                        "along_x": race.along_x,
                        "diverged": dict(race.diverged_at)}  # fmt: skip
            content["parts"].append("paths")
            buffers += as_bytes(_path_rows(race, from_step))
        self._told = {"run": self._run, "done": race.done, "surface": key,
                      "cut": (key, y), "values": values,
                      "rates": dict(self.rates)}  # fmt: skip
        return content, buffers

    # ---- without a page

    def describe(self) -> str:
        names = ", ".join(LABELS[name] for name in self.race.names) or "nobody"
        return f"Descent race on {self.place.title}: {names}"

    def figure(self) -> Figure:
        """Map and curves of the whole race, as the page shows them at its end."""
        from lib.widgets.still import race_figure

        return race_figure(self.run(), self.place)


def _surface_facts(key: str) -> dict[str, Any]:
    place = SURFACES[key]
    return {
        "key": key,
        "title": place.title,
        "bounds": list(place.bounds),
        "minima": [list(point) for point in place.minima],
        "lowest": place.lowest,
        "log_scale": place.log_scale,
        "size": GRID,
    }


def _path_rows(race: Race, first: int) -> np.ndarray:
    """(R, steps, 3) x, y and loss of the steps from `first` to the last one run."""
    steps = slice(first, race.done + 1)
    points = race.paths[:, steps]
    rows = np.concatenate([points, race.losses[:, steps, None]], axis=2)
    most = np.finfo(np.float32).max  # a loss may be finite and yet no float32
    return np.clip(rows, -most, most)
