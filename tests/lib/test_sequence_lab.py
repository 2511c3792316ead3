"""What recurrent cells do step by step, and the reach of their gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lib import sequence_lab as lab
from lib.models.recurrent import RecurrentClassifier
from lib.sequence_lab import (
    FIRST,
    INPUTS,
    KINDS,
    LETTERS,
    NOISE,
    SequenceLab,
    gradient_reach,
    memory_batch,
    set_memory,
    spectral_radius,
    trace,
)
from lib.tokenizers import WordTokenizer

every_kind = pytest.mark.parametrize("kind", KINDS)


def model(kind: str, layers: int = 1, dtype=torch.float64) -> RecurrentClassifier:
    return RecurrentClassifier(9, 4, 5, 6, kind, layers, seed=3, dtype=dtype)


def some(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# ---- step by step


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_trace_is_what_the_classifier_computes(kind, layers):
    net = model(kind, layers)
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    seen = net(tokens, return_intermediates=True)
    found = trace(net, seen["embedded"][0])
    for name, values in found.values.items():
        wanted = seen[f"{name}_{layers}"][0].detach().numpy()
        np.testing.assert_allclose(values, wanted, atol=1e-12)
    wanted = seen["output"].softmax(1)[0].detach().numpy()
    np.testing.assert_allclose(found.answers[-1], wanted, atol=1e-12)
    first = net(tokens[:, :2]).softmax(1)[0].detach().numpy()
    np.testing.assert_allclose(found.answers[1], first, atol=1e-12)
    assert trace(net, seen["embedded"][0], answers=False).answers is None


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def test_the_two_parts_of_a_gate_make_the_gate():
    x = some(7, 5)
    for kind, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
        t = trace(model(kind), x)
        a = np.split(t.from_input, gates, axis=1)
        u = np.split(t.from_state, gates, axis=1)
        v = t.values
        before = np.vstack([np.zeros((1, 6)), v["hidden"][:-1]])
        if kind == "rnn":
            np.testing.assert_allclose(np.tanh(a[0] + u[0]), v["hidden"])
        elif kind == "gru":
            r, z = sigmoid(a[0] + u[0]), sigmoid(a[1] + u[1])
            n = np.tanh(a[2] + r * u[2])
            np.testing.assert_allclose(r, v["reset_gate"])
            np.testing.assert_allclose(z, v["update_gate"])
            np.testing.assert_allclose((1 - z) * n + z * before, v["hidden"])
        else:
            i, f, o = (sigmoid(a[k] + u[k]) for k in (0, 1, 3))
            g = np.tanh(a[2] + u[2])
            np.testing.assert_allclose(f, v["forget_gate"])
            old = np.vstack([np.zeros((1, 6)), v["cell"][:-1]])
            np.testing.assert_allclose(f * old + i * g, v["cell"])
            np.testing.assert_allclose(o * np.tanh(v["cell"]), v["hidden"])


# ---- the reach of the gradient


@every_kind
def test_gradient_of_the_input_is_that_of_torch(kind):
    net, x, y = model(kind), some(3, 6, 5), torch.tensor([0, 3, 1])
    layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](
        5, 6, batch_first=True, dtype=torch.float64
    )
    for own, theirs in zip(
        net.recurrent.cells[0].weights(), layer.parameters(), strict=True
    ):
        theirs.data.copy_(own)
    x.requires_grad_()
    out, _state = layer(x)
    loss = nn.functional.cross_entropy(net.dense(out[:, -1]), y, reduction="sum")
    wanted = torch.autograd.grad(loss, x)[0].norm(dim=2).mean(0)
    found = gradient_reach(net, x, y)["input"]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-10)


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_gradient_of_the_state_is_that_of_differences(kind, layers):
    net, x, y = model(kind, layers), some(1, 4, 5), torch.tensor([2])
    found = gradient_reach(net, x, y)["state"]
    step, h = 1, 1e-6

    def loss(where: tuple[int, int, int] | None, by: float) -> float:
        sequence = x
        for number, cell in enumerate(net.recurrent.cells):
            state = [torch.zeros(1, 6, dtype=torch.float64) for _ in cell.state_names]
            out = []
            for t, a in enumerate(cell.project(sequence).unbind(1)):
                seen = cell.step(a, *state)
                state = [seen[name].clone() for name in cell.state_names]
                if where and t == step and where[0] == number:
                    state[where[1]][0, where[2]] += by
                out.append(state[0])
            sequence = torch.stack(out, 1)
        return nn.functional.cross_entropy(net.dense(sequence[:, -1]), y).item()

    total = 0.0
    for number in range(layers):
        for part in range(len(net.recurrent.cells[0].state_names)):
            for unit in range(6):
                where = (number, part, unit)
                total += ((loss(where, h) - loss(where, -h)) / (2 * h)) ** 2
    assert found[step] == pytest.approx(total**0.5, rel=1e-6)


def test_a_small_radius_lets_the_gradient_of_an_rnn_vanish():
    shares = []
    for radius in (0.3, 0.9):
        reach = SequenceLab(hidden=8, length=20, radius=radius).run(0).history[0].reach
        shares.append(reach[0, 0, 0] / reach[0, 0, -1])
    assert shares[0] < 1e-8 < shares[1]
    assert shares[0] < 1e-4 * shares[1]


def test_the_forget_gate_bias_carries_the_gradient_of_lstm_and_gru():
    share = {}
    for keep in (-2.0, 4.0):
        reach = SequenceLab(hidden=8, length=40, keep=keep).run(0).history[0].reach
        share[keep] = reach[:, 0, 0] / reach[:, 0, -1]
    assert share[-2.0][0] == share[4.0][0]  # the RNN has no gate
    assert (share[4.0][1:] > 0.01).all()
    assert (share[-2.0][1:] < 1e-4).all()


@every_kind
def test_set_memory_gives_each_block_its_radius_and_the_gate_its_bias(kind):
    cell = model(kind).recurrent.cells[0]
    before = cell.bias_ih.clone()
    set_memory(cell, 1.3, 2.5)
    for block in cell.weight_hh.split(6):
        assert spectral_radius(block) == pytest.approx(1.3)
    bias = cell.bias_ih + cell.bias_hh
    if kind == "rnn":
        assert torch.equal(cell.bias_ih, before)
    else:
        assert torch.equal(bias[6:12], torch.full((6,), 2.5, dtype=torch.float64))
        assert torch.equal(cell.bias_ih[:6], before[:6])
        assert torch.equal(cell.bias_ih[12:], before[12:])


def test_the_radius_of_a_rotation_is_its_scale():
    assert spectral_radius(torch.tensor([[0.0, -2.0], [2.0, 0.0]])) == pytest.approx(2)


# ---- typed sequences


def test_typed_letters_numbers_words_and_tokens():
    labels, tokens = lab.read_letters("B w\nz")
    assert labels == ["B", "w", "z"]
    assert [LETTERS[i - 1] for i in tokens] == labels
    labels, x = lab.read_numbers("1, -0.5;2e1")
    assert labels == ["1", "-0.5", "2e1"]
    assert x.shape == (3, INPUTS)
    assert x[:, 0].tolist() == [1.0, -0.5, 20.0]
    assert not x[:, 1:].any()
    labels, x = lab.read_words("Good, very good")
    assert labels == ["good", ",", "very", "good"]
    assert torch.equal(x[0], x[3])
    assert not torch.equal(x[0], x[2])
    tokenizer = WordTokenizer.train(["good bad"])
    labels, tokens = lab.read_tokens("bad new good", tokenizer)
    assert labels == ["bad", "<unk>", "good"]
    assert tokens.tolist() == tokenizer.encode("bad new good")


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (
            lab.read_letters,
            "Bq",
            "'q' is no letter of this task; the first is one of A",
        ),
        (lab.read_letters, " ", "the text has 0 letters; type 1 to 60"),
        (lab.read_letters, "w" * 61, "the text has 61 letters"),
        (lab.read_numbers, "1 two", "'two' is no number from -1000 to 1000"),
        (lab.read_numbers, "nan", "'nan' is no number"),
        (lab.read_numbers, "1e9", "'1e9' is no number"),
        (lab.read_numbers, "", "0 numbers"),
        (lab.read_words, "", "0 words"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_a_sentence(read, text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


# ---- the task


def test_the_answer_is_the_first_letter():
    x, y = memory_batch(300, 7, torch.Generator().manual_seed(0))
    assert x.shape == (300, 7)
    assert torch.equal(x[:, 0], 1 + y)
    assert sorted(set(y.tolist())) == [0, 1, 2, 3]
    rest = {LETTERS[i - 1] for i in x[:, 1:].flatten().tolist()}
    assert rest == set(NOISE)
    assert len(FIRST) == 4


def test_training_learns_to_remember():
    made = SequenceLab(hidden=12, length=6, learning_rate=0.02).run(60)
    assert [r.step for r in made.history] == [0, 10, 20, 30, 40, 50, 60]
    first, last = made.history[0], made.history[-1]
    assert (first.accuracies < 0.5).all()
    assert (last.accuracies[1:] > 0.95).all()  # GRU and LSTM
    assert (last.losses < first.losses).all()
    assert last.reach.shape == (3, 2, 6)
    fresh = SequenceLab(hidden=12, length=6, learning_rate=0.02).run(0)
    np.testing.assert_array_equal(fresh.history[0].reach, first.reach)
    for kind in KINDS:  # the weights from before are kept
        own, other = made.first[kind].state_dict(), fresh.models[kind].state_dict()
        assert all(torch.equal(own[k], other[k]) for k in own)


def test_training_in_two_parts_is_the_same_as_in_one():
    whole = SequenceLab(hidden=4, length=5).run(20)
    parts = SequenceLab(hidden=4, length=5).run(10).run(20)
    for a, b in zip(whole.history, parts.history, strict=True):
        np.testing.assert_array_equal(a.losses, b.losses)
        np.testing.assert_array_equal(a.reach, b.reach)


def test_training_that_is_left_at_any_moment_goes_on_as_if_it_were_not():
    whole = SequenceLab(hidden=4, length=5).run(12)
    parts = SequenceLab(hidden=4, length=5)
    while parts.step < 12:
        for count, _ in enumerate(parts.work(12)):
            if count == 6:  # a measurement takes six turns
                break
    parts.run(12)
    assert [r.step for r in parts.history] == [r.step for r in whole.history]
    for a, b in zip(whole.history, parts.history, strict=True):
        np.testing.assert_array_equal(a.losses, b.losses)


def test_nothing_touches_the_global_generator():
    before = torch.get_rng_state()
    SequenceLab(hidden=4, length=5).run(2)
    assert torch.equal(torch.get_rng_state(), before)
