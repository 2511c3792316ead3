"""What a control takes, what it refuses with a sentence, and what the page is told."""

import numpy as np
import pytest

from lib.widgets.controls import Control
from tests.widgets.conftest import refused_values, values_over_range

NAMES = (("a", "First"), ("b", "Second"), ("c", "Third"))
STEPS = Control("steps", "Steps", "range", 10, 1, 100, 1)
SHARE = Control("share", "Share", "range", 0.5, 0.0, 1.0, 0.1)
RATE = Control("rate", "Rate", "log", 0.01, 1e-5, 10.0, 0.02)
KIND = Control("kind", "Kind", "choice", "a", choices=NAMES)
SOME = Control("some", "Some", "several", ("a",), choices=NAMES)
FLAG = Control("flag", "Flag", "toggle", False)
PLACE = Control("place", "Place", "point", (0.0, 0.0))
WORDS = Control("words", "Words", "text", "a b", high=40)
ALL = (STEPS, SHARE, RATE, KIND, SOME, FLAG, PLACE, WORDS)


def of_kind(control):
    return f"{control.name}-{control.kind}"


@pytest.mark.parametrize("control", ALL, ids=of_kind)
def test_every_allowed_value_is_taken_and_stays_what_it_is(control):
    for value in [control.default, *values_over_range(control)]:
        taken = control.check(value)
        assert control.check(taken) == taken
        if control.kind in ("several", "point"):
            assert list(taken) == list(value)
        else:
            assert taken == value
            assert type(taken) is type(control.default)


@pytest.mark.parametrize("control", ALL, ids=of_kind)
def test_every_other_value_is_refused_with_the_name_and_what_is_allowed(control):
    sentence = f"^{control.name} was given .*; it takes "
    for value in refused_values(control):
        with pytest.raises(ValueError, match=sentence):
            control.check(value)


@pytest.mark.parametrize("number", [np.int64(7), np.int32(7), 7.0, np.float32(7)])
def test_a_whole_number_may_come_in_any_type_and_leaves_as_int(number):
    assert STEPS.check(number) == 7
    assert type(STEPS.check(number)) is int


@pytest.mark.parametrize("number", [1, np.int64(1), np.float32(1), np.float64(1)])
def test_a_real_number_may_come_in_any_type_and_leaves_as_float(number):
    assert SHARE.check(number) == 1.0
    assert type(SHARE.check(number)) is float


@pytest.mark.parametrize("value", [True, np.True_, 1j, "1", [1], None, np.nan, np.inf])
def test_what_is_no_finite_number_is_refused(value):
    for control in (STEPS, SHARE, RATE):
        with pytest.raises(ValueError, match="it takes a number from"):
            control.check(value)


def test_a_rounding_beyond_the_end_is_taken_as_the_end():
    assert SHARE.check(1.0 + 1e-12) == 1.0
    assert SHARE.check(-1e-12) == 0.0
    assert RATE.check(10.0 + 1e-9) == 10.0
    with pytest.raises(ValueError, match="it takes a number from 0 to 1"):
        SHARE.check(1.001)


def test_several_come_back_once_each_in_the_order_of_the_choices():
    assert SOME.check(["c", "a", "c"]) == ("a", "c")
    assert SOME.check({"b"}) == ("b",)
    assert SOME.check("b") == ("b",)
    assert SOME.check([]) == ()


@pytest.mark.parametrize("value", ["12", b"12", (1, 2, 3), (1, None), 3, {}])
def test_a_point_is_two_numbers(value):
    with pytest.raises(ValueError, match=r"place was given .*; it takes two"):
        PLACE.check(value)
    assert PLACE.check(np.array([1, 2])) == (1.0, 2.0)
