"""What a widget's control is: declared once, checked here, built by the page.

The page makes a native, labelled element of each `Control`; the kernel checks every
value by the same declaration. So a range stands in one place, and a test can move every
control of a widget over all that it allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any


@dataclass(frozen=True)
class Control:
    """One control of a widget.

    Args:
        name: the key in `widget.values` and the argument of `widget.set(...)`.
        label: what the reader sees.
        kind: "range", "log" (a range on a logarithmic scale), "choice", "several"
            (any of the choices), "toggle", "text" or "point" (two numbers).
        default: the first value.
        low, high: the ends of a range, in the units of the value; `high` of a text is
            the number of characters it may have.
        step: the distance of two values of a range; of a "log" one, in decades.
        choices: (value, label) pairs of a "choice" or "several".
        help: one sentence, shown as the tool tip.
        group: controls of one group stand together in the page.
    """

    name: str
    label: str
    kind: str
    default: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[tuple[str, str], ...] = ()
    help: str = ""
    group: str = "settings"

    def check(self, value: Any) -> Any:
        """The value in its own type, if the control allows it.

        Raises:
            ValueError: it does not; the sentence says what is allowed.
        """
        return getattr(self, "_check_" + self.kind)(value)

    def _refuse(self, value: Any, allowed: str) -> ValueError:
        return ValueError(f"{self.name} was given {value!r}; it takes {allowed}.")

    def _check_range(self, value: Any) -> float | int:
        allowed = f"a number from {self.low:g} to {self.high:g}"
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise self._refuse(value, allowed)
        largest = max(abs(self.low), abs(self.high))
        below, above = (
            1e-9 * (abs(end) if self.kind == "log" else largest)
            for end in (self.low, self.high)
        )
        if not self.low - below <= value <= self.high + above:
            raise self._refuse(value, allowed)
        value = min(max(float(value), self.low), self.high)
        return round(value) if isinstance(self.default, int) else float(value)

    _check_log = _check_range

    def _check_choice(self, value: Any) -> str:
        names = [name for name, _ in self.choices]
        if value not in names:
            raise self._refuse(value, "one of " + ", ".join(map(repr, names)))
        return value

    def _check_several(self, value: Any) -> tuple[str, ...]:
        names = [name for name, _ in self.choices]
        given = [value] if isinstance(value, str) else value
        try:
            wanted = set(given)
        except TypeError:
            raise self._refuse(value, "a list of names") from None
        if not wanted <= set(names):
            raise self._refuse(value, "any of " + ", ".join(map(repr, names)))
        return tuple(name for name in names if name in wanted)

    def _check_toggle(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._refuse(value, "True or False")
        return value

    def _check_text(self, value: Any) -> str:
        most = int(self.high)
        if not isinstance(value, str) or len(value) > most:
            raise self._refuse(value, f"a text of at most {most} characters")
        return value

    def _check_point(self, value: Any) -> tuple[float, float]:
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            x, y = (float(v) for v in value)
        except (TypeError, ValueError):
            raise self._refuse(value, "two numbers (x, y)") from None
        if not (math.isfinite(x) and math.isfinite(y)):
            raise self._refuse(value, "two finite numbers (x, y)")
        return x, y

    def spec(self) -> dict[str, Any]:
        """What the page needs to build the control, as JSON values."""
        return {
            "name": self.name,
            "label": self.label,
            "kind": self.kind,
            "low": self.low,
            "high": self.high,
            "step": self.step,
            "whole": isinstance(self.default, int),
            "choices": [list(pair) for pair in self.choices],
            "help": self.help,
            "group": self.group,
        }
