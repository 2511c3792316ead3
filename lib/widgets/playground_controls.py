"""The controls of the playground, and what its text of hidden layers may say."""

from __future__ import annotations

import re
from dataclasses import replace

from lib.device import available_devices
from lib.models.mlp import ACTIVATIONS
from lib.playground import FEATURES
from lib.widgets.controls import Control
from lib.widgets.racers import LABELS

LAYERS, NEURONS = 6, 8  # the most that a network of the playground has
STRENGTHS = tuple((s, s if s != "0" else "none") for s in
                  ("0", "0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1",
                   "0.3", "1"))  # fmt: skip
DRAWN = ("drawn", "only points that I add")

CONTROLS = (
    Control("problem", "Problem", "choice", "classification",
            choices=(("classification", "classification"),
                     ("regression", "regression")),
            help="Tell two classes apart, or predict a height"),
    Control("dataset", "Data set", "choice", "circles",
            choices=(("circles", "circles"), ("moons", "moons"),
                     ("spirals", "spirals"), ("exclusive_or", "exclusive or"),
                     ("clouds", "two clouds"), DRAWN)),
    Control("target", "Surface", "choice", "hills",
            choices=(("hills", "hills"), ("plane", "plane"),
                     ("ripples", "ripples"), DRAWN)),
    Control("points", "Points", "range", 200, 20, 1000, 20),
    Control("noise", "Noise", "range", 0.1, 0.0, 0.5, 0.01,
            help="Standard deviation; a class has the radius 1, a height the "
                 "range −1 to 1"),
    Control("test_share", "Test share", "range", 0.4, 0.1, 0.9, 0.05,
            help="The part of the points that is kept for the test"),
    Control("data_seed", "Seed of points", "range", 0, 0, 99, 1),
    Control("features", "Features", "several", ("x1", "x2"),
            choices=tuple((name, name) for name in FEATURES)),
    Control("hidden", "Hidden layers", "text", "4 2", high=23,
            help="Neurons of each hidden layer, such as 4 2"),
    Control("activation", "Activation", "choice", "tanh",
            choices=tuple((name, name) for name in ACTIVATIONS)),
    Control("seed", "Seed of weights", "range", 0, 0, 99, 1,
            help="Of the first weights, the order of the points and the dropout"),
    Control("optimizer", "Optimizer", "choice", "Adam",
            choices=tuple(LABELS.items())),
    Control("learning_rate", "Learning rate", "log", 0.02, 1e-4, 10.0, 0.02),
    Control("batch_size", "Batch", "range", 10, 1, 128, 1,
            help="Points in a mini-batch"),
    Control("l1", "L1 penalty", "choice", "0", choices=STRENGTHS),
    Control("l2", "L2 penalty", "choice", "0", choices=STRENGTHS),
    Control("dropout", "Dropout", "range", 0.0, 0.0, 0.8, 0.05,
            help="The part of the hidden neurons that one step leaves out"),
    Control("speed", "Speed", "choice", "epoch",
            choices=(("step", "1 step a frame"), ("epoch", "1 epoch a frame"),
                     ("ten", "10 epochs a frame"), ("fast", "as fast as it can"))),
    Control("epochs", "Stop at epoch", "range", 1000, 10, 5000, 10,
            help="An epoch is one pass over the training points"),
    Control("stop_loss", "Stop at test loss", "range", 0.0, 0.0, 0.5, 0.005,
            help="Stop when the test loss is this low; 0 is never"),
    Control("device", "Device", "choice", "cpu",
            choices=tuple((d, d.upper()) for d in available_devices())),
    Control("show_test", "Test points", "toggle", True,
            help="Show the points that are not trained on"),
    Control("discretise", "Two colours", "toggle", False,
            help="Show only the sign of the output"),
)  # fmt: skip


def layer_sizes(text: str) -> tuple[int, ...]:
    """ "4 2" as (4, 2); "" as ().

    Raises:
        ValueError: not 0 to 6 numbers from 1 to 8.
    """
    words = re.split(r"[\s,]+", text.strip(" ,")) if text.strip(" ,") else []
    fits = all(re.fullmatch(r"[0-9]", w) and 1 <= int(w) <= NEURONS for w in words)
    if not fits or len(words) > LAYERS:
        raise ValueError(
            f"hidden was given {text!r}; it takes 0 to {LAYERS} numbers from 1 to "
            f"{NEURONS}, one for each hidden layer, such as '4 2'."
        )
    return tuple(map(int, words))


def with_own(controls: tuple[Control, ...], classes: bool) -> tuple[Control, ...]:
    """The controls with the reader's own data among the sets, and chosen."""
    problem, name = (
        ("classification", "dataset") if classes else ("regression", "target")
    )
    out = []
    for control in controls:
        if control.name == name:
            own = (("own", "your data"), *control.choices)
            control = replace(control, choices=own, default="own")
        elif control.name == "problem":
            control = replace(control, default=problem)
        out.append(control)
    return tuple(out)
