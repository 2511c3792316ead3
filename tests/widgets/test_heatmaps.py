"""Five heatmaps of one answer, as the page gets them."""

from __future__ import annotations

import asyncio
import base64
import copy
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import lib.heatmap_inquiry as module
from lib.datasets import load
from lib.explain import (
    grad_cam,
    gradient,
    integrated_gradients,
    occlusion,
    rank_correlation,
    smooth_grad,
)
from lib.heatmaps import CHEAP, METHODS
from lib.models.cnn import CNN
from lib.widgets.heatmaps import Heatmaps
from tests.widgets.cases import digits
from tests.widgets.cases import heatmaps as make
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

NAMES = [control.name for control in Heatmaps.CONTROLS]
DATA = digits()


def control(widget, name):
    return next(c for c in widget.CONTROLS if c.name == name)


def buffer(page: FakePage, part: str) -> bytes:
    """The newest buffer of this name that the page got, or the snapshot's."""
    for message, buffers in zip(
        reversed(page.messages), reversed(page.buffers), strict=True
    ):
        if part in message.get("parts", []):
            return buffers[message["parts"].index(part)]
    return page.widget.snapshot["buffers"][part]


def sent(page: FakePage, since: int) -> set[str]:
    """Names of all buffers that went out after so many messages."""
    return {part for m in page.messages[since:] for part in m.get("parts", [])}


def seen(page: FakePage, method: str) -> np.ndarray:
    """A map as the page reads it: from bytes and scale."""
    levels = np.frombuffer(buffer(page, f"map:{method}"), np.uint8).astype(float)
    scale = page.of_kind("news")[-1]["maps"][method]["scale"]
    return ((levels - 128) / 127 * scale).reshape(page.widget.inquiry.picture.shape[2:])


def draw(page: FakePage, levels: np.ndarray, number: int = 1) -> None:
    ink = base64.b64encode(levels.astype(np.uint8).tobytes()).decode()
    page.do("draw", ink, page.name, number)


# ---- controls


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = make()
    page = open_page(widget)
    for value in values_over_range(control(widget, name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        widget.finish()
        assert widget.inquiry.due == {}
        assert set(widget.inquiry.maps) == set(METHODS)
        for entry in widget.inquiry.maps.values():
            assert np.isfinite(entry.map).all()
            assert entry.done == entry.total
    json.dumps(page.messages, allow_nan=False)


def test_classes_and_layers_of_other_networks_are_refused(open_page):
    rows = (DATA.y < 3).nonzero()[:, 0]
    few = replace(DATA.take(rows), targets=("0", "1", "2"))
    widget = Heatmaps(data=few, device="cpu")
    with pytest.raises(ValueError, match="target was given '7'; it takes one of"):
        widget.set(target="7")
    own = Heatmaps(device="cpu")
    with pytest.raises(ValueError, match="'block_1'; this network has conv, hidden"):
        own.set(layer="block_1")
    with pytest.raises(ValueError, match="target was given '11'"):
        Heatmaps(target="11", device="cpu")
    with pytest.raises(ValueError, match="no control 'opaque'"):
        make(opaque=1.0)


@pytest.mark.parametrize("name", ["opacity", "threshold", "sign"])
def test_the_look_asks_the_network_nothing(open_page, name):
    widget = make()
    page = open_page(widget)
    widget.finish()
    count = len(page.messages)
    for value in values_over_range(control(widget, name)):
        page.set(name, value)
    assert not widget.working
    assert sent(page, count) == set()


@pytest.mark.parametrize(
    ("name", "value", "method"),
    [("samples", 7, "smooth_grad"), ("noise", 0.3, "smooth_grad"),
     ("steps", 9, "integrated_gradients"),
     ("baseline", "blurred", "integrated_gradients"), ("window", 40.0, "occlusion"),
     ("layer", "pooled", "grad_cam")],
)  # fmt: skip
def test_a_setting_makes_its_own_map_anew_and_no_other(open_page, name, value, method):
    widget = make()
    page = open_page(widget)
    widget.finish()
    before, count = seen(page, method), len(page.messages)
    page.set(name, value)
    assert list(widget.inquiry.due) == [method]
    widget.finish()
    assert sent(page, count) == {f"map:{method}"}
    assert not np.array_equal(before, seen(page, method))


# ---- the maps


@pytest.mark.parametrize("target", ["predicted", "4"])
def test_the_maps_are_right_to_half_a_level(open_page, target):
    widget = make(samples=6, steps=11, window=25.0, baseline="mean", target=target)
    page = open_page(widget)
    page.do("example", 2)
    widget.finish()
    model, x = CNN(8, channels=4, seed=3), widget.inquiry.picture
    scores = model(x).detach()
    c = int(scores.argmax()) if target == "predicted" else 4
    noise = {"samples": 6, "noise": 0.15}
    wanted = {
        "saliency": gradient(model, x, c),
        "smooth_grad": smooth_grad(
            model, x, c, generator=torch.Generator().manual_seed(0), **noise
        ),
        "integrated_gradients": integrated_gradients(
            model, x, c, baseline=float(x.mean()), steps=11
        ).map,
        "occlusion": occlusion(model, x, c, size=2, stride=1),
        "grad_cam": grad_cam(model, x, "conv", c),
    }
    news = page.of_kind("news")[-1]
    assert news["target"] == c
    assert news["predicted"] == int(scores.argmax())
    np.testing.assert_allclose(news["chances"], scores.softmax(1)[0], rtol=1e-5)
    for method, map in wanted.items():
        map = map[0, 0].numpy()
        scale = np.abs(map).max()
        assert news["maps"][method]["scale"] == pytest.approx(scale, rel=1e-4)
        assert np.abs(seen(page, method) - map).max() <= 0.51 * scale / 127
    total, score, start = news["complete"]
    assert total == pytest.approx(float(wanted["integrated_gradients"].sum()), rel=1e-4)
    assert score == pytest.approx(float(scores[0, c]), rel=1e-5)
    flat = torch.full_like(x, float(x.mean()))
    assert start == pytest.approx(float(model(flat).detach()[0, c]), rel=1e-5)


def test_a_drawing_is_asked_about_and_names_its_page(open_page):
    widget = make()
    page = open_page(widget)
    levels = np.zeros((8, 8))
    levels[1:7, 4] = 255
    levels[3, 2] = 51
    draw(page, levels, 5)
    widget.finish()
    np.testing.assert_allclose(widget.inquiry.picture[0, 0], levels / 255, rtol=1e-6)
    news = page.of_kind("news")[-1]
    assert news["drawing"] == [page.name, 5]
    assert news["example"] is None
    picture = np.frombuffer(buffer(page, "picture"), np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(picture, levels)
    scores = CNN(8, channels=4, seed=3)(widget.inquiry.picture).detach()[0]
    np.testing.assert_allclose(news["scores"], scores, rtol=1e-5)


@pytest.mark.parametrize("ink", ["", "!", "AAAA", None, "A" * 400])
def test_a_drawing_of_another_size_is_refused(open_page, ink):
    widget = make()
    before = widget.inquiry.picture
    with pytest.raises(ValueError, match="8 x 8 cells of one byte"):
        open_page(widget).do("draw", ink)
    assert widget.inquiry.picture is before


def test_an_example_that_is_not_there_is_refused(open_page):
    page = open_page(make())
    with pytest.raises(ValueError, match="no example 10; choose one from 0 to 9"):
        page.do("example", 10)


def test_a_model_without_named_maps_has_no_grad_cam(open_page):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    widget = Heatmaps(model, DATA, device="cpu")
    page = open_page(widget)
    widget.finish()
    assert widget.inquiry.layer is None
    assert set(widget.inquiry.maps) == set(METHODS) - {"grad_cam"}
    assert widget.inquiry.due == {}
    assert widget.still().startswith(b"\x89PNG")
    page.do("randomise")
    widget.finish()
    assert "grad_cam" not in widget.inquiry.stages[0]["kept"]


# ---- training


def test_play_trains_to_the_goal_and_cheap_maps_come_on_the_way(open_page):
    widget = make(speed="0")
    page = open_page(widget)
    widget.finish()
    start = widget.subject.moments[0].accuracy
    serial = {m: widget.inquiry.maps[m].serial for m in METHODS}
    seen_steps = []
    page.do("play")
    for _ in widget._work:
        widget.pump(now=True)
        news = page.of_kind("news")[-1]
        seen_steps.append(news["step"])
        if news["playing"] and news["step"] < widget.subject.goal:
            for m in set(METHODS) - set(CHEAP):
                assert widget.inquiry.maps[m].serial == serial[m]
    widget.finish()
    assert widget.subject.step == widget.subject.goal == seen_steps[-1]
    assert len(set(seen_steps)) > 10
    assert not widget._playing
    assert widget.subject.moments[-1].accuracy > start + 0.5
    assert all(entry.step == 200 for entry in widget.inquiry.maps.values())
    film = np.frombuffer(buffer(page, "film"), "<f4").reshape(-1, 2)
    wanted = [(m.step, m.accuracy) for m in widget.subject.moments]
    np.testing.assert_allclose(film, wanted, rtol=1e-6)


def test_step_seek_and_reset(open_page):
    widget = make()
    page = open_page(widget)
    first = seen_after(widget, page)
    for _ in range(3):
        page.do("step")
    third = seen_after(widget, page)
    assert page.of_kind("news")[-1]["step"] == 3
    assert not np.array_equal(first, third)
    page.do("seek", 1)
    middle = seen_after(widget, page)
    news = page.of_kind("news")[-1]
    assert (news["step"], news["last"]) == (1, 3)
    assert not np.array_equal(middle, first)
    page.do("seek", 3)
    np.testing.assert_array_equal(seen_after(widget, page), third)
    page.do("seek", 0)
    np.testing.assert_array_equal(seen_after(widget, page), first)
    page.do("reset")
    np.testing.assert_array_equal(seen_after(widget, page), first)
    assert page.of_kind("news")[-1]["last"] == 0


def seen_after(widget: Heatmaps, page: FakePage) -> np.ndarray:
    widget.finish()
    return seen(page, "integrated_gradients")


def test_run_without_a_page_is_what_a_page_gets(open_page):
    maps = make().run(steps=5)
    widget = make()
    page = open_page(widget)
    for _ in range(5):
        page.do("step")
    widget.finish()
    assert set(maps) == set(METHODS)
    for method, map in maps.items():
        scale = np.abs(map).max()
        assert np.abs(seen(page, method) - map).max() <= 0.51 * scale / 127


def test_the_lessons_model_is_asked_and_stays_as_it_is():
    model = CNN(8, channels=4, seed=8)
    before = copy.deepcopy(model.state_dict())
    widget = Heatmaps(model, DATA, device="cpu")
    torch.testing.assert_close(
        widget.inquiry.scores, model(widget.inquiry.picture).detach()[0]
    )
    widget.run(steps=3)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training


# ---- random weights


def test_random_weights_and_their_rank_correlations(open_page):
    widget = make(steps=5, samples=3)
    page = open_page(widget)
    widget.finish()
    before = {m: np.abs(seen(page, m)) for m in METHODS}
    page.do("randomise")
    widget.finish()
    news = page.of_kind("news")[-1]
    assert [stage["what"] for stage in news["stages"]] == ["dense", "all layers"]
    for k, stage in enumerate(news["stages"]):
        for method in METHODS:
            levels = np.frombuffer(buffer(page, f"stage:{k}:{method}"), np.uint8)
            after = np.abs((levels.astype(float) - 128).reshape(8, 8))
            wanted = rank_correlation(
                torch.tensor(before[method])[None], torch.tensor(after)[None]
            )
            assert stage["kept"][method] == pytest.approx(float(wanted), abs=0.05)
    # the weights that are asked from now on are the trained ones
    torch.testing.assert_close(
        widget.subject.lens(widget.inquiry.picture)[0].detach(), widget.inquiry.scores
    )
    page.do("example", 1)
    assert page.of_kind("news")[-1]["stages"] == []


# ---- other pictures


def test_pictures_and_their_networks_change_and_a_change_can_be_cancelled(open_page):
    widget = Heatmaps(device="cpu")
    page = open_page(widget)
    page.set("source", "photographs")
    work = widget._work
    for _ in range(8):
        next(work)
    assert widget._progress[0] == "first steps of training"
    page.set("samples", 3)  # does not stop the change
    page.do("example", 0)
    assert widget._work is work
    page.do("cancel")
    assert widget.values["source"] == widget.subject.name == "digits"
    page.set("source", "photographs")
    widget.values["steps"], widget.values["window"] = 3, 50.0
    widget.finish()
    news = page.of_kind("news")[-1]
    assert news["name"] == "photographs"
    assert news["shape"] == [3, 64, 96]
    assert news["values"]["target"] == "predicted"
    assert "ImageNet" in news["note"]
    assert len(buffer(page, "examples")) == 3 * 3 * 64 * 96
    assert len(buffer(page, "map:occlusion")) == 64 * 96
    with pytest.raises(ValueError, match="the classes 0 to 1: china, flower"):
        page.set("target", "5")
    with pytest.raises(ValueError, match="these pictures take none"):
        page.do("draw", "AAAA")
    page.set("target", "1")
    widget.finish()
    assert page.of_kind("news")[-1]["target"] == 1
    assert widget.still().startswith(b"\x89PNG")


@pytest.mark.parametrize("data", [load("wine"), load("digits")])
def test_data_that_are_no_pictures_are_refused(data):
    with pytest.raises(ValueError, match="give pictures"):
        Heatmaps(data=data)


# ---- to the page


def test_a_page_that_opens_late_sees_everything(open_page):
    widget = make()
    early = open_page(widget)
    page_news = early.of_kind("news")
    assert page_news == []
    draw(early, np.eye(8) * 200)
    early.do("step")
    early.do("randomise")
    widget.finish()
    open_page(widget)
    state = widget.snapshot
    for part, data in state["buffers"].items():
        assert data == buffer(early, part), part
    wanted = {"picture", "examples", "film", *(f"map:{m}" for m in METHODS)}
    wanted |= {f"stage:{k}:{m}" for k in (0, 1) for m in METHODS}
    assert set(state["buffers"]) == wanted
    news = early.of_kind("news")[-1]
    for key in ("step", "maps", "stages", "complete", "chances", "values", "classes"):
        assert state[key] == news[key]


def test_messages_are_small_and_nothing_is_sent_twice(open_page):
    widget = make()
    page = open_page(widget)
    widget.finish()
    count = len(page.messages)
    page.do("step")
    for message, buffers in zip(
        page.messages[count:], page.buffers[count:], strict=True
    ):
        text = len(json.dumps(message))
        assert text + sum(map(len, buffers)) < 4_000
    widget.finish()
    count = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == count


def test_text_and_colours_of_the_picture():
    widget = make()
    text = "Five heatmaps of one answer, side by side, while the network trains"
    assert widget.describe() == text
    png = widget.still()
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 100
    assert len(png) < 60_000


def test_the_picture_shows_every_map_to_its_end():
    widget = make(sign="signed", threshold=0.5)
    assert "occlusion" in widget.inquiry.due
    figure = widget.figure()
    assert widget.inquiry.due == {}
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[2:7] == list(METHODS.values())
    bars = [patch.get_width() for patch in figure.axes[1].patches]
    np.testing.assert_allclose(bars, widget.inquiry.chances, rtol=1e-6)
    assert [len(axes.images) for axes in figure.axes[2:7]] == [2] * 5
    share = figure.axes[2].images[1].get_array()
    np.testing.assert_allclose(
        share,
        widget.inquiry.maps["saliency"].map / widget.inquiry.maps["saliency"].scale,
    )
    alpha = figure.axes[2].images[1].get_alpha()
    assert ((alpha == 0) == (np.abs(share) < 0.5)).all()


# ---- errors, loops, end


def broken(*_args, **_options):
    raise RuntimeError("the map broke")
    yield


def test_an_error_is_shown_in_the_page_under_a_loop_and_raised_without(monkeypatch):
    async def play():
        widget = make()
        page = FakePage(widget).hello()
        await until(lambda: not widget.working)
        monkeypatch.setattr(module, "map_steps", broken)
        page.set("samples", 9)
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the map broke"
        assert widget.values["samples"] == 9
        widget.close()

    asyncio.run(play())
    with pytest.raises(RuntimeError, match="the map broke"):
        make()


def test_play_and_pause_under_a_loop():
    async def play():
        widgets = make(), make()
        pages = [FakePage(widget).hello() for widget in widgets]
        await until(lambda: not any(w.working for w in widgets))
        pages[0].do("play")
        await until(lambda: widgets[0].subject.step >= 2)
        draw(pages[0], np.eye(8) * 255)  # while it trains
        at = widgets[0].subject.step
        await until(lambda: widgets[0].subject.step > at)
        assert widgets[0]._playing
        pages[0].do("pause")
        await until(lambda: not widgets[0].working and not widgets[0]._playing)
        step = widgets[0].subject.step
        assert 2 < step < widgets[0].subject.goal
        assert {e.step for e in widgets[0].inquiry.maps.values()} == {step}
        assert pages[0].of_kind("news")[-1]["step"] == step
        assert widgets[1].subject.step == 0
        pages[0].do("play")
        await until(lambda: widgets[0].subject.step > step)
        pages[0].tell(kind="bye")
        await until(lambda: not widgets[0]._playing)
        for widget in widgets:
            widget.close()

    asyncio.run(play())
