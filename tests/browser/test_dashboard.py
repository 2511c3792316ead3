"""The training dashboard in JupyterLab: it trains while the reader turns every knob."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from lib.widgets.dashboard import TrainingDashboard
from tests.browser import live as promises
from tests.browser.lab import Lab
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "from lib.widgets import TrainingDashboard",
    "board = TrainingDashboard(compare=True, device='cpu')\nboard",
)
LIVE_SLIDERS = [c for c in TrainingDashboard.CONTROLS if c.kind in ("range", "log")]
KEPT = "live.runs.every(r => r.rows.length && r.rows.at(-1)[0] === Number(d.step))"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("board")
    notebook = make_notebook(folder / "board.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "board") as live:
        yield live


@pytest.fixture
def board(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        fresh.until("d.records === '2'")
        yield fresh


def play(board: Live, beyond: int, speed: str = "5") -> None:
    """Train at this speed until so many steps are on show; it trains on."""
    board.control("speed").select_option(speed)
    board.kernel_until("w.values['speed']", speed)
    board.button("▶ Play").click()
    board.until("d.playing === 'true' && Number(d.position) > arg", beyond, timeout=30)


def pause(board: Live) -> int:
    """Pause, and give the step at which kernel and page agree."""
    board.root.get_by_role("button", name="Pause").click()
    board.until(f"d.playing === 'false' && {KEPT}", timeout=20)
    return int(board.number("step"))


def hover(board: Live, frame: str, x: float, y: float) -> None:
    """Point at a place of a picture, in its own pixels."""
    board.js(f"live.{frame}.canvas.scrollIntoView({{ block: 'center' }})")
    left, top = board.js(
        f"(b => [b.left, b.top])(live.{frame}.canvas.getBoundingClientRect())"
    )
    board.page.mouse.move(left + x, top + y)
    board.frames(2)


def test_it_trains_pauses_and_goes_on_in_every_panel(board: Live) -> None:
    assert board.data("position") == "0"
    expect(board.status).to_contain_text("Step 0 of 400. A: ")
    play(board, 40)
    expect(board.root.locator(".lm-progress")).to_contain_text("a second")
    at = pause(board)
    board.frames()
    assert board.number("step") == at == board.kernel("w.simulation.step")
    for run in "AB":
        ours = board.js(f"[...live.records.{run}.rows.at(-1)]")
        theirs = board.kernel(f"w.simulation.runs[{run!r}].history[-1].row()")
        assert ours == pytest.approx(theirs, rel=1e-5)
        accuracy = board.root.locator(f'tr[data-run="{run}"] td').nth(3)
        expect(accuracy).to_have_text(f"{100 * theirs[6]:.1f} %")
    promises.check_layout(board, "dashboard-training")


def test_step_epoch_stop_and_reset_give_the_same_numbers_again(board: Live) -> None:
    for wanted in (1, 2, 3):
        board.button("Step").click()
        board.until(f"d.step === String(arg) && {KEPT}", wanted)
    first = board.js("live.records.A.rows.map(r => [r[0], r[3], r[4]])")
    board.button("Epoch").click()
    board.until(f"d.step === '23' && {KEPT}")
    board.button("Stop").click()
    expect(board.status).to_contain_text("The training is over.")
    board.button("Reset").click()
    board.until("d.step === '0' && d.records === '2'")
    for wanted in (1, 2, 3):
        board.button("Step").click()
        board.until(f"d.step === String(arg) && {KEPT}", wanted)
    assert board.js("live.records.A.rows.map(r => [r[0], r[3], r[4]])") == first
    assert len({row[1] for row in first}) == 4


def test_scrubbing_back_redraws_all_and_does_not_stop_the_training(board: Live) -> None:
    play(board, 20, "1")
    board.scrubber.fill("4")
    board.until("d.position === '4'")
    step = board.number("step")
    board.until("Number(d.step) > arg", step + 5)
    assert (board.data("position"), board.data("playing")) == ("4", "true")
    shown = board.js("live.shown.map(r => [r.rows.at(-1)[0], r.details.at(-1).step])")
    for steps in shown:
        assert max(steps) <= 4
    early = board.js("Array.from(live.shown[0].details.at(-1).confusion)")
    board.press(board.scrubber, "End")
    board.until("live.position === null && d.playing === 'true'")
    assert board.js("Array.from(live.shown[0].details.at(-1).confusion)") != early
    pause(board)
    board.page.mouse.click(*board.place("loss.frame", 10, 1.0))
    board.until("Math.abs(Number(d.position) - 10) <= 3")
    at = board.number("position")
    board.press(board.root.locator("canvas.lm-dash-chart").first, "ArrowRight")
    board.until("Number(d.position) > arg", at)


def test_rate_changes_while_it_trains_and_a_new_optimizer_starts_again(
    board: Live,
) -> None:
    play(board, 5, "1")
    run = board.data("run")
    board.press(board.control("learning_rate"), "Home")
    rate = "w.simulation.runs['A'].optimizer.learning_rate"
    board.kernel_until(rate, pytest.approx(1e-5))
    board.until(
        "Number(d.step) > arg && d.playing === 'true'", board.number("step") + 3
    )
    assert board.data("run") == run
    expect(board.root.locator('tr[data-run="A"] td').last).to_have_text("1.0e−5")
    expect(board.root.locator('tr[data-run="B"] td').last).to_have_text("0.005")
    board.control("optimizer").select_option("AdaGrad")
    board.until("d.run !== arg && d.step === '0' && d.playing === 'false'", run)
    assert board.shown("learning_rate") == "0.02"
    expect(board.root.locator('tr[data-run="A"]')).to_contain_text("AdaGrad")


def test_every_slider_reaches_the_kernel(board: Live) -> None:
    board.control("model").select_option("dropout")
    board.control("model_b").select_option("dropout")
    board.until("live.runs.every(r => r.about.drops && r.rows.length)")
    for control in LIVE_SLIDERS:
        for key, end in (("Home", control.low), ("End", control.high)):
            board.press(board.control(control.name), key)
            board.kernel_until(f"w.values[{control.name!r}]", pytest.approx(end))
    assert board.kernel("w.error") is None
    assert board.kernel("w.simulation.runs['B'].drops[0].p") == pytest.approx(0.9)


def test_run_b_switches_off_and_on(board: Live) -> None:
    toggle = board.control("compare")
    toggle.uncheck()
    board.kernel_until("list(w.simulation.runs)", ["A"])
    board.until("live.runs.length === 1 && live.halfB.inert")
    expect(board.root.locator('tr[data-run="B"]')).to_contain_text("B: off")
    toggle.check()
    board.until("live.runs.length === 2 && !live.halfB.inert && d.records === '2'")


def test_texts_and_measurements_are_shown_as_examples(board: Live) -> None:
    board.control("data").select_option("reviews")
    board.until("live.data.kind === 'tokens' && d.records === '2'", timeout=20)
    assert board.js("live.values.model") == "lstm"
    options = board.control("model").locator("option:not([hidden])").all_inner_texts()
    assert options == ["LSTM classifier", "GRU classifier"]
    hover(board, "answers.frame", 80, 20)
    text = board.kernel("w._examples.texts[0]")
    expect(board.root.locator(".lm-dash-tall")).to_contain_text(text)
    for _ in range(6):
        board.button("Step").click()
    board.until(f"d.step === '6' && {KEPT}", timeout=20)
    promises.check_layout(board, "dashboard-reviews")
    board.control("data").select_option("wine")
    board.until("live.data.kind === 'features' && d.records === '2'")
    assert board.js("live.data.row(0).length") == 13


def test_examples_can_be_all_the_wrong_ones_or_the_least_certain(board: Live) -> None:
    play(board, 30)
    pause(board)
    assert board.data("examples").split()[:3] == ["0", "1", "2"]
    board.button("More").click()
    board.until("!d.examples.startsWith('0 ')")
    board.control("filter").select_option("wrong")
    board.frames(2)
    wrong = board.kernel(
        "sorted({k for r in w.simulation.runs.values() for k in range(120)"
        " if int(r.details[-1].probabilities[k].argmax())"
        " != int(w._examples.y_check[k])})"
    )
    board.until("live.answers.shown.length > 0")
    assert {int(k) for k in board.data("examples").split()} <= set(wrong)
    board.control("filter").select_option("unsure")
    board.frames(2)
    least = board.kernel(
        "int(sum(r.details[-1].probabilities.amax(1).float()"
        " for r in w.simulation.runs.values()).min())"
    )
    first = board.js("Number(d.examples.split(' ')[0])".replace("d.", "root.dataset."))
    sure = board.kernel(
        f"int(sum(int(r.details[-1].probabilities[{first}].max())"
        " for r in w.simulation.runs.values()))"
    )
    assert sure == least or board.data("examples").count(" ") < 20


def test_numbers_stand_under_the_pointer(board: Live) -> None:
    play(board, 20)
    pause(board)
    board.page.mouse.move(*board.place("loss.frame", 10, 1.0))
    expect(board.root.locator(".lm-dash-readout").first).to_contain_text("training ")
    hover(board, "confusion.frame", board.js("live.confusion.frame.left + 5"), 30)
    row = board.kernel("w.simulation.runs['A'].details[-1].confusion[0].tolist()")
    expect(board.root.locator(".lm-dash-readout").last).to_contain_text(
        f"A: of {sum(row)} that are 0, {row[0]} are taken for 0"
    )
    hover(board, "weights.frame", board.js("live.weights.frame.left + 4"), 70)
    readout = board.root.locator(".lm-dash-readout").nth(3)
    expect(readout).to_contain_text("A, 1. Linear 128 × 64, step 0: about ")


def test_divergence_is_told(board: Live) -> None:
    play(board, 5, "1")
    board.lab.ask("board.simulation.runs['B'].optimizer.theta.mul_(float('nan'))")
    expect(board.status).to_contain_text("B diverged by step")
    board.until(
        "d.playing === 'true' && Number(d.step) > arg", board.number("step") + 5
    )


def test_keys_play_and_never_reach_the_cells(board: Live) -> None:
    canvas = board.root.locator("canvas.lm-dash-chart").first
    board.press(canvas, "Space")
    board.until("d.playing === 'true' && Number(d.step) > 2")
    board.press(canvas, "Space")
    board.until("d.playing === 'false'")
    promises.check_keys_stay(board)


def test_errors_stand_in_red(board: Live) -> None:
    promises.check_error_shows(board, "learning_rate")
    play(board, 3, "1")
    board.lab.ask("run = board.simulation.runs['A']; run.feed.examples = None")
    expect(board.error).to_contain_text("AttributeError")
    board.kernel_until("w.working", False)


def test_all_panels_are_saved_as_one_picture(board: Live) -> None:
    board.button("Step").click()
    board.until(f"d.step === '1' && {KEPT}")
    with board.page.expect_download() as download:
        board.button("Save picture").click()
    assert download.value.suggested_filename == "training.png"
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    width = board.js("live.loss.frame.canvas.width + live.right.frame.canvas.width")
    assert image.width > width
    assert image.height > board.js(
        "live.pictures.reduce((sum, f) => sum + f.canvas.height, 0) / 2"
    )
    expect(board.status).to_have_text("Saved training.png")


def test_nothing_overflows(board: Live) -> None:
    board.control("gradient").select_option("layers")
    board.control("noisy").check()
    play(board, 30)
    pause(board)
    promises.check_layouts(board, "dashboard")


def test_rerun_and_restart(board: Live) -> None:
    play(board, 5)
    promises.check_rerun(board)
    step = board.kernel("first.simulation.step")
    board.frames()
    assert board.kernel("first.simulation.step") == step
    promises.check_restart(board)
    assert board.data("step") == "0"


def test_untrusted_notebook_shows_the_still_picture(
    board: Live, lab: Lab, tmp_path: Path
) -> None:
    copy = promises.untrusted_copy(board, tmp_path / "untrusted-board.ipynb")
    promises.check_still_picture(lab, copy)
