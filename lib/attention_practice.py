"""A small Transformer that learns a task for attention, to be looked into meanwhile.

To copy or to reverse a word, positions are enough. To go on with what repeats, whatever
its period, a head must find the same letter earlier and look at what came after it, and
for that it needs another layer before it (Olsson et al., "In-context learning and
induction heads", 2022).

The letters of one sequence are all different, so each can be found again by itself.
Left out: tasks with more than one right answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lib.attention_lab import IGNORED, LIMIT, UNCHANGED, Change, Look, Settings, Subject
from lib.losses import cross_entropy
from lib.models.configs import DecoderConfig
from lib.models.transformer import Decoder
from lib.optimizers import Adam
from lib.training import train

TASKS = {
    "copy": "say the letters again",
    "reverse": "say the letters backwards",
    "repeat": "go on with what repeats, whatever its period",
}
LETTERS = "abcdefghijklmnop"
TOKENS = ("<pad>", ">", *LETTERS)


def task_batch(
    task: str, length: int, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Sequences of one task, and what is to be predicted in them.

    "copy" and "reverse": `length` letters, ">", the answer. "repeat": different letters
    again and again, with a period from half of `length` up to `length` itself.

    Returns:
        ids (B, T), numbers in `TOKENS`, and targets (B, T), the next token
        where it can be known and `IGNORED` elsewhere.

    Raises:
        ValueError: no such task, or a length that is not from 2 to 16.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; choose {', '.join(map(repr, TASKS))}.")
    if not 2 <= length <= len(LETTERS):
        raise ValueError(f"length is {length}; give 2 to {len(LETTERS)} letters.")
    order = torch.rand(count, len(LETTERS), generator=generator).argsort(1)
    letters = order[:, :length] + TOKENS.index(LETTERS[0])
    if task == "repeat":
        periods = torch.randint((length + 1) // 2, length + 1, (count, 1),
                                generator=generator)  # fmt: skip
        place = torch.arange(2 * length + 1)
        ids, known = letters.gather(1, place % periods), place[1:] >= periods
    else:
        answer = letters if task == "copy" else letters.flip(1)
        sign = torch.full((count, 1), TOKENS.index(">"))
        ids = torch.cat([letters, sign, answer], dim=1)
        known = (torch.arange(1, 2 * length + 1) > length).expand(count, -1)
    targets = torch.full_like(ids, IGNORED)
    targets[:, :-1] = ids[:, 1:].where(known, IGNORED)
    return ids, targets


class Practice:
    """A small decoder that learns one task by `lib.training`, as far as you let it.

    Args:
        task: a name in `TASKS`.
        length: letters of the longest part to remember.
        layers, heads: of the decoder.
        learning_rate: of Adam; may change while it trains.
        seed: of weights and sequences.
        device: None is the CPU.

    Attributes:
        step: updates so far.
    """

    def __init__(
        self,
        task: str = "repeat",
        length: int = 8,
        layers: int = 2,
        heads: int = 4,
        learning_rate: float = 3e-3,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        task_batch(task, length, 1, torch.Generator())  # checks both
        self.task, self.length, self.learning_rate = task, length, learning_rate
        config = DecoderConfig(vocab_size=len(TOKENS), context=LIMIT,
                               channels=32, num_layers=layers, num_heads=heads,
                               hidden=64)  # fmt: skip
        model = Decoder(config, seed=seed, device=device)
        self.subject = Subject(model, tokens=TOKENS)
        self.device = device
        self._generator = torch.Generator().manual_seed(seed)
        self._held_out = task_batch(task, length, 100, self._generator)
        self.step = 0
        self._training = train(
            model, cross_entropy, _Endless(self.batch),
            Adam(model.parameters(), learning_rate=learning_rate),
            steps=10**9, schedule=lambda _n: self.learning_rate,
        )  # fmt: skip

    def batch(self, count: int = 32) -> tuple[Tensor, Tensor]:
        """New sequences and targets, on the model's device."""
        ids, targets = task_batch(self.task, self.length, count, self._generator)
        return ids.to(self.device), targets.to(self.device)

    def advance(self, steps: int = 1) -> None:
        """So many updates."""
        for _ in range(steps):
            self.step = next(self._training).step

    def example(self, number: int = 0) -> tuple[list[int], Tensor]:
        """One sequence to look at, the same for the same number: ids and targets."""
        generator = torch.Generator().manual_seed(1000 + number)
        ids, targets = task_batch(self.task, self.length, 1, generator)
        return ids[0].tolist(), targets[0]

    @torch.no_grad()
    def score(self) -> tuple[float, float]:
        """Loss and accuracy on 100 sequences that are not trained on."""
        ids, targets = (part.to(self.device) for part in self._held_out)
        logits = self.subject.model(ids)
        right = (logits.argmax(-1) == targets)[targets != IGNORED]
        return float(cross_entropy(logits, targets)), float(right.float().mean())


class _Endless:
    """Batches without end, as `train` asks for them."""

    def __init__(self, make: Callable) -> None:
        self.make = make

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield self.make()


@dataclass(frozen=True)
class Record:
    """One look that is kept: what was seen, what had changed, and its number."""

    look: Look
    change: Change
    settings: Settings
    id: int

    def maps(self) -> bytes:
        """The weights as uint8, 0 to 255 for 0 to 1, (L, H, T, T)."""
        return (self.look.weights * 255).round().to(torch.uint8).numpy().tobytes()

    def told(self, subject: Subject) -> dict[str, Any]:
        """All but the arrays, as JSON values."""
        look, change, settings = self.look, self.change, self.settings
        name = str if look.kind == "class" else subject.vocabulary.__getitem__
        answers = [[[name(k), round(p, 4)] for k, p in side] for side in change.answers]
        return {
            "id": self.id,
            "tokens": look.tokens,
            "real": int(look.real.sum()),
            "kind": look.kind,
            "mask": settings.mask,
            "scaled": settings.scaled,
            "temperature": settings.temperature,
            "changed": settings != replace(UNCHANGED, mask=subject.own_mask),
            "cosine": change.cosine,
            "losses": change.losses,
            "size": change.size,
            "answers": answers,
        }


class Film:
    """Looks at steps of a training, evenly thinned out to a number that can be kept.

    Args:
        limit: looks that are kept, at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget all looks."""
        self.records: dict[int, Record] = {}
        self._every = 1

    @property
    def newest(self) -> int:
        """The step of the newest look."""
        return max(self.records)

    def at(self, step: int | None) -> Record:
        """The look at this step, or the newest."""
        return self.records.get(step) or self.records[self.newest]

    def add(self, step: int, record: Record) -> None:
        """Keep a look; an earlier one of the same step gives way."""
        self.records[step] = record
        while len(self.records) > self.limit:
            self._every *= 2
            self._thin(step)
        self._thin(step)

    def _thin(self, newest: int) -> None:
        """Drop what is off the grid of steps; the newest stays as long as it is."""
        on = {s: r for s, r in self.records.items() if s % self._every == 0}
        self.records = on | {newest: self.records[newest]}
