"""The protocol of lib/widgets/base.py, with a widget made for it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from matplotlib.figure import Figure

from lib.widgets import base, cells, open_pages
from lib.widgets.base import LiveWidget
from lib.widgets.controls import Control
from tests.widgets.conftest import FakePage

FOR_EVER = 100_000


class Counter(LiveWidget):
    """Counts; its news is every number since the last message."""

    _esm = "export default {render() {}}"
    CONTROLS = (
        Control("goal", "Goal", "range", 10, 1, FOR_EVER, 1),
        Control("fault", "Fault", "toggle", False),
    )

    def __init__(self, **values: Any) -> None:
        self.numbers: list[int] = []
        self.told = 0
        self.threads: set[str] = set()
        super().__init__(**values)

    def changed(self, name: str) -> None:
        if name == "fault":
            raise RuntimeError("the knob came off")

    def do_count(self) -> None:
        self.start(self.counting())

    def do_fail(self) -> None:
        raise RuntimeError("the button came off")

    def counting(self):
        while len(self.numbers) < self.values["goal"]:
            self.threads.add(threading.current_thread().name)
            self.numbers.append(len(self.numbers))
            if self.values["goal"] == FOR_EVER:
                time.sleep(0.001)  # a training step, say
            yield

    def failing(self):
        yield
        raise RuntimeError("the work broke")

    def state(self) -> dict[str, Any]:
        return {"count": len(self.numbers)}

    def news(self):
        if self.told == len(self.numbers):
            return None
        fresh = self.numbers[self.told :]
        self.told = len(self.numbers)
        return {"kind": "news", "numbers": fresh}, []

    def figure(self) -> Figure:
        return Figure(figsize=(1, 1))

    def describe(self) -> str:
        return "A counter"


async def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


def all_numbers(page: FakePage) -> list[int]:
    return [n for m in page.of_kind("news") for n in m["numbers"]]


def test_nothing_is_sent_before_a_page_says_hello():
    widget = Counter()
    page = FakePage(widget)
    widget.start(widget.counting())
    widget.finish()
    assert page.messages == []
    page.hello()
    assert [m["kind"] for m in page.messages] == ["welcome"]
    widget.close()


def test_a_late_page_gets_the_whole_state_in_the_snapshot(open_page):
    widget = Counter(goal=7)
    open_page(widget)
    widget.start(widget.counting())
    widget.finish()
    open_page(widget)
    assert widget.snapshot["count"] == 7
    assert widget.snapshot["values"]["goal"] == 7


def test_at_most_two_messages_are_in_flight_and_none_of_the_news_is_lost():
    async def play():
        widget = Counter(goal=20_000)
        page = FakePage(widget, acknowledge=False).hello()
        page.do("count")
        await until(lambda: len(widget.numbers) == 20_000)
        assert len(page.of_kind("news")) <= base.WINDOW
        assert widget.in_flight <= base.WINDOW
        for _ in range(5):
            page.tell(kind="ack", seq=page.of_kind("news")[-1]["seq"])
            await asyncio.sleep(0.01)
        assert all_numbers(page) == list(range(20_000))
        widget.close()

    asyncio.run(play())


def test_a_page_that_never_answers_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(open_pages, "LOST", 0.05)

    async def play():
        widget = Counter(goal=3)
        silent = FakePage(widget, acknowledge=False).hello()
        for goal in (3, 6, 9):
            widget.set(goal=goal)
            silent.do("count")
            await until(lambda: not widget.working)
        await asyncio.sleep(0.06)
        awake = FakePage(widget).hello()
        widget.set(goal=12)
        awake.do("count")
        await until(lambda: 11 in all_numbers(awake))
        widget.close()

    asyncio.run(play())


def test_work_runs_on_the_main_thread_whatever_thread_the_callback_is_on():
    async def play():
        widget = Counter(goal=50)
        page = FakePage(widget).hello()
        await asyncio.sleep(0.01)
        other = threading.Thread(target=page.do, args=("count",))
        other.start()
        await until(lambda: len(widget.numbers) == 50)
        other.join()
        assert widget.threads == {threading.main_thread().name}
        widget.close()

    asyncio.run(play())


def test_a_button_is_answered_within_100_ms_while_work_runs():
    async def play():
        widget = Counter(goal=FOR_EVER)
        page = FakePage(widget).hello()
        page.do("count")
        await until(lambda: len(widget.numbers) > 10)
        waits = []
        for answers in range(1, 4):
            asked = time.monotonic()
            page.set("goal", FOR_EVER)
            await until(lambda n=answers: len(page.of_kind("value")) == n)
            waits.append(time.monotonic() - asked)
        assert widget.working
        assert min(waits) < 0.1  # the best of three: others use this machine too
        widget.close()

    asyncio.run(play())


def test_new_work_ends_the_old_so_that_never_two_run():
    async def play():
        widget = Counter(goal=FOR_EVER)
        FakePage(widget).hello()
        await asyncio.sleep(0.01)
        first = widget.counting()
        widget.start(first)
        await asyncio.sleep(0.03)
        widget.start(widget.counting())
        assert first.gi_frame is None  # closed
        tasks = [t for t in asyncio.all_tasks() if not t.done()]
        await asyncio.sleep(0.03)
        assert len([t for t in tasks if "_drive" in repr(t) and not t.done()]) == 1
        widget.close()

    asyncio.run(play())


def test_work_stops_when_the_last_page_goes():
    async def play():
        widget = Counter(goal=FOR_EVER)
        page = FakePage(widget).hello()
        page.do("count")
        await until(lambda: len(widget.numbers) > 10)
        page.tell(kind="bye")
        await until(lambda: not widget.working)
        reached = len(widget.numbers)
        await asyncio.sleep(0.05)
        assert len(widget.numbers) == reached
        widget.close()

    asyncio.run(play())


@pytest.mark.parametrize("how", ["do", "set", "work"])
def test_an_error_is_shown_in_the_page_when_the_kernel_runs_the_callback(how):
    async def play():
        widget = Counter()
        page = FakePage(widget).hello()
        if how == "do":
            page.do("fail")
        elif how == "set":
            page.set("fault", True)
        else:
            await asyncio.sleep(0.01)
            widget.start(widget.failing())
        await until(lambda: page.of_kind("error"))
        assert "RuntimeError: the " in page.of_kind("error")[-1]["text"]
        FakePage(widget).hello()
        await asyncio.sleep(0.01)
        assert "RuntimeError" in widget.snapshot["error"]
        page.do("count")  # the next thing that works takes the error away
        await until(lambda: page.of_kind("error")[-1]["text"] is None)
        widget.close()

    asyncio.run(play())


@pytest.mark.parametrize("how", ["do", "set"])
def test_an_error_is_raised_where_no_loop_runs(open_page, how):
    page = open_page(Counter())
    with pytest.raises(RuntimeError, match="came off"):
        page.do("fail") if how == "do" else page.set("fault", True)


def test_a_refused_value_is_answered_with_the_one_that_holds(open_page):
    widget = Counter()
    page = open_page(widget)
    with pytest.raises(ValueError, match="goal was given -5; it takes a number from 1"):
        page.set("goal", -5)
    assert page.of_kind("value")[-1]["value"] == 10
    with pytest.raises(ValueError, match="no control 'speed'"):
        widget.set(speed=3)


def test_close_ends_the_work_and_can_be_called_again():
    async def play():
        widget = Counter(goal=FOR_EVER)
        page = FakePage(widget).hello()
        page.do("count")
        await until(lambda: len(widget.numbers) > 10)
        widget.close()
        widget.close()
        reached = len(widget.numbers)
        page.do("count")
        await asyncio.sleep(0.05)
        assert len(widget.numbers) == reached
        assert widget.comm is None

    asyncio.run(play())


def test_running_a_cell_again_closes_the_widgets_of_its_last_run(monkeypatch):
    here = ["cell-a", "run-1"]
    monkeypatch.setattr(cells, "current_cell", lambda: tuple(here))
    first, second = Counter(), Counter()
    here[:] = ["cell-b", "run-2"]
    other = Counter()
    here[:] = ["cell-a", "run-3"]
    again = Counter()
    assert first._closed
    assert second._closed
    assert not other._closed
    assert not again._closed
    other.close()
    again.close()


def test_the_bundle_has_view_still_picture_and_fixed_text():
    widget = Counter()
    data, metadata = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == "A counter"
    assert data["image/png"].startswith("iVBOR")
    assert metadata["image/png"]["alt"] == "A counter"
    widget.close()


def test_joined_page_code_has_one_export_and_no_import():
    code = base.page("core.js", "ui.js", "plot.js", "legend.js", "race.js")
    assert code.count("export ") == 1
    assert "\nimport " not in code


class Slow(Counter):
    """A counter that begins anew whenever its goal moves, one number a slice."""

    def changed(self, name: str) -> None:
        self.numbers, self.told = [], 0
        self.start(self.slow())

    def slow(self):
        for number in range(3):
            time.sleep(base.SLICE)
            self.numbers.append(number)
            yield


class Whole(Slow):
    """The same, of which only the end is worth a look."""

    SHOWN_WHOLE = True


@pytest.mark.parametrize(("kind", "numbers"), [(Slow, 1), (Whole, 3)])
def test_a_control_is_answered_once_its_work_shows_something(kind, numbers):
    async def play():
        widget = kind()
        page = FakePage(widget).hello()
        page.set("goal", 4)
        await until(lambda: page.of_kind("value"))
        seen = [m for m in page.messages if m["kind"] in ("news", "value")]
        told = seen[: seen.index(page.of_kind("value")[0])]
        assert sum(len(m["numbers"]) for m in told) == numbers
        widget.close()

    asyncio.run(play())


def test_a_hand_that_keeps_moving_sees_finished_work():
    async def play():
        widget = Whole()
        page, ends = FakePage(widget).hello(), 0
        for goal in range(1, 6):  # as the page does: the next once the last is answered
            page.set("goal", goal)
            await until(lambda n=goal: len(page.of_kind("value")) == n)
            ends += len(widget.numbers) == 3
        assert ends == 5
        widget.close()

    asyncio.run(play())


def test_work_that_shows_nothing_holds_no_answer_for_long(monkeypatch):
    monkeypatch.setattr(base, "HOLD", 0.02)

    class Silent(Counter):
        def changed(self, name: str) -> None:
            self.start(self.silence())

        def silence(self):
            while True:
                yield 0.01

    async def play():
        widget = Silent()
        page = FakePage(widget).hello()
        page.set("goal", 4)
        await until(lambda: page.of_kind("value"))
        assert widget.working
        page.set("goal", 5)  # other work, and its own answer
        await until(lambda: len(page.of_kind("value")) == 2)
        page.tell(kind="bye")
        page.set("goal", 6)
        widget.close()
        await asyncio.sleep(0.05)
        assert len(page.of_kind("value")) == 2  # nobody is there to be answered

    asyncio.run(play())


def test_a_refused_value_is_answered_at_once_and_a_held_one_with_it():
    async def play():
        widget = Whole()
        page = FakePage(widget).hello()
        await until(lambda: page.of_kind("welcome"))
        page.set("goal", 4)
        page.set("goal", -1)
        await until(lambda: page.of_kind("error"))
        assert {m["value"] for m in page.of_kind("value")} == {4}
        widget.close()

    asyncio.run(play())
