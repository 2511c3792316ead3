"""What the training dashboard is made of: its controls, and what it tells the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from lib.dashboard import BINS, SCHEDULES, SHOWN, Detail, Run
from lib.dashboard_data import MODELS, SETS, Examples, label_of
from lib.device import available_devices
from lib.widgets.base import as_bytes
from lib.widgets.controls import Control
from lib.widgets.model_race import RATES, _listed
from lib.widgets.racers import LABELS

DECAYS = ("0", "0.00001", "0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1")
DEEP_DECAY = "0.001"  # the documents' network that is held back by L2
SPEEDS = (("1", "1 step a frame"), ("5", "5 steps"), ("20", "20 steps"),
          ("epoch", "an epoch"), ("0", "as fast as it can"))  # fmt: skip
POINTS = 256  # numbers, at most, that the page draws of one example without a picture
# Controls that every run has; those of run B end in "_b".
LIVE = ("learning_rate", "weight_decay", "dropout", "schedule")
AGAIN = ("model", "optimizer", "batch_size")

OF_A_RUN = (
    Control("model", "Model", "choice", "mlp",
            choices=tuple((name, look[0]) for name, look in MODELS.items()),
            help="A new model starts again"),
    Control("optimizer", "Optimizer", "choice", "Momentum",
            choices=tuple((k, v) for k, v in LABELS.items() if k != "GradientDescent"),
            help="Starts again, at this optimizer's usual rate"),
    Control("batch_size", "Batch size", "range", 64, 1, 512, 1,
            help="Examples in a mini-batch; a new value starts again"),
    Control("learning_rate", "Learning rate", "log", RATES["Momentum"], 1e-5, 10.0,
            0.02, help="Changes at once, while it trains"),
    Control("schedule", "Schedule", "choice", "constant",
            choices=tuple(SCHEDULES.items()),
            help="How the rate changes over the whole training"),
    Control("weight_decay", "Weight decay", "choice", "0",
            choices=tuple((d, d) for d in DECAYS),
            help="The pull of every weight towards 0; changes at once"),
    Control("dropout", "Dropout", "range", 0.5, 0.0, 0.9, 0.05,
            help="For models that have it: the share of numbers set to 0"),
)  # fmt: skip
CONTROLS = (
    Control("data", "Data", "choice", "digits", choices=tuple(SETS.items()),
            help="New data starts again"),
    Control("compare", "Two runs side by side", "toggle", False,
            help="Run B trains in step with run A, with settings of its own"),
    Control("epochs", "Epochs", "range", 20, 1, 100, 1,
            help="Passes over the training data; may change while it trains"),
    Control("device", "Device", "choice", "cpu",
            choices=tuple((d, d.upper()) for d in available_devices())),
    Control("speed", "Speed", "choice", "1", choices=SPEEDS),
    *OF_A_RUN,
    *(replace(c, name=c.name + "_b") for c in OF_A_RUN),
)  # fmt: skip


def starting_values(
    model: str, values: dict[str, Any], compare: Any, fits: list[str]
) -> dict[str, Any]:
    """The controls' first values: those given, and what goes with them.

    Run B is as run A but for what `compare` says; without a word it takes Adam.
    """
    if not (compare is None or isinstance(compare, bool | dict)):
        raise ValueError(f"compare was {compare!r}; give None, True or a dict.")
    a = {"model": model, **values}
    if model == "mlp" and model not in fits:  # the default, for texts
        a["model"] = fits[0]
    given = compare if isinstance(compare, dict) else {"optimizer": "Adam"}
    b = {c.name: a[c.name] for c in OF_A_RUN if c.name in a}
    if "optimizer" in given:
        b.pop("learning_rate", None)
    if "model" in given:
        b.pop("weight_decay", None)
    _complete(a)
    b = _complete({**b, **given})
    return {
        **{name + "_b": value for name, value in b.items()},
        **a,
        "compare": bool(compare) or isinstance(compare, dict),
        "device": _listed(values.get("device")),
    }


def _complete(values: dict[str, Any]) -> dict[str, Any]:
    """The usual rate of the optimizer, and the decay that belongs to the model."""
    if values.get("optimizer") in RATES:
        values.setdefault("learning_rate", RATES[values["optimizer"]])
    if values["model"] == "deep":
        values.setdefault("weight_decay", DEEP_DECAY)
    return values


def with_own(control: Control, models: dict[str, Any], data: str) -> Control:
    """The control with models and data of one's own among its choices."""
    new = {"model": models, "model_b": models, "data": (data,)}.get(control.name, ())
    known = [name for name, _label in control.choices]
    extra = tuple((name, name) for name in new if name not in known)
    return replace(control, choices=extra + control.choices) if extra else control


def own_models(models: dict[str, Any] | None) -> dict[str, Any]:
    for name, maker in (models or {}).items():
        if isinstance(maker, nn.Module) or not callable(maker):
            raise ValueError(
                f"the model {name!r} is a {type(maker).__name__}; give a function of "
                "the seed that makes one, since a reset makes it anew: lambda seed: ..."
            )
    return dict(models or {})


def about_run(name: str, run: Run) -> dict[str, Any]:
    """What the page says of one run."""
    return {
        "name": name,
        "label": run.label,
        "optimizer": LABELS[run.settings.optimizer],
        "layers": [label for label, _ in run.layers],
        "weights": sum(p.numel() for p in run.model.parameters()),
        "drops": bool(run.drops),
        "alive": run.alive,
        "step": run.step,
        "total": run.total,
        "bins": BINS,
    }


def packed(detail: Detail) -> bytes:
    """Step, reaches and confusion as float32, then histograms and probabilities."""
    numbers = [[detail.step], detail.reach.tolist(),
               detail.confusion.flatten().tolist()]  # fmt: skip
    return b"".join(as_bytes(*numbers)) + b"".join(
        part.numpy().tobytes() for part in (detail.histograms, detail.probabilities)
    )


def about_examples(e: Examples, fits: list[str]) -> tuple[dict[str, Any], bytes]:
    """What the page needs to show the validation examples: facts, and numbers."""
    x = e.x_check[:SHOWN].cpu()
    about = {
        "name": e.name,
        "kind": e.kind,
        "shape": list(x.shape),
        "targets": list(e.targets),
        "truth": e.y_check[:SHOWN].tolist(),
        "texts": list(e.texts[:SHOWN]),
        "sizes": [len(e.y), len(e.y_check)],
        "models": [[name, label_of(name, e)] for name in fits],
    }
    if e.kind == "pictures":
        low, high = x.min(), x.max()
        pixels = (255 * (x - low) / (high - low).clamp(min=1e-12)).round()
        return about, pixels.byte().numpy().tobytes()
    if e.kind == "tokens":
        return about, b""
    x = x.flatten(1)[:, :: -(-x[0].numel() // POINTS)]
    return {**about, "shape": list(x.shape)}, as_bytes(x)[0]
