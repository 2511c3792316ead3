"""Drive JupyterLab in a test as a reader does: open a lesson, run, look, press keys.

`Lab` works on the page that a reader sees, with the notebook's windowing as it comes
("contentVisibility" in 4.6): what is far from the viewport is not drawn, and in other
modes not in the document at all, so `cell(i)` scrolls to a cell first. Cells are
counted from 0, Markdown cells too; `find("text")` gives a cell's number by its source.
Commands go through `window.jupyterapp`.

What the page writes to its console as an error, and every uncaught exception, is
collected in `errors`; the fixture fails the test on them.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from tests.browser.server import LabServer

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "artifacts" / "screenshots"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

# Console errors that are JupyterLab's own, each with the reason why it is harmless.
IGNORED_ERRORS: tuple[tuple[str, str], ...] = (
    (
        r"^Could not restore the debugger state: Canceled future for debug_request",
        "JupyterLab's debugger asks a kernel that is just being restarted",
    ),
)

CELL = ".jp-Notebook .jp-Cell"
WIDGET = ".jp-OutputArea-output.lm-Panel > .lm-Widget"  # what a widget view draws in
NOTEBOOK_JS = "window.jupyterapp.shell.currentWidget"
READY_JS = f"""() => {{
    const panel = window.jupyterapp && {NOTEBOOK_JS};
    if (!panel || !panel.context || !panel.context.isReady) return false;
    const kernel = panel.sessionContext.session && panel.sessionContext.session.kernel;
    return Boolean(kernel) && kernel.status === "idle";
}}"""


class Lab:
    """One browser page with JupyterLab in it.

    Arguments: the Playwright `page`, the running `server`, and the test's `name`, which
    becomes the folder that its notebooks are copied to.
    """

    def __init__(self, page: Page, server: LabServer, name: str) -> None:
        self.page = page
        self.server = server
        self.folder = re.sub(r"\W+", "-", name).strip("-")
        self.errors: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def __repr__(self) -> str:
        return f"Lab({self.page.url})"

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if not any(re.search(p, message.text) for p, _ in IGNORED_ERRORS):
            self.errors.append(f"console: {message.text} {message.location}")

    # -- opening ----------------------------------------------------------------------

    def copy(self, notebook: str | Path) -> Path:
        """A fresh copy of a notebook (path in the repository, or absolute)."""
        source = ROOT / notebook
        inside = source.is_relative_to(ROOT)
        place = source.relative_to(ROOT) if inside else Path(source.name)
        target = self.server.root / self.folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target

    def open(
        self,
        notebook: str | Path,
        width: int = 1280,
        height: int = 900,
        theme: Literal["light", "dark"] = "light",
        trusted: bool = False,
    ) -> None:
        """Open a fresh copy of a notebook in a fresh workspace, kernel started.

        A copy is not trusted, as a fresh clone is not, unless `trusted`.
        """
        copy = self.copy(notebook)
        if trusted:
            self.server.trust(copy)
        path = copy.relative_to(self.server.root).as_posix()
        workspace = f"test-{uuid.uuid4().hex[:8]}"
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto(
            f"{self.server.url}/lab/workspaces/{workspace}/tree/{path}"
            f"?token={self.server.token}"
        )
        self.wait_ready()
        self.collapse_sidebars()
        self.set_theme(theme)

    def reload(self) -> None:
        """Load the page again, as F5 does; the kernel goes on."""
        self.page.reload()
        self.wait_ready()

    def wait_ready(self, timeout: float = 90) -> None:
        """Wait until the notebook is loaded and its kernel idle, without a dialog.

        Raises:
            AssertionError: when JupyterLab asks something.
        """
        self.page.wait_for_function(
            f"() => ({READY_JS})() || document.querySelector('.jp-Dialog')",
            timeout=timeout * 1000,
        )
        self.no_dialog()

    def no_dialog(self) -> None:
        """Fail when JupyterLab shows a dialog, with its text."""
        dialogs = self.page.locator(".jp-Dialog").all_inner_texts()
        assert dialogs == [], f"JupyterLab asks: {dialogs}"

    def collapse_sidebars(self) -> None:
        self.page.evaluate(
            "() => { window.jupyterapp.shell.collapseLeft();"
            " window.jupyterapp.shell.collapseRight(); }"
        )

    def set_theme(self, theme: Literal["light", "dark"]) -> None:
        name = THEMES[theme]
        self.command("apputils:change-theme", {"theme": name})
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", name)

    # -- commands ---------------------------------------------------------------------

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Start one of JupyterLab's commands, and do not wait for its end."""
        self.page.evaluate(
            "([name, args]) => { window.labCommand = 'running';"
            " window.jupyterapp.commands.execute(name, args)"
            ".then(() => { window.labCommand = 'done'; },"
            " error => { window.labCommand = String(error); }); }",
            [name, arguments or {}],
        )

    def command_end(self, timeout: float = 120) -> None:
        """Wait for the end of the last command.

        Raises:
            AssertionError: when the command itself failed.
        """
        self.page.wait_for_function(
            "() => window.labCommand !== 'running'", timeout=timeout * 1000
        )
        state = self.page.evaluate("() => window.labCommand")
        assert state == "done", f"JupyterLab's command failed: {state}"

    def wait_idle(self, timeout: float = 120) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(READY_JS, timeout=timeout * 1000)

    def run_all(self, timeout: float = 120, allow_errors: bool = False) -> None:
        """Run every cell and wait for the end; fails on an error among the outputs."""
        self.command("notebook:run-all-cells")
        self._after_run(timeout, allow_errors)

    def run_cell(
        self, i: int, timeout: float = 60, allow_errors: bool = False, wait: bool = True
    ) -> None:
        """Run cell `i` and wait for its end, unless `wait` is false."""
        self.cell(i)
        self.command("notebook:run-cell")
        if wait:
            self.command_end(timeout)
            self.wait_idle(timeout)
            if not allow_errors:
                self.no_output_errors()

    def restart_kernel(self, timeout: float = 60) -> None:
        """Restart the kernel and accept the question that JupyterLab asks."""
        self.command("notebook:restart-kernel")
        self.accept_dialog()
        self.command_end(timeout)
        self.wait_ready(timeout)

    def restart_and_run_all(
        self, timeout: float = 120, allow_errors: bool = False
    ) -> None:
        """Restart the kernel and run every cell; fails on an error in the outputs."""
        self.command("notebook:restart-run-all")
        self.accept_dialog()
        self._after_run(timeout, allow_errors)

    def accept_dialog(self) -> None:
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def save(self) -> None:
        self.command("docmanager:save")
        self.command_end()

    def _after_run(self, timeout: float, allow_errors: bool) -> None:
        self.command_end(timeout)
        self.wait_idle(timeout)
        if allow_errors:
            return
        self.no_output_errors()
        cells = [c for c in self.cells() if c["cell_type"] == "code" and c["source"]]
        counts = [c["execution_count"] for c in cells]
        assert None not in counts, f"not every cell ran: counts {counts}"

    # -- the notebook -----------------------------------------------------------------

    def cells(self) -> list[dict[str, Any]]:
        """Every cell of the model as notebook JSON, source joined to one string."""
        text = self.page.evaluate(
            f"() => JSON.stringify({NOTEBOOK_JS}.content.model.toJSON().cells)"
        )
        cells = json.loads(text)
        for cell in cells:
            cell["source"] = "".join(cell["source"])
        return cells

    def find(self, text: str) -> int:
        """The number of the first cell whose source holds `text`.

        Raises:
            ValueError: when there is none.
        """
        for i, cell in enumerate(self.cells()):
            if text in cell["source"]:
                return i
        raise ValueError(f"no cell's source holds {text!r}")

    def outputs(self, i: int) -> list[dict[str, Any]]:
        """The outputs of cell `i` as notebook JSON."""
        return self.cells()[i].get("outputs", [])

    def text(self, i: int) -> str:
        """What cell `i` printed, and the plain text of what it displayed."""
        parts = []
        for output in self.outputs(i):
            data = output.get("data", {}).get("text/plain", "")
            parts.append("".join(output.get("text", data)))
        return "".join(parts)

    def no_output_errors(self) -> None:
        """Fail when an output is an error, with the cell and the message."""
        errors = [
            f"cell {i}: {output['ename']}: {output['evalue']}"
            for i, cell in enumerate(self.cells())
            for output in cell.get("outputs", [])
            if output["output_type"] == "error"
        ]
        assert errors == [], errors

    def trusted(self) -> bool:
        """Whether every cell of the notebook is trusted."""
        return self.page.evaluate(
            f"() => Array.from({NOTEBOOK_JS}.content.model.cells)"
            ".every(c => c.type !== 'code' || c.trusted)"
        )

    def ask(self, code: str, timeout: float = 30) -> str:
        """Run code in the notebook's kernel beside its cells; what it printed.

        Raises:
            AssertionError: when the code raised.
        """
        self.page.evaluate(
            """([code, panel]) => {
                window.labAnswer = null;
                const kernel = window.jupyterapp.shell.currentWidget
                    .sessionContext.session.kernel;
                const future = kernel.requestExecute({code, store_history: false});
                let text = "", error = null;
                future.onIOPub = message => {
                    if (message.header.msg_type === "stream")
                        text += message.content.text;
                    if (message.header.msg_type === "error")
                        error = message.content.ename + ": " + message.content.evalue;
                };
                future.done.then(() => { window.labAnswer = {text, error}; });
            }""",
            [code, None],
        )
        self.page.wait_for_function("() => window.labAnswer", timeout=timeout * 1000)
        answer = self.page.evaluate("() => window.labAnswer")
        assert answer["error"] is None, answer["error"]
        return answer["text"]

    # -- what the reader sees ---------------------------------------------------------

    def cell(self, i: int) -> Locator:
        """Cell `i`, made active and scrolled into view."""
        self.page.evaluate(
            f"""async i => {{
                const notebook = {NOTEBOOK_JS}.content;
                notebook.deselectAll();
                notebook.activeCellIndex = i;
                await notebook.scrollToItem(i, "smart");
            }}""",
            i,
        )
        found = self.page.locator(f'{CELL}[data-windowed-list-index="{i}"]')
        expect(found).to_be_attached()
        return found

    def output(self, i: int) -> Locator:
        """The output area of cell `i`."""
        return self.cell(i).locator(".jp-Cell-outputArea")

    def widget(self, i: int = 0, cell: int | None = None) -> Locator:
        """The root element of the `i`-th live widget in the page, or in cell `cell`."""
        within = self.page if cell is None else self.cell(cell)
        found = within.locator(WIDGET).nth(i)
        expect(found).to_be_attached()
        return found

    # -- pictures ---------------------------------------------------------------------

    def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """Save a picture of the page, or of one element, as an artefact."""
        path = SCREENSHOTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if of is None:
            self.page.screenshot(path=path)
        else:
            of.screenshot(path=path)
        return path

    def shoot_lesson(self, name: str, limit: int = 60) -> list[Path]:
        """The whole notebook from top to bottom, as consecutive pictures.

        JupyterLab scrolls inside a panel, so a picture of the full page would show one
        screen only: this scrolls by nine tenths of a screen each time.
        """
        scroller = self.page.locator(".jp-NotebookPanel .jp-WindowedPanel-outer").first
        scroller.evaluate("node => { node.scrollTop = 0; }")
        pictures = []
        for number in range(1, limit + 1):
            self.page.wait_for_timeout(400)  # cells that came into view get drawn
            pictures.append(self.screenshot(f"{name}-{number:02}", scroller))
            moved = scroller.evaluate(
                "node => { const before = node.scrollTop;"
                " node.scrollTop += 0.9 * node.clientHeight;"
                " return node.scrollTop > before + 1; }"
            )
            if not moved:
                break
        return pictures

    # -- the end ----------------------------------------------------------------------

    def check_console(self) -> None:
        """Fail when the page wrote an error to its console since it was opened."""
        assert self.errors == [], "\n".join(self.errors)

    def close(self) -> None:
        """Leave the page and end this test's kernels."""
        self.page.goto("about:blank")
        self.server.end_kernels(self.folder)
