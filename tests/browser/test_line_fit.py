"""The line fit in JupyterLab: by hand, by descent, by keys, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.lab import Lab
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "import numpy as np\nfrom lib.widgets import LineFit\n"
    "generator = np.random.default_rng(0)\n"
    "x = generator.normal(size=60)\n"
    "y = 0.7 * x + 0.4 + 0.3 * generator.normal(size=60)",
    "fit = LineFit(x, y, names=('size of the flat', 'price'))\nfit",
)
MEAN_SQUARE = "float(np.mean((w.values['w'] * x + w.values['b'] - y) ** 2))"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("fit")
    notebook = make_notebook(folder / "fit.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "fit") as live:
        yield live


@pytest.fixture
def fit(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def descend(fit: Live) -> None:
    """Click "Descend from here" and wait for the end of the film."""
    fit.button("Descend from here").click()
    fit.until("d.run !== 'null' && live.path.length > 0")
    fit.root.locator(".lm-speed select").select_option("60")
    fit.until("d.playing === 'false' && Number(d.position) === live.last", timeout=20)


def test_appears_with_the_loss_of_its_line(fit: Live) -> None:
    promises.check_field(fit)
    assert fit.number("loss") == pytest.approx(fit.kernel(MEAN_SQUARE), rel=1e-5)
    expect(fit.root.locator(".lm-readout")).to_contain_text("w = 0, b = 0, loss = 0.6")
    expect(fit.status).to_contain_text("Move w and b, or drag on the map")
    assert fit.js("live.transport.node.inert") is True


@pytest.mark.parametrize("name", ["w", "b", "learning_rate", "steps"])
def test_slider_reaches_the_kernel(fit: Live, name: str) -> None:
    spec = fit.kernel(f"next(c.spec() for c in w.CONTROLS if c.name == {name!r})")
    # the top of a logarithmic slider may lie within its last step
    slack = 10 ** spec["step"] - 1 if spec["kind"] == "log" else 1e-9
    for key, end in (("Home", spec["low"]), ("End", spec["high"])):
        fit.press(fit.control(name), key)
        fit.kernel_until(f"w.values[{name!r}]", pytest.approx(end, rel=slack))
    before = fit.kernel(f"w.values[{name!r}]")
    fit.press(fit.control(name), "ArrowLeft")
    fit.kernel_until(f"w.values[{name!r}]", lambda value: value < before)


def test_sliders_move_the_line_and_the_best_by_hand(fit: Live) -> None:
    first = fit.number("loss")
    fit.press(fit.control("w"), *["ArrowRight"] * 5)
    fit.kernel_until("w.values['w']", pytest.approx(0.05))
    fit.frames(2)
    better = fit.number("loss")
    assert better < first
    assert better == pytest.approx(fit.kernel(MEAN_SQUARE), rel=1e-5)
    fit.press(fit.control("w"), *["ArrowLeft"] * 9)
    fit.until("Number(d.loss) > arg", first)
    assert fit.js("live.bestByHand") == pytest.approx(better)
    assert fit.js("live.trace.length") == 14
    fit.button("Clear the trace").click()
    assert fit.js("live.trace.length") == 1


def test_drag_on_the_map_moves_both(fit: Live) -> None:
    mouse = fit.page.mouse
    mouse.move(*fit.place("map", -1.0, 1.5))
    mouse.down()
    fit.until("Math.abs(live.values.w + 1) < 0.05")
    mouse.move(*fit.place("map", 0.7, 0.4), steps=15)
    mouse.up()
    fit.until("live.link.asked.size === 0 && Math.abs(live.values.w - 0.7) < 0.05")
    assert fit.kernel("w.values['w']") == pytest.approx(0.7, abs=0.03)
    assert fit.kernel("w.values['b']") == pytest.approx(0.4, abs=0.03)
    assert fit.number("loss") == pytest.approx(fit.kernel(MEAN_SQUARE), rel=1e-4)
    assert fit.js("live.trace.length") > 10
    assert float(fit.shown("w")) == pytest.approx(fit.kernel("w.values['w']"))
    mouse.move(*fit.place("map", 2.0, 1.0))
    fit.frames()
    assert fit.js("live.values.w") == pytest.approx(0.7, abs=0.03)
    expect(fit.root.locator(".lm-readout")).to_contain_text("under the pointer: w = 2")


def test_descent_takes_over_from_the_hand(fit: Live) -> None:
    fit.press(fit.control("w"), "End")
    fit.kernel_until("w.values['w']", lambda value: value > 3)
    start = fit.number("loss")
    fit.button("Descend from here").click()
    fit.until("d.playing === 'true' && Number(d.position) > 3")
    assert fit.number("loss") < start
    fit.root.locator(".lm-speed select").select_option("60")
    fit.until("d.playing === 'false' && d.position === '60'")
    end = fit.kernel("float(w.race.losses[0, -1])")
    assert fit.number("loss") == pytest.approx(end, rel=1e-4)
    assert end < 0.2 * start
    expect(fit.status).to_contain_text("Step 60 of 60: loss")
    fit.picture("line-fit-descent")


def test_play_pause_step_reset_and_scrub(fit: Live) -> None:
    descend(fit)
    fit.button("▶ Play").click()
    fit.until("d.playing === 'true' && Number(d.position) > 3")
    fit.root.get_by_role("button", name="Pause").click()
    fit.until("d.playing === 'false'")
    at = fit.number("position")
    fit.frames()
    assert fit.number("position") == at < 60
    fit.button("Step").click()
    fit.until("Number(d.position) === arg", at + 1)
    fit.scrubber.fill("7")
    fit.until("d.position === '7'")
    assert fit.number("loss") == pytest.approx(
        fit.kernel("float(w.race.losses[0, 7])"), rel=1e-4
    )
    fit.button("Reset").click()
    fit.until("d.position === '0'")


def test_new_rate_descends_again_and_too_large_diverges(fit: Live) -> None:
    descend(fit)
    run = fit.data("run")
    fit.press(fit.control("learning_rate"), "End")
    fit.until("d.run !== arg && live.diverged !== null", run)
    step = fit.kernel("w.race.diverged_at['GradientDescent']")
    expect(fit.status).to_have_text(f"Diverged at step {step}: the rate is too large.")
    promises.check_layout(fit, "line-fit-diverged")
    fit.press(fit.control("w"), "ArrowRight")
    fit.kernel_until("w.race is None", True)
    expect(fit.status).to_contain_text("Move w and b")


def test_space_on_a_picture_plays_and_pauses(fit: Live) -> None:
    descend(fit)
    canvas = fit.root.locator(".lm-left canvas")
    fit.press(canvas, "Space")
    fit.until("d.playing === 'true' && Number(d.position) > 1")
    fit.press(canvas, "Space")
    fit.until("d.playing === 'false'")


def test_letters_do_not_cut_cells(fit: Live) -> None:
    promises.check_keys_stay(fit)


def test_error_in_the_kernel_stands_in_red(fit: Live) -> None:
    promises.check_error_shows(fit, "w")


def test_running_the_cell_again_leaves_one(fit: Live) -> None:
    promises.check_rerun(fit)


def test_picture_is_saved(fit: Live) -> None:
    promises.check_saved_picture(fit, "line-fit")


def test_nothing_overflows(fit: Live) -> None:
    promises.check_layouts(fit, "line-fit")


def test_untrusted_notebook_shows_the_still_picture(
    fit: Live, lab: Lab, tmp_path: Path
) -> None:
    copy = promises.untrusted_copy(fit, tmp_path / "untrusted-fit.ipynb")
    promises.check_still_picture(lab, copy)


def test_restarted_kernel_is_told(fit: Live) -> None:
    promises.check_restart(fit)
