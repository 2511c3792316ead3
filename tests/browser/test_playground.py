"""The playground in JupyterLab: it trains, and answers to hand and key."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from lib.widgets.playground import Playground
from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "from lib.widgets import Playground",
    "play = Playground()\nplay",
)
SLIDERS = [c for c in Playground.CONTROLS if c.kind in ("range", "log")]
CHOICES = [c for c in Playground.CONTROLS if c.kind == "choice" and len(c.choices) > 1]
# What the page has of the newest moment, as numbers
THETA_JS = "Array.from(live.shown.theta)"
EDGE_JS = """(i => { const [x0, y0, x1, y1] = live.net.ends(i, live.wiring);
    const b = live.net.frame.canvas.getBoundingClientRect();
    return [b.left + (x0 + x1) / 2, b.top + (y0 + y1) / 2]; })(arg)"""
UNIT_JS = """(([c, k]) => { const column = c ? live.net.places[c] : live.net.inputs;
    const { x, y } = column[k];
    const b = live.net.frame.canvas.getBoundingClientRect();
    return [b.left + x, b.top + y]; })(arg)"""
COLOUR_JS = """((x, y) => { const f = live.map, g = f.canvas.width / f.width;
    return Array.from(f.canvas.getContext('2d').getImageData(f.px(x) * g, f.py(y) * g,
        1, 1).data.slice(0, 3)); })(...arg)"""
# How many points the map draws, and how many colours lie under them on one line
POINTS_JS = """(() => { let n = 0; live.drawPoint = () => { n += 1; };
    live.draw(); delete live.drawPoint; return n; })()"""
COLOURS_JS = """(() => { const f = live.map, g = f.canvas.width / f.width;
    live.drawPoint = live.drawBoundary = () => {};
    live.draw();
    delete live.drawPoint;
    delete live.drawBoundary;
    const pen = f.canvas.getContext("2d");
    return new Set([-2, -1, 0, 1, 2].map(x => String(pen.getImageData(f.px(x) * g,
        f.py(0.3) * g, 1, 1).data))).size; })()"""


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("playground")
    notebook = make_notebook(folder / "playground.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "play") as live:
        yield live


@pytest.fixture
def play(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def train(play: Live, epochs: int) -> None:
    """Train in the kernel, and wait until the page shows the last step."""
    play.lab.ask(f"play.run({epochs}); play.pump(now=True)")
    play.until("Number(d.step) === arg", play.kernel("w.simulation.step"))


def see_net(play: Live) -> None:
    play.js("live.net.frame.canvas.scrollIntoView({ block: 'center' })")
    play.frames(2)


def test_appears_with_its_network_and_untrained_output(play: Live) -> None:
    assert play.data("sizes") == "2 4 2 1"
    assert play.data("points") == "200"
    assert play.number("loss") == pytest.approx(play.kernel("w.moment.train_loss"))
    assert play.js(THETA_JS) == pytest.approx(play.kernel("w.moment.theta.tolist()"))
    expect(play.status).to_contain_text("Epoch 0: training loss 0.6")
    expect(play.control("dataset")).to_be_visible()
    expect(play.control("target")).to_be_hidden()


def test_trains_live_and_learns_the_circles(play: Live) -> None:
    first = play.number("test-loss")
    inside, outside = (play.js(COLOUR_JS, at) for at in ([0, 0], [2.8, 2.8]))
    assert max(abs(a - b) for a, b in zip(inside, outside, strict=True)) < 60
    play.button("▶ Play").click()
    play.until("d.playing === 'true' && Number(d.step) > 600", timeout=30)
    play.root.get_by_role("button", name="Pause").click()
    play.until("d.playing === 'false'")
    assert play.number("test-loss") < 0.5 * first
    assert play.number("frames") > 8
    inside, outside = (play.js(COLOUR_JS, at) for at in ([0, 0], [2.8, 2.8]))
    assert inside[2] > inside[0] + 60  # blue
    assert outside[0] > outside[2] + 60  # orange
    expect(play.status).to_contain_text("% of the test points are right.")
    step = play.number("step")
    assert play.kernel("w.simulation.step") == step
    play.frames()
    assert play.number("step") == step


def test_goes_back_to_an_earlier_moment_without_the_kernel(play: Live) -> None:
    train(play, 5)
    train(play, 30)
    newest = play.js(THETA_JS)
    play.lab.ask("asked = []; play._receive = lambda *a: asked.append(a[1])")
    play.scrubber.fill("61")
    play.until("d.position === '61' && d.shown === '60'")
    at = play.kernel("[m.step for m in w.moments].index(60)")
    wanted = play.kernel(f"w.moments[{at}].theta.tolist()")
    assert play.js(THETA_JS) == pytest.approx(wanted)
    assert play.js(THETA_JS) != pytest.approx(newest)
    rows = play.kernel("[r for r in w.rows if r[0] == 60][0]")
    assert play.number("loss") == pytest.approx(rows[2])
    play.press(play.scrubber, "End")
    play.until("d.shown === d.step")
    assert play.js(THETA_JS) == pytest.approx(newest)


def test_step_and_reset_repeat_the_same_run(play: Live) -> None:
    for _ in range(2):
        play.button("Step").click()
    play.until("d.step === '2'")
    first = play.js(THETA_JS)
    play.button("Reset").click()
    play.until("d.step === '0'")
    assert play.js(THETA_JS) != first
    for _ in range(2):
        play.button("Step").click()
    play.until("d.step === '2'")
    assert play.js(THETA_JS) == first
    seed = play.kernel("w.values['seed']")
    play.button("New weights").click()
    play.kernel_until("w.values['seed']", lambda value: value != seed)
    play.until("d.step === '0'")


def test_every_slider_and_choice_reaches_the_kernel(play: Live) -> None:
    for spec in SLIDERS:
        play.press(play.control(spec.name), "End")
        slack = 10**spec.step - 1 if spec.kind == "log" else 1e-9
        wanted = pytest.approx(spec.high, rel=slack)
        play.kernel_until(f"w.values[{spec.name!r}]", wanted)
    for spec in CHOICES:
        if spec.name == "target":
            continue  # hidden: the problem is another one
        value = spec.choices[0 if spec.name == "problem" else -2][0]
        play.control(spec.name).select_option(value)
        play.kernel_until(f"w.values[{spec.name!r}]", value)
    play.control("problem").select_option("regression")
    expect(play.control("target")).to_be_visible()
    play.control("target").select_option("ripples")
    play.kernel_until("(w.values['target'], w.simulation.points.classes)",
                      ("ripples", False))  # fmt: skip
    expect(play.error).to_be_hidden()


def test_layers_neurons_and_features_by_buttons_and_keys(play: Live) -> None:
    play.button("one neuron more in layer 2").click()
    play.until("d.sizes === '2 4 3 1'")
    play.button("one hidden layer more").click()
    play.until("d.sizes === '2 4 3 3 1'")
    less = play.button("one neuron less in layer 1")
    for count in (3, 2, 1):
        play.press(less, "Enter")  # the button keeps the focus
        play.until(f"d.sizes === '2 {count} 3 3 1'")
    expect(less).to_be_disabled()
    play.press(play.root.locator('[data-feature="sin x1"]'), "Space")
    play.until("d.sizes === '3 1 3 3 1'")
    see_net(play)
    play.page.mouse.click(*play.js(UNIT_JS, [0, 0]))  # the feature x1
    play.until("d.sizes === '2 1 3 3 1'")
    assert play.kernel("w.values['features']") == ("x2", "sin x1")
    play.control("hidden").fill("8 8 8 8 8 8")
    play.until("d.sizes === '2 8 8 8 8 8 8 1'")
    expect(play.button("one hidden layer more")).to_be_disabled()
    promises.check_layout(play, "playground-largest")
    play.control("hidden").fill("9")
    expect(play.error).to_contain_text("it takes 0 to 6 numbers from 1 to 8")
    play.control("hidden").fill("")
    play.until("d.sizes === '2 1'")
    expect(play.error).to_be_hidden()
    promises.check_layout(play, "playground-straight")


def test_weights_and_neurons_by_pointer_and_by_keyboard(play: Live) -> None:
    train(play, 3)
    see_net(play)
    play.page.mouse.move(*play.js(EDGE_JS, 17))  # in layer 2: 8 + 4 numbers before
    name = "layer 1 neuron 2 → layer 2 neuron 2"
    value = play.kernel("float(w.moment.theta[17])")
    readout = play.root.locator(".lm-readout")
    expect(readout).to_contain_text(f"{name}: {'−' if value < 0 else ''}")
    shown = float(readout.inner_text().split(": ")[1].split(".  ")[0]
                  .replace("−", "-").split(". ")[0])  # fmt: skip
    assert shown == pytest.approx(value, abs=6e-3)
    play.page.mouse.click(*play.js(EDGE_JS, 17))
    assert play.js("live.weightMenu.selectedOptions[0].text") == name
    field = play.root.get_by_label("Its value")
    field.fill("-3.25")
    play.kernel_until("float(w.moment.theta[17])", -3.25)
    play.until("live.shown.theta[17] === -3.25")
    loss = play.kernel("w.moment.train_loss")
    play.until("Math.abs(Number(d.loss) - arg) < 1e-6", loss)
    menu = play.root.get_by_label("Weight to change by hand")
    menu.select_option(label="bias of output")
    slide = play.root.get_by_label("value of the weight, by slider")
    play.press(slide, "Home")
    play.kernel_until("float(w.moment.theta[-1])", -5.0)
    play.root.get_by_label("Neuron shown large").select_option("layer 2 neuron 2")
    assert play.js("[live.looked.layer, live.looked.k]") == [2, 1]
    see_net(play)
    play.page.mouse.move(*play.js(UNIT_JS, [1, 3]))
    play.until("live.looked.layer === 1 && live.looked.k === 3")
    expect(play.root.locator(".lm-readout")).to_contain_text("layer 1 neuron 4")
    play.page.mouse.move(*play.place("map", 0, 0))
    play.until("live.looked.layer === 2")


def test_map_tells_output_and_loss_under_pointer_and_cursor(play: Live) -> None:
    train(play, 20)
    play.page.mouse.move(*play.place("map", 0.5, -1.0))
    readout = play.root.locator(".lm-readout")
    expect(readout).to_contain_text("probability of class 1")
    x1, x2 = play.js("live.map.pointer")
    z = play.js("live.read(live.shown.output, live.fine, arg) * live.finest", [x1, x2])
    code = ("w.simulation.model(__import__('torch').tensor([["
            f"{x1}, {x2}]])).item()")  # fmt: skip
    assert z == pytest.approx(play.kernel(code), abs=0.05)
    loss = math.log1p(math.exp(-z))
    told = readout.inner_text().split("class 1: ")[2].split(",")[0]
    assert float(told) == pytest.approx(loss, rel=0.02)
    play.press(play.root.locator(".lm-left canvas"), "ArrowRight", "ArrowUp")
    moved = play.js("live.map.pointer")
    assert moved == pytest.approx([x1 + 0.15, x2 + 0.15])


def test_points_are_added_by_click_and_by_key(play: Live) -> None:
    play.control("dataset").select_option("drawn")
    play.until("d.points === '0'")
    expect(play.status).to_contain_text("No points yet")
    play.button("▶ Play").click()
    expect(play.error).to_contain_text("There are no points to train on.")
    play.page.mouse.click(*play.place("map", 1, 1))
    play.frames(5)
    assert play.data("points") == "0"  # not while it is switched off
    play.control("adding").check()
    play.page.mouse.click(*play.place("map", 1, 1))
    play.until("d.points === '1'")
    play.control("label").select_option("0")
    play.press(play.root.locator(".lm-left canvas"), "ArrowLeft", "ArrowLeft", "Enter")
    play.until("d.points === '2'")
    added = play.kernel("w._points.x.tolist() + [w._points.y.tolist()]")
    assert added[0] == pytest.approx([1, 1], abs=0.03)
    assert added[1] == pytest.approx([0.7, 1], abs=0.03)
    assert added[2] == [1.0, 0.0]
    play.button("Step").click()
    play.until("d.step === '1'")
    expect(play.error).to_be_hidden()
    play.button("Remove").click()
    play.until("d.points === '0'")


def test_test_points_and_two_colours_are_switched_in_the_page(play: Live) -> None:
    assert play.js(POINTS_JS) == 200
    play.control("show_test").uncheck()
    assert play.js(POINTS_JS) == 120
    many = play.js(COLOURS_JS)
    play.control("discretise").check()
    play.kernel_until("w.values['discretise']", True)
    assert play.js(COLOURS_JS) <= 2 < many


def test_keys_stay_and_an_error_stands_in_red(play: Live) -> None:
    canvas = play.root.locator(".lm-left canvas")
    play.press(canvas, "Space")
    play.until("d.playing === 'true' && Number(d.step) > 0")
    play.press(canvas, "Space")
    play.until("d.playing === 'false'")
    promises.check_keys_stay(play)
    promises.check_error_shows(play, "learning_rate")


def test_running_the_cell_again_leaves_one(play: Live) -> None:
    play.button("▶ Play").click()
    play.until("Number(d.step) > 0")
    promises.check_rerun(play)


def test_nothing_overflows_and_the_picture_is_saved(play: Live) -> None:
    train(play, 30)
    promises.check_saved_picture(play, "playground")
    promises.check_layouts(play, "playground")


def test_restarted_kernel_is_told(play: Live) -> None:
    promises.check_restart(play)
