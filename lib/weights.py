"""Reading weights from a safetensors file, nothing taken on trust.

The format holds names, shapes and numbers, and, unlike pickle, nothing that could run:
https://github.com/huggingface/safetensors. A file is checked before anything is built
from it: its SHA-256 where one is known, then the name, shape and kind of every tensor.

Left out: files in several parts; writing.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


class WeightsError(ValueError):
    """A file is not what it should be: damaged, incomplete, or of another model."""


def read_weights(
    path: str | Path,
    shapes: Shapes,
    prefix: str = "",
    ignore: Iterable[str] = (),
    sha256: str | None = None,
    optional: Shapes | None = None,
) -> dict[str, Tensor]:
    """The tensors of a safetensors file, exactly those that are expected.

    Args:
        shapes: of each tensor, by name.
        prefix: may stand before each name in the file.
        ignore: beginnings of names that are left in the file.
        sha256: what the file must have; None does not ask.
        optional: shapes of tensors that may be there or not.

    Returns:
        by the names of `shapes`; float32, float16 or bfloat16, as in the file.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: a file that is damaged or does not hold exactly these tensors. Its
            name and the tensor's are in the message.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if sha256 is not None:
        check_sha256(path, sha256)
    wanted = {**shapes, **(optional or {})}
    with _opened(path) as file:
        found = {name.removeprefix(prefix): name for name in file.keys()}  # noqa: SIM118
        if len(found) < len(file.keys()):
            raise WeightsError(f"{path} holds tensors with and without {prefix!r}.")
        kept = {n for n in found if not n.startswith(tuple(ignore))}
        _same_names(path, set(shapes), kept - set(optional or {}))
        for name in kept:
            shape = tuple(file.get_slice(found[name]).get_shape())
            if shape != wanted[name]:
                raise WeightsError(
                    f"{path}: {name!r} has the shape {shape}, but this model needs "
                    f"{wanted[name]}. Is the config right?"
                )
        weights = {name: file.get_tensor(found[name]) for name in kept}
    for name, tensor in weights.items():
        _check_numbers(path, name, tensor)
    return weights


@contextmanager
def _opened(path: Path) -> Iterator:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is damaged, cut off, or no safetensors file ({error}). "
            "Get it again."
        ) from None


def _same_names(path: Path, wanted: set[str], found: set[str]) -> None:
    for names, problem in (
        (wanted - found, "has no tensor"),
        (found - wanted, "has a tensor that this model has no place for:"),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WeightsError(
                f"{path} {problem} {min(names)!r}{more}. Is it a file of this kind of "
                "model, and is the config right?"
            )


def _check_numbers(path: Path, name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise WeightsError(
            f"{path}: {name!r} holds {tensor.dtype}; weights are floating-point."
        )
    if not tensor.isfinite().all():
        raise WeightsError(f"{path}: {name!r} holds infinite numbers or NaN.")


def check_sha256(path: str | Path, expected: str) -> None:
    """Raise `WeightsError` if a file has another SHA-256 than `expected`."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise WeightsError(
            f"{path} has the SHA-256 {found}, but the published file has {expected}. "
            "It is damaged or another version; get it again."
        )
