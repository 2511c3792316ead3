"""The loss of a line: its value, slope, curvature and lowest point."""

import numpy as np
import pytest
import torch

from lib.descent import Race
from lib.line_fit import LineLoss


@pytest.fixture
def data():
    generator = np.random.default_rng(4)
    x = generator.uniform(-1, 3, 40)
    return x, 1.5 * x - 0.7 + generator.normal(0, 0.3, 40)


def by_autograd(x, y, w, b):
    """The loss as a torch scalar, written with torch's own mean squared error."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    return torch.nn.functional.mse_loss(w * x + b, y)


def test_value_and_gradient_equal_autograd(data):
    loss = LineLoss(*data)
    for w, b in ((0.0, 0.0), (1.5, -0.7), (-20.0, 8.0)):
        wb = torch.tensor([w, b], dtype=torch.float64, requires_grad=True)
        expected = by_autograd(*data, *wb)
        expected.backward()
        assert float(loss.value(w, b)) == pytest.approx(expected.item(), rel=1e-12)
        assert loss.gradient(w, b) == pytest.approx(wb.grad.tolist(), rel=1e-11)


def test_minimum_is_that_of_least_squares_and_of_zero_gradient(data):
    loss = LineLoss(*data)
    columns = np.column_stack([data[0], np.ones(40)])
    best, squares, _rank, _ = np.linalg.lstsq(columns, data[1])
    assert loss.minima[0] == pytest.approx(best, rel=1e-12)
    assert loss.lowest == pytest.approx(squares[0] / 40, rel=1e-12)
    assert loss.gradient(*loss.minima[0]) == pytest.approx((0, 0), abs=1e-13)


def test_curvatures_are_the_eigenvalues_of_the_hessian(data):
    at = torch.tensor([0.3, -1.0], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda t: by_autograd(*data, *t), at)
    expected = torch.linalg.eigvalsh(hessian).tolist()
    curvatures = LineLoss(*data).curvatures
    assert curvatures == pytest.approx(expected, rel=1e-12)
    assert curvatures[0] < curvatures[1]


@pytest.mark.parametrize(("share", "converges"), [(0.99, True), (1.01, False)])
def test_two_over_the_largest_curvature_is_the_border_of_divergence(
    data, share, converges
):
    loss = LineLoss(*data)
    settings = {"GradientDescent": {"learning_rate": share * 2 / loss.curvatures[1]}}
    race = Race(loss, settings, loss.start, steps=1500).run()
    above = race.losses[0] - loss.lowest
    if converges:
        assert above[-1] < 1e-12 * above[0]
    else:
        # on the way out the distance grows by (2 * 1.01 - 1) a step, so the loss by
        # its square
        assert race.diverged_at or above[-1] > 1e6 * above[0]
        assert above[201] / above[200] == pytest.approx(1.02**2, rel=1e-3)


@pytest.mark.parametrize("rate", [3.0, 1e6, 1e200])
def test_a_descent_that_diverges_gives_no_warning(data, rate):
    settings = {"GradientDescent": {"learning_rate": rate}}
    race = Race(LineLoss(*data), settings, (0.0, 0.0), 80).run()
    end = race.diverged_at["GradientDescent"]
    assert np.isfinite(race.losses[0, :end]).all()
    assert np.isnan(race.losses[0, end:]).all()


def test_value_takes_arrays_and_tensors_of_any_shape(data):
    loss = LineLoss(*data)
    w, b = np.meshgrid([-1.0, 0.5, 2.0], [0.0, 1.0])
    expected = [[float(loss.value(p, q)) for p, q in zip(*r)] for r in zip(w, b)]  # noqa: B905
    np.testing.assert_allclose(loss.value(w, b), expected, rtol=1e-13)
    by_torch = loss.value(torch.from_numpy(w), torch.from_numpy(b))
    np.testing.assert_allclose(by_torch.numpy(), expected, rtol=1e-13)


def test_grid_has_the_losses_of_the_bounds(data):
    loss = LineLoss(*data, bounds=(-1, 2, -3, 3))
    grid = loss.grid(5)
    assert grid.shape == (5, 5)
    assert grid.dtype == torch.float32
    assert float(grid[0, 4]) == pytest.approx(float(loss.value(2, -3)), rel=1e-6)
    assert float(grid[4, 0]) == pytest.approx(float(loss.value(-1, 3)), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_bounds_hold_the_best_line_and_the_start(data, scale):
    loss = LineLoss(data[0], scale * data[1])
    w0, w1, b0, b1 = loss.bounds
    for w, b in (*loss.minima, loss.start):
        assert w0 < w < w1
        assert b0 < b < b1


def test_lists_tensors_and_arrays_are_the_same(data):
    x, y = data
    of_lists = LineLoss(x.tolist(), y.tolist())
    of_tensors = LineLoss(torch.from_numpy(x), torch.from_numpy(y))
    assert of_lists.minima == of_tensors.minima == LineLoss(x, y).minima
    assert repr(of_lists) == "LineLoss(40 points)"


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2, 3], [1, 2], r"x has the shape \(3,\) and y \(2,\)"),
        ([[1, 2]], [[1, 2]], "give two lists of numbers"),
        ([1.0, float("nan")], [1, 2], "NaN or infinity"),
        ([1, 2], [1, float("inf")], "NaN or infinity"),
        ([2, 2, 2], [1, 2, 3], "at least two different values"),
        ([], [], "at least two different values"),
        (["a", "b"], [1, 2], "could not convert"),
    ],
)
def test_data_that_hold_no_line_are_refused_with_the_reason(x, y, message):
    with pytest.raises(ValueError, match=message):
        LineLoss(x, y)
