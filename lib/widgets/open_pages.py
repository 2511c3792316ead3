"""What the kernel knows of one open view of a widget: is it there, and how far is it?

Left out: the messages themselves, which `lib.widgets.base` sends and receives.
"""

from __future__ import annotations

import time

LOST = 10.0  # seconds without an answer after which a page is not waited for


class OpenPage:
    """What the kernel knows of one open view: the last message it has drawn."""

    def __init__(self, seen: int) -> None:
        self.seen = seen
        self.waiting_since: float | None = None
        self.lost_since_hello = False
        self.trip = 0.0  # seconds from a message to its answer, lately
        self._times: dict[int, float] = {}

    def asked(self, seq: int, now: float) -> None:
        self._times[seq] = now
        if self.waiting_since is None:
            self.waiting_since = now

    def answered(self, seq: int) -> None:
        now = time.monotonic()
        self.seen = max(self.seen, seq)
        self.waiting_since = now
        self.lost_since_hello = False
        asked = self._times.get(seq, now - self.trip)
        self._times = {k: t for k, t in self._times.items() if k > seq}
        self.trip += 0.3 * (now - asked - self.trip)

    def lost(self, sent: int, now: float) -> bool:
        waits = sent > self.seen and self.waiting_since is not None
        return waits and (self.lost_since_hello or now - self.waiting_since > LOST)
