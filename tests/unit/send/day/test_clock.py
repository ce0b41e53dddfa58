"""The wall clock is set in the middle of the day, the relay is closed and opened again."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from posthouse.protocol.smtp.reply import Reply
from unit.send.day.loop import live
from unit.send.day.server import FULL, OK, Server
from unit.send.day.world import DAY, HOUR, MINUTE, World, world

LATE = {"name": "late", "hosts": ["late"]}


def full_until(seconds: float) -> Server:
    """A server with a full disk for so long."""
    begin = asyncio.get_running_loop().time()

    def rcpt(_server: Server, _address: str) -> Reply:
        return OK if asyncio.get_running_loop().time() - begin >= seconds else FULL

    return Server("late", rcpt=rcpt)


def tries(server: Server, begin: float, end: float) -> Counter[str]:
    return Counter(address for at, address in server.asked if begin <= at < end)


@pytest.mark.parametrize("jump", [6 * HOUR, -6 * HOUR, 400 * DAY, -400 * DAY, 3.0])
@pytest.mark.parametrize("back", [True, False])
def test_a_clock_that_is_set_changes_neither_age_nor_retries(
    tmp_path: Path, jump: float, back: bool
) -> None:
    async def day() -> None:
        late = full_until(11 * HOUR)
        async with world(tmp_path, [late], [LATE]) as w:
            for n in range(10):
                await w.send(f"u{n}@late.example")
            await w.pass_(2 * HOUR)
            w.clock.jump(jump)
            begin = w.now
            await w.pass_(10 * MINUTE)
            assert max(tries(late, begin, w.now).values(), default=0) <= 1  # no storm
            for n in range(10, 20):
                await w.send(f"u{n}@late.example")
            await w.pass_(HOUR)
            if back:
                w.clock.jump(-jump)
            await w.pass_(7 * HOUR)
            counts = tries(late, begin + HOUR, w.now)
            assert set(counts) == {f"u{n}@late.example" for n in range(20)}
            assert 6 <= min(counts.values()) <= max(counts.values()) <= 15
            # A delay is told after four hours, once, by the time that passed.
            assert len([r for r in w.reports() if b"Action: delayed" in r]) == 20
            await w.empty(2 * HOUR)
            w.check_ends()
            assert set(map(tuple, w.ends().values())) == {("delivered",)}
        assert len(late.taken) == 20

    live(day(), look=20.0)


@pytest.mark.parametrize("jump", [4 * DAY, -4 * DAY, 0.0])
def test_nothing_expires_before_five_days_have_passed(tmp_path: Path, jump: float) -> None:
    async def day() -> None:
        late = full_until(99 * DAY)
        async with world(tmp_path, [late], [LATE]) as w:
            begin = w.now
            await w.send("before@late.example")
            await w.pass_(2 * DAY)
            w.clock.jump(jump)
            await w.send("after@late.example")
            await w.pass_(2.9 * DAY)
            assert w.left == 2
            await w.until(lambda: w.left == 1, 0.2 * DAY)
            assert w.now - begin <= 5 * DAY + HOUR
            await w.pass_(1.8 * DAY)
            assert w.left == 1
            await w.empty(0.4 * DAY)
            w.check_ends()

    live(day(), look=60.0)


@pytest.mark.parametrize("jump", [5 * HOUR, -5 * HOUR, 90 * DAY, -90 * DAY])
def test_a_restart_believes_the_wall_clock_and_loses_nothing(tmp_path: Path, jump: float) -> None:
    """While nobody ran nobody knows what passed. Due times of another clock are a day off at most,
    and what seems to have expired is tried once more before it is given up."""

    async def day() -> None:
        late = full_until(5 * HOUR)
        async with world(tmp_path, [late], [LATE]) as w:
            for n in range(20):
                await w.send(f"u{n}@late.example")
            await w.pass_(4.9 * HOUR)
            await w.stop()
            w.clock.jump(jump)
            await w.pass_(HOUR)
            await w.start()
            await w.empty(DAY + HOUR)
            w.check_ends()
            assert set(map(tuple, w.ends().values())) == {("delivered",)}

    live(day(), look=20.0)


def test_a_person_who_asks_for_a_retry_gets_it_whatever_the_clock(tmp_path: Path) -> None:
    async def day() -> None:
        late = full_until(3 * HOUR)
        async with world(tmp_path, [late], [LATE]) as w:
            await w.send("u0@late.example")
            await w.send("u1@late.example")
            await w.pass_(3 * HOUR + MINUTE)
            w.clock.jump(8 * HOUR)
            begin = w.now
            retry(w, "u0@late.example")
            await w.until(lambda: len(late.taken) == 1, 3)
            assert "u1@late.example" not in tries(late, begin, w.now)
            await w.empty(HOUR + MINUTE)

    live(day())


def retry(w: World, address: str) -> None:
    """``posthouse queue retry``, by its own clock."""
    import sqlite3

    from posthouse.send.queue.files import file_of

    path = file_of(w.config.server.data, 0)
    db = sqlite3.connect(path, isolation_level=None, timeout=5)
    due = w.clock.now().timestamp()
    db.execute("UPDATE recipients SET state='ready', due=? WHERE address=?", (due, address))
    db.execute("UPDATE changes SET n = n + 1")
    db.close()


@pytest.mark.parametrize("work", [0.0, 1.7])
def test_closing_and_opening_again_loses_and_repeats_nothing(tmp_path: Path, work: float) -> None:
    """Three times, while messages are on their way, wait for a connection, and wait for a retry."""

    async def day() -> None:
        late = full_until(10 * MINUTE)
        near = Server("near", work=work)
        async with world(tmp_path, [late, near], [LATE, {"name": "near", "hosts": ["near"]}]) as w:
            for turn in range(3):
                for n in range(100):
                    await w.send(f"n{turn}-{n}@near.example")
                    if n % 5 == 0:
                        await w.send(f"l{turn}-{n}@late.example", f"x{turn}-{n}@near.example")
                await w.pass_(2.5)
                await w.stop()
                await w.pass_(3)
                await w.start()
            await w.empty(2 * HOUR)
            w.check_ends()
        got = Counter(address for one in (*near.taken, *late.taken) for address in one.recipients)
        assert set(got) == set(w.sent)
        assert set(got.values()) == {1}

    live(day())
