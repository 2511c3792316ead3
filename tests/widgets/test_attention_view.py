"""The attention widget, as its page gets it: maps, numbers, changes, and a training."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch

from lib.attention_lab import Subject
from lib.attention_practice import Practice
from lib.models.configs import EncoderConfig
from lib.models.transformer import Encoder
from lib.pretrained import minilm
from lib.widgets.attention import EXAMPLES, AttentionView
from tests.widgets.cases import SENTENCE, WORDS
from tests.widgets.cases import attention as make
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CHANGES = ("temperature", "scaled", "positions", "mask", "padded")
TRAINING = ("task", "length", "learning_rate", "speed", "steps", "device")


def practice(**values) -> AttentionView:
    return AttentionView(
        task="copy", **{"length": 3, "layers": 1, "heads": 2, **values}
    )


def control(widget: AttentionView, name: str):
    return next(c for c in widget.CONTROLS if c.name == name)


def part(page: FakePage, name: str, dtype: str = "<f4") -> np.ndarray:
    """The newest buffer of this name, in a message or else in the snapshot."""
    pairs = zip(page.messages, page.buffers, strict=True)
    for message, buffers in reversed(list(pairs)):
        if name in message.get("parts", []):
            return np.frombuffer(buffers[message["parts"].index(name)], dtype)
    return np.frombuffer(page.widget.snapshot[name], dtype)


def check_page(widget: AttentionView, page: FakePage) -> None:
    """What the page has last been told is what the kernel's look says."""
    look, values = widget.record.look, widget.values
    maps = part(page, "maps", "u1").astype(float)[-look.weights.numel() :]
    assert np.abs(maps - 255 * look.weights.numpy().ravel()).max() <= 0.5
    T, D, at = len(look.tokens), look.q.shape[-1], (values["layer"], values["head"])
    head = part(page, "head")
    q, k = (head[: 2 * T * D]).reshape(2, T, D)
    np.testing.assert_array_equal(q, look.q[at].numpy())
    np.testing.assert_array_equal(k, look.k[at].numpy())
    np.testing.assert_array_equal(head[2 * T * D :], look.weights[at].numpy().ravel())
    np.testing.assert_array_equal(part(page, "moved"), widget.record.change.moved)


# ---- controls


@pytest.mark.parametrize("name", ["layer", "head", *CHANGES])
def test_every_control_of_a_look_over_its_range(open_page, name):
    widget = make()
    page = open_page(widget)
    page.set("layer", 1)  # something else is on the page
    for value in [
        *values_over_range(control(widget, name)),
        control(widget, name).default,
    ]:
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        check_page(widget, page)
        if name in CHANGES:
            assert getattr(widget.record.settings, name) == value
    told = [m["look"] for m in page.of_kind("news") if "look" in m]
    assert told[-1]["changed"] is False
    json.dumps(page.messages, allow_nan=False)


@pytest.mark.parametrize("name", TRAINING)
def test_every_control_of_a_training_over_its_range(open_page, name):
    widget = practice()
    page = open_page(widget)
    for value in values_over_range(control(widget, name)):
        page.do("step")
        again = name in ("task", "length", "device") and value != widget.values[name]
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        assert (widget.practice.step == 0) is again
        check_page(widget, page)
    json.dumps(page.messages, allow_nan=False)


def test_a_text_is_read_and_one_that_cannot_be_is_said(open_page):
    widget = make()
    page = open_page(widget)
    page.set("text", "a cat on the mat")
    assert widget.record.look.tokens == ["a", "cat", "on", "the", "mat"]
    check_page(widget, page)
    with pytest.raises(ValueError, match="does not know 'dog'"):
        page.set("text", "a dog")
    assert widget.error.startswith("ValueError: The model does not know 'dog'")
    page.set("text", "a mat")
    assert widget.error is None
    assert widget.record.look.tokens == ["a", "mat"]


def test_minilm_reads_examples_and_typed_text(open_page):
    try:
        widget = AttentionView()
    except FileNotFoundError as error:
        pytest.skip(f"NOT RUN: {error}")
    page = open_page(widget)
    look = widget.record.look
    it, trophy = look.tokens.index("it"), look.tokens.index("trophy")
    assert look.weights[3, 1, it, trophy] > 0.5  # why this head is shown first
    page.set("example", EXAMPLES[3])
    assert widget.values["text"] == EXAMPLES[3]
    for text in values_over_range(control(widget, "text")):
        page.set("text", text)
        assert widget.values["example"] == "own"
        assert widget.record.look.tokens[0] == "[CLS]"
        assert len(widget.record.look.tokens) <= 128
    page.set("text", EXAMPLES[0])
    assert widget.values["example"] == EXAMPLES[0]
    page.do("switch", 0, 0)
    assert 0.99 < widget.record.change.cosine < 0.9999
    with pytest.raises(ValueError, match="'gpt2'; give 'minilm'"):
        AttentionView("gpt2")


# ---- heads


def test_heads_switch_off_and_on_again(open_page):
    widget = make()
    page = open_page(widget)
    page.do("switch", 1, 2)
    assert page.of_kind("news")[-1]["off"] == [(1, 2)]
    assert widget.record.change.size > 1e-4
    check_page(widget, page)
    page.do("switch", 0, 0)
    page.do("switch", 1, 2)
    assert page.of_kind("news")[-1]["off"] == [(0, 0)]
    page.set("temperature", 2.0)
    page.do("original")
    assert page.of_kind("news")[-1]["off"] == []
    assert widget.values["temperature"] == 1.0
    assert widget.record.change.size == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="no head 3"):
        page.do("switch", 0, 3)


def test_trying_every_head_finds_what_switching_finds(open_page):
    widget = make()
    page = open_page(widget)
    page.do("try_heads")
    assert page.of_kind("news")[-1]["trying"] is True
    widget.finish()
    news = page.of_kind("news")[-1]
    assert (news["trying"], news["tried"]) == (False, 6)
    impact = part(page, "impact").reshape(2, 3)
    page.do("switch", 1, 1)
    assert impact[1, 1] == pytest.approx(widget.record.change.size)
    assert len(part(page, "impact")) == 0  # of another look: gone
    page.do("try_heads")
    page.do("cancel")
    assert page.of_kind("news")[-1]["trying"] is False
    assert widget.working is False


# ---- training


def test_a_training_steps_resets_and_repeats_itself(open_page):
    widget = practice()
    page = open_page(widget)
    for _ in range(3):
        page.do("step")
    first = [row for m in page.of_kind("news") if "curve" in m["parts"] for row in [m]]
    assert [m["from"] for m in first] == [1, 2, 3]
    curve = list(widget.curve)
    assert [row[0] for row in curve] == [0, 1, 2, 3]
    maps = widget.record.maps()
    check_page(widget, page)
    page.do("reset")
    assert page.of_kind("news")[-1]["kept"] == [0]
    for _ in range(3):
        page.do("step")
    assert widget.curve == curve
    assert widget.record.maps() == maps


def test_the_curve_and_the_maps_come_from_the_model_that_trains(open_page):
    widget = practice()
    page = open_page(widget)
    widget.run(steps=40)
    other = Practice("copy", 3, 1, 2)
    other.advance(40)
    assert widget.curve[-1] == (40, *other.score())
    look = other.subject.look(other.example()[0])
    torch.testing.assert_close(widget.record.look.weights, look.weights)
    page.do("step")
    check_page(widget, page)


def test_play_goes_to_the_goal_and_a_hand_changes_things_meanwhile():
    async def play():
        widget = practice(steps=100, speed="20")
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.practice.step >= 20)
        page.set("temperature", 3.0)
        assert widget.working
        page.set("head", 1)
        await until(lambda: not widget.working, 20)
        assert widget.practice.step == 100
        assert widget.record.settings.temperature == 3.0
        news = page.of_kind("news")[-1]
        assert (news["playing"], news["step"]) == (False, 100)
        check_page(widget, page)
        page.do("play")  # from the start again
        await until(lambda: 0 < widget.practice.step < 100)
        page.do("pause")
        await until(lambda: not widget.working)
        at = widget.practice.step
        await asyncio.sleep(0.1)
        assert widget.practice.step == at
        widget.close()

    asyncio.run(play())


def test_the_scrubber_gets_the_numbers_of_a_kept_step(open_page):
    widget = practice()
    page = open_page(widget)
    for _ in range(4):
        page.do("step")
    page.do("show", 2)
    news = page.of_kind("news")[-1]
    kept = widget.film.records[2]
    assert news["id"] == kept.id == news["look"]["id"] == news["exact"][0]
    T, D = len(kept.look.tokens), kept.look.q.shape[-1]
    place = widget.values["layer"], widget.values["head"]
    weights = part(page, "head")[2 * T * D :]
    np.testing.assert_array_equal(weights, kept.look.weights[place].numpy().ravel())
    assert "maps" not in news["parts"]  # the page has them
    page.do("show", None)
    assert page.of_kind("news")[-1]["id"] == widget.film.records[4].id


def test_another_sequence_is_looked_at_and_the_training_stays(open_page):
    widget = practice()
    page = open_page(widget)
    page.do("step")
    page.do("step")
    before = widget.record.look.tokens
    page.do("another")
    assert widget.record.look.tokens != before
    assert page.of_kind("news")[-1]["kept"] == [2]
    assert widget.practice.step == 2
    check_page(widget, page)


# ---- to the page


@pytest.mark.parametrize("kind", [make, practice])
def test_a_page_that_opens_late_sees_everything(open_page, kind):
    widget = kind()
    page = open_page(widget)
    page.do("switch", 0, 1)
    if widget.practice:
        for _ in range(5):
            page.do("step")
    open_page(widget)
    state = widget.snapshot
    look = widget.record.look
    assert state["off"] == [(0, 1)]
    assert state["look"]["tokens"] == look.tokens
    assert len(state["fresh"]) == len(state["kept"]) == len(widget.film.records)
    assert len(state["maps"]) == len(state["kept"]) * look.weights.numel()
    moved = np.frombuffer(state["moved"], "<f4")
    np.testing.assert_array_equal(moved, widget.record.change.moved)
    if widget.practice:
        curve = np.frombuffer(state["curve"], "<f4").reshape(-1, 3)
        np.testing.assert_allclose(curve, widget.curve, rtol=1e-6)


def test_news_is_small_and_nothing_is_sent_twice(open_page):
    widget = practice()
    page = open_page(widget)
    page.do("step")
    page.do("step")
    sizes = [
        len(json.dumps(m)) + sum(map(len, b))
        for m, b in zip(page.messages, page.buffers, strict=True)
        if m["kind"] == "news"
    ]
    assert max(sizes) < 4_000
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent
    page.set("head", 0)
    page.set("head", 1)  # only this head's numbers, no maps
    assert page.of_kind("news")[-1]["parts"] == ["head", "moved"]


def test_twelve_layers_and_heads_travel_as_one_byte_a_weight(open_page):
    config = EncoderConfig(vocab_size=7, context=64, channels=48, num_layers=12,
                           num_heads=12, hidden=8)  # fmt: skip
    widget = AttentionView(Encoder(config), tokens=WORDS, text="cat " * 64)
    open_page(widget)
    assert len(widget.snapshot["maps"]) == 12 * 12 * 64 * 64
    others = (v for v in widget.snapshot.values() if isinstance(v, bytes))
    assert sum(map(len, others)) < 12 * 12 * 64 * 64 + 20_000


def test_under_a_loop_the_newest_text_wins_and_errors_show():
    async def play():
        widget = make()
        page = FakePage(widget).hello()
        for text in ("a", "a mat", "a mat on", "a mat on the cat"):
            page.set("text", text)
        await until(lambda: len(widget.record.look.tokens) == 5)
        await until(lambda: not widget.working)
        assert " ".join(widget.record.look.tokens) == "a mat on the cat"
        assert widget.record.id <= 3  # the texts between were not waited for
        check_page(widget, page)
        page.set("text", "dog")
        await until(lambda: page.of_kind("error"))
        assert "does not know 'dog'" in page.of_kind("error")[-1]["text"]
        page.set("text", "a cat")
        await until(lambda: page.of_kind("error")[-1]["text"] is None)
        await until(lambda: widget.record.look.tokens == ["a", "cat"])
        widget.close()

    asyncio.run(play())


def test_a_page_that_leaves_amid_a_look_finds_it_done_when_it_comes_back():
    async def play():
        widget = make()
        page = FakePage(widget).hello()
        await until(lambda: widget.snapshot)
        page.set("text", "mat mat mat")
        page.tell(kind="bye")
        await asyncio.sleep(0)
        assert widget.values["text"] == "mat mat mat"
        assert len(widget.record.look.tokens) == 6
        await until(lambda: not widget.working)
        late = FakePage(widget).hello()
        await until(lambda: late.of_kind("welcome"))
        assert widget.snapshot["look"]["tokens"] == ["mat"] * 3
        widget.close()

    asyncio.run(play())


# ---- without a page


def test_run_returns_the_look():
    widget = make(mask="causal")
    look = widget.run("cat on mat")
    assert look.tokens == ["cat", "on", "mat"]
    assert look.weights[0, 0].triu(1).abs().max() == 0
    trained = practice(steps=100)
    trained.run()
    assert trained.practice.step == 100
    assert [b - a for a, b in pairwise(trained.film.records)] == [20] * 5


def test_text_and_a_picture_that_changes_with_the_heads():
    first = make()
    assert first.describe() == "Attention of a Transformer with 2 layers and 3 heads"
    assert practice().describe() == (
        "Attention of a small Transformer while it learns a task"
    )
    png = first.still()
    first.do_switch(0, 0)
    assert png != first.still()
    assert len(png) < 60_000


def test_the_picture_shows_maps_head_and_bars():
    widget = make(layer=1, head=2)
    widget.do_switch(0, 0)
    grid, large, bars = widget.figure().axes
    weights = widget.record.look.weights.numpy()
    np.testing.assert_allclose(large.images[0].get_array(), np.sqrt(weights[1, 2]))
    tiles = grid.images[0].get_array()
    np.testing.assert_allclose(tiles[:6, 7:13], np.sqrt(weights[0, 1]))
    heights = [bar.get_height() for bar in bars.patches]
    np.testing.assert_allclose(heights, widget.record.change.moved)
    assert [t.get_text() for t in large.get_xticklabels()] == SENTENCE.split()


def test_nothing_moved_needs_no_panel():
    grid, large = make(layer=1, head=2).figure().axes
    assert (grid.get_xlabel(), large.get_ylabel()) == ("head", "from")


def test_sentences_stay_when_the_encoder_is_passed():
    widget = AttentionView(minilm(), text=EXAMPLES[2])
    assert widget.values["example"] == EXAMPLES[2]
    widget.set(example=EXAMPLES[1])
    assert "climbed" in widget.record.look.tokens


def test_wrong_models_and_controls_are_refused():
    with pytest.raises(TypeError, match="is a Linear"):
        AttentionView(torch.nn.Linear(2, 2), tokens="ab")
    with pytest.raises(ValueError, match="no control 'heat'"):
        make(heat=1)
    with pytest.raises(ValueError, match="'sort'"):
        AttentionView(task="sort")
    assert math.isclose(Subject(make().subject.model, tokens=WORDS).size, 8)


def test_close_frees_everything():
    widget = practice()
    FakePage(widget).hello().do("step")
    gone = [weakref.ref(widget), weakref.ref(widget.practice), weakref.ref(widget.film)]
    widget.close()
    del widget
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]
