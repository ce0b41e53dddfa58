"""Days in seconds: a loop whose clock stands while there is work and jumps while there is none.

Real sockets, real threads, real code; only ``loop.time()`` is made up. When no socket is ready, no
thread of a queue works and the next timer is an hour away, an hour has passed. So everything that
waits by asyncio (sleeps, time-outs, sweeps) is driven without being told of a test's clock.
"""

from __future__ import annotations

import asyncio
import selectors
import sqlite3
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from posthouse.net import smtp_listen
from posthouse.send.deliver import dispatch, pool
from posthouse.send.queue import lane, writer

T = TypeVar("T")
START: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)
# The kernel may hand octets over loopback a moment late: so many looks of so many real seconds
# after the last sign of life, before time moves.
LOOKS: Final = 2
LOOK: Final = 0.0005
STUCK: Final = 20.0  # real seconds without a sign of anybody: a test that hangs says so


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Asks the kernel; where it has nothing, time passes."""

    day: DayLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        events: list[Any] = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            self.day.lively = LOOKS if events else self.day.lively
            return events
        if self.day.outside:  # a thread works: it will wake us
            return self._wait(STUCK)
        if self.day.lively:
            self.day.lively -= 1
            return super().select(LOOK)  # type: ignore[no-any-return]
        if timeout is None:
            return self._wait(STUCK)
        self.day.passed += timeout
        return []

    def _wait(self, seconds: float) -> list[Any]:
        events: list[Any] = super().select(seconds)
        if not events:
            raise RuntimeError("nothing happens any more")
        self.day.lively = LOOKS
        return events


class DayLoop(asyncio.SelectorEventLoop):
    """See the module. ``outside`` counts what threads are still doing."""

    def __init__(self) -> None:
        self.passed = 1_000.0
        self.lively = 0
        self.outside = 0
        selector = _Selector()
        selector.day = self
        super().__init__(selector)

    def time(self) -> float:
        return self.passed

    def run_in_executor(self, *arguments: Any) -> Any:
        future = super().run_in_executor(*arguments)
        self.watch(future)
        return future

    def watch(self, future: asyncio.Future[Any]) -> None:
        """Time stands until this is done."""
        self.outside += 1
        future.add_done_callback(self._back)

    def _back(self, _future: asyncio.Future[Any]) -> None:
        self.outside -= 1


class DayClock:
    """The loop's time as a ``net.clock.Clock``; ``jump`` sets the wall clock, and nothing else."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._set = 0.0

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time() - self._begun + self._set)

    def time(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._set += seconds


class _Writer(writer.Writer[Any]):
    """The queue's thread, known to the loop."""

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, DayLoop)
        loop.outside += 1
        try:
            await super().start()
        finally:
            loop.outside -= 1

    def submit(self, job: Any, result: T, *, within: float = 0.0) -> asyncio.Future[T]:
        future = super().submit(job, result)  # a moment is real time here
        assert isinstance(self._loop, DayLoop)
        self._loop.watch(future)
        return future


def _connect(path: Path, real: Callable[[Path], sqlite3.Connection] = lane.connect) -> Any:
    """As the lane does, but for waiting for the disk: nobody cuts the power here."""
    db = real(path)
    db.execute("PRAGMA synchronous = OFF")
    return db


def live(work: Coroutine[Any, Any, T], look: float = 1.0) -> T:
    """Run a scenario to its end. ``look``: seconds between the sweeps of all parts.

    Five days have 432,000 seconds; a test of days needs no look at each.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lane, "Writer", _Writer)
        patch.setattr(lane, "connect", _connect)
        patch.setattr(dispatch, "LOOK", look)
        patch.setattr(pool, "SWEEP", look)
        patch.setattr(smtp_listen, "SWEEP", look)
        with asyncio.Runner(loop_factory=DayLoop) as runner:
            return runner.run(work)
