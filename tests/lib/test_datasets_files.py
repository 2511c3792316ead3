"""Pictures, sounds and points: files read and refused, downloads, what is drawn."""

import gzip
import hashlib
import io
import math
import tarfile
from pathlib import Path

import pytest
import torch

from lib import data_files, downloads, picture_files, sound_data
from lib.datasets import OTHERS, load
from lib.picture_files import read_idx
from lib.text_data import TEXTS

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "mnist-10k"


# Files of the repository


def a_folder(tmp_path: Path, content: bytes = b"right") -> Path:
    (tmp_path / "a.txt").write_bytes(content)
    checksum = data_files.sha256(tmp_path / "a.txt")
    (tmp_path / "CHECKSUMS").write_text(f"# remark\n{checksum}  a.txt\n")
    return tmp_path


def test_a_file_is_read_when_it_is_the_listed_one(tmp_path):
    folder = a_folder(tmp_path)
    assert data_files.read("a.txt", folder) == b"right"
    (folder / "a.txt").write_bytes(b"wrong")  # kept for the rest of the process
    assert data_files.read("a.txt", folder) == b"right"


@pytest.mark.parametrize("content", [b"wrong", b"righ", b""])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path, content):
    folder = a_folder(tmp_path)
    (folder / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.txt is damaged.*git checkout -- data/a"):
        data_files.read("a.txt", folder)


def test_a_missing_or_unknown_file_is_named_with_the_remedy(tmp_path):
    folder = a_folder(tmp_path)
    (folder / "a.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.txt is missing.*git checkout"):
        data_files.read("a.txt", folder)
    (folder / "b.txt").write_text("not listed")
    with pytest.raises(ValueError, match=r"'b\.txt' is not in .*CHECKSUMS"):
        data_files.read("b.txt", folder)
    with pytest.raises(FileNotFoundError, match=r"CHECKSUMS is missing; .* [Cc]lone"):
        data_files.read("a.txt", folder / "elsewhere")


# Downloads

URL = "https://example.org/f.bin"


def answer(content: bytes):
    return lambda request, timeout: io.BytesIO(content)


class BreaksOff(io.BytesIO):
    """Gives one block, and then the connection is lost."""

    def read(self, size=-1):
        if self.tell():
            raise ConnectionResetError("connection lost")
        return super().read(4)


def test_a_download_is_verified_and_takes_its_name_at_the_end(tmp_path):
    content, seen = b"abcabcabc", []

    def open_url(request, timeout):
        seen.append((request.full_url, timeout))
        return io.BytesIO(content)

    checksum = hashlib.sha256(content).hexdigest()
    path = downloads.fetch(URL, tmp_path / "new" / "f.bin", checksum, open_url)
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["f.bin"]
    assert seen == [(URL, downloads.TIMEOUT)]
    assert downloads.find("f.bin", checksum, [URL], path.parent) == path


@pytest.mark.parametrize(
    ("open_url", "error", "words"),
    [
        (answer(b"something else"), ValueError, "not the published"),
        (answer(b""), ValueError, "not the published"),
        (lambda request, timeout: BreaksOff(b"abcabcabc"), OSError, "connection lost"),
    ],
)
def test_nothing_is_left_of_a_download_that_fails(tmp_path, open_url, error, words):
    with pytest.raises(error, match=words):
        downloads.fetch(URL, tmp_path / "f.bin", "0" * 64, open_url)
    assert list(tmp_path.iterdir()) == []


def test_only_https_is_fetched(tmp_path):
    with pytest.raises(ValueError, match="not an https address"):
        downloads.fetch("http://example.org/f", tmp_path / "f", "0" * 64, answer(b""))


def no_network(*_, **__):
    raise OSError("no route to host")


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "fetch", no_network)
    with pytest.raises(FileNotFoundError) as caught:
        downloads.find("f.bin", "0" * 64, [URL, URL + "2"], tmp_path / "here")
    for words in ("f.bin is missing", URL, "no route to host", "on another computer"):
        assert words in str(caught.value)
    assert not (tmp_path / "here").exists()


def test_the_second_address_is_tried_when_the_first_fails(tmp_path, monkeypatch):
    def fetch(url, path, checksum):
        if url == URL:
            no_network()
        return path

    monkeypatch.setattr(downloads, "fetch", fetch)
    found = downloads.find("f.bin", "0" * 64, [URL, URL + "2"], tmp_path)
    assert found == tmp_path / "f.bin"


def test_a_file_with_another_checksum_is_not_taken(tmp_path):
    (tmp_path / "f.bin").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"f\.bin is damaged or another file"):
        downloads.find("f.bin", "0" * 64, [], tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_set_that_is_not_there_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "fetch", no_network)
    with pytest.raises(FileNotFoundError, match=r"https://.* put the file, unchanged"):
        load(name, folder=tmp_path)
    with pytest.raises(ValueError, match="part is 'validation'; choose one of train"):
        load(name, folder=tmp_path, part="validation")


# IDX files


def idx(*sides: int, values: bytes | None = None) -> bytes:
    body = bytes(i % 10 for i in range(math.prod(sides))) if values is None else values
    head = bytes([0, 0, 8, len(sides)])
    return head + b"".join(side.to_bytes(4, "big") for side in sides) + body


def test_an_idx_file_is_read_in_its_order():
    tensor = read_idx(idx(2, 3, 4), "x")
    assert tensor.shape == (2, 3, 4)
    assert tensor.dtype == torch.uint8
    assert tensor.flatten().tolist() == [i % 10 for i in range(24)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (idx(2, 3)[:-1], "announces 2 x 3 bytes, and 5 follow"),
        (idx(2, 3) + b"\0", "and 7 follow"),
        (idx(2, 3)[:6], "cut off"),
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\0\x0d\x01" + idx(2)[4:], "begins with 00 00 0d 01"),
        (b"\x1f\x8b\x08\x00" + idx(2)[4:], "not an IDX file"),
        (b"\0\0\x08\x00", "number of sides from 1 to 3"),
    ],
)
def test_what_is_no_idx_file_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        read_idx(data, "some file")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not on this machine")
def test_the_real_mnist_test_files_are_read():
    from sklearn.neighbors import KNeighborsClassifier

    mnist = load("mnist", part="test", folder=REAL)
    assert mnist.x.shape == (10_000, 784)
    assert mnist.x.dtype == torch.float32
    assert (mnist.x.min(), mnist.x.max()) == (0, 1)
    # The number of each digit in the test set, as MNIST's users know it.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.y.bincount().tolist() == counts
    assert mnist.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    pictures = load("mnist", part="test", folder=REAL, flat=False)
    assert torch.equal(pictures.x.flatten(1), mnist.x)
    assert pictures.x.shape == (10_000, 1, 28, 28)
    near = KNeighborsClassifier(1).fit(mnist.x[:2000], mnist.y[:2000])
    assert near.score(mnist.x[2000:2500], mnist.y[2000:2500]) > 0.85  # they belong


def write_idx_set(folder: Path, part: str = "train", n: int = 5) -> None:
    (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(n, 28, 28))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(n))


def test_unpacked_files_of_fashion_mnist_are_read(tmp_path):
    write_idx_set(tmp_path, "t10k")
    clothes = load("fashion_mnist", part="test", folder=tmp_path)
    assert clothes.x.shape == (5, 784)
    assert clothes.y.tolist() == [0, 1, 2, 3, 4]
    assert clothes.x[0, :3].tolist() == pytest.approx([0, 1 / 255, 2 / 255])
    assert clothes.targets[9] == "ankle boot"


def test_packed_files_must_have_the_published_checksum(tmp_path, monkeypatch):
    write_idx_set(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    with pytest.raises(ValueError, match=r"images-idx3-ubyte\.gz is damaged or anot"):
        load("fashion_mnist", folder=tmp_path)
    sums = {path.name: data_files.sha256(path) for path in tmp_path.iterdir()}
    monkeypatch.setattr(picture_files, "FASHION_MNIST", sums)
    assert load("fashion_mnist", folder=tmp_path).x.shape == (5, 784)


@pytest.mark.parametrize("part", [slice(10), slice(40), slice(-4), slice(1, None)])
def test_a_packed_file_that_is_cut_off_is_refused(tmp_path, monkeypatch, part):
    write_idx_set(tmp_path)
    plain = tmp_path / "train-images-idx3-ubyte"
    packed = plain.with_name(plain.name + ".gz")
    packed.write_bytes(gzip.compress(plain.read_bytes())[part])
    monkeypatch.setitem(picture_files.MNIST, packed.name, data_files.sha256(packed))
    with pytest.raises(ValueError, match=r"ubyte\.gz is damaged and cannot be unpack"):
        load("mnist", folder=tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (idx(5, 28, 28), idx(4), "do not belong together"),
        (idx(5, 28, 27), idx(5), "do not belong together"),
        (idx(5), idx(5, 28, 28), "do not belong together"),
        (idx(2, 28, 28), idx(2, values=b"\x03\x0a"), "they must be 0 to 9"),
        (idx(0, 28, 28), idx(0), "holds nothing"),
    ],
)
def test_idx_files_that_do_not_fit_are_refused(tmp_path, images, labels, words):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(ValueError, match=words):
        load("mnist", folder=tmp_path)


# CIFAR-10


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(picture_files, "BATCH", 2)


def record(label: int) -> bytes:
    """A red picture whose brightness is the label, green 100, blue 200."""
    return bytes([label, *[label] * 1024, *[100] * 1024, *[200] * 1024])


def test_cifar_batches_are_read_as_label_red_green_blue(tmp_path, small_batches):
    for i in range(1, 6):
        (tmp_path / f"data_batch_{i}.bin").write_bytes(record(i) + record(9))
    things = load("cifar10", folder=tmp_path)
    assert things.x.shape == (10, 3, 32, 32)
    assert things.y.tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert (things.x[2, 0] * 255).round().unique().tolist() == [2]
    assert (things.x[2, 1:] * 255).round().unique().tolist() == [100, 200]
    assert load("cifar10", folder=tmp_path, flat=True).x.shape == (10, 3072)


def test_cifar_is_read_from_its_archive_and_nothing_is_unpacked(
    tmp_path, small_batches, monkeypatch
):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        info = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        info.size = 2 * picture_files.RECORD
        packed.addfile(info, io.BytesIO(record(3) + record(4)))
    with pytest.raises(ValueError, match=r"tar\.gz is damaged or another file"):
        load("cifar10", part="test", folder=tmp_path)
    sums = {archive.name: data_files.sha256(archive)}
    monkeypatch.setattr(picture_files, "CIFAR10", sums)
    assert load("cifar10", part="test", folder=tmp_path).y.tolist() == [3, 4]
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (record(1), "cut off or another file: it has 3,073 bytes"),
        ((record(1) + record(2))[:-1], "must have 6,146"),
        (record(1) + record(10), "they must be 0 to 9"),
    ],
)
def test_cifar_batches_of_another_form_are_refused(
    tmp_path, small_batches, content, words
):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        load("cifar10", part="test", folder=tmp_path)


# Sets inside scikit-learn


def test_wine_and_breast_cancer_are_scikit_learns():
    from sklearn.datasets import load_breast_cancer as cancer
    from sklearn.datasets import load_wine

    for name, reference in (("wine", load_wine()), ("breast_cancer", cancer())):
        ours = load(name)
        assert torch.equal(ours.x, torch.from_numpy(reference.data).float())
        assert ours.y.tolist() == reference.target.tolist()
        assert len(ours.features) == ours.x.shape[1]
        assert len(ours.targets) == len(ours.y.unique())
    assert load("breast_cancer").targets == ("malignant", "benign")


def test_photographs_are_a_temple_and_a_flower():
    two = load("photographs")
    assert two.x.shape == (2, 3, 427, 640)
    assert (two.x.min(), two.x.max()) == (0, 1)
    china, flower = two.x
    sky = china[:, :60]
    assert sky[2].mean() > sky[0].mean() + 0.05  # more blue than red
    petals = flower[:, 120:240, 240:380]
    assert petals[0].mean() > petals[2].mean() + 0.2
    assert two.describe().endswith("CC BY 2.0")


# Points in the plane

PLANE = ["circles", "moons", "spirals", "exclusive_or"]


@pytest.mark.parametrize("name", PLANE)
def test_points_come_from_the_seed_in_two_equal_classes(name):
    before = torch.get_rng_state()
    one, again, other = load(name), load(name), load(name, seed=1)
    assert torch.equal(one.x, again.x)
    assert torch.equal(one.y, again.y)
    assert not torch.equal(one.x, other.x)
    assert load(name, n=7).y.bincount().tolist() == [4, 3]
    assert one.y[:20].unique().tolist() == [0, 1]  # mixed
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", PLANE)
def test_no_line_divides_the_points_but_neighbours_do(name):
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    points = load(name, n=600)
    line = LogisticRegression().fit(points.x, points.y)
    assert line.score(points.x, points.y) < 0.92
    near = KNeighborsClassifier(5).fit(points.x[:400], points.y[:400])
    assert near.score(points.x[400:], points.y[400:]) > 0.9


def test_points_without_noise_lie_on_their_curves():
    x, y = (circles := load("circles", noise=0.0, inner=0.3)).x, circles.y
    radius = torch.where(y == 1, 0.3, 1.0)
    torch.testing.assert_close(x.norm(dim=1), radius)
    x, y = (moons := load("moons", noise=0.0)).x, moons.y
    centre = torch.stack([y.float(), y * 0.5], 1)
    torch.testing.assert_close((x - centre).norm(dim=1), torch.ones(len(y)))
    assert ((x[:, 1] >= 0) | (y == 1)).all()
    x, y = (four := load("exclusive_or", noise=0.0)).x, four.y
    assert torch.equal((x[:, 0] > 0) != (x[:, 1] > 0), y == 1)
    x, y = (arms := load("spirals", noise=0.0, turns=2.0)).x, arms.y
    assert x.norm(dim=1).max() <= 1.0001
    assert 0.15 < (x.norm(dim=1) < 0.5).float().mean() < 0.35  # a quarter of the area
    angle = torch.atan2(x[:, 1], x[:, 0]) - 4 * math.pi * x.norm(dim=1) - math.pi * y
    torch.testing.assert_close(angle.cos(), torch.ones(len(y)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("circles", {"n": 1}, "2 or more"),
        ("moons", {"n": 2.5}, "whole number"),
        ("moons", {"noise": -1}, "0 or more"),
        ("spirals", {"noise": math.nan}, "finite"),
        ("circles", {"inner": 1.0}, "between 0 and 1"),
        ("spirals", {"turns": 0}, "above 0"),
    ],
)
def test_points_that_cannot_be_are_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        load(name, **options)


# Shapes


def test_shapes_have_boxes_that_fit_their_masks():
    shapes = load("shapes", n=60, noise=0.0, seed=3)
    assert shapes.x.shape == (60, 3, 64, 64)
    assert shapes.masks.shape == (60, 64, 64)
    assert shapes.boxes.shape == (60, 3, 4)
    for boxes, labels, mask in zip(
        shapes.boxes, shapes.labels, shapes.masks, strict=True
    ):
        count = int((labels >= 0).sum())
        assert count >= 1
        assert (labels[count:] == -1).all()
        assert not boxes[count:].any()
        covered = torch.zeros_like(mask, dtype=torch.bool)
        for (left, top, right, bottom), label in zip(
            (boxes[:count] * 64).round().int().tolist(), labels.tolist(), strict=False
        ):
            assert 0 <= left < right <= 64
            assert 0 <= top < bottom <= 64
            inside = mask[top:bottom, left:right]
            assert (inside == label + 1).float().mean() > 0.25
            covered[top:bottom, left:right] = True
        assert not mask[~covered].any()  # nothing outside the boxes


def test_a_shape_alone_fills_its_box_as_its_kind_does():
    """A circle covers pi / 4 of its box, a square all of it, a triangle a half."""
    shapes = load("shapes", n=150, noise=0.0)
    alone = (shapes.labels >= 0).sum(1) == 1
    found = {0: [], 1: [], 2: []}
    for box, label, mask in zip(
        shapes.boxes[alone, 0],
        shapes.labels[alone, 0],
        shapes.masks[alone],
        strict=True,
    ):
        area = float((box[2:] - box[:2]).prod()) * 64 * 64
        found[int(label)].append(float((mask > 0).sum()) / area)
    for label, share in {0: math.pi / 4, 1: 1.0, 2: 0.5}.items():
        assert found[label]
        assert sum(found[label]) / len(found[label]) == pytest.approx(share, abs=0.05)


def test_a_shape_has_one_colour_that_stands_out_from_the_ground():
    shapes = load("shapes", n=10, noise=0.0)
    for x, mask in zip(shapes.x, shapes.masks, strict=True):
        ground = x[:, mask == 0]
        assert (ground == ground[:, :1]).all()
        shape = x[:, mask > 0]
        assert ((shape - ground[:, :1]).abs().sum(0) > 0.49).all()


def test_shapes_follow_the_seed_and_a_larger_set_begins_like_a_smaller():
    before = torch.get_rng_state()
    small, large = load("shapes", n=3, seed=5), load("shapes", n=6, seed=5)
    assert torch.equal(small.x, large.x[:3])
    assert not torch.equal(small.x, load("shapes", n=3, seed=6).x)
    assert torch.equal(before, torch.get_rng_state())
    taken = large.take(torch.tensor([4, 0]))
    assert torch.equal(taken.boxes, large.boxes[[4, 0]])
    assert torch.equal(taken.masks[1], large.masks[0])
    assert load("shapes", n=2, device="meta").masks.device.type == "meta"
    assert "3 pictures of 3 x 64 x 64" in repr(small)
    assert small.describe().count("\n") == 2


@pytest.mark.parametrize("options", [{"n": 0}, {"size": 16}, {"noise": -1}, {"n": 2.0}])
def test_shapes_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match="give whole numbers n of 1"):
        load("shapes", **options)


# Spoken digits


def test_mu_law_gives_back_what_the_script_stored():
    x = torch.linspace(-1, 1, 2001)
    code = (x.sign() * (255 * x.abs()).log1p() / math.log(256) + 1) / 2 * 255
    back = sound_data.from_mu_law(code.round().to(torch.uint8))
    assert (back - x).abs().max() < 0.025
    assert (back - x)[x.abs() < 0.01].abs().max() < 0.0006  # finer where it is soft
    ends = sound_data.from_mu_law(torch.tensor([0, 255], dtype=torch.uint8))
    torch.testing.assert_close(ends, torch.tensor([-1.0, 1.0]))


def test_spoken_digits_are_all_there_and_audible():
    digits = load("spoken_digits")
    assert digits.y.bincount().tolist() == [36] * 10
    assert digits.x.abs().amax(1).min() > 0.7
    assert digits.x.abs().max() <= 1
    seconds = (digits.x != 0).float().cumsum(1).argmax(1) / sound_data.RATE
    assert 0.2 < seconds.min() < seconds.max() < 1
    assert digits.targets[7] == "seven"


def test_voices_can_be_chosen():
    everyone, two = (
        load("spoken_digits"),
        load("spoken_digits", voices=["Kate", "Dave"]),
    )
    assert len(two) == 60
    assert two.x.shape[1] == everyone.x.shape[1]
    assert two.y.bincount().tolist() == [6] * 10
    for voices in (["Bob"], [], "Kate"):
        with pytest.raises(ValueError, match="give a list of one or more of Alba"):
            load("spoken_digits", voices=voices)


def test_a_new_voice_is_understood_by_its_spectrogram():
    """Ten voices teach, two others test: the digits can be learned."""
    from sklearn.linear_model import LogisticRegression

    def features(x):
        window = torch.hann_window(256)
        bands = torch.stft(x, 256, 128, window=window, return_complex=True).abs()
        frames = (bands.sum(1) > 1).sum(1).clamp(min=8)  # how long it lasts
        log = (bands[:, :96] + 0.05).log().unflatten(1, (24, 4)).mean(2)
        parts = [
            torch.nn.functional.interpolate(row[None, :, :n], size=12)[0]
            for row, n in zip(log, frames.tolist(), strict=True)
        ]
        return torch.stack(parts).flatten(1).numpy()

    others = ["Alba", "Bruce", "Carol", "Dave", "Edith", "Frank", "Grace", "Harry",
              "Iris", "Jack"]  # fmt: skip
    train = load("spoken_digits", voices=others)
    test = load("spoken_digits", voices=["Kate", "Liam"])
    model = LogisticRegression(C=0.01, max_iter=300).fit(features(train.x), train.y)
    assert model.score(features(test.x), test.y) > 0.8


# Everything together


def test_every_other_set_is_in_the_readme_with_its_licence():
    readme = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    licences = {"mnist": "CC BY-SA 3.0", "fashion_mnist": "MIT", "cifar10": "none"}
    for name in OTHERS:
        row = next(r for r in readme.splitlines() if r.startswith(f"| `{name}` |"))
        assert (licences.get(name) or load(name).licence) in row
        if name in TEXTS and name != "prose":
            assert f"| {len(load(name)):,} " in row


def test_the_folder_stays_small():
    files = [path for path in (ROOT / "data").rglob("*") if path.is_file()]
    kept = [path for path in files if "downloads" not in path.parts]
    assert sum(path.stat().st_size for path in kept) < 6e6
