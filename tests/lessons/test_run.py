"""The strict run finds what it must: made lessons, each with one fault, run once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat import v4, write

from tests.lessons.environment import CORES, GUARD, ROOT
from tests.lessons.run import namespace_command

HOG = "a = bytearray(300_000_000)"
LESSONS: dict[str, tuple[str, str]] = {  # name: (code, the stdout that is saved)
    "clean": (
        "import os, socket, threading\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\n"
        "print('loopback answers', os.environ['OMP_NUM_THREADS'], 'thread')",
        "loopback answers 1 thread\n",
    ),
    "wrong": ("print(0.51)", "0.50\n"),
    "raises": ("print(1)\n1 / 0", "1\n"),
    "slow": ("import time\ntime.sleep(12)\nprint(1)", "1\n"),
    "hungry": (f"{HOG}\ndel a\nprint(1)", "1\n"),
    "hungry_child": (
        "import subprocess, sys\n"
        f"code = {HOG + '; import time; time.sleep(1)'!r}\n"
        "print(subprocess.run([sys.executable, '-c', code]).returncode)",
        "0\n",
    ),
    "network": (
        "import socket\n"
        "try:\n"
        "    client = socket.socket()\n"
        "    client.settimeout(1)\n"
        "    client.connect(('192.0.2.1', 80))\n"
        "except OSError:\n"
        "    print('swallowed')",
        "swallowed\n",
    ),
    "network_child": (
        "import subprocess, sys\n"
        "code = \"import socket; socket.getaddrinfo('example.org', 80)\"\n"
        "run = subprocess.run([sys.executable, '-c', code], capture_output=True)\n"
        "print(run.returncode)",
        "1\n",
    ),
}


def write_lesson(folder: Path, name: str) -> None:
    code, text = LESSONS[name]
    out = v4.new_output("stream", name="stdout", text=text)
    cell = v4.new_code_cell(code, execution_count=1, outputs=[out])
    write(v4.new_notebook(cells=[cell]), folder / f"{name}.ipynb")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/lessons/run.py", *arguments]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one run over all the made lessons prints."""
    folder = tmp_path_factory.mktemp("chapters")
    for name in LESSONS:
        write_lesson(folder, name)
    done = run(
        str(folder), "--lesson-seconds=10", "--lesson-memory-mb=250", "--color=no"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def row(report: str, name: str) -> str:
    """The lesson's line in the table of budgets."""
    return re.search(rf"^\S*\b{name}\.ipynb .*$", report, re.MULTILINE)[0]


def test_clean_lesson_passes(report: str) -> None:
    assert row(report, "clean").endswith("ok")
    assert "clean.ipynb::Cell" not in report


@pytest.mark.parametrize(
    ("name", "message"),
    [("wrong", "0.51"), ("raises", "ZeroDivisionError")],
)
def test_wrong_output_and_error_fail(report: str, name: str, message: str) -> None:
    assert re.search(rf"^FAILED .*{name}\.ipynb::Cell 0", report, re.MULTILINE)
    assert message in report


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("slow", "at most 10 s allowed"),
        ("network", "asked for the network: 192.0.2.1"),
        ("network_child", "asked for the network: example.org"),
    ],
)
def test_limit_passed_is_an_error(report: str, name: str, message: str) -> None:
    assert message in row(report, name)
    assert re.search(rf"^ERROR .*{name}\.ipynb::Cell 0", report, re.MULTILINE)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", ["hungry", "hungry_child"])
def test_peak_memory_of_kernel_and_children_counts(report: str, name: str) -> None:
    assert "MB of memory, at most 250" in row(report, name)


def test_run_without_lessons_fails(tmp_path: Path) -> None:
    assert run(str(tmp_path), "--network=guard").returncode != 0


def test_missing_lesson_is_named() -> None:
    done = run("chapters/no_such.ipynb")
    assert done.returncode == 2
    assert "there is no lesson chapters/no_such.ipynb" in done.stderr


@pytest.mark.skipif(namespace_command() is None, reason="no network namespace here")
def test_namespace_has_loopback_and_nothing_else() -> None:
    """What a program in any language can reach: this is plain Python, unguarded."""
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "try:\n"
        "    socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    command = [*namespace_command(), sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Network is unreachable\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_workers_are_pinned_to_cores_of_their_own() -> None:
    code = (
        "import os\n"
        "from tests.lessons.environment import pin_to_cores\n"
        "pin_to_cores({worker})\n"
        "print(*sorted(os.sched_getaffinity(0)))"
    )
    have = sorted(os.sched_getaffinity(0))
    for worker in (0, 1, 5):
        done = subprocess.run(
            [sys.executable, "-c", code.format(worker=worker)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        pinned = {int(core) for core in done.stdout.split()}
        assert pinned <= set(have)
        assert len(pinned) == min(CORES, len(have))


def test_guard_lets_local_names_pass_and_no_others() -> None:
    """In a process of its own: importing the guard shuts the network for good."""
    code = (
        "import socket, sitecustomize as guard\n"
        "for host in (None, '', 'localhost', '127.0.0.1', b'::1', socket.gethostname(),"
        " 'example.org', '192.0.2.1', b'2001:db8::1'):\n"
        "    print(int(guard.is_local(host)), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(GUARD)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "111111000"
