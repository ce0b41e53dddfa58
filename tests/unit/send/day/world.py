"""A relay on the clock of ``loop``: the daemon's real ``Relay``, its next hops, its senders."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from posthouse import config
from posthouse.daemon.wiring import Relay
from posthouse.letter import Event
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp_carry import Carrier
from posthouse.protocol.smtp import command as c
from posthouse.send.queue.files import file_of
from unit.send.day.loop import DayClock
from unit.send.day.server import PORT, Server

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
SENDER: Final = "alice@shop.example"
ENDS: Final = {"delivered", "refused", "expired"}


class World:
    """One relay. ``hops`` are ``[[hop]]`` tables, each with its server or servers by name."""

    def __init__(
        self,
        folder: Path,
        servers: Sequence[Server],
        hops: Sequence[Mapping[str, Any]],
        **more: Any,
    ) -> None:
        self.folder = folder
        self.servers = {server.name: server for server in servers}
        self.home = self.servers.setdefault("home", Server("home"))  # where senders read their mail
        self.clock = DayClock()
        self.events: list[Event] = []
        self.said: list[tuple[str, Mapping[str, Any]]] = []
        self.config = config.of(self._document(hops, more), folder)
        self.relay: Relay
        self._carrier: Carrier | None = None
        self._number = 0
        self.sent: dict[str, str] = {}  # recipient -> sender, of what was accepted

    def _document(
        self, hops: Sequence[Mapping[str, Any]], more: Mapping[str, Any]
    ) -> dict[str, Any]:
        given = [*hops, {"name": "home", "hosts": ["home"]}]
        tables = []
        for hop in given:
            hosts = [
                {"host": f"{one['host']}.test:{PORT}", **{k: one[k] for k in one if k != "host"}}
                if isinstance(one, dict)
                else f"{one}.test:{PORT}"
                for one in hop["hosts"]
            ]
            tables.append({"security": "none", **hop, "hosts": hosts})
        routes = [
            {"name": h["name"], "recipient": [f"@{h['name']}.example"], "hop": h["name"]}
            for h in hops
        ]
        return {
            "server": {"name": "relay.test", "data": "data", "workers": 1},
            "listen": [
                {"address": "127.0.0.1:0", "mode": "relay", "networks": ["127.0.0.0/8"]}
            ],
            "limits": {"burst": 0, "hour": 0, "day": 0},
            "hop": tables,
            "route": [*routes, {"name": "rest", "hop": "home"}],
            **more,
        }  # fmt: skip

    async def start(self) -> None:
        """Open the relay, for the first time or again."""
        zone = {(f"{name}.test", "A"): [server.host] for name, server in self.servers.items()}
        self.relay = Relay(
            self.config,
            0,
            watch=self.events.append,
            say=lambda kind, facts: self.said.append((kind, facts)),
            clock=self.clock,
            resolver=FixtureResolver(zone),
        )
        file_of(self.config.server.data, 0).parent.mkdir(parents=True, exist_ok=True)
        await self.relay.open([0])
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self._port = sock.getsockname()[1]
        await self.relay.listen([sock])

    async def stop(self) -> None:
        """Close it in good order."""
        self._hang_up()
        await self.relay.close(1.0)

    def _hang_up(self) -> None:
        if self._carrier is not None:
            self._carrier.quit()
            self._carrier = None

    async def send(self, *to: str, sender: str = SENDER, text: str = "hello") -> None:
        """Hand one message in, by SMTP, as another machine of ours would."""
        self._number += 1
        content = (
            f"From: {SENDER}\r\nTo: {to[0]}\r\nSubject: number {self._number}\r\n"
            f"Message-ID: <{self._number}@shop.example>\r\n\r\n{text}\r\n"
        ).encode()
        carrier = self._carrier
        if carrier is None or carrier.failure is not None or carrier.carried > 500:
            self._hang_up()
            carrier = self._carrier = Carrier()
            await carrier.open("127.0.0.1", self._port)
            await carrier.hello("client.test")
        done = await carrier.carry(c.Mail(sender), [c.Rcpt(one) for one in to], content)
        assert done.failure is None, done.failure
        assert {reply.code for _, reply in done.replies.values()} == {250}, done.replies
        self.sent.update(dict.fromkeys(to, sender))

    async def pass_(self, seconds: float) -> None:
        """So much of the day goes by."""
        await asyncio.sleep(seconds)

    async def empty(self, within: float) -> float:
        """Until the queue is empty; how long it took."""
        began = self.now
        await self.until(lambda: self.left == 0, within)
        return self.now - began

    async def until(self, condition: Callable[[], bool], within: float) -> None:
        """Until that holds."""
        end, step = self.now + within, max(0.5, min(MINUTE, within / 3_600))
        while not condition():
            assert self.now < end, f"not within {within} s; {self.left} left"
            await asyncio.sleep(step)

    @property
    def now(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()

    @property
    def left(self) -> int:
        """Messages in the queue."""
        return int(self.relay.gauges()["queue_messages", ""])

    # -- what was written down

    def kinds(self) -> Counter[str]:
        """Events of recipients that somebody sent to, from the file."""
        return Counter(kind for kind, _, _ in self.rows())

    def rows(self) -> list[tuple[str, str, float]]:
        """Kind, recipient, time."""
        path = file_of(self.config.server.data, 0)
        with contextlib.closing(sqlite3.connect(path)) as db:
            return list(db.execute("SELECT kind, recipient, at FROM events ORDER BY id"))

    def ends(self) -> dict[str, list[str]]:
        """Recipient -> how it ended; exactly one for each, or something is wrong."""
        found: dict[str, list[str]] = {}
        for kind, recipient, _ in self.rows():
            if kind in ENDS and recipient in self.sent:
                found.setdefault(recipient, []).append(kind)
        return found

    def check_ends(self) -> None:
        """Every message ended, once."""
        ends = self.ends()
        assert set(ends) == set(self.sent)
        assert {len(kinds) for kinds in ends.values()} == {1}

    def reports(self) -> list[bytes]:
        """DSNs that came home."""
        return [taken.content for taken in self.home.taken if not taken.sender]


@contextlib.asynccontextmanager
async def world(
    folder: Path, servers: Sequence[Server], hops: Sequence[Mapping[str, Any]], **more: Any
) -> AsyncIterator[World]:
    """A relay at work, its servers up."""
    made = World(folder, servers, hops, **more)
    for server in made.servers.values():
        await server.up()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        for server in made.servers.values():
            await server.down()
