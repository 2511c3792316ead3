"""The attention widget in JupyterLab: MiniLM by mouse and keys, and a live training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from lib.pretrained import find_minilm
from tests.browser import live as promises
from tests.browser.lab import Lab
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

IMPORT = "from lib.widgets import AttentionView"
MINILM = (IMPORT, "view = AttentionView()\nview")
TASK = (
    IMPORT,
    "view = AttentionView(task='reverse', length=4, layers=1, steps=300)\nview",
)
WEIGHT = "float(w.record.look.weights[{}, {}, {}, {}])"


def notebook(browser, server, tmp_path_factory, name, cells) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp(name)
    path = make_notebook(folder / f"{name}.ipynb", *cells)
    with opened(browser, server, path, "view") as live:
        yield live


@pytest.fixture(scope="module")
def minilm_page(browser: Browser, lab_server: LabServer, tmp_path_factory):
    try:
        find_minilm()
    except FileNotFoundError as error:
        pytest.skip(f"NOT RUN: {error}")
    yield from notebook(browser, lab_server, tmp_path_factory, "attention", MINILM)


@pytest.fixture(scope="module")
def task_page(browser: Browser, lab_server: LabServer, tmp_path_factory):
    yield from notebook(browser, lab_server, tmp_path_factory, "practice", TASK)


@pytest.fixture
def view(minilm_page: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(minilm_page, request) as fresh:
        yield fresh


@pytest.fixture
def task(task_page: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(task_page, request) as fresh:
        yield fresh


def settled(live: Live) -> None:
    """Wait until the page has the numbers of what it shows, and asks for no more."""
    live.until("live.link.asked.size === 0 && d.exact === 'true'")
    live.frames(2)


def numbers_hold(live: Live) -> None:
    """The weight that the page shows and the one it explains are the kernel's."""
    settled(live)
    where = [int(live.number(k)) for k in ("layer", "head", "query", "key")]
    weight = live.kernel(WEIGHT.format(*where))
    assert live.number("weight") == pytest.approx(weight, abs=1e-7)
    rows = live.root.locator(".lm-steps tr")
    shown = rows.nth(4).locator("td").last.inner_text()
    assert float(shown) == pytest.approx(weight, abs=6e-5)
    q, k = ("w.record.look.{}[{}, {}, {}]".format(n, *where[:2], t)
            for n, t in zip("qk", where[2:], strict=True))  # fmt: skip
    dot = live.kernel(f"float({q} @ {k})")
    raw = rows.nth(0).locator("td").last.inner_text().replace("−", "-")
    assert float(raw) == pytest.approx(dot, abs=2e-3)


# ---- MiniLM


def test_it_looks_at_the_trophy(view: Live) -> None:
    readout = view.root.locator(".lm-readout")
    expect(readout).to_contain_text("it looks most at: trophy (2) 0.6")
    expect(view.status).to_have_text("Layer 3, head 1: 16 tokens, 6 × 12 maps.")
    assert view.number("weight") > 0.5
    numbers_hold(view)
    maps = view.js("live.look().maps.length")
    assert maps == 6 * 12 * 16 * 16


def test_hands_on_the_maps(view: Live) -> None:
    mouse = view.page.mouse
    mouse.move(*view.place("grid", 8.5, 1.5))
    readout = view.root.locator(".lm-readout")
    expect(readout).to_contain_text("Layer 1, head 8 looks, on average, at")
    assert view.data("layer") == "3"
    mouse.click(*view.place("grid", 8.5, 1.5))
    view.until("d.layer === '1' && d.head === '8'")
    view.kernel_until("(w.values['layer'], w.values['head'])", (1, 8))
    mouse.move(*view.place("map", 4.5, 6.5))
    view.until("d.query === '6' && d.key === '4'")
    expect(readout).to_contain_text("From “into” (6) to “not” (4): weight")
    numbers_hold(view)
    mouse.click(*view.place("map", 4.5, 6.5))
    mouse.move(*view.place("sentence", 30, 14))  # the first token, in pixels
    view.until("d.query === '0' && d.key === '4'")
    mouse.move(5, 5)
    view.until("d.query === '6' && d.key === '4'")
    mouse.move(*view.place("bars", 3.5, 0.5))
    expect(readout).to_contain_text("Dimension 3: query")


def test_heads_go_off_and_say_what_it_does(view: Live) -> None:
    view.page.keyboard.down("Shift")
    view.page.mouse.click(*view.place("grid", 0.5, 5.5))
    view.page.keyboard.up("Shift")
    view.until("d.off === '5,0'")
    assert view.data("layer") == "3"  # it was not chosen
    view.button("Switch this head off").click()
    view.until("d.off === '3,1 5,0'")
    says = view.root.locator(".lm-says")
    cosine = view.kernel("w.record.change.cosine")
    assert 0.95 < cosine < 0.999
    expect(says).to_contain_text(f"cosine {cosine:.4f} with the original")
    moved = view.js("Array.from(live.look().moved)")
    assert moved == pytest.approx(
        view.kernel("w.record.change.moved.tolist()"), rel=1e-5
    )
    view.button("Switch this head on").click()
    view.until("d.off === '5,0'")
    view.button("Undo all changes").click()
    view.until("d.off === ''")
    expect(says).to_contain_text("Nothing is changed")


def test_every_head_is_tried_with_progress(view: Live) -> None:
    view.button("Try every head").click()
    view.until("d.trying === 'true' && live.tried > 0")
    expect(view.root.locator(".lm-progress")).to_contain_text("of 72 heads")
    view.until("d.trying === 'false' && live.tried === 72", timeout=30)
    impact = view.js("Array.from(live.impact)")
    assert max(impact) > 0.01 > min(impact)
    best = impact.index(max(impact))
    view.page.mouse.move(*view.place("grid", best % 12 + 0.5, best // 12 + 0.5))
    expect(view.root.locator(".lm-readout")).to_contain_text("Switched off alone")
    view.picture("attention-tried")
    view.button("Try every head").click()
    view.until("d.trying === 'true'")
    view.button("Cancel").click()
    view.until("d.trying === 'false'")


def test_controls_change_the_weights(view: Live) -> None:
    sharp = view.number("weight")
    view.press(view.control("temperature"), "End")
    view.kernel_until("w.values['temperature']", lambda value: value > 9)
    view.until("Number(d.weight) < arg", sharp / 2)
    numbers_hold(view)
    view.control("scaled").uncheck()
    view.kernel_until("w.record.settings.scaled", False)
    view.control("positions").uncheck()
    view.kernel_until("w.record.settings.positions", False)
    view.press(view.control("padded"), *["ArrowRight"] * 3)
    view.until("d.tokens === '19'")
    view.control("mask").select_option("causal")
    view.kernel_until("w.record.settings.mask", "causal")
    numbers_hold(view)
    settled(view)
    view.js("live.pin(2, 9)")
    view.frames(3)
    rows = view.root.locator(".lm-steps tr")
    expect(rows.nth(3)).to_contain_text("may not look")
    assert view.number("weight") == 0


def test_typing_is_followed_and_the_newest_wins(view: Live) -> None:
    text = view.control("text")
    text.fill("")
    text.press_sequentially("The cat sat on the mat", delay=15)
    view.until("d.tokens === '8'")
    assert view.kernel("w.values['text']") == "The cat sat on the mat"
    assert view.control("example").input_value() == "own"
    view.control("example").select_option(index=1)
    view.until("d.tokens === '13'")
    assert text.input_value() == "The dog chased the cat until it climbed a tree."
    text.fill("word " * 80)
    view.until("d.tokens === '82'", timeout=20)
    text.fill("1 2 3 4 5 6 7 8 9 " * 22)
    view.until("d.tokens === '128'", timeout=20)
    expect(view.status).to_contain_text("Only the first 128 tokens")
    numbers_hold(view)
    view.picture("attention-128")


def test_keys_do_all(view: Live) -> None:
    grid = view.js("live.grid.canvas.getAttribute('aria-label')")
    assert "Arrow keys" in grid
    sentence, heads, pairs = (
        view.root.locator(f'canvas[aria-label^="{name}"]')
        for name in ("The sentence", "All layers", "The chosen head")
    )
    view.press(heads, "ArrowUp", "ArrowRight", "ArrowRight", "d")
    view.until("d.layer === '2' && d.head === '3' && d.off === '2,3'")
    view.press(heads, "d")
    view.until("d.off === ''")
    view.press(pairs, "ArrowUp", "ArrowLeft")
    view.until("d.query === '9' && d.key === '1'")
    view.press(sentence, "ArrowRight", "ArrowRight")
    view.until("d.query === '11' && d.key === '1'")
    view.press(view.control("layer"), "End")
    view.until("d.layer === '5'")
    promises.check_keys_stay(view)


def test_error_in_the_kernel_stands_in_red(view: Live) -> None:
    promises.check_error_shows(view, "temperature")


def test_nothing_overflows(view: Live) -> None:
    view.button("Switch this head off").click()
    view.until("d.off === '3,1'")
    promises.check_layouts(view, "attention")


def test_picture_is_saved_and_one_widget_is_left(view: Live) -> None:
    with view.page.expect_download() as download:
        view.button("Save picture").click()
    assert download.value.suggested_filename == "attention.png"
    image = Image.open(Path(download.value.path()))
    names = "[live.grid, live.map, live.bars, live.moved]"
    wide, tall = view.js(f"{names}.reduce((s, p) => [s[0] + p.canvas.width,"
                         " Math.max(s[1], p.canvas.height)], [0, 0])")  # fmt: skip
    assert image.width > wide
    assert image.height > tall
    assert len(image.convert("RGB").getcolors(1 << 24)) > 100
    promises.check_rerun(view)


def test_untrusted_notebook_shows_the_still_picture(
    view: Live, lab: Lab, tmp_path: Path
) -> None:
    copy = promises.untrusted_copy(view, tmp_path / "untrusted-attention.ipynb")
    promises.check_still_picture(lab, copy)


# ---- a training


def test_training_plays_pauses_steps_and_resets(task: Live) -> None:
    assert task.number("weight") == pytest.approx(
        1 / (task.number("query") + 1), abs=0.25
    )  # before it has learnt anything
    task.button("▶ Play").click()
    task.until("d.playing === 'true' && Number(d.step) > 5")
    task.button("‖ Pause").click()
    task.until("d.playing === 'false'")
    task.kernel_until("w.working", False)
    at = task.number("step")
    task.button("Step").click()
    task.until("Number(d.step) === arg", at + 1)
    assert task.kernel("w.practice.step") == at + 1
    numbers_hold(task)
    loss = task.js("live.curve.map(row => row[1])")
    assert loss == pytest.approx(task.kernel("[r[1] for r in w.curve]"), rel=1e-5)
    assert len(loss) == at + 2
    task.scrubber.fill("3")
    task.until("d.position === '3' && d.exact === 'true'")
    kept = "float(w.film.records[3].look.weights[{}, {}, {}, {}])"
    where = [int(task.number(k)) for k in ("layer", "head", "query", "key")]
    assert task.number("weight") == pytest.approx(
        task.kernel(kept.format(*where)), abs=1e-7
    )
    task.button("Reset").click()
    task.until("d.step === '0' && d.position === '0'")
    assert task.kernel("w.practice.step") == 0


def test_the_attention_of_a_reversal_is_learnt_live(task: Live) -> None:
    task.root.locator(".lm-speed select").select_option("20")
    task.kernel_until("w.values['speed']", "20")
    task.button("▶ Play").click()
    task.until("d.playing === 'false' && d.step === '300'", timeout=40)
    loss, right = task.js("live.curve.at(-1).slice(1)")
    assert right > 0.8
    assert loss < 0.3 * task.js("live.curve[0][1]")
    expect(task.status).to_contain_text("% right")
    task.button("Switch this head off").click()
    task.until("d.off === '0,0'")
    expect(task.root.locator(".lm-says")).to_contain_text("Loss on this text")
    tokens = task.js("live.info.tokens.join('')")
    task.button("Another sequence").click()
    task.until("live.info.tokens.join('') !== arg", tokens)
    promises.check_layouts(task, "attention-training")
    assert math.isfinite(loss)


def test_restarted_kernel_is_told(task: Live) -> None:
    promises.check_restart(task)
