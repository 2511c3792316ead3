"""The base of every live widget: state to the page, commands back, work in slices.

Three layers: a simulation or model (plain Python and torch), the page (JavaScript in
`js/`, which draws on a canvas), and this class between them. It promises:

- One trait, `snapshot`, holds the whole state, so that a view opened late sees all.
  What is new travels as small messages with binary buffers.
- The page acknowledges each message once it has drawn it. At most `WINDOW` messages
  are unanswered; meanwhile news waits, and the next message carries all of it. So a
  slow link makes updates rarer, never late.
- Nothing is sent before a page has said hello.
- Work is a generator. In a notebook an asyncio task on the kernel's main loop drives
  it in slices of `SLICE` seconds; in a script or a test `run()` drives it at once.
- An error in a callback shows in the widget, in red; without a page it is raised.

Callbacks may arrive on other threads: ipykernel 6.31, 7.0 to 7.3 and 7.4 differ. So a
callback only hands its message to the main loop, and all else happens there.

Left out: pixels. The one picture made here is the still one, for places where no
widget can live (GitHub, nbviewer, an untrusted notebook).
"""

from __future__ import annotations

import asyncio
import base64
import time
import traceback
from collections.abc import Generator
from typing import Any

import anywidget
import traitlets

from lib.widgets import cells
from lib.widgets.controls import Control
from lib.widgets.open_pages import OpenPage
from lib.widgets.pages import as_bytes, page, styles

__all__ = ["LiveWidget", "Work", "as_bytes", "page", "styles"]

WINDOW = 2  # messages a page has not yet acknowledged
SLICE = 0.02  # seconds of work before the loop gets its turn
INTERVAL = 1 / 30  # seconds between two messages of running work
HOLD = 0.5  # seconds that the answer to a changed control may wait for its effect

Work = Generator[float | None, None, None]  # a number: wait so many seconds


class LiveWidget(anywidget.AnyWidget):
    """A widget whose page draws data that a kernel computes, live.

    A subclass names its page (`_esm = page("core.js", ...)`), lists its `CONTROLS`, and
    writes:

        state()              the whole state: a dict of JSON values and bytes
        news()               what came since the last message: (dict, buffers) or None
        changed(name)        a control has a new value in `self.values`
        do_<command>(...)    what a button of the page asks for
        figure()             a matplotlib Figure of the present state
        describe()           one fixed line of text, the same on every run

    Args:
        **values: starting values of the controls, by name.

    Raises:
        ValueError: a control that does not exist, or a value that it does not allow.
    """

    CONTROLS: tuple[Control, ...] = ()
    PICTURED = False  # True where the still picture holds maps in many colours
    SHOWN_WHOLE = False  # True where the page shows work once it is finished
    _css = styles()

    snapshot = traitlets.Dict().tag(sync=True)

    def __init__(self, **values: Any) -> None:
        self.values = {control.name: control.default for control in self.CONTROLS}
        self.values.update(self._checked(values))
        self.error: str | None = None
        self._loop = _running_loop()
        self._task: asyncio.Task | None = None
        self._work: Work | None = None
        self._pages: dict[str, OpenPage] = {}
        self._sent = 0
        self._last_sent = 0.0
        self._stale = False
        self._closed = False
        self._unanswered: list[str] = []  # changed controls whose page waits
        self._timer: asyncio.TimerHandle | None = None
        super().__init__()
        self.on_msg(self._receive)
        cells.replace_earlier(self)

    # ---- what a subclass writes

    def state(self) -> dict[str, Any]:
        """The whole state, for a page that opens now."""
        raise NotImplementedError

    def news(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """What came since the last message, or None if nothing did."""
        return None

    def changed(self, name: str) -> None:
        """Act on the new value of one control."""

    def figure(self):
        """A matplotlib Figure of the present state, for the still picture."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line that says what this is; the same text on every run."""
        return type(self).__name__

    # ---- controls

    def set(self, **values: Any) -> None:
        """Set controls by name, as a hand on the page would.

        Raises:
            ValueError: no such control, or a value that it does not allow.
        """
        checked = self._checked(values)
        for name, value in checked.items():
            if self.values[name] != value:
                self.values[name] = value
                self.changed(name)
        self._note_change()
        self.pump(now=True)

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        known = {control.name: control for control in self.CONTROLS}
        for name in values:
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no control {name!r}; "
                    f"it has {', '.join(known) or 'none'}."
                )
        return {name: known[name].check(value) for name, value in values.items()}

    # ---- messages from the page

    def _receive(self, _widget, content: dict, _buffers) -> None:
        """Any thread: hand the message to the main loop and do nothing else."""
        if self._loop is None or self._loop.is_closed():
            self._dispatch(content)
        else:
            self._loop.call_soon_threadsafe(self._dispatch, content)

    def _dispatch(self, content: dict) -> None:
        if self._closed:
            return
        try:
            self._answer(content)
        except Exception as error:
            self._fail(error)

    def _answer(self, content: dict) -> None:
        kind, client = content.get("kind"), content.get("page", "")
        if kind == "hello":
            for other in self._pages.values():
                other.lost_since_hello = True  # a reloaded tab leaves its old self here
            self._pages[client] = OpenPage(self._sent)
            self.refresh()
            self.send({"kind": "welcome", "page": client, "seq": self._sent})
            self._drive_waiting_work()
        elif kind == "bye":
            self._pages.pop(client, None)
            if not self._pages:
                self.unwatched()
        elif kind == "ack":
            self._pages.setdefault(client, OpenPage(0)).answered(content["seq"])
            self.pump(now=not self.working)
        elif kind == "set":
            self._answer_set(content)
        elif kind == "do":
            self._clear_error()
            getattr(self, "do_" + content["name"])(*content.get("args", ()))
            self._note_change()
            self.pump(now=True)
        else:
            raise ValueError(f"the page sent a message of unknown kind {kind!r}")

    def _answer_set(self, content: dict) -> None:
        """A refused value is answered too: the page then shows the one that holds.

        The page keeps the newest value of a control until the last one is answered. So
        where a value sets off work, the answer goes out with what the work shows first:
        a hand that keeps moving then sees one picture after another, instead of
        beginning the work again and again and seeing none.
        """
        before = self._work
        try:
            self._clear_error()
            self.set(**{content["name"]: content["value"]})
        finally:
            self._unanswered.append(content["name"])
            if self._task is None or self._work is before:
                self._answer_held()
            else:
                self._timer = self._loop.call_later(HOLD, self._answer_held)
        self.pump(now=True)

    def _answer_held(self) -> None:
        """Answer the changed controls whose pages wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        names, self._unanswered = self._unanswered, []
        for name in names if self._pages else ():
            self.send({"kind": "value", "name": name, "value": self.values.get(name)})

    def unwatched(self) -> None:
        """The last page has gone: work that nobody sees ends."""
        self.stop()

    # ---- messages to the page

    def refresh(self) -> None:
        """Put the whole present state in `snapshot`, if it has changed since."""
        if self._stale or not self.snapshot:
            self.news()  # what the snapshot holds is no longer news
            self.snapshot = {
                **self.state(),
                "controls": [control.spec() for control in self.CONTROLS],
                "values": dict(self.values),
                "title": self.describe(),
                "error": self.error,
                "seq": self._sent,
            }
            self._stale = False

    def _note_change(self) -> None:
        self._stale = True

    @property
    def watched(self) -> bool:
        """Whether a page is open that shows this widget."""
        return bool(self._pages)

    @property
    def in_flight(self) -> int:
        """Messages that the slowest page has not acknowledged."""
        now = time.monotonic()
        waiting = [p for p in self._pages.values() if not p.lost(self._sent, now)]
        return max((self._sent - p.seen for p in waiting), default=0)

    def pump(self, now: bool = False) -> None:
        """Send what is new, if a page is open, the window is, and it is time."""
        if not self._pages or self.in_flight >= WINDOW:
            return
        clock = time.monotonic()
        if not now and clock - self._last_sent < self._pause():
            return
        fresh = self.news()
        if fresh is None:
            return
        content, buffers = fresh
        self._sent += 1
        self._last_sent = clock
        self._stale = True
        for client in self._pages.values():
            client.asked(self._sent, clock)
        self.send({**content, "seq": self._sent, "sent": time.time()}, buffers)

    def _pause(self) -> float:
        """Seconds between two messages: on a slow link, a round trip's even share.

        A quarter less than INTERVAL, so that work which has news every INTERVAL does
        not miss its turn by a hair and wait for the next.
        """
        trip = max((client.trip for client in self._pages.values()), default=0.0)
        return max(0.75 * INTERVAL, 0.9 * trip / WINDOW)

    # ---- work in slices

    def start(self, work: Work) -> None:
        """Drive `work` on the main loop; earlier work of this widget ends first.

        Without a loop (a script, a test) the work waits for `run()`.
        """
        self.stop()
        self._work = work
        self._drive_waiting_work()

    def _drive_waiting_work(self) -> None:
        idle = self._work is not None and self._task is None
        if idle and self._loop is not None and self.watched:
            self._task = self._loop.create_task(self._drive(self._work))

    def stop(self) -> None:
        """End the running work, if any. What it has produced so far stays."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._work is not None and not self._work.gi_running:
            self._work.close()
        self._work = None
        self._answer_held()

    @property
    def working(self) -> bool:
        """Whether work is under way."""
        return self._work is not None

    async def _drive(self, work: Work) -> None:
        try:
            wait: float | None = 0.0
            while wait is not None:
                wait = _advance(work, SLICE)
                if work is not self._work:  # the work itself started other work
                    return
                sent = self._sent
                self.pump()
                if self._sent > sent and not self.SHOWN_WHOLE:
                    self._answer_held()
                await asyncio.sleep(wait or 0.0)
            self._done(work)
        except Exception as error:
            self._done(work)
            self._fail(error)

    def _done(self, work: Work) -> None:
        if work is self._work:
            self._work, self._task = None, None
        self._note_change()
        self.pump(now=True)
        self._answer_held()

    def finish(self) -> None:
        """Run the waiting work to its end, here and now, and return."""
        work, self._work = self._work, None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if work is not None:
            for _ in work:
                pass
            self._note_change()
        self.pump(now=True)
        self._answer_held()

    # ---- errors, end, pictures

    def _clear_error(self) -> None:
        if self.error is not None:
            self.error = None
            if self._pages:
                self.send({"kind": "error", "text": None})

    def _fail(self, error: Exception) -> None:
        """Show the error in the page, in red; without a page raise it."""
        self.error = f"{type(error).__name__}: {error}"
        self._note_change()
        if not self._pages or self._loop is None:
            raise error
        trace = "".join(traceback.format_exception(error))
        self.send({"kind": "error", "text": self.error, "trace": trace})

    def close(self) -> None:
        """End the work, forget the pages and free the widget. Can be called again."""
        if getattr(self, "_closed", True):
            return
        self._closed = True
        self.stop()
        self._pages.clear()
        self.on_msg(self._receive, remove=True)
        cells.forget(self)
        layout = self.layout  # a widget of its own, which ipywidgets would keep
        super().close()
        layout.close()

    def __repr__(self) -> str:
        return f"<{self.describe()}>"

    def _repr_mimebundle_(self, **_kwargs: Any):
        """The live view, a still picture for where none can live, and a fixed text."""
        self.refresh()
        bundle = super()._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        text = self.describe()
        still = base64.b64encode(self.still()).decode("ascii")
        data = {**data, "text/plain": text, "image/png": still}
        return data, {"image/png": {"alt": text}}

    def still(self) -> bytes:
        """The present state as PNG, drawn from the data that the page gets."""
        from lib.widgets.still import as_png

        return as_png(self.figure(), self.PICTURED)


def _advance(work: Work, seconds: float) -> float | None:
    """Run a generator for about this long; the seconds to wait, or None at its end."""
    end = time.perf_counter() + seconds
    for wait in work:
        if wait or time.perf_counter() >= end:
            return wait or 0.0
    return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The kernel's main loop, or None in a script, a test or another thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
