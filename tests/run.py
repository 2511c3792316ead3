"""Run the tests, step by step: `python tests/run.py` for all, or name the steps.

    python tests/run.py                  everything
    python tests/run.py lint lib         two steps
    python tests/run.py --list           what the steps are

A step that fails does not keep the next ones from running. At the end stands a table
of the steps, and a list of the tests that did not run and why (no browser, no GPU).
The exit status is 1 when a step failed; with CI set also when something did not run,
but for the tests that need a GPU or a package index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.not_run import ACCEPTED, VARIABLE  # noqa: E402

NOTHING_COLLECTED = 5  # pytest's exit status
TOO_LONG = 1800  # seconds; a command that takes more hangs
PYTHON = sys.executable
PYTEST = [PYTHON, "-m", "pytest", "-q"]
RUFF = [PYTHON, "-m", "ruff"]
IN_ORDER = ["--no-loadscope-reorder"]  # what takes longest comes first


def parallel(most: int = 4, share: str = "loadfile") -> list[str]:
    """pytest's options to use the cores, at most so many, and what one of them gets."""
    workers = str(min(most, os.cpu_count() or 1))
    return ["--numprocesses", workers, "--dist", share]


@dataclass(frozen=True)
class Step:
    """A few commands under one name; `default` steps are part of the whole run."""

    about: str
    commands: list[list[str]]
    default: bool = True


STEPS: dict[str, Step] = {
    "lint": Step(
        "ruff: faults and format of the code",
        [[*RUFF, "check", "."], [*RUFF, "format", "--check", "."]],
    ),
    "lib": Step("the library", [[*PYTEST, "tests/lib", *parallel()]]),
    "widgets": Step(
        "the widgets, without a browser",
        [[*PYTEST, "tests/widgets", *parallel(2)]],
    ),
    "lessons": Step(
        "the lessons: hygiene, every output compared, budgets",
        [
            [*PYTEST, "tests/lessons", "-p", "no:playwright"],
            [PYTHON, "tests/lessons/run.py"],
        ],
    ),
    "browser": Step(
        "the lessons and widgets in JupyterLab in Chromium",
        [
            [PYTHON, "tests/browser/chromium.py"],
            [*PYTEST, "tests/browser", *parallel(3, "loadgroup"), *IN_ORDER],
        ],
    ),
    "binder": Step(
        "Binder's files, and what README says",
        [[*PYTEST, "tests/test_binder.py", "tests/test_readme.py"]],
    ),
    "make": Step("the Makefile and its steps", [[*PYTEST, "tests/test_make.py"]]),
    "gpu": Step(
        "the tests that need a CUDA GPU",
        [[*PYTEST, "-m", "gpu", "tests/lib", "tests/widgets"]],
        default=False,
    ),
}
MAY_FAIL = STEPS["browser"].commands[0]  # without a Chromium, the tests say so


def run_step(name: str, env: dict[str, str]) -> bool:
    """Run the commands of one step, all of them; whether all succeeded."""
    print(f"\n=== {name}: {STEPS[name].about}", flush=True)
    good = True
    for command in STEPS[name].commands:
        try:
            status = subprocess.run(
                command, cwd=ROOT, env=env, timeout=TOO_LONG
            ).returncode
        except subprocess.TimeoutExpired:
            print(f"{name}: ended after {TOO_LONG} s without a result", flush=True)
            status = 1
        if status == NOTHING_COLLECTED:
            print(f"{name}: no tests found", flush=True)
        good = good and (status == 0 or command == MAY_FAIL)
    return good


def summary(results: dict[str, tuple[bool, float]], left_out: list[str]) -> None:
    """The table of steps, then what did not run."""
    print("\n=== summary")
    for name, (good, seconds) in results.items():
        verdict = "passed" if good else "FAILED"
        print(f"{name:<9} {verdict}  {seconds:6.1f} s  {STEPS[name].about}")
    if left_out:
        print("\n!!! THESE TESTS DID NOT RUN:")
        for reason in left_out:
            print(f"!!! {reason}")


def main(argv: list[str]) -> int:
    """Run the steps that are named, or all; 0 when everything passed."""
    parser = argparse.ArgumentParser(description="Run the tests of this repository.")
    parser.add_argument("steps", nargs="*", metavar="step", help="default: all")
    parser.add_argument("--list", action="store_true", help="show the steps")
    options = parser.parse_args(argv)
    if options.list:
        for name, step in STEPS.items():
            print(f"{name:<9} {step.about}")
        return 0
    unknown = sorted(set(options.steps) - STEPS.keys())
    if unknown:
        parser.error(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}")
    chosen = options.steps or [name for name, step in STEPS.items() if step.default]
    return run(chosen)


def run(chosen: list[str]) -> int:
    """Run these steps, print the summary, and give the exit status."""
    results: dict[str, tuple[bool, float]] = {}
    with tempfile.TemporaryDirectory(prefix="tests-") as folder:
        notes = Path(folder, "not_run")
        env = {"OMP_NUM_THREADS": "1"} | os.environ | {VARIABLE: str(notes)}
        for name in chosen:
            started = time.monotonic()
            good = run_step(name, env)
            results[name] = (good, time.monotonic() - started)
        text = notes.read_text(encoding="utf-8") if notes.exists() else ""
    left_out = list(dict.fromkeys(text.splitlines()))
    summary(results, left_out)
    refused = [r for r in left_out if not any(known in r for known in ACCEPTED)]
    if refused and os.environ.get("CI"):
        print("CI is set, so tests that did not run count as failed.")
    failed = not all(good for good, _ in results.values())
    return int(failed or bool(refused and os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
