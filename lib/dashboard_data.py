"""What the training dashboard trains: examples of any data set, and models for them.

Pictures stay pictures, measurements are standardised by the training part, and texts
become the numbers of their words. `MODELS` are the documents' networks, each made to
measure for the examples; a model of one's own is any `callable(seed) -> nn.Module`.

Left out: sets whose targets are numbers, and texts without classes. The test part of a
set is not touched: whoever watches the validation curve and turns a knob has used it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lib.datasets import DATASETS, OTHERS, Dataset, Scaler, load
from lib.models.cnn import CNN
from lib.models.layers import Dropout
from lib.models.mlp import MLP, Linear
from lib.models.recurrent import RecurrentClassifier
from lib.text_data import TextSet
from lib.tokenizers import WordTokenizer, pad

Maker = Callable[[int], nn.Module]

# What the page offers; `data=` takes every other set of `lib.datasets` with classes.
SETS = {
    "digits": "digits, 8 x 8",
    "digits_28": "digits, 28 x 28",
    "wine": "wine",
    "breast_cancer": "breast cancer",
    "moons": "moons",
    "circles": "circles",
    "spirals": "spirals",
    "exclusive_or": "exclusive or",
    "reviews": "reviews (text)",
}


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples to train on and to validate with.

    Fields:
        name: of the data set.
        kind: "pictures", "features" or "tokens".
        x, y: to train: (N, channels, height, width) float32, (N, features) float32, or
            (N, T) int64 tokens; y (N,) int64.
        x_check, y_check: the validation part, likewise.
        targets: the names of the classes.
        texts: the validation texts where x holds tokens, else empty.
        vocabulary: V, the number of different tokens; 0 where there are none.
    """

    name: str
    kind: str
    x: Tensor
    y: Tensor
    x_check: Tensor
    y_check: Tensor
    targets: tuple[str, ...]
    texts: tuple[str, ...] = ()
    vocabulary: int = 0

    @property
    def inputs(self) -> int:
        """Numbers that describe one example."""
        return math.prod(self.x.shape[1:])

    @property
    def classes(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> Examples:
        """The same examples on another device."""
        names = ("x", "y", "x_check", "y_check")
        return replace(self, **{n: getattr(self, n).to(device) for n in names})


def examples_of(data: str | Dataset | TextSet) -> Examples:
    """Training and validation examples of a data set, given by name or as it is.

    Raises:
        ValueError: an unknown name, or a set that has no classes to tell apart.
    """
    if isinstance(data, str):
        data = _load(data)
    if isinstance(data, TextSet) and data.targets:
        return _texts(data)
    if isinstance(data, Dataset) and data.is_classes and len(data.targets) > 1:
        return _numbers(data)
    raise ValueError(
        f"data was {data!r}; the dashboard trains classifiers, so give a Dataset or "
        f"TextSet with classes, or a name such as {', '.join(map(repr, SETS))}."
    )


def _load(name: str) -> Dataset | TextSet:
    if name == "digits_28":
        return load("digits", size=28, flat=False)
    maker = (DATASETS | OTHERS).get(name)
    pictured = maker is not None and "flat" in inspect.signature(maker).parameters
    return load(name, **({"flat": False} if pictured else {}))


def _numbers(data: Dataset) -> Examples:
    train, check, _test = data.split(seed=0)
    x, x_check = train.x, check.x
    side = math.isqrt(x[0].numel())
    if x.dim() == 2 and not data.features and side * side == x.shape[1]:
        x, x_check = x.view(-1, 1, side, side), x_check.view(-1, 1, side, side)
    kind = "pictures" if x.dim() == 4 else "features"
    if x.dim() == 2 and data.features:
        scaler = Scaler(x)
        x, x_check = scaler(x), scaler(x_check)
    return Examples(data.name, kind, x, train.y, x_check, check.y, data.targets)


def _texts(data: TextSet) -> Examples:
    """Words as numbers; every seventh text of the training part is to validate with."""
    texts, y = data.train.texts, torch.tensor(data.train.labels)
    check = torch.arange(len(texts)) % 7 == 3
    words = WordTokenizer.train(
        (text for text, kept in zip(texts, ~check, strict=True) if kept), min_count=2
    )
    x, _ = pad([words.encode(text) for text in texts])
    shown = tuple(text for text, kept in zip(texts, check, strict=True) if kept)
    parts = (x[~check], y[~check], x[check], y[check])
    return Examples(data.name, "tokens", *parts, data.targets, shown, len(words))


# ---- models


def _mlp(e: Examples, seed: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), MLP((e.inputs, 128, e.classes), seed=seed))


def _deep(e: Examples, seed: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), MLP((e.inputs, 64, 64, e.classes), seed=seed))


def _dropout(e: Examples, seed: int) -> nn.Module:
    draw = torch.Generator().manual_seed(seed)
    first, last = Linear(e.inputs, 128, seed=draw), Linear(128, e.classes, seed=draw)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), Dropout(0.5, seed), last)


def _cnn(e: Examples, seed: int) -> nn.Module:
    channels, *size = e.x.shape[1:]
    return CNN(tuple(size), channels, 32, e.classes, seed=seed)


def _lstm(e: Examples, seed: int) -> nn.Module:
    return RecurrentClassifier(e.vocabulary, e.classes, seed=seed)


def _gru(e: Examples, seed: int) -> nn.Module:
    return RecurrentClassifier(e.vocabulary, e.classes, kind="gru", seed=seed)


NUMBERS = ("pictures", "features")
# name -> (label, kinds of examples it takes, how it is made)
MODELS: dict[str, tuple[str, tuple[str, ...], Callable]] = {
    "mlp": ("MLP {n}-128-{k}", NUMBERS, _mlp),
    "cnn": ("CNN, 32 kernels", ("pictures",), _cnn),
    "deep": ("MLP {n}-64-64-{k}, L2", NUMBERS, _deep),
    "dropout": ("MLP {n}-128-{k}, dropout", NUMBERS, _dropout),
    "lstm": ("LSTM classifier", ("tokens",), _lstm),
    "gru": ("GRU classifier", ("tokens",), _gru),
}


def label_of(model: str, examples: Examples) -> str:
    """What the page calls a model: "MLP 64-128-10"."""
    if model not in MODELS:
        return model
    return MODELS[model][0].format(n=examples.inputs, k=examples.classes)


def fitting(examples: Examples, own: dict[str, Maker]) -> list[str]:
    """Names of the models that can take these examples; those of one's own always."""
    found = [name for name, (_, kinds, _) in MODELS.items() if examples.kind in kinds]
    return [*own, *(name for name in found if name not in own)]


def make_model(name: str, examples: Examples, own: dict[str, Maker], seed: int):
    """A new model by name, on the CPU; flattens its input if it does not take pictures.

    Raises:
        ValueError: no such model, or one that does not take these examples.
    """
    if name not in fitting(examples, own):
        raise ValueError(
            f"the model {name!r} does not fit {examples.name}, which has "
            f"{examples.kind}; choose one of {', '.join(fitting(examples, own))}."
        )
    if name not in own:
        return MODELS[name][2](examples, seed)
    model = own[name](seed)
    try:
        return _checked(name, model, examples)
    except (ValueError, RuntimeError):
        return _checked(name, nn.Sequential(nn.Flatten(), model), examples)


@torch.no_grad()
def _checked(name: str, model: nn.Module, examples: Examples) -> nn.Module:
    """The model, if one example gives one score a class."""
    training = model.training
    shape = tuple(model.eval()(examples.x[:2]).shape)
    model.train(training)
    if shape != (2, examples.classes):
        raise ValueError(
            f"the model {name!r} turns 2 examples into {shape}; give one that returns "
            f"scores of the shape (2, {examples.classes})."
        )
    return model
