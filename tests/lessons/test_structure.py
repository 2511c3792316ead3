"""Every lesson has the parts that a reader and a teacher count on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lib.exercises import engine

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted(
    path
    for path in (ROOT / "chapters").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
WITHOUT_PAPERS_LIST = {"00_start_here.ipynb"}


def name(path: Path) -> str:
    return path.relative_to(ROOT / "chapters").as_posix()


def text_of(path: Path, kind: str) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(
        "".join(cell["source"]) for cell in cells if cell["cell_type"] == kind
    )


def test_there_are_lessons():
    assert LESSONS


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_it_has_goals_minutes_summary_next_and_sources(path):
    words = text_of(path, "markdown")
    assert re.match(r"# \S", words)
    goals = re.search(r"you can\n#?\s*\n?((?:- .+\n(?:  .+\n)*)+)", words)
    assert goals, "no list of what the reader will be able to do"
    assert 3 <= len(re.findall(r"^- ", goals.group(1), re.M)) <= 5
    assert re.search(r"\*\*Time:\*\* \d+ minutes", words)
    summary = words.split("## Summary")[1].split("**Next:**")[0]
    assert len(re.findall(r"^\d\. ", summary, re.M)) == 5
    if path.name not in WITHOUT_PAPERS_LIST:
        assert re.search(r"\*\*Papers\*\*\n\n(- .+\n?)", words)


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_its_links_to_other_files_lead_somewhere(path):
    words = text_of(path, "markdown")
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", words):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_it_has_a_widget_and_exercises_with_the_minutes_they_are_registered_with(path):
    code, words = text_of(path, "code"), text_of(path, "markdown")
    assert re.search(r"from lib\.widgets import", code)
    used = re.findall(r'@exercise\("([^"]+)"\)', code)
    assert len(used) >= (1 if path.name.startswith("00_") else 2)
    for exercise in used:
        task = engine.find(exercise)
        said = f"({task.minutes} minutes, difficulty {task.difficulty} of 3)"
        assert said in words, f"{exercise}: {said} is not in the text"
        assert task.lesson == path.stem, exercise
