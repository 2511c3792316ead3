"""Which ipykernel runs: `tests/kernels.py` asks for one, and must get it."""

from __future__ import annotations

import os
from pathlib import Path

import ipykernel

from tests.browser.lab import Lab
from tests.browser.live import make_notebook


def test_the_version_of_ipykernel_is_the_one_asked_for(lab: Lab, tmp_path: Path):
    lab.open(make_notebook(tmp_path / "kernel.ipynb", "import ipykernel"))
    lab.run_all()
    wanted = os.environ.get("TEST_KERNEL", ipykernel.__version__)
    assert lab.ask("print(ipykernel.__version__)").strip() == wanted
