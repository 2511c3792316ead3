"""Recurrent cells, layers and the classifier against torch.nn, in both forms."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lib.models import cells
from lib.models.recurrent import GRU, LSTM, RECURRENT, RNN, RecurrentClassifier

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
LAYERS = {RNN: nn.RNN, GRU: nn.GRU, LSTM: nn.LSTM}
every_layer = pytest.mark.parametrize("kind", LAYERS, ids=lambda k: k.__name__)
both_forms = pytest.mark.parametrize("form", ["forward", "explicit"])


def data(*shape: int, dtype=torch.float32, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return x.to(dtype).requires_grad_()


def close(a, b, dtype):
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def twin(ours) -> nn.Module:
    """torch.nn's layer with the same weights."""
    first = ours.cells[0]
    theirs = LAYERS[type(ours)](
        first.inputs,
        first.hidden,
        len(ours.cells),
        batch_first=True,
        dtype=first.weight_ih.dtype,
    )
    weights = list(ours.state_dict().values())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))
    return theirs


def listed(state) -> list[torch.Tensor]:
    return [state] if isinstance(state, torch.Tensor) else list(state)


def begin(kind, layers: int, B: int, C: int, dtype):
    """A state to begin with that is not zero."""
    h, c = (data(layers, B, C, dtype=dtype, seed=s) for s in (5, 6))
    return (h, c) if kind is LSTM else h


def assert_same(ours, theirs, model, reference, inputs, dtype):
    """Outputs and states, and the gradients of the inputs and of all parameters."""
    left, right = ([out, *listed(s)] for out, s in (ours, theirs))
    for a, b in zip(left, right, strict=True):
        close(a, b, dtype)
    gradients = []
    for results, net in ((left, model), (right, reference)):
        loss = sum(
            (r * torch.linspace(-1, 1, r.numel()).view_as(r)).mean() for r in results
        )
        gradients.append(torch.autograd.grad(loss, [*inputs, *net.parameters()]))
    for a, b in zip(*gradients, strict=True):
        close(a, b, dtype)


@every_dtype
@every_layer
@both_forms
@pytest.mark.parametrize(
    ("B", "T", "inputs", "C", "layers"),
    [(3, 7, 5, 4, 1), (1, 1, 2, 3, 1), (2, 4, 3, 6, 3)],
)
def test_layers_give_torchs_outputs_states_and_gradients(
    kind, form, B, T, inputs, C, layers, dtype
):
    ours = kind(inputs, C, layers, seed=3, dtype=dtype)
    theirs = twin(ours)
    x = data(B, T, inputs, dtype=dtype)
    run = getattr(ours, form)
    assert_same(run(x), theirs(x), ours, theirs, [x], dtype)
    state = begin(kind, layers, B, C, dtype)
    assert_same(
        run(x, state), theirs(x, state), ours, theirs, [x, *listed(state)], dtype
    )


@every_dtype
@every_layer
@both_forms
@pytest.mark.parametrize("lengths", [[2, 5, 1, 5], [3, 3, 3, 3], [6, 1, 2, 4]])
def test_padding_is_not_read_as_in_torchs_packed_sequences(kind, form, lengths, dtype):
    ours = kind(3, 4, 2, seed=3, dtype=dtype)
    theirs = twin(ours)
    x, lengths = data(4, 6, 3, dtype=dtype), torch.tensor(lengths)
    state = begin(kind, 2, 4, 4, dtype)
    packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    out, last = theirs(packed, state)
    out, _ = pad_packed_sequence(out, True, total_length=6)
    got = getattr(ours, form)(x, state, lengths)
    assert_same(got, (out, last), ours, theirs, [x, *listed(state)], dtype)
    other = torch.where(torch.arange(6)[:, None] < lengths[:, None, None], x, 99.0)
    again, _ = getattr(ours, form)(other, state, lengths)
    assert torch.equal(again, got[0])


@every_dtype
@every_layer
def test_cells_are_torchs_cells_one_step_at_a_time(kind, dtype):
    ours = kind.cell(3, 4, seed=2, dtype=dtype)
    theirs = getattr(nn, f"{kind.__name__}Cell")(3, 4, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())
    x, state = data(2, 3, dtype=dtype), None
    expected = None
    for _ in range(3):
        state, expected = ours(x, state), theirs(x, expected)
        for a, b in zip(listed(state), listed(expected), strict=True):
            close(a, b, dtype)
    grads = [
        torch.autograd.grad(listed(s)[-1].sum(), [x, *net.parameters()])
        for s, net in ((state, ours), (expected, theirs))
    ]
    for a, b in zip(*grads, strict=True):
        close(a, b, dtype)


@every_layer
def test_same_seed_gives_the_initial_weights_of_torch(kind):
    ours = kind(3, 4, 2, seed=9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        theirs = LAYERS[kind](3, 4, 2, batch_first=True)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_an_lstm_with_its_gates_held_open_and_shut_counts_by_hand():
    cell = cells.LSTMCell(1, 1, dtype=torch.float64)
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        # input gate open, forget gate open, candidate atanh(0.5), output gate shut
        cell.bias_ih.copy_(torch.tensor([50.0, 50.0, 0.5493061443340549, -50.0]))
    seen = list(cell.walk(torch.zeros(1, 4, 1, dtype=torch.float64)))
    assert [step["cell"].item() for step in seen] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert [step["hidden"].item() for step in seen] == pytest.approx([0] * 4, abs=1e-12)


def test_a_gru_with_its_update_gate_open_keeps_what_it_has():
    cell = cells.GRUCell(1, 1, dtype=torch.float64)
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.bias_ih[1] = 50.0  # the update gate
    h = torch.full((1, 1), 0.7, dtype=torch.float64)
    *_, last = cell.walk(torch.ones(1, 5, 1, dtype=torch.float64), h)
    assert last["hidden"].item() == pytest.approx(0.7)


GATES = {
    RNN: [],
    GRU: ["reset_gate", "update_gate", "candidate"],
    LSTM: ["input_gate", "forget_gate", "candidate", "output_gate", "cell"],
}


@every_layer
def test_intermediates_show_every_gate_of_every_layer(kind):
    model, x = kind(3, 4, 2), data(2, 5, 3)
    seen = model(x, return_intermediates=True)
    names = [f"{n}_{i}" for i in (1, 2) for n in [*GATES[kind], "hidden"]]
    assert list(seen) == ["input", *names, "output"]
    assert all(seen[name].shape == (2, 5, 4) for name in names)
    for name in names:
        low = 0.0 if "gate" in name else -1.0
        if not name.startswith("cell"):
            assert low <= seen[name].min() <= seen[name].max() <= 1
    assert torch.equal(seen["output"], seen["hidden_2"])
    torch.testing.assert_close(seen["output"], model(x)[0], rtol=1e-5, atol=1e-6)
    if kind is LSTM:
        i, f, g, o, c, h = (seen[f"{n}_1"] for n in [*GATES[LSTM], "hidden"])
        torch.testing.assert_close(c[:, 1:], f[:, 1:] * c[:, :-1] + (i * g)[:, 1:])
        torch.testing.assert_close(h, o * c.tanh())


def test_gradient_with_respect_to_each_hidden_state_can_be_seen():
    cell, x = cells.RNNCell(2, 3, seed=4, dtype=torch.float64), data(1, 4, 2)
    steps = list(cell.walk(x.detach().double()))
    for step in steps:
        step["hidden"].retain_grad()
    steps[-1]["hidden"].sum().backward()
    expected = torch.ones(1, 3, dtype=torch.float64)
    for step in reversed(steps):
        h = step["hidden"]
        torch.testing.assert_close(h.grad, expected)
        expected = (expected * (1 - h**2)) @ cell.weight_hh  # the chain rule by hand


@every_layer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@both_forms
def test_half_precision_gives_nearly_the_same(kind, dtype, form):
    model, x = kind(3, 4), data(2, 5, 3).detach()
    half = copy.deepcopy(model).to(dtype)
    got, _ = getattr(half, form)(x.to(dtype))
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), model(x)[0], rtol=0.05, atol=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@every_layer
@both_forms
def test_gpu_gives_the_weights_and_the_outputs_of_the_cpu(kind, form):
    cpu, gpu = kind(3, 4, 2, seed=1), kind(3, 4, 2, seed=1, device="cuda")
    assert torch.equal(cpu.cells[1].weight_hh, gpu.cells[1].weight_hh.cpu())
    x, lengths = data(4, 6, 3).detach(), torch.tensor([6, 2, 4, 1])
    for these in (None, lengths):
        got, _ = getattr(gpu, form)(x.cuda(), None, these)
        torch.testing.assert_close(
            got.cpu(), cpu(x, None, these)[0], rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m(torch.ones(2, 3)), r"\(2, 3\); give \(B, T, 3\)"),
        (lambda m: m(torch.ones(2, 4, 5)), r"give \(B, T, 3\)"),
        (lambda m: m(torch.ones(2, 0, 3)), "one time step or more"),
        (lambda m: m.explicit(torch.ones(0, 4, 3)), "one sequence and one time step"),
        (lambda m: m(torch.ones(2, 4, 3), torch.ones(1, 2, 4)), "hidden and cell"),
        (lambda m: m(torch.ones(2, 4, 3), [torch.ones(2, 4)] * 2), r"each \(1, 2, 4\)"),
        (lambda m: m(torch.ones(2, 4, 3), None, torch.tensor([1, 0])), "from 1 to 4"),
        (lambda m: m(torch.ones(2, 4, 3), None, torch.tensor([5, 1])), "from 1 to 4"),
        (lambda m: m(torch.ones(2, 4, 3), None, torch.tensor([4])), "the 2 sequences"),
        (lambda m: m(torch.ones(2, 4, 3), None, torch.ones(2)), "whole number"),
        (lambda m: m.cells[0](torch.ones(2, 4)), r"one time step, \(B, 3\)"),
        (lambda m: m.cells[0](torch.ones(3)), r"one time step, \(B, 3\)"),
        (lambda m: LSTM(0, 4), "inputs is 0"),
        (lambda m: LSTM(3, 0), "hidden is 0"),
        (lambda m: LSTM(3, 4, 0), "num_layers is 0"),
    ],
)
def test_what_a_layer_cannot_use_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(LSTM(3, 4))


class TorchClassifier(nn.Module):
    """The same classifier of torch.nn's layers, which packs the padding away."""

    def __init__(self, ours: RecurrentClassifier):
        super().__init__()
        self.embedding = nn.Embedding(*ours.embedding.weight.shape)
        self.layer = LAYERS[RECURRENT[ours.kind]](
            self.embedding.embedding_dim,
            ours.dense.weight.shape[1],
            len(ours.recurrent.cells),
            batch_first=True,
        )
        self.dense = nn.Linear(*reversed(ours.dense.weight.shape))
        self.to(ours.dense.weight.dtype)
        with torch.no_grad():
            for p, q in zip(self.parameters(), ours.parameters(), strict=True):
                p.copy_(q)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths, True, enforce_sorted=False
        )
        _, state = self.layer(packed)
        return self.dense(listed(state)[0][-1])


TEXTS = torch.tensor(
    [[4, 2, 9, 0, 0], [3, 0, 5, 1, 7], [8, 0, 0, 0, 0], [1, 1, 1, 1, 0]]
)
LENGTHS = torch.tensor([3, 5, 1, 4])  # the 0 inside the second text is read


@every_dtype
@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("layers", [1, 2])
def test_classifier_gives_torchs_logits_and_gradients(kind, layers, dtype):
    ours = RecurrentClassifier(
        10, 3, embedding=6, hidden=5, kind=kind, num_layers=layers, seed=2, dtype=dtype
    )
    theirs = TorchClassifier(ours)
    assert torch.equal(ours.lengths(TEXTS), LENGTHS)
    a, b = ours(TEXTS), theirs(TEXTS, LENGTHS)
    close(a, b, dtype)
    y = torch.tensor([0, 1, 2, 0])
    F.cross_entropy(a, y).backward()
    F.cross_entropy(b, y).backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad, dtype)


def test_more_padding_changes_nothing():
    model = RecurrentClassifier(10, seed=1)
    short, long = TEXTS[2:3, :1], TEXTS[2:3]
    torch.testing.assert_close(model(short), model(long))
    nothing = torch.zeros(1, 4, dtype=torch.int64)
    assert model.lengths(nothing).tolist() == [1]
    torch.testing.assert_close(model(nothing), model(nothing[:, :1]))


def test_the_padding_token_is_the_one_that_was_named():
    model = RecurrentClassifier(10, padding=7, seed=1)
    assert model.lengths(TEXTS).tolist() == [5, 4, 5, 5]


def test_embedding_starts_as_torchs():
    model = RecurrentClassifier(40, embedding=8, seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = nn.Embedding(40, 8)
    torch.testing.assert_close(model.embedding.weight, theirs.weight)


def test_classifier_shows_gates_and_what_it_classifies():
    model = RecurrentClassifier(10, embedding=6, hidden=5, seed=1)
    seen = model(TEXTS, return_intermediates=True)
    assert seen["embedded"].shape == (4, 5, 6)
    assert seen["forget_gate_1"].shape == (4, 5, 5)
    assert torch.equal(seen["last"][0], seen["hidden_1"][0, 2])
    torch.testing.assert_close(seen["output"], model(TEXTS), rtol=1e-5, atol=1e-6)


def test_classifier_learns_which_token_came_first():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, 6, (128, 8), generator=generator)
    y = torch.randint(0, 2, (128,), generator=generator)
    x[:, 0] = y  # to be remembered over seven random tokens
    model = RecurrentClassifier(6, embedding=8, hidden=16, padding=6, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.95


def test_the_classifier_of_the_documents():
    model = RecurrentClassifier(1000)
    assert repr(model) == (
        "RecurrentClassifier(1,000 tokens, embedding 64, lstm 64, 2 classes, "
        "97,410 parameters)"
    )
    before = torch.get_rng_state()
    again = RecurrentClassifier(1000)
    assert torch.equal(before, torch.get_rng_state())
    assert all(map(torch.equal, model.parameters(), again.parameters()))


@pytest.mark.parametrize(
    ("tokens", "error", "sentence"),
    [
        (torch.tensor([[1, 10]]), IndexError, "10 rows, 0 to 9"),
        (torch.tensor([[-1, 2]]), IndexError, "run from -1 to 2"),
        (torch.tensor([1, 2]), ValueError, r"\(2,\); give \(B, T\)"),
        (torch.zeros(2, 0, dtype=torch.int64), ValueError, "one token or more"),
        (torch.tensor([[1.0, 2.0]]), TypeError, "float32"),
    ],
)
def test_tokens_it_cannot_read_are_refused_in_a_sentence(tokens, error, sentence):
    with pytest.raises(error, match=sentence):
        RecurrentClassifier(10)(tokens)


def test_an_unknown_kind_is_refused_with_the_list():
    with pytest.raises(ValueError, match="'transformer'; choose one of rnn, gru, lstm"):
        RecurrentClassifier(10, kind="transformer")
