"""A run that goes on from a checkpoint is the run that never stopped, bit for bit."""

import signal

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from lib.checkpoints import (
    CheckpointError,
    Checkpoints,
    generator_states,
    set_generator_states,
)
from lib.models.mlp import Linear
from lib.optimizers import Adam, Momentum
from lib.regularizers import Dropout, EarlyStopping
from lib.schedules import Cosine
from lib.training import History, fit, minibatches, train

N, BATCH, STEPS = 22, 4, 17  # six batches an epoch, the last one small


class Net(nn.Module):
    """A perceptron with dropout, which draws from a generator of its own."""

    def __init__(self, seed=0):
        super().__init__()
        self.a, self.drop = Linear(3, 8, seed=seed), Dropout(0.4, seed=seed)
        self.b = Linear(8, 1, seed=seed + 1)

    def forward(self, x):
        return self.b(self.drop(torch.tanh(self.a(x))))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=generator)
    return x, x.sum(1, keepdim=True)


def start(data, seed=0, **options):
    """A fresh run of the setting under test; returns its model, optimizer and steps."""
    model = Net(seed)
    optimizer = Adam(model.parameters(), learning_rate=0.05)
    options = {"steps": STEPS, "schedule": Cosine(0.05, STEPS), **options}
    batches = minibatches(*data, BATCH, seed=seed)
    return model, optimizer, train(model, mse_loss, batches, optimizer, **options)


def take(run, halt=None):
    """Take the steps of a run, up to step `halt` or to its end."""
    for step in run:
        if step.step == halt:
            break
    run.close()


def flat(optimizer):
    return [optimizer.theta, *optimizer._flats[0].state.values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("stop", [1, 5, 6, 8, 12, 16])
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(data, tmp_path, stop):
    whole = History()
    expected, by_once, run = start(data, history=whole)
    list(run)
    _, _, run = start(data, checkpoints=Checkpoints(tmp_path, every=1))
    take(run, stop)
    # Everything is made anew, with other weights, another order and another dropout.
    history = History()
    model, optimizer, run = start(
        data, 7, checkpoints=Checkpoints(tmp_path), resume=True, history=history
    )
    left = list(run)
    assert [s.step for s in left] == [*range(stop + 1, STEPS + 1)]
    assert same(flat(optimizer), flat(by_once))
    drops = [m.drop.generator.get_state() for m in (model, expected)]
    assert torch.equal(*drops)
    assert history == whole
    assert history.loss == whole.loss
    assert left[-1].examples == 2 * N + 5 * BATCH


def check_resuming(run, folder):
    """`run(seed, halt, **options)` gives the same weights in one and in two parts."""
    whole = run(0)
    run(0, halt=9, checkpoints=Checkpoints(folder, every=3))
    resumed = run(5, checkpoints=Checkpoints(folder), resume=True)
    assert torch.equal(whole, resumed)


def torch_run(data, seed, halt=None, **options):
    """A run with torch's optimizer and loader; returns the weights after it."""
    model = Net(seed)
    batches = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*data),
        batch_size=5,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    take(train(model, mse_loss, batches, optimizer, epochs=3, **options), halt)
    return [x.clone() for x in model.state_dict().values()]


def test_torch_optimizer_and_torch_batches_resume_too(data, tmp_path):
    whole = torch_run(data, 0)
    half = torch_run(data, 0, halt=9, checkpoints=Checkpoints(tmp_path, every=7))
    assert not same(half, whole)
    resumed = torch_run(data, 3, checkpoints=Checkpoints(tmp_path), resume=True)
    assert same(resumed, whole)


def test_generator_that_draws_between_batches_is_where_it_was(data, tmp_path):
    """Noise from the batches' own generator, which skipping must not move on."""

    class Noisy(minibatches):
        def __iter__(self):
            for x, y in super().__iter__():
                yield x + torch.randn(x.shape, generator=self.generator), y

    def run(seed, halt=None, **options):
        model = Net(seed)
        batches = Noisy(*data, BATCH, seed=seed)
        optimizer = Adam(model.parameters())
        take(train(model, mse_loss, batches, optimizer, steps=15, **options), halt)
        return optimizer.theta

    check_resuming(run, tmp_path)


def test_generator_that_others_draw_from_is_where_it_was(data, tmp_path):
    def run(seed, halt=None, **options):
        model, batches = Net(seed), minibatches(*data, BATCH, seed=seed)
        optimizer = Adam(model.parameters())

        def noisy_loss(predictions, targets):
            noise = torch.randn(targets.shape, generator=batches.generator)
            return mse_loss(predictions, targets + noise)

        take(train(model, noisy_loss, batches, optimizer, steps=15, **options), halt)
        return optimizer.theta

    check_resuming(run, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate": 4, "clip_norm": 0.3},
        {"precision": "bfloat16"},
        {"precision": "float16"},
    ],
)
def test_steps_that_are_not_plain_resume(data, tmp_path, options):
    options = {"steps": 7, **options}
    *_, optimizer, run = start(data, **options)
    list(run)
    _, _, run = start(data, **options, checkpoints=Checkpoints(tmp_path, every=3))
    assert next(s for s in run if s.step == 4)
    run.close()
    *_, again, run = start(
        data, 3, **options, checkpoints=Checkpoints(tmp_path), resume=True
    )
    assert [s.step for s in run] == [4, 5, 6, 7]
    assert same(flat(again), flat(optimizer))


def stopped_run(data, seed=0, **options):
    stopping = EarlyStopping(patience=3)
    values = [5.0, 3.0, 4.0, 2.0, float("nan"), 2.5, 2.4, 2.3]
    options = {
        "validation": data,
        "validate_every": 2,
        "metrics": {"fixed": lambda p, y: values.pop(0)},
        **options,
    }
    model, _, run = start(data, seed, stopping=stopping, monitor="fixed", **options)
    return model, stopping, run, values


def test_early_stopping_goes_on_counting_and_keeps_the_best_weights(data, tmp_path):
    model, stopping, run, _ = stopped_run(data)
    assert len(list(run)) == 14
    assert stopping.stopped
    stopping.restore(model)
    _, _, run, _ = stopped_run(data, checkpoints=Checkpoints(tmp_path, every=5))
    assert next(s for s in run if s.step == 11)
    run.close()
    history = History()
    again, resumed, run, values = stopped_run(
        data, 4, checkpoints=Checkpoints(tmp_path), resume=True, history=history
    )
    del values[:5]  # five validations before step 10
    assert [s.step for s in run] == [11, 12, 13, 14]
    assert history.ended == "stopped early"
    assert repr(resumed) == repr(stopping)
    resumed.restore(again)
    assert same(again.state_dict().values(), model.state_dict().values())
    _, _, run, _ = stopped_run(
        data, checkpoints=Checkpoints(tmp_path), resume=True, history=history
    )
    assert list(run) == []  # it was stopped, and stays so
    assert history.ended == "stopped early"


def test_finished_run_resumes_to_nothing(data, tmp_path):
    for options in ({"steps": 8}, {"steps": None, "epochs": 2}):
        folder = Checkpoints(tmp_path / str(options["steps"]), every=100)
        _, optimizer, run = start(data, checkpoints=folder, **options)
        list(run)
        _, again, run = start(data, 5, checkpoints=folder, resume=True, **options)
        assert list(run) == []
        assert same(flat(again), flat(optimizer))


def test_resuming_in_an_empty_folder_starts_the_run(data, tmp_path):
    *_, run = start(data, checkpoints=Checkpoints(tmp_path / "new"), resume=True)
    assert len(list(run)) == STEPS
    assert len(Checkpoints(tmp_path / "new").paths()) == 1


def test_new_run_does_not_write_over_an_earlier_one(data, tmp_path):
    list(start(data, checkpoints=Checkpoints(tmp_path))[2])
    with pytest.raises(ValueError, match="checkpoints of an earlier run"):
        start(data, checkpoints=Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="needs checkpoints"):
        start(data, resume=True)


def other_model(data):
    return nn.Linear(3, 1), {}


def other_size(data):
    model = Net()
    model.b = Linear(8, 2)
    return model, {}


def other_rule(data):
    model = Net()
    return model, {"optimizer": Momentum(model.parameters())}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_model, "'a.bias' had the shape"),
        (other_size, r"'b.bias' had the shape \(1,\) and has \(2,\)"),
        (other_rule, "state is of Adam, this is Momentum"),
        (lambda d: (Net(), {"schedule": Cosine(0.01, 4)}), "schedule was 'Cosine"),
        (lambda d: (Net(), {"accumulate": 2}), "accumulate was 1 and is 2"),
        (lambda d: (Net(), {"batches": [d]}), "batches have a generator in one"),
        (
            lambda d: (Net(), {"stopping": EarlyStopping(), "validation": d}),
            "stopping= is not what it was",
        ),
    ],
)
def test_checkpoint_of_another_run_is_refused_and_changes_nothing(
    data, tmp_path, change, words
):
    list(start(data, checkpoints=Checkpoints(tmp_path))[2])
    model, options = change(data)
    before = {name: x.clone() for name, x in model.state_dict().items()}
    optimizer = options.pop("optimizer", None) or Adam(model.parameters())
    batches = options.pop("batches", None) or minibatches(*data, BATCH)
    options = {"steps": STEPS, "schedule": Cosine(0.05, STEPS), **options}
    options |= {"checkpoints": Checkpoints(tmp_path), "resume": True}
    with pytest.raises(CheckpointError, match=words) as error:
        next(train(model, mse_loss, batches, optimizer, **options))
    assert "step_00000017.json" in str(error.value)
    assert same(model.state_dict().values(), before.values())


def test_shorter_data_than_before_is_refused(data, tmp_path):
    list(start(data, checkpoints=Checkpoints(tmp_path))[2])
    x, y = data
    *_, run = start((x[:4], y[:4]), checkpoints=Checkpoints(tmp_path), resume=True)
    assert list(run) == []  # nothing was left to do
    *_, run = start(
        (x[:4], y[:4]), checkpoints=Checkpoints(tmp_path), resume=True, steps=30
    )
    with pytest.raises(CheckpointError, match="5 batches into an epoch"):
        next(run)


def test_loader_that_shuffles_by_the_global_generator_is_refused(data, tmp_path):
    loader = torch.utils.data.DataLoader([data], shuffle=True)
    model = Net()
    with pytest.raises(ValueError, match="cannot be resumed"):
        train(
            model,
            mse_loss,
            loader,
            Adam(model.parameters()),
            steps=1,
            checkpoints=Checkpoints(tmp_path),
        )


def test_generators_of_a_model_go_to_another_one():
    model, other = Net(1), Net(2)
    assert generator_states(model) == {"drop.generator": None}
    x = torch.ones(50, 3)
    model(x), other(x), other(x)
    set_generator_states(other, generator_states(model))
    assert torch.equal(model.drop(torch.ones(99)), other.drop(torch.ones(99)))
    fresh = Net(2)
    set_generator_states(fresh, generator_states(model))
    assert torch.equal(model.drop(torch.ones(99)), fresh.drop(torch.ones(99)))
    set_generator_states(model, {"drop.generator": None})
    assert model.drop.generator is None


def test_generators_that_do_not_fit_are_refused():
    with pytest.raises(CheckpointError, match="no generator 'drop2"):
        set_generator_states(Net(), {"drop2.generator": None})
    states = {"drop.generator": {"device": "cuda:9", "state": torch.zeros(1)}}
    with pytest.raises(CheckpointError, match="was on cuda:9"):
        set_generator_states(Net(), states)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_fit_resumes_to_the_same_result(data, tmp_path):
    *_, optimizer, run = start(data)
    list(run)
    calls = []

    def interrupted(predictions, targets):
        calls.append(1)
        if len(calls) == 12:
            signal.raise_signal(signal.SIGINT)
        return mse_loss(predictions, targets)

    def options(seed, loss, **more):
        model = Net(seed)
        adam = Adam(model.parameters(), learning_rate=0.05)
        batches = minibatches(*data, BATCH, seed=seed)
        folder = Checkpoints(tmp_path, every=4)
        schedule = Cosine(0.05, STEPS)
        history = fit(
            model,
            loss,
            batches,
            adam,
            steps=STEPS,
            schedule=schedule,
            checkpoints=folder,
            **more,
        )
        return adam, history

    _, history = options(0, interrupted)
    assert history.ended == "interrupted"
    assert len(history) == 11
    again, history = options(9, mse_loss, resume=True)
    assert history.ended == "finished"
    assert len(history) == STEPS
    assert same(flat(again), flat(optimizer))
