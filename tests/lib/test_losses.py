"""The losses against torch's: values, gradients, and what they refuse."""

import pytest
import torch
import torch.nn.functional as F

from lib import losses

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
every_reduction = pytest.mark.parametrize("reduction", losses.REDUCTIONS)
both_forms = pytest.mark.parametrize(
    "form", [losses.cross_entropy, losses.fused_cross_entropy]
)


def data(*shape, dtype=torch.float32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def classes(*shape, V=5, seed=2):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def same(ours, theirs, z, tolerance=None):
    """Values and gradients of two functions of z, each number weighted differently."""
    close = tolerance or TOLERANCE[z.dtype]
    found = []
    for loss in (ours, theirs):
        z = z.detach().clone().requires_grad_()
        value = loss(z)
        mix = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(
            value.shape
        )
        (value * mix).sum().backward()
        found.append((value, z.grad))
    (a, da), (b, db) = found
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    torch.testing.assert_close(a, b, rtol=close, atol=close)
    torch.testing.assert_close(da, db, rtol=close, atol=close)


PAIRS = {
    "mean_squared_error": (losses.mean_squared_error, F.mse_loss, {}, {}),
    "huber": (losses.huber, F.huber_loss, {"delta": 0.7}, {"delta": 0.7}),
    "binary_cross_entropy": (
        losses.binary_cross_entropy,
        F.binary_cross_entropy_with_logits,
        {"positive_weight": 3.0},
        {"pos_weight": torch.tensor(3.0, dtype=torch.float64)},
    ),
}


@every_dtype
@every_reduction
@pytest.mark.parametrize("shape", [(12,), (1,), (4, 3), ()])
@pytest.mark.parametrize("name", PAIRS)
def test_losses_give_torchs_values_and_gradients(name, shape, reduction, dtype):
    ours, theirs, mine, torchs = PAIRS[name]
    torchs = {k: v.to(dtype) if k == "pos_weight" else v for k, v in torchs.items()}
    y = data(*shape, dtype=dtype, seed=3).sigmoid()
    same(
        lambda z: ours(z, y, reduction=reduction, **mine),
        lambda z: theirs(z, y, reduction=reduction, **torchs),
        2 * data(*shape, dtype=dtype),
    )


def test_binary_cross_entropy_is_right_at_zero_and_at_huge_logits():
    z = torch.tensor([0.0, 0.0, 500.0, -500.0, 500.0, -500.0], requires_grad=True)
    y = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    loss = losses.binary_cross_entropy(z, y, reduction="none")
    log2 = 0.6931472
    torch.testing.assert_close(loss, torch.tensor([log2, log2, 0, 0, 500.0, 500.0]))
    loss.sum().backward()
    torch.testing.assert_close(z.grad, torch.tensor([0.5, -0.5, 0, 0, 1.0, -1.0]))


def test_huber_is_the_square_near_zero_and_a_line_far_from_it():
    e = torch.tensor([0.5, -0.5, 10.0, -10.0])
    loss = losses.huber(e, torch.zeros(4), delta=2.0, reduction="none")
    assert loss.tolist() == [0.125, 0.125, 18.0, 18.0]


def test_hinge_equals_scikit_learns_and_has_its_slope():
    from sklearn.metrics import hinge_loss

    s = data(30, dtype=torch.float64).requires_grad_()
    y = torch.where(data(30, seed=9) > 0, 1.0, -1.0).double()
    loss = losses.hinge(s, y)
    assert loss.item() == pytest.approx(hinge_loss(y, s.detach()), abs=1e-12)
    loss.backward()
    torch.testing.assert_close(s.grad, torch.where(y * s < 1, -y / 30, 0.0))


@every_dtype
@every_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("B", [1, 7])
@both_forms
def test_cross_entropy_gives_torchs_values_and_gradients(
    form, B, weighted, smoothing, reduction, dtype
):
    y = classes(B)
    options = {"label_smoothing": smoothing, "reduction": reduction}
    if weighted:
        options["weight"] = data(5, dtype=dtype, seed=4).exp()
    z = 3 * data(B, 5, dtype=dtype)
    same(lambda z: form(z, y, **options), lambda z: F.cross_entropy(z, y, **options), z)


@every_dtype
@both_forms
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_padding_does_not_count_in_sequences(form, reduction, smoothing, dtype):
    y = classes(3, 4)
    y[0, 2:], y[2] = 0, 0  # padding; 0 is also a class that is ignored here
    options = {"ignore_index": 0, "reduction": reduction, "label_smoothing": smoothing}
    z = data(3, 4, 5, dtype=dtype)
    same(
        lambda z: form(z, y, **options),
        lambda z: F.cross_entropy(z.movedim(-1, 1), y, **options),
        z,
    )
    loss = form(z, y, **options | {"reduction": "none"})
    assert (loss[y == 0] == 0).all()


@both_forms
def test_an_ignored_place_may_hold_infinity(form):
    z = torch.tensor([[0.0, 0.0], [-torch.inf, 3.0]], requires_grad=True)
    loss = form(z, torch.tensor([0, -100]))
    assert loss.item() == pytest.approx(0.6931472)
    loss.backward()
    assert z.grad.tolist() == [[-0.5, 0.5], [0, 0]]


@both_forms
def test_if_no_target_counts_the_mean_is_not_a_number_as_in_torch(form):
    z, y = data(2, 5), torch.full((2,), -100)
    assert form(z, y).isnan()
    assert F.cross_entropy(z, y).isnan()
    assert form(z, y, reduction="sum") == 0


@every_dtype
@both_forms
def test_the_classes_may_stand_second_as_in_pictures(form, dtype):
    y = classes(2, 3, 4)
    same(
        lambda z: form(z, y, dim=1, reduction="none"),
        lambda z: F.cross_entropy(z, y, reduction="none"),
        data(2, 5, 3, 4, dtype=dtype),
    )


@every_dtype
@both_forms
@every_reduction
@pytest.mark.parametrize("dim", [1, -1])
def test_probabilities_are_targets_too(form, dim, reduction, dtype):
    z = data(3, 5, 5, dtype=dtype)
    q, w = data(3, 5, 5, dtype=dtype, seed=6).softmax(dim), data(5, dtype=dtype).exp()
    options = {"weight": w, "label_smoothing": 0.1, "reduction": reduction}

    def theirs(z):
        return F.cross_entropy(z.movedim(dim, 1), q.movedim(dim, 1), **options)

    same(lambda z: form(z, q, dim=dim, **options), theirs, z)


def test_smooth_labels_give_the_loss_of_label_smoothing():
    y, z = classes(6), data(6, 5)
    q = losses.smooth_labels(y, 5, 0.2)
    assert q[0, y[0]].item() == pytest.approx(0.84)
    torch.testing.assert_close(q.sum(-1), torch.ones(6))
    torch.testing.assert_close(
        losses.cross_entropy(z, q), F.cross_entropy(z, y, label_smoothing=0.2)
    )


def test_log_sum_exp_neither_overflows_nor_makes_nan():
    z = torch.tensor([[1000.0, 1000.0], [-1000.0, -1001.0], [-torch.inf, -torch.inf]])
    torch.testing.assert_close(losses.log_sum_exp(z), torch.logsumexp(z, -1))
    wide = data(3, 4, dtype=torch.float64)
    same(lambda z: losses.log_softmax(z, 0), lambda z: z.log_softmax(0), wide)
    same(
        lambda z: losses.log_sum_exp(torch.where(wide > 1, -torch.inf, z)),
        lambda z: torch.logsumexp(torch.where(wide > 1, -torch.inf, z), -1),
        wide,
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@both_forms
def test_half_precision_stays_within_its_own_rounding(form, dtype):
    z, y = data(8, 5, dtype=dtype), classes(8)
    tolerance = 4 * torch.finfo(dtype).eps  # a few roundings: 3 % and 0.4 %
    same(lambda z: form(z, y), lambda z: F.cross_entropy(z, y), z, tolerance)


def test_float16_logits_beyond_the_range_of_their_exponentials():
    z = torch.tensor([[300.0, 0.0]], dtype=torch.float16)  # e³⁰⁰ overflows
    assert losses.cross_entropy(z, torch.tensor([1])).item() == 300


@pytest.mark.gpu
@both_forms
def test_losses_agree_between_cpu_and_gpu(form):
    z, y = data(16, 5), classes(16)
    torch.testing.assert_close(form(z.cuda(), y.cuda()).cpu(), form(z, y))
    for loss in (losses.mean_squared_error, losses.huber, losses.binary_cross_entropy):
        p = data(9).sigmoid()
        torch.testing.assert_close(loss(p.cuda(), p.cuda()).cpu(), loss(p, p))


Z, Y = torch.zeros(3, 5), torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda f: f(Z, Y + 5), IndexError, "the class 5, but the model gives 5"),
        (lambda f: f(Z, Y - 1), IndexError, "the class -1"),
        (lambda f: f(Z, Y[:2]), ValueError, r"give classes \(3,\), int64"),
        (lambda f: f(Z, Y.float()), ValueError, r"probabilities \(3, 5\)"),
        (lambda f: f(Z, Y.int()), TypeError, r"targets\.long\(\)"),
        (lambda f: f(Z, Y, weight=torch.ones(4)), ValueError, r"class, \(5,\)"),
        (lambda f: f(Z, Y, label_smoothing=1.5), ValueError, "from 0 to 1"),
        (lambda f: f(Z, Y, reduction="average"), ValueError, "mean, sum, none"),
        (lambda f: f(Z, Y, dim=2), ValueError, "dim is 2"),
    ],
)
@both_forms
def test_cross_entropy_says_what_does_not_fit(form, wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(form)


P = torch.zeros(4)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: losses.mean_squared_error(P[:, None], P), ValueError, r"\(4, 1\)"),
        (lambda: losses.mean_squared_error(P, P.long()), TypeError, "float"),
        (lambda: losses.mean_squared_error(P, P, "max"), ValueError, "'max'"),
        (lambda: losses.huber(P, P, delta=0), ValueError, "delta is 0"),
        (lambda: losses.binary_cross_entropy(P, P - 1), ValueError, "from -1 to -1"),
        (lambda: losses.binary_cross_entropy(P, P / 0), ValueError, "from nan"),
        (lambda: losses.hinge(P, P), ValueError, r"2 \* y"),
        (lambda: losses.smooth_labels(Y + 7, 5), IndexError, "class 7"),
        (lambda: losses.smooth_labels(Y, 5, -0.1), ValueError, "smoothing is -0.1"),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()
