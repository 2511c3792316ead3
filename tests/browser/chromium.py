"""Find a Chromium for the browser tests, or have Playwright install one.

    python tests/browser/chromium.py     print the path; install one if there is none

The order: the variable CHROMIUM, a Chromium or Chrome of the machine, one that
Playwright installed earlier, and with `install()` one that it downloads now.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
APPS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
)
INSTALL_SECONDS = 300

# What a test needs off: first-run pages, and connections that it did not ask for.
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def arguments() -> list[str]:
    """Command-line arguments for Chromium; root cannot use its sandbox."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*ARGUMENTS, *(["--no-sandbox"] if is_root else [])]


def find() -> str | None:
    """The path of a Chromium on this machine, or None.

    Raises:
        ValueError: when CHROMIUM names a file that is not there.
    """
    if wanted := os.environ.get("CHROMIUM"):
        if path := shutil.which(wanted):
            return path
        raise ValueError(
            f"CHROMIUM is {wanted!r}, which is no program here. Give the path of a "
            "Chromium or Chrome, or unset it."
        )
    for name in (*NAMES, *APPS):
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def install() -> str | None:
    """Find one, or let Playwright download its own; None when that fails too."""
    if path := find():
        return path
    print("No Chromium here: asking Playwright to install one.", flush=True)
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    try:
        subprocess.run(command, timeout=INSTALL_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"Playwright could not install one: {error}", flush=True)
    return find()


if __name__ == "__main__":
    found = install()
    print(found or "no Chromium")
    sys.exit(0 if found else 1)
