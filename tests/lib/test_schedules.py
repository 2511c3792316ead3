"""Schedules follow torch's, keep their stated ends, and refuse what makes no sense."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from lib.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    LinearWarmup,
    Schedule,
    StepDecay,
    WarmupCosine,
)


def torch_rates(make, rate, count):
    """The rates that torch's scheduler sets for the first `count` updates."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler = make(optimizer)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make", "count"),
    [
        (Constant(0.3), lambda o: lr_scheduler.ConstantLR(o, factor=1.0), 20),
        (StepDecay(0.3, every=7), lambda o: lr_scheduler.StepLR(o, 7), 40),
        (
            StepDecay(0.3, every=5, factor=0.5),
            lambda o: lr_scheduler.StepLR(o, 5, gamma=0.5),
            40,
        ),
        (Exponential(0.3, 0.97), lambda o: lr_scheduler.ExponentialLR(o, 0.97), 100),
        (
            InverseTime(0.3, decay=0.1),
            lambda o: lr_scheduler.LambdaLR(o, lambda n: 1 / (1 + 0.1 * n)),
            100,
        ),
        (Cosine(0.3, 50), lambda o: lr_scheduler.CosineAnnealingLR(o, 50), 51),
        (
            Cosine(0.3, 50, final=0.02),
            lambda o: lr_scheduler.CosineAnnealingLR(o, 50, eta_min=0.02),
            51,
        ),
        (
            LinearWarmup(0.3, 10),
            lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=9),
            30,
        ),
    ],
    ids=lambda x: repr(x) if isinstance(x, Schedule) else "",
)
def test_schedule_follows_torch(schedule, make, count):
    expected = torch_rates(make, schedule.learning_rate, count)
    rates = [schedule(n) for n in range(count)]
    assert rates == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_warmup_cosine_is_torch_s_two_schedulers_in_a_row():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    first = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=9)
    second = lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.03)
    schedule = WarmupCosine(0.3, warmup_steps=10, steps=60, final=0.03)
    for n in range(60):
        assert schedule(n) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if n < 9:
            first.step()
        elif n >= 10:  # update 10 has the full rate, as update 9 has
            second.step()


def test_schedules_keep_their_ends():
    assert Cosine(0.3, 50, final=0.02)(1000) == pytest.approx(0.02)
    assert LinearWarmup(0.3, 10)(0) == pytest.approx(0.03)
    assert LinearWarmup(0.3, 10)(9) == LinearWarmup(0.3, 10)(1000) == 0.3
    assert LinearWarmup(0.3, 1)(0) == 0.3
    assert WarmupCosine(0.3, 10, 60)(10) == 0.3
    assert WarmupCosine(0.3, 10, 60)(60) == WarmupCosine(0.3, 10, 60)(99) == 0.0
    assert StepDecay(0.3, 7)(6) == 0.3
    assert StepDecay(0.3, 7)(7) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Constant(-0.1), "learning_rate of Constant is -0.1"),
        (lambda: Constant(math.nan), "learning_rate of Constant is nan"),
        (lambda: Constant(math.inf), "finite"),
        (lambda: Constant("0.1"), "'0.1'"),
        (lambda: Constant(True), "True"),
        (lambda: StepDecay(0.1, every=0), "every of StepDecay is 0"),
        (lambda: StepDecay(0.1, every=2.0), "whole number"),
        (lambda: StepDecay(0.1, every=2, factor=1.5), "factor of StepDecay is 1.5"),
        (lambda: Exponential(0.1, 0.0), "above 0"),
        (lambda: InverseTime(0.1, -1.0), "decay of InverseTime is -1.0"),
        (lambda: Cosine(0.1, True), "steps of Cosine is True"),
        (lambda: Cosine(0.1, 10, final=-0.1), "final of Cosine is -0.1"),
        (lambda: LinearWarmup(0.1, 0), "steps of LinearWarmup is 0"),
        (lambda: WarmupCosine(0.1, 10, 10), "give it fewer"),
        (lambda: Constant(0.1)(-1), "step is -1"),
        (lambda: Constant(0.1)(1.5), "step is 1.5"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value_given(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_schedule_is_a_value():
    schedule = Cosine(0.1, steps=10)
    assert schedule == Cosine(0.1, 10, 0.0)
    assert repr(schedule) == "Cosine(learning_rate=0.1, steps=10, final=0.0)"
    with pytest.raises(AttributeError):
        schedule.steps = 5
