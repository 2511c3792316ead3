"""The pictures of planes and tiles show what they were given."""

import pytest
import torch

from lib.network_plots import FINE, plane, tiles

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
CLASSES = torch.tensor([0, 1, 1, 0])


def below_zero(places):
    return places[:, :1] - 0.5  # (n, 1): class 1 lies to the right


def test_one_panel_for_each_model_with_the_points_of_each_class():
    picture = plane(CORNERS, CLASSES, {"none": None, "right half": below_zero})
    assert [axes.get_title() for axes in picture.axes] == ["none", "right half"]
    for axes in picture.axes:
        zeros, ones = (c for c in axes.collections if len(c.get_offsets()) == 2)
        assert zeros.get_offsets().tolist() == CORNERS[CLASSES == 0].tolist()
        assert ones.get_offsets().tolist() == CORNERS[CLASSES == 1].tolist()
    assert "none, right half" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_the_line_stands_where_the_score_is_zero():
    axes = plane(CORNERS, CLASSES, {"right half": below_zero}).axes[0]
    lines = [
        path.vertices
        for collection in axes.collections
        for path in collection.get_paths()
        if len(path.vertices) and abs(path.vertices[:, 0] - 0.5).max() < 1e-6
    ]
    assert any(len(line) >= FINE for line in lines)


def test_a_model_that_says_one_class_everywhere_has_no_line():
    axes = plane(CORNERS, CLASSES, {"all": lambda p: torch.ones(len(p))}).axes[0]
    assert len(axes.collections) == 3  # the ground and two classes of points


@pytest.mark.parametrize(
    ("x", "y", "models"),
    [
        (CORNERS, CLASSES, {}),
        (CORNERS[:, :1], CLASSES, {"none": None}),
        (CORNERS, CLASSES[:2], {"none": None}),
    ],
)
def test_points_that_are_no_plane_are_refused(x, y, models):
    with pytest.raises(ValueError, match="one model or more"):
        plane(x, y, models)


def test_tiles_hold_their_pictures_in_order_and_leave_the_rest_empty():
    pictures = torch.arange(12.0).reshape(3, 2, 2)
    picture = tiles(pictures, ["a", "b", "c"], alt="three", columns=2)
    assert len(picture.axes) == 4
    for axes, values, title in zip(picture.axes, pictures, "abc", strict=False):
        assert axes.images[0].get_array().tolist() == values.tolist()
        assert axes.get_title() == title
    assert not picture.axes[3].images


def test_signed_tiles_have_zero_in_the_middle_of_their_colours():
    picture = tiles(torch.tensor([[[-1.0, 3.0]]]), [""], alt="one", signed=True)
    assert picture.axes[0].images[0].get_clim() == (-3.0, 3.0)
    plain = tiles(torch.tensor([[[0.0, 0.5]]]), [""], alt="one")
    assert plain.axes[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize("shape", [(2, 2), (0, 2, 2), (2, 2, 2)])
def test_tiles_without_their_titles_are_refused(shape):
    with pytest.raises(ValueError, match="N titles"):
        tiles(torch.zeros(shape), ["a"] * (shape[0] == 2), alt="none")
