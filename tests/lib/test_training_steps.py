"""Steps that are not plain: clipped, accumulated, in mixed precision."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from lib.optimizers import GradientDescent
from lib.training import clip_gradient_norm, train
from tests.lib.training_cases import N, linear_data, make_model, sgd, weights


@pytest.fixture
def data():
    return linear_data()


def gradients(seed=0, dtype=torch.float64, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    params = [torch.zeros(shape, dtype=dtype) for shape in [(3, 4), (5,), ()]]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator).to(dtype) * scale
    return [*params, torch.zeros(2)]  # the last one took no part


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 1e-2)],
)
def test_clipping_equals_torch(scale, dtype, tolerance):
    ours, theirs = (gradients(dtype=dtype, scale=scale) for _ in range(2))
    norm = clip_gradient_norm(iter(ours), 1.5)
    expected = nn.utils.clip_grad_norm_(theirs, 1.5)
    for a, b in zip([norm, *ours], [expected, *theirs], strict=True):
        a, b = (x if x.grad is None else x.grad for x in (a, b))
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * scale)
    assert ours[-1].grad is None
    length = torch.cat([p.grad.double().flatten() for p in ours[:-1]]).norm()
    assert length <= 1.5 * (1 + tolerance)


def test_clipping_refuses_no_gradient_and_wrong_norms():
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        clip_gradient_norm([torch.zeros(2)], 1.0)
    for norm in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"the norm is"):
            clip_gradient_norm(gradients(), norm)


def test_training_clips_and_says_how_long_the_gradient_was(data):
    model, twin = make_model(), make_model()
    seen = list(train(model, mse_loss, [data], sgd(model), steps=5, clip_norm=0.5))
    by_hand, norms = sgd(twin), []
    for _ in range(5):
        by_hand.zero_grad()
        mse_loss(twin(data[0]), data[1]).backward()
        norms.append(nn.utils.clip_grad_norm_(twin.parameters(), 0.5))
        by_hand.step()
    torch.testing.assert_close(weights(model), weights(twin))
    torch.testing.assert_close([s.gradient_norm for s in seen], norms)
    assert norms[0] > 0.5  # else nothing was clipped
    (plain,) = train(model, mse_loss, [data], sgd(model), steps=1)
    assert plain.gradient_norm is None


@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_accumulated_batches_are_one_large_batch(data, accumulate):
    x, y = (part.double() for part in data)
    model, twin = make_model().double(), make_model().double()
    small = [(x[i : i + 3], y[i : i + 3]) for i in range(0, N, 3)]  # 3, 3, 3 and 1
    large = [
        tuple(torch.cat(part) for part in zip(*small[i : i + accumulate], strict=True))
        for i in range(0, len(small), accumulate)
    ]
    options = {"accumulate": accumulate, "epochs": 3}
    ours = list(train(model, mse_loss, small, sgd(model), **options))
    theirs = list(train(twin, mse_loss, large, sgd(twin), epochs=3))
    torch.testing.assert_close(weights(model), weights(twin), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close([s.loss for s in ours], [s.loss for s in theirs])
    assert [s.examples for s in ours] == [s.examples for s in theirs]


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters(data):
    kinds = []

    def loss(predictions, targets):
        kinds.append(predictions.dtype)
        return mse_loss(predictions.float(), targets)

    model, twin = make_model(), make_model()
    list(train(model, loss, [data], sgd(model), steps=10, precision="bfloat16"))
    list(train(twin, mse_loss, [data], sgd(twin), steps=10))
    assert set(kinds) == {torch.bfloat16}
    assert weights(model).dtype == torch.float32
    assert not torch.equal(weights(model), weights(twin))
    torch.testing.assert_close(weights(model), weights(twin), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("kind", ["lib", "torch"])
def test_float16_scales_the_loss_and_leaves_out_an_infinite_update(data, kind):
    x, y = data
    model, twin = make_model(), make_model()

    def rule(model):
        if kind == "torch":
            return sgd(model, 10.0)
        return GradientDescent(model.parameters(), 10.0)

    def loss(predictions, targets):  # 65,536 times it is still a float16
        return mse_loss(predictions.float(), targets) / 100

    bad = [(x, y), (x, y * math.inf), (x, y)]
    run = train(model, loss, bad, rule(model), epochs=1, precision="float16")
    one = next(run)
    assert one.loss == pytest.approx(loss(make_model()(x), y).item(), rel=0.01)
    before = weights(model)
    next(run)
    assert torch.equal(weights(model), before)
    next(run)
    assert not torch.equal(weights(model), before)
    list(train(twin, loss, [(x, y)], rule(twin), steps=2))
    torch.testing.assert_close(weights(model), weights(twin), rtol=0.01, atol=0.005)


def test_float16_keeps_a_gradient_that_is_too_small_for_it(data):
    moved = []
    for factor in (0.1, 1e-8):  # 1e-8 is 0 in float16

        def loss(predictions, targets, factor=factor):
            return predictions.float().mean() * factor

        model = make_model()
        before = weights(model)
        optimizer = sgd(model, 0.1 / factor)
        list(train(model, loss, [data], optimizer, steps=1, precision="float16"))
        moved.append(weights(model) - before)
    assert moved[0].abs().max() > 0.05
    torch.testing.assert_close(*moved, rtol=0.05, atol=0.01)


def test_float16_clips_the_gradient_without_the_factor(data):
    def loss(predictions, targets):
        return mse_loss(predictions.float(), targets) / 100

    norms = []
    for precision in (None, "float16"):
        model = make_model()
        options = {"precision": precision, "clip_norm": 0.01}
        (step,) = train(model, loss, [data], sgd(model), steps=1, **options)
        norms.append(step.gradient_norm)
    torch.testing.assert_close(*norms, rtol=0.01, atol=0.0)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_gpu_trains_in_mixed_precision(data, precision):
    x, y = (part.cuda() for part in data)
    model, twin = make_model().cuda(), make_model().cuda()

    def loss(predictions, targets):
        return mse_loss(predictions.float(), targets)

    optimizer = GradientDescent(model.parameters(), 0.05)
    list(
        train(model, loss, [(x, y)], optimizer, steps=20, precision=precision),
    )
    list(train(twin, mse_loss, [(x, y)], sgd(twin, 0.05), steps=20))
    assert weights(model).dtype == torch.float32
    torch.testing.assert_close(weights(model), weights(twin), rtol=0.05, atol=0.02)
