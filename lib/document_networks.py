"""The four networks of the documents, ready to train as they describe them.

    dense          784-128-10, SGD 0.01 with momentum 0.9
    regularised    784-64-64-10 with an L2 penalty of 0.01, Adam
    convolutional  32 kernels of 3 x 3, max pooling, one dense layer, Adam
    reader         embedding of 64, LSTM of 64, for texts, Adam

`pictures` and `texts` give them something to learn: MNIST where its files lie in
`data/downloads/mnist`, else the digits of scikit-learn, enlarged to 28 x 28; and the
reviews of this course. Nothing is fetched.

The documents name no batch size and no seed. The batches are of 32, the default of
Keras, and Adam's rate is its usual 0.001. Left out: everything that would lift the
accuracy, such as schedules, augmentation and hidden words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lib.batches import Batch, check_count, minibatches
from lib.datasets import load
from lib.downloads import DOWNLOADS
from lib.examples import Dataset, Split
from lib.flat import Optimizer
from lib.losses import fused_cross_entropy
from lib.metrics import accuracy
from lib.models.cnn import CNN
from lib.models.mlp import MLP
from lib.models.recurrent import RecurrentClassifier
from lib.optimizers import Adam, Momentum
from lib.picture_files import KINDS, PARTS
from lib.progress import History
from lib.tokenizers import WordTokenizer, pad
from lib.training import evaluate, fit

FOLDER = DOWNLOADS / "mnist"
VALIDATION = 264  # reviews of the training part that are kept back
Device = torch.device | str | None


# ---- the networks


@dataclass(eq=False)
class Network:
    """One network with the settings that it is trained with.

    Attributes:
        name: "784-128-10".
        model: gives logits (B, classes).
        optimizer: of its parameters.
        batch_size, epochs: of the training.
        penalised: layers with an L2 penalty; empty for none.
        strength: of that penalty, as Keras counts it: strength · Σ w².
    """

    name: str
    model: nn.Module
    optimizer: Optimizer
    batch_size: int = 32
    epochs: int = 10
    penalised: Sequence[nn.Module] = ()
    strength: float = 0.0

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for p in self.model.parameters())

    def __repr__(self) -> str:
        return f"Network({self.name}, {self.parameters:,} parameters)"

    def penalty(self) -> Tensor | float:
        """strength · Σ w² over the weights of the penalised layers, (); 0 for none."""
        return self.strength * sum((layer.weight**2).sum() for layer in self.penalised)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy plus penalty, (): what training lowers."""
        return fused_cross_entropy(logits, targets) + self.penalty()

    def train(self, x: Tensor, y: Tensor, seed: int = 0, **options) -> History:
        """Train as described; returns the history.

        Args:
            x, y: (N, ...) and (N,), as the model takes them.
            seed: of the order of the batches.
            **options: of `lib.training.fit`, such as validation=(x, y), or epochs= in
                place of the network's own.
        """
        batches = minibatches(x, y, self.batch_size, seed=seed)
        options = {"epochs": self.epochs, **options}
        return fit(self.model, self.loss, batches, self.optimizer, **options)

    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Share of right answers on (N, ...) and (N,)."""
        metrics = {"accuracy": accuracy}
        return evaluate(self.model, fused_cross_entropy, (x, y), metrics)["accuracy"]


def dense(seed: int = 0, device: Device = None, learning_rate: float = 0.01) -> Network:
    """784-128-10 with ReLU; SGD with momentum 0.9. Takes (B, 784)."""
    model = MLP((784, 128, 10), seed=seed, device=device)
    optimizer = Momentum(model.parameters(), learning_rate=learning_rate, momentum=0.9)
    return Network("784-128-10", model, optimizer)


def regularised(
    seed: int = 0, device: Device = None, strength: float = 0.01
) -> Network:
    """784-64-64-10 with ReLU and L2 on both hidden layers; Adam. Takes (B, 784).

    In Keras `kernel_regularizer=l2(0.01)` adds 0.01 · Σ w² to the loss, without a half
    and without the biases. Its pull on a weight is 0.02 w.
    """
    model = MLP((784, 64, 64, 10), seed=seed, device=device)
    hidden = list(model.layers)[:-1]
    name = f"784-64-64-10, L2 {strength:g}"
    return Network(name, model, Adam(model.parameters()), 32, 10, hidden, strength)


def convolutional(seed: int = 0, device: Device = None) -> Network:
    """32 kernels of 3 x 3, max pooling, one dense layer; Adam. Takes (B, 1, 28, 28)."""
    model = CNN(28, channels=32, seed=seed, device=device)
    return Network("CNN, 32 kernels", model, Adam(model.parameters()))


def reader(vocabulary: int, seed: int = 0, device: Device = None) -> Network:
    """Embedding of 64 and LSTM of 64, two classes; Adam. Takes (B, T) tokens."""
    model = RecurrentClassifier(
        vocabulary, 2, embedding=64, hidden=64, seed=seed, device=device
    )
    return Network("LSTM, 64 and 64", model, Adam(model.parameters()))


# ---- what they learn


def mnist_parts(folder: str | Path | None = None) -> list[str]:
    """Which parts of MNIST are there, "train" and "test"; looks at names only."""
    folder = Path(folder or FOLDER)

    def there(name: str) -> bool:
        return (folder / name).is_file() or (folder / f"{name}.gz").is_file()

    return [
        part
        for part, begin in PARTS.items()
        if all(there(f"{begin}-{ending}") for ending in KINDS.values())
    ]


def pictures(
    folder: str | Path | None = None,
    train: int = 1000,
    validation: int = 200,
    test: int = 597,
    seed: int = 0,
) -> Split:
    """Digits of 784 pixels: MNIST's where its files are, else scikit-learn's.

    Of MNIST the training part is taken to train and the test part to judge by. If only
    one of them is there, all pictures come from that one, none of them twice.

    Args:
        folder: holds MNIST's files; None is data/downloads/mnist. Nothing is fetched.
        train, validation, test: pictures in each part, drawn by chance. The 1,797
            digits of scikit-learn are just enough for the default.
        seed: of the draw.

    Returns:
        three sets, x (N, 784) from 0 (paper) to 1 (ink), y (N,) from 0 to 9.

    Raises:
        ValueError: more pictures than there are; a damaged file.
    """
    check_count(train=train, validation=validation, test=test)
    folder = Path(folder or FOLDER)
    sizes, there = [train, validation, test], mnist_parts(folder)
    generator = torch.Generator().manual_seed(seed)
    if len(there) == 2:
        learnt, judged = (load("mnist", part=part, folder=folder) for part in there)
        first = _drawn(learnt, sizes[:2], generator)
        return Split(*first, *_drawn(judged, sizes[2:], generator))
    source = (
        load("mnist", part=there[0], folder=folder)
        if there
        else load("digits", size=28)
    )
    return Split(*_drawn(source, sizes, generator))


def _drawn(data: Dataset, sizes: list[int], generator) -> list[Dataset]:
    """Parts of these sizes, drawn without putting back."""
    if sum(sizes) > len(data):
        raise ValueError(
            f"{sum(sizes):,} pictures are asked for, and {data.name} has {len(data):,};"
            " ask for fewer, or put MNIST's files into data/downloads/mnist."
        )
    order = torch.randperm(len(data), generator=generator)[: sum(sizes)]
    return [data.take(rows) for rows in order.split(sizes)]


class Texts(NamedTuple):
    """Reviews as numbers of words: pairs x (N, T) int64 and y (N,), and the words."""

    train: Batch
    validation: Batch
    test: Batch
    tokenizer: WordTokenizer


def texts(seed: int = 0) -> Texts:
    """The reviews of this course: 2,400 to train, 264 to validate, 400 to judge by.

    The words come from the training part alone; those seen once there are unknown.

    Args:
        seed: of the draw of the validation part.
    """
    rows = load("reviews")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows.train), generator=generator).tolist()
    known, labels = rows.train.texts, rows.train.labels
    learnt = [known[row] for row in order[VALIDATION:]]
    tokenizer = WordTokenizer.train(learnt, min_count=2)

    def numbers(some: Iterable[str], classes: Iterable[int]) -> Batch:
        tokens = pad([tokenizer.encode(text) for text in some])[0]
        return tokens, torch.tensor(list(classes))

    held = order[:VALIDATION]
    return Texts(
        numbers(learnt, (labels[row] for row in order[VALIDATION:])),
        numbers((known[row] for row in held), (labels[row] for row in held)),
        numbers(rows.test.texts, rows.test.labels),
        tokenizer,
    )
