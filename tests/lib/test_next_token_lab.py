"""The small language model, its reader, and the draw of a token."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from lib.datasets import load
from lib.models import generation
from lib.models.configs import DecoderConfig
from lib.models.transformer import Decoder
from lib.next_token_lab import (
    BATCH,
    CONTEXT,
    SAMPLE,
    SAMPLE_TOKENS,
    START,
    Reader,
    SmallModel,
    _Windows,
    as_text,
    multiplications,
    pick,
    prose_tokenizer,
    random_numbers,
)


@pytest.fixture(scope="module")
def small() -> SmallModel:
    made = SmallModel(seed=3, device="cpu")
    for _ in made.work(60):
        pass
    return made


def tiny(**changes) -> Decoder:
    shape = {"vocab_size": 11, "context": 6, "channels": 8, "hidden": 16}
    return Decoder(DecoderConfig(**shape | {"num_heads": 2} | changes), seed=1).eval()


# ---- training


def test_it_learns(small):
    first, last = small.moments[0], small.moments[-1]
    assert (first.step, last.step) == (0, 50)
    assert [m.step for m in small.moments] == [0, 5, 10, 20, 50]
    assert abs(first.validation - math.log(len(prose_tokenizer()))) < 0.2
    assert last.validation < first.validation - 0.8
    assert small.step == len(small.losses) == 60
    assert np.mean(small.losses[-10:]) < small.losses[0] - 0.8


def test_the_first_loss_is_that_of_the_first_windows_of_the_prose(small):
    tokenizer = prose_tokenizer()
    stream = []
    for text in load("prose").train.texts:
        stream += [tokenizer.special[START], *tokenizer.encode(text)]
    generator = torch.Generator().manual_seed(3)
    first = torch.randint(len(stream) - CONTEXT, (BATCH, 1), generator=generator)
    rows = torch.tensor(stream)[first + torch.arange(CONTEXT + 1)]
    logits = Decoder(SmallModel.config, seed=3)(rows[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
    assert small.losses[0] == pytest.approx(loss.item(), abs=1e-6)


def test_one_seed_gives_one_training():
    def losses(seed):
        made = SmallModel(seed, "cpu")
        for _ in made.work(4):
            pass
        return made.losses

    assert losses(5) == losses(5) != losses(6)


def test_a_rate_set_while_it_trains_holds_from_the_next_step():
    still, moving = SmallModel(0, "cpu"), SmallModel(0, "cpu")
    still.set_rate(0.0)
    before = still.weights()
    for model in (still, moving):
        for _ in model.work(2):
            pass
    assert all(torch.equal(still.weights()[name], before[name]) for name in before)
    assert not torch.equal(moving.weights()["token.weight"], before["token.weight"])


def test_a_moment_can_be_asked_again(small):
    model, moment = small.fresh_copy(), small.moments[-1]
    model.load_state_dict(moment.weights)
    tokenizer = prose_tokenizer()
    prompt = torch.tensor([[tokenizer.special[START], *tokenizer.encode(SAMPLE)]])
    text = generation.generate(model, prompt, SAMPLE_TOKENS, temperature=0.8, seed=3)
    assert as_text(tokenizer, text[0]) == moment.sample
    assert moment.sample.startswith(SAMPLE)
    assert moment.sample != small.moments[0].sample


def test_the_test_part_is_not_trained_on():
    train, test = load("prose").train.texts, load("prose").test.texts
    assert not set(train) & set(test)
    stream = _Windows(torch.device("cpu"), torch.Generator()).stream
    assert as_text(prose_tokenizer(), stream) == "\n".join(train)


# ---- reading


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("start", [(), (0,)])
def test_reading_token_by_token_equals_reading_at_once(start, use_cache):
    model, ids = tiny(), [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    slow, whole = Reader(model, start), Reader(model, start)
    for n in range(1, len(ids) + 1):
        logits = slow.read(ids[:n], use_cache)
        text = torch.tensor([[*start, *ids[:n]]])[:, -model.context :]
        torch.testing.assert_close(logits, model(text)[0, -1])
        fits = len(start) + n <= model.context
        assert slow.cached is (use_cache and fits and n > 1)
    torch.testing.assert_close(whole.read(ids, use_cache), logits)
    a, b = slow.log_probabilities, whole.log_probabilities
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert math.isnan(a[0]) is not bool(start)
    for n in range(1, len(ids)):  # each against a pass of its own
        text = torch.tensor([[*start, *ids[:n]]])[:, -model.context :]
        wanted = F.log_softmax(model(text)[0, -1], -1)[ids[n]].item()
        assert a[n] == pytest.approx(wanted, abs=1e-5)


def test_back_by_one_and_another_token():
    model = tiny()
    reader = Reader(model, (0,))
    reader.read([1, 2, 3])
    reader.read([1, 2])
    logits = reader.read([1, 2, 7])
    torch.testing.assert_close(logits, model(torch.tensor([[0, 1, 2, 7]]))[0, -1])
    assert len(reader.log_probabilities) == 3


def test_the_cache_is_really_used():
    model, calls = tiny(), []
    reader = Reader(model, (0,))
    reader.read([1, 2])
    model.register_forward_hook(lambda m, given, out: calls.append(given[0].shape[1]))
    reader.read([1, 2, 3])
    reader.read([1, 2, 3, 4], use_cache=False)
    assert calls == [1, 5]


def test_weights_that_change_are_forgotten():
    model, other = tiny(), Decoder(tiny().config, seed=9)
    reader = Reader(model, (0,))
    before = reader.read([1, 2])
    model.load_state_dict(other.state_dict())
    reader.forget()
    torch.testing.assert_close(
        reader.read([1, 2]), other.eval()(torch.tensor([[0, 1, 2]]))[0, -1]
    )
    assert not torch.allclose(before, reader.logits)


def test_no_text_has_no_logits_unless_there_is_a_start():
    model = tiny()
    assert Reader(model).read([]) is None
    assert Reader(model).perplexity is None
    torch.testing.assert_close(
        Reader(model, (0,)).read([]), model(torch.tensor([[0]]))[0, -1]
    )
    grown = Reader(model)
    grown.read([])
    torch.testing.assert_close(grown.read([4]), model(torch.tensor([[4]]))[0, -1])


def test_perplexity_is_e_to_the_mean_cross_entropy():
    model, ids = tiny(), [3, 1, 4, 1]
    reader = Reader(model, (0,))
    reader.read(ids)
    logits = model(torch.tensor([[0, *ids[:-1]]]))[0]
    wanted = F.cross_entropy(logits, torch.tensor(ids)).exp().item()
    assert reader.perplexity == pytest.approx(wanted, rel=1e-5)


# ---- the draw


def test_pick_takes_the_token_on_which_the_number_falls():
    p = torch.tensor([0.1, 0.6, 0.0, 0.3])
    assert [pick(p, u) for u in (0.0, 0.59, 0.61, 0.89, 0.91)] == [1, 1, 3, 3, 0]
    assert pick(p, 0.9999999) == 0  # never one that was cut away
    assert pick(torch.tensor([0.0, 1.0]), 0.9999999) == 1


def test_drawn_tokens_are_as_frequent_as_they_are_probable():
    p = torch.softmax(torch.linspace(-2, 1, 6), -1)
    drawn = [pick(p, u) for u in random_numbers(1, 6000).tolist()]
    shares = np.bincount(drawn, minlength=6) / len(drawn)
    np.testing.assert_allclose(shares, p, atol=0.02)


def test_random_numbers_follow_the_seed():
    assert torch.equal(random_numbers(4, 9), random_numbers(4, 9))
    assert not torch.equal(random_numbers(4, 9), random_numbers(5, 9))


# ---- the cost


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("changes", [{}, {"num_layers": 3, "channels": 16}])
def test_multiplications_are_those_that_torch_counts(cached, changes):
    model, length = tiny(**changes), 5
    text, cache = torch.arange(length)[None], None
    if cached:
        cache = model.new_cache()
        model(text[:, :-1], cache=cache)
        text = text[:, -1:]
    # explicit attention: the counter does not see into the fused one on a CPU
    with FlopCounterMode(display=False) as counter:
        model(text, cache=cache, return_intermediates=True)
    wanted = counter.get_total_flops() // 2
    assert multiplications(model.config, length, cached) == wanted
