"""Attention: every layer and head at a glance, one head large, one pair explained.

`AttentionView()` reads your sentence with all-MiniLM-L6-v2; `AttentionView(model,
tokenizer=...)` looks into a model of your own, and `AttentionView(task="repeat")` into
one that learns meanwhile. What can be changed, and what it does to the output, is
computed in `lib.attention_lab`.

All maps travel as one uint8 array (L, H, T, T); the queries, keys and exact weights of
the chosen head follow as float32. Hovering and choosing need no kernel for the maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from lib.attention_lab import UNCHANGED, Look, Settings, Subject, compare
from lib.attention_practice import Film, Practice, Record
from lib.pretrained import SentenceEncoder, minilm
from lib.widgets.attention_training import TRAINING, Training
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control

EXAMPLES = (
    "The trophy does not fit into the suitcase because it is too big.",
    "The dog chased the cat until it climbed a tree.",
    "Anna gave Ben the book, and he thanked her for it.",
    "The bank of the river was muddy, so the bank moved its office.",
    "A man bites a dog; a dog bites a man.",
    "She did not say that the film was bad.",
    "Paris is the capital of France, and Rome is the capital of Italy.",
)
FIRST = {"layer": 3, "head": 1}  # of MiniLM: there "it" looks at the trophy
OWN = "own"  # the choice of a text that nobody prepared
KEPT = 100  # records of a training that the scrubber can go back to

LABELS = {"none": "none", "causal": "causal", "padding": "hide padding",
          "both": "causal and padding"}  # fmt: skip

TEXT = (
    Control("example", "Sentence", "choice", EXAMPLES[0],
            choices=(*((text, text) for text in EXAMPLES), (OWN, "a text of my own"))),
    Control("text", "Or type one", "text", EXAMPLES[0], high=400,
            help="At most 400 characters and 128 tokens"),
)  # fmt: skip


def _looking(subject: Subject) -> tuple[Control, ...]:
    """The controls that change what is looked at, for a model of this shape."""
    return (
        Control("layer", "Layer", "range", 0, 0, max(1, subject.layers - 1), 1,
                help="Counted from 0, as in the code"),
        Control("head", "Head", "range", 0, 0, max(1, subject.heads - 1), 1,
                help="Counted from 0, as in the code"),
        Control("temperature", "Temperature", "log", 1.0, 0.1, 10.0, 0.02,
                help="Divides every score: below 1 sharper, above 1 more even"),
        Control("scaled", "divide by √D", "toggle", True,
                help="The scaling of the scores by the root of the head size"),
        Control("positions", "positions", "toggle", True,
                help="Off: the model gets the words without their order"),
        Control("mask", "Mask", "choice", subject.own_mask,
                choices=tuple(LABELS.items()),
                help="Which keys a query may look at"),
        Control("padded", "Padding", "range", 0, 0, 8, 1,
                help="Padding tokens put behind the text"),
    )  # fmt: skip


class AttentionView(Training, LiveWidget):
    """Look into the attention of a Transformer, change it, and see what follows.

    Args:
        model: "minilm", or a model that `lib.attention_lab.Subject` takes.
        tokenizer, tokens: of your own model, as in `Subject`.
        task: in place of a model: a name in `lib.attention_practice.TASKS`. A small
            decoder learns it while you look.
        layers, heads, seed: of that decoder.
        **values: controls by name: example, text, layer, head, temperature, scaled,
            positions, mask, padded; with a task also task, length, learning_rate,
            speed, steps, device.

    Raises:
        FileNotFoundError: the weights of all-MiniLM-L6-v2 are not installed.
        TypeError, ValueError: what `Subject` or a control does not allow.
    """

    _esm = page(
        *("core.js", "ui.js", "plot.js", "heat.js", "attention_head.js"),
        *("attention_panels.js", "attention_words.js", "attention.js"),
    )
    _css = styles("attention.css")
    PICTURED = True

    def __init__(
        self,
        model: Any = "minilm",
        tokenizer: Any = None,
        tokens: Sequence[str] = (),
        task: str | None = None,
        layers: int = 2,
        heads: int = 4,
        seed: int = 0,
        **values: Any,
    ) -> None:
        self.practice: Practice | None = None
        self._shape = {"layers": layers, "heads": heads, "seed": seed}
        if task is not None:
            values = {"layer": layers - 1, **values, "task": task}
            self.practice = self._new_practice(values)
            self.subject, first = self.practice.subject, TRAINING
        elif isinstance(model, str):
            self.subject, first = _minilm(model), TEXT
            values = {**FIRST, **_one_text(values)}
        elif isinstance(model, SentenceEncoder):
            self.subject, first = Subject(model, tokenizer, tokens), TEXT
            values = _one_text(values)
        else:
            self.subject = Subject(model, tokenizer, tokens)
            first = (replace(TEXT[1], label="Text", default=_first_text(self.subject)),)
        self.CONTROLS = (*first, *_looking(self.subject))
        self.off: set[tuple[int, int]] = set()
        self.impact: np.ndarray | None = None  # (L, H), NaN where not yet tried
        self.film = Film(KEPT)
        self.curve: list[tuple[int, float, float]] = []  # step, loss, accuracy
        self._original: tuple[Any, Look] | None = None
        self._seen: Any = None  # what the newest record was asked for
        self._shown: int | None = None
        self._example = self._runs = self._looks = 0
        self._playing = self._trying = False
        self._told: dict[str, Any] = {}
        super().__init__(**values)
        if self.practice is not None:
            self._advance(0)
        else:
            self._settle()

    # ---- controls

    def changed(self, name: str) -> None:
        if name == "example" and self.values["example"] != OWN:
            self.values["text"] = self.values["example"]
        elif name == "text" and "example" in self.values:
            prepared = self.values["text"] in EXAMPLES
            self.values["example"] = self.values["text"] if prepared else OWN
        if name in ("task", "length", "device"):
            self.do_reset()
        elif name == "learning_rate":
            self.practice.learning_rate = self.values["learning_rate"]
        elif name not in ("layer", "head", "speed", "steps"):
            self._look_again()

    def do_switch(self, layer: int, head: int) -> None:
        """Switch one head off, or on again."""
        self.subject.switches(frozenset({(layer, head)}))  # checks both
        self.off ^= {(layer, head)}
        self._look_again()

    def do_original(self) -> None:
        """Everything as the model was made: no changes, all heads on."""
        self.off.clear()
        for control in _looking(self.subject):
            if control.name not in ("layer", "head"):
                self.values[control.name] = control.default
        self._look_again()

    def do_try_heads(self) -> None:
        """Switch off each head alone and note what it does to the output."""
        self.stop()
        self._playing, self._trying = False, True
        self._settle()
        self.impact = np.full((self.subject.layers, self.subject.heads), np.nan)
        self.start(self._try_heads())

    def do_cancel(self) -> None:
        """Stop trying heads; what is known so far stays."""
        self._trying = False
        self.stop()

    def run(self, text: str | None = None, steps: int | None = None) -> Look:
        """Look here and now, without a page.

        Args:
            text: to look at; None is the one of the control.
            steps: of training before that, with a task; None is up to the control.
        """
        if text is not None:
            self.set(text=text)
        if self.practice is not None:
            self._train_now(steps)
        self.stop()
        self._settle()
        self._note_change()
        return self.record.look

    @property
    def settings(self) -> Settings:
        """What the controls and switches ask for."""
        names = ("temperature", "scaled", "positions", "mask", "padded")
        chosen = {name: self.values[name] for name in names}
        return Settings(**chosen, off=frozenset(self.off))

    @property
    def record(self) -> Record:
        """What is on show: the newest look, or the one that the scrubber chose."""
        return self.film.at(self._shown)

    # ---- looking

    def _look_again(self) -> None:
        """Look with the present text and settings: in slices where a page waits."""
        self.impact, self._shown = None, None
        if self._playing:
            self._settle()  # the training goes on
            return
        self.do_cancel()
        if self._loop is None or not self.watched or self.practice is not None:
            self._settle()
        else:
            self.start(self._looking())

    def _settle(self) -> None:
        """Look now, if what is wanted is not what was seen."""
        if self._seen != self._wanted():
            for _ in self._looking():
                pass

    def _wanted(self) -> tuple:
        if self.practice is not None:
            return self._runs, self.practice.step, self._example, self.settings
        return self.values["text"], self.settings

    def _looking(self) -> Work:
        """One look, compared with the model as it was made."""
        wanted, settings = self._wanted(), self.settings
        ids, targets = self._sequence()
        look = yield from self.subject.look_steps(ids, settings)
        asked = wanted[:-1]
        if settings == self._unchanged():
            self._original = asked, look
        elif self._original is None or self._original[0] != asked:
            original = yield from self.subject.look_steps(ids, UNCHANGED)
            self._original = asked, original
        change = compare(self._original[1], look, ids, targets)
        self._looks += 1
        self._seen = wanted
        step = 0 if self.practice is None else self.practice.step
        self.film.add(step, Record(look, change, settings, self._looks))

    def _unchanged(self) -> Settings:
        return replace(UNCHANGED, mask=self.subject.own_mask)

    def _sequence(self) -> tuple[list[int], torch.Tensor | None]:
        if self.practice is not None:
            return self.practice.example(self._example)
        return self.subject.read(self.values["text"]), None

    def _try_heads(self) -> Work:
        """The impact of every head, one after the other."""
        try:
            ids, targets = self._sequence()
            for found in self.subject.try_heads(ids, self.settings, targets):
                if found is not None:
                    layer, head, size = found
                    self.impact[layer, head] = size
                yield
        finally:
            self._trying = False

    def unwatched(self) -> None:
        self._playing = self._trying = False
        super().unwatched()

    # ---- to the page

    def state(self) -> dict[str, Any]:
        if not self._playing and not self.working:
            self._settle()
        self._told = {}
        content, buffers = self.news()
        return {**content, **dict(zip(content["parts"], buffers, strict=True))}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        shown, told = self.record, self._told
        tried = 0 if self.impact is None else int((~np.isnan(self.impact)).sum())
        now = {
            "kind": "news",
            "values": dict(self.values),
            "off": sorted(self.off),
            "playing": self._playing,
            "trying": self._trying,
            "tried": tried,
            "run": self._runs,
            "step": self.film.newest,
            "kept": list(self.film.records),
            "id": shown.id,
        }
        if now == told.get("now"):
            return None
        parts: dict[str, Any] = {}
        content = {**now, "shape": [self.subject.layers, self.subject.heads],
                   "size": self.subject.size, "training": self.practice is not None,
                   "limit": self.subject.limit}  # fmt: skip
        known = told.get("ids", set())
        fresh = {s: r for s, r in self.film.records.items() if r.id not in known}
        if fresh:
            content["fresh"] = [[step, record.id] for step, record in fresh.items()]
            parts["maps"] = b"".join(r.maps() for r in fresh.values())
        place = self.values["layer"], self.values["head"]
        if told.get("place") != (shown.id, *place):
            content["look"] = shown.told(self.subject)
            content["exact"] = [shown.id, *place]
            look = shown.look
            chosen = look.q[place], look.k[place], look.weights[place]
            parts["head"] = b"".join(as_bytes(*chosen))
            parts["moved"] = as_bytes(shown.change.moved)[0]
        if told.get("tried") != tried or not told:
            empty = self.impact is None
            parts["impact"] = b"" if empty else as_bytes(self.impact)[0]
        curve = told.get("curve", 0) if told.get("run") == self._runs else 0
        if self.curve[curve:]:
            content["from"] = curve
            parts["curve"] = as_bytes(np.array(self.curve[curve:]))[0]
        ids = {record.id for record in self.film.records.values()}
        self._told = {"now": now, "ids": ids, "place": (shown.id, *place),
                      "tried": tried, "run": self._runs,
                      "curve": len(self.curve)}  # fmt: skip
        return {**content, "parts": list(parts)}, list(parts.values())

    # ---- without a page

    def describe(self) -> str:
        if self.practice is not None:
            return "Attention of a small Transformer while it learns a task"
        size = f"{self.subject.layers} layers and {self.subject.heads} heads"
        return f"Attention of a Transformer with {size}"

    def figure(self) -> Figure:
        from lib.widgets.attention_still import attention_figure

        return attention_figure(self)


def _one_text(values: dict[str, Any]) -> dict[str, Any]:
    """Values in which the prepared sentence and the text agree."""
    if "text" in values:
        prepared = values["text"] in EXAMPLES
        return {**values, "example": values["text"] if prepared else OWN}
    if values.get("example", OWN) in EXAMPLES:
        return {**values, "text": values["example"]}
    return values


def _first_text(subject: Subject) -> str:
    """Something that a model with these tokens can read, if no text is given."""
    plain = [t for t in subject.vocabulary if t[:1] not in "<[#"][:12]
    letters = all(len(token) == 1 for token in plain)
    return ("" if letters else " ").join(plain)


@cache
def _minilm(name: str) -> Subject:
    if name != "minilm":
        raise ValueError(f"model is {name!r}; give 'minilm' or a model of your own.")
    return Subject(minilm())
