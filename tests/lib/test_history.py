"""The published models: every row has a source, and the numbers go together."""

import math

import pytest

from lib.history import KINDS, published

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
