"""The next token in JupyterLab: typed, cut, drawn, written, and the training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = ("from lib.widgets import NextToken", "guess = NextToken(device='cpu')\nguess")
SHOWN = "live.next.order.map((t, k) => [t, live.next.after[k]])"


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("next-token")
    notebook = make_notebook(folder / "next-token.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "guess") as live:
        yield live


@pytest.fixture
def guess(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def train(guess: Live, steps: int) -> None:
    """Train in the kernel, at once, and show the result."""
    code = f"guess.small.learning_rate and guess.run(0, {steps}); guess.pump(now=True)"
    guess.lab.ask(code)
    guess.until("d.step === arg", str(steps))


def agrees(guess: Live) -> None:
    """The page's probabilities and draw are those of the library."""
    guess.until("live.link.asked.size === 0")
    wanted = guess.kernel("w.probabilities().tolist()")
    shown = dict(guess.js(SHOWN))
    for token, p in enumerate(wanted):
        assert shown[token] == pytest.approx(p, abs=2e-6)
    assert guess.js("live.next.order[live.falls]") == guess.kernel("w.drawn()")


def test_appears_untrained_and_says_so(guess: Live) -> None:
    expect(guess.status).to_contain_text("not learned anything yet: press Train")
    expect(guess.root.locator(".lm-nt-token")).to_have_count(2)
    expect(guess.root.locator(".lm-nt-facts")).to_contain_text("2 tokens, 0 of them")
    assert guess.number("left") == 512
    agrees(guess)


def test_tokens_follow_the_typed_text(guess: Live) -> None:
    text = "Learning 语言 🙂"
    guess.control("prompt").fill("")
    guess.until("d.tokens === '0'")
    guess.control("prompt").press_sequentially(text, delay=20)
    guess.kernel_until("w.values['prompt']", text)
    count = guess.kernel("len(w.tokenizer.encode(w.values['prompt']))")
    guess.until("d.tokens === arg", str(count))
    chips = guess.root.locator(".lm-nt-token b")
    assert chips.all_inner_texts() == guess.kernel(
        "w.tokenizer.tokens(w.values['prompt'])"
    )
    ids = guess.root.locator(".lm-nt-token small").all_inner_texts()
    assert [int(i) for i in ids] == guess.kernel("w.shown")
    agrees(guess)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p", "seed_of_draws"])
def test_sliders_work_in_the_page_as_in_the_library(guess: Live, name: str) -> None:
    train(guess, 20)
    spec = guess.kernel(f"next(c.spec() for c in w.CONTROLS if c.name == {name!r})")
    for key, end in (("Home", spec["low"]), ("End", spec["high"])):
        guess.press(guess.control(name), key)
        slack = 10 ** spec["step"] - 1 if spec["kind"] == "log" else 1e-9
        guess.kernel_until(f"w.values[{name!r}]", pytest.approx(end, rel=slack))
        agrees(guess)
    guess.press(guess.control(name), *["ArrowLeft"] * 25)
    guess.kernel_until(f"w.values[{name!r}]", lambda value: value < end)
    agrees(guess)
    if name in ("top_k", "top_p"):
        assert guess.number("left") < 512


def test_take_draw_click_and_undo(guess: Live) -> None:
    train(guess, 20)
    guess.press(guess.control("top_k"), *["ArrowLeft"] * 80)
    best = guess.js("live.next.order[0]")
    guess.button("Take the most likely").click()
    guess.kernel_until("w.taken", [best])
    guess.until("d.position === '1'")
    falls = guess.js("live.next.order[live.falls]")
    guess.button("Draw one").click()
    guess.kernel_until("w.taken", [best, falls])
    guess.until("d.position === '2'")
    third = guess.js("live.next.order[3]")
    guess.page.mouse.click(*guess.place("bars", guess.js("live.next.after[3]"), 16.5))
    guess.kernel_until("w.taken", [best, falls, third])
    guess.until("d.position === '3'")
    agrees(guess)
    guess.button("Undo").click()
    guess.kernel_until("w.taken", [best, falls])


def test_bars_by_keyboard_and_their_numbers(guess: Live) -> None:
    bars = guess.root.locator(".lm-still canvas").first
    guess.press(bars, "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp")
    second = guess.js("live.next.order[1]")
    logit = guess.kernel(f"float(w.reader.logits[{second}])")
    readout = guess.root.locator(".lm-readout")
    expect(readout).to_contain_text(
        f"(token {second}): logit {logit:.3g}".replace("-", "−")
    )
    guess.press(bars, "Enter")
    guess.kernel_until("w.taken", [second])


def test_generate_pause_scrub_and_reset(guess: Live) -> None:
    guess.root.locator(".lm-speed select").select_option("15")
    play = guess.root.get_by_role("button", name="Generate")
    play.click()
    guess.until("d.playing === 'true' && Number(d.position) > 4")
    guess.root.get_by_role("button", name="Pause").first.click()
    guess.until("d.playing === 'false' && !live.waits")
    at = guess.number("position")
    guess.frames(12)
    assert guess.number("position") == at
    guess.scrubber.first.fill("2")
    guess.until("d.position === '2'")
    expect(guess.root.locator(".lm-nt-later")).to_have_count(int(at) - 2)
    guess.kernel_until("w.at", 2)
    guess.button("Step").click()
    guess.until("d.position === '3'")
    guess.kernel_until("len(w.taken)", 3)
    guess.button("Reset").click()
    guess.until("d.position === '0' && d.tokens === '2'")


def test_generated_text_is_that_of_the_kernel_alone(guess: Live) -> None:
    guess.root.locator(".lm-speed select").select_option("15")
    guess.root.get_by_role("button", name="Generate").click()
    guess.until("Number(d.position) >= 8")
    guess.root.get_by_role("button", name="Pause").first.click()
    taken = guess.kernel("w.taken[:8]")
    guess.lab.ask("other = NextToken(device='cpu'); other.run(8)")
    assert guess.kernel("other.taken") == taken
    guess.lab.ask("other.close()")


def test_beams_are_listed_and_taken(guess: Live) -> None:
    guess.button("Search with 3 beams").click()
    rows = guess.root.locator(".lm-nt-beams button")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("p = ")
    tokens = guess.js("live.beams[0].tokens")
    rows.first.click()
    guess.kernel_until("w.taken", tokens)


def test_the_cache_saves_multiplications(guess: Live) -> None:
    cost = guess.root.locator(".lm-nt-cost")
    expect(cost.locator("strong")).to_contain_text("with the cache")
    guess.button("Take the most likely").click()
    expect(cost).to_contain_text("ms, one token")
    guess.control("cache").uncheck()
    expect(cost.locator("strong")).to_contain_text("without")
    guess.kernel_until("w.values['cache']", False)
    guess.button("Take the most likely").click()
    expect(cost).to_contain_text("ms, the whole text")


def test_training_runs_pauses_and_can_be_asked_again(guess: Live) -> None:
    first = guess.js("live.next.before[0]")
    training = guess.root.locator(".lm-nt-training")
    training.get_by_role("button", name="Train", exact=False).first.click()
    guess.until("d.training === 'true' && Number(d.step) > 12", timeout=20)
    expect(guess.status).to_contain_text("Training: step")
    training.get_by_role("button", name="Pause").click()
    guess.until("d.training === 'false'")
    at = guess.kernel("w.small.step")
    guess.until("d.step === arg", str(at))
    assert guess.js("live.losses.length") == at
    trained = guess.js("live.next.before[0]")
    assert trained != first
    kept = guess.kernel("[moment.step for moment in w.small.moments]")
    assert len(kept) > 2
    expect(training).to_contain_text(f"What it writes after step {kept[-1]},")
    training.locator(".lm-scrub input").fill("0")
    expect(training).to_contain_text("What it writes after step 0,")
    guess.until("Math.abs(live.next.before[0] - arg) < 1e-6", first)
    guess.button("One step").click()
    guess.until("d.step === arg", str(at + 1))
    guess.button("Reset training").click()
    guess.until("d.step === '0' && d.kept === '1'")


def test_letters_do_not_cut_cells(guess: Live) -> None:
    promises.check_keys_stay(guess)


def test_error_in_the_kernel_stands_in_red(guess: Live) -> None:
    promises.check_error_shows(guess, "top_p")


def test_running_the_cell_again_leaves_one(guess: Live) -> None:
    promises.check_rerun(guess)


def test_picture_is_saved(guess: Live) -> None:
    promises.check_saved_picture(guess, "next-token")


def test_nothing_overflows(guess: Live) -> None:
    train(guess, 20)
    guess.lab.ask("guess.run(10); guess.do_beams()")
    guess.lab.ask("guess.pump(now=True)")
    guess.until("d.position === '10'")
    promises.check_layouts(guess, "next-token")


def test_restarted_kernel_is_told(guess: Live) -> None:
    promises.check_restart(guess)
