"""README.md says what is there: its map lists each lesson, its commands exist."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def lessons():
    found = ROOT.glob("chapters/**/*.ipynb")
    return {p.relative_to(ROOT).as_posix() for p in found if ".ipynb_" not in str(p)}


def test_the_map_lists_each_lesson_once_with_its_minutes():
    row = r"^\| \[[^\]]+\]\((chapters/\S+)\) \|.*\| (\d+) \|$"
    rows = re.findall(row, README, re.M)
    assert sorted(path for path, _ in rows) == sorted(lessons())
    for path, minutes in rows:
        cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
        text = "".join("".join(cell["source"]) for cell in cells)
        assert f"**Time:** {minutes} minutes" in text, path


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_make_step_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make ([a-z-]+)", README))
    assert {"lab", "test"} <= named
    for step in named:
        assert re.search(rf"^{step}:", makefile, re.M), step
