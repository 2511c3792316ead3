"""What a use leaves behind in memory, told apart from what comes and goes."""

from __future__ import annotations

import gc
from collections.abc import Callable

from lib.device import memory_in_use

ROUNDS = 3


def growth(use: Callable[[], object], times: int) -> int:
    """Bytes by which this process grows when `use` is called so many times.

    The least of a few rounds: what leaks does so in every round, while a pool that the
    allocator enlarges, or another test's memory that it gives back, shows in one only.
    """
    grown = []
    for _ in range(ROUNDS):
        gc.collect()
        before = memory_in_use("cpu")
        for _ in range(times):
            use()
        gc.collect()
        grown.append(memory_in_use("cpu") - before)
    return min(grown)
