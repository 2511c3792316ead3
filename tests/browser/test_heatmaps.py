"""The heatmaps in JupyterLab: drawn on, pointed at, trained, made random."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "import torch\ntorch.set_num_threads(1)\nfrom lib.widgets import Heatmaps",
    "maps = Heatmaps(device='cpu')\nmaps",
)
METHODS = ("saliency", "smooth_grad", "integrated_gradients", "occlusion", "grad_cam")
# Cells of each map that are coloured at all, as the page has painted them.
COLOURED = (
    "Object.fromEntries(arg.map(m => { const c = live.cache.get(m).picture;"
    " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
    " let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0;"
    " return [m, n]; }))"
)


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("maps")
    notebook = make_notebook(folder / "maps.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "maps") as live:
        yield live


@pytest.fixture
def maps(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        ready(fresh)
        yield fresh


def ready(maps: Live, timeout: float = 20) -> None:
    """Wait until all five maps are those of the question on show."""
    maps.until(
        "d.complete === 'true' && d.playing === 'false' && !live.now.progress"
        " && live.link.asked.size === 0",
        timeout=timeout,
    )


def stroke(maps: Live, *points: tuple[float, float], button: str = "left") -> None:
    """Draw on the pad; points in parts of its side."""
    box = maps.root.locator(".lm-pad").bounding_box()
    mouse = maps.page.mouse
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"])
              for x, y in points]  # fmt: skip
    mouse.move(*places[0])
    mouse.down(button=button)
    for place in places[1:]:
        mouse.move(*place, steps=8)
    mouse.up(button=button)


def answered(maps: Live) -> None:
    maps.until("live.drawn > 0 && live.heard === live.drawn && !live.waiting")
    ready(maps)


def same_picture(maps: Live) -> None:
    """Pad and kernel hold the same cells."""
    pad = maps.js("Array.from(live.pad.values, v => Math.round(255 * v))")
    there = "(w.inquiry.picture[0, 0] * 255).round().int().flatten().tolist()"
    assert maps.kernel(there) == pad


def test_draw_with_the_mouse_and_rub_out(maps: Live) -> None:
    maps.button("Clear").click()
    answered(maps)
    assert maps.js("Math.max(...live.pad.values)") == 0
    stroke(maps, (0.3, 0.2), (0.7, 0.2), (0.45, 0.85))
    answered(maps)
    ink = maps.js("live.pad.values.reduce((a, b) => a + b)")
    assert 40 < ink < 200
    same_picture(maps)
    assert maps.number("predicted") == maps.kernel("w.inquiry.predicted")
    assert maps.js("live.now.example") is None
    maps.picture("heatmaps-drawn")
    stroke(maps, (0.25, 0.2), (0.75, 0.2), button="right")
    expect(maps.page.locator(".lm-Menu")).to_have_count(0)
    answered(maps)
    assert maps.js("live.pad.values.reduce((a, b) => a + b)") < 0.8 * ink
    same_picture(maps)


def test_draw_with_keys_alone(maps: Live) -> None:
    pad = maps.root.locator(".lm-pad")
    maps.press(pad, "c")
    answered(maps)
    assert maps.js("Math.max(...live.pad.values)") == 0
    maps.press(pad, *["Space", "ArrowDown"] * 5)
    answered(maps)
    inked = maps.js("[...live.pad.values.keys()].filter(k => live.pad.values[k] > 0.9)")
    columns = {k % 28 for k in inked}
    rows = {k // 28 for k in inked}
    assert max(rows) - min(rows) >= 4
    assert max(columns) - min(columns) <= 2
    same_picture(maps)
    maps.press(pad, "ArrowUp", "Delete")
    answered(maps)
    assert maps.js("live.pad.values.filter(v => v > 0.9).length") < len(inked)
    assert maps.data("playing") == "false"  # space drew, and did not play
    same_picture(maps)


def test_a_place_in_one_map_is_read_in_all(maps: Live) -> None:
    maps.js("live.board.canvas.scrollIntoView({ block: 'center' })")
    box = maps.root.locator(".lm-hm-board canvas").bounding_box()
    left, top, width, height = maps.js("live.board.boxes[3]")
    maps.page.mouse.move(
        box["x"] + left + 10.5 / 28 * width, box["y"] + top + 20.5 / 28 * height
    )
    maps.until("d.at === '20,10'")
    for method in METHODS:
        value = maps.kernel(f"float(abs(w.inquiry.maps[{method!r}].map[20, 10]))")
        scale = maps.kernel(f"w.inquiry.maps[{method!r}].scale")
        shown = maps.js(f"live.valueAt({method!r})")
        assert shown == pytest.approx(value, abs=0.51 * scale / 127)
    readout = maps.root.locator(".lm-hm-readout")
    expect(readout).to_contain_text("row 20, column 10 · picture")
    expect(readout).to_contain_text("Grad-CAM")
    board = maps.root.locator(".lm-hm-board canvas")
    maps.press(board, "ArrowRight", "ArrowUp")
    maps.until("d.at === '19,11'")
    expect(board).to_have_attribute("aria-label", re.compile("row 19, column 11"))
    maps.press(board, "Escape")
    maps.until("d.at === ''")


def test_the_look_changes_in_the_page_alone(maps: Live) -> None:
    serials = "{m: e.serial for m, e in w.inquiry.maps.items()}"
    before = maps.kernel(serials)
    many = maps.js(COLOURED, list(METHODS))
    maps.press(maps.control("threshold"), *["ArrowRight"] * 10)
    maps.kernel_until("w.values['threshold']", pytest.approx(0.5))
    maps.frames(2)
    few = maps.js(COLOURED, list(METHODS))
    for method in METHODS:
        wanted = maps.kernel(
            f"int((abs(w.inquiry.maps[{method!r}].levels.astype(int) - 128) / 127"
            " >= 0.5).sum())"
        )
        assert few[method] == wanted < many[method]
    maps.press(maps.control("opacity"), "Home")
    maps.frames(2)
    assert set(maps.js(COLOURED, list(METHODS)).values()) == {0}
    maps.press(maps.control("opacity"), "End")
    maps.control("sign").select_option("signed")
    maps.kernel_until("w.values['sign']", "signed")
    negative = maps.kernel("divmod(int(w.inquiry.maps['saliency'].map.argmin()), 28)")
    maps.js("live.point(arg)", list(negative))
    maps.frames(2)
    assert maps.js("live.valueAt('saliency')") < 0
    assert maps.kernel(serials) == before


def test_another_class_is_explained(maps: Live) -> None:
    maps.control("target").select_option("3")
    maps.kernel_until("w.inquiry.target", 3)
    ready(maps)
    expect(maps.status).to_contain_text("the maps explain the score of 3")
    left, top = maps.js(
        "[live.bars.left + 20, live.bars.top"
        " + 7.5 * (live.bars.bottom - live.bars.top) / 10]"
    )
    bars = maps.root.get_by_role("img", name="Probability of each class")
    bars.click(position={"x": left, "y": top})
    maps.kernel_until("w.inquiry.target", 7)
    ready(maps)
    total, score, start = maps.kernel("list(w.inquiry.complete)")
    assert score == pytest.approx(maps.kernel("w.inquiry.scores.tolist()")[7])
    assert maps.number("gap") == pytest.approx(total - (score - start), abs=1e-9)


def test_fewer_steps_leave_a_larger_gap(maps: Live) -> None:
    gaps = {}
    for key, steps in (("Home", 1), ("End", 200)):
        maps.press(maps.control("steps"), key)
        maps.kernel_until("w.values['steps']", steps)
        ready(maps)
        gaps[steps] = abs(maps.number("gap"))
        said = maps.root.locator(".lm-hm-sum div").last.inner_text()
        assert f"{gaps[steps]:.3f}" in said
    assert gaps[200] < gaps[1]


def test_play_pause_step_scrub_and_reset(maps: Live) -> None:
    start = maps.number("position")
    maps.button("▶ Play").click()
    maps.until("d.playing === 'true' && Number(d.position) > arg + 3", start)
    assert maps.js("live.now.maps.saliency.step > live.now.maps.occlusion.step")
    maps.root.get_by_role("button", name="Pause").click()
    ready(maps)
    at = maps.number("position")
    maps.frames()
    assert maps.number("position") == at == maps.kernel("w.subject.step") < 300
    steps = maps.kernel("[e.step for e in w.inquiry.maps.values()]")
    assert steps == [at] * 5
    maps.button("Step").click()
    maps.until("Number(d.position) === arg", at + 1)
    ready(maps)
    maps.scrubber.fill("10")
    maps.until("d.position === '10'")
    ready(maps)
    assert maps.number("last") == at + 1
    assert maps.kernel("w.subject.looked") == 10
    assert maps.kernel("len(w.subject.moments)") == maps.js("live.moments.length / 2")
    maps.press(maps.root.locator(".lm-hm-board canvas"), "Space")
    maps.until("d.playing === 'true' && Number(d.position) > arg", at + 1)
    maps.press(maps.root.locator(".lm-hm-board canvas"), "Space")
    ready(maps)
    maps.button("Reset").click()
    maps.until("d.last === '0'")
    ready(maps)
    expect(maps.status).to_contain_text("Step 0:")


def test_random_weights_change_the_maps_on_show(maps: Live) -> None:
    shown = "Array.from(live.shown('saliency').levels)"
    trained = maps.js(shown)
    maps.button("Randomise from the top").click()
    maps.until("d.stages === '2'")
    ready(maps)
    cells = maps.root.locator(".lm-hm-table tbody tr").last.locator("td")
    kept = maps.kernel("w.inquiry.stages[-1]['kept']")
    assert cells.all_inner_texts() == [
        f"{kept[m]:.2f}".replace("-", "−") for m in METHODS
    ]
    assert maps.js(shown) == trained
    maps.press(maps.button("all layers"), "Enter")
    maps.until("d.stage === '1'")
    assert maps.js(shown) != trained
    expect(maps.status).to_contain_text("Random weights: all layers")
    maps.picture("heatmaps-random")
    maps.button("no layer").click()
    maps.until("d.stage === '-1'")
    assert maps.js(shown) == trained


def test_photographs_come_with_a_network_of_their_own(maps: Live) -> None:
    maps.lab.ask("maps.set(samples=2, steps=3, window=50.0)")
    maps.control("source").select_option("photographs")
    maps.until("live.now.progress")
    maps.until("d.subject === 'photographs'", timeout=30)
    ready(maps, 30)
    expect(maps.root.locator(".lm-hm-note")).to_contain_text("No network trained on")
    promises.check_layout(maps, "heatmaps-photographs")
    maps.root.locator(".lm-hm-thumb").nth(2).click()
    maps.until("live.now.example === 2")
    maps.control("target").select_option("1")
    maps.until("d.target === '1'")
    ready(maps, 30)
    options = maps.control("target").locator("option:not([disabled])")
    assert options.all_inner_texts()[1:] == ["china", "flower"]
    expect(maps.root.locator(".lm-pad")).to_have_count(0)
    maps.control("source").select_option("digits")
    maps.until("d.subject === 'digits'")
    ready(maps)
    same_picture(maps)


def test_picture_is_saved(maps: Live) -> None:
    with maps.page.expect_download() as download:
        maps.button("Save picture").click()
    assert download.value.suggested_filename == "heatmaps.png"
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    wide, tall = maps.js("[live.board.canvas.width, live.board.canvas.height]")
    assert image.width > wide
    assert image.height > tall + 300
    assert len(image.convert("RGB").getcolors(1 << 24)) > 200


def test_letters_do_not_cut_cells(maps: Live) -> None:
    promises.check_keys_stay(maps)


def test_error_in_the_kernel_stands_in_red(maps: Live) -> None:
    promises.check_error_shows(maps, "samples")


def test_nothing_overflows(maps: Live) -> None:
    promises.check_layouts(maps, "heatmaps")


def test_running_the_cell_again_leaves_one(maps: Live) -> None:
    promises.check_rerun(maps)


def test_restarted_kernel_is_told(maps: Live) -> None:
    promises.check_restart(maps)
