"""The search in JupyterLab: played, scrubbed, beaten by hand, tested, read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "from lib.widgets import Search",
    "search = Search(data='moons', first='grid', second='halving', budget=24, "
    "epochs=2, speed='0')\nsearch",
)
TRIALS = "[(t.state, len(t.history)) for t, _ in w.lab.trials]"
LOSSES = "[t.loss for t, _ in w.lab.trials]"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("search")
    notebook = make_notebook(folder / "search.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "search") as live:
        yield live


@pytest.fixture
def search(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def play(search: Live) -> None:
    """Search to the end of both budgets."""
    search.button("▶ Play").click()
    wait_end(search)


def wait_end(search: Live) -> None:
    search.until("d.busy === 'false' && d.playing === 'false'", timeout=30)


def cell(search: Live, side: str, number: str):
    return search.root.locator(f'[data-side="{side}"] [data-number="{number}"]')


def test_plays_to_the_end_with_both_methods(search: Live) -> None:
    assert search.data("trials") == "12 12 0"
    expect(cell(search, "first", "rates")).to_have_text("4")
    expect(cell(search, "second", "rates")).to_have_text("12")
    play(search)
    states = search.js("live.moment.trials.map(t => [t.state, t.epochs])")
    assert [tuple(s) for s in states] == search.kernel(TRIALS)
    losses = search.js("live.moment.trials.map(t => t.loss)")
    assert losses == pytest.approx(search.kernel(LOSSES), rel=1e-5)
    for side in ("first", "second"):
        best = search.kernel(f"w.lab.sides['{side}'].best.loss")
        expect(cell(search, side, "loss")).to_have_text(f"{float(f'{best:.3g}'):g}")
        expect(cell(search, side, "spent")).to_have_text("24")
        expect(cell(search, side, "test")).to_have_text("not yet")
    expect(search.status).to_contain_text("Epoch 48. Grid: best validation loss")


def test_step_pause_reset_and_scrub(search: Live) -> None:
    search.button("Step").click()
    search.until("d.time === '1' && live.events.length === 1")
    search.control("speed").select_option("12")
    search.kernel_until("w.values['speed']", "12")
    search.button("▶ Play").click()
    search.until("d.playing === 'true' && Number(d.time) > 6")
    search.root.get_by_role("button", name="Pause").click()
    search.until("d.playing === 'false'")
    search.kernel_until("w.working", False)
    assert 6 < search.kernel("w.lab.time") < 48
    search.scrubber.fill("3")
    search.until("d.position === '3'")
    known = search.js("live.moment.trials.reduce((n, t) => n + t.epochs, 0)")
    assert known == 3
    first = search.kernel("w.lab.events[0].loss")
    assert search.js("live.moment.trials[0].curve[0][1]") == pytest.approx(first)
    search.button("Reset").click()
    search.until("d.time === '0' && live.events.length === 0 && d.position === '0'")


def test_a_click_trains_a_trial_there(search: Live) -> None:
    search.page.mouse.click(*search.place("map", -1.0, 32.0))
    search.until(
        "d.trials === '12 12 1' && d.busy && live.moment.trials[24].epochs === 2"
    )
    rate, width = search.kernel("list(w.lab.sides['hand'].best.settings.values())")
    assert (rate, width) == (pytest.approx(0.1, rel=0.05), pytest.approx(32, abs=2))
    assert search.kernel("w.lab.sides['first'].spent") == 0
    readout = search.root.locator(".lm-readout")
    search.page.mouse.move(*search.place("map", -2.5, 5.0))
    expect(readout).to_contain_text("click, or Enter, trains a trial of 2 epochs here")
    x, y = search.place("map", -1.0, width)
    search.page.mouse.move(x + 1, y)
    expect(readout).to_contain_text(
        f"You: learning rate {float(f'{rate:.3g}'):g}, width"
    )
    expect(readout).to_contain_text(re.compile(r"done after 2 epochs, .* % right$"))
    play(search)
    expect(cell(search, "hand", "trials")).to_have_text("1")


def test_the_keyboard_does_all_of_it(search: Live) -> None:
    plane = search.root.locator(".lm-left canvas")
    search.press(plane, "ArrowRight", "ArrowRight", "Shift+ArrowUp")
    assert search.js("live.cursor") == pytest.approx([0.55, 0.625])
    rate, width = search.js("live.valuesAt(...live.cursor)")
    expect(search.status).to_contain_text(f"width {width:g}: click, or Enter")
    search.page.keyboard.press("Enter")
    search.until(
        "live.moment.trials.length === 25 && live.moment.trials[24].epochs === 2"
    )
    found = search.kernel("list(w.lab.sides['hand'].best.settings.values())")
    assert found == pytest.approx([rate, width])
    search.page.keyboard.press("PageDown")
    search.until("d.looked === '0'")
    expect(search.status).to_contain_text("Grid: learning rate 1.0e−4, width 2: waits")
    search.page.keyboard.press("PageUp")
    search.until("d.looked === '24'")
    expect(search.status).to_contain_text("done after 2 epochs")
    search.page.keyboard.press("Space")
    search.until("d.playing === 'true' || d.busy === 'false'")
    wait_end(search)


def test_the_winners_are_tested_when_asked(search: Live) -> None:
    play(search)
    search.button("Test the winners").click()
    for side in ("first", "second"):
        test = search.kernel(
            f"w.problem.test(w.lab.sides['{side}'].best).validation_accuracy"
        )
        expect(cell(search, side, "test")).to_have_text(f"{100 * test:.1f} %")
    expect(search.status).to_contain_text("The test part was looked at 1 time.")
    search.scrubber.fill("10")  # then nobody had looked
    expect(cell(search, "first", "test")).to_have_text("not yet")


def test_the_range_test_shows_its_curve_and_its_rate(search: Live) -> None:
    search.control("first").select_option("range_test")
    search.control("second").select_option("none")
    search.kernel_until("list(w.lab.sides)", ["first", "hand"])
    play(search)
    assert search.js("live.sweeps.length") == search.kernel("len(w.lab.sweeps)") > 50
    rate = search.kernel("w.lab.sides['first'].sweep.suggested")
    assert search.js("live.sides.first.rate") == pytest.approx(rate)
    expect(cell(search, "first", "rates")).to_have_text("1")
    expect(search.root.locator('[data-side="second"]')).to_be_hidden()
    search.scrubber.fill("1")  # the trials were not chosen before the test was over
    search.until("d.trials === '0 0 0'")
    search.scrubber.fill("99")
    search.frames(2)
    promises.check_layout(search, "search-range-test")


SLIDERS = {
    "budget": (["Home", "ArrowRight"], 36),
    "epochs": (["End"], 24),
    "seed": (["End"], 50),
    "candidates": (["Home"], 4),
    "eta": (["Home"], 2),
    "rate_low": (["End"], 0.01),
    "rate_high": (["Home"], 0.1),
}


def test_every_slider_begins_another_search(search: Live) -> None:
    for name, (keys, value) in SLIDERS.items():
        search.button("Step").click()
        search.until("Number(d.time) > 0")
        run = search.data("run")
        search.press(search.control(name), *keys)
        search.kernel_until(f"w.values[{name!r}]", value)
        search.until("d.run !== arg && d.time === '0'", run)
        assert search.js("live.rows.length") == search.kernel("len(w.lab.trials)")


def test_choices_change_the_plane(search: Live) -> None:
    for name in ("depth", "batch_size", "momentum", "weight_decay"):
        search.control("other").select_option(name)
        search.until("live.plane.name === arg", name)
        expect(search.root.locator("thead")).to_contain_text(
            f"different {name.replace('_', ' ')}s"
        )
    search.control("part").select_option("low")
    search.kernel_until("w.lab.space['weight_decay'].low", 1e-6)
    high = search.kernel("w.lab.space['weight_decay'].high")
    search.until("Math.abs(live.plane.other[1] / arg - 1) < 1e-6", high)
    search.control("data").select_option("circles")
    search.kernel_until("w.problem.name", "circles")
    play(search)
    promises.check_layout(search, "search-circles")


def test_keys_stay_and_error_shows(search: Live) -> None:
    promises.check_keys_stay(search)
    search.rerun()  # Enter on the play button has started it
    promises.check_error_shows(search, "candidates")


def test_picture_is_saved_and_rerun_leaves_one(search: Live) -> None:
    promises.check_saved_picture(search, "search")
    promises.check_rerun(search)


def test_nothing_overflows(search: Live) -> None:
    search.page.mouse.click(*search.place("map", -1.5, 32.0))
    play(search)
    promises.check_layouts(search, "search")


def test_restarted_kernel_is_told(search: Live) -> None:
    promises.check_restart(search)
