"""The published models of `data/models.csv`: size, data, compute, and the sources.

Every number stands in the paper that the row names, at the place that it names. A field
is empty where the paper gives no number: nothing is estimated here. `compute` has the
usual estimate, six operations for each active parameter and token (Kaplan and others,
"Scaling laws for neural language models", 2020, section 2.1), for whoever wants one.

Left out: models whose makers publish no size, among them the best known ones of the
years since 2023.
"""

from __future__ import annotations

import csv
import io
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
        active: parameters that one token uses; fewer with a mixture of experts; None
            where the paper does not say.
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
