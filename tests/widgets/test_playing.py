"""The beat of a training that plays at a person's speed."""

from __future__ import annotations

import pytest

from lib.widgets import playing


@pytest.mark.parametrize(
    ("looks", "rests"),
    [
        ([0.0, 1.1, 2.1], [1.0, 0.9, 0.9]),  # in time: a beat each second
        ([0.5, 2.5], [0.5, None]),  # late: due at once
        ([0.0, 9.0, 9.0, 9.0], [1.0, None, None, 1.0]),  # far too late: one is made up
    ],
)
def test_beats_come_at_equal_times_and_one_late_one_is_made_up_for(
    monkeypatch, looks, rests
):
    times = iter([0.0, *looks])
    monkeypatch.setattr(playing.time, "perf_counter", lambda: next(times))
    beat = playing.Beat()
    got = [beat.rest(1.0) for _ in looks]
    assert got == [rest if rest is None else pytest.approx(rest) for rest in rests]
