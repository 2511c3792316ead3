"""Live widgets. Import one by name: `from lib.widgets import DescentRace`.

Each loads only when asked for, since ipywidgets and matplotlib take their time.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "DescentRace": "race",
    "LineFit": "line_fit",
    "ModelRace": "model_race",
    "Playground": "playground",
    "TrainingDashboard": "dashboard",
    "AttentionView": "attention",
    "Heatmaps": "heatmaps",
    "Convolution": "convolution",
    "Sequence": "sequence",
    "Graph": "graph",
    "NextToken": "next_token",
    "TokenizerView": "tokenizer",
    "Threshold": "threshold",
    "Regularisation": "regularisation",
    "Augmentation": "augmentation",
    "ScaleCalculator": "scale",
    "Timeline": "timeline",
    "Search": "search",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"lib.widgets has {', '.join(_HOME)}, but no {name!r}")
    return getattr(import_module(f"lib.widgets.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
