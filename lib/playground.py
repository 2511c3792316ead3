"""A small network that learns points of the plane, open to look at while it trains.

After D. Smilkov, S. Carter and others, "Direct-Manipulation Visualization of Deep
Networks", 2017 (TensorFlow Playground). The points are of `lib.playground_points`, the
network is `lib.models.mlp.MLP`, and any optimizer of `lib.optimizers` trains it. One
forward pass over a grid gives the response of every neuron.

The loop is written out and not `lib.training.train`, which holds back Ctrl-C as long as
it is open: here a run stays open for hours, and its settings change between two steps.

Left out: pictures and widgets (see `lib.widgets.playground`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from lib.device import choose_device
from lib.losses import binary_cross_entropy, mean_squared_error
from lib.models.layers import Dropout
from lib.models.mlp import ACTIVATIONS, MLP
from lib.optimizers import OPTIMIZERS
from lib.playground_points import EDGE, Points
from lib.regularizers import l1_penalty, l2_penalty, weights

FINE = 40  # points of the output's grid along each side
COARSE = 20  # the same for a neuron: the mean of 2 x 2 points of the fine grid

FEATURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "x1": lambda a, b: a,
    "x2": lambda a, b: b,
    "x1²": lambda a, b: a * a,
    "x2²": lambda a, b: b * b,
    "x1x2": lambda a, b: a * b,
    "sin x1": lambda a, b: torch.sin(a),
    "sin x2": lambda a, b: torch.sin(b),
}


class OpenMLP(MLP):
    """An MLP with dropout after each hidden layer, in training only.

    Args:
        sizes, activation, seed: as in `MLP`; the same seed gives the same weights.
        p: of `Dropout`, may be changed at any time.
    """

    def __init__(self, sizes, activation="tanh", seed=0, p: float = 0.0) -> None:
        super().__init__(sizes, activation, seed)
        self.dropout = Dropout(p, seed)

    def forward(self, x: Tensor, return_intermediates: bool = False):
        """As `MLP.forward`; its intermediates are those without dropout."""
        if return_intermediates or not self.training or self.dropout.p == 0:
            return super().forward(x, return_intermediates)
        activation = ACTIVATIONS[self.activation]
        *hidden, last = self.layers
        for layer in hidden:
            x = self.dropout(activation(layer(x)))
        return last(x)


@dataclass(frozen=True)
class Moment:
    """What is kept of one moment of training.

    Fields:
        step, epoch: updates so far, and passes over the training points.
        train_loss, test_loss: means over all points, without penalties; NaN of none.
        train_accuracy, test_accuracy: shares from 0 to 1; NaN where there are no
            classes.
        theta: (P,) float32, every weight and bias: W, b of layer after layer.
        neurons: (hidden neurons, 20, 20) float32, responses; row 0 has the lowest x2.
        output: (40, 40) float32: the logit of class 1, or the predicted height.
    """

    step: int
    epoch: float
    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    theta: np.ndarray = field(repr=False)
    neurons: np.ndarray = field(repr=False)
    output: np.ndarray = field(repr=False)

    def row(self) -> tuple[float, ...]:
        return (self.step, self.epoch, self.train_loss, self.test_loss,
                self.train_accuracy, self.test_accuracy)  # fmt: skip

    @property
    def finite(self) -> bool:
        """Whether the network still has numbers in it."""
        return bool(np.isfinite(self.theta).all()) and not math.isinf(self.train_loss)


class Playground:
    """A network on points of the plane, trained step by step.

    Args:
        points: what it learns.
        features: names of `FEATURES`, in any order; they are the network's inputs.
        hidden: neurons of each hidden layer; () is a straight model.
        activation: a name of `lib.models.mlp.ACTIVATIONS`.
        optimizer: a name of `lib.optimizers.OPTIMIZERS`.
        learning_rate, batch_size, l1, l2, dropout: may be changed at any time: set the
            attribute of that name.
        seed: of the first weights, the order of the points and the dropout.
        device: where to train; the best one found if not given.

    Attributes:
        step, epoch: updates so far, and passes over the training points.
        model, optimizer: the network, and what trains it.

    Raises:
        ValueError: an unknown name, or no feature.
    """

    def __init__(
        self,
        points: Points,
        features: Sequence[str] = ("x1", "x2"),
        hidden: Sequence[int] = (4, 2),
        activation: str = "tanh",
        optimizer: str = "SGD",
        learning_rate: float = 0.1,
        batch_size: int = 10,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float = 0.0,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        unknown = [name for name in features if name not in FEATURES]
        if unknown or not features:
            raise ValueError(
                f"features are {list(features)}; choose one or more of "
                f"{', '.join(FEATURES)}."
            )
        self.features = [name for name in FEATURES if name in features]
        self.sizes = (len(self.features), *hidden, 1)
        self.batch_size, self.l1, self.l2 = batch_size, l1, l2
        self.model = OpenMLP(self.sizes, activation, seed, dropout)
        self.device = choose_device(device)
        self.model.to(self.device)
        self.use_optimizer(optimizer, learning_rate)
        self.step, self.epoch = 0, 0.0
        self._generator = torch.Generator().manual_seed(seed)
        self._grid = self._inputs(grid_points())
        self.use_points(points)

    def use_points(self, points: Points) -> None:
        """Go on with these points, from the weights that there are."""
        self.points = points
        self.loss = binary_cross_entropy if points.classes else mean_squared_error
        x, y = self._inputs(points.x), points.y.to(self.device)
        test = points.test.to(self.device)
        self.train_part, self.test_part = (x[~test], y[~test]), (x[test], y[test])
        self._batches: Iterator[Tensor] = iter(())

    def use_optimizer(self, name: str, learning_rate: float) -> None:
        """Go on with another optimizer, which remembers nothing of the steps so far."""
        if name not in OPTIMIZERS:
            raise ValueError(
                f"no optimizer is called {name!r}; there are {', '.join(OPTIMIZERS)}."
            )
        params = self.model.parameters()
        self.optimizer = OPTIMIZERS[name](params, learning_rate=learning_rate)

    @property
    def learning_rate(self) -> float:
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.learning_rate = value

    @property
    def dropout(self) -> float:
        return self.model.dropout.p

    @dropout.setter
    def dropout(self, value: float) -> None:
        self.model.dropout.p = value

    def move_to(self, device: str) -> None:
        """Go on training on another device, with weights and optimizer state kept."""
        self.device = choose_device(device)
        name, saved = type(self.optimizer).__name__, self.optimizer.state_dict()
        self.model.to(self.device)
        self.use_optimizer(name, self.learning_rate)
        self.optimizer.load_state_dict(saved)
        self._grid = self._grid.to(self.device)
        batches = self._batches
        self.use_points(self.points)
        self._batches = batches

    def set_weight(self, index: int, value: float) -> None:
        """Set one number of theta by hand.

        Raises:
            ValueError: no such weight, or a value that is no finite number.
        """
        theta = self.optimizer.theta
        if isinstance(index, bool) or index not in range(len(theta)):
            raise ValueError(
                f"weight {index!r} was set; there are 0 to {len(theta) - 1}."
            )
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"the weight was given {value!r}; give a finite number.")
        with torch.no_grad():
            theta[index] = value

    @property
    def batches_in_epoch(self) -> int:
        """Steps that one pass over the training points takes."""
        return max(1, math.ceil(len(self.train_part[0]) / self.batch_size))

    def advance(self, steps: int = 1) -> None:
        """Train for this many mini-batches.

        Raises:
            ValueError: there is nothing to train on.
        """
        x, y = self.train_part
        if not len(x):
            raise ValueError(
                "There are no points to train on. Draw some on the map, or choose "
                "another data set."
            )
        self.model.train()
        for _ in range(steps):
            rows = self._next_batch(len(x))
            self.optimizer.zero_grad()
            loss = self.loss(self.model(x[rows]).squeeze(1), y[rows])
            if self.l1:
                loss = loss + l1_penalty(weights(self.model), self.l1)
            if self.l2:
                loss = loss + l2_penalty(weights(self.model), self.l2)
            loss.backward()
            self.optimizer.step()
            self.step += 1
            self.epoch += len(rows) / len(x)

    def _next_batch(self, n: int) -> Tensor:
        """Row numbers of the next mini-batch; a new order for each pass."""
        rows = next(self._batches, None)
        if rows is None:
            order = torch.randperm(n, generator=self._generator)
            self._batches = iter(order.to(self.device).split(self.batch_size))
            rows = next(self._batches)
        return rows.to(self.device)

    # ---- looking

    @torch.no_grad()
    def moment(self) -> Moment:
        """Losses and every neuron's response now. This reads numbers from a GPU."""
        self.model.eval()
        seen = self.model(self._grid, return_intermediates=True)
        hidden = [seen[f"hidden_{i}"] for i in range(1, len(self.sizes) - 1)]
        neurons = torch.zeros(0, COARSE, COARSE)
        if hidden:
            maps = torch.cat(hidden, 1).T.reshape(-1, COARSE, 2, COARSE, 2)
            neurons = maps.mean((2, 4)).cpu()
        losses, right = zip(
            *(self._score(*part) for part in (self.train_part, self.test_part)),
            strict=True,
        )
        return Moment(self.step, self.epoch, *losses, *right,
                      self.optimizer.theta.detach().cpu().numpy().copy(),
                      neurons.numpy(),
                      seen["output"].reshape(FINE, FINE).cpu().numpy())  # fmt: skip

    def _score(self, x: Tensor, y: Tensor) -> tuple[float, float]:
        """Mean loss and share of classes that are right; NaN of no points."""
        if not len(x):
            return math.nan, math.nan
        z = self.model(x).squeeze(1)
        right = ((z > 0) == (y > 0.5)).float().mean().item()
        return self.loss(z, y).item(), right if self.points.classes else math.nan

    def _inputs(self, x: Tensor) -> Tensor:
        """(N, 2) places to (N, features) inputs, on the device."""
        made = [FEATURES[name](x[:, 0], x[:, 1]) for name in self.features]
        return torch.stack(made, 1).to(self.device)


def grid_points(n: int = FINE) -> Tensor:
    """(n * n, 2): the centres of n x n cells of the plane, the lowest x2 first."""
    centres = ((torch.arange(n) + 0.5) / n * 2 - 1) * EDGE
    x2, x1 = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x1.flatten(), x2.flatten()], 1)
