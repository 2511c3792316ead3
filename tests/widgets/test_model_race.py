"""The networks that train live, as the page gets them: all of it, once, and at once."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import weakref

import numpy as np
import pytest
import torch

from lib.model_race import ModelRace as Simulation
from lib.widgets import model_race
from lib.widgets.base import WINDOW
from lib.widgets.model_race import MAP, RATES, ModelRace
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CONTROLS = {control.name: control for control in ModelRace.CONTROLS}
NAMES = ("SGD", "Adam")
pytestmark = pytest.mark.usefixtures("quick")


def make(**values) -> ModelRace:
    return ModelRace(hidden=4, **{"optimizers": NAMES, "steps": 100, **values})


class Book:
    """What a page has written down: the records of each racer, and the newest map."""

    def __init__(self, page: FakePage, snapshot: bool = True) -> None:
        self.run, self.rows, self.map = None, {}, None
        if snapshot:
            state = page.widget.snapshot
            self.take(state, {"rows": state["rows"], "map": state["map"]})
        for content, buffers in zip(page.messages, page.buffers, strict=True):
            if content["kind"] == "news":
                self.take(content, dict(zip(content["parts"], buffers, strict=True)))

    def take(self, content: dict, parts: dict) -> None:
        if content["run"] != self.run:
            self.run, self.rows = content["run"], {n: [] for n in content["names"]}
        self.last = content
        values = np.frombuffer(parts["rows"], "<f4").reshape(-1, 7)
        assert len(values) == sum(content["counts"])
        assert np.isfinite(values).all()
        for name, first, count in zip(
            content["names"], content["from"], content["counts"], strict=True
        ):
            told = len(self.rows[name])
            assert first == told, "a record was told twice or left out"
            self.rows[name] += values[:count].tolist()
            values = values[count:]
        if "map" in parts:
            self.map = np.frombuffer(parts["map"], "<f4").reshape(MAP, MAP)


def written(simulation: Simulation) -> dict[str, list[list[float]]]:
    """What a page should have written down, in float32."""
    return {
        name: np.array([r.row() for r in records], "f4").reshape(-1, 7).tolist()
        for name, records in simulation.history.items()
    }


def weights(widget: ModelRace, name: str) -> torch.Tensor:
    return widget.simulation.racers[name].optimizer.theta


# ---- every control


@pytest.mark.parametrize("name", CONTROLS)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make()
    page = open_page(widget)
    page.do("step")
    for value in values_over_range(CONTROLS[name]):
        page.set(name, list(value) if isinstance(value, tuple) else value)
        widget.finish()
        echo = page.of_kind("value")[-1]
        assert echo["value"] == widget.values[name] == CONTROLS[name].check(value)
        page.do("step")
        widget.finish()
        book, simulation = Book(page), widget.simulation
        assert book.rows == written(simulation)
        assert book.last["values"] == widget.values
        assert book.last["rates"] == widget.rates
        assert np.isfinite(book.map).all()
        assert tuple(simulation.racers) == widget.values["optimizers"]
        assert simulation.batch_size == widget.values["batch_size"]
        assert str(simulation.device) == widget.values["device"]
        for racer, each in simulation.racers.items():
            assert each.optimizer.learning_rate == widget.rates[racer]
    json.dumps(page.messages, allow_nan=False)


def test_a_device_has_the_name_that_the_control_lists(monkeypatch):
    monkeypatch.delenv("WORKBOOK_DEVICE")
    assert model_race._listed("cpu:0") == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert model_race._listed(None) == "cuda:0"
    assert model_race._listed("cuda") == "cuda:0"
    assert model_race._listed("cuda:1") == "cuda:1"
    assert model_race._listed("cpu") == "cpu"
    with pytest.raises(ValueError, match="not on this machine, which has 'cuda:0'"):
        ModelRace(device="cuda:7")


@pytest.mark.gpu
def test_on_a_machine_with_a_gpu_it_trains_there_and_can_move(monkeypatch):
    monkeypatch.delenv("WORKBOOK_DEVICE")
    widget = make()
    assert widget.values["device"] == "cuda:0"
    widget.run(10)
    assert weights(widget, "Adam").is_cuda
    widget.set(device="cpu")
    widget.run(10)
    assert not weights(widget, "Adam").is_cuda
    assert [r.step for r in widget.simulation.history["Adam"]] == [0, 10, 20]


# ---- rates


def test_each_racer_opens_with_a_rate_of_its_own():
    widget = make(optimizers=tuple(n for n in RATES if n != "GradientDescent"))
    for name, racer in widget.simulation.racers.items():
        assert racer.optimizer.learning_rate == RATES[name]


def test_the_rate_of_one_racer_changes_that_one_alone_and_nothing_starts_again(
    open_page,
):
    widget = make()
    page = open_page(widget)
    page.do("step")
    run = Book(page).run
    page.set("rate_of", "Adam")
    assert widget.values["learning_rate"] == RATES["Adam"]
    page.set("learning_rate", 0.0123)
    assert widget.rates == {**RATES, "Adam": 0.0123}
    racers = widget.simulation.racers
    assert racers["Adam"].optimizer.learning_rate == 0.0123
    assert racers["SGD"].optimizer.learning_rate == RATES["SGD"]
    assert Book(page).run == run
    assert widget.simulation.step == 1


def test_the_rate_that_the_slider_stands_on_can_be_given_to_all(open_page):
    widget = make()
    page = open_page(widget)
    page.set("learning_rate", widget.values["learning_rate"])
    assert set(widget.rates.values()) == {widget.values["learning_rate"]}
    for racer in widget.simulation.racers.values():
        assert racer.optimizer.learning_rate == widget.values["learning_rate"]


def test_a_rate_given_at_the_start_is_that_of_all_or_of_one():
    assert set(make(learning_rate=0.03).rates.values()) == {0.03}
    one = make(learning_rate=0.03, rate_of="Adam")
    assert one.rates == {**RATES, "Adam": 0.03}
    assert one.simulation.racers["Adam"].optimizer.learning_rate == 0.03


def test_a_racer_with_an_absurd_rate_is_told_as_diverged(open_page):
    widget = make(rate_of="SGD")
    widget.simulation.set_rate("SGD", 1e30)
    page = open_page(widget)
    for _ in range(6):
        page.do("step")
    book = Book(page)
    assert book.last["diverged"] == ["SGD"]
    assert book.last["leader"] == "Adam"
    assert len(book.rows["SGD"]) < len(book.rows["Adam"]) == 7
    assert widget.still().startswith(b"\x89PNG")


# ---- without a page


def test_run_trains_to_the_goal_and_gives_the_last_records():
    widget = make()
    last = widget.run()
    assert {n: r.step for n, r in last.items()} == {"SGD": 100, "Adam": 100}
    assert last["Adam"].train_loss < widget.simulation.history["Adam"][0].train_loss
    assert widget.run(7)["SGD"].step == 107


def test_run_without_a_page_is_what_a_page_gets_step_by_step(open_page):
    alone, watched = make(), make()
    page = open_page(watched)
    for _ in range(10):
        page.do("step")
    last = alone.run(10)
    rows = Book(page).rows
    for name in NAMES:
        assert rows[name][-1] == np.array(last[name].row(), "f4").tolist()
        assert torch.equal(weights(alone, name), weights(watched, name))


def test_a_new_batch_size_or_set_of_racers_starts_again(open_page):
    widget = make()
    page = open_page(widget)
    page.do("step")
    page.set("batch_size", 32)
    assert widget.simulation.step == 0
    page.do("step")
    page.set("optimizers", ["AdamW"])
    assert widget.simulation.step == 0
    book = Book(page)
    assert list(book.rows) == ["AdamW"]
    assert len(book.rows["AdamW"]) == 1


def test_a_step_sends_little_and_nothing_is_sent_twice(open_page):
    widget = make(optimizers=tuple(RATES)[1:])
    page = open_page(widget)
    page.do("step")
    news = page.of_kind("news")
    assert len(news) == 1
    assert news[0]["parts"] == ["rows"]
    assert len(page.buffers[-1][0]) == 7 * 7 * 4
    assert len(json.dumps(news[0])) < 2_000
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


# ---- the map


def test_the_map_goes_through_the_leader_or_the_pilots_weights(open_page):
    widget = make()
    widget.run(30)
    page = open_page(widget)
    assert Book(page).last["through"] == widget.leader
    for follow, through in (("pilot", None), ("lead", widget.leader)):
        page.set("follow", follow)
        widget.finish()
        book = Book(page)
        assert book.last["through"] == through
        *_, grid = widget.simulation.surface_work(MAP, through)
        np.testing.assert_allclose(book.map, grid.numpy(), rtol=1e-4)


def test_the_leader_has_the_lowest_loss():
    widget = make()
    losses = {n: r.train_loss for n, r in widget.run(20).items()}
    assert widget.leader == min(losses, key=losses.get)
    assert make(optimizers=()).leader is None


# ---- live


def test_play_goes_to_the_goal_and_every_record_arrives_once():
    async def play():
        widget = make(speed="20")
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: page.of_kind("news") and Book(page).last["playing"])
        await until(lambda: not widget.working)
        await until(lambda: not Book(page).last["playing"])
        book = Book(page)
        assert widget.simulation.step == book.last["step"] == 100
        assert book.rows == written(widget.simulation)
        assert [row[0] for row in book.rows["SGD"]] == list(range(0, 101, 20))
        assert (book.map == widget._map).all()
        page.do("play")  # at the goal, play begins anew
        await until(lambda: Book(page).run == book.run + 1)
        widget.close()

    asyncio.run(play())


def test_pause_stops_within_100_ms_and_play_goes_on_from_there():
    async def play():
        widget = make(speed="0", steps=2000)
        page = FakePage(widget).hello()
        await asyncio.sleep(0)
        waits = []
        for _ in range(3):
            page.do("play")
            before = widget.simulation.step
            await until(lambda b=before: widget.simulation.step > b + 10)
            asked = time.monotonic()
            page.do("pause")
            await until(lambda: not Book(page).last["playing"])
            waits.append(time.monotonic() - asked)
            reached = widget.simulation.step
            await asyncio.sleep(0.05)
            assert widget.simulation.step == Book(page).last["step"] == reached
        assert min(waits) < 0.1  # the best of three: others use this machine too
        assert Book(page).rows == written(widget.simulation)
        widget.close()

    asyncio.run(play())


def test_step_takes_one_and_stops_the_playing():
    async def play():
        widget = make(speed="0", steps=2000)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step > 0)
        page.do("step")
        await until(lambda: page.of_kind("news") and not Book(page).last["playing"])
        reached = widget.simulation.step
        page.do("step")
        await until(lambda: Book(page).last["step"] == reached + 1)
        await asyncio.sleep(0.05)
        assert widget.simulation.step == reached + 1
        widget.close()

    asyncio.run(play())


def test_reset_gives_the_same_history_again():
    async def play():
        widget = make(speed="5")
        page = FakePage(widget).hello()
        histories = []
        for _ in range(2):
            page.do("play")
            await until(lambda: widget.simulation.step >= 20)
            page.do("pause")
            await until(lambda: not Book(page).last["playing"])
            histories.append(Book(page).rows)
            page.do("reset")
            await until(lambda: Book(page).last["step"] == 0)
            assert [len(rows) for rows in Book(page).rows.values()] == [1, 1]
        first, second = histories
        for name in NAMES:
            count = min(len(first[name]), len(second[name]))
            assert count >= 5
            assert first[name][:count] == second[name][:count]
        widget.close()

    asyncio.run(play())


def test_a_rate_changes_while_it_trains():
    async def play():
        widget = make(speed="0", steps=2000)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step > 10)
        simulation = widget.simulation
        page.set("rate_of", "SGD")
        page.set("learning_rate", 1e-5)
        sgd = simulation.racers["SGD"].optimizer
        await until(lambda: sgd.learning_rate == 1e-5)
        at, place = simulation.step, weights(widget, "SGD").clone()
        adam = weights(widget, "Adam").clone()
        await until(lambda: simulation.step >= at + 20)
        assert widget.simulation is simulation
        assert widget.working
        moved = (weights(widget, "SGD") - place).norm()
        assert 0 < moved < 1e-2 < (weights(widget, "Adam") - adam).norm()
        widget.close()

    asyncio.run(play())


def test_a_slow_page_gets_every_record_in_few_messages():
    async def play():
        widget = make(speed="0", steps=300)
        page = FakePage(widget, acknowledge=False).hello()
        page.do("play")
        await until(lambda: not widget.working and widget.simulation.step == 300, 20)
        assert len(page.of_kind("news")) <= WINDOW
        for _ in range(3):
            page.tell(kind="ack", seq=page.of_kind("news")[-1]["seq"])
            await asyncio.sleep(0.01)
        assert Book(page).rows == written(widget.simulation)
        assert not Book(page).last["playing"]
        widget.close()

    asyncio.run(play())


def test_a_page_that_opens_while_it_trains_gets_all_that_was_before():
    async def play():
        widget = make(speed="0", steps=2000)
        FakePage(widget).hello().do("play")
        await until(lambda: widget.simulation.step > 30)
        late = FakePage(widget).hello()
        await until(lambda: late.of_kind("welcome"))
        told = [message["kind"] for message in late.messages]
        before = told.index("welcome")  # all that is older stands in the snapshot
        del late.messages[:before], late.buffers[:before]
        await until(lambda: len(late.of_kind("news")) > 2)
        late.do("pause")
        await until(lambda: not Book(late).last["playing"])
        assert Book(late).rows == written(widget.simulation)
        widget.close()

    asyncio.run(play())


def test_the_speed_changes_while_it_trains():
    async def play():
        widget = make(speed="1", steps=2000)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step >= 3)
        page.set("speed", "20")
        await until(lambda: widget.simulation.step >= 63)
        page.do("pause")
        await until(lambda: not Book(page).last["playing"])
        steps = np.diff([row[0] for row in Book(page).rows["Adam"]])
        assert set(steps) == {1, 20}
        assert (np.diff(steps) >= 0).all()  # ones first, twenties after
        widget.close()

    asyncio.run(play())


def test_at_one_step_a_frame_a_person_can_follow():
    async def play():
        widget = make(speed="1", steps=2000)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step >= 1)
        began, at = time.monotonic(), widget.simulation.step
        await asyncio.sleep(0.3)
        rate = (widget.simulation.step - at) / (time.monotonic() - began)
        assert rate < 40
        widget.close()

    asyncio.run(play())


def test_training_ends_when_the_last_page_goes():
    async def play():
        widget = make(speed="0", steps=2000)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.simulation.step > 10)
        page.acknowledge = False
        page.tell(kind="bye")
        await until(lambda: not widget.working)
        reached = widget.simulation.step
        await asyncio.sleep(0.05)
        assert widget.simulation.step == reached < 2000
        again = FakePage(widget).hello()
        await until(lambda: again.of_kind("welcome"))
        assert not Book(again).last["playing"]
        widget.close()

    asyncio.run(play())


def test_two_races_on_one_loop_do_not_disturb_each_other():
    async def play():
        widgets = make(speed="20"), make(speed="20", batch_size=32)
        pages = [FakePage(widget).hello() for widget in widgets]
        for page in pages:
            page.do("play")
        await until(lambda: all(w.simulation.step == 100 for w in widgets), 20)
        for widget, page in zip(widgets, pages, strict=True):
            await until(lambda p=page: not Book(p).last["playing"])
            alone = make(batch_size=widget.values["batch_size"])
            alone.run()
            for name in NAMES:
                assert torch.equal(weights(widget, name), weights(alone, name))
            widget.close()

    asyncio.run(play())


def broken(*_args):
    raise RuntimeError("the network broke")


def test_an_error_in_training_is_shown_under_a_loop_and_raised_without(monkeypatch):
    async def play():
        widget = make()
        page = FakePage(widget).hello()
        await asyncio.sleep(0)
        monkeypatch.setattr(Simulation, "advance", broken)
        page.do("play")
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the network broke"
        await until(lambda: not widget.working)
        await until(lambda: not Book(page).last["playing"])
        monkeypatch.setattr(Simulation, "advance", advance)
        page.do("step")
        await until(lambda: page.of_kind("error")[-1]["text"] is None)
        widget.close()

    advance = Simulation.advance
    asyncio.run(play())
    monkeypatch.setattr(Simulation, "advance", broken)
    with pytest.raises(RuntimeError, match="the network broke"):
        make().run()


# ---- pictures and the end


def test_text():
    text = "A network of 64, 4 and 10 units that learns to read digits"
    assert make().describe() == text


@pytest.mark.parametrize("names", [NAMES, ()])
def test_the_picture_draws_each_racer_on_the_map_and_in_the_curves(names):
    widget = make(optimizers=names)
    widget.run(20)
    left, right = widget.figure().axes
    assert len(left.lines) == 2 * len(names)
    assert len(right.lines) == len(names)
    for name, line in zip(names, right.lines, strict=True):
        losses = [r.train_loss for r in widget.simulation.history[name]]
        np.testing.assert_allclose(line.get_ydata(), losses)


def test_close_frees_widget_networks_and_task():
    async def play():
        widget = make(speed="0", steps=2000)
        FakePage(widget).hello().do("play")
        alive = weakref.proxy(widget)
        await until(lambda: alive.simulation.step > 10)
        gone = [weakref.ref(widget), weakref.ref(widget.simulation)]
        widget.close()
        del widget
        await asyncio.sleep(0.01)
        gc.collect()
        assert [ref() for ref in gone] == [None, None]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())
