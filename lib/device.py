"""Where the numbers live: choose a processor, describe it, wait for it, ask its memory.

Three kinds are known: `cuda` (NVIDIA, and AMD through ROCm), `mps` (the GPU of an Apple
chip) and `cpu`. The lessons give the same results on all of them within stated
tolerances; only the time differs.

Left out: several devices at once (see the chapter on hardware).
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

VARIABLE = "WORKBOOK_DEVICE"  # an environment variable that names the device to use


def available_devices() -> list[str]:
    """Names of the devices of this machine, best first; the last is always "cpu"."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device to train on.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps" or a `torch.device`. None takes what the
            environment variable `WORKBOOK_DEVICE` names, else the best device found.
            "mps" has no float64.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    asked = f"device {str(name)!r}"
    if name is None:
        name = os.environ.get(VARIABLE) or None
        asked = f"{VARIABLE}={name}"
    there = available_devices()
    if name is None:
        return torch.device(there[0])
    try:
        device = torch.device(str(name))
    except RuntimeError:
        raise ValueError(
            f"{asked} is not the name of a device. This machine has {_list(there)}."
        ) from None
    if f"{device.type}:{device.index or 0}" not in {_full(each) for each in there}:
        raise ValueError(
            f"{asked} is not on this machine, which has {_list(there)}. "
            "Choose one of these, or none to get the best."
        )
    return device


def describe(device: str | torch.device) -> str:
    """One line about a device, such as "cpu: x86_64, 8 cores, 4 threads".

    The line differs between machines, so a lesson whose output is compared does not
    print it.
    """
    device = choose_device(device)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        memory = properties.total_memory / 2**30
        return f"{device}: {properties.name}, {memory:.0f} GiB"
    if device.type == "mps":
        return f"{device}: GPU of an Apple chip, {platform.machine()}"
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return f"cpu: {platform.machine()}, {cores} cores, {threads} threads"


def synchronize(device: str | torch.device) -> None:
    """Wait until the device has done all its work; on a CPU it always has.

    A GPU answers before it has finished, so a clock read without this measures how
    fast the work was asked for.
    """
    device = choose_device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def memory_in_use(device: str | torch.device = "cpu") -> int:
    """Bytes in use: of tensors on a GPU, or of this whole process on the CPU.

    On the CPU it is the resident set, which also counts Python and the libraries.
    """
    device = choose_device(device)
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    return _resident_set()


def _resident_set() -> int:
    statm = Path("/proc/self/statm")  # Linux; its second field counts pages
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import psutil  # macOS and Windows; the notebook's kernel brings it

    return psutil.Process().memory_info().rss


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _list(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
