"""What you see of a training run: its history, and a bar of text while it lasts.

Neither slows the run. A loss stays a tensor until somebody wants to read it, because
`.item()` makes a GPU stop and wait; the bar reads one five times a second at most.

Left out: pictures, which `lib.plots` draws, and live ones, which the widgets draw.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import torch
from torch import Tensor

# Steps after which the losses are read all at once, so that no run holds a million
# tensors of one number each.
READ_EVERY = 1000
# Variables that say that text is being compared, and that times must stay out of it.
COMPARED = ("PYTEST_VERSION", "LESSON_SCRATCH")
WIDTH = 20  # characters of the bar


@dataclass(repr=False)
class History:
    """The columns of a run, one entry for each step, and those of its validations.

    Attributes:
        step, epoch: counted from 1.
        learning_rate: of the step.
        loss: of the batch before the step, numbers; reading it waits for the GPU.
        validation: "step", "epoch", "loss" and each metric by its name, one entry for
            each validation.
        ended: "finished", "stopped early" or "interrupted"; "" before.
    """

    step: list[int] = field(default_factory=list)
    epoch: list[int] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    validation: dict[str, list[float]] = field(default_factory=dict)
    ended: str = ""

    def __post_init__(self) -> None:
        self._read: list[float] = []
        self._waiting: list[Tensor] = []

    @property
    def loss(self) -> list[float]:
        if self._waiting:
            self._read += torch.stack(self._waiting).tolist()
            self._waiting.clear()
        return self._read

    def add(self, step: Any) -> None:
        """Take down a `lib.training.Step`."""
        self.step.append(step.step)
        self.epoch.append(step.epoch)
        self.learning_rate.append(step.learning_rate)
        self._waiting.append(step.loss)
        if len(self._waiting) >= READ_EVERY:
            _ = self.loss

    def add_validation(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Take down what `lib.training.evaluate` said after a step."""
        for name, value in {"step": step, "epoch": epoch, **values}.items():
            self.validation.setdefault(name, []).append(value)

    def __len__(self) -> int:
        """Steps."""
        return len(self.step)

    def __repr__(self) -> str:
        text = f"History({len(self)} steps"
        if self.step:
            text += f", loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}"
        for name, values in self.validation.items():
            if name not in ("step", "epoch"):
                text += f", validation {name} {values[-1]:.4g}"
        return text + (f", {self.ended})" if self.ended else ")")

    def state_dict(self) -> dict[str, Any]:
        """The columns as tensors, float64 and int64, exact, for a checkpoint."""
        return {
            "step": torch.tensor(self.step, dtype=torch.int64),
            "epoch": torch.tensor(self.epoch, dtype=torch.int64),
            "learning_rate": torch.tensor(self.learning_rate, dtype=torch.float64),
            "loss": torch.tensor(self.loss, dtype=torch.float64),
            "validation": {
                name: torch.tensor(
                    values,
                    dtype=torch.int64 if name in ("step", "epoch") else torch.float64,
                )
                for name, values in self.validation.items()
            },
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, in place of what is here."""
        self.step[:] = saved["step"].tolist()
        self.epoch[:] = saved["epoch"].tolist()
        self.learning_rate[:] = saved["learning_rate"].tolist()
        self._waiting.clear()
        self._read[:] = saved["loss"].tolist()
        self.validation.clear()
        for name, values in saved["validation"].items():
            self.validation[name] = values.tolist()


class Progress:
    """One line of text that says how far a run is, and how long it still takes.

        bar = Progress(total=300)
        for step in train(...):
            bar.show(step)
        bar.close()

    Args:
        total: steps of the run; None where nobody knows, then without time left.
        stream: what to write to. None takes standard error in a terminal and the
            output of the cell in a notebook, and writes nothing elsewhere: not into a
            file or a pipe, nor where the text of a lesson is compared with a stored
            one.
        every: seconds between two lines, so that writing costs next to nothing.
        clock: gives seconds.
    """

    def __init__(
        self,
        total: int | None,
        stream: TextIO | None = None,
        every: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.every, self.clock = total, every, clock
        self.stream = stream if stream is not None else default_stream()
        self.start = self.next = clock()
        self.first: int | None = None  # a resumed run begins later than at step 1
        self.width = 0
        self.last: Any = None

    def show(self, step: Any) -> None:
        """Write the line for a `lib.training.Step`, unless one was just written."""
        if self.stream is None:
            return
        if self.first is None:
            self.first = step.step - 1
        self.last = step
        if self.clock() >= self.next:
            self._write(step)
            self.next = self.clock() + self.every

    def close(self) -> None:
        """Write the last line and end it."""
        if self.last is not None:
            self._write(self.last)
            self.stream.write("\n")
            self.stream.flush()
            self.last = None

    def _write(self, step: Any) -> None:
        text = self.line(step)
        # "\r" goes back to the beginning; spaces cover what a longer line left there.
        self.stream.write("\r" + text.ljust(self.width))
        self.stream.flush()
        self.width = len(text)

    def line(self, step: Any) -> str:
        """The text for a step, such as "step 60 of 300 [####------] 0:12 left"."""
        words = [f"epoch {step.epoch}, step {step.step}"]
        spent = self.clock() - self.start
        if self.total is not None:
            part = min(step.step / self.total, 1.0)
            bar = ("#" * int(part * WIDTH)).ljust(WIDTH, "-")
            words[0] += f" of {self.total} [{bar}] {part:.0%}"
            done = step.step - self.first
            left = spent / done * max(self.total - step.step, 0)
            words.append(f"{_minutes(left)} left")
        else:
            words.append(_minutes(spent))
        return ", ".join([*words, f"loss {step.loss.item():.4g}"])


def default_stream(environment: Mapping[str, str] = os.environ) -> TextIO | None:
    """Where a bar is seen and does no harm; None where there is no such place."""
    if any(name in environment for name in COMPARED):
        return None
    if sys.stderr is not None and sys.stderr.isatty():
        return sys.stderr
    if "ipykernel" in sys.modules and "IPython" in sys.modules:
        # Loaded does not mean running: a script may import them as well.
        shell = sys.modules["IPython"].get_ipython()
        if shell is not None and hasattr(shell, "kernel"):
            return sys.stdout
    return None


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
