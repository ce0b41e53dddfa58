"""``posthouse serve``, two workers: a hop's ``pool`` is what its server sees of both."""

from __future__ import annotations

import asyncio
import smtplib
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from fakes.background import running as in_background
from peers import relay

pytestmark = pytest.mark.netns

ALICE, BOB = "alice@home.test", "bob@away.test"
FAR = ("127.0.0.31", 25)
WORK = 0.05  # seconds for each message
INSTANT = 0.02  # seconds


class SlowServer:
    """Counts messages, and connections at once.

    Who gives one up says QUIT while another worker connects, and the two may cross: so it is looked
    an instant later, while a message takes longer than that.
    """

    def __init__(self) -> None:
        self.messages = self.most = 0
        self.sessions: set[Session] = set()

    def begun(self, session: Session) -> None:
        self.sessions.add(session)
        asyncio.get_running_loop().call_later(INSTANT, self.look)

    def look(self) -> None:
        self.most = max(self.most, len(self.sessions))


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: SlowServer) -> None:
        self.server = server
        self.buffer = b""
        self.in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.begun(self)
        transport.write(b"220 slow.test ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.buffer:
            end = b"\r\n.\r\n" if self.in_data else b"\r\n"
            said, found, rest = self.buffer.partition(end)
            if not found:
                return
            self.buffer = rest
            if self.in_data:
                self.in_data = False
                asyncio.get_running_loop().call_later(WORK, self.taken)
            elif said.startswith(b"QUIT"):
                self.server.sessions.discard(self)
                self.transport.close()
            elif said.startswith(b"DATA"):
                self.in_data = True
                self.transport.write(b"354 go\r\n")
            else:
                self.transport.write(b"250 ok\r\n")

    def taken(self) -> None:
        self.server.messages += 1
        self.transport.write(b"250 ok\r\n")


@asynccontextmanager
async def slow() -> AsyncIterator[SlowServer]:
    server = SlowServer()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Session(server), *FAR):
        yield server


def hand_in(count: int) -> None:
    with smtplib.SMTP(relay.HOST, 25, timeout=20) as client:
        for n in range(count):
            client.sendmail(ALICE, [BOB], f"Subject: {n}\r\n\r\nhello\r\n")


@pytest.mark.parametrize(("pool", "clients"), [(8, 1), (8, 16), (3, 16), (1, 16)])
def test_the_pool_is_for_all_workers_together(pool: int, clients: int) -> None:
    count = 160 if pool > 1 else 48
    text = relay.plain("slow", f"{FAR[0]}:{FAR[1]}", more=f"pool = {pool}")
    with (
        in_background(slow()) as server,
        relay.running(relay.text(text, workers=2)) as ours,
    ):
        began = time.monotonic()
        with ThreadPoolExecutor(clients) as threads:
            list(threads.map(hand_in, [count // clients] * clients))
        ours.wait_until_empty()
        spent = time.monotonic() - began
        assert server.messages == count
        assert server.most <= pool
        # One client has one worker, which may use all; several find no slot lying idle for long.
        assert spent < 3 * count * WORK / pool + 2
