"""The timeline of published models, without a browser."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lib.history import KINDS, QUANTITIES, doubling_months, published, value_of
from lib.widgets.timeline import LABELS, STYLES, Timeline


def test_the_page_gets_every_row_with_its_source(open_page):
    widget = Timeline()
    open_page(widget)
    rows = widget.snapshot["rows"]
    assert [row["name"] for row in rows] == [row.name for row in published()]
    assert all(row["url"].startswith("https://") and row["where"] for row in rows)
    assert set(widget.snapshot["styles"]) == set(KINDS) == set(STYLES)
    for row, own in zip(rows, published(), strict=True):
        assert row["tokens"] == value_of(own, "examples")
        assert row["compute"] == own.compute
        assert row["estimated"] is (own.flop is None)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_run_gives_the_doubling_time_of_what_is_chosen(quantity):
    widget = Timeline(quantity=quantity, pictures=False, sound=False)
    rows = [row for row in published() if row.kind == "language"]
    assert widget.run() == doubling_months(rows, quantity)
    assert all(row.kind == "language" for row in widget.chosen)


def test_nothing_is_sent_twice_and_news_is_small(open_page):
    widget = Timeline()
    view = open_page(widget)
    view.set("trend", True)
    news = view.of_kind("news")
    assert len(news) == 1
    assert len(str(news[0])) < 400
    view.set("trend", True)
    assert len(view.of_kind("news")) == 1


def test_no_models_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"give one row of lib\.history or more"):
        Timeline(models=())


@pytest.mark.parametrize("values", [{}, dict.fromkeys(KINDS, False)])
def test_the_still_picture_has_ink(values):
    widget = Timeline(**values)
    image = Image.open(io.BytesIO(widget.still()))
    pixels = np.asarray(image.convert("L"))
    assert image.format == "PNG"
    assert (pixels < 128).mean() > 0.002
    assert widget.describe() == "Timeline of 25 published models, 1987 to 2025"


@pytest.mark.parametrize("quantity", list(LABELS))
def test_names_in_the_still_picture_cover_nothing_and_are_whole(quantity):
    figure = Timeline(quantity=quantity).figure()
    (axes,) = figure.axes
    places = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert len(places) >= 5
    for name, place in places.items():
        others = [box for other, box in places.items() if other != name]
        assert (
            place.count_overlaps([*others, axes.get_legend().get_window_extent()]) == 0
        )
        assert axes.bbox.x0 < place.x0 < place.x1 < axes.bbox.x1
        for line in axes.lines:
            marks = axes.transData.transform(line.get_xydata())
            assert not any(place.contains(*mark) for mark in marks)
