"""Low-rank adapters: nothing changes at first, only A and B learn, merging is exact."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models.adapters import LowRank, adapt, merge
from lib.models.configs import EncoderConfig
from lib.models.layers import Linear
from lib.models.transformer import EncoderClassifier
from lib.optimizers import Adam

LAYERS = ["attention.qkv", "feed_forward.up"]
TOKENS = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 8, 9, 0]])
CONFIG = EncoderConfig(vocab_size=10, context=8, channels=16, num_heads=2, hidden=32)


def classifier():
    return EncoderClassifier(CONFIG, classes=2, seed=1)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def learn(model, steps=5):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = Adam(trained, learning_rate=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(TOKENS), torch.tensor([0, 1, 0])).backward()
        optimizer.step()


@pytest.mark.parametrize("make", [Linear, nn.Linear])
def test_a_new_adapter_changes_no_bit_of_the_output(make):
    linear, x = make(6, 4), draw(3, 6)
    expected = linear(x).detach()
    assert torch.equal(LowRank(linear, rank=2)(x), expected)
    model = classifier()
    expected = model(TOKENS)
    assert torch.equal(adapt(model, LAYERS, rank=2)(TOKENS), expected)


def test_it_computes_the_formula_of_the_paper():
    layer = LowRank(Linear(6, 4, seed=3), rank=2, alpha=3.0)
    layer.B.data = draw(4, 2)
    W, b, x = layer.linear.weight, layer.linear.bias, draw(5, 6)
    expected = x @ (W + 3.0 / 2 * layer.B @ layer.A).T + b
    torch.testing.assert_close(layer(x), expected, rtol=1e-6, atol=1e-6)


def test_only_a_and_b_get_gradients_and_only_they_move():
    model = adapt(classifier(), LAYERS, rank=2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    learn(model)
    for name, p in model.named_parameters():
        own = name.endswith((".A", ".B"))
        assert p.requires_grad == own, name
        assert (p.grad is not None) == own, name
        assert torch.equal(p, before[name]) != own, name


def test_merged_equals_unmerged_and_every_adapter_is_gone():
    model = adapt(classifier(), LAYERS, rank=3)
    learn(model)
    expected, plain = (
        model(TOKENS).detach(),
        {n for n, _ in classifier().named_modules()},
    )
    merge(model)
    assert {name for name, _ in model.named_modules()} == plain
    torch.testing.assert_close(model(TOKENS), expected, rtol=0, atol=1e-6)
    assert not torch.equal(model(TOKENS), classifier()(TOKENS))


def test_merging_one_layer_leaves_the_adapter_as_it_was():
    layer = LowRank(Linear(6, 4), rank=2)
    layer.B.data = draw(4, 2)
    W = layer.linear.weight.clone()
    merged = layer.merged()
    assert torch.equal(layer.linear.weight, W)
    assert not torch.equal(merged.weight, W)
    assert all(p.requires_grad for p in merged.parameters())


def test_number_of_parameters_and_start():
    layer = LowRank(Linear(384, 1152), rank=4, alpha=8.0)
    trained = [p for p in layer.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 4 * (384 + 1152)
    assert layer.scale == 2.0
    assert layer.B.count_nonzero() == 0
    assert layer.A.std().item() == pytest.approx(384**-0.5, rel=0.1)
    assert "rank=4, 6,144 parameters" in repr(layer)


def test_the_seed_decides_and_layers_differ():
    one, same, other = (adapt(classifier(), LAYERS, seed=s) for s in (0, 0, 1))
    name = "encoder.stack.blocks.{}.attention.qkv.A"
    first = one.get_parameter(name.format(0))
    assert torch.equal(first, same.get_parameter(name.format(0)))
    assert not torch.equal(first, other.get_parameter(name.format(0)))
    assert not torch.equal(first, one.get_parameter(name.format(1)))


def test_layers_are_found_by_whole_names():
    model = adapt(classifier(), ["out"])
    found = [name for name, part in model.named_modules() if isinstance(part, LowRank)]
    assert found == [f"encoder.stack.blocks.{i}.attention.out" for i in range(2)]


def test_bad_input_is_refused_and_the_model_stays_as_it_was():
    model = classifier()
    for layers, rank, said in (
        (["qvk"], 2, "No layer has a name that ends in"),
        (["head", "norm"], 2, "give a linear layer"),
        (["head"], 3, "at most the smaller"),
        ([], 2, "No layer"),
    ):
        with pytest.raises(ValueError, match=said):
            adapt(model, layers, rank=rank)
    assert all(p.requires_grad for p in model.parameters())
    assert not any(isinstance(part, LowRank) for part in model.modules())
    with pytest.raises(ValueError, match="rank"):
        LowRank(Linear(3, 2), rank=0)
