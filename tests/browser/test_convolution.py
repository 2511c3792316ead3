"""Convolution in JupyterLab: both parts by mouse and keys, and their numbers."""

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
    "from lib.widgets import Convolution\n"
    "network = DigitNetwork(epochs=3)\n"
    "for step in network.work():\n    pass",
    "c = Convolution(network.model)\nc",
)
MAP = "[round(float(v), 4) for v in w.result()['map'].flatten()]"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("convolution")
    notebook = make_notebook(folder / "convolution.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "c") as live:
        yield live


@pytest.fixture
def conv(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def settle(conv: Live) -> None:
    """Wait until the kernel has every setting of the page."""
    conv.until("live.link.asked.size === 0 && live.link.waiting.size === 0")


def same_as_in_the_kernel(conv: Live) -> None:
    settle(conv)
    conv.frames(2)
    shown = conv.js("[...live.one.map.values]")
    np.testing.assert_allclose(shown, conv.kernel(MAP), atol=2e-4)


def network(conv: Live) -> None:
    conv.control("part").select_option("network")
    conv.until("d.part === 'network' && live.two.maps && d.best !== undefined")


# ---- part 1


def test_every_setting_is_computed_as_lib_does(conv: Live) -> None:
    same_as_in_the_kernel(conv)
    assert conv.number("rows") == 6
    conv.press(conv.control("padding"), "End")
    conv.press(conv.control("stride"), "ArrowRight")
    conv.press(conv.control("dilation"), "ArrowRight")
    conv.control("padding_mode").select_option("reflect")
    conv.press(conv.control("bias"), *["ArrowRight"] * 3)
    same_as_in_the_kernel(conv)
    conv.control("relu").check()
    conv.control("picture").select_option("flower")
    conv.root.get_by_label("Take").select_option("Laplacian")
    conv.root.get_by_label("Size").select_option("5")
    same_as_in_the_kernel(conv)
    assert conv.kernel("len(w.values['kernel'])") == 5
    assert conv.js("live.one.took") < 200  # a wall, not a measurement
    conv.control("pooling").select_option("average")
    settle(conv)
    conv.frames(2)
    wanted = conv.kernel("[float(v) for v in w.result()['pooled'].flatten()]")
    np.testing.assert_allclose(
        conv.js("[...live.one.pooled.values]"), wanted, atol=2e-4
    )


def test_the_kernel_is_edited_number_by_number(conv: Live) -> None:
    field = conv.root.get_by_label("Kernel row 2, column 3")
    field.fill("")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.type("-1.5")
    conv.kernel_until("w.values['kernel'][1][2]", -1.5)
    same_as_in_the_kernel(conv)
    expect(conv.root.get_by_label("Take")).to_have_value("your own")
    conv.button("Random").click()
    conv.kernel_until("w._randoms", 1)
    conv.until("live.values.kernel[1][2] !== -1.5")
    same_as_in_the_kernel(conv)
    assert float(field.input_value()) == pytest.approx(
        conv.kernel("w.values['kernel'][1][2]")
    )


def test_hovering_shows_window_and_sum(conv: Live) -> None:
    conv.page.mouse.move(*conv.place("one.output", 3.5, 2.5))
    conv.until("d.position === '15'")
    expect(conv.status).to_contain_text("Output row 3, column 4:")
    terms = conv.root.locator(".lm-conv-terms")
    total = float(terms.inner_text().split("= ")[1].replace("−", "-"))
    assert total == pytest.approx(
        conv.kernel("float(w.result()['map'][2, 3])"), abs=1e-3
    )
    assert terms.inner_text().count("·") == 9
    conv.page.mouse.move(*conv.place("one.input", 0.5, 0.5))
    expect(conv.root).to_contain_text("Input row 1, column 1: 0; goes into 1 outputs.")
    conv.page.mouse.move(*conv.place("one.input", 3.5, 3.5))
    expect(conv.root).to_contain_text("goes into 9 outputs.")


def test_keys_move_over_the_output(conv: Live) -> None:
    conv.press(conv.root.locator("canvas").nth(1), "ArrowDown", "ArrowRight", "ArrowUp")
    conv.until("d.position === '1'")
    conv.press(conv.root.locator("canvas").nth(1), "Space")
    conv.until("d.playing === 'true' && Number(d.position) > 2")
    conv.press(conv.root.locator("canvas").nth(1), "Space")
    conv.until("d.playing === 'false'")


def test_play_pause_step_scrub_and_reset(conv: Live) -> None:
    conv.root.locator(".lm-speed select").select_option("30")
    conv.button("▶ Play").click()
    conv.until("d.playing === 'true' && Number(d.position) > 4")
    assert conv.js("live.one.filling") is True
    conv.root.get_by_role("button", name="Pause").click()
    conv.until("d.playing === 'false'")
    at = conv.number("position")
    conv.button("Step").click()
    conv.until("Number(d.position) === arg", min(at + 1, 35))
    conv.scrubber.fill("7")
    conv.until("d.position === '7'")
    conv.button("Reset").click()
    conv.until("d.position === '0' && !live.one.filling")


def test_a_kernel_without_room_says_so(conv: Live) -> None:
    conv.root.get_by_label("Size").select_option("5")
    conv.press(conv.control("dilation"), "End")
    conv.until("d.rows === '0'")
    expect(conv.status).to_contain_text("The kernel does not fit into the picture.")
    expect(conv.root).to_contain_text("the window is wider than the padded picture")
    promises.check_layout(conv, "convolution-no-room")


# ---- part 2


def inked(conv: Live) -> int:
    """Pixels that are not black in the middle row of the pad, a tenth of it high."""
    return conv.root.locator(".lm-pad").evaluate(
        "c => { const [w, h] = [c.width, Math.round(c.height / 10)];"
        " const data = c.getContext('2d').getImageData(5, 4.5 * h, w - 10, h).data;"
        " return data.filter((v, k) => k % 4 === 0 && v > 60).length; }"
    )


def test_the_drawing_goes_through_every_layer(conv: Live) -> None:
    network(conv)
    before = conv.number("seen")
    conv.button("Clear").click()
    conv.until("Number(d.seen) > arg", before)
    assert conv.kernel("max(max(r) for r in w.values['drawing'])") == 0
    assert inked(conv) > 50  # the words that say that the pad is empty
    mouse = conv.page.mouse
    conv.root.locator(".lm-pad").scroll_into_view_if_needed()
    box = conv.root.locator(".lm-pad").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 30
    mouse.move(x, y)
    mouse.down()
    mouse.move(x, y + 150, steps=12)  # a one
    mouse.up()
    settle(conv)
    conv.kernel_until("sum(map(sum, w.values['drawing'])) > 10", True)
    conv.until("live.two.maps.input.values.some(v => v > 0.5)")
    wanted = conv.kernel("w.seen()['conv'].flatten().tolist()")
    shown = conv.js("live.two.maps.conv.flatMap(m => [...m.values])")
    np.testing.assert_allclose(shown, wanted, atol=1e-4)
    shares = conv.kernel("w.seen()['probabilities'].tolist()")
    np.testing.assert_allclose(conv.js("live.two.shares"), shares, atol=1e-4)
    assert conv.number("best") == int(np.argmax(shares))
    assert conv.root.locator(".lm-pad").get_attribute("data-empty") == "false"
    conv.picture("convolution-drawn")


@pytest.mark.parametrize(
    ("row", "layer", "name"),
    [(0, "convolution", "conv"), (2, "ReLU", "hidden"), (3, "max pool", "pooled")],
)
def test_a_chosen_map_tells_where_its_numbers_come_from(
    conv: Live, row: int, layer: str, name: str
) -> None:
    network(conv)
    conv.page.mouse.click(*conv.place("two.strip", 2.5, row + 0.5))
    conv.until("d.layer === arg && d.channel === '2'", layer)
    conv.page.mouse.move(*conv.place("two.target", 4.5, 3.5))
    conv.frames(2)
    text = conv.root.locator(".lm-conv-terms").inner_text()
    shown = float(text.split("= ")[1].replace("−", "-"))
    value = conv.kernel(f"float(w.seen()[{name!r}][2, 3, 4])")
    assert shown == pytest.approx(value, abs=6e-4)


def test_keys_choose_map_and_class(conv: Live) -> None:
    network(conv)
    strip = conv.root.locator(".lm-conv-strip canvas")
    conv.press(strip, *["ArrowDown"] * 5, *["ArrowRight"] * 9, "ArrowLeft")
    conv.until("d.layer === 'dense' && d.channel === '6'")
    conv.press(conv.root.locator(".lm-conv-bars canvas"), "ArrowDown")
    chosen = conv.js("live.two.classShown")
    assert chosen == min(9, conv.number("best") + 1)
    conv.frames(2)
    logit = conv.kernel(f"float(w.seen()['output'][{chosen}])")
    sums = conv.js("live.two.contributions().flatMap(m => [...m.values])")
    bias = conv.kernel(f"w.network.model.dense.bias[{chosen}].item()")
    assert sum(sums) + bias == pytest.approx(logit, abs=1e-3)


def test_it_trains_a_network_of_its_own(conv: Live) -> None:
    conv.lab.ask("c.given = None; c.network = None")  # as Convolution() without one
    conv.control("part").select_option("network")
    conv.until("d.part === 'network' && Number(d.epoch) >= 2 && d.playing === 'true'")
    conv.js("live.two.pause()")
    conv.until("d.playing === 'false'")
    epoch = conv.kernel("w.network.epoch")
    conv.js("live.two.seek(1)")
    conv.until("d.position === '1'")
    assert conv.kernel("w.shown") == 1
    conv.js("live.two.reset()")
    conv.until("d.epoch === '0'")
    assert epoch >= 2


# ---- promises


def test_letters_do_not_cut_cells(conv: Live) -> None:
    promises.check_keys_stay(conv)


def test_error_in_the_kernel_stands_in_red(conv: Live) -> None:
    conv.press(conv.control("stride"), "End")
    settle(conv)
    promises.check_error_shows(conv, "stride")


def test_running_the_cell_again_leaves_one(conv: Live) -> None:
    promises.check_rerun(conv)


@pytest.mark.parametrize("part", ["kernel", "network"])
def test_picture_is_saved_and_nothing_overflows(conv: Live, part: str) -> None:
    if part == "network":
        network(conv)
    else:
        conv.control("pooling").select_option("max")
    conv.frames(3)
    promises.check_saved_picture(conv, "convolution")
    promises.check_layouts(conv, f"convolution-{part}")


def test_restarted_kernel_is_told(conv: Live) -> None:
    promises.check_restart(conv)
