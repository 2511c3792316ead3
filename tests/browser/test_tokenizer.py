"""The merges in JupyterLab: played, stepped, scrubbed, and what they encode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser import live as promises
from tests.browser.live import Live, make_notebook, one_test, opened
from tests.browser.server import LabServer

CELLS = ("from lib.widgets import TokenizerView", "view = TokenizerView()\nview")


@pytest.fixture(scope="module")
def live(
    browser: Browser, lab_server: LabServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("tokenizer")
    notebook = make_notebook(folder / "tokenizer.ipynb", *CELLS)
    with opened(browser, lab_server, notebook, "view") as live:
        yield live


@pytest.fixture
def view(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    with one_test(live, request) as fresh:
        yield fresh


def scrub(view: Live, merges: int) -> None:
    view.scrubber.fill(str(merges))
    view.until("d.position === arg", str(merges))


def learned(view: Live, film: str) -> None:
    """Wait until another text has been learned from, and all of it has come."""
    view.until("d.film !== arg && d.complete === 'true'", film, timeout=30)
    view.kernel_until("len(w.film.merges)", int(view.data("learned")))


def chips(view: Live) -> list[str]:
    return view.root.locator(".lm-tk-chips b").all_inner_texts()


def row(view: Live, name: str) -> Locator:
    return view.root.locator(f'tr[data-tokenizer="{name}"]')


def agrees(view: Live) -> None:
    """The page's tokens are those of the library's own tokenizer at this moment."""
    k = int(view.data("position"))
    encode = f"w.film.tokenizer({k}).encode(w.values['sentence'])"
    assert view.js("live.ids") == view.kernel(encode)
    assert chips(view) == view.kernel(f"w.tokens({k})")
    assert view.number("total") == view.kernel(f"w.film.total({k})")
    text = view.js(
        "live.excerpt.flatMap(bytes => live.encode(bytes, live.shown))"
        ".map(t => live.name(t)).join('|')"
    )
    pieces = "[bytes(p).decode() for p in excerpt(w.texts)]"
    tokens = f"[t for p in {pieces} for t in w.film.tokenizer({k}).tokens(p)]"
    view.lab.ask("from lib.merges import excerpt")
    assert text == view.kernel(f"(lambda excerpt: '|'.join({tokens}))(excerpt)")


def test_appears_as_bytes_with_the_first_pair_marked(view: Live) -> None:
    assert view.data("position") == "0"
    first = view.kernel("w.film.merges[0].count")
    expect(view.root.locator(".lm-tk-text .lm-tk-next")).to_have_count(2 * first)
    expect(view.status).to_contain_text(f"side by side {first} times")
    expect(view.root.locator(".lm-tk-text .lm-tk-long")).to_have_count(0)
    agrees(view)


def test_step_back_and_reset(view: Live) -> None:
    view.button("Step").click()
    view.button("Step").click()
    view.until("d.position === '2'")
    name = view.kernel("w.film.tokenizer(2).vocabulary[-1]")
    made = view.root.locator(".lm-tk-text .lm-tk-made")
    assert set(made.all_inner_texts()) == {name}
    expect(view.root.locator(".lm-tk-new b").first).to_have_text(name)
    agrees(view)
    view.button("Back").click()
    view.until("d.position === '1'")
    agrees(view)
    view.button("Reset").click()
    view.until("d.position === '0'")
    expect(view.button("Back")).to_be_disabled()


def test_play_and_pause(view: Live) -> None:
    view.root.locator(".lm-speed select").select_option("20")
    view.button("▶ Play").click()
    view.until("d.playing === 'true' && Number(d.position) > 5")
    view.root.get_by_role("button", name="Pause").click()
    view.until("d.playing === 'false'")
    at = view.data("position")
    view.frames()
    assert view.data("position") == at
    agrees(view)
    view.button("▶ Play").click()
    view.until("d.playing === 'false' && d.position === d.learned", timeout=20)
    expect(view.status).to_contain_text("No pair is frequent enough any more")
    agrees(view)


def test_scrubbing_makes_fewer_tokens(view: Live) -> None:
    totals = []
    for k in (0, 10, 30, int(view.data("learned"))):
        scrub(view, k)
        totals.append(view.number("total"))
        agrees(view)
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < 0.5 * totals[0]


def test_a_click_on_the_curve_shows_that_moment(view: Live) -> None:
    view.page.mouse.click(*view.place("fall", 20, 100))
    view.until("d.position === '20'")
    expect(view.root.locator(".lm-readout")).to_contain_text("after 20 merges")


def test_the_bars_are_the_counts(view: Live) -> None:
    scrub(view, 7)
    shown = view.js("live.candidatesAt(7).map(row => Array.from(row))")
    wanted = view.kernel("w.film.candidates[7]")
    assert [tuple(map(int, pair)) for pair in shown] == wanted
    assert len(wanted) == 12


def test_a_chinese_sentence_and_an_emoji(view: Live) -> None:
    view.control("source").select_option("pairs")
    learned(view, "1")
    text = "我们不去学校。🙂 We go."
    view.control("sentence").fill(text)
    view.kernel_until("w.values['sentence']", text)
    view.until("live.length === arg", len(text))
    agrees(view)
    byte_chips = view.root.locator(".lm-tk-byte")
    first = byte_chips.count()
    scrub(view, 150)
    agrees(view)
    assert 0 < byte_chips.count() < first
    assert "我们" in chips(view)
    expect(row(view, "characters")).to_contain_text("我")
    expect(row(view, "words").locator("td").nth(2)).not_to_be_empty()


def test_the_four_tokenizers_side_by_side(view: Live) -> None:
    scrub(view, 12)
    count = view.kernel("len(w.tokens(12))")
    cells = row(view, "byte pairs, here").locator("td")
    expect(cells.nth(0)).to_have_text("268")
    expect(cells.nth(1)).to_have_text(str(count))
    expect(cells.nth(3)).to_have_text("0")
    for name in ("characters", "words", "WordPiece of MiniLM"):
        wanted = view.kernel(f"next(r for r in w._compared if r['name'] == {name!r})")
        cells = row(view, name).locator("td")
        if not wanted["size"]:
            expect(row(view, name)).to_contain_text("not installed")
            continue
        expect(cells.nth(1)).to_have_text(str(len(wanted["ids"])))
        expect(cells.nth(3)).to_have_text(str(wanted["unknown"]))
        assert cells.nth(4).locator("span").all_inner_texts() == wanted["tokens"]


def test_typing_a_text_learns_from_it(view: Live) -> None:
    film = view.data("film")
    view.control("text").fill("hug hug pug pun bun hugs")
    learned(view, film)
    assert view.control("source").input_value() == "typed"
    assert view.kernel("w.film.texts") == ("hug hug pug pun bun hugs",)
    scrub(view, 1)
    agrees(view)


def test_an_empty_text_has_no_pairs(view: Live) -> None:
    film = view.data("film")
    view.control("text").fill("")
    learned(view, film)
    assert view.data("learned") == "0"
    view.button("▶ Play").click()
    view.frames()
    assert view.data("playing") == "false"
    expect(view.status).to_contain_text("No pair is frequent enough any more")


@pytest.mark.parametrize("name", ["merges", "min_count"])
def test_sliders_learn_again(view: Live, name: str) -> None:
    spec = view.kernel(f"next(c.spec() for c in w.CONTROLS if c.name == {name!r})")
    for key, end in (("Home", spec["low"]), ("End", spec["high"])):
        view.press(view.control(name), key)
        view.kernel_until(f"(w.values[{name!r}], w.film.complete)", (end, True))
        wanted = view.kernel("len(w.film.merges)")
        view.until("d.complete === 'true' && d.learned === arg", str(wanted))
    agrees(view)


def test_space_on_a_picture_plays_and_pauses(view: Live) -> None:
    canvas = view.root.locator("canvas.lm-canvas").first
    view.press(canvas, "Space")
    view.until("d.playing === 'true' && Number(d.position) > 0")
    view.press(canvas, "Space")
    view.until("d.playing === 'false'")


def test_letters_do_not_cut_cells(view: Live) -> None:
    promises.check_keys_stay(view)


def test_error_in_the_kernel_stands_in_red(view: Live) -> None:
    promises.check_error_shows(view, "merges")


def test_running_the_cell_again_leaves_one(view: Live) -> None:
    promises.check_rerun(view)


def test_picture_is_saved(view: Live) -> None:
    promises.check_saved_picture(view, "tokenizer")


def test_nothing_overflows(view: Live) -> None:
    scrub(view, 14)
    promises.check_layouts(view, "tokenizer")


def test_restarted_kernel_is_told(view: Live) -> None:
    promises.check_restart(view)
