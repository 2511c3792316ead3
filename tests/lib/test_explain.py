"""Heatmaps against captum, against answers worked out by hand, and their manners."""

import gc

import pytest
import torch
from torch import nn

from lib import explain
from lib.models.cnn import CNN
from lib.models.configs import EncoderConfig
from lib.models.mlp import MLP, Linear
from lib.models.transformer import EncoderClassifier
from lib.models.vision import ResNet
from tests.memory import growth

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed))


def cnn(image_size=(10, 9), dtype=None) -> CNN:
    """Seven classes; two channels."""
    return CNN(image_size, in_channels=2, channels=5, classes=7, seed=2, dtype=dtype)


X, TARGET = data(3, 2, 10, 9), torch.tensor([4, 0, 6])
RUNS = {
    "saliency": lambda m, x, t: explain.saliency(m, x, t),
    "smooth_grad": lambda m, x, t: explain.smooth_grad(
        m, x, t, generator=generator(), samples=4
    ),
    "integrated": lambda m, x, t: explain.integrated_gradients(m, x, t, steps=4).map,
    "occlusion": lambda m, x, t: explain.occlusion(m, x, t),
    "grad_cam": lambda m, x, t: explain.grad_cam(m, x, "hidden", t),
}
every_method = pytest.mark.parametrize("method", RUNS.values(), ids=RUNS)


# Equal to captum


@pytest.fixture
def captum():
    return pytest.importorskip("captum.attr", reason="NOT RUN: captum is not installed")


def test_saliency_equals_captums(captum):
    model = cnn().eval()
    expected = captum.Saliency(model).attribute(X.clone().requires_grad_(), TARGET)
    torch.testing.assert_close(explain.saliency(model, X, TARGET), expected, **CLOSE)


def test_smooth_grad_equals_captums_for_the_same_noise(captum):
    model, x = cnn().eval(), X[:1]
    std = 0.2 * (x.max() - x.min()).item()
    tunnel = captum.NoiseTunnel(captum.Saliency(model))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = tunnel.attribute(
            x.clone().requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=9,
            nt_samples_batch_size=1,
            stdevs=std,
            target=3,
            abs=False,
        )
    ours = explain.smooth_grad(
        model, x, 3, generator=generator(5), samples=9, noise=0.2
    )
    torch.testing.assert_close(ours, expected, **CLOSE)


@pytest.mark.parametrize("baseline", [0.0, 0.5, "tensor"])
def test_integrated_gradients_equal_captums(captum, baseline):
    model = cnn().eval()
    baseline = data(3, 2, 10, 9, seed=4) if baseline == "tensor" else baseline
    expected, delta = captum.IntegratedGradients(model).attribute(
        X,
        baseline,
        TARGET,
        n_steps=20,
        method="riemann_middle",
        return_convergence_delta=True,
    )
    ours = explain.integrated_gradients(model, X, TARGET, baseline=baseline, steps=20)
    torch.testing.assert_close(ours.map, expected.float(), **CLOSE)
    torch.testing.assert_close(ours.gap, delta.float(), **CLOSE)


@pytest.mark.parametrize(("size", "stride"), [(3, 3), (4, 3), (3, 2), (9, 1), (1, 1)])
def test_occlusion_equals_captums_also_at_the_edges(captum, size, stride):
    model = cnn().eval()
    expected = captum.Occlusion(model).attribute(
        X,
        sliding_window_shapes=(2, size, size),
        strides=(2, stride, stride),
        baselines=0.3,
        target=TARGET,
    )
    ours = explain.occlusion(model, X, TARGET, size=size, stride=stride, value=0.3)
    assert ours.shape == (3, 1, 10, 9)
    torch.testing.assert_close(ours.expand_as(X), expected.float(), **CLOSE)


def test_token_occlusion_equals_captums_ablation(captum):
    model = classifier().eval()
    tokens = torch.randint(1, 30, (3, 6), generator=generator())
    expected = captum.FeatureAblation(model).attribute(
        tokens, 29, torch.tensor([1] * 3)
    )
    ours = explain.token_occlusion(model, tokens, 29, target=1)
    torch.testing.assert_close(ours, expected.float(), **CLOSE)


@pytest.mark.parametrize(("layer", "of"), [("conv", "conv"), ("block_2", "blocks.1")])
def test_grad_cam_equals_captums(captum, layer, of):
    model = cnn() if layer == "conv" else ResNet(2, widths=(4, 6), classes=7, seed=1)
    model.eval()
    place = model.get_submodule(of)
    result = captum.LayerGradCam(model, place).attribute(
        X, TARGET, relu_attributions=True
    )
    # a block of ResNet returns two tensors; the second is what comes after it
    expected = result[0] if isinstance(result, tuple) else result
    ours = explain.grad_cam(model, X, layer, TARGET, upsample=False)
    assert ours.max() > 0
    torch.testing.assert_close(ours, expected, **CLOSE)
    large = captum.LayerAttribution.interpolate(expected, (10, 9), "bilinear")
    torch.testing.assert_close(
        explain.grad_cam(model, X, layer, TARGET), large, **CLOSE
    )


# Answers worked out by hand


def test_of_a_linear_model_the_maps_are_the_weights():
    model = Linear(6, 4, seed=1, dtype=torch.float64)
    x, w = data(5, 6).double(), model.weight[2].detach()
    exact = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(explain.gradient(model, x, 2), w.expand(5, 6), **exact)
    torch.testing.assert_close(explain.saliency(model, x, 2)[0], w.abs(), **exact)
    smooth = explain.smooth_grad(model, x, 2, generator=generator(), samples=3)
    torch.testing.assert_close(smooth, w.expand(5, 6), **exact)
    base = data(1, 6, seed=3).double()
    map, gap = explain.integrated_gradients(model, x, 2, baseline=base, steps=1)
    torch.testing.assert_close(map, w * (x - base), **exact)
    assert gap.abs().max() < 1e-12


def test_integrated_gradients_of_a_square_are_the_squares():
    x = data(4, 3).double()
    map, gap = explain.integrated_gradients(lambda x: (x**2).sum(1), x, steps=1)
    torch.testing.assert_close(map, x**2)  # the midpoint is exact for a straight line
    assert gap.abs().max() < 1e-12


def test_integrated_gradients_see_what_has_saturated_where_a_gradient_is_zero():
    x = torch.tensor([[2.0, 0.0]])
    model = lambda x: 1 - (1 - x).relu()[:, :1]  # the paper's example  # noqa: E731
    assert explain.gradient(model, x).tolist() == [[0, 0]]
    map, _ = explain.integrated_gradients(model, x, steps=100)
    torch.testing.assert_close(map, torch.tensor([[1.0, 0.0]]))


def test_more_steps_make_integrated_gradients_complete():
    model = MLP((8, 32, 32, 3), "tanh", seed=3, dtype=torch.float64)
    x = 3 * data(6, 8).double()
    gaps = [
        explain.integrated_gradients(model, x, 1, steps=n).gap.abs().max().item()
        for n in (4, 16, 64, 256)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-5
    map, gap = explain.integrated_gradients(model, x, 1, steps=16)
    difference = (model(x) - model(torch.zeros_like(x)))[:, 1]
    torch.testing.assert_close(map.sum(1) - gap, difference)


def test_occlusion_of_a_sum_is_what_the_square_held():
    x = data(2, 1, 4, 6)
    ours = explain.occlusion(lambda x: x.sum((1, 2, 3)), x, size=2)
    squares = nn.functional.avg_pool2d(x, 2) * 4
    expected = squares.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(ours, expected, **CLOSE)


def test_grad_cam_is_the_formula_written_out():
    model = cnn()
    seen = model(X, return_intermediates=True)
    seen["hidden"].retain_grad()
    seen["output"][range(3), TARGET].sum().backward()
    w = seen["hidden"].grad.mean((2, 3), keepdim=True)
    expected = (w * seen["hidden"]).sum(1, keepdim=True).relu()
    ours = explain.grad_cam(model, X, "hidden", TARGET, upsample=False)
    torch.testing.assert_close(ours, expected.detach(), **CLOSE)


def test_rollout_of_known_attention():
    T = 4
    eye, uniform = torch.eye(T), torch.full((T, T), 1 / T)
    one = explain.attention_rollout(uniform.expand(1, 2, 3, T, T))
    torch.testing.assert_close(one, (0.5 * eye + 0.5 / T).expand(2, T, T))
    none = explain.attention_rollout(eye.expand(5, 1, 2, T, T))
    torch.testing.assert_close(none[0], eye)
    back = eye.roll(1, 1).T  # each position looks at the one before it
    two = explain.attention_rollout(back.expand(2, 1, 1, T, T), residual=0.0)
    torch.testing.assert_close(two[0], back @ back)
    a, b = data(2, 1, 2, T, T).softmax(-1).double()
    expected = (0.5 * eye + 0.5 * b.mean(1)) @ (0.5 * eye + 0.5 * a.mean(1))
    torch.testing.assert_close(
        explain.attention_rollout(torch.stack([a, b])), expected.double()
    )


def classifier() -> EncoderClassifier:
    config = EncoderConfig(
        vocab_size=30, context=8, channels=8, num_layers=2, num_heads=2, hidden=12
    )
    return EncoderClassifier(config, classes=3, seed=1)


def test_rollout_of_an_encoder_ignores_padding():
    tokens = torch.tensor([[5, 6, 7, 0, 0], [3, 4, 5, 6, 7]])
    seen = classifier().eval()(tokens, return_intermediates=True)
    rollout = explain.attention_rollout(seen["attention_maps"])
    assert rollout.shape == (2, 5, 5)
    torch.testing.assert_close(rollout.sum(-1), torch.ones(2, 5))
    assert (rollout[0, :3, 3:] == 0).all()
    assert (rollout[1] > 0).all()


def test_embeddings_of_a_text_are_explained_and_the_map_has_their_shape():
    model = classifier().eval()
    embedded = model.encoder.embed(torch.tensor([[5, 6, 7, 2]]))
    nothing = model.encoder.embed(torch.zeros(1, 4, dtype=torch.int64))

    def scores(e):
        return model.head(model.encoder.transform(e).mean(1))

    map, gap = explain.integrated_gradients(
        scores, embedded, 1, baseline=nothing, steps=50
    )
    assert map.shape == embedded.shape
    difference = (scores(embedded) - scores(nothing))[0, 1]
    assert gap.abs().item() < 0.01 * difference.abs()


# The test with random weights


def trained() -> tuple[MLP, torch.Tensor]:
    """A network that looks at its first three inputs of twelve."""
    from lib.optimizers import Adam

    x = data(300, 12)
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).long()
    model = MLP((12, 24, 24, 2), "tanh", seed=1)
    optimizer = Adam(model.parameters(), learning_rate=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, x[:40]


def test_random_weights_change_the_map_and_leave_the_model_alone():
    model, x = trained()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    parts = list(
        explain.randomise_steps(model, lambda m: explain.saliency(m, x, 1), generator())
    )
    names = ["", "layers.2", "layers.1", "layers.0"]
    assert [part.layer for part in parts] == names
    assert [(part.done, part.total) for part in parts] == [(i, 3) for i in range(4)]
    assert parts[0].correlation.tolist() == pytest.approx([1.0] * 40)
    assert parts[0].map[:, :3].mean() > 2 * parts[0].map[:, 3:].mean()
    assert parts[-1].correlation.mean() < 0.35
    assert all(torch.equal(p, before[n]) for n, p in model.state_dict().items())


def test_an_explanation_that_ignores_the_model_is_found_out():
    parts = explain.randomise_steps(cnn(), lambda m: X.abs(), generator())
    assert all(p.correlation.min().item() == pytest.approx(1) for p in parts)


def test_rank_correlation_equals_scipys_also_with_ties():
    from scipy.stats import spearmanr

    a, b = data(2, 40).round(), data(2, 40, seed=2).round() + data(2, 40).round()
    ours = explain.rank_correlation(a, b)
    for i in range(2):
        assert ours[i].item() == pytest.approx(spearmanr(a[i], b[i]).statistic)
    assert explain.rank_correlation(a, torch.ones_like(a)).tolist() == [0, 0]


# Manners


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_size_of_a_chunk_changes_nothing_but_the_number_of_parts(chunk):
    model = cnn()
    jobs = {
        "smooth": lambda c: explain.smooth_grad_steps(
            model, X, 1, generator=generator(), samples=10, chunk=c
        ),
        "integrated": lambda c: explain.integrated_gradients_steps(
            model, X, 1, steps=10, chunk=c
        ),
        "occlusion": lambda c: explain.occlusion_steps(model, X, 1, size=4, chunk=c),
    }
    for job in jobs.values():
        parts, reference = list(job(chunk)), list(job(10_000))
        total, k = parts[0].total, max(chunk // 3, 1)  # three examples in a batch
        done = [min(total, i) for i in range(k, total + k, k)]
        assert [p.done for p in parts] == done
        assert len(reference) == 1
        torch.testing.assert_close(parts[-1].map, reference[-1].map, **CLOSE)
        assert all(p.map.isfinite().all() for p in parts)


@every_method
def test_each_example_is_explained_as_if_alone(method):
    model = cnn()
    together = method(model, X, TARGET)
    if method is RUNS["smooth_grad"]:
        return  # its noise depends on the shape of the batch
    alone = torch.cat([method(model, X[i : i + 1], TARGET[i].item()) for i in range(3)])
    torch.testing.assert_close(together, alone, **CLOSE)


@every_method
def test_without_a_target_the_highest_score_is_explained(method):
    model = cnn()
    best = model(X).argmax(1)
    torch.testing.assert_close(method(model, X, None), method(model, X, best))


@every_method
@pytest.mark.parametrize("how", [torch.no_grad, torch.inference_mode])
def test_maps_are_the_same_where_gradients_are_off_and_weights_are_frozen(method, how):
    model = cnn()
    expected = method(model, X, 1)
    model.requires_grad_(False)
    with how():
        result = method(model, X.clone(), 1)
    assert torch.equal(result, expected)


@every_method
def test_nothing_is_left_behind(method):
    model, x, before = cnn(), X.clone(), torch.get_rng_state()
    result = method(model, x, 1)
    assert not result.requires_grad
    assert not x.requires_grad
    assert x.grad is None
    assert torch.equal(x, X)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    assert torch.equal(before, torch.get_rng_state())


def test_a_model_in_training_is_asked_in_evaluation_mode_and_trains_on():
    model = ResNet(2, widths=(4, 6), classes=7, seed=1).train()
    model.norm.eval()  # a part that is frozen stays so
    running = model.blocks[0].norm_1.running_mean.clone()
    steps = explain.smooth_grad_steps(
        model, X, 1, generator=generator(), samples=4, chunk=3
    )
    for _ in steps:
        assert model.training  # also between two parts
    explain.grad_cam(model, X, "block_2", 1)
    explain.occlusion(model, X, 1)
    assert model.training
    assert not model.norm.training
    assert torch.equal(model.blocks[0].norm_1.running_mean, running)
    with pytest.raises(IndexError):
        explain.saliency(model, X, 9)
    assert model.training


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@every_method
def test_every_dtype_gives_the_map_of_float32_within_its_rounding(method, dtype):
    expected = method(cnn(), X, 1)
    result = method(cnn(dtype=dtype), X.to(dtype), 1)
    assert result.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float64 else 0.1
    error = (result.double() - expected.double()).norm() / expected.double().norm()
    assert error < tolerance


def test_memory_does_not_grow_over_210_calls():
    model, x = cnn(), X

    def call():
        for method in RUNS.values():
            method(model, x, 1)

    def tensors():
        gc.collect()
        return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    for _ in range(10):
        call()
    count = tensors()
    assert growth(call, 70) < 1_400_000  # 20 KB a call would be that
    assert tensors() <= count


@pytest.mark.gpu
@every_method
def test_maps_agree_between_cpu_and_gpu(method):
    model = cnn()
    expected = method(model, X, TARGET)
    result = method(model.cuda(), X.cuda(), TARGET.cuda()).cpu()
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-3)


NAN = X.clone()
NAN[0, 0, 0, 0] = float("nan")
MAPS = torch.full((2, 1, 1, 3, 3), 1 / 3)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda m: explain.saliency(m, X, 7), IndexError, "classes 0 to 6"),
        (lambda m: explain.saliency(m, X, -1), IndexError, r"\[-1, -1, -1\]"),
        (lambda m: explain.saliency(m, X, TARGET[:2]), ValueError, r"\(3,\) int64"),
        (lambda m: explain.saliency(m, X, 1.0), ValueError, "float32"),
        (lambda m: explain.saliency(m, NAN, 1), ValueError, "x holds NaN"),
        (lambda m: explain.occlusion(m, NAN, 1), ValueError, "x holds NaN"),
        (lambda m: explain.grad_cam(m, NAN, "conv", 1), ValueError, "x holds NaN"),
        (lambda m: explain.saliency(m, X.long(), 1), TypeError, "token_occlusion"),
        (lambda m: explain.saliency(m, torch.ones(3), 1), ValueError, r"x\[None\]"),
        (lambda m: explain.saliency(lambda x: x, X), ValueError, "makes scores"),
        (lambda m: explain.saliency(lambda x: m(x).detach(), X), ValueError, "detach"),
        (lambda m: explain.saliency(lambda x: m(X), X), ValueError, "do not depend"),
        (
            lambda m: explain.smooth_grad(m, X, generator=generator(), noise=-1),
            ValueError,
            "noise is -1",
        ),
        (
            lambda m: explain.integrated_gradients(m, X, baseline=torch.ones(4)),
            ValueError,
            r"baseline has the shape \(4,\)",
        ),
        (lambda m: explain.integrated_gradients(m, X, steps=0), ValueError, "steps is"),
        (lambda m: explain.occlusion(m, X, size=10), ValueError, "fits into them"),
        (lambda m: explain.occlusion(m, X, size=2, stride=3), ValueError, "3 further"),
        (lambda m: explain.occlusion(m, X, chunk=0), ValueError, "chunk is 0"),
        (lambda m: explain.grad_cam(m, X, "flat"), ValueError, "conv, hidden, pooled"),
        (lambda m: explain.token_occlusion(m, X, 1), ValueError, r"\(B, T\) whole"),
        (lambda m: explain.attention_rollout(MAPS[0]), ValueError, "L, B, H, T, T"),
        (lambda m: explain.attention_rollout(MAPS * 2), ValueError, "add up to 1"),
        (lambda m: explain.attention_rollout(MAPS / 0), ValueError, "add up to 1"),
        (lambda m: explain.attention_rollout(MAPS, 1.5), ValueError, "residual is 1.5"),
        (
            lambda m: next(
                explain.randomise_steps(nn.ReLU(), lambda m: X, generator())
            ),
            ValueError,
            "no parameters",
        ),
        (lambda m: explain.rank_correlation(X, X[0]), ValueError, "same shape"),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(cnn())
