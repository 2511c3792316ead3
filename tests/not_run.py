"""A list of the tests that did not run, and why; `tests/run.py` shows it at the end.

The steps of a test run are processes of their own; the file that NOT_RUN_FILE names
carries what each of them left out.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "NOT_RUN_FILE"
NO_GPU = "no CUDA GPU here"
NO_INDEX = "the package index cannot be reached"
ACCEPTED = (NO_GPU, NO_INDEX)  # what a machine of CI may lack


def keep_not_run(reason: str) -> None:
    """Keep a reason for the end of the whole run, if there is one."""
    if file := os.environ.get(VARIABLE):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(reason + "\n")


def note_not_run(reason: str) -> None:
    """Say it now, and keep it for the end."""
    print(f"NOT RUN: {reason}", flush=True)
    keep_not_run(reason)
