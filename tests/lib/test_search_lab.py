"""Two searches side by side: whose turn it is, what it costs, what is written down."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from lib.search import Problem, Range, finish, halving_plan
from lib.search_lab import AXES, RATES, SearchLab, fitting
from lib.search_sides import METHODS, grid_shape
from lib.search_trials import STATES

SPACE = {
    "learning_rate": Range(0.003, 1.0, log=True),
    "width": Range(2, 16, whole=True),
}


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem("moons", device="cpu")


def make(problem: Problem, *methods: str, **rules) -> SearchLab:
    rules = {"budget": 24, "epochs": 2, "candidates": 9, "space": SPACE, **rules}
    return SearchLab(problem, methods, **rules)


def run(lab: SearchLab) -> SearchLab:
    while lab.busy:
        finish(lab.advance())
    return lab


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_to_the_budget_and_finds_a_winner(problem, method):
    lab = run(make(problem, method, "none"))
    side = lab.sides["first"]
    assert 18 <= side.spent <= 24
    assert side.spent == lab.time == side.goal
    assert side.best.loss == min(t.loss for t in side.trials)
    assert {t.state for t in side.trials} <= {"done", "stopped"}
    assert lab.finished
    assert finish(lab.advance()) is None  # nothing is left to do


def test_the_sides_spend_in_step(problem):
    lab = make(problem, "grid", "random")
    while lab.busy:
        finish(lab.advance())
        first, second = lab.sides["first"].spent, lab.sides["second"].spent
        assert abs(first - second) <= 1
    assert first == second == 24


def test_an_epoch_is_taken_at_a_time_and_in_pieces(problem):
    lab = make(problem, "random", "none")
    steps = sum(1 for _ in lab.advance())
    assert steps == 12  # the thirteenth batch ends the epoch
    assert [e.epochs for e in lab.events] == [1]
    assert lab.time == 1


def test_an_epoch_left_half_done_goes_on_first(problem):
    lab = make(problem, "grid", "random")
    half = lab.advance()
    next(half)
    half.close()
    lab.try_at(0.1, 8)
    finish(lab.advance())
    assert lab.trials[lab.events[0].trial][1].key == "first"
    finish(lab.advance())
    assert lab.trials[lab.events[-1].trial][1].key == "hand"


def test_the_grid_tries_few_values_and_random_search_many(problem):
    lab = make(problem, "grid", "random", budget=32)
    rates = {
        key: len({t.settings["learning_rate"] for t in lab.sides[key].trials})
        for key in ("first", "second")
    }
    assert rates == {"first": 4, "second": 16}


def test_two_random_sides_draw_different_points(problem):
    lab = make(problem, "random", "random")
    first, second = (lab.sides[key].trials for key in ("first", "second"))
    assert not {str(t.settings) for t in first} & {str(t.settings) for t in second}


def test_after_the_range_test_all_trials_have_its_rate(problem):
    lab = run(make(problem, "range_test", "none"))
    side = lab.sides["first"]
    assert {t.settings["learning_rate"] for t in side.trials} == {
        max(side.sweep.suggested, 0.003)
    }
    assert len({t.settings["width"] for t in side.trials}) == len(side.trials) > 3
    rows = lab.sweeps
    assert [row[1] for row in rows] == side.sweep.rates
    assert [row[3] for row in rows] == side.sweep.smooth
    assert rows[-1][4] == pytest.approx(side.sweep.spent)
    assert set(lab.born) == {side.sweep.spent}


def test_the_events_tell_all_that_happened(problem):
    lab = run(make(problem, "halving", "random"))
    times = [e.time for e in lab.events]
    assert times == sorted(times)
    assert all(e.time <= lab.time for e in lab.events)
    for number, (trial, _side) in enumerate(lab.trials):
        mine = [e for e in lab.events if e.trial == number]
        assert STATES[mine[-1].state] == trial.state
        epochs = {e.epochs: tuple(e[3:6]) for e in mine}
        assert epochs == {i + 1: tuple(h) for i, h in enumerate(trial.history)}
    states = Counter(t.state for t in lab.sides["first"].trials)
    assert states == {"stopped": 8, "done": 1}
    plan = halving_plan(9, 24, 3)
    assert sum(r.trials * r.epochs for r in plan) == lab.sides["first"].spent


def test_divergence_is_told(problem):
    space = {**SPACE, "learning_rate": Range(1e28, 1e30, log=True)}
    lab = run(make(problem, "random", "none", space=space))
    assert {STATES[e.state] for e in lab.events if e.epochs == 0} == {"diverged"}
    assert all(math.isnan(e.loss) for e in lab.events if e.epochs == 0)
    assert lab.sides["first"].best is None
    assert lab.test() == {}
    assert lab.looks == 0


def test_a_trial_by_hand_goes_first_and_costs_the_same(problem):
    lab = make(problem, "random", "none")
    trial = lab.try_at(0.1, 7.6)
    other = lab.try_at(0.2, 3)
    assert trial.settings == {"learning_rate": 0.1, "width": 8}
    for _ in range(4):
        finish(lab.advance())
    assert (trial.spent, other.spent, lab.sides["first"].spent) == (2, 2, 0)
    finish(lab.advance())
    assert (trial.state, other.state) == ("done", "done")
    assert not lab.finished
    alone = problem.trials([trial.settings])[0]
    finish(alone.train(2))
    assert alone.history == trial.history


@pytest.mark.parametrize(
    "at", [(2.0, 8), (0.1, 64), (math.nan, 8), (0.1, math.inf), (-0.1, 8)]
)
def test_a_point_outside_is_refused(problem, at):
    lab = make(problem, "random", "none")
    with pytest.raises(ValueError, match="give a number from"):
        lab.try_at(*at)
    assert not lab.sides["hand"].trials


def test_hand_trials_can_be_taken_over(problem):
    old = make(problem, "grid", "none")
    old.try_at(0.1, 8)
    while old.sides["hand"].work is not None:
        finish(old.advance())
    lab = make(problem, "random", "none")
    lab.adopt(old.sides["hand"].trials)
    assert lab.time == lab.sides["hand"].spent == 2
    found = [e for e in lab.events if lab.trials[e.trial][1].key == "hand"]
    assert [e.epochs for e in found] == [1, 2]
    assert [e.spent for e in found] == [1, 2]
    assert found[-1].loss == lab.sides["hand"].best.loss
    assert run(lab).finished


def test_the_test_part_is_looked_at_when_asked_and_counted(problem):
    lab = run(make(problem, "random", "grid"))
    assert lab.tests == {}
    found = lab.test()
    assert found == {
        key: problem.test(lab.sides[key].best) for key in ("first", "second")
    }
    assert lab.looks == 1
    lab.try_at(0.1, 8)
    run(lab)
    assert set(lab.tests) == {"first", "second"}
    assert set(lab.test()) == {"first", "second", "hand"}
    assert lab.looks == 2
    lab.try_at(0.2, 8)
    run(lab)  # it may have another winner now, at which nobody has looked
    assert set(lab.tests) == {"first", "second"}


def test_close_ends_all_training(problem):
    lab = make(problem, "random", "grid")
    half = lab.advance()
    next(half)
    half.close()
    lab.close()
    assert not lab.busy
    assert finish(lab.advance()) is None


@pytest.mark.parametrize("n", [1, 2, 5, 12, 16, 20, 40])
@pytest.mark.parametrize("other", list(AXES))
def test_a_grid_is_as_large_as_it_may_be(n, other):
    space = {"learning_rate": RATES, other: AXES[other]}
    shape = grid_shape(space, n)
    most = len(AXES[other].points(n))
    assert shape["learning_rate"] * shape[other] <= n
    assert shape[other] <= most
    assert shape["learning_rate"] >= shape[other]
    assert n - shape["learning_rate"] * shape[other] < max(shape.values())


@pytest.mark.parametrize(
    ("n", "budget", "eta", "fits"), [(27, 81, 3, 27), (27, 80, 3, 26), (64, 24, 4, 12)]
)
def test_halving_begins_with_as_many_as_the_budget_allows(n, budget, eta, fits):
    assert fitting(n, budget, eta) == fits


def test_bad_labs_are_refused(problem):
    with pytest.raises(ValueError, match="no method 'luck'"):
        make(problem, "luck", "none")
    with pytest.raises(ValueError, match="no method 'none'"):
        make(problem, "none", "grid")
    with pytest.raises(ValueError, match="do not fit a budget of 24"):
        make(problem, "grid", "none", epochs=25)
