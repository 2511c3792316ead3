"""The training dashboard, as the page gets it: every record once, and every knob."""

from __future__ import annotations

import asyncio
import gc
import json
import struct
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from lib.dashboard import BINS, SHOWN, TrainingRuns
from lib.datasets import load
from lib.models.mlp import MLP
from lib.widgets import dashboard_parts
from lib.widgets.base import WINDOW
from lib.widgets.dashboard import RATES, TrainingDashboard
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CONTROLS = {control.name: control for control in TrainingDashboard.CONTROLS}
pytestmark = pytest.mark.usefixtures("quick")


def make(**values) -> TrainingDashboard:
    return TrainingDashboard(**{"data": "wine", "epochs": 5, **values})


class Book:
    """What a page has written down: rows and details of each run."""

    def __init__(self, page: FakePage, snapshot: bool = True) -> None:
        self.run, self.rows, self.details, self.data = None, {}, {}, None
        if snapshot:
            self.take(page.widget.snapshot, page.widget.snapshot)
        for content, buffers in zip(page.messages, page.buffers, strict=True):
            if content["kind"] == "news":
                self.take(content, dict(zip(content["parts"], buffers, strict=True)))

    def take(self, content: dict, parts: dict) -> None:
        if content["run"] != self.run:
            self.run, self.rows, self.details = content["run"], {}, {}
        self.last = content
        self.data = content.get("data", self.data)
        for about in content["runs"]:
            name, L = about["name"], len(about["layers"])
            rows = np.frombuffer(parts["rows_" + name], "<f4").reshape(-1, 9 + L)
            told = self.rows.setdefault(name, [])
            assert content["from"][name] == len(told), "told twice, or left out"
            told += rows.tolist()
            V, packed = len(self.data["targets"]), parts["details_" + name]
            size = 4 * (1 + L + V * V) + L * BINS + V * len(self.data["truth"])
            assert len(packed) == size * content["details"][name]
            for k in range(content["details"][name]):
                block = packed[k * size : (k + 1) * size]
                (step,) = struct.unpack_from("<f", block)
                self.details.setdefault(name, {})[step] = block


def written(simulation: TrainingRuns) -> dict[str, np.ndarray]:
    """What a page should have written down, in float32."""
    return {
        name: np.array([r.row() for r in run.history], "f4")
        for name, run in simulation.runs.items()
    }


def check(book: Book, simulation: TrainingRuns) -> None:
    for name, rows in written(simulation).items():
        np.testing.assert_array_equal(np.array(book.rows[name], "f4"), rows)
        assert max(book.details[name]) == rows[-1][0]


def theta(widget: TrainingDashboard, name: str = "A") -> torch.Tensor:
    return widget.simulation.runs[name].optimizer.theta


# ---- controls


@pytest.mark.parametrize("name", [n for n in CONTROLS if n not in ("data", "model")])
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make(compare=True, model="dropout")
    page = open_page(widget)
    page.do("step")
    widget.finish()
    for value in values_over_range(CONTROLS[name]):
        if name == "model_b" and value not in widget._fits():
            with pytest.raises(ValueError, match="does not fit wine"):
                page.set(name, value)
            assert page.of_kind("value")[-1]["value"] == widget.values[name] != value
            continue
        page.set(name, value)
        widget.finish()
        wanted = CONTROLS[name].check(value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == wanted
        page.do("step")
        widget.finish()
        book = Book(page)
        check(book, widget.simulation)
        assert book.last["values"] == widget.values
        for run, end in (("A", ""), ("B", "_b")):
            if run in widget.simulation.runs:
                settings = widget.simulation.runs[run].settings
                optimizer = widget.simulation.runs[run].optimizer
                assert settings.learning_rate == widget.values["learning_rate" + end]
                assert type(optimizer).__name__ == widget.values["optimizer" + end]
                decay = float(widget.values["weight_decay" + end])
                assert optimizer.groups[0]["weight_decay"] == decay
                assert settings.batch_size == widget.values["batch_size" + end]
        assert widget.simulation.runs["A"].epochs == widget.values["epochs"]
        assert ("B" in widget.simulation.runs) == widget.values["compare"]
    json.dumps(page.messages, allow_nan=False)


@pytest.mark.parametrize("data", ["digits", "moons", "reviews"])
def test_new_data_starts_again_with_models_that_fit_it(open_page, data):
    widget = make(compare=True)
    page = open_page(widget)
    page.do("step")
    page.set("data", data)
    widget.finish()
    book = Book(page)
    check(book, widget.simulation)
    assert widget.simulation.step == 0
    fits = [name for name, _label in book.data["models"]]
    assert widget.values["model"] == widget.values["model_b"] == fits[0]
    for model in fits:
        page.set("model", model)
        page.do("step")
        widget.finish()
        check(Book(page), widget.simulation)
    assert len(book.data["truth"]) == book.data["shape"][0] <= SHOWN
    assert (len(book.data["texts"]) > 0) == (data == "reviews")


def test_a_model_that_does_not_fit_leaves_everything_as_it_is(open_page):
    widget = make()
    page, before, simulation = open_page(widget), dict(widget.values), widget.simulation
    with pytest.raises(ValueError, match="does not fit wine"):
        page.set("model", "cnn")
    assert widget.values == before
    assert widget.simulation is simulation


def test_a_new_optimizer_comes_with_its_usual_rate_unless_one_is_given():
    widget = make()
    widget.set(optimizer="AdamW")
    assert widget.values["learning_rate"] == RATES["AdamW"]
    widget.set(learning_rate=0.3, optimizer="SGD")
    assert widget.values["learning_rate"] == 0.3
    assert make(optimizer="Adam").values["learning_rate"] == RATES["Adam"]
    assert make(optimizer="Adam", learning_rate=1.0).values["learning_rate"] == 1.0


def test_the_network_with_l2_comes_with_its_decay_and_a_number_will_do():
    widget = make(model="deep")
    assert widget.values["weight_decay"] == "0.001"
    widget.set(model="mlp")
    assert widget.values["weight_decay"] == "0"
    widget.set(weight_decay=0.03)
    assert widget.simulation.runs["A"].optimizer.groups[0]["weight_decay"] == 0.03
    assert make(weight_decay=1e-4).values["weight_decay"] == "0.0001"


def test_compare_says_what_run_b_has_different():
    widget = make(batch_size=32, compare={"optimizer": "SGD"})
    a, b = (widget.simulation.runs[name].settings for name in "AB")
    assert (a.optimizer, b.optimizer) == ("Momentum", "SGD")
    assert (a.batch_size, b.batch_size) == (32, 32)
    assert b.learning_rate == RATES["SGD"]
    assert list(make().simulation.runs) == ["A"]
    assert make(compare=True).simulation.runs["B"].settings.optimizer == "Adam"
    with pytest.raises(ValueError, match="give None, True or a dict"):
        make(compare="Adam")
    with pytest.raises(ValueError, match="no control 'speeed_b'"):
        make(compare={"speeed": 1})


def test_models_and_data_of_ones_own():
    def tiny(seed):
        return MLP((64, 4, 10), seed=seed)

    widget = TrainingDashboard(tiny, load("digits"), models={"flat": tiny})
    assert widget.values["model"] == "tiny"
    assert repr(widget) == "<Training dashboard of tiny on digits>"
    widget.set(model="flat")
    widget.run(3)
    assert theta(widget).numel() == sum(p.numel() for p in tiny(0).parameters())
    with pytest.raises(ValueError, match="give a function of the seed"):
        TrainingDashboard(models={"made": nn.Linear(64, 10)})
    with pytest.raises(ValueError, match="the dashboard trains classifiers"):
        TrainingDashboard(data="diabetes")


def test_a_model_that_breaks_is_told_and_the_old_one_stays(open_page):
    widget = make(models={"broken": lambda seed: MLP((13, 4, 2), seed=seed)})
    page, simulation = open_page(widget), widget.simulation
    with pytest.raises(ValueError, match=r"scores of the shape \(2, 3\)"):
        page.set("model", "broken")
    assert page.of_kind("value")[-1]["value"] == widget.values["model"] == "mlp"
    assert widget.simulation is simulation


def test_a_models_own_dropout_holds_until_the_control_moves():
    own = {"gentle": lambda seed: nn.Sequential(nn.Dropout(0.125), nn.Linear(13, 3))}
    widget = make(models=own)
    widget.set(model="gentle")
    assert widget.values["dropout"] == 0.125
    widget.set(dropout=0.4)
    widget.do_reset()
    assert widget.simulation.runs["A"].drops[0].p == widget.values["dropout"] == 0.4
    assert make(model="dropout", dropout=0.2).simulation.runs["A"].drops[0].p == 0.2


# ---- without a page


def test_run_trains_to_the_end_or_so_many_steps():
    widget = make(compare=True)
    last = widget.run(3)
    assert {name: record.step for name, record in last.items()} == {"A": 3, "B": 3}
    last = widget.run()
    assert last["A"].step == widget.simulation.total == 10
    assert last["A"].train_loss < widget.simulation.runs["A"].history[0].train_loss


def test_run_without_a_page_is_what_a_page_gets_step_by_step(open_page):
    alone, watched = make(), make()
    page = open_page(watched)
    for _ in range(7):
        page.do("step")
        watched.finish()
    assert alone.run(7)["A"] == watched.simulation.runs["A"].history[-1]
    assert torch.equal(theta(alone), theta(watched))
    assert [row[0] for row in Book(page).rows["A"]] == list(range(8))


def test_an_epoch_and_clicks_in_quick_succession_lose_no_step(open_page):
    widget = make()
    page = open_page(widget)
    for _ in range(3):
        page.do("step")
    page.do("epoch")
    widget.finish()
    assert widget.simulation.step == 5


def test_a_step_sends_little_and_nothing_is_sent_twice(open_page):
    widget = make(data="digits", compare=True)
    page = open_page(widget)
    page.do("step")
    widget.finish()
    news = page.of_kind("news")[-1]
    assert "data" not in news
    assert sum(map(len, page.buffers[-1])) < 2 * 2_000
    assert len(json.dumps(news)) < 2_000
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


# ---- live


def test_play_goes_to_the_end_and_every_record_arrives_once():
    async def play():
        widget = make(speed="5", compare=True)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: page.of_kind("news") and Book(page).last["playing"])
        await until(lambda: not Book(page).last["playing"])
        book = Book(page)
        assert widget.simulation.step == book.last["step"] == 10
        assert book.last["over"]
        check(book, widget.simulation)
        page.do("play")  # after the end, play begins anew
        await until(lambda: Book(page).run == book.run + 1)
        widget.close()

    asyncio.run(play())


def test_pause_stop_and_reset():
    async def play():
        widget = make(speed="1", epochs=100)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step >= 5)
        page.do("pause")
        await until(lambda: not Book(page).last["playing"] and not widget.working)
        reached = widget.simulation.step
        await asyncio.sleep(0.08)
        assert widget.simulation.step == reached
        first = Book(page)
        check(first, widget.simulation)
        page.do("play")  # goes on
        await until(lambda: widget.simulation.step > reached)
        assert Book(page).run == first.run
        page.do("stop")
        await until(lambda: Book(page).last["over"] and not widget.working)
        page.do("reset")
        await until(lambda: not widget.working)
        page.do("step")
        page.do("step")
        await until(lambda: widget.simulation.step == 2 and not widget.working)
        again = Book(page).rows["A"]
        same = {row[0]: row for row in first.rows["A"]}
        for row in again:
            if row[0] in same:
                np.testing.assert_array_equal(row, same[row[0]])
        page.do("stop")
        page.do("play")  # after a stop, play begins anew
        await until(lambda: Book(page).run == first.run + 2)
        widget.close()

    asyncio.run(play())


def test_play_takes_over_from_steps_that_are_under_way():
    async def play():
        widget = make(speed="1", epochs=100)
        page = FakePage(widget).hello()
        await asyncio.sleep(0)
        widget.do_step(150)
        await until(lambda: 0 < widget.simulation.step < 150)
        page.do("play")
        await until(lambda: page.of_kind("news") and Book(page).last["playing"])
        at = widget.simulation.step
        await until(lambda: widget.simulation.step > at)
        page.do("pause")
        await until(lambda: not Book(page).last["playing"])
        widget.close()

    asyncio.run(play())


def test_rate_changes_while_it_trains_and_nothing_starts_again():
    async def play():
        widget = make(speed="0", epochs=100, batch_size=8)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step > 5)
        simulation = widget.simulation
        page.set("learning_rate", 1e-5)
        at = simulation.step
        await until(lambda: simulation.step > at + 3)
        assert widget.simulation is simulation
        assert simulation.runs["A"].optimizer.learning_rate == 1e-5
        widget.close()

    asyncio.run(play())


def test_a_late_page_gets_all_and_a_slow_one_few_messages():
    async def play():
        widget = make(speed="5", epochs=10)
        slow = FakePage(widget, acknowledge=False).hello()
        await asyncio.sleep(0)
        slow.do("play")
        await until(lambda: widget.simulation.step == 20 and not widget.working, 20)
        assert len(slow.of_kind("news")) <= WINDOW
        late = FakePage(widget).hello()
        await until(lambda: late.of_kind("welcome"))
        check(Book(late), widget.simulation)
        assert len(Book(late).details["A"]) == len(widget.simulation.runs["A"].details)
        widget.close()

    asyncio.run(play())


def test_training_ends_when_the_last_page_goes():
    async def play():
        widget = make(speed="1", epochs=100)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step > 3)
        page.acknowledge = False
        page.tell(kind="bye")
        await until(lambda: not widget.working)
        reached = widget.simulation.step
        await asyncio.sleep(0.06)
        assert widget.simulation.step == reached
        assert widget.simulation.runs["A"].history[-1].step == reached
        widget.close()

    asyncio.run(play())


def test_an_error_in_training_is_shown_under_a_loop_and_raised_without(monkeypatch):
    def broken(*_args):
        raise RuntimeError("the network broke")

    async def play():
        widget = make()
        page = FakePage(widget).hello()
        await asyncio.sleep(0)
        monkeypatch.setattr(TrainingRuns, "advance_work", broken)
        page.do("play")
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the network broke"
        await until(lambda: not Book(page).last["playing"])
        widget.close()

    asyncio.run(play())
    with pytest.raises(RuntimeError, match="the network broke"):
        make().run(1)


def test_divergence_is_told(open_page):
    widget = make(compare=True)
    page = open_page(widget)
    theta(widget, "B").mul_(float("nan"))
    for _ in range(2):
        page.do("step")
        widget.finish()
    book = Book(page)
    assert [about["alive"] for about in book.last["runs"]] == [True, False]
    assert len(book.rows["A"]) == 3
    assert len(book.rows["B"]) == 1
    assert widget.still().startswith(b"\x89PNG")


# ---- pictures and the end


@pytest.mark.parametrize("data", ["digits", "wine", "moons", "reviews"])
def test_the_picture_draws_each_curve_and_the_examples(data):
    widget = make(data=data, compare=True)
    widget.run(1)
    loss, right, gradient, strip = widget.figure().axes
    assert len(gradient.lines) == 2
    assert len(strip.texts) == (4 if data == "reviews" else 12)
    for axes, first in ((loss, 3), (right, 5)):
        assert len(axes.lines) == 4
        for k, line in enumerate(axes.lines):
            rows = written(widget.simulation)["AB"[k // 2]]
            np.testing.assert_allclose(line.get_ydata(), rows[:, first + k % 2], 1e-6)
    assert widget.still().startswith(b"\x89PNG\r\n\x1a\n")


def test_text():
    assert make().describe() == "Training dashboard of MLP 13-128-3 on wine"


def test_close_frees_widget_models_and_task():
    async def play():
        widget = make(speed="1", epochs=100, compare=True)
        FakePage(widget).hello().do("play")
        alive = weakref.proxy(widget)
        await until(lambda: alive.simulation.step > 2)
        gone = [weakref.ref(widget), weakref.ref(widget.simulation)]
        widget.close()
        widget.close()
        del widget
        await asyncio.sleep(0.01)
        gc.collect()
        assert [ref() for ref in gone] == [None, None]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())


@pytest.mark.gpu
def test_the_device_changes_while_it_trains(monkeypatch):
    monkeypatch.delenv("WORKBOOK_DEVICE")
    widget = make(data="digits")
    assert widget.values["device"] == "cuda:0"
    widget.run(3)
    widget.set(device="cpu")
    widget.run(3)
    assert not theta(widget).is_cuda
    assert dashboard_parts.CONTROLS[3].choices[0][0] == "cuda:0"
