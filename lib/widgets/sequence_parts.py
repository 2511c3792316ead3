"""Beside `lib.widgets.sequence`: checks of a model, and numbers for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lib.device import available_devices, choose_device
from lib.models.recurrent import RecurrentClassifier
from lib.sequence_lab import Trace
from lib.tokenizers import Tokenizer
from lib.widgets.controls import Control

CELLS = (("rnn", "RNN"), ("gru", "GRU"), ("lstm", "LSTM"), ("all", "all three"))
WEIGHTS = (("first", "before training"), ("trained", "after training"))


def shape(trace: Trace) -> dict[str, Any]:
    T, C = trace.values["hidden"].shape
    classes = 0 if trace.answers is None else trace.answers.shape[1]
    return {"kind": trace.kind, "names": list(trace.values), "steps": T, "units": C,
            "classes": classes, "gates": trace.from_input.shape[1] // C}  # fmt: skip


def numbers(trace: Trace) -> np.ndarray:
    """Flat: each of the values (T, C), both parts (T, gates · C), the answers."""
    parts = [*trace.values.values(), trace.from_input, trace.from_state]
    if trace.answers is not None:
        parts.append(trace.answers)
    return np.concatenate([part.ravel() for part in parts])


def checked_pair(
    model: Any, tokenizer: Any
) -> tuple[RecurrentClassifier | None, Tokenizer | None]:
    """A model and its tokenizer, or neither."""
    if model is None and tokenizer is None:
        return None, None
    if not isinstance(model, RecurrentClassifier) or tokenizer is None:
        raise ValueError(
            "give a lib.models.recurrent.RecurrentClassifier as model together with "
            "its tokenizer, or neither."
        )
    V = len(model.embedding.weight)
    if len(tokenizer) != V:
        raise ValueError(
            f"the tokenizer has {len(tokenizer)} tokens and the model {V}; give the "
            "tokenizer with which the model was trained."
        )
    return model, tokenizer


def names(model: RecurrentClassifier, classes: Sequence[str] | None) -> list[str]:
    count = len(model.dense.weight)
    names = [f"class {k}" for k in range(count)] if classes is None else list(classes)
    if len(names) != count:
        raise ValueError(
            f"classes has {len(names)} names; the model has {count} classes."
        )
    return names


def fresh_like(model: RecurrentClassifier) -> RecurrentClassifier:
    """The same network before training, with the trained vectors of the tokens."""
    classes, hidden = model.dense.weight.shape
    V, E = model.embedding.weight.shape
    layers = len(model.recurrent.cells)
    fresh = RecurrentClassifier(V, classes, E, hidden, model.kind, layers)
    fresh.to(model.dense.weight.device, model.dense.weight.dtype)
    fresh.embedding = model.embedding
    return fresh


def for_model(controls: tuple[Control, ...], kind: str) -> tuple[Control, ...]:
    """The controls of a given model: nothing trains, and there is one cell."""
    known = {c.name: c for c in controls}
    text = replace(known["text"], default="The food was good, but the room was dirty.")
    cell = replace(
        known["cell"], default=kind, choices=tuple(c for c in CELLS if c[0] == kind)
    )
    return text, cell, replace(known["weights"], default="trained"), known["of"]


def listed(device: Any) -> str:
    """The name of a device as the control lists it; the best one for None."""
    wanted = choose_device(device)
    exact = [f"{wanted.type}:{wanted.index or 0}", wanted.type]
    return next(name for name in available_devices() if name in exact)
