"""The convolution widget, as the page gets it."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from lib.convolution_lab import fit_digit, kernels
from lib.datasets import load
from lib.models.cnn import CNN
from lib.widgets import Convolution
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

NAMED = [c.name for c in Convolution.CONTROLS if c.kind != "grid"]
PLAIN = [name for name in NAMED if name not in ("part", "device")]


def control(name: str):
    return next(c for c in Convolution.CONTROLS if c.name == name)


def network(**values) -> Convolution:
    """A widget that looks into a model which nobody trains."""
    return Convolution(CNN(8, channels=3, seed=1), part="network", **values)


def rows(values) -> list:
    return np.asarray(values).tolist()


# ---- controls


@pytest.mark.parametrize("name", NAMED)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = Convolution(CNN(8, channels=2))
    page = open_page(widget)
    for value in values_over_range(control(name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        result = widget.result()
        assert result["map"] is None or result["map"].isfinite().all()
    json.dumps(page.messages, allow_nan=False)


@pytest.mark.parametrize("size", [3, 5])
def test_a_kernel_of_the_page_is_kept(open_page, size):
    widget = Convolution()
    page = open_page(widget)
    kernel = np.arange(size * size).reshape(size, size) / 10
    page.set("kernel", rows(kernel))
    np.testing.assert_array_equal(widget.values["kernel"], kernel)
    assert rows(page.of_kind("news")[-1]["values"]["kernel"]) == rows(kernel)


@pytest.mark.parametrize(
    "kernel",
    [
        [[1.0]],
        np.zeros((4, 4)).tolist(),
        [[0.0] * 3] * 2,
        [[0.0] * 3, [0.0] * 3, [0.0] * 2],
        [[0.0, 0.0, float("nan")]] * 3,
        [[0.0, 0.0, 101.0]] * 3,
        [["a", 0.0, 0.0]] * 3,
        7,
        None,
        "blurred",
    ],
)
def test_a_wrong_kernel_is_refused(open_page, kernel):
    widget = Convolution()
    page, before = open_page(widget), dict(widget.values)
    with pytest.raises(ValueError, match="kernel was given"):
        page.set("kernel", kernel)
    assert widget.values == before


def test_a_drawing_has_the_size_of_the_network():
    widget = network()
    widget.set(drawing=np.eye(8).tolist())
    for wrong in (np.eye(16).tolist(), (2 * np.eye(8)).tolist()):
        with pytest.raises(
            ValueError, match=r"drawing was given .* it takes 8 x 8 numbers from 0"
        ):
            widget.set(drawing=wrong)


def test_a_kernel_can_be_named():
    widget = Convolution(kernel="blur")
    torch.testing.assert_close(
        torch.tensor(widget.values["kernel"]), kernels(3)["blur"]
    )
    with pytest.raises(ValueError, match="one of identity, blur"):
        Convolution(kernel="blurr")


def test_random_kernels_come_in_the_same_order(open_page):
    seen = []
    for _ in range(2):
        widget = Convolution(seed=4)
        page = open_page(widget)
        for size in (3, 3, 5):
            page.do("random", size)
            seen.append(widget.values["kernel"])
    assert seen[:3] == seen[3:]
    assert seen[0] != seen[1]
    assert len(seen[2]) == 5


# ---- part 1


def test_the_result_is_torchs():
    widget = Convolution(
        picture="flower", kernel=rows(np.arange(25.0).reshape(5, 5)), stride=2,
        padding=3, padding_mode="reflect", dilation=2, bias=-1.5, relu=True,
        pooling="max", pool_size=3,
    )  # fmt: skip
    x = torch.nn.functional.pad(widget.picture[None, None], (3,) * 4, mode="reflect")
    kernel = torch.arange(25.0).reshape(1, 1, 5, 5)
    options = {"stride": 2, "dilation": 2, "bias": torch.tensor([-1.5])}
    wanted = torch.nn.functional.conv2d(x, kernel, **options).relu()
    result = widget.run()
    torch.testing.assert_close(result["map"], wanted[0, 0])
    torch.testing.assert_close(
        result["pooled"], torch.nn.functional.max_pool2d(wanted, 3)[0, 0]
    )


def test_a_kernel_that_does_not_fit_has_no_map_and_still_a_picture():
    widget = Convolution(kernel=rows(np.ones((5, 5))), dilation=3, pooling="max")
    assert widget.run() == {"map": None, "pooled": None}
    assert widget.still().startswith(b"\x89PNG")
    widget.set(padding=3)  # 2 x 2 cells are left, fewer than the pooling window has
    widget.set(pool_size=3)
    assert widget.run()["map"].shape == (2, 2)
    assert widget.run()["pooled"] is None


def test_each_picture_is_what_its_name_says():
    widget = Convolution(example=17)
    torch.testing.assert_close(widget.picture, widget.digits[17])
    widget.set(picture="china")
    torch.testing.assert_close(widget.picture, widget.photographs["china"])
    widget.set(picture="drawn", drawing=np.eye(16).tolist())
    torch.testing.assert_close(widget.picture, torch.eye(16))


# ---- part 2


def test_the_page_gets_the_maps_of_its_drawing(open_page):
    widget = network(fit=False)
    page = open_page(widget)
    drawing = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    page.set("drawing", rows(drawing))
    seen = widget.network.model(drawing[None, None], return_intermediates=True)
    for part in ("conv", "pooled", "output", "input"):
        np.testing.assert_allclose(
            page.floats(part), seen[part].detach().numpy().ravel(), rtol=1e-5, atol=1e-6
        )
    assert page.of_kind("news")[-1]["parts"] == ["conv", "pooled", "output", "input"]
    page.set("fit", True)
    np.testing.assert_allclose(page.floats("input"), fit_digit(drawing).ravel())


def test_a_late_page_sees_maps_and_weights(open_page):
    widget = network()
    open_page(widget).set("drawing", np.eye(8).tolist())
    open_page(widget)
    state = widget.snapshot
    model = widget.network.model
    for name, wanted in {
        "conv.weight": model.conv.weight,
        "dense.weight": model.dense.weight,
        "conv": widget.seen()["conv"],
    }.items():
        got = np.frombuffer(state[name], "<f4")
        np.testing.assert_array_equal(got, wanted.detach().numpy().ravel())
    assert rows(state["values"]["drawing"]) == np.eye(8).tolist()
    examples = np.frombuffer(state["examples"], "u1").reshape(50, 8, 8)
    np.testing.assert_array_equal(examples / 16, widget.digits.numpy())


def test_messages_are_small_and_nothing_is_sent_twice(open_page):
    widget = Convolution(epochs=1)
    page = open_page(widget)
    page.set("part", "network")
    widget.finish()
    page.set("stride", 2)
    assert page.buffers[-1] == [] or sum(map(len, page.buffers[-1])) == 0
    assert set(page.of_kind("news")[-1]["values"]) == {"stride"}
    page.set("drawing", np.eye(16).tolist())
    assert sum(
        map(len, page.buffers[page.messages.index(page.of_kind("news")[-1])])
    ) < (12_000)
    sent = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == sent


def test_it_trains_when_first_looked_at_and_shows_any_epoch(open_page):
    widget = Convolution(epochs=2)
    page = open_page(widget)
    assert widget.network is None
    page.set("part", "network")
    widget.finish()
    news = page.of_kind("news")[-1]
    assert (news["epoch"], news["shown"], news["playing"]) == (2, 2, False)
    assert news["accuracies"][2] > 0.8
    last = page.floats("conv.weight")
    page.do("seek", 0)
    first = page.floats("conv.weight")
    np.testing.assert_array_equal(
        first, widget.network.history[0]["conv.weight"].numpy().ravel()
    )
    assert not np.array_equal(first, last)
    assert page.of_kind("news")[-1]["shown"] == 0
    page.do("seek", 99)
    assert page.of_kind("news")[-1]["shown"] == 2


def test_step_and_reset(open_page):
    widget = Convolution(epochs=3)
    page = open_page(widget)
    page.set("part", "network")
    page.do("reset")
    assert widget.network.step == 0
    page.do("step")
    widget.finish()
    assert widget.network.epoch == 1
    first = widget.network.losses[:5]
    page.do("reset")
    page.do("step")
    widget.finish()
    assert widget.network.losses[:5] == first  # the same seed


def test_play_and_pause_under_a_loop():
    async def play():
        widget = Convolution(epochs=40)
        page = FakePage(widget).hello()
        page.set("part", "network")
        await until(lambda: widget.network and widget.network.step > 20)
        page.do("pause")
        await asyncio.sleep(0.05)
        step = widget.network.step
        await asyncio.sleep(0.1)
        assert widget.network.step == step < 40 * widget.network.steps_an_epoch
        assert not widget.working
        page.do("play", 1)
        await until(lambda: widget.network.step > step)
        widget.close()

    asyncio.run(play())


def test_a_digit_to_try_is_one_that_was_not_trained_on(open_page):
    widget = Convolution(epochs=1)
    page = open_page(widget)
    page.do("another")
    first = torch.tensor(widget.values["drawing"])
    page.do("another")
    assert not torch.equal(first, torch.tensor(widget.values["drawing"]))
    parts = load("digits", size=16, flat=False).split(test=0.0)
    assert (parts.validation.x[:, 0] - first).abs().amax((1, 2)).min() < 1e-6
    assert (parts.train.x[:, 0] - first).abs().amax((1, 2)).min() > 0.1


def test_run_without_a_page_trains_to_the_end():
    widget = Convolution(part="network", epochs=1)
    seen = widget.run()
    assert widget.network.epoch == 1
    assert seen["probabilities"].sum() == pytest.approx(1.0)
    assert not widget.working


# ---- errors, pictures, end


def test_another_model_is_refused():
    with pytest.raises(ValueError, match=r"give a lib\.models\.cnn\.CNN"):
        Convolution(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("make", [Convolution, network])
def test_text_and_ink_of_both_parts(make):
    widget = make()
    text = "Convolution: a kernel on a picture, and the layers of a small CNN"
    assert widget.describe() == text
    pixels = np.asarray(Image.open(io.BytesIO(widget.still())).convert("L"))
    assert (pixels < 128).mean() > 0.03
    assert pixels.shape[1] > 700


def test_the_picture_shows_the_numbers_of_the_result():
    widget = Convolution(kernel="Laplacian", pooling="average", padding=1)
    axes = widget.figure().axes
    images = [a.images[0].get_array() for a in axes]
    assert [image.shape for image in images] == [(10, 10), (3, 3), (8, 8), (4, 4)]
    result = widget.result()
    np.testing.assert_allclose(images[2], result["map"])
    np.testing.assert_allclose(images[3], result["pooled"])
    widget = network()
    shares = [bar.get_width() for bar in widget.figure().axes[-1].patches]
    np.testing.assert_allclose(shares, widget.seen()["probabilities"], rtol=1e-6)
