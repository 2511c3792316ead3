"""What may come next: a language model asked token by token, as you type.

`NextToken()` brings a small decoder that learns the course's prose when you press
train; `NextToken(model, tokenizer)` asks one of your own. The kernel reads the text and
sends the logits once; temperature, top-k, top-p and the draw happen in the page. What
learns and reads is in `lib.next_token_lab`.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn

from lib.device import available_devices, choose_device
from lib.models.generation import beam_search, next_probabilities
from lib.next_token_lab import (
    SIZE,
    START,
    Reader,
    SmallModel,
    as_text,
    multiplications,
    pick,
    prose_tokenizer,
    random_numbers,
)
from lib.tokenizers import Tokenizer
from lib.widgets.base import LiveWidget, Work, as_bytes, page, styles
from lib.widgets.controls import Control

LONGEST = 200  # tokens that may be written after the prompt
BEAMS, BEAM_TOKENS = 3, 8
SHARE = 0.04  # of the time of training that reading the text anew may take


class NextToken(LiveWidget):
    """The next token's probabilities, what is cut away, and writing step by step.

    Args:
        model: a decoder as `lib.models.generation` takes it; None makes a small one
            that the reader trains.
        tokenizer: of the model; needed with a model.
        start: name of a special token that stands before every text, such as
            "<start>"; None for none. The small model has one.
        seed: of the small model's first weights.
        **values: controls by name: prompt, temperature, top_k, top_p, seed_of_draws,
            cache, learning_rate, steps, device.

    Raises:
        ValueError: a model without a tokenizer, an unknown control or value.
    """

    _esm = page("core.js", "ui.js", "plot.js", "heat.js",
                "next_token_pictures.js", "next_token.js")  # fmt: skip
    _css = styles("next_token.css")

    CONTROLS = (
        Control("prompt", "Text", "text", "The model", high=120,
                help="The tokens follow as you type"),
        Control("temperature", "Temperature", "log", 1.0, 0.05, 5.0, 0.02,
                help="Divides the logits: below 1 sharper, above 1 more even"),
        Control("top_k", "Top-k", "log", SIZE, 1, SIZE, 0.02,
                help="Only the k likeliest tokens stay"),
        Control("top_p", "Top-p", "range", 1.0, 0.05, 1.0, 0.01,
                help="Then only the likeliest ones that together reach p stay"),
        Control("seed_of_draws", "Seed", "range", 0, 0, 99, 1,
                help="Of the random numbers that draw the tokens"),
        Control("cache", "Key-value cache", "toggle", True,
                help="Keep keys and values of earlier tokens, or compute all again"),
        Control("learning_rate", "Learning rate", "log", 3e-3, 1e-4, 0.1, 0.02,
                help="Changes at once, while the model trains"),
        Control("steps", "Train up to step", "range", 1500, 100, 5000, 100,
                help="Training stops here"),
        Control("device", "Device", "choice", "cpu",
                choices=tuple((d, d.upper()) for d in available_devices())),
    )  # fmt: skip

    def __init__(
        self,
        model: nn.Module | None = None,
        tokenizer: Tokenizer | None = None,
        start: str | None = None,
        seed: int = 0,
        **values: Any,
    ) -> None:
        if (model is None) != (tokenizer is None):
            raise ValueError(
                "model and tokenizer belong together; give both, or none of them for "
                "a small model that is trained here."
            )
        self.small, self.seed = None, seed
        if model is None:
            wanted = values.get("device") or choose_device().type
            values["device"] = _listed(wanted)
            self.small = SmallModel(seed, values["device"])
            tokenizer, start, model = prose_tokenizer(), START, SmallModel.fresh_copy()
        elif start is not None and start not in tokenizer.special:
            raise ValueError(
                f"start is {start!r}, but the tokenizer has no such token."
            )
        self.tokenizer = tokenizer
        first = () if start is None else (tokenizer.special[start],)
        self.reader = Reader(model, first)
        self.CONTROLS = _fitted(self.CONTROLS, len(tokenizer))
        self.ids: list[int] = []  # of the prompt
        self.taken: list[int] = []  # written after it
        self.at = 0  # how many of those are on show
        self.moment: int | None = None  # of the training, None for the newest
        self.beams: list[dict[str, Any]] = []
        self._training, self._runs, self._reading = False, 0, 0
        self._milliseconds, self._rest_until = 0.0, 0.0
        self._told: dict[str, Any] = {}
        super().__init__(**values)
        if self.small is not None:
            self.small.set_rate(self.values["learning_rate"])
        self._draws = random_numbers(self.values["seed_of_draws"], LONGEST)
        self._load_weights()
        self.changed("prompt")

    # ---- the text

    def changed(self, name: str) -> None:
        if name == "prompt":
            self.ids = self.tokenizer.encode(self.values["prompt"])
            self.taken, self.at = [], 0
            self._read()
        elif name == "seed_of_draws":
            self._draws = random_numbers(self.values["seed_of_draws"], LONGEST)
        elif name == "learning_rate" and self.small is not None:
            self.small.set_rate(self.values["learning_rate"])
        elif name == "device" and self.small is not None:
            self.small.move_to(self.values["device"])
        elif name == "cache":
            self._read()

    @property
    def shown(self) -> list[int]:
        """The tokens on show: the prompt and what was written up to here."""
        return [*self.ids, *self.taken[: self.at]]

    def do_take(self, token: int) -> None:
        """Write this token next; what was written after this place goes."""
        if not isinstance(token, int) or not 0 <= token < len(self.tokenizer):
            raise ValueError(
                f"token {token!r} does not exist; give a number from 0 to "
                f"{len(self.tokenizer) - 1}."
            )
        if self.at >= LONGEST:
            raise ValueError(f"The text has {LONGEST} new tokens; reset it to go on.")
        self.taken = [*self.taken[: self.at], token]
        self.at += 1
        self._read()

    def do_undo(self) -> None:
        """Back by one token, which goes."""
        self.taken = self.taken[: max(0, self.at - 1)]
        self.do_seek(len(self.taken))

    def do_seek(self, count: int) -> None:
        """Show the text with so many of the written tokens; none is lost."""
        self.at = min(max(0, int(count)), len(self.taken))
        self._read()

    def do_reset(self) -> None:
        """Back to the prompt."""
        self.taken = []
        self.do_seek(0)

    def do_beams(self) -> None:
        """Search the most probable ways to go on, three at a time."""
        before = [*self.reader.start, *self.shown]
        if not before:
            raise ValueError("There is no text yet; type some to search from.")
        found = beam_search(self.reader.model, self._tensor(before), BEAM_TOKENS, BEAMS)
        self.beams = [
            {"tokens": b.tokens[len(before) :].tolist(), "log": b.log_probability}
            for b in found
        ]

    def do_adopt(self, beam: int) -> None:
        """Write what one of the beams found."""
        for token in self.beams[beam]["tokens"]:
            if self.at < LONGEST:
                self.do_take(token)

    def probabilities(self) -> torch.Tensor:
        """(V,) of the next token, after temperature, top-k and top-p."""
        if self.reader.logits is None:
            raise ValueError("There is no text yet; give a prompt.")
        return self._cut(self.reader.logits)

    def _cut(self, logits: torch.Tensor) -> torch.Tensor:
        chosen = self.values
        top_p = chosen["top_p"] if chosen["top_p"] < 1 else None
        return next_probabilities(logits, chosen["temperature"], chosen["top_k"], top_p)

    def drawn(self) -> int:
        """The token on which the next random number falls."""
        return pick(self.probabilities(), self._draws[self.at].item())

    def run(self, tokens: int = 20, steps: int = 0) -> str:
        """Train and write here and now, without a page; the text.

        Args:
            tokens: how many are drawn after what is there.
            steps: of training before, for the small model.
        """
        self.do_pause()
        if steps and self.small is not None:
            for _ in self.small.work(steps):
                pass
            self._load_weights()
            self._read()
        for _ in range(min(tokens, LONGEST - self.at)):
            self.do_take(self.drawn())
        self._note_change()
        return as_text(self.tokenizer, self.shown)

    def _tensor(self, ids: list[int]) -> torch.Tensor:
        return torch.tensor([ids], device=next(self.reader.model.parameters()).device)

    def _read(self) -> None:
        began = time.perf_counter()
        self.reader.read(self.shown, self.values["cache"])
        self._milliseconds = 1000 * (time.perf_counter() - began)
        self._reading += 1
        self.beams = []

    # ---- the training

    def do_train(self) -> None:
        """Train on from here, live."""
        if self.small.step >= self.values["steps"]:
            self.do_train_reset()
        self.moment, self._training = None, True
        self.start(self._train())

    def do_pause(self) -> None:
        """Stop after the step in hand; training goes on from there."""
        self.stop()
        if self._training:
            self._training = False
            self._ask_again()

    def do_train_step(self) -> None:
        """One step of training."""
        self.do_pause()
        self.moment = None
        for _ in self.small.work(1):
            pass
        self._ask_again()

    def do_train_reset(self) -> None:
        """Back to the first weights and the first batch."""
        self.do_pause()
        self._runs += 1
        rate = self.values["learning_rate"]
        self.small = SmallModel(self.seed, self.values["device"], rate)
        self.moment = None
        self._ask_again()

    def do_moment(self, index: int | None) -> None:
        """Ask the model of an earlier moment; None asks the newest."""
        last = len(self.small.moments) - 1
        self.moment = None if index is None else min(max(0, int(index)), last)
        self._ask_again()

    def unwatched(self) -> None:
        self.do_pause()

    def _train(self) -> Work:
        try:
            while self.small.step < self.values["steps"]:
                for _ in self.small.work(1):
                    yield None
                self._ask_sometimes()
            if self.small.moments[-1].step < self.small.step:
                yield from self.small.keep()
        finally:
            self._training = False
        self._ask_again()

    def _ask_sometimes(self) -> None:
        began = time.perf_counter()
        if self.moment is None and began > self._rest_until:
            self._ask_again()
            passed = time.perf_counter() - began
            self._rest_until = began + passed / SHARE

    def _ask_again(self) -> None:
        self._load_weights()
        self._read()

    def _load_weights(self) -> None:
        if self.small is None:
            return
        index = self.moment
        newest = index is None
        weights = self.small.weights() if newest else self.small.moments[index].weights
        self.reader.model.load_state_dict(weights)
        self.reader.forget()

    # ---- to the page

    def state(self) -> dict[str, Any]:
        self._told = {}
        content, buffers = self.news()
        parts = dict(zip(content.pop("parts"), buffers, strict=True))
        fixed = {"vocabulary": self.tokenizer.vocabulary, "trains": bool(self.small),
                 "longest": LONGEST}  # fmt: skip
        return {**content, **fixed, **parts}

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        told, small = self._told, self.small
        now = {
            "values": dict(self.values),
            "ids": [*self.ids, *self.taken],
            "typed": len(self.ids),
            "at": self.at,
            "reading": self._reading,
            "beams": self.beams,
            "training": self._training,
            "moment": self.moment,
            "run": self._runs,
            "step": small.step if small else 0,
            "kept": len(small.moments) if small else 0,
        }
        if told == now:
            return None
        parts: dict[str, Any] = {}
        content = {"kind": "news", **now}
        if told.get("reading") != now["reading"]:
            content |= self._costs()
            parts["log_p"] = self.reader.log_probabilities
            logits = self.reader.logits
            parts["logits"] = [] if logits is None else logits.numpy()
        seed = now["values"]["seed_of_draws"]
        if told.get("values", {}).get("seed_of_draws") != seed:
            parts["draws"] = self._draws.numpy()
        if small is not None:
            again = told.get("run") == self._runs
            first = told["kept"] if again else 0
            content["moments"] = [
                [m.step, m.validation, m.sample] for m in small.moments[first:]
            ]
            content["losses_from"] = told["step"] if again else 0
            parts["losses"] = small.losses_from(content["losses_from"])
        self._told = now
        content["parts"] = list(parts)
        return content, as_bytes(*parts.values())

    def _costs(self) -> dict[str, Any]:
        """What this reading cost, and what one more token costs either way."""
        reader = self.reader
        length = len(reader.start) + len(reader.ids)
        config = getattr(reader.model, "config", None)
        cost = None
        if length and hasattr(config, "num_layers"):
            seen = min(length, reader.model.context)
            with_cache = length <= reader.model.context
            cost = [multiplications(config, seen, with_cache),
                    multiplications(config, seen, False)]  # fmt: skip
        perplexity = reader.perplexity
        finite = perplexity is not None and math.isfinite(perplexity)
        return {"cost": cost, "cached": reader.cached, "ms": self._milliseconds,
                "perplexity": perplexity if finite else None}  # fmt: skip

    # ---- without a page

    def describe(self) -> str:
        whose = "a small decoder that learns the course's prose"
        if self.small is None:
            whose = f"a decoder with {len(self.tokenizer):,} tokens"
        return f"The next token of a typed text, guessed by {whose}"

    def figure(self) -> Figure:
        from lib.widgets.next_token_still import next_token_figure

        return next_token_figure(self)


def _listed(device: str) -> str:
    """The name of a device as the control lists it."""
    wanted = choose_device(device)
    exact = [f"{wanted.type}:{wanted.index or 0}", wanted.type]
    return next(name for name in available_devices() if name in exact)


def _fitted(controls: tuple[Control, ...], size: int) -> tuple[Control, ...]:
    """Top-k up to the size of the vocabulary, which keeps all."""
    whole = {"default": size, "high": size}
    return tuple(replace(c, **whole) if c.name == "top_k" else c for c in controls)
