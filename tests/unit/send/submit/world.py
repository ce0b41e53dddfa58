"""A relay's front door on loopback: a desk with doubles behind it, and a client that says bytes."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from fakes.certs import Authority
from posthouse.letter import Event, Letter
from posthouse.net.clock import FakeClock
from posthouse.net.smtp_listen import Listener
from posthouse.net.tls_accept import HANDSHAKE
from posthouse.send.submit.accounts import Accounts
from posthouse.send.submit.desk import Desk, Terms
from posthouse.send.submit.login import Gate
from posthouse.send.submit.settings import Limits, Listening, Mode

NAME = "relay.d.example"
ALICE = "alice@d.example"
PATIENCE = 5.0  # seconds a test waits for a reply that should come at once
LOCAL = (ip_network("127.0.0.0/8"),)


class World:
    """The parts of one process, and what came out of them."""

    def __init__(self, folder: Path, **terms: Any) -> None:
        self.authority = Authority(folder)
        self.tls = self.authority.context(hosts=("127.0.0.1",))
        self.clock = FakeClock()
        self.accounts = Accounts(folder / "data", create=True)
        self.accounts.add(ALICE, [ALICE, "*@shop.d.example"], [], 0.0)
        self.secret = self.accounts.make_password(ALICE, "laptop", 0.0).reveal()
        self.kept: list[Letter] = []
        self.events: list[Event] = []
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.failure: Exception | None = None
        self.gate = Gate(self.accounts, self.clock, self.watch)
        terms.setdefault("limits", Limits(0, 0, 0))
        self.desk = Desk(
            Terms(NAME, **terms), self.keep, self.next_id,
            gate=self.gate, clock=self.clock, watch=self.watch,
        )  # fmt: skip

    def watch(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.told.append((kind, facts))

    def next_id(self) -> str:
        return f"id{len(self.kept) + 1}"

    async def keep(self, letter: Letter, events: Sequence[Event]) -> None:
        if self.failure is not None:
            raise self.failure
        await asyncio.sleep(0)
        self.kept.append(letter)
        self.events += events

    def reasons(self) -> list[str]:
        return [facts["reason"] for kind, facts in self.told if kind == "rejected"]

    def logins(self) -> list[str]:
        return [facts["result"] for kind, facts in self.told if kind == "login"]

    @asynccontextmanager
    async def listening(
        self,
        mode: Mode,
        networks: Any = None,
        *,
        handshake: float = HANDSHAKE,
        host: str = "127.0.0.1",
        **more: Any,
    ) -> AsyncIterator[int]:
        if networks is None:
            networks = LOCAL if mode is Mode.RELAY else ()
        make = self.desk.sessions(Listening("127.0.0.1", 0, mode, networks))
        listener = Listener(make, tls=lambda: self.tls, **more)
        sock = socket.create_server((host, 0))
        if mode is Mode.TLS:
            listener.listen_tls(sock, self.tls, handshake=handshake, crowded=self.desk.crowded)
        else:
            await listener.listen(sock=sock)
        try:
            yield sock.getsockname()[1]
        finally:
            await listener.close(patience=0.2)

    @asynccontextmanager
    async def client(self, mode: Mode, **more: Any) -> AsyncIterator[Client]:
        """Connected and greeted."""
        async with self.listening(mode, **more) as port:
            client = await self.connect(port, mode)
            yield client
            client.close()

    async def connect(self, port: int, mode: Mode) -> Client:
        context = self.authority.client_context() if mode is Mode.TLS else None
        client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=context))
        client.greeting = await client.reply()
        return client

    @asynccontextmanager
    async def alice(self, **more: Any) -> AsyncIterator[Client]:
        """Signed in by implicit TLS."""
        async with self.client(Mode.TLS, **more) as client:
            await client.say("EHLO laptop.home")
            assert await client.say(f"AUTH PLAIN {plain(ALICE, self.secret)}") == "235 2.7.0"
            yield client


class Client:
    """Says what it is told, whatever the protocol thinks of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = ""
        self.text = ""  # the last reply, whole

    async def say(self, *lines: str) -> str:
        """Send lines; the code and enhanced code of the last reply."""
        self.write("".join(f"{line}\r\n" for line in lines).encode())
        answer = ""
        for _ in lines:
            answer = await self.reply()
        return answer

    def write(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def reply(self) -> str:
        lines = []
        while not lines or lines[-1][3:4] == "-":
            line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            if not line:
                return "closed"
            lines.append(line.decode().rstrip("\r\n"))
        self.text = "\n".join(lines)
        first, _, rest = lines[-1].partition(" ")
        word = rest.partition(" ")[0]
        return f"{first} {word}" if word[1:2] == "." else first

    async def rest(self, seconds: float = PATIENCE) -> bytes:
        """Everything until the server hangs up, or is silent."""
        answer = b""
        try:
            while part := await asyncio.wait_for(self.reader.read(65_536), seconds):
                answer += part
        except (TimeoutError, ConnectionError, ssl.SSLError):
            pass
        return answer

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await self.writer.start_tls(context, server_hostname="127.0.0.1")

    async def deliver(self, message: bytes, sender: str = ALICE, *rcpt: str) -> str:
        """One message by DATA, as it is; the reply to its end."""
        await self.say(f"MAIL FROM:<{sender}>")
        for one in rcpt or ("bob@e.example",):
            answer = await self.say(f"RCPT TO:<{one}>")
        if answer != "250 2.1.5":
            told = self.text
            await self.say("RSET")
            self.text = told
            return answer
        await self.say("DATA")
        self.write(message + b".\r\n")
        return await self.reply()

    def close(self) -> None:
        self.writer.close()


def plain(user: str, secret: str, authzid: str = "") -> str:
    return b64(f"{authzid}\0{user}\0{secret}")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
