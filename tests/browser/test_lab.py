"""The harness itself, on a small notebook: what it promises the other browser tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from nbformat import v4, write
from playwright.sync_api import expect

from tests.browser.lab import Lab

COUNTER = """
class Counter(anywidget.AnyWidget):
    _esm = '''
    function render({ model, el }) {
        const button = document.createElement("button");
        const show = () => { button.textContent = "count " + model.get("value"); };
        button.onclick = () => {
            model.set("value", model.get("value") + 1);
            model.save_changes();
        };
        model.on("change:value", show);
        show();
        el.append(button);
    }
    export default { render };
    '''
    value = traitlets.Int(0).tag(sync=True)


counter = Counter()
counter
"""
SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
KERNEL = {"kernelspec": SPEC}
PRINT, SLIDER, WIDGET, LAST = 2, 3, 4, 45  # numbers of cells


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prints, a slider, an anywidget, and enough text that the last cell is far."""
    cells = [
        v4.new_markdown_cell("# Smoke"),
        v4.new_code_cell("import anywidget, ipywidgets, os, traitlets"),
        v4.new_code_cell("print('threads', os.environ['OMP_NUM_THREADS'])"),
        v4.new_code_cell("slider = ipywidgets.IntSlider(value=3)\nslider"),
        v4.new_code_cell(COUNTER),
        *(v4.new_markdown_cell(f"## Part {i}\n\nText.\n\nMore.") for i in range(40)),
        v4.new_code_cell("print('end')"),
    ]
    path = tmp_path_factory.mktemp("notebook") / "smoke.ipynb"
    write(v4.new_notebook(cells=cells, metadata=KERNEL), path)
    return path


def test_runs_and_widgets_answer(lab: Lab, notebook: Path) -> None:
    lab.open(notebook)
    assert not lab.trusted()
    lab.run_all()
    assert lab.trusted()
    assert lab.text(PRINT) == "threads 1\n"
    handle = lab.output(SLIDER).get_by_role("slider")
    handle.focus()
    lab.page.keyboard.press("ArrowRight")
    expect(lab.output(SLIDER).locator(".widget-readout")).to_have_text("4")
    assert lab.ask("print(slider.value)") == "4\n"
    button = lab.widget(0, cell=WIDGET).get_by_role("button")
    button.click()
    expect(button).to_have_text("count 1")
    assert lab.ask("print(counter.value)") == "1\n"
    lab.ask("counter.value = 7")
    expect(button).to_have_text("count 7")


def test_far_cell_is_reached_and_lesson_is_shot(lab: Lab, notebook: Path) -> None:
    lab.open(notebook, width=1000, height=700)
    lab.run_all()
    assert lab.find("print('end')") == LAST
    expect(lab.output(LAST)).to_have_text("end")
    expect(lab.cell(PRINT)).to_be_in_viewport()
    pictures = lab.shoot_lesson("harness")
    assert len(pictures) >= 4
    assert len({p.read_bytes() for p in pictures}) == len(pictures)


def test_kernel_restarts_and_runs_again(lab: Lab, notebook: Path) -> None:
    lab.open(notebook)
    lab.run_all()
    lab.ask("print(slider.value)")
    lab.restart_kernel()
    assert lab.ask("print('slider' in globals())") == "False\n"
    lab.restart_and_run_all()
    assert lab.ask("print(slider.value)") == "3\n"
    lab.widget(0, cell=WIDGET).get_by_role("button").click()
    lab.run_cell(WIDGET)
    expect(lab.widget(0, cell=WIDGET).get_by_role("button")).to_have_text("count 0")


def test_themes_switch(lab: Lab, notebook: Path) -> None:
    colours = {}
    for theme in ("dark", "light"):
        lab.open(notebook, theme=theme)
        colours[theme] = lab.page.evaluate(
            "() => getComputedStyle(document.querySelector('.jp-Notebook'))"
            ".backgroundColor"
        )
    assert colours["light"] == "rgb(255, 255, 255)"
    assert colours["dark"] != colours["light"]


def test_trusted_on_demand(lab: Lab, notebook: Path) -> None:
    lab.open(notebook, trusted=True)
    assert lab.trusted()


def test_error_in_a_cell_fails_the_run(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "raises.ipynb"
    cells = [v4.new_code_cell("1 / 0")]
    write(v4.new_notebook(cells=cells, metadata=KERNEL), path)
    lab.open(path)
    with pytest.raises(AssertionError, match="cell 0: ZeroDivisionError"):
        lab.run_all()


def test_dialog_is_told_with_its_text(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "no_kernel.ipynb"
    write(v4.new_notebook(cells=[v4.new_code_cell("1")]), path)
    with pytest.raises(AssertionError, match="Select Kernel"):
        lab.open(path)


def test_console_errors_are_collected(lab: Lab, notebook: Path) -> None:
    lab.open(notebook)
    lab.page.evaluate("() => console.error('made by the test')")
    lab.page.evaluate("() => { setTimeout(() => { throw new Error('thrown'); }); }")
    lab.page.wait_for_timeout(200)
    with pytest.raises(AssertionError, match=r"made by the test[\s\S]*thrown"):
        lab.check_console()
    lab.errors.clear()


def test_the_server_holds_no_message_back(lab: Lab) -> None:
    """The extension is on in this environment, as it is for readers."""
    log = lab.server.log.read_text(encoding="utf-8")
    told = "lib.prompt_link | extension was successfully loaded"
    assert told in log, f"run: {sys.executable} -m lib.prompt_link"
