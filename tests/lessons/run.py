"""Run the lessons and compare every text output: `python tests/lessons/run.py`.

Strict nbval, one kernel a lesson, lessons side by side, each on two cores; the budgets
are measured on the way (`budgets.py`). The network is shut twice: Python is kept off it
by `guard/`, and where the system allows it the run happens in a network namespace that
has nothing but loopback.

    python tests/lessons/run.py                          all lessons
    python tests/lessons/run.py chapters/03_algorithms   some of them
    python tests/lessons/run.py --times 10               ten times in a row
    python tests/lessons/run.py --network namespace      fail without a namespace
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lessons.environment import (  # noqa: E402
    CHAPTERS,
    CORES,
    lesson_environment,
    warm_up,
)
from tests.not_run import note_not_run  # noqa: E402

CELL_TIMEOUT = 60  # seconds
UNSHARE = (["unshare", "--net"], ["unshare", "--net", "--map-root-user"])


def namespace_command() -> list[str] | None:
    """The command that starts a process without a network; None where none may."""
    if shutil.which("unshare") is None:
        return None
    for command in UNSHARE:
        trial = [*command, sys.executable, __file__, "--loopback-up", "true"]
        if subprocess.run(trial, capture_output=True).returncode == 0:
            return [*command, sys.executable, __file__, "--loopback-up"]
    return None


def raise_loopback() -> None:
    """Switch on `lo`, which a new network namespace has but leaves down.

    Raises:
        PermissionError: outside a namespace of our own.
    """
    import fcntl  # not on Windows, which never comes here

    read_flags, write_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        answer = fcntl.ioctl(handle, read_flags, request)
        flags = struct.unpack("16sH14s", answer)[1]
        fcntl.ioctl(handle, write_flags, struct.pack("16sH14s", b"lo", flags | up, b""))


def workers() -> int:
    """How many lessons run side by side: two cores each, but two at least."""
    return max(2, (os.cpu_count() or 1) // CORES)


def pytest_command(paths: list[str], extra: list[str]) -> list[str]:
    """The strict run of nbval over `paths`."""
    return [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        f"--nbval-cell-timeout={CELL_TIMEOUT}",
        "--nbval-kernel-startup-timeout=120",
        f"--numprocesses={workers()}",
        "--dist=loadscope",
        "-c",  # also for lessons elsewhere, such as those that test this file
        str(ROOT / "pyproject.toml"),
        "-p",
        "no:playwright",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.lessons.budgets",
        *extra,
        *paths,
    ]


def choose_network(wanted: str) -> list[str]:
    """What to put before the command so that it runs without a network.

    Raises:
        SystemExit: when a namespace is demanded and the system gives none.
    """
    if wanted == "guard":
        return []
    prefix = namespace_command()
    if prefix:
        print("Network: none; the run has a network namespace with loopback only.")
        return prefix
    if wanted == "namespace":
        sys.exit("This system gives no network namespace (unshare --net failed).")
    note_not_run(
        "lessons without any network: this system gives no network namespace, so only "
        "Python was kept off the network"
    )
    return []


def arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description="Run lessons and compare every text output (strict nbval)."
    )
    parser.add_argument("lessons", nargs="*", default=[str(CHAPTERS)])
    parser.add_argument("--times", type=int, default=1, help="runs in a row")
    parser.add_argument(
        "--network",
        choices=("auto", "guard", "namespace"),
        default="auto",
        help="how the network is shut (auto: namespace where possible)",
    )
    options, extra = parser.parse_known_args(argv)
    if options.times < 1:
        parser.error(f"--times is {options.times}; give 1 or more")
    for lesson in options.lessons:
        if not Path(lesson).exists():
            parser.error(f"there is no lesson {lesson}")
    return options, extra


def main(argv: list[str]) -> int:
    """Run; the exit status is pytest's, of the first run that fails."""
    options, extra = arguments(argv)
    paths = [str(Path(lesson).resolve()) for lesson in options.lessons]
    prefix = choose_network(options.network)
    with tempfile.TemporaryDirectory(prefix="lessons-") as scratch:
        env = lesson_environment(Path(scratch))
        warm_up(env)
        for number in range(options.times):
            if options.times > 1:
                print(f"\nRun {number + 1} of {options.times}", flush=True)
            command = [*prefix, *pytest_command(paths, extra)]
            status = subprocess.run(command, cwd=ROOT, env=env).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--loopback-up"]:
        raise_loopback()
        os.execvp(sys.argv[2], sys.argv[2:])
    sys.exit(main(sys.argv[1:]))
