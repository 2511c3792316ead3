"""What a run tells, and how it is stopped: validation, history, interrupts."""

import signal
import threading

import pytest
import torch
from torch.nn.functional import mse_loss

from lib.loop_parts import Interrupts
from lib.optimizers import GradientDescent
from lib.regularizers import EarlyStopping
from lib.training import History, Step, evaluate, fit, minibatches, train
from tests.lib.training_cases import linear_data, make_model, modes, sgd, weights


@pytest.fixture
def data():
    return linear_data()


def error(predictions, targets):
    return (predictions - targets).abs().max().item()


def test_evaluation_equals_the_mean_over_all_and_leaves_the_modes(data):
    x, y = data
    model = make_model(dropout=0.5)
    model[0].eval()
    before = modes(model)
    values = evaluate(model, mse_loss, (x, y), {"error": error}, batch_size=4)
    assert modes(model) == before
    model.eval()
    assert values["loss"] == pytest.approx(mse_loss(model(x), y).item(), rel=1e-6)
    assert values["error"] == pytest.approx(error(model(x), y), rel=1e-6)
    parts = [(x[:7], y[:7]), (x[7:], y[7:])]
    again = evaluate(model, mse_loss, parts, {"error": error})
    assert again == pytest.approx(values, rel=1e-6)


def test_evaluation_refuses_what_it_cannot_use(data):
    model = make_model()
    x, y = data
    with pytest.raises(ValueError, match='called "loss"'):
        evaluate(model, mse_loss, data, {"loss": error})
    with pytest.raises(ValueError, match="x has 10 examples and y has 9"):
        evaluate(model, mse_loss, (x, y[1:]))
    with pytest.raises(ValueError, match="nothing"):
        evaluate(model, mse_loss, [])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"epochs": 2}, [3, 6]),
        ({"steps": 4}, [3, 4]),
        ({"steps": 6}, [3, 6]),
        ({"epochs": 2, "validate_every": 2}, [2, 4, 6]),
        ({"epochs": 2, "validate_every": 4}, [4, 6]),
    ],
)
def test_validation_comes_when_it_is_due(data, options, expected):
    model = make_model(dropout=0.2)
    batches = minibatches(*data, batch_size=4)
    options |= {"validation": data, "metrics": {"error": error}}
    at = {}
    for step in train(model, mse_loss, batches, sgd(model), **options):
        assert all(modes(model))
        if step.validation is not None:
            at[step.step] = step.validation
            assert step.validation == evaluate(model, mse_loss, data, {"error": error})
    assert list(at) == expected


def test_validation_changes_nothing_in_training(data):
    results = []
    for options in ({}, {"validation": data, "validate_every": 1}):
        model = make_model(dropout=0.0)
        list(train(model, mse_loss, [data], sgd(model), steps=4, **options))
        results.append(weights(model))
    assert torch.equal(*results)


class StopAt:
    """Stops at a value; takes no model, as the loop also allows."""

    def __init__(self, at):
        self.at, self.seen = at, []

    def update(self, value):
        self.seen.append(value)
        return len(self.seen) == self.at


def test_stopping_ends_the_run(data):
    model, stop = make_model(), StopAt(3)
    options = {"validation": data, "metrics": {"error": error}, "monitor": "error"}
    history = fit(
        model, mse_loss, [data], sgd(model), epochs=9, stopping=stop, **options
    )
    assert len(history) == 3
    assert history.ended == "stopped early"
    assert stop.seen == history.validation["error"]


def test_early_stopping_of_the_library_keeps_the_best_model(data):
    x, y = data
    model, stopping = make_model(), EarlyStopping(patience=2)
    optimizer = GradientDescent(model.parameters(), 0.05)
    options = {"validation": (x, y), "stopping": stopping, "steps": 50}
    schedule = [0.05, 0.05, 5.0, 5.0, 5.0].__getitem__  # it gets better, then worse
    history = fit(model, mse_loss, [data], optimizer, schedule=schedule, **options)
    assert len(history) == 4
    stopping.restore(model)
    loss = evaluate(model, mse_loss, (x, y))["loss"]
    assert loss == min(history.validation["loss"]) == history.validation["loss"][1]


def test_history_has_a_row_for_each_step_and_each_validation(data):
    model = make_model()
    batches = minibatches(*data, batch_size=4)
    history = History()
    options = {"epochs": 2, "validation": data, "schedule": lambda n: 0.1 / (n + 1)}
    seen = list(train(model, mse_loss, batches, sgd(model), history=history, **options))
    assert history.step == [1, 2, 3, 4, 5, 6]
    assert history.epoch == [1, 1, 1, 2, 2, 2]
    assert history.learning_rate == [s.learning_rate for s in seen]
    assert history.loss == [s.loss.item() for s in seen]
    assert history.validation["step"] == [3, 6]
    assert history.validation["epoch"] == [1, 2]
    assert history.validation["loss"] == [seen[i].validation["loss"] for i in (2, 5)]
    assert history.ended == "finished"
    assert len(history) == 6
    assert "6 steps, loss" in repr(history)


def test_unread_losses_are_read_before_they_pile_up(monkeypatch):
    monkeypatch.setattr("lib.progress.READ_EVERY", 3)
    history = History()
    for i in range(1, 8):
        history.add(Step(i, 1, torch.tensor(float(i)), 0.1, i))
        assert len(history._waiting) == i % 3
    assert history.loss == [1, 2, 3, 4, 5, 6, 7]
    other = History()
    other.load_state_dict(history.state_dict())
    assert other == history
    assert other.loss == history.loss


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"validate_every": 2}, "need validation"),
        ({"metrics": {"error": error}}, "need validation"),
        ({"stopping": EarlyStopping()}, "need validation"),
        ({"validation": 1, "validate_every": 0}, "validate_every was 0"),
        ({"validation": 1, "monitor": "accuracy"}, "monitor is 'accuracy'"),
        ({"validation": 1, "batches": iter([])}, "give validate_every"),
        ({"clip_norm": 0.0}, "the norm is 0.0"),
        ({"accumulate": 0}, "accumulate was 0"),
        ({"precision": "float8"}, "precision is 'float8'"),
    ],
)
def test_options_that_do_not_go_together_are_refused_at_the_call(data, options, words):
    model = make_model()
    batches = options.pop("batches", [data])
    with pytest.raises(ValueError, match=words):
        train(model, mse_loss, batches, sgd(model), steps=1, **options)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_waits_for_the_end_of_the_update(data):
    model, twin = make_model(), make_model()
    optimizer, before = sgd(model), signal.getsignal(signal.SIGINT)
    step, taken = optimizer.step, []

    def interrupted():
        taken.append(1)
        if len(taken) == 3:
            signal.raise_signal(signal.SIGINT)  # in the middle of the update
        step()

    optimizer.step = interrupted
    history = fit(model, mse_loss, [data], optimizer, steps=9)
    assert history.ended == "interrupted"
    assert len(history) == len(history.loss) == 3
    list(train(twin, mse_loss, [data], sgd(twin), steps=3))
    assert torch.equal(weights(model), weights(twin))
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.usefixtures("interruptible")
def test_interrupt_outside_the_update_comes_at_once(data):
    model = make_model()

    def loss(predictions, targets):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the interrupt came too late")

    before = weights(model)
    history = fit(model, loss, [data], sgd(model), steps=9)
    assert history.ended == "interrupted"
    assert len(history) == 0
    assert torch.equal(weights(model), before)
    with pytest.raises(KeyboardInterrupt):
        list(train(model, loss, [data], sgd(model), steps=9))


def test_training_works_in_another_thread(data):
    model, results = make_model(), []

    def work():
        results.append(fit(model, mse_loss, [data], sgd(model), steps=3))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results[0].ended == "finished"


def test_interrupt_handler_that_is_not_a_function_is_respected():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupts = Interrupts()
        signal.raise_signal(signal.SIGINT)  # ignored, as it was
        interrupts.close()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
