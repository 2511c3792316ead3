"""Choosing the next token, the cache, beam search: worked examples and transformers."""

import itertools
import math
import warnings

import pytest
import torch
from torch import nn

from lib.models.configs import DecoderConfig, EncoderDecoderConfig
from lib.models.encoder_decoder import EncoderDecoder
from lib.models.generation import (
    Beam,
    beam_search,
    generate,
    next_probabilities,
    steps,
)
from lib.models.names import from_gpt2
from lib.models.transformer import Decoder

LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def decoder(vocab_size: int = 20, context: int = 16, **options) -> Decoder:
    """A small decoder with weights so large that tokens differ in probability."""
    config = DecoderConfig(
        vocab_size=vocab_size, context=context, channels=16, hidden=32, **options
    )
    return scramble(Decoder(config, seed=1))


@torch.no_grad()
def scramble(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    for p in model.parameters():
        p += 0.3 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def prompt(B: int = 3, T: int = 4, V: int = 20) -> torch.Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0}, [1, 0, 0, 0]),
        ({"temperature": 0.5}, [0.25, 0.09, 0.0225, 0.0025]),
        ({"temperature": 1e9}, [1, 1, 1, 1]),
        ({"top_k": 1}, [1, 0, 0, 0]),
        ({"top_k": 2}, [5, 3, 0, 0]),
        ({"top_k": 9}, [0.5, 0.3, 0.15, 0.05]),
        ({"top_p": 0.01}, [1, 0, 0, 0]),
        ({"top_p": 0.45}, [1, 0, 0, 0]),
        ({"top_p": 0.6}, [5, 3, 0, 0]),
        ({"top_p": 0.9}, [50, 30, 15, 0]),
        ({"top_p": 1.0}, [0.5, 0.3, 0.15, 0.05]),
        ({"top_k": 3, "top_p": 0.6}, [5, 3, 0, 0]),
        ({"temperature": 0.5, "top_k": 2}, [25, 9, 0, 0]),
    ],
)
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_probabilities_of_worked_examples(options, expected, order):
    expected = torch.tensor(expected, dtype=torch.float32)
    expected = (expected / expected.sum())[order]
    p = next_probabilities(LOGITS[order].expand(2, 4), **options)
    torch.testing.assert_close(p, expected.expand(2, 4), rtol=1e-5, atol=1e-6)


def test_probabilities_equal_those_of_transformers():
    process = pytest.importorskip("transformers.generation.logits_process")
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)) * 3
    for temperature, k, p in itertools.product((0.4, 1.7), (3, 25), (0.3, 0.85)):
        warped = logits
        for processor in (
            process.TemperatureLogitsWarper(temperature),
            process.TopKLogitsWarper(k),
            process.TopPLogitsWarper(p),
        ):
            warped = processor(None, warped)
        ours = next_probabilities(logits, temperature, k, p)
        torch.testing.assert_close(ours, warped.softmax(-1), rtol=1e-5, atol=1e-7)


def test_top_k_keeps_k_of_equal_tokens():
    p = next_probabilities(torch.zeros(1, 6), top_k=2)
    assert p.tolist() == [[0.5, 0.5, 0.0, 0.0, 0.0, 0.0]]
    assert next_probabilities(torch.zeros(1, 3), temperature=0).tolist() == [[1, 0, 0]]


def test_a_tiny_temperature_and_half_precision_do_not_overflow():
    logits = torch.tensor([[300.0, 200.0, -math.inf]])
    assert next_probabilities(logits, temperature=1e-37).tolist() == [[1, 0, 0]]
    half = torch.linspace(0, 1, 60_000, dtype=torch.bfloat16)[None]
    p = next_probabilities(half, top_p=0.9)
    assert p.dtype == torch.float32
    assert p.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0}, {"top_k": 5}, {"top_p": 0.7}], ids=str
)
def test_the_cache_changes_nothing_also_beyond_the_context(options, positions):
    model = decoder(positions=positions)
    for B, T, new in ((3, 4, 8), (1, 1, 24), (2, 20, 3)):
        a = list(steps(model, prompt(B, T), new, seed=3, **options))
        b = list(steps(model, prompt(B, T), new, seed=3, use_cache=False, **options))
        assert len(a) == new
        assert torch.equal(a[-1].text, b[-1].text)
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x.logits, y.logits, rtol=1e-4, atol=1e-4)


def test_the_cache_spares_the_work():
    model, lengths = decoder(), []
    forward = model.forward
    model.forward = lambda tokens, **o: (
        lengths.append(tokens.shape[1]) or forward(tokens, **o)
    )
    generate(model, prompt(1, 4), 14)
    assert lengths == [4] + [1] * 12 + [16]  # the last one is beyond the context


def test_steps_show_what_was_chosen_from():
    model, text = decoder(), prompt()
    for choice in steps(model, text, 5, temperature=0.8, top_k=4):
        expected = model(text)[:, -1]
        torch.testing.assert_close(choice.logits, expected, rtol=1e-4, atol=1e-4)
        p = next_probabilities(choice.logits, 0.8, 4)
        assert torch.equal(choice.probabilities, p)
        assert (p.gather(1, choice.token[:, None]) > 0).all()
        text = torch.cat([text, choice.token[:, None]], dim=1)
        assert torch.equal(choice.text, text)
    assert repr(choice) == f"Choice(token={choice.token.tolist()}, length=9)"


def test_greedy_takes_the_likeliest_token_of_transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=20, n_embd=16, n_layer=2, n_head=4, n_positions=16, n_inner=32,
        bos_token_id=0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    theirs = scramble(transformers.GPT2LMHeadModel(config)).eval()
    ours = decoder()
    ours.load_state_dict(from_gpt2(theirs.state_dict(), ours.config))
    expected = theirs.generate(
        prompt(),
        attention_mask=torch.ones_like(prompt()),
        max_new_tokens=10,
        do_sample=False,
    )
    assert torch.equal(generate(ours, prompt(), 10, temperature=0), expected)
    assert len(expected.unique()) > 4


def test_seed_decides_the_text_and_the_global_generator_is_left_alone():
    model, before = decoder(), torch.get_rng_state()
    a, b, c = (generate(model, prompt(), 12, seed=i) for i in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(generate(model, prompt(), 12, seed=generator), a)
    assert not torch.equal(generate(model, prompt(), 12, seed=generator), a)
    assert torch.equal(before, torch.get_rng_state())


def test_tokens_are_drawn_as_often_as_their_probability_says():
    model, start = decoder(vocab_size=5), torch.zeros(4000, 1, dtype=torch.int64)
    (choice,) = steps(model, start, 1, temperature=0.7)
    often = choice.token.bincount(minlength=5) / 4000
    torch.testing.assert_close(often, choice.probabilities[0], rtol=0, atol=0.03)


def test_a_stopped_text_gets_no_other_token_and_all_stopped_ends():
    model = decoder(vocab_size=4)
    text = generate(model, prompt(6, 1, V=4), 30, stop=0, seed=2)[:, 1:]
    first = (text == 0).int().argmax(1)
    assert (text == 0).any(1).all()
    assert len(first.unique()) > 1
    for row, at in zip(text, first, strict=True):
        assert (row[at:] == 0).all()
    assert text.shape[1] == first.max() + 1


def test_writing_leaves_modes_and_gradients_as_they_were():
    model = decoder(dropout=0.5)
    model.stack.blocks[1].eval()
    before = [part.training for part in model.modules()]
    writer = steps(model, prompt(), 3, temperature=0)
    first = next(writer)
    assert torch.is_grad_enabled()  # also between two steps
    assert not first.logits.requires_grad
    assert [part.training for part in model.modules()] == before
    again = next(steps(model, prompt(), 3, temperature=0))
    assert torch.equal(first.logits, again.logits)  # dropout rested
    with pytest.raises(IndexError):
        generate(model, prompt() + 20, 1)
    assert [part.training for part in model.modules()] == before


def every_text(model: nn.Module, start: torch.Tensor, count: int, stop: int, V: int):
    """All texts of up to `count` new tokens, and their log probabilities."""
    for tokens in itertools.product(range(V), repeat=count):
        cut = tokens.index(stop) + 1 if stop in tokens else count
        if any(tokens[cut:]):  # count each text that stops early once
            continue
        text = torch.cat([start[0], torch.tensor(tokens[:cut])])
        log_p = model(text[None, :-1]).log_softmax(-1)[0, len(start[0]) - 1 :]
        total = log_p.gather(1, text[len(start[0]) :, None]).sum().item()
        yield tuple(text.tolist()), total, cut


@pytest.mark.parametrize("alpha", [0.0, 0.8])
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_beam_wide_enough_finds_the_best_of_all_texts(use_cache, alpha):
    V, new, stop, start = 3, 4, 2, torch.tensor([[0, 1]])
    model = decoder(vocab_size=V)
    options = {"beams": 40, "length_penalty": alpha, "use_cache": use_cache}
    found = beam_search(model, start, new, stop=stop, **options)
    texts = {
        text: (total, total / ((5 + cut) / 6) ** alpha)
        for text, total, cut in every_text(model, start, new, stop, V)
    }
    best = sorted(texts.values(), key=lambda pair: -pair[1])[:40]
    assert len(found) == min(40, len(texts))
    scores = [beam.score for beam in found]
    assert scores == pytest.approx([score for _, score in best], abs=1e-4)
    for beam in found:
        total, score = texts[tuple(beam.tokens.tolist())]
        assert beam.log_probability == pytest.approx(total, abs=1e-4)
        assert beam.score == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize(("V", "stop"), [(4, 0), (6, 5)])
def test_beam_search_ends_when_no_text_can_become_better(V, stop):
    model, calls = decoder(vocab_size=V), []
    forward = model.forward
    model.forward = lambda *a, **o: calls.append(1) or forward(*a, **o)
    start = torch.zeros(1, 1, dtype=torch.int64)
    found = beam_search(model, start, 15, beams=3, stop=stop, length_penalty=0.5)
    assert 3 < len(calls) < 15
    wide = beam_search(model, start, 15, beams=200, stop=stop, length_penalty=0.5)
    scores = [beam.score for beam in found]
    assert scores == sorted(scores, reverse=True)
    assert found[0].score == pytest.approx(wide[0].score, abs=1e-4)


class Fixed(nn.Module):
    """The same probabilities whatever came before: a text is scored by hand."""

    context = 100

    def __init__(self, probabilities: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(probabilities).log()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(*tokens.shape, -1)


@pytest.mark.parametrize(("alpha", "length"), [(0.0, 1), (2.0, 10)])
def test_the_length_penalty_lets_a_long_text_win(alpha, length):
    # Without it, stopping at once has the best score, log 0.4. With it that is still
    # ahead after five tokens, and the text that never stops overtakes it later.
    start = torch.zeros(1, 1, dtype=torch.int64)
    (best,) = beam_search(
        Fixed([0.6, 0.4]), start, 10, 1, stop=1, length_penalty=alpha, use_cache=False
    )
    expected = math.log(0.4) if length == 1 else 10 * math.log(0.6) / (15 / 6) ** 2
    assert len(best.tokens) == 1 + length
    assert best.score == pytest.approx(expected, abs=1e-5)


def test_one_beam_is_greedy_and_more_beams_find_no_worse():
    model = decoder()
    greedy = generate(model, prompt(1), 8, temperature=0)
    (one,) = beam_search(model, prompt(1), 8, beams=1)
    assert torch.equal(one.tokens, greedy[0])
    many = beam_search(model, prompt(1), 8, beams=6)
    assert many[0].score >= one.score - 1e-5
    assert len({tuple(beam.tokens.tolist()) for beam in many}) == 6
    assert isinstance(many[0], Beam)


def test_beams_with_and_without_the_cache_agree_beyond_the_context():
    model = decoder(context=8)
    a = beam_search(model, prompt(1), 12, beams=3)
    b = beam_search(model, prompt(1), 12, beams=3, use_cache=False)
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.tokens, y.tokens)
        assert x.score == pytest.approx(y.score, abs=1e-4)


def test_an_encoder_decoder_writes_with_its_source_in_view():
    config = EncoderDecoderConfig(
        vocab_size=20, context=16, channels=16, hidden=32, dropout=0.3
    )
    model = scramble(EncoderDecoder(config))
    source, start = prompt(2, 6), torch.ones(2, 1, dtype=torch.int64)
    mask = torch.arange(6) < torch.tensor([6, 3])[:, None]
    writer = model.read(source, mask)
    assert model.training
    text = generate(writer, start, 6, temperature=0)
    assert torch.equal(text, generate(writer, start, 6, temperature=0, use_cache=False))
    model.eval()
    logits = model(source, text[:, :-1], source_mask=mask)
    assert torch.equal(logits.argmax(-1), text[:, 1:])
    other = generate(model.read(source.flip(1), mask), start, 6, temperature=0)
    assert not torch.equal(text, other)
    beams = beam_search(model.read(source[:1]), start[:1], 6, beams=4)
    plain = beam_search(model.read(source[:1]), start[:1], 6, beams=4, use_cache=False)
    assert [b.tokens.tolist() for b in beams] == [b.tokens.tolist() for b in plain]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_writes_the_same_text():
    model = decoder()
    expected = generate(model, prompt(), 10, seed=1)
    written = generate(model.cuda(), prompt().cuda(), 10, seed=1)
    assert torch.equal(written.cpu(), expected)


START = torch.zeros(1, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda m: generate(m, START[0], 3), ValueError, r"prompt\[None\]"),
        (lambda m: generate(m, START[:, :0], 3), ValueError, "at least one token"),
        (lambda m: generate(m, START, -1), ValueError, "max_new_tokens is -1"),
        (lambda m: generate(m, START, 3, temperature=-1), ValueError, "temperature"),
        (lambda m: generate(m, START, 3, top_k=0), ValueError, "top_k is 0"),
        (lambda m: generate(m, START, 3, top_p=1.5), ValueError, "top_p is 1.5"),
        (lambda m: generate(m, START + 20, 3), IndexError, "20 rows"),
        (lambda m: beam_search(m, START, 3, beams=0), ValueError, "beams is 0"),
        (lambda m: beam_search(m, START.expand(2, 2), 3), ValueError, "one prompt"),
        (lambda m: next_probabilities(LOGITS * math.nan), ValueError, "hold NaN"),
        (lambda m: next_probabilities(LOGITS + math.inf), ValueError, "hold NaN"),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(decoder())


def test_the_error_for_wrong_options_comes_at_the_call():
    with pytest.raises(ValueError, match="temperature is nan"):
        steps(decoder(), START, 3, temperature=math.nan)


def test_a_model_with_nan_weights_is_named():
    model = decoder()
    with torch.no_grad():
        model.token.weight[3] = math.nan
    with pytest.raises(ValueError, match="The logits hold NaN"):
        generate(model, START, 2)
