"""What every widget promises, whichever it is: a new one is tested here at once."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lib import widgets
from lib.widgets import cells
from lib.widgets.base import LiveWidget
from tests.widgets.cases import PRESSED, make, refused, taken
from tests.widgets.conftest import FakePage
from tests.widgets.test_base import until

pytestmark = pytest.mark.usefixtures("quick")
OF_PAGES = ("CONTROLS", "_pages", "_told")  # attributes that hold no part of a widget
every_widget = pytest.mark.parametrize("name", widgets.__all__)


def use(page: FakePage) -> FakePage:
    """Move the first control, and press a button if the widget has one."""
    page.set(*another(page.widget))
    command, *args = PRESSED.get(type(page.widget).__name__, ("step",))
    if hasattr(page.widget, "do_" + command):
        page.do(command, *args)
    page.widget.finish()
    return page


def another(widget: LiveWidget) -> tuple[str, Any]:
    """A control and a value that it does not have now."""
    return next(
        (control.name, value)
        for control in widget.CONTROLS
        for value in taken(type(widget).__name__, control)
        if control.check(value) != widget.values[control.name]
    )


def broken(*_args: Any) -> None:
    raise RuntimeError("the knob came off")


# ---- controls


def check_spec(control: Any, value: Any) -> None:
    """The page is told all that it needs to build a control that has this value."""
    spec = json.loads(json.dumps(control.spec(), allow_nan=False))
    assert spec["name"] == control.name
    assert spec["label"] == control.label != ""
    assert hasattr(control, "_check_" + spec["kind"])
    if spec["kind"] in ("range", "log"):
        assert spec["low"] <= control.default <= spec["high"]
        assert spec["low"] <= value <= spec["high"]
        assert spec["step"] > 0
        assert spec["whole"] == isinstance(control.default, int)
    if spec["kind"] in ("choice", "several"):
        assert [tuple(pair) for pair in spec["choices"]] == list(control.choices)
        assert all(label for _value, label in spec["choices"])


@every_widget
def test_a_page_can_build_every_control_and_move_it_over_its_range(open_page, name):
    widget = make(name)
    page = open_page(widget)
    names = [control.name for control in widget.CONTROLS]
    assert len(set(names)) == len(names)
    for control in widget.CONTROLS:
        check_spec(control, widget.values[control.name])
        before = widget.values[control.name]
        for value in [*taken(name, control), before]:
            page.set(control.name, value)
            echo = page.of_kind("value")[-1]
            wanted = control.check(value)
            assert echo["name"] == control.name
            assert echo["value"] == widget.values[control.name] == wanted, control.name
            assert control.check(wanted) == wanted
            if control.kind in ("range", "log", "choice", "toggle", "text"):
                assert wanted == value
                assert type(wanted) is type(control.default)
            elif control.kind in ("several", "point"):
                assert set(wanted) == set(value)
    assert page.of_kind("error") == []
    json.dumps(page.messages, allow_nan=False)  # no NaN: a page could not read it


@every_widget
def test_without_a_loop_refusals_change_nothing_and_errors_are_raised(
    open_page, monkeypatch, name
):
    widget = make(name)
    page, changes = open_page(widget), []
    monkeypatch.setattr(widget, "changed", changes.append)
    values, state, held = dict(widget.values), widget.state(), parts_of(widget)
    for control in widget.CONTROLS:
        for value in refused(name, control):
            with pytest.raises(ValueError, match=f"^{control.name} was given .*takes"):
                page.set(control.name, value)
            echo = page.of_kind("value")[-1]
            assert (echo["name"], echo["value"]) == (control.name, values[control.name])
            assert widget.error.startswith(f"ValueError: {control.name} was given")
    assert changes == []
    assert widget.values == values
    assert widget.state() == state
    assert parts_of(widget) == held  # the very same simulation, model and data
    assert page.of_kind("news") == []
    monkeypatch.setattr(widget, "changed", broken)
    with pytest.raises(RuntimeError, match="the knob came off"):
        page.set(*another(widget))


@every_widget
def test_an_unknown_control_is_refused(name):
    with pytest.raises(ValueError, match=r"no control 'nonsense'; it has \w+"):
        make(name, nonsense=1)


# ---- to the page


@every_widget
def test_a_late_page_gets_the_whole_state_and_nothing_is_sent_twice(open_page, name):
    widget = make(name)
    first = open_page(widget)
    assert [message["kind"] for message in first.messages] == ["welcome"]
    before = dict(widget.snapshot)
    use(first)
    assert first.of_kind("news")
    sent = len(first.messages)
    widget.finish()
    widget.pump(now=True)
    assert len(first.messages) == sent
    late = open_page(widget)
    assert late.of_kind("welcome")[-1]["seq"] == first.of_kind("news")[-1]["seq"]
    state = widget.snapshot
    assert state["values"] == widget.values != before["values"]
    for key, value in widget.state().items():
        assert state[key] == value, key
    assert set(state) == set(before)
    assert [spec["name"] for spec in state["controls"]] == list(widget.values)
    assert (state["title"], state["error"]) == (widget.describe(), None)
    plain = {k: v for k, v in state.items() if k != "buffers"}
    json.dumps(plain, allow_nan=False, default=lambda value: len(memoryview(value)))


# ---- errors


@every_widget
def test_an_error_is_shown_in_the_page_under_a_loop(monkeypatch, name):
    async def play() -> None:
        widget = make(name)
        page = FakePage(widget).hello()
        await until(lambda: page.of_kind("welcome"))
        with monkeypatch.context() as patch:
            patch.setattr(widget, "changed", broken)
            page.set(*another(widget))
            await until(lambda: page.of_kind("error"))
        error = page.of_kind("error")[-1]
        assert error["text"] == "RuntimeError: the knob came off"
        assert "in broken" in error["trace"]
        page.set(*another(widget))  # what works takes the error away
        await until(lambda: page.of_kind("error")[-1]["text"] is None)
        widget.close()

    asyncio.run(play())


# ---- text and picture


@every_widget
def test_text_and_picture_are_the_same_on_every_run(open_page, name):
    first, second = (use(open_page(make(name))).widget for _ in range(2))
    text = first.describe()
    assert text == second.describe()
    assert 10 < len(text) == len(text.strip())
    assert "\n" not in text
    assert repr(first) == f"<{text}>"
    data, metadata = first._repr_mimebundle_()
    assert data["text/plain"] == metadata["image/png"]["alt"] == text
    assert "model_id" in data["application/vnd.jupyter.widget-view+json"]
    png = second.still()
    assert base64.b64decode(data["image/png"]) == png
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    assert min(image.size) > 200
    assert 0.005 < (np.asarray(image.convert("L")) < 128).mean() < 0.9
    assert len(image.convert("RGB").getcolors(1 << 24)) > 6
    assert len(png) < 80_000


# ---- the end


def parts_of(widget: LiveWidget) -> dict[int, Any]:
    """All objects of the library that a widget holds, by id, itself left out."""
    found: dict[int, Any] = {}

    def below(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list | tuple):
            yield from value
        elif type(value).__module__.startswith("lib."):
            found[id(value)] = value
            yield from getattr(value, "__dict__", {}).values()

    waiting = [value for key, value in vars(widget).items() if key not in OF_PAGES]
    seen = {id(widget)}
    while waiting:
        value = waiting.pop()
        if id(value) not in seen:
            seen.add(id(value))
            waiting += below(value)
    return found


def own_parts(widget: LiveWidget, other: LiveWidget) -> list[Any]:
    """The parts that another widget of the same kind does not share."""
    shared = parts_of(other)
    return [part for key, part in parts_of(widget).items() if key not in shared]


@every_widget
def test_closing_twice_frees_the_widget_and_all_its_parts(name):
    first, second = (use(FakePage(make(name)).hello()) for _ in range(2))
    widget, other = first.widget, second.widget
    refs = [weakref.ref(widget)]
    for part in own_parts(widget, other):
        try:
            refs.append(weakref.ref(part))
        except TypeError:  # a plain record without a place for one
            continue
    if hasattr(widget, "do_play") and getattr(widget, "practice", True):
        first.do("play")  # it is closed while work is under way
    widget.close()
    widget.close()
    assert not widget.working
    assert widget.comm is None
    messages = len(first.messages)
    first.set(*another(widget))  # nobody is there any more
    assert len(first.messages) == messages
    del first, widget
    part = None
    gc.collect()
    assert [ref() for ref in refs if ref() is not None] == []
    other.close()


@every_widget
def test_running_the_cell_again_closes_the_earlier_widget(monkeypatch, name):
    here = ["cell", "first run"]
    monkeypatch.setattr(cells, "current_cell", lambda: tuple(here))
    earlier = make(name)
    here[1] = "second run"
    later = make(name)
    assert earlier.comm is None
    assert later.comm is not None
    later.close()
