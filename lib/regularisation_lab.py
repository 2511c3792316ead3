"""Two copies of one network on few, noisy points: one held back, the other free.

Both have the same first weights and the same points. `Knobs` says how the first is
regularised, with the parts of `lib.regularizers`, `lib.losses` and `lib.optimizers`;
the second has no regularisation and shows what the knobs are for.

L1 in the loss only jumps to and fro around zero; the proximal step (`shrink`) leaves
exact zeros. Its theory is that of plain gradient descent; after a step of Adam, as
here, it is a habit that works. Dropout without rescaling divides by nothing, in
training or afterwards: the sums are then larger in evaluation than in training.

Left out: pictures and widgets (see `lib.widgets.regularisation`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lib import regularizers
from lib.device import choose_device
from lib.losses import fused_cross_entropy
from lib.models.mlp import ACTIVATIONS, MLP
from lib.optimizers import AdamW
from lib.plane_sets import moons

EVERY = 5  # steps between two records
GRID = 41  # points of the map along each axis
BOUNDS = (-1.8, 2.8, -1.5, 2.0)
BINS, WIDEST = 41, 1.5  # of the histogram of the weights, from −1.5 to 1.5
SIZES = 60  # quantiles of the sizes of the weights
TINY = 1e-3
OFF = 1e-5  # the lower end of the sliders of l1 and l2
RATE = 0.01
POINTS, JUDGES = 400, 500  # training points that there are, validation points
NUMBERS = ("step", "train_loss", "validation_loss", "train_accuracy",
           "validation_accuracy", "tiny", "exact", "norm")  # fmt: skip


@dataclass(frozen=True)
class Knobs:
    """How a network is held back; each default does nothing.

    Args:
        l1, l2: strength λ of `l1_penalty` and `l2_penalty`, from 0.
        l1_way: "loss" adds the penalty, "proximal" shrinks after each step.
        l2_way: "loss" adds the penalty, "decoupled" is AdamW's weight decay.
        dropout: part of the hidden units that is dropped, from 0 to below 1.
        rescale: divide what is left by 1 − dropout.
        smoothing: of the labels, from 0 to 1.
        patience: records without a better validation loss before it stops and takes
            the best weights; None never stops.
    """

    l1: float = 0.0
    l1_way: str = "loss"
    l2: float = 0.0
    l2_way: str = "loss"
    dropout: float = 0.0
    rescale: bool = True
    smoothing: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, ways in (("l1", ("loss", "proximal")), ("l2", ("loss", "decoupled"))):
            strength, way = getattr(self, name), getattr(self, f"{name}_way")
            if not 0 <= strength < math.inf:
                raise ValueError(f"{name} is {strength}; give a finite number from 0.")
            if way not in ways:
                raise ValueError(f"{name}_way is {way!r}; choose one of {ways}.")
        if not 0 <= self.dropout < 1 or not 0 <= self.smoothing <= 1:
            raise ValueError(
                f"dropout is {self.dropout}, smoothing {self.smoothing}; give a "
                "dropout from 0 to below 1 and a smoothing from 0 to 1."
            )


@dataclass(frozen=True, eq=False)
class Record:
    """One moment of one run.

    Attributes:
        numbers: `NUMBERS`; losses without penalties, in evaluation; tiny and exact are
            the parts of the weights below 1e-3 in size and equal to 0.
        histogram: (BINS,) counts of the weights; what is wider is in the end bins.
        sizes: (SIZES,) quantiles of their sizes, rising.
        grid: (GRID, GRID) uint8, 255 times the probability of class 1; row 0 is low.
    """

    numbers: tuple[float, ...]
    histogram: Tensor
    sizes: Tensor
    grid: Tensor

    def __getitem__(self, name: str) -> float:
        return self.numbers[NUMBERS.index(name)]

    def row(self) -> Tensor:
        """All but the grid in one: (8 + BINS + SIZES,) float32."""
        return torch.cat([torch.tensor(self.numbers), self.histogram, self.sizes])


class HeldNetwork(MLP):
    """An MLP with dropout after each hidden layer, rescaled or not."""

    def __init__(self, sizes: tuple[int, ...], seed: int, device) -> None:
        super().__init__(sizes, "relu", seed, device)
        self.knobs = Knobs()
        self.generator = torch.Generator(device).manual_seed(seed)

    def forward(self, x: Tensor) -> Tensor:
        """(B, sizes[0]) to logits (B, sizes[-1])."""
        *hidden, last = self.layers
        p = self.knobs.dropout
        for layer in hidden:
            x = ACTIVATIONS[self.activation](layer(x))
            if self.training and p:
                x = regularizers.dropout(x, p, self.generator)
                x = x if self.knobs.rescale else x * (1 - p)
        return last(x)


class Run:
    """One network in training on points that may change under it."""

    def __init__(self, knobs: Knobs, sizes: tuple[int, ...], seed: int, device) -> None:
        self.model = HeldNetwork(sizes, seed, device)
        self.weights = regularizers.weights(self.model)
        rest = [p for p in self.model.parameters() if p.dim() < 2]
        groups = [{"params": self.weights}, {"params": rest}]
        self.optimizer = AdamW(groups, learning_rate=RATE, weight_decay=0.0)
        self.step, self.records = 0, []
        self.set(knobs)

    def set(self, knobs: Knobs) -> None:
        """Other knobs from the next step on; the weights stay."""
        self.model.knobs = self.knobs = knobs
        decay = knobs.l2 if knobs.l2_way == "decoupled" else 0.0
        self.optimizer.groups[0]["weight_decay"] = decay
        self.stopping = None
        if knobs.patience is not None:
            self.stopping = regularizers.EarlyStopping(knobs.patience)

    @property
    def stopped(self) -> bool:
        """Whether early stopping has ended it."""
        return self.stopping is not None and self.stopping.stopped

    @property
    def best(self) -> Record | None:
        """The record with the lowest validation loss."""
        return min(self.records, key=lambda r: r["validation_loss"], default=None)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """One step on all points; x (n, 2), y (n,)."""
        knobs = self.knobs
        self.model.train()
        self.optimizer.zero_grad()
        loss = fused_cross_entropy(self.model(x), y, label_smoothing=knobs.smoothing)
        if knobs.l1 and knobs.l1_way == "loss":
            loss = loss + regularizers.l1_penalty(self.weights, knobs.l1)
        if knobs.l2 and knobs.l2_way == "loss":
            loss = loss + regularizers.l2_penalty(self.weights, knobs.l2)
        loss.backward()
        self.optimizer.step()
        if knobs.l1 and knobs.l1_way == "proximal":
            regularizers.shrink(self.weights, RATE * knobs.l1)
        self.step += 1

    def record(self, train: tuple, validation: tuple, grid: Tensor) -> Record:
        """Measure, keep the record, and ask early stopping.

        When that says stop, the best weights are taken back, which is one record more.
        """
        found = self.measure(train, validation, grid)
        self.records.append(found)
        loss = found["validation_loss"]
        if self.stopping is not None and self.stopping.update(loss, self.model):
            self.stopping.restore(self.model)
            self.records.append(self.measure(train, validation, grid))
        return self.records[-1]

    @torch.no_grad()
    def measure(self, train: tuple, validation: tuple, grid: Tensor) -> Record:
        """What the network is now; nothing is kept."""
        self.model.eval()
        losses, right = [], []
        for x, y in (train, validation):
            logits = self.model(x)
            losses.append(fused_cross_entropy(logits, y).item())
            right.append((logits.argmax(-1) == y).float().mean().item())
        w = torch.cat([p.flatten() for p in self.weights]).cpu()
        size = w.abs()
        edges = torch.linspace(-WIDEST, WIDEST, BINS + 1)[1:-1].contiguous()
        counts = torch.bincount(torch.bucketize(w, edges), minlength=BINS)
        parts = [(size < TINY).float().mean(), (size == 0).float().mean(), w.norm()]
        return Record(
            (self.step, *losses, *right, *(part.item() for part in parts)),
            counts.float(),
            size.quantile(torch.linspace(0, 1, SIZES)),
            (255 * self.model(grid).softmax(-1)[:, 1]).round().byte().cpu(),
        )


class RegularisationLab:
    """The pair of runs, in step, on two half moons with wrong labels.

    Args:
        knobs: of the run that is held back.
        examples: training points, from 4 to 400; fewer are a part of more.
        label_noise: part of their labels that is wrong, from 0 to 0.5.
        hidden: width of the two hidden layers.
        seed: of weights, points, wrong labels and dropout.
        device: where both train.

    Raises:
        ValueError: numbers outside these bounds.
    """

    def __init__(
        self,
        knobs: Knobs | None = None,
        examples: int = 50,
        label_noise: float = 0.1,
        hidden: int = 32,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        self.seed, self.sizes = seed, (2, hidden, hidden, 2)
        self.device = choose_device(device)
        judges = moons(JUDGES, 0.25, seed + 1)
        self.validation = judges.x.to(self.device), judges.y.to(self.device)
        x0, x1, y0, y1 = BOUNDS
        rows, columns = torch.linspace(y0, y1, GRID), torch.linspace(x0, x1, GRID)
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        self.grid = torch.stack([u, v], -1).reshape(-1, 2).to(self.device)
        self.set_points(examples, label_noise)
        self.begin(knobs or Knobs())

    def set_points(self, examples: int, label_noise: float) -> None:
        """Other training points for both from the next step on."""
        if not 4 <= examples <= POINTS or not 0 <= label_noise <= 0.5:
            raise ValueError(
                f"There are {examples} examples, the label noise is {label_noise}; "
                f"give 4 to {POINTS} examples and a noise from 0 to 0.5."
            )
        points = moons(POINTS, 0.25, self.seed)
        generator = torch.Generator().manual_seed(self.seed + 2)
        draws = torch.rand(POINTS, generator=generator)[:examples]
        self.wrong = draws < label_noise
        y = torch.where(self.wrong, 1 - points.y[:examples], points.y[:examples])
        self.train = points.x[:examples].to(self.device), y.to(self.device)

    def begin(self, knobs: Knobs) -> None:
        """Both runs from the first weights, with the first record."""
        self.held = Run(knobs, self.sizes, self.seed, self.device)
        self.free = Run(Knobs(), self.sizes, self.seed, self.device)
        for run in self.runs:
            run.record(self.train, self.validation, self.grid)

    @property
    def runs(self) -> tuple[Run, Run]:
        return self.held, self.free

    @property
    def step(self) -> int:
        """Steps that the free run has taken; the other may have stopped earlier."""
        return self.free.step

    def advance(self) -> Iterator[None]:
        """`EVERY` steps of each run that has not stopped, and a record; in pieces."""
        for run in self.runs:
            if run.stopped:
                continue
            for _ in range(EVERY):
                run.train_step(*self.train)
            yield
            run.record(self.train, self.validation, self.grid)
            yield


def knobs_of(values: dict) -> Knobs:
    """The knobs among the values of a widget's controls.

    Patience counts only if `early_stopping` is on. A logarithmic slider has no 0: at
    its lower end, `OFF`, a strength is 0.
    """
    known = {f.name: values[f.name] for f in fields(Knobs) if f.name in values}
    for name in ("l1", "l2"):
        known[name] = 0.0 if known[name] <= OFF else known[name]
    knobs = Knobs(**known)
    return knobs if values.get("early_stopping") else replace(knobs, patience=None)
