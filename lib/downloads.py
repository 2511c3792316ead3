"""Larger data sets of others: found in `data/downloads/`, or fetched there by name.

A file counts only with the published SHA-256. It is written beside its place under
another name and takes its own name when it is whole and right, so nothing half-written
is ever found. Without a network you get a sentence that says what to do.

Left out: anything without a published checksum; resuming a broken download.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.request import Request, urlopen

from lib.data_files import DATA, sha256

DOWNLOADS = DATA / "downloads"
TIMEOUT = 30  # seconds without an answer
BLOCK = 1 << 20


def find(
    name: str,
    checksum: str,
    urls: Sequence[str],
    folder: str | Path,
    download: bool = True,
) -> Path:
    """The file of that name in the folder; fetched if it is not there.

    Args:
        checksum: its published SHA-256, in hexadecimal.
        urls: where it can be had, tried in this order; https only.
        folder: made if it does not exist, but only to hold a whole, right file.
        download: False looks in the folder only.

    Raises:
        FileNotFoundError: it is not there and cannot be fetched; says what to do.
        ValueError: a file of that name is there, or comes, with another checksum.
    """
    path = Path(folder) / name
    if path.is_file():
        if sha256(path) != checksum:
            raise ValueError(
                f"{path} is damaged or another file of that name: its SHA-256 is not "
                f"the published {checksum}. Delete it and load the set again."
            )
        return path
    reasons = []
    for url in urls if download else ():
        try:
            return fetch(url, path, checksum)
        except (OSError, HTTPException) as error:
            reasons.append(f"{url}: {error}")
    why = f" It could not be fetched ({'; '.join(reasons)})." if reasons else ""
    raise FileNotFoundError(
        f"{path} is missing.{why} With a network, load the set again. Without one, "
        f"get {' or '.join(urls)} on another computer and put the file, unchanged, "
        f"into {Path(folder)}."
    )


def fetch(
    url: str,
    path: Path,
    checksum: str,
    open_url: Callable[..., BinaryIO] = urlopen,
) -> Path:
    """Fetch one file, verify it, and only then give it its name.

    Args:
        open_url: as `urllib.request.urlopen`; tests put their own in.

    Raises:
        OSError, HTTPException: the network fails, or the transfer stops early.
        ValueError: the address is not https, or what came has another checksum.
    """
    if not url.startswith("https://"):
        raise ValueError(f"{url} is not an https address; give one that is.")
    request = Request(url, headers={"User-Agent": "large-models-workbook"})
    with open_url(request, timeout=TIMEOUT) as answer:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(suffix=".partial", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                found = _copy(answer, file)
            if found != checksum:
                raise ValueError(
                    f"{url} gave a file with the SHA-256 {found}, not the published "
                    f"{checksum}. It was thrown away; try later or elsewhere."
                )
            os.replace(partial, path)
        finally:
            Path(partial).unlink(missing_ok=True)
    return path


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    """Copy in blocks; returns the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while block := source.read(BLOCK):
        digest.update(block)
        target.write(block)
    return digest.hexdigest()
