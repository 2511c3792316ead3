"""The published models: every row has a source, and the numbers go together."""

import math

import numpy as np
import pytest

from lib.history import KINDS, QUANTITIES, doubling_months, published, value_of

ROWS = {row.name: row for row in published()}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_is_whole_and_says_where_its_numbers_stand(row):
    assert 1950 <= row.year <= 2026
    assert row.kind in KINDS
    assert row.parameters > 0
    assert row.active is None or 0 < row.active <= row.parameters
    assert (row.examples is None) == (row.unit == "")
    assert row.title
    assert row.who
    assert row.url.startswith("https://")
    assert any(digit.isdigit() for digit in row.where)


def test_years_are_in_order_and_names_are_different():
    years = [row.year for row in published()]
    assert years == sorted(years)
    assert len(ROWS) == len(published()) >= 25


BOTH = {n: r for n, r in ROWS.items() if r.flop is not None and r.unit == "tokens"}


@pytest.mark.parametrize("row", BOTH.values(), ids=BOTH)
def test_a_published_compute_is_near_six_operations_a_parameter_and_token(row):
    assert 0.9 < row.flop / (6 * row.active * row.examples) < 1.1


def test_compute_is_the_published_one_or_the_estimate_or_nothing():
    assert ROWS["GPT-3"].compute == ROWS["GPT-3"].flop == 3.14e23
    moe = ROWS["DeepSeek-V3"]
    assert math.isclose(moe.compute, 6 * 37e9 * 14.8e12)
    assert ROWS["AlexNet"].compute is None


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_doubling_time_is_that_of_the_least_squares_line(quantity):
    known = [row for row in published() if value_of(row, quantity)]
    levels = np.log2([value_of(row, quantity) for row in known])
    rise, _ = np.polyfit([row.year for row in known], levels, 1)
    assert math.isclose(doubling_months(published(), quantity), 12 / rise)


def test_two_years_have_no_trend_and_tokens_are_not_compared_with_pictures():
    assert doubling_months([ROWS["GPT-2"], ROWS["GPT-3"]], "parameters") is None
    assert value_of(ROWS["AlexNet"], "examples") is None
    with pytest.raises(ValueError, match="choose one of parameters, examples, compute"):
        value_of(ROWS["AlexNet"], "size")
