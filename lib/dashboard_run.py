"""One training run to look at: a model that trains step by step, and its records.

A `Run` is the loop of `lib.training` over its own
model, optimizer and mini-batches, and takes one step when it is asked to. What is shown
of it is measured only when someone looks: a `Record` (losses, accuracies, norms of the
gradients) and a `Detail` (histograms of the weights, answers to validation examples).
Both are made in pieces, as generators, so that a widget stays awake.

The norms come from the gradients that the step left in `p.grad`; there are no hooks.
Left out: pictures and widgets (`lib.widgets.dashboard`), mixed precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.batches import minibatches
from lib.dashboard_data import Examples, Maker, label_of, make_model
from lib.loop_parts import evaluation_mode
from lib.optimizers import OPTIMIZERS
from lib.schedules import Constant, Cosine, Schedule, WarmupCosine
from lib.training import Step, train

MEASURED = 512  # examples, at most, of each part that a record is measured on
SHOWN = 120  # validation examples whose answers are kept
PIECE = 64  # examples in one piece of a measurement
KEPT = 120  # details of a run
BINS = 40  # of a histogram of weights
WARMUP = 0.1  # of the steps
FOREVER = 10**9  # steps; the run itself knows when it has had enough
SCHEDULES = {
    "constant": "constant",
    "cosine": "cosine to 0",
    "warmup": "warm-up, then cosine",
}


@dataclass(frozen=True)
class Settings:
    """How one run trains. dropout: for models with such layers; None leaves it."""

    model: str = "mlp"
    optimizer: str = "Momentum"
    learning_rate: float = 0.05
    batch_size: int = 64
    weight_decay: float = 0.0
    dropout: float | None = None
    schedule: str = "constant"


@dataclass(frozen=True)
class Record:
    """What is known of one moment of a run.

    epoch counts passes over the data, with fractions. batch_loss is that of the last
    mini-batch before its step and gradient_norms, one a layer, are of that step; both
    are NaN before the first. The other losses and accuracies are after the step, in
    evaluation mode.
    """

    step: int
    epoch: float
    batch_loss: float
    train_loss: float
    validation_loss: float
    train_accuracy: float
    validation_accuracy: float
    learning_rate: float
    gradient_norms: tuple[float, ...]

    @property
    def gradient_norm(self) -> float:
        """Length of the gradient of all parameters together."""
        return math.sqrt(sum(norm * norm for norm in self.gradient_norms))

    def row(self) -> tuple[float, ...]:
        return (self.step, self.epoch, self.batch_loss, self.train_loss,
                self.validation_loss, self.train_accuracy, self.validation_accuracy,
                self.learning_rate, self.gradient_norm,
                *self.gradient_norms)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Detail:
    """What is kept of fewer moments, since it is larger. L layers, V classes.

    Fields:
        reach: (L,), the largest weight of each layer, without its sign.
        histograms: (L, BINS) uint8 of the weights between -reach and reach; 255 is the
            fullest bin of a layer.
        probabilities: (SHOWN, V) uint8, 255 is certain.
        confusion: (V, V), validation examples by class and by answer.
    """

    step: int
    reach: Tensor
    histograms: Tensor
    probabilities: Tensor
    confusion: Tensor


def layers_of(model: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """Each part of a model that holds parameters itself: a label, and the parameters.

    The label tells the shape of the largest: "1. Linear 128 x 64".
    """
    found = []
    for part in model.modules():
        own = [p for p in part.parameters(recurse=False) if p.requires_grad]
        if own:
            shape = " x ".join(map(str, max(own, key=torch.Tensor.numel).shape))
            found.append((f"{len(found) + 1}. {type(part).__name__} {shape}", own))
    return found


def schedule_of(settings: Settings, total: int) -> Schedule:
    """The rate over the whole training of `total` steps."""
    rate = settings.learning_rate
    if settings.schedule == "constant" or total < 2:
        return Constant(rate)
    if settings.schedule == "cosine":
        return Cosine(rate, total)
    return WarmupCosine(rate, max(1, round(WARMUP * total)), total)


class _Feed:
    """Mini-batches that go on where they were when the run moves to another device."""

    def __init__(self, examples: Examples, batch_size: int, seed: int) -> None:
        self.examples = examples
        rows = torch.arange(len(examples.y))
        self.order = minibatches(rows, rows, batch_size, seed=seed)
        self.rest: Iterator | None = None

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.rest is None:
            self.rest = iter(self.order)
        for rows, _ in self.rest:
            rows = rows.to(self.examples.y.device)
            yield self.examples.x[rows], self.examples.y[rows]
        self.rest = None


class Run:
    """One model in training.

    Args:
        examples: on the device to train on.
        settings: how.
        own: models of one's own, by name.
        seed: of the first weights and of the order of the mini-batches.

    Attributes:
        step: steps taken.
        alive: False after a loss that is infinite or NaN.
        history: list of `Record`.
        details: list of `Detail`, every second one dropped each time there are `KEPT`.
    """

    def __init__(self, examples: Examples, settings: Settings, own: dict[str, Maker],
                 seed: int = 0) -> None:  # fmt: skip
        self.settings, self.examples, self.step = settings, examples, 0
        self.label = label_of(settings.model, examples)
        model = make_model(settings.model, examples, own, seed)
        self.model = model.to(examples.x.device)
        self.layers = layers_of(self.model)
        self.drops = [m for m in self.model.modules() if hasattr(m, "p")]
        self.feed = _Feed(examples, settings.batch_size, seed)
        self.epochs, self.alive = 1, True
        self.last: Step | None = None
        self.history: list[Record] = []
        self.details: list[Detail] = []
        self._begin()
        self.change(settings)

    def _begin(self) -> None:
        """An optimizer for the parameters where they are now, and the loop."""
        kind, rate = OPTIMIZERS[self.settings.optimizer], self.settings.learning_rate
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = kind(trained, learning_rate=rate)
        self._steps = train(self.model, F.cross_entropy, self.feed, self.optimizer,
                            steps=FOREVER, schedule=self._rate)  # fmt: skip

    def _rate(self, _n: int) -> float:
        return schedule_of(self.settings, self.total)(self.step)

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.epochs * len(self.feed)

    @property
    def active(self) -> bool:
        """Whether there is a step to take."""
        return self.alive and self.step < self.total

    def change(self, settings: Settings) -> None:
        """Rate, weight decay, dropout and schedule change while it trains."""
        self.settings = settings
        for layer in self.drops if settings.dropout is not None else ():
            layer.p = settings.dropout
        for group in self.optimizer.groups:
            if "weight_decay" in group:
                group["weight_decay"] = settings.weight_decay

    def advance(self) -> None:
        """One step on one mini-batch."""
        self.last = next(self._steps)
        self.step += 1

    def move_to(self, examples: Examples) -> None:
        """Go on where these examples are, with weights, optimizer and order kept."""
        state = self.optimizer.state_dict()
        self.close()
        self.examples = self.feed.examples = examples
        self.model.to(examples.x.device)
        self._begin()
        self.optimizer.load_state_dict(state)
        self.change(self.settings)

    def close(self) -> None:
        """End the loop; what has been recorded stays."""
        self._steps.close()

    # ---- looking

    def record_work(self) -> Iterator[None]:
        """Measure where the run is, in pieces; the last adds to `history`."""
        e, scores = self.examples, []
        for x, y in ((e.x, e.y), (e.x_check, e.y_check)):
            parts = []
            for rows in torch.arange(min(len(x), MEASURED)).split(PIECE):
                parts.append(self._logits(x[rows[0] : rows[-1] + 1]))
                yield
            logits, y = torch.cat(parts), y[:MEASURED]
            right = (logits.argmax(1) == y).float().mean()
            scores += [F.cross_entropy(logits, y), right]
        values = torch.stack(scores).tolist()
        loss, accuracy, validation_loss, validation_accuracy = values
        if not (math.isfinite(loss) and math.isfinite(validation_loss)):
            self.alive = False
            return
        batch = math.nan if self.last is None else self.last.loss.item()
        if len(self.details) == KEPT:
            self.details = self.details[::2]
        self.details.append(self._detail(logits, y))
        self.history.append(
            Record(self.step, self.step / len(self.feed), batch, loss, validation_loss,
                   accuracy, validation_accuracy, self._shown_rate(),
                   self.gradient_norms())
        )  # fmt: skip

    def _shown_rate(self) -> float:
        return self._rate(0) if self.last is None else self.last.learning_rate

    @torch.no_grad()
    def _logits(self, x: Tensor) -> Tensor:
        with evaluation_mode(self.model):
            return self.model(x)

    @torch.no_grad()
    def gradient_norms(self) -> tuple[float, ...]:
        """One a layer, of the last step; NaN before the first."""
        if self.last is None:
            return (math.nan,) * len(self.layers)
        norms = []
        for _label, params in self.layers:
            g = [p.grad.norm() for p in params if p.grad is not None]
            norms.append(torch.stack(g).norm() if g else self.last.loss.new_zeros(()))
        return tuple(torch.stack(norms).tolist())

    @torch.no_grad()
    def _detail(self, logits: Tensor, y: Tensor) -> Detail:
        reaches, counts = [], []
        for _label, params in self.layers:
            matrices = [p for p in params if p.dim() > 1] or params
            w = torch.cat([p.flatten() for p in matrices]).float()
            reach = w.abs().max().clamp(min=1e-12).item()
            counts.append(torch.histc(w, BINS, -reach, reach))
            reaches.append(reach)
        bars = torch.stack(counts)
        bars = (255 * bars / bars.amax(1, keepdim=True)).round()
        V = logits.shape[1]
        cells = torch.bincount(y * V + logits.argmax(1), minlength=V * V)
        probabilities = (255 * logits[:SHOWN].softmax(1)).round()
        return Detail(self.step, torch.tensor(reaches), bars.to("cpu", torch.uint8),
                      probabilities.to("cpu", torch.uint8),
                      cells.reshape(V, V).cpu())  # fmt: skip
