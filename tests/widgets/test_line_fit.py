"""The line that is fitted by hand and by descent, as the page gets it."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from lib.descent import Race
from lib.widgets.line_fit import GRID, LineFit
from tests.memory import growth
from tests.widgets.cases import line_fit as make
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

NAMES = ("w", "b", "learning_rate", "steps")


def control(widget: LineFit, name: str):
    return next(c for c in widget.CONTROLS if c.name == name)


def path(race: Race) -> np.ndarray:
    """(points, 3) float32: w, b and loss of the descent, up to where it diverged."""
    rows = np.column_stack([race.paths[0], race.losses[0]]).astype("f4")
    return rows[: race.diverged_at.get("GradientDescent")]


# ---- controls


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name, scale):
    widget = make(scale)
    page = open_page(widget)
    for value in values_over_range(control(widget, name)):
        page.do("descend")
        page.set(name, value)
        echo = page.of_kind("value")[-1]
        assert echo["value"] == widget.values[name] == value
        news = page.of_kind("news")[-1]
        assert news["values"] == widget.values
        points = page.floats("path").reshape(-1, 3)
        assert np.isfinite(points).all()
        if widget.race is None:
            assert name in ("w", "b")
            assert len(points) == 0
            assert news["run"] is None
        else:
            np.testing.assert_array_equal(points, path(widget.race))
            assert widget.race.steps == widget.values["steps"]
    json.dumps(page.messages, allow_nan=False)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_sliders_are_as_wide_as_the_map_in_round_steps(scale):
    widget = make(scale)
    w0, w1, b0, b1 = widget.loss.bounds
    for name, low, high in (("w", w0, w1), ("b", b0, b1)):
        slider = control(widget, name)
        assert low <= slider.low < low + 2 * slider.step
        assert high - 2 * slider.step < slider.high <= high
        assert 50 <= (slider.high - slider.low) / slider.step <= 1000
        decades = np.log10(slider.step)
        assert decades == pytest.approx(round(decades))
        best = widget.loss.minima[0][name == "b"]
        assert slider.low < best < slider.high


def test_each_widget_has_sliders_of_its_own():
    wide, narrow = make(100.0), make(0.01)
    assert control(wide, "w").high > 100 * control(narrow, "w").high
    assert control(wide, "w") != control(LineFit, "w")


# ---- the descent


def test_the_descent_starts_where_the_hand_stopped_and_ends_at_the_best_line(open_page):
    widget = make()
    page = open_page(widget)
    page.set("w", -1.0)
    page.set("b", 1.0)
    page.set("learning_rate", 0.3)
    page.set("steps", 300)
    page.do("descend")
    points = page.floats("path").reshape(-1, 3)
    assert points.shape == (301, 3)
    np.testing.assert_array_equal(points[0, :2], [-1.0, 1.0])
    np.testing.assert_allclose(points[-1, :2], widget.loss.minima[0], rtol=1e-5)
    assert page.of_kind("news")[-1]["diverged"] is None


def test_a_descent_that_diverges_is_cut_off_and_says_where(open_page):
    widget = make(learning_rate=3.0)
    page = open_page(widget)
    page.do("descend")
    diverged = page.of_kind("news")[-1]["diverged"]
    assert diverged == widget.race.diverged_at["GradientDescent"] > 2
    assert len(page.floats("path")) == 3 * diverged
    assert np.isfinite(page.floats("path")).all()


def test_a_new_rate_runs_the_descent_again_from_the_same_place(open_page):
    widget = make()
    page = open_page(widget)
    page.set("w", -1.0)
    page.set("learning_rate", 0.1)
    assert widget.race is None  # nothing has been asked to run yet
    page.do("descend")
    page.set("learning_rate", 0.2)
    assert widget.race.start == (-1.0, 0.0)
    assert widget.race.settings["GradientDescent"]["learning_rate"] == 0.2
    page.set("steps", 100)
    assert page.floats("path").size == 3 * 101


def test_a_hand_on_the_line_takes_the_descent_away(open_page):
    widget = make()
    page = open_page(widget)
    page.do("descend")
    runs = page.of_kind("news")[-1]["run"]
    page.set("b", 0.4)
    assert page.floats("path").size == 0
    page.do("descend")
    assert page.of_kind("news")[-1]["run"] == runs + 1


# ---- to the page


def test_the_first_page_gets_points_map_and_best_line(open_page):
    widget = make()
    open_page(widget)
    state = widget.snapshot
    points = np.frombuffer(state["points"], "<f4").reshape(2, -1)
    np.testing.assert_allclose(points, [widget.loss.x, widget.loss.y], rtol=1e-6)
    grid = np.frombuffer(state["grid"], "<f4")
    np.testing.assert_array_equal(grid, widget.loss.grid(GRID).numpy().ravel())
    assert tuple(state["best"]) == widget.loss.minima[0]
    assert state["lowest"] == widget.loss.lowest
    assert state["path"] == b""


def test_a_page_that_opens_late_sees_the_descent(open_page):
    widget = make()
    open_page(widget).do("descend")
    late = open_page(widget)
    seen = np.frombuffer(widget.snapshot["path"], "<f4").reshape(-1, 3)
    np.testing.assert_array_equal(seen, path(widget.race))
    late.set("b", 0.3)
    assert late.of_kind("news")[-1]["run"] is None


def test_messages_are_small_and_nothing_is_sent_twice(open_page):
    widget = make(steps=300)
    page = open_page(widget)
    page.do("descend")
    news = page.of_kind("news")
    assert len(news) == 1
    text = len(json.dumps(news[0]))
    assert text + sum(len(b) for b in page.buffers[-1]) < 5_000
    page.set("w", 0.5)
    assert sum(len(b) for b in page.buffers[-1]) == 0
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_run_without_a_page_is_what_a_page_gets(open_page):
    race = make(learning_rate=0.2).run(steps=50)
    widget = make()
    page = open_page(widget)
    page.set("learning_rate", 0.2)
    page.set("steps", 50)
    page.do("descend")
    points = page.floats("path").reshape(-1, 3)
    np.testing.assert_array_equal(points, path(race))


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2], [1]), ([1, 1], [1, 2]), ([1, 2], [1, float("nan")])]
)
def test_data_that_hold_no_line_are_refused(x, y):
    with pytest.raises(ValueError, match="x"):
        LineFit(x, y)


# ---- errors, pictures, end


def broken(_race):
    yield
    raise RuntimeError("the slope broke")


def test_an_error_is_shown_in_the_page_under_a_loop_and_raised_without(monkeypatch):
    monkeypatch.setattr(Race, "work", broken)

    async def play():
        widget = make()
        page = FakePage(widget).hello()
        page.do("descend")
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the slope broke"
        widget.close()

    asyncio.run(play())
    with pytest.raises(RuntimeError, match="the slope broke"):
        make().run()


def test_two_widgets_on_one_loop_do_not_disturb_each_other():
    async def play():
        widgets = make(), make(3.0)
        pages = [FakePage(widget).hello() for widget in widgets]
        for page in pages:
            page.do("descend")
        pages[0].set("b", 0.25)
        await until(lambda: all(p.of_kind("news") for p in pages))
        await until(lambda: pages[0].of_kind("news")[-1]["run"] is None)
        assert widgets[1].values["b"] == 0.0
        points = pages[1].floats("path").reshape(-1, 3)
        np.testing.assert_array_equal(points, path(make(3.0).run()))
        for widget in widgets:
            widget.close()

    asyncio.run(play())


def test_text():
    text = "A line through 30 points, to fit by hand and by descent"
    assert make().describe() == text


def test_the_picture_shows_points_line_and_path():
    widget = make(w=0.5)
    points, map_ = widget.figure().axes
    assert len(points.lines) == 2
    assert len(map_.lines) == 1  # where the hand stands
    x, y = points.lines[1].get_data()
    np.testing.assert_allclose(y, 0.5 * x)
    widget.run()
    points, map_ = widget.figure().axes
    assert len(map_.lines) == 2
    w, b, _loss = widget.race.final("GradientDescent")
    x, y = points.lines[1].get_data()
    np.testing.assert_allclose(y, w * x + b)


def test_a_diverged_descent_has_a_picture():
    widget = make(learning_rate=3.0)
    widget.run()
    assert widget.race.diverged_at
    assert widget.still().startswith(b"\x89PNG")


def test_opening_and_closing_a_hundred_times_keeps_the_memory():
    def use():
        widget = make()
        FakePage(widget).hello().do("descend")
        widget.close()

    for _ in range(10):
        use()
    assert growth(use, 100) < 1e6  # leaked, 100 maps alone are 1.7 MB and more
