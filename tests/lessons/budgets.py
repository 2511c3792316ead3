"""A pytest plugin: what each lesson costs while nbval runs it, and the limits.

The run that compares the outputs is the run that is measured; no lesson runs twice.
For each lesson: seconds from the start of its kernel to its end, the peak memory of the
kernel and the processes that it starts, and the size of the file. A lesson beyond a
limit, or one that asked for the network, is an error at its last cell.

Memory is read from /proc and so on Linux only; elsewhere the table says "not measured".
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.lessons.environment import CORES, pin_to_cores

MAX_SECONDS = 60.0
MAX_MEMORY_MB = 1000.0  # 1 MB is 1,000,000 bytes
MAX_FILE_MB = 1.0
SAMPLE_EVERY = 0.2  # seconds

PROC = Path("/proc")
RUNNING = pytest.StashKey["Meter"]()
COSTS: dict[str, dict[str, Any]] = {}  # by lesson, in the process that reports


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lessons", "Budgets of a lesson")
    group.addoption("--lesson-seconds", type=float, default=MAX_SECONDS)
    group.addoption("--lesson-memory-mb", type=float, default=MAX_MEMORY_MB)
    group.addoption("--lesson-file-mb", type=float, default=MAX_FILE_MB)


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", {}).get("workerid", "gw0")
    is_controller = getattr(config.option, "numprocesses", None) and not hasattr(
        config, "workerinput"
    )
    if not is_controller:
        pin_to_cores(int(worker.removeprefix("gw")))


def memory_of(pid: int, field: str) -> int:
    """Bytes that /proc/<pid>/status gives for `field`; 0 where it cannot be read."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def children_of(pid: int) -> list[int]:
    """The processes started by `pid`, and those started by them."""
    found = []
    for tasks in (PROC / str(pid) / "task").glob("*/children"):
        try:
            children = [int(child) for child in tasks.read_text().split()]
        except OSError:
            continue  # the thread ended between the two reads
        for child in children:
            found += [child, *children_of(child)]
    return found


class Meter:
    """Watches one kernel from its start: seconds, and peak memory of it and children.

    The kernel's own peak is what Linux kept (VmHWM), so no short peak is missed. The
    sum with its children is sampled every `SAMPLE_EVERY` seconds.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.pid: int | None = None
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def watch(self, pid: int) -> None:
        """Begin to sample the process `pid`."""
        self.pid = pid
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_EVERY):
            self._sample()

    def _sample(self) -> None:
        family = [self.pid, *children_of(self.pid)]
        total = sum(memory_of(pid, "VmRSS") for pid in family)
        self.peak = max(self.peak, total, memory_of(self.pid, "VmHWM"))

    def stop(self) -> tuple[float, float | None]:
        """End: (seconds, peak in MB, or None where memory cannot be read)."""
        seconds = time.monotonic() - self.started
        self._stop.set()
        if self.pid is None or not PROC.joinpath("self").exists():
            return seconds, None
        self._thread.join()
        self._sample()
        return seconds, self.peak / 1e6 if self.peak else None


def is_lesson(item: pytest.Item) -> bool:
    return item.path.suffix == ".ipynb"


def network_log(path: Path) -> Path | None:
    """The file that gets a line for each attempt of this lesson at the network."""
    scratch = os.environ.get("LESSON_SCRATCH")
    name = "-".join(path.parts[-3:])
    return Path(scratch, f"{name}.network") if scratch else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Before the first cell, nbval starts the kernel: start the clock before that."""
    first = is_lesson(item) and RUNNING not in item.parent.stash
    if first:
        item.parent.stash[RUNNING] = meter = Meter()
        if log := network_log(item.path):
            os.environ["LESSON_NETWORK_LOG"] = str(log)
    yield
    if first:
        meter.watch(item.parent.kernel.km.provisioner.pid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, None, None]:
    """After the last cell, and before nbval ends the kernel: read the meters."""
    if not is_lesson(item) or (nextitem and nextitem.parent is item.parent):
        yield
        return
    seconds, memory = item.parent.stash[RUNNING].stop()
    yield
    size = item.path.stat().st_size / 1e6
    faults = over_budget(item.config.option, seconds, memory, size)
    log = network_log(item.path)
    if log and log.exists():
        hosts = sorted(set(log.read_text(encoding="utf-8").split()))
        faults.append(f"asked for the network: {', '.join(hosts)}")
    cost = {"seconds": seconds, "memory": memory, "size": size, "faults": faults}
    item.user_properties.append(("lesson", cost))
    if faults:
        pytest.fail(f"{item.path.name}: {'; '.join(faults)}", pytrace=False)


def over_budget(
    limits: Any, seconds: float, memory: float | None, size: float
) -> list[str]:
    """A sentence for each limit that is passed."""
    faults = []
    if seconds > limits.lesson_seconds:
        faults.append(f"{seconds:.1f} s, at most {limits.lesson_seconds:g} s allowed")
    if memory is not None and memory > limits.lesson_memory_mb:
        faults.append(f"{memory:.0f} MB of memory, at most {limits.lesson_memory_mb:g}")
    if size > limits.lesson_file_mb:
        faults.append(f"a file of {size:.2f} MB, at most {limits.lesson_file_mb:g}")
    return faults


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Runs where the summary is printed; costs arrive from the workers in reports."""
    if report.when == "teardown":
        for name, cost in report.user_properties:
            if name == "lesson":
                COSTS[report.nodeid.split("::")[0]] = cost


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not COSTS:
        return
    limits = config.option
    write = terminalreporter.write_line
    terminalreporter.section(f"lesson budgets, on {CORES} cores")
    width = max(len(name) for name in COSTS)
    write(f"{'lesson':<{width}}  seconds  memory MB  file MB")
    for name, cost in sorted(COSTS.items()):
        memory = "unknown" if cost["memory"] is None else f"{cost['memory']:.0f}"
        verdict = "; ".join(cost["faults"]) or "ok"
        row = f"{cost['seconds']:7.1f}  {memory:>9}  {cost['size']:7.2f}  {verdict}"
        write(f"{name:<{width}}  {row}")
    write(
        f"{'at most':<{width}}  {limits.lesson_seconds:7.1f}  "
        f"{limits.lesson_memory_mb:9.0f}  {limits.lesson_file_mb:7.2f}"
    )
    if any(cost["memory"] is None for cost in COSTS.values()):
        write("Memory was not measured: that needs Linux's /proc.")
