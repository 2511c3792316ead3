"""How soon each widget answers, in a real JupyterLab with a real Chromium.

    python -m benchmarks.answers [--only Playground] [--times 6]

For every widget of `lib.widgets`, each in a notebook of its own:

1. Every slider that can be moved is moved by a key, some times. Milliseconds from the
   key to the end of the first frame that shows news from the kernel. A slider that the
   page answers itself brings no news and is counted, not timed.
2. The slowest of them is dragged to and fro, 60 moves a second: pictures a second that
   show news, and the longest wait between two of them.
3. Where there is something to play it is played: pictures a second that show news, and
   the part of the kernel's time that goes into telling the page (`LiveWidget.pump`).

Left out: choices, pads and buttons; the race and the network race have more in
`benchmarks.widgets`. Prints a table; no bar, since the machine's own round trip through
JupyterLab is part of every number: LineFit, which computes nothing, shows it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass

from playwright.sync_api import Locator, TimeoutError

from benchmarks.machine import facts
from benchmarks.widgets import notebook_page, press
from lib import widgets
from tests.browser.lab import Lab

WAIT = 3000  # milliseconds after which a slider is one that the page answers
PLAY = 5  # seconds
DRAG = 3  # seconds

CELL = """
import time
from lib.widgets import {name}
w = {name}({options})
telling = [0.0]

def told(pump=w.pump):
    def timed(now=False):
        began = time.perf_counter()
        pump(now)
        telling[0] += time.perf_counter() - began
    return timed

w.pump = told()
w
"""
OPTIONS = {
    "LineFit": "[0, 1, 2, 3], [1, 3, 4, 8]",
    "AttentionView": "task='copy'",
    "Convolution": "part='kernel'",
    "Regularisation": "steps=2000",
}


@dataclass
class Row:
    """What was measured of one widget; None where there was nothing to measure."""

    name: str
    answers: dict[str, float]  # slider -> median milliseconds
    in_page: int
    dragged: float | None = None  # pictures a second
    longest: float | None = None  # milliseconds without a new one
    pictures: float | None = None  # a second
    share: float | None = None  # of the kernel's time, in percent

    def line(self) -> str:
        times = sorted(self.answers.values())
        middle = f"{statistics.median(times):8.0f}" if times else "       -"
        slowest = max(self.answers, key=self.answers.get, default="")
        worst = f"{self.answers[slowest]:8.0f} {slowest}" if slowest else ""
        rest = (
            (self.dragged, "9.0f"),
            (self.longest, "9.0f"),
            (self.pictures, "9.0f"),
            (self.share, "9.1f"),
        )
        others = "".join(
            "        -" if value is None else format(value, how) for value, how in rest
        )
        return (
            f"{self.name:18s}{len(times):4d}{self.in_page:8d}{middle}{others}  {worst}"
        )


HEAD = (
    "widget            told in page  median  dragged  longest   played  telling"
    "   slowest\n"
    "                    (sliders)       ms       /s  wait ms       /s        %"
    "   slider, ms"
)


def measure(name: str, times: int) -> Row:
    """Move every slider of one widget, then play it."""
    cell = CELL.format(name=name, options=OPTIONS.get(name, ""))
    with notebook_page(cell, height=2600) as (lab, _link):
        answers, in_page = {}, 0
        count = lab.page.locator(".lm-live [data-control]").count()
        for k in range(count):
            control = lab.page.locator(".lm-live [data-control]").nth(k)
            slider = control.locator("input[type=range]")
            if slider.count() != 1 or not slider.is_enabled():
                continue
            took = _moves(lab, slider, times)
            if took is None:
                in_page += 1
            else:
                answers[control.get_attribute("data-control")] = took
        row = Row(name, answers, in_page)
        if answers:
            _drag(lab, row, max(answers, key=answers.get))
        _play(lab, row)
    return row


def _moves(lab: Lab, slider: Locator, times: int) -> float | None:
    """Median ms of some moves to and fro; None if the kernel has no news for them."""
    took = []
    for turn in range(times + 1):  # the first one warms up
        slider.focus()
        low = slider.evaluate("s => Number(s.value) <= Number(s.min)")
        key = "ArrowRight" if low or turn % 2 else "ArrowLeft"
        lab.page.set_default_timeout(WAIT)
        try:
            took.append(press(lab.page, key, "bench.live().root.dataset.drawn"))
        except TimeoutError:
            return None
        finally:
            lab.page.set_default_timeout(30_000)
        lab.wait_idle()
        lab.page.wait_for_timeout(200)
    return statistics.median(took[1:])


def _drag(lab: Lab, row: Row, name: str) -> None:
    """Drag a slider: pictures a second, and the longest wait between two."""
    slider = lab.page.locator(f'.lm-live [data-control="{name}"] input[type=range]')
    waits = slider.evaluate("(s, seconds) => bench.drag(s, seconds)", DRAG)
    lab.wait_idle()
    lab.page.wait_for_timeout(500)  # the last value may be on its way
    lab.wait_idle()
    row.dragged = (len(waits) + 1) / DRAG
    row.longest = max(waits, default=1000 * DRAG)


def _play(lab: Lab, row: Row) -> None:
    """Pictures a second that show news, and the share of time that telling takes."""
    button = lab.page.locator(".lm-live button", has_text="Play").first
    if not button.count() or not button.is_visible() or not button.is_enabled():
        return
    if button.evaluate("node => node.closest('[inert]') !== null"):
        return
    button.click()
    lab.page.wait_for_timeout(1000)
    lab.page.evaluate("() => bench.tally()")
    lab.ask("telling[0] = 0.0; began = time.perf_counter()")
    lab.page.wait_for_timeout(1000 * PLAY)
    row.pictures = lab.page.evaluate("() => bench.tally()") / PLAY
    share = lab.ask("print(telling[0] / (time.perf_counter() - began))")
    row.share = 100 * float(share)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", default=widgets.__all__)
    parser.add_argument("--times", type=int, default=6, help="moves of each slider")
    options = parser.parse_args()
    unknown = set(options.only) - set(widgets.__all__)
    if unknown:
        parser.error(f"no widget is called {unknown.pop()!r}")
    print(facts())
    print(f"\n{HEAD}")
    for name in options.only:
        print(measure(name, options.times).line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
