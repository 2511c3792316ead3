"""The four networks of the documents learn, and the files of MNIST are found."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib import document_networks, downloads
from lib.document_networks import (
    convolutional,
    dense,
    mnist_parts,
    pictures,
    reader,
    regularised,
    texts,
)
from lib.optimizers import Adam, Momentum

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "mnist-10k"


@pytest.fixture
def no_network(monkeypatch):
    def refused(*_given, **_options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(downloads, "urlopen", refused)
    monkeypatch.setattr(downloads, "fetch", refused)


@pytest.fixture
def digits(tmp_path):
    """Digits whatever lies in data/downloads."""
    return pictures(tmp_path)


def idx(numbers: torch.Tensor) -> bytes:
    """An IDX file of bytes."""
    sides = b"".join(side.to_bytes(4, "big") for side in numbers.shape)
    return b"\0\0\x08" + bytes([numbers.dim()]) + sides + numbers.numpy().tobytes()


def put(folder: Path, begin: str, count: int, ink: int) -> None:
    """Unpacked files of `count` pictures: `ink` everywhere, a number in the corner."""
    images = torch.full((count, 28, 28), ink, dtype=torch.uint8)
    images[:, 0, 0] = torch.arange(count)
    (folder / f"{begin}-images-idx3-ubyte").write_bytes(idx(images))
    labels = (torch.arange(count) % 10).to(torch.uint8)
    (folder / f"{begin}-labels-idx1-ubyte").write_bytes(idx(labels))


# The networks


def test_the_networks_are_as_the_documents_describe_them():
    assert dense().model.sizes == (784, 128, 10)
    assert regularised().model.sizes == (784, 64, 64, 10)
    assert convolutional().model.conv.weight.shape == (32, 1, 3, 3)
    model = reader(500).model
    assert model.embedding.weight.shape == (500, 64)
    assert (model.kind, model.dense.weight.shape) == ("lstm", (2, 64))
    rule = dense().optimizer
    assert isinstance(rule, Momentum)
    assert [rule.groups[0][k] for k in ("learning_rate", "momentum")] == [0.01, 0.9]
    for network in (regularised(), convolutional(), reader(500)):
        assert isinstance(network.optimizer, Adam)
        assert network.optimizer.learning_rate == 0.001
    assert [n.parameters for n in (dense(), regularised(), convolutional())] == [
        101_770, 55_050, 54_410,
    ]  # fmt: skip
    assert repr(dense()) == "Network(784-128-10, 101,770 parameters)"


def test_the_penalty_is_that_of_keras():
    network = regularised(seed=3, strength=0.01)
    x = torch.rand(5, 784, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 3, 4])
    first, second, last = network.model.layers
    squares = first.weight.pow(2).sum() + second.weight.pow(2).sum()
    expected = F.cross_entropy(network.model(x), y) + 0.01 * squares
    torch.testing.assert_close(network.loss(network.model(x), y), expected)
    network.penalty().backward()
    torch.testing.assert_close(first.weight.grad, 0.02 * first.weight)
    assert first.bias.grad is None
    assert last.weight.grad is None
    assert regularised(strength=0.0).penalty() == 0
    assert dense().penalty() == 0


def test_a_seed_gives_the_same_network_and_another_seed_another():
    for make in (dense, regularised, convolutional, lambda seed: reader(50, seed)):
        one, same, other = (
            nn.utils.parameters_to_vector(make(seed).model.parameters())
            for seed in (1, 1, 2)
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


def test_training_starts_from_the_seed_of_the_batches_and_can_be_cut_short(digits):
    x, y = digits.train.x[:96], digits.train.y[:96]
    runs = [dense().train(x, y, seed, epochs=2) for seed in (0, 0, 1)]
    assert [len(run) for run in runs] == [6, 6, 6]
    assert runs[0].loss == runs[1].loss != runs[2].loss
    whole = dense()
    history = whole.train(x[:32], y[:32], validation=(x, y))
    assert (len(history), history.epoch[-1]) == (10, 10)
    assert len(history.validation["loss"]) == 10


def test_the_networks_of_pictures_learn_digits(digits):
    bars = {dense: 0.9, lambda: regularised(strength=0.01): 0.87}
    for make, bar in bars.items():
        network = make()
        network.train(digits.train.x, digits.train.y)
        assert network.accuracy(digits.test.x, digits.test.y) >= bar
    network = convolutional()
    x, seen = (part.x.view(-1, 1, 28, 28) for part in (digits.train, digits.test))
    network.train(x[:500], digits.train.y[:500], epochs=3)
    assert network.accuracy(seen, digits.test.y) >= 0.7


def test_the_reader_learns_to_tell_praise_from_complaint():
    data = texts()
    network = reader(len(data.tokenizer))
    network.train(data.train[0][:640], data.train[1][:640], epochs=4)
    assert network.accuracy(data.train[0][:640], data.train[1][:640]) >= 0.75


def test_they_learn_real_mnist_too():
    if not REAL.is_dir():
        pytest.skip(f"NOT RUN: MNIST's files are not in {REAL.name}")
    parts = pictures(REAL)
    assert parts.train.name == "mnist"
    assert [len(part) for part in parts] == [1000, 200, 597]
    network = dense()
    network.train(parts.train.x, parts.train.y)
    assert network.accuracy(parts.test.x, parts.test.y) >= 0.85


# What they learn


def test_without_files_of_mnist_it_is_the_digits_and_nobody_asks_the_network(
    tmp_path, no_network
):
    parts = pictures(tmp_path)
    assert mnist_parts(tmp_path) == []
    assert [len(part) for part in parts] == [1000, 200, 597]
    assert {part.name for part in parts} == {"digits"}
    assert parts.train.x.shape == (1000, 784)
    rows = torch.cat([torch.cat([p.x, p.y[:, None]], 1) for p in parts])
    assert len(rows.unique(dim=0)) == 1797  # each digit once


def test_the_draw_depends_on_the_seed_alone(tmp_path):
    one, same, other = (pictures(tmp_path, seed=seed).train for seed in (0, 0, 1))
    assert torch.equal(one.x, same.x)
    assert not torch.equal(one.x, other.x)
    assert one.y.bincount().min() > 60  # by chance, not in the order of the file


def test_one_part_of_mnist_is_cut_into_three(tmp_path, no_network):
    put(tmp_path, "t10k", 60, ink=9)
    assert mnist_parts(tmp_path) == ["test"]
    parts = pictures(tmp_path, train=30, validation=10, test=20)
    assert {part.name for part in parts} == {"mnist"}
    numbers = torch.cat([(255 * part.x[:, 0]).round() for part in parts])
    assert sorted(numbers.tolist()) == list(range(60))


def test_both_parts_of_mnist_keep_their_purpose(tmp_path, no_network):
    put(tmp_path, "train", 60, ink=9)
    put(tmp_path, "t10k", 40, ink=90)
    assert mnist_parts(tmp_path) == ["train", "test"]
    parts = pictures(tmp_path, train=30, validation=10, test=20)
    inks = [(255 * part.x[:, 1]).round().unique().tolist() for part in parts]
    assert inks == [[9], [9], [90]]


def test_half_of_a_part_does_not_count(tmp_path, no_network):
    put(tmp_path, "train", 60, ink=9)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert mnist_parts(tmp_path) == []
    assert pictures(tmp_path).train.name == "digits"


def test_a_damaged_file_and_wishes_that_cannot_be_met_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"2,797 pictures .* has 1,797"):
        pictures(tmp_path, train=2000)
    with pytest.raises(ValueError, match="validation was 0"):
        pictures(tmp_path, validation=0)
    put(tmp_path, "t10k", 60, ink=9)
    file = tmp_path / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut off or damaged"):
        pictures(tmp_path, train=30, validation=10, test=20)


def test_the_usual_folder_is_that_of_the_downloads():
    assert document_networks.FOLDER == downloads.DOWNLOADS / "mnist"


def test_reviews_are_cut_into_parts_that_share_no_review():
    data = texts()
    sizes = [(len(x), len(y)) for x, y in data[:3]]
    assert sizes == [(2400, 2400), (264, 264), (400, 400)]
    words = [{tuple(t for t in row if t) for row in x.tolist()} for x, _ in data[:3]]
    assert not words[0] & words[2]
    assert len(words[0] & words[1]) <= 2  # alike only where rare words are unknown
    assert int(data.train[0].max()) < len(data.tokenizer)
    assert all(0.35 < y.float().mean() < 0.65 for _, y in data[:3])
    assert not torch.equal(data.validation[0][0], texts(seed=1).validation[0][0])
