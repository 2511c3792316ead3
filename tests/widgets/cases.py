"""The smallest widget of each kind, and what its controls take that others do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from lib import widgets
from lib.datasets import Dataset, load
from lib.models.cnn import CNN
from lib.models.configs import DecoderConfig, EncoderConfig
from lib.models.transformer import Decoder, Encoder
from lib.tokenizers import BytePairTokenizer
from lib.widgets.base import LiveWidget
from tests.widgets.conftest import refused_values, values_over_range

WORDS = ("<pad>", "the", "cat", "sat", "on", "a", "mat")
SENTENCE = "the cat sat on a mat"
PROSE = "the cat sat on the mat and the rat sat on the cat"


def line_fit(scale: float = 1.0, **values: Any) -> LiveWidget:
    """Thirty points about a line."""
    generator = np.random.default_rng(2)
    x = generator.uniform(0, 2, 30)
    y = scale * (2 * x - 1 + generator.normal(0, 0.2, 30))
    return widgets.LineFit(x, y, **values)


def attention(**values: Any) -> LiveWidget:
    """An encoder of two layers and three heads that knows seven words."""
    config = EncoderConfig(
        vocab_size=7, context=16, channels=24, num_heads=3, hidden=32
    )
    model = Encoder(config, seed=3)
    return widgets.AttentionView(model, tokens=WORDS, **{"text": SENTENCE, **values})


@cache
def digits() -> Dataset:
    """The digits as pictures of 8 x 8."""
    return load("digits", flat=False)


def heatmaps(**values: Any) -> LiveWidget:
    """A widget of 8 x 8 digits, whose maps take milliseconds."""
    model = CNN(8, channels=4, seed=3)
    return widgets.Heatmaps(model, digits(), device="cpu", **values)


def next_token(context: int = 16, **values: Any) -> LiveWidget:
    """A widget over a model of its own, which is quick to make."""
    tokenizer = BytePairTokenizer.train([PROSE], size=270)
    shape = {"vocab_size": len(tokenizer), "context": context}
    config = DecoderConfig(channels=16, num_heads=2, hidden=32, std=0.6, **shape)
    values.setdefault("prompt", "the cat")
    return widgets.NextToken(Decoder(config, seed=2), tokenizer, "<start>", **values)


def scores(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Truth (n,) of 0 and 1, and a score (n,) from 0 to 1 that knows a part of it."""
    generator = np.random.default_rng(1)
    truth = np.arange(n) % 3 == 0
    score = 1 / (1 + np.exp(-generator.normal(2.0 * truth - 1, 1)))
    return truth.astype(int), score


def threshold(**values: Any) -> LiveWidget:
    """Eighty scores."""
    return widgets.Threshold(*scores(), **values)


def convolution(**values: Any) -> LiveWidget:
    """A widget that looks into a model which nobody trains."""
    return widgets.Convolution(CNN(8, channels=2), **values)


# By name, as in lib.widgets; one that is not here is made without arguments.
SMALL: dict[str, Callable[..., LiveWidget]] = {
    "AttentionView": attention,
    "Convolution": convolution,
    "DescentRace": partial(
        widgets.DescentRace, optimizers=("SGD", "AdamW"), steps=20, noise=0.5
    ),
    "Heatmaps": heatmaps,
    "LineFit": line_fit,
    "ModelRace": partial(
        widgets.ModelRace, hidden=4, optimizers=("SGD", "Adam"), steps=100
    ),
    "NextToken": next_token,
    "Playground": partial(widgets.Playground, points=40, batch_size=12),
    "Regularisation": partial(widgets.Regularisation, hidden=8, steps=100),
    "Search": partial(widgets.Search, data="moons", budget=24, epochs=2),
    "Sequence": partial(widgets.Sequence, hidden=4, length=5, steps=50),
    "Threshold": threshold,
    "TokenizerView": partial(widgets.TokenizerView, merges=20),
    "TrainingDashboard": partial(widgets.TrainingDashboard, data="wine", epochs=5),
}


def make(name: str, **values: Any) -> LiveWidget:
    """The smallest widget of this name."""
    return SMALL.get(name, getattr(widgets, name))(**values)


# A button of each widget that has one other than "step", and what it is given.
PRESSED: dict[str, tuple] = {
    "AttentionView": ("switch", 0, 1),
    "DescentRace": ("new_seed",),
    "Graph": ("descend",),
    "LineFit": ("descend",),
    "NextToken": ("take", 266),
}


# Where a widget takes less than the kind of its control does.
TAKEN: dict[tuple[str, str], list[Any]] = {
    ("AttentionView", "text"): ["a", "the mat"],
    ("Convolution", "drawing"): [np.eye(8).tolist()],
    ("Convolution", "kernel"): [np.eye(3).tolist(), np.full((5, 5), -2.5).tolist()],
    ("Graph", "held"): [(), ("a",)],
    ("Graph", "leaves"): [{"a": 0.5, "b": 2.0, "c": -3.0}],
    ("Playground", "features"): [["x1"], ["x2", "sin x1"]],
    ("Playground", "hidden"): ["", "3", "8, 8 8"],
    ("TrainingDashboard", "model"): ["mlp", "deep", "dropout"],
    ("TrainingDashboard", "model_b"): ["mlp", "deep", "dropout"],
}
REFUSED: dict[tuple[str, str], list[Any]] = {
    ("Convolution", "drawing"): [np.eye(16).tolist(), (2 * np.eye(8)).tolist(), None],
    ("Convolution", "kernel"): [[[1.0]], [[0.0] * 3] * 2, [["a", 0.0, 0.0]] * 3, 7],
    ("Graph", "held"): ["a", [1]],
    ("Graph", "leaves"): [{"a": "much"}, {"a": float("nan")}, {"a": True}, [1]],
    ("Playground", "features"): ["no such thing", None, 3, []],
    ("Playground", "hidden"): [
        *("x" * 31, 3, None, ["a"]),
        *("9", "0", "4 x", "1 1 1 1 1 1 1", "-2", "4.5"),
    ],
    ("TrainingDashboard", "weight_decay"): ["no such thing", None, 0.2],
    ("TrainingDashboard", "weight_decay_b"): ["no such thing", None, 0.2],
}


def taken(name: str, control: Any) -> list[Any]:
    """Values of a control over all that this widget allows."""
    return TAKEN.get((name, control.name)) or values_over_range(control)


def refused(name: str, control: Any) -> list[Any]:
    """Values of a control that this widget refuses."""
    return REFUSED.get((name, control.name)) or refused_values(control)
