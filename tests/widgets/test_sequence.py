"""Recurrent cells step by step, as the page gets them."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from lib.models.recurrent import RecurrentClassifier
from lib.sequence_lab import FIRST, INPUTS, KINDS, SequenceLab, gradient_reach
from lib.tokenizers import WordTokenizer
from lib.widgets.sequence import TEXTS, Sequence
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

SMALL = {"hidden": 4, "length": 5, "steps": 50}
NAMES = [c.name for c in Sequence.CONTROLS]


def control(name: str):
    return next(c for c in Sequence.CONTROLS if c.name == name)


def unpack(page: FakePage, shape: dict) -> dict[str, np.ndarray]:
    """The newest numbers of one cell, by name, as the page takes them apart."""
    all_ = page.floats(shape["kind"])
    T, C = shape["steps"], shape["units"]
    sizes = [(n, C) for n in shape["names"]]
    sizes += [("from_input", C * shape["gates"]), ("from_state", C * shape["gates"])]
    sizes += [("answers", shape["classes"])] if shape["classes"] else []
    out, at = {}, 0
    for name, wide in sizes:
        out[name] = all_[at : at + T * wide].reshape(T, wide)
        at += T * wide
    assert at == len(all_)
    return out


def trained() -> tuple[RecurrentClassifier, WordTokenizer]:
    tokenizer = WordTokenizer.train(["good bad film the was not"])
    return RecurrentClassifier(len(tokenizer), 2, 6, 5, "gru", seed=1), tokenizer


# ---- controls


@pytest.mark.parametrize("name", [n for n in NAMES if n != "text"])
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = Sequence(**SMALL | {"length": 10})
    page = open_page(widget)
    for value in values_over_range(control(name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        assert widget.snapshot
        if name in ("hidden", "length"):
            record = widget.lab.history[0]
            assert record.reach.shape == (3, 2, widget.values["length"])
            assert (
                widget.traces["lstm"].values["cell"].shape[1]
                == (widget.values["hidden"])
            )
            rows = page.floats("rows")
            np.testing.assert_allclose(rows[7:], record.reach.ravel(), rtol=1e-6)
    json.dumps([m for m in page.messages if m["kind"] == "news"], allow_nan=False)


def test_any_text_is_words_and_one_that_cannot_be_read_leaves_the_last(open_page):
    widget = Sequence(source="words", text="good", **SMALL)
    page = open_page(widget)
    page.set("text", "Das Ähm… 语言 🙂")
    assert widget.labels == ["das", "ähm", "…", "语言", "🙂"]
    for value in ("", "x " * 100):
        page.set("text", value)
        assert "type 1 to 60" in page.of_kind("news")[-1]["problem"]
        assert len(widget.labels) == 5
        assert widget.values["text"] == value
    page.set("text", "not good")
    news = page.of_kind("news")[-1]
    assert news["problem"] is None
    assert news["labels"] == ["not", "good"]
    assert page.floats("inputs").size == 2 * INPUTS
    assert page.of_kind("error") == []


@pytest.mark.parametrize("source", list(TEXTS))
def test_each_source_has_a_text_that_it_reads(open_page, source):
    widget = Sequence(source="words" if source == "letters" else "letters", **SMALL)
    page = open_page(widget)
    page.set("source", source)
    assert widget.values["text"] == TEXTS[source]
    news = page.of_kind("news")[-1]
    assert news["labels"] == widget.labels
    for shape in news["traces"]:
        seen = unpack(page, shape)
        assert ("answers" in seen) == (source == "letters")
        trace = widget.traces[shape["kind"]]
        for name, values in trace.values.items():
            np.testing.assert_allclose(seen[name], values, rtol=1e-6, atol=1e-7)


def test_numbers_enter_as_the_first_input(open_page):
    page = open_page(Sequence(**SMALL))
    page.set("source", "numbers")
    page.set("text", "2 -3")
    inputs = page.floats("inputs").reshape(2, INPUTS)
    np.testing.assert_array_equal(inputs[:, 0], [2.0, -3.0])
    assert not inputs[:, 1:].any()


# ---- training


def test_training_on_a_loop_tells_records_and_the_new_weights():
    async def play():
        widget = Sequence(**SMALL)
        page = FakePage(widget).hello()
        first = widget.traces["lstm"].values["hidden"].copy()
        page.do("play")
        await until(lambda: widget.lab.step >= 20, 30)
        page.do("pause")
        await until(lambda: page.of_kind("news")[-1]["playing"] is False)
        at = widget.lab.step
        assert widget.values["weights"] == "trained"
        assert not np.allclose(widget.traces["lstm"].values["hidden"], first)
        await asyncio.sleep(0.05)
        assert widget.lab.step == at < 50
        page.do("step")
        await until(lambda: not widget.working and widget.lab.step > at, 30)
        assert widget.lab.step == at + 10 - at % 10
        page.set("weights", "first")
        await until(lambda: widget.values["weights"] == "first")
        np.testing.assert_array_equal(widget.traces["lstm"].values["hidden"], first)
        page.do("play")
        await until(lambda: not widget.working and widget.lab.step == 50, 30)
        assert page.of_kind("error") == []
        late = FakePage(widget).hello()
        await until(lambda: late.of_kind("welcome"))
        rows = np.frombuffer(widget.snapshot["rows"], "<f4").reshape(6, -1)
        np.testing.assert_array_equal(rows[:, 0], [0, 10, 20, 30, 40, 50])
        page.do("reset")
        await until(lambda: widget.lab.step == 0 and len(widget.records) == 1)
        widget.close()

    asyncio.run(play())


def test_run_is_the_lab_itself():
    widget = Sequence(**SMALL)
    records = widget.run(20)
    wanted = SequenceLab(hidden=4, length=5).run(20).history
    for a, b in zip(records, wanted, strict=True):
        np.testing.assert_array_equal(a.accuracies, b.accuracies)
        np.testing.assert_array_equal(a.reach, b.reach)
    assert widget.lab.step == 20
    assert widget.run()[-1].step == 50


def test_only_new_records_are_sent_and_nothing_twice(open_page):
    widget = Sequence(**SMALL)
    page = open_page(widget)
    widget.run(20)
    news = page.of_kind("news")[-1]
    assert (news["from"], news["records"]) == (1, 3)
    width = 1 + 2 * 3 + 3 * 2 * 5
    assert page.floats("rows").size == 2 * width
    page.set("of", "state")  # what is shown of the records, not the records
    assert page.floats("rows").size == 0
    assert "traces" not in page.of_kind("news")[-1]
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_a_new_setting_starts_again(open_page):
    widget = Sequence(**SMALL)
    page = open_page(widget)
    widget.run(10)
    run = page.of_kind("news")[-1]["run"]
    page.set("keep", -2.0)
    news = page.of_kind("news")[-1]
    assert (news["run"], news["from"], news["step"]) == (run + 1, 0, 0)
    cell = widget.lab.first["lstm"].recurrent.cells[0]
    assert torch.equal(cell.bias_ih[4:8], torch.full((4,), -2.0))


# ---- a model from a lesson


def test_a_given_model_reads_its_own_tokens(open_page):
    model, tokenizer = trained()
    widget = Sequence(model, tokenizer, ("complaint", "praise"), "the film was good")
    page = open_page(widget)
    state = widget.snapshot
    assert state["labels"] == ["the", "film", "was", "good"]
    assert [c["name"] for c in state["controls"]] == ["text", "cell", "weights", "of"]
    assert (state["kinds"], state["trains"]) == (["gru"], False)
    assert state["classes"] == ["complaint", "praise"]
    page.set("text", "the film was not good")
    seen = unpack(page, page.of_kind("news")[-1]["traces"][0])
    tokens = torch.tensor([tokenizer.encode("the film was not good")])
    with torch.no_grad():
        wanted = model(tokens).softmax(1)[0]
    np.testing.assert_allclose(seen["answers"][-1], wanted, atol=1e-6)
    reach = gradient_reach(model, model.embedding(tokens), model(tokens).argmax(1))
    rows = page.floats("rows").reshape(2, -1)
    np.testing.assert_allclose(rows[1, 3:8], reach["input"], rtol=1e-5)
    assert not np.allclose(rows[0, 3:8], reach["input"])  # before training
    page.set("weights", "first")
    other = unpack(page, page.of_kind("news")[-1]["traces"][0])
    assert not np.allclose(other["answers"], seen["answers"])
    with pytest.raises(ValueError, match="trained already"):
        page.do("play")


def test_a_model_and_its_tokenizer_belong_together():
    model, tokenizer = trained()
    for given in ((model, None), (None, tokenizer), ("model", tokenizer)):
        with pytest.raises(ValueError, match="as model together with its tokenizer"):
            Sequence(*given)
    other = WordTokenizer.train(["two words"])
    with pytest.raises(ValueError, match="tokenizer has 6 tokens and the model 10"):
        Sequence(model, other)
    with pytest.raises(ValueError, match="classes has 3 names; the model has 2"):
        Sequence(model, tokenizer, "abc")
    with pytest.raises(ValueError, match="no control 'hidden'"):
        Sequence(model, tokenizer, hidden=4)


def test_without_a_page_errors_are_raised():
    with pytest.raises(ValueError, match="'q' is no letter"):
        Sequence(text="Bq", **SMALL)
    widget = Sequence(**SMALL)
    with pytest.raises(ValueError, match="'q' is no letter"):
        widget.set(text="q")


# ---- errors, pictures, end


def test_an_error_while_training_is_shown_and_training_ends(monkeypatch):
    def broken(_self):
        yield
        raise RuntimeError("the gate broke")

    async def play():
        widget = Sequence(**SMALL)
        page = FakePage(widget).hello()
        monkeypatch.setattr(SequenceLab, "train_step", broken)
        page.do("play")
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the gate broke"
        await until(lambda: page.of_kind("news")[-1]["playing"] is False)
        widget.close()

    asyncio.run(play())


@pytest.mark.parametrize("cell", ["rnn", "all"])
def test_picture_shows_every_gate_and_the_gradient(cell):
    widget = Sequence(cell=cell, **SMALL)
    strips = {"rnn": 1, "all": 1 + 4 + 6}[cell]
    assert len(widget.figure().axes) == strips + 1
    assert len(widget.figure().axes[-1].lines) == 3
    widget.run(10)
    axes = widget.figure().axes
    assert len(axes[-1].lines) == 6
    _d, share = axes[-1].lines[-1].get_data()
    reach = widget.records[-1].reach[2, 0][::-1]
    np.testing.assert_allclose(share, reach / reach[0])
    hidden = widget.traces["rnn"].values["hidden"].T
    np.testing.assert_array_equal(axes[0].images[0].get_array(), hidden)
    image = Image.open(io.BytesIO(widget.still())).convert("L")
    assert 0.02 < (np.asarray(image) < 200).mean() < 0.8


def test_text_is_the_same_on_every_run():
    text = "An RNN, a GRU and an LSTM, step by step through a sequence"
    assert Sequence(**SMALL).describe() == text
    model, tokenizer = trained()
    widget = Sequence(model, tokenizer)
    assert widget.describe() == "A trained GRU, step by step through a text"
    data, metadata = widget._repr_mimebundle_()
    assert data["text/plain"] == metadata["image/png"]["alt"] == widget.describe()
    assert len(FIRST) == 4
    assert widget.kinds == ("gru",) != KINDS
