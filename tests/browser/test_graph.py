"""The computation graph in JupyterLab: typed, stepped, moved, descended, by keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.lab import Lab
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = ("from lib.widgets import Graph", "g = Graph()\ng")
RESULT = "w.graph.result.data"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("graph")
    notebook = make_notebook(folder / "graph.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "g") as live:
        yield live


@pytest.fixture
def g(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def lines(g: Live):
    return g.root.locator(".lm-graph-lines")


def cell(g: Live, name: str, part: str):
    return g.root.locator(f'tr:has([data-leaf="{name}"]) [data-part="{part}"]')


def test_shows_values_gradients_and_their_check(g: Live) -> None:
    assert g.number("position") == g.js("live.last") == 7
    assert g.number("result") == 1
    for name, grad in (("a", "−2.00000"), ("b", "4.00000"), ("c", "2.00000")):
        expect(cell(g, name, "gradient")).to_have_text(grad)
        expect(cell(g, name, "check")).to_have_text(grad)


def test_steps_forward_then_backward_with_the_numbers_written_out(g: Live) -> None:
    g.button("Reset").click()
    g.until("d.phase === 'start' && d.position === '0'")
    expect(cell(g, "b", "gradient")).to_have_text("…")
    g.button("Step").click()
    expect(lines(g)).to_contain_text("u1 = a · b = 2 · (−1) = −2")
    expect(lines(g)).to_contain_text("∂u1/∂a = b = −1,   ∂u1/∂b = a = 2")
    g.scrubber.fill("4")
    expect(lines(g)).to_contain_text("Backward begins here: ∂L/∂L = 1")
    g.button("Step").click()
    expect(lines(g)).to_contain_text("Backward through L = u2²")
    expect(lines(g)).to_contain_text("∂L/∂u2 = ∂L/∂L · ∂L/∂u2 = 1 · 2 · u2 = 1 · 2 = 2")
    expect(cell(g, "c", "gradient")).to_have_text("…")
    g.scrubber.fill("7")
    expect(lines(g)).to_contain_text("∂L/∂b = ∂L/∂u1 · ∂u1/∂b = 2 · a = 2 · 2 = 4")
    expect(cell(g, "b", "gradient")).to_have_text("4.00000")
    g.button("Back").click()
    g.until("d.position === '6'")


def test_every_step_adds_up_to_the_kernels_gradients(g: Live) -> None:
    g.control("example").select_option("shared")
    g.until("live.graph.names.length === 10")
    sums = g.js("live.gradients(live.last).sums")
    wanted = g.kernel("[n.grad for n in w.graph.nodes]")
    for k, (found, grad) in enumerate(zip(sums, wanted, strict=True)):
        assert found == pytest.approx(grad), k
    g.frames(2)
    expect(lines(g)).to_contain_text("sum: ")


def test_plays_and_pauses_with_the_space_bar(g: Live) -> None:
    g.root.locator(".lm-speed select").select_option("8")
    canvas = g.root.locator("canvas.lm-canvas")
    g.press(canvas, "Space")
    g.until("d.playing === 'true' && Number(d.position) >= 2")
    g.press(canvas, "Space")
    g.until("d.playing === 'false'")
    at = g.number("position")
    g.press(canvas, "ArrowRight")
    g.until("Number(d.position) === arg", at + 1)
    g.press(canvas, "Home")
    g.until("d.position === '0'")
    g.button("▶ Play").click()
    g.until("d.playing === 'false' && d.position === '7'")


def test_playing_again_begins_at_the_start_with_its_words(g: Live) -> None:
    start = g.js("(live.seek(0), live.lines.textContent)")
    g.js("live.seek(live.last)")
    assert g.js("live.lines.textContent") != start
    again = g.js("(live.play(), live.pause(), [live.position, live.lines.textContent])")
    assert again == [0, start]


def test_own_expression_and_its_errors(g: Live) -> None:
    text = g.control("expression")
    text.fill("tanh(p*q) - p")
    g.until("live.graph.text === arg && d.result === String(Math.tanh(-2) - 2)",
            "tanh(p*q) - p")  # fmt: skip
    assert g.kernel(RESULT) == pytest.approx(g.number("result"))
    expect(g.root.locator("[data-leaf]")).to_have_count(2)
    text.fill("tanh(p*q) - ")
    problem = g.root.locator(".lm-graph-problem")
    expect(problem).to_contain_text("At character 12: the text ends")
    expect(problem).to_contain_text("The last good graph stays: tanh(p*q) - p")
    expect(g.error).to_be_hidden()
    assert g.js("live.graph.text") == "tanh(p*q) - p"
    assert text.input_value() == "tanh(p*q) - "
    text.fill("tanh(p*q) - 2")
    g.until("live.problem.textContent === '' && live.graph.text === arg",
            "tanh(p*q) - 2")  # fmt: skip


def test_moving_a_variable_by_key_moves_everything(g: Live) -> None:
    slider = g.root.locator('[data-leaf="a"]')
    g.press(slider, "ArrowRight", "ArrowRight")
    g.kernel_until("w.values['leaves']['a']", pytest.approx(2.02))
    g.until("Math.abs(Number(d.result) - (3 - 2.02) ** 2) < 1e-9")
    expect(cell(g, "b", "gradient")).to_have_text("3.95920")  # 2 (3 - a) a
    expect(cell(g, "b", "check")).to_have_text("3.95920")
    g.press(slider, "End")
    g.kernel_until(RESULT, pytest.approx(4.0))


def test_descent_leaves_what_is_held(g: Live) -> None:
    g.root.locator('[data-hold="b"]').check()
    g.kernel_until("w.values['held']", ("b",))
    g.button("One step of descent").click()
    g.until("Number(d.result) < 0.9 && live.descents.length === 2")
    assert g.kernel("w.values['leaves']['b']") == -1.0
    assert g.kernel("w.values['leaves']['c']") == pytest.approx(2.8)
    expect(g.root.locator(".lm-graph-story")).to_contain_text(
        "L after 1 step: 1 → 0.36"
    )
    g.button("Start values").click()
    g.until("d.result === '1' && live.descents.length === 0")


def test_click_on_a_node_goes_to_its_step(g: Live) -> None:
    box = g.js("live.boxes[live.graph.names.indexOf('u2')]")
    canvas = g.root.locator("canvas.lm-canvas")
    canvas.click(position={"x": box["x"], "y": box["y"]})
    g.until("d.position === '6' && d.phase === 'backward'")
    expect(g.root.locator(".lm-graph-hover")).to_contain_text("node u2: value 1.000")
    g.button("Reset").click()
    canvas.click(position={"x": box["x"], "y": box["y"]})
    g.until("d.position === '2' && d.phase === 'forward'")


def test_letters_do_not_cut_cells(g: Live) -> None:
    promises.check_keys_stay(g)


def test_error_in_the_kernel_stands_in_red(g: Live) -> None:
    promises.check_error_shows(g, "rate")


def test_running_the_cell_again_leaves_one(g: Live) -> None:
    promises.check_rerun(g)


def test_picture_is_saved(g: Live) -> None:
    promises.check_saved_picture(g, "graph")


def test_nothing_overflows_with_the_largest_example(g: Live) -> None:
    g.control("example").select_option("network")
    g.until("live.graph.names.length === 19")
    promises.check_layouts(g, "graph")


def test_untrusted_notebook_shows_the_still_picture(
    g: Live, lab: Lab, tmp_path: Path
) -> None:
    copy = promises.untrusted_copy(g, tmp_path / "untrusted-graph.ipynb")
    promises.check_still_picture(lab, copy)


def test_restarted_kernel_is_told(g: Live) -> None:
    promises.check_restart(g)
