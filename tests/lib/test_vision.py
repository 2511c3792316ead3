"""Batch normalisation, the residual and the U-shaped network against torch.nn."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models.vision import BatchNorm2d, ResNet, UNet, normalise_batch

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
WHOLE = {torch.float32: 1e-5, torch.float64: 1e-12}  # for whole networks
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def pictures(*shape: int, dtype=torch.float32, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def close(a, b, tolerance):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def assert_same_step(ours, theirs, x, dtype):
    """The same outputs, and gradients of x and of all parameters, in both modes."""
    for training in (True, False):
        ours.train(training), theirs.train(training)
        a, b = (x.clone().requires_grad_() for _ in range(2))
        left, right = ours(a), theirs(b)
        close(left, right, WHOLE[dtype])
        pull = pictures(*left.shape, dtype=dtype, seed=7) / left.numel() ** 0.5
        left.backward(pull), right.backward(pull)
        close(a.grad, b.grad, WHOLE[dtype])
        pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
        assert all(p.shape == q.shape for p, q in pairs)
        for p, q in pairs:
            close(p.grad, q.grad, WHOLE[dtype] * max(1, q.grad.abs().max().item()))
        ours.zero_grad(), theirs.zero_grad()


def copy_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """Same weights in torch's network; its layers come in the same order."""
    with torch.no_grad():
        for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
            p.copy_(q)


@every_dtype
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (1, 3, 2, 1), (8, 3, 1, 1)])
def test_batch_norm_is_torchs_with_running_statistics_and_gradients(shape, dtype):
    ours = BatchNorm2d(3, momentum=0.3, dtype=dtype)
    theirs = nn.BatchNorm2d(3, momentum=0.3, dtype=dtype)
    with torch.no_grad():
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a += pictures(3, dtype=dtype, seed=3) / 3
            b.copy_(a)
    written = {name: v.detach().clone() for name, v in ours.state_dict().items()}
    for seed in range(3):
        x = pictures(*shape, dtype=dtype, seed=seed) * 2 + 1
        # One pair has a large spread-to-mean ratio and 1/σ up to 10³: compare scaled.
        expected = theirs(x)
        close(ours(x), expected, TOLERANCE[dtype] * 4)
        plain = normalise_batch(x, **written, training=True, momentum=0.3)
        close(plain, expected, TOLERANCE[dtype] * 4)
        for name in ("running_mean", "running_var"):
            wanted = getattr(theirs, name)
            close(getattr(ours, name), wanted, TOLERANCE[dtype])
            close(written[name], wanted, TOLERANCE[dtype])
    ours.eval(), theirs.eval()
    close(ours(x), theirs(x), TOLERANCE[dtype] * 4)
    plain = normalise_batch(x, **written, training=False)
    close(plain, theirs(x), TOLERANCE[dtype] * 4)


@pytest.mark.parametrize("training", [True, False])
def test_written_out_batch_norm_has_torchs_gradients(training):
    double = torch.float64
    x = pictures(4, 3, 5, 5, dtype=double).requires_grad_()
    weight, bias = (pictures(3, dtype=double, seed=s).requires_grad_() for s in (2, 3))
    mean, var = pictures(3, dtype=double, seed=4), torch.full((3,), 2.0, dtype=double)
    pull = pictures(4, 3, 5, 5, dtype=double, seed=5)
    ours = normalise_batch(x, weight, bias, mean.clone(), var.clone(), training)
    theirs = F.batch_norm(x, mean, var, weight, bias, training)
    for a, b in zip(
        torch.autograd.grad(ours, (x, weight, bias), pull),
        torch.autograd.grad(theirs, (x, weight, bias), pull),
        strict=True,
    ):
        close(a, b, 1e-12)


class TorchBlock(nn.Module):
    """A residual block of torch.nn's layers."""

    def __init__(self, before: int, width: int, stride: int, dtype):
        super().__init__()

        def conv(a, b, size, stride):
            pad = size // 2
            return nn.utils.skip_init(
                nn.Conv2d, a, b, size, stride, pad, bias=False, dtype=dtype
            )

        def norm():
            return nn.BatchNorm2d(width, dtype=dtype)

        self.body = nn.Sequential(
            conv(before, width, 3, stride),
            norm(),
            nn.ReLU(),
            conv(width, width, 3, 1),
            norm(),
        )
        same = stride == 1 and before == width
        self.side = (
            nn.Identity()
            if same
            else nn.Sequential(conv(before, width, 1, stride), norm())
        )

    def forward(self, x):
        return (self.body(x) + self.side(x)).relu()


def torch_resnet(ours: ResNet, dtype) -> nn.Sequential:
    w, inputs = ours.widths, ours.stem.weight.shape[1]
    n = len(ours.blocks) // len(w)
    blocks, before = [], w[0]
    for stage, width in enumerate(w):
        for block in range(n):
            stride = 2 if stage > 0 and block == 0 else 1
            blocks.append(TorchBlock(before, width, stride, dtype))
            before = width
    theirs = nn.Sequential(
        nn.Conv2d(inputs, w[0], 3, padding=1, bias=False, dtype=dtype),
        nn.BatchNorm2d(w[0], dtype=dtype),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(before, len(ours.dense.weight), dtype=dtype),
    )
    copy_weights(ours, theirs)
    return theirs


@every_dtype
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 1, 12, 12), {"widths": (4, 6, 8)}),
        ((2, 3, 9, 7), {"in_channels": 3, "widths": (4, 8), "blocks": 2, "classes": 3}),
        ((1, 1, 8, 8), {"widths": (4,)}),
    ],
)
def test_resnet_gives_torchs_outputs_and_gradients(shape, options, dtype):
    ours = ResNet(**options, seed=2, dtype=dtype)
    theirs = torch_resnet(ours, dtype)
    assert_same_step(ours, theirs, pictures(*shape, dtype=dtype), dtype)
    statistics = [b for _, b in theirs.named_buffers() if b.dim() == 1]
    for a, b in zip(ours.buffers(), statistics, strict=True):
        close(a, b, TOLERANCE[dtype])


class TorchUNet(nn.Module):
    """The U of depth 2 of torch.nn's layers, written out level by level."""

    def __init__(self, inputs: int, c: int, classes: int, dtype):
        super().__init__()

        def level(a, b):
            layers = []
            for first, last in ((a, b), (b, b)):
                layers += [
                    nn.Conv2d(first, last, 3, padding=1, bias=False, dtype=dtype),
                    nn.BatchNorm2d(last, dtype=dtype),
                    nn.ReLU(),
                ]
            return nn.Sequential(*layers)

        self.d1, self.d2, self.d3 = (
            level(inputs, c),
            level(c, 2 * c),
            level(2 * c, 4 * c),
        )
        self.u1, self.u2 = level(6 * c, 2 * c), level(3 * c, c)
        self.head = nn.Conv2d(c, classes, 1, dtype=dtype)
        self.pool, self.grow = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(self.pool(a))
        c = self.d3(self.pool(b))
        b = self.u1(torch.cat([self.grow(c), b], 1))
        a = self.u2(torch.cat([self.grow(b), a], 1))
        return self.head(a)


@every_dtype
@pytest.mark.parametrize("shape", [(2, 3, 8, 12), (1, 3, 8, 8)])
def test_unet_gives_torchs_outputs_and_gradients(shape, dtype):
    ours = UNet(in_channels=3, classes=4, channels=4, seed=5, dtype=dtype)
    theirs = TorchUNet(3, 4, 4, dtype)
    copy_weights(ours, theirs)
    assert_same_step(ours, theirs, pictures(*shape, dtype=dtype), dtype)


def test_intermediates_of_the_resnet_are_the_maps_of_every_layer():
    model, x = ResNet(widths=(4, 8), seed=1).eval(), pictures(2, 1, 8, 8)
    seen = model(x, return_intermediates=True)
    assert {name: tuple(v.shape) for name, v in seen.items()} == {
        "input": (2, 1, 8, 8),
        "stem": (2, 4, 8, 8),
        "block_1_hidden": (2, 4, 8, 8),
        "block_1": (2, 4, 8, 8),
        "block_2_hidden": (2, 8, 4, 4),
        "block_2": (2, 8, 4, 4),
        "pooled": (2, 8),
        "output": (2, 10),
    }
    assert torch.equal(seen["output"], model(x))
    seen["block_2"].retain_grad()
    seen["output"].sum().backward()
    expected = (model.dense.weight.sum(0) / 16)[:, None, None].expand(2, 8, 4, 4)
    torch.testing.assert_close(seen["block_2"].grad, expected)


def test_intermediates_of_the_unet_are_its_levels():
    model, x = UNet(channels=4, depth=2).eval(), pictures(1, 1, 8, 8)
    seen = model(x, return_intermediates=True)
    assert {name: tuple(v.shape) for name, v in seen.items()} == {
        "input": (1, 1, 8, 8),
        "down_1": (1, 4, 8, 8),
        "down_2": (1, 8, 4, 4),
        "down_3": (1, 16, 2, 2),
        "up_1": (1, 8, 4, 4),
        "up_2": (1, 4, 8, 8),
        "output": (1, 2, 8, 8),
    }
    assert torch.equal(seen["output"], model(x))


def test_unet_learns_to_mark_bright_squares():
    generator = torch.Generator().manual_seed(3)
    x = 0.2 * torch.randn(8, 1, 16, 16, generator=generator)
    y = torch.zeros(8, 16, 16, dtype=torch.int64)
    for i in range(8):
        y[i, i : i + 6, 9 - i : 15 - i] = 1
    x = x + y[:, None]
    model = UNet(channels=4, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    right = (model.eval()(x).argmax(1) == y).float().mean()
    assert right > 0.97  # saying "nothing" everywhere is right for 0.86


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    for build in (ResNet, UNet):
        a, b, c = build(seed=1), build(seed=1), build(seed=2)
        assert all(map(torch.equal, a.parameters(), b.parameters()))
        assert not torch.equal(next(a.parameters()), next(c.parameters()))
    assert torch.equal(before, torch.get_rng_state())


def test_representations_are_short():
    assert repr(ResNet()) == "ResNet(16-32-64, 3 blocks, 77,754 parameters)"
    assert repr(UNet()).startswith("UNet(depth 2, ")
    assert repr(BatchNorm2d(4)) == "BatchNorm2d(4, momentum=0.1, eps=1e-05)"


@pytest.mark.parametrize("build", [ResNet, UNet])
def test_half_precision_gives_nearly_the_same(build):
    model, x = build(seed=1).eval(), pictures(2, 1, 8, 8)
    got = copy.deepcopy(model).bfloat16()(x.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), model(x), rtol=0.05, atol=0.03)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("build", [ResNet, UNet])
def test_gpu_gives_the_weights_and_the_outputs_of_the_cpu(build):
    cpu, gpu = build(seed=1), build(seed=1, device="cuda")
    for a, b in zip(cpu.parameters(), gpu.parameters(), strict=True):
        assert torch.equal(a, b.cpu())
    x = pictures(4, 1, 16, 16)
    torch.testing.assert_close(gpu(x.cuda()).cpu(), cpu(x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: BatchNorm2d(3)(torch.ones(1, 3, 1, 1)), r"model\.eval\(\)"),
        (lambda: BatchNorm2d(3)(torch.ones(2, 4, 2, 2)), r"\(B, 3, height, width\)"),
        (lambda: BatchNorm2d(0), "channels is 0"),
        (lambda: ResNet(widths=()), "widths is empty"),
        (lambda: ResNet(blocks=0), "blocks is 0"),
        (lambda: ResNet()(torch.ones(2, 3, 8, 8)), r"\(B, 1, height, width\)"),
        (lambda: UNet(depth=0), "depth is 0"),
        (lambda: UNet()(torch.ones(1, 1, 8, 10)), "8 x 10 pixels.* multiples of 4"),
        (lambda: UNet()(torch.ones(8, 8)), r"\(B, 1, height, width\)"),
    ],
)
def test_what_it_cannot_use_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
