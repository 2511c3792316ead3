"""The timeline in JupyterLab: play, choose, filter, trend, keys, layout."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from lib.history import doubling_months, published, value_of
from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = ("from lib.widgets import Timeline", "line = Timeline()\nline")


@pytest.fixture(scope="module")
def shared(browser: Browser, lab_server: LabServer, tmp_path_factory) -> Iterator[Live]:
    path = make_notebook(tmp_path_factory.mktemp("nb") / "timeline.ipynb", *CELLS)
    with opened(browser, lab_server, path, "line") as live:
        yield live


@pytest.fixture
def line(shared: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(shared, request) as live:
        yield live


def test_it_shows_all_models_that_have_the_quantity(line: Live) -> None:
    for quantity in ("parameters", "examples", "compute"):
        line.control("quantity").select_option(quantity)
        known = sum(value_of(row, quantity) is not None for row in published())
        line.until("Number(d.shown) === arg", known)
        line.kernel_until("w.values['quantity']", quantity)
    line.control("language").uncheck()
    line.control("pictures").uncheck()
    line.control("sound").uncheck()
    line.until("d.shown === '0'")
    expect(line.status).to_contain_text("0 models")


def test_it_plays_pauses_steps_and_scrubs_through_the_years(line: Live) -> None:
    line.root.locator(".lm-speed select").select_option("8")
    line.button("▶ Play").click()
    line.until("d.playing === 'true' && Number(d.position) > 2")
    line.button("‖ Pause").click()
    line.until("d.playing === 'false'")
    year = 1987 + int(line.number("position"))
    assert line.number("shown") == sum(row.year <= year for row in published())
    line.button("Step").click()
    line.until("Number(d.position) === arg", year - 1987 + 1)
    line.scrubber.fill("25")
    line.until("d.position === '25'")
    expect(line.status).to_contain_text("up to 2012")
    line.button("Reset").click()
    line.until("Number(d.shown) === arg", len(published()))


def test_playing_to_the_end_stops_there(line: Live) -> None:
    line.scrubber.fill("36")
    line.button("▶ Play").click()
    line.until("d.playing === 'false' && d.position === '38'")


@pytest.mark.parametrize("quantity", ["parameters", "compute"])
def test_the_trend_of_the_page_is_that_of_the_library(
    line: Live, quantity: str
) -> None:
    line.control("quantity").select_option(quantity)
    line.control("trend").check()
    line.until("d.doubling !== undefined")
    assert line.number("doubling") == pytest.approx(
        doubling_months(published(), quantity), rel=1e-9
    )
    expect(line.status).to_contain_text("Doubled every")
    line.control("trend").uncheck()
    line.until("d.doubling === undefined")


def test_pointing_tells_numbers_and_source(line: Live) -> None:
    row = next(row for row in published() if row.name == "GPT-3")
    x, y = line.place("chart", row.year, row.parameters)
    line.page.mouse.move(x, y)
    line.until("d.selected === 'GPT-3'")
    details = line.root.locator(".lm-details")
    expect(details).to_contain_text("175 billion parameters")
    expect(details).to_contain_text("300 billion tokens")
    expect(details.locator("a")).to_have_attribute("href", row.url)


def test_keys_choose_one_model_after_the_other(line: Live) -> None:
    canvas = line.root.locator("canvas.lm-canvas")
    line.press(canvas, "ArrowRight")
    line.until("d.selected === 'NETtalk'")
    line.press(canvas, "ArrowRight", "ArrowRight", "ArrowLeft")
    names = [row.name for row in published()]
    line.until("d.selected === arg", names[1])
    line.press(canvas, " ")
    line.until("d.playing === 'true'")
    line.press(canvas, " ")
    line.until("d.playing === 'false'")


def test_promises_of_every_widget(line: Live) -> None:
    promises.check_keys_stay(line)
    promises.check_rerun(line)
    promises.check_saved_picture(line, "timeline")


def test_nothing_overflows(line: Live) -> None:
    line.control("trend").check()
    line.press(line.root.locator("canvas.lm-canvas"), "ArrowRight")
    promises.check_layouts(line, "timeline")


def test_restarted_kernel_is_told(line: Live) -> None:
    promises.check_restart(line)
