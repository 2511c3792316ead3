"""Execute lessons again and save them in the one form that is committed.

    python tests/refresh.py                         lessons that differ from HEAD
    python tests/refresh.py chapters/x.ipynb ...    these
    python tests/refresh.py --all                   every lesson

A lesson runs as the tests run it (`lessons/environment.py`): one thread, two cores, no
GPU, no network. It is written back only when every cell succeeded, in one step, so a
failure or an interruption leaves the file as it was.

The form: execution counts 1..n, neighbouring pieces of one stream joined, no widget
state, no times, no SVG beside a PNG, the plain kernelspec, cell ids that stay.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.lessons.environment import (  # noqa: E402
    all_lessons,
    lesson_environment,
    pin_to_cores,
    warm_up,
)
from tests.lessons.hygiene import problems  # noqa: E402

CELL_TIMEOUT = 60  # seconds
KERNELSPEC = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}
CELL_METADATA_DROPPED = ("execution", "ExecuteTime", "collapsed", "scrolled", "trusted")

Notebook = nbformat.NotebookNode


def changed_lessons() -> list[Path]:
    """Lessons that git sees as new or different from HEAD."""
    lines = subprocess.run(
        ["git", "status", "--porcelain", "-uall", "-z", "--", "chapters"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    changed = {ROOT / line[3:] for line in lines}
    return [lesson for lesson in all_lessons() if lesson in changed]


def execute(nb: Notebook, folder: Path, started: list[int]) -> None:
    """Run every cell, in place, in a new kernel that stands in `folder`.

    `started` receives the place of each cell, in the notebook, as it begins.
    """
    client = NotebookClient(
        nb,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()


def joined(outputs: list[Any]) -> list[Any]:
    """Neighbouring pieces of the same stream as one; how they split is chance."""
    result: list[Any] = []
    for output in outputs:
        last = result[-1] if result else {}
        if output.output_type == "stream" == last.get("output_type") and (
            output.name == last["name"]
        ):
            last["text"] += output.text
        else:
            result.append(output)
    return result


def stable_id(cell: Any, place: int, used: set[str]) -> str:
    """The cell's own id; if it has none, or a taken one, one made from its text."""
    name = cell.get("id")
    if name and name not in used:
        return name
    return hashlib.sha256(f"{place}:{cell.source}".encode()).hexdigest()[:8]


def normalise(nb: Notebook) -> None:
    """Bring an executed notebook, in place, into the form that is committed."""
    nb.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": LANGUAGE}
    )
    nb.nbformat, nb.nbformat_minor = 4, 5
    used: set[str] = set()
    count = 0
    for place, cell in enumerate(nb.cells):
        cell.id = stable_id(cell, place, used)
        used.add(cell.id)
        for name in CELL_METADATA_DROPPED:
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            count += 1
            normalise_code(cell, count)


def normalise_code(cell: Any, count: int) -> None:
    cell.execution_count = count
    cell.outputs = joined(cell.outputs)
    for output in cell.outputs:
        if "execution_count" in output:
            output.execution_count = count
        data = output.get("data", {})
        if "image/png" in data:
            data.pop("image/svg+xml", None)


def save(nb: Notebook, path: Path) -> None:
    """Write beside the lesson, then move into place."""
    partial = path.with_suffix(".ipynb.partial")
    try:
        text = nbformat.writes(nb)
        partial.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def refresh(path: Path) -> str | None:
    """Execute and save one lesson; a sentence when that failed, else None."""
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    started: list[int] = []
    try:
        execute(nb, path.parent, started)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        source = nb.cells[started[-1]].source.splitlines()[0]
        where = f"cell {started[-1]} (`{source}`)"
        return f"{where} failed, file left as it was:\n{error}"
    normalise(nb)
    save(nb, path)
    return None


def chosen(options: argparse.Namespace) -> list[Path]:
    if options.all:
        return all_lessons()
    if options.lessons:
        return [Path(lesson).resolve() for lesson in options.lessons]
    return changed_lessons()


def main(argv: list[str]) -> int:
    """Refresh; the exit status is the number of lessons that failed, at most 1."""
    parser = argparse.ArgumentParser(description="Execute lessons again and save them.")
    parser.add_argument("lessons", nargs="*", help="default: those changed since HEAD")
    parser.add_argument("--all", action="store_true", help="every lesson")
    options = parser.parse_args(argv)
    for lesson in options.lessons:
        if not Path(lesson).is_file():
            parser.error(f"there is no lesson {lesson}")
    lessons = chosen(options)
    if not lessons:
        print("No lesson differs from HEAD. --all refreshes every lesson.")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix="refresh-") as scratch:
        prepare(Path(scratch))
        for number, path in enumerate(lessons, 1):
            failed += not report(path, f"[{number}/{len(lessons)}]")
    return min(failed, 1)


def prepare(scratch: Path) -> None:
    """Give this process, and so its kernels, the environment of the tests."""
    env = lesson_environment(scratch)
    os.environ.clear()
    os.environ.update(env)
    warm_up(env)
    pin_to_cores()


def report(path: Path, label: str) -> bool:
    """Refresh one lesson and say how it went."""
    name = os.path.relpath(path, ROOT)
    started = time.monotonic()
    trouble = refresh(path)
    seconds = time.monotonic() - started
    print(f"{label} {name}: {trouble or f'saved, {seconds:.1f} s'}", flush=True)
    if trouble:
        return False
    for sentence in problems(path):
        print(f"    to repair: {sentence}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
