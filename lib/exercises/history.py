"""The exercises of the lesson on history: doubling times, compute, power laws."""

import math

import numpy as np

from lib.exercises.checks import diagnose, same_result
from lib.exercises.engine import Exercise, register

# How fast something doubles ----------------------------------------------------


def doubling_time(years, values):
    rise, _ = np.polyfit(years, np.log2(values), 1)
    return 12 / rise


def _in_years(years, values):
    return doubling_time(years, values) / 12


def _natural_logarithm(years, values):
    rise, _ = np.polyfit(years, np.log(values), 1)
    return 12 / rise


def _tenfold(years, values):
    rise, _ = np.polyfit(years, np.log10(values), 1)
    return 12 / rise


def _without_logarithm(years, values):
    rise, _ = np.polyfit(years, values, 1)
    return 12 / rise


def _doublings_a_month(years, values):
    rise, _ = np.polyfit(years, np.log2(values), 1)
    return rise / 12


def _axes_swapped(years, values):
    rise, _ = np.polyfit(np.log2(values), years, 1)
    return 12 / rise


GROWTH = [
    ([2000, 2001, 2002, 2003], [1.0, 2.0, 4.0, 8.0]),
    ([1990, 1995, 2000, 2010], [1e3, 3e4, 2e5, 9e8]),
    ([2018.0, 2019.5, 2020.0], [1e8, 1.5e9, 1.75e11]),
]
DOUBLING_MISTAKES = [
    (_in_years, "This is the time in years. A year has 12 months."),
    (
        _natural_logarithm,
        "This is the time in which it grows by the factor e = 2.72. Doubling is the "
        "logarithm to the base 2.",
    ),
    (
        _tenfold,
        "This is the time in which it grows tenfold. Take the logarithm to the base 2.",
    ),
    (
        _without_logarithm,
        "A line through the values themselves means adding the same amount each year. "
        "Growth that doubles is a line through their logarithms.",
    ),
    (
        _doublings_a_month,
        "This is how many doublings there are in a month. The question is how many "
        "months there are in a doubling: 12 divided by the slope.",
    ),
    (
        _axes_swapped,
        "The two arguments of np.polyfit are swapped: first the years, then the "
        "logarithms.",
    ),
]

register(
    Exercise(
        name="doubling time",
        chapter="overview",
        lesson="02_how_we_got_here",
        prompt=(
            "Write doubling_time(years, values): the months in which the values "
            "double, by the straight line of least squares through log2(values) "
            "against the years. np.polyfit(x, y, 1) returns slope and height."
        ),
        minutes=8,
        difficulty=2,
        reference=doubling_time,
        checks=[
            *(
                diagnose(wrong, message, *GROWTH)
                for wrong, message in DOUBLING_MISTAKES
            ),
            *(same_result(doubling_time, *case, tolerance=1e-6) for case in GROWTH),
        ],
        hints=[
            "The slope of log2(values) against the years says how many doublings there "
            "are in one year.",
            "If there are two doublings in a year, one takes 12 / 2 months.",
            "rise, _ = np.polyfit(years, np.log2(values), 1), then 12 / rise.",
        ],
        wrong_answers=DOUBLING_MISTAKES,
    )
)


# What a training costs ---------------------------------------------------------


def training_flop(parameters, tokens):
    return 6 * parameters * tokens


def _forward_only(parameters, tokens):
    return 2 * parameters * tokens


def _backward_only(parameters, tokens):
    return 4 * parameters * tokens


def _once(parameters, tokens):
    return parameters * tokens


def _added(parameters, tokens):
    return 6 * (parameters + tokens)


MODELS = [(1e3, 1e4), (175e9, 300e9), (70e9, 1.4e12)]
FLOP_MISTAKES = [
    (
        _forward_only,
        "This is the forward pass alone: one multiplication and one addition for each "
        "weight. The backward pass costs twice as much again.",
    ),
    (_backward_only, "This is the backward pass alone. Add the forward pass."),
    (
        _once,
        "Each weight meets each token, but not with one operation only: 2 in the "
        "forward pass, 4 in the backward pass.",
    ),
    (_added, "Every weight works on every token, so the two numbers are multiplied."),
]

register(
    Exercise(
        name="training compute",
        chapter="overview",
        lesson="02_how_we_got_here",
        prompt=(
            "Write training_flop(parameters, tokens): about how many operations a "
            "training takes. For each token every parameter takes part in one "
            "multiplication and one addition on the way forward, and the way back "
            "costs twice as much."
        ),
        minutes=5,
        difficulty=1,
        reference=training_flop,
        checks=[
            *(diagnose(wrong, message, *MODELS) for wrong, message in FLOP_MISTAKES),
            *(same_result(training_flop, *case, tolerance=1e-9) for case in MODELS),
        ],
        hints=[
            "Count the operations of one parameter for one token: forward, then back.",
            "Forward 2, back 4, together 6; times all parameters and all tokens.",
        ],
        wrong_answers=FLOP_MISTAKES,
    )
)


# A power law -------------------------------------------------------------------


def fit_power_law(sizes, errors):
    slope, height = np.polyfit(np.log(sizes), np.log(errors), 1)
    return math.exp(height), -slope


def _sign_kept(sizes, errors):
    a, b = fit_power_law(sizes, errors)
    return a, -b


def _height_not_undone(sizes, errors):
    a, b = fit_power_law(sizes, errors)
    return math.log(a), b


def _only_one_logarithm(sizes, errors):
    slope, height = np.polyfit(sizes, np.log(errors), 1)
    return math.exp(height), -slope


def _turned(sizes, errors):
    return fit_power_law(sizes, errors)[::-1]


def _two_points(sizes, errors):
    b = -math.log(errors[-1] / errors[0]) / math.log(sizes[-1] / sizes[0])
    return errors[0] * sizes[0] ** b, b


LAWS = [
    ([10, 100, 1000], [0.5, 0.16, 0.05]),
    ([1, 2, 4, 8, 16], [3.0, 2.2, 1.4, 1.1, 0.7]),
    ([25, 50, 100, 200, 400], [0.31, 0.19, 0.11, 0.087, 0.062]),
]
LAW_MISTAKES = [
    (
        _sign_kept,
        "The sign of b is the wrong way round: the slope in the logarithms is minus b.",
    ),
    (
        _height_not_undone,
        "The height of the line is log(a). Undo the logarithm with math.exp.",
    ),
    (
        _only_one_logarithm,
        "Take the logarithm of both, the sizes and the errors: log(error) = log(a) - "
        "b log(size).",
    ),
    (_turned, "The two are swapped. Return a first, then b."),
    (
        _two_points,
        "This uses the first and the last point only. Fit a line through all of them.",
    ),
]

register(
    Exercise(
        name="power law",
        chapter="overview",
        lesson="02_how_we_got_here",
        prompt=(
            "Write fit_power_law(sizes, errors). It finds a and b so that error = a * "
            "size ** (-b) fits best, as a straight line through the logarithms. Return "
            "the pair (a, b)."
        ),
        minutes=10,
        difficulty=3,
        reference=fit_power_law,
        checks=[
            *(diagnose(wrong, message, *LAWS) for wrong, message in LAW_MISTAKES),
            *(same_result(fit_power_law, *case, tolerance=1e-6) for case in LAWS),
        ],
        hints=[
            "Take the logarithm of both sides: a product becomes a sum, a power a "
            "factor.",
            "log(error) = log(a) - b log(size) is a straight line in log(size).",
            "slope, height = np.polyfit(np.log(sizes), np.log(errors), 1); then a is "
            "math.exp(height) and b is -slope.",
        ],
        wrong_answers=LAW_MISTAKES,
    )
)
