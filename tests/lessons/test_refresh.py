"""`make refresh` saves one fixed form, and only what ran to the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import v4

from tests.lessons.environment import ROOT
from tests.lessons.hygiene import problems
from tests.refresh import joined, normalise

STALE = v4.new_output("stream", name="stdout", text="stale\n")


def lesson(*sources: str) -> nbformat.NotebookNode:
    cells = [v4.new_markdown_cell("# Title")]
    cells += [
        v4.new_code_cell(source, execution_count=40, outputs=[STALE])
        for source in sources
    ]
    return v4.new_notebook(cells=cells)


def refresh(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/refresh.py", *map(str, paths)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_good_lesson_is_saved_clean_and_bad_ones_stay(tmp_path: Path) -> None:
    good, raising, dying = (
        tmp_path / f"{n}.ipynb" for n in ("good", "raising", "dying")
    )
    show = "print(os.environ['OMP_NUM_THREADS'], flush=True)\nprint('b')"
    nbformat.write(lesson("import os", show), good)
    nbformat.write(lesson("print(1)", "print(2)\n1 / 0", "print(3)"), raising)
    nbformat.write(lesson("import os", "os._exit(1)"), dying)
    before = {path: path.read_bytes() for path in (raising, dying)}
    done = refresh(good, raising, dying)
    assert done.returncode == 1
    assert problems(good) == []
    cells = nbformat.read(good, as_version=4).cells
    assert [cell.execution_count for cell in cells[1:]] == [1, 2]
    assert [output.text for output in cells[2].outputs] == ["1\nb\n"]
    assert {path: path.read_bytes() for path in before} == before
    assert "raising.ipynb: cell 2 (`print(2)`) failed" in done.stdout
    assert "dying.ipynb: cell 2 (`os._exit(1)`) failed" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["good.ipynb", "raising.ipynb", "dying.ipynb"]
    )


def test_normalise_twice_changes_nothing_more() -> None:
    nb = lesson("a = 1", "b = 2")
    nb.metadata.widgets = {"state": {}}
    nb.cells[1].metadata.execution = {"iopub.status.busy": "now"}
    nb.cells[2].id = nb.cells[1].id
    nb.cells[2].outputs = [
        v4.new_output("display_data", data={"image/png": "x", "image/svg+xml": "y"})
    ]
    normalise(nb)
    once = nbformat.writes(nb)
    normalise(nb)
    assert nbformat.writes(nb) == once
    assert "widgets" not in nb.metadata
    assert nb.cells[1].metadata == {}
    assert len({cell.id for cell in nb.cells}) == 3
    assert list(nb.cells[2].outputs[0].data) == ["image/png"]
    assert [cell.execution_count for cell in nb.cells[1:]] == [1, 2]


def test_only_neighbours_of_one_stream_are_joined() -> None:
    def piece(name: str, text: str) -> nbformat.NotebookNode:
        return v4.new_output("stream", name=name, text=text)

    pieces = [piece("stdout", "a"), piece("stdout", "b"), piece("stderr", "c")]
    pieces += [v4.new_output("display_data", data={}), piece("stdout", "d")]
    texts = [output.get("text") for output in joined(pieces)]
    assert texts == ["ab", "c", None, "d"]


def test_missing_lesson_is_named() -> None:
    done = refresh(Path("chapters/no_such.ipynb"))
    assert done.returncode == 2
    assert "there is no lesson" in done.stderr
