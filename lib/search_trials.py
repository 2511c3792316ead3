"""What a search tries out: a data set in three parts, and trials that train on it.

A `Trial` is one setting of the hyperparameters: a real network, its optimizer and what
came out of it, epoch by epoch. It keeps its weights, so it can go on later. `Problem`
holds the data and turns settings into networks; of its three parts the first trains,
the second chooses among trials, and the third judges the winner, once.

The unit of cost is the epoch, one pass over the training data, because it costs about
as much with small batches as with large ones in arithmetic.

Left out: how to choose what to try (see `lib.search`), pictures and regression.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lib.batches import check_count, minibatches
from lib.datasets import load
from lib.device import choose_device
from lib.examples import Dataset, Scaler
from lib.loop_parts import NonFiniteLoss
from lib.losses import fused_cross_entropy
from lib.models.mlp import MLP
from lib.optimizers import Momentum
from lib.training import evaluate, train

# What the sets are asked for; points in the plane are made as many as this.
SETS: dict[str, dict[str, Any]] = {
    "digits": {},
    "moons": {"n": 800, "noise": 0.25},
    "circles": {"n": 800, "noise": 0.15},
    "spirals": {"n": 1200},
    "breast_cancer": {},
}
# What a setting may name, and the value where it does not.
DEFAULTS: dict[str, float] = {
    "learning_rate": 0.01,
    "momentum": 0.9,
    "batch_size": 32,
    "width": 32,
    "depth": 1,
    "weight_decay": 0.0,
}
STATES = ("waiting", "running", "stopped", "done", "diverged")


class Epoch(NamedTuple):
    """What is known after one epoch: losses of both parts, accuracy of validation."""

    train_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(eq=False)
class Trial:
    """One setting and what came out of it.

    Attributes:
        problem: where it trains.
        settings: hyperparameter -> value, those that the search chose.
        number: its place in the list of trials, from 0.
        seed: of the first weights and the order of the mini-batches.
        state: "waiting" (to begin, or to go on), "running", "stopped" (the search gave
            it up), "done" or "diverged" (a loss was infinite or NaN).
        history: one `Epoch` for each finished epoch.
        spent: epochs that it has cost; one that was begun counts.
    """

    problem: Problem
    settings: dict[str, Any]
    number: int = 0
    seed: int = 0
    state: str = "waiting"
    history: list[Epoch] = field(default_factory=list)
    spent: int = 0
    model: MLP | None = None

    def __post_init__(self) -> None:
        self.optimizer = self.batches = None

    @property
    def loss(self) -> float:
        """Validation loss after its last epoch; infinite if there is none."""
        if self.state == "diverged" or not self.history:
            return math.inf
        return self.history[-1].validation_loss

    @property
    def accuracy(self) -> float:
        """Validation accuracy after its last epoch; 0 if there is none."""
        return self.history[-1].validation_accuracy if self.loss < math.inf else 0.0

    def train(self, epochs: int) -> Iterator[Trial]:
        """Go on for so many epochs, from the weights it has; yields after each step.

        At the end it is waiting to be told to go on, or has diverged.

        Raises:
            ValueError: epochs is no whole number from 1, or the trial has ended.
        """
        check_count(epochs=epochs)
        if self.state != "waiting":
            raise ValueError(
                f"trial {self.number} is {self.state}; only one that waits can train."
            )
        if self.model is None:
            self.model, self.optimizer, self.batches = self.problem.build(
                self.settings, self.seed
            )
        self.state = "running"
        for _ in range(epochs):
            yield from self._epoch()
            if self.state == "diverged":
                return
        self.state = "waiting"

    def _epoch(self) -> Iterator[Trial]:
        self.spent += 1
        total = torch.zeros((), device=self.problem.device)
        steps = train(
            self.model,
            fused_cross_entropy,
            self.batches,
            self.optimizer,
            epochs=1,
            validation=self.problem.validation,
            metrics={"accuracy": right_share},
            check_finite=True,
        )
        try:
            for step in steps:
                total += step.loss
                if step.validation is not None:
                    self._keep(total.item() / len(self.batches), step.validation)
                yield self
        except NonFiniteLoss:
            self.end("diverged")

    def _keep(self, train_loss: float, found: Mapping[str, float]) -> None:
        if not math.isfinite(found["loss"]):
            raise NonFiniteLoss(f"the validation loss was {found['loss']}.")
        self.history.append(Epoch(train_loss, found["loss"], found["accuracy"]))

    def end(self, state: str = "done") -> None:
        """Train no more; the weights stay, what only training needs is let go."""
        self.state = state
        self.optimizer = self.batches = None

    def __repr__(self) -> str:
        text = ", ".join(f"{k}={show(v)}" for k, v in self.settings.items())
        return f"Trial({self.number}: {text}; {self.state} after {self.spent} epochs)"


class Problem:
    """A data set in three parts, and networks that learn it.

    The network is an `MLP` with `depth` hidden layers of `width` units; the optimizer
    is `Momentum`. A setting may name any of `DEFAULTS`.

    Args:
        data: one of `SETS`, or a `Dataset` of classes with x (N, features).
        seed: of the split, and of the points where a set is made from a seed.
        device: where everything trains; the best one found if not given.
        **defaults: other values for what a setting does not name: `momentum=0.0`.

    Attributes:
        train, validation: (x, y) of half and of a quarter of the examples. What is no
            picture is scaled with the mean and deviation of the training part.

    Raises:
        ValueError: no such set, no classes, or defaults that do not exist.
    """

    def __init__(
        self,
        data: str | Dataset = "digits",
        *,
        seed: int = 0,
        device: torch.device | str | None = None,
        **defaults: float,
    ) -> None:
        self.defaults = DEFAULTS
        self.defaults = self.complete(defaults)
        self.device = choose_device(device)
        data = load_set(data, seed) if isinstance(data, str) else data
        if not data.is_classes or data.x.dim() != 2:
            raise ValueError(
                f"{data!r} has no classes or no rows of numbers; give a set of classes "
                "with x of the shape (N, features)."
            )
        self.name, self.classes = data.name, len(data.targets)
        parts = data.split(validation=0.25, test=0.25, seed=seed)
        scale = Scaler(parts.train.x) if data.features else lambda x: x
        self.train, self.validation, self._test = (
            (scale(part.x).to(self.device), part.y.to(self.device)) for part in parts
        )

    def complete(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with the defaults for all that they do not name.

        Raises:
            ValueError: a name that is unknown, or a value that cannot be.
        """
        for name, value in settings.items():
            if name not in DEFAULTS:
                raise ValueError(
                    f"there is no hyperparameter {name!r}; a setting may name "
                    f"{', '.join(DEFAULTS)}."
                )
            _check(name, value)
        return {**self.defaults, **settings}

    def build(self, settings: Mapping[str, Any], seed: int = 0):
        """The network, its optimizer and its mini-batches, as a setting says."""
        s = self.complete(settings)
        sizes = (self.train[0].shape[1], *[s["width"]] * s["depth"], self.classes)
        model = MLP(sizes, seed=seed, device=self.device)
        optimizer = Momentum(
            model.parameters(), s["learning_rate"], s["momentum"], s["weight_decay"]
        )
        return model, optimizer, minibatches(*self.train, s["batch_size"], seed=seed)

    def trials(self, settings: list[Mapping[str, Any]], seed: int = 0) -> list[Trial]:
        """A waiting trial for each setting, all with the same seed.

        Raises:
            ValueError: no settings, or one that cannot be.
        """
        if not settings:
            raise ValueError("there are no settings; give a list of one or more.")
        for each in settings:
            self.complete(each)
        return [Trial(self, dict(s), i, seed) for i, s in enumerate(settings)]

    def test(self, trial: Trial) -> Epoch:
        """The winner on examples that nothing has seen: look once, at the very end.

        Returns:
            Its last `Epoch`, with the loss and accuracy of the test part in place of
            those of the validation part.

        Raises:
            ValueError: the trial has not trained, or diverged.
        """
        if trial.loss == math.inf:
            raise ValueError(
                f"{trial!r} has no score; test the trial with the best validation loss."
            )
        found = evaluate(
            trial.model, fused_cross_entropy, self._test, {"accuracy": right_share}
        )
        return Epoch(trial.history[-1].train_loss, found["loss"], found["accuracy"])

    def __repr__(self) -> str:
        sizes = ", ".join(
            str(len(y)) for _, y in (self.train, self.validation, self._test)
        )
        return f"Problem({self.name}: {sizes} examples to train, choose and judge)"


def load_set(name: str, seed: int = 0) -> Dataset:
    """A set of `SETS`; the seed counts where the points are made."""
    if name not in SETS:
        raise ValueError(
            f"there is no set {name!r} to search on; choose one of {', '.join(SETS)}."
        )
    options = SETS[name]
    return load(name, **options, **({"seed": seed} if options else {}))


def show(value: Any) -> str:
    """A value of a hyperparameter in at most three digits, whole numbers in full."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def right_share(logits: Tensor, targets: Tensor) -> float:
    """Accuracy; NaN among the logits, which `lib.metrics` refuses, is a wrong guess."""
    return (logits.argmax(-1) == targets).float().mean().item()


def _check(name: str, value: Any) -> None:
    """Raise ValueError where a hyperparameter cannot have this value."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in ("batch_size", "width", "depth"):
        fits, allowed = (
            number and isinstance(value, int) and value >= 1,
            ("a whole number from 1 up"),
        )
    elif name == "momentum":
        fits, allowed = number and 0 <= value < 1, "a number from 0 to below 1"
    elif name == "weight_decay":
        fits, allowed = number and 0 <= value < math.inf, "a finite number from 0"
    else:
        fits, allowed = number and 0 < value < math.inf, "a finite number above 0"
    if not fits:
        raise ValueError(f"{name} is {value!r}; give {allowed}.")
