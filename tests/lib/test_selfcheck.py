"""The self-check finds what is missing or old, and says what to do."""

import importlib.metadata
import subprocess
import sys

import pytest

from lib import selfcheck
from lib.selfcheck import check_package, check_packages, check_python


def test_all_is_well_here(capsys):
    assert check_packages() is True
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[OK]   Python, 3.11 or newer"
    assert any(line.startswith("[OK]   torch, 2.10 or newer") for line in lines)
    assert all(line.startswith("[OK]   ") for line in lines)


def test_a_missing_package_is_named_with_the_remedy():
    line = check_package("no-such-package>=1.0")
    assert line.startswith("[FAIL] no-such-package is missing: run `make install`")


@pytest.mark.parametrize(
    ("found", "ok"),
    [("2.9.1", False), ("2.10", True), ("2.10.0+cpu", True), ("2.13.0rc1", True)],
)
def test_versions_are_compared_as_numbers(monkeypatch, found, ok):
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: found)
    line = check_package("torch>=2.10")
    expected = "[OK]" if ok else f"[FAIL] torch is {found}, older than 2.10"
    assert line.startswith(expected)


def test_an_old_python_is_refused():
    assert check_python((3, 10)).startswith("[FAIL] Python is 3.10; install 3.11")


def test_an_uninstalled_project_is_told(monkeypatch, capsys):
    monkeypatch.setattr(selfcheck, "PROJECT", "no-such-project")
    assert check_packages() is False
    assert "[FAIL] the project itself is not installed" in capsys.readouterr().out


def test_it_imports_nothing_but_the_standard_library():
    code = (
        "import lib.selfcheck, sys; "
        "print([m for m in ('torch', 'numpy', 'IPython') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
