"""Figures: what is drawn, what is said of it, and what a notebook is given."""

import base64
import io
import math

import matplotlib
import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure
from PIL import Image

from lib.plots import (
    COLOURS,
    DASHES,
    DOTS,
    SHOWN,
    STYLE,
    Picture,
    contour,
    curves,
    line_fit,
)

BEFORE = {key: matplotlib.rcParams[key] for key in STYLE}
LOSSES = {"rate 0.1": [4.0, 2.0, 1.0], "rate 0.2": [4.0, 1.0, 0.25]}
BOUNDS = (-2.0, 2.0, -1.0, 3.0)


def bowl(n=21):
    x = torch.linspace(-2, 2, n)[None, :]
    y = torch.linspace(-1, 3, n)[:, None]
    return x**2 + 5 * y**2


def labels(picture):
    return [text.get_text() for text in picture.axes[0].get_legend().get_texts()]


def png_of(picture):
    return Image.open(io.BytesIO(picture.png())).convert("RGB")


def test_curves_draw_each_series_under_its_name():
    picture = curves(LOSSES, title="Two rates", x_label="step", y_label="mean loss")
    (axes,) = picture.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == list(LOSSES.values())
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert labels(picture) == list(LOSSES)
    assert axes.get_title() == "Two rates"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "mean loss")


def test_curves_take_tensors_lists_of_tensors_and_positions():
    series = {"a": torch.tensor([1.0, 2.0], requires_grad=True)}
    series["b"] = [torch.tensor(3.0), torch.tensor(4)]
    series["c"] = [torch.tensor(3.0), 4.0]
    picture = curves(series, x=[10, 20])
    assert [line.get_ydata().tolist() for line in picture.axes[0].lines] == [
        [1, 2],
        [3, 4],
        [3, 4],
    ]
    assert picture.axes[0].lines[1].get_xdata().tolist() == [10, 20]


def test_single_curve_has_no_legend():
    assert curves({"loss": [1.0, 2.0]}).axes[0].get_legend() is None


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_diverging_curve_ends_in_a_cross_and_says_so(bad):
    picture = curves({"rate 9": [1.0, 10.0, 100.0, bad, 5.0]})
    line, cross = picture.axes[0].lines
    assert line.get_ydata().tolist() == [1, 10, 100]
    assert cross.get_marker() == "x"
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 100)
    assert labels(picture) == ["rate 9 (diverges)"]


def test_curves_may_be_logarithmic_and_limited():
    axes = curves(LOSSES, log_y=True, y_limits=(0.1, 10)).axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim() == (0.1, 10)


def test_curves_differ_in_colour_and_in_dashes():
    series = {str(i): [float(i), 1.0] for i in range(6)}
    lines = curves(series).axes[0].lines
    assert len({to_hex(line.get_color()) for line in lines}) == 6
    assert len({str(line._dash_pattern) for line in lines}) == 6  # what is drawn
    assert len(set(DASHES)) == 6


def test_colours_stay_apart_for_colour_blind_eyes():
    # Machado, Oliveira and Fernandes 2009: full deuteranopia and protanopia.
    deutan = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    protan = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    rgb = np.array([matplotlib.colors.to_rgb(c) for c in COLOURS[:4]])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for matrix in (np.eye(3), np.array(deutan), np.array(protan)):
        seen = linear @ matrix.T
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert apart[~np.eye(4, dtype=bool)].min() > 0.1


def test_contour_has_the_grid_the_paths_and_the_minima():
    path = [[1.0, 2.0], [0.5, 1.0], [0.0, 0.0]]
    picture = contour(bowl(), BOUNDS, paths={"Adam": path}, minima=[(0, 0)])
    axes, bar = picture.axes
    assert axes.get_xlim() == (-2, 2)
    assert axes.get_ylim() == (-1, 3)
    _halo, line, start, end, star = axes.lines
    assert line.get_xydata().tolist() == path
    assert start.get_xydata().tolist() == [path[0]]
    assert end.get_xydata().tolist() == [path[-1]]
    assert (end.get_marker(), star.get_marker()) == ("o", "*")
    assert star.get_xydata().tolist() == [[0, 0]]
    assert labels(picture) == ["Adam"]
    assert bar.get_ylabel() == "loss"


def test_contour_row_0_is_at_the_bottom():
    values = np.zeros((20, 20))
    values[0, -1] = 100.0  # the corner (x1, y0)
    image = np.asarray(png_of(contour(values, (0, 1, 0, 1), levels=3))).astype(int)
    picture = contour(values, (0, 1, 0, 1), levels=3)
    picture.png()  # the layout is settled when it is drawn
    box = picture.axes[0].get_window_extent()
    dark = image[image.shape[0] - int(box.y0) - 6, int(box.x1) - 6].mean()
    light = image[image.shape[0] - int(box.y1) + 6, int(box.x1) - 6].mean()
    assert dark < light - 50


def test_contour_may_be_logarithmic():
    picture = contour(bowl(), BOUNDS, log_scale=True)
    (norm,) = {type(part.norm) for part in picture.axes[0].collections[:1]}
    assert norm is LogNorm
    assert picture.axes[1].get_ylabel() == "loss above the lowest"
    picture.png()


def test_flat_surface_can_be_drawn():
    for log_scale in (False, True):
        contour(np.ones((5, 5)), BOUNDS, log_scale=log_scale).png()


def test_diverging_path_ends_in_a_cross_and_says_so():
    path = [[1.0, 1.0], [5.0, 5.0], [math.nan, 0.0], [0.0, 0.0]]
    picture = contour(bowl(), BOUNDS, paths={"SGD": path})
    end = picture.axes[0].lines[3]
    assert end.get_marker() == "x"
    assert end.get_xydata().tolist() == [[5.0, 5.0]]
    assert labels(picture) == ["SGD (diverges)"]
    assert picture.axes[0].get_xlim() == (-2, 2)  # the map stays, whatever walks off


def test_line_fit_draws_points_lines_and_errors():
    x, y = [3.0, 1.0, 2.0], [3.0, 1.0, 4.0]
    picture = line_fit(x, y, {"fit": [6.0, 2.0, 4.0], "hand": [1, 1, 1]}, errors=True)
    axes = picture.axes[0]
    points, fit, hand = axes.lines
    assert points.get_xydata().tolist() == [[3, 3], [1, 1], [2, 4]]
    assert points.get_linestyle() == "None"
    assert fit.get_xydata().tolist() == [[1, 2], [2, 4], [3, 6]]  # from left to right
    assert hand.get_ydata().tolist() == [1, 1, 1]
    (errors,) = axes.collections
    ends = [segment.tolist() for segment in errors.get_segments()]
    assert ends == [[[3, 6], [3, 3]], [[1, 2], [1, 1]], [[2, 4], [2, 4]]]
    assert labels(picture) == ["data", "error", "fit", "hand"]


def test_line_fit_takes_one_prediction_or_none():
    assert labels(line_fit([1.0, 2.0], [1.0, 2.0], torch.ones(2))) == [
        "data",
        "prediction",
    ]
    assert len(line_fit([1.0, 2.0], [1.0, 2.0]).axes[0].lines) == 1


@pytest.mark.parametrize(
    ("draw", "alt"),
    [
        (
            lambda: curves(LOSSES, title="Two rates"),
            "Curves of loss against step, Two rates: rate 0.1, rate 0.2.",
        ),
        (
            lambda: contour(bowl(), BOUNDS, title="Bowl", paths={"SGD": [[1.0, 1.0]]}),
            "Contour map of loss, Bowl with the paths of SGD.",
        ),
        (
            lambda: line_fit([1.0], [2.0], {"fit": [2.0]}, y_label="progression"),
            "Points of progression against x with fit.",
        ),
        (lambda: curves(LOSSES, alt="In my own words."), "In my own words."),
    ],
)
def test_notebook_gets_png_and_the_words(draw, alt):
    data, metadata = DisplayFormatter().format(draw())
    assert set(data) == {"image/png", "text/plain"}
    assert data["text/plain"] == alt
    assert metadata["image/png"]["alt"] == alt
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.format == "PNG"
    assert image.width / metadata["image/png"]["width"] == pytest.approx(
        DOTS / SHOWN, rel=0.01
    )


def test_words_are_the_same_when_the_numbers_change():
    other = {name: [2 * v for v in values] for name, values in LOSSES.items()}
    assert curves(LOSSES).alt == curves(other).alt


def test_picture_is_opaque_white_and_small():
    picture = contour(bowl(161), BOUNDS, log_scale=True)
    image = png_of(picture)
    assert image.mode == "RGB"
    for corner in ((0, 0), (image.width - 1, image.height - 1)):
        assert image.getpixel(corner) == (255, 255, 255)
    assert len(picture.png()) < 100_000


def test_fewer_colours_change_the_picture_by_a_few_levels_only():
    picture = contour(bowl(), BOUNDS, paths={"Adam": [[1.0, 1.0], [0.0, 0.0]]})
    picture.png()
    picture.set_layout_engine("none")  # keep everything in its place from here on
    full = io.BytesIO()
    picture.savefig(full, format="png", dpi=DOTS)
    full.seek(0)
    exact = np.asarray(Image.open(full).convert("RGB")).astype(int)
    assert np.abs(exact - np.asarray(png_of(picture)).astype(int)).max() <= 8


def test_the_same_call_gives_the_same_bytes():
    assert curves(LOSSES).png() == curves(LOSSES).png()


def test_own_style_does_not_leak_and_pyplot_stays_out():
    pictures = [curves(LOSSES), contour(bowl(), BOUNDS), line_fit([1.0], [1.0])]
    for picture in pictures:
        picture.png()
    assert {key: matplotlib.rcParams[key] for key in STYLE} == BEFORE
    with matplotlib.rc_context({"axes.facecolor": "red", "lines.linewidth": 9}):
        axes = curves(LOSSES).axes[0]
    assert to_hex(axes.get_facecolor()) == "#ffffff"
    assert axes.lines[0].get_linewidth() == 2


def test_picture_is_a_figure_with_axes_of_ones_own():
    picture = Picture("Two panels.", size=(8, 3), rows=1, columns=2)
    assert isinstance(picture, Figure)
    assert len(picture.axes) == 2
    assert picture.get_size_inches().tolist() == [8, 3]
    assert repr(picture) == "Picture('Two panels.')"


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: Picture(" "), "alt was empty"),
        (lambda: curves({}), "series was empty"),
        (lambda: curves({"a": []}), r"a had shape \(0,\)"),
        (lambda: curves({"a": [[1.0]]}), r"a had shape \(1, 1\)"),
        (lambda: curves({"a": [1.0, 2.0]}, x=[1.0]), "x has 1 numbers where 2"),
        (lambda: curves({"a": [0.0, -1.0]}, log_y=True), "no value above 0"),
        (lambda: contour([1.0], BOUNDS), r"values had shape \(1,\)"),
        (lambda: contour([[1.0, math.inf]] * 2, BOUNDS), "finite"),
        (lambda: contour(bowl(), (1, 0, 0, 1)), "x0 < x1"),
        (lambda: contour(bowl(), BOUNDS, paths={"p": [1.0]}), "path 'p'"),
        (lambda: contour(bowl(), BOUNDS, paths={"p": [[math.nan, 0.0]]}), "path 'p'"),
        (lambda: line_fit([1.0], [1.0, 2.0]), "y has 2 numbers where 1"),
        (lambda: line_fit([1.0], [1.0], {"fit": [1.0, 2.0]}), "fit has 2 numbers"),
    ],
)
def test_wrong_arguments_are_explained(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()
