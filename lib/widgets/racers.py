"""How the optimizers look in every picture: one colour, mark and dash each.

The colours are those of Okabe and Ito, which colour-blind people can tell apart
(https://jfly.uni-koeln.de/color/), a little lighter on a dark page. Marks and dashes
differ too, so that nothing depends on colour alone.
"""

from __future__ import annotations

from typing import Any

# name -> (label, colour on light, colour on dark, mark, dash)
RACERS: dict[str, tuple[str, str, str, str, tuple[int, ...]]] = {
    "GradientDescent": ("Gradient descent", "#000000", "#ffffff", "circle", ()),
    "SGD": ("SGD", "#7a7a7a", "#b4b4b4", "hexagon", (2, 3)),
    "Momentum": ("Momentum", "#0072b2", "#4da3e0", "square", ()),
    "Nesterov": ("Nesterov", "#56b4e9", "#9ad5ff", "diamond", (8, 3)),
    "AdaGrad": ("AdaGrad", "#009e73", "#2ccba0", "up", ()),
    "RMSProp": ("RMSProp", "#e69f00", "#f2b632", "down", (5, 3)),
    "Adam": ("Adam", "#d55e00", "#ff7a2e", "right", ()),
    "AdamW": ("AdamW", "#cc79a7", "#e6a3c8", "left", (8, 3, 2, 3)),
}
LABELS = {name: look[0] for name, look in RACERS.items()}
MATPLOTLIB_MARKS = {
    "circle": "o", "hexagon": "h", "square": "s", "diamond": "D",
    "up": "^", "down": "v", "right": ">", "left": "<",
}  # fmt: skip


def styles_for_page() -> list[dict[str, Any]]:
    """One dict a racer: name, label and style, as the page's legend takes it."""
    return [
        {
            "name": name,
            "label": label,
            "style": {"light": light, "dark": dark, "mark": mark, "dash": list(dash)},
        }
        for name, (label, light, dark, mark, dash) in RACERS.items()
    ]


def line_style(name: str) -> dict[str, Any]:
    """Keyword arguments of matplotlib's `plot` for one racer."""
    label, light, _dark, _mark, dash = RACERS[name]
    return {
        "label": label,
        "color": light,
        "linestyle": (0, dash) if dash else "-",
        "linewidth": 1.6,
    }


def mark_style(name: str) -> dict[str, Any]:
    """Keyword arguments of matplotlib's `plot` for the head of one racer."""
    _label, light, _dark, mark, _dash = RACERS[name]
    return {
        "color": light,
        "marker": MATPLOTLIB_MARKS[mark],
        "markersize": 7,
        "markeredgecolor": "white",
        "linestyle": "none",
        "zorder": 4,
    }
