"""Shared by all tests: GPU tests need a GPU; what did not run is said at the end."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.not_run import NO_GPU, keep_not_run

NOT_RUN = "NOT RUN: "

# Before anything imports torch: several test processes that each take every core for
# their small models slow one another down twenty times.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is none, visibly."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch  # here, since most runs do not need it

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=NOT_RUN + NO_GPU))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A loud section of the tests that were skipped for want of something."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else ""
        reason = str(reason).removeprefix("Skipped: ")
        if "gpu" in report.keywords:
            reason = NOT_RUN + NO_GPU
        if reason.startswith(NOT_RUN):
            reason = reason.removeprefix(NOT_RUN)
            reasons[reason] = reasons.get(reason, 0) + 1
    if not reasons:
        return
    terminalreporter.section("TESTS THAT DID NOT RUN", yellow=True)
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} tests: {reason}", yellow=True)
        keep_not_run(f"{count} tests: {reason}")
