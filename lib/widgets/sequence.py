"""Step through an RNN, a GRU and an LSTM, and see how far back their gradients reach.

`Sequence()` shows three cells on a typed sequence and trains them on a task that needs
a memory; the computation is `lib.sequence_lab`. `Sequence(model=..., tokenizer=...)`
shows a trained `RecurrentClassifier` from a lesson on any text.
"""

from __future__ import annotations

from collections.abc import Sequence as Listed
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from lib import sequence_lab as lab
from lib.device import available_devices
from lib.models.recurrent import RecurrentClassifier
from lib.sequence_lab import FIRST, KINDS, Record, SequenceLab, Trace
from lib.tokenizers import Tokenizer
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control
from lib.widgets.sequence_parts import (
    CELLS,
    WEIGHTS,
    checked_pair,
    for_model,
    fresh_like,
    listed,
    names,
    numbers,
    shape,
)

TEXTS = {
    "letters": "Bwxyzwxyzwxyzwxyzwxy",
    "numbers": "1 0 0 0 0 0 0 0 -1 0 0 0 0 0 0 0",
    "words": "the film was long and slow but the end was wonderful",
}
SOURCES = (("letters", "letters of the task"), ("words", "any words"),
           ("numbers", "numbers"))  # fmt: skip
READERS = {"letters": lab.read_letters, "words": lab.read_words,
           "numbers": lab.read_numbers}  # fmt: skip
SETTINGS = ("hidden", "length", "radius", "keep", "learning_rate", "device")


class Sequence(LiveWidget):
    """Recurrent cells step by step, and the reach of their gradient.

    Args:
        model: a trained classifier; None takes three that the widget trains itself.
        tokenizer: of that model.
        classes: names of the model's classes.
        text: that is read first.
        **values: controls by name: source, text, cell, weights, of, hidden, length,
            radius, keep, learning_rate, steps, device.

    Raises:
        ValueError: a text that cannot be read, a model without its tokenizer, or a
            value that a control does not allow.
    """

    _esm = page("core.js", "ui.js", "stepping.js", "plot.js", "heat.js",
                "sequence_strips.js", "sequence_curves.js", "sequence.js")  # fmt: skip
    _css = styles("sequence.css")
    PICTURED = True

    CONTROLS = (
        Control("source", "Reads", "choice", "letters", choices=SOURCES),
        Control("text", "Sequence", "text", TEXTS["letters"], high=400,
                help="What the cells read, one step for each letter, word or number"),
        Control("cell", "Cell", "choice", "lstm", choices=CELLS),
        Control("weights", "Weights", "choice", "first", choices=WEIGHTS),
        Control("of", "Gradient with respect to", "choice", "input",
                choices=(("input", "the input at a step"),
                         ("state", "the state after a step"))),
        Control("hidden", "Hidden size", "range", 16, 2, 32, 1,
                help="Units of each cell"),
        Control("length", "Sequence length", "range", 20, 5, 200, 5,
                help="Letters between the one to remember and the answer, plus one"),
        Control("radius", "Spectral radius", "range", 1.0, 0.1, 2.0, 0.05,
                help="Scale of the recurrent weights: the largest eigenvalue of U"),
        Control("keep", "Forget-gate bias", "range", 3.0, -3.0, 6.0, 0.25,
                help="Of the LSTM, and of the GRU's update gate: large keeps more"),
        Control("learning_rate", "Learning rate", "log", 0.01, 1e-4, 0.1, 0.02),
        Control("steps", "Training steps", "range", 150, 50, 1000, 50),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices())),
    )  # fmt: skip

    def __init__(
        self,
        model: RecurrentClassifier | None = None,
        tokenizer: Tokenizer | None = None,
        classes: Listed[str] | None = None,
        text: str | None = None,
        **values: Any,
    ) -> None:
        self.model, self.tokenizer = checked_pair(model, tokenizer)
        self.classes = list(FIRST) if model is None else names(model, classes)
        self.lab: SequenceLab | None = None
        self.problem: str | None = None
        self.traces: dict[str, Trace] = {}
        self._reaches: list[Record] = []  # of a given model: before and after training
        self._playing = False
        self._runs = self._reads = 0
        self._told: dict[str, Any] = {}
        if model is None:
            values["device"] = listed(values.get("device"))
            if text is None and "source" in values:
                text = TEXTS.get(values["source"])
        else:
            self.CONTROLS = for_model(self.CONTROLS, model.kind)
        if text is not None:
            values["text"] = text
        super().__init__(**values)
        if model is None:
            self._fresh()
            self.lab.run(0)
        else:
            self._untrained = fresh_like(model)
        self._read(raising=True)

    # ---- controls and commands

    def changed(self, name: str) -> None:
        if name == "source":
            self.values["text"] = TEXTS[self.values["source"]]
        if name in ("source", "text"):
            self._read(raising=not self.watched)
        elif name == "weights":
            self._trace()
        elif name in SETTINGS:
            self.do_reset()

    def do_play(self) -> None:
        """Train on from here, live."""
        self._need_lab()
        if self.lab.step >= self.values["steps"]:
            self.do_reset()
        self._playing = True
        self.start(self._training(self.values["steps"]))

    def do_pause(self) -> None:
        """Stop after the step in hand; playing goes on from there."""
        self.stop()
        if self._playing:
            self._playing = False
            self._trace()

    def do_step(self) -> None:
        """As many training steps as lie between two records."""
        self._need_lab()
        self.do_pause()
        goal = self.lab.step + lab.EVERY - self.lab.step % lab.EVERY
        self._playing = True
        self.start(self._training(goal))

    def do_reset(self) -> None:
        """Back to the first weights."""
        self._need_lab()
        self.stop()
        self._playing = False
        self._fresh()
        self._read(raising=False)
        self.start(self.lab.work(0))
        if self._loop is None:
            self.finish()

    def run(self, steps: int | None = None) -> list[Record]:
        """Train here and now, without a page; what was measured on the way."""
        if self.model is None:
            self.do_pause()
            goal = self.values["steps"] if steps is None else self.lab.step + steps
            self.lab.run(goal)
            self.values["weights"] = "trained"
            self._trace()
        self._note_change()
        self.pump(now=True)
        return self.records

    def unwatched(self) -> None:
        self.do_pause()

    def _need_lab(self) -> None:
        if self.model is not None:
            raise ValueError(
                "this model is trained already; Sequence() without a model trains "
                "three cells."
            )

    def _fresh(self) -> None:
        self._runs += 1
        self.lab = SequenceLab(**{name: self.values[name] for name in SETTINGS})

    def _training(self, goal: int) -> Work:
        try:
            self.values["weights"] = "trained"
            seen = len(self.lab.history)
            for _ in self.lab.work(goal):
                if len(self.lab.history) > seen:
                    seen = len(self.lab.history)
                    self._trace()
                yield None
        finally:
            self._playing = False
        self._trace()

    # ---- what the cells do with the typed sequence

    def _read(self, raising: bool) -> None:
        """A text that cannot be read leaves the last good one and says why."""
        try:
            text = self.values["text"]
            if self.model is None:
                self.labels, self._x = READERS[self.values["source"]](text)
            else:
                self.labels, self._x = lab.read_tokens(text, self.tokenizer)
        except ValueError as error:
            if raising:
                raise
            self.problem = str(error)
            return
        self.problem = None
        self._trace()
        if self.model is not None:
            self._measure_reach()

    def _models(self) -> dict[str, RecurrentClassifier]:
        trained = self.values["weights"] == "trained"
        if self.model is not None:
            return {self.model.kind: self.model if trained else self._untrained}
        return self.lab.models if trained else self.lab.first

    @torch.no_grad()
    def _trace(self) -> None:
        self._reads += 1
        answers = self._x.dtype == torch.int64
        self.traces = {}
        for kind, model in self._models().items():
            x = self._x.to(model.dense.weight.device)
            x = model.embedding(x) if answers else x.to(model.dense.weight.dtype)
            self.traces[kind] = lab.trace(model, x, answers)
            self._inputs = x.cpu().numpy()

    def _measure_reach(self) -> None:
        """Of a given model: the loss if the class that it finds were the right one."""
        tokens = self._x.to(self.model.dense.weight.device)[None]
        with torch.no_grad():
            target = self.model(tokens).argmax(1)
        self._runs += 1
        self._reaches = []
        for step, model in enumerate((self._untrained, self.model)):
            with torch.no_grad():
                x = model.embedding(tokens)
            seen = lab.gradient_reach(model, x, target)
            reach = np.array([[seen["input"], seen["state"]]])
            self._reaches.append(Record(step, np.zeros(1), np.zeros(1), reach))

    @property
    def records(self) -> list[Record]:
        """What was measured: before training, and on the way."""
        return self._reaches if self.model is not None else self.lab.history

    @property
    def kinds(self) -> tuple[str, ...]:
        """The cells that there are."""
        return KINDS if self.model is None else (self.model.kind,)

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        return {**content, **parts, "kinds": list(self.kinds)}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """Traces when they are new, and the records that the page does not have."""
        told = self._told
        now = {
            "kind": "news",
            "run": self._runs,
            "read": self._reads,
            "playing": self._playing,
            "trains": self.model is None,
            "step": self.lab.step if self.lab else 1,
            "problem": self.problem,
            "values": dict(self.values),
            "records": len(self.records),
        }
        if told.get("now") == now:
            return None
        before = told.get("now", {})
        kept = before["records"] if before.get("run") == self._runs else 0
        fresh = self.records[kept:]
        rows = [[r.step, *r.losses, *r.accuracies, *r.reach.ravel()] for r in fresh]
        reached = self.records[0].reach.shape[-1] if self.records else 0
        content = {**now, "from": kept, "reached": reached, "parts": ["rows"]}
        buffers = as_bytes(np.array(rows, dtype=np.float32))
        if before.get("read") != self._reads:
            shapes = [shape(t) for t in self.traces.values()]
            content |= {"labels": self.labels, "classes": self.classes}
            content["traces"] = shapes
            content["parts"] = ["rows", "inputs", *self.traces]
            buffers += as_bytes(self._inputs, *map(numbers, self.traces.values()))
        self._told = {"now": now}
        return content, buffers

    # ---- without a page

    def describe(self) -> str:
        if self.model is not None:
            return (
                f"A trained {dict(CELLS)[self.model.kind]}, step by step through a text"
            )
        return "An RNN, a GRU and an LSTM, step by step through a sequence"

    def figure(self) -> Figure:
        from lib.widgets.sequence_still import sequence_figure

        return sequence_figure(self)
