"""The facts of the machine that go with every measured number."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

import torch


def processor() -> str:
    """The name of the CPU, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def load() -> str:
    """Processes that wait for a CPU: the last minute's average, where known."""
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except (AttributeError, OSError):
        return "not known"


def facts() -> str:
    """Two lines: the day, machine and versions; then the load right now."""
    return (
        f"{date.today()}, {processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads\n"
        f"load {load()}"
    )
