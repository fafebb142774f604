"""Clocks: the real time, which can be advanced, and a clock for tests that stands still."""

from __future__ import annotations

import time


class RealClock:
    """The machine's clock plus an offset."""

    def __init__(self, offset: float = 0.0) -> None:
        """Start with an offset in seconds."""
        self.offset = offset

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        self.offset += seconds


class StandingClock:
    """A clock that only `advance` moves. It starts at the real time, as assertions contain that."""

    def __init__(self) -> None:
        """Start at the real time."""
        self._now = time.time()

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        self._now += seconds
