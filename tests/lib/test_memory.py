"""What a use leaves behind is seen; what only comes and goes is not."""

import numpy as np
import pytest

from tests.memory import ROUNDS, growth

MB = 1_000_000


@pytest.fixture(params=[0, 300], ids=["tidy", "much is free"])
def heap(request):
    """Small pieces of memory that an earlier test had and freed, but for every tenth:
    holes that malloc would fill first."""
    pieces = [np.ones(100_000, np.uint8) for _ in range(10 * request.param)]
    kept = pieces[::10]
    del pieces
    yield
    del kept


@pytest.mark.parametrize("size", [10_000, MB])
def test_a_leak_is_seen(heap, size):
    kept = []
    count = 20 * MB // size
    assert growth(lambda: kept.append(np.ones(size, np.uint8)), count) > 15 * MB


def test_a_pool_that_fills_once_is_no_leak(heap):
    pool = []

    def use():
        if not pool:
            pool.append(np.ones(20 * MB, np.uint8))

    assert ROUNDS > 1
    assert growth(use, 5) < MB
