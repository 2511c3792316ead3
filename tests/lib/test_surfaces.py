"""The surfaces: formulas, gradients and the facts each one states about itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.surfaces import SURFACES, Surface, gradient_noise

every_surface = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)


def points(surface: Surface, n: int = 50) -> torch.Tensor:
    """n random points inside the bounds, (n, 2) float64."""
    x0, x1, y0, y1 = surface.bounds
    low, high = torch.tensor([x0, y0]), torch.tensor([x1, y1])
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(n, 2, generator=generator, dtype=torch.float64)
    return low + (high - low) * share


def test_the_seven_surfaces_are_there_under_their_own_key():
    names = ["bowl", "ravine", "saddle", "rosenbrock", "beale", "himmelblau", "noisy"]
    assert list(SURFACES) == names
    assert all(surface.key == key for key, surface in SURFACES.items())


@pytest.mark.parametrize(
    ("key", "x", "y", "loss"),
    [
        ("bowl", 3.0, 4.0, 12.5),
        ("ravine", 2.0, 1.0, 14.5),
        ("saddle", 2.0, 2.0, 4.0),
        ("rosenbrock", -1.2, 1.0, 24.2),
        ("beale", 0.0, 0.0, 14.203125),
        ("himmelblau", 0.0, 0.0, 170.0),
        ("noisy", math.pi / 4, 0.0, math.pi**2 / 128 + 0.5),
    ],
)
def test_value_is_the_one_worked_out_by_hand(key, x, y, loss):
    assert SURFACES[key].value(x, y) == pytest.approx(loss, rel=1e-14)


@every_surface
def test_gradient_equals_autograd(surface):
    p = points(surface).requires_grad_()
    (expected,) = torch.autograd.grad(surface.value(p[:, 0], p[:, 1]).sum(), p)
    dx, dy = surface.gradient(*p.detach().T)
    got = torch.stack([dx, dy], dim=1)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-11)


@every_surface
def test_gradient_equals_finite_differences(surface):
    f, h = surface.value, 1e-5
    for x, y in points(surface, 10).tolist():
        dx, dy = surface.gradient(x, y)
        scale = 1 + abs(f(x, y)) + abs(dx) + abs(dy)
        assert abs((f(x + h, y) - f(x - h, y)) / (2 * h) - dx) < 1e-6 * scale
        assert abs((f(x, y + h) - f(x, y - h)) / (2 * h) - dy) < 1e-6 * scale


@every_surface
def test_floats_numpy_and_torch_give_the_same(surface):
    p = points(surface)
    x, y = p[:, 0], p[:, 1]
    by_torch = torch.stack([surface.value(x, y), *surface.gradient(x, y)])
    xn, yn = x.numpy(), y.numpy()
    by_numpy = np.stack([surface.value(xn, yn), *surface.gradient(xn, yn)])
    by_float = [[surface.value(*q), *surface.gradient(*q)] for q in p.tolist()]
    assert isinstance(surface.value(*p[0].tolist()), float)
    np.testing.assert_allclose(by_numpy, by_torch.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.array(by_float).T, by_numpy, rtol=1e-12, atol=1e-12)


@every_surface
def test_minima_are_flat_equal_and_the_lowest_of_the_grid(surface):
    for x, y in surface.minima:
        assert surface.contains(x, y)
        assert surface.gradient(x, y) == pytest.approx((0, 0), abs=1e-12)
        assert surface.value(x, y) == pytest.approx(surface.lowest, abs=1e-12)
    assert surface.grid(301).min().item() >= surface.lowest - 1e-6


@every_surface
def test_saddle_points_go_up_one_way_and_down_another(surface):
    for point in surface.saddle_points:
        assert surface.contains(*point)
        assert surface.gradient(*point) == pytest.approx((0, 0), abs=1e-10)
        p = torch.tensor(point, dtype=torch.float64)
        hessian = torch.autograd.functional.hessian(lambda q: surface.value(*q), p)
        low, high = torch.linalg.eigvalsh(hessian).tolist()
        assert low < -0.5 < 0.5 < high


def test_lowest_losses_are_the_published_ones():
    lowest = {key: surface.lowest for key, surface in SURFACES.items()}
    assert lowest.pop("saddle") == -0.25
    assert lowest == dict.fromkeys(lowest, 0.0)


@every_surface
def test_descent_starts_inside_on_a_slope_and_well_above_the_minimum(surface):
    x0, x1, y0, y1 = surface.bounds
    x, y = surface.start
    assert x0 < x < x1
    assert y0 < y < y1
    assert surface.value(x, y) > surface.lowest + 0.5
    assert math.hypot(*surface.gradient(x, y)) > 0.1


def test_noisy_has_many_local_minima_and_gradient_noise():
    surface = SURFACES["noisy"]
    loss = surface.grid(401)
    inner = loss[1:-1, 1:-1]
    lower = torch.ones_like(inner, dtype=torch.bool)
    for rows in (slice(0, -2), slice(1, -1), slice(2, None)):
        for columns in (slice(0, -2), slice(1, -1), slice(2, None)):
            if rows != columns or rows != slice(1, -1):
                lower &= inner < loss[rows, columns]
    assert int(lower.sum()) == 25
    assert surface.noise > 0


def test_grid_has_row_0_at_y0_and_reaches_every_edge():
    surface = SURFACES["beale"]
    x0, x1, y0, y1 = surface.bounds
    grid = surface.grid(7)
    assert grid.shape == (7, 7)
    assert grid.dtype == torch.float32
    corners = [grid[0, 0], grid[0, -1], grid[-1, 0], grid[-1, -1]]
    expected = [surface.value(x, y) for y in (y0, y1) for x in (x0, x1)]
    assert [c.item() for c in corners] == pytest.approx(expected, rel=1e-6)
    x, y = x0 + (x1 - x0) / 6, y0 + 5 * (y1 - y0) / 6
    assert grid[5, 1].item() == pytest.approx(surface.value(x, y), rel=1e-6)


def test_cut_is_the_row_of_the_grid():
    surface = SURFACES["himmelblau"]
    torch.testing.assert_close(surface.cut(-5.0, 9), surface.grid(9)[0])


@every_surface
def test_a_descent_that_diverges_gives_inf_or_nan_and_no_exception(surface):
    for far in (1e200, math.inf, -math.inf, math.nan):
        assert not math.isfinite(surface.value(far, far))
        surface.gradient(far, far)


def test_gradient_noise_is_normal_repeats_and_can_be_prolonged():
    noise = gradient_noise(seed=3, steps=4000)
    assert noise.shape == (4000, 2)
    assert noise.dtype == torch.float64
    assert noise.mean(0).abs().max() < 0.05
    assert (noise.std(0) - 1).abs().max() < 0.05
    assert torch.equal(noise[:7], gradient_noise(seed=3, steps=7))
    assert not torch.equal(noise[:7], gradient_noise(seed=4, steps=7))


def test_gradient_noise_leaves_the_global_generators_alone():
    before, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    gradient_noise(seed=0, steps=5)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(before_numpy, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bounds": (1.0, -1.0, 0.0, 1.0)}, "x0 < x1"),
        ({"start": (9.0, 0.0)}, "outside its bounds"),
        ({"start": (math.nan, 0.0)}, "outside its bounds"),
        ({"minima": ()}, "no minimum"),
        ({"noise": -1.0}, "zero or a positive"),
        ({"noise": math.nan}, "zero or a positive"),
    ],
)
def test_a_surface_with_wrong_facts_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SURFACES["bowl"], **change)


@pytest.mark.parametrize("n", [1, 0, -3, 2.5, "10"])
def test_a_grid_needs_two_points_or_more(n):
    with pytest.raises(ValueError, match="2 or more"):
        SURFACES["bowl"].grid(n)


def test_cut_and_noise_refuse_what_they_cannot_use():
    with pytest.raises(ValueError, match="finite"):
        SURFACES["bowl"].cut(math.nan)
    with pytest.raises(ValueError, match="0 or more"):
        gradient_noise(seed=0, steps=-1)


def test_repr_is_short():
    assert repr(SURFACES["bowl"]).startswith("Surface('bowl', start=(-2.5, 1.5)")
    assert all(len(repr(surface)) < 100 for surface in SURFACES.values())
