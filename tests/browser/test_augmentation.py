"""Augmentation in JupyterLab: versions, readings, training, by mouse and keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "from lib.convolution_lab import DigitNetwork\n"
    "from lib.widgets import Augmentation\n"
    "network = DigitNetwork(epochs=3)\n"
    "for step in network.work():\n    pass",
    "a = Augmentation(network.model)\na",
)


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("augmentation")
    notebook = make_notebook(folder / "augmentation.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "a") as live:
        yield live


@pytest.fixture
def aug(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def settle(aug: Live) -> None:
    """Wait until the kernel has every setting and the page its versions."""
    aug.until("live.link.asked.size === 0 && live.link.waiting.size === 0")
    aug.frames(2)


def trained(aug: Live, step: int) -> None:
    """Play until this step and pause."""
    aug.button("▶ Play").click()
    aug.until("Number(d.step) >= arg", step, timeout=30)
    aug.root.get_by_role("button", name="Pause").click()
    aug.until("d.playing === 'false'")


def pixels(aug: Live, version: int) -> np.ndarray:
    """Red of one version as the page has it, (16, 16)."""
    data = aug.js(
        "[...live.bitmaps[arg].getContext('2d').getImageData(0, 0, 16, 16).data]",
        version,
    )
    return np.reshape(data, (16, 16, 4))[..., 0]


def test_versions_and_readings_are_the_kernels(aug: Live) -> None:
    for name in ("degrees", "noise", "erase"):
        aug.press(aug.control(name), "End")
    settle(aug)
    aug.until("live.values.erase === 60")
    for k in (0, 5, 15):
        wanted = aug.kernel(
            f"(255 * w.versions[{k}, 0].clamp(0, 1)).round().int().tolist()"
        )
        np.testing.assert_array_equal(pixels(aug, k), wanted)
    shares = aug.kernel("w.shares.tolist()")
    np.testing.assert_allclose(aug.js("live.shares"), shares, atol=1e-5)
    kept = aug.kernel("15 - len(w.changed_meaning)")
    assert aug.number("kept") == kept < 12
    expect(aug.root).to_contain_text(f"{kept} of 15 versions are read as 6.")


@pytest.mark.parametrize("name", ["shift", "scale", "flip", "seed", "examples"])
def test_every_slider_reaches_the_kernel(aug: Live, name: str) -> None:
    spec = aug.kernel(f"next(c.spec() for c in w.CONTROLS if c.name == {name!r})")
    for key, end in (("Home", spec["low"]), ("End", spec["high"])):
        aug.press(aug.control(name), key)
        aug.kernel_until(f"w.values[{name!r}]", end)


def test_nothing_and_new_seed(aug: Live) -> None:
    first = pixels(aug, 4)
    aug.button("New seed").click()
    aug.kernel_until("w.values['seed']", 1)
    settle(aug)
    assert (pixels(aug, 4) != first).any()
    aug.button("Nothing").click()
    aug.kernel_until("str(w.settings)", "nothing")
    aug.until("d.kept === '15'")
    np.testing.assert_array_equal(pixels(aug, 4), pixels(aug, 0))


def test_the_mark_can_be_taken_away(aug: Live) -> None:
    aug.press(aug.control("degrees"), "End")
    settle(aug)
    aug.until("live.bitmaps.some((_, k) => live.odd(k))")
    aug.control("honest").uncheck()
    aug.until("!live.bitmaps.some((_, k) => live.odd(k))")
    aug.kernel_until("w.values['honest']", False)


def test_a_photograph_is_not_read(aug: Live) -> None:
    aug.control("picture").select_option("flower")
    aug.until("live.shown === 'flower' && live.shares === null")
    expect(aug.root).to_contain_text("A photograph: the model reads digits only.")
    assert aug.js("live.bitmaps[3].width") == 40


def test_pointer_and_keys_read_one_version(aug: Live) -> None:
    aug.page.mouse.move(*aug.place("sheet", 2.5, 0.5))
    share = aug.kernel("float(w.shares[2, 6])")
    expect(aug.root).to_contain_text("Version 2: a ")
    expect(aug.root).to_contain_text(f"as 6 {share:.3f}.")
    aug.page.mouse.move(5, 5)
    aug.press(aug.root.locator("canvas").first, "ArrowRight", "ArrowDown", "ArrowRight")
    expect(aug.root).to_contain_text("Version 9: a ")


def test_play_pause_step_scrub_and_reset(aug: Live) -> None:
    trained(aug, 30)
    at = aug.kernel("w.comparison.step")
    assert 30 <= at < 400
    aug.button("Step").click()
    aug.kernel_until("w.comparison.step % 10", 0)
    aug.until("Number(d.position) % 10 === 0 && Number(d.position) >= arg", at)
    rows = aug.kernel("w.comparison.rows")
    np.testing.assert_allclose(
        aug.js("live.rows.map(r => [...r])"), rows, rtol=1e-5, atol=1e-6
    )
    aug.scrubber.fill("10")
    aug.until("d.position === '10'")
    expect(aug.status).to_contain_text(
        f"Step 10: with augmentation {100 * rows[1][1]:.1f} %"
    )
    aug.press(aug.control("degrees"), "End")
    expect(aug.root).to_contain_text("Reset takes what the sliders say now.")
    aug.button("Reset").click()
    aug.until("d.step === '0' && live.rows.length === 0")
    expect(aug.root).to_contain_text("Play trains with: degrees 180")


def test_space_on_a_picture_plays_and_pauses(aug: Live) -> None:
    canvas = aug.root.locator(".lm-right canvas")
    aug.press(canvas, "Space")
    aug.until("d.playing === 'true' && Number(d.step) > 1")
    aug.press(canvas, "Space")
    aug.until("d.playing === 'false'")


def test_letters_do_not_cut_cells(aug: Live) -> None:
    promises.check_keys_stay(aug)


def test_error_in_the_kernel_stands_in_red(aug: Live) -> None:
    aug.press(aug.control("noise"), "End")
    settle(aug)
    promises.check_error_shows(aug, "noise")


def test_running_the_cell_again_leaves_one(aug: Live) -> None:
    promises.check_rerun(aug)


def test_picture_is_saved_and_nothing_overflows(aug: Live) -> None:
    trained(aug, 20)
    promises.check_saved_picture(aug, "augmentation")
    promises.check_layouts(aug, "augmentation")


def test_restarted_kernel_is_told(aug: Live) -> None:
    promises.check_restart(aug)
