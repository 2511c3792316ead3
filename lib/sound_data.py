"""Spoken digits: 360 recordings of "zero" to "nine" by twelve voices of a program.

ITU-T G.711, "Pulse code modulation of voice frequencies", 1988: the mu-law, by which a
telephone stores a sample in 8 bits with finer steps where it is soft.

Left out: real speakers. `data/make/spoken_digits.py` made the sound with espeak-ng.
"""

import io
from collections.abc import Sequence

import numpy as np
import torch

from lib.data_files import read
from lib.examples import Dataset

RATE = 8000  # samples a second
MU = 255
WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip


def from_mu_law(code: torch.Tensor) -> torch.Tensor:
    """Samples from -1 to 1, float32, of mu-law codes 0 to 255, uint8 (G.711).

    y = 2 code / 255 - 1,   x = sign(y) (256^|y| - 1) / 255
    """
    y = code.float() * (2 / MU) - 1
    return y.sign() * ((1 + MU) ** y.abs() - 1) / MU


def spoken_digits(voices: Sequence[str] | None = None) -> Dataset:
    """Digits spoken by a machine, as samples.

    Judge a model by voices that it has not heard: train with some, test with others.

    Args:
        voices: which of the twelve voices, by name; None takes all. An unknown name
            is answered with the list.

    Returns:
        x (N, T) float32, `RATE` samples a second from -1 to 1, with silence (zeros) at
        the end of the shorter ones, T being the length of the longest of all; y int64
        from 0 to 9.

    Raises:
        ValueError: for a voice that does not exist, or a damaged file.
        FileNotFoundError: the file is missing.
    """
    with np.load(io.BytesIO(read("spoken_digits.npz")), allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    names = stored["voices"].tolist()
    if voices is not None:
        unknown = [voice for voice in voices if voice not in names]
        if isinstance(voices, str) or unknown or not len(voices):
            raise ValueError(
                f"voices is {voices!r}; give a list of one or more of "
                f"{', '.join(names)}."
            )
    wanted = set(names if voices is None else voices)
    length = torch.from_numpy(stored["length"]).long()
    x = torch.zeros(len(length), int(length.max()))
    x[torch.arange(x.shape[1]) < length[:, None]] = from_mu_law(
        torch.from_numpy(stored["sound"])
    )
    rows = torch.tensor([names[v] in wanted for v in stored["voice"]])
    return Dataset(
        name="spoken_digits",
        x=x[rows],
        y=torch.from_numpy(stored["digit"]).long()[rows],
        features=(),
        targets=WORDS,
        description=(
            f"The ten digits by {len(wanted)} voices of a speech program, {RATE:,} "
            "samples a second."
        ),
        source="made for this course with espeak-ng 1.51",
        licence="Apache-2.0",
    )
