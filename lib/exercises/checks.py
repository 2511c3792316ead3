"""Checks for exercises: call the learner's function with care, and say what is wrong.

A check is a function of an `Answer` that raises `CheckFailed` with a sentence for the
learner. `same_result` and `diagnose` build most of them; any other function will do:

    def never_negative(answer):
        if answer([1.0, 2.0]) < 0:
            raise CheckFailed("a squared error is never negative")

Left out: the time limit, and what is printed (see `lib.exercises.engine`).
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

LONGEST = 60  # characters of one argument or result in a message


class CheckFailed(Exception):
    """What is wrong with an answer, in words for the learner."""


class NotSolved(Exception):
    """The function still says that it is not written yet."""


class Answer:
    """The learner's function, called with copies of the arguments and watched.

    Whatever goes wrong inside becomes a `CheckFailed` that shows the call: an error, a
    wrong number of arguments, no result, or an argument that was changed.
    """

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.call = ""  # the last call, as the learner would write it
        self.result: Any = None  # of the last call

    def __call__(self, *inputs: Any) -> Any:
        self.call = show_call(self.function, inputs)
        try:
            names = inspect.signature(self.function).bind(*inputs).arguments
        except TypeError:
            raise CheckFailed(
                f"{self._name}{inspect.signature(self.function)} cannot be called with "
                f"{len(inputs)} arguments, as in\n  {self.call}"
            ) from None
        given = copied(inputs)
        result = self.result = self._result(given)
        for name, before, after in zip(names, inputs, given, strict=False):
            if not same_value(before, after):
                raise CheckFailed(
                    f"{self.call}\nchanged its argument {name}, which belongs to the "
                    "caller. Make a new value instead: x = x - 1, not x -= 1."
                )
        if result is None:
            raise CheckFailed(
                f"{self.call}\nreturned None. Does the function end with `return`?"
            )
        return result

    @property
    def _name(self) -> str:
        return self.function.__name__

    def _result(self, inputs: Sequence[Any]) -> Any:
        try:
            result = self.function(*inputs)
        except NotImplementedError:
            raise NotSolved from None
        except Exception as error:
            raise CheckFailed(
                f"{self.call}\nraised {type(error).__name__}: {error}{_line(error)}"
            ) from error
        if result is NotImplemented or result is Ellipsis:
            raise NotSolved
        return result


Check = Callable[[Answer], None]


def same_result(reference: Callable, *inputs: Any, tolerance: float = 1e-6) -> Check:
    """A check that the answer returns what the reference returns.

    Args:
        reference: the right function.
        *inputs: arguments of one call.
        tolerance: allowed distance, as a share of the expected number where that is
            above 1.
    """

    def check(answer: Answer) -> None:
        got, expected = answer(*inputs), reference(*inputs)
        problem = difference(got, expected, tolerance)
        if problem:
            raise CheckFailed(
                f"{answer.call}\nreturned {show(got)}\nexpected {show(expected)}\n"
                + problem
            )

    return check


def diagnose(
    wrong: Callable, message: str, *cases: Sequence[Any], tolerance: float = 1e-6
) -> Check:
    """A check that knows one mistake, and says what it is.

    Args:
        wrong: makes the mistake; an error raised by it counts as another result.
        message: what to tell a learner whose answer agrees with it in every case.
        *cases: the arguments of each call. Take cases in which the mistake shows.
        tolerance: as in `same_result`.
    """

    def check(answer: Answer) -> None:
        for inputs in cases:
            got = answer(*inputs)
            try:
                mistaken = wrong(*copied(inputs))
            except Exception:
                return
            if difference(got, mistaken, tolerance):
                return
        raise CheckFailed(message)

    return check


def difference(got: Any, expected: Any, tolerance: float = 1e-6) -> str:
    """In words, how two results differ; "" where they agree.

    Numbers may be Python's or tensors of shape (); a tuple may be a list. A tensor is
    compared with a tensor of the same shape, whatever its dtype.
    """
    if isinstance(expected, (tuple, list)):
        return _differing_lists(got, expected, tolerance)
    if isinstance(expected, torch.Tensor) and expected.ndim > 0:
        return _differing_tensors(got, expected, tolerance)
    if _is_number(expected):
        if not _is_number(got):
            return f"The result is {kind(got)}; a number is expected."
        return _differing_numbers([float(got)], [float(expected)], tolerance)
    if type(got) is not type(expected):
        return f"The result is {kind(got)}; {kind(expected)} is expected."
    return "" if got == expected else "The two differ."


def _differing_lists(got: Any, expected: Sequence[Any], tolerance: float) -> str:
    if not isinstance(got, (tuple, list)):
        return f"The result is {kind(got)}; {kind(expected)} is expected."
    if len(got) != len(expected):
        return f"The result has {len(got)} entries; {len(expected)} are expected."
    if expected and all(_is_number(each) for each in [*got, *expected]):
        return _differing_numbers(
            [float(each) for each in got], [float(each) for each in expected], tolerance
        )
    for i, (one, other) in enumerate(zip(got, expected, strict=True)):
        problem = difference(one, other, tolerance)
        if problem:
            return f"Entry {i} is not right. {problem}"
    return ""


def _differing_tensors(got: Any, expected: torch.Tensor, tolerance: float) -> str:
    if not isinstance(got, torch.Tensor):
        return f"The result is {kind(got)}; {kind(expected)} is expected."
    if got.shape != expected.shape:
        return (
            f"The result has shape {tuple(got.shape)}; {tuple(expected.shape)} is "
            "expected."
        )
    pair = (each.detach().double().flatten().tolist() for each in (got, expected))
    return _differing_numbers(*pair, tolerance)


def _differing_numbers(
    got: list[float], expected: list[float], tolerance: float
) -> str:
    """How numbers differ, with a clue where all of them differ in the same way."""
    if all(
        abs(a - b) <= tolerance * max(1.0, abs(b))
        for a, b in zip(got, expected, strict=True)
    ):
        return ""
    if not all(map(math.isfinite, got)):
        return "The result is not finite: look for a division by zero or an overflow."
    ratios = [a / b for a, b in zip(got, expected, strict=True) if abs(b) > tolerance]
    if not ratios or max(ratios) - min(ratios) > 1e-4 * max(map(abs, ratios)):
        return "The numbers differ."
    ratio = ratios[0]
    if abs(ratio + 1) < 1e-4:
        return "The sign is the wrong way round."
    if ratio == 0 or len(ratios) < 2 or len(ratios) < len(got):
        return "The numbers differ."
    return f"Every number is {ratio:.4g} times the expected one: a factor is wrong."


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.ndim == 0 and not value.is_complex() and value.dtype != torch.bool
    return isinstance(value, Real) and not isinstance(value, bool)


def kind(value: Any) -> str:
    """What a value is, such as "a list of 3" or "a tensor of shape (2, 3)"."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if isinstance(value, (tuple, list, dict, set)):
        return f"a {type(value).__name__} of {len(value)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def show_call(function: Callable, inputs: Sequence[Any]) -> str:
    """A call as the learner would write it."""
    return f"{function.__name__}({', '.join(map(show, inputs))})"


def show(value: Any) -> str:
    """A value as the learner would write it, or what it is where that is long."""
    if isinstance(value, torch.Tensor) and value.ndim == 0:
        text = show(value.item())
    elif isinstance(value, torch.Tensor):
        # tolist() would show 0.1 of a float32 as 0.10000000149011612.
        text = f"torch.tensor({_numbers(value.tolist())})"
    elif isinstance(value, float):
        text = f"{value:.8g}"
        text += "" if set(text) & set(".en") else ".0"  # 2.0, but 1e-05 and nan
    elif isinstance(value, (tuple, list)):
        return _bracketed(value)
    elif callable(value):
        text = getattr(value, "__name__", "function")
    else:
        text = repr(value)
    return text if len(text) <= LONGEST else kind(value)


def _bracketed(values: Sequence[Any]) -> str:
    text = ", ".join(map(show, values))
    if len(text) > 3 * LONGEST:
        return kind(values)
    if isinstance(values, list):
        return f"[{text}]"
    return f"({text},)" if len(values) == 1 else f"({text})"


def _numbers(nested: Any) -> str:
    if isinstance(nested, list):
        return f"[{', '.join(map(_numbers, nested))}]"
    return show(nested)


def copied(inputs: Sequence[Any]) -> list[Any]:
    """Copies of arguments, so that nobody can change those of the next call."""
    return [
        each.detach().clone().requires_grad_(each.requires_grad)
        if isinstance(each, torch.Tensor)
        else copy.deepcopy(each)
        for each in inputs
    ]


def same_value(one: Any, other: Any) -> bool:
    """Whether two arguments are equal; only values of plain types can differ."""
    if isinstance(one, torch.Tensor):
        if one.shape != other.shape:
            return False
        both_nan = (one != one) & (other != other)  # NaN is not equal to itself
        return bool(((one == other) | both_nan).all())
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(
            same_value(a, b) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, (Real, str, dict, set)):
        return one == other or (one != one and other != other)  # NaN is as it was
    return True  # a function or a model: a copy never equals what it was made from


def _line(error: Exception) -> str:
    """Where in the learner's function the error arose, as " (line 3 ...)"."""
    frames = inspect.getinnerframes(error.__traceback__)
    if len(frames) < 2:  # raised by the call itself
        return ""
    frame = frames[1]  # 0 is this file
    code = frame.code_context[0].strip() if frame.code_context else ""
    return f"\nin the line  {code}" if code else f" (line {frame.lineno})"
