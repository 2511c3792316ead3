"""A list of the tests that did not run, and why; `tests/run.py` shows it at the end."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "NOT_RUN_FILE"


def note_not_run(reason: str) -> None:
    """Say it now, and keep it for the end of a `make test`."""
    print(f"NOT RUN: {reason}", flush=True)
    if file := os.environ.get(VARIABLE):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(reason + "\n")
