"""A page without a browser: it says what a page says, and keeps what it is sent."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

_numbers = itertools.count()


class FakePage:
    """One open view of a widget; `acknowledge=False` leaves messages unanswered."""

    def __init__(self, widget: Any, acknowledge: bool = True) -> None:
        self.widget = widget
        self.name = f"page-{next(_numbers)}"
        self.acknowledge = acknowledge
        self.messages: list[dict] = []
        self.buffers: list[list[bytes]] = []
        self._send = widget.send
        widget.send = self._keep

    def _keep(self, content: dict, buffers: Any = None) -> None:
        self.messages.append(content)
        self.buffers.append(list(buffers or []))
        self._send(content, buffers)
        if self.acknowledge and content.get("seq") and content["kind"] != "welcome":
            self.tell(kind="ack", seq=content["seq"])

    def tell(self, **content: Any) -> None:
        self.widget._receive(self.widget, {**content, "page": self.name}, [])

    def hello(self) -> FakePage:
        self.tell(kind="hello")
        return self

    def set(self, name: str, value: Any) -> None:
        self.tell(kind="set", name=name, value=value)

    def do(self, name: str, *args: Any) -> None:
        self.tell(kind="do", name=name, args=list(args))

    def of_kind(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["kind"] == kind]

    def floats(self, part: str) -> np.ndarray:
        """The newest buffer of this name, as float32."""
        for message, buffers in zip(
            reversed(self.messages), reversed(self.buffers), strict=True
        ):
            if part in message.get("parts", []):
                return np.frombuffer(buffers[message["parts"].index(part)], "<f4")
        raise AssertionError(f"no message had a part {part!r}")


@pytest.fixture
def open_page():
    """Open pages on widgets; all widgets are closed after the test."""
    pages: list[FakePage] = []

    def make(widget: Any, **options: Any) -> FakePage:
        pages.append(FakePage(widget, **options))
        return pages[-1].hello()

    yield make
    for page in pages:
        page.widget.close()


@pytest.fixture
def quick(monkeypatch):
    """Models on the CPU, and a short first run for the map of a race of models."""
    monkeypatch.setenv("WORKBOOK_DEVICE", "cpu")
    monkeypatch.setattr("lib.model_race.PILOT_STEPS", 5)
    monkeypatch.setattr("lib.model_race.MAP_EXAMPLES", 64)


def values_over_range(control: Any) -> list[Any]:
    """The ends of what a control allows, its middle, and every choice."""
    if control.kind in ("range", "log"):
        middle = (control.low + control.high) / 2
        if control.kind == "log":
            middle = (control.low * control.high) ** 0.5
        whole = isinstance(control.default, int)
        return [control.low, round(middle) if whole else middle, control.high]
    names = [name for name, _label in control.choices]
    if control.kind == "choice":
        return names
    if control.kind == "several":
        return [[], names[:1], names]
    if control.kind == "toggle":
        return [True, False]
    if control.kind == "text":
        return ["", "a", "Das Ähm… 语言 🙂", "x" * int(control.high)]
    return [(0.0, 0.0), (0.3, -0.2)]


def refused_values(control: Any) -> list[Any]:
    """What a control must refuse with a sentence."""
    if control.kind in ("range", "log"):
        above = control.high + max(1, 1e-6 * abs(control.high))
        return [control.low - 1, above, float("nan"), "much", None, True]
    if control.kind in ("choice", "several"):
        return ["no such thing", None, 3]
    if control.kind == "toggle":
        return [1, "yes", None]
    if control.kind == "text":
        return ["x" * (int(control.high) + 1), 3, None, ["a"]]
    return [(1.0,), (float("inf"), 0.0), "ab", None]
