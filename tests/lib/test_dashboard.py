"""Training runs to look at: numbers as torch has them, and watching changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib import dashboard_run
from lib.dashboard import Settings, TrainingRuns
from lib.dashboard_data import MODELS, SETS, examples_of, fitting, label_of, make_model
from lib.dashboard_run import SHOWN, layers_of, schedule_of
from lib.datasets import load
from lib.models.layers import Dropout
from lib.models.mlp import MLP


def drain(work) -> None:
    for _ in work:
        pass


def advance(runs: TrainingRuns, steps: int, record: bool = True) -> None:
    for _ in range(steps):
        drain(runs.advance_work())
        if record:
            drain(runs.record_work())


def make(data="wine", epochs=20, **settings) -> TrainingRuns:
    return TrainingRuns(data, {"A": Settings(**settings)}, epochs=epochs, device="cpu")


def weights(runs: TrainingRuns, name: str = "A") -> torch.Tensor:
    return runs.runs[name].optimizer.theta.clone()


# ---- data and models


@pytest.mark.parametrize("name", SETS)
def test_every_set_of_the_page_gives_examples_and_models_that_answer(name):
    e = examples_of(name)
    assert len(e.x) == len(e.y) > len(e.x_check) == len(e.y_check) >= 27
    assert set(e.y.tolist()) == set(range(e.classes)) == set(e.y_check.tolist())
    fits = fitting(e, {})
    wanted = {"lstm", "gru"} if e.kind == "tokens" else {"mlp", "deep", "dropout"}
    assert set(fits) - {"cnn"} == wanted
    assert ("cnn" in fits) == (e.kind == "pictures")
    for model in fits:
        made = make_model(model, e, {}, 0)
        assert made(e.x_check[:3]).shape == (3, e.classes)


def test_the_networks_are_those_of_the_documents():
    small, large = examples_of("digits"), examples_of("digits_28")
    shapes = lambda model, e: [  # noqa: E731
        tuple(p.shape) for p in make_model(model, e, {}, 0).parameters() if p.dim() > 1
    ]
    assert shapes("mlp", small) == [(128, 64), (10, 128)]
    assert shapes("mlp", large) == [(128, 784), (10, 128)]
    assert shapes("deep", small) == [(64, 64), (64, 64), (10, 64)]
    assert shapes("cnn", large)[0] == (32, 1, 3, 3)
    assert label_of("mlp", large) == "MLP 784-128-10"
    assert label_of("deep", small) == "MLP 64-64-64-10, L2"


def test_no_validation_example_is_trained_on_and_measurements_are_standardised():
    e = examples_of("wine")
    assert e.x.mean(0).abs().max() < 1e-4
    assert (e.x.std(0, correction=0) - 1).abs().max() < 1e-4
    for name in ("digits", "reviews"):
        e = examples_of(name)
        train = {tuple(row) for row in e.x.flatten(1).tolist()}
        check = [tuple(row) for row in e.x_check.flatten(1).tolist()]
        assert not train.intersection(check)
    assert len(e.texts) == len(e.x_check)


@pytest.mark.parametrize("data", ["diabetes", "tagged", 7, load("line")])
def test_sets_without_classes_are_refused(data):
    with pytest.raises(ValueError, match="the dashboard trains classifiers"):
        examples_of(data)


def test_own_models_may_take_pictures_or_rows_but_must_give_a_score_a_class():
    own = {
        "rows": lambda seed: MLP((64, 8, 10), seed=seed),
        "pictures": lambda seed: nn.Sequential(nn.Flatten(), MLP((64, 8, 10))),
        "short": lambda seed: MLP((64, 8, 9), seed=seed),
    }
    e = examples_of(load("digits"))  # flat, as a reader may have it
    assert e.kind == "pictures"
    for name in ("rows", "pictures"):
        assert make_model(name, e, own, 0)(e.x[:2]).shape == (2, 10)
    with pytest.raises(ValueError, match=r"scores of the shape \(2, 10\)"):
        make_model("short", e, own, 0)
    with pytest.raises(ValueError, match="does not fit wine"):
        make_model("cnn", examples_of("wine"), own, 0)


# ---- training


@pytest.mark.parametrize(
    ("name", "torchs"),
    [
        ("Momentum", lambda p: torch.optim.SGD(p, 0.05, 0.9, weight_decay=0.01)),
        ("AdamW", lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.01)),
    ],
)
def test_the_run_is_that_of_torch_step_by_step(name, torchs):
    runs = make(optimizer=name, learning_rate=0.05, weight_decay=0.01, batch_size=32)
    e, run = runs.examples, runs.runs["A"]
    twin = make_model("mlp", e, {}, 0)
    optimizer = torchs(twin.parameters())
    generator = torch.Generator().manual_seed(0)
    done = 0
    while done < 9:
        for rows in torch.randperm(len(e.x), generator=generator).split(32):
            optimizer.zero_grad()
            loss = F.cross_entropy(twin(e.x[rows]), e.y[rows])
            loss.backward()
            norms = [
                torch.cat([p.grad.flatten() for p in part.parameters()]).norm().item()
                for part in twin[1].layers
            ]
            optimizer.step()
            advance(runs, 1)
            done += 1
            last = run.history[-1]
            assert last.batch_loss == pytest.approx(loss.item(), rel=1e-4)
            assert last.gradient_norms == pytest.approx(norms, rel=1e-3)
            assert last.gradient_norm == pytest.approx(np.hypot(*norms), rel=1e-3)
    theirs = torch.cat([p.detach().flatten() for p in twin.parameters()])
    torch.testing.assert_close(weights(runs), theirs, rtol=1e-4, atol=1e-5)
    assert last.epoch == pytest.approx(done / math.ceil(len(e.x) / 32))


def test_a_record_says_what_the_model_says_of_the_data():
    runs = make("digits", learning_rate=0.1)
    advance(runs, 12, record=False)
    drain(runs.record_work())
    run, e = runs.runs["A"], runs.examples
    last, detail = run.history[-1], run.details[-1]
    assert [r.step for r in run.history] == [last.step] == [12]
    with torch.no_grad():
        train, check = run.model(e.x[:512]), run.model(e.x_check)
    assert last.train_loss == pytest.approx(
        F.cross_entropy(train, e.y[:512]).item(), rel=1e-5
    )
    assert last.validation_loss == pytest.approx(
        F.cross_entropy(check, e.y_check).item(), rel=1e-5
    )
    right = (check.argmax(1) == e.y_check).float().mean().item()
    assert 0.2 < last.validation_accuracy == pytest.approx(right)
    assert last.train_accuracy == pytest.approx(
        (train.argmax(1) == e.y[:512]).float().mean().item()
    )
    shares = check[:SHOWN].softmax(1)
    assert (detail.probabilities / 255 - shares).abs().max() < 0.003
    assert detail.confusion.sum() == len(e.x_check)
    assert detail.confusion.diagonal().sum().item() == round(right * len(e.x_check))
    for truth in (0, 7):
        said = check[e.y_check == truth].argmax(1).bincount(minlength=10)
        assert detail.confusion[truth].tolist() == said.tolist()


def test_histograms_count_the_weights_of_each_layer():
    runs = make("digits")
    advance(runs, 3)
    run = runs.runs["A"]
    detail = run.details[-1]
    for k, (_label, params) in enumerate(run.layers):
        w = params[0].detach().flatten().numpy()
        reach = float(np.abs(w).max())
        assert detail.reach[k] == pytest.approx(reach, rel=1e-5)
        counts, _ = np.histogram(w, dashboard_run.BINS, (-reach, reach))
        drawn = detail.histograms[k].numpy().astype(float)
        assert np.abs(drawn - 255 * counts / counts.max()).max() < 0.03 * 255


def test_watching_changes_nothing():
    watched, alone = make("digits", model="dropout"), make("digits", model="dropout")
    advance(watched, 8)
    advance(alone, 8, record=False)
    assert torch.equal(weights(watched), weights(alone))


def test_the_same_seed_gives_the_same_run_and_another_seed_does_not():
    first, second, other = (
        TrainingRuns("wine", epochs=3, seed=seed, device="cpu") for seed in (0, 0, 1)
    )
    for runs in (first, second, other):
        advance(runs, 4)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))
    rows = [np.array([r.row() for r in x.runs["A"].history]) for x in (first, second)]
    np.testing.assert_array_equal(*rows)


def test_it_ends_after_its_epochs_which_may_change():
    runs = make(epochs=2, batch_size=50)  # 124 wines are three batches
    assert runs.total == 6
    advance(runs, 9)
    assert (runs.step, runs.active) == (6, False)
    runs.set_epochs(3)
    advance(runs, 9)
    assert (runs.step, runs.runs["A"].history[-1].epoch) == (9, 3.0)


def test_two_runs_keep_step_and_do_not_disturb_each_other():
    settings = {"A": Settings(), "B": Settings("deep", "Adam", 0.01, 32)}
    both = TrainingRuns("wine", settings, epochs=2, device="cpu")
    for name, each in settings.items():
        alone = TrainingRuns("wine", {name: each}, epochs=2, device="cpu")
        advance(alone, 3, record=False)
        if name == "A":
            advance(both, 3, record=False)
        assert torch.equal(weights(both, name), weights(alone, name))
    part = both.advance_work()
    next(part)  # A has taken its step, B has not
    part.close()
    assert [run.step for run in both.runs.values()] == [4, 3]
    drain(both.record_work())  # what is shown of both is of the same step
    assert [run.step for run in both.runs.values()] == [4, 4]
    assert [run.history[-1].step for run in both.runs.values()] == [4, 4]
    advance(both, 10, record=False)  # the one with small batches goes on alone
    assert [run.step for run in both.runs.values()] == [4, 8]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "warmup"])
def test_the_schedule_sets_the_rate_of_each_step_and_the_rate_may_change(schedule):
    runs = make(epochs=10, schedule=schedule, learning_rate=0.08)
    run = runs.runs["A"]
    advance(runs, 10)
    rate = schedule_of(run.settings, 20)
    assert [r.learning_rate for r in run.history] == [rate(n) for n in range(10)]
    run.change(Settings(schedule=schedule, learning_rate=0.008))
    advance(runs, 1)
    assert run.history[-1].learning_rate == pytest.approx(rate(10) / 10)


def test_weight_decay_and_dropout_change_while_it_trains():
    runs = make("wine", model="dropout")
    run = runs.runs["A"]
    (drop,) = (m for m in run.model.modules() if isinstance(m, Dropout))
    assert drop.p == 0.5
    run.change(Settings("dropout", weight_decay=0.3, dropout=0.1))
    assert drop.p == 0.1
    before = weights(runs)
    advance(runs, 1)
    run.optimizer.zero_grad()
    assert run.optimizer.groups[0]["weight_decay"] == 0.3
    plain = make("wine", model="dropout", dropout=0.1)
    advance(plain, 1)
    step, pull = weights(plain) - before, weights(runs) - weights(plain)
    torch.testing.assert_close(pull, -0.05 * 0.3 * before, rtol=1e-3, atol=1e-6)
    assert step.abs().max() > 0


def test_divergence_ends_one_run_and_not_the_other():
    settings = {"A": Settings(optimizer="SGD"), "B": Settings()}
    runs = TrainingRuns("wine", settings, epochs=5, device="cpu")
    advance(runs, 2)
    runs.runs["A"].optimizer.theta.mul_(float("nan"))
    advance(runs, 3)
    assert [run.alive for run in runs.runs.values()] == [False, True]
    assert [run.history[-1].step for run in runs.runs.values()] == [2, 5]


def test_details_are_thinned_and_records_are_not(monkeypatch):
    monkeypatch.setattr(dashboard_run, "KEPT", 6)
    runs = make("moons", epochs=20)
    drain(runs.record_work())
    advance(runs, 20)
    run = runs.runs["A"]
    assert [r.step for r in run.history] == list(range(21))
    steps = [d.step for d in run.details]
    assert steps[0] == 0
    assert steps[-1] == 20
    assert len(steps) <= 6
    assert steps == sorted(set(steps))


def test_no_record_before_the_first_step_has_a_gradient():
    runs = make()
    drain(runs.record_work())
    drain(runs.record_work())  # nothing has moved: nothing is added
    (record,) = runs.runs["A"].history
    assert math.isnan(record.batch_loss)
    assert math.isnan(record.gradient_norm)
    assert len(record.row()) == 9 + len(runs.runs["A"].layers)


def test_layers_are_the_parts_that_hold_parameters():
    model = make_model("lstm", examples_of("reviews"), {}, 0)
    found = layers_of(model)
    assert [label.split()[1] for label, _ in found] == [
        "Embedding", "LSTMCell", "Linear",
    ]  # fmt: skip
    assert sum(len(params) for _, params in found) == len(list(model.parameters()))


def test_wrong_names_are_refused_with_those_that_exist():
    for wrong in ({"optimizer": "Adamant"}, {"schedule": "slow"}):
        with pytest.raises(ValueError, match="is not known; choose one of"):
            make(**wrong)
    with pytest.raises(ValueError, match="does not fit wine"):
        make(model="nothing")
    assert all(len(look) == 3 for look in MODELS.values())


@pytest.mark.gpu
def test_a_run_moves_to_the_gpu_and_back_with_all_that_it_has_learned():
    runs, stays = make("digits", optimizer="Adam"), make("digits", optimizer="Adam")
    advance(stays, 6, record=False)
    for device in ("cuda", "cpu", "cuda"):
        runs.move_to(device)
        advance(runs, 2)
    assert runs.runs["A"].optimizer.theta.is_cuda
    torch.testing.assert_close(
        weights(runs).cpu(), weights(stays), rtol=1e-3, atol=1e-4
    )
    assert [r.step for r in runs.runs["A"].history] == [1, 2, 3, 4, 5, 6]


def test_moving_keeps_optimizer_order_and_settings():
    runs, stays = make(optimizer="Adam"), make(optimizer="Adam")
    advance(runs, 3, record=False)
    runs.runs["A"].move_to(runs.examples)  # to where it is: all but the copy of numbers
    advance(runs, 4, record=False)
    advance(stays, 7, record=False)
    assert torch.equal(weights(runs), weights(stays))
    runs.close()
