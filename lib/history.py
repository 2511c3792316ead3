"""The published models of `data/models.csv`: size, data, compute, and the sources.

Every number stands in the paper that the row names, at the place that it names; one
comes from a second paper, which its row names too (T5, `active`). A field is empty
where the paper gives no number: nothing is estimated here. `compute` has the usual
estimate, six operations for each active parameter and token (Kaplan and others,
"Scaling laws for neural language models", 2020, section 2.1), for whoever wants one.

Left out: models whose makers publish no size, among them the best known ones of the
years since 2023.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

from lib import data_files

KINDS = ("language", "pictures", "sound")


@dataclass(frozen=True)
class Published:
    """One model as its paper describes it.

    Fields:
        name, who, year: the year of publication.
        kind: what it works on, one of `KINDS`.
        parameters: all of them.
        active: parameters that one token uses; fewer with a mixture of experts, or with
            an encoder and a decoder; None where the paper does not say.
        examples, unit: how much it was trained on, counted in `unit`; None and "" where
            the paper does not say.
        flop: operations of the whole training, where the paper says.
        title, url, where: the source, and where in it the numbers stand.
    """

    name: str
    year: int
    who: str
    kind: str
    parameters: float
    active: float | None
    examples: float | None
    unit: str
    flop: float | None
    title: str
    url: str
    where: str

    @property
    def compute(self) -> float | None:
        """The published operations, or 6 x active parameters x tokens; None without."""
        if self.flop is not None:
            return self.flop
        if self.unit == "tokens" and self.active and self.examples:
            return 6 * self.active * self.examples
        return None


def published() -> tuple[Published, ...]:
    """All models of the file, the oldest first.

    Raises:
        ValueError: a damaged file.
        FileNotFoundError: a missing one.
    """
    text = data_files.read("models.csv").decode("utf-8")
    rows = [_row(row) for row in csv.DictReader(io.StringIO(text))]
    return tuple(sorted(rows, key=lambda row: row.year))


def _row(row: dict[str, str]) -> Published:
    numbers = {
        name: float(row[name]) if row[name] else None
        for name in ("parameters", "active", "examples", "flop")
    }
    return Published(**{**row, **numbers, "year": int(row["year"])})


QUANTITIES = ("parameters", "examples", "compute")


def value_of(row: Published, quantity: str) -> float | None:
    """One number of a model; of examples only tokens, since others do not compare.

    Raises:
        ValueError: an unknown quantity.
    """
    if quantity not in QUANTITIES:
        raise ValueError(
            f"quantity is {quantity!r}; choose one of {', '.join(QUANTITIES)}."
        )
    if quantity == "examples" and row.unit != "tokens":
        return None
    return getattr(row, quantity)


def doubling_months(rows: Iterable[Published], quantity: str) -> float | None:
    """Months in which the quantity doubled, by a straight line through its logarithm.

    The line is the one of least squares over log2(quantity) against the year. None for
    models of fewer than three different years, which say nothing of a trend. It is
    infinite where nothing grew, and negative where the quantity shrank.

    Raises:
        ValueError: an unknown quantity.
    """
    points = [(row.year, value_of(row, quantity)) for row in rows]
    points = [(year, math.log2(value)) for year, value in points if value]
    years = {year for year, _ in points}
    if len(years) < 3:
        return None
    middle = sum(year for year, _ in points) / len(points)
    spread = sum((year - middle) ** 2 for year, _ in points)
    rise = sum((year - middle) * level for year, level in points) / spread
    return 12 / rise if rise else math.inf
