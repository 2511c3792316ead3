"""Pictures, and small networks that learn in seconds to tell them apart.

A `Subject` trains a network and keeps its weights of earlier steps, so that each moment
of its training can be asked for heatmaps.

No network here has seen ImageNet. The one for photographs tells patches of two
photographs apart; the one for shapes tells cut-out objects apart. Both end in a mean
over all places, so they can be asked about whole pictures, which they were never
trained on. `note` of a subject says so.

Left out: the heatmaps, in `lib.heatmaps`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.datasets import load
from lib.device import choose_device
from lib.examples import Dataset
from lib.heatmaps import layers_of, probabilities
from lib.losses import cross_entropy
from lib.models.cnn import CNN
from lib.models.vision import ResNet
from lib.optimizers import Adam
from lib.scores import asking, read_scores
from lib.training import minibatches, train

KEPT = 60  # moments of the training whose weights are kept
PATCH = 24  # pixels of a side of what the networks of larger pictures train on


class Moment(NamedTuple):
    """Step, share of held-out examples that are right, and the weights of then."""

    step: int
    accuracy: float
    weights: dict[str, Tensor]


class Subject:
    """Pictures, and a network that learns to tell them apart.

    Args:
        name, note: what it is, in a word and in a sentence.
        model: with fresh weights, or trained elsewhere; a copy of it is trained here.
        training, held_out: (x, y) pairs.
        examples: (K, C, H, W) to choose from; `answers` (K,), −1 where two are right.
        classes: their names.
        layer: for Grad-CAM; None is the convolution's own output, "conv", before
            pooling throws places away, or the last that Grad-CAM can use.
        goal: steps of a round of training. warm: of them before it is shown.

    Attributes:
        step: steps taken. moments: list of `Moment`, the first and the newest included.
        lens: a copy of the network with the weights of the moment that is looked at.
    """

    def __init__(
        self,
        name: str,
        note: str,
        model: nn.Module,
        training: tuple[Tensor, Tensor],
        held_out: tuple[Tensor, Tensor],
        examples: Tensor,
        answers: Tensor,
        classes: tuple[str, ...],
        layer: str | None = None,
        goal: int = 200,
        warm: int = 20,
        learning_rate: float = 3e-3,
        batch_size: int = 32,
        seed: int = 0,
        device: str | torch.device | None = None,
    ) -> None:
        self.name, self.note, self.classes = name, note, classes
        self.goal, self.warm = goal, warm
        self.device = choose_device(device)
        self.training, self.held_out = (
            (x.to(self.device), y.to(self.device)) for x, y in (training, held_out)
        )
        self.examples, self.answers = examples.to(self.device), answers
        self.learning_rate, self.batch_size, self.seed = learning_rate, batch_size, seed
        self._first = copy.deepcopy(model).to(self.device)
        self.layers = layers_of(self._first, self.examples[:1])
        usual = "conv" if "conv" in self.layers else next(reversed(self.layers), None)
        self.layer = layer or usual
        self.reset()

    def reset(self) -> None:
        """Back to the first weights and the first batch."""
        self.model = copy.deepcopy(self._first)
        self.lens = copy.deepcopy(self._first)
        optimizer = Adam(self.model.parameters(), learning_rate=self.learning_rate)
        batches = minibatches(*self.training, self.batch_size, seed=self.seed)
        self._steps = train(
            self.model, cross_entropy, batches, optimizer, steps=1_000_000
        )
        self.step, self.looked, self.moments, self._every = 0, 0, [], 1
        self.record()

    def advance(self, steps: int = 1) -> None:
        """Train so many steps."""
        for _ in range(steps):
            self.step = next(self._steps).step

    def record(self, now: bool = False) -> None:
        """Keep this moment, if it is time or `now`; with many kept, thin them out."""
        since = self.step - self.moments[-1].step if self.moments else self._every
        if since < (1 if now else self._every):
            return
        weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.moments.append(Moment(self.step, self._accuracy(), weights))
        if len(self.moments) > KEPT:
            self.moments = [*self.moments[:-1:2], self.moments[-1]]
            self._every = 2 * self._every

    def look(self, step: int | None = None) -> nn.Module:
        """The network as it was at the last moment kept up to this step, or is now."""
        weights, self.looked = self.model.state_dict(), self.step
        if step is not None and step < self.step:
            moment = next(m for m in reversed(self.moments) if m.step <= max(step, 0))
            weights, self.looked = moment.weights, moment.step
        self.lens.load_state_dict(weights)
        return self.lens

    def _accuracy(self) -> float:
        right = 0
        with asking(self.model), torch.no_grad():
            # a few at a time: what one layer makes of all would not fit into the cache
            for x, y in zip(*(part.split(64) for part in self.held_out), strict=True):
                right += (read_scores(self.model(x), x).argmax(1) == y).sum()
        return float(right) / len(self.held_out[1])


Making = Generator[float, None, Subject]  # yields the share that is done


def make_digits(seed: int = 0, device: str | None = None) -> Making:
    """Handwritten digits, 28 x 28, and the small CNN of the lessons."""
    yield 0.0
    data = load("digits", size=28, flat=False)
    note = ("A CNN with one convolution that learns here to read handwritten digits. "
            "Draw one yourself.")  # fmt: skip
    return from_data(data, CNN(28, channels=16, seed=seed), seed, device, "digits",
                     note, "conv", 300)  # fmt: skip


def from_data(
    data: Dataset,
    model: nn.Module | None = None,
    seed: int = 0,
    device: str | None = None,
    name: str = "own",
    note: str = "A network and pictures of this lesson.",
    layer: str | None = None,
    goal: int = 200,
) -> Subject:
    """A subject of pictures (N, C, H, W) with classes; without a model a new CNN.

    Raises:
        ValueError: no pictures, no classes, or a model that cannot read the pictures.
    """
    if data.x.dim() != 4 or data.x.shape[1] not in (1, 3) or not data.is_classes:
        raise ValueError(
            f"{data!r} was given; give pictures (N, 1 or 3, H, W) with classes, such "
            'as load("digits", size=28, flat=False).'
        )
    low, high = float(data.x.min()), float(data.x.max())
    if low < 0 or high > 1:
        raise ValueError(
            f"The pixels run from {low:.3g} to {high:.3g}; give pictures from 0 to 1."
        )
    fresh = model is None or name != "own"
    if model is None:
        C, H, W = data.x.shape[1:]
        model = CNN((H, W), C, 16, len(data.targets), seed=seed)
    parts = data.split(seed=0)
    rows = [int((parts.test.y == k).nonzero()[0]) for k in parts.test.y.unique()]
    chosen = parts.test.take(torch.tensor(rows[:12]))
    own = copy.deepcopy(model).cpu()
    try:
        scores, _ = probabilities(own, chosen.x[:1])
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"The model cannot read pictures {tuple(data.x.shape[1:])}: {error}"
        ) from None
    if len(scores) != len(data.targets):
        raise ValueError(
            f"The model has {len(scores)} classes and the data {len(data.targets)}; "
            "give a model and data of the same classes."
        )
    held, warm = parts.validation, 20 if fresh else 0
    return Subject(
        name, note, own, (parts.train.x, parts.train.y), (held.x, held.y), chosen.x,
        chosen.y, data.targets, layer, goal, warm, 2e-3, 64, seed, device,
    )  # fmt: skip


def make_photographs(seed: int = 0, device: str | None = None) -> Making:
    """Two photographs, and a network that tells 24 x 24 patches of them apart."""
    yield 0.0
    data = load("photographs")
    x = F.interpolate(data.x, size=(64, 96), mode="bilinear", antialias=True)
    yield 0.5
    generator = torch.Generator().manual_seed(seed)
    # the right-hand quarter is for the test alone
    parts = (_patches(x, 600, 0, 72, generator), _patches(x, 120, 72, 96, generator))
    both = torch.cat([x[:1, :, :, 24:72], x[1:, :, :, 24:72]], 3)  # temple and flower
    note = (f"No network trained on ImageNet: this one learns here to tell {PATCH} x "
            f"{PATCH} patches of two photographs apart, and is then asked about whole "
            "ones. The third picture is half and half.")  # fmt: skip
    model = ResNet(3, (8, 16), classes=2, seed=seed)
    return Subject("photographs", note, model, *parts, torch.cat([x, both]),
                   torch.tensor([0, 1, -1]), data.targets, "block_2", 100, 40, 3e-3, 32,
                   seed, device)  # fmt: skip


def make_shapes(seed: int = 0, device: str | None = None) -> Making:
    """Circles, squares and triangles: trained on cut-outs, asked about whole pictures.

    About 250 steps bring the share of held-out cut-outs that are right to 0.9.
    """
    made, pieces = [], 50
    for k in range(pieces):  # pieces, since a widget has to stay awake
        yield k / pieces
        made.append(load("shapes", n=12, size=48, seed=pieces * seed + k))
    pictures = torch.cat([part.x for part in made])
    boxes, labels = ([getattr(part, n) for part in made] for n in ("boxes", "labels"))
    boxes, labels = torch.cat(boxes), torch.cat(labels)
    owner, slot = (labels >= 0).nonzero(as_tuple=True)
    x = torch.stack(
        [_cut(pictures[i], boxes[i, k]) for i, k in zip(owner, slot, strict=True)]
    )
    y = labels[owner, slot]
    test = owner < 60  # these pictures, which the examples come from, are held out
    several = (labels[:60] >= 0).sum(1)
    rows = torch.cat([(several == n).nonzero()[:4, 0] for n in (1, 2)])
    answers = torch.where(several[rows] == 1, labels[rows, 0], -1)
    note = (f"A network that learns here to tell {PATCH} x {PATCH} cut-outs with one "
            "object apart, and is then asked about whole pictures. Choose the target: "
            "its object should light up.")  # fmt: skip
    return Subject("shapes", note, ResNet(3, (8, 16, 32), classes=3, seed=seed),
                   (x[~test], y[~test]), (x[test], y[test]), pictures[rows], answers,
                   made[0].targets, "block_3", 300, 20, 5e-3, 32, seed,
                   device)  # fmt: skip


SUBJECTS: dict[str, Callable[..., Making]] = {
    "digits": make_digits,
    "photographs": make_photographs,
    "shapes": make_shapes,
}


def made(making: Making) -> Subject:
    """Make a subject here and now."""
    while True:
        try:
            next(making)
        except StopIteration as end:
            return end.value


def _patches(
    x: Tensor, n: int, left: int, right: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """n random patches between two columns, in turn from each picture."""
    tops = torch.randint(0, x.shape[2] - PATCH + 1, (n,), generator=generator)
    lefts = torch.randint(left, right - PATCH + 1, (n,), generator=generator)
    y = torch.arange(n) % len(x)
    cuts = [
        x[k, :, i : i + PATCH, j : j + PATCH]
        for k, i, j in zip(y.tolist(), tops.tolist(), lefts.tolist(), strict=True)
    ]
    return torch.stack(cuts), y


def _cut(picture: Tensor, box: Tensor) -> Tensor:
    """The square round the middle of a box, moved inside where it stands out."""
    size = picture.shape[-1]
    middle = (box[:2] + box[2:]) / 2 * size
    j, i = (middle - PATCH / 2).round().int().clamp(0, size - PATCH).tolist()
    return picture[:, i : i + PATCH, j : j + PATCH]
