"""Looking into a Transformer: equal to the model itself, and changes that do what they
say; a model that learns meanwhile."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from lib.attention_lab import IGNORED, Settings, Subject, compare
from lib.attention_practice import TASKS, TOKENS, Film, Practice, Record, task_batch
from lib.models.attention import causal_mask
from lib.models.configs import DecoderConfig, EncoderConfig
from lib.models.transformer import Decoder, Encoder, EncoderClassifier, mean_pool
from lib.tokenizers import WordTokenizer

WORDS = ("<pad>", "the", "cat", "sat", "on", "a", "mat")
SHAPE = {"vocab_size": 7, "context": 16, "channels": 24, "num_heads": 3, "hidden": 32}
TEXT = "the cat sat on a mat"


def encoder(seed: int = 0) -> Subject:
    return Subject(Encoder(EncoderConfig(**SHAPE), seed=seed), tokens=WORDS)


def decoder(positions: str = "learned") -> Subject:
    config = DecoderConfig(**SHAPE, positions=positions)
    return Subject(Decoder(config, seed=1), tokens=WORDS)


def classifier() -> Subject:
    model = EncoderClassifier(EncoderConfig(**SHAPE), classes=3, seed=2)
    return Subject(model, tokens=WORDS)


KINDS = {"encoder": encoder, "decoder": decoder, "classifier": classifier}


# ---- looking


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_without_changes_is_the_model_itself(kind):
    subject = KINDS[kind]()
    ids = subject.read(TEXT)
    look = subject.look(ids)
    with torch.no_grad():
        seen = subject.model(torch.tensor([ids]), return_intermediates=True)
    torch.testing.assert_close(look.weights, seen["attention_maps"][:, 0])
    torch.testing.assert_close(look.output, seen["output"][0])
    torch.testing.assert_close(look.q[1], seen["blocks.1.attention.q"][0])
    torch.testing.assert_close(look.k[0], seen["blocks.0.attention.k"][0])
    assert look.tokens == TEXT.split()
    assert look.real.all()
    if kind == "encoder":
        mean = mean_pool(seen["output"], torch.ones(1, 6, dtype=torch.bool))
        torch.testing.assert_close(look.answer, F.normalize(mean, dim=-1)[0])
    else:
        torch.testing.assert_close(look.answer, seen["logits"][0])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_follow_from_q_and_k_by_the_formula(kind):
    subject = KINDS[kind]()
    settings = Settings(temperature=0.5, mask="causal", padded=3)
    look = subject.look(subject.read(TEXT), settings)
    scores = look.q @ look.k.mT / math.sqrt(8) / 0.5
    scores[:, :, ~causal_mask(9)] = -torch.inf
    torch.testing.assert_close(look.weights, scores.softmax(-1))
    unscaled = subject.look(subject.read(TEXT), Settings(scaled=False, mask="none"))
    expected = (unscaled.q @ unscaled.k.mT).softmax(-1)
    torch.testing.assert_close(unscaled.weights, expected)


def test_masks_say_who_may_look_at_what():
    subject, real = encoder(), torch.arange(9) < 6
    for mask, rule in {
        "none": torch.ones(9, 9, dtype=torch.bool),
        "causal": causal_mask(9),
        "padding": real.expand(9, 9),
        "both": causal_mask(9) & real,
    }.items():
        look = subject.look(subject.read(TEXT), Settings(mask=mask, padded=3))
        torch.testing.assert_close(look.allowed, rule)
        assert (look.weights[:, :, ~rule] == 0).all()
        assert (look.weights[:, :, rule] > 0).all()
        assert look.tokens[6:] == ["<pad>"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_padding_changes_nothing_and_open_padding_does(kind):
    subject = KINDS[kind]()
    ids = subject.read(TEXT)
    before = subject.look(ids)
    hidden = compare(before, subject.look(ids, Settings(padded=4)), ids)
    assert float(hidden.moved.max()) < 1e-5
    assert abs(hidden.size) < 1e-6
    open_ = compare(before, subject.look(ids, Settings(padded=4, mask="none")), ids)
    assert float(open_.moved.min()) > 1e-3


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_without_positions_the_order_is_gone(positions):
    subject = decoder(positions)
    settings = Settings(positions=False, mask="none")
    ids = subject.read(TEXT)
    forth, back = (subject.look(i, settings) for i in (ids, ids[::-1]))
    torch.testing.assert_close(forth.output, back.output.flip(0))
    with_ = Settings(mask="none")
    moved = subject.look(ids, with_).output - subject.look(
        ids[::-1], with_
    ).output.flip(0)
    assert moved.abs().max() > 0.01
    if positions == "rotary":  # what was taken away is back
        assert all(b.attention.rotary is not None for b in subject.core.stack.blocks)


def test_an_encoder_without_positions_forgets_the_order():
    subject = encoder()
    ids = subject.read(TEXT)
    forth, back = (subject.look(i, Settings(positions=False)) for i in (ids, ids[::-1]))
    torch.testing.assert_close(forth.answer, back.answer)


def test_a_head_that_is_off_is_the_models_own_head_mask():
    subject = encoder()
    ids, mask = subject.read(TEXT), torch.ones(2, 3)
    mask[1, 2] = 0
    look = subject.look(ids, Settings(off=frozenset({(1, 2)})))
    with torch.no_grad():
        output = subject.model(torch.tensor([ids]), head_mask=mask)[0]
    torch.testing.assert_close(look.output, output)
    assert not torch.allclose(output, subject.look(ids).output)


def test_looking_pauses_after_each_block():
    subject = encoder()
    assert len(list(subject.look_steps(subject.read(TEXT), Settings()))) == 2


# ---- what changed


def test_compare_measures_vectors_losses_and_answers():
    subject = encoder()
    ids = subject.read(TEXT)
    before, after = subject.look(ids), subject.look(ids, Settings(temperature=0.1))
    change = compare(before, after, ids)
    cosine = F.cosine_similarity(before.answer, after.answer, dim=0)
    assert change.cosine == pytest.approx(float(cosine), abs=1e-6)
    assert change.size == pytest.approx(1 - float(cosine), abs=1e-6)
    moved = (after.output - before.output).norm(dim=1) / before.output.norm(dim=1)
    torch.testing.assert_close(change.moved, moved)

    subject = decoder()
    before, after = (
        subject.look(ids),
        subject.look(ids, Settings(off=frozenset({(0, 0)}))),
    )
    change = compare(before, after, ids)
    for look, loss in zip((before, after), change.losses, strict=True):
        expected = F.cross_entropy(look.answer[:-1], torch.tensor(ids[1:]))
        assert loss == pytest.approx(float(expected), abs=1e-6)
    assert change.size == pytest.approx(change.losses[1] - change.losses[0])
    best, probability = change.answers[1][3]
    assert best == int(after.answer[3].argmax())
    assert probability == pytest.approx(float(after.answer[3].softmax(0).max()))

    subject = classifier()
    before, after = subject.look(ids), subject.look(ids, Settings(temperature=0.1))
    shift = (before.answer.softmax(0) - after.answer.softmax(0)).clamp(min=0).sum()
    assert compare(before, after, ids).size == pytest.approx(float(shift), abs=1e-6)


def test_one_token_alone_has_no_loss():
    subject = decoder()
    look = subject.look([1])
    assert compare(look, look, [1]).losses is None


def test_trying_heads_gives_the_change_of_each():
    subject = encoder()
    ids = subject.read(TEXT)
    found = [x for x in subject.try_heads(ids, Settings(off=frozenset({(0, 0)}))) if x]
    assert [x[:2] for x in found] == [(i, j) for i in range(2) for j in range(3)]
    for layer, head, size in found:
        after = subject.look(ids, Settings(off=frozenset({(layer, head)})))
        assert size == compare(subject.look(ids), after, ids).size
    assert max(size for *_, size in found) > 1e-4


# ---- reading and refusing


def test_texts_are_read_by_tokenizer_words_or_letters():
    assert encoder().read("cat on") == [2, 4]
    letters = Decoder(DecoderConfig(**{**SHAPE, "vocab_size": 3}))
    assert Subject(letters, tokens="xyz").read("zyx") == [2, 1, 0]
    tokenizer = WordTokenizer.train([TEXT])
    model = Decoder(DecoderConfig(**{**SHAPE, "vocab_size": len(tokenizer)}))
    subject = Subject(model, tokenizer)
    assert subject.read(TEXT) == tokenizer.encode(TEXT)
    assert subject.look(subject.read(TEXT)).tokens == tokenizer.tokens(TEXT)
    assert len(subject.read("cat " * 40)) == 16  # the context


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Subject(torch.nn.Linear(2, 2), tokens="ab"), TypeError, "is a Linear"),
        (lambda: Subject(encoder().model), ValueError, "one of the two"),
        (lambda: Subject(encoder().model, tokens="ab"), ValueError, "There are 2"),
        (lambda: encoder().read(" "), ValueError, "no tokens"),
        (lambda: encoder().read("the dog"), ValueError, "does not know 'dog'"),
        (lambda: Settings(mask="left"), ValueError, "'left'; choose 'none', 'causal'"),
        (lambda: Settings(padded=-1), ValueError, "padded is -1"),
        (
            lambda: encoder().look([1], Settings(off=frozenset({(0, 3)}))),
            ValueError,
            "no head 3 in layer 0",
        ),
        (lambda: encoder().look([1], Settings(temperature=0)), ValueError, "temper"),
        (lambda: task_batch("sort", 4, 1, torch.Generator()), ValueError, "'sort'"),
        (lambda: task_batch("copy", 17, 1, torch.Generator()), ValueError, "is 17"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_model_without_a_padding_token_reads_no_padding():
    model = Decoder(DecoderConfig(**{**SHAPE, "vocab_size": 3}))
    with pytest.raises(ValueError, match="no padding token"):
        Subject(model, tokens="xyz").look([0], Settings(padded=1))


# ---- practice


@pytest.mark.parametrize("task", TASKS)
def test_tasks_ask_for_what_can_be_known(task):
    ids, targets = task_batch(task, 6, 50, torch.Generator().manual_seed(0))
    assert ids.shape == targets.shape == (50, 13)
    known = targets != IGNORED
    assert (targets[:, :-1] == ids[:, 1:])[known[:, :-1]].all()
    assert not known[:, -1].any()
    for row, mark in zip(ids.tolist(), known.tolist(), strict=True):
        text = "".join(TOKENS[i] for i in row)
        if task == "repeat":
            period = text.index(text[0], 1)
            assert 3 <= period <= 6
            assert text == (text[:period] * 5)[:13]
            assert mark == [t + 1 >= period and t < 12 for t in range(13)]
        else:
            word, answer = text.split(">")
            assert answer == (word if task == "copy" else word[::-1])
            assert len(set(word)) == 6
            assert mark == [6 <= t < 12 for t in range(13)]


def test_practice_learns_and_repeats_itself():
    first, second = (Practice("reverse", length=3, layers=1) for _ in range(2))
    assert first.score()[1] < 0.2
    for practice in (first, second):
        practice.advance(150)
    assert first.step == 150
    assert first.score() == second.score()
    loss, accuracy = first.score()
    assert accuracy > 0.9
    assert loss < 0.5
    other = Practice("reverse", length=3, layers=1, seed=1)
    other.advance(1)
    assert other.score() != Practice("reverse", length=3, layers=1).score()


def test_the_learning_rate_changes_at_once():
    practice = Practice("copy", length=3, layers=1)
    practice.advance(2)
    practice.learning_rate = 0.0
    before = [p.clone() for p in practice.subject.model.parameters()]
    practice.advance(1)  # the step whose rate is asked for now
    practice.advance(2)
    after = list(practice.subject.model.parameters())
    still = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert all(still)


def test_examples_are_the_same_for_the_same_number():
    practice = Practice("repeat")
    assert practice.example(3)[0] == practice.example(3)[0] != practice.example(4)[0]
    before = practice.score()
    practice.example(0)
    assert practice.score() == before


# ---- records


def record(number: int) -> Record:
    subject = encoder()
    ids = subject.read(TEXT)
    look = subject.look(ids)
    return Record(look, compare(look, look, ids), Settings(), number)


def test_a_film_keeps_evenly_spaced_looks_and_the_newest():
    film, kept = Film(10), record(0)
    for step in range(101):
        film.add(step, kept)
        assert film.newest == step
        assert len(film.records) <= 10
        assert film.at(None) is film.at(12345) is kept
    steps = list(film.records)
    gaps = {b - a for a, b in pairwise(steps[:-1])}
    assert gaps == {16}
    assert steps[0] == 0
    assert steps[-1] == 100
    film.clear()
    assert film.records == {}


def test_maps_are_the_weights_in_255_steps():
    kept = record(5)
    maps = torch.frombuffer(bytearray(kept.maps()), dtype=torch.uint8)
    expected = kept.look.weights.flatten() * 255
    assert float((maps - expected).abs().max()) <= 0.5
    assert kept.told(encoder())["id"] == 5
