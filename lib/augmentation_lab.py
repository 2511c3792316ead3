"""One picture in many versions, and the same training with and without them.

What `lib.widgets.augmentation` computes: `Settings` of `lib.augment`, the versions of a
picture that they give, and `Comparison`, in which two equal networks learn from the
same few digits, one of them from augmented ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.augment import cutout, random_affine, random_flip, random_noise
from lib.datasets import Dataset, load
from lib.losses import fused_cross_entropy
from lib.metrics import accuracy
from lib.models.cnn import CNN
from lib.optimizers import Adam
from lib.training import evaluate, minibatches, train

SIZE = 16  # rows and columns of a digit
PHOTO = 40  # rows and columns of a photograph


@dataclass(frozen=True)
class Settings:
    """How strong each augmentation is; zero leaves it out.

    Args:
        degrees: the angle is uniform from −degrees to degrees.
        shift: in hundredths of the picture's side, in both directions.
        scale: in hundredths; 20 is from 0.8 to 1.2 times the size.
        flip: how probable it is, in hundredths, that left and right change places.
        noise: standard deviation in hundredths of the range from black to white.
        erase: side of the covered square, in hundredths of the picture's side.
    """

    degrees: int = 15
    shift: int = 8
    scale: int = 10
    flip: int = 0
    noise: int = 0
    erase: int = 0

    def apply(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """New versions of the pictures x (B, C, height, width), by `lib.augment`."""
        side = x.shape[-1]
        x = random_affine(
            x, generator, self.degrees, self.shift * side / 100, self.scale / 100
        )
        x = random_flip(x, generator, self.flip / 100)
        x = random_noise(x, generator, self.noise / 100)
        return cutout(x, generator, round(self.erase * side / 100))

    def __str__(self) -> str:
        used = [f"{name} {value}" for name, value in asdict(self).items() if value]
        return ", ".join(used) or "nothing"


def versions(picture: Tensor, settings: Settings, seed: int, count: int) -> Tensor:
    """The picture and `count` versions of it: (1 + count, C, height, width).

    Args:
        picture: (C, height, width).
        seed: the same one gives the same draws, also for other settings.
    """
    generator = torch.Generator().manual_seed(seed)
    copies = picture.expand(count, *picture.shape)
    return torch.cat([picture[None], settings.apply(copies, generator)])


def typical_digits(size: int = SIZE) -> dict[str, Tensor]:
    """Of each class the digit nearest to the mean of all: (1, size, size) by name."""
    dataset = load("digits", size=size, flat=False)
    out = {}
    for k in range(10):
        x = dataset.x[dataset.y == k]
        out[str(k)] = x[(x - x.mean(0)).square().sum((1, 2, 3)).argmin()]
    return out


def photographs() -> dict[str, Tensor]:
    """Two photographs, cut square and made small: (3, 40, 40) by name."""
    x = load("photographs").x
    left = {"china": 60, "flower": 105}
    out = {}
    for picture, (name, start) in zip(x, left.items(), strict=True):
        square = picture[None, :, :, start : start + x.shape[2]]
        small = F.interpolate(square, (PHOTO, PHOTO), mode="bilinear", antialias=True)
        out[name] = small[0].clamp(0, 1)
    return out


class Comparison:
    """Two networks with equal first weights and batches; one sees augmented pictures.

    Args:
        settings: of the augmentation.
        examples: digits to learn from.
        steps: how many updates each makes.
        every: steps between two measurements.
        seed: of first weights, examples, order and augmentation.
        device: where both train.
    """

    NAMES = ("with", "without")

    def __init__(
        self,
        settings: Settings,
        examples: int = 100,
        steps: int = 400,
        every: int = 10,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.settings, self.examples, self.steps = settings, examples, steps
        self.every = every
        self.step = 0
        dataset = load("digits", size=SIZE, flat=False)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(dataset.x), generator=generator)
        few = dataset.take(order[:examples])
        self._kept_back = dataset.take(order[-700:]).to(device)
        self._few = few.to(device)
        self.models = {n: CNN(SIZE, channels=8, seed=seed) for n in self.NAMES}
        self._runs = []
        for name, model in self.models.items():
            chosen = settings if name == "with" else None
            batches = _Batches(few, chosen, seed, torch.device(device))
            self._runs.append(_run(model.to(device), batches, steps))
        self.rows: list[tuple[float, ...]] = []  # see `measure`
        self.measure()

    def work(self) -> Iterator[None]:
        """From here to the last step, in pieces of one step of both networks."""
        while self.step < self.steps:
            yield self.advance()

    def advance(self) -> None:
        """One step of both; measured after every `every` of them."""
        if self.step >= self.steps:
            return
        for run in self._runs:
            next(run)
        self.step += 1
        if self.step % self.every == 0 or self.step == self.steps:
            self.measure()

    def measure(self) -> None:
        """Add a row: step, accuracy on digits kept back with and without, on the
        training digits (as they are) with and without."""
        row = [float(self.step)]
        for part in (self._kept_back, self._few):
            row += [_accuracy(model, part) for model in self.models.values()]
        self.rows.append(tuple(row))


def _accuracy(model: nn.Module, part: Dataset) -> float:
    metrics = {"accuracy": lambda p, y: accuracy(p.argmax(1).cpu(), y.cpu())}
    data = (part.x, part.y)
    return evaluate(model, fused_cross_entropy, data, metrics)["accuracy"]


def _run(model: nn.Module, batches: _Batches, steps: int) -> Iterator:
    optimizer = Adam(model.parameters(), learning_rate=0.005)
    return train(model, fused_cross_entropy, batches, optimizer, steps=steps)


class _Batches:
    """Mini-batches in a fixed order; augmented by draws from a generator of their own,
    so that the order is the same with and without."""

    def __init__(
        self, part: Dataset, settings: Settings | None, seed: int, device: torch.device
    ) -> None:
        self.batches = minibatches(part.x, part.y, min(32, len(part.x)), seed=seed)
        self.settings, self.device = settings, device
        self.generator = torch.Generator().manual_seed(seed + 1)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in self.batches:
            if self.settings is not None:
                x = self.settings.apply(x, self.generator)
            yield x.to(self.device), y.to(self.device)
