"""What a use leaves behind in memory, told apart from what comes and goes."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

from lib.device import memory_in_use

ROUNDS = 3


def growth(use: Callable[[], object], times: int) -> int:
    """Bytes by which this process grows when `use` is called so many times.

    The least of a few rounds: what leaks does so in every round, while a cache that
    fills, or another test's memory that is freed meanwhile, shows in one only.
    """
    grown = []
    for _ in range(ROUNDS):
        before = settled()
        for _ in range(times):
            use()
        grown.append(settled() - before)
    return min(grown)


def settled() -> int:
    """Bytes in use, once all that is free has gone back to the system."""
    gc.collect()
    if sys.platform == "linux":
        # else a leak would hide in what malloc keeps from the tests before
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
        if trim is not None:
            trim(0)
    return memory_in_use("cpu")
