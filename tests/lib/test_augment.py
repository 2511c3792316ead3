"""Augmentation: what moves, what stays, and that a seed decides."""

import pytest
import torch
import torch.nn.functional as F

from lib import augment
from lib.losses import cross_entropy


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(B=6, C=2, height=9, width=7, dtype=torch.float32) -> torch.Tensor:
    x = torch.rand(B, C, height, width, generator=generator(9), dtype=torch.float64)
    return x.to(dtype) + 0.1  # nothing is 0, so zeros come from outside


PICTURES = {
    "affine": lambda x, g, s: augment.random_affine(x, g, 20 * s, 2 * s, 0.2 * s),
    "rotation": lambda x, g, s: augment.random_rotation(x, g, 30 * s),
    "scale": lambda x, g, s: augment.random_scale(x, g, 0.3 * s),
    "shift": lambda x, g, s: augment.random_shift(x, g, 2 * s),
    "flip": lambda x, g, s: augment.random_flip(x, g, 0.5 * s),
    "noise": lambda x, g, s: augment.random_noise(x, g, 0.1 * s),
    "cutout": lambda x, g, s: augment.cutout(x, g, 4 * s),
}
every_function = pytest.mark.parametrize("function", PICTURES.values(), ids=PICTURES)


@every_function
def test_strength_zero_gives_back_the_pictures(function):
    x = pictures()
    assert torch.equal(function(x, generator(), 0), x)


@every_function
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_dtype_stay_and_the_input_is_not_changed(function, dtype):
    x = pictures(dtype=dtype)
    before = x.clone()
    y = function(x, generator(), 1)
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert y.isfinite().all()
    assert torch.equal(x, before)
    assert not torch.equal(y, x)


@every_function
def test_the_seed_decides_and_the_global_generator_is_left_alone(function):
    x, before = pictures(), torch.get_rng_state()
    a, b, c = (function(x, generator(seed), 1) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(before, torch.get_rng_state())


@every_function
def test_each_picture_has_random_parameters_of_its_own(function):
    x = pictures(B=1).expand(40, -1, -1, -1)
    y = function(x, generator(), 1)
    different = len(y.flatten(1).unique(dim=0))
    assert different >= (2 if function is PICTURES["flip"] else 10)


@every_function
def test_a_batch_of_one_and_an_empty_batch_pass(function):
    assert function(pictures(B=1), generator(), 1).shape == (1, 2, 9, 7)
    assert function(pictures()[:0], generator(), 1).shape == (0, 2, 9, 7)


def affine(x, degrees=0.0, scale=1.0, shift=(0.0, 0.0)):
    B = len(x)
    return augment.affine(
        x,
        torch.full((B,), float(degrees)),
        torch.full((B,), float(scale)),
        torch.tensor(shift).expand(B, 2),
    )


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_quarter_turns_are_exact_and_go_anticlockwise(turns):
    x = pictures(height=8, width=8, dtype=torch.float64)
    torch.testing.assert_close(
        affine(x, 90 * turns), x.rot90(turns, (2, 3)), rtol=1e-5, atol=1e-5
    )


def test_a_turned_picture_that_is_not_square_is_not_distorted():
    x = torch.zeros(1, 1, 9, 15, dtype=torch.float64)
    x[0, 0, 4, 4:11] = 1  # a line of seven pixels through the middle
    upright = torch.zeros_like(x)
    upright[0, 0, 1:8, 7] = 1
    torch.testing.assert_close(affine(x, 90), upright, rtol=1e-5, atol=1e-5)


def test_shifts_go_down_and_right_and_zeros_come_in():
    x = pictures(dtype=torch.float64)
    y = affine(x, shift=(2.0, -1.0))
    torch.testing.assert_close(y[:, :, 2:, :-1], x[:, :, :-2, 1:])
    assert y[:, :, :2].abs().max() < 1e-6
    assert y[:, :, :, -1].abs().max() < 1e-6
    half = affine(x, shift=(0.5, 0.0))
    torch.testing.assert_close(half[:, :, 1:], (x[:, :, 1:] + x[:, :, :-1]) / 2)


def test_scale_enlarges_about_the_middle():
    x = torch.zeros(1, 1, 11, 11)
    x[0, 0, 3:8, 3:8] = 1
    mass = affine(x, scale=2.0).sum() / x.sum()
    assert mass.item() == pytest.approx(4, rel=0.1)
    small = affine(x, scale=0.5)[0, 0]
    torch.testing.assert_close(small, small.flip(0, 1))
    assert small[5, 5] == 1
    assert small[:3].abs().max() < 1e-5


def test_the_affine_map_equals_torchs_affine_grid():
    x = pictures(B=2, height=8, width=8, dtype=torch.float64)
    angle, scale = torch.tensor(25.0).deg2rad().double(), 1.3
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()])
    theta = F.pad(turn.reshape(2, 2) / scale, (0, 1)).expand(2, 2, 3)
    grid = F.affine_grid(theta, x.shape, align_corners=False)
    expected = F.grid_sample(x, grid, align_corners=False)
    torch.testing.assert_close(affine(x, 25.0, 1.3), expected, rtol=1e-5, atol=1e-5)


def test_half_precision_moves_a_large_picture_to_the_same_place():
    x = torch.zeros(1, 1, 300, 300)
    x[0, 0, 251, 140] = 1
    y = affine(x.bfloat16(), shift=(3.0, 3.0)).float()
    torch.testing.assert_close(y, affine(x, shift=(3.0, 3.0)), rtol=0, atol=0.01)
    assert y[0, 0, 254, 143] > 0.99


def test_random_shift_takes_every_whole_shift_and_no_other():
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1
    y = augment.random_shift(x.expand(400, -1, -1, -1), generator(), 2)
    assert (y.sum((1, 2, 3)) == 1).all()
    counts = y.sum((0, 1))
    assert counts.min() >= 4  # 16 expected at each of the 25 places
    assert counts.max() <= 40


def test_random_shift_equals_a_roll_with_zeros():
    x = pictures(B=30, C=3)
    y = augment.random_shift(x, generator(), 1)
    padded = F.pad(x, (1, 1, 1, 1))
    places = [padded[:, :, i : i + 9, j : j + 7] for i in range(3) for j in range(3)]
    hit = torch.stack([(y == p).flatten(1).all(1) for p in places])
    assert (hit.sum(0) == 1).all()
    assert (hit.sum(1) > 0).sum() >= 7


def test_flip_exchanges_left_and_right_with_its_probability():
    x = pictures(B=1).expand(500, -1, -1, -1)
    assert torch.equal(augment.random_flip(x, generator(), 1.0), x.flip(-1))
    y = augment.random_flip(x, generator(), 0.3)
    flipped = (y == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(y[~flipped], x[~flipped])
    assert 0.22 < flipped.float().mean() < 0.38


def test_noise_has_its_standard_deviation():
    x = torch.zeros(50, 1, 20, 20)
    noise = augment.random_noise(x, generator(), 0.3)
    assert noise.std().item() == pytest.approx(0.3, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)


def test_cutout_covers_a_square_and_nothing_else():
    x = pictures(B=200, height=12, width=12)
    y = augment.cutout(x, generator(), 5, value=-1.0)
    covered = (y == -1).any(1)
    assert torch.equal(y[:, 0][~covered], x[:, 0][~covered])
    assert torch.equal((y == -1).all(1), covered)  # in every channel
    sizes = covered.sum((1, 2))
    assert sizes.max() == 25
    assert sizes.min() >= 9  # at a corner at least its middle and half of it
    assert (covered.float().mean(0) > 0).all()


def test_mixup_mixes_pictures_and_targets_by_the_same_part():
    B, V = 64, 4
    y = torch.randint(V, (B,), generator=generator(3))
    x = F.one_hot(y, V).double()  # each picture is its own target
    mixed, q = augment.mixup(x, y, V, generator(), alpha=1.0)
    torch.testing.assert_close(mixed, q)
    torch.testing.assert_close(q.sum(1), torch.ones(B, dtype=torch.float64))
    assert ((q > 0.01) & (q < 0.99)).any(1).float().mean() > 0.5
    largest = q.max(1).values
    assert len(largest.unique()) > 30  # a part of its own for each
    assert torch.isfinite(cross_entropy(torch.zeros(B, V), q.float()))


def test_mixup_with_alpha_zero_mixes_nothing_and_small_alpha_little():
    x, y = pictures(B=50), torch.arange(50) % 3
    same, q = augment.mixup(x, y, 3, generator(), alpha=0)
    assert torch.equal(same, x)
    assert torch.equal(q.argmax(1), y)
    means = []
    for alpha in (0.05, 0.5, 5.0):
        x, y = torch.zeros(2000, 1), torch.arange(2000)
        _, q = augment.mixup(x, y, 2000, generator(), alpha)
        means.append(q.max(1).values.mean().item())
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.95
    assert means[2] < 0.7


TEXTS = ["one two three four five six seven eight", "alone", "", "a b"]


def test_dropped_words_keep_the_order_and_one_word_at_least():
    g = generator()
    for _ in range(20):
        new = augment.drop_words(TEXTS, g, 0.6)
        words = [t.split() for t in new]
        assert len(words[0]) >= 1
        order = [TEXTS[0].split().index(w) for w in words[0]]
        assert order == sorted(order)
        assert new[1:3] == ["alone", ""]
    many = augment.drop_words([TEXTS[0]] * 500, g, 0.25)
    assert sum(len(t.split()) for t in many) / 4000 == pytest.approx(0.75, abs=0.03)
    assert len(set(many)) > 50


def test_swapped_words_are_the_same_words_and_neighbours():
    g, words = generator(), TEXTS[0].split()
    seen = set()
    for text, *_ in (augment.swap_words(TEXTS, g) for _ in range(100)):
        new = text.split()
        wrong = [i for i in range(8) if new[i] != words[i]]
        assert wrong == [wrong[0], wrong[0] + 1]
        assert sorted(new) == sorted(words)
        seen.add(text)
    assert len(seen) == 7
    assert augment.swap_words(TEXTS, g, 9)[1:3] == ["alone", ""]


def test_texts_at_strength_zero_stay_as_they_are_even_their_spaces():
    texts = ["  two  spaces "]
    assert augment.drop_words(texts, generator(), 0) == texts
    assert augment.swap_words(texts, generator(), 0) == texts


def test_dropped_tokens_become_unknown_and_padding_stays():
    tokens = torch.arange(4000).reshape(40, 100) % 50
    new = augment.drop_tokens(tokens, generator(), 0.3, unknown=99)
    changed = new != tokens
    assert (new[changed] == 99).all()
    assert (new[tokens == 0] == 0).all()
    assert changed[tokens != 0].float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(augment.drop_tokens(tokens, generator(), 0, 99), tokens)
    assert (augment.drop_tokens(tokens, generator(), 1, 99)[tokens != 0] == 99).all()


@pytest.mark.gpu
@every_function
def test_a_generator_on_the_cpu_gives_the_same_pictures_on_the_gpu(function):
    x = pictures()
    y = function(x.cuda(), generator(), 1).cpu()
    torch.testing.assert_close(y, function(x, generator(), 1), rtol=1e-4, atol=1e-4)


X = torch.zeros(2, 1, 4, 4)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda g: augment.random_affine(X[0], g), ValueError, "B, C, height, width"),
        (lambda g: augment.random_shift(X.long(), g, 1), ValueError, "int64"),
        (lambda g: augment.random_rotation(X, g, -1), ValueError, "degrees is -1"),
        (lambda g: augment.random_scale(X, g, 1.0), ValueError, "to below 1"),
        (lambda g: augment.random_shift(X, g, 1.5), ValueError, "whole number"),
        (lambda g: augment.random_flip(X, g, 1.1), ValueError, "up to 1"),
        (lambda g: augment.random_noise(X, g, float("nan")), ValueError, "std is nan"),
        (lambda g: augment.cutout(X, g, -2), ValueError, "size is -2"),
        (lambda g: augment.cutout(X, g, float("inf")), ValueError, "size is inf"),
        (lambda g: augment.drop_words("text", g), TypeError, r"\[text\]"),
        (lambda g: augment.drop_words(["text"], g, 1.0), ValueError, "p is 1.0"),
        (lambda g: augment.swap_words(["text"], g, -1), ValueError, "swaps is -1"),
        (
            lambda g: augment.mixup(X, torch.tensor([0]), 2, g),
            ValueError,
            r"example, \(B,\)",
        ),
        (
            lambda g: augment.mixup(X, torch.tensor([0, 2]), 2, g),
            IndexError,
            "class 2",
        ),
    ],
)
def test_wrong_use_is_named_in_the_error(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(generator())
