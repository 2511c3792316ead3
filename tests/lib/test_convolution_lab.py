"""One kernel on one picture, and the small CNN that is looked into."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from lib import convolution_lab as lab
from lib.convolution_lab import DigitNetwork
from lib.datasets import load
from lib.models.cnn import CNN


@pytest.fixture(scope="module")
def trained() -> DigitNetwork:
    network = DigitNetwork(epochs=2)
    for _ in network.work():
        pass
    return network


# ---- kernels and pictures


@pytest.mark.parametrize("size", [3, 5])
def test_kernels_do_what_their_names_say(size):
    kernels = lab.kernels(size)
    flat, ramp = torch.ones(9, 9), torch.arange(9.0).expand(9, 9)
    answer = {name: lab.feature_map(flat, k) for name, k in kernels.items()}
    for name in ("identity", "blur", "sharpen"):
        torch.testing.assert_close(answer[name], torch.ones_like(answer[name]))
    for name in ("edges left-right", "edges top-bottom", "Laplacian"):
        torch.testing.assert_close(answer[name], torch.zeros_like(answer[name]))
    assert (lab.feature_map(ramp, kernels["edges left-right"]) > 0).all()
    assert lab.feature_map(ramp, kernels["edges top-bottom"]).abs().max() < 1e-5
    assert (lab.feature_map(ramp.T, kernels["edges top-bottom"]) > 0).all()
    picture = lab.digits()[0][3]
    middle = slice(size // 2, -(size // 2))
    torch.testing.assert_close(
        lab.feature_map(picture, kernels["identity"]), picture[middle, middle]
    )


def test_an_unknown_size_of_kernel_is_refused():
    with pytest.raises(ValueError, match="size is 4; a kernel here has 3 or 5"):
        lab.kernels(4)


def test_random_kernels_depend_on_their_seed_alone():
    first, other = lab.random_kernel(5, 1), lab.random_kernel(5, 2)
    assert torch.equal(first, lab.random_kernel(5, 1))
    assert not torch.equal(first, other)
    torch.testing.assert_close(10 * first, (10 * first).round())


def test_pictures_are_real_digits_and_photographs():
    x, y = lab.digits()
    assert x.shape == (50, 8, 8)
    assert y.reshape(5, 10).tolist() == [list(range(10))] * 5
    whole = load("digits", flat=False)
    assert (whole.x[:, 0] == x[17]).all((1, 2)).any()
    photographs = lab.photographs()
    assert set(photographs) == {"china", "flower"}
    for picture in photographs.values():
        assert picture.shape == (28, 28)
        assert picture.std() > 0.1
        assert 0 <= picture.min() < picture.max() <= 1


# ---- one kernel


def test_every_setting_gives_what_torch_gives():
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(9, 9, generator=generator)
    for size, stride, padding, dilation in itertools.product(
        (3, 5), (1, 2, 3), (0, 1, 3), (1, 2)
    ):
        kernel = lab.random_kernel(size, stride)
        for mode in ("zero", "reflect"):
            options = {"mode": "reflect"} if mode == "reflect" else {}
            x = F.pad(picture[None, None], (padding,) * 4, **options)
            bias = torch.tensor([0.3])
            wanted = F.conv2d(x, kernel[None, None], bias, stride, 0, dilation)[0, 0]
            got = lab.feature_map(
                picture, kernel, stride, padding, mode, dilation, 0.3, relu=False
            )
            torch.testing.assert_close(got, wanted)
            rows = lab.output_size(9, size, stride, padding, dilation)
            assert got.shape == (rows, rows)
            got = lab.feature_map(
                picture, kernel, stride, padding, mode, dilation, 0.3, relu=True
            )
            torch.testing.assert_close(got, wanted.relu())


def test_the_size_is_zero_where_nothing_fits_and_the_map_is_refused():
    assert lab.output_size(8, 5, 1, 0, 3) == 0
    assert lab.output_size(8, 5, 1, 3, 3) == 2
    with pytest.raises(ValueError, match="spans 13 pixels"):
        lab.feature_map(torch.zeros(8, 8), torch.zeros(5, 5), dilation=3)


def test_padding_is_zeros_or_a_mirror():
    row = torch.tensor([[1.0, 2.0, 3.0]] * 3)
    assert lab.padded(row, 1)[1].tolist() == [0, 1, 2, 3, 0]
    assert lab.padded(row, 2, "reflect")[2].tolist() == [3, 2, 1, 2, 3, 2, 1]
    with pytest.raises(ValueError, match="mode is 'wrap'"):
        lab.padded(row, 1, "wrap")
    with pytest.raises(ValueError, match="padding is 3 for a picture"):
        lab.padded(row, 3, "reflect")


def test_pooling_takes_the_largest_or_the_mean():
    values = torch.arange(16.0).reshape(4, 4)
    assert lab.pooled(values, "max", 2).tolist() == [[5, 7], [13, 15]]
    assert lab.pooled(values, "average", 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert lab.pooled(values, "max", 3).tolist() == [[10]]
    with pytest.raises(ValueError, match="pooling is 'least'"):
        lab.pooled(values, "least", 2)


# ---- the drawing


def test_a_small_drawing_in_a_corner_fills_the_height():
    drawing = torch.zeros(16, 16)
    drawing[1:6, 2:4] = 1.0
    fitted = lab.fit_digit(drawing)
    ink = fitted > 0.5
    assert ink.any(1).all()
    columns = ink.any(0).nonzero()[:, 0]
    assert abs(columns.float().mean() - 7.5) <= 0.5
    assert len(columns) == pytest.approx(16 * 2 / 5, abs=1)
    assert fitted.min() >= 0
    assert fitted.max() <= 1
    empty = torch.zeros(16, 16)
    assert torch.equal(lab.fit_digit(empty), empty)


def test_a_digit_of_the_set_fits_already():
    digit = load("digits", size=16, flat=False).x[3, 0]
    assert (lab.fit_digit(digit) - digit).abs().mean() < 0.05


# ---- the network


def test_it_learns_and_keeps_the_weights_of_each_epoch(trained):
    assert trained.epoch == 2
    assert trained.step == 2 * trained.steps_an_epoch == len(trained.losses)
    assert trained.accuracies[0] < 0.4
    assert trained.accuracies[2] > 0.8
    kept = [weights["conv.weight"] for weights in trained.history]
    assert not torch.equal(kept[0], kept[1])
    assert torch.equal(kept[2], trained.weights()["conv.weight"])
    trained.advance()
    assert trained.step == 2 * trained.steps_an_epoch  # there is no third epoch


def test_the_same_seed_gives_the_same_steps():
    runs = [DigitNetwork(epochs=1, seed=seed) for seed in (3, 3, 4)]
    for network in runs:
        for _ in range(3):
            network.advance()
    assert runs[0].losses == runs[1].losses
    assert runs[0].losses != runs[2].losses


def test_what_it_sees_is_what_the_layers_of_torch_compute(trained):
    picture = load("digits", size=16, flat=False).x[7, 0]
    seen = trained.see(picture, epoch=1)
    w = trained.history[1]
    conv = F.conv2d(picture[None, None], w["conv.weight"], w["conv.bias"])[0]
    torch.testing.assert_close(seen["conv"], conv)
    pooled = F.max_pool2d(conv.relu(), 2)
    torch.testing.assert_close(seen["pooled"], pooled)
    logits = w["dense.weight"] @ pooled.flatten() + w["dense.bias"]
    torch.testing.assert_close(seen["output"], logits)
    torch.testing.assert_close(seen["probabilities"], logits.softmax(0))
    now = trained.see(picture)
    assert not torch.equal(now["conv"], seen["conv"])
    with torch.no_grad():
        torch.testing.assert_close(now["output"], trained.model(picture[None, None])[0])


def test_a_given_model_is_looked_into_as_it_is():
    model = CNN(8, channels=3, seed=5)
    network = DigitNetwork(model)
    before = model.conv.weight.clone()
    assert (network.size, network.epoch, network.steps_an_epoch) == (8, 0, 0)
    assert math.isnan(network.accuracies[0])
    assert list(network.work()) == []
    network.advance()
    assert torch.equal(model.conv.weight, before)
    assert network.see(torch.zeros(8, 8))["conv"].shape == (3, 6, 6)


@pytest.mark.parametrize(
    "model", [torch.nn.Linear(2, 2), CNN(8, in_channels=3), CNN((8, 9))]
)
def test_another_model_is_refused_with_a_sentence(model):
    with pytest.raises(ValueError, match=r"give a lib\.models\.cnn\.CNN for square"):
        DigitNetwork(model)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_sees_the_same():
    networks = [DigitNetwork(epochs=1, device=device) for device in ("cpu", "cuda")]
    for network in networks:
        for _ in range(5):
            network.advance()
    picture = load("digits", size=16, flat=False).x[7, 0]
    first, second = (n.see(picture)["output"] for n in networks)
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)
