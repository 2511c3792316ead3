"""The descent race as the page gets it: every knob, every message, nothing lost."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any

import numpy as np
import pytest

from lib.best_rates import BEST_RATES
from lib.descent import Race, best_rate
from lib.optimizers import OPTIMIZERS
from lib.surfaces import SURFACES
from lib.widgets import base
from lib.widgets import race as race_module
from lib.widgets.race import CUT, GRID, DescentRace
from tests.memory import growth
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CONTROLS = {control.name: control for control in DescentRace.CONTROLS}
EVERY = tuple(OPTIMIZERS)


class Picture:
    """What a page knows of the newest run, put together from snapshot and messages."""

    def __init__(self, page: FakePage, snapshot: bool = True) -> None:
        self.run: Any = None
        self.done = -1
        if snapshot:
            state = page.widget.snapshot
            self.take(state, {"paths": state.get("paths")})
        for content, buffers in zip(page.messages, page.buffers, strict=True):
            if content["kind"] == "news":
                self.take(content, dict(zip(content["parts"], buffers, strict=True)))

    def take(self, content: dict, parts: dict) -> None:
        if "run" not in content:
            return
        run, first, stop = content["run"], content["from"], content["to"]
        if self.run is None or self.run["id"] != run["id"]:
            self.run, self.done = run, -1
            self.rows = np.full((len(run["names"]), run["steps"] + 1, 3), np.nan, "f4")
        assert first == self.done + 1, "a step was told twice or left out"
        values = np.frombuffer(parts["paths"], "<f4")
        self.rows[:, first:stop] = values.reshape(len(self.rows), stop - first, 3)
        self.done, self.diverged = stop - 1, content["diverged"]


def told(race: Race) -> np.ndarray:
    """(R, steps + 1, 3) float32: what a page should know of a race."""
    rows = np.concatenate([race.paths, race.losses[..., None]], axis=2)
    return rows.astype("f4")


def assert_page_shows(page: FakePage, race: Race, snapshot: bool = False) -> None:
    picture = Picture(page, snapshot)
    assert picture.run["names"] == race.names
    assert picture.done == picture.run["steps"] == race.steps == race.done
    assert picture.diverged == race.diverged_at
    np.testing.assert_array_equal(picture.rows, told(race))


def size(page: FakePage, since: int = 0) -> int:
    """Bytes of the messages to the page, their JSON included."""
    text = sum(len(json.dumps(m, allow_nan=False)) for m in page.messages[since:])
    return text + sum(len(b) for buffers in page.buffers[since:] for b in buffers)


# ---- every control


@pytest.mark.parametrize("name", CONTROLS)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = DescentRace(optimizers=("SGD", "AdamW"), steps=20, noise=0.5)
    page = open_page(widget)
    for value in values_over_range(CONTROLS[name]):
        page.set(name, list(value) if isinstance(value, tuple) else value)
        widget.finish()
        echo = page.of_kind("value")[-1]
        assert echo["name"] == name
        assert echo["value"] == widget.values[name] == CONTROLS[name].check(value)
        assert_page_shows(page, widget.race, snapshot=True)
        known = [widget.snapshot, *page.of_kind("news")][-1]
        assert known["values"] == widget.values
        assert known["rates"] == widget.rates
        json.dumps(page.messages, allow_nan=False)  # no NaN: a page could not read it
        race = widget.race
        assert race.names == list(widget.values["optimizers"])
        assert race.steps == widget.values["steps"]
        assert race.noise == widget.values["noise"]
        assert race.start == widget.values["start"]
        assert race.along_x == (widget.values["view"] == "cut")
        assert race.settings == {n: widget._options(n) for n in race.names}


@pytest.mark.parametrize(
    ("control", "racer", "option"),
    [
        ("momentum", "Momentum", "momentum"),
        ("momentum", "Nesterov", "momentum"),
        ("decay", "RMSProp", "decay"),
        ("beta1", "Adam", "betas"),
        ("beta2", "Adam", "betas"),
        ("beta1", "AdamW", "betas"),
        ("beta2", "AdamW", "betas"),
    ],
)
def test_a_setting_moves_its_racer_and_no_other(control, racer, option):
    widget = DescentRace(optimizers=EVERY, steps=40)
    before = widget.run()
    widget.set(**{control: 0.6})
    after = widget.run()
    value = after.settings[racer][option]
    assert 0.6 in (value if option == "betas" else [value])
    moved = (before.paths != after.paths).any(axis=(1, 2))
    pair = {"momentum": {"Momentum", "Nesterov"}, "decay": {"RMSProp"}}
    assert {n for n, m in zip(EVERY, moved, strict=True) if m} == pair.get(
        control, {"Adam", "AdamW"}
    )


def test_a_start_off_the_map_is_moved_to_its_edge(open_page):
    widget = DescentRace("bowl", steps=20)
    page = open_page(widget)
    page.set("start", [99.0, -99.0])
    assert page.of_kind("value")[-1]["value"] == (3.0, -3.0)
    assert DescentRace("bowl", start=(99.0, -99.0)).values["start"] == (3.0, -3.0)


# ---- what one change sends


def test_a_changed_control_sends_a_small_message_and_no_grid(open_page):
    widget = DescentRace(optimizers=EVERY, steps=200)
    page = open_page(widget)
    for name, value in (("momentum", 0.5), ("start", [-1.0, 0.3]), ("noise", 0.4)):
        since = len(page.messages)
        page.set(name, value)
        widget.finish()
        assert 8 * 201 * 3 * 4 < size(page, since) <= 25_000
        assert all("grid" not in m.get("parts", []) for m in page.messages[since:])


def test_a_new_surface_resets_start_noise_and_rates_and_sends_the_grid(open_page):
    widget = DescentRace("bowl", start=(1.0, 1.0), learning_rate=0.3, rate_of="all")
    page = open_page(widget)
    page.set("surface", "noisy")
    widget.finish()
    place = SURFACES["noisy"]
    assert widget.values["start"] == place.start
    assert widget.values["noise"] == place.noise
    assert widget.rates == BEST_RATES["noisy"]
    news = [m for m in page.of_kind("news") if "surface" in m]
    assert [m["surface"]["key"] for m in news] == ["noisy"]
    assert news[0]["surface"]["bounds"] == list(place.bounds)
    np.testing.assert_array_equal(page.floats("grid"), place.grid(GRID).numpy().ravel())
    cut = place.cut(place.start[1], CUT)
    np.testing.assert_array_equal(page.floats("cut"), cut.numpy())


def test_the_cut_follows_the_height_of_the_start(open_page):
    widget = DescentRace("himmelblau", view="cut", steps=20)
    page = open_page(widget)
    page.set("start", [1.0, -2.0])
    cut = SURFACES["himmelblau"].cut(-2.0, CUT).numpy()
    np.testing.assert_array_equal(page.floats("cut"), cut)
    widget.finish()
    heights = widget.race.paths[:, :, 1]
    assert set(heights[np.isfinite(heights)]) == {-2.0}


def test_a_page_that_opens_gets_the_whole_finished_race(open_page):
    widget = DescentRace("beale", learning_rate=10.0, optimizers=EVERY)
    page = open_page(widget)
    state = widget.snapshot
    assert widget.race.diverged_at
    assert_page_shows(page, widget.race, snapshot=True)
    assert len(state["grid"]) == 4 * GRID * GRID
    assert len(state["cut"]) == 4 * CUT
    assert [r["name"] for r in state["racers"]] == list(EVERY)
    assert page.of_kind("news") == []  # the snapshot held it all


def test_a_race_of_nobody_is_shown(open_page):
    widget = DescentRace(steps=20)
    page = open_page(widget)
    page.set("optimizers", [])
    widget.finish()
    assert_page_shows(page, widget.race)
    assert "nobody" in widget.describe()


def test_losses_beyond_float32_arrive_as_numbers_and_not_as_a_warning(open_page):
    """Beale's function is 4e39 just where a racer does not yet count as diverged."""
    widget = DescentRace("beale", optimizers=("SGD",), steps=20)
    page = open_page(widget)
    widget.race.paths[0, -1] = 8e4, 8e4
    widget.race.losses[0, -1] = SURFACES["beale"].value(8e4, 8e4)
    widget._told = {}
    widget.pump(now=True)
    assert page.floats("paths")[-1] > 3e38


# ---- rates


def test_without_a_rate_each_racer_has_the_best_one():
    assert DescentRace("beale").rates == BEST_RATES["beale"]


def test_one_rate_can_be_set_for_all_of_them():
    widget = DescentRace(learning_rate=0.03, steps=20)
    assert set(widget.rates.values()) == {0.03}
    widget.set(learning_rate=0.04)
    assert set(widget.rates.values()) == {0.04}
    assert {s["learning_rate"] for s in widget.race.settings.values()} == {0.04}


def test_the_rate_that_the_slider_stands_on_can_be_given_to_all(open_page):
    """The slider has a value while the racers have rates of their own."""
    widget = DescentRace("beale")
    assert len(set(widget.rates.values())) > 1
    page = open_page(widget)
    page.set("learning_rate", widget.values["learning_rate"])
    assert set(widget.rates.values()) == {widget.values["learning_rate"]}


def test_the_rate_of_one_racer_changes_that_one_alone(open_page):
    widget = DescentRace("ravine", steps=40)
    page, before = open_page(widget), dict(widget.rates)
    paths = widget.race.paths
    page.set("rate_of", "Adam")
    assert widget.values["learning_rate"] == before["Adam"]
    page.set("learning_rate", 0.123)
    widget.finish()
    assert widget.rates == {**before, "Adam": 0.123}
    assert page.of_kind("news")[-1]["rates"] == widget.rates
    moved = (widget.race.paths != paths).any(axis=(1, 2))
    assert [n for n, m in zip(widget.race.names, moved, strict=True) if m] == ["Adam"]
    page.set("rate_of", "SGD")
    assert widget.values["learning_rate"] == before["SGD"]


def test_the_rate_of_one_racer_can_be_given_at_the_start():
    widget = DescentRace("ravine", rate_of="Adam", learning_rate=0.123, steps=20)
    assert widget.rates == {**BEST_RATES["ravine"], "Adam": 0.123}


@pytest.mark.parametrize("view", ["map", "cut"])
def test_tune_finds_the_best_rate_of_those_that_race_and_races_again(open_page, view):
    names, start = ("SGD", "Momentum"), (2.0, -0.5)
    widget = DescentRace("ravine", optimizers=names, start=start, steps=60,
                         learning_rate=1e-5, momentum=0.8, view=view)  # fmt: skip
    page = open_page(widget)
    page.do("tune")
    widget.finish()
    along_x = view == "cut"
    place = SURFACES["ravine"]
    sgd = best_rate(place, "SGD", start, 60, along_x=along_x)
    heavy = best_rate(place, "Momentum", start, 60, along_x=along_x, momentum=0.8)
    rest = dict.fromkeys(OPTIMIZERS, 1e-5)
    assert widget.rates == {**rest, "SGD": sgd, "Momentum": heavy}
    assert widget.race.settings["SGD"] == {"learning_rate": sgd}
    assert_page_shows(page, widget.race)
    assert page.of_kind("news")[-1]["rates"] == widget.rates


def test_tune_says_whose_path_leaves_the_map_at_every_rate(open_page, monkeypatch):
    widget = DescentRace("bowl", optimizers=("SGD",), steps=20)
    monkeypatch.setattr(Race, "stays_on_map", False)
    open_page(widget).do("tune")
    with pytest.raises(ValueError, match="SGD leaves the map at every rate"):
        widget.finish()


def test_new_seed_changes_the_paths_only_where_there_is_noise(open_page):
    widget = DescentRace("bowl", optimizers=EVERY, steps=20)
    page = open_page(widget)
    for noise in (0.0, 0.5):
        page.set("noise", noise)
        widget.finish()
        before = widget.race.paths
        page.do("new_seed")
        widget.finish()
        moved = (widget.race.paths != before).any(axis=(1, 2))
        assert not moved[0]  # gradient descent sees the exact gradient
        assert (moved[1:] == (noise > 0)).all()
        assert_page_shows(page, widget.race, snapshot=True)


# ---- without a page, and with two


def test_run_without_a_page_is_what_a_page_gets(open_page):
    knobs = {"optimizers": EVERY, "noise": 0.3, "steps": 100, "start": (1.0, 1.0)}
    alone = DescentRace("himmelblau", **knobs).run()
    watched = DescentRace("bowl")
    page = open_page(watched)
    for name, value in {"surface": "himmelblau", **knobs}.items():
        page.set(name, value)
    watched.finish()
    np.testing.assert_array_equal(watched.race.paths, alone.paths)
    assert_page_shows(page, alone)


def test_set_then_run_needs_no_page():
    widget = DescentRace("bowl", steps=20)
    widget.set(steps=60, optimizers=["SGD"])
    assert widget.run().paths.shape == (1, 61, 2)
    assert widget.run() is widget.race


def test_a_running_race_reaches_the_page_once_and_whole(monkeypatch):
    monkeypatch.setattr(race_module, "WHOLE", 0.0)  # parts at once, however fast it is
    monkeypatch.setattr(base, "INTERVAL", 0.0)

    async def play():
        widget = DescentRace("bowl", steps=500, optimizers=EVERY)
        page = FakePage(widget).hello()
        await asyncio.sleep(0)
        page.set("learning_rate", 0.02)
        await until(lambda: widget.race.done == 500 and not widget.working)
        await until(lambda: Picture(page, False).done == 500)
        assert_page_shows(page, widget.race)
        assert len([m for m in page.of_kind("news") if "run" in m]) > 2
        widget.close()

    asyncio.run(play())


def test_a_page_that_closes_too_soon_leaves_a_race_for_the_next_one(monkeypatch):
    monkeypatch.setattr(base, "SLICE", 0.0)  # so that it can be met half-way

    async def play():
        widget = DescentRace("bowl", steps=500, optimizers=EVERY)
        page = FakePage(widget).hello()
        page.set("learning_rate", 0.02)
        await until(lambda: 0 < widget.race.done < 500)
        page.acknowledge = False  # a page that is gone answers nothing
        page.tell(kind="bye")
        await until(lambda: not widget.watched)
        assert widget._task is None
        again = FakePage(widget).hello()
        await until(lambda: widget.watched and not widget.working)
        await until(lambda: Picture(again).done == 500)
        assert_page_shows(again, widget.race, snapshot=True)
        widget.close()

    asyncio.run(play())


def test_two_races_on_one_loop_do_not_disturb_each_other():
    async def play():
        first = DescentRace("bowl", steps=300, noise=0.5)
        second = DescentRace("beale", steps=300)
        pages = [FakePage(first).hello(), FakePage(second).hello()]
        await asyncio.sleep(0)
        for page in pages:
            page.set("momentum", 0.5)
        await until(lambda: not (first.working or second.working))
        for page, widget in zip(pages, (first, second), strict=True):
            await until(lambda p=page: Picture(p, False).done == 300)
            alone = DescentRace(widget.place.key, steps=300, momentum=0.5,
                                noise=widget.values["noise"])  # fmt: skip
            assert_page_shows(page, alone.race)
            seqs = [m["seq"] for m in page.of_kind("news")]
            assert seqs == list(range(1, len(seqs) + 1))
        first.close()
        second.set(momentum=0.6)
        await until(lambda: second.race.done == 300 and not second.working)
        second.close()

    asyncio.run(play())


def broken(_race):
    yield
    raise RuntimeError("the track broke")


def test_an_error_in_the_race_is_shown_in_the_page_under_a_loop(monkeypatch):
    async def play():
        widget = DescentRace(steps=20)
        page = FakePage(widget).hello()
        await asyncio.sleep(0)
        monkeypatch.setattr(Race, "work", broken)
        page.set("momentum", 0.5)
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the track broke"
        monkeypatch.undo()
        page.set("momentum", 0.6)
        await until(lambda: page.of_kind("error")[-1]["text"] is None)
        await until(lambda: Picture(page, False).done == 20)
        widget.close()

    asyncio.run(play())


def test_an_error_in_the_race_is_raised_where_no_loop_runs(monkeypatch):
    monkeypatch.setattr(Race, "work", broken)
    with pytest.raises(RuntimeError, match="the track broke"):
        DescentRace(steps=20)


# ---- pictures and the end


def test_text():
    text = DescentRace("noisy", steps=20, noise=1.0).describe()
    assert text.startswith("Descent race on Rippled bowl, noisy gradient: Gradient d")


@pytest.mark.parametrize("names", [EVERY, ("Adam",), ()])
def test_the_picture_draws_each_racer_on_the_map_and_in_the_curves(names):
    widget = DescentRace("himmelblau", optimizers=names, steps=20)
    left, right = widget.figure().axes
    assert len(left.lines) == 2 * len(names) + 2  # path and head; minima and start
    assert len(right.lines) == len(names)
    assert (*left.get_xlim(), *left.get_ylim()) == widget.place.bounds
    for row, line in enumerate(right.lines):
        above = widget.race.losses[row] - widget.place.lowest
        np.testing.assert_allclose(line.get_ydata(), np.maximum(above, 1e-16))
    widget.set(view="cut")
    left, _right = widget.figure().axes
    assert len(left.lines) == 1 + len(names)


def test_a_race_in_which_all_diverge_has_a_picture():
    widget = DescentRace("rosenbrock", learning_rate=10.0, optimizers=("SGD",))
    assert "SGD" in widget.race.diverged_at
    assert widget.still().startswith(b"\x89PNG")


def test_close_frees_a_running_race_and_its_task(monkeypatch):
    monkeypatch.setattr(base, "SLICE", 0.0)  # so that it can be met half-way

    async def play():
        widget = DescentRace("bowl", steps=500, optimizers=EVERY)
        FakePage(widget).hello().set("learning_rate", 0.02)
        alive = weakref.proxy(widget)
        await until(lambda: 0 < alive.race.done < 500)
        gone = [weakref.ref(widget), weakref.ref(widget.race)]
        widget.close()
        del widget
        await asyncio.sleep(0.01)
        gc.collect()
        assert [ref() for ref in gone] == [None, None]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())


def test_opening_and_closing_a_hundred_times_keeps_the_memory():
    def use():
        widget = DescentRace("bowl", optimizers=("SGD",), steps=20)
        FakePage(widget).hello().set("steps", 40)
        widget.finish()
        widget.close()

    for _ in range(10):
        use()
    assert growth(use, 100) < 2e6  # leaked, 100 snapshots alone are 4.5 MB
