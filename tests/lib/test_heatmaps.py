"""The maps of the heatmap widget, and the small networks that are asked."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lib.datasets import load
from lib.explain import grad_cam, integrated_gradients, occlusion, saliency
from lib.heatmap_subjects import KEPT, from_data, made, make_photographs, make_shapes
from lib.heatmaps import (
    METHODS,
    Settings,
    as_levels,
    baseline_of,
    completeness,
    layers_of,
    map_steps,
    one_channel,
    probabilities,
    randomised,
    window_of,
)
from lib.models.cnn import CNN
from lib.models.vision import ResNet


@pytest.fixture(scope="module")
def model():
    return CNN(8, channels=3, classes=4, seed=1)


@pytest.fixture(scope="module")
def x():
    return torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def subject():
    return from_data(load("digits", flat=False), CNN(8, channels=4), name="digits")


def final(method, model, x, target=1, layer="conv", **settings):
    *_, part = map_steps(method, model, x, target, layer, Settings(**settings))
    assert part.done == part.total
    return part.map


# ---- maps


def test_the_maps_are_those_of_the_library(model, x):
    torch.testing.assert_close(
        final("saliency", model, x).abs(), saliency(model, x, 1)[0, 0]
    )
    torch.testing.assert_close(
        final("grad_cam", model, x), grad_cam(model, x, "conv", 1)[0, 0]
    )
    torch.testing.assert_close(
        final("integrated_gradients", model, x, steps=7),
        integrated_gradients(model, x, 1, steps=7).map[0, 0],
    )
    torch.testing.assert_close(
        final("occlusion", model, x, window=50),
        occlusion(model, x, 1, size=4, stride=2)[0, 0],
    )


def test_smooth_grad_of_one_noiseless_copy_is_the_gradient(model, x):
    torch.testing.assert_close(
        final("smooth_grad", model, x, samples=1, noise=0.0),
        final("saliency", model, x),
    )


def test_smooth_grad_depends_on_the_seed_alone(model, x):
    first = final("smooth_grad", model, x, samples=5, seed=3)
    torch.testing.assert_close(first, final("smooth_grad", model, x, samples=5, seed=3))
    assert not torch.equal(first, final("smooth_grad", model, x, samples=5, seed=4))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_of_a_colour_picture_has_one_number_a_pixel(method):
    picture = torch.rand(1, 3, 12, 9, generator=torch.Generator().manual_seed(1))
    net = ResNet(3, (2, 3), classes=2)
    assert final(method, net, picture, layer="block_2", samples=3, steps=3).shape == (
        12,
        9,
    )


def test_channels_of_a_gradient_give_the_largest_and_shares_add_up():
    map = torch.tensor([[[[1.0]], [[-3.0]], [[2.0]]]])
    assert one_channel(map, "saliency").tolist() == [[-3.0]]
    assert one_channel(map, "integrated_gradients").tolist() == [[0.0]]


def test_an_unknown_method_is_refused(model, x):
    with pytest.raises(ValueError, match="no 'lime'; choose one of saliency"):
        next(map_steps("lime", model, x, 0, None, Settings()))


def test_baselines(x):
    assert baseline_of(x, "black").abs().max() == 0
    mean = baseline_of(x, "mean")
    torch.testing.assert_close(mean, x.mean().expand_as(x))
    blurred = baseline_of(x, "blurred")
    assert blurred.shape == x.shape
    assert 0 < blurred.std() < 0.5 * x.std()
    flat = torch.full((1, 3, 10, 16), 0.3)
    torch.testing.assert_close(baseline_of(flat, "blurred"), flat)
    with pytest.raises(ValueError, match="baseline is 'white'; give one of black"):
        baseline_of(x, "white")


def test_blur_keeps_the_middle_and_the_symmetry():
    dot = torch.zeros(1, 1, 9, 9)
    dot[..., 4, 4] = 1
    blurred = baseline_of(dot, "blurred")[0, 0]
    torch.testing.assert_close(blurred, blurred.T)
    torch.testing.assert_close(blurred, blurred.flip(0))
    assert blurred.argmax() == 40
    assert float(blurred.sum()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("baseline", ["black", "mean", "blurred"])
def test_integrated_gradients_are_complete_with_many_steps(x, baseline):
    model, gaps = CNN(8, channels=16, classes=4, seed=1), []
    with torch.no_grad():
        model.conv.bias -= 0.3  # kernels that switch on along the way
        model.dense.weight *= 30
    for steps in (1, 1000):
        map = final("integrated_gradients", model, x, steps=steps, baseline=baseline)
        found = completeness(model, x, 1, baseline, map)
        start = probabilities(model, baseline_of(x, baseline))[0][1]
        assert found.score == pytest.approx(float(probabilities(model, x)[0][1]))
        assert found.start == pytest.approx(float(start))
        assert found.gap == pytest.approx(found.total - (found.score - found.start))
        gaps.append(abs(found.gap))
    assert gaps[1] < 0.02 < 0.1 < gaps[0]


def test_bytes_hold_a_map_to_half_a_level():
    map = torch.linspace(-2, 1, 61).reshape(1, 61)
    levels, scale = as_levels(map)
    assert scale == 2
    back = (torch.from_numpy(levels).float() - 128) / 127 * scale
    assert (back - map).abs().max() <= scale / 127 / 2 + 1e-6
    assert levels.min() == 1
    zeros, none = as_levels(torch.zeros(2, 2))
    assert none == 0
    assert (zeros == 128).all()


def test_the_window_is_a_part_of_the_shorter_side():
    assert window_of(torch.zeros(1, 1, 28, 50), 25) == 7
    assert window_of(torch.zeros(1, 1, 8, 8), 1) == 1


def test_layers_are_the_maps_inside_the_model(model, x):
    assert layers_of(model, x) == ["conv", "hidden", "pooled"]
    assert layers_of(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), x) == []


def test_random_weights_come_from_the_top_and_leave_the_model_alone():
    net = ResNet(1, (2, 3), classes=2)
    before = copy.deepcopy(net.state_dict())
    stages = randomised(net, torch.Generator().manual_seed(0))
    assert [name for name, _ in stages][::3] == ["dense", "all layers"]
    assert len(stages) == 4
    first, last = stages[0][1], stages[-1][1]
    assert not torch.equal(first.dense.weight, net.dense.weight)
    assert torch.equal(first.stem.weight, net.stem.weight)
    assert not torch.equal(last.stem.weight, net.stem.weight)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    names = [name for name, _ in randomised(CNN(8, classes=2), torch.Generator())]
    assert names == ["dense", "all layers"]


# ---- networks that train


def test_training_learns_and_a_reset_repeats_it(subject):
    start = subject.moments[0].accuracy
    runs = []
    for _ in range(2):
        subject.advance(40)
        subject.record(now=True)
        runs.append(subject.moments[-1].accuracy)
        weights = subject.look()
        scores, chances = probabilities(weights, subject.examples[:1])
        runs.append(scores)
        assert float(chances.sum()) == pytest.approx(1)
        subject.reset()
    assert runs[0] == runs[2] > start + 0.3
    assert torch.equal(runs[1], runs[3])
    assert (subject.step, len(subject.moments)) == (0, 1)


def test_looking_back_gives_the_weights_of_then(subject):
    seen = {}
    for step in (3, 6, 9):
        subject.advance(3)
        subject.record(now=True)
        assert subject.looked != step
        seen[step] = probabilities(subject.look(), subject.examples[:1])[0]
    assert [moment.step for moment in subject.moments] == [0, 3, 6, 9]
    for asked, step in ((3, 3), (7, 6), (9, 9), (None, 9), (100, 9)):
        scores = probabilities(subject.look(asked), subject.examples[:1])[0]
        assert subject.looked == step
        torch.testing.assert_close(scores, seen[step])
    subject.look(-4)
    assert subject.looked == 0
    subject.advance()
    assert subject.step == 10  # looking back does not turn the training back


def test_moments_are_thinned_out_and_both_ends_stay(subject):
    for _ in range(3 * KEPT):
        subject.advance()
        subject.record()
    steps = [moment.step for moment in subject.moments]
    assert len(steps) <= KEPT
    assert steps[0] == 0
    assert steps[-1] > 3 * KEPT - 8
    assert steps == sorted(set(steps))


def test_a_model_of_the_lesson_is_copied():
    own = CNN(8, channels=4, seed=5)
    before = copy.deepcopy(own.state_dict())
    made_of = from_data(load("digits", flat=False), own)
    assert made_of.warm == 0
    made_of.advance(2)
    assert all(torch.equal(v, before[k]) for k, v in own.state_dict().items())
    assert made_of.layers == ["conv", "hidden", "pooled"]
    assert made_of.layer == "conv"  # the pooled map has a quarter of the places


def test_data_and_models_that_do_not_fit_are_refused():
    pictures = load("digits", flat=False)
    with pytest.raises(ValueError, match="give pictures"):
        from_data(load("wine"))
    with pytest.raises(ValueError, match="cannot read pictures"):
        from_data(pictures, CNN(28))
    with pytest.raises(ValueError, match="3 classes and the data 10"):
        from_data(pictures, CNN(8, classes=3))


def test_photographs_are_told_apart_by_patches_and_held_out_on_the_right():
    subject = made(make_photographs())
    assert subject.examples.shape == (3, 3, 64, 96)
    torch.testing.assert_close(
        subject.examples[2, :, :, :48], subject.examples[0, :, :, 24:72]
    )
    right = subject.examples[:2, :, :, 72:].unfold(2, 24, 1).unfold(3, 24, 1)
    right = right.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    x, y = subject.held_out
    apart = [(right - patch).abs().amax((1, 2, 3)).min() for patch in x[:6]]
    assert max(apart) == 0
    assert y[:4].tolist() == [0, 1, 0, 1]
    subject.advance(40)
    subject.record(now=True)
    assert subject.moments[-1].accuracy > 0.9


def test_shapes_hold_pictures_of_two_kinds():
    subject = made(make_shapes())
    assert subject.classes == ("circle", "square", "triangle")
    assert subject.answers.tolist()[-4:] == [-1] * 4
    assert subject.answers.min() == -1
    assert len(subject.examples) == 8
    assert subject.training[0].shape[1:] == subject.held_out[0].shape[1:] == (3, 24, 24)
    assert len(subject.training[0]) > 10 * len(subject.held_out[0]) * 0.8
