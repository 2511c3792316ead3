"""Makes data/prose-2026-11.txt: the course's own prose, as it stood in November 2026.

    python data/make/prose.py [--to FOLDER]

The text is put together, in this order, from

- written/prose.txt: short essays on the topics of the course, written for this file;
- the texts of the lessons (markdown cells, in the order of the chapters), without
  formulas, tables, code and pictures;
- README.md, likewise;
- what the docstrings of lib say in sentences, without lists of arguments.

It is a dated snapshot, so that editing a lesson changes no number of another lesson.
Running the script again gives the text of the day; that belongs in a file with a new
date. Paragraphs that occur twice are kept once, and those
with letters or signs outside ASCII are left out: the characters stay few.
"""

import argparse
import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAME = "prose-2026-11.txt"
SECTIONS = re.compile(r"^(Args|Returns|Raises|Yields|Fields|Example|Shapes)[^\n]*:$")


def essays() -> Iterator[str]:
    text = (HERE / "written" / "prose.txt").read_text(encoding="utf-8")
    yield from text.split("\n\n")


def plain(markdown: str) -> Iterator[str]:
    """The paragraphs of a markdown text that are sentences or headings."""
    markdown = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]+>", "", markdown, flags=re.S)
    markdown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    for block in re.split(r"\n\s*\n", markdown):
        if "|" in block or "$" in block or "![" in block:
            continue
        for line in re.split(r"\n(?=[-*] |\d+\. |#)", block):
            line = re.sub(r"^\s*(#+|[-*]|\d+\.)\s+", "", line.strip())
            line = re.sub(r"[*`]{1,3}([^*`\n]+)[*`]{1,3}", r"\1", line)
            if line:
                yield " ".join(line.split())


def lessons() -> Iterator[str]:
    for path in sorted((ROOT / "chapters").rglob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                yield from plain("".join(cell["source"]))


def sentences(docstring: str) -> Iterator[str]:
    """Paragraphs up to the list of arguments that are sentences, not formulas."""
    for block in filter(None, docstring.split("\n\n")):
        lines = block.splitlines()
        if SECTIONS.match(lines[0].strip()):
            return
        indented = sum(line.startswith("  ") for line in lines)
        text = " ".join(block.replace("`", "").split())
        letters = sum(c.isalpha() or c in " ,.'-" for c in text) / max(1, len(text))
        if (
            not indented
            and "{" not in text
            and letters > 0.93
            and text.endswith((".", "?", ":"))
        ):
            yield text


def docstrings() -> Iterator[str]:
    for path in sorted((ROOT / "lib").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield from sentences(ast.get_docstring(node) or "")


def make() -> str:
    readme = plain((ROOT / "README.md").read_text(encoding="utf-8"))
    paragraphs = [*essays(), *lessons(), *readme, *docstrings()]
    kept = dict.fromkeys(p.strip() for p in paragraphs if p.strip() and p.isascii())
    return "\n\n".join(kept) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=HERE.parent)
    path = parser.parse_args().to / NAME
    text = make()
    path.write_text(text, encoding="utf-8", newline="\n")
    print(f"{path}: {len(text):,} characters")


if __name__ == "__main__":
    main()
