"""What the playground's kernel sends to its page: moments, maps and points as bytes."""

from __future__ import annotations

import numpy as np

from lib.playground import COARSE, FEATURES, Moment, grid_points
from lib.playground_points import Points
from lib.widgets.pages import as_bytes

FINEST = 16 / 32767  # one step of an output as it travels, in 16 bits


def packed(moment: Moment) -> list[bytes]:
    """theta float32; per neuron its largest response float32, its map in 8 bits; the
    output in 16 bits, FINEST apart. In 8 bits 128 is 0, and 127 steps the largest.
    """
    most = np.abs(moment.neurons).max(axis=(1, 2), initial=0)
    most = np.where(np.isfinite(most), np.maximum(most, 1e-6), 1)
    maps = _eight_bits(moment.neurons / most[:, None, None])
    output = np.clip(np.nan_to_num(moment.output), -16, 16) / FINEST
    return [
        *as_bytes(moment.theta, most),
        maps,
        np.rint(output).astype("<i2").tobytes(),
    ]


def _eight_bits(maps: np.ndarray) -> bytes:
    steps = 127 * np.clip(np.nan_to_num(maps), -1, 1)
    return np.rint(128 + steps).astype("u1").tobytes()


def input_maps() -> tuple[bytes, list[float]]:
    """The maps of all features, and the largest value of each, as the neurons'."""
    x = grid_points(COARSE)
    maps = np.stack([f(x[:, 0], x[:, 1]).numpy() for f in FEATURES.values()])
    most = np.abs(maps).max(axis=1)
    return _eight_bits(maps / most[:, None]), most.tolist()


def point_rows(points: Points) -> np.ndarray:
    """(N, 4): the coordinates in the reader's units, y, whether of the test."""
    return np.column_stack([points.to_own_units(), points.y, points.test])
