"""The clocks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from posthouse.net.clock import Clock, FakeClock, SystemClock


async def test_the_system_clock() -> None:
    clock: Clock = SystemClock()
    began, then = clock.monotonic(), clock.now()
    await clock.sleep(0.01)
    assert clock.monotonic() - began >= 0.009
    assert then.tzinfo is UTC
    assert abs(datetime.now(UTC) - then) < timedelta(minutes=1)


async def test_the_fake_clock_moves_when_somebody_sleeps() -> None:
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    task = asyncio.create_task(other())
    await clock.sleep(3600)
    assert ran == ["other"]  # others run meanwhile, as they would
    assert clock.monotonic() == 3600
    assert clock.now() == datetime(2026, 1, 1, 1, tzinfo=UTC)
    clock.advance(60)
    await clock.sleep(-1)
    assert clock.monotonic() == 3660
    assert clock.slept == [3600, -1]
    await task
