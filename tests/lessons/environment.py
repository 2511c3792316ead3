"""The environment in which lessons run, the same for tests and for `make refresh`.

One thread, no GPU, English, UTC, a fixed hash seed, none of the user's own Jupyter,
IPython or matplotlib settings, and no network. What is left to differ between two
machines is the processor.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ROOT / "chapters"
GUARD = Path(__file__).resolve().parent / "guard"
CORES = 2  # the cores that a lesson may use

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
FIXED = {
    "CUDA_VISIBLE_DEVICES": "",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": str(GUARD),
    "TZ": "UTC",
}
DROPPED = (
    "COLUMNS",
    "FORCE_COLOR",
    "JUPYTER_PATH",
    "LINES",
    "MPLBACKEND",  # the kernel chooses its inline backend only where this is not set
    "NO_COLOR",
    "PYTHONSTARTUP",
    "PYTHONWARNINGS",
)
PRIVATE = {
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "LESSON_SCRATCH": "",
    "MPLCONFIGDIR": "matplotlib",
}


def lesson_environment(scratch: Path) -> dict[str, str]:
    """The variables for a process that runs lessons; private folders in `scratch`."""
    env = {name: value for name, value in os.environ.items() if name not in DROPPED}
    env |= ONE_THREAD | FIXED
    for name, folder in PRIVATE.items():
        (scratch / folder).mkdir(parents=True, exist_ok=True)
        env[name] = str(scratch / folder)
    return env


def warm_up(env: dict[str, str]) -> None:
    """Build matplotlib's font cache, whose message would land in a lesson's output."""
    subprocess.run(
        [sys.executable, "-c", "import matplotlib.font_manager"],
        env=env,
        check=True,
        stderr=subprocess.DEVNULL,
    )


def pin_to_cores(worker: int = 0) -> None:
    """Keep this process, and the kernels it starts, on `CORES` of its cores.

    Worker 0 gets the first ones, worker 1 the next, and round again. Does nothing on
    systems that cannot (macOS, Windows).
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    start = worker * CORES
    os.sched_setaffinity(0, {cores[(start + i) % len(cores)] for i in range(CORES)})


def all_lessons() -> list[Path]:
    """Every lesson of the book, in order."""
    found = CHAPTERS.glob("**/*.ipynb")
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)
