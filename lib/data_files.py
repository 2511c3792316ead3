"""The files of `data/`, read only when they are the ones that CHECKSUMS names.

Every file is compared with its SHA-256 when it is read the first time in a process.
A file that is missing, damaged or changed gets an error with its name and the remedy.

Left out: files from elsewhere, which `downloads` fetches.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed(folder: str | Path = DATA) -> dict[str, str]:
    """{name: SHA-256} as the file CHECKSUMS in the folder says.

    Raises:
        FileNotFoundError: without that file, with the remedy.
    """
    path = Path(folder) / "CHECKSUMS"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; it belongs to the repository. Clone the repository "
            "again, and run from the clone (the data are not part of a wheel)."
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("  ", 1) for line in lines if line and line[0] != "#")
    return {name: checksum for checksum, name in pairs}


@cache
def read(name: str, folder: str | Path = DATA) -> bytes:
    """The bytes of a file of `data/`, verified. Kept for the rest of the process.

    Args:
        name: as in CHECKSUMS, "reviews.jsonl".

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: its bytes are not those of the repository, or CHECKSUMS lacks it.
    """
    path, known = Path(folder) / name, listed(folder)
    remedy = f"Get it back with: git checkout -- data/{name} (or clone again)."
    if name not in known:
        raise ValueError(f"{name!r} is not in {Path(folder) / 'CHECKSUMS'}. {remedy}")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. {remedy}")
    found = path.read_bytes()
    if hashlib.sha256(found).hexdigest() != known[name]:
        raise ValueError(
            f"{path} is damaged or was changed: its SHA-256 is not the one in "
            f"CHECKSUMS. {remedy}"
        )
    return found


def read_rows(name: str, folder: str | Path = DATA) -> list[dict]:
    """The rows of a file of JSON lines, one dictionary a line."""
    return [json.loads(line) for line in read(name, folder).decode().splitlines()]
