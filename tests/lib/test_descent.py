"""The race: the steps of torch.optim, the same for all, and honest about divergence."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.best_rates import BEST_RATES, find_best_rates
from lib.descent import CHUNK, RATE_GRID, Race, best_rate
from lib.optimizers import OPTIMIZERS
from lib.surfaces import SURFACES, gradient_noise

REFERENCE = {
    "GradientDescent": (torch.optim.SGD, {}),
    "SGD": (torch.optim.SGD, {}),
    "Momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "AdaGrad": (torch.optim.Adagrad, {}),
    "RMSProp": (torch.optim.RMSprop, {}),
    "Adam": (torch.optim.Adam, {}),
    "AdamW": (torch.optim.AdamW, {}),
}
BOWL, BEALE = SURFACES["bowl"], SURFACES["beale"]


def all_with(rate: float) -> dict:
    return {name: {"learning_rate": rate} for name in OPTIMIZERS}


def torch_path(name, surface, rate, steps, noise) -> np.ndarray:
    """(steps + 1, 2): torch.optim on autograd's gradient, with `noise` added to it."""
    theta = torch.tensor(surface.start, dtype=torch.float64, requires_grad=True)
    kind, options = REFERENCE[name]
    optimizer = kind([theta], lr=rate, **options)
    path = [theta.detach().clone()]
    for row in noise[:steps]:
        optimizer.zero_grad()
        surface.value(theta[0], theta[1]).backward()
        theta.grad += row
        optimizer.step()
        path.append(theta.detach().clone())
    return torch.stack(path).numpy()


@pytest.mark.parametrize("key", SURFACES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_path_is_that_of_torch_optim_on_autograd_gradients(name, key):
    surface, rate = SURFACES[key], BEST_RATES[key][name]
    if key == "noisy":  # a long step from ripple to ripple is chaos: roundings grow
        rate = min(rate, 0.2)
    level = 0.0 if name == "GradientDescent" else 0.3
    noise = level * gradient_noise(5, 50)
    race = Race(surface, {name: {"learning_rate": rate}}, surface.start, 50, level, 5)
    expected = torch_path(name, surface, rate, 50, noise)
    np.testing.assert_allclose(race.run().paths[0], expected, rtol=1e-12, atol=1e-12)
    values = [surface.value(x, y) for x, y in expected.tolist()]
    np.testing.assert_allclose(race.losses[0], values, rtol=1e-9, atol=1e-11)


def test_options_reach_the_optimizer():
    settings = {"Momentum": {"learning_rate": 0.1, "momentum": 0.0}}
    heavy = Race(BOWL, settings, BOWL.start, 20).run()
    plain = Race(BOWL, {"SGD": {"learning_rate": 0.1}}, BOWL.start, 20).run()
    np.testing.assert_array_equal(heavy.paths, plain.paths)


def test_same_seed_gives_the_same_race_and_another_seed_another():
    def paths(seed):
        return Race(BOWL, all_with(0.05), (1, 1), 30, 0.5, seed).run().paths

    np.testing.assert_array_equal(paths(3), paths(3))
    assert (paths(3)[1:, -1] != paths(4)[1:, -1]).all()


def test_the_seed_does_nothing_without_noise():
    first, second = (Race(BOWL, all_with(0.05), (1, 1), 30, 0, s).run() for s in (1, 2))
    np.testing.assert_array_equal(first.paths, second.paths)


def test_gradient_descent_alone_sees_the_exact_gradient():
    exact = Race(BOWL, all_with(0.05), (1, 1), 30).run().paths
    noisy = Race(BOWL, all_with(0.05), (1, 1), 30, noise=0.5).run().paths
    np.testing.assert_array_equal(noisy[0], exact[0])
    assert (noisy[1:, -1] != exact[1:, -1]).all()


def test_all_meet_the_same_noise_at_the_same_step():
    settings = {n: {"learning_rate": 0.1} for n in ("SGD", "Momentum", "Nesterov")}
    settings["Momentum"]["momentum"] = settings["Nesterov"]["momentum"] = 0.0
    sgd, *others = Race(BOWL, settings, (1, 1), 30, noise=1.0).run().paths
    for other in others:
        np.testing.assert_array_equal(other, sgd)


def test_all_take_the_same_number_of_steps():
    race = Race(BOWL, all_with(0.05), BOWL.start, 37).run()
    assert race.done == 37
    assert race.paths.shape == (8, 38, 2)
    assert np.isfinite(race.paths).all()
    assert (race.paths[:, 1:] != race.paths[:, :-1]).any(axis=2).all()


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Race(BOWL, all_with(0.05), BOWL.start, 20, noise=1.0).run()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("key", SURFACES)
@pytest.mark.parametrize("rate", [10.0, 1e6, 1e200])
def test_divergence_is_noted_with_its_step_and_without_noise(key, rate):
    surface = SURFACES[key]
    race = Race(surface, all_with(rate), surface.start, 60, noise=1.0).run()
    if rate > 10 or key in ("beale", "rosenbrock"):
        assert {"GradientDescent", "SGD", "Momentum"} <= set(race.diverged_at)
    assert race.done == 60
    for row, name in enumerate(race.names):
        end = race.diverged_at.get(name, 61)
        assert 1 <= end <= 61
        assert np.isfinite(race.losses[row, :end]).all()
        assert np.isfinite(race.paths[row, :end]).all()
        assert np.isnan(race.losses[row, end:]).all()
        assert np.isnan(race.paths[row, end:]).all()
        last = race.paths[row, end - 1], race.losses[row, end - 1]
        assert race.final(name) == (*last[0], last[1])


class Steep:
    """Python's `**` and exp raise OverflowError where multiplying gives infinity."""

    bounds = (-1e300, 1e300, -1e300, 1e300)

    def value(self, x, y):
        return x**4 + math.exp(abs(y))

    def gradient(self, x, y):
        return 4 * x**3, math.copysign(math.exp(abs(y)), y)


@pytest.mark.parametrize("start", [(2.0, 0.0), (0.0, 2.0)])
def test_an_overflow_in_the_surface_is_divergence(start):
    race = Race(Steep(), {"SGD": {"learning_rate": 10.0}}, start, 30).run()
    end = race.diverged_at["SGD"]
    assert np.isfinite(race.losses[0, :end]).all()
    assert np.isnan(race.losses[0, end:]).all()


def test_one_that_diverges_does_not_disturb_the_others():
    settings = {"SGD": {"learning_rate": 100.0}, "Adam": {"learning_rate": 0.1}}
    race = Race(BEALE, settings, BEALE.start, 60, noise=0.2).run()
    alone = Race(BEALE, {"Adam": settings["Adam"]}, BEALE.start, 60, noise=0.2).run()
    assert list(race.diverged_at) == ["SGD"]
    np.testing.assert_array_equal(race.paths[1], alone.paths[0])


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_a_descent_along_x_leaves_y_alone(noise):
    surface = SURFACES["himmelblau"]
    race = Race(surface, all_with(0.01), (1.0, 2.0), 40, noise, along_x=True).run()
    assert (race.paths[:, :, 1] == 2.0).all()
    assert (race.paths[:, 1:, 0] != 1.0).all()


def test_leaving_the_work_early_leaves_done_right():
    race = Race(BOWL, all_with(0.05), BOWL.start, 3 * CHUNK)
    assert race.done == 0
    work = race.work()
    next(work)
    next(work)
    work.close()
    assert race.done == 2 * CHUNK
    assert np.isfinite(race.paths[:, : race.done + 1]).all()
    assert np.isnan(race.paths[:, race.done + 1 :]).all()
    assert race.final("SGD")[:2] == tuple(race.paths[1, race.done])
    whole = Race(BOWL, all_with(0.05), BOWL.start, 3 * CHUNK).run()
    np.testing.assert_array_equal(race.paths[:, :17], whole.paths[:, :17])


@pytest.mark.parametrize(
    ("settings", "steps", "message"),
    [
        ({"Adams": {}}, 10, "no optimizer is called 'Adams'; there are GradientDesc"),
        ({}, 0, "steps was 0; a race needs at least 1"),
    ],
)
def test_a_wrong_argument_is_explained(settings, steps, message):
    with pytest.raises(ValueError, match=message):
        Race(BOWL, settings, (0, 0), steps)


def test_a_race_of_nobody_runs():
    race = Race(BOWL, {}, (1.0, 1.0), 20).run()
    assert race.done == 20
    assert race.paths.shape == (0, 21, 2)
    assert race.stays_on_map


def test_stays_on_map_looks_at_every_point_and_edge():
    def stays(rate, start=(3.0, 0.0)):
        settings = {"SGD": {"learning_rate": rate}}
        return Race(BOWL, settings, start, 10).run().stays_on_map

    assert stays(2.0)  # from edge to edge, which belongs to the map
    assert not stays(2.01)
    assert not stays(0.5, (0.0, -3.1))  # starts outside, ends inside
    assert not stays(1e9)


# ---- best_rate


def test_best_rate_is_the_one_that_ends_lowest():
    finals = {}
    for rate in RATE_GRID:
        race = Race(BEALE, {"Adam": {"learning_rate": rate}}, (1.0, 1.5), 60).run()
        finals[rate] = race.losses[0, -1] if race.stays_on_map else math.inf
    chosen = best_rate(BEALE, "Adam", (1.0, 1.5), 60)
    assert chosen == min(finals, key=finals.get)


def test_best_rate_hands_options_on():
    assert best_rate(BOWL, "Momentum", BOWL.start, 50, momentum=0.0) == 1.0
    assert best_rate(BOWL, "Momentum", BOWL.start, 50, momentum=0.9) < 1.0


def test_best_rate_takes_the_smallest_of_equals():
    def value(x, y):
        return 0.0 * x

    flat = replace(BOWL, value=value, gradient=lambda x, y: (0.0, 0.0))
    assert best_rate(flat, "SGD", (0.0, 0.0), 5) == RATE_GRID[0]


def test_best_rate_refuses_a_path_that_leaves_the_map_however_low_it_ends():
    def value(x, y):
        return -x * x / 2

    hill = replace(BOWL, value=value, gradient=lambda x, y: (-x, 0.0))
    start, rates = (0.01, 0.0), (0.01, 0.02, 0.03, 0.04)
    finals = [0.01 * (1 + rate) ** 200 for rate in rates]  # 0.07, 0.52, 3.7, 25.5
    assert finals[1] < 3 < finals[2]
    assert best_rate(hill, "GradientDescent", start, 200, rates) == 0.02


def test_best_rate_says_so_where_every_rate_leaves_the_map():
    slope = replace(BOWL, value=lambda x, y: -x, gradient=lambda x, y: (-1.0, 0.0))
    with pytest.raises(ValueError, match="SGD leaves the map at every rate from 1e-05"):
        best_rate(slope, "SGD", (3.0, 0.0), 5)


def test_best_rate_along_x_is_that_of_the_one_dimensional_race():
    ravine = SURFACES["ravine"]  # its curvature is 25 along y and 1 along x
    assert best_rate(ravine, "SGD", (-4.5, 1.0), 100) < 2 / 25
    assert best_rate(ravine, "SGD", (-4.5, 1.0), 100, along_x=True) > 2 / 25


def test_best_rate_of_an_unknown_optimizer_is_a_value_error():
    with pytest.raises(ValueError, match="no optimizer is called 'Lion'"):
        best_rate(BOWL, "Lion", BOWL.start)


@pytest.mark.slow
def test_the_table_of_best_rates_is_what_a_search_finds():
    assert find_best_rates() == BEST_RATES


def test_a_race_keeps_the_paths_that_would_come_out_the_same(monkeypatch):
    place = SURFACES["ravine"]
    terms = {"start": place.start, "steps": 40, "noise": 0.3, "seed": 2}
    first = {"Adam": {"learning_rate": 0.1}, "SGD": {"learning_rate": 1.0}}
    second = {"SGD": {"learning_rate": 1.0}, "Adam": {"learning_rate": 0.2}}
    earlier = Race(place, first, **terms).run()
    assert "SGD" in earlier.diverged_at
    expected = Race(place, second, **terms).run()
    stepped = []
    advance = Race._advance
    monkeypatch.setattr(
        Race,
        "_advance",
        lambda race, row, racer, step: (
            stepped.append(racer.name),
            advance(race, row, racer, step),
        ),
    )
    again = Race(place, second, **terms).keep(earlier).run()
    assert set(stepped) == {"Adam"}
    np.testing.assert_array_equal(again.paths, expected.paths)
    np.testing.assert_array_equal(again.losses, expected.losses)
    assert again.diverged_at == expected.diverged_at
    for name in second:
        assert again.final(name) == expected.final(name)


@pytest.mark.parametrize(
    "other", [{"start": (1.0, 1.0)}, {"noise": 0.1}, {"seed": 3}, {"along_x": True}]
)
def test_a_race_on_other_terms_keeps_nothing(other):
    place = SURFACES["ravine"]
    terms = {"start": place.start, "steps": 20, "noise": 0.3, "seed": 2}
    settings = {"Adam": {"learning_rate": 0.1}}
    earlier = Race(place, settings, **terms).run()
    kept = Race(place, settings, **{**terms, **other}).keep(earlier).run()
    fresh = Race(place, settings, **{**terms, **other}).run()
    np.testing.assert_array_equal(kept.paths, fresh.paths)


def test_a_race_that_was_left_early_is_not_kept():
    place, settings = SURFACES["ravine"], {"Adam": {"learning_rate": 0.1}}
    earlier = Race(place, settings, place.start, steps=40)
    next(earlier.work())
    whole = Race(place, settings, place.start, steps=40).run()
    kept = Race(place, settings, place.start, steps=40).keep(earlier).run()
    np.testing.assert_array_equal(kept.paths, whole.paths)


@pytest.fixture
def counted(monkeypatch):
    """(racer, step) of every step that any race takes from now on."""
    taken: list[tuple[str, int]] = []
    advance = Race._advance

    def noted(race, row, racer, step):
        taken.append((racer.name, step))
        advance(race, row, racer, step)

    monkeypatch.setattr(Race, "_advance", noted)
    return taken


def race_of(steps: int) -> Race:
    """Momentum and Adam keep state, and SGD diverges at this rate at step 4."""
    place = SURFACES["ravine"]
    settings = {
        "Momentum": {"learning_rate": 0.01},
        "SGD": {"learning_rate": 1.0},
        "Adam": {"learning_rate": 0.1},
    }
    return Race(place, settings, place.start, steps=steps, noise=0.3, seed=2)


def assert_same(race: Race, other: Race) -> None:
    np.testing.assert_array_equal(race.paths, other.paths)
    np.testing.assert_array_equal(race.losses, other.losses)
    assert race.diverged_at == other.diverged_at
    assert race.done == other.done == race.steps


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 39])
def test_a_shorter_race_is_the_beginning_of_a_longer_one(steps, counted):
    whole, wanted = race_of(40).run(), race_of(steps).run()
    assert whole.diverged_at == {"SGD": 4}
    counted.clear()
    assert_same(race_of(steps).keep(whole).run(), wanted)
    assert counted == []


def test_a_longer_race_goes_on_where_the_earlier_one_ended(counted):
    short, wanted = race_of(40).run(), race_of(57).run()
    counted.clear()
    assert_same(race_of(57).keep(short).run(), wanted)
    assert {step for _, step in counted} == set(range(41, 58))
    assert {name for name, _ in counted} == {"Momentum", "Adam"}


def test_going_back_to_more_steps_runs_none_of_them_again(counted):
    whole = race_of(40).run()
    some = race_of(25).keep(whole).run()
    few = race_of(5).keep(some).run()
    wanted, longer = race_of(30).run(), race_of(48).run()
    counted.clear()
    again = race_of(30).keep(few).run()
    assert_same(again, wanted)
    assert counted == []
    assert_same(race_of(48).keep(again).run(), longer)
    assert {step for _, step in counted} == set(range(41, 49))


def test_a_race_that_has_lent_its_racers_lends_them_no_more():
    short, wanted = race_of(40).run(), race_of(60).run()
    assert_same(race_of(60).keep(short).run(), wanted)
    assert_same(race_of(60).keep(short).run(), wanted)
    assert_same(race_of(20).keep(short).run(), race_of(20).run())


def test_a_prolonged_race_that_is_left_is_run_afresh_the_next_time():
    short, wanted = race_of(40).run(), race_of(60).run()
    left = race_of(60).keep(short)
    next(left.work())
    assert_same(race_of(60).keep(left).run(), wanted)
