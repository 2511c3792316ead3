"""Every lesson is clean; and every rule of `hygiene.py` refuses what it is made for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import v4

from tests.lessons.environment import ROOT, all_lessons
from tests.lessons.hygiene import MAX_BYTES, RULES, problems

LESSONS = [path.relative_to(ROOT).as_posix() for path in all_lessons()]
Notebook = dict[str, Any]


def stream(text: str, name: str = "stdout") -> Any:
    return v4.new_output("stream", name=name, text=text)


def clean_notebook() -> Notebook:
    """A small lesson without a fault."""
    cells = [
        v4.new_markdown_cell("# Title\nText with /links/ and https://x.org/home/a."),
        v4.new_code_cell("import math", execution_count=1),
        v4.new_code_cell(
            "print(math.pi > 3)", execution_count=2, outputs=[stream("True\n")]
        ),
        v4.new_code_cell("a = 1; b = 2", execution_count=3),
        v4.new_code_cell("async def f():\n    await g()", execution_count=4),
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def source(text: str, place: int = 3) -> Callable[[Notebook], None]:
    def change(nb: Notebook) -> None:
        nb["cells"][place]["source"] = text

    return change


def output(kind: str, **fields: Any) -> Callable[[Notebook], None]:
    def change(nb: Notebook) -> None:
        nb["cells"][2]["outputs"].append(v4.new_output(kind, **fields))

    return change


def metadata(place: int | None, **fields: Any) -> Callable[[Notebook], None]:
    def change(nb: Notebook) -> None:
        (nb if place is None else nb["cells"][place])["metadata"].update(fields)

    return change


def strip_outputs(nb: Notebook) -> None:
    for cell in nb["cells"][1:]:
        cell["outputs"] = []
    nb["cells"][2]["source"] = "a = 1"


BAD: dict[str, tuple[Callable[[Notebook], None], str]] = {
    "not valid": (metadata(2, tags="x"), "not a valid notebook"),
    "kernelspec": (metadata(None, kernelspec={"name": "x"}), "kernelspec"),
    "no kernelspec": (lambda nb: nb["metadata"].clear(), "kernelspec"),
    "widget state": (metadata(None, widgets={"a": 1}), "widget state"),
    "timing": (metadata(2, execution={"shell.execute_reply": "now"}), "times"),
    "same id": (lambda nb: nb["cells"][2].update(id=nb["cells"][1]["id"]), "2 times"),
    "no id": (lambda nb: nb["cells"][2].pop("id"), "without an id"),
    "no title": (source("Title", 0), "title"),
    "code before the title": (lambda nb: nb["cells"].pop(0), "title"),
    "empty": (lambda nb: nb["cells"].clear(), "title"),
    "hidden": (metadata(2, jupyter={"source_hidden": True}), "hidden"),
    "hidden by tag": (metadata(2, tags=["hide-input"]), "hide-input"),
    "skipped by tag": (metadata(2, tags=["nbval-skip"]), "nbval-skip"),
    "count": (lambda nb: nb["cells"][2].update(execution_count=7), "[1, 7, 3, 4]"),
    "not run": (lambda nb: nb["cells"][2].update(execution_count=None), "None"),
    "no outputs": (strip_outputs, "nothing would be compared"),
    "print without output": (source("print(1)"), "no output is saved"),
    "figure without output": (source("plt.show()"), "no output is saved"),
    "name without output": (source("a = 1\na"), "no output is saved"),
    "error": (output("error", ename="E", evalue="", traceback=[]), "error is saved"),
    "stderr": (output("stream", name="stderr", text="warn"), "stderr is saved"),
    "svg": (output("display_data", data={"image/svg+xml": "<svg/>"}), "SVG"),
    "address": (
        output("display_data", data={"text/plain": "<X at 0x7f1234567890>"}),
        "differs on every run",
    ),
    "path in output": (output("stream", name="stdout", text="/home/a/b"), "/home/a"),
    "path in source": (source("a = open('/tmp/x')"), "/tmp/x"),
    "path in text": (source("# Title\nsee `C:\\data`", 0), "C:"),
    "path on a Mac": (source("a = '/Users/ann'"), "/Users/ann"),
    "path as markup": (
        output("display_data", data={"text/html": "<a href='/root/x'>"}),
        "/root/x",
    ),
    "magic": (source("%timeit 1"), "magic"),
    "shell": (source("!ls"), "magic or shell"),
    "not Python": (source("a = = 1"), "not Python"),
    "marker": (source("# NBVAL_IGNORE_OUTPUT\na = 1"), "escapes"),
    "semicolon": (source("f(1);"), "`;`"),
    "semicolon and comment": (source("f(1);  # quiet"), "`;`"),
    "no imports": (source("a = 1", 1), "must hold the imports"),
    "late import": (source("import os"), "after the first code cell"),
    "late import in a function": (source("def f():\n    import os"), "after the first"),
    "star": (source("from math import *", 1), "star import"),
    "requests": (source("import requests", 1), "no network"),
    "urllib": (source("import urllib.request", 1), "no network"),
    "from urllib": (source("from urllib.request import urlopen", 1), "no network"),
    "from http": (source("from http import client", 1), "no network"),
    "urlopen": (source("a = urlopen('x')"), "no network"),
    "interact": (source("interact(f)"), "interact"),
    "Output": (source("o = widgets.Output()"), "Output"),
    "clear_output": (source("clear_output()"), "clear_output"),
    "sys.path": (source("sys.path.append('..')"), "sys.path"),
    "chdir": (source("os.chdir('..')"), "chdir"),
    "install": (source("subprocess.run(['pip', 'install', 'x'])"), "installs"),
    "await": (source("await g()"), "await"),
    "async for": (source("async for a in b:\n    pass"), "await"),
    "old format": (lambda nb: nb.update(nbformat_minor=4), "format 4.5"),
    "large": (output("stream", name="stdout", text="x" * MAX_BYTES), "bytes"),
}


def save(nb: Notebook, folder: Path) -> Path:
    path = folder / "lesson.ipynb"
    path.write_text(json.dumps(nb), encoding="utf-8")
    return path


@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson_is_clean(lesson: str) -> None:
    assert problems(ROOT / lesson) == []


def test_there_are_lessons() -> None:
    assert LESSONS, "chapters/ holds no notebook"


def test_clean_notebook_has_no_problems(tmp_path: Path) -> None:
    assert problems(save(clean_notebook(), tmp_path)) == []


@pytest.mark.parametrize("name", BAD)
def test_bad_notebook_is_refused(name: str, tmp_path: Path) -> None:
    change, expected = BAD[name]
    nb = clean_notebook()
    change(nb)
    found = problems(save(nb, tmp_path))
    assert any(expected in sentence for sentence in found), found


def test_self_check_may_stand_before_the_imports_and_nothing_else(
    tmp_path: Path,
) -> None:
    nb = clean_notebook()
    nb["cells"][1]["source"] = "from lib.selfcheck import check_packages"
    nb["cells"][3]["source"] = "import math"
    assert any("after the first" in text for text in problems(save(nb, tmp_path)))
    nb["cells"].insert(2, nb["cells"].pop(3))
    for count, cell in enumerate(nb["cells"][1:], 1):
        cell["execution_count"] = count
    assert problems(save(nb, tmp_path)) == []


def test_every_rule_refuses_something() -> None:
    fired = set()
    for change, _ in BAD.values():
        nb = clean_notebook()
        change(nb)
        fired |= {rule for rule in RULES if list(rule(json.loads(json.dumps(nb))))}
    assert {rule.__name__ for rule in RULES} == {rule.__name__ for rule in fired}


def test_source_kept_as_lines_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "lesson.ipynb"
    nb = nbformat.from_dict(clean_notebook())
    nb.cells[3].source = "a = 1\nf(1);"
    nbformat.write(nb, path)  # nbformat writes the source as a list of lines
    assert any("`;`" in sentence for sentence in problems(path))


def test_damaged_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "lesson.ipynb"
    path.write_text("{", encoding="utf-8")
    assert problems(path)[0].startswith("not JSON")
