"""How far a measured number may be trusted: Wilson's interval and the bootstrap.

Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22,
1927. Efron, "Bootstrap Methods", Annals of Statistics 7(1), 1979; the limits are plain
percentiles.

Both see only the chance in drawing the test examples. Another training run with another
seed gives another model: that spread is measured by training again. Left out: the
bias-corrected bootstrap; tests for a difference.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

Values = Tensor | ArrayLike


class Interval(NamedTuple):
    """Where the true value may well be."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Between which limits a rate lies that gave these successes in these trials.

        (p + z²/2n ± z √(p (1 − p) / n + z²/4n²)) / (1 + z²/n),    p = successes / n

    Unlike p ± z √(p (1 − p) / n) it stays within 0 to 1, and is not empty at p = 1.

    Args:
        successes, trials: such as right answers and all answers.
        confidence: how often such an interval holds the true rate, between 0 and 1.

    Raises:
        ValueError: no trials, more successes than trials, a confidence out of range.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(
            f"There are {successes} successes in {trials} trials; give a trial or more "
            "and no more successes than trials."
        )
    z = NormalDist().inv_cdf(0.5 + _checked(confidence) / 2)
    n, p = trials, successes / trials
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return Interval(max(low, 0.0), min(high, 1.0))  # rounding alone goes beyond


def bootstrap_interval(
    metric: Callable[..., float],
    *data: Values,
    generator: torch.Generator,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Interval:
    """Limits of any metric: what it gives on samples drawn anew from the examples.

        bootstrap_interval(f1, predictions, targets, generator=generator)

    Cost: `resamples` times the metric.

    Args:
        metric: metric(*data) is a number; NaN, such as where a sample holds one class
            only, is passed over.
        data: tensors, arrays or lists of the same length N, drawn by the same rows.
        generator: of the draws, on the CPU.
        resamples: how many samples of N examples, with putting back.
        confidence: between 0 and 1; the interval holds that part of the results.

    Raises:
        ValueError: no data, lengths that differ, no result that is a number.
    """
    rows = [as_array(values, "data") for values in data]
    lengths = {len(r) for r in rows}
    if len(lengths) != 1 or 0 in lengths or resamples < 1:
        raise ValueError(
            f"The data have the lengths {[len(r) for r in rows]}, and {resamples} "
            "samples are asked for; give data of one length, and one sample or more."
        )
    tail = (1 - _checked(confidence)) / 2
    N, results = lengths.pop(), []
    for _ in range(resamples):
        chosen = torch.randint(N, (N,), generator=generator).numpy()
        results.append(float(metric(*(r[chosen] for r in rows))))
    if np.isnan(results).all():
        raise ValueError("The metric was NaN for every sample.")
    low, high = np.nanquantile(results, [tail, 1 - tail])
    return Interval(float(low), float(high))


def as_array(values: Values, name: str) -> np.ndarray:
    """A numpy array of a tensor on any device, an array or a list; NaN is refused."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        # numpy has no bfloat16
        values = (values.float() if values.is_floating_point() else values).numpy()
    values = np.asarray(values)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError(
            f"{name} hold NaN, {int(np.isnan(values).sum())} of {values.size} numbers."
        )
    return values


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give a number between 0 and 1.")
    return confidence
