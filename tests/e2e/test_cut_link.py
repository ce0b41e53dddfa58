"""A next hop whose machine vanishes: no FIN, no RST, only silence. No connection waits for long.

Seconds stand for half minutes here: the same code, asked each second instead of each thirty.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from posthouse.flow import Failure
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net import tcp
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp import command as c
from posthouse.send.client import crew
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.transaction import Task, Way
from posthouse.send.hop import Hop

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_INFO of Linux"),
]

AWAY = "192.0.2.41"
TEXT = b"Subject: x\r\n\r\nx\r\n"
ITEM = Item(0, "", Recipient("bob@away.test"), State.READY)


def address(verb: str) -> None:
    subprocess.run(["ip", "address", verb, f"{AWAY}/32", "dev", "lo"], check=True)


@pytest.fixture(autouse=True)
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tcp, "KEEP_ALIVE", 1)
    monkeypatch.setattr(tcp, "VANISHED", 2.5)
    address("add")
    yield
    with suppress(subprocess.CalledProcessError):
        address("del")


@dataclass
class Away:
    """Takes mail, but says nothing to the command ``mute`` and all that comes then."""

    mute: bytes = b"-"
    heard: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 away.test ESMTP\r\n")
        while line := await reader.readline():
            verb = line.strip().upper()[:4]
            self.heard.append(verb)
            if verb == b"DATA":
                writer.write(b"354 Go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                self.heard.append(b".")
            if self.mute not in self.heard:
                writer.write(b"250 Ok\r\n")


@asynccontextmanager
async def serving(away: Away) -> AsyncIterator[None]:
    """Whom the link is cut from hears of no end, so nobody waits for them (Python 3.12 would)."""
    server = await asyncio.start_server(away.serve, AWAY, 25)
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def pool(away: Away) -> AsyncIterator[tuple[Pool, list[Carried], list[Carrier]]]:
    done: list[Carried] = []
    made: list[Carrier] = []

    async def connect(*_: Any) -> Carrier:
        carrier = Carrier()
        await carrier.open(AWAY, 25)
        await carrier.hello("relay.test")
        made.append(carrier)
        return carrier

    now = asyncio.get_running_loop().time
    hop = Hop("away", idle=600.0)
    one = Pool(Way(hop), connect, lambda _t, carried, _c: done.append(carried), now=now)
    async with serving(away):
        yield one, done, made
        await one.close()


def task(number: int) -> Task:
    letter = Letter(str(number), "alice@home.test", (ITEM.recipient,), TEXT, 0.0)
    return Task(letter, (ITEM,))


async def until(condition: Any, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def test_a_half_minute_is_what_the_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people can see of a socket from outside."""
    monkeypatch.undo()

    async def look() -> None:
        async with pool(Away()) as (one, done, made):
            one.add(task(0))
            await until(lambda: done, 10)
            sock = made[0]._transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert [
                sock.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
            ] == [30, 30]
            assert tcp.VANISHED < 120

    asyncio.run(look())


@pytest.mark.parametrize("when", ["idle", "waiting for a reply", "with octets under way"])
async def test_a_cut_link_ends_a_connection_of_the_relay(when: str) -> None:
    away = Away(mute=b"." if when == "waiting for a reply" else b"-")
    async with pool(away) as (one, done, made):
        one.add(task(0))
        await until(lambda: b"." in away.heard, 10)
        await asyncio.sleep(3.5)  # who only says nothing, and lives, is waited for
        assert made[0].failure is None
        assert len(done) == (when != "waiting for a reply")
        done.clear()
        address("del")
        if when == "with octets under way":
            one.add(task(1))
        await until(lambda: made[0].failure is not None and one.open == 0, 7)
        if when == "idle":
            return
        assert done[0].failure is not None
        assert done[0].failure.failure in (Failure.SILENT, Failure.RESET)
        assert done[0].unsure == (when == "waiting for a reply")


async def test_a_cut_link_ends_a_run_of_send() -> None:
    """``posthouse send`` has a sweep of its own."""
    away = Away(mute=b"MAIL")
    async with serving(away):
        carrier = Carrier()
        await carrier.open(AWAY, 25)
        await carrier.hello("client.test")
        work = crew.Crew(None, None, crew.Terms())  # type: ignore[arg-type]
        work._busy.add(carrier)
        address("del")
        carried = carrier.carry(c.Mail("a@home.test"), [c.Rcpt("bob@away.test")], TEXT)
        sweep = asyncio.create_task(work._sweep())
        async with asyncio.timeout(7):
            failure = (await carried).failure
        sweep.cancel()
        assert failure is not None
        assert failure.failure is Failure.SILENT
