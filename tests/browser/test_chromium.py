"""Which Chromium the browser tests take, and what happens without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.not_run import VARIABLE

ROOT = Path(__file__).resolve().parents[2]


def test_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", sys.executable)
    assert chromium.find() == sys.executable


def test_variable_that_names_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHROMIUM", "/no/such/browser")
    with pytest.raises(ValueError, match="'/no/such/browser', which is no program"):
        chromium.find()


def test_machine_is_searched_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("google-chrome", "chromium-browser"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium.find() == str(tmp_path / "chromium-browser")


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_without_chromium_tests_say_so_and_ci_fails(ci: str, status: int) -> None:
    """In a process of its own, with a `find` that finds nothing."""
    code = (
        "import sys, pytest\n"
        "from tests.browser import chromium\n"
        "chromium.find = lambda: None\n"
        "sys.exit(pytest.main(['-q', '-k', 'themes', 'tests/browser/test_lab.py']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        # what is missing on purpose is no news for the end of the whole run
        env=os.environ | {"CI": ci, VARIABLE: ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout
    assert "NOT RUN: no Chromium" in done.stdout
    assert ("TESTS THAT DID NOT RUN" in done.stdout) is (not ci)
