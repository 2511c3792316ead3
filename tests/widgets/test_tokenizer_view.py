"""The merges of byte-pair encoding, as the page gets them."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from lib.byte_pairs import BytePairTraining
from lib.merges import CANDIDATES, POEM, compare
from lib.tokenizers import BytePairTokenizer
from lib.widgets.tokenizer import TokenizerView
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CONTROLS = {control.name: control for control in TokenizerView.CONTROLS}
SLOW = ("prose", "pairs")  # sources that take a second


def merged(page: FakePage) -> np.ndarray:
    """(merges, 4) of all news so far: left, right, count, tokens in all."""
    table = np.frombuffer(page.first["merges"], "<f4").reshape(-1, 4)
    for content, buffers in zip(page.messages, page.buffers, strict=True):
        if content["kind"] == "news":
            part = np.frombuffer(buffers[content["parts"].index("merges")], "<f4")
            table = np.concatenate([table[: content["from"]], part.reshape(-1, 4)])
    return table


def opened(open_page, widget: TokenizerView) -> FakePage:
    page = open_page(widget)
    page.first = dict(widget.snapshot)
    return page


def own(text: str, merges: int, min_count: int = 2) -> list:
    training = BytePairTraining([text], min_count=min_count)
    for _ in range(merges):
        if training.step() is None:
            break
    return [(m.left, m.right, m.count, m.total) for m in training.merges]


@pytest.mark.parametrize("name", CONTROLS)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = TokenizerView()
    page = opened(open_page, widget)
    for value in values_over_range(CONTROLS[name]):
        if value in SLOW:
            continue
        page.set(name, value)
        widget.finish()
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        text = widget.values["text"] if widget.values["source"] == "typed" else POEM
        wanted = own(text, widget.values["merges"], widget.values["min_count"])
        np.testing.assert_array_equal(merged(page), np.reshape(wanted, (-1, 4)))
    json.dumps(page.messages, allow_nan=False)


def test_typing_learns_from_what_is_typed(open_page):
    widget = TokenizerView()
    page = opened(open_page, widget)
    page.set("text", "语言语言 语言 ab ab")
    widget.finish()
    assert page.of_kind("news")[-1]["values"]["source"] == "typed"
    assert widget.tokens()[:3] == ["T", "h", "e"]
    page.set("sentence", "语言")
    assert widget.tokens() == ["语言"]
    page.set("source", "poem")
    widget.finish()
    np.testing.assert_array_equal(merged(page), own(POEM, 150))


def test_more_merges_go_on_and_fewer_begin_again(open_page):
    widget = TokenizerView(merges=20)
    page = opened(open_page, widget)
    page.set("merges", 40)
    widget.finish()
    assert [m["from"] for m in page.of_kind("news")][-1] == 20
    np.testing.assert_array_equal(merged(page), own(POEM, 40))
    page.set("merges", 10)
    widget.finish()
    np.testing.assert_array_equal(merged(page), own(POEM, 10))


def test_names_and_pairs_fit_the_merges(open_page):
    widget = TokenizerView(merges=30)
    page = opened(open_page, widget)
    state = page.first
    tokenizer = BytePairTokenizer.train([POEM], size=286, special=())
    assert state["names"] == tokenizer.vocabulary
    pairs = np.frombuffer(state["pairs"], "<f4").reshape(-1, CANDIDATES, 3)
    assert len(pairs) == 31
    np.testing.assert_array_equal(pairs[:30, 0], [m[:3] for m in own(POEM, 30)])
    assert state["first_total"] == len(POEM.encode())
    shown = b"".join(bytes(piece) for piece in state["excerpt"])
    assert shown == POEM.encode()


def test_the_sentence_travels_in_bytes_with_its_comparison(open_page):
    widget = TokenizerView()
    page = opened(open_page, widget)
    page.set("sentence", "river 🙂 语")
    news = page.of_kind("news")[-1]
    assert b"".join(map(bytes, news["pieces"])).decode() == "river 🙂 语"
    assert news["length"] == 9
    wanted = compare("river 🙂 语", (POEM,))
    assert [row["ids"] for row in news["compared"]] == [row.ids for row in wanted]
    assert "excerpt" not in news  # nothing that has not changed


def test_texts_of_ones_own():
    widget = TokenizerView(["abab abab", "ab"])
    assert widget.values["source"] == "own"
    assert [m.count for m in widget.film.merges] == [5, 2, 2][: len(widget.film.merges)]
    widget.set(source="poem")
    widget.run()
    assert len(widget.film.merges) == len(own(POEM, 150))
    with pytest.raises(TypeError, match="list of strings"):
        TokenizerView("abab")
    with pytest.raises(ValueError, match="no text"):
        TokenizerView([])


def test_a_source_and_a_text_can_be_set_together():
    widget = TokenizerView(source="typed", text="xyxy xyxy", min_count=3)
    assert len(widget.film.merges) == 1
    widget.set(source="typed", text="xyxyz xyxyz xyxyz")
    assert [m.count for m in widget.run().merges] == [6, 3, 3]
    widget.set(source="poem", text="zz")
    assert widget.run().texts == (POEM,)
    assert TokenizerView(text="aa aa").film.texts == ("aa aa",)


def test_a_page_that_opens_late_sees_all(open_page):
    widget = TokenizerView(merges=20)
    opened(open_page, widget).set("merges", 30)
    widget.finish()
    late = opened(open_page, widget)
    np.testing.assert_array_equal(merged(late), own(POEM, 30))
    assert late.first["complete"] is True


def test_messages_are_small_and_nothing_is_sent_twice(open_page):
    widget = TokenizerView()
    page = opened(open_page, widget)
    page.set("sentence", "the river")
    text = len(json.dumps(page.of_kind("news")[-1]))
    assert text + sum(map(len, page.buffers[-1])) < 3_000
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_a_long_text_is_learned_in_slices_and_can_be_left():
    async def play():
        widget = TokenizerView()
        page = FakePage(widget).hello()
        page.set("source", "prose")
        await until(lambda: widget.values["source"] == "prose")
        await until(lambda: len(widget.film.merges) > 4)
        assert not widget.film.complete
        page.set("source", "poem")
        await until(lambda: page.of_kind("news")[-1]["complete"])
        assert [m[:2] for m in own(POEM, 150)] == [
            (m.left, m.right) for m in widget.film.merges
        ]
        widget.close()

    asyncio.run(play())


def test_an_error_is_shown_in_the_page_under_a_loop(monkeypatch):
    def broken(_film, _merges):
        yield
        raise RuntimeError("the merge broke")

    async def play():
        widget = TokenizerView()
        page = FakePage(widget).hello()
        monkeypatch.setattr("lib.merges.MergeFilm.work", broken)
        page.set("min_count", 3)
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the merge broke"
        widget.close()

    asyncio.run(play())


def test_text_and_picture():
    widget = TokenizerView()
    wanted = "Byte-pair encoding, merge by merge, and the tokens of a sentence"
    assert widget.describe() == wanted
    assert widget.still().startswith(b"\x89PNG")
    bars, curve = widget.figure().axes
    assert [p.get_width() for p in bars.patches] == [m[2] for m in own(POEM, 15)]
    totals = [len(POEM.encode()), *(m[3] for m in own(POEM, 150))]
    np.testing.assert_array_equal(curve.lines[0].get_ydata(), totals)
    assert TokenizerView(source="typed", text="").still().startswith(b"\x89PNG")
