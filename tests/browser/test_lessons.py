"""Every lesson as a reader meets it: run, read from top to bottom, each widget used.

One test a lesson. Nothing may be clipped at 1,280 pixels, no cell may be an error, each
widget has to come alive, answer a hand on one of its controls, and play where it can.
The pictures of every page of every lesson are kept among the screenshots.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.lab import ROOT, Lab
from tests.browser.live import FLAWS_JS

LESSONS = sorted(
    path
    for path in (ROOT / "chapters").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
# Outputs and text that are wider than their place: they would be cut off or scroll.
CLIPPED_JS = """cell => {
    const places = cell.querySelectorAll(".jp-RenderedMarkdown, .jp-RenderedText pre,"
        + " .jp-RenderedHTMLCommon table, .jp-RenderedImage img,"
        + " .jp-OutputArea-output");
    const found = [];
    for (const node of places) {
        const inside = node.closest(".lm-live");
        if (!inside && node.scrollWidth > node.clientWidth + 2
            && getComputedStyle(node).display !== "inline")
            found.push(`${node.className || node.tagName}: `
                + node.textContent.slice(0, 60));
    }
    for (const image of cell.querySelectorAll("img"))
        if (!image.complete || !image.naturalWidth)
            found.push(`no picture: ${image.src}`);
    for (const fault of cell.querySelectorAll("mjx-merror, .MathJax_Error"))
        found.push(`mathematics: ${fault.textContent.slice(0, 60)}`);
    return found;
}"""
# The first control of each kind that a hand can move, with the key that moves it.
MOVE_JS = """root => {
    for (const input of root.querySelectorAll("[data-control] input[type=range]"))
        if (!input.disabled && !input.closest("[hidden], [inert]")
            && input.offsetParent) {
            input.focus();
            return Number(input.value) < Number(input.max) ? "ArrowRight" : "ArrowLeft";
        }
    for (const select of root.querySelectorAll("[data-control] select"))
        if (!select.disabled && select.options.length > 1 && select.offsetParent) {
            select.focus();
            const last = select.selectedIndex === select.options.length - 1;
            return last ? "ArrowUp" : "ArrowDown";
        }
    return null;
}"""


def name(path: Path) -> str:
    return path.relative_to(ROOT / "chapters").with_suffix("").as_posix()


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_it_runs_reads_well_and_every_widget_answers(lab: Lab, path: Path) -> None:
    lab.open(path, height=1000)
    lab.run_all(timeout=240)
    flaws: list[str] = []
    widgets = 0
    for i, cell in enumerate(lab.cells()):
        place = lab.cell(i)
        flaws += [f"cell {i}: {text}" for text in place.evaluate(CLIPPED_JS)]
        if "application/vnd.jupyter.widget-view+json" in str(cell.get("outputs")):
            for root in place.locator(".lm-live").all():
                use(root, lab)
                flaws += [f"cell {i}: {text}" for text in root.evaluate(FLAWS_JS)]
                widgets += 1
        if i % 3 == 0:
            lab.screenshot(f"lessons/{name(path)}-{i:02}")
    assert flaws == []
    assert widgets > 0


def use(root: Locator, lab: Lab) -> None:
    """Move a control, play and pause; the widget stays alive and shows no error."""
    root.scroll_into_view_if_needed()
    expect(root).to_have_attribute("data-state", "live", timeout=20_000)
    key = root.evaluate(MOVE_JS)
    if key:
        before = root.evaluate("r => JSON.stringify(r.live.values)")
        lab.page.keyboard.press(key)
        lab.page.wait_for_function(
            "([r, before]) => JSON.stringify(r.live.values) !== before",
            arg=[root.element_handle(), before],
            timeout=15_000,
        )
    play = root.locator("button.lm-play:visible").first
    if play.count() and play.is_enabled():
        play.click()
        lab.page.wait_for_timeout(600)
        if root.locator("button.lm-play:visible").first.is_enabled():
            root.locator("button.lm-play:visible").first.click()
    lab.wait_idle()
    expect(root.locator(".lm-error").first).to_be_hidden()
    expect(root).to_have_attribute("data-state", "live")
