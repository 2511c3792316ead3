"""The scale calculator in JupyterLab: its numbers are the library's, at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from lib.scale import PRESETS
from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = ("from lib.widgets import ScaleCalculator", "scale = ScaleCalculator()\nscale")
TOTALS = (
    "[sum(w.run()[k].values()) for k in ('parameters', 'operations', 'memory')]"
    " + [w.run()['gpu_hours']]"
)


@pytest.fixture(scope="module")
def shared(browser: Browser, lab_server: LabServer, tmp_path_factory) -> Iterator[Live]:
    path = make_notebook(tmp_path_factory.mktemp("nb") / "scale.ipynb", *CELLS)
    with opened(browser, lab_server, path, "scale") as live:
        yield live


@pytest.fixture
def scale(shared: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(shared, request) as live:
        yield live


def check_numbers(scale: Live) -> None:
    """The page and the kernel have the same totals."""
    names = ("parameters", "operations", "memory", "hours")
    scale.kernel_until(
        "dict(w.values)", lambda values: values == scale.js("live.values")
    )
    shown = [scale.number(name) for name in names]
    assert shown == pytest.approx(scale.kernel(TOTALS), rel=1e-12)


def field(scale: Live, name: str):
    return scale.root.locator(f'[data-control="{name}"] input[type=number]')


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_shows_the_librarys_numbers(scale: Live, preset: str) -> None:
    scale.control("preset").select_option(preset)
    scale.kernel_until("w.values['preset']", preset)
    scale.until("live.values.num_layers === arg", PRESETS[preset][1].num_layers)
    check_numbers(scale)


def test_typing_a_number_and_a_slider_make_the_shape_ones_own(scale: Live) -> None:
    field(scale, "num_layers").fill("30")
    expect(scale.control("preset")).to_have_value("own")
    check_numbers(scale)
    slider = scale.root.locator('[data-control="channels"] input[type=range]')
    before = scale.number("parameters")
    scale.press(slider, "ArrowRight", "ArrowRight")
    scale.until("Number(d.parameters) > arg", before)
    check_numbers(scale)
    scale.control("kind").select_option("encoder")
    check_numbers(scale)
    scale.control("kind").select_option("decoder")
    scale.control("tied").uncheck()
    check_numbers(scale)


def test_what_is_not_allowed_goes_back(scale: Live) -> None:
    box = field(scale, "num_layers")
    for wrong in ("0", "1.5", "", "999999"):
        box.fill(wrong)
        assert box.evaluate("n => !n.checkValidity() || n.value === ''")
        box.press("Enter")
        scale.page.keyboard.press("Tab")
        expect(box).to_have_value("12")
    check_numbers(scale)


def test_training_controls_change_time_and_memory_but_not_the_size(
    scale: Live,
) -> None:
    size = scale.number("parameters")
    scale.control("gpu").select_option("h100")
    scale.control("precision").select_option("fp32")
    field(scale, "tokens").fill("3e11")
    field(scale, "batch").fill("64")
    check_numbers(scale)
    assert scale.number("parameters") == size
    expect(scale.control("preset")).to_have_value("gpt2")
    expect(scale.root).to_contain_text("such GPUs, or tricks")


def test_promises_of_every_widget(scale: Live) -> None:
    promises.check_keys_stay(scale)
    promises.check_rerun(scale)
    promises.check_saved_picture(scale, "scale")


def test_nothing_overflows(scale: Live) -> None:
    scale.control("preset").select_option("gpt3")
    scale.until("live.values.num_layers === 96")
    promises.check_layouts(scale, "scale")


def test_restarted_kernel_is_told(scale: Live) -> None:
    promises.check_restart(scale)
