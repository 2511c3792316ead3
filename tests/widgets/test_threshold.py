"""The threshold widget in the kernel: what a page gets, and what it says back."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pytest
from PIL import Image

from lib.threshold_lab import ThresholdLab
from lib.widgets.threshold import Threshold
from tests.widgets.cases import scores
from tests.widgets.cases import threshold as make
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

NAMES = [control.name for control in Threshold.CONTROLS]


def control(widget: Threshold, name: str):
    return next(c for c in widget.CONTROLS if c.name == name)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make()
    page = open_page(widget)
    for value in values_over_range(control(widget, name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        told = page.of_kind("news") or [widget.snapshot]
        assert told[-1]["values"] == widget.values
    assert all(np.isfinite(v) for v in widget.run().values())
    json.dumps(page.messages, allow_nan=False)


def test_the_snapshot_holds_the_scores_once_and_falling(open_page):
    truth, score = scores()
    widget = make()
    open_page(widget)
    state = widget.snapshot
    sent = np.frombuffer(state["score"], "<f4")
    order = np.frombuffer(state["order"], "<i4")
    assert (np.diff(sent) <= 0).all()
    np.testing.assert_array_equal(sent, score.astype("f4")[order])
    np.testing.assert_array_equal(np.frombuffer(state["truth"], "u1"), truth[order])
    assert (state["low"], state["high"], state["probable"]) == (0.0, 1.0, True)


def test_news_is_small_and_never_the_scores(open_page):
    widget = Threshold(*scores(9999))
    page = open_page(widget)
    page.set("threshold", 0.3)
    news = page.of_kind("news")[-1]
    assert len(json.dumps(news)) < 1000
    assert all(not buffers for buffers in page.buffers)
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_a_page_that_opens_late_sees_threshold_and_intervals(open_page):
    widget = make()
    open_page(widget).set("threshold", 0.25)
    widget.finish()
    open_page(widget)
    assert widget.snapshot["values"]["threshold"] == 0.25
    assert widget.snapshot["intervals"]["f1"] == list(widget.intervals["f1"])


def test_run_gives_the_numbers_and_their_intervals():
    truth, score = scores()
    widget = make()
    numbers = widget.run(threshold=0.4)
    lab = ThresholdLab(truth, score)
    assert numbers == pytest.approx(
        lab.rates(0.4)
        | dict(zip(("auc", "average_precision"), lab.areas(), strict=True))
        | {
            "brier": lab.brier(),
            "calibration_error": lab.reliability().expected_error,
        }
    )
    for name in ("f1", "auc", "average_precision"):
        low, high = widget.intervals[name]
        assert low < numbers[name] < high


def test_a_new_threshold_keeps_the_intervals_of_the_curves():
    widget = make()
    widget.run()
    before = dict(widget.intervals)
    widget.set(threshold=0.2)
    assert widget.intervals == {k: before[k] for k in ("auc", "average_precision")}
    widget.finish()
    assert widget.intervals["f1"] != before["f1"]
    assert widget.intervals["auc"] == before["auc"]


def test_a_share_of_its_own_is_switched_on_by_its_slider(open_page):
    widget = make()
    page = open_page(widget)
    assert widget.prevalence is None
    page.set("prevalence", 0.01)
    assert widget.prevalence == 0.01
    assert page.of_kind("news")[-1]["values"]["other_share"] is True
    rare = widget.run(threshold=0.5)
    assert set(widget.intervals) >= {"precision", "accuracy", "f1"}
    page.set("other_share", False)
    own = widget.run()
    assert rare["recall"] == pytest.approx(own["recall"])
    assert rare["precision"] < 0.2 * own["precision"]
    assert make(prevalence=0.2).prevalence == 0.2


def test_scores_of_any_size_have_a_slider_of_their_own(open_page):
    truth, score = scores()
    widget = Threshold(truth, 40 * score - 20)
    slider = control(widget, "threshold")
    assert slider.low < -15 < 15 < slider.high
    assert 50 <= (slider.high - slider.low) / slider.step <= 1000
    numbers = widget.run(threshold=0.0)
    assert np.isnan(numbers["brier"])
    assert "calibration_error" not in numbers
    assert numbers["recall"] == make().run(threshold=0.5)["recall"]
    open_page(widget)
    assert widget.snapshot["probable"] is False
    assert widget.still().startswith(b"\x89PNG")


def test_the_intervals_come_by_themselves_under_a_loop():
    async def play():
        widget = make()
        page = FakePage(widget).hello()
        await until(lambda: len(widget.intervals) == 3)
        await until(lambda: len(page.of_kind("news")[-1]["intervals"]) == 3)
        page.set("threshold", 0.7)
        await until(lambda: page.of_kind("news")[-1]["values"]["threshold"] == 0.7)
        await until(lambda: not widget.working)
        found = page.of_kind("news")[-1]["intervals"]["f1"]
        page.tell(kind="bye")
        widget.close()
        return found

    direct = make()
    direct.run(threshold=0.7)
    assert asyncio.run(play()) == list(direct.intervals["f1"])


def test_an_error_is_shown_under_a_loop_and_raised_without(monkeypatch):
    def broken(*_args):
        yield
        raise RuntimeError("the scores broke")

    monkeypatch.setattr(ThresholdLab, "interval_work", broken)

    async def play():
        widget = make()
        page = FakePage(widget).hello()
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the scores broke"
        widget.close()

    asyncio.run(play())
    with pytest.raises(RuntimeError, match="the scores broke"):
        make().run()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truth": [0, 1]}, "both, or neither"),
        ({"names": ("a", "a")}, "two different"),
        ({"names": ("a",)}, "two different"),
        ({"limit": 1}, "no control 'limit'"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Threshold(**arguments)


def test_text_and_picture():
    widget = make()
    text = "One threshold over 80 scores: malignant or benign"
    assert widget.describe() == make(threshold=0.1).describe() == text
    image = Image.open(io.BytesIO(widget.still())).convert("L")
    assert 0.01 < np.mean(np.asarray(image) < 128) < 0.5
    first = [axes.get_title() for axes in widget.figure().axes]
    widget.set(threshold=0.9)
    assert first != [axes.get_title() for axes in widget.figure().axes]


def test_the_default_widget_shows_a_trained_classifier():
    widget = Threshold()
    assert len(widget.lab.score) == 284
    assert 0.7 < widget.numbers()["auc"] < 0.95
