"""Hyperparameter search: spaces, budgets, trials that go on, and the range test."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from lib.datasets import load
from lib.optimizers import Momentum
from lib.search import (
    Choice,
    Problem,
    Range,
    RangeTest,
    Rung,
    best,
    finish,
    grid_points,
    halving_plan,
    random_points,
    range_test,
    spent,
    successive_halving,
    trace,
    train_all,
)
from lib.search_trials import show

SPACE = {
    "learning_rate": Range(0.001, 1.0, log=True),
    "width": Range(2, 32, log=True, whole=True),
}


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem("moons", device="cpu")


def rates(problem: Problem, *values: float, seed: int = 0) -> list:
    return problem.trials([{"learning_rate": v, "width": 8} for v in values], seed)


# ---- spaces


@pytest.mark.parametrize(
    "axis",
    [Range(-2, 3), Range(1e-4, 10, log=True), Range(1, 200, log=True, whole=True),
     Range(2, 9, whole=True), Choice((16, 32, 64))],
)  # fmt: skip
def test_an_axis_covers_its_range_and_knows_the_place_of_a_value(axis):
    values = [axis.at(u / 100) for u in range(101)]
    assert values == sorted(values)
    if isinstance(axis, Range):
        assert (values[0], values[-1]) == (axis.low, axis.high)
    for value in values:
        assert axis.at(axis.place(value)) == pytest.approx(value, rel=1e-12)
    if getattr(axis, "whole", False):
        assert all(isinstance(value, int) for value in values)


def test_log_points_have_equal_ratios_and_plain_ones_equal_distances():
    assert Range(0.01, 100, log=True).points(5) == pytest.approx(
        [0.01, 0.1, 1, 10, 100]
    )
    assert Range(0, 4).points(5) == [0, 1, 2, 3, 4]
    assert Range(1, 100, log=True).points(1) == [pytest.approx(10)]
    assert Range(1, 3, whole=True).points(9) == [1, 2, 3]
    assert Choice(("a", "b", "c", "d")).points(2) == ["b", "d"]
    assert Choice((3, 5)).points(9) == [3, 5]


def test_whole_numbers_are_drawn_alike_often():
    values = [Range(1, 4, whole=True).at((i + 0.5) / 400) for i in range(400)]
    assert [values.count(v) for v in (1, 2, 3, 4)] == [100] * 4


def test_the_grid_holds_every_combination_once():
    settings = grid_points(SPACE, {"learning_rate": 4, "width": 3})
    assert len(settings) == 12 == len({tuple(s.values()) for s in settings})
    assert {s["width"] for s in settings} == {2, 8, 32}
    assert len({s["learning_rate"] for s in grid_points(SPACE, 3)}) == 3


def test_random_points_differ_on_each_axis_and_repeat_with_the_seed():
    settings = random_points(SPACE, 100, seed=3)
    assert len({s["learning_rate"] for s in settings}) == 100
    assert settings[:7] == random_points(SPACE, 7, seed=3)
    assert settings[:7] != random_points(SPACE, 7, seed=4)
    logs = [math.log10(s["learning_rate"]) for s in settings]
    assert all(-3 <= v <= 0 for v in logs)
    for low in (-3, -2, -1):  # a third in each decade: 100 draws, 5 deviations
        assert 10 <= sum(low <= v < low + 1 for v in logs) <= 57


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(1, 1), "smaller one first"),
        (lambda: Range(0, math.inf), "finite"),
        (lambda: Range(0, 1, log=True), "no 0"),
        (lambda: Range(1.5, 4, whole=True), "whole ends"),
        (lambda: Choice(()), "one or more"),
        (lambda: Choice("abc"), "tuple"),
        (lambda: grid_points({}, 3), "space is empty"),
        (lambda: grid_points(SPACE, {"width": 3}), "per_axis names width"),
        (lambda: grid_points(SPACE, 0), "whole number from 1"),
        (lambda: random_points({"width": (1, 2)}, 3), "give a Choice"),
        (lambda: random_points(SPACE, 2.5), "whole number from 1"),
    ],
)
def test_bad_spaces_are_refused_with_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- trials


def test_a_trial_is_the_training_that_its_settings_say(problem):
    (trial,) = problem.trials(
        [{"learning_rate": 0.05, "momentum": 0.5, "batch_size": 50, "width": 6,
          "depth": 2, "weight_decay": 0.01}], seed=4,
    )  # fmt: skip
    finish(trial.train(2))
    model, _, batches = problem.build(trial.settings, 4)
    assert model.sizes == (2, 6, 6, 2)
    rule = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5, weight_decay=0.01)
    for _ in range(2):
        losses = []
        for x, y in batches:
            rule.zero_grad()
            losses.append(F.cross_entropy(model(x), y))
            losses[-1].backward()
            rule.step()
    x, y = problem.validation
    logits = model(x)
    assert len(losses) == 8
    assert trial.history[-1] == pytest.approx(
        (torch.stack(losses).mean().item(), F.cross_entropy(logits, y).item(),
         (logits.argmax(1) == y).float().mean().item()), rel=1e-5,
    )  # fmt: skip
    assert (trial.spent, len(trial.history), trial.state) == (2, 2, "waiting")


def test_a_trial_goes_on_where_it_was(problem):
    whole, parts = rates(problem, 0.1, 0.1)
    finish(whole.train(5))
    finish(parts.train(2))
    finish(parts.train(3))
    assert whole.history == parts.history
    assert parts.spent == 5


def test_a_trial_that_has_ended_cannot_train(problem):
    (trial,) = rates(problem, 0.1)
    finish(train_all([trial], 1))
    assert trial.state == "done"
    with pytest.raises(ValueError, match="only one that waits"):
        finish(trial.train(1))


def test_divergence_is_a_state_and_not_an_error(problem):
    wild, good = problem.trials(
        [{"learning_rate": 1e30, "width": 8}, {"learning_rate": 0.1, "width": 8}]
    )
    finish(train_all([wild, good], 3))
    assert (wild.state, wild.loss, wild.accuracy) == ("diverged", math.inf, 0.0)
    assert 1 <= wild.spent <= 3
    assert best([wild, good]) is good
    with pytest.raises(ValueError, match="all have diverged"):
        best([wild])
    with pytest.raises(ValueError, match="no score"):
        problem.test(wild)


def test_divergence_after_a_finished_epoch_counts_too(problem):
    # a rate that multiplies the weights at each step until they overflow
    (trial,) = problem.trials([{"learning_rate": 40.0, "weight_decay": 5.0}])
    finish(train_all([trial], 30))
    assert trial.state == "diverged"
    assert trial.loss == math.inf


# ---- budgets


def test_train_all_gives_everybody_the_same(problem):
    trials = rates(problem, 0.01, 0.1, 0.3)
    order = [trial.number for trial in train_all(trials, 2)]
    assert order == sorted(order)
    assert [t.spent for t in trials] == [2, 2, 2]
    assert spent(trials) == 6


@pytest.mark.parametrize(
    ("n", "budget", "eta", "plan"),
    [
        (27, 81, 3, [(27, 1), (9, 3), (3, 9)]),
        (16, 64, 2, [(16, 1), (8, 2), (4, 4), (2, 8)]),
        (10, 100, 3, [(10, 5), (3, 16)]),  # the last one left has won
        (1, 7, 3, [(1, 7)]),
        (2, 9, 4, [(2, 4)]),
    ],
)
def test_the_plan_of_halving(n, budget, eta, plan):
    found = halving_plan(n, budget, eta)
    assert found == [Rung(*rung) for rung in plan]
    assert sum(t * e for t, e in found) <= budget


@pytest.mark.parametrize(
    ("n", "budget", "eta", "message"),
    [(27, 80, 3, "at least 81"), (0, 9, 3, "whole number"), (9, 9.5, 3, "whole"),
     (9, 90, 1, "eta is 1"), (9, 90, True, "eta is True")],
)  # fmt: skip
def test_bad_plans_are_refused(n, budget, eta, message):
    with pytest.raises(ValueError, match=message):
        halving_plan(n, budget, eta)


def test_halving_keeps_the_best_and_never_begins_again(problem):
    values = (1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 1e30)
    trials = rates(problem, *values)
    finish(successive_halving(trials, 36, 3))  # 9 x 2, 3 x 6
    first = {t.number: t.history[1].validation_loss for t in trials[:-1]}
    kept = sorted(first, key=first.get)[:3]
    assert [len(t.history) for t in trials] == [
        8 if i in kept else 2 for i in range(8)
    ] + [len(trials[-1].history)]
    assert trials[-1].state == "diverged"
    winner = best(trials[i] for i in kept)
    assert winner.state == "done"
    assert [t.state for t in trials[:8] if t is not winner] == ["stopped"] * 7
    alone = rates(problem, *values)[winner.number]
    finish(alone.train(8))
    assert alone.history == winner.history  # as if it had trained in one go
    assert spent(trials) <= 36


def test_halving_goes_on_where_all_diverge(problem):
    trials = rates(problem, 1e30, 1e30)
    finish(successive_halving(trials, 4, 2))
    assert {t.state for t in trials} == {"diverged"}


def test_the_trace_is_the_best_so_far_against_the_cost(problem):
    trials = rates(problem, 0.001, 0.1, 0.01)
    line = trace(train_all(trials, 2), trials)
    losses = [e.validation_loss for t in trials for e in t.history]
    lows = [min(losses[: i + 1]) for i in range(6)]
    assert line == [(i + 1, low) for i, low in enumerate(lows)]


def test_the_same_seed_gives_the_same_search(problem):
    runs = []
    for seed in (0, 0, 1):
        trials = problem.trials(random_points(SPACE, 4, seed=1), seed)
        finish(train_all(trials, 1))
        runs.append([t.loss for t in trials])
    assert runs[0] == runs[1] != runs[2]


def test_nothing_touches_the_global_generator(problem):
    before = torch.random.get_rng_state()
    finish(train_all(problem.trials(random_points(SPACE, 2)), 1))
    assert torch.equal(before, torch.random.get_rng_state())


# ---- data


def test_the_three_parts_have_no_example_in_common():
    problem = Problem("digits", device="cpu")
    parts = [problem.train, problem.validation, problem._test]
    assert [len(y) for _, y in parts] == [897, 450, 450]
    whole = load("digits").split(validation=0.25, test=0.25, seed=0)
    for (x, y), part in zip(parts, whole, strict=True):
        assert torch.equal(x, part.x)
        assert torch.equal(y, part.y)


def test_measurements_are_scaled_by_the_training_part():
    problem = Problem("breast_cancer", device="cpu")
    x = problem.train[0]
    assert torch.allclose(x.mean(0), torch.zeros(30), atol=1e-4)
    assert torch.allclose(x.std(0, correction=0), torch.ones(30), atol=1e-3)
    assert problem.validation[0].mean(0).abs().max() > 0.01


def test_the_winner_is_judged_on_the_test_part(problem):
    trials = rates(problem, 0.1, 0.001)
    finish(train_all(trials, 4))
    winner = best(trials)
    found = problem.test(winner)
    x, y = problem._test
    logits = winner.model(x)
    assert found.validation_loss == pytest.approx(F.cross_entropy(logits, y).item())
    right = (logits.argmax(1) == y).float().mean().item()
    assert found.validation_accuracy == pytest.approx(right)
    assert found.validation_loss != winner.loss


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed": 1}, "no hyperparameter 'speed'"),
        ({"learning_rate": 0}, "above 0"),
        ({"learning_rate": math.nan}, "above 0"),
        ({"momentum": 1.0}, "below 1"),
        ({"width": 2.0}, "whole number"),
        ({"depth": 0}, "whole number"),
        ({"batch_size": True}, "whole number"),
        ({"weight_decay": -1}, "from 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(problem, settings, message):
    with pytest.raises(ValueError, match=message):
        problem.trials([settings])


def test_bad_problems_are_refused():
    with pytest.raises(ValueError, match="no set 'mars'"):
        Problem("mars")
    with pytest.raises(ValueError, match="no classes"):
        Problem(load("diabetes"))
    with pytest.raises(ValueError, match="no hyperparameter"):
        Problem("moons", rate=1)
    with pytest.raises(ValueError, match="no settings"):
        Problem("moons", device="cpu").trials([])


def test_everything_says_what_it_is(problem):
    (trial,) = rates(problem, 0.123456)
    assert repr(trial) == (
        "Trial(0: learning_rate=0.123, width=8; waiting after 0 epochs)"
    )
    assert repr(problem) == (
        "Problem(moons: 400, 200, 200 examples to train, choose and judge)"
    )
    assert [show(v) for v in (0.00012345, 1200, 10.0)] == ["0.000123", "1200", "10"]


# ---- the range test


def test_the_rate_rises_by_equal_ratios_and_the_steps_are_real(problem):
    test = finish(range_test(problem, {"width": 8}, 1e-4, 1.0, steps=20, seed=2))
    ratios = [b / a for a, b in zip(test.rates, test.rates[1:], strict=False)]
    assert test.rates[0] == pytest.approx(1e-4)
    assert test.rates[-1] == pytest.approx(1.0)
    assert ratios == pytest.approx([10 ** (4 / 19)] * 19)
    assert test.spent == (400 + 7 * 32) / 400
    model, _, batches = problem.build({"width": 8}, 2)
    optimizer, losses = Momentum(model.parameters(), 1e-4), []
    while len(losses) < 20:
        for (x, y), rate in zip(batches, test.rates[len(losses) :], strict=False):
            optimizer.zero_grad()
            optimizer.learning_rate = rate
            loss = F.cross_entropy(model(x), y)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
    assert test.losses == pytest.approx(losses, rel=1e-5)


def test_the_range_test_ends_when_the_loss_explodes(problem):
    test = finish(range_test(problem, {"width": 64}, 1e-3, 1e4, steps=60))
    assert test.exploded
    assert len(test.rates) < 60
    assert test.smooth[-1] > 3 * min(test.smooth)
    wild = finish(range_test(problem, None, 1.0, 1e38, steps=10))
    assert wild.exploded
    assert all(map(math.isfinite, wild.losses))


def test_the_suggested_rate_learns_better_than_its_neighbours():
    problem = Problem("digits", device="cpu")
    rate = finish(range_test(problem, {"width": 32})).suggested
    trials = rates(problem, rate / 30, rate, rate * 30)
    finish(train_all(trials, 4))
    assert best(trials) is trials[1]


def test_smoothing_is_a_mean_of_what_was(problem):
    test = RangeTest()
    for loss in (3.0, 3.0, 3.0, 0.0):
        test.add(0.1, loss)
    weights = [0.8**3, 0.8**2, 0.8, 1.0]
    assert test.smooth[:3] == pytest.approx([3.0, 3.0, 3.0])
    assert test.smooth[3] == pytest.approx(3 * sum(weights[:3]) / sum(weights))


def test_bad_range_tests_are_refused(problem):
    for bad in ({"low": 0}, {"low": 2, "high": 1}, {"high": math.inf}, {"steps": 9}):
        with pytest.raises(ValueError, match="10 steps or more"):
            range_test(problem, **bad)
    with pytest.raises(ValueError, match="no step yet"):
        _ = RangeTest().suggested
