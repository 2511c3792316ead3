"""The perceptron, the linear layer and the MLP against torch.nn and scikit-learn."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models.mlp import ACTIVATIONS, MLP, Linear, Perceptron

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
TORCH_ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "identity": nn.Identity,
}


def data(B: int, inputs: int, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(B, inputs, generator=generator, dtype=torch.float64).to(dtype)


def torch_mlp(model: MLP) -> nn.Sequential:
    """The same network of torch.nn's layers, with the same weights."""
    layers = []
    for ours in model.layers:
        outputs, inputs = ours.weight.shape
        theirs = nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=ours.weight.dtype)
        theirs.load_state_dict(ours.state_dict())
        layers += [theirs, TORCH_ACTIVATIONS[model.activation]()]
    return nn.Sequential(*layers[:-1])


@every_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(784, 128, 10), (784, 64, 64, 10), (5, 3)])
def test_mlp_gives_torchs_outputs_and_gradients(sizes, activation, dtype):
    ours = MLP(sizes, activation=activation, seed=3, dtype=dtype)
    theirs = torch_mlp(ours)
    x, y = data(16, sizes[0], dtype), torch.arange(16) % sizes[-1]
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(ours(x), theirs(x), **close)
    F.cross_entropy(ours(x), y).backward()
    F.cross_entropy(theirs(x), y).backward()
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    assert len(pairs) == 2 * (len(sizes) - 1)
    for a, b in pairs:
        torch.testing.assert_close(a.grad, b.grad, **close)


@every_dtype
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (4, 7), (2, 3, 7), (0, 7)])
def test_linear_equals_torchs_for_every_shape(shape, bias, dtype):
    ours = Linear(7, 4, bias=bias, dtype=dtype)
    x = torch.linspace(-2, 2, 42, dtype=dtype)[: torch.Size(shape).numel()]
    x = x.reshape(shape)
    expected = F.linear(x, ours.weight, ours.bias)
    assert ours(x).shape == (*shape[:-1], 4)
    assert (ours.bias is not None) == bias
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=TOLERANCE[dtype])


def test_same_seed_gives_the_initial_weights_of_torch():
    ours = MLP((20, 8, 8, 3), seed=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        theirs = nn.Sequential(nn.Linear(20, 8), nn.Linear(8, 8), nn.Linear(8, 3))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_seed_decides_the_weights_and_layers_differ():
    a, b, c = MLP((6, 6, 6), seed=1), MLP((6, 6, 6), seed=1), MLP((6, 6, 6), seed=2)
    assert torch.equal(a.layers[0].weight, b.layers[0].weight)
    assert not torch.equal(a.layers[0].weight, c.layers[0].weight)
    assert not torch.equal(a.layers[0].weight, a.layers[1].weight)
    assert a.layers[0].weight.abs().max() <= 6**-0.5


def test_building_and_running_a_model_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    MLP((4, 3, 2))(torch.ones(1, 4))
    assert torch.equal(before, torch.get_rng_state())


def test_intermediates_have_names_and_carry_gradients():
    model = MLP((5, 4, 3, 2))
    x = data(6, 5)
    seen = model(x, return_intermediates=True)
    names = ["input", "linear_1", "hidden_1", "linear_2", "hidden_2", "output"]
    assert list(seen) == names
    assert torch.equal(seen["output"], model(x))
    assert torch.equal(seen["hidden_1"], seen["linear_1"].relu())
    assert torch.equal(
        seen["linear_1"], x @ model.layers[0].weight.T + model.layers[0].bias
    )
    seen["hidden_2"].retain_grad()
    seen["output"].sum().backward()
    expected = model.layers[-1].weight.sum(0).expand(6, 3)
    torch.testing.assert_close(seen["hidden_2"].grad, expected)


def test_a_tiny_mlp_computes_exclusive_or_as_worked_out_by_hand():
    model = MLP((2, 2, 1))
    with torch.no_grad():
        model.layers[0].weight.copy_(torch.ones(2, 2))
        model.layers[0].bias.copy_(torch.tensor([0.0, -1.0]))
        model.layers[1].weight.copy_(torch.tensor([[1.0, -2.0]]))
        model.layers[1].bias.zero_()
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert model(x).flatten().tolist() == [0.0, 1.0, 1.0, 0.0]


def test_named_models_are_the_two_of_the_documents():
    one, two = MLP.one_hidden_layer(seed=4), MLP.two_hidden_layers(activation="tanh")
    assert repr(one) == "MLP(784-128-10, relu, 101,770 parameters)"
    assert repr(two) == "MLP(784-64-64-10, tanh, 55,050 parameters)"
    assert torch.equal(
        one.layers[0].weight, MLP((784, 128, 10), seed=4).layers[0].weight
    )


def test_state_dict_and_deepcopy_keep_the_model():
    model, x = MLP((4, 3, 2), seed=1), data(5, 4)
    other = MLP((4, 3, 2), seed=2)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))
    assert torch.equal(copy.deepcopy(model)(x), model(x))


def test_half_precision_gives_nearly_the_same():
    model, x = MLP((8, 4, 2)), data(3, 8)
    expected = model(x)
    got = copy.deepcopy(model).bfloat16()(x.bfloat16())
    torch.testing.assert_close(got.float(), expected, rtol=0.05, atol=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_gpu_gives_the_weights_and_the_outputs_of_the_cpu():
    cpu, gpu = MLP((64, 32, 10), seed=1), MLP((64, 32, 10), seed=1, device="cuda")
    assert torch.equal(cpu.layers[0].weight, gpu.layers[0].weight.cpu())
    x = data(16, 64)
    torch.testing.assert_close(gpu(x.cuda()).cpu(), cpu(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 5), (4,), (), (4, 1, 2, 2)])
def test_a_wrong_shape_is_named_in_the_error(shape):
    with pytest.raises(ValueError, match="takes 64 numbers per example") as error:
        MLP((64, 10))(torch.zeros(shape))
    assert str(tuple(shape)) in str(error.value)


def test_whole_numbers_as_input_are_refused():
    with pytest.raises(TypeError, match=r"x\.float\(\)"):
        MLP((4, 2))(torch.zeros(3, 4, dtype=torch.int64))


@pytest.mark.parametrize("sizes", [(), (4,), (4, 0), (4, -1, 2), (4, 2.0), (True, "a")])
def test_sizes_it_cannot_use_are_refused(sizes):
    with pytest.raises(
        ValueError, match=r"two or more numbers|whole number, 1 or more"
    ):
        MLP(sizes)


def test_an_unknown_activation_is_refused_with_the_list():
    with pytest.raises(ValueError, match="'swish'; choose one of relu, tanh"):
        MLP((4, 2), activation="swish")


def separable() -> tuple[torch.Tensor, torch.Tensor]:
    x = data(60, 3, torch.float64)
    score = x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 0.3
    keep = score.abs() > 0.2
    return x[keep].float(), (score[keep] > 0).long()


def test_perceptron_stops_making_mistakes_where_a_line_separates():
    x, y = separable()
    model = Perceptron(3)
    mistakes = [model.learn(x, y) for _ in range(200)]
    assert mistakes[0] > 0
    assert mistakes[-1] == 0
    assert torch.equal(model(x), y)


def test_perceptron_never_learns_exclusive_or():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([0, 1, 1, 0])
    model = Perceptron(2)
    assert all(model.learn(x, y) > 0 for _ in range(100))


def test_perceptron_equals_scikit_learns_step_by_step():
    from sklearn.linear_model import Perceptron as Reference

    x, y = separable()
    y = torch.where(torch.arange(len(y)) % 9 == 0, 1 - y, y)  # no line separates these
    ours = Perceptron(3, learning_rate=0.5)
    theirs = Reference(eta0=0.5, shuffle=False, penalty=None)
    for _ in range(5):
        ours.learn(x, y)
        theirs.partial_fit(x.numpy(), y.numpy(), classes=[0, 1])
        weight = torch.from_numpy(theirs.coef_[0]).float()
        torch.testing.assert_close(ours.weight, weight, rtol=1e-4, atol=1e-5)
        assert ours.bias.item() == pytest.approx(theirs.intercept_[0], abs=1e-5)


@pytest.mark.parametrize("y", [[0, 2, 1], [0, 1], [-1, 1, 1], [0.5, 1.0, 0.0]])
def test_perceptron_refuses_classes_other_than_0_and_1(y):
    with pytest.raises(ValueError, match="one class, 0 or 1, for each of the 3"):
        Perceptron(2).learn(torch.ones(3, 2), torch.tensor(y))


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf")])
def test_perceptron_refuses_a_rate_it_cannot_use(rate):
    with pytest.raises(ValueError, match="positive, finite"):
        Perceptron(2, learning_rate=rate)
