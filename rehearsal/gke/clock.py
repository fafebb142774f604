"""Time: the real one, which can be put forward, and one that stands still for tests."""

from __future__ import annotations

import time


class RealClock:
    """The machine's clock plus what it was put forward by."""

    def __init__(self, offset: float = 0.0) -> None:
        """Begin with an offset in seconds."""
        self.offset = offset

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        self.offset += seconds


class StandingClock:
    """Moves only when it is told to, from the real time on: tokens' assertions carry that."""

    def __init__(self) -> None:
        """Begin at the real time."""
        self._now = time.time()

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        self._now += seconds
