"""Penalties, dropout and early stopping: what each promises."""

import math

import pytest
import torch
from torch import nn

from lib import optimizers
from lib.losses import mean_squared_error
from lib.models.mlp import MLP
from lib.models.vision import BatchNorm2d
from lib.regularizers import (
    Dropout,
    EarlyStopping,
    dropout,
    l1_penalty,
    l2_penalty,
    shrink,
    weights,
)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def test_weights_are_the_matrices_without_biases_and_norms():
    model = nn.Sequential(MLP((4, 3, 2)), BatchNorm2d(3))
    assert [tuple(p.shape) for p in weights(model)] == [(3, 4), (2, 3)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_penalties_have_the_values_and_slopes_of_their_formulas(dtype):
    p = [data(3, 2).to(dtype), torch.tensor([0.0, -2.0, 0.5], dtype=dtype)]
    p = [each.requires_grad_() for each in p]
    flat = torch.cat([each.detach().flatten() for each in p])
    for penalty, value, slope in (
        (l1_penalty, 0.3 * flat.norm(1), lambda w: 0.3 * w.sign()),
        (l2_penalty, 0.15 * flat.norm(2) ** 2, lambda w: 0.3 * w),
    ):
        result = penalty(p, 0.3)
        assert result.shape == ()
        torch.testing.assert_close(result, value)
        for each, gradient in zip(p, torch.autograd.grad(result, p), strict=True):
            torch.testing.assert_close(gradient, slope(each.detach()))


def trained(name: str, penalty: float = 0.0, **options) -> torch.Tensor:
    """Parameters of a small network after ten steps in float64."""
    model = MLP((4, 6, 1), "tanh", seed=3, dtype=torch.float64)
    optimizer = getattr(optimizers, name)(model.parameters(), **options)
    x, y = data(20, 4), data(20, 1, seed=2)
    for _ in range(10):
        optimizer.zero_grad()
        loss = mean_squared_error(model(x), y)
        (loss + l2_penalty(model.parameters(), penalty)).backward()
        optimizer.step()
    return optimizer.theta.detach().clone()


@pytest.mark.parametrize("name", ["SGD", "Momentum", "Adam"])
def test_l2_penalty_is_the_coupled_weight_decay(name):
    a = trained(name, penalty=0.1, learning_rate=0.05)
    b = trained(name, weight_decay=0.1, learning_rate=0.05)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(a, trained(name, learning_rate=0.05), atol=1e-4)


def test_decoupled_decay_differs_from_the_penalty_with_adam_and_not_with_sgd():
    a = trained("Adam", penalty=0.1, learning_rate=0.05)
    b = trained("AdamW", weight_decay=0.1, learning_rate=0.05)
    assert (a - b).abs().max() > 0.01
    # for plain descent both are the same: θ − η (g + λ θ) = (1 − η λ) θ − η g
    theta, g = data(5), data(5, seed=2)
    torch.testing.assert_close(
        theta - 0.05 * (g + 0.1 * theta), theta * (1 - 0.05 * 0.1) - 0.05 * g
    )


def test_shrink_stops_at_zero():
    p = torch.tensor([3.0, -3.0, 0.5, -0.5, 0.0])
    shrink([p], 1.0)
    assert p.tolist() == [2.0, -2.0, 0.0, 0.0, 0.0]


def test_gradient_steps_with_shrink_find_scikit_learns_lasso():
    from sklearn.linear_model import Lasso

    x = data(60, 8)
    y = x @ torch.tensor([2.0, 0, 0, -1, 0, 0, 0, 0.3], dtype=torch.float64)
    theta = torch.zeros(8, dtype=torch.float64)
    for _ in range(500):
        theta -= 0.3 * x.T @ (x @ theta - y) / 60
        shrink(theta, 0.3 * 0.4)
    expected = torch.from_numpy(
        Lasso(alpha=0.4, fit_intercept=False, tol=1e-10).fit(x, y).coef_
    )
    torch.testing.assert_close(theta, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(theta == 0, expected == 0)
    assert (theta == 0).sum() >= 4


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_expected_value_and_has_the_variance_of_the_formula(p):
    x = torch.full((200_000,), 2.0, dtype=torch.float64)
    y = dropout(x, p, generator())
    spread = 2 * math.sqrt(p / (1 - p))  # standard deviation of one number
    error = 5 * spread / math.sqrt(len(x))
    assert y.mean().item() == pytest.approx(2, abs=error + 1e-12)
    assert y.std().item() == pytest.approx(spread, rel=0.02)
    assert sorted({0.0, 2 / (1 - p)} if p else {2.0}) == y.unique().tolist()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_is_torchs_for_the_same_seed(p):
    x = data(1000, 100).abs() + 0.1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        theirs = nn.functional.dropout(x, p)
    ours = dropout(x, p, generator(7))
    assert (ours == 0).double().mean().item() == pytest.approx(p, abs=0.01)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_dropouts_gradient_goes_only_through_what_was_kept():
    x = data(50).requires_grad_()
    y = dropout(x, 0.5, generator())
    y.sum().backward()
    assert torch.equal(x.grad, (y != 0).double() * 2)


def test_the_layer_does_the_same_as_the_function_and_rests_in_evaluation():
    x, layer = data(40, 5).float(), Dropout(0.4, seed=7)
    assert torch.equal(layer(x), dropout(x, 0.4, generator(7)))
    assert layer.eval()(x) is x


def test_dropout_and_training_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    dropout(data(9), 0.5, generator())
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_in_half_precision_keeps_the_dtype():
    x = data(100).to(torch.bfloat16)
    y = dropout(x, 0.5, generator())
    assert y.dtype == torch.bfloat16
    assert torch.equal(y[y != 0], (2 * x)[y != 0])


@pytest.mark.gpu
def test_dropout_on_the_gpu_keeps_the_expected_value():
    y = dropout(
        torch.ones(100_000, device="cuda"), 0.5, torch.Generator("cuda").manual_seed(1)
    )
    assert y.mean().item() == pytest.approx(1, abs=0.02)


def run(values, **options) -> tuple[int | None, EarlyStopping]:
    """The update, from 1, that said stop; None if none did."""
    stopping = EarlyStopping(**options)
    for i, value in enumerate(values, start=1):
        if stopping.update(value):
            return i, stopping
    return None, stopping


@pytest.mark.parametrize(
    ("values", "options", "stops", "best", "best_update"),
    [
        ([3, 2, 1, 2, 2, 2], {"patience": 3}, 6, 1, 3),
        ([3, 2, 1, 2, 2], {"patience": 3}, None, 1, 3),
        ([3, 4, 2, 4, 1, 4, 4], {"patience": 2}, 7, 1, 5),
        ([1, 1, 1], {"patience": 2}, 3, 1, 1),
        ([1.0, 0.95, 0.9, 0.5], {"patience": 2, "min_delta": 0.2}, 3, 1.0, 1),
        ([1.0, 0.9, 0.7, 0.7], {"patience": 2, "min_delta": 0.2}, None, 0.7, 3),
        ([0.1, 0.5, 0.4, 0.5], {"patience": 2, "mode": "max"}, 4, 0.5, 2),
        ([math.nan, 2, math.nan, math.nan], {"patience": 2}, 4, 2, 2),
    ],
)
def test_early_stopping_waits_as_long_as_its_patience(
    values, options, stops, best, best_update
):
    at, stopping = run(values, **options)
    assert at == stops
    assert stopping.stopped == (stops is not None)
    assert stopping.best == best
    assert stopping.best_update == best_update


def test_early_stopping_gives_back_the_best_weights_and_buffers():
    model = nn.Sequential(BatchNorm2d(2), nn.Flatten(), MLP((8, 3)))
    stopping = EarlyStopping(patience=2)
    optimizer = optimizers.SGD(model.parameters(), learning_rate=0.1)
    kept = None
    for value in (2.0, 1.0, 3.0, 4.0):
        model(data(5, 2, 2, 2).float()).sum().backward()
        optimizer.step()
        stopping.update(torch.tensor(value), model)
        if value == 1.0:
            kept = {name: p.clone() for name, p in model.state_dict().items()}
    assert stopping.stopped
    assert any(not torch.equal(p, kept[n]) for n, p in model.state_dict().items())
    stopping.restore(model)
    assert len(kept) == 6
    assert all(torch.equal(p, kept[n]) for n, p in model.state_dict().items())
    assert repr(stopping) == "EarlyStopping(best 1 at update 2, waited 2 of 2)"
    # still views of the optimizer's one vector, which the restored weights fill
    whole = torch.cat([p.flatten() for p in model.parameters()])
    assert torch.equal(optimizer.theta, whole)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: l1_penalty([], 0.1), "no parameters"),
        (lambda: l2_penalty([data(2)], -0.1), "strength is -0.1"),
        (lambda: shrink([data(2)], math.nan), "strength is nan"),
        (lambda: dropout(data(2), 1.0, generator()), "p is 1.0"),
        (lambda: EarlyStopping(patience=0), "patience is 0"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta is -1"),
        (lambda: EarlyStopping(mode="best"), "'min' or 'max'"),
        (lambda: EarlyStopping().restore(MLP((2, 2))), "No weights were kept"),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
