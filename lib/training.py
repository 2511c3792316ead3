"""One training loop for every lesson: a generator that yields after each step.

A lesson, a widget and a script all run the same loop and differ in what they do between
two steps: print, draw, stop, or change the rate.

    for step in train(model, loss, batches, optimizer, epochs=10):
        losses.append(step.loss)

    history = fit(model, loss, batches, optimizer, epochs=10)  # nothing in between

A step costs what the mathematics costs: the loss is handed over as a tensor, not as a
number, because `.item()` makes a GPU stop and wait.

The data comes from `lib.batches`, history and progress bar are in `lib.progress`, files
in `lib.checkpoints`, the loop itself in `lib.loop`. Left out: several devices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, TextIO

from torch import Tensor, nn

from lib.batches import Batch, check_count, count, minibatches
from lib.checkpoints import CheckpointError, Checkpoints
from lib.loop import Loop, Step
from lib.loop_parts import Loss, NonFiniteLoss, clip_gradient_norm, evaluate
from lib.progress import History, Progress

__all__ = [
    "Batch",
    "CheckpointError",
    "Checkpoints",
    "History",
    "NonFiniteLoss",
    "Progress",
    "Step",
    "clip_gradient_norm",
    "evaluate",
    "fit",
    "minibatches",
    "train",
]


def train(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[Batch],
    optimizer: Any,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    schedule: Callable[[int], float] | None = None,
    check_finite: bool = False,
    validation: Batch | Iterable[Batch] | None = None,
    validate_every: int | None = None,
    metrics: Mapping[str, Callable[[Tensor, Tensor], float]] | None = None,
    stopping: Any = None,
    monitor: str = "loss",
    clip_norm: float | None = None,
    accumulate: int = 1,
    precision: str | None = None,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    history: History | None = None,
) -> Generator[Step, None, None]:
    """Train a model; yields a `Step` after each update of its parameters.

    The model is in training mode while a step runs. You may evaluate it between two
    steps (`model.eval()`). At the end, after an error, and when you leave the
    generator (`close()`), each part of it is in the mode in which it was found. An
    interrupt (Ctrl-C, the stop button) waits until an update is complete.

    Args:
        model: predictions = model(inputs).
        loss: loss(predictions, targets) is a tensor of shape () to make small.
        batches: gives pairs (inputs, targets), and gives them anew for each epoch:
            `minibatches`, a list, or torch's `DataLoader`.
        optimizer: of `lib.optimizers`, or of `torch.optim`.
        epochs, steps: give one of the two: passes over the data, or updates, those
            before a checkpoint included.
        schedule: schedule(n) is the learning rate after n updates, so schedule(0) is
            that of the first. None leaves the rate to the optimizer.
        check_finite: True raises `NonFiniteLoss` before a loss that is infinite or
            NaN changes the parameters. It costs one wait for the GPU at each step.
        validation: (x, y) that are not trained on, or batches of them. `Step` then has
            what `evaluate` says of them.
        validate_every: steps between two validations; None takes the end of each epoch.
            There is one after the last step too, and a checkpoint, unless `epochs` are
            asked for and the batches do not say how many they are (len).
        metrics: metrics[name](predictions, targets), as in `evaluate`.
        stopping: has update(value) or update(value, model), which is True when it is
            time to stop: `lib.regularizers.EarlyStopping`. Asked after each validation.
        monitor: what of the validation it is given: "loss" or the name of a metric.
        clip_norm: the gradient is never longer than this (`clip_gradient_norm`).
        accumulate: batches for one step. Gradients are added up until then, weighted by
            examples, so a step equals that of one large batch if the loss is a mean.
        precision: None computes in the parameters' dtype; "bfloat16" or "float16" where
            that does no harm, by torch's autocast. "float16" multiplies the loss so
            that small gradients do not become 0, and leaves out an update where one
            becomes infinite. Validation goes without.
        checkpoints: where to write the run, and how often.
        resume: True goes on from the newest checkpoint, if there is one, bit for bit on
            a CPU: model, optimizer, batches, dropout, history and stopping are set to
            it. Give all arguments as they were.
        history: takes down every step; `fit` makes one.

    Raises:
        ValueError: neither or both of epochs and steps, or less than 1; batches that
            are empty, used up or not pairs; a loss that is not one number; options
            that do not go together.
        CheckpointError: the checkpoint is damaged or of another run.
    """
    if (epochs is None) == (steps is None):
        raise ValueError(
            f"epochs={epochs} and steps={steps}: give one of the two, not both."
        )
    check_count(**({"epochs": epochs} if steps is None else {"steps": steps}))
    check_count(accumulate=accumulate)
    # The checks run at the call; the generator waits for the first step.
    loop = Loop(model, loss, batches, optimizer, epochs, steps, schedule, check_finite)
    loop.watch(validation, validate_every, metrics, stopping, monitor)
    loop.change(clip_norm, accumulate, precision)
    loop.keep(checkpoints, resume, history)
    return loop.run()


def fit(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[Batch],
    optimizer: Any,
    *,
    progress: bool | TextIO = False,
    **options: Any,
) -> History:
    """Train a model to the end and return the history of it.

    Stop it with Ctrl-C or the notebook's stop button: the history so far is returned,
    its `ended` is "interrupted", and the model has made whole steps only.

    Args:
        model, loss, batches, optimizer, options: as in `train`.
        progress: True shows a bar of text (`lib.progress.Progress`), or a stream to
            write it to.
    """
    history = options.pop("history", None)
    history = History() if history is None else history  # an empty one is false
    run = train(model, loss, batches, optimizer, history=history, **options)
    total, epochs = options.get("steps"), options.get("epochs")
    if total is None and (length := count(batches)) is not None:
        total = epochs * math.ceil(length / options.get("accumulate", 1))
    stream = None if isinstance(progress, bool) else progress
    bar = None if progress is False else Progress(total, stream)
    try:
        for step in run:
            if bar is not None:
                bar.show(step)
    except KeyboardInterrupt:
        history.ended = "interrupted"
    finally:
        run.close()
        if bar is not None:
            bar.close()
    return history
