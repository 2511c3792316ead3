"""The learning rates with which the descent race opens, one per surface and racer.

They are what `lib.descent.best_rate` finds from each surface's own start; a test finds
them again. They stand here because the search takes about a second for each surface,
and a menu must answer at once. To make the table anew: `python -m lib.best_rates`.
"""

from __future__ import annotations

BEST_RATES: dict[str, dict[str, float]] = {
    "bowl": {
        "GradientDescent": 1,
        "SGD": 1,
        "Momentum": 0.1,
        "Nesterov": 1,
        "AdaGrad": 2,
        "RMSProp": 0.1,
        "Adam": 1,
        "AdamW": 2,
    },
    "ravine": {
        "GradientDescent": 0.05,
        "SGD": 0.05,
        "Momentum": 0.02,
        "Nesterov": 0.05,
        "AdaGrad": 2,
        "RMSProp": 0.1,
        "Adam": 0.5,
        "AdamW": 2,
    },
    "saddle": {
        "GradientDescent": 0.1,
        "SGD": 0.1,
        "Momentum": 0.2,
        "Nesterov": 0.1,
        "AdaGrad": 0.5,
        "RMSProp": 0.1,
        "Adam": 1,
        "AdamW": 1,
    },
    "rosenbrock": {
        "GradientDescent": 0.005,
        "SGD": 0.005,
        "Momentum": 0.002,
        "Nesterov": 0.002,
        "AdaGrad": 1,
        "RMSProp": 0.1,
        "Adam": 0.5,
        "AdamW": 0.5,
    },
    "beale": {
        "GradientDescent": 0.02,
        "SGD": 0.02,
        "Momentum": 0.005,
        "Nesterov": 0.005,
        "AdaGrad": 2,
        "RMSProp": 0.2,
        "Adam": 0.5,
        "AdamW": 0.5,
    },
    "himmelblau": {
        "GradientDescent": 0.02,
        "SGD": 0.02,
        "Momentum": 0.02,
        "Nesterov": 0.01,
        "AdaGrad": 1,
        "RMSProp": 0.1,
        "Adam": 1,
        "AdamW": 1,
    },
    "noisy": {
        "GradientDescent": 2,
        "SGD": 2,
        "Momentum": 0.2,
        "Nesterov": 0.5,
        "AdaGrad": 1,
        "RMSProp": 0.1,
        "Adam": 1,
        "AdamW": 1,
    },
}


def find_best_rates() -> dict[str, dict[str, float]]:
    """surface -> optimizer -> rate, searched anew; takes some seconds."""
    from lib.descent import best_rate
    from lib.optimizers import OPTIMIZERS
    from lib.surfaces import SURFACES

    return {
        key: {name: best_rate(place, name, place.start) for name in OPTIMIZERS}
        for key, place in SURFACES.items()
    }


if __name__ == "__main__":
    for key, rates in find_best_rates().items():
        print(f'    "{key}": {{')
        for name, rate in rates.items():
            print(f'        "{name}": {rate:g},')
        print("    },")
