"""The regularisation knobs in JupyterLab: trained live, scrubbed, turned, read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "from lib.widgets import Regularisation",
    "reg = Regularisation(hidden=16, steps=100, speed='0')\nreg",
)
LAST = "[run.records[-1].numbers for run in w.lab.runs]"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("regularisation")
    notebook = make_notebook(folder / "regularisation.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "reg") as live:
        yield live


@pytest.fixture
def reg(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def play(reg: Live) -> None:
    """Train to the end of the hundred steps."""
    reg.button("▶ Play").click()
    wait_end(reg)


def wait_end(reg: Live) -> None:
    reg.until("d.playing === 'false' && d.step === '100'", timeout=30)


def check_numbers(reg: Live) -> list:
    """The page shows the last records of the kernel, in full and in the table."""
    reg.frames(2)
    kernel = reg.kernel(LAST)
    shown = reg.js("live.shown.map(r => live.names.map(name => r[name]))")
    for ours, theirs in zip(shown, kernel, strict=True):
        assert ours == pytest.approx(list(theirs), rel=1e-5)
    cells = reg.root.locator('[data-number="validation_accuracy"]')
    for which in (0, 1):
        expect(cells.nth(which)).to_have_text(f"{100 * kernel[which][4]:.1f} %")
    return kernel


def test_plays_to_the_end_with_both_networks(reg: Live) -> None:
    assert reg.data("records") == "1 1"
    play(reg)
    assert reg.data("records") == "21 21"
    held, free = check_numbers(reg)
    assert held[7] < free[7]  # L2 keeps the weights shorter
    expect(reg.status).to_contain_text("Step 100. Validation loss")
    grids = reg.kernel("[int(r.records[-1].grid.int().sum()) for r in w.lab.runs]")
    sums = reg.js("live.shown.map(r => r.map.reduce((a, b) => a + b, 0))")
    assert sums == grids


def test_step_pause_reset_and_scrub(reg: Live) -> None:
    reg.button("Step").click()
    reg.until("d.step === '5'")
    reg.button("Step").click()
    reg.until("d.step === '10'")
    first = reg.kernel("w.lab.held.records[1].numbers")
    reg.scrubber.fill("5")
    reg.until("d.position === '5'")
    shown = reg.js("live.names.map(name => live.shown[0][name])")
    assert shown == pytest.approx(list(first), rel=1e-5)
    reg.control("speed").select_option("1")
    reg.kernel_until("w.values['speed']", "1")
    reg.button("▶ Play").click()
    reg.until("d.playing === 'true' && Number(d.step) > 10")
    reg.root.get_by_role("button", name="Pause").click()
    reg.until("d.playing === 'false'")
    at = reg.kernel("w.lab.step")
    assert 10 < at < 100
    reg.button("Reset").click()
    reg.until("d.step === '0' && d.records === '1 1'")
    assert reg.kernel("w.lab.held.records[0].numbers") == reg.kernel(LAST)[0]


@pytest.mark.parametrize("name", ["l1", "l2", "dropout", "smoothing", "label_noise"])
def test_a_turned_knob_starts_again(reg: Live, name: str) -> None:
    play(reg)
    before, run = reg.kernel(LAST), reg.data("run")
    reg.press(reg.control(name), "End")
    reg.until("d.run !== arg", run)
    wait_end(reg)
    reg.kernel_until("w.working", False)
    spec = reg.kernel(f"next(c.high for c in w.CONTROLS if c.name == {name!r})")
    assert reg.kernel(f"w.values[{name!r}]") == pytest.approx(spec)
    after = check_numbers(reg)
    assert after[0] != before[0]
    assert (after[1] != before[1]) == (name == "label_noise")


def test_choices_and_toggles_reach_the_kernel(reg: Live) -> None:
    reg.control("l1_way").select_option("proximal")
    reg.press(reg.control("l1"), "End")
    reg.control("l2_way").select_option("decoupled")
    reg.press(reg.control("l2"), "Home")
    reg.control("rescale").uncheck()
    reg.kernel_until("w.lab.held.knobs.rescale", False)
    assert reg.shown("l2") == "off"
    knobs = reg.kernel("(lambda k: (k.l1, k.l1_way, k.l2, k.l2_way))(w.lab.held.knobs)")
    assert knobs == (1.0, "proximal", 0.0, "decoupled")
    play(reg)
    held, _free = check_numbers(reg)
    assert held[6] > 0.3  # exact zeros
    expect(reg.root.locator('[data-number="exact"]').first).to_have_text(
        f"{100 * held[6]:.1f} %"
    )


def test_early_stopping_shows_where(reg: Live) -> None:
    reg.press(reg.control("patience"), "Home")
    reg.control("early_stopping").check()
    reg.kernel_until("w.lab.held.knobs.patience", 1)
    play(reg)
    assert reg.js("live.stopped") == [True, False]
    step = reg.kernel("w.lab.held.step")
    assert step < 100
    assert reg.js("live.runs[0].at(-1).step") == step
    assert reg.js("live.best[0].step") == reg.kernel("w.lab.held.best['step']")
    expect(reg.status).to_contain_text("Stopped early.")
    reg.picture("regularisation-stopped")


def test_a_knob_can_go_on_from_here(reg: Live) -> None:
    play(reg)
    run = reg.data("run")
    reg.control("continues").check()
    reg.press(reg.control("dropout"), "End")
    reg.kernel_until("w.lab.held.knobs.dropout", 0.9)
    reg.button("Step").click()
    reg.until("d.step === '105'")
    assert reg.data("run") == run
    check_numbers(reg)


def test_points_pointer_and_curve(reg: Live) -> None:
    play(reg)
    readout = reg.root.locator(".lm-readout")
    reg.page.mouse.move(*reg.place("map", 1.0, -1.0))
    near_one = r"(0\.99\d*|1|1\.0\d*)"
    expect(readout).to_contain_text(
        re.compile(rf"^{near_one}, −{near_one}: class 1 with \d+ %")
    )
    reg.page.mouse.move(*reg.place("curves.frame", 50, 0.3))
    loss = reg.kernel("w.lab.held.records[10]['validation_loss']")
    expect(readout).to_contain_text(f"Step 50: validation loss {float(f'{loss:.3g}')}")
    reg.page.mouse.move(*reg.place("sizes", 50, 0.1))
    expect(readout).to_contain_text("50 % of the weights are at most")
    reg.page.mouse.move(*reg.place("bars", 0.0, 1))
    expect(readout).to_contain_text(re.compile(r"^Weights near .+: \d+, without"))
    reg.control("curve").select_option("accuracy")
    reg.until("!live.curves.frame.log")
    reg.control("judges").check()
    reg.frames(2)
    promises.check_layout(reg, "regularisation-accuracy")
    reg.press(reg.control("examples"), "End")
    reg.until("live.points.length === 400")


def test_click_on_the_curves_and_space(reg: Live) -> None:
    play(reg)
    reg.page.mouse.click(*reg.place("curves.frame", 40, 0.3))
    reg.until("Math.abs(Number(d.position) - 40) < 3")
    reg.press(reg.root.locator(".lm-left canvas"), "Space")
    wait_end(reg)  # from the end it starts again


def test_keys_stay_and_error_shows(reg: Live) -> None:
    promises.check_keys_stay(reg)
    reg.rerun()  # Enter on the play button has started it
    promises.check_error_shows(reg, "patience")


def test_picture_is_saved_and_rerun_leaves_one(reg: Live) -> None:
    promises.check_saved_picture(reg, "regularisation")
    promises.check_rerun(reg)


def test_nothing_overflows(reg: Live) -> None:
    play(reg)
    promises.check_layouts(reg, "regularisation")


def test_restarted_kernel_is_told(reg: Live) -> None:
    promises.check_restart(reg)
