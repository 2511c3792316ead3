"""The next token, as the page gets it: text, logits, cuts, beams, training."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
import torch

from lib.models.configs import DecoderConfig
from lib.models.generation import beam_search, generate, next_probabilities
from lib.models.transformer import Decoder
from lib.next_token_lab import prose_tokenizer
from lib.tokenizers import CharacterTokenizer
from lib.widgets.next_token import LONGEST, NextToken
from lib.widgets.next_token_still import ascii_safe
from tests.widgets.cases import PROSE
from tests.widgets.cases import next_token as make
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

CONTROLS = [control.name for control in NextToken.CONTROLS]


@pytest.fixture(scope="module")
def trained() -> NextToken:
    widget = NextToken(device="cpu")
    widget.run(tokens=5, steps=6)
    return widget


def control(widget: NextToken, name: str):
    return next(c for c in widget.CONTROLS if c.name == name)


# ---- controls


@pytest.mark.parametrize("name", CONTROLS)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make()
    page = open_page(widget)
    for value in values_over_range(control(widget, name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        told = [widget.snapshot, *page.of_kind("news")][-1]
        assert told["values"] == widget.values
        wanted = NextToken._cut(widget, widget.reader.logits)
        torch.testing.assert_close(widget.probabilities(), wanted)
        assert widget.probabilities().sum().item() == pytest.approx(1)
    json.dumps(page.messages, allow_nan=False)


def test_top_k_goes_up_to_the_vocabulary_of_the_model():
    assert control(make(), "top_k").high == 270
    assert control(NextToken, "top_k").high == 512


# ---- the text


@pytest.mark.parametrize("text", ["", "a", "the 语言 model 🙂", "mat" * 40])
def test_typed_text_is_what_the_tokenizer_and_the_model_say(open_page, text):
    widget = make(context=64)
    page = open_page(widget)
    page.set("prompt", text)
    news = page.of_kind("news")[-1]
    ids = widget.tokenizer.encode(text)
    assert (news["ids"], news["typed"], news["at"]) == (ids, len(ids), 0)
    start = widget.tokenizer.special["<start>"]
    whole = torch.tensor([[start, *ids][-64:]])
    logits = widget.reader.model(whole)[0, -1].detach()
    np.testing.assert_allclose(page.floats("logits"), logits, atol=1e-5)
    assert len(page.floats("log_p")) == len(ids)


def test_taken_tokens_are_read_and_undone(open_page):
    widget = make()
    page = open_page(widget)
    first = page.widget.reader.logits.clone()
    for token in (5, 70, 266):
        page.do("take", token)
    news = page.of_kind("news")[-1]
    assert news["ids"] == [*widget.ids, 5, 70, 266]
    log_p = torch.log_softmax(first, -1)[5].item()
    assert page.floats("log_p")[len(widget.ids)] == pytest.approx(log_p, abs=1e-6)
    page.do("undo")
    assert page.of_kind("news")[-1]["ids"] == [*widget.ids, 5, 70]
    page.do("seek", 1)
    news = page.of_kind("news")[-1]
    assert news["at"] == 1
    assert news["ids"] == [*widget.ids, 5, 70]  # what comes later is kept
    page.do("take", 9)
    assert page.of_kind("news")[-1]["ids"] == [*widget.ids, 5, 9]
    page.do("reset")
    np.testing.assert_allclose(page.floats("logits"), first, atol=1e-5)


def test_a_token_that_does_not_exist_is_refused(open_page):
    page = open_page(make())
    for token in (-1, 270, "a", 1.5):
        with pytest.raises(ValueError, match="from 0 to 269"):
            page.do("take", token)


def test_the_text_has_an_end(monkeypatch):
    monkeypatch.setattr("lib.widgets.next_token.LONGEST", 4)
    widget = make()
    widget.run(tokens=9)
    assert len(widget.taken) == 4
    with pytest.raises(ValueError, match="4 new tokens"):
        widget.do_take(5)


@pytest.mark.parametrize("cache", [True, False])
def test_the_most_likely_tokens_are_those_of_generate(cache):
    widget = make(cache=cache, top_k=1)
    before = torch.tensor([[*widget.reader.start, *widget.ids]])
    widget.run(tokens=20)  # beyond the context of 16
    text = generate(widget.reader.model, before, 20, temperature=0)
    assert [*widget.reader.start, *widget.shown] == text[0].tolist()


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 5.0])
@pytest.mark.parametrize(
    ("top_k", "top_p"), [(270, 1.0), (7, 1.0), (270, 0.4), (9, 0.6)]
)
def test_the_cuts_are_those_of_the_library(temperature, top_k, top_p):
    widget = make(temperature=temperature, top_k=top_k, top_p=top_p)
    options = temperature, None if top_k == 270 else top_k, top_p if top_p < 1 else None
    wanted = next_probabilities(widget.reader.logits, *options)
    torch.testing.assert_close(widget.probabilities(), wanted)
    assert 1 <= (wanted > 0).sum() <= top_k


def test_one_seed_writes_one_text():
    texts = [make(seed_of_draws=seed).run(tokens=12) for seed in (4, 4, 5)]
    assert texts[0] == texts[1] != texts[2]


def test_beams_are_those_of_the_library(open_page):
    widget = make(context=64)
    page = open_page(widget)
    page.do("beams")
    text = torch.tensor([[*widget.reader.start, *widget.ids]])
    found = beam_search(widget.reader.model, text, 8, 3)
    news = page.of_kind("news")[-1]
    tokens = [b.tokens[text.shape[1] :].tolist() for b in found]
    assert [beam["tokens"] for beam in news["beams"]] == tokens
    page.do("adopt", 1)
    news = page.of_kind("news")[-1]
    assert news["ids"] == [*widget.ids, *tokens[1]]
    assert news["beams"] == []  # of another text


def test_the_cost_with_and_without_the_cache(open_page):
    widget = make()
    page = open_page(widget)
    page.do("take", 5)
    news = page.of_kind("news")[-1]
    less, all_ = news["cost"]
    assert news["cached"]
    assert all_ >= 4 * less
    page.set("cache", False)
    page.do("take", 5)
    news = page.of_kind("news")[-1]
    assert not news["cached"]
    assert news["ms"] > 0


def test_a_model_without_unknown_tokens_says_so(open_page):
    tokenizer = CharacterTokenizer.train([PROSE], special=())
    config = DecoderConfig(vocab_size=len(tokenizer), channels=8, num_heads=2)
    page = open_page(NextToken(Decoder(config), tokenizer, prompt="the"))
    assert page.widget.reader.start == []
    with pytest.raises(ValueError, match="has not seen in training"):
        page.set("prompt", "Q")


def test_model_and_tokenizer_belong_together():
    widget = make()
    with pytest.raises(ValueError, match="belong together"):
        NextToken(model=widget.reader.model)
    with pytest.raises(ValueError, match="has no such token"):
        NextToken(widget.reader.model, widget.tokenizer, start="<begin>")


# ---- training


def test_training_is_played_paused_and_reset(open_page):
    async def play():
        widget = NextToken(device="cpu", steps=100)
        page = FakePage(widget).hello()
        first = page.widget.reader.logits.clone()
        page.do("train")
        await until(lambda: widget.small.step >= 7)
        page.do("pause")
        await until(lambda: not widget.working)
        await until(lambda: page.of_kind("news")[-1]["training"] is False)
        at = widget.small.step
        await asyncio.sleep(0.1)
        assert widget.small.step == at
        sent = [b for m, b in zip(page.messages, page.buffers, strict=True)
                if "losses" in m.get("parts", [])]  # fmt: skip
        news = [m for m in page.of_kind("news") if "losses" in m["parts"]]
        losses: list[float] = widget.small.losses[:0]
        for message, buffers in zip(news, sent, strict=True):
            part = buffers[message["parts"].index("losses")]
            losses[message["losses_from"] :] = np.frombuffer(part, "<f4").tolist()
        np.testing.assert_array_equal(losses, widget.small.losses)
        assert not np.allclose(page.floats("logits"), first)
        page.do("moment", 0)
        await until(lambda: page.of_kind("news")[-1]["moment"] == 0)
        np.testing.assert_allclose(page.floats("logits"), first, atol=1e-6)
        page.do("train_reset")
        await until(lambda: page.of_kind("news")[-1]["run"] == 1)
        news = page.of_kind("news")[-1]
        assert (news["step"], news["kept"], news["moment"]) == (0, 1, None)
        np.testing.assert_allclose(page.floats("logits"), first, atol=1e-6)
        page.do("train_step")
        await until(lambda: page.of_kind("news")[-1]["step"] == 1)
        widget.close()

    asyncio.run(play())


def test_training_stops_at_its_goal_and_keeps_the_last_moment():
    widget = NextToken(device="cpu")
    widget.values["steps"] = 5
    widget.do_train()
    widget.finish()
    assert widget.small.step == 5
    assert [m.step for m in widget.small.moments] == [0, 5]
    assert widget._training is False


# ---- to the page


def test_a_page_that_opens_late_sees_all(open_page, trained):
    late = open_page(trained)
    state = trained.snapshot
    assert state["vocabulary"] == prose_tokenizer().vocabulary
    assert state["ids"] == trained.shown
    losses = np.frombuffer(state["losses"], "<f4")
    np.testing.assert_allclose(losses, trained.small.losses)
    assert [m[0] for m in state["moments"]] == [0, 5]
    logits = np.frombuffer(state["logits"], "<f4")
    np.testing.assert_array_equal(logits, trained.reader.logits)
    assert len(np.frombuffer(state["draws"], "<f4")) == LONGEST
    assert late.of_kind("welcome")


def test_messages_are_small_and_nothing_is_sent_twice(open_page):
    widget = make()
    page = open_page(widget)
    page.do("take", 7)
    text = len(json.dumps(page.of_kind("news")[-1]))
    assert text + sum(map(len, page.buffers[-1])) < 4_000
    page.set("temperature", 0.5)
    assert page.buffers[-1] == []  # the page works it out from the logits
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_text_and_picture(trained):
    text = "The next token of a typed text, guessed by "
    wanted = text + "a small decoder that learns the course's prose"
    assert trained.describe() == wanted
    assert make().describe() == text + "a decoder with 270 tokens"
    assert trained.still().startswith(b"\x89PNG")
    bars, curve = trained.figure().axes
    assert len(bars.patches) == 30
    assert len(curve.lines) == 2
    wide = [p.get_width() for p in bars.patches[15:]]
    top = trained.probabilities().sort(descending=True).values[:15]
    np.testing.assert_allclose(wide, top, rtol=1e-5)
    (alone,) = make(prompt="语言 $x_1$").figure().axes
    assert "[8bed][8a00]" in alone.get_title(loc="left")


def test_an_empty_text_without_a_start_has_a_picture_and_no_choice(open_page):
    widget = make()
    bare = NextToken(widget.reader.model, widget.tokenizer, prompt="")
    assert bare.still().startswith(b"\x89PNG")
    page = open_page(bare)
    assert page.widget.snapshot["logits"] == b""
    for command in ("beams",):
        with pytest.raises(ValueError, match="no text yet"):
            page.do(command)


def test_an_error_is_shown_in_the_page_under_a_loop(monkeypatch):
    def broken(self, ids, use_cache=True):
        raise RuntimeError("the reader broke")

    async def play():
        widget = make()
        page = FakePage(widget).hello()
        monkeypatch.setattr("lib.next_token_lab.Reader.read", broken)
        page.do("take", 3)
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the reader broke"
        widget.close()

    asyncio.run(play())


def test_characters_without_a_glyph_are_written_by_number():
    assert ascii_safe("a\x1b\t\n$é·\u8bed") == "a[1b][9]\\n\\$é·[8bed]"
