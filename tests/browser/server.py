"""A JupyterLab of its own for the tests: private settings, random port and token.

The server shows a temporary folder, never the repository, so that a test cannot change
a lesson. It keeps the extensions and the kernel of the environment that runs the tests.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

START_SECONDS = 90
STOP_SECONDS = 15

# The user's settings that differ from JupyterLab's own: no news, no update check.
SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}
PRIVATE = {
    "IPYTHONDIR": "ipython",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LabServer:
    """`jupyter lab` as a context manager.

    Attributes: `url` (no slash at the end), `token`, `root` (the folder it shows) and
    `log` (what the server and its kernels wrote).
    """

    def __init__(self, home: Path, log: Path) -> None:
        self.home = home
        self.root = home / "root"
        self.log = log
        self.token = secrets.token_hex(24)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"LabServer({self.url})"

    @property
    def env(self) -> dict[str, str]:
        """The environment of the server, and so of its kernels."""
        dropped = ("JUPYTER_PATH", "MPLBACKEND", "PYTHONPATH")
        env = {k: v for k, v in os.environ.items() if k not in dropped}
        env |= {name: str(self.home / folder) for name, folder in PRIVATE.items()}
        env |= {"JUPYTER_TOKEN": self.token, "OMP_NUM_THREADS": "1"}
        if kernels := os.environ.get("TEST_KERNEL_PATH"):  # see tests/kernels.py
            env["JUPYTER_PATH"] = kernels
        return env | {
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), env.get("PATH", "")]
            )
        }

    def __enter__(self) -> LabServer:
        self.root.mkdir(parents=True)
        for name, values in SETTINGS.items():
            file = self.home / "settings" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values), encoding="utf-8")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=self.env,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--expose-app-in-browser",  # window.jupyterapp, for the tests' commands
            f"--ServerApp.root_dir={self.root}",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.api("status")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
            else:
                return
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise RuntimeError(f"JupyterLab did not start; the end of its log:\n{tail}")

    def api(self, path: str, method: str = "GET") -> Any:
        """Call the server's REST interface at `/api/<path>`."""
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            method=method,
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def trust(self, notebook: Path) -> None:
        """Sign a notebook as this server's user would by `jupyter trust`."""
        command = [sys.executable, "-m", "jupyter", "trust", str(notebook)]
        subprocess.run(command, env=self.env, check=True, capture_output=True)

    def end_kernels(self, folder: str) -> None:
        """Shut down the kernels of the notebooks under `folder` of the root."""
        for session in self.api("sessions"):
            if session["path"].startswith(f"{folder}/"):
                self.api(f"sessions/{session['id']}", "DELETE")

    def stop(self) -> None:
        """End the server and its kernels: asked first, then by force."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
