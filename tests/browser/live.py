"""One live widget in a notebook, as a reader's hands and eyes meet it.

`Live` wraps the `.lm-live` element of a widget: its controls and buttons, the state
that the page keeps in `data-*` attributes, and the kernel's side of it through
`Lab.ask`. The functions after it hold what every widget promises, whatever it shows;
each widget's test file calls them. Opening a notebook takes seconds, so all tests of a
file share one page, and each begins by running the cell again.
"""

from __future__ import annotations

import ast
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nbformat import read, v4, write
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.browser.lab import Lab
from tests.browser.server import LabServer

SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
GONE = "The kernel has gone. Run this cell again to bring the widget back."
SHOTS = "widgets"  # folder of the pictures among the screenshots
INK = 0.003  # of a plot area, when there is something in it: one line has more

# What sticks out of the widget, and what does not fit in its own box.
FLAWS_JS = """root => {
    const frame = root.getBoundingClientRect();
    const found = [];
    for (const node of root.querySelectorAll("*")) {
        const box = node.getBoundingClientRect();
        if (!box.width || !box.height || node.tagName === "OPTION") continue;
        const text = node.textContent.slice(0, 40);
        const name = `${node.tagName} ${node.className} ${text}`;
        if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5
            || box.top < frame.top - 0.5 || box.bottom > frame.bottom + 0.5)
            found.push(`sticks out: ${name}`);
        const words = !["SELECT", "INPUT", "CANVAS"].includes(node.tagName);
        if (words && node.scrollWidth > node.clientWidth + 1
            && getComputedStyle(node).display !== "inline")
            found.push(`too narrow: ${name}`);
    }
    if (root.scrollWidth > root.clientWidth) found.push("the widget itself");
    return found;
}"""
# Controls and pictures that lie on each other, and pictures next to nothing.
OVERLAPS_JS = """root => {
    const nodes = [...root.querySelectorAll("canvas.lm-canvas, button, select, input,"
        + " output, .lm-readout, .lm-status")].filter(n => n.offsetParent);
    const boxes = nodes.map(n => n.getBoundingClientRect());
    const found = [];
    boxes.forEach((a, i) => boxes.forEach((b, j) => {
        if (j <= i || nodes[i].contains(nodes[j])) return;
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1 && tall > 1)
            found.push(`${nodes[i].outerHTML.slice(0, 80)} on `
                + nodes[j].outerHTML.slice(0, 80));
    }));
    return found;
}"""
COLOURS_JS = """root => [...root.querySelectorAll("canvas.lm-canvas")].map(canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width,
        canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4)
        seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    return seen.size;
})"""
# The share of each plot area, within its border, that is not of its commonest colour.
# `live.pictures` lists the frames of a view that has others than a map and curves.
INK_JS = """({ live }) => (live.pictures
    || [live.map, live.data || live.curves.frame]).map(frame => {
    const grow = frame.canvas.width / frame.width;
    const box = [frame.left + 2, frame.top + 2, frame.right - frame.left - 4,
        frame.bottom - frame.top - 4].map(v => Math.round(v * grow));
    const { data } = frame.canvas.getContext("2d").getImageData(...box);
    const counts = new Map();
    for (let i = 0; i < data.length; i += 4) {
        const colour = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
        counts.set(colour, (counts.get(colour) || 0) + 1);
    }
    return 1 - Math.max(...counts.values()) / (data.length / 4);
})"""
FRAMES_JS = """(root, count) => new Promise(done => {
    const wait = left => left ? requestAnimationFrame(() => wait(left - 1)) : done();
    wait(count);
})"""


def make_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of these code cells, not yet run."""
    code = [v4.new_code_cell(cell) for cell in cells]
    write(v4.new_notebook(cells=code, metadata={"kernelspec": SPEC}), path)
    return path


class Live:
    """The widget of one notebook; `variable` is its name in the kernel.

    Args:
        lab: on whose page the notebook opens.
        notebook: of which a copy is opened.
        variable: that the widget's cell assigns.
        cell: number of that cell.
    """

    def __init__(self, lab: Lab, notebook: Path, variable: str, cell: int = 1) -> None:
        lab.open(notebook)
        self.lab, self.page = lab, lab.page
        self.notebook, self.variable, self.cell = notebook, variable, cell
        self.sources = [cell["source"] for cell in lab.cells()]
        self.root: Locator = lab.page.locator(".lm-live").first

    # -- state ------------------------------------------------------------------------

    def fresh(self) -> None:
        """A new widget in a window of the usual size: where every test begins."""
        if [cell["source"] for cell in self.lab.cells()] != self.sources:
            self.lab.open(self.notebook)  # a test that failed has changed its cells
        resize(self, 1280)
        self.lab.run_all()
        self.wait_live()

    def rerun(self) -> None:
        """Run the widget's cell again and wait for the new one."""
        self.lab.run_cell(self.cell)
        self.wait_live()

    def wait_live(self) -> None:
        expect(self.page.locator(".lm-live")).to_have_count(1)
        expect(self.root).to_have_attribute("data-state", "live")
        self.until("d.drawn !== undefined && d.position !== undefined")

    def data(self, name: str) -> str | None:
        return self.root.get_attribute(f"data-{name}")

    def number(self, name: str) -> float:
        return float(self.data(name))

    def js(self, code: str, arg: Any = None) -> Any:
        """Evaluate `code` with `live` (the view), `root` and `arg` at hand."""
        return self.root.evaluate(
            f"(root, arg) => {{ const live = root.live; return ({code}); }}", arg
        )

    def until(self, condition: str, arg: Any = None, timeout: float = 30) -> None:
        """Wait until `condition` holds, with `d` (data-*), `live`, `root` and `arg`."""
        self.page.wait_for_function(
            "([condition, arg]) => { const root = document.querySelector('.lm-live');"
            " if (!root) return false; const d = root.dataset, live = root.live;"
            " return Boolean(new Function('d', 'live', 'root', 'arg',"
            " `return ${condition}`)(d, live, root, arg)); }",
            arg=[condition, arg],
            timeout=timeout * 1000,
        )

    def frames(self, count: int = 10) -> None:
        """Wait for so many frames of the page, to see that nothing moves."""
        self.root.evaluate(FRAMES_JS, count)

    def next_run(self, act: Callable[[], Any]) -> None:
        """Do something and wait until a complete new run of it is on show."""
        before = self.data("run")
        act()
        self.until("d.run !== arg && d.complete === 'true'", before)

    # -- the kernel's side ------------------------------------------------------------

    def kernel(self, expression: str) -> Any:
        """The value of an expression about the widget `w` in the kernel."""
        code = f"w = {self.variable}\nprint(repr({expression}))"
        return ast.literal_eval(self.lab.ask(code))

    def kernel_until(self, expression: str, wanted: Any, timeout: float = 30) -> None:
        """Ask the kernel until the expression has the wanted value (or passes it)."""
        holds = wanted if callable(wanted) else lambda value: value == wanted
        deadline = time.monotonic() + timeout
        value = self.kernel(expression)
        while not holds(value) and time.monotonic() < deadline:
            value = self.kernel(expression)
        assert holds(value), f"{expression} is {value!r} in the kernel, not {wanted!r}"

    # -- hands ------------------------------------------------------------------------

    def control(self, name: str) -> Locator:
        """The native element of one declared control."""
        return self.root.locator(f'[data-control="{name}"]').locator("input, select")

    def shown(self, name: str) -> str:
        """The value that stands beside a slider."""
        return self.root.locator(f'[data-control="{name}"] output').inner_text()

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def racer(self, name: str) -> Locator:
        return self.root.locator(f'[data-racer="{name}"]')

    def row(self, name: str) -> Locator:
        """The line of the legend that belongs to one racer."""
        return self.root.locator(f'tr:has([data-racer="{name}"])')

    @property
    def scrubber(self) -> Locator:
        return self.root.locator(".lm-scrub input")

    @property
    def status(self) -> Locator:
        return self.root.locator(".lm-status")

    @property
    def error(self) -> Locator:
        return self.root.locator(".lm-error")

    def press(self, on: Locator, *keys: str) -> None:
        """Focus an element and press keys on it."""
        on.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def all_off(self) -> None:
        on = self.root.locator('.lm-chip[aria-pressed="true"]')
        while count := on.count():
            on.first.click()
            expect(on).to_have_count(count - 1)

    def place(self, frame: str, x: float, y: float) -> tuple[float, float]:
        """Where a data point of the picture `live.<frame>` lies in the viewport."""
        self.js(f"live.{frame}.canvas.scrollIntoView({{ block: 'center' }})")
        left, top = self.js(
            f"(f => {{ const b = f.canvas.getBoundingClientRect();"
            f" return [b.left + f.px(arg[0]), b.top + f.py(arg[1])]; }})(live.{frame})",
            [x, y],
        )
        return left, top

    def picture(self, name: str) -> None:
        """Keep a picture of the widget among the artefacts."""
        self.lab.screenshot(f"{SHOTS}/{name}", self.root)


def check_field(live: Live) -> None:
    """The map shows the loss: without its colours and lines it is a poorer picture."""
    whole = max(live.root.evaluate(COLOURS_JS))
    live.js("live.field.draw = () => {}")
    live.js("live.link.invalidate()")
    live.frames(2)
    bare = max(live.root.evaluate(COLOURS_JS))
    live.js("delete live.field.draw")
    live.js("live.link.invalidate()")
    assert whole > 1.5 * bare


def check_layout(live: Live, name: str) -> None:
    """Nothing overflows or overlaps, and no picture is blank; keeps a screenshot."""
    live.frames(2)
    live.picture(name)
    assert live.root.evaluate(FLAWS_JS) == [], name
    assert live.root.evaluate(OVERLAPS_JS) == [], name
    ink = live.root.evaluate(INK_JS)
    assert min(ink) > INK, f"{name}: of {ink} one is blank"


def check_layouts(live: Live, name: str) -> None:
    """The layout holds in both themes, wide and narrow, with the file list too."""
    for theme in ("light", "dark"):
        for width, sidebar in ((1280, False), (1280, True), (800, False), (800, True)):
            resize(live, width, 1700, theme, sidebar)
            live.until("live.theme.dark === arg", theme == "dark")
            beside = "-sidebar" if sidebar else ""
            check_layout(live, f"{name}-{theme}-{width}{beside}")


def resize(
    live: Live,
    width: int,
    height: int = 1100,
    theme: str = "light",
    sidebar: bool = False,
) -> None:
    """Another window size, theme and sidebar, as a reader changes them."""
    live.page.set_viewport_size({"width": width, "height": height})
    live.lab.set_theme(theme)
    verb = "expandLeft" if sidebar else "collapseLeft"
    live.page.evaluate(f"() => window.jupyterapp.shell.{verb}()")


@contextmanager
def opened(
    browser: Browser, server: LabServer, notebook: Path, variable: str
) -> Iterator[Live]:
    """The notebook in JupyterLab, for all tests of one file: opening takes seconds."""
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    lab = Lab(page, server, notebook.stem)
    yield Live(lab, notebook, variable)
    lab.close()
    context.close()


@contextmanager
def one_test(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    """A fresh widget for one test; afterwards the console must be free of errors."""
    live.fresh()
    yield live
    report = getattr(request.node, "rep_call", None)
    if report is not None and report.failed:
        live.lab.screenshot(f"failed-{request.node.name}")
    try:
        live.lab.check_console()
    finally:
        live.lab.errors.clear()


def check_keys_stay(live: Live) -> None:
    """JupyterLab's one-letter commands (cut, insert, delete) do not reach its cells."""
    before = [cell["source"] for cell in live.lab.cells()]
    places = live.root.locator("canvas.lm-canvas, button.lm-play, .lm-scrub input")
    for place in places.all():
        if place.is_enabled() and not place.evaluate(
            "n => Boolean(n.closest('[inert]'))"
        ):
            live.press(place, "x", "b", "a", "d", "d", "m", "Enter")
    assert [cell["source"] for cell in live.lab.cells()] == before
    expect(live.root).to_have_attribute("data-state", "live")


def check_error_shows(live: Live, control: str) -> None:
    """An exception in a callback stands in red, until the next success."""
    live.lab.ask(
        f"kind = type({live.variable}); kept = kind.changed\n"
        "def fail(self, name): raise RuntimeError(f'made to fail by {name}')\n"
        "kind.changed = fail"
    )
    expect(live.error).to_be_hidden()
    live.press(live.control(control), "ArrowLeft")
    expect(live.error).to_have_text(f"RuntimeError: made to fail by {control}")
    expect(live.error).to_be_in_viewport()
    red, green, blue = live.error.evaluate(
        "n => getComputedStyle(n).borderLeftColor.match(/[0-9]+/g).map(Number)"
    )
    assert red > 150 > max(green, blue)
    live.lab.ask("kind.changed = kept")
    live.press(live.control(control), "ArrowLeft")
    expect(live.error).to_be_hidden()


def check_rerun(live: Live) -> None:
    """Running the cell again leaves one live widget, and frees the one before."""
    live.lab.ask(f"first = {live.variable}")
    assert live.kernel("first._closed") is False
    live.rerun()
    assert live.kernel("first is w") is False
    assert live.kernel("(first._closed, first.comm, first.working)") == (
        True,
        None,
        False,
    )
    live.kernel_until("len(w._pages)", 1)
    assert live.kernel("w._closed") is False


def check_restart(live: Live) -> None:
    """After a restart the widget says so and is disabled; running it brings it back."""
    live.lab.restart_kernel()
    expect(live.root).to_have_attribute("data-state", "ended")
    expect(live.status).to_have_text(GONE)
    assert live.root.locator("[data-control]").count() > 0
    for element in live.root.locator("[data-control]").locator("input, select").all():
        expect(element).to_be_disabled()
    for chip in live.root.locator(".lm-chip").all():
        expect(chip).to_be_disabled()
    live.picture(f"ended-{live.variable}")
    live.lab.run_all()
    live.wait_live()
    expect(live.status).not_to_have_text(GONE)


def check_saved_picture(live: Live, name: str, button: str = "Save picture") -> None:
    """ "Save picture" gives a PNG of both canvases, and says so."""
    with live.page.expect_download() as download:
        live.button(button).click()
    assert download.value.suggested_filename == f"{name}.png"
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert image.format == "PNG"
    sizes = live.js("[...root.querySelectorAll('canvas.lm-canvas')].map(c => c.width)")
    assert image.width > sum(sizes)
    assert len(image.convert("RGB").getcolors(1 << 24)) > 30
    expect(live.status).to_have_text(f"Saved {name}.png")


def untrusted_copy(live: Live, path: Path) -> Path:
    """The notebook as it stands, with outputs, changed so that no signature fits it."""
    live.lab.save()
    saved = next(live.lab.server.root.glob(f"{live.lab.folder}/**/*.ipynb"))
    notebook = read(saved, as_version=4)
    notebook.cells.append(v4.new_markdown_cell("From somebody else."))
    write(notebook, path)
    return path


def check_still_picture(lab: Lab, notebook: Path) -> None:
    """An untrusted notebook shows the still picture, and runs nothing."""
    lab.open(notebook)
    assert not lab.trusted()
    image = lab.page.locator(".jp-OutputArea-output img")
    expect(image).to_have_count(1)
    expect(image).to_be_visible()
    expect(lab.page.locator(".lm-live")).to_have_count(0)
    wide = image.evaluate("n => n.decode().then(() => n.naturalWidth)")
    assert wide > 500
    output = next(o for o in lab.outputs(1) if "image/png" in o.get("data", {}))
    assert output["metadata"]["image/png"]["alt"] == output["data"]["text/plain"]
