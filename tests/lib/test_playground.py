"""The network of the playground: its points, its training, and what it lets be seen."""

import math

import numpy as np
import pytest
import torch

from lib.datasets import load
from lib.models.mlp import ACTIVATIONS, MLP
from lib.optimizers import OPTIMIZERS
from lib.playground import COARSE, FEATURES, FINE, OpenMLP, Playground, grid_points
from lib.playground_points import (
    CLASSES,
    EDGE,
    SURFACES,
    make_points,
    own_points,
)


def make(name="circles", **options) -> Playground:
    return Playground(make_points(name, 60), device="cpu", **options)


# ---- points


@pytest.mark.parametrize("name", [*CLASSES, *SURFACES])
def test_every_set_lies_in_the_square_and_keeps_points_for_the_test(name):
    points = make_points(name, 200, noise=0.05, test=0.3)
    assert points.x.shape == (200, 2)
    assert points.classes == (name in CLASSES)
    assert (points.x.abs() <= EDGE).float().mean() > 0.97
    assert points.x.abs().amax(0).min() > 0.35 * EDGE
    assert points.test.sum() == 60
    if points.classes:
        assert points.y.mean() == 0.5
        assert points.y[points.test].mean() == pytest.approx(0.5)
    else:
        assert -1.3 < points.y.min() < -0.5
        assert 0.5 < points.y.max() < 1.3


@pytest.mark.parametrize("name", [*CLASSES, *SURFACES])
def test_points_come_from_the_seed_and_move_with_the_noise(name):
    first, again = make_points(name, 40, seed=3), make_points(name, 40, seed=3)
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.test, again.test)
    assert not torch.equal(first.x, make_points(name, 40, seed=4).x)
    clean, noisy = (make_points(name, 40, noise, seed=3) for noise in (0.0, 0.5))
    moved = (clean.x - noisy.x).abs().mean() + (clean.y - noisy.y).abs().mean()
    assert moved > 0.1


def test_surfaces_without_noise_are_their_formula():
    points = make_points("plane", 50, noise=0.0)
    torch.testing.assert_close(points.y, points.x.sum(1) / (2 * EDGE))


def test_the_drawn_set_is_empty_until_a_point_is_added():
    points = make_points("drawn")
    assert len(points.x) == 0
    points = points.with_point((1.5, -3.0), 1.0).with_point((0.0, 0.0), 0.0)
    assert points.x.tolist() == [[1.5, -3.0], [0.0, 0.0]]
    assert points.y.tolist() == [1.0, 0.0]
    assert not points.test.any()


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match="no points 'rings'; choose one of circles"):
        make_points("rings")


def test_own_points_keep_their_units_and_fill_the_square():
    generator = np.random.default_rng(0)
    x = generator.uniform((100, -0.01), (300, 0.01), (80, 2))
    y = (x[:, 0] > 200).astype(int)
    points = own_points((x, y))
    assert points.classes
    np.testing.assert_allclose(points.to_own_units(), x, rtol=1e-4, atol=1e-6)
    assert 0.7 * EDGE < points.x.abs().max() < EDGE
    added = points.with_point((150.0, 0.0), 1.0)
    np.testing.assert_allclose(added.to_own_units()[-1], [150.0, 0.0], atol=1e-3)
    left, right = points.bounds[:2]
    assert left < x[:, 0].min() < x[:, 0].max() < right
    assert x[:, 0].min() - left == pytest.approx(right - x[:, 0].max(), rel=1e-3)


def test_own_numbers_to_predict_are_brought_to_one():
    x = torch.rand(30, 2, generator=torch.Generator().manual_seed(0))
    points = own_points((x, 50 + 10 * x[:, 0]))
    assert not points.classes
    assert points.y.min() == -1
    assert points.y.max() == 1
    low, high = points.heights
    assert low == pytest.approx(50 + 10 * x[:, 0].min().item())
    assert high == pytest.approx(50 + 10 * x[:, 0].max().item())
    assert points.with_point((0.5, 0.5), 1.0).heights == (low, high)


def test_a_dataset_of_two_features_brings_its_names():
    points = own_points(load("diabetes").select("bmi", "bp"))
    assert points.names[0].startswith("bmi")
    assert len(points.x) == 442


def test_few_points_are_all_trained_on():
    x = torch.rand(10, 2, generator=torch.Generator().manual_seed(0))
    assert not own_points((x, x[:, 0])).test.any()


@pytest.mark.parametrize(
    "data",
    [
        3,
        (1, 2),
        ([[1.0, 2.0]], [1]),
        ([[1.0, 2.0, 3.0]] * 4, [1] * 4),
        ([[1.0, 2.0], [3.0, 4.0]], [1]),
        ([[1.0, 2.0], [1.0, 4.0]], [0, 1]),
        ([[1.0, math.nan], [3.0, 4.0]], [0, 1]),
        ([["a", "b"]], ["c"]),
    ],
)
def test_data_that_cannot_be_shown_are_refused(data):
    with pytest.raises(ValueError, match=r"^(x|data) "):
        own_points(data)


# ---- training


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_that_of_the_optimizer_on_a_plain_mlp(name):
    play = make(optimizer=name, learning_rate=0.02, batch_size=7, seed=5)
    play.advance(12)
    model = MLP((2, 4, 2, 1), "tanh", seed=5)
    optimizer = OPTIMIZERS[name](model.parameters(), learning_rate=0.02)
    generator = torch.Generator().manual_seed(5)
    points = play.points
    x, y = points.x[~points.test], points.y[~points.test]
    rows = []
    while len(rows) < 12:
        rows += torch.randperm(len(x), generator=generator).split(7)
    for chosen in rows[:12]:
        optimizer.zero_grad()
        z = model(x[chosen]).squeeze(1)
        torch.nn.functional.binary_cross_entropy_with_logits(z, y[chosen]).backward()
        optimizer.step()
    torch.testing.assert_close(play.optimizer.theta, optimizer.theta)
    assert play.step == 12
    assert play.epoch == pytest.approx(2.0)  # 36 points in batches of 7


def test_penalties_act_on_the_weights_and_not_on_the_biases():
    plain, l1, l2 = (make(batch_size=36, learning_rate=0.1) for _ in range(3))
    l1.l1, l2.l2 = 0.05, 0.3
    before = plain.optimizer.theta.clone()
    for play in (plain, l1, l2):
        play.advance(1)
    weights = torch.cat([torch.full((p.numel(),), p.dim() == 2)
                         for p in plain.model.parameters()])  # fmt: skip
    zero = torch.zeros_like(before)
    step = 0.1 * 0.05 * before.sign()
    pulled = plain.optimizer.theta - l1.optimizer.theta
    torch.testing.assert_close(pulled, torch.where(weights, step, zero))
    pulled = plain.optimizer.theta - l2.optimizer.theta
    torch.testing.assert_close(pulled, torch.where(weights, 0.1 * 0.3 * before, zero))


def test_dropout_leaves_out_neurons_in_training_only():
    model = OpenMLP((2, 8, 1), "relu", seed=1, p=0.5)
    x = torch.ones(400, 2)
    model.train()
    dropped = model(x).detach()
    assert len(dropped.unique()) > 10
    seen = model(x, return_intermediates=True)["output"]
    model.eval()
    torch.testing.assert_close(model(x), seen)
    torch.testing.assert_close(model(x), MLP((2, 8, 1), "relu", seed=1)(x))
    assert dropped.mean().item() == pytest.approx(seen.mean().item(), abs=0.1)


def test_the_same_seed_trains_the_same_with_dropout_too():
    options = {"dropout": 0.3, "hidden": (6,), "optimizer": "Adam", "seed": 8}
    first, second = make(**options), make(**options)
    first.advance(20)
    second.advance(20)
    assert torch.equal(first.optimizer.theta, second.optimizer.theta)
    other = make(**{**options, "seed": 9})
    other.advance(20)
    assert not torch.equal(first.optimizer.theta, other.optimizer.theta)


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("circles", {"hidden": (4, 2)}, 0.9),
        ("circles", {"hidden": (), "features": ("x1²", "x2²")}, 0.95),
        ("exclusive_or", {"hidden": (), "features": ("x1x2",)}, 0.85),
        ("moons", {"hidden": (8,), "activation": "relu"}, 0.95),
        ("clouds", {"hidden": ()}, 0.95),
    ],
)
def test_a_fitting_network_learns_the_set(name, options, least):
    play = Playground(make_points(name, 200), optimizer="Adam", learning_rate=0.03,
                      device="cpu", **options)  # fmt: skip
    first = play.moment()
    play.advance(600)
    moment = play.moment()
    assert moment.test_accuracy >= least
    assert moment.test_loss < 0.75 * first.test_loss


def test_a_straight_model_cannot_learn_circles():
    play = make(hidden=(), optimizer="Adam", learning_rate=0.05)
    play.advance(300)
    assert play.moment().train_accuracy < 0.75


def test_a_surface_is_learnt():
    play = make("hills", hidden=(8, 8), optimizer="Adam", learning_rate=0.02)
    first = play.moment()
    play.advance(400)
    assert play.moment().train_loss < 0.3 * first.train_loss
    assert math.isnan(play.moment().test_accuracy)


def test_without_points_training_says_what_is_missing():
    play = Playground(make_points("drawn"), device="cpu")
    with pytest.raises(ValueError, match=r"no points to train on\. Draw"):
        play.advance(1)
    moment = play.moment()
    assert math.isnan(moment.train_loss)
    assert moment.finite


def test_points_optimizer_and_batch_can_change_on_the_way():
    play = make(optimizer="Adam")
    play.advance(5)
    theta = play.optimizer.theta.clone()
    play.use_points(play.points.with_point((0.0, 0.0), 0.0))
    play.use_optimizer("SGD", 0.5)
    play.batch_size = 37
    assert torch.equal(play.optimizer.theta, theta)
    assert play.batches_in_epoch == 1
    play.advance(1)
    assert play.step == 6
    assert play.learning_rate == 0.5
    assert len(play.train_part[0]) == 37
    play.learning_rate = 0.0
    theta = play.optimizer.theta.clone()
    play.advance(1)
    assert torch.equal(play.optimizer.theta, theta)


def test_moving_to_the_same_kind_of_device_changes_nothing():
    stays, moves = make(optimizer="Adam"), make(optimizer="Adam")
    stays.advance(5)
    moves.advance(5)
    moves.move_to("cpu")
    stays.advance(5)
    moves.advance(5)
    assert torch.equal(stays.optimizer.theta, moves.optimizer.theta)


@pytest.mark.gpu
def test_cpu_and_gpu_agree():
    cpu = make(optimizer="Adam", learning_rate=0.02)
    gpu = Playground(make_points("circles", 60), optimizer="Adam", learning_rate=0.02,
                     device="cuda")  # fmt: skip
    cpu.advance(40)
    gpu.advance(20)
    gpu.move_to("cpu")
    gpu.move_to("cuda")
    gpu.advance(20)
    np.testing.assert_allclose(cpu.moment().theta, gpu.moment().theta, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"features": ()}, "choose one or more of x1, x2"),
        ({"features": ("x3",)}, "features are"),
        ({"optimizer": "Adagrad2"}, "no optimizer is called 'Adagrad2'"),
        ({"activation": "step"}, "no activation 'step'"),
    ],
)
def test_unknown_parts_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**options)


# ---- looking


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_responses_are_those_of_each_neuron_at_its_cell(activation):
    features = ("x1", "x2²", "sin x2")
    play = make(hidden=(3, 2), activation=activation, features=features)
    play.advance(5)
    moment = play.moment()
    assert moment.neurons.shape == (5, COARSE, COARSE)
    assert moment.output.shape == (FINE, FINE)
    grid = grid_points().reshape(FINE, FINE, 2)
    cell = 2 * EDGE / FINE
    torch.testing.assert_close(grid[0, 0], torch.tensor([cell / 2 - EDGE] * 2))
    torch.testing.assert_close(grid[0, 1] - grid[0, 0], torch.tensor([cell, 0.0]))
    x1, x2 = grid[..., 0], grid[..., 1]
    h = torch.stack([x1, x2 * x2, torch.sin(x2)], -1)
    seen = []
    for layer in play.model.layers[:-1]:
        h = ACTIVATIONS[activation](h @ layer.weight.T + layer.bias)
        seen.append(h)
    last = play.model.layers[-1]
    output = (h @ last.weight.T + last.bias)[..., 0].detach().numpy()
    np.testing.assert_allclose(moment.output, output, atol=1e-5)
    maps = torch.cat(seen, -1).detach().numpy()
    i, j = 7, 15  # row of x2, column of x1: the mean of 2 x 2 cells
    means = maps[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((0, 1))
    np.testing.assert_allclose(moment.neurons[:, i, j], means, atol=1e-5)


def test_a_network_without_hidden_layers_has_no_neurons_to_show():
    assert make(hidden=()).moment().neurons.shape == (0, COARSE, COARSE)


def test_losses_of_a_moment_are_over_all_points_of_each_part():
    play = make()
    play.l2 = 1.0  # penalties are no part of them
    points, moment = play.points, play.moment()
    z = play.model(points.x).squeeze(1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    for part, value, share in (
        (~points.test, moment.train_loss, moment.train_accuracy),
        (points.test, moment.test_loss, moment.test_accuracy),
    ):
        assert value == pytest.approx(loss(z[part], points.y[part]).item(), rel=1e-5)
        right = ((z[part] > 0) == points.y[part].bool()).float().mean().item()
        assert share == pytest.approx(right)


def test_a_weight_set_by_hand_changes_the_output_and_nothing_else():
    play = make(hidden=())
    before = play.moment()
    play.set_weight(1, 2.5)
    after = play.moment()
    assert after.theta.tolist() == [before.theta[0], 2.5, before.theta[2]]
    x2 = grid_points()[:, 1].reshape(FINE, FINE).numpy()
    moved = (2.5 - before.theta[1]) * x2
    np.testing.assert_allclose(after.output - before.output, moved, atol=1e-5)


@pytest.mark.parametrize(
    ("index", "value"),
    [(-1, 1.0), (3, 1.0), (True, 1.0), ("a", 1.0), (0, math.nan), (0, "2"), (0, None)],
)
def test_a_weight_that_is_not_there_or_no_number_is_refused(index, value):
    play = make(hidden=())
    theta = play.optimizer.theta.clone()
    with pytest.raises(ValueError, match="weight"):
        play.set_weight(index, value)
    assert torch.equal(play.optimizer.theta, theta)


def test_a_moment_does_not_change_with_the_training_after_it():
    play = make(optimizer="Adam", learning_rate=0.1)
    moment = play.moment()
    theta = moment.theta.copy()
    play.advance(3)
    np.testing.assert_array_equal(moment.theta, theta)
    assert not np.array_equal(play.moment().theta, theta)


def test_a_network_that_explodes_is_seen():
    play = make("hills", hidden=(4,), activation="identity", learning_rate=50.0)
    assert play.moment().finite
    play.advance(60)
    assert not play.moment().finite


def test_features_stand_in_their_own_order():
    assert make(features=("sin x2", "x1")).features == ["x1", "sin x2"]
    assert make(features=tuple(FEATURES)).sizes[0] == 7
