"""Attention under the glass: look into a Transformer, change it, see what follows.

`Subject` wraps a model of `lib.models.transformer`. `Subject.look` runs it on a text
and keeps every attention weight; `Settings` says what is changed on the way:
temperature, scaling, mask, positions, padding, heads that are switched off (Michel,
Levy, Neubig, "Are sixteen heads really better than one?", 2019). `compare` says what
the change did to the output.

The models are run block by block, with a pause after each, so that a widget stays
awake. A model that learns while you look at it is in `lib.attention_practice`.

Left out: attention between two sequences, dropout, batches.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.losses import cross_entropy
from lib.models.attention import causal_mask
from lib.models.transformer import Decoder, Encoder, EncoderClassifier, mean_pool
from lib.pretrained import SentenceEncoder

LIMIT = 128  # tokens of a text that are looked at
MASKS = ("none", "causal", "padding", "both")
PADS = ("[PAD]", "<pad>")  # names that a padding token may have
IGNORED = -100  # a target that does not count, as in `cross_entropy`


@dataclass(frozen=True)
class Settings:
    """What is changed in a model while it is looked at.

    Args:
        mask: "none", "causal", "padding" or "both"; None is the model's own, which is
            "both" for a decoder and "padding" for an encoder.
        temperature: divides the scores.
        scaled: False leaves out the division by √D.
        positions: False takes the positions away.
        padded: padding tokens put behind the text.
        off: (layer, head) of each head whose output becomes 0, both from 0.
    """

    mask: str | None = None
    temperature: float = 1.0
    scaled: bool = True
    positions: bool = True
    padded: int = 0
    off: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        if self.mask not in (None, *MASKS):
            raise ValueError(
                f"mask is {self.mask!r}; choose {', '.join(map(repr, MASKS))}, or None "
                "for the model's own."
            )
        if self.padded < 0:
            raise ValueError(f"padded is {self.padded}; give 0 or more.")


UNCHANGED = Settings()


class Look(NamedTuple):
    """What was seen in one run. T counts the padding too.

    Fields:
        tokens: T strings.
        real: (T,) False for padding.
        allowed: (T, T), True where the query of the row may look at the key.
        q, k: (L, H, T, D).
        weights: (L, H, T, T).
        output: (T, C), of the last block, after its norm.
        answer: logits (T, V) of a decoder, (classes,) of a classifier, or the text's
            vector (C,) of length 1.
        kind: what the answer is: "next", "class" or "vector".
    """

    tokens: list[str]
    real: Tensor
    allowed: Tensor
    q: Tensor
    k: Tensor
    weights: Tensor
    output: Tensor
    answer: Tensor
    kind: str


Looking = Generator[None, None, Look]


class Subject:
    """A model with a tokenizer, ready to be looked into.

    Args:
        model: a `SentenceEncoder`, `Encoder`, `EncoderClassifier` or `Decoder`.
        tokenizer: has `encode` and `vocabulary`, as those of `lib.tokenizers`; a
            `SentenceEncoder` has its own.
        tokens: in place of a tokenizer, the V tokens in the order of their numbers. A
            text is then cut at its spaces, or into characters if all have one.

    Raises:
        TypeError: a model of another kind.
        ValueError: neither or both of tokenizer and tokens, or not V of them.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any = None, tokens: Sequence[str] = ()
    ) -> None:
        kinds = SentenceEncoder, Encoder, EncoderClassifier, Decoder
        if not isinstance(model, kinds):
            raise TypeError(
                f"The model is a {type(model).__name__}; give one of "
                f"{', '.join(kind.__name__ for kind in kinds)}."
            )
        self.model = model
        inner = isinstance(model, SentenceEncoder | EncoderClassifier)
        self.core = model.encoder if inner else model
        self.causal = isinstance(model, Decoder)
        classes = isinstance(model, EncoderClassifier)
        self.kind = "next" if self.causal else "class" if classes else "vector"
        if tokenizer is None and not tokens:
            tokenizer = getattr(model, "tokenizer", None)
        if (tokenizer is None) == (not tokens):
            raise ValueError(
                "Give a tokenizer, or the tokens in order: one of the two."
            )
        self.tokenizer = tokenizer
        self.vocabulary = list(tokens or tokenizer.vocabulary)
        config = self.core.config
        if len(self.vocabulary) != config.vocab_size:
            raise ValueError(
                f"There are {len(self.vocabulary)} tokens, but the model knows "
                f"{config.vocab_size}; give the ones that it was trained with."
            )
        self.layers, self.heads = config.num_layers, config.num_heads
        self.size = config.channels // config.num_heads
        self.limit = min(LIMIT, config.context)
        names = [name for name in PADS if name in self.vocabulary]
        self.padding = self.vocabulary.index(names[0]) if names else None

    def __repr__(self) -> str:
        return f"Subject({self.core!r})"

    @property
    def own_mask(self) -> str:
        """The mask that the model was made with."""
        return "both" if self.causal else "padding"

    def read(self, text: str) -> list[int]:
        """The numbers of the text's tokens, at most `limit`.

        Raises:
            ValueError: a text without tokens, or with one that is not known.
        """
        if self.tokenizer is not None:
            ids = list(self.tokenizer.encode(text))
            if len(ids) > self.limit and isinstance(self.model, SentenceEncoder):
                ids = self.tokenizer.encode(text, max_length=self.limit)
        else:
            ids = self._look_up(text)
        if not ids:
            raise ValueError("The text has no tokens; write a word or two.")
        return ids[: self.limit]

    def _look_up(self, text: str) -> list[int]:
        letters = all(len(token) == 1 for token in self.vocabulary)
        parts = list(text) if letters else text.split()
        unknown = [part for part in parts if part not in self.vocabulary]
        if unknown:
            raise ValueError(
                f"The model does not know {unknown[0]!r}; it knows "
                f"{', '.join(self.vocabulary[:12])} and so on."
            )
        return [self.vocabulary.index(part) for part in parts]

    def look(self, ids: Sequence[int], settings: Settings = UNCHANGED) -> Look:
        """Run the model on one text; arguments and errors as in `look_steps`."""
        steps = self.look_steps(ids, settings)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    def look_steps(self, ids: Sequence[int], settings: Settings) -> Looking:
        """The same as a generator that pauses after each block.

        Args:
            ids: numbers of the tokens.
            settings: what to change on the way.

        Raises:
            ValueError: settings that this model cannot have.
        """
        ids, real = self._padded(list(ids), settings)
        device = next(self.core.parameters()).device
        tokens = torch.tensor([ids], device=device)
        real = real.to(device)
        allowed = self._allowed(real, settings.mask or self.own_mask)
        on = self.switches(settings.off).to(device)
        options = {
            "scale": None if settings.scaled else 1.0,
            "temperature": settings.temperature,
            "mask": allowed[None, None],
            "return_intermediates": True,
        }
        seen: dict[str, list[Tensor]] = {"q": [], "k": [], "weights": []}
        with torch.no_grad():
            x = self._embed(tokens, settings.positions)
        for i, block in enumerate(self.core.stack.blocks):
            with torch.no_grad(), _plain(block, settings.positions):
                result = block(x, head_mask=on[i], **options)
            x = result["output"]
            for name, parts in seen.items():
                parts.append(result[f"attention.{name}"][0])
            yield
        with torch.no_grad():
            output = self.core.stack.norm(x)
            answer = self._answer(output, real)
        maps = {name: torch.stack(parts).cpu() for name, parts in seen.items()}
        names = [self.vocabulary[i] for i in ids]
        return Look(names, real.cpu(), allowed.cpu(), **maps, output=output[0].cpu(),
                    answer=answer.cpu(), kind=self.kind)  # fmt: skip

    def _padded(self, ids: list[int], settings: Settings) -> tuple[list[int], Tensor]:
        """The numbers with padding behind them, and which of them are real."""
        count = min(settings.padded, self.limit - len(ids))
        if count and self.padding is None:
            raise ValueError(
                f"This model has no padding token, {' or '.join(PADS)}; it cannot read "
                "a padded text."
            )
        real = torch.ones(len(ids) + count, dtype=torch.bool)
        real[len(ids) :] = False
        return ids + [self.padding or 0] * count, real

    def _allowed(self, real: Tensor, mask: str) -> Tensor:
        """(T, T) boolean, True where a query may look at a key."""
        T = len(real)
        allowed = torch.ones(T, T, dtype=torch.bool, device=real.device)
        if mask in ("causal", "both"):
            allowed &= causal_mask(T, device=real.device)
        if mask in ("padding", "both"):
            allowed &= real
        return allowed

    def switches(self, off: frozenset[tuple[int, int]]) -> Tensor:
        """(L, H) factors of the heads: 0 for those that are off, 1 for the rest.

        Raises:
            ValueError: a head that does not exist.
        """
        on = torch.ones(self.layers, self.heads)
        for layer, head in off:
            if not (0 <= layer < self.layers and 0 <= head < self.heads):
                raise ValueError(
                    f"There is no head {head} in layer {layer}; layers run from 0 to "
                    f"{self.layers - 1}, heads from 0 to {self.heads - 1}."
                )
            on[layer, head] = 0.0
        return on

    def _embed(self, tokens: Tensor, positions: bool) -> Tensor:
        """(1, T) to (1, T, C): `embed` of the model, or the same without positions."""
        core = self.core
        if positions:
            return core.embed(tokens)
        x = core.token(tokens)
        if isinstance(core, Encoder):
            x = core.norm(x + core.segment(torch.zeros_like(tokens)))
        return core.dropout(x)

    def _answer(self, output: Tensor, real: Tensor) -> Tensor:
        """What the model makes of (1, T, C), as in `Look.answer`."""
        if self.kind == "next":
            return self.core.predict(output)[0]
        mean = mean_pool(output, real[None])
        if self.kind == "class":
            return self.model.head(mean)[0]
        return F.normalize(mean, dim=-1)[0]

    def try_heads(
        self, ids: Sequence[int], settings: Settings, targets: Tensor | None = None
    ) -> Iterator[tuple[int, int, float] | None]:
        """Switch off one head after the other, each alone; pauses within each too.

        Yields:
            None at a pause; (layer, head, change), as `Change.size` after each head.
        """
        before = yield from self.look_steps(ids, replace(settings, off=frozenset()))
        for layer in range(self.layers):
            for head in range(self.heads):
                off = replace(settings, off=frozenset({(layer, head)}))
                after = yield from self.look_steps(ids, off)
                yield layer, head, compare(before, after, ids, targets).size


@contextmanager
def _plain(block: nn.Module, positions: bool) -> Iterator[None]:
    """Without positions, queries and keys are not turned either."""
    rotary = block.attention.rotary
    if not positions:
        block.attention.rotary = None
    try:
        yield
    finally:
        block.attention.rotary = rotary


@dataclass(frozen=True)
class Change:
    """What became of the output, from one look to another.

    Attributes:
        size: one number, 0 for no change: 1 − cosine of two text vectors, the share of
            probability that went to other classes, or what the loss grew by.
        moved: (T,) distance between the outputs of each token, in lengths of the first.
        cosine: between the two vectors of the text; None with a loss.
        losses: before and after; None without one.
        answers: what is predicted at each position, before and after, and how probable
            it is: (token or class, probability). Empty for vectors.
    """

    size: float
    moved: Tensor
    cosine: float | None = None
    losses: tuple[float, float] | None = None
    answers: tuple[list[tuple[int, float]], ...] = ()


def compare(
    before: Look, after: Look, ids: Sequence[int], targets: Tensor | None = None
) -> Change:
    """What changed in the output at the real tokens.

    Args:
        ids: numbers of the real tokens.
        targets: (T,) what a decoder should predict at each position, `IGNORED` where
            nothing counts; None is the next token.
    """
    T = len(ids)
    first, second = before.output[:T], after.output[:T]
    moved = (second - first).norm(dim=-1) / first.norm(dim=-1).clamp(min=1e-12)
    if before.kind == "vector":
        cosine = float(before.answer @ after.answer)
        return Change(1 - cosine, moved, cosine=cosine)
    answers = tuple(_likely(look.answer[:T]) for look in (before, after))
    if before.kind == "class":
        pair = [F.softmax(look.answer, -1) for look in (before, after)]
        return Change(
            float((pair[1] - pair[0]).abs().sum() / 2), moved, answers=answers
        )
    if targets is None:
        targets = torch.tensor([*ids[1:], IGNORED])
    if not (targets != IGNORED).any():  # one token alone predicts nothing
        return Change(float(moved.max()), moved, answers=answers)
    losses = [float(cross_entropy(x.answer[:T], targets)) for x in (before, after)]
    return Change(losses[1] - losses[0], moved, losses=tuple(losses), answers=answers)


def _likely(logits: Tensor) -> list[tuple[int, float]]:
    best = F.softmax(logits.reshape(-1, logits.shape[-1]), dim=-1).max(-1)
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
