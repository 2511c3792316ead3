"""What recurrent cells do step by step, and how far back their gradient reaches.

`trace` shows every gate of one sequence; `gradient_reach` the norm of the gradient at
each time step of the loss at the end. `SequenceLab` trains an RNN, a GRU and an LSTM on
the same task side by side: remember the first letter of a sequence. Bengio, Simard,
Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994;
Hochreiter and Schmidhuber, 1997, test memory in this way.

Left out: sequences of different lengths in one batch.
"""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.losses import cross_entropy
from lib.models.cells import Cell, GRUCell, RNNCell
from lib.models.recurrent import RecurrentClassifier
from lib.optimizers import Adam
from lib.tokenizers import Tokenizer, WordTokenizer

KINDS = ("rnn", "gru", "lstm")
FIRST, NOISE = "ABCD", "wxyz"  # what is to be remembered, and what follows it
LETTERS = FIRST + NOISE  # token k + 1 is letter k; 0 is padding, which never occurs
INPUTS = 8  # numbers that describe one letter, word or number
LONGEST = 60  # steps of a typed sequence
EXAMPLES = 8  # over which the reach of the gradient is averaged
TESTS = 200  # sequences that measure the accuracy
BATCH = 64
EVERY = 10  # training steps between two records


# ---- one sequence, step by step


@dataclass
class Trace:
    """What a cell computes at each of T steps; C units.

    Fields:
        kind: a name of `KINDS`.
        values: (T, C) of each gate, candidate and state, by name, as the cell's `step`.
        from_input, from_state: (T, gates · C), the two parts of what goes into σ and
            tanh: W x with its bias, and U h (for the GRU with its bias).
        answers: (T, classes), the probabilities that the classifier would give if the
            sequence ended here; None without a classifier.
    """

    kind: str
    values: dict[str, np.ndarray]
    from_input: np.ndarray
    from_state: np.ndarray
    answers: np.ndarray | None = None


@torch.no_grad()
def trace(model: RecurrentClassifier, x: Tensor, answers: bool = True) -> Trace:
    """Follow one sequence through the last recurrent layer.

    Args:
        model: whose cells and dense layer are used.
        x: (T, inputs).
        answers: whether the dense layer says something about this sequence.
    """
    h = x[None]
    for cell in model.recurrent.cells:
        below = h
        steps = list(cell.walk(below))
        seen = {k: torch.stack([s[k] for s in steps], dim=1) for k in steps[0]}
        h = seen["hidden"]
    before = torch.cat([torch.zeros_like(h[:, :1]), h[:, :-1]], dim=1)
    bias = cell.bias_hh if isinstance(cell, GRUCell) else None
    says = model.dense(h[0]).softmax(-1).cpu().numpy() if answers else None
    return Trace(
        model.kind,
        {name: v[0].cpu().numpy() for name, v in seen.items()},
        cell.project(below)[0].cpu().numpy(),
        F.linear(before, cell.weight_hh, bias)[0].cpu().numpy(),
        says,
    )


def gradient_reach(
    model: RecurrentClassifier, x: Tensor, targets: Tensor
) -> dict[str, np.ndarray]:
    """Norm of the gradient of the loss at the end, at each time step.

    Args:
        model: in which x goes through the recurrent layers and the dense layer.
        x: (B, T, inputs).
        targets: (B,) classes.

    Returns:
        "input" (T,), with respect to x at step t, and "state" (T,), with respect to
        what step t hands to the next one (h, for the LSTM h and c), each the mean over
        the B sequences.
    """
    x = x.detach().requires_grad_()
    sequence, cuts = x.unbind(1), []
    for cell in model.recurrent.cells:
        C = cell.hidden
        state = [x.new_zeros(len(x), C) for _ in cell.state_names]
        # a zero is added to each state, so that its gradient is that of the state
        cut = x.new_zeros(len(sequence), len(state), len(x), C).requires_grad_()
        out = []
        projected = cell.project(torch.stack(sequence, dim=1)).unbind(1)
        for a, zeros in zip(projected, cut.unbind(0), strict=True):
            seen = cell.step(a, *state)
            state = [seen[n] + z for n, z in zip(cell.state_names, zeros, strict=True)]
            out.append(state[0])
        sequence = out
        cuts.append(cut)
    loss = cross_entropy(model.dense(sequence[-1]), targets, reduction="sum")
    by_input, *by_state = torch.autograd.grad(loss, [x, *cuts])
    square = sum(g.square().sum((1, 3)) for g in by_state)  # (T, B)
    return {
        "input": by_input.norm(dim=2).mean(0).cpu().numpy(),
        "state": square.sqrt().mean(1).cpu().numpy(),
    }


def spectral_radius(weight: Tensor) -> float:
    """The largest size of an eigenvalue of a square matrix."""
    return float(torch.linalg.eigvals(weight.detach().double().cpu()).abs().max())


@torch.no_grad()
def set_memory(cell: Cell, radius: float, keep: float) -> None:
    """Give each C × C block of U this spectral radius, and a bias to the keeping gate.

    The keeping gate is the forget gate of the LSTM and the update gate of the GRU: the
    second block of both. Its two biases then add up to `keep`.
    """
    C = cell.hidden
    for block in cell.weight_hh.split(C):
        block.mul_(radius / spectral_radius(block))
    if not isinstance(cell, RNNCell):
        cell.bias_ih[C : 2 * C] = keep
        cell.bias_hh[C : 2 * C] = 0.0


# ---- what a reader types


def read_letters(text: str) -> tuple[list[str], Tensor]:
    """Letters of the memory task: labels and tokens (T,), spaces left out.

    Raises:
        ValueError: another letter, no letter, or too many.
    """
    labels = [c for c in text if not c.isspace()]
    for c in labels:
        if c not in LETTERS:
            raise ValueError(
                f"{c!r} is no letter of this task; the first is one of "
                f"{', '.join(FIRST)}, and then come {', '.join(NOISE)}."
            )
    _check_count(labels, "letters")
    return labels, torch.tensor([1 + LETTERS.index(c) for c in labels])


def read_numbers(text: str) -> tuple[list[str], Tensor]:
    """Numbers with spaces or commas between: labels and (T, INPUTS).

    A number stands in the first of the inputs; the others are 0.
    """
    labels = [part for part in re.split(r"[\s,;]+", text) if part]
    _check_count(labels, "numbers")
    x = torch.zeros(len(labels), INPUTS)
    for t, part in enumerate(labels):
        try:
            x[t, 0] = float(part)
        except ValueError:
            x[t, 0] = torch.nan
        if not x[t, 0].abs() <= 1000:
            raise ValueError(
                f"{part!r} is no number from -1000 to 1000; write numbers with spaces "
                "between, such as 1 0 0 -0.5."
            )
    return labels, x


def read_words(text: str) -> tuple[list[str], Tensor]:
    """Any words: labels and (T, INPUTS), a random vector that a word always has."""
    labels = WordTokenizer.split(text)
    _check_count(labels, "words")
    rows = []
    for word in labels:
        generator = torch.Generator().manual_seed(zlib.crc32(word.encode()))
        rows.append(torch.randn(INPUTS, generator=generator))
    return labels, torch.stack(rows)


def read_tokens(text: str, tokenizer: Tokenizer) -> tuple[list[str], Tensor]:
    """What the tokenizer of a trained model makes of a text: labels and tokens (T,)."""
    ids = tokenizer.encode(text)
    _check_count(ids, "tokens")
    return [tokenizer.vocabulary[i] for i in ids], torch.tensor(ids)


def _check_count(parts: list, what: str) -> None:
    if not 1 <= len(parts) <= LONGEST:
        raise ValueError(f"the text has {len(parts)} {what}; type 1 to {LONGEST}.")


# ---- the task that needs a memory


def memory_batch(
    count: int, length: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Sequences and the class of their first letter: (count, length) and (count,)."""
    first = torch.randint(len(FIRST), (count, 1), generator=generator)
    rest = torch.randint(len(NOISE), (count, length - 1), generator=generator)
    return torch.cat([1 + first, 1 + len(FIRST) + rest], dim=1), first[:, 0]


@dataclass
class Record:
    """What was measured after some training steps; one row for each of `KINDS`.

    Fields:
        step: training steps taken.
        losses, accuracies: (kinds,) over the test sequences.
        reach: (kinds, 2, T), gradient with respect to the input and to the state.
    """

    step: int
    losses: np.ndarray
    accuracies: np.ndarray
    reach: np.ndarray


@dataclass
class SequenceLab:
    """Three recurrent classifiers that learn to remember the first letter.

    Args:
        hidden: C, units of each.
        length: T, letters of a sequence.
        radius: spectral radius of the recurrent matrices at the start.
        keep: bias of the forget gate (LSTM) and of the update gate (GRU) at the start.
        learning_rate: of Adam.
        seed: of weights, training and test sequences.
        device: where the models live.
    """

    hidden: int = 16
    length: int = 20
    radius: float = 1.0
    keep: float = 3.0
    learning_rate: float = 0.01
    seed: int = 0
    device: str = "cpu"
    step: int = 0
    history: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first = {kind: self._model(kind) for kind in KINDS}
        self.models = {kind: copy.deepcopy(m) for kind, m in self.first.items()}
        self.optimizers = {
            kind: Adam(model.parameters(), learning_rate=self.learning_rate)
            for kind, model in self.models.items()
        }
        self._batches = torch.Generator().manual_seed(self.seed)
        self._waiting: list[str] = []  # models that have yet to take this step
        tests = torch.Generator().manual_seed(self.seed + 1)
        self.tests = self._to(*memory_batch(TESTS, self.length, tests))

    def _model(self, kind: str) -> RecurrentClassifier:
        model = RecurrentClassifier(
            1 + len(LETTERS), len(FIRST), INPUTS, self.hidden, kind, seed=self.seed
        )
        set_memory(model.recurrent.cells[0], self.radius, self.keep)
        return model.to(self.device)

    def _to(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(t.to(self.device) for t in tensors)

    def train_step(self) -> Iterator[None]:
        """One step of Adam for each model on the same batch; yields between them.

        If it is left in between, the next call goes on with the models that wait.
        """
        if not self._waiting:
            self._waiting = list(KINDS)
            self._batch = self._to(*memory_batch(BATCH, self.length, self._batches))
        x, y = self._batch
        while self._waiting:
            model = self.models[self._waiting[0]]
            optimizer = self.optimizers[self._waiting[0]]
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            _clip(model)
            optimizer.step()
            self._waiting.pop(0)
            if not self._waiting:
                self.step += 1
            yield

    def measure(self) -> Iterator[None]:
        """Append a `Record`; yields between the models."""
        x, y = self.tests
        losses, accuracies, reach = [], [], []
        for model in self.models.values():
            with torch.no_grad():
                logits = model(x)
            losses.append(cross_entropy(logits, y).item())
            accuracies.append((logits.argmax(1) == y).float().mean().item())
            yield
            seen = gradient_reach(model, model.embedding(x[:EXAMPLES]), y[:EXAMPLES])
            reach.append([seen["input"], seen["state"]])
            yield
        self.history.append(
            Record(self.step, np.array(losses), np.array(accuracies), np.array(reach))
        )

    def work(self, steps: int) -> Iterator[None]:
        """Train up to so many steps in all, with a record every `EVERY` steps."""
        while True:
            last = self.history[-1].step if self.history else -1
            due = self.step % EVERY == 0 or self.step >= steps
            if due and not self._waiting and self.step > last:
                yield from self.measure()
            if self.step >= steps:
                return
            yield from self.train_step()

    def run(self, steps: int) -> SequenceLab:
        """Train here and now."""
        for _ in self.work(steps):
            pass
        return self


def _clip(model: nn.Module, most: float = 1.0) -> None:
    """Shorten a gradient longer than this (Pascanu, Mikolov, Bengio, 2013)."""
    nn.utils.clip_grad_norm_(model.parameters(), most)
