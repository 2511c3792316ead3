"""A claim prints a fixed line or raises with the measured value."""

import math

import numpy as np
import pytest
import torch

from lib.claims import ClaimFailed, claim


@pytest.mark.parametrize(
    ("value", "bounds", "line"),
    [
        (0.97, {"at_least": 0.95}, "at least 0.95"),
        (0.95, {"at_least": 0.95}, "at least 0.95"),
        (3, {"at_most": 3}, "at most 3"),
        (0.5, {"at_least": 0.1, "at_most": 1}, "between 0.1 and 1"),
        (2.05, {"about": 2, "within": 0.1}, "within 0.1 of 2"),
        (7850, {"equal": 7850}, "equal to 7850"),
        (True, {"equal": True}, "equal to True"),
        (math.inf, {"at_least": 5}, "at least 5"),
        (1.5, {"about": 1, "within": 1, "at_most": 2}, "at most 2 and within 1 of 1"),
    ],
)
def test_claim_that_holds_prints_a_line_without_the_value(capsys, value, bounds, line):
    claim("result", value, **bounds)
    assert capsys.readouterr().out == f"result: {line}, holds\n"


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (0.9312, {"at_least": 0.95}),
        (0.9312, {"at_most": 0.93}),
        (0.9312, {"at_least": 0.0, "at_most": 0.5}),
        (0.9312, {"about": 1, "within": 0.05}),
        (0.9312, {"equal": 0.9313}),
        (0.9312, {"at_least": 0.5, "equal": 0.5}),
    ],
)
def test_broken_claim_raises_with_the_measured_value(capsys, value, bounds):
    with pytest.raises(ClaimFailed, match=r"test accuracy: measured 0\.9312, but"):
        claim("test accuracy", value, **bounds)
    assert capsys.readouterr().out == ""


def test_claim_failed_is_an_assertion():
    assert issubclass(ClaimFailed, AssertionError)


@pytest.mark.parametrize(
    "bounds",
    [
        {"at_least": 0},
        {"at_most": 0},
        {"at_least": -1e9, "at_most": 1e9},
        {"about": 0, "within": 1e300},
        {"equal": 0},
    ],
)
@pytest.mark.parametrize("nan", [math.nan, np.float32("nan"), torch.tensor(math.nan)])
def test_nan_keeps_no_claim(nan, bounds):
    with pytest.raises(ClaimFailed, match="nan"):
        claim("loss", nan, **bounds)


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.95),
        np.float16(0.95),
        torch.tensor(0.95),
        torch.tensor([0.95], dtype=torch.bfloat16),
        np.array(0.95),
    ],
)
def test_bound_is_rounded_to_the_precision_of_the_value(value):
    claim("accuracy", value, at_least=0.95, at_most=0.95)


def test_claim_takes_numpy_and_torch_truth_and_counts():
    claim("same", np.bool_(True), equal=True)
    claim("same", torch.tensor(False), equal=np.bool_(False))
    claim("count", torch.tensor(10), equal=10)
    claim("count", np.int64(10), at_most=10)
    with pytest.raises(ClaimFailed, match="measured False"):
        claim("same", torch.tensor(False), equal=True)


@pytest.mark.parametrize(
    ("value", "bounds", "words"),
    [
        (1.0, {}, "needs a bound"),
        (1.0, {"about": 1.0}, "go together"),
        (1.0, {"within": 1.0}, "needs a bound"),
        (1.0, {"about": 1.0, "within": -0.1}, "at least 0"),
        (1.0, {"at_least": math.nan}, "at_least was nan"),
        (1.0, {"at_most": math.inf}, "finite"),
        (1.0, {"at_most": "2"}, "at_most was '2'"),
        (1.0, {"at_least": True}, "at_least was True"),
        (1.0, {"at_least": 2, "at_most": 1}, "wrong way round"),
        (True, {"at_least": 0}, "True and False"),
        (1, {"equal": True}, "True and False"),
        (True, {"equal": 1}, "True and False"),
        ("0.97", {"at_least": 0.95}, "not a str"),
        (1 + 1j, {"at_least": 0.95}, "not a complex"),
        (torch.ones(2, 3), {"at_least": 0.95}, r"shape \(2, 3\)"),
        (np.array([]), {"at_least": 0.95}, r"shape \(0,\)"),
    ],
)
def test_bad_arguments_of_a_claim_are_explained(value, bounds, words):
    with pytest.raises(ValueError, match=words):
        claim("result", value, **bounds)
