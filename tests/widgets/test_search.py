"""The search widget in the kernel: what a page gets, and what it asks."""

from __future__ import annotations

import asyncio
import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from lib.search import Problem, finish
from lib.search_lab import SearchLab
from lib.search_sides import SIDES
from lib.search_trials import STATES
from lib.widgets.search import EVENTS, NAMES, SWEEPS, TRIALS, Search, half
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CONTROLS = [control.name for control in Search.CONTROLS]


def make(**values) -> Search:
    return Search(**{"data": "moons", "budget": 24, "epochs": 2, **values})


def control(name: str):
    return next(c for c in Search.CONTROLS if c.name == name)


def table(page: FakePage, part: str, wide: int) -> np.ndarray:
    return page.floats(part).reshape(-1, wide)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make()
    page = open_page(widget)
    for value in values_over_range(control(name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        page.do("step")
        news = page.of_kind("news")[-1]
        assert news["values"] == widget.values
        assert news["time"] == widget.lab.time > 0
    json.dumps(page.messages, allow_nan=False)


def test_events_come_once_in_order_and_are_those_of_the_lab(open_page):
    widget = make(second="range_test")
    page = open_page(widget)
    seen = []
    for _ in range(4):
        page.do("step")
        assert page.of_kind("news")[-1]["from"][1] == len(seen)
        seen += table(page, "events", EVENTS).tolist()
    np.testing.assert_allclose(seen, np.array(widget.lab.events), rtol=1e-6)
    assert [(STATES[int(row[1])], row[2]) for row in seen] == [
        ("running", 1),
        ("running", 2),
    ]
    assert len(table(page, "sweeps", SWEEPS)) > 5
    assert sum(len(b) for b in page.buffers[-1]) < 1500
    assert len(json.dumps(page.messages[-1])) < 1500
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_a_page_that_opens_late_sees_everything(open_page):
    widget = make(second="halving")
    open_page(widget)
    widget.run(epochs=30)
    widget.try_at(0.1, 16)
    open_page(widget)
    state, lab = widget.snapshot, widget.lab
    trials = np.frombuffer(state["trials"], "<f4").reshape(-1, TRIALS)
    events = np.frombuffer(state["events"], "<f4").reshape(-1, EVENTS)
    assert len(trials) == len(lab.trials) == 12 + 12 + 1
    np.testing.assert_allclose(events, np.array(lab.events), rtol=1e-6)
    for row, (trial, side) in zip(trials, lab.trials, strict=True):
        assert SIDES[int(row[0])] == side.key
        assert row[1:3] == pytest.approx(list(trial.settings.values()), rel=1e-6)
    assert state["plane"]["chance"] == pytest.approx(math.log(2))
    assert state["plane"]["rates"] == [1e-4, 10.0]
    assert state["names"] == NAMES
    assert state["sides"]["hand"]["method"] == "hand"
    assert state["time"] == 32


def test_another_rule_begins_again_and_keeps_your_trials(open_page):
    widget = make()
    page = open_page(widget)
    page.do("try", 0.1, 32)
    while widget.lab.sides["hand"].work is not None:
        page.do("step")
    widget.run(epochs=6)
    page.set("second", "halving")
    assert [s.method for s in widget.lab.sides.values()] == ["grid", "halving", "hand"]
    assert len(widget.lab.sides["hand"].trials) == 1
    assert widget.lab.time == widget.lab.sides["hand"].spent == 2
    assert page.of_kind("news")[-1]["from"] == [0, 0, 0]
    page.set("other", "depth")
    assert widget.lab.sides["hand"].trials == []
    assert page.of_kind("news")[-1]["plane"]["name"] == "depth"
    page.set("part", "high")
    assert page.of_kind("news")[-1]["plane"]["other"] == [2, 4]
    page.set("second", "none")
    assert list(widget.lab.sides) == ["first", "hand"]


def test_the_speed_changes_nothing_else(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    lab = widget.lab
    page.set("speed", "0")
    assert widget.lab is lab
    assert widget.lab.time == 1


def test_run_equals_the_simulation_and_can_be_repeated():
    widget = make(first="halving", second="random")
    found = widget.run()
    lab = SearchLab(
        Problem("moons", device="cpu"), ("halving", "random"), budget=24, epochs=2
    )
    while lab.busy:
        finish(lab.advance())
    for key in ("first", "second"):
        side = lab.sides[key]
        assert found[key]["spent"] == side.spent
        assert found[key]["settings"] == side.best.settings
        assert found[key]["validation_loss"] == side.best.loss
        test = lab.problem.test(side.best)
        assert found[key]["test_accuracy"] == test.validation_accuracy
    widget.do_reset()
    assert widget.lab.time == 0
    assert widget.run() == found


def test_a_trial_by_hand_is_trained_and_counted():
    widget = make()
    found = widget.try_at(0.3, 64)
    trial = widget.lab.sides["hand"].best
    assert trial.settings == {"learning_rate": 0.3, "width": 64}
    assert found["validation_loss"] == trial.loss
    assert found["spent"] == 2
    assert "test_accuracy" not in widget.run(epochs=1)["hand"]
    with pytest.raises(ValueError, match="learning_rate is 50"):
        widget.try_at(50, 64)
    widget.do_reset()
    assert widget.lab.sides["hand"].trials == []


def test_the_test_score_is_sent_only_after_it_was_asked_for(open_page):
    widget = make(second="none")
    page = open_page(widget)
    while widget.lab.busy:
        page.do("step")
    news = page.of_kind("news")[-1]
    assert news["sides"]["first"]["test"] is None
    assert news["looks"] == 0
    page.do("test")
    news = page.of_kind("news")[-1]
    best = widget.lab.sides["first"].best
    assert news["sides"]["first"]["test"] == widget.problem.test(best)[2]
    assert news["sides"]["hand"]["test"] is None
    assert news["looks"] == 1


def test_play_pause_hand_and_end_under_a_loop():
    async def play():
        widget = make(speed="0")
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.lab.time > 3)
        page.do("pause")
        await until(lambda: not widget.working)
        at = widget.lab.time
        await asyncio.sleep(0.05)
        assert widget.lab.time == at < 48
        page.do("try", 0.1, 32)
        page.do("try", 0.2, 32)
        hand = widget.lab.sides["hand"]
        await until(lambda: [t.state for t in hand.trials] == ["done", "done"])
        await until(lambda: not widget.working)
        assert widget.lab.time <= at + 5  # and nothing else than the half epoch
        page.do("play")
        await until(lambda: page.of_kind("news")[-1]["busy"] is False)
        await until(lambda: page.of_kind("news")[-1]["playing"] is False)
        rows = [
            len(buffers[message["parts"].index("events")]) // (4 * EVENTS)
            for message, buffers in zip(page.messages, page.buffers, strict=True)
            if message["kind"] == "news"
        ]
        assert sum(rows) == len(widget.lab.events)
        page.do("play")  # from the end it starts again, with what you have tried
        await until(lambda: 4 < widget.lab.time < 52)
        assert len(widget.lab.sides["hand"].trials) == 2
        page.tell(kind="bye")
        await until(lambda: not widget.working)
        widget.close()

    asyncio.run(play())


def test_an_error_is_shown_under_a_loop_and_raised_without(monkeypatch):
    def broken(_self):
        yield
        raise RuntimeError("the step broke")

    monkeypatch.setattr(SearchLab, "advance", broken)

    async def play():
        widget = make()
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the step broke"
        await until(lambda: page.of_kind("news")[-1]["playing"] is False)
        widget.close()

    asyncio.run(play())
    with pytest.raises(RuntimeError, match="the step broke"):
        make().run()


def test_text_and_picture():
    widget = make(second="halving")
    text = (
        "A search for hyperparameters: trials on a plane, their validation loss, and "
        "the best so far"
    )
    assert widget.describe() == text
    empty = Image.open(io.BytesIO(widget.still()))
    widget.run()
    widget.try_at(0.1, 32)
    image = Image.open(io.BytesIO(widget.still())).convert("RGB")
    assert image.size == empty.size
    assert len(image.getcolors(1 << 24)) > 50
    plane, curves, race = widget.figure().axes
    side = widget.lab.sides["first"]
    assert plane.lines[0].get_xdata() == [side.trials[0].settings["learning_rate"]]
    wanted = [min(e.validation_loss, 1.7 * math.log(2)) for e in side.trials[0].history]
    assert list(curves.lines[0].get_ydata()) == wanted
    lows = race.lines[0].get_ydata()
    assert list(lows) == sorted(lows, reverse=True)
    assert [t.get_text() for t in race.get_legend().texts] == ["Grid", "Halving", "You"]
    data, metadata = widget._repr_mimebundle_()
    assert data["text/plain"] == metadata["image/png"]["alt"] == text


def test_half_an_axis():
    for spec in Search.CONTROLS[2].choices:
        widget = make(other=spec[0])
        axis = widget.lab.space[spec[0]]
        low, high = half(axis, "low"), half(axis, "high")
        assert (low.low, high.high) == (axis.low, axis.high)
        assert axis.low < low.high == high.low < axis.high
