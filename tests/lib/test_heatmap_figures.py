"""The still figures of explanations draw what they are given."""

import numpy as np
import pytest
import torch

from lib.heatmap_figures import map_figure, token_bars

MAP = torch.tensor([[0.0, -2.0], [1.0, 0.5]])
ROWS = {
    "trained": {"saliency": MAP, "occlusion": 3 * MAP},
    "random": {"saliency": -MAP, "occlusion": torch.zeros(1, 2, 2)},
}


def drawn(picture):
    return [ax.images[0].get_array() for ax in picture.axes if ax.images]


def test_each_map_is_shown_in_parts_of_its_own_largest():
    signed = drawn(map_figure(ROWS, signed=True))
    np.testing.assert_allclose(signed[0], MAP / 2)
    np.testing.assert_allclose(signed[1], MAP / 2)
    np.testing.assert_allclose(signed[2], -MAP / 2)
    np.testing.assert_allclose(signed[3], 0)
    np.testing.assert_allclose(drawn(map_figure(ROWS))[2], MAP.abs() / 2)


def test_names_of_rows_and_columns_are_written():
    axes = map_figure(ROWS, title="a digit").axes
    assert [ax.get_title() for ax in axes[:4]] == ["saliency", "occlusion", "", ""]
    assert [axes[0].get_ylabel(), axes[2].get_ylabel()] == ["trained", "random"]
    assert axes[4].get_ylabel() == "part of each map's largest"


def test_a_picture_in_colour_is_shown_as_it_is_and_an_outline_drawn():
    colours = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(0))
    rows = {"": {"picture": colours, "map": torch.ones(4, 6)}}
    picture = map_figure(rows, outline=torch.eye(4, 6))
    np.testing.assert_allclose(drawn(picture)[0], colours.permute(1, 2, 0))
    assert not picture.axes[0].collections
    assert picture.axes[1].collections
    assert picture.png()[:4] == b"\x89PNG"


def test_the_text_alternative_names_what_is_shown():
    words = map_figure(ROWS, title="a digit").alt
    assert words == ("Heatmaps of a digit: saliency, occlusion; rows: trained, random.")
    assert "rollout" in token_bars(["a", "b"], {"rollout": [1.0, 2.0]}).alt


def test_bars_have_the_height_of_the_numbers():
    values = {"rollout": torch.tensor([0.25, 0.75]), "fall": [-1.0, 2.0]}
    axes = token_bars(["a", "b"], values, title="a text").axes
    assert [bar.get_height() for bar in axes[0].patches] == [0.25, 0.75]
    assert [bar.get_height() for bar in axes[1].patches] == [-1.0, 2.0]
    assert [text.get_text() for text in axes[1].get_xticklabels()] == ["a", "b"]


@pytest.mark.parametrize(
    "rows",
    [{}, {"a": {}}, {"a": {"x": MAP}, "b": {"y": MAP}}, {"a": {"x": torch.ones(3)}}],
)
def test_what_cannot_be_drawn_is_refused(rows):
    with pytest.raises(ValueError, match="give"):
        map_figure(rows)


def test_bars_without_one_number_for_each_token_are_refused():
    for values in ({}, {"rollout": [1.0]}):
        with pytest.raises(ValueError, match="one number for each"):
            token_bars(["a", "b"], values)
