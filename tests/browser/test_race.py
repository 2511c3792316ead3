"""The descent race in JupyterLab: every control, by mouse and by keys, to its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lib.surfaces import SURFACES
from lib.widgets.race import DescentRace
from tests.browser import live as promises
from tests.browser.lab import Lab
from tests.browser.live import Live, make_notebook, one_test, opened, resize
from tests.browser.server import LabServer

CELLS = ("from lib.widgets import DescentRace", "race = DescentRace()\nrace")
SLIDERS = [c.name for c in DescentRace.CONTROLS if c.kind in ("range", "log")]
CHOICES = {c.name: c.choices for c in DescentRace.CONTROLS if c.kind == "choice"}


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("race")
    notebook = make_notebook(folder / "race.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "race") as live:
        yield live


@pytest.fixture
def race(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def losses(race: Live) -> list[str]:
    return race.root.locator("tbody td:last-child").all_inner_texts()


def test_appears_at_its_end_and_says_who_leads(race: Live) -> None:
    assert race.data("position") == "200"
    assert race.data("complete") == "true"
    names, last = race.kernel("(w.race.names, w.race.losses[:, -1].tolist())")
    best = names[last.index(min(last))]
    label = race.racer(best).inner_text()
    expect(race.status).to_contain_text(f"Step 200 of 200. Lowest: {label}, loss")
    promises.check_field(race)


def test_click_on_the_map_starts_a_race_there(race: Live) -> None:
    race.next_run(lambda: race.page.mouse.click(*race.place("map", 2.0, -1.0)))
    x, y = race.kernel("w.values['start']")
    assert abs(x - 2.0) < 0.05
    assert abs(y + 1.0) < 0.05
    assert race.kernel("w.race.start") == (x, y)
    assert race.js("live.run.x[0]") == pytest.approx(x, abs=1e-6)


def test_race_follows_the_pointer_during_a_drag(race: Live) -> None:
    mouse, runs = race.page.mouse, []
    mouse.move(*race.place("map", 3.0, 1.0))
    race.next_run(mouse.down)  # pressing is a move of the start, too
    for x, y in ((2.0, 0.5), (1.0, 0.8), (-1.0, -0.6)):
        race.next_run(lambda x=x, y=y: mouse.move(*race.place("map", x, y)))
        runs.append(race.data("run"))
        assert race.js("live.run.x[0]") == pytest.approx(x, abs=0.05)
    mouse.up()
    assert len(set(runs)) == 3
    mouse.move(*race.place("map", 3.0, 1.0))
    race.frames()
    assert race.kernel("w.values['start']") == pytest.approx((-1.0, -0.6), abs=0.05)


def test_fast_drag_ends_where_the_hand_ends(race: Live) -> None:
    mouse = race.page.mouse
    mouse.move(*race.place("map", -4.0, -1.5))
    mouse.down()
    mouse.move(*race.place("map", 4.0, 1.5), steps=60)
    mouse.up()
    race.until("live.link.asked.size === 0 && d.complete === 'true'")
    x, y = race.kernel("w.values['start']")
    assert (x, y) == pytest.approx((4.0, 1.5), abs=0.05)
    race.until("Math.abs(live.run.x[0] - arg) < 1e-6", x)


def test_play_goes_on_and_pause_stays(race: Live) -> None:
    race.button("Reset").click()
    race.until("d.position === '0'")
    race.button("▶ Play").click()
    race.until("d.playing === 'true' && Number(d.position) > 10")
    race.root.get_by_role("button", name="Pause").click()
    race.until("d.playing === 'false'")
    at = race.number("position")
    assert 10 < at < 200
    race.frames()
    assert race.number("position") == at
    expect(race.status).to_contain_text(f"Step {at:.0f} of 200.")
    expect(race.root.locator(".lm-where")).to_have_text(f"step {at:.0f} of 200")


def test_play_ends_at_the_last_step_and_begins_again(race: Live) -> None:
    race.root.locator(".lm-speed select").select_option("250")
    race.button("▶ Play").click()
    race.until("d.playing === 'true' && Number(d.position) < 150")
    race.until("d.playing === 'false' && d.position === '200'")
    expect(race.button("▶ Play")).to_be_visible()


@pytest.mark.parametrize("speed", ["15", "100"])
def test_speed_is_in_steps_a_second(race: Live, speed: str) -> None:
    race.root.locator(".lm-speed select").select_option(speed)
    race.button("▶ Play").click()
    race.until("d.playing === 'true' && live.position > 1")
    measured = race.js(
        "new Promise(done => { const [t, p] = [live.clock, live.position];"
        " setTimeout(() => requestAnimationFrame(() => done("
        "(live.position - p) / (live.clock - t) * 1000)), 600); })"
    )
    assert measured == pytest.approx(float(speed), rel=0.05)


def test_step_scrub_and_chart_show_that_step(race: Live) -> None:
    race.scrubber.fill("57")
    race.until("d.position === '57'")
    race.button("Step").click()
    race.until("d.position === '58'")
    assert losses(race)[0] != ""
    assert race.js("live.legend.rows.get('Momentum').loss.textContent") == race.js(
        "(row => Number(live.run.loss[live.run.at(row, 58)].toPrecision(3)).toString())"
        "(live.run.names.indexOf('Momentum'))"
    )
    race.page.mouse.click(*race.place("curves.frame", 120, 1e-3))
    race.until("Math.abs(Number(d.position) - 120) <= 1")
    expect(race.status).to_contain_text(f"Step {race.data('position')} of")
    race.press(race.scrubber, "End")
    race.until("d.position === '200'")
    race.button("Reset").click()
    race.until("d.position === '0'")


def test_every_slider_reaches_the_kernel(race: Live) -> None:
    for name in SLIDERS:
        for key, end in (("Home", "low"), ("End", "high")):
            race.press(race.control(name), key)
            wanted = next(
                getattr(c, end) for c in DescentRace.CONTROLS if c.name == name
            )
            race.kernel_until(f"w.values[{name!r}]", pytest.approx(wanted))
    race.until("d.complete === 'true' && live.run.steps === 500")
    assert race.kernel("w.error") is None


def test_every_choice_reaches_the_kernel(race: Live) -> None:
    for name, choices in CHOICES.items():
        for value, label in reversed(choices):
            race.control(name).select_option(label=label)
            race.kernel_until(f"w.values[{name!r}]", value)


def test_every_surface_is_drawn_in_both_views(race: Live) -> None:
    resize(race, 1280, 1250)
    for key in reversed(SURFACES):
        race.next_run(lambda key=key: race.control("surface").select_option(key))
        assert race.js("live.surface.key") == key
        promises.check_layout(race, f"race-{key}")
        race.next_run(lambda: race.control("view").select_option("cut"))
        promises.check_layout(race, f"race-{key}-cut")
        race.next_run(lambda: race.control("view").select_option("map"))


def test_rate_of_one_leaves_the_others(race: Live) -> None:
    before = race.kernel("w.rates")
    assert race.shown("learning_rate") == "own rates"
    race.control("rate_of").select_option("Adam")
    expect(race.root.locator('[data-control="learning_rate"] output')).to_have_text(
        f"{before['Adam']:g}"
    )
    race.next_run(lambda: race.press(race.control("learning_rate"), "Home"))
    assert race.kernel("w.rates") == before | {"Adam": 1e-5}
    row = race.row("Adam")
    expect(row.locator("td").first).to_have_text("1.0e−5")


def test_too_large_a_rate_is_told_as_divergence(race: Live) -> None:
    race.next_run(lambda: race.press(race.control("learning_rate"), "End"))
    assert set(race.kernel("w.rates").values()) == {10.0}
    gone = race.kernel("w.race.diverged_at")
    assert "GradientDescent" in gone
    expect(race.status).to_contain_text("Diverged: Gradient descent")
    row = race.row("GradientDescent")
    expect(row).to_contain_text(f"diverged at step {gone['GradientDescent']}")
    promises.check_layout(race, "race-diverged")
    race.scrubber.fill(str(gone["GradientDescent"] - 1))
    expect(row).not_to_contain_text("diverged")


def test_paths_that_leave_for_infinity_are_drawn_no_further_than_the_edge(
    race: Live,
) -> None:
    """A dashed line of millions of pixels would hold up the page for a second."""
    race.js(
        """(() => {
            const proto = CanvasRenderingContext2D.prototype, lineTo = proto.lineTo;
            window.far = 0;
            window.asBefore = () => { proto.lineTo = lineTo; };
            proto.lineTo = function (x, y) {
                window.far = Math.max(window.far, Math.abs(x), Math.abs(y));
                return lineTo.call(this, x, y);
            };
        })()"""
    )
    race.next_run(lambda: race.press(race.control("learning_rate"), "End"))
    assert race.kernel("w.race.diverged_at")
    reached = "Math.max(...live.run.y.map(Math.abs).filter(Number.isFinite))"
    assert race.js(reached) > 100  # where the map ends at 2
    race.frames(3)
    wide = race.js("live.map.canvas.width")
    assert 100 < race.js("window.far") <= 2.5 * wide
    race.js("window.asBefore()")


def test_optimizers_switch_off_and_on(race: Live) -> None:
    race.all_off()
    race.kernel_until("w.values['optimizers']", ())
    expect(race.status).to_contain_text("No optimizer is switched on.")
    race.until("live.run.names.length === 0")
    assert set(losses(race)) == {""}
    race.racer("SGD").click()
    race.kernel_until("w.race.names", ["SGD"])
    expect(race.status).to_contain_text("Lowest: SGD")
    expect(race.racer("SGD")).to_have_attribute("aria-pressed", "true")
    promises.check_layout(race, "race-one")


def test_best_rates_are_searched_from_this_start(race: Live) -> None:
    race.next_run(lambda: race.press(race.control("learning_rate"), "Home"))
    worst = race.kernel("float(w.race.losses[:, -1].max())")
    race.button("Best rate for each").click()
    race.until("live.rates.Adam > 1e-3 && d.complete === 'true'", timeout=30)
    race.until("live.run.loss[live.run.at(0, 200)] < 1e-3")
    assert race.kernel("float(w.race.losses[:, -1].max())") < 1e-3 * worst


def test_new_noise_is_another_seed(race: Live) -> None:
    race.next_run(lambda: race.control("surface").select_option("noisy"))
    before = losses(race)
    race.next_run(lambda: race.button("New noise").click())
    assert race.kernel("w.seed") == 1
    after = losses(race)
    assert after[0] == before[0]  # gradient descent sees the exact gradient
    assert after[2] != before[2]


def test_keys_alone_reach_every_control(race: Live) -> None:
    race.control("surface").focus()
    seen = []
    for _ in range(60):
        inside, label = race.page.evaluate(
            "() => { const e = document.activeElement;"
            " const c = e.closest('[data-control]');"
            " return [Boolean(e.closest('.lm-live')), c ? c.dataset.control"
            " : e.dataset.racer || e.getAttribute('aria-label') || e.textContent]; }"
        )
        if not inside:
            break
        seen.append(label)
        race.page.keyboard.press("Tab")
    wanted = {c.name for c in DescentRace.CONTROLS} - {"optimizers", "start"}
    assert wanted <= set(seen)
    assert {"▶ Play", "Step", "Reset", "step shown", "Save picture"} <= set(seen)
    assert len([name for name in seen if race.racer(name).count()]) == 8


def test_arrow_keys_move_the_start(race: Live) -> None:
    race.next_run(lambda: race.lab.ask("race.set(start=(-4.0, 1.2))"))
    canvas = race.root.locator(".lm-left canvas")
    race.next_run(lambda: race.press(canvas, "ArrowRight"))
    assert race.kernel("w.values['start']") == pytest.approx((-3.8, 1.2))
    race.next_run(lambda: race.press(canvas, "Shift+ArrowDown"))
    assert race.kernel("w.values['start']") == pytest.approx((-3.8, 0.8))


def test_space_on_a_picture_plays_and_pauses(race: Live) -> None:
    canvas = race.root.locator(".lm-left canvas")
    race.press(canvas, "Space")
    race.until("d.playing === 'true' && Number(d.position) > 2")
    race.press(canvas, "Space")
    race.until("d.playing === 'false'")
    expect(race.root).to_be_in_viewport()


def test_letters_do_not_cut_cells(race: Live) -> None:
    promises.check_keys_stay(race)


def test_error_in_the_kernel_stands_in_red(race: Live) -> None:
    promises.check_error_shows(race, "momentum")


def test_refused_value_is_told_and_the_control_goes_back(race: Live) -> None:
    race.js("live.link.set('momentum', 7)")
    expect(race.error).to_contain_text("momentum was given 7")
    expect(race.error).to_be_visible()
    assert race.kernel("w.values['momentum']") == 0.9
    assert race.shown("momentum") == "0.9"


def test_kernel_side_set_moves_the_page(race: Live) -> None:
    race.next_run(lambda: race.lab.ask("race.set(surface='beale', noise=2.0)"))
    expect(race.control("surface")).to_have_value("beale")
    expect(race.control("noise")).to_have_value("2")


def test_running_the_cell_again_leaves_one(race: Live) -> None:
    promises.check_rerun(race)


def test_second_view_follows_the_first(race: Live) -> None:
    race.lab.cell(race.cell)
    race.lab.command("notebook:create-output-view")
    second = race.page.locator(".lm-live").nth(1)
    expect(second).to_have_attribute("data-state", "live")
    second.locator('[data-racer="Adam"]').click()
    expect(race.racer("Adam")).to_have_attribute("aria-pressed", "false")
    expect(second).to_have_attribute("data-run", race.data("run"))
    race.lab.command("application:close")
    expect(second).to_have_count(0)
    race.kernel_until("len(w._pages)", 1)
    expect(race.root).to_have_attribute("data-state", "live")


def test_picture_is_saved(race: Live) -> None:
    promises.check_saved_picture(race, "descent-ravine")


def test_nothing_overflows(race: Live) -> None:
    promises.check_layouts(race, "race")


def test_sharp_on_a_dense_screen(race: Live) -> None:
    session = race.page.context.new_cdp_session(race.page)
    size = {"width": 1100, "height": 1250, "deviceScaleFactor": 2, "mobile": False}
    session.send("Emulation.setDeviceMetricsOverride", size)
    try:
        race.until("live.map.canvas.width === 2 * live.map.canvas.clientWidth")
        promises.check_layout(race, "race-dense")
        race.next_run(lambda: race.page.mouse.click(*race.place("map", 2.0, 1.0)))
        assert race.kernel("w.values['start']") == pytest.approx((2.0, 1.0), abs=0.05)
    finally:
        session.send("Emulation.clearDeviceMetricsOverride")


def test_untrusted_notebook_shows_the_still_picture(
    race: Live, lab: Lab, tmp_path: Path
) -> None:
    copy = promises.untrusted_copy(race, tmp_path / "untrusted-race.ipynb")
    promises.check_still_picture(lab, copy)


def test_restarted_kernel_is_told(race: Live) -> None:
    promises.check_restart(race)
