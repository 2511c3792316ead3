"""The loop behind `lib.training.train`: one step, and what is due after it.

`Loop.run` is the generator; `_step` is a step of training. Around that stand what is
measured (`_validate`), and what is written down and read again (`_state`, `_load`).

Mixed precision: Micikevicius et al., "Mixed Precision Training", ICLR 2018. Left out:
several devices.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lib.batches import Batch, check_count, count, generator_of, groups, pairs
from lib.checkpoints import (
    CheckpointError,
    generator_states,
    set_generator_states,
)
from lib.loop_parts import (
    Interrupts,
    Scaled,
    check_norm,
    clip_gradient_norm,
    evaluate,
    one_number,
    rate_of,
    refuse_non_finite,
    set_rate,
)
from lib.progress import History

PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# How far a run is: updates, pass, batches taken in this pass, examples in all, and
# whether `stopping` ended it.
PLACE = ("done", "epoch", "taken", "examples", "stopped")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of training did.

    Attributes:
        step: steps taken so far, this one included; the first is 1.
        epoch: pass over the data that the step belongs to; the first is 1.
        loss: () of the batch before the step, detached and on the model's device.
        learning_rate: rate of the step.
        examples: examples seen so far, counted again in each epoch.
        validation: "loss" and each metric after the step, numbers; None where nothing
            was validated.
        gradient_norm: () before it was clipped; None without clipping.
    """

    step: int
    epoch: int
    loss: Tensor
    learning_rate: float
    examples: int
    validation: dict[str, float] | None = None
    gradient_norm: Tensor | None = None


class Loop:
    """One run of `train`: what was asked for, and how far it is."""

    def __init__(
        self, model, loss, batches, optimizer, epochs, steps, schedule, check_finite
    ) -> None:
        self.model, self.loss, self.batches = model, loss, batches
        self.optimizer, self.schedule = optimizer, schedule
        self.epochs, self.steps, self.check_finite = epochs, steps, check_finite
        self.done, self.epoch, self.taken, self.examples = 0, 1, 0, 0
        self.ended = self.stopped = False

    def watch(self, validation, every, metrics, stopping, monitor) -> None:
        """What is measured on the way, and what may end it."""
        self.validation, self.every, self.metrics = validation, every, metrics
        self.stopping, self.monitor = stopping, monitor
        self.length = count(self.batches)
        if every is not None:
            check_count(validate_every=every)
        if validation is None:
            if every is not None or metrics or stopping is not None:
                raise ValueError(
                    "validate_every, metrics and stopping need validation=(x, y)."
                )
            return
        if every is None and self.length is None:
            raise ValueError(
                "the batches do not say how many they are (len), so the end of an "
                "epoch is not known before; give validate_every= in steps."
            )
        if monitor not in {"loss", *(metrics or {})}:
            raise ValueError(
                f"monitor is {monitor!r}, but the validation gives "
                f"{', '.join(['loss', *(metrics or {})])}."
            )
        if stopping is not None:
            takes = len(inspect.signature(stopping.update).parameters)
            self.kept = (self.model,) if takes > 1 else ()

    def change(self, clip_norm, accumulate, precision) -> None:
        """What is different from a plain step."""
        if clip_norm is not None:
            check_norm(clip_norm)
        if precision is not None and precision not in PRECISIONS:
            raise ValueError(
                f"precision is {precision!r}; choose None, {', '.join(PRECISIONS)}."
            )
        self.clip_norm, self.accumulate = clip_norm, accumulate
        self.precision, self.scaler = precision, None
        self.params = [p for p in self.model.parameters() if p.requires_grad]
        self.device = self.params[0].device.type if self.params else "cpu"
        if precision == "float16":
            self.scaler = torch.amp.GradScaler(self.device)
            self.scaled = Scaled(self.params, self.optimizer.step)

    def keep(self, checkpoints, resume, history) -> None:
        """What is written down."""
        self.checkpoints, self.resume, self.history = checkpoints, resume, history
        if checkpoints is None:
            if resume:
                raise ValueError("resume=True needs checkpoints=Checkpoints(folder).")
            return
        self.generator = generator_of(self.batches)
        if checkpoints.paths() and not resume:
            raise ValueError(
                f"{checkpoints.folder} holds checkpoints of an earlier run. "
                "resume=True goes on with it; for a new run take another folder."
            )
        if self.history is None:
            self.history = History()  # a resumed run wants the whole of it

    def run(self) -> Generator[Step, None, None]:
        modes = [(part, part.training) for part in self.model.modules()]
        self.interrupts = Interrupts()
        try:
            begin = self._load() if self.resume and self.checkpoints.paths() else None
            while not self.ended and (self.epochs is None or self.epoch <= self.epochs):
                for group in groups(self._walk(begin), self.accumulate):
                    yield self._step(group)
                    if self.ended:
                        break
                else:
                    self.epoch, self.taken, begin = self.epoch + 1, 0, None
            if self.history is not None:
                self.history.ended = "stopped early" if self.stopped else "finished"
        finally:
            self.interrupts.close()
            for part, training in modes:
                part.training = training

    def _walk(self, begin: dict[str, Tensor] | None) -> Iterator[Batch]:
        """The batches of this epoch, without those taken before a checkpoint."""
        if self.checkpoints is None:
            return pairs(self.batches, self.epoch)
        if begin is not None and self.generator is not None:
            self.generator.set_state(begin["before"])
        if self.generator is not None:
            self.before = self.generator.get_state()
        walk = pairs(self.batches, self.epoch)
        for _ in range(self.taken):
            if next(walk, None) is None:
                raise CheckpointError(
                    f"the checkpoint is {self.taken} batches into an epoch, which has "
                    "fewer. Give the batches as they were."
                )
        if begin is not None and self.generator is not None:
            self.generator.set_state(begin["now"])
        return walk

    def _step(self, group: list[Batch]) -> Step:
        if self.schedule is not None:
            set_rate(self.optimizer, self.schedule(self.done))
        if not self.model.training:
            self.model.train()
        self.optimizer.zero_grad()
        value, examples = self._backward(group)
        if self.scaler is not None:
            self.scaler.unscale_(self.scaled)
        norm = None
        if self.clip_norm is not None:
            norm = clip_gradient_norm(self.params, self.clip_norm)
        with self.interrupts:
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.scaled)
                self.scaler.update()
            self.done, self.taken = self.done + 1, self.taken + len(group)
            self.examples += examples
            rate = rate_of(self.optimizer)
            step = Step(self.done, self.epoch, value, rate, self.examples, None, norm)
            if self.history is not None:
                self.history.add(step)
            self.ended = self.done == self.steps
        if self.validation is None and self.checkpoints is None:
            return step
        return self._after(step)

    def _backward(self, group: list[Batch]) -> tuple[Tensor, int]:
        """Loss of all the batches together, (), and how many examples they have."""
        if len(group) == 1:
            return self._backward_one(*group[0], None), len(group[0][1])
        total = sum(len(targets) for _, targets in group)
        parts = [self._backward_one(x, y, len(y) / total) for x, y in group]
        return torch.stack(parts).sum(), total

    def _backward_one(
        self, inputs: Tensor, targets: Tensor, share: float | None
    ) -> Tensor:
        if self.precision is None:
            value = self.loss(self.model(inputs), targets)
        else:
            with torch.autocast(self.device, PRECISIONS[self.precision]):
                value = self.loss(self.model(inputs), targets)
        one_number(value)
        if self.check_finite:
            refuse_non_finite(value, self.done + 1)
        if share is not None:
            value = value * share
        (value if self.scaler is None else self.scaler.scale(value)).backward()
        return value.detach()

    def _after(self, step: Step) -> Step:
        """Validate, ask whether to stop, write a checkpoint, as far as it is due."""
        last = step.step == self.steps or (
            step.epoch == self.epochs and self.taken == self.length
        )
        if self.validation is not None and (last or self._is_due(step.step)):
            step = self._validate(step)
        keeps = self.checkpoints is not None
        if keeps and (last or self.ended or step.step % self.checkpoints.every == 0):
            self.checkpoints.save(step.step, self._state())
        return step

    def _is_due(self, done: int) -> bool:
        if self.every is not None:
            return done % self.every == 0
        return self.taken == self.length

    def _validate(self, step: Step) -> Step:
        values = evaluate(self.model, self.loss, self.validation, self.metrics)
        if self.history is not None:
            self.history.add_validation(step.step, step.epoch, values)
        if self.stopping is not None:
            value = values[self.monitor]
            self.stopped = bool(self.stopping.update(value, *self.kept))
            self.ended |= self.stopped
        return replace(step, validation=values)

    def _state(self) -> dict[str, Any]:
        """All that a run needs to go on from here."""
        batches = None
        if self.generator is not None:
            batches = {"before": self.before, "now": self.generator.get_state()}
        return {
            "run": {name: getattr(self, name) for name in PLACE},
            "settings": self._settings(),
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "stopping": None if self.stopping is None else dict(vars(self.stopping)),
            "generators": generator_states(self.model),
            "batches": batches,
            "history": self.history.state_dict(),
        }

    def _settings(self) -> dict[str, Any]:
        """What has to be the same when a run goes on."""
        return {
            "schedule": repr(self.schedule) if is_dataclass(self.schedule) else None,
            "accumulate": self.accumulate,
            "precision": self.precision,
            "clip_norm": self.clip_norm,
        }

    def _load(self) -> dict[str, Tensor] | None:
        """Set everything to the newest checkpoint; states of the batches' generator."""
        path = self.checkpoints.paths()[-1]
        saved = self.checkpoints.load(path)
        try:
            self._check(saved)
            self.optimizer.load_state_dict(saved["optimizer"])  # checks it as a whole
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is of another run: {error}") from error
        self.model.load_state_dict(saved["model"])
        set_generator_states(self.model, saved["generators"])
        if self.scaler is not None:
            self.scaler.load_state_dict(saved["scaler"])
        if self.stopping is not None:
            vars(self.stopping).update(saved["stopping"])
        self.history.load_state_dict(saved["history"])
        for name in PLACE:
            setattr(self, name, saved["run"][name])
        self.ended = self.stopped or self.done == self.steps
        return saved["batches"]

    def _check(self, saved: dict[str, Any]) -> None:
        """Raise ValueError for a checkpoint that does not fit, before any change."""
        for name, value in self._settings().items():
            if saved["settings"][name] != value:
                raise ValueError(
                    f"{name} was {saved['settings'][name]!r} and is {value!r}."
                )
        theirs, own = saved["model"], self.model.state_dict()
        for name in sorted(theirs.keys() | own.keys()):
            shapes = [
                tuple(x[name].shape) if name in x else None for x in (theirs, own)
            ]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"{name!r} had the shape {shapes[0]} and has {shapes[1]}."
                )
        if (saved["batches"] is None) != (self.generator is None):
            raise ValueError("the batches have a generator in one of the two only.")
        mine = None if self.stopping is None else vars(self.stopping).keys()
        if (saved["stopping"] and saved["stopping"].keys()) != mine:
            raise ValueError("stopping= is not what it was.")
