"""One picture, one network, five heatmaps that say where its answer comes from.

An `Inquiry` knows which of its maps are out of date and makes them anew in pieces of a
few milliseconds, so that whoever drives it stays awake. It also holds the test with
random weights.

Left out: how a map is made (`lib.heatmaps`), the networks (`lib.heatmap_subjects`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.explain import rank_correlation
from lib.heatmap_subjects import Subject
from lib.heatmaps import (
    CHEAP,
    METHODS,
    Completeness,
    Settings,
    as_levels,
    completeness,
    map_steps,
    probabilities,
    randomised,
)

COSTLY = tuple(method for method in METHODS if method not in CHEAP)


@dataclass(frozen=True)
class Map:
    """One heatmap, and what is told of it.

    Fields:
        map: (H, W) float, with signs. levels, scale: the same as bytes (`as_levels`).
        done, total: passes of the network. step: of the training that was asked.
        serial: another one for each new map.
    """

    map: np.ndarray
    levels: np.ndarray
    scale: float
    done: int
    total: int
    step: int
    serial: int

    def told(self) -> dict[str, Any]:
        """All but the numbers, as JSON values."""
        names = ("scale", "done", "total", "step", "serial")
        return {name: getattr(self, name) for name in names}


class Inquiry:
    """What a network of a subject says of one picture, and why.

    Args:
        subject: whose `lens` is asked.
        settings: of the costly maps.

    Attributes:
        picture: (1, C, H, W). example: its number among the subject's, or None.
        wanted: the class to explain; None is the predicted one.
        layer: for Grad-CAM; None where the network has none.
        scores, chances: (classes,). predicted: the class with the highest score.
        maps: method -> `Map`. due: the methods whose maps are out of date.
        complete: of integrated gradients, or None. stages: random weights.
        progress: (what, done, total) of a long job, or None.
    """

    _serial = 0

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject, self.settings = subject, settings
        self.wanted: int | None = None
        self.layer = subject.layer
        self.maps: dict[str, Map] = {}
        self.due: dict[str, None] = {}
        self.stages: list[dict[str, Any]] = []
        self.complete: Completeness | None = None
        self.progress: tuple[str, int, int] | None = None
        self.show(subject.examples[:1], 0)

    def show(self, picture: Tensor, example: int | None) -> None:
        """Ask about another picture."""
        self.picture, self.example = picture, example
        self.picture_serial = self.next_serial()
        self.redo(METHODS)

    def redo(self, methods: Iterable[str]) -> None:
        """These maps are out of date; the scores are asked at once."""
        self.due = dict.fromkeys(m for m in METHODS if m in {*self.due, *methods})
        if self.layer is None:
            self.due.pop("grad_cam", None)
        if "integrated_gradients" in self.due:
            self.complete = None
        self.stages = []
        self.scores, self.chances = probabilities(self.subject.lens, self.picture)
        self.predicted = int(self.scores.argmax())

    @property
    def target(self) -> int:
        return self.predicted if self.wanted is None else self.wanted

    def cheap(self) -> Iterator[None]:
        """The maps of one pass that are due."""
        yield from self._all(CHEAP)

    def explain(self) -> Iterator[None]:
        """All maps that are due, the cheap ones first."""
        yield from self._all((*CHEAP, *COSTLY))
        self.progress = None

    def randomise(self, generator: torch.Generator) -> Iterator[None]:
        """All maps again with more and more random weights, and how alike they are."""
        yield from self.explain()
        first, self.stages = dict(self.maps), []
        models = randomised(self.subject.lens, generator)
        yield
        for k, (what, model) in enumerate(models):
            self.progress = (f"random weights: {what}", k, len(models))
            maps: dict[str, Map] = {}
            for method in first:
                for part in self._parts(method, model):  # noqa: B007 - the last counts
                    yield
                maps[method] = self._map(part)
            kept = {m: _alike(first[m], maps[m]) for m in maps}
            self.stages = [*self.stages, {"what": what, "maps": maps, "kept": kept}]
        self.progress = None

    def next_serial(self) -> int:
        Inquiry._serial += 1
        return Inquiry._serial

    def _all(self, methods: Iterable[str]) -> Iterator[None]:
        for method in methods:
            if method in self.due:
                yield from self._one(method)

    def _one(self, method: str) -> Iterator[None]:
        """Make one map; what is done of it can be seen meanwhile."""
        target, baseline = self.target, self.settings.baseline
        for part in self._parts(method, self.subject.lens):
            self.maps[method] = self._map(part)
            if method in COSTLY:
                self.progress = (METHODS[method], part.done, part.total)
            yield
        if method == "integrated_gradients":
            self.complete = completeness(
                self.subject.lens, self.picture, target, baseline, part.map
            )
        self.due.pop(method, None)

    def _parts(self, method: str, model: torch.nn.Module) -> Iterator:
        return map_steps(
            method, model, self.picture, self.target, self.layer, self.settings
        )

    def _map(self, part: Any) -> Map:
        levels, scale = as_levels(part.map)
        step, serial = self.subject.looked, self.next_serial()
        map = part.map.cpu().numpy()
        return Map(map, levels, scale, part.done, part.total, step, serial)


def _alike(a: Map, b: Map) -> float:
    """Rank correlation of the sizes of two maps."""
    sizes = (torch.from_numpy(np.abs(m.map))[None] for m in (a, b))
    return float(rank_correlation(*sizes))
