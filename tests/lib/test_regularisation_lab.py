"""The two networks: each knob does what its formula says, and helps or harms."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from lib.regularisation_lab import (
    BINS,
    EVERY,
    GRID,
    OFF,
    RATE,
    SIZES,
    HeldNetwork,
    Knobs,
    RegularisationLab,
    knobs_of,
)


def lab(steps: int = 0, **knobs) -> RegularisationLab:
    made = RegularisationLab(Knobs(**knobs), 40, 0.1, hidden=16, device="cpu")
    train(made, steps)
    return made


def train(made: RegularisationLab, steps: int) -> None:
    goal = made.step + steps
    while made.step < goal:
        for _ in made.advance():
            pass


def twin(made: RegularisationLab, decay: float = 0.0):
    """The same network and torch's own optimizer, to do a few steps by hand."""
    model = copy.deepcopy(made.held.model)
    weights = [p for p in model.parameters() if p.dim() >= 2]
    biases = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": weights, "weight_decay": decay}, {"params": biases}]
    return model, weights, torch.optim.AdamW(groups, lr=RATE, weight_decay=0.0)


@pytest.mark.parametrize("kind", ["nothing", "l1", "proximal", "l2", "decay", "smooth"])
def test_a_step_is_the_formula_with_torchs_optimizer(kind):
    knobs = {
        "nothing": {}, "l1": {"l1": 0.01}, "l2": {"l2": 0.1},
        "proximal": {"l1": 0.5, "l1_way": "proximal"},
        "decay": {"l2": 3.0, "l2_way": "decoupled"}, "smooth": {"smoothing": 0.2},
    }[kind]  # fmt: skip
    made = lab(**knobs)
    model, weights, optimizer = twin(made, 3.0 if kind == "decay" else 0.0)
    x, y = made.train
    for _ in range(4):
        optimizer.zero_grad()
        smoothing = 0.2 if kind == "smooth" else 0.0
        loss = F.cross_entropy(model(x), y, label_smoothing=smoothing)
        if kind == "l1":
            loss = loss + 0.01 * sum(w.abs().sum() for w in weights)
        if kind == "l2":
            loss = loss + 0.05 * sum((w * w).sum() for w in weights)
        loss.backward()
        optimizer.step()
        if kind == "proximal":
            for w in weights:
                w.data = F.softshrink(w.data, RATE * 0.5)
        made.held.train_step(x, y)
    for ours, theirs in zip(
        made.held.model.parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-4)


def test_without_knobs_both_runs_are_the_same_and_with_them_only_one_changes():
    same, other = lab(50), lab(50, l2=0.05)
    assert same.held.records[-1].numbers == same.free.records[-1].numbers
    assert other.free.records[-1].numbers == same.free.records[-1].numbers
    assert other.held.records[-1].numbers != other.free.records[-1].numbers


def test_the_same_seed_gives_the_same_run_with_dropout_too():
    first, second = lab(50, dropout=0.5), lab(50, dropout=0.5)
    assert first.held.records[-1].numbers == second.held.records[-1].numbers
    first.begin(first.held.knobs)
    train(first, 50)
    assert first.held.records[-1].numbers == second.held.records[-1].numbers


def test_the_free_network_overfits_and_a_penalty_holds_it_back():
    made = RegularisationLab(Knobs(l2=0.02), device="cpu")
    train(made, 300)
    free, held = (run.records[-1] for run in (made.free, made.held))
    assert free["train_loss"] < 0.05
    assert free["validation_loss"] > 2 * made.free.best["validation_loss"]
    assert held["validation_loss"] < 0.5 * free["validation_loss"]
    assert held["norm"] < 0.5 * free["norm"]


def test_only_the_proximal_step_makes_exact_zeros():
    loss, step = lab(200, l1=0.01), lab(200, l1=0.5, l1_way="proximal")
    assert loss.held.records[-1]["exact"] == 0
    assert loss.held.records[-1]["tiny"] > 0.3
    assert step.held.records[-1]["exact"] > 0.5


def test_a_record_measures_the_network():
    made = lab(100, l1=0.5, l1_way="proximal")
    run, record = made.held, made.held.records[-1]
    run.model.eval()
    w = torch.cat([p.detach().flatten() for p in run.model.parameters() if p.dim() > 1])
    x, y = made.validation
    with torch.no_grad():
        logits = run.model(x)
        grid = run.model(made.grid).softmax(-1)[:, 1]
    loss = F.cross_entropy(logits, y).item()
    assert record["validation_loss"] == pytest.approx(loss, rel=1e-5)
    right = (logits.argmax(1) == y).float().mean().item()
    assert record["validation_accuracy"] == pytest.approx(right)
    assert record["exact"] == pytest.approx((w == 0).float().mean().item())
    assert record["norm"] == pytest.approx(w.norm().item(), rel=1e-5)
    assert record.histogram.sum() == len(w)
    wanted = torch.histc(w.clamp(-1.5, 1.5), BINS, -1.5, 1.5)
    assert (record.histogram - wanted).abs().max() <= 1
    assert record.sizes[-1] == w.abs().max()
    assert record.sizes.shape == (SIZES,)
    assert (record.sizes.diff() >= 0).all()
    assert record.grid.shape == (GRID * GRID,)
    assert (record.grid.float() / 255 - grid).abs().max() < 0.5 / 255 + 1e-6


def test_early_stopping_ends_one_run_and_takes_back_its_best_weights():
    made = lab(400, patience=6)
    held, free = made.held, made.free
    assert held.stopped
    assert not free.stopped
    assert held.step == held.best["step"] + 6 * EVERY < free.step == 400
    last, best = held.records[-1], held.best
    assert last["validation_loss"] == best["validation_loss"]
    assert torch.equal(last.grid, best.grid)
    assert held.records[-2]["validation_loss"] > best["validation_loss"]


def test_dropout_rescaled_or_not():
    ratios = {}
    for rescale in (True, False):
        model = HeldNetwork((2, 32, 2), seed=0, device="cpu")
        model.knobs = Knobs(dropout=0.5, rescale=rescale)
        model.layers[-1].weight.data.fill_(1.0)
        model.layers[-1].bias.data.zero_()
        x = torch.ones(4000, 2)
        trained = model.train()(x).mean().item()
        ratios[rescale] = trained / model.eval()(x).mean().item()
    assert ratios[True] == pytest.approx(1.0, abs=0.02)
    assert ratios[False] == pytest.approx(0.5, abs=0.02)


def test_points_are_nested_and_the_noise_is_what_was_asked_for():
    made = lab()
    few = made.train[0].clone()
    made.set_points(400, 0.2)
    assert torch.equal(made.train[0][:40], few)
    assert made.wrong.float().mean().item() == pytest.approx(0.2, abs=0.06)
    made.set_points(400, 0.0)
    assert not made.wrong.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Knobs(l1=-1), "l1 is -1"),
        (lambda: Knobs(l2_way="sideways"), "l2_way"),
        (lambda: Knobs(dropout=1.0), "dropout is 1.0"),
        (lambda: RegularisationLab(examples=2, device="cpu"), "4 to 400"),
        (lambda: RegularisationLab(label_noise=0.6, device="cpu"), "noise from 0"),
    ],
)
def test_what_cannot_be_used_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_end_of_a_slider_is_off():
    values = {"l1": OFF, "l2": 2e-5, "patience": 7, "early_stopping": False}
    assert knobs_of(values) == Knobs(l1=0.0, l2=2e-5)
    assert knobs_of(values | {"early_stopping": True}).patience == 7
