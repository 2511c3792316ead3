"""The one training loop: what it computes, what it leaves behind, what it refuses."""

import math

import pytest
import torch
from torch.nn.functional import mse_loss

from lib.optimizers import GradientDescent
from lib.training import NonFiniteLoss, Step, minibatches, train
from tests.lib.training_cases import N, linear_data, make_model, modes, sgd, weights


@pytest.fixture
def data():
    return linear_data()


def test_training_equals_the_loop_written_by_hand(data):
    x, y = data
    model, twin = make_model(), make_model()
    losses = [
        step.loss for step in train(model, mse_loss, [(x, y)], sgd(model), steps=20)
    ]
    by_hand, expected = sgd(twin), []
    for _ in range(20):
        by_hand.zero_grad()
        loss = mse_loss(twin(x), y)
        loss.backward()
        by_hand.step()
        expected.append(loss.detach())
    assert torch.equal(torch.stack(losses), torch.stack(expected))
    assert torch.equal(weights(model), weights(twin))
    assert losses[-1] < 0.5 * losses[0]


def test_steps_count_epochs_and_examples(data):
    model = make_model()
    batches = minibatches(*data, batch_size=4)
    seen = list(train(model, mse_loss, batches, sgd(model, 0.05), epochs=2))
    assert [s.step for s in seen] == [1, 2, 3, 4, 5, 6]
    assert [s.epoch for s in seen] == [1, 1, 1, 2, 2, 2]
    assert [s.examples for s in seen] == [4, 8, 10, 14, 18, 20]
    assert {s.learning_rate for s in seen} == {0.05}
    assert isinstance(seen[0], Step)


def test_loss_is_a_detached_tensor_of_no_dimension(data):
    model = make_model()
    (step,) = train(model, mse_loss, [data], sgd(model), steps=1)
    assert step.loss.shape == ()
    assert not step.loss.requires_grad


def test_number_of_steps_may_end_inside_an_epoch(data):
    model = make_model()
    batches = minibatches(*data, batch_size=4)
    seen = list(train(model, mse_loss, batches, sgd(model), steps=4))
    assert [s.epoch for s in seen] == [1, 1, 1, 2]


def test_training_takes_no_batch_more_than_it_needs(data):
    taken = []

    class Counted:
        def __iter__(self):
            for _ in range(3):
                taken.append(1)
                yield data

    model = make_model()
    list(train(model, mse_loss, Counted(), sgd(model), steps=5))
    assert len(taken) == 5
    list(train(model, mse_loss, Counted(), sgd(model), epochs=2))
    assert len(taken) == 5 + 6


@pytest.mark.parametrize("kind", ["lib", "torch"])
def test_schedule_gives_the_rate_of_every_step(data, kind):
    model, twin = make_model(), make_model()
    optimizer = (
        sgd(model) if kind == "torch" else GradientDescent(model.parameters(), 9.0)
    )
    seen = list(
        train(
            model,
            mse_loss,
            [data],
            optimizer,
            steps=3,
            schedule=lambda n: 0.1 / (n + 1),
        )
    )
    assert [s.learning_rate for s in seen] == [0.1, 0.05, 0.1 / 3]
    for n in range(3):
        list(train(twin, mse_loss, [data], sgd(twin, 0.1 / (n + 1)), steps=1))
    torch.testing.assert_close(weights(model), weights(twin), rtol=1e-5, atol=1e-6)


def test_rate_may_be_changed_between_two_steps(data):
    model = make_model()
    optimizer = GradientDescent(model.parameters(), 0.1)
    rates = []
    for step in train(model, mse_loss, [data], optimizer, steps=3):
        rates.append(step.learning_rate)
        optimizer.learning_rate /= 2
    assert rates == [0.1, 0.05, 0.025]


@pytest.mark.parametrize("end", ["finish", "close", "break", "error"])
def test_every_part_gets_back_the_mode_it_had(data, end):
    model = make_model(dropout=0.5).eval()
    model[0].train()
    before = modes(model)
    run = train(model, mse_loss, [data], sgd(model), steps=3)
    assert modes(model) == before  # nothing happens before the first step
    next(run)
    assert all(modes(model))
    if end == "close":
        run.close()
    elif end == "error":
        with pytest.raises(KeyError):
            run.throw(KeyError)
    elif end == "finish":
        list(run)
    else:
        for _ in run:
            break
        del run
    assert modes(model) == before


def test_model_evaluated_between_steps_trains_on_in_training_mode(data):
    model = make_model(dropout=0.5)
    during = []
    model[2].register_forward_hook(lambda part, *_: during.append(part.training))
    for _ in train(model, mse_loss, [data], sgd(model), steps=3):
        model.eval()
    assert during == [True, True, True]
    assert all(modes(model))


def test_non_finite_loss_stops_before_the_update_only_when_asked(data):
    x, y = data
    bad = [(x, y), (x, y * math.inf)]
    model = make_model()
    run = train(model, mse_loss, bad, sgd(model), epochs=1, check_finite=True)
    next(run)
    before = weights(model)
    with pytest.raises(NonFiniteLoss, match="inf at step 2"):
        next(run)
    assert torch.equal(weights(model), before)
    model = make_model()
    assert len(list(train(model, mse_loss, bad, sgd(model), epochs=1))) == 2
    assert not weights(model).isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give one of the two"),
        ({"epochs": 1, "steps": 1}, "give one of the two"),
        ({"epochs": 0}, "epochs was 0"),
        ({"steps": -1}, "steps was -1"),
        ({"steps": 2.0}, "steps was 2.0"),
        ({"epochs": True}, "epochs was True"),
    ],
)
def test_wrong_counts_are_refused_at_the_call(data, arguments, words):
    model = make_model()
    with pytest.raises(ValueError, match=words):
        train(model, mse_loss, [data], sgd(model), **arguments)


def test_batches_that_give_nothing_are_refused(data):
    model = make_model()
    with pytest.raises(ValueError, match="nothing in epoch 1"):
        next(train(model, mse_loss, [], sgd(model), epochs=1))
    with pytest.raises(ValueError, match="nothing in epoch 2"):
        list(train(model, mse_loss, iter([data]), sgd(model), epochs=2))


def test_batch_that_is_no_pair_and_loss_that_is_no_number_are_refused(data):
    x, y = data
    model = make_model()
    with pytest.raises(ValueError, match="a batch was a Tensor"):
        next(train(model, mse_loss, [x], sgd(model), epochs=1))
    with pytest.raises(ValueError, match=r"the loss was \(10, 1\)"):
        next(train(model, lambda a, b: (a - b) ** 2, [(x, y)], sgd(model), epochs=1))
    with pytest.raises(ValueError, match="the loss was float"):
        next(train(model, lambda a, b: 0.0, [(x, y)], sgd(model), epochs=1))


def rows():
    x = torch.arange(N)
    return x, x * 10


def passes(batches, count):
    return [[x.tolist() for x, _ in batches] for _ in range(count)]


def test_every_pass_has_every_example_once_with_its_own_target():
    batches = minibatches(*rows(), batch_size=4, seed=3)
    for _ in range(2):
        pairs = list(batches)
        assert [len(x) for x, _ in pairs] == [4, 4, 2]
        assert torch.cat([x for x, _ in pairs]).sort().values.tolist() == list(range(N))
        assert all(torch.equal(y, x * 10) for x, y in pairs)


def test_each_pass_has_a_new_order_and_the_same_seed_the_same_orders():
    first = passes(minibatches(*rows(), batch_size=4, seed=3), 3)
    assert first == passes(minibatches(*rows(), batch_size=4, seed=3), 3)
    assert first != passes(minibatches(*rows(), batch_size=4, seed=4), 3)
    assert first[0] != first[1] != first[2]


def test_order_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    passes(minibatches(*rows(), batch_size=4), 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_generator_takes_the_place_of_a_seed():
    seeded = passes(minibatches(*rows(), batch_size=4, seed=7), 2)
    generator = torch.Generator().manual_seed(7)
    batches = minibatches(*rows(), batch_size=4, generator=generator)
    assert passes(batches, 2) == seeded


def test_last_small_batch_can_be_left_out():
    batches = minibatches(*rows(), batch_size=4, drop_last=True)
    assert [len(x) for x, _ in batches] == [4, 4]
    assert len(batches) == 2
    assert len(minibatches(*rows(), batch_size=4)) == 3
    assert len(minibatches(*rows(), batch_size=5, drop_last=True)) == 2


def test_full_batch_is_the_data_in_its_own_order():
    x, y = rows()
    ((all_x, all_y),) = batches = minibatches(x, y, batch_size=None)
    assert all_x is x
    assert all_y is y
    assert len(batches) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": torch.arange(9)}, "x has 10 examples and y has 9"),
        ({"x": torch.empty(0), "y": torch.empty(0)}, "at least 1"),
        ({"x": [1, 2]}, "x was a list"),
        ({"y": torch.tensor(1.0)}, "y was a Tensor"),
        ({"y": torch.arange(10, device="meta")}, "x is on cpu and y on meta"),
        ({"batch_size": 0}, "batch_size was 0"),
        ({"batch_size": 2.5}, "batch_size was 2.5"),
        ({"batch_size": 11, "drop_last": True}, "only batch"),
    ],
)
def test_wrong_minibatches_are_refused(change, words):
    x, y = rows()
    with pytest.raises(ValueError, match=words):
        minibatches(**{"x": x, "y": y, "batch_size": 4, **change})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_sees_the_same_batches_and_learns_the_same(data):
    x, y = rows()
    on_cpu = passes(minibatches(x, y, 4, seed=1), 2)
    assert passes(minibatches(x.cuda(), y.cuda(), 4, seed=1), 2) == on_cpu
    results = []
    for device in ("cpu", "cuda"):
        model = make_model().to(device)
        batches = minibatches(*(part.to(device) for part in data), batch_size=4)
        steps = list(train(model, mse_loss, batches, sgd(model), epochs=3))
        assert steps[0].loss.device.type == device
        results.append(weights(model).cpu())
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
