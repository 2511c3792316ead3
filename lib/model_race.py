"""A real network trained by several optimizers side by side, on a map of its loss.

Every racer is its own copy of one network, with the same first weights and the same
mini-batches. A pilot run chooses the map: the plane through the weights on which
training moves most (`lib.loss_plane.path_directions`). A racer's place on the map is
the point of the plane nearest to its weights; how far it stands off the plane is told
too, since the map there is not the ground under its feet. `surface_work` can therefore
move the plane to pass through one racer's present weights.

Left out: pictures and widgets (see `lib.widgets.model_race`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from lib.datasets import load
from lib.device import choose_device
from lib.loss_plane import LossPlane, flat_weights, path_directions
from lib.models.mlp import MLP
from lib.optimizers import OPTIMIZERS

PILOT_STEPS = 120
MAP_EXAMPLES = 512  # of training, for the map and the curve; enough to be smooth
MARGIN = 0.45  # of the pilot's extent, drawn around it


@dataclass(frozen=True)
class Record:
    """What is kept of one moment of one racer: step, place, losses, accuracy."""

    step: int
    a: float
    b: float
    train_loss: float
    validation_loss: float
    accuracy: float
    off: float

    def row(self) -> tuple[float, ...]:
        return (self.step, self.a, self.b, self.train_loss, self.validation_loss,
                self.accuracy, self.off)  # fmt: skip


class _Racer:
    """One copy of the network with its optimizer."""

    def __init__(self, name: str, model: MLP, options: dict[str, Any]) -> None:
        self.name, self.options = name, options
        self.model = copy.deepcopy(model)
        self.optimizer = OPTIMIZERS[name](self.model.parameters(), **options)
        self.alive = True

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(x), y).backward()
        self.optimizer.step()


class ModelRace:
    """Copies of one network, each trained by its own optimizer, in step.

    Args:
        settings: optimizer name -> keyword arguments of its class.
        sizes: of the network: inputs (64), hidden layers, classes (10).
        batch_size: examples in a mini-batch.
        seed: of the first weights and of the order of the mini-batches.
        device: where to train; the best one found if not given.

    Attributes:
        step: steps taken so far, equal for all racers.
        history: name -> list of `Record`.
        bounds: (a0, a1, b0, b1) of the map.
        share: how much of the pilot's way lies in the plane, 0 to 1.
    """

    def __init__(
        self,
        settings: dict[str, dict[str, Any]],
        sizes: tuple[int, ...] = (64, 16, 10),
        batch_size: int = 64,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size was {batch_size}; it has to be 1 or more.")
        self.device = choose_device(device)
        self.batch_size, self.seed, self.sizes = batch_size, seed, tuple(sizes)
        train, validation, _test = load("digits").split(seed=0)
        self.x, self.y = train.x.to(self.device), train.y.to(self.device)
        self.check = (validation.x.to(self.device), validation.y.to(self.device))
        # What the curves show: some of the training examples, then those to validate.
        self._shown = torch.cat([self.x[:MAP_EXAMPLES], self.check[0]])  # (n, 64)
        self._answers = torch.cat([self.y[:MAP_EXAMPLES], self.check[1]])  # (n,)
        self.model = MLP(self.sizes, seed=seed).to(self.device)
        self._make_map()
        self.begin(settings)

    def begin(self, settings: dict[str, dict[str, Any]]) -> None:
        """Back to the first weights, the first batch and an empty history."""
        unknown = [name for name in settings if name not in OPTIMIZERS]
        if unknown:
            raise ValueError(
                f"no optimizer is called {unknown[0]!r}; there are "
                f"{', '.join(OPTIMIZERS)}."
            )
        self.racers = {n: _Racer(n, self.model, o) for n, o in settings.items()}
        self.history: dict[str, list[Record]] = {name: [] for name in settings}
        self.step = 0
        self._batches = self._orders()
        self.record()

    def _orders(self) -> Iterator[torch.Tensor]:
        """Indices of one mini-batch after the other; a new order each epoch."""
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            order = torch.randperm(len(self.x), generator=generator).to(self.device)
            yield from order.split(self.batch_size)

    # ---- the map -------------------------------------------------------------------

    def _make_map(self) -> None:
        """Run a pilot with Adam and lay the plane through the way it takes."""
        pilot = _Racer("Adam", self.model, {"learning_rate": 0.01})
        path = [flat_weights(pilot.model)]
        batches = self._orders()
        for _ in range(PILOT_STEPS):
            index = next(batches)
            pilot.step(self.x[index], self.y[index])
            path.append(flat_weights(pilot.model))
        first, second, self.share = path_directions(path)
        x, y = self.x[:MAP_EXAMPLES], self.y[:MAP_EXAMPLES]
        self.plane = LossPlane(
            self.model, F.cross_entropy, x, y, path[-1], first, second
        )
        self.bounds = _frame_around(self.plane.coordinates(torch.stack(path)))

    def surface_work(
        self, size: int, through: str | None = None
    ) -> Iterator[torch.Tensor | None]:
        """Yield None after each piece of work, and at last the (size, size) grid.

        Args:
            size: points along each axis.
            through: move the plane through this racer's present weights, so that the
                map is true under that racer's feet.
        """
        offset = None
        if through in self.racers and self.racers[through].alive:
            offset = self.plane.offset(self.racers[through].optimizer.theta)
        a0, a1, b0, b1 = self.bounds
        a, b = torch.linspace(a0, a1, size), torch.linspace(b0, b1, size)
        parts = []
        for _done, part in self.plane.losses_in_chunks(a, b, offset):
            parts.append(part)
            yield None
        yield torch.cat(parts).reshape(size, size).float()

    # ---- training ------------------------------------------------------------------

    def advance(self, steps: int = 1) -> None:
        """Train every racer for this many steps, on the same mini-batches."""
        for _ in range(steps):
            index = next(self._batches)
            x, y = self.x[index], self.y[index]
            for racer in self.racers.values():
                if racer.alive:
                    racer.step(x, y)
            self.step += 1

    @torch.no_grad()
    def record(self) -> None:
        """Note where every racer is. This is what reads numbers back from a GPU."""
        racers = [racer for racer in self.racers.values() if racer.alive]
        if not racers:
            return
        places = torch.stack([self._place(racer) for racer in racers])
        scores = self._scores([racer.model for racer in racers])
        table = torch.cat([places, scores], dim=1)  # (R, 6)
        for racer, values in zip(racers, table.tolist(), strict=True):
            if all(map(math.isfinite, values)):
                a, b, off, *scores = values
                self.history[racer.name].append(Record(self.step, a, b, *scores, off))
            else:
                racer.alive = False

    def _place(self, racer: _Racer) -> torch.Tensor:
        """Its point on the map and its distance from it: a, b, off, (3,)."""
        theta = racer.optimizer.theta
        place = self.plane.coordinates(theta)
        return torch.cat([place, self.plane.distance_off(theta)[None]])

    def _scores(self, models: list[MLP]) -> torch.Tensor:
        """Training loss, validation loss and validation accuracy, (R, 3)."""
        logits = torch.stack([model(self._shown) for model in models])  # (R, n, 10)
        right = logits.argmax(2) == self._answers
        chances = logits.log_softmax(2)
        answers = self._answers.expand(len(models), -1)[..., None]
        losses = -chances.gather(2, answers)[..., 0]  # (R, n)
        seen, kept = slice(0, MAP_EXAMPLES), slice(MAP_EXAMPLES, None)
        columns = losses[:, seen], losses[:, kept], right[:, kept].float()
        return torch.stack([column.mean(1) for column in columns], dim=1)

    def set_rate(self, name: str, rate: float) -> None:
        """Change one racer's learning rate while it trains."""
        if name not in self.racers:
            raise ValueError(
                f"no racer is called {name!r}; there are {', '.join(self.racers)}."
            )
        self.racers[name].optimizer.learning_rate = rate

    def move_to(self, device: str) -> None:
        """Go on training on another device, with weights and optimizer state kept."""
        target = choose_device(device)
        if target == self.device:
            return
        old, step, history = self.racers, self.step, self.history
        settings = {
            n: {**r.options, "learning_rate": r.optimizer.learning_rate}
            for n, r in old.items()
        }
        fresh = ModelRace(settings, self.sizes, self.batch_size, self.seed, device)
        for name, racer in fresh.racers.items():
            racer.model.load_state_dict(old[name].model.state_dict())
            racer.optimizer.load_state_dict(old[name].optimizer.state_dict())
            racer.alive = old[name].alive
        for _ in range(step):
            next(fresh._batches)
        self.__dict__.update(fresh.__dict__)
        self.step, self.history = step, history


def _frame_around(points: torch.Tensor) -> tuple[float, float, float, float]:
    """(a0, a1, b0, b1) around the points (n, 2), with a margin, never too narrow."""
    low, high = points.amin(0), points.amax(0)
    reach = torch.maximum(high - low, 0.6 * (high - low).max())
    middle = (low + high) / 2
    half = reach * (0.5 + MARGIN)
    (a0, b0), (a1, b1) = (middle - half).tolist(), (middle + half).tolist()
    return a0, a1, b0, b1
