"""The part of `AttentionView` that trains a model while you look into it."""

from __future__ import annotations

from typing import Any

from lib.attention_practice import TASKS, Practice
from lib.device import available_devices
from lib.widgets.base import Work
from lib.widgets.controls import Control
from lib.widgets.playing import Beat

FRAME = 1 / 32  # seconds between two records while it trains

TRAINING = (
    Control("task", "Task", "choice", "repeat", choices=tuple(TASKS.items()),
            help="A new task starts again"),
    Control("length", "Letters", "range", 8, 3, 12, 1,
            help="Letters to remember; a new number starts again"),
    Control("learning_rate", "Learning rate", "log", 0.003, 1e-4, 0.1, 0.02,
            help="Of Adam; changes at once"),
    Control("speed", "Speed", "choice", "1",
            choices=(("1", "1 step a frame"), ("5", "5 steps"), ("20", "20 steps"))),
    Control("steps", "Steps", "range", 1500, 100, 5000, 100, help="Play stops here"),
    Control("device", "Device", "choice", "cpu",
            choices=tuple((d, d.upper()) for d in available_devices()),
            help="Another device starts again"),
)  # fmt: skip


class Training:
    """Play, pause, step, reset and the scrubber, for a widget with a `practice`."""

    def _new_practice(self, values: dict[str, Any]) -> Practice:
        defaults = {control.name: control.default for control in TRAINING}
        chosen = {**defaults, **values}
        names = ("task", "length", "learning_rate", "device")
        return Practice(**{name: chosen[name] for name in names}, **self._shape)

    def do_play(self) -> None:
        """Train on from here, live."""
        self.stop()
        if self.practice.step >= self.values["steps"]:
            self.do_reset()
        self._playing, self._trying = True, False
        self._shown = self.impact = None
        self.start(self._training())

    def do_pause(self) -> None:
        """Stop after the step in hand; playing goes on from there."""
        self.stop()
        self._playing = self._trying = False

    def do_step(self) -> None:
        """One update."""
        self.do_pause()
        self._shown = self.impact = None
        self._advance(1)

    def do_reset(self) -> None:
        """Back to the first weights and the first batch."""
        self.do_pause()
        self._runs += 1
        self._shown = self.impact = None
        self.film.clear()
        self.curve.clear()
        self.practice = self._new_practice(self.values)
        self.subject = self.practice.subject
        self._advance(0)

    def do_another(self) -> None:
        """Another sequence to look at; the earlier looks are forgotten."""
        self._example += 1
        self._shown = self.impact = None
        self.film.clear()
        self._settle()

    def do_show(self, step: int | None) -> None:
        """Show the look that was kept at this step; None is the newest."""
        self._shown = step if step in self.film.records else None

    def _advance(self, steps: int) -> None:
        self.practice.advance(steps)
        self.curve.append((self.practice.step, *self.practice.score()))
        self._settle()

    def _train_now(self, steps: int | None) -> None:
        """Train here and now, as many steps, or up to the control."""
        self.do_pause()
        left = self.values["steps"] - self.practice.step if steps is None else steps
        while left > 0:
            self._advance(min(20, left))
            left -= 20

    def _training(self) -> Work:
        """Steps and looks on the beat, until the goal."""
        beat = Beat()
        try:
            while self._playing and self.practice.step < self.values["steps"]:
                left = self.values["steps"] - self.practice.step
                for _ in range(min(int(self.values["speed"]), left) - 1):
                    self.practice.advance(1)
                    yield
                self._advance(1)
                yield beat.rest(FRAME)
        finally:
            self._playing = False
