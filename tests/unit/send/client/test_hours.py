"""Runs that last: a slow rate, a server that wants to be left alone. Hours in moments."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from posthouse.flow import Security
from posthouse.net.resolver import FixtureResolver
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.client import (
    Done,
    Door,
    Draft,
    End,
    Envelope,
    Kind,
    NoJournal,
    Place,
    Refused,
    Terms,
    hand_in,
)
from unit.send.day.loop import live
from unit.send.day.server import FULL, OK, PORT, Server

STARTED = 1_000.0  # where the clock of a day's loop begins
BUSY = Reply.make(421, "Too many messages, try again later", "4.7.0")


def letters(number: int) -> Iterator[Draft]:
    for n in range(number):
        fields = {"from": "alice@d.example", "to": f"b{n}@e.example", "text": f"{n}\n"}
        yield Draft(f"l:{n}", json.dumps(fields).encode(), Kind.JSON)


async def sent(
    server: Server, number: int, terms: Terms, **listening: float
) -> tuple[End, list[Done]]:
    await server.up(**listening)
    told: list[Done] = []
    place = Place(server.host, PORT, Security.NONE)
    end = await hand_in(
        letters(number),
        Envelope(),
        Door(place, FixtureResolver({})),
        book=NoJournal(),
        report=told.append,
        terms=terms,
    )
    await server.down()
    return end, told


@pytest.mark.parametrize(("rate", "connections"), [(30 / 3600, 1), (10 / 60, 2), (1.0, 10)])
def test_a_slow_rate_is_kept_beside_a_server_that_hangs_up_on_who_idles(
    rate: float, connections: int
) -> None:
    server, number = Server("slow.example"), 40
    _, told = live(sent(server, number, Terms(rate=rate), wait=60.0))
    assert Counter(done.status for done in told) == {"sent": number}
    times = [one.at - STARTED for one in server.taken]
    assert all(at >= n / rate for n, at in enumerate(times))
    assert times[-1] < (number - 1) / rate * 1.2
    assert server.most_open == connections


def test_a_server_that_is_busy_for_a_while_is_left_alone_and_then_gets_all() -> None:
    def end(_server: Server) -> Reply:
        return OK if asyncio.get_running_loop().time() - began > 30 else FULL

    async def run() -> tuple[End, list[Done]]:
        nonlocal began
        began = asyncio.get_running_loop().time()
        return await sent(server, 300, Terms())

    server, began = Server("busy.example", end=end), 0.0
    ended, told = live(run())
    assert (ended.stopped, Counter(done.status for done in told)) == (None, {"sent": 300})
    assert len(server.begun) < 500


def test_a_server_that_stays_busy_is_not_asked_without_end() -> None:
    """Not by each of thousands of messages, each four times, each on a new connection."""
    server = Server("busy.example", end=lambda _server: BUSY)
    ended, told = live(sent(server, 5_000, Terms()))
    assert isinstance(ended.stopped, Refused)
    assert ended.stopped.reply.code == 421
    assert len(server.begun) < 200
    assert (len(told) < 200, ended.all_read) == (True, False)
