"""The data sets: what they hold, how they split, and the files in data/."""

import hashlib
import math
from pathlib import Path

import pytest
import torch

from lib.datasets import DATASETS, Dataset, Scaler, diabetes, digits, line, load

DATA = Path(__file__).parents[2] / "data"


def sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("name", DATASETS)
def test_every_set_loads_without_network_and_says_what_it_is(name, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a bundled data set opened the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    dataset = load(name)
    assert dataset.name == name
    assert dataset.x.dtype == torch.float32
    assert dataset.x.isfinite().all()
    assert len(dataset) == len(dataset.x) == len(dataset.y)
    assert all([dataset.description, dataset.source, dataset.licence])
    assert dataset.describe().count("\n") == 2
    assert len(repr(dataset)) < 80


def test_digits_are_scikit_learns_to_the_last_pixel():
    from sklearn.datasets import load_digits

    dataset, reference = digits(), load_digits()
    assert dataset.x.shape == (1797, 64)
    assert torch.equal(dataset.x * 16, torch.from_numpy(reference.data).float())
    assert dataset.y.dtype == torch.int64
    assert dataset.y.tolist() == reference.target.tolist()
    assert (dataset.x.min(), dataset.x.max()) == (0, 1)


def test_bundled_values_are_those_the_lessons_were_written_with():
    """A new release of scikit-learn that changes them must not pass unseen."""
    first, second = digits(), diabetes()
    assert sha256((first.x * 16).byte())[:16] == "8f26b2bd9d135c25"
    assert sha256(first.y)[:16] == "a3c91c262eddcf7b"
    assert sha256(second.x)[:16] == "364d6af10d06ac7e"
    assert sha256(second.y)[:16] == "64c6aa6f4027afae"


def test_digits_enlarge_to_the_size_of_mnist():
    small, large = digits(flat=False), digits(size=28, flat=False)
    assert small.x.shape == (1797, 1, 8, 8)
    assert large.x.shape == (1797, 1, 28, 28)
    assert digits(size=28).x.shape == (1797, 784)
    assert torch.equal(digits(size=28).x, large.x.flatten(1))
    assert large.x.min() >= 0
    assert large.x.max() <= 1
    ink, more = small.x.mean((1, 2, 3)), large.x.mean((1, 2, 3))
    torch.testing.assert_close(more, ink, rtol=0.05, atol=0.01)


@pytest.mark.parametrize("size", [7, 65, 0, -8, 8.0, "28"])
def test_digits_of_a_size_that_cannot_be_are_refused(size):
    with pytest.raises(ValueError, match="from 8 to 64"):
        digits(size=size)


def test_diabetes_is_in_the_units_of_the_study():
    dataset = diabetes()
    assert dataset.x.shape == (442, 10)
    assert len(dataset.features) == 10
    bmi = dataset.select("bmi").x
    assert bmi[0].item() == pytest.approx(32.1)
    assert (bmi.min().item(), bmi.max().item()) == pytest.approx((18.0, 42.2))
    age = dataset.select("age").x
    assert (age.min(), age.max()) == (19, 79)
    assert (dataset.y.min(), dataset.y.max()) == (25, 346)
    assert not dataset.is_classes


def test_line_scatters_about_the_line_it_states():
    exact = line(n=20, slope=-3.0, intercept=0.5, noise=0.0, seed=1)
    torch.testing.assert_close(exact.y, -3 * exact.x[:, 0] + 0.5)
    noisy = line(n=4000, noise=0.5)
    residual = noisy.y - (2 * noisy.x[:, 0] + 1)
    assert residual.mean().abs() < 0.03
    assert residual.std().item() == pytest.approx(0.5, rel=0.05)
    assert noisy.x.abs().max() <= 1
    assert torch.equal(line(seed=3).x, line(seed=3).x)
    assert not torch.equal(line(seed=3).x, line(seed=4).x)


@pytest.mark.parametrize(
    "options",
    [{"n": 0}, {"n": 2.5}, {"noise": -1}, {"noise": math.nan}, {"slope": math.inf}],
)
def test_a_line_that_cannot_be_is_refused(options):
    with pytest.raises(ValueError, match=r"give (a whole number|finite numbers)"):
        line(**options)


def test_load_refuses_an_unknown_name_with_the_list():
    with pytest.raises(ValueError, match="'mnits'; choose one of digits, diabetes"):
        load("mnits")


def test_load_passes_options_and_device():
    assert load("digits", size=16, device="cpu").x.shape == (1797, 256)
    moved = load("line", device="meta")
    assert (moved.x.device.type, moved.y.device.type) == ("meta", "meta")
    with pytest.raises(TypeError, match="colour"):
        load("line", colour="red")


@pytest.mark.parametrize("name", DATASETS)
def test_parts_share_no_example_and_lose_none(name):
    dataset = load(name)
    tagged = Dataset(**(vars(dataset) | {"x": torch.arange(len(dataset))[:, None]}))
    parts = tagged.split(validation=0.2, test=0.1)
    rows = torch.cat([part.x for part in parts]).flatten()
    assert rows.sort().values.tolist() == list(range(len(dataset)))
    for part in parts:
        assert torch.equal(part.y, dataset.y[part.x.flatten()])
        assert part.x.flatten().diff().min() > 0  # in the order of the set


def test_take_gives_the_rows_asked_for_in_that_order():
    dataset = line(n=5)
    taken = dataset.take(torch.tensor([4, 0, 2]))
    assert taken.x.tolist() == [dataset.x[i].tolist() for i in (4, 0, 2)]
    assert taken.y.tolist() == [dataset.y[i].item() for i in (4, 0, 2)]


def test_classes_keep_their_proportions_in_every_part():
    dataset = digits()
    counts = dataset.y.bincount()
    for part, share in zip(dataset.split(0.2, 0.1), (0.7, 0.2, 0.1), strict=True):
        assert (part.y.bincount() - share * counts).abs().max() <= 1


def test_split_follows_the_seed_alone():
    dataset, before = digits(), torch.get_rng_state()
    one, again, other = dataset.split(), dataset.split(seed=0), dataset.split(seed=1)
    assert torch.equal(one.train.x, again.train.x)
    assert not torch.equal(one.test.x, other.test.x)
    assert [len(part) for part in one] == [1259, 269, 269]
    assert torch.equal(before, torch.get_rng_state())


def test_a_part_can_be_left_out():
    train, validation, test = line(n=10).split(validation=0, test=0.3)
    assert [len(train), len(validation), len(test)] == [7, 0, 3]


@pytest.mark.parametrize(
    ("validation", "test", "words"),
    [
        (0.5, 0.5, "something is left to train"),
        (-0.1, 0.2, "0 or more"),
        (1.0, 0.0, "below 1"),
        (math.nan, 0.1, "below 1"),
        (0.01, 0.2, "less than one example"),
    ],
)
def test_shares_that_cannot_be_are_refused(validation, test, words):
    with pytest.raises(ValueError, match=words):
        line(n=10).split(validation, test)


def test_select_takes_features_by_name_in_the_order_given():
    dataset = diabetes()
    chosen = dataset.select("bp", "bmi (kg/m²)")
    assert torch.equal(chosen.x, dataset.x[:, [3, 2]])
    assert chosen.features == (dataset.features[3], dataset.features[2])
    with pytest.raises(ValueError, match=r"no features \['weight'\]; choose.*age, sex"):
        dataset.select("bmi", "weight")
    with pytest.raises(ValueError, match="choose one or more"):
        dataset.select()


def test_scaler_standardises_by_the_data_it_was_made_with_and_inverts():
    train, _, test = diabetes().split()
    scaler = Scaler(train.x)
    z = scaler(train.x)
    assert z.mean(0).abs().max() < 1e-5
    assert (z.std(0, correction=0) - 1).abs().max() < 1e-5
    assert scaler(test.x).mean(0).abs().max() > 0.01
    torch.testing.assert_close(scaler.inverse(z), train.x)
    target = Scaler(train.y)
    torch.testing.assert_close(target.inverse(target(test.y)), test.y)
    assert repr(Scaler(torch.tensor([1.0, 3.0]))) == "Scaler(mean=2, std=1)"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.ones(1, 2), "1 rows"),
        (torch.tensor([[1.0], [math.nan]]), "1 numbers are NaN"),
        (torch.tensor([[1.0, 5.0], [2.0, 5.0]]), r"Columns \[1\] hold one value"),
        (torch.full((5,), 0.1), r"Columns \[0\] hold one value"),
    ],
)
def test_scaler_refuses_what_has_no_scale(x, words):
    with pytest.raises(ValueError, match=words):
        Scaler(x)


def test_examples_and_targets_must_be_as_many():
    facts = vars(line(n=3)) | {"y": torch.zeros(2)}
    with pytest.raises(ValueError, match="3 examples but 2 targets"):
        Dataset(**facts)


# The files in data/


def problems(folder: Path) -> list[str]:
    """What is wrong between CHECKSUMS and the files beside it; empty when nothing is.

    What lessons download goes to `downloads/`, is not in the repository, and is
    checked when it is read.
    """
    listed = {}
    for text in (folder / "CHECKSUMS").read_text(encoding="utf-8").splitlines():
        if text and not text.startswith("#"):
            checksum, _, name = text.partition("  ")
            listed[name] = checksum
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and "downloads" not in path.relative_to(folder).parts
    }
    readme = files.pop("README.md").read_text(encoding="utf-8")
    del files["CHECKSUMS"]
    found = [f"missing: {name}" for name in listed.keys() - files.keys()]
    found += [f"not in CHECKSUMS: {name}" for name in files.keys() - listed.keys()]
    found += [f"not in README.md: {name}" for name in files if name not in readme]
    for name in listed.keys() & files.keys():
        if hashlib.sha256(files[name].read_bytes()).hexdigest() != listed[name]:
            found.append(f"damaged: {name}")
    return sorted(found)


def test_files_in_data_are_those_of_checksums():
    assert problems(DATA) == []


def test_the_check_of_data_sees_every_kind_of_fault(tmp_path):
    (tmp_path / "README.md").write_text("a.csv b.csv sub/c.csv gone.csv")
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("2")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "large.bin").write_text("3")
    digest = {n: hashlib.sha256(n.encode()).hexdigest() for n in "12"}
    right = f"# remark\n{digest['1']}  a.csv\n{digest['2']}  b.csv\n"
    (tmp_path / "CHECKSUMS").write_text(right)
    assert problems(tmp_path) == []
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.csv").write_text("4")
    (tmp_path / "b.csv").write_text("2 and more")
    (tmp_path / "CHECKSUMS").write_text(right + f"{digest['1']}  gone.csv\n")
    expected = ["damaged: b.csv", "missing: gone.csv", "not in CHECKSUMS: sub/c.csv"]
    assert problems(tmp_path) == expected
    (tmp_path / "README.md").write_text("a.csv b.csv gone.csv")
    assert "not in README.md: sub/c.csv" in problems(tmp_path)


def test_every_bundled_set_is_in_the_readme_with_its_licence():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for name in DATASETS:
        row = next(r for r in readme.splitlines() if r.startswith(f"| `{name}` |"))
        assert load(name).licence in row
