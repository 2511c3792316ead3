"""`claim`: state a measured result as a promise that either holds or stops the lesson.

A trained model's accuracy is never the same to the last digit on two machines. So a
lesson prints the promise, which is the same everywhere, and never the number:

    test accuracy: at least 0.95, holds

If the promise is broken, `ClaimFailed` says what was measured.

Left out: statistics. Take a threshold that ten seeds kept, not one.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
import torch


class ClaimFailed(AssertionError):
    """A claim that does not hold; its text has the measured value."""


def claim(
    what: str,
    value: Any,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    about: float | None = None,
    within: float | None = None,
    equal: float | bool | None = None,
) -> None:
    """Print that a result is within its bounds, or raise with the measured value.

    Args:
        what: names the result, such as "test accuracy".
        value: a Python number, or a numpy or torch value of one element. A bound is
            rounded to the precision of the value first, so that a float32 mean of
            0.95 is at least 0.95.
        at_least, at_most: bounds, both included.
        about, within: the value is at most `within` away from `about`.
        equal: exactly this number, or True or False.

    Raises:
        ClaimFailed: a bound does not hold, or the value is NaN.
        ValueError: no bound, a bound that is not a number, or bounds that no value
            can keep; a value that is not one number.
    """
    equal = bool(equal) if isinstance(equal, np.bool_) else equal
    bounds = {"at_least": at_least, "at_most": at_most, "about": about, "equal": equal}
    bounds = {name: bound for name, bound in bounds.items() if bound is not None}
    _check_bounds(bounds, within)
    promise = _promise(bounds, within)
    measured = _number(what, value)
    if isinstance(measured, bool) != isinstance(equal, bool):
        raise ValueError(
            f"{what}: {measured!r} cannot be compared with {promise!r}: True and False "
            "are compared with equal=True or equal=False, and nothing else is."
        )
    if not _holds(measured, {k: _rounded(b, value) for k, b in bounds.items()}, within):
        raise ClaimFailed(f"{what}: measured {measured!r}, but claimed {promise}")
    print(f"{what}: {promise}, holds")


def _check_bounds(bounds: dict[str, float], within: float | None) -> None:
    if not bounds:
        raise ValueError(
            "a claim needs a bound: at_least=, at_most=, equal= or about= with within=."
        )
    if ("about" in bounds) != (within is not None):
        raise ValueError("about= and within= go together; give both or neither.")
    named = bounds if within is None else {**bounds, "within": within}
    for name, bound in named.items():
        if name == "equal" and isinstance(bound, bool):
            continue
        number = isinstance(bound, Real) and not isinstance(bound, bool)
        if not number or not math.isfinite(bound):
            raise ValueError(f"{name} was {bound!r}; a bound is a finite number.")
    if within is not None and within < 0:
        raise ValueError(f"within was {within!r}; a distance is at least 0.")
    if bounds.get("at_least", -math.inf) > bounds.get("at_most", math.inf):
        raise ValueError(
            f"no value is at least {bounds['at_least']} and at most "
            f"{bounds['at_most']}; the bounds are the wrong way round."
        )


def _promise(bounds: dict[str, float], within: float | None) -> str:
    """The bounds in words, such as "between 0.9 and 1"."""
    words = []
    if "at_least" in bounds and "at_most" in bounds:
        words.append(f"between {bounds['at_least']} and {bounds['at_most']}")
    elif "at_least" in bounds:
        words.append(f"at least {bounds['at_least']}")
    elif "at_most" in bounds:
        words.append(f"at most {bounds['at_most']}")
    if "about" in bounds:
        words.append(f"within {within} of {bounds['about']}")
    if "equal" in bounds:
        words.append(f"equal to {bounds['equal']}")
    return " and ".join(words)


def _number(what: str, value: Any) -> float | int | bool:
    """The value as a plain Python number."""
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        size = value.numel() if isinstance(value, torch.Tensor) else value.size
        if size != 1:
            raise ValueError(
                f"{what}: a claim is about one number; this has shape "
                f"{tuple(value.shape)}. Take its mean, or claim each one."
            )
        value = value.item()
    if not isinstance(value, Real):
        raise ValueError(
            f"{what}: a claim is about a number, not a {type(value).__name__}."
        )
    return value


def _rounded(bound: float, value: Any) -> float:
    """The bound in the precision of the value: 0.95 in float32 is below 0.95."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return torch.tensor(bound, dtype=value.dtype).item()
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f":
        return value.dtype.type(bound).item()
    return bound


def _holds(measured: float, bounds: dict[str, float], within: float | None) -> bool:
    tests = {
        "at_least": lambda bound: measured >= bound,
        "at_most": lambda bound: measured <= bound,
        "about": lambda bound: abs(measured - bound) <= within,
        "equal": lambda bound: measured == bound,
    }
    # NaN compares as False with everything, so it keeps no promise.
    return all(tests[name](bound) for name, bound in bounds.items())
