"""Time, as a thing that is handed in.

Enters: nothing. Leaves: monotonic seconds, the wall clock, and a way to wait. Everything that waits
or compares dates takes a ``Clock``, so that a test of a one-hour pause takes no time.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the rest of Posthouse knows of time."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean something."""
        ...

    def now(self) -> datetime:
        """The wall clock, aware, in UTC. It may be wrong: see ``net.servertime``."""
        ...

    def time(self) -> float:
        """The same in seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that only moves when told to, or when somebody sleeps."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self._monotonic

    def now(self) -> datetime:
        return self._now

    def time(self) -> float:
        return self._now.timestamp()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Advance at once, and let the other tasks run as a real sleep would."""
        self.slept.append(seconds)
        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)
