"""What widgets share that play a training: the beat, and pause and step.

Left out: what is trained, which each widget has as its `lab`.
"""

from __future__ import annotations

import time


class Beat:
    """Keeps repeated work at a speed that a person can follow.

    A late beat is made up for by the next one, but never more than one.
    """

    def __init__(self) -> None:
        self._due = time.perf_counter()

    def rest(self, every: float) -> float | None:
        """Seconds to wait until the next beat, `every` seconds after the last one.

        Returns:
            None if it is due already.
        """
        now = time.perf_counter()
        self._due = max(self._due + every, now - every)
        return self._due - now if self._due > now else None


class Played:
    """Pause and step of a widget whose `lab` has `advance()`, a generator of a step."""

    def do_pause(self) -> None:
        """Stop; playing goes on from there."""
        self.stop()
        self._playing = False

    def do_step(self) -> None:
        """One record further."""
        self.do_pause()
        for _ in self.lab.advance():
            pass

    def unwatched(self) -> None:
        """The last page has gone: what it leaves waits for the next one."""
        self.do_pause()
