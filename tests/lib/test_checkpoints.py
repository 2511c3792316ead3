"""Checkpoint files: whole or not there, the last few kept, and damage is named."""

import json
import shutil

import pytest
import torch
from torch import nn

from lib.checkpoints import CheckpointError, Checkpoints, _checksum, read_checkpoint

TREE = {
    "w": torch.arange(6.0).view(2, 3),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "view": torch.arange(10)[::2],
    "a.b": torch.tensor(1.0),
    "a": {"b": torch.tensor(2.0)},
    "numbers": [1, 2.5, True, None, "text", float("inf"), (0.9, 0.999)],
    "by number": {0: {"step": 3}, 1: "x"},
    "empty": {},
}


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        pairs = zip(a, b, strict=True)
        return type(a) is type(b) and all(equal(x, y) for x, y in pairs)
    return type(a) is type(b) and a == b


def test_tree_comes_back_as_it_was(tmp_path):
    path = Checkpoints(tmp_path).save(3, TREE)
    assert path.name == "step_00000003.json"
    back = Checkpoints(tmp_path).load()
    assert equal(back, TREE)
    assert not equal(back, {**TREE, "view": torch.arange(5)})


def test_nan_and_shared_memory_are_kept(tmp_path):
    whole = torch.arange(4.0)
    tree = {"x": [float("nan"), float("-inf")], "tied": [whole[:2], whole[:2], whole]}
    Checkpoints(tmp_path).save(0, tree)
    back = Checkpoints(tmp_path).load()
    assert back["x"][0] != back["x"][0]
    assert back["x"][1] == float("-inf")
    assert equal(back["tied"], tree["tied"])


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"f": {"g": len}}, "'f.g' is a builtin_function"),
        ({(1, 2): 3}, r"\(1, 2\) is a key"),
        ({"m": nn.Linear(1, 1)}, "'m' is a Linear"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_no_file(tmp_path, tree, words):
    with pytest.raises(TypeError, match=words):
        Checkpoints(tmp_path).save(0, tree)
    assert list(tmp_path.iterdir()) == []


def test_only_the_last_ones_are_kept_and_strange_files_stay(tmp_path):
    strange = tmp_path / "step_notes.json"
    strange.write_text("mine")
    torn = tmp_path / "step_00000001.json.part"
    torn.write_text("torn")
    folder = Checkpoints(tmp_path, keep=2)
    for step in (9, 10, 100, 101):
        folder.save(step, {"w": torch.tensor(step)})
    assert [p.name for p in folder.paths()] == [
        "step_00000100.json",
        "step_00000101.json",
    ]
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert strange.exists()
    assert not torn.exists()
    assert read_checkpoint(folder.paths()[0])["w"] == 100
    folder.save(101, {"w": torch.tensor(7)})  # once more, with other tensors
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert folder.load()["w"] == 7
    assert repr(folder) == f"Checkpoints(2 in {tmp_path})"


@pytest.mark.parametrize("fails", ["tensors", "json"])
def test_full_disk_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch, fails):
    folder = Checkpoints(tmp_path, keep=1)
    folder.save(1, TREE)
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == (1 if fails == "tensors" else 2):
            raise OSError("no space left")

    monkeypatch.setattr("lib.checkpoints.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        folder.save(1, {"w": torch.zeros(3)})
    assert equal(folder.load(), TREE)
    assert not list(tmp_path.glob("*.part"))


def cut(path, part=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])


def flip(path):
    """Change one byte in the middle: a number of a tensor, or of the JSON."""
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def edit(path, **change):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("json", cut, "damaged, cut off, or no checkpoint"),
        ("json", lambda p: p.write_bytes(b""), "damaged, cut off"),
        ("json", lambda p: p.write_bytes(b"\x80\x04\x95pickle"), "damaged, cut off"),
        ("json", lambda p: p.write_text("[1]"), "not a checkpoint of this kind"),
        ("json", lambda p: p.write_text('{"format": "x"}'), "not a checkpoint of this"),
        ("json", lambda p: edit(p, step=4), "was changed or is damaged"),
        ("json", lambda p: edit(p, tensors="../w"), "was changed or is damaged"),
        ("safetensors", cut, "damaged or cut off"),
        ("safetensors", flip, "damaged or cut off"),
        ("safetensors", lambda p: p.unlink(), "is missing"),
        ("safetensors", lambda p: p.write_bytes(b"PK\x03\x04"), "damaged or cut off"),
    ],
)
def test_damaged_file_is_named(tmp_path, file, damage, words):
    folder = Checkpoints(tmp_path)
    folder.save(1, {"w": torch.zeros(1)})
    folder.save(2, TREE)
    (path,) = tmp_path.glob(f"step_00000002*.{file}")
    damage(path)
    with pytest.raises(CheckpointError, match=words) as error:
        folder.load()
    assert str(path) in str(error.value)
    # What the message says to do helps.
    for each in tmp_path.glob("step_00000002*"):
        each.unlink()
    assert folder.load()["w"] == 0


def test_file_that_names_tensors_elsewhere_is_refused(tmp_path):
    folder = Checkpoints(tmp_path / "in")
    path = folder.save(1, TREE)
    (tensors,) = path.parent.glob("*.safetensors")
    shutil.move(tensors, tmp_path / "w")
    body = json.loads(path.read_text())
    del body["checksum"]
    body["tensors"] = "../w"
    path.write_text(json.dumps({**body, "checksum": _checksum(body)}))
    with pytest.raises(CheckpointError, match="outside its folder"):
        folder.load()


def test_missing_checkpoint_and_wrong_counts(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        Checkpoints(tmp_path / "none").load()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*x\.json"):
        Checkpoints(tmp_path).load(tmp_path / "x.json")
    with pytest.raises(ValueError, match="every was 0"):
        Checkpoints(tmp_path, every=0)
    with pytest.raises(ValueError, match="keep was True"):
        Checkpoints(tmp_path, keep=True)
