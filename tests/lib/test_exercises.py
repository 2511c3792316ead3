"""Every exercise of the book keeps its promises, and so does the engine under them."""

import contextlib
import inspect
import signal
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.exercises import engine, exercise, hint, progress, solution
from lib.exercises.checks import (
    Answer,
    CheckFailed,
    diagnose,
    difference,
    kind,
    same_result,
    show,
)
from lib.exercises.engine import Exercise, exercises, grade_answer, register

BOOK = exercises()


# Every exercise of the book --------------------------------------------------


@pytest.mark.parametrize("task", BOOK, ids=lambda task: task.name)
def test_reference_answer_passes_and_can_be_shown(task):
    assert grade_answer(task, task.reference).outcome == "solved"
    assert inspect.getsource(task.reference).startswith("def ")


@pytest.mark.parametrize(
    ("task", "wrong", "fragment"),
    [(task, *wrong) for task in BOOK for wrong in task.wrong_answers],
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", "")),
)
def test_wrong_answer_fails_with_its_own_message(task, wrong, fragment):
    grade = grade_answer(task, wrong)
    assert grade.outcome == "wrong"
    assert fragment in grade.message


@pytest.mark.parametrize("task", BOOK, ids=lambda task: task.name)
def test_exercise_is_complete(task):
    assert len({wrong for wrong, _ in task.wrong_answers}) >= 2
    messages = {grade_answer(task, wrong).message for wrong, _ in task.wrong_answers}
    assert len(messages) == len(task.wrong_answers), "two mistakes share a message"
    assert all(len(hint) > 10 for hint in task.hints)
    assert 1 <= task.minutes <= 60
    assert task.difficulty in (1, 2, 3)
    assert sys.modules[task.reference.__module__].__file__.startswith(
        inspect.getfile(engine).removesuffix("engine.py")
    )


@pytest.mark.parametrize("task", BOOK, ids=lambda task: task.name)
def test_answer_that_only_returns_zero_is_wrong(task):
    def zero(*inputs):
        return 0

    assert grade_answer(task, zero).outcome == "wrong"


def test_line_gradient_is_the_one_of_autograd():
    x, y = torch.randn(2, 20, generator=torch.Generator().manual_seed(0)).double()
    theta = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    ((theta[0] * x + theta[1] - y) ** 2).mean().backward()
    pair = engine.find("line gradient").reference(x, y, 0.3, -1.0)
    torch.testing.assert_close(torch.stack(pair), theta.grad)


def test_gradient_descent_walks_down_a_parabola():
    start = torch.tensor([1.0])
    descend = engine.find("gradient descent").reference
    points = descend(lambda theta: 2 * theta, start, 0.25, 3)
    assert [point.item() for point in points] == [1, 0.5, 0.25, 0.125]


def test_largest_stable_rate_and_first_answer_by_hand():
    assert engine.find("largest stable rate").reference([4.0, 1.0]) == 0.5
    assert engine.find("first answer").reference([3.0, 5.0], [1.0, 6.0]) == 2.5


def test_first_lessons_have_their_exercises():
    lessons = [task.lesson for task in BOOK]
    assert lessons.count("01_gradient_descent") >= 3
    assert lessons.count("00_start_here") >= 1


# The engine, with an exercise made up for it ---------------------------------


def double(x, by=2):
    return x * by


def _squares(x, by=2):
    return x**2


def _halves(x, by=2):
    return x / 2


TASK = Exercise(
    name="made-up double",
    chapter="tests",
    prompt="Double x.",
    minutes=8,
    difficulty=1,
    reference=double,
    checks=[
        diagnose(_squares, "This is the square.", (3.0,), (5.0,)),
        same_result(double, 3.0),
        same_result(double, torch.tensor([1.0, 2.0])),
    ],
    hints=["Think of twins.", "x * 2"],
    wrong_answers=[(_squares, "the square"), (_halves, "expected 6")],
)
ONWARD = 'The reference answer is used below. Hint: hint("made-up double")\n'
UNSOLVED = f"made-up double: not solved yet (8 minutes). {ONWARD}"


@pytest.fixture(autouse=True)
def _own_book(monkeypatch):
    monkeypatch.setattr(engine, "_registry", dict(engine._registry))
    monkeypatch.setattr(engine, "_solved", set())
    monkeypatch.setattr(engine, "_hints_shown", {})
    register(TASK)


def answer_with(function):
    return exercise("made-up double")(function)


def message_for(function, task=TASK):
    grade = grade_answer(task, function)
    assert grade.outcome == "wrong"
    return grade.message


def test_right_answer_is_kept_and_said_to_be_solved(capsys):
    def mine(x):
        return x + x

    assert answer_with(mine) is mine
    assert capsys.readouterr().out == "made-up double: solved\n"


def body_pass(x):
    pass


def body_dots(x): ...


def body_docstring(x):
    """Double x."""


def body_none(x):
    return None


def body_not_implemented(x):
    return NotImplemented


def body_raises(x):
    raise NotImplementedError


def body_raises_with_words(x):
    raise NotImplementedError("write me")


def body_blank_in_a_loop(x):
    total = 0
    for _ in range(2):
        ...
    return total


def body_blank_value(x):
    result = ...
    return result + x


def body_blank_factor(x):
    return x * ...


UNWRITTEN = [value for name, value in list(globals().items()) if name[:5] == "body_"]


@pytest.mark.parametrize("function", UNWRITTEN)
def test_unwritten_answer_gives_a_fixed_line_and_the_reference(capsys, function):
    assert answer_with(function) is double
    assert capsys.readouterr().out == UNSOLVED


def test_unwritten_answer_is_seen_without_its_source(capsys):
    names = {}
    exec("def f(x):\n    'Double x.'\n    ...", names)
    assert answer_with(names["f"]) is double
    assert capsys.readouterr().out == UNSOLVED


def test_dots_as_an_index_are_no_blank():
    def mine(x: tuple[float, ...]):
        return torch.as_tensor(x)[..., None].mul(2)[..., 0]

    assert grade_answer(TASK, mine).outcome == "solved"


def test_wrong_answer_goes_on_with_the_reference_and_says_why(capsys):
    assert answer_with(_halves) is double
    assert capsys.readouterr().out == (
        "made-up double: not right yet.\n"
        "    _halves(3.0)\n    returned 1.5\n    expected 6.0\n"
        f"    The numbers differ.\n{ONWARD}"
    )


def test_known_mistake_is_named():
    assert message_for(_squares) == "This is the square."


def test_forgotten_return_is_told():
    def mine(x):
        x * 2

    assert "returned None. Does the function end with `return`" in message_for(mine)


def test_error_in_an_answer_is_shown_with_its_line():
    def mine(x):
        y = x + 1
        return y / 0

    message = message_for(mine)
    assert "mine(3.0)\nraised ZeroDivisionError: float division by zero" in message
    assert "in the line  return y / 0" in message


def test_error_deeper_down_is_shown_with_the_line_of_the_answer():
    def deeper():
        raise KeyError("deep")

    def mine(x):
        return deeper()

    assert "in the line  return deeper()" in message_for(mine)


def test_wrong_number_of_arguments_is_told():
    def mine():
        return 6.0

    assert "mine() cannot be called with 1 arguments" in message_for(mine)


def test_changed_argument_is_told():
    def mine(values):
        values *= 2
        return values

    task = replace(TASK, checks=[same_result(double, torch.ones(2))])
    assert "changed its argument values" in message_for(mine, task)

    def clears(values):
        twice = values * 2
        values.clear()
        return twice

    task = replace(TASK, checks=[same_result(double, [1])])
    assert "changed its argument values" in message_for(clears, task)


def test_check_calls_with_fresh_arguments_each_time():
    check = same_result(double, torch.ones(2))

    def spoils(x):
        return x.mul_(2)

    for _ in range(2):
        with pytest.raises(CheckFailed, match=r"torch.tensor\(\[1.0, 1.0\]\)"):
            check(Answer(spoils))


posix = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="this system cannot interrupt Python"
)


@posix
@pytest.mark.parametrize("stubborn", [False, True])
def test_endless_answer_is_stopped(stubborn):
    def polite(x):
        while True:
            pass

    def swallows(x):
        try:
            time.sleep(10)
        except:  # noqa: E722
            x = 0.0
        while x < 1.0:
            with contextlib.suppress(Exception):
                time.sleep(10)

    start = time.perf_counter()
    grade = grade_answer(TASK, swallows if stubborn else polite, time_limit=0.2)
    assert time.perf_counter() - start < 8  # and not the ten of one sleep
    assert grade.outcome == "wrong"
    assert "did not end within 0.2 seconds" in grade.message


@posix
def test_time_limit_leaves_no_alarm_behind():
    before = signal.getsignal(signal.SIGALRM)
    grade_answer(TASK, double, time_limit=0.1)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_answer_is_checked_outside_the_main_thread():
    grades = []
    thread = threading.Thread(target=lambda: grades.append(grade_answer(TASK, double)))
    thread.start()
    thread.join()
    assert grades[0].outcome == "solved"


def test_check_that_stumbles_over_a_result_does_not_stop_the_lesson():
    task = replace(TASK, checks=[lambda answer: answer(1.0) > 3])
    message = message_for(lambda x: "six", task)
    assert "returned 'six', a str, which the check cannot read" in message


def test_class_under_the_decorator_is_told(capsys):
    class Mine:
        pass

    assert answer_with(Mine) is double
    assert "stands above a function" in capsys.readouterr().out


def test_unknown_names_are_answered_with_near_ones():
    for ask in (exercise, hint, solution):
        with pytest.raises(ValueError, match="Did you mean 'made-up double'"):
            ask("made up doubl")
    with pytest.raises(ValueError, match=r"There are .*'made-up double'"):
        hint("zzzzzz")


def test_decorator_without_a_name_is_told():
    with pytest.raises(ValueError, match="Write @exercise"):

        @exercise
        def mine(x):
            return x


def test_hints_come_one_by_one_and_the_last_again(capsys):
    for _ in range(3):
        hint("made-up double")
    first, second, end, again, end_again = capsys.readouterr().out.splitlines()
    assert first == "Hint 1 of 2: Think of twins."
    assert second == again == "Hint 2 of 2: x * 2"
    assert end == end_again
    assert 'solution("made-up double")' in end


def test_solution_is_the_source_of_the_reference(capsys):
    solution("made-up double")
    assert capsys.readouterr().out == "def double(x, by=2):\n    return x * by\n"


def test_progress_counts_what_is_solved_and_forgets_what_breaks(capsys):
    answer_with(double)
    capsys.readouterr()
    progress("tests")
    assert capsys.readouterr().out == (
        "solved  made-up double (8 minutes, tests)\n1 of 1 solved; 0 minutes left.\n"
    )
    answer_with(_halves)
    capsys.readouterr()
    progress("tests")
    assert capsys.readouterr().out == (
        "  open  made-up double (8 minutes, tests)\n0 of 1 solved; 8 minutes left.\n"
    )


def test_progress_can_be_of_one_lesson(capsys):
    progress(lesson="00_start_here")
    assert "first answer" in capsys.readouterr().out
    progress()
    assert f"0 of {len(BOOK) + 1} solved" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"chapter='nowhere'.*algorithms"):
        progress("nowhere")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": " "}, "name of"),
        ({"prompt": ""}, "prompt of"),
        ({"minutes": 0}, "minutes of .* was 0"),
        ({"difficulty": 4}, "it is 1, 2 or 3"),
        ({"checks": []}, "at least one"),
        ({"hints": []}, "at least one"),
        ({"wrong_answers": TASK.wrong_answers[:1]}, "at least two"),
    ],
)
def test_incomplete_exercise_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(TASK, **change)


def test_name_is_taken_once_but_a_file_may_be_loaded_again():
    register(replace(TASK, minutes=9))
    assert engine.find("made-up double").minutes == 9
    with pytest.raises(ValueError, match="already an exercise"):
        register(replace(TASK, reference=_halves))


# What the checks compare and say ---------------------------------------------


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (1, 1.0),
        (torch.tensor(1.0), 1.0),
        (np.float32(0.1), 0.1),
        ([1.0, 2.0], (1.0, 2.0)),
        ((torch.tensor(1.0), 2), [1.0, 2.0]),
        (torch.tensor([1, 2]), torch.tensor([1.0, 2.0])),
        ([torch.ones(2)], [torch.ones(2)]),
        (1e6 + 0.5, 1e6),
        ("a", "a"),
        (True, True),
        ([], []),
    ],
)
def test_results_that_agree(got, expected):
    assert difference(got, expected) == ""


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (1.1, 1.0, "The numbers differ."),
        (-2.0, 2.0, "The sign is the wrong way round."),
        ((1.0, 2.0), (2.0, 4.0), "Every number is 0.5 times the expected one"),
        ((1.0, 3.0), (2.0, 4.0), "The numbers differ."),
        (float("nan"), 1.0, "not finite"),
        (torch.tensor([1.0, float("inf")]), torch.ones(2), "not finite"),
        ([1.0], 1.0, "a list of 1; a number is expected"),
        (True, 1.0, "a bool; a number is expected"),
        (1, True, "an int; a bool is expected"),
        (torch.ones(2), (1.0, 1.0), "a tensor of shape (2,); a tuple of 2 is"),
        ((1.0,), (1.0, 2.0), "has 1 entries; 2 are expected"),
        ([1.0, 1.0], torch.ones(2), "a list of 2; a tensor of shape (2,) is"),
        (np.ones(2), torch.ones(2), "a numpy array of shape (2,)"),
        (torch.ones(2, 1), torch.ones(2), "has shape (2, 1); (2,) is expected"),
        ([torch.ones(2), torch.zeros(2)], [torch.ones(2)] * 2, "Entry 1 is not right"),
        ("a", "b", "The two differ."),
    ],
)
def test_results_that_differ_are_told_apart(got, expected, words):
    assert words in difference(got, expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (3.0, "3.0"),
        (1e-9, "1e-09"),
        (torch.tensor(0.1), "0.1"),
        (torch.tensor([0.1, 2.0]), "torch.tensor([0.1, 2.0])"),
        (torch.tensor([[1, 2]]), "torch.tensor([[1, 2]])"),
        (torch.zeros(100, 3), "a tensor of shape (100, 3)"),
        ([1.0, (2.0,)], "[1.0, (2.0,)]"),
        (list(range(500)), "a list of 500"),
        ("word", "'word'"),
        (double, "double"),
    ],
)
def test_values_are_shown_as_one_would_write_them(value, text):
    assert show(value) == text


def test_kind_names_what_a_value_is():
    assert [kind(v) for v in (1, "a", {}, torch.ones(2))] == [
        "an int",
        "a str",
        "a dict of 0",
        "a tensor of shape (2,)",
    ]


def test_mistake_that_fails_or_agrees_only_at_times_is_not_diagnosed():
    def crashes(x):
        raise KeyError(x)

    diagnose(crashes, "never", (1.0,))(Answer(double))
    # 2 doubled is 2 squared, so one case alone would accuse the right answer.
    diagnose(_squares, "never", (2.0,), (3.0,))(Answer(double))
    with pytest.raises(CheckFailed, match="too easy"):
        diagnose(_squares, "too easy", (2.0,))(Answer(double))


def test_tolerance_is_that_of_the_check():
    def nearly(x):
        return x * 2.001

    same_result(double, 1.0, tolerance=0.01)(Answer(nearly))
    with pytest.raises(CheckFailed):
        same_result(double, 1.0, tolerance=1e-4)(Answer(nearly))


def test_gradients_reach_copies_of_arguments():
    def slope(x):
        (x**2).backward()
        return x.grad

    x = torch.tensor(3.0, requires_grad=True)
    assert Answer(slope)(x) == 6
    assert x.grad is None
