"""Training runs to look at: one or two models that train side by side.

`TrainingRuns` holds the runs over the same examples and keeps them in step. How one
`Run` trains and what is measured of it is in `lib.dashboard_run`, data and models are
in `lib.dashboard_data`.

Left out: pictures and widgets (`lib.widgets.dashboard`), mixed precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lib.dashboard_data import Examples, Maker, examples_of
from lib.dashboard_run import BINS, SCHEDULES, SHOWN, Detail, Record, Run, Settings
from lib.device import choose_device
from lib.optimizers import OPTIMIZERS

__all__ = [
    "BINS",
    "SCHEDULES",
    "SHOWN",
    "Detail",
    "Record",
    "Run",
    "Settings",
    "TrainingRuns",
]


class TrainingRuns:
    """One or two runs over the same examples, step by step together.

    Args:
        data: a name or a set, as `lib.dashboard_data.examples_of` takes it.
        settings: name of a run -> its settings.
        models: models of one's own: name -> callable(seed) that makes one.
        epochs: passes over the data.
        seed: of first weights and mini-batches, the same for all runs.
        device: where to train; the best one found if not given.

    Raises:
        ValueError: data, model, optimizer, schedule or device that do not exist.
    """

    def __init__(
        self,
        data: Any = "digits",
        settings: dict[str, Settings] | None = None,
        models: dict[str, Maker] | None = None,
        epochs: int = 20,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        settings = {"A": Settings()} if settings is None else settings
        for each in settings.values():
            for value, known in ((each.optimizer, OPTIMIZERS),
                                 (each.schedule, SCHEDULES)):  # fmt: skip
                if value not in known:
                    raise ValueError(
                        f"{value!r} is not known; choose one of {', '.join(known)}."
                    )
        self.device = choose_device(device)
        examples = data if isinstance(data, Examples) else examples_of(data)
        self.examples = examples.to(self.device)
        self.own, self.seed = dict(models or {}), seed
        self.runs = {
            name: Run(self.examples, each, self.own, seed)
            for name, each in settings.items()
        }
        self.set_epochs(epochs)

    def set_epochs(self, epochs: int) -> None:
        """Train for so many passes over the data; may change while it trains."""
        for run in self.runs.values():
            run.epochs = epochs

    @property
    def step(self) -> int:
        """Steps that every run has taken which has more to take."""
        active = [run.step for run in self.runs.values() if run.active]
        return min(active) if active else max(r.step for r in self.runs.values())

    @property
    def total(self) -> int:
        """Steps of the longest run."""
        return max(run.total for run in self.runs.values())

    @property
    def active(self) -> bool:
        return any(run.active for run in self.runs.values())

    def advance_work(self) -> Iterator[None]:
        """One step of every run, one after another; one that lags catches up."""
        goal = self.step + 1
        for run in self.runs.values():
            if run.active and run.step < goal:
                run.advance()
                yield

    def even_work(self) -> Iterator[None]:
        """Runs that an interruption between two runs left a step behind take it."""
        goal = max(run.step for run in self.runs.values())
        for run in self.runs.values():
            if run.active and run.step < goal:
                run.advance()
                yield

    def record_work(self) -> Iterator[None]:
        """Measure every run that has moved since its last record, all at one step."""
        yield from self.even_work()
        for run in self.runs.values():
            noted = run.history[-1].step if run.history else -1
            if run.alive and run.step > noted:
                yield from run.record_work()

    def move_to(self, device: str) -> None:
        """Go on training on another device."""
        if choose_device(device) == self.device:
            return
        self.device = choose_device(device)
        self.examples = self.examples.to(self.device)
        for run in reversed(self.runs.values()):
            run.move_to(self.examples)

    def close(self) -> None:
        """End all loops, the last begun first: each gives Ctrl-C back to the one."""
        for run in reversed(self.runs.values()):
            run.close()
