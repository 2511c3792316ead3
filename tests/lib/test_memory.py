"""What a use leaves behind is seen; what only comes and goes is not."""

import numpy as np

from tests.memory import ROUNDS, growth

MB = 1_000_000


def test_a_leak_is_seen():
    kept = []
    assert growth(lambda: kept.append(np.ones(MB, np.uint8)), 20) > 15 * MB


def test_a_pool_that_fills_once_is_no_leak():
    pool = []

    def use():
        if not pool:
            pool.append(np.ones(20 * MB, np.uint8))

    assert ROUNDS > 1
    assert growth(use, 5) < MB
