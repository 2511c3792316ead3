"""The scale calculator without a browser: presets, own shapes, results, picture."""

from __future__ import annotations

import pytest

from lib.scale import PRESETS, gpu_hours, memory, operations, parameters
from lib.widgets.scale import SHAPE, ScaleCalculator
from tests.widgets.conftest import values_over_range


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_the_shape_and_gives_the_librarys_numbers(preset):
    widget = ScaleCalculator(preset)
    shape = PRESETS[preset][1]
    assert widget.shape == shape
    v, results = widget.values, widget.run()
    assert results["parameters"] == parameters(shape)
    assert results["operations"] == operations(shape)
    assert results["memory"] == memory(shape, v["batch"], v["precision"])
    assert results["gpu_hours"] == gpu_hours(
        shape, v["tokens"], v["gpu"], v["utilisation"], v["precision"]
    )


def test_a_hand_on_the_shape_makes_it_ones_own_and_a_preset_takes_it_back(open_page):
    widget = ScaleCalculator("bert")
    page = open_page(widget)
    assert widget.snapshot["extra"] == {"segments": 2, "pooler": True}
    page.set("num_layers", 24)
    assert widget.values["preset"] == "own"
    assert widget.shape.num_layers == 24
    assert widget.shape.pooler
    page.set("batch", 2)
    assert widget.values["preset"] == "own"
    page.set("preset", "gpt2")
    assert widget.shape == PRESETS["gpt2"][1]
    assert page.of_kind("news")[-1]["values"]["num_layers"] == 12


def test_own_numbers_at_the_start_keep_the_rest_of_the_preset():
    widget = ScaleCalculator("gpt2", num_layers=6, context=512)
    assert widget.values["preset"] == "own"
    assert (widget.shape.num_layers, widget.shape.context) == (6, 512)
    assert widget.shape.vocab_size == PRESETS["gpt2"][1].vocab_size


@pytest.mark.parametrize("control", ScaleCalculator.CONTROLS, ids=lambda c: c.name)
def test_every_control_over_its_range(control, open_page):
    widget = ScaleCalculator()
    view = open_page(widget)
    for value in values_over_range(control):
        view.set(control.name, value)
        assert widget.values[control.name] == value
        assert all(number >= 0 for number in widget.run()["memory"].values())


def test_text():
    assert ScaleCalculator().describe().startswith("Scale calculator")


def test_the_shape_is_the_one_of_the_controls():
    widget = ScaleCalculator("course")
    for name in SHAPE:
        assert getattr(widget.shape, name) == widget.values[name]


def test_the_legends_of_the_still_picture_cover_no_bar_and_are_whole():
    figure = ScaleCalculator().figure()
    figure.draw_without_rendering()
    bars = [axes.bbox for axes in figure.axes]
    for axes in figure.axes:
        legend = axes.get_legend().get_window_extent()
        assert legend.count_overlaps(bars) == 0
        assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
        assert legend.y0 >= figure.bbox.y0
