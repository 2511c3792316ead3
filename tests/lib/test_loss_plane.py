"""The slice of a model's loss against the loss worked out one point at a time."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.loss_plane import (
    LossPlane,
    flat_weights,
    path_directions,
    random_directions,
)
from lib.models.mlp import MLP, Linear


def data(B: int = 40, inputs: int = 6, classes: int = 3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, inputs, generator=generator)
    return x, torch.randint(classes, (B,), generator=generator)


def plane(model: nn.Module | None = None, **options) -> LossPlane:
    model = MLP((6, 5, 3)) if model is None else model
    first, second = random_directions(model, seed=1)
    origin = flat_weights(model)
    return LossPlane(model, F.cross_entropy, *data(), origin, first, second, **options)


def loss_with(model: nn.Module, theta: torch.Tensor) -> float:
    """The model's loss with the flat weights put into it by torch's own tool."""
    with torch.no_grad():
        nn.utils.vector_to_parameters(theta, model.parameters())
        x, y = data()
        return F.cross_entropy(model.eval()(x), y).item()


@pytest.mark.parametrize("vectorise", [True, False])
@pytest.mark.parametrize("chunk", [None, 1, 4, 1000])
def test_grid_equals_the_loss_one_by_one(chunk, vectorise):
    model = MLP((6, 5, 3))
    p = plane(model, vectorise=vectorise)
    first, second = random_directions(model, seed=1)
    theta = flat_weights(model)
    a, b = torch.linspace(-1, 1, 5), torch.linspace(-2, 0.5, 3)
    off = torch.linspace(-0.1, 0.1, len(theta))
    grid = p.losses(a, b, offset=off, chunk=chunk)
    assert grid.shape == (3, 5)
    for i in range(3):
        for j in range(5):
            at = theta + a[j] * first + b[i] * second + off
            assert grid[i, j].item() == pytest.approx(loss_with(model, at), rel=2e-6)


def test_centre_is_the_models_own_loss():
    model, zero = MLP((6, 5, 3)), torch.zeros(1)
    x, y = data()
    expected = F.cross_entropy(model(x), y).item()
    assert plane(model).losses(zero, zero).item() == pytest.approx(expected, rel=1e-6)


def test_linear_model_of_two_weights_gives_the_closed_form():
    """Mean squared error of w x + b: a quadratic in w and b, known exactly."""
    model = Linear(1, 1, dtype=torch.float64)
    x = torch.tensor([[-1.0], [0.0], [2.0], [3.0]], dtype=torch.float64)
    y = 2 * x + 1
    axes = torch.eye(2, dtype=torch.float64)
    p = LossPlane(model, F.mse_loss, x, y, torch.zeros(2).double(), *axes)
    w = torch.linspace(-1, 4, 6, dtype=torch.float64)
    b = torch.linspace(-3, 2, 4, dtype=torch.float64)
    dw, db = w[None, :] - 2, b[:, None] - 1
    expected = dw**2 * 14 / 4 + 2 * dw * db * 4 / 4 + db**2
    torch.testing.assert_close(p.losses(w, b), expected, rtol=1e-12, atol=1e-12)


class Awkward(nn.Module):
    """Convolution, batch norm with running statistics, dropout, and tied weights."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(1, 2, 3, padding=1), nn.BatchNorm1d(2)
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(12, 12)
        self.again = self.out

    def forward(self, x):
        h = self.drop(self.norm(self.conv(x[:, None])).relu().flatten(1))
        return self.again(self.out(h))[:, :3]


def test_any_model_is_evaluated_and_left_unchanged_bit_by_bit():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Awkward().train()
        model(data()[0]).sum().backward()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gradient, rng = model.out.weight.grad.clone(), torch.get_rng_state()
    p = plane(model)
    a = torch.linspace(-1, 1, 4)
    grid = p.losses(a, a)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(model.out.weight.grad, gradient)
    assert torch.equal(rng, torch.get_rng_state())
    at = p.weights(torch.stack([a[3], a[0]]))
    assert grid[0, 3].item() == pytest.approx(loss_with(model, at), rel=1e-5)


def test_plane_keeps_its_own_weights_while_the_model_trains_on():
    model, zero = MLP((6, 5, 3)), torch.zeros(1)
    p = plane(model)
    before = p.losses(zero, zero)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    assert torch.equal(p.losses(zero, zero), before)


def test_a_model_that_vmap_cannot_take_says_so_and_works_without():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Linear(6, 3)

        def forward(self, x):
            h = self.layer(x)
            return h if h.sum() > 0 else -h

    with pytest.raises(ValueError, match="vectorise=False"):
        plane(Branching())
    grid = plane(Branching(), vectorise=False).losses(torch.ones(2), torch.ones(3))
    assert grid.isfinite().all()


def test_coordinates_invert_and_project_at_right_angles():
    p = plane()
    generator = torch.Generator().manual_seed(3)
    ab = torch.randn(7, 2, generator=generator)
    on = p.weights(ab)
    torch.testing.assert_close(p.coordinates(on), ab, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(p.coordinates(on[2]), ab[2], rtol=1e-4, atol=1e-5)
    assert p.distance_off(on).max() < 1e-5
    theta = on[0] + torch.randn(on.shape[1], generator=generator)
    off = p.offset(theta)
    assert (p.directions @ off).abs().max() < 1e-4
    assert p.distance_off(theta).item() == pytest.approx(off.norm().item(), rel=1e-5)
    assert off.norm() > 1


def test_offset_moves_the_plane_through_the_given_weights():
    model = MLP((6, 5, 3))
    p = plane(model)
    theta = flat_weights(MLP((6, 5, 3), seed=9))
    a, b = p.coordinates(theta)
    got = p.losses(a[None], b[None], offset=p.offset(theta)).item()
    assert got == pytest.approx(loss_with(model, theta), rel=1e-5)
    assert p.losses(a[None], b[None]).item() != pytest.approx(got, rel=1e-3)


def test_chunks_report_progress_and_can_be_left():
    p, a = plane(), torch.linspace(-1, 1, 9)
    parts = list(p.losses_in_chunks(a, a, chunk=10))
    assert [done for done, _ in parts] == [10, 20, 30, 40, 50, 60, 70, 80, 81]
    whole = torch.cat([part for _, part in parts]).reshape(9, 9)
    torch.testing.assert_close(whole, p.losses(a, a, chunk=1), rtol=1e-5, atol=1e-6)
    begun = p.losses_in_chunks(a, a, chunk=10)
    next(begun)
    begun.close()
    assert list(begun) == []


@pytest.mark.parametrize(
    ("size", "spent", "expected"),
    [(8, 0.1, 16), (8, 0.8, 10), (8, 2.0, 4), (1, 50.0, 1), (8, 0.0, 16)],
)
def test_chunk_size_follows_the_clock(size, spent, expected):
    from lib.loss_plane import _next_size

    assert _next_size(size, spent) == expected


def test_a_loss_that_overflows_is_infinite_or_nan_and_no_exception():
    far = torch.tensor([1e38])
    assert not math.isfinite(plane().losses(far, far).item())


def test_random_directions_are_as_long_as_each_row_and_leave_biases():
    model = nn.Sequential(Linear(6, 5), nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2))
    for flat in random_directions(model, seed=0):
        sizes = [p.numel() for p in model.parameters()]
        for piece, p in zip(flat.split(sizes), model.parameters(), strict=True):
            if p.dim() == 1:
                assert not piece.any()
            else:
                expected = p.detach().flatten(1).norm(dim=1)
                got = piece.reshape(p.shape).flatten(1).norm(dim=1)
                torch.testing.assert_close(got, expected)


def test_random_directions_follow_the_seed_and_not_the_global_generator():
    model, before = MLP((6, 5, 3)), torch.get_rng_state()
    first, second = random_directions(model, seed=0)
    again, _ = random_directions(model, seed=0)
    other, _ = random_directions(model, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert F.cosine_similarity(first, second, dim=0).abs() < 0.6
    assert torch.equal(before, torch.get_rng_state())


def path(steps: int = 30, off: float = 0.0) -> list[torch.Tensor]:
    """A path in the plane of the axes 2 and 5 of ten, and some way along axis 7."""
    t = torch.linspace(1, 0, steps)
    theta = torch.zeros(steps, 10)
    theta[:, 2], theta[:, 5] = 3 * t, torch.sin(6 * t)
    theta[:, 7] = off * torch.cos(40 * t)
    return list(theta + torch.arange(10))


def test_path_directions_find_the_plane_of_the_path():
    first, second, share = path_directions(path())
    assert share == pytest.approx(1, abs=1e-6)
    both = torch.stack([first, second])
    torch.testing.assert_close(both @ both.T, torch.eye(2), rtol=0, atol=1e-6)
    assert both[:, [0, 1, 3, 4, 6, 7, 8, 9]].abs().max() < 1e-6
    assert first[2] > 0.9
    assert (both @ (path()[0] - path()[-1]) >= 0).all()


def test_path_directions_equal_the_singular_vectors_and_their_share():
    steps = torch.stack(path(off=0.3))
    first, second, share = path_directions(list(steps))
    _, s, v = torch.linalg.svd((steps[:-1] - steps[-1]).double(), full_matrices=False)
    for ours, theirs in ((first, v[0]), (second, v[1])):
        cosine = F.cosine_similarity(ours.double(), theirs, dim=0).abs().item()
        assert cosine == pytest.approx(1, abs=1e-6)
    expected = ((s[:2] ** 2).sum() / (s**2).sum()).item()
    assert share == pytest.approx(expected, abs=1e-9)
    assert share < 0.99


@pytest.mark.parametrize(
    ("trajectory", "words"),
    [
        (path()[:2], "three or more"),
        ([torch.ones(3), torch.zeros(3), torch.ones(4)], "one length"),
        ([torch.ones(2, 2)] * 3, "flat vectors"),
        ([torch.ones(3) * t for t in range(5)], "one straight line"),
        ([torch.ones(3)] * 4, "one straight line"),
        ([torch.ones(3), torch.zeros(3), torch.full((3,), math.nan)], "diverged"),
    ],
)
def test_a_path_without_two_directions_is_refused(trajectory, words):
    with pytest.raises(ValueError, match=words):
        path_directions(trajectory)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origin": torch.zeros(3)}, r"origin has the shape \(3,\).*53 weights"),
        ({"second": torch.full((53,), math.nan)}, "second holds NaN"),
        ({"second": torch.zeros(53)}, "zero or parallel"),
        ({"second": torch.ones(53), "first": -2 * torch.ones(53)}, "parallel"),
        ({"loss": lambda p, y: F.cross_entropy(p, y, reduction="none")}, "single"),
    ],
)
def test_a_plane_that_cannot_be_is_refused(change, words):
    model = MLP((6, 5, 3))
    first, second = random_directions(model, seed=0)
    x, y = data()
    given = {"loss": F.cross_entropy, "x": x, "y": y, "origin": flat_weights(model)}
    given |= {"first": first, "second": second} | change
    with pytest.raises(ValueError, match=words):
        LossPlane(model, **given)


def test_a_wrong_chunk_or_axis_is_refused():
    p, one = plane(), torch.ones(1)
    with pytest.raises(ValueError, match="chunk is 0"):
        p.losses(one, one, chunk=0)
    with pytest.raises(ValueError, match="b_values has the shape"):
        p.losses(one, torch.ones(0))


def test_repr_is_short():
    assert repr(plane()) == "LossPlane(MLP, 53 weights, 40 examples)"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_gpu_gives_the_grid_of_the_cpu():
    model, a = MLP((6, 5, 3)), torch.linspace(-1, 1, 5)
    expected = plane(model).losses(a, a)
    first, second = random_directions(model, seed=1)
    x, y = data()
    theta = flat_weights(model).cuda()
    model = model.cuda()
    p = LossPlane(model, F.cross_entropy, x.cuda(), y.cuda(), theta, first, second)
    torch.testing.assert_close(p.losses(a, a), expected, rtol=1e-3, atol=1e-4)
