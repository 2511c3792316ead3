"""Recurrent cells in JupyterLab: stepped, typed, trained, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "from lib.widgets import Sequence",
    "s = Sequence(hidden=6, length=10, steps=50)\ns",
)


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("sequence")
    notebook = make_notebook(folder / "sequence.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "s") as live:
        yield live


@pytest.fixture
def s(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def numbers(s: Live):
    return s.root.locator(".lm-seq-equations")


def training(s: Live, name: str):
    return s.root.locator(".lm-seq-training").get_by_role("button", name=name)


def time_button(s: Live, name: str):
    return s.root.locator(".lm-transport").first.get_by_role("button", name=name)


def train(s: Live) -> None:
    training(s, "Play").click()
    s.until("d.training === 'false' && d.trained === '50'", timeout=40)


def test_every_step_shows_the_kernels_numbers(s: Live) -> None:
    s.press(s.root.locator("canvas.lm-canvas").first, *["ArrowRight"] * 3, "ArrowDown")
    s.until("d.position === '3' && live.values.unit === 2")
    for name in ("forget_gate", "cell", "hidden"):
        wanted = s.kernel(f"float(w.traces['lstm'].values[{name!r}][3, 1])")
        found = s.js(f"live.traces[2].values.{name}[3 * 6 + 1]")
        assert found == pytest.approx(wanted, rel=1e-6)
    cell = s.js("live.traces[2].values.cell[3 * 6 + 1]")
    line = numbers(s).locator("div", has_text="c = f·c + i·g")
    assert float(line.inner_text().split("= ")[-1].replace("−", "-")) == (
        pytest.approx(cell, rel=0.01)
    )
    expect(numbers(s)).to_contain_text("LSTM before training, unit 2, step 4 “y”")


@pytest.mark.parametrize(
    ("cell", "strips"), [("rnn", 3), ("gru", 6), ("lstm", 8), ("all", 15)]
)
def test_each_cell_shows_its_gates(s: Live, cell: str, strips: int) -> None:
    s.control("cell").select_option(cell)
    s.until("live.strips.list.length === arg", strips)
    names = s.js("live.strips.list.map(one => one.name)")
    assert ("forget_gate" in names) == (cell in ("lstm", "all"))
    assert ("reset_gate" in names) == (cell in ("gru", "all"))
    s.frames(2)
    expect(numbers(s)).to_contain_text("LSTM" if cell == "all" else cell.upper())


def test_plays_pauses_steps_back_and_scrubs_through_time(s: Live) -> None:
    s.root.locator(".lm-speed select").select_option("10")
    time_button(s, "Play").click()
    s.until("d.playing === 'true' && Number(d.position) >= 2")
    time_button(s, "Pause").click()
    s.until("d.playing === 'false'")
    at = s.number("position")
    time_button(s, "Step").click()
    time_button(s, "Back").click()
    time_button(s, "Back").click()
    s.until("Number(d.position) === arg", at - 1)
    s.scrubber.first.fill("20")
    s.until("d.position === '19'")
    time_button(s, "Reset").click()
    s.until("d.position === '0'")
    canvas = s.root.locator("canvas.lm-canvas").first
    s.press(canvas, "Space")
    s.until("d.playing === 'true' && Number(d.position) >= 1")
    s.press(canvas, "Space")
    s.until("d.playing === 'false'")


def test_mouse_on_a_strip_chooses_step_and_unit(s: Live) -> None:
    place = s.js(
        "(p => { const f = p.frame, one = p.list.find(q => q.name === 'hidden');"
        " return { x: f.left + 5.5 * p.column, y: one.top + one.tall * 4.5 / 6 }; })"
        "(live.strips)"
    )
    s.root.locator("canvas.lm-canvas").first.click(position=place)
    s.until("d.position === '5' && live.values.unit === 5")
    wanted = s.kernel("float(w.traces['lstm'].values['hidden'][5, 4])")
    hover = s.root.locator(".lm-seq-hover")
    expect(hover).to_contain_text("LSTM hidden state h, unit 5, step 6 “w”: ")
    shown = float(hover.inner_text().split(": ")[-1].replace("−", "-"))
    assert shown == pytest.approx(wanted, rel=0.01, abs=1e-4)


def test_typed_sequences_and_their_errors(s: Live) -> None:
    text = s.control("text")
    text.fill("Czw")
    s.until("live.labels.join('') === 'Czw' && d.position === '0'")
    text.fill("Czq")
    problem = s.root.locator(".lm-seq-problem")
    expect(problem).to_contain_text("'q' is no letter of this task")
    expect(problem).to_contain_text("The last sequence stays.")
    assert s.js("live.labels.join('')") == "Czw"
    expect(s.error).to_be_hidden()
    s.control("source").select_option("words")
    s.until("live.labels[1] === 'film' && live.problem.textContent === ''")
    text.fill("good film")
    s.until("live.labels.join(' ') === 'good film'")
    assert s.kernel("w.labels") == ["good", "film"]


def test_training_draws_accuracy_and_the_gradient_after_it(s: Live) -> None:
    assert s.js("live.curves().length") == 3
    train(s)
    records = s.kernel("[(r.step, *map(float, r.accuracies)) for r in w.records]")
    shown = s.js("live.records.map(r => [r.step, ...r.accuracies])")
    assert len(records) == 6
    for told, wanted in zip(shown, records, strict=True):
        assert told == pytest.approx(wanted, rel=1e-6)
    curve = s.js("live.curves().filter(c => c.kind === 'rnn' && c.when === 'now')[0]"
                 ".values")  # fmt: skip
    reach = s.kernel("w.records[-1].reach[0, 0].tolist()")[::-1]
    assert curve == pytest.approx([r / reach[0] for r in reach], rel=1e-5)
    expect(numbers(s)).to_contain_text("after 50 training steps")
    s.scrubber.last.fill("20")
    s.until("d.shown === '20'")
    s.control("weights").select_option("first")
    expect(numbers(s)).to_contain_text("before training")
    training(s, "Reset").click()
    s.until("d.trained === '0' && d.records === '1'")


def test_pause_and_step_the_training(s: Live) -> None:
    s.press(s.control("steps"), "End")
    s.kernel_until("w.values['steps']", 1000)
    training(s, "Play").click()
    s.until("Number(d.trained) >= 5", timeout=20)
    training(s, "Pause").click()
    s.until("d.training === 'false'")
    at = s.kernel("w.lab.step")
    s.frames(10)
    assert s.kernel("w.lab.step") == at
    training(s, "Step").click()
    s.until("Number(d.trained) > arg && d.training === 'false'", at, timeout=20)
    assert s.kernel("w.lab.step") == at + 10 - at % 10


def test_settings_start_again_and_gradient_of_the_state(s: Live) -> None:
    run = s.data("run")
    s.press(s.control("keep"), "Home")
    s.until("d.run !== arg && d.records === '1'", run)
    assert s.kernel("w.lab.keep") == -3.0
    s.control("of").select_option("state")
    reach = s.kernel("w.records[0].reach[2, 1].tolist()")[::-1]
    s.frames(2)
    values = s.js("live.curves()[2].values")
    assert values == pytest.approx([r / reach[0] for r in reach], rel=1e-5)


def test_letters_do_not_cut_cells(s: Live) -> None:
    promises.check_keys_stay(s)


def test_error_in_the_kernel_stands_in_red(s: Live) -> None:
    promises.check_error_shows(s, "learning_rate")


def test_running_the_cell_again_leaves_one(s: Live) -> None:
    promises.check_rerun(s)


def test_picture_is_saved(s: Live) -> None:
    promises.check_saved_picture(s, "sequence")


def test_nothing_overflows(s: Live) -> None:
    train(s)
    s.control("cell").select_option("all")
    promises.check_layouts(s, "sequence")


def test_restarted_kernel_is_told(s: Live) -> None:
    promises.check_restart(s)
