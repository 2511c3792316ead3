"""Ctrl-C during a training: held back in an update, and given back at the end."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator

import pytest

from lib.loop_parts import Interrupts


@pytest.fixture
def own() -> Iterator[list[int]]:
    """A handler of our own that notes each Ctrl-C."""
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    yield noted
    signal.signal(signal.SIGINT, before)


def test_interrupt_waits_for_the_end_of_the_update(own: list[int]) -> None:
    run = Interrupts()
    with run:
        signal.raise_signal(signal.SIGINT)
        assert own == []
    assert own == [signal.SIGINT]
    run.close()


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_runs_that_end_in_any_order_give_the_handler_back(
    own: list[int], order: tuple[int, ...]
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    runs = [Interrupts() for _ in range(3)]
    for k in order:
        assert signal.getsignal(signal.SIGINT) != handler
        runs[k].close()
        runs[k].close()
    assert signal.getsignal(signal.SIGINT) is handler


def test_handler_that_came_later_stays(own: list[int]) -> None:
    run = Interrupts()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run.close()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
