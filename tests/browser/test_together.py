"""Five live widgets in one notebook: each plays, and none disturbs another."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.lab import Lab
from tests.browser.live import make_notebook

CELLS = (
    "from lib.widgets import (DescentRace, LineFit, ModelRace, Playground, Timeline)\n"
    "import numpy as np",
    "race = DescentRace()\nrace",
    "network = ModelRace(device='cpu', steps=2000)\nnetwork",
    "line = Timeline()\nline",
    "play = Playground()\nplay",
    "fit = LineFit(np.arange(9.0), np.arange(9.0) ** 1.1)\nfit",
)
POSITIONS_JS = """() => [...document.querySelectorAll(".lm-live")].map(root =>
    [root.dataset.state, Number(root.dataset.position), root.live.playing])"""


def states(lab: Lab) -> list[list]:
    return lab.page.evaluate(POSITIONS_JS)


def test_five_widgets_play_at_once(lab: Lab, tmp_path: Path) -> None:
    lab.open(make_notebook(tmp_path / "five.ipynb", *CELLS), height=1400)
    lab.run_all()
    for cell in range(1, 6):
        expect(lab.cell(cell).locator(".lm-live")).to_have_attribute(
            "data-state", "live"
        )
    lab.cell(5)
    lab.page.evaluate("() => document.querySelectorAll('.lm-live')[4].live.play()")
    for number in range(4):
        lab.page.evaluate(
            "k => { const { live } = document.querySelectorAll('.lm-live')[k];"
            " live.play(); }",
            number,
        )
    network = "network.simulation.step"
    before = int(lab.ask(f"print({network})"))
    lab.page.wait_for_function(
        "() => [...document.querySelectorAll('.lm-live')].slice(0, 4)"
        ".every(root => Number(root.dataset.position) > 0)"
    )
    assert int(lab.ask(f"print({network})")) > before
    assert [state for state, *_ in states(lab)] == ["live"] * 5

    # one goes: the others stay, and the one that trains goes on
    lab.ask("race.close()")
    step = int(lab.ask(f"print({network})"))
    lab.page.wait_for_timeout(500)
    assert int(lab.ask(f"print({network})")) > step
    assert (
        lab.ask("print(line._closed, play._closed, fit._closed)").split()
        == ["False"] * 3
    )

    # each has its own values: a change in one is no change in another
    values = "print([w.values for w in (network, line, play, fit)])"
    known = lab.ask(values)
    lab.ask("fit.set(steps=120)")
    lab.ask("fit.set(steps=60)")
    assert lab.ask(values) == known
