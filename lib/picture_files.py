"""MNIST, Fashion-MNIST and CIFAR-10 from the files that their authors published.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
Recognition", 1998 (MNIST; its page defines the IDX format). Xiao, Rasul, Vollgraf,
"Fashion-MNIST", 2017. Krizhevsky, "Learning Multiple Layers of Features from Tiny
Images", 2009 (CIFAR-10; its page defines the binary version).

The files are looked for in `data/downloads/NAME/` and fetched if they are not there.
The published, compressed files are compared with their SHA-256. Files that you
unpacked yourself are taken too; for them there is only their structure to check.

Left out: CIFAR-10's version for Python, which is a pickle and could run foreign code.
"""

import gzip
import math
import tarfile
import zlib
from pathlib import Path

import torch

from lib.downloads import DOWNLOADS, find
from lib.examples import Dataset

PARTS = {"train": "train", "test": "t10k"}  # part -> how its IDX files begin
KINDS = {"images": "images-idx3-ubyte", "labels": "labels-idx1-ubyte"}
# SHA-256 of the published files. Of Fashion-MNIST and CIFAR-10 the authors give the
# MD5; these are the SHA-256 under which several libraries fetch the same files.
MNIST = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}
FASHION_MNIST = {
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
}
CIFAR10 = {
    "cifar-10-binary.tar.gz": (
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    ),
}
MNIST_URLS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
FASHION_URLS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
CIFAR_URLS = ("https://www.cs.toronto.edu/~kriz/",)
BATCHES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
BATCH, RECORD = 10_000, 1 + 3 * 32 * 32  # pictures a file; bytes: a label and pixels
CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
OBJECTS = (
    "airplane", "automobile", "bird", "cat", "deer",
    "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def read_idx(data: bytes, name: str) -> torch.Tensor:
    """The uint8 tensor in an IDX file: two zeros, 8 for bytes, the number of sides,
    each side as four bytes (most significant first), then the bytes themselves.

    Raises:
        ValueError: for anything else, also one byte too few or too many.
    """
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 3:
        raise ValueError(
            f"{name} is not an IDX file of bytes: it begins with {data[:4].hex(' ')}, "
            "not with 00 00 08 and a number of sides from 1 to 3."
        )
    start = 4 + 4 * data[3]
    sides = [int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4)]
    if len(data) != start + math.prod(sides):
        raise ValueError(
            f"{name} is cut off or damaged: its head announces "
            f"{' x '.join(map(str, sides))} bytes, and {len(data) - start} follow. "
            "Delete it and get it again."
        )
    if 0 in sides:
        raise ValueError(f"{name} holds nothing; there must be at least one value.")
    return torch.frombuffer(bytearray(data[start:]), dtype=torch.uint8).reshape(sides)


def _unpack(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is damaged and cannot be unpacked ({error}). Delete it and get it "
            "again."
        ) from None


def _idx(name: str, checksums: dict, urls: tuple, folder: Path) -> torch.Tensor:
    """From the unpacked file if that is there, else from the published one."""
    plain = folder / name.removesuffix(".gz")
    if plain.is_file() and not (folder / name).is_file():
        return read_idx(plain.read_bytes(), str(plain))
    path = find(name, checksums[name], [url + name for url in urls], folder)
    return read_idx(_unpack(path), str(path))


def _idx_set(
    part: str, flat: bool, checksums: dict, urls: tuple, folder: Path, **facts
) -> Dataset:
    _check_part(part)
    read = {
        kind: _idx(f"{PARTS[part]}-{ending}.gz", checksums, urls, folder)
        for kind, ending in KINDS.items()
    }
    x, y = read["images"], read["labels"]
    if x.dim() != 3 or x.shape[1:] != (28, 28) or y.dim() != 1 or len(x) != len(y):
        raise ValueError(
            f"The files in {folder} do not belong together: images {tuple(x.shape)} "
            f"and labels {tuple(y.shape)}; there must be N x 28 x 28 and N."
        )
    return _pictures(x[:, None], y, flat, facts, folder)


def _pictures(x, y, flat: bool, facts: dict, folder: Path) -> Dataset:
    if int(y.max()) > 9:
        raise ValueError(
            f"The labels in {folder} are not those of this set: they must be 0 to 9. "
            "Delete the files and get them again."
        )
    x = x.float().div_(255)
    return Dataset(x=x.flatten(1) if flat else x, y=y.long(), features=(), **facts)


def _check_part(part: str) -> None:
    if part not in PARTS:
        raise ValueError(f"part is {part!r}; choose one of {', '.join(PARTS)}.")


def mnist(
    part: str = "train", folder: str | Path | None = None, flat: bool = True
) -> Dataset:
    """Handwritten digits, 28 x 28: 60,000 to train, 10,000 to test.

    Args:
        part: "train" or "test".
        folder: holds the IDX files, packed or not; None is data/downloads/mnist.
        flat: x is (N, 784); False gives pictures (N, 1, 28, 28).

    Returns:
        x float32 from 0 (paper) to 1 (ink), y int64 from 0 to 9.

    Raises:
        FileNotFoundError: the files are not there and cannot be fetched.
        ValueError: an unknown part, or files that are not the published ones.
    """
    return _idx_set(
        part,
        flat,
        MNIST,
        MNIST_URLS,
        Path(folder or DOWNLOADS / "mnist"),
        name="mnist",
        targets=tuple("0123456789"),
        description="Digits by about 500 writers, scaled to 20 x 20 and centred.",
        source="Y. LeCun, C. Cortes, C. Burges, The MNIST database, 1998",
        licence="CC BY-SA 3.0",
    )


def fashion_mnist(
    part: str = "train", folder: str | Path | None = None, flat: bool = True
) -> Dataset:
    """Pictures of clothes in the format of MNIST; arguments and errors as `mnist`."""
    return _idx_set(
        part,
        flat,
        FASHION_MNIST,
        FASHION_URLS,
        Path(folder or DOWNLOADS / "fashion_mnist"),
        name="fashion_mnist",
        targets=CLOTHES,
        description="Photographs of articles of a clothes shop, in grey.",
        source="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, 2017",
        licence="MIT (Zalando SE)",
    )


def cifar10(
    part: str = "train", folder: str | Path | None = None, flat: bool = False
) -> Dataset:
    """Small colour photographs of ten kinds of things: 50,000 to train, 10,000 to test.

    Args:
        part: "train" or "test".
        folder: holds cifar-10-binary.tar.gz, or its files data_batch_1.bin and so on,
            also in the folder cifar-10-batches-bin; None is data/downloads/cifar10.
        flat: x is (N, 3072) instead of pictures (N, 3, 32, 32).

    Returns:
        x float32 from 0 to 1, in the order red, green, blue; y int64 from 0 to 9.

    Raises:
        FileNotFoundError: the files are not there and cannot be fetched.
        ValueError: an unknown part, or files that are not the published ones.
    """
    _check_part(part)
    folder = Path(folder or DOWNLOADS / "cifar10")
    files = _cifar_files(BATCHES[part], folder)
    for name, data in files.items():
        if len(data) != BATCH * RECORD:
            raise ValueError(
                f"{name} in {folder} is cut off or another file: it has {len(data):,} "
                f"bytes and must have {BATCH * RECORD:,}. Delete it and get it again."
            )
    joined = bytearray().join(files.values())
    rows = torch.frombuffer(joined, dtype=torch.uint8).reshape(-1, RECORD)
    facts = {
        "name": "cifar10",
        "targets": OBJECTS,
        "description": "Photographs of six animals and four vehicles, 32 x 32.",
        "source": "A. Krizhevsky, Learning Multiple Layers of Features from Tiny "
        "Images, 2009",
        "licence": "none stated by the authors",
    }
    return _pictures(
        rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0], flat, facts, folder
    )


def _cifar_files(names: tuple[str, ...], folder: Path) -> dict[str, bytes]:
    """{name: bytes}, from unpacked files if all are there, else from the archive."""
    for place in (folder, folder / "cifar-10-batches-bin"):
        if all((place / name).is_file() for name in names):
            return {name: (place / name).read_bytes() for name in names}
    (archive, checksum), *_ = CIFAR10.items()
    path = find(archive, checksum, [url + archive for url in CIFAR_URLS], folder)
    with tarfile.open(path) as packed:  # read in memory: nothing is written
        members = [packed.extractfile(f"cifar-10-batches-bin/{n}") for n in names]
        return {n: m.read() for n, m in zip(names, members, strict=True)}
