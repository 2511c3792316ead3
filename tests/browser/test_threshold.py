"""The threshold in JupyterLab: dragged on every picture, by keys, and its numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = (
    "import numpy as np\nfrom lib import metrics\nfrom lib.widgets import Threshold",
    "thr = Threshold()\nthr",
)
SHARED = "{k: float(v) for k, v in w.numbers().items()}"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("threshold")
    notebook = make_notebook(folder / "threshold.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "thr") as live:
        yield live


@pytest.fixture
def thr(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def check_numbers(thr: Live) -> dict[str, float]:
    """What the page computes is what the kernel computes with scikit-learn."""
    thr.until("live.link.asked.size === 0")
    thr.frames(2)
    shown, kernel = thr.js("live.numbers"), thr.kernel(SHARED)
    assert thr.number("position") == thr.kernel("w.values['threshold']")
    for name, value in kernel.items():
        assert shown[name] == pytest.approx(value, abs=1e-6), name
    cost = thr.kernel("w.lab.cheapest(w.values['cost'], w.prevalence)")
    page = thr.js(
        "(s => [s.threshold(s.cheapest(arg)), s.cost(s.cheapest(arg), arg)])"
        "(live.scores)",
        thr.kernel("w.values['cost']"),
    )
    assert page == pytest.approx(list(cost))
    return kernel


def drag(thr: Live, frame: str, start: tuple, end: tuple) -> None:
    mouse = thr.page.mouse
    mouse.move(*thr.place(frame, *start))
    mouse.down()
    mouse.move(*thr.place(frame, *end), steps=5)
    mouse.up()


def test_numbers_equal_the_kernels_at_many_thresholds(thr: Live) -> None:
    seen = [check_numbers(thr)]
    for keys in (["Home"], ["PageUp"], ["PageUp"] * 3, ["PageUp"] * 3, ["End"]):
        thr.press(thr.control("threshold"), *keys)
        seen.append(check_numbers(thr))
    assert len({numbers["recall"] for numbers in seen}) == 6
    assert seen[1]["recall"] == 1.0
    expect(thr.status).to_have_text(
        "Threshold 1: 0 malignant found, 106 missed, 0 false alarms."
    )


def test_numbers_equal_the_kernels_with_another_share(thr: Live) -> None:
    before = check_numbers(thr)
    thr.press(thr.control("prevalence"), "Home")
    thr.kernel_until("w.prevalence", 0.001)
    expect(thr.control("other_share")).to_be_checked()
    rare = check_numbers(thr)
    assert rare["recall"] == pytest.approx(before["recall"])
    assert rare["precision"] < 0.01 < before["precision"]
    thr.control("calibration_of").select_option("answer")
    thr.press(thr.control("bins"), "End")
    thr.kernel_until("w.values['bins']", 30)
    check_numbers(thr)


def test_matrix_and_rates_stand_in_the_page(thr: Live) -> None:
    table = thr.root.locator(".lm-thr-matrix .lm-thr-count")
    counts = [int(text) for text in table.all_inner_texts()]
    assert counts == thr.kernel("w.lab.confusion(0.5).astype(int).ravel().tolist()")
    tn, fp, fn, tp = counts

    def row(name: str) -> Locator:
        return thr.root.locator(f'.lm-thr-rates tr:has([data-rate="{name}"])')

    expect(row("precision")).to_contain_text(f"{tp} / ({tp} + {fp})")
    expect(row("precision")).to_contain_text(f"{tp / (tp + fp):.3f}")
    low, high = thr.kernel(f"list(metrics.wilson_interval({tp}, {tp + fn}))")
    expect(row("recall")).to_contain_text(f"{low:.3f} – {high:.3f}")
    assert sum(counts) == 284
    assert tn + fp == 178


def test_intervals_of_the_bootstrap_arrive(thr: Live) -> None:
    thr.until("live.intervals.f1 && live.intervals.average_precision")
    low, high = thr.kernel("list(w.intervals['auc'])")
    thr.frames(2)
    expect(thr.root.locator(".lm-thr-title").first).to_have_text(
        f"ROCarea {thr.js('live.numbers.auc'):.3f} ({low:.3f} – {high:.3f})"
    )
    thr.press(thr.control("threshold"), "PageUp")
    thr.until("live.intervals.f1")
    assert thr.js("live.intervals.f1") == thr.kernel("list(w.intervals['f1'])")


@pytest.mark.parametrize(
    ("frame", "start", "end"),
    [
        ("hist", (0.5, 5), (0.2, 5)),
        ("price", (0.5, 1), (0.25, 0.5)),
        ("roc", (0.2, 0.6), (0.5, 0.9)),
        ("recall", (0.5, 0.8), (0.9, 0.6)),
    ],
)
def test_drag_on_a_picture_moves_the_threshold(
    thr: Live, frame: str, start: tuple, end: tuple
) -> None:
    drag(thr, frame, start, end)
    numbers = check_numbers(thr)
    at = thr.number("position")
    if frame in ("hist", "price"):
        assert at == pytest.approx(end[0], abs=0.01)
    elif frame == "roc":
        place = (numbers["false_positive_rate"], numbers["recall"])
        assert place == pytest.approx(end, abs=0.06)
    else:
        place = (numbers["recall"], numbers["precision"])
        assert place == pytest.approx(end, abs=0.06)
    assert at < 0.45


def test_arrow_keys_on_a_picture_go_from_example_to_example(thr: Live) -> None:
    canvas = thr.root.locator(".lm-right canvas")
    above = [thr.number("above")]
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        thr.press(canvas, key)
        thr.frames(2)
        above.append(thr.number("above"))
    assert above == [98, 97, 96, 97]
    thr.button("Next example").click()
    thr.until("d.above === '96'")
    check_numbers(thr)


def test_pointer_names_the_example_and_the_rates(thr: Live) -> None:
    readout = thr.root.locator(".lm-readout")
    score = thr.js("live.scores.score[3]")
    band = thr.js("live.hist.range[2] * (live.scores.truth[3] ? 0.25 : 0.75)")
    thr.page.mouse.move(*thr.place("hist", score, band))
    number = thr.kernel("int(w.lab.order[3])")
    name = thr.js("live.names[live.scores.truth[3]]")
    expect(readout).to_contain_text(f"Example #{number}: is {name}, score 0.9")
    thr.page.mouse.move(*thr.place("roc", 0.3, 0.7))
    expect(readout).to_contain_text("false positive rate 0.")
    thr.page.mouse.move(*thr.place("reliable", 0.55, 0.5))
    count = thr.kernel("int(w.lab.reliability(10).count[5])")
    expect(readout).to_contain_text(f"0.5 to 0.6: {count} examples")


def test_mistakes_are_listed_and_shown_in_the_rug(thr: Live) -> None:
    rows = thr.root.locator(".lm-thr-wrong tbody tr")
    wrong = thr.kernel(
        "int(max(np.flatnonzero((w.lab.score >= 0.5) != w.lab.truth), "
        "key=lambda i: abs(w.lab.score[i] - 0.5)))"
    )
    expect(rows.first).to_contain_text(f"#{thr.kernel(f'int(w.lab.order[{wrong}])')}")
    rows.first.hover()
    thr.until("live.shown === arg", wrong)
    expect(thr.root.locator(".lm-readout")).to_contain_text("a false alarm")


def test_cheapest_button_and_cost_slider(thr: Live) -> None:
    thr.press(thr.control("cost"), "End")
    thr.kernel_until("w.values['cost']", 1000.0)
    thr.button("Go to the cheapest").click()
    assert check_numbers(thr)["recall"] == 1.0
    assert thr.js("live.numbers.cost") == pytest.approx(
        thr.kernel("w.lab.cheapest(1000.0)[1]")
    )
    thr.button("Reset").click()
    thr.until("d.position === '0.5'")


def test_sweep_by_space_and_stretched_axis(thr: Live) -> None:
    canvas = thr.root.locator(".lm-right canvas")
    thr.control("stretch").check()
    thr.until("live.hist.range[0] < -3 && live.hist.range[1] > 2")
    drag(thr, "hist", (0, 3), (-1, 3))
    assert thr.number("position") == pytest.approx(0.269, abs=0.01)
    thr.press(canvas, "Space")
    thr.until("d.playing === 'true' && Number(d.position) > 0.35")
    thr.press(canvas, "Space")
    thr.until("d.playing === 'false'")
    check_numbers(thr)
    thr.picture("threshold-stretched")


def test_keys_stay_and_error_shows(thr: Live) -> None:
    promises.check_keys_stay(thr)
    thr.rerun()  # Enter on the play button has started it
    promises.check_error_shows(thr, "threshold")


def test_picture_is_saved_and_rerun_leaves_one(thr: Live) -> None:
    promises.check_saved_picture(thr, "threshold")
    promises.check_rerun(thr)


def test_nothing_overflows(thr: Live) -> None:
    thr.press(thr.control("prevalence"), "Home")
    promises.check_layouts(thr, "threshold")


def test_restarted_kernel_is_told(thr: Live) -> None:
    promises.check_restart(thr)
