"""Examples with their targets: what every data set of numbers or pictures is.

Holds `Dataset`, its three parts (`Split`), and standardisation (`Scaler`). The sets
themselves are in `datasets`.

Left out: batches and shuffling between passes, which `training` holds.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with their targets, and what they are.

    Fields:
        name: as in `DATASETS`.
        x: float32, one example a row: (N, features) or (N, channels, height, width).
        y: (N,), int64 classes, or float32 numbers to predict.
        features: a name for each feature, with its unit where the source states one;
            empty for pictures.
        targets: the names of the classes, or the one name of the predicted number.
        description, source, licence: in plain words.
    """

    name: str
    x: torch.Tensor
    y: torch.Tensor
    features: tuple[str, ...]
    targets: tuple[str, ...]
    description: str
    source: str
    licence: str

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(
                f"{self.name!r} has {len(self.x)} examples but {len(self.y)} targets; "
                "give one target for each."
            )

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.x.shape[1:]))
        goal = f"{len(self.targets)} classes" if self.is_classes else self.targets[0]
        return f"Dataset({self.name!r}: {len(self):,} examples of {shape}, {goal})"

    @property
    def is_classes(self) -> bool:
        """Whether y holds classes, and not numbers to predict."""
        return not self.y.is_floating_point()

    def describe(self) -> str:
        """What the set is, where it comes from, and its licence: three lines."""
        lines = (self.description, f"Source: {self.source}", f"Licence: {self.licence}")
        return "\n".join(lines)

    def take(self, rows: torch.Tensor) -> "Dataset":
        """The examples with these row numbers, (n,) int64."""
        rows = rows.to(self.x.device)
        return replace(self, x=self.x[rows], y=self.y[rows])

    def select(self, *features: str) -> "Dataset":
        """The same examples with these features only, in this order.

        A feature is named as in `features`, with or without its unit: "bmi" is enough
        for "bmi (kg/m²)".

        Raises:
            ValueError: for a name the set does not have, or no name at all.
        """
        short = [name.split(" (")[0] for name in self.features]
        unknown = [f for f in features if f not in short and f not in self.features]
        if unknown or not features:
            raise ValueError(
                f"{self.name!r} has no features {unknown}; choose one or more of "
                f"{', '.join(short)}."
            )
        columns = [short.index(feature.split(" (")[0]) for feature in features]
        names = tuple(self.features[column] for column in columns)
        return replace(self, x=self.x[:, columns], features=names)

    def to(self, device: torch.device | str) -> "Dataset":
        """The same set on another device."""
        return replace(self, x=self.x.to(device), y=self.y.to(device))

    def split(
        self,
        validation: float = 0.15,
        test: float = 0.15,
        seed: int = 0,
    ) -> "Split":
        """Three parts without an example in common: to train, to choose, to judge.

        Classes keep their proportions in each part, to the nearest example. The parts
        depend on the seed and the set alone; each keeps the order of the set.

        Args:
            validation, test: their shares, from 0 to below 1; training gets the rest.

        Raises:
            ValueError: for shares that leave nothing to train on, or that leave a part
                empty which was asked for.
        """
        training = 1 - validation - test
        if not (0 <= validation < 1 and 0 <= test < 1 and training > 1e-9):
            raise ValueError(
                f"The shares are validation={validation} and test={test}; give numbers "
                "of 0 or more with a sum below 1, so that something is left to train."
            )
        generator = torch.Generator().manual_seed(seed)
        y = self.y.cpu() if self.is_classes else torch.zeros(len(self))
        parts: list[list[torch.Tensor]] = [[], [], []]
        for value in y.unique():
            rows = (y == value).nonzero().flatten()
            rows = rows[torch.randperm(len(rows), generator=generator)]
            n_validation, n_test = (
                round(validation * len(rows)),
                round(test * len(rows)),
            )
            sizes = [len(rows) - n_validation - n_test, n_validation, n_test]
            for part, piece in zip(parts, rows.split(sizes), strict=True):
                part.append(piece)
        rows = [torch.cat(part) for part in parts]
        for share, part in zip((training, validation, test), rows, strict=True):
            if share > 0 and len(part) == 0:
                raise ValueError(
                    f"A share of {share:.2g} of the {len(self)} examples is less than "
                    "one example; give a larger share, or 0 to leave the part out."
                )
        return Split(*(self.take(part.sort().values) for part in rows))


class Split(NamedTuple):
    """The three parts of a data set."""

    train: Dataset
    validation: Dataset
    test: Dataset


class Scaler:
    """Standardisation: subtract the mean and divide by the standard deviation.

    The numbers come from the data it is made with, column by column. Make it from the
    training part and use it on every part: the other parts must not be looked at. It
    takes targets (N,) as well as features (N, features).

    Raises:
        ValueError: if there are fewer than two rows, NaN or infinity, or if a column
            has one value only, which no scale can change.
    """

    def __init__(self, x: torch.Tensor) -> None:
        if len(x) < 2 or not x.isfinite().all():
            raise ValueError(
                f"The data has {len(x)} rows, {int((~x.isfinite()).sum())} numbers are "
                "NaN or infinite; give two rows or more of finite numbers."
            )
        self.mean, self.std = x.mean(0), x.std(0, correction=0)
        flat = self.std <= 1e-6 * self.mean.abs()
        if flat.any():
            columns = flat.reshape(-1).nonzero().flatten().tolist()
            raise ValueError(f"Columns {columns} hold one value only; leave them out.")

    def __repr__(self) -> str:
        return f"Scaler(mean={_short(self.mean)}, std={_short(self.std)})"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """From the units of the data to standard deviations from the mean."""
        return (x - self.mean) / self.std

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """Back to the units of the data."""
        return z * self.std + self.mean


def _short(values: torch.Tensor) -> str:
    shown = [f"{value:.4g}" for value in values.reshape(-1)[:4].tolist()]
    return ", ".join(shown) + (", ..." if values.numel() > 4 else "")
