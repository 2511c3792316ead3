"""Convolution, pooling and the small CNN against torch and sums worked out by hand."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.models.cnn import CNN, Conv2d, average_pool, convolve, max_pool, windows

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def pictures(*shape: int, dtype=torch.float32, seed: int = 1) -> torch.Tensor:
    """Normal numbers with a spread of 0.3, so that long sums stay near 1."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (0.3 * x).to(dtype).requires_grad_()


def close(a, b, dtype):
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def assert_equal_with_gradients(ours, theirs, inputs, dtype):
    """The same outputs, and the same gradients of every input, within the tolerance."""
    a, b = ours(*inputs), theirs(*inputs)
    close(a, b, dtype)
    pull = pictures(*a.shape, dtype=dtype, seed=9).detach()
    for got, wanted in zip(
        torch.autograd.grad(a, inputs, pull),
        torch.autograd.grad(b, inputs, pull),
        strict=True,
    ):
        close(got, wanted, dtype)


SETTINGS = [
    {},
    {"stride": 2},
    {"padding": 1},
    {"dilation": 2},
    {"stride": 2, "padding": 2, "dilation": 3},
    {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
]


@every_dtype
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize(
    ("B", "inputs", "outputs", "kernel"),
    [(2, 3, 4, (3, 3)), (1, 1, 1, (1, 1)), (1, 2, 3, (3, 2))],
)
def test_convolve_gives_torchs_outputs_and_gradients(
    setting, B, inputs, outputs, kernel, dtype
):
    x = pictures(B, inputs, 9, 8, dtype=dtype)
    weight = pictures(outputs, inputs, *kernel, dtype=dtype, seed=2)
    bias = pictures(outputs, dtype=dtype, seed=3)
    assert_equal_with_gradients(
        lambda x, w, b: convolve(x, w, b, **setting),
        lambda x, w, b: F.conv2d(x, w, b, **setting),
        (x, weight, bias),
        dtype,
    )


@every_dtype
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_layer_is_torchs_layer_and_the_written_out_convolution(setting, dtype):
    ours = Conv2d(2, 3, 3, **setting, seed=4, dtype=dtype)
    theirs = nn.utils.skip_init(nn.Conv2d, 2, 3, 3, **setting, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())
    x = pictures(2, 2, 9, 9, dtype=dtype)
    written = convolve(x, ours.weight, ours.bias, **setting)
    close(ours(x), theirs(x), dtype)
    close(ours(x), written, dtype)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(a.grad, b.grad, dtype)


def test_same_seed_gives_the_initial_weights_of_torch():
    ours = Conv2d(3, 5, (3, 2), seed=7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        theirs = nn.Conv2d(3, 5, (3, 2))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
    assert Conv2d(3, 5, 3, bias=False).bias is None


POOLS = [(2, None, 0), (3, 2, 1), ((2, 3), (1, 2), 0), (2, 3, 1), (8, None, 0)]


@every_dtype
@pytest.mark.parametrize(("size", "stride", "padding"), POOLS)
@pytest.mark.parametrize(
    ("ours", "theirs"), [(max_pool, F.max_pool2d), (average_pool, F.avg_pool2d)]
)
def test_pooling_gives_torchs_outputs_and_gradients(
    ours, theirs, size, stride, padding, dtype
):
    x = pictures(2, 3, 9, 8, dtype=dtype)
    assert_equal_with_gradients(
        lambda x: ours(x, size, stride, padding),
        lambda x: theirs(x, size, stride, padding),
        (x,),
        dtype,
    )


def test_among_equal_numbers_the_first_gets_the_gradient_as_in_torch():
    x = torch.zeros(1, 1, 6, 6, requires_grad=True)
    for size, stride in ((2, 2), (3, 1)):
        (ours,) = torch.autograd.grad(max_pool(x, size, stride).sum(), x)
        (theirs,) = torch.autograd.grad(F.max_pool2d(x, size, stride).sum(), x)
        assert torch.equal(ours, theirs)


def test_nan_in_a_picture_is_not_hidden_by_pooling():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = float("nan")
    for pool in (max_pool, average_pool):
        assert pool(x, 2).isnan().flatten().tolist() == [True, False, False, False]


def test_windows_are_a_view_of_the_picture():
    x = torch.arange(20.0).view(1, 1, 4, 5)
    patches = windows(x, 2, stride=(2, 1), dilation=(1, 2))
    assert patches.shape == (1, 1, 2, 3, 2, 2)
    assert patches[0, 0, 1, 2].tolist() == [[12.0, 14.0], [17.0, 19.0]]
    assert patches.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()


def test_a_convolution_worked_out_by_hand_does_not_turn_the_kernel():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    kernel = torch.tensor([[1.0, 0.0], [0.0, -2.0]])
    y = convolve(x[None, None], kernel[None, None], torch.tensor([0.5]))
    assert y[0, 0].tolist() == [[1 - 10 + 0.5, 2 - 12 + 0.5], [4 - 16.0 + 0.5, -12.5]]


def torch_cnn(model: CNN) -> nn.Sequential:
    """The same network of torch.nn's layers, with the same weights."""
    dtype, (outputs, inputs) = model.conv.weight.dtype, model.conv.weight.shape[:2]
    classes, features = model.dense.weight.shape
    conv = nn.utils.skip_init(nn.Conv2d, inputs, outputs, 3, dtype=dtype)
    dense = nn.utils.skip_init(nn.Linear, features, classes, dtype=dtype)
    conv.load_state_dict(model.conv.state_dict())
    dense.load_state_dict(model.dense.state_dict())
    return nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), dense)


@every_dtype
@pytest.mark.parametrize(
    ("B", "options"),
    [
        (5, {}),
        (1, {"image_size": 4}),
        (3, {"image_size": (9, 12), "in_channels": 3, "channels": 5, "classes": 2}),
    ],
)
def test_cnn_gives_torchs_outputs_and_gradients(B, options, dtype):
    ours = CNN(**options, seed=3, dtype=dtype)
    theirs = torch_cnn(ours)
    inputs = options.get("in_channels", 1)
    x = pictures(B, inputs, *ours.image_size, dtype=dtype)
    y = torch.arange(B) % options.get("classes", 10)
    close(ours(x), theirs(x), dtype)
    losses = F.cross_entropy(ours(x), y), F.cross_entropy(theirs(x), y)
    gradients = [
        torch.autograd.grad(loss, [x, *model.parameters()])
        for loss, model in zip(losses, (ours, theirs), strict=True)
    ]
    assert len(gradients[0]) == 5
    for a, b in zip(*gradients, strict=True):
        close(a, b, dtype)


def test_cnn_is_the_network_of_the_documents():
    assert repr(CNN()) == "CNN(1x28x28, 32 kernels, 10 classes, 54,410 parameters)"


def test_intermediates_have_names_and_carry_gradients():
    model, x = CNN(image_size=8, channels=3), pictures(2, 1, 8, 8)
    seen = model(x, return_intermediates=True)
    shapes = {name: tuple(value.shape) for name, value in seen.items()}
    assert shapes == {
        "input": (2, 1, 8, 8),
        "conv": (2, 3, 6, 6),
        "hidden": (2, 3, 6, 6),
        "pooled": (2, 3, 3, 3),
        "flat": (2, 27),
        "output": (2, 10),
    }
    assert torch.equal(seen["output"], model(x))
    assert torch.equal(seen["conv"], model.conv(x))
    assert torch.equal(seen["hidden"], seen["conv"].relu())
    assert torch.equal(seen["pooled"], max_pool(seen["hidden"], 2))
    seen["pooled"].retain_grad()
    seen["output"].sum().backward()
    expected = model.dense.weight.sum(0).view(3, 3, 3).expand(2, 3, 3, 3)
    torch.testing.assert_close(seen["pooled"].grad, expected)


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    a, b, c = CNN(seed=1), CNN(seed=1), CNN(seed=2)
    a(torch.zeros(1, 1, 28, 28))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(a.conv.weight, b.conv.weight)
    assert torch.equal(a.dense.weight, b.dense.weight)
    assert not torch.equal(a.conv.weight, c.conv.weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_gives_nearly_the_same(dtype):
    model, x = CNN(), pictures(3, 1, 28, 28).detach()
    got = copy.deepcopy(model).to(dtype)(x.to(dtype))
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), model(x), rtol=0.02, atol=0.01)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_gpu_gives_the_weights_and_the_outputs_of_the_cpu():
    cpu, gpu = CNN(seed=1), CNN(seed=1, device="cuda")
    assert torch.equal(cpu.conv.weight, gpu.conv.weight.cpu())
    x = pictures(4, 1, 28, 28).detach()
    torch.testing.assert_close(gpu(x.cuda()).cpu(), cpu(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(2, 784), (28, 28), (2, 3, 28, 28), (2, 1, 28, 27)])
def test_a_wrong_shape_is_named_with_the_way_out(shape):
    with pytest.raises(ValueError, match=r"\(B, 1, 28, 28\).*unflatten") as error:
        CNN()(torch.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: convolve(x, torch.ones(1, 2, 3, 3)), r"\(B, 2, height, width\)"),
        (lambda x: convolve(x, torch.ones(1, 1, 5, 5)), "a patch spans 5 pixels"),
        (lambda x: windows(x, 3, dilation=2), "a patch spans 5 pixels.* has 4"),
        (lambda x: Conv2d(1, 1, 3, dilation=3)(x), "a patch spans 7 pixels.* has 4"),
        (lambda x: max_pool(x, 5), "a patch spans 5 pixels"),
        (lambda x: max_pool(x, 2, padding=2), "padding is 2 for pooling over 2"),
        (lambda x: average_pool(x, 2, stride=0), "give a whole number, 1 or more"),
        (lambda x: windows(x, (2, 2, 2)), r"\(2, 2, 2\); give a whole number"),
        (lambda x: Conv2d(1, 1, 3, padding=-1), "padding is -1"),
        (lambda x: Conv2d(1, 0, 3), "out_channels is 0"),
        (lambda x: CNN(image_size=3), "pictures of 4 x 4 or more"),
    ],
)
def test_what_it_cannot_use_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(torch.zeros(1, 1, 4, 4))


def test_bytes_as_pictures_are_refused():
    with pytest.raises(TypeError, match=r"uint8.*x\.float\(\)"):
        CNN()(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
