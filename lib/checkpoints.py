"""Checkpoints: a training run on disk, so that it can go on as if it had never stopped.

A checkpoint is two files. The tensors are in the safetensors format, which, unlike
pickle, holds nothing that could run: https://github.com/huggingface/safetensors. All
else is JSON, to be read by people as well:

    step_00000120.json                    numbers, names, checksums
    step_00000120-3f9a81c2.safetensors    weights, moments, states of the generators

The JSON is written last, under another name, and renamed when it is complete, and it
names its tensors. So a checkpoint is there as a whole or not at all, even if the power
fails. `lib.training.train` decides what goes into one.

Left out: several processes that write together; writing in the background.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FORMAT = "large-models-workbook checkpoint, version 1"
OURS = re.compile(r"step_\d{8,}(-[0-9a-f]{8}\.safetensors|\.json)(\.part)?")
DTYPES = {int, float, str, bool, type(None)}

Tree = Any  # dicts, lists, tuples, numbers, strings, None and tensors, in one another


class CheckpointError(ValueError):
    """A checkpoint is damaged, incomplete, or of another run."""


class Checkpoints:
    """A folder of checkpoints of one run.

    Args:
        folder: made when first needed.
        every: steps between two checkpoints; `train` writes one after the last step as
            well.
        keep: how many of them stay; older ones are removed. Other files stay.

    Raises:
        ValueError: every or keep is not a whole number from 1.
    """

    def __init__(self, folder: str | Path, every: int = 100, keep: int = 3) -> None:
        for name, count in (("every", every), ("keep", keep)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{name} was {count!r}; give a whole number from 1.")
        self.folder, self.every, self.keep = Path(folder), every, keep

    def __repr__(self) -> str:
        return f"Checkpoints({len(self.paths())} in {self.folder})"

    def paths(self) -> list[Path]:
        """The JSON files that are there, oldest first."""
        found = self.folder.glob("step_*.json")
        ours = [path for path in found if OURS.fullmatch(path.name)]
        return sorted(ours, key=lambda path: int(path.stem.removeprefix("step_")))

    def save(self, step: int, tree: Tree) -> Path:
        """Write a checkpoint, and remove those that are too old.

        Args:
            step: steps done.
            tree: dicts (keys strings or whole numbers), lists, tuples, numbers, texts,
                None and tensors.

        Returns:
            the JSON file.

        Raises:
            TypeError: something else in the tree.
            OSError: the disk is full or may not be written; older ones are untouched.
        """
        from safetensors.torch import save

        tensors: dict[str, Tensor] = {}
        plain = _encode(tree, "", tensors)
        data = save(tensors)
        digest = hashlib.sha256(data).hexdigest()
        name = f"step_{step:08}"
        body = {
            "format": FORMAT,
            "step": step,
            "tensors": f"{name}-{digest[:8]}.safetensors",
            "sha256": digest,
            "tree": plain,
        }
        body["checksum"] = _checksum(body)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.json"
        _write(self.folder / body["tensors"], data)
        _write(path, json.dumps(body, indent=1, allow_nan=False).encode())
        self._remove_old()
        return path

    def load(self, path: str | Path | None = None) -> Tree:
        """What `save` was given; tensors on the CPU.

        Args:
            path: a JSON file; None takes the newest.

        Raises:
            FileNotFoundError: there is no checkpoint.
            CheckpointError: it is damaged, cut off or something else. The message names
                the file, and nothing is changed.
        """
        if path is None:
            paths = self.paths()
            if not paths:
                raise FileNotFoundError(f"There is no checkpoint in {self.folder}.")
            path = paths[-1]
        return read_checkpoint(path)

    def _remove_old(self) -> None:
        paths = self.paths()
        # From the newest: a JSON file goes before its tensors, so none ever lacks them.
        for path in paths[: -self.keep]:
            path.unlink()
        kept = {path.stem for path in paths[-self.keep :]}
        for path in self.folder.glob("step_*"):
            if not OURS.fullmatch(path.name) or path.suffix == ".json":
                continue
            if path.suffix == ".part" or not self._is_named(path, kept):
                path.unlink()  # of a process that was killed, or of a removed one

    def _is_named(self, tensors: Path, kept: set[str]) -> bool:
        """Whether a kept checkpoint has these tensors."""
        stem = tensors.stem.partition("-")[0]
        if stem not in kept:
            return False
        text = (self.folder / f"{stem}.json").read_text(encoding="utf-8")
        return f'"{tensors.name}"' in text


def read_checkpoint(path: str | Path) -> Tree:
    """A checkpoint by the name of its JSON file. Errors as in `Checkpoints.load`."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = Path(path)
    body = _read_json(path)
    file = path.parent / body["tensors"]
    if not file.is_file():
        raise CheckpointError(f"{file}, which belongs to {path}, is missing. {_HELP}")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != body["sha256"]:
        raise CheckpointError(
            f"{file} is damaged or cut off: its SHA-256 is not that in {path}. {_HELP}"
        )
    try:
        return _decode(body["tree"], load(data))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} does not fit to {path} ({error!r}).") from None


_HELP = "Delete both files of this checkpoint to go on from an older one."


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    try:
        body = json.loads(path.read_bytes())
    except ValueError as error:  # no JSON, or no text
        raise CheckpointError(
            f"{path} is damaged, cut off, or no checkpoint ({error}). {_HELP}"
        ) from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this kind: {FORMAT!r}.")
    if body.pop("checksum", None) != _checksum(body):
        raise CheckpointError(f"{path} was changed or is damaged. {_HELP}")
    if Path(body["tensors"]).name != body["tensors"]:
        raise CheckpointError(f"{path} names tensors outside its folder.")
    return body


def _checksum(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """The whole file or none: written beside its place, then renamed."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else the name may reach the disk before the data
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _encode(tree: Tree, name: str, tensors: dict[str, Tensor]) -> Any:
    """The tree for JSON. Tensors go to `tensors`; what JSON lacks gets a $ key."""
    if isinstance(tree, Tensor):
        name = name or "tensor"
        while name in tensors:  # {"a.b": x} and {"a": {"b": x}} give the same name
            name += "_"
        # A copy: parameters are views of one vector, and tied weights are the same.
        tensors[name] = tree.detach().cpu().clone().contiguous()
        return {"$tensor": name}
    if isinstance(tree, (list, tuple)):
        items = [_encode(x, f"{name}.{i}", tensors) for i, x in enumerate(tree)]
        return items if isinstance(tree, list) else {"$tuple": items}
    if isinstance(tree, dict):
        items = [
            (k, _encode(x, f"{name}.{k}" if name else str(k), tensors))
            for k, x in tree.items()
        ]
        if all(isinstance(k, str) and not k.startswith("$") for k in tree):
            return dict(items)
        return {"$items": [list(item) for item in items if _is_key(item[0])]}
    if type(tree) not in DTYPES:
        raise TypeError(
            f"{name!r} is a {type(tree).__name__}; a checkpoint holds dicts, lists, "
            "tuples, numbers, texts, None and tensors."
        )
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"$float": repr(tree)}
    return tree


def _is_key(key: Any) -> bool:
    if type(key) not in (str, int):
        raise TypeError(
            f"{key!r} is a key; a checkpoint takes texts and whole numbers."
        )
    return True


def _decode(tree: Any, tensors: dict[str, Tensor]) -> Tree:
    if isinstance(tree, list):
        return [_decode(x, tensors) for x in tree]
    if not isinstance(tree, dict):
        return tree
    match next(iter(tree), ""):
        case "$tensor":
            return tensors[tree["$tensor"]]
        case "$tuple":
            return tuple(_decode(x, tensors) for x in tree["$tuple"])
        case "$items":
            return {k: _decode(x, tensors) for k, x in tree["$items"]}
        case "$float":
            return float(tree["$float"])
    return {k: _decode(x, tensors) for k, x in tree.items()}


def generator_states(model: nn.Module) -> Tree:
    """States of the generators that the parts of a model hold, such as `Dropout`'s.

    torch's own `nn.Dropout` has none: it draws from the global generator, and a model
    with it does not resume exactly.
    """
    states = {}
    for name, part in model.named_modules():
        for key, value in vars(part).items():
            if isinstance(value, torch.Generator):
                states[f"{name}.{key}"] = {
                    "device": str(value.device),
                    "state": value.get_state(),
                }
            elif key == "generator" and value is None:  # it has not drawn yet
                states[f"{name}.{key}"] = None
    return states


def set_generator_states(model: nn.Module, states: Tree) -> None:
    """Give the parts of a model the generators that `generator_states` saw.

    Raises:
        CheckpointError: the model has no such part, or the device is not here.
    """
    parts = dict(model.named_modules())
    for where, saved in states.items():
        name, _, key = where.rpartition(".")
        if name not in parts or not hasattr(parts[name], key):
            raise CheckpointError(f"the model has no generator {where!r}.")
        if saved is None:
            setattr(parts[name], key, None)
            continue
        try:
            generator = getattr(parts[name], key)
            if generator is None or str(generator.device) != saved["device"]:
                generator = torch.Generator(saved["device"])
                setattr(parts[name], key, generator)
            generator.set_state(saved["state"])
        except RuntimeError as error:
            raise CheckpointError(
                f"generator {where!r} was on {saved['device']}, which cannot be had "
                f"here ({error}). Resume on such a device, or take the weights alone: "
                'model.load_state_dict(checkpoints.load()["model"]).'
            ) from None
