"""What every lesson's file must be, read from its JSON alone: no kernel, no time.

`problems(path)` gives one sentence for each breach; an empty list means a clean lesson.
Each rule is a small generator over the notebook. The rules come from two sides: what
strict nbval can compare (counts, outputs, no `;`, no SVG), and what a reader who has
just cloned the repository needs (no path of another machine, no install, no network).

Left out: whether the code runs, and whether its outputs are right; nbval does that.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

MAX_BYTES = 1_000_000
KERNEL = "python3"
NETWORK_MODULES = frozenset(
    {
        "aiohttp",
        "ftplib",
        "http",
        "httpx",
        "huggingface_hub",
        "requests",
        "smtplib",
        "socket",
        "urllib.request",
        "urllib3",
        "wget",
    }
)
FORBIDDEN_CALLS = {
    "interact": "prints of its callback never compare equal",
    "interactive": "prints of its callback never compare equal",
    "Output": "nbval does not know Output widgets",
    "clear_output": "nbval ignores it, so the outputs differ",
    "urlopen": "a lesson uses no network",
    "urlretrieve": "a lesson uses no network",
    "chdir": "a lesson runs where it stands",
}
FORBIDDEN_ATTRIBUTES = {"sys.path": "a lesson imports `lib` plainly"}
SHOWING = frozenset({"print", "display", "show"})
ABSOLUTE = re.compile(
    r"(?<![\w./:-])(?:/(?:home|root|Users|work|tmp|mnt|var|opt|usr|content)/[\w.-]+)"
    r"|\b[A-Z]:\\(?:Users|Windows|Program|Temp)"
    r"|\b[CD]:\\"
)
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
MARKERS = re.compile(r"^\s*#\s*(?:NBVAL|PYTEST_VALIDATE)_\w+", re.MULTILINE)
FORBIDDEN_TAGS = re.compile(r"nbval-|skip-execution|raises-exception|hide-|remove-")
TIMING = frozenset({"execution", "ExecuteTime"})

Notebook = dict[str, Any]
Cell = dict[str, Any]


def text_of(source: str | list[str]) -> str:
    """Notebook JSON keeps text as one string or as a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def code_cells(nb: Notebook) -> list[tuple[int, Cell]]:
    """The code cells with their place among all cells, counted from 0."""
    return [(i, c) for i, c in enumerate(nb["cells"]) if c["cell_type"] == "code"]


def outputs(nb: Notebook) -> Iterator[tuple[int, dict[str, Any]]]:
    for i, cell in code_cells(nb):
        for output in cell["outputs"]:
            yield i, output


def python_of(source: str) -> str:
    """The cell's Python: lines such as `Adam??` are IPython's, and are left out."""
    lines = source.splitlines()
    return "\n".join("" if line.rstrip().endswith("?") else line for line in lines)


def tree_of(source: str) -> ast.Module | None:
    """The parsed cell; None where it is no Python, which a rule of its own reports."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        return compile(python_of(source), "cell", "exec", flags)
    except SyntaxError:
        return None


def trees(nb: Notebook) -> Iterator[tuple[int, ast.Module]]:
    for i, cell in code_cells(nb):
        tree = tree_of(text_of(cell["source"]))
        if tree is not None:
            yield i, tree


def name_of(node: ast.AST) -> str:
    """`a.b.c` for names and attributes; the empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}".lstrip(".")
    return ""


# -- the file ------------------------------------------------------------------------


def valid_format(nb: Notebook) -> Iterator[str]:
    with warnings.catch_warnings():
        # A missing or doubled id only warns; `ids_are_unique` refuses it.
        warnings.simplefilter("ignore", MissingIDFieldWarning)
        warnings.simplefilter("ignore", DuplicateCellId)
        try:
            nbformat.validate(nbformat.from_dict(nb))
        except nbformat.ValidationError as error:
            yield f"not a valid notebook: {str(error).splitlines()[0]}"


def kernel_is_python(nb: Notebook) -> Iterator[str]:
    name = nb["metadata"].get("kernelspec", {}).get("name")
    if name != KERNEL:
        yield f"kernelspec is {name!r}, must be {KERNEL!r}"


def no_saved_widgets(nb: Notebook) -> Iterator[str]:
    if "widgets" in nb["metadata"]:
        yield "widget state is saved in the metadata"


def no_timing(nb: Notebook) -> Iterator[str]:
    for i, cell in enumerate(nb["cells"]):
        if TIMING & cell["metadata"].keys():
            yield f"cell {i}: execution times are saved in the metadata"


def ids_are_unique(nb: Notebook) -> Iterator[str]:
    ids = Counter(cell.get("id") for cell in nb["cells"])
    if ids.pop(None, 0):
        yield "cells without an id"
    yield from (
        f"cell id {name!r} is used {n} times" for name, n in ids.items() if n > 1
    )


def begins_with_title(nb: Notebook) -> Iterator[str]:
    first = nb["cells"][0] if nb["cells"] else {"cell_type": "none", "source": ""}
    heading = re.match(r"# \S", text_of(first["source"]))
    if first["cell_type"] != "markdown" or not heading:
        yield "the first cell is not a Markdown title (`# ...`)"


def nothing_hidden(nb: Notebook) -> Iterator[str]:
    for i, cell in enumerate(nb["cells"]):
        if (cell["metadata"].get("jupyter") or {}).get("source_hidden"):
            yield f"cell {i}: its source is hidden"
        for tag in cell["metadata"].get("tags", []):
            if FORBIDDEN_TAGS.match(tag):
                yield f"cell {i}: the tag {tag!r} hides it or escapes the comparison"


# -- what was executed ----------------------------------------------------------------


def counts_run_from_one(nb: Notebook) -> Iterator[str]:
    counts = [cell["execution_count"] for _, cell in code_cells(nb)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}, must be 1 to {len(counts)} in order"


def has_outputs(nb: Notebook) -> Iterator[str]:
    if not any(True for _ in outputs(nb)):
        yield "no code cell has an output, so nothing would be compared"


def shows_something(tree: ast.Module) -> bool:
    """Whether a cell prints at its top level, or ends in a bare name."""
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Name | ast.Attribute):
        return True
    calls = (s.value for s in tree.body if isinstance(s, ast.Expr))
    return any(
        isinstance(call, ast.Call) and name_of(call.func).split(".")[-1] in SHOWING
        for call in calls
    )


def shown_is_saved(nb: Notebook) -> Iterator[str]:
    for i, tree in trees(nb):
        if shows_something(tree) and not nb["cells"][i]["outputs"]:
            yield f"cell {i}: it shows something but no output is saved"


def no_errors(nb: Notebook) -> Iterator[str]:
    for i, output in outputs(nb):
        if output["output_type"] == "error":
            yield f"cell {i}: an error is saved ({output['ename']})"


def no_stderr(nb: Notebook) -> Iterator[str]:
    for i, output in outputs(nb):
        if output["output_type"] == "stream" and output["name"] == "stderr":
            yield f"cell {i}: stderr is saved ({text_of(output['text'])[:60]!r})"


def no_svg(nb: Notebook) -> Iterator[str]:
    for i, output in outputs(nb):
        if "image/svg+xml" in output.get("data", {}):
            yield f"cell {i}: an SVG is saved; its ids differ on every run"


def output_texts(nb: Notebook) -> Iterator[tuple[int, str]]:
    """Every piece of text among the outputs, streams and text types alike."""
    for i, output in outputs(nb):
        if output["output_type"] == "stream":
            yield i, text_of(output["text"])
        for kind, data in output.get("data", {}).items():
            if kind.startswith("text/"):
                yield i, text_of(data)


def no_addresses(nb: Notebook) -> Iterator[str]:
    for i, text in output_texts(nb):
        if found := ADDRESS.search(text):
            yield f"cell {i}: {found[0]!r} differs on every run"


def no_absolute_paths(nb: Notebook) -> Iterator[str]:
    sources = ((i, text_of(cell["source"])) for i, cell in enumerate(nb["cells"]))
    for where, texts in (("source", sources), ("output", output_texts(nb))):
        for i, text in texts:
            if found := ABSOLUTE.search(text):
                yield f"cell {i}: {where} holds the absolute path {found[0]!r}"


# -- the code -------------------------------------------------------------------------


def is_python(nb: Notebook) -> Iterator[str]:
    for i, cell in code_cells(nb):
        source = text_of(cell["source"])
        if found := re.search(r"^\s*[%!].*", source, re.MULTILINE):
            yield f"cell {i}: magic or shell command {found[0].strip()!r}"
        elif tree_of(source) is None:
            yield f"cell {i}: not Python"


def no_nbval_escape(nb: Notebook) -> Iterator[str]:
    for i, cell in code_cells(nb):
        if found := MARKERS.search(text_of(cell["source"])):
            yield f"cell {i}: {found[0].strip()!r} escapes the comparison"


def no_trailing_semicolon(nb: Notebook) -> Iterator[str]:
    ends = {tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER, tokenize.NL}
    for i, cell in code_cells(nb):
        source = python_of(text_of(cell["source"]))
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        except (tokenize.TokenError, SyntaxError):
            continue
        for token, following in pairwise(tokens):
            if token.string == ";" and following.type in ends:
                yield f"cell {i}: a line ends in `;`, which nbval does not honour"


def imports_in(tree: ast.Module) -> Iterator[tuple[str, ast.Import | ast.ImportFrom]]:
    """Each imported module's full name, with its statement, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from ((f"{module}.{alias.name}", node) for alias in node.names)


def imports_come_first(nb: Notebook) -> Iterator[str]:
    """One cell of imports; a self-check may stand before it, as it must run without."""
    last = 0
    for place, (i, tree) in enumerate(trees(nb)):
        found = next(imports_in(tree), None)
        if place == 0 and not found:
            yield f"cell {i}: the first code cell must hold the imports"
        if place == 0 and found and found[0].startswith("lib.selfcheck."):
            last = 1
        if place > last and found:
            yield f"cell {i}: imports {found[0]!r} after the first code cell"


def imports_are_plain(nb: Notebook) -> Iterator[str]:
    for i, tree in trees(nb):
        for name, _ in imports_in(tree):
            if name.endswith("*"):
                yield f"cell {i}: star import {name!r}"
            if {name, name.split(".")[0], name.rpartition(".")[0]} & NETWORK_MODULES:
                yield f"cell {i}: imports {name!r}; a lesson uses no network"


def no_forbidden_calls(nb: Notebook) -> Iterator[str]:
    for i, tree in trees(nb):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = name_of(node.func).split(".")[-1]
                if why := FORBIDDEN_CALLS.get(name):
                    yield f"cell {i}: {name}(...): {why}"
            elif why := FORBIDDEN_ATTRIBUTES.get(name_of(node)):
                yield f"cell {i}: {name_of(node)}: {why}"


def no_installs(nb: Notebook) -> Iterator[str]:
    for i, cell in code_cells(nb):
        if re.search(
            r"\b(?:pip3?|conda|apt(?:-get)?)\W+install\b", text_of(cell["source"])
        ):
            yield f"cell {i}: installs something"


def awaits(node: ast.AST) -> bool:
    """Whether `await` (or `async for`, `async with`) stands outside any function."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return False
    if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
        return True
    return any(awaits(child) for child in ast.iter_child_nodes(node))


def no_top_level_await(nb: Notebook) -> Iterator[str]:
    for i, tree in trees(nb):
        if awaits(tree):
            yield f"cell {i}: top-level await keeps widgets from answering"


Rule = Callable[[Notebook], Iterator[str]]
RULES: tuple[Rule, ...] = (
    valid_format,
    kernel_is_python,
    no_saved_widgets,
    no_timing,
    ids_are_unique,
    begins_with_title,
    nothing_hidden,
    counts_run_from_one,
    has_outputs,
    shown_is_saved,
    no_errors,
    no_stderr,
    no_svg,
    no_addresses,
    no_absolute_paths,
    is_python,
    no_nbval_escape,
    no_trailing_semicolon,
    imports_come_first,
    imports_are_plain,
    no_forbidden_calls,
    no_installs,
    no_top_level_await,
)


def problems(path: str | Path) -> list[str]:
    """Every breach in the lesson at `path`, one sentence each; a clean one has none."""
    raw = Path(path).read_bytes()
    found = []
    if len(raw) > MAX_BYTES:
        found.append(f"the file has {len(raw):,} bytes, at most {MAX_BYTES:,} allowed")
    try:
        nb = json.loads(raw)
    except ValueError as error:
        return [*found, f"not JSON: {error}"]
    if nb.get("nbformat") != 4 or nb.get("nbformat_minor", 0) < 5:
        return [*found, "not in notebook format 4.5 or newer of 4"]
    return found + [sentence for rule in RULES for sentence in rule(nb)]
