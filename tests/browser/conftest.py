"""Fixtures for the browser tests: one JupyterLab a session, one page a test."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import chromium
from tests.browser.lab import ROOT, Lab
from tests.browser.server import LabServer

LOGS = ROOT / "artifacts" / "logs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder that uses a browser carries the marker `browser`.

    With several workers a file stays with one of them, for its widgets are opened once
    a file; but each lesson goes to whoever is free, the lessons first, so that no
    worker waits for another at the end.
    """
    here = Path(__file__).parent
    lessons = "test_lessons.py"
    items.sort(key=lambda item: item.path.name != lessons)
    for item in items:
        alone = item.path.name == lessons
        group = item.name if alone else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group.replace("@", " at ")))
        fixtures = getattr(item, "fixturenames", ())
        if item.path.is_relative_to(here) and "browser" in fixtures:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chromium to use; without one the tests do not run, which CI refuses."""
    path = chromium.find()
    if path is None:
        reason = "NOT RUN: no Chromium. Install one, or set CHROMIUM to its path."
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], chromium_path: str
) -> dict[str, Any]:
    """Playwright's launch options with the Chromium that was found."""
    return browser_type_launch_args | {
        "executable_path": chromium_path,
        "args": chromium.arguments(),
    }


@pytest.fixture(scope="session")
def lab_server(
    chromium_path: str, tmp_path_factory: pytest.TempPathFactory
) -> Generator[LabServer, None, None]:
    """A running JupyterLab that shows a temporary folder."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    home = tmp_path_factory.mktemp("lab")
    with LabServer(home, LOGS / f"jupyterlab-{worker}.log") as server:
        yield server


@pytest.fixture
def lab(
    page: Page, lab_server: LabServer, request: pytest.FixtureRequest
) -> Generator[Lab, None, None]:
    """A `Lab` on a new page; at the end its console must be free of errors."""
    page.set_default_timeout(30_000)
    lab = Lab(page, lab_server, request.node.name)
    yield lab
    if getattr(request.node, "rep_call", None) and request.node.rep_call.failed:
        lab.screenshot(f"failed-{lab.folder}")
    lab.close()
    lab.check_console()
