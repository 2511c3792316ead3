"""Every optimizer walks torch.optim's path, and wrong arguments are refused."""

import copy
import math

import pytest
import torch
from torch import nn

from lib import flat
from lib.optimizers import (
    OPTIMIZERS,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    GradientDescent,
    Momentum,
    Nesterov,
    RMSProp,
)

TORCH = torch.optim
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}

# ours, our settings, torch's, torch's settings: every hyperparameter away from its
# default at least once
SETTINGS = [
    (GradientDescent, {}, TORCH.SGD, {}),
    (SGD, {"weight_decay": 0.1}, TORCH.SGD, {"weight_decay": 0.1}),
    (Momentum, {}, TORCH.SGD, {"momentum": 0.9}),
    (
        Momentum,
        {"momentum": 0.5, "weight_decay": 0.1},
        TORCH.SGD,
        {"momentum": 0.5, "weight_decay": 0.1},
    ),
    (Nesterov, {}, TORCH.SGD, {"momentum": 0.9, "nesterov": True}),
    (
        Nesterov,
        {"momentum": 0.7, "weight_decay": 0.1},
        TORCH.SGD,
        {"momentum": 0.7, "weight_decay": 0.1, "nesterov": True},
    ),
    (AdaGrad, {}, TORCH.Adagrad, {}),
    (
        AdaGrad,
        {
            "learning_rate_decay": 0.05,
            "eps": 1e-3,
            "initial_accumulator_value": 0.1,
            "weight_decay": 0.1,
        },
        TORCH.Adagrad,
        {
            "lr_decay": 0.05,
            "eps": 1e-3,
            "initial_accumulator_value": 0.1,
            "weight_decay": 0.1,
        },
    ),
    (RMSProp, {}, TORCH.RMSprop, {}),
    (
        RMSProp,
        {"decay": 0.9, "eps": 1e-3, "weight_decay": 0.1},
        TORCH.RMSprop,
        {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
    ),
    (Adam, {}, TORCH.Adam, {}),
    (
        Adam,
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        TORCH.Adam,
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    (AdamW, {}, TORCH.AdamW, {}),
    (
        AdamW,
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2},
        TORCH.AdamW,
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2},
    ),
]
NAMES = [f"{s[0].__name__}-{'varied' if s[1] else 'default'}" for s in SETTINGS]
everyone = pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
defaults = pytest.mark.parametrize("name", OPTIMIZERS)


def mlp(dtype=torch.float64, device="cpu"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))
    return model.to(dtype=dtype, device=device)


def transformer(dtype=torch.float64, device="cpu"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return model.to(dtype=dtype, device=device)


def mlp_loss(model, n):
    """A loss that differs from step to step, as a batch's does."""
    p = next(model.parameters())
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(n)).to(p)
    return (model(x) - x[:, :3].sin()).square().mean()


def transformer_loss(model, n):
    p = next(model.parameters())
    x = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(n)).to(p)
    return (model(x) - x.roll(1, dims=1)).square().mean()


def train(model, loss, optimizer, steps, first=0):
    for n in range(first, first + steps):
        optimizer.zero_grad()
        loss(model, n).backward()
        optimizer.step()


def assert_equal_models(ours, theirs, tolerance):
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(
            p, q, rtol=tolerance, atol=tolerance, msg=lambda m, name=name: name + m
        )


def follow(setting, build, loss, tolerance, dtype, device="cpu", steps=100):
    ours_class, settings, their_class, their_settings = setting
    ours, theirs = build(dtype, device), build(dtype, device)
    start = copy.deepcopy(ours)
    train(ours, loss, ours_class(ours.parameters(), 0.01, **settings), steps)
    train(theirs, loss, their_class(theirs.parameters(), 0.01, **their_settings), steps)
    assert_equal_models(ours, theirs, tolerance)
    ways = [p - q for p, q in zip(ours.parameters(), start.parameters(), strict=True)]
    assert max(way.abs().max() for way in ways) > 1e-3  # both went somewhere


@everyone
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(
    ("build", "loss"),
    [(mlp, mlp_loss), (transformer, transformer_loss)],
    ids=["mlp", "transformer"],
)
def test_optimizer_follows_torch_for_100_steps(setting, dtype, build, loss):
    follow(setting, build, loss, TOLERANCE[dtype], dtype)


@everyone
@pytest.mark.parametrize("block", [1, 7, 148, 149])
def test_blocks_change_nothing(setting, block, monkeypatch):
    model = mlp()
    count = sum(p.numel() for p in model.parameters())
    assert (
        count == 147
    )  # so that the blocks are: many, cut anywhere, one above, two above
    monkeypatch.setattr(flat, "BLOCK", block)
    follow(setting, mlp, mlp_loss, 1e-12, torch.float64, steps=10)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_one_parameter_about_as_long_as_a_block(extra):
    ours, theirs = (torch.linspace(-1, 1, flat.BLOCK + extra) for _ in range(2))
    ours.requires_grad_(), theirs.requires_grad_()
    ours.grad, theirs.grad = ours.detach().cos(), theirs.detach().cos()
    a, b = Adam([ours], 0.01), TORCH.Adam([theirs], 0.01)
    for _ in range(3):
        a.step(), b.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@everyone
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_optimizer_follows_torch_on_a_gpu(setting, dtype):
    # The GPU's foreach kernels round in another order: 1e-5, 1e-10 instead of the CPU's
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-10}[dtype]
    follow(setting, mlp, mlp_loss, tolerance, dtype, device="cuda", steps=50)


def test_groups_have_their_own_hyperparameters():
    ours, theirs = mlp(), mlp()
    a = AdamW(
        [
            {"params": ours[0].parameters(), "learning_rate": 0.03},
            {"params": list(ours[2].parameters()), "betas": (0.5, 0.9)},
        ],
        learning_rate=0.01,
        weight_decay=0.3,
    )
    b = TORCH.AdamW(
        [
            {"params": theirs[0].parameters(), "lr": 0.03},
            {"params": theirs[2].parameters(), "betas": (0.5, 0.9)},
        ],
        lr=0.01,
        weight_decay=0.3,
    )
    train(ours, mlp_loss, a, 20), train(theirs, mlp_loss, b, 20)
    assert_equal_models(ours, theirs, 1e-12)
    assert a.theta.shape == (147,)  # groups share the vector


def test_groups_of_two_dtypes_each_have_their_vector():
    ours, theirs = mlp(), mlp()
    for model in (ours, theirs):
        model[2].float()

    def loss(model, n):
        hidden = model[0](torch.full((4, 5), 0.1 * n, dtype=torch.float64)).tanh()
        return (model[2](hidden.float()) - 1).square().mean()

    a, b = Adam(ours.parameters(), 0.01), TORCH.Adam(theirs.parameters(), 0.01)
    train(ours, loss, a, 20), train(theirs, loss, b, 20)
    assert_equal_models(ours, theirs, 1e-6)
    for read in (lambda: a.theta, lambda: a.grad, lambda: a.step(torch.zeros(147))):
        with pytest.raises(ValueError, match="make one optimizer for each"):
            read()
    other = Adam(ours.parameters(), 0.01)
    other.load_state_dict(a.state_dict())
    assert other.state_dict()["vectors"][1]["steps"] == [20, 20]


@everyone
def test_parameters_without_gradient_are_left_alone(setting):
    """The last layer never, the middle one sometimes: as torch, decay and count too."""
    ours_class, settings, their_class, their_settings = setting

    def build():
        return nn.ModuleList([mlp()[0], mlp()[0], mlp()[0]])

    def loss(model, n):
        x = torch.linspace(-1, 1, 5, dtype=torch.float64) * (n + 1)
        out = model[0](x).tanh().sum()
        return out + model[1](x).tanh().sum() if n % 3 == 1 else out

    ours, theirs = build(), build()
    untouched = ours[2].weight.detach().clone()
    train(ours, loss, ours_class(ours.parameters(), 0.01, **settings), 12)
    train(theirs, loss, their_class(theirs.parameters(), 0.01, **their_settings), 12)
    assert_equal_models(ours, theirs, 1e-12)
    assert torch.equal(ours[2].weight, untouched)
    assert not torch.equal(ours[1].weight, untouched)


def test_clipping_leaves_a_parameter_without_gradient_alone():
    model = nn.ModuleList([mlp()[0], mlp()[0]])
    before = model[1].weight.detach().clone()
    optimizer = AdamW(model.parameters(), 0.1, weight_decay=0.5)
    model[0](torch.ones(5, dtype=torch.float64)).sum().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    assert torch.equal(model[1].weight, before)
    assert not torch.equal(model[0].weight, before)


def test_gradients_accumulate_until_zero_grad():
    ours, theirs = mlp(), mlp()
    a, b = Adam(ours.parameters(), 0.01), TORCH.Adam(theirs.parameters(), 0.01)
    for n in range(20):
        for model, optimizer in ((ours, a), (theirs, b)):
            mlp_loss(model, n).backward()
            optimizer.step()
            if n % 4 == 3:
                optimizer.zero_grad()
    assert_equal_models(ours, theirs, 1e-12)


@pytest.mark.parametrize("to_none", [True, False])
def test_the_model_s_own_zero_grad_works_too(to_none):
    ours, theirs = mlp(), mlp()
    a, b = Momentum(ours.parameters(), 0.01), TORCH.SGD(theirs.parameters(), 0.01, 0.9)
    for n in range(10):
        for model, optimizer in ((ours, a), (theirs, b)):
            model.zero_grad(set_to_none=to_none)
            mlp_loss(model, n).backward()
            optimizer.step()
    assert_equal_models(ours, theirs, 1e-12)


def test_gradients_with_a_graph_sparse_or_transposed_are_used():
    theirs, ours = (torch.ones(4, 3, dtype=torch.float64) for _ in range(2))
    ours.requires_grad_(), theirs.requires_grad_()
    a, b = Adam([ours], 0.1), TORCH.Adam([theirs], 0.1)
    (ours.grad,) = torch.autograd.grad((ours**3).sum(), ours, create_graph=True)
    (theirs**3).sum().backward()
    a.step(), b.step()
    assert torch.equal(ours, theirs)
    assert not a.theta.requires_grad

    dense = torch.arange(12, dtype=torch.float64).reshape(3, 4).T
    ours.grad, theirs.grad = dense.to_sparse(), dense
    a.step(), b.step()
    assert torch.equal(ours, theirs)
    ours.grad = theirs.grad = dense  # not contiguous
    a.step(), b.step()
    assert torch.equal(ours, theirs)


@defaults
def test_a_run_is_resumed_bit_for_bit(name, tmp_path):
    model = mlp(torch.float32)
    optimizer = OPTIMIZERS[name](model.parameters(), learning_rate=0.02)
    train(model, mlp_loss, optimizer, 7)
    torch.save([model.state_dict(), optimizer.state_dict()], tmp_path / "run.pt")
    train(model, mlp_loss, optimizer, 7, first=7)

    weights, state = torch.load(tmp_path / "run.pt", weights_only=True)
    again = mlp(torch.float32)
    resumed = OPTIMIZERS[name](again.parameters(), learning_rate=0.5)
    resumed.load_state_dict(state)
    again.load_state_dict(weights)  # after: it writes into theta
    train(again, mlp_loss, resumed, 7, first=7)
    assert_equal_models(again, model, 0)
    assert resumed.learning_rate == 0.02


def test_a_state_with_unequal_counts_is_resumed_in_an_optimizer_that_has_run():
    def half(model, n):  # the second layer takes part in every other step
        x = torch.ones(5, dtype=torch.float64)
        return mlp_loss(model, n) if n % 2 else model[0](x).cos().sum()

    model, again = mlp(), mlp()
    optimizer, resumed = Adam(model.parameters(), 0.02), Adam(again.parameters(), 0.02)
    train(model, half, optimizer, 6)
    train(again, mlp_loss, resumed, 2)  # all counts are equal here
    resumed.load_state_dict(optimizer.state_dict())
    again.load_state_dict(model.state_dict())
    train(model, mlp_loss, optimizer, 3), train(again, mlp_loss, resumed, 3)
    assert_equal_models(again, model, 0)


def test_state_dict_is_a_copy():
    model = mlp()
    optimizer = Adam(model.parameters(), 0.01)
    saved = optimizer.state_dict()
    train(model, mlp_loss, optimizer, 2)
    assert not saved["vectors"][0]["m"].any()
    assert saved["vectors"][0]["steps"] == [0, 0, 0, 0]
    assert optimizer.state_dict()["vectors"][0]["steps"] == [2, 2, 2, 2]


def damaged(state, change):
    change(state)
    return state


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda s: None, "not the state of an optimizer"),
        (lambda s: {}, "not the state of an optimizer"),
        (
            lambda s: RMSProp(mlp().parameters()).state_dict(),
            "of RMSProp, this is Adam",
        ),
        (
            lambda s: Adam(mlp()[0].parameters()).state_dict(),
            r"\[16, 5\], \[16\]\].*\[16, 5\], \[16\], \[3, 16\], \[3\]",
        ),
        (
            lambda s: Adam(mlp(torch.float32).parameters()).state_dict(),
            "float32.*float64",
        ),
        (lambda s: damaged(s, lambda s: s["vectors"][0].pop("m")), "for vectors"),
        (lambda s: damaged(s, lambda s: s["vectors"][0]["steps"].pop()), "for vectors"),
        (lambda s: damaged(s, lambda s: s["groups"].pop()), "for groups"),
        (lambda s: damaged(s, lambda s: s["groups"].__setitem__(0, 3)), "damaged"),
        (lambda s: damaged(s, lambda s: s["vectors"].__setitem__(0, 3)), "damaged"),
        (
            lambda s: damaged(s, lambda s: s["vectors"][0].update(steps=[1, 1, 1, -1])),
            "damaged",
        ),
        (
            lambda s: damaged(
                s, lambda s: s["groups"][0]["hyperparameters"].update(eps=-1.0)
            ),
            "eps is -1.0",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(make, words):
    model = mlp()
    optimizer = Adam(model.parameters(), 0.01)
    train(model, mlp_loss, optimizer, 3)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict(make(optimizer.state_dict()))
    after = optimizer.state_dict()
    assert after["groups"] == before["groups"]
    assert after["vectors"][0]["steps"] == [3, 3, 3, 3]
    assert torch.equal(after["vectors"][0]["m"], before["vectors"][0]["m"])


@defaults
def test_a_given_gradient_steps_like_the_same_gradient_in_p_grad(name, monkeypatch):
    for block in (flat.BLOCK, 50):
        monkeypatch.setattr(flat, "BLOCK", block)
        first, second = mlp(), mlp()
        a, b = (OPTIMIZERS[name](m.parameters(), 0.01) for m in (first, second))
        for n in range(5):
            gradient = torch.sin(a.theta * (n + 1))
            for p, view in zip(
                second.parameters(), gradient.split([80, 16, 48, 3]), strict=True
            ):
                p.grad = view.view_as(p).clone()
            a.step(gradient=gradient)
            b.step()
        assert_equal_models(first, second, 0)
        assert all(p.grad is None for p in first.parameters())


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (torch.zeros(3, dtype=torch.float64), r"shape torch.Size\(\[3\]\).*\[2\]"),
        (torch.zeros(1, 2, dtype=torch.float64), "shape"),
        (torch.zeros(2), "dtype torch.float32, theta has torch.float64"),
        (torch.zeros(2, dtype=torch.float64, device="meta"), "device meta"),
        (torch.zeros(2, dtype=torch.float64, requires_grad=True), "detach"),
        ([0.0, 0.0], "is a list"),
    ],
)
def test_a_wrong_gradient_is_refused(gradient, words):
    point = torch.ones(2, dtype=torch.float64, requires_grad=True)
    optimizer = Adam([point], 0.1)
    with pytest.raises(ValueError, match=words):
        optimizer.step(gradient=gradient)
    assert optimizer.state_dict()["vectors"][0]["steps"] == [0]


def test_parameters_are_views_of_theta_and_grad_is_a_copy():
    model = mlp()
    values = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    optimizer = SGD(model.parameters(), 0.1)
    assert torch.equal(optimizer.theta, values)
    optimizer.theta.zero_()
    assert not any(p.any() for p in model.parameters())
    assert not optimizer.grad.any()
    mlp_loss(model, 0).backward()
    model[0].bias.grad = None
    assert torch.equal(optimizer.grad[-3:], model[2].bias.grad)
    assert not optimizer.grad[80:96].any()
    optimizer.grad.fill_(7.0)
    assert not (optimizer.grad == 7).any()
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_backward_through_values_that_a_step_overwrote_is_an_error():
    point = torch.ones(2, requires_grad=True)
    optimizer = SGD([point], 0.1)
    loss = point.square().sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_step_after_the_model_moved_is_an_error():
    model = mlp()
    optimizer = Adam(model.parameters())
    mlp_loss(model, 0).backward()
    Adam(model.parameters())
    with pytest.raises(RuntimeError, match=r"shape \(16, 5\) has left"):
        optimizer.step()
    optimizer = Adam(model.parameters())
    model.float()
    with pytest.raises(RuntimeError, match=r"model.to\(...\) moved it"):
        optimizer.step()


def test_the_learning_rate_may_change_at_any_time():
    ours, theirs = mlp(), mlp()
    a, b = Momentum(ours.parameters(), 0.01), TORCH.SGD(theirs.parameters(), 0.01, 0.9)
    for n in range(10):
        a.learning_rate = b.param_groups[0]["lr"] = 0.01 * (n + 1)
        train(ours, mlp_loss, a, 1, n), train(theirs, mlp_loss, b, 1, n)
    assert_equal_models(ours, theirs, 1e-12)
    a.groups[0]["momentum"] = 0.5
    assert a.groups[0]["momentum"] == 0.5
    for group, name, value in (
        (a.groups[0], "momentum", 1.0),
        (a.groups[0], "learning_rate", math.nan),
        (a.groups[0], "mometum", 0.5),
    ):
        with pytest.raises(ValueError, match=name):
            group[name] = value
    with pytest.raises(ValueError, match="momentum"):
        a.groups[0].update(momentum=-1)
    with pytest.raises(ValueError, match=r"learning_rate is -1\.0"):
        a.learning_rate = -1.0


def test_setting_the_rate_sets_every_group():
    model = mlp()
    optimizer = SGD(
        [
            {"params": model[0].parameters()},
            {"params": model[2].parameters(), "learning_rate": 0.5},
        ],
        learning_rate=0.1,
    )
    assert optimizer.learning_rate == 0.1
    optimizer.learning_rate = 0.2
    assert [g["learning_rate"] for g in optimizer.groups] == [0.2, 0.2]


@defaults
@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, "0.1", None, True, 1j])
def test_a_wrong_rate_is_refused(name, rate):
    with pytest.raises(ValueError, match="learning_rate is"):
        OPTIMIZERS[name](mlp().parameters(), learning_rate=rate)


@pytest.mark.parametrize(
    ("rule", "settings", "words"),
    [
        (Momentum, {"momentum": 1.0}, "momentum is 1.0"),
        (Nesterov, {"momentum": -0.1}, "momentum is -0.1"),
        (RMSProp, {"decay": 1.0}, "decay is 1.0"),
        (RMSProp, {"eps": 0.0}, "eps is 0.0"),
        (Adam, {"betas": (0.9, 1.0)}, r"betas\[1\] is 1.0"),
        (Adam, {"betas": (-0.1, 0.9)}, r"betas\[0\] is -0.1"),
        (Adam, {"betas": 0.9}, "betas is 0.9"),
        (Adam, {"betas": (0.9, 0.9, 0.9)}, "give a pair"),
        (Adam, {"betas": (0.9, math.nan)}, "nan"),
        (AdamW, {"weight_decay": -0.1}, "weight_decay is -0.1"),
        (SGD, {"weight_decay": math.inf}, "weight_decay is inf"),
        (AdaGrad, {"learning_rate_decay": -1}, "learning_rate_decay is -1.0"),
        (AdaGrad, {"initial_accumulator_value": -1}, "initial_accumulator_value"),
    ],
)
def test_a_wrong_hyperparameter_is_refused(rule, settings, words):
    with pytest.raises(ValueError, match=words):
        rule(mlp().parameters(), 0.1, **settings)


def number(**options):
    return torch.ones(2, **options)


def wrong_parameters():
    point = number(requires_grad=True)
    alias = point.detach().requires_grad_()
    yield "empty", [], "params is empty"
    yield "empty iterator", iter([]), "params is empty"
    yield "one tensor", point, r"\[tensor\]"
    yield "a number", 3, "params is a int"
    yield "a model", mlp(), r"model.parameters\(\)"
    yield "twice", [point, point], "parameters 0 and 1"
    yield "twice in two groups", [{"params": [point]}, {"params": [point]}], "0 and 1"
    yield "shared memory", [point, alias], "share"
    yield "not a tensor", [point, 1.0], "parameter 1 of group 0 is a float"
    yield "named", [("w", point)], "is a tuple"
    yield "no gradient", [number()], "requires_grad_()"
    yield "not a leaf", [point * 2], "result of a computation"
    yield "integer", [torch.ones(2, dtype=torch.int64)], "torch.int64"
    yield "complex", [number(dtype=torch.complex64, requires_grad=True)], "complex64"
    yield "sparse", [torch.eye(2).to_sparse().requires_grad_()], "dense"
    yield "mixed", [point, {"params": [point]}], "group 0 is a Tensor"
    yield "no params key", [{"param": [point]}], "without 'params'"
    yield "empty group", [{"params": []}], "group 0 is empty"
    yield "bare tensor in a group", [{"params": point}], "one tensor"
    yield "unknown key", [{"params": [point], "lr": 0.1}], r"\['lr'\]"
    yield "wrong value", [{"params": [point], "learning_rate": -1}], "-1.0"


WRONG = list(wrong_parameters())


@pytest.mark.parametrize(
    ("params", "words"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG]
)
def test_wrong_parameters_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        Adam(params, learning_rate=0.1)


def test_a_refusal_leaves_the_parameters_where_they_were():
    model = mlp()
    before = [p.data_ptr() for p in model.parameters()]
    with pytest.raises(ValueError, match="group 1"):
        Adam([{"params": model.parameters()}, {"params": [torch.ones(2)]}])
    assert [p.data_ptr() for p in model.parameters()] == before


def test_odd_shapes_are_taken():
    """A scalar, an empty tensor, a transposed one, one of one element."""
    shapes = [torch.tensor(2.0), torch.empty(0, 3), torch.ones(2, 3).T, torch.ones(1)]
    ours = [x.clone().requires_grad_() for x in shapes]
    theirs = [x.clone().requires_grad_() for x in shapes]
    a, b = Adam(ours, 0.1), TORCH.Adam(theirs, 0.1)
    for params, optimizer in ((ours, a), (theirs, b)):
        for _ in range(3):
            optimizer.zero_grad()
            sum((p**3).sum() for p in params).backward()
            optimizer.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


def test_a_step_without_any_gradient_does_nothing():
    model = mlp()
    optimizer = AdamW(model.parameters(), 0.1)
    before = optimizer.theta.clone()
    optimizer.step()
    assert torch.equal(optimizer.theta, before)


def test_optimizers_do_not_touch_the_global_generator():
    before = torch.get_rng_state()
    model = mlp()
    for rule in OPTIMIZERS.values():
        train(model, mlp_loss, rule(model.parameters(), 0.01), 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_optimizer_is_not_copied_by_accident():
    with pytest.raises(TypeError, match="load_state_dict"):
        copy.deepcopy(Adam(mlp().parameters()))


def test_repr_is_short():
    assert repr(Momentum(mlp().parameters(), 0.1)) == (
        "Momentum(147 parameters, learning_rate=0.1, momentum=0.9, weight_decay=0.0)"
    )


def test_the_registry_holds_all_eight_by_name():
    assert list(OPTIMIZERS) == [
        "GradientDescent",
        "SGD",
        "Momentum",
        "Nesterov",
        "AdaGrad",
        "RMSProp",
        "Adam",
        "AdamW",
    ]
    assert all(rule.__name__ == name for name, rule in OPTIMIZERS.items())
