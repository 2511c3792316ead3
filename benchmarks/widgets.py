"""How fast the live widgets are, in a real JupyterLab with a real Chromium.

    python -m benchmarks.widgets [--quick]

Four measurements, each in one notebook page, in one run:

1. A changed slider: key press to screen, for the descent race and for `interact` with
   a new matplotlib figure of the same race. Turn by turn.
2. Scrubbing and hovering in the race while the kernel is busy: they need no kernel.
3. A training network watched over a slow link (`benchmarks.slow_link`): records a
   second on the screen, and how late each one is.
4. The same training watched and not watched, turn by turn: steps a second.

Exit status 1 where a bar is missed. Left out: other browsers, a GPU, a real network.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from nbformat import v4, write
from playwright.sync_api import Page, sync_playwright

from benchmarks.machine import facts
from benchmarks.slow_link import SlowLink
from benchmarks.widgets_cells import INTERACT, NETWORK, RACE, SAME, TURNS
from tests.browser import chromium
from tests.browser.lab import Lab
from tests.browser.server import LabServer

HERE = Path(__file__).parent
CHUNK = 1500  # training steps of one turn: some seconds


@dataclass(frozen=True)
class Result:
    """One line of the table; with a `bar`, one that can fail the run."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the value, rounded as it is printed, keeps its bar."""
        if self.bar is None:
            return True
        value = float(f"{self.value:.3g}")
        return value >= self.bar if self.at_least else value <= self.bar

    def line(self) -> str:
        sign = "at least" if self.at_least else "at most"
        bar = "" if self.bar is None else f"{sign} {self.bar:g}"
        verdict = "" if self.bar is None else "holds" if self.holds else "MISSED"
        return f"{self.what:<58}{self.value:>9.3g} {self.unit:<6}{bar:<15}{verdict}"


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    return sorted(values)[round(share * (len(values) - 1))]


# ---- the page


@contextmanager
def notebook_page(*cells: str, height: int = 1700) -> Iterator[tuple[Lab, SlowLink]]:
    """A notebook with these code cells, run in a JupyterLab behind a `SlowLink`."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = v4.new_notebook(
            cells=[v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": spec},
        )
        write(notebook, home / "bench.ipynb")
        browser = playwright.chromium.launch(
            executable_path=chromium.find(), args=chromium.arguments()
        )
        server = LabServer(home / "lab", home / "lab.log")
        with server, SlowLink(server.port) as link:
            server.url = f"http://127.0.0.1:{link.port}"
            lab = Lab(browser.new_page(), server, "bench")
            lab.open(home / "bench.ipynb", height=height)
            lab.run_all()
            lab.page.wait_for_selector(".lm-live[data-state=live]")
            lab.page.add_script_tag(path=HERE / "widgets.js")
            yield lab, link
            lab.check_console()
            lab.close()
        browser.close()


def press(page: Page, key: str, done: str) -> float:
    """Press a key; milliseconds to the end of the first frame in which `done` holds.

    Args:
        done: JavaScript that gives a mark of what is on screen; a new one ends it.
    """
    page.evaluate("mark => bench.await(new Function('return ' + mark))", done)
    page.keyboard.press(key)
    page.wait_for_function("() => bench.took !== null")
    return page.evaluate("() => bench.took")


# ---- 1 and 2: the race


def race_results(quick: bool) -> list[Result]:
    """A changed control against `interact`; then scrubbing and hovering."""
    with notebook_page(RACE, INTERACT) as (lab, _link):
        ours, theirs = _changes(lab, 8 if quick else 30)
        same = lab.ask(SAME).strip()
        scrub, hover, sent = _busy_kernel(lab, 8 if quick else 30)
    if same != "True":
        raise RuntimeError("the race and interact drew different numbers")
    median, other = statistics.median(ours), statistics.median(theirs)
    return [
        Result("race: a changed slider on screen, median", median, "ms", 50),
        Result("race: nine in ten within", percentile(ours, 0.9), "ms"),
        Result("interact and matplotlib: the same, median", other, "ms"),
        Result("interact: nine in ten within", percentile(theirs, 0.9), "ms"),
        Result("interact / race", other / median, "times", 3, at_least=True),
        Result("race: scrubbed on screen, kernel busy, median", scrub, "ms", 50),
        Result("race: hovered on screen, kernel busy, median", hover, "ms", 50),
        Result("race: messages sent by scrubbing and hovering", sent, "", 0),
    ]


def _changes(lab: Lab, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of `count` changes each, turn by turn, after two to warm up."""
    page = lab.page
    page.evaluate("() => bench.follow()")
    sliders = (
        (page.locator('.lm-live [data-control="learning_rate"] input'), "bench.race()"),
        (page.locator(".widget-hslider .noUi-handle"), "bench.picture()"),
    )
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(count + 2):
        key = "ArrowLeft" if turn % 4 < 2 else "ArrowRight"
        for times, (slider, mark) in zip(took, sliders, strict=True):
            slider.focus()
            times.append(press(page, key, mark))
            page.wait_for_timeout(150)
    return took[0][2:], took[1][2:]


def _busy_kernel(lab: Lab, count: int) -> tuple[float, float, int]:
    """Median ms of a scrub and a hover, and messages sent, while the kernel works."""
    page = lab.page
    page.evaluate("seconds => bench.occupy(seconds)", 0.25 * count + 2)
    page.wait_for_function("() => bench.kernel().status === 'busy'")
    page.evaluate("() => bench.count()")
    page.locator(".lm-scrub input").focus()
    scrubs = [press(page, "ArrowLeft", "bench.position()") for _ in range(count)]
    box = page.locator(".lm-left canvas").bounding_box()
    hovers = []
    for k in range(count):
        page.evaluate("() => bench.await(() => bench.readout(), 'pointermove')")
        page.mouse.move(box["x"] + 80 + 7 * k, box["y"] + 100 + 3 * k)
        page.wait_for_function("() => bench.took !== null")
        hovers.append(page.evaluate("() => bench.took"))
    if page.evaluate("() => bench.kernel().status") != "busy":
        raise RuntimeError("the kernel was free before the scrubbing ended")
    sent = page.evaluate("() => bench.sent")
    lab.wait_idle()
    return statistics.median(scrubs), statistics.median(hovers), sent


# ---- 3 and 4: the network


def network_results(quick: bool) -> list[Result]:
    """A training network on the slow link; then watched against not watched."""
    with notebook_page(NETWORK, TURNS, height=1100) as (lab, link):
        here = _stream(lab, link, False, 4 if quick else 10)
        far = _stream(lab, link, True, 8 if quick else 20)
        kernel = int(lab.ask("import os; print(os.getpid())"))
        shared = _turns(lab, 3 if quick else 9)
        with core_of_its_own(kernel) as has_core:
            turns = _turns(lab, 3 if quick else 9) if has_core else []
    alone = 100 * (1 - statistics.median(a / b for b, _, a in shared))
    name = "150 ms and 8 Mbit/s: "
    return [
        Result("local: records on screen", here["records"], "/s"),
        Result("local: record made to screen, median", here["lag"], "ms"),
        Result(name + "records on screen", far["records"], "/s", 30, at_least=True),
        Result(name + "pictures", far["pictures"], "/s"),
        Result(name + "record made to screen, median", far["lag"], "ms", 150),
        Result(name + "nine in ten within", far["late"], "ms"),
        Result(name + "message sent to screen, median", far["link"], "ms"),
        Result(name + "lag grows from first to last third", far["grew"], "ms", 20),
        Result(name + "bytes to the page", far["bytes"] / 1000, "kB/s"),
        Result("bare training loop", statistics.median(b for b, *_ in shared), "/s"),
        *(
            Result("watched, the kernel on a core of its own: slower by", s, "%", 5)
            for s in _slower(turns)
        ),
        *(
            Result("watched, a browser without a GPU on the same cores", s, "%")
            for s in _slower(shared)
        ),
        Result("run() without a page, every record kept: slower by", alone, "%"),
    ]


def _slower(turns: list[tuple[float, float, float]]) -> list[float]:
    """Percent by which watching slowed the training, median; nothing without turns."""
    shares = [100 * (1 - watched / bare) for bare, watched, _ in turns]
    return [statistics.median(shares)] if shares else []


@contextmanager
def core_of_its_own(kernel: int) -> Iterator[bool]:
    """Let this process and its children leave one core to the kernel, for a while.

    Yields:
        whether that was possible: it needs Linux and three cores.
    """
    cores = sorted(getattr(os, "sched_getaffinity", lambda _: ())(0))
    if len(cores) < 3:
        yield False
        return
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    for process in family:
        _place(process, cores[:1] if process.pid == kernel else cores[1:])
    yield True
    for process in family:
        _place(process, cores)


def _place(process: psutil.Process, cores: list[int]) -> None:
    """Let every thread of a process run on these cores only."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, cores)


def _stream(lab: Lab, link: SlowLink, slow: bool, seconds: float) -> dict[str, float]:
    """Play at one step a frame; what reached the screen, and when."""
    page = lab.page
    page.evaluate("() => document.querySelector('.lm-live').live.reset()")
    page.wait_for_timeout(1000)
    lab.ask("made.clear()")
    link.slow = slow
    page.evaluate("() => { bench.watch(); bench.live().play(); }")
    page.wait_for_timeout(2000)  # the line fills, JupyterLab settles
    page.evaluate("() => { bench.log.length = 0; }")
    before = link.passed[1]
    page.wait_for_timeout(1000 * seconds)
    log = page.evaluate("() => bench.log")
    passed = link.passed[1] - before
    link.slow = False
    page.evaluate("() => bench.live().pause()")
    lab.wait_idle()
    made = {
        int(k): t for k, t in json.loads(lab.ask("print(json.dumps(made))")).items()
    }
    return _summary(log, made, passed)


def _summary(log: list, made: dict[int, float], passed: int) -> dict[str, float]:
    """Rates and lags of the log: (drawn, sent, newest step) of every picture."""
    span = log[-1][0] - log[0][0]
    lags, last = [], log[0][2]
    for drawn, _sent, newest in log[1:]:
        lags += [1000 * (drawn - made[k]) for k in range(last + 1, newest + 1)]
        last = newest
    third = len(lags) // 3
    return {
        "records": len(lags) / span,
        "pictures": (len(log) - 1) / span,
        "lag": statistics.median(lags),
        "late": percentile(lags, 0.9),
        "link": statistics.median(1000 * (drawn - sent) for drawn, sent, _ in log),
        "grew": statistics.median(lags[-third:]) - statistics.median(lags[:third]),
        "bytes": passed / span,
    }


def _turns(lab: Lab, count: int) -> list[tuple[float, float, float]]:
    """Steps a second, turn by turn: bare loop, watched, widget without a page.

    The bare loop runs before and after the other two, and its mean counts: so a machine
    that gets slower or faster meanwhile does so for all.
    """
    out = []
    for _ in range(count + 1):  # the first one warms up
        before = lab.ask(f"print(bare({CHUNK}))")
        lab.ask(f"task = asyncio.ensure_future(watch({CHUNK}))")
        # the page knows the step: asking the kernel would slow what is measured
        lab.page.wait_for_function(
            "n => Number(document.querySelector('.lm-live').dataset.step) >= n",
            arg=CHUNK + 20,
            timeout=120_000,
        )
        lab.wait_idle()
        watched = lab.ask("print(watched())")
        after = lab.ask(f"print(bare({CHUNK}))")
        alone = lab.ask(f"print(alone({CHUNK}))")
        bare = (float(before) + float(after)) / 2
        out.append((bare, float(watched), float(alone)))
    return out[1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    quick = parser.parse_args().quick
    if chromium.find() is None:
        print("No Chromium here: nothing was measured. Set CHROMIUM to its path.")
        return 1
    print(facts())
    results = race_results(quick) + network_results(quick)
    print(*(result.line() for result in results), sep="\n")
    print(facts().splitlines()[-1])
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
