"""Networks that train in step: fair, reproducible, and on a map that is true."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lib.loss_plane import flat_weights
from lib.model_race import MAP_EXAMPLES, ModelRace
from lib.models.mlp import MLP

SIZES = (64, 8, 10)
SETTINGS = {
    "SGD": {"learning_rate": 0.2},
    "Momentum": {"learning_rate": 0.05, "momentum": 0.8},
    "Adam": {"learning_rate": 0.01},
}


def make(settings=SETTINGS, **options) -> ModelRace:
    return ModelRace(settings, SIZES, device="cpu", **options)


def trained(steps: int, settings=SETTINGS, every: int = 5, **options) -> ModelRace:
    race = make(settings, **options)
    train(race, steps, every)
    return race


def train(race: ModelRace, steps: int, every: int = 5) -> None:
    for _ in range(steps // every):
        race.advance(every)
        race.record()


def rows(race: ModelRace, name: str) -> np.ndarray:
    return np.array([record.row() for record in race.history[name]])


@pytest.fixture(scope="module")
def race() -> ModelRace:
    """Forty steps with a record every five; tests only read it."""
    return trained(40)


# ---- training


def test_the_same_seed_gives_the_same_race_and_another_another(race):
    again, other = trained(40), trained(40, seed=1)
    assert again.history == race.history
    assert again.bounds == race.bounds
    for name in SETTINGS:
        assert (rows(other, name)[:, 3] != rows(race, name)[:, 3]).all()


def test_all_take_the_same_number_of_steps_and_records(race):
    assert race.step == 40
    for name, racer in race.racers.items():
        assert racer.optimizer.state_dict()["vectors"][0]["steps"] == [40] * 4
        assert [r.step for r in race.history[name]] == list(range(0, 41, 5))


def test_all_start_at_the_same_weights(race):
    first = [records[0] for records in race.history.values()]
    assert first[0] == first[1] == first[2]
    start = flat_weights(MLP(SIZES, seed=0))
    assert torch.equal(flat_weights(race.model), start)


@pytest.mark.parametrize("name", SETTINGS)
def test_company_changes_nothing(race, name):
    alone = trained(40, {name: SETTINGS[name]})
    assert alone.history[name] == race.history[name]


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("SGD", torch.optim.SGD, {}),
        ("Momentum", torch.optim.SGD, {"momentum": 0.8}),
        ("Adam", torch.optim.Adam, {}),
    ],
)
def test_a_racer_equals_torch_optim_on_the_same_batches(race, name, kind, options):
    model = MLP(SIZES, seed=0)
    optimizer = kind(model.parameters(), lr=SETTINGS[name]["learning_rate"], **options)
    generator = torch.Generator().manual_seed(0)
    batches: list[torch.Tensor] = []
    while len(batches) < 40:  # two epochs: the second has an order of its own
        batches += torch.randperm(len(race.x), generator=generator).split(64)
    for index in batches[:40]:
        optimizer.zero_grad()
        F.cross_entropy(model(race.x[index]), race.y[index]).backward()
        optimizer.step()
    theta = race.racers[name].optimizer.theta
    torch.testing.assert_close(flat_weights(model), theta, rtol=1e-4, atol=1e-6)


def test_every_example_is_seen_once_in_an_epoch(race):
    batches = race._orders()
    count = math.ceil(len(race.x) / 64)
    first, second = (torch.cat([next(batches) for _ in range(count)]) for _ in "ab")
    everything = torch.arange(len(race.x))
    assert torch.equal(first.sort().values, everything)
    assert torch.equal(second.sort().values, everything)
    assert not torch.equal(first, second)


def test_training_lowers_the_loss_and_digits_are_recognised(race):
    for name in SETTINGS:
        first, last = race.history[name][0], race.history[name][-1]
        assert last.train_loss < 0.9 * first.train_loss
        assert last.accuracy > first.accuracy + 0.2


def test_the_batch_size_is_the_one_asked_for():
    race = make({"SGD": {"learning_rate": 0.1}}, batch_size=7)
    assert len(next(race._orders())) == 7


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    trained(5)
    assert torch.equal(torch.get_rng_state(), before)


# ---- records


def test_a_record_holds_what_the_model_gives(race):
    for name, racer in race.racers.items():
        record, model = race.history[name][-1], racer.model
        with torch.no_grad():
            log_p = model(race.x[:MAP_EXAMPLES]).log_softmax(1)
            train = -log_p.gather(1, race.y[:MAP_EXAMPLES, None]).mean().item()
            x, y = race.check
            log_q = model(x).log_softmax(1)
        assert record.train_loss == pytest.approx(train, rel=1e-5)
        loss = -log_q.gather(1, y[:, None]).mean().item()
        assert record.validation_loss == pytest.approx(loss, rel=1e-5)
        right = sum(int(p.argmax()) == int(t) for p, t in zip(log_q, y, strict=True))
        assert record.accuracy == pytest.approx(right / len(y), rel=1e-6)


def test_place_and_distance_say_where_the_weights_are(race):
    for name, racer in race.racers.items():
        record, theta = race.history[name][-1], racer.optimizer.theta.detach()
        first, second = race.plane.directions
        nearest = race.plane.origin + record.a * first + record.b * second
        assert float((theta - nearest).norm()) == pytest.approx(record.off, rel=1e-4)
        for direction in (first, second):  # nearest: the rest is at right angles
            assert float((theta - nearest) @ direction) == pytest.approx(0, abs=1e-4)
    assert race.history["Adam"][-1].off > 0.1


def test_training_data_and_check_do_not_overlap(race):
    seen = {tuple(x.tolist()) for x in race.x}
    shared = sum(tuple(x.tolist()) in seen for x in race.check[0])
    assert shared <= 1  # digits has equal pictures now and then


# ---- the map


def on_grid(grid: torch.Tensor, bounds, a: float, b: float) -> float:
    """The grid's value at (a, b), linear between its four neighbours."""
    a0, a1, b0, b1 = bounds
    n = len(grid) - 1
    u, v = (a - a0) / (a1 - a0) * n, (b - b0) / (b1 - b0) * n
    i, j = min(int(u), n - 1), min(int(v), n - 1)
    s, t = u - i, v - j
    near = grid[j, i] * (1 - s) + grid[j, i + 1] * s
    far = grid[j + 1, i] * (1 - s) + grid[j + 1, i + 1] * s
    return float(near * (1 - t) + far * t)


def surface(race: ModelRace, size: int, through: str | None = None) -> torch.Tensor:
    *pieces, grid = race.surface_work(size, through)
    assert all(piece is None for piece in pieces)
    assert grid.shape == (size, size)
    assert grid.dtype == torch.float32
    return grid


@pytest.mark.parametrize("name", SETTINGS)
def test_the_map_through_a_racer_shows_the_loss_under_its_feet(race, name):
    record = race.history[name][-1]
    there = on_grid(surface(race, 33, name), race.bounds, record.a, record.b)
    assert there == pytest.approx(record.train_loss, rel=0.03)


def test_the_pilots_map_does_not(race):
    """Off the plane the map is another ground: this is why it can be moved."""
    for name in ("SGD", "Adam"):
        record = race.history[name][-1]
        own, pilots = (
            on_grid(surface(race, 33, through), race.bounds, record.a, record.b)
            for through in (name, None)
        )
        error = abs(own - record.train_loss)
        assert abs(pilots - record.train_loss) > 2 * error


def test_the_pilots_map_has_the_pilots_last_loss_at_zero(race):
    a0, a1, b0, b1 = race.bounds
    assert a0 < 0 < a1
    assert b0 < 0 < b1
    grid = surface(race, 33)
    model = MLP(SIZES, seed=0)
    torch.nn.utils.vector_to_parameters(race.plane.origin, model.parameters())
    with torch.no_grad():
        loss = F.cross_entropy(model(race.x[:MAP_EXAMPLES]), race.y[:MAP_EXAMPLES])
    assert on_grid(grid, race.bounds, 0, 0) == pytest.approx(float(loss), rel=0.1)
    assert 0.5 < race.share <= 1


def test_the_racers_start_on_the_map(race):
    record = race.history["SGD"][0]
    a0, a1, b0, b1 = race.bounds
    assert a0 < record.a < a1
    assert b0 < record.b < b1


# ---- changes while it trains


def test_a_racer_with_an_absurd_rate_is_out_and_the_rest_go_on(race):
    lost = trained(40, {"Nesterov": {"learning_rate": 1e30}, **SETTINGS})
    assert [n for n, r in lost.racers.items() if not r.alive] == ["Nesterov"]
    assert np.isfinite(rows(lost, "Nesterov")).all()
    assert len(lost.history["Nesterov"]) < len(lost.history["Adam"])
    for name in SETTINGS:
        assert lost.history[name] == race.history[name]
    torch.testing.assert_close(surface(lost, 5, "Nesterov"), surface(race, 5))


def test_a_new_rate_takes_effect_at_once_and_for_one_only():
    race, same = trained(5), trained(10)
    race.set_rate("SGD", 0.0)
    still = race.racers["SGD"].optimizer.theta.clone()
    train(race, 5)
    assert torch.equal(race.racers["SGD"].optimizer.theta, still)
    assert race.history["Adam"] == same.history["Adam"]
    with pytest.raises(ValueError, match=r"no racer is called 'Lion'; .*SGD, Momentum"):
        race.set_rate("Lion", 0.1)


def test_begin_goes_back_to_the_first_weights_and_batch(race):
    again = trained(10)
    again.begin(SETTINGS)
    assert again.step == 0
    assert all(len(records) == 1 for records in again.history.values())
    train(again, 40)
    assert again.history == race.history


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"Adams": {}}, {}, "no optimizer is called 'Adams'; there are GradientDesc"),
        ({"Adam": {"learning_rate": -1}}, {}, "learning_rate is -1"),
        (SETTINGS, {"batch_size": 0}, "batch_size was 0; .* 1 or more"),
    ],
)
def test_a_wrong_argument_is_explained(settings, options, message):
    with pytest.raises(ValueError, match=message):
        make(settings, **options)


def test_a_race_of_nobody_runs():
    race = trained(5, {})
    assert race.history == {}
    assert race.step == 5


def moved_half_way(device: str) -> ModelRace:
    race = trained(20, {"Nesterov": {"learning_rate": 1e30}, **SETTINGS})
    race.set_rate("Momentum", 0.02)
    race.move_to(device)
    assert race.device == torch.device(device)
    assert race.step == 20
    train(race, 20)
    return race


def stayed() -> ModelRace:
    race = trained(20)
    race.set_rate("Momentum", 0.02)
    train(race, 20)
    return race


def test_a_move_keeps_weights_state_rates_batches_and_history():
    """To torch "cpu" and "cpu:0" are two devices, so that all is copied."""
    moved, same = moved_half_way("cpu:0"), stayed()
    for name in SETTINGS:
        assert moved.history[name] == same.history[name]
        assert torch.equal(
            moved.racers[name].optimizer.theta, same.racers[name].optimizer.theta
        )
    assert not moved.racers["Nesterov"].alive
    assert len(moved.history["Nesterov"]) < 9


def test_a_move_to_where_it_is_does_nothing():
    race = trained(5)
    racers = race.racers
    race.move_to("cpu")
    assert race.racers is racers


@pytest.mark.gpu
def test_a_move_to_the_gpu_and_back_keeps_the_race():
    moved, same = moved_half_way("cuda:0"), stayed()
    assert moved.racers["Adam"].optimizer.theta.is_cuda
    assert moved.racers["Adam"].optimizer.state_dict()["vectors"][0]["m"].is_cuda
    for name in SETTINGS:
        got, expected = rows(moved, name), rows(same, name)
        np.testing.assert_array_equal(got[:, 0], expected[:, 0])
        np.testing.assert_allclose(got[:, 3:5], expected[:, 3:5], rtol=0.02)
    moved.move_to("cpu")
    train(moved, 5)
    assert moved.step == 45
