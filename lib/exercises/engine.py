"""Exercises that check themselves and never stop a lesson.

The learner writes a function under `@exercise("line gradient")`. Not written yet, or
not right, the name is bound to the reference answer, so that the cells below run.
Right, it is bound to the learner's own function.

    hint("line gradient")        the next hint at each call
    solution("line gradient")    the reference answer
    progress("algorithms")       what is solved, and the minutes left

Each chapter registers its exercises in a file of this folder, found by itself.

Left out: marks, and anything kept between two runs of a kernel.
"""

from __future__ import annotations

import ast
import difflib
import dis
import importlib
import inspect
import pkgutil
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, FunctionType
from typing import Any

from lib.exercises.checks import Answer, Check, CheckFailed, NotSolved, kind, show

TIME_LIMIT = 5.0  # seconds for all checks of one answer


@dataclass(frozen=True)
class Exercise:
    """One exercise, with everything that is needed to help and to check.

    Attributes:
        name: what the lesson calls it, such as "line gradient".
        chapter: the file it stands in, such as "algorithms".
        prompt: the task, in a few sentences.
        minutes: that a learner may need.
        difficulty: 1 (recall), 2 (apply), 3 (think).
        reference: the right answer; its source is the solution that is shown.
        checks: run in this order; the first that fails is reported.
        hints: the first points the way, the last nearly says it.
        wrong_answers: (function, part of its message); tests hold each to it.
        lesson: file name of the notebook, such as "01_gradient_descent".
    """

    name: str
    chapter: str
    prompt: str
    minutes: int
    difficulty: int
    reference: Callable
    checks: list[Check]
    hints: list[str]
    wrong_answers: list[tuple[Callable, str]]
    lesson: str = ""

    def __post_init__(self) -> None:
        for what, good, rule in (
            ("name", bool(self.name.strip()), "it is not empty"),
            ("chapter", bool(self.chapter.strip()), "it is not empty"),
            ("prompt", bool(self.prompt.strip()), "it is not empty"),
            ("minutes", self.minutes > 0, "it is above 0"),
            ("difficulty", self.difficulty in (1, 2, 3), "it is 1, 2 or 3"),
            ("checks", len(self.checks) > 0, "there is at least one"),
            ("hints", len(self.hints) > 0, "there is at least one"),
            ("wrong_answers", len(self.wrong_answers) > 1, "there are at least two"),
        ):
            if not good:
                raise ValueError(
                    f"{what} of the exercise {self.name!r} was "
                    f"{getattr(self, what)!r}; {rule}."
                )

    def __repr__(self) -> str:
        return (
            f"Exercise({self.name!r}, {self.chapter}, {self.minutes} minutes, "
            f"difficulty {self.difficulty} of 3)"
        )


@dataclass(frozen=True)
class Grade:
    """The outcome for one answer: "solved", "not solved" or "wrong", and why."""

    outcome: str
    message: str = ""


_registry: dict[str, Exercise] = {}
_solved: set[str] = set()
_hints_shown: dict[str, int] = {}


def register(new: Exercise) -> Exercise:
    """Add an exercise to the book; a file that is loaded again replaces its own.

    Raises:
        ValueError: another exercise has this name.
    """
    old = _registry.get(new.name)
    if old is not None and _origin(old) != _origin(new):
        raise ValueError(
            f"{new.name!r} is already an exercise of the chapter {old.chapter!r}; "
            "give it another name."
        )
    _registry[new.name] = new
    return new


def _origin(task: Exercise) -> tuple[str, str]:
    return task.reference.__module__, task.reference.__qualname__


def exercises() -> list[Exercise]:
    """All exercises of the book, chapter by chapter."""
    import lib.exercises as folder

    for module in pkgutil.iter_modules(folder.__path__):
        if module.name not in ("engine", "checks"):
            importlib.import_module(f"lib.exercises.{module.name}")
    return list(_registry.values())


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: there is none; the message has the nearest names.
    """
    if not isinstance(name, str):
        raise ValueError(
            f"an exercise is asked for by its name, a text, not by {name!r}. "
            'Write @exercise("line gradient") above the function.'
        )
    names = [each.name for each in exercises()]
    if name in names:
        return _registry[name]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    listed = ", ".join(repr(each) for each in near or names)
    raise ValueError(
        f"no exercise is called {name!r}. "
        + (f"Did you mean {listed}?" if near else f"There are {listed}.")
    )


def exercise(name: str) -> Callable[[Callable], Callable]:
    """Check the function below, and go on with the reference answer if need be.

    Raises:
        ValueError: no exercise has this name.
    """
    task = find(name)

    def decorate(function: Callable) -> Callable:
        grade = grade_answer(task, function)
        print(_report(task, grade))
        if grade.outcome == "solved":
            _solved.add(name)
            return function
        _solved.discard(name)
        return task.reference

    return decorate


def _report(task: Exercise, grade: Grade) -> str:
    onward = f'The reference answer is used below. Hint: hint("{task.name}")'
    if grade.outcome == "solved":
        return f"{task.name}: solved"
    if grade.outcome == "not solved":
        return f"{task.name}: not solved yet ({task.minutes} minutes). {onward}"
    message = textwrap.indent(grade.message, "    ")
    return f"{task.name}: not right yet.\n{message}\n{onward}"


def grade_answer(
    task: Exercise, function: Callable, time_limit: float = TIME_LIMIT
) -> Grade:
    """Run all checks on a function.

    Args:
        task: the exercise.
        function: a learner's answer.
        time_limit: seconds for all checks together. It is kept where the system can
            interrupt Python (not on Windows, and only in the main thread), and not
            while one call of torch or numpy runs.
    """
    if not isinstance(function, FunctionType):
        return Grade("wrong", "@exercise(...) stands above a function, `def ...`.")
    if is_unwritten(function):
        return Grade("not solved")
    answer = Answer(function)
    try:
        with _limited(time_limit):
            for check in task.checks:
                check(answer)
    except NotSolved:
        return Grade("not solved")
    except CheckFailed as problem:
        return Grade("wrong", str(problem))
    except _OutOfTime:
        return Grade(
            "wrong",
            f"{answer.call}\ndid not end within {time_limit:g} seconds. Does a loop "
            "run for ever?",
        )
    except Exception as error:  # a check that cannot read the result: go on
        return Grade(
            "wrong",
            f"{answer.call}\nreturned {show(answer.result)}, {kind(answer.result)}, "
            f"which the check cannot read: {error}",
        )
    return Grade("solved")


def is_unwritten(function: FunctionType) -> bool:
    """Whether the body does nothing, or still has a `...` where code should be."""
    return _does_nothing(function) or _has_blank(function)


def _does_nothing(function: FunctionType) -> bool:
    """True for `pass`, `...`, a docstring alone, and `return None`."""
    steps = [
        step
        for step in dis.get_instructions(function)
        if step.opname not in ("RESUME", "NOP", "CACHE")
    ]
    loads = all(
        step.argval is None
        for step in steps
        if step.opname in ("LOAD_CONST", "RETURN_CONST")
    )
    known = {"LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    return loads and {step.opname for step in steps} <= known


def _has_blank(function: FunctionType) -> bool:
    """True for a `...` in the source, unless it is an index as in x[..., 0]."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):  # no source: a function made by exec
        return False
    indices = [n for n in ast.walk(tree) if isinstance(n, ast.Subscript)]
    allowed = {id(n) for index in indices for n in ast.walk(index.slice)}
    return any(
        isinstance(n, ast.Constant) and n.value is Ellipsis and id(n) not in allowed
        for n in ast.walk(tree)
    )


class _OutOfTime(BaseException):
    """Not an Exception, so that `except Exception` in an answer lets it through."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `_OutOfTime` in the body after so many seconds, where that is possible."""
    main = threading.current_thread() is threading.main_thread()
    if not (main and hasattr(signal, "setitimer")):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> Any:
        raise _OutOfTime

    handler = signal.signal(signal.SIGALRM, ring)
    # It rings again and again, because a bare `except:` may swallow the first one.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def hint(name: str) -> None:
    """Print the next hint of an exercise; after the last, the last again."""
    task = find(name)
    shown = min(_hints_shown.get(name, 0) + 1, len(task.hints))
    _hints_shown[name] = shown
    print(f"Hint {shown} of {len(task.hints)}: {task.hints[shown - 1]}")
    if shown == len(task.hints):
        print(f'That is the last hint. The answer: solution("{name}")')


def solution(name: str) -> None:
    """Print the source of the reference answer."""
    print(textwrap.dedent(inspect.getsource(find(name).reference)).rstrip())


def progress(chapter: str | None = None, lesson: str | None = None) -> None:
    """Print which exercises are solved since the kernel started, and the minutes left.

    Args:
        chapter: such as "algorithms"; None lists all of the book.
        lesson: such as "01_gradient_descent".

    Raises:
        ValueError: no exercise is of this chapter or lesson.
    """
    chosen = [
        each
        for each in exercises()
        if chapter in (None, each.chapter) and lesson in (None, each.lesson)
    ]
    if not chosen:
        chapters = sorted({each.chapter for each in exercises()})
        raise ValueError(
            f"no exercise is in chapter={chapter!r}, lesson={lesson!r}. "
            f"Chapters with exercises: {', '.join(chapters)}."
        )
    for each in chosen:
        mark = "solved" if each.name in _solved else "open"
        print(f"{mark:>6}  {each.name} ({each.minutes} minutes, {each.chapter})")
    left = [each.minutes for each in chosen if each.name not in _solved]
    print(
        f"{len(chosen) - len(left)} of {len(chosen)} solved; {sum(left)} minutes left."
    )
