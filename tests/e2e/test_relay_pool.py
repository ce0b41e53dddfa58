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


class SlowServer:
    """Counts messages, and connections at once."""

    def __init__(self) -> None:
        self.messages = self.now = self.most = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        writer.write(b"220 slow.test ESMTP\r\n")
        try:
            while line := await reader.readline():
                if line.startswith(b"QUIT"):
                    break
                if line.startswith(b"DATA"):
                    writer.write(b"354 go\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    await asyncio.sleep(WORK)
                    self.messages += 1
                writer.write(b"250 ok\r\n")
        finally:
            self.now -= 1
            writer.close()


@asynccontextmanager
async def slow() -> AsyncIterator[SlowServer]:
    server = SlowServer()
    async with await asyncio.start_server(server.serve, *FAR):
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
