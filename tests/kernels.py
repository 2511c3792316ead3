"""The widgets in JupyterLab, with each ipykernel that students may have.

    python tests/kernels.py                 6.31, 7.3 and 7.4
    python tests/kernels.py 6.31.0          one of them

Callbacks run on other threads in each of these versions, so what works in one says
nothing of the others. Each version lies in a folder of its own, `.kernels/<version>`,
made when it is missing; the kernel that JupyterLab starts finds it before the one of
this environment. Everything else, the page, the widgets and torch, stays as it is.

Not part of the whole test run: it takes a package index, and some minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".kernels"
VERSIONS = ("6.31.0", "7.3.0", "7.4.0")
# What differs between the versions: threads of callbacks, work that runs on, the end.
PROMISES = "version or play or pause or rerun or restart or error or running or mouse"


def install(version: str) -> Path:
    """The folder with this ipykernel and a kernel that uses it; made if missing."""
    place = FOLDER / version
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)  # half of an interrupted install
        print(f"Installing ipykernel {version} into {place.relative_to(ROOT)}.")
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target",
             str(place / "packages"), f"ipykernel=={version}"],
            check=True,
        )  # fmt: skip
        (place / "ready").touch()
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {
        "argv": command,
        "display_name": "Python 3",
        "language": "python",
        "env": {"PYTHONPATH": str(place / "packages")},
        "metadata": {"debugger": False},
    }
    file = place / "jupyter" / "kernels" / "python3" / "kernel.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(spec), encoding="utf-8")
    return place / "jupyter"


def main(versions: list[str]) -> int:
    """Test with each version; 0 if all passed."""
    failed = []
    for version in versions or VERSIONS:
        print(f"\n=== ipykernel {version}", flush=True)
        env = {
            **os.environ,
            "TEST_KERNEL": version,
            "TEST_KERNEL_PATH": str(install(version)),
        }
        workers = ["--numprocesses", "2", "--dist", "loadfile"]
        tests = [sys.executable, "-m", "pytest", "-q", "tests/browser", "-k", PROMISES]
        if subprocess.run([*tests, *workers], cwd=ROOT, env=env).returncode:
            failed.append(version)
    print(f"\nfailed with ipykernel {', '.join(failed)}" if failed else "\nall passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
