"""The regularisation widget in the kernel: what a page gets, and what it asks."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pytest
from PIL import Image

from lib.regularisation_lab import BINS, GRID, NUMBERS, SIZES, RegularisationLab
from lib.widgets.regularisation import Regularisation
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

NAMES = [control.name for control in Regularisation.CONTROLS]
WIDE = len(NUMBERS) + BINS + SIZES


def make(**values) -> Regularisation:
    return Regularisation(hidden=8, **values)


def control(name: str):
    return next(c for c in Regularisation.CONTROLS if c.name == name)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make()
    page = open_page(widget)
    for value in values_over_range(control(name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        page.do("step")
        assert page.of_kind("news")[-1]["values"] == widget.values
        rows = page.floats("rows").reshape(-1, WIDE)
        assert np.isfinite(rows).all()
    json.dumps(page.messages, allow_nan=False)


def test_records_come_once_in_order_and_are_those_of_the_runs(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    page.do("step")
    news = page.of_kind("news")
    assert [m["from"] for m in news] == [[1, 1], [2, 2]]
    assert [m["counts"] for m in news] == [[1, 1], [1, 1]]
    rows = page.floats("rows").reshape(2, WIDE)
    for row, run in zip(rows, widget.lab.runs, strict=True):
        np.testing.assert_array_equal(row, run.records[-1].row().numpy())
    maps = page.buffers[-1][1]
    assert maps == b"".join(
        r.records[-1].grid.numpy().tobytes() for r in widget.lab.runs
    )
    text = len(json.dumps(news[-1]))
    assert text + sum(len(b) for b in page.buffers[-1]) < 6_000
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_a_page_that_opens_late_sees_every_record(open_page):
    widget = make()
    open_page(widget)
    widget.run(steps=30)
    open_page(widget)
    state = widget.snapshot
    assert state["counts"] == [7, 7]
    assert len(np.frombuffer(state["rows"], "<f4")) == 14 * WIDE
    assert len(state["maps"]) == 14 * GRID * GRID
    points = np.frombuffer(state["points"], "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(points[:, :2], widget.lab.train[0].numpy())
    np.testing.assert_array_equal(points[:, 3], widget.lab.wrong.numpy())


def test_a_turned_knob_starts_again_or_goes_on(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    page.set("dropout", 0.5)
    page.do("pause")
    assert widget.lab.step == 0
    assert widget.lab.held.knobs.dropout == 0.5
    page.do("step")
    run = page.of_kind("news")[-1]["run"]
    page.set("continues", True)
    page.set("l1", 0.1)
    page.set("examples", 100)
    assert widget.lab.step == 5
    assert widget.lab.held.knobs.l1 == 0.1
    assert len(widget.lab.train[0]) == 100
    assert len(page.floats("points")) == 400
    assert page.of_kind("news")[-1]["run"] == run


def test_run_equals_the_simulation_and_can_be_repeated():
    widget = make(l2=0.1)
    found = widget.run(steps=50)
    lab = RegularisationLab(widget.lab.held.knobs, 50, 0.1, hidden=8, device="cpu")
    for _ in range(10):
        for _ in lab.advance():
            pass
    assert tuple(found["held"].values()) == lab.held.records[-1].numbers
    assert tuple(found["free"].values()) == lab.free.records[-1].numbers
    assert found["held"]["norm"] < found["free"]["norm"]
    widget.do_reset()
    assert widget.lab.step == 0
    assert widget.run(steps=50) == found


def test_play_pause_and_end_under_a_loop():
    async def play():
        widget = make(speed="0", steps=100)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.lab.step > 10)
        page.do("pause")
        await until(lambda: not widget.working)
        at = widget.lab.step
        await asyncio.sleep(0.05)
        assert widget.lab.step == at <= 100
        page.do("play")
        await until(lambda: page.of_kind("news")[-1]["step"] == 100)
        await until(lambda: page.of_kind("news")[-1]["playing"] is False)
        counts = [m["counts"][0] for m in page.of_kind("news")]
        # each record once; the snapshot had the first, a pause may have made one more
        assert sum(counts) == len(widget.lab.held.records) - 1
        assert sum(counts) in (20, 21)
        page.do("play")  # from the end it starts again
        await until(lambda: 0 < widget.lab.step < 100)
        page.tell(kind="bye")
        await until(lambda: not widget.working)
        widget.close()

    asyncio.run(play())


def test_an_error_is_shown_under_a_loop_and_raised_without(monkeypatch):
    def broken(_self):
        yield
        raise RuntimeError("the step broke")

    monkeypatch.setattr(RegularisationLab, "advance", broken)

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
    widget = make()
    text = (
        "A network of 2, 8, 8 and 2 units on noisy half moons, with and without "
        "regularisation"
    )
    assert widget.describe() == text
    widget.run(steps=20)
    image = Image.open(io.BytesIO(widget.still())).convert("RGB")
    assert len(image.getcolors(1 << 24)) > 50
    boundary, curves, sizes = widget.figure().axes
    _x, losses = curves.lines[-2].get_data()
    wanted = [r["validation_loss"] for r in widget.lab.held.records]
    np.testing.assert_allclose(losses, wanted)
    np.testing.assert_allclose(
        sizes.lines[1].get_ydata(),
        np.maximum(widget.lab.held.records[-1].sizes.numpy(), 1e-6),
    )
    assert "of validation right" in boundary.get_title()
