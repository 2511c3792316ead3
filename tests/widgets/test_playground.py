"""The playground, as the page gets it: points, moments, weights, and its knobs."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pytest
from PIL import Image

from lib.playground import COARSE, FEATURES, FINE
from lib.playground import Playground as Simulation
from lib.widgets import playground as module
from lib.widgets.playground import Playground
from lib.widgets.playground_controls import layer_sizes
from lib.widgets.playground_still import shown
from lib.widgets.playground_wire import FINEST
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CONTROLS = {c.name: c for c in Playground.CONTROLS}
ODD = ("features", "hidden")  # refuse more than their kind does


def make(**values) -> Playground:
    return Playground(**{"points": 40, "batch_size": 12, **values})


def part(page: FakePage, name: str) -> bytes:
    """The newest buffer of this name."""
    for message, buffers in zip(
        reversed(page.messages), reversed(page.buffers), strict=True
    ):
        if name in message.get("parts", []):
            return buffers[message["parts"].index(name)]
    raise AssertionError(f"no message had a part {name!r}")


def last(page: FakePage, key: str):
    """What the newest message says, or None before the first."""
    news = page.of_kind("news")
    return news[-1][key] if news else None


def rows_of(page: FakePage) -> np.ndarray:
    """All records of the loss, put together as the page does: snapshot, then news."""
    state = page.widget.snapshot
    run, rows = state["run"], [*np.frombuffer(state["rows"], "<f4").reshape(-1, 6)]
    for message, buffers in zip(page.messages, page.buffers, strict=True):
        if message["kind"] != "news":
            continue
        if message["run"] != run:
            rows, run = [], message["run"]
        fresh = np.frombuffer(buffers[message["parts"].index("rows")], "<f4")
        rows = [*rows[: message["from"]], *fresh.reshape(-1, 6)]
    return np.array(rows)


# ---- controls


@pytest.mark.parametrize("name", [n for n in CONTROLS if n not in ODD])
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make(problem="regression" if name == "target" else "classification")
    page = open_page(widget)
    for value in values_over_range(CONTROLS[name]):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        if "drawn" in (widget.values["dataset"], widget.values["target"]):
            assert name in ("dataset", "target")
            continue
        page.do("step")
        assert np.isfinite(page.floats("theta")).all()
    assert page.of_kind("news")
    json.dumps(page.messages, allow_nan=False)


def test_every_set_of_features_and_layers_can_be_chosen(open_page):
    widget = make()
    page = open_page(widget)
    for chosen in (["x1"], ["sin x1", "x2"], list(FEATURES)):
        page.set("features", chosen)
        assert last(page, "sizes")[0] == len(chosen)
        assert set(last(page, "features")) == set(chosen)
    for text, sizes in (("", []), ("3", [3]), ("8, 8 8 8,8 8", [8] * 6)):
        page.set("hidden", text)
        assert last(page, "sizes") == [7, *sizes, 1]
        assert len(part(page, "neuron")) == sum(sizes) * COARSE**2
        assert widget.values["hidden"] == text
    widget.set(hidden=(5, 1))
    assert widget.simulation.sizes == (7, 5, 1, 1)


@pytest.mark.parametrize(
    ("text", "sizes"), [("", ()), ("  ", ()), ("4 2", (4, 2)), (" 8,1 ", (8, 1))]
)
def test_layers_are_read_from_text(text, sizes):
    assert layer_sizes(text) == sizes


def test_controls_reach_the_network(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    theta = widget.moment.theta
    for name, value in (("learning_rate", 0.5), ("batch_size", 3), ("dropout", 0.4)):
        page.set(name, value)
        assert getattr(widget.simulation, name) == value
    page.set("l1", "0.03")
    page.set("l2", "0.1")
    assert (widget.simulation.l1, widget.simulation.l2) == (0.03, 0.1)
    page.set("optimizer", "Nesterov")
    assert type(widget.simulation.optimizer).__name__ == "Nesterov"
    assert widget.simulation.learning_rate == 0.5
    assert widget.simulation.step == 1  # none of these starts again
    np.testing.assert_array_equal(widget.simulation.optimizer.theta, theta)
    page.set("activation", "relu")
    assert widget.simulation.step == 0
    assert widget.simulation.model.activation == "relu"
    assert widget.simulation.dropout == 0.4


# ---- training


def test_a_step_is_one_mini_batch_of_the_simulation(open_page):
    widget = make(optimizer="Adam")
    page = open_page(widget)
    for _ in range(3):
        page.do("step")
    plain = Simulation(widget._points, batch_size=12, optimizer="Adam",
                       learning_rate=0.02, device="cpu")  # fmt: skip
    plain.advance(3)
    np.testing.assert_array_equal(page.floats("theta"), plain.optimizer.theta.detach())
    assert last(page, "step") == 3
    np.testing.assert_allclose(rows_of(page)[-1], plain.moment().row(), rtol=1e-6)


def test_run_without_a_page_stops_after_its_epochs():
    widget = make()
    moment = widget.run(7)
    assert moment is widget.moment
    assert moment.epoch == pytest.approx(7)
    assert len(widget.rows) == 8
    assert widget.run(1).epoch == pytest.approx(8)
    assert widget._ended is None


def test_run_goes_on_to_the_stop_conditions():
    assert make(epochs=10).run().epoch == pytest.approx(10)
    widget = make(dataset="clouds", stop_loss=0.3, learning_rate=0.1)
    moment = widget.run()
    assert widget._ended == "loss"
    assert moment.test_loss <= 0.3 < widget.moments[-2].test_loss
    widget = make(problem="regression", optimizer="SGD", learning_rate=10.0,
                  activation="identity", epochs=100)  # fmt: skip
    widget.run()
    assert widget._ended == "diverged"
    assert widget.still().startswith(b"\x89PNG")


def test_reset_is_the_same_run_again(open_page):
    widget = make(dropout=0.2)
    page = open_page(widget)
    page.do("step")
    page.do("step")
    first = page.floats("theta").copy()
    page.do("reset")
    assert last(page, "step") == 0
    page.do("step")
    page.do("step")
    np.testing.assert_array_equal(page.floats("theta"), first)
    page.set("seed", 4)
    page.do("step")
    page.do("step")
    assert not np.array_equal(page.floats("theta"), first)


def test_play_stops_at_the_epoch_asked_for_and_plays_again():
    async def play():
        widget = make(epochs=10, speed="ten")
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: last(page, "ended") == "epochs")
        assert last(page, "playing") is False
        assert widget.moment.epoch == pytest.approx(10)
        page.set("epochs", 20)
        page.do("play")
        await until(lambda: widget.moment.epoch > 19)
        assert widget._runs == 1  # there was more to do: it went on
        await until(lambda: last(page, "ended") == "epochs")
        page.do("play")
        await until(lambda: widget._runs == 2)
        page.do("pause")
        await until(lambda: last(page, "playing") is False)
        widget.close()

    asyncio.run(play())


@pytest.mark.parametrize("speed", ["step", "epoch", "fast"])
def test_training_goes_on_while_knobs_are_turned(speed):
    async def play():
        widget = make(speed=speed, epochs=5000)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step > 3)
        page.set("hidden", "3")
        page.set("learning_rate", 0.5)
        await until(lambda: last(page, "sizes") == [2, 3, 1])
        await until(lambda: widget.simulation.step > 3)
        assert widget._playing
        page.do("pause")
        await until(lambda: last(page, "playing") is False)
        step = widget.simulation.step
        assert last(page, "step") == step == widget.moment.step
        await asyncio.sleep(0.1)
        assert widget.simulation.step == step
        widget.close()

    asyncio.run(play())


def test_training_ends_with_the_last_page():
    async def play():
        widget = make(epochs=5000)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step > 2)
        page.tell(kind="bye")
        await until(lambda: not widget.working)
        assert not widget._playing
        widget.close()

    asyncio.run(play())


def test_the_work_can_be_left_after_every_step():
    widget = make(speed="fast", points=1000, batch_size=1, hidden=(8,) * 6)
    widget._playing = True
    work = widget._training()
    for count in range(1, 30):
        next(work)
        assert count - 10 <= widget.simulation.step <= count
    widget.close()


# ---- to the page


def test_the_first_page_gets_everything(open_page):
    widget = make()
    open_page(widget)
    state = widget.snapshot
    points = np.frombuffer(state["points"], "<f4").reshape(-1, 4)
    np.testing.assert_allclose(points[:, :2], widget._points.to_own_units(), rtol=1e-6)
    np.testing.assert_array_equal(points[:, 2], widget._points.y)
    np.testing.assert_array_equal(points[:, 3], widget._points.test)
    assert state["sizes"] == [2, 4, 2, 1]
    assert state["kept"] == [0]
    assert len(state["inputs"]) == len(FEATURES) * COARSE**2
    maps = np.frombuffer(state["inputs"], "u1").reshape(-1, COARSE, COARSE)
    x1 = (maps[0].astype(float) - 128) / 127 * state["input_scales"][0]
    np.testing.assert_allclose(x1[0], np.linspace(-2.85, 2.85, COARSE), atol=0.02)
    assert maps[1, 0, 0] == 1 < 255 == maps[1, -1, 0]  # x2 grows with the rows


def test_maps_and_outputs_travel_with_small_errors(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    moment, scales = widget.moment, page.floats("scale")
    maps = np.frombuffer(part(page, "neuron"), "u1").reshape(6, COARSE, COARSE)
    told = (maps.astype(float) - 128) / 127 * scales[:, None, None]
    error = np.abs(told - moment.neurons).max((1, 2))
    assert (error <= 0.51 * scales / 127).all()
    output = np.frombuffer(part(page, "output"), "<i2").reshape(FINE, FINE) * FINEST
    np.testing.assert_allclose(output, moment.output, atol=0.51 * FINEST)


def test_a_page_that_opens_late_sees_the_whole_way(open_page):
    widget = make()
    open_page(widget)
    widget.run(150)
    late = open_page(widget)
    state = widget.snapshot
    kept = state["kept"]
    assert 30 < len(kept) <= module.KEPT
    assert kept[0] == 0
    assert kept[-1] == widget.moment.step == 300
    assert kept == sorted(set(kept))
    thetas = np.frombuffer(state["thetas"], "<f4").reshape(len(kept), -1)
    np.testing.assert_array_equal(thetas[-1], widget.moment.theta)
    np.testing.assert_array_equal(thetas[3], widget.moments[3].theta)
    assert len(state["neurons"]) == len(kept) * 6 * COARSE**2
    assert len(state["outputs"]) == len(kept) * FINE**2 * 2
    rows = np.frombuffer(state["rows"], "<f4").reshape(-1, 6)
    np.testing.assert_allclose(rows[:, 0], 2 * np.arange(151))
    late.do("step")
    assert late.of_kind("news")[-1]["from"] == 151


def test_records_are_thinned_and_the_page_gets_the_same(open_page, monkeypatch):
    monkeypatch.setattr(module, "CURVE", 30)
    widget = make()
    page = open_page(widget)
    rows = []
    for _ in range(75):
        page.do("step")
        rows.append(len(widget.rows))
    assert max(rows) == 30
    # what the snapshot held is known to the page already: no message tells it again
    known = rows_of(page)
    np.testing.assert_allclose(known, np.array(widget.rows, "f4"))
    assert known[0, 0] == 0
    assert known[-1, 0] == 75


def test_news_are_small_and_nothing_is_sent_twice(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    size = len(json.dumps(page.of_kind("news")[-1]))
    assert size + sum(len(b) for b in page.buffers[-1]) < 8_000
    assert "points" not in last(page, "parts")
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent
    page.set("show_test", False)
    assert sum(len(b) for b in page.buffers[-1]) == 0
    page.set("noise", 0.3)
    assert "points" in last(page, "parts")


# ---- by hand


def test_a_weight_is_set_by_hand(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    page.do("weight", 3, -2.5)
    assert page.floats("theta")[3] == -2.5
    assert last(page, "step") == 1
    assert len(widget.moments) == len(widget.rows) == 2  # the step's moment is replaced
    np.testing.assert_allclose(rows_of(page), np.array(widget.rows, "f4"))
    page.do("step")
    assert widget.moment.theta[3] == pytest.approx(-2.5, abs=0.1)
    with pytest.raises(ValueError, match="weight 99 was set; there are 0 to 24"):
        page.do("weight", 99, 1.0)


def test_points_are_added_and_taken_away(open_page):
    widget = make()
    page = open_page(widget)
    theta = widget.moment.theta
    page.do("point", 2.5, -1.0, 1)
    points = page.floats("points").reshape(-1, 4)
    np.testing.assert_allclose(points[-1], [2.5, -1.0, 1, 0], atol=1e-6)
    assert len(points) == 41
    assert last(page, "added") == 1
    np.testing.assert_array_equal(widget.moment.theta, theta)
    page.set("data_seed", 5)  # other points, but those of the hand stay
    np.testing.assert_allclose(
        page.floats("points").reshape(-1, 4)[-1], [2.5, -1.0, 1, 0], atol=1e-6
    )
    page.do("clear")
    assert page.floats("points").size == 4 * 40
    page.do("point", 1.0, 1.0, 0)
    page.set("dataset", "moons")
    assert page.floats("points").size == 4 * 40
    for wrong in ((9.0, 0.0, 1), (0.0, 0.0, 2), (float("nan"), 0.0, 1)):
        with pytest.raises(ValueError, match="was added; it lies from"):
            page.do("point", *wrong)


def test_a_set_of_ones_own_is_drawn_and_learnt(open_page):
    widget = make(dataset="drawn")
    page = open_page(widget)
    with pytest.raises(ValueError, match="no points to train on"):
        page.do("play")
    assert not widget._playing
    for x1, label in ((-2.0, 0), (-1.0, 0), (1.0, 1), (2.0, 1)):
        page.do("point", x1, 0.0, label)
    moment = widget.run(80)
    assert moment.train_accuracy == 1.0
    assert np.isnan(moment.test_loss)
    json.dumps(page.messages, allow_nan=False)
    page.set("problem", "regression")
    page.set("target", "drawn")
    page.do("point", 1.0, 1.0, 0)
    assert page.floats("points").tolist() == pytest.approx([1.0, 1.0, -1.0, 0.0])


def test_ones_own_data_are_the_first_choice():
    generator = np.random.default_rng(1)
    x = generator.normal(5, 2, (60, 2))
    widget = Playground(data=(x, x[:, 0] > 5))
    assert widget.values["dataset"] == "own"
    assert widget._points.classes
    assert len(widget._points.x) == 60
    assert widget.run(60).train_accuracy > 0.9
    widget.set(dataset="moons")
    assert len(widget._points.x) == 200
    widget = Playground(data=(x, x[:, 0] * 10))
    assert (widget.values["problem"], widget.values["target"]) == ("regression", "own")
    assert CONTROLS["dataset"].default == "circles"  # the class keeps its own
    with pytest.raises(ValueError, match="data is a int"):
        Playground(data=3)


# ---- errors, pictures, end


def test_an_error_is_shown_in_the_page_under_a_loop_and_raised_without(monkeypatch):
    def broken(_self, _steps=1):
        raise RuntimeError("the gradient broke")

    monkeypatch.setattr(Simulation, "advance", broken)

    async def play():
        widget = make()
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: page.of_kind("error"))
        text = "RuntimeError: the gradient broke"
        assert page.of_kind("error")[-1]["text"] == text
        assert not widget._playing
        widget.close()

    asyncio.run(play())
    with pytest.raises(RuntimeError, match="the gradient broke"):
        make().run(1)


def test_text_and_colours_of_the_picture():
    widget = make()
    widget.run(5)
    text = "A playground: a small network learns points of the plane"
    assert widget.describe() == text
    png = widget.still()
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)
    assert (np.ptp(pixels, axis=2) > 40).mean() > 0.02  # ink in colour
    assert len(png) < 80_000


def test_the_picture_shows_network_output_points_and_curves():
    widget = make(hidden=(3,), features=("x1", "x2", "x1x2"))
    widget.run(6)
    net, map_, curves = widget.figure().axes
    assert len(net.images) == 3 + 3 + 1
    assert len(net.lines) == 3 * 3 + 3 + 7  # weights, and a box around each unit
    picture = map_.images[0].get_array()
    probability = 1 / (1 + np.exp(-widget.moment.output))
    np.testing.assert_allclose(picture, 2 * probability - 1, atol=1e-5)
    places = np.concatenate([c.get_offsets() for c in map_.collections])
    assert len(places) == 40
    train, test = curves.lines
    np.testing.assert_allclose(train.get_ydata(), np.array(widget.rows)[:, 2])
    np.testing.assert_allclose(test.get_xdata(), np.array(widget.rows)[:, 1])


@pytest.mark.parametrize(
    "values",
    [
        {"hidden": ""},
        {"hidden": "8 8 8 8 8 8", "features": tuple(FEATURES)},
        {"dataset": "drawn"},
        {"problem": "regression", "discretise": True, "show_test": False},
    ],
)
def test_every_kind_of_network_has_a_picture(values):
    widget = make(**values)
    assert widget.still().startswith(b"\x89PNG")
    widget.close()


def test_heights_are_shown_as_they_are_up_to_one():
    np.testing.assert_array_equal(
        shown(np.array([-3.0, 0.25, np.nan]), classes=False), [-1, 0.25, 0]
    )


def test_two_playgrounds_on_one_loop_do_not_disturb_each_other():
    async def play():
        first, second = make(epochs=10), make(epochs=10, dataset="moons")
        pages = [FakePage(widget).hello() for widget in (first, second)]
        for page in pages:
            page.do("play")
        await until(lambda: all(last(p, "ended") == "epochs" for p in pages))
        alone = make(epochs=10)
        alone.run()
        np.testing.assert_array_equal(pages[0].floats("theta"), alone.moment.theta)
        for widget in (first, second):
            widget.close()

    asyncio.run(play())
