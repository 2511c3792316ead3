"""Attention of 12 layers x 12 heads on the screen: this widget and bertviz.

    python -m benchmarks.attention [--quick]

One JupyterLab in a real Chromium, turn by turn, for 64 and for 128 tokens:

1. Bytes to the page and time from running the cell to the first drawn frame. Ours
   runs the model in that time; bertviz's `head_view` gets the maps ready made.
2. The same of bertviz's `head_view`. Its page loads require.js, d3 and jQuery from a
   CDN: without a network it shows an error, and only bytes and kernel time count.
3. A moved pointer and a changed temperature to the screen, at 128 tokens.

bertviz is used where it can be imported. Exit status 1 where a bar is missed. Left out:
other browsers, a real network, bertviz's other views.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from importlib import util
from pathlib import Path

from benchmarks.machine import facts
from benchmarks.widgets import Result, notebook_page, percentile, press
from tests.browser import chromium
from tests.browser.lab import Lab

INSTALL = (
    "bertviz is not here, so it was not measured: pip install --no-deps "
    "--target FOLDER bertviz==1.4.1, then PYTHONPATH=FOLDER."
)
SETUP = """
import sys, time
import torch
from IPython.display import display
from lib.models.configs import EncoderConfig
from lib.models.transformer import Encoder
from lib.widgets import AttentionView
words = tuple(a + b for a in "abcdefgh" for b in "abcdefgh")
shape = dict(vocab_size=64, context=128, channels=144, num_layers=12, num_heads=12)
model = Encoder(EncoderConfig(**shape, hidden=288, std=0.3), seed=0)
theirs, T = False, 16

def tokens():
    return [words[i * i % 61] for i in range(T)]

def maps():
    with torch.no_grad():
        ids = torch.tensor([[words.index(token) for token in tokens()]])
        seen = model(ids, return_intermediates=True)
    return list(seen["attention_maps"])
"""
OURS = """
began = time.perf_counter()
view = AttentionView(model, tokens=words, text=" ".join(tokens()))
display(view)
took = time.perf_counter() - began
"""
THEIRS = """
if theirs:
    began = time.perf_counter()
    head_view(attention, tokens())
    took = time.perf_counter() - began
"""
RUN_JS = """([selector, failed]) => new Promise(done => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const output = () => notebook.activeCell.node.querySelector(".jp-Cell-outputArea");
    const before = output()?.querySelector(selector);
    const began = performance.now();
    window.jupyterapp.commands.execute("notebook:run-cell");
    const look = () => {
        const node = output()?.querySelector(selector);
        const took = performance.now() - began;
        if (node && node !== before && (node.dataset.look || !node.live)) {
            const after = new MessageChannel(); // a task of its own: it is painted
            after.port1.onmessage = () => done(performance.now() - began);
            after.port2.postMessage(0);
        } else if (took > 60000 || (failed && output()?.textContent.includes(failed))) {
            done(null);
        } else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""
SHOWN = "bench.live().root.dataset.query + ',' + bench.live().root.dataset.key"
LOOK = "bench.live().root.dataset.look"


def measure(quick: bool) -> list[Result]:
    """All lines of the table."""
    folder = bertviz_folder()
    results: list[Result] = []
    with notebook_page(SETUP, OURS, THEIRS, height=1500) as (lab, link):
        if folder is not None:
            lab.ask(f"sys.path.append({str(folder)!r})\nfrom bertviz import head_view")
        for T in (64, 128):
            lab.ask(f"T = {T}\nattention = maps()")
            turns = [_turn(lab, link, folder) for _ in range(3 if quick else 7)]
            results += _table(T, turns)
        results += _live(lab, 10 if quick else 40)
        lab.errors.clear()  # bertviz's page writes some without its CDN
    return results


def bertviz_folder() -> Path | None:
    """Where the package `bertviz` can be imported from, or None."""
    spec = util.find_spec("bertviz")
    return None if spec is None else Path(spec.origin).parents[1]


def _turn(lab: Lab, link, folder: Path | None) -> list[tuple]:
    """Ours, then theirs: (bytes, milliseconds to the screen or None, of the kernel)."""
    turn = [_run(lab, link, 1, ".lm-live", None)]
    if folder is not None:
        lab.ask("theirs = True")
        turn.append(_run(lab, link, 2, "[id^=bertviz] svg", "is not defined"))
        lab.ask("theirs = False")
        lab.run_cell(2)  # an empty output again
    return turn


def _run(lab: Lab, link, cell: int, selector: str, failed: str | None) -> tuple:
    lab.cell(cell)
    lab.page.wait_for_timeout(300)
    before = link.passed[1]
    shown = lab.page.evaluate(RUN_JS, [selector, failed])
    lab.wait_idle()
    lab.page.wait_for_timeout(500)  # what the page still fetches belongs to it
    passed = link.passed[1] - before
    return passed, shown, 1000 * float(lab.ask("print(took)"))


def _table(T: int, turns: list[list[tuple]]) -> list[Result]:
    at = f"{T} tokens: "
    sizes, shown, kernel = zip(*(turn[0] for turn in turns), strict=True)
    size, screen = statistics.median(sizes) / 1e6, statistics.median(shown)
    results = [
        Result(at + "ours, bytes to the page", size, "MB", 0.9 if T == 64 else 2.9),
        Result(at + "ours, cell run to screen", screen, "ms", 1500 if T == 64 else 3e3),
        Result(at + "ours, of that the cell", statistics.median(kernel), "ms"),
    ]  # fmt: skip
    if len(turns[0]) == 1:
        return results
    sizes, shown, kernel = zip(*(turn[1] for turn in turns), strict=True)
    other = statistics.median(sizes) / 1e6
    results += [
        Result(at + "bertviz, bytes to the page", other, "MB"),
        Result(at + "bertviz, the cell", statistics.median(kernel), "ms"),
        Result(at + "bytes, bertviz / ours", other / size, "times", 15, at_least=True),
    ]
    seen = [ms for ms in shown if ms is not None]
    if seen:
        theirs = statistics.median(seen)
        results += [
            Result(at + "bertviz, cell run to screen", theirs, "ms"),
            Result(at + "to screen, bertviz / ours", theirs / screen, "times", 1, True),
        ]
    else:
        print(
            f"{at}bertviz's page shows an error: its CDN cannot be reached from here."
        )
    return results


def _live(lab: Lab, count: int) -> list[Result]:
    """Pointer and temperature at 12 x 12 x 128, milliseconds to the screen."""
    page = lab.page
    lab.cell(1)
    page.evaluate("() => bench.live().map.canvas.scrollIntoView({ block: 'center' })")
    box = page.locator('.lm-live canvas[aria-label^="The chosen"]').bounding_box()
    hovers = []
    for k in range(count):
        page.evaluate(
            "mark => bench.await(new Function('return ' + mark), 'pointermove')", SHOWN
        )
        page.mouse.move(box["x"] + 120 + 7 * k, box["y"] + 120 + 7 * k)
        page.wait_for_function("() => bench.took !== null")
        hovers.append(page.evaluate("() => bench.took"))
    slider = page.locator('.lm-live [data-control="temperature"] input')
    slider.focus()
    changes = []
    for _ in range(count // 2):
        changes.append(press(page, "ArrowLeft", LOOK))
        page.wait_for_timeout(200)
    name = "12 x 12 x 128: "
    return [
        Result(name + "hovered pair on screen, median", statistics.median(hovers), "ms",
               50),
        Result(name + "nine in ten within", percentile(hovers, 0.9), "ms", 100),
        Result(name + "temperature on screen", statistics.median(changes), "ms"),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    quick = parser.parse_args().quick
    if chromium.find() is None:
        print("No Chromium here: nothing was measured. Set CHROMIUM to its path.")
        return 1
    print(facts())
    if bertviz_folder() is None:
        print(INSTALL)
    results = measure(quick)
    print(*(result.line() for result in results), sep="\n")
    print(facts().splitlines()[-1])
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
