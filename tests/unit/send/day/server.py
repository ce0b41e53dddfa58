"""Next hops that behave as next hops do, on addresses of 127/8 of their own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from posthouse.net.smtp_listen import Listener
from posthouse.net.smtp_session import Answer, Peer
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection
from posthouse.protocol.smtp.events import BodyEnd
from posthouse.protocol.smtp.reply import Reply

PORT: Final = 2_525
_hosts = count(2)

OK: Final = Reply.make(250, "Ok", "2.0.0")
GREYLISTED: Final = Reply.make(451, "Greylisted, please come back later", "4.7.1")
FULL: Final = Reply.make(452, "Insufficient system storage", "4.3.1")
UNKNOWN: Final = Reply.make(550, "User unknown", "5.1.1")
CROWDED: Final = Reply.make(421, "Too many connections from you, closing", "4.7.0")


def later(seconds: int) -> Reply:
    """A server that names its time."""
    return Reply.make(450, f"Busy, try again in {seconds} seconds", "4.2.0")


@dataclass(frozen=True, slots=True)
class Taken:
    """One message that was said yes to."""

    at: float  # of the loop
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    connection: int


@dataclass(eq=False)
class Server:
    """One host. The functions decide; what happened is counted."""

    name: str
    greet: Callable[[Server], Answer] = lambda server: Reply(220, (f"{server.name} ESMTP",))
    rcpt: Callable[[Server, str], Reply] = lambda _server, _address: OK
    end: Callable[[Server], Reply] = lambda _server: OK
    work: float = 0.0  # seconds for a message
    cut: Callable[[Server], bool] = lambda _server: False  # hang up behind the end of data
    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME")
    host: str = ""
    taken: list[Taken] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)  # when each MAIL came
    asked: list[tuple[float, str]] = field(default_factory=list)  # each RCPT
    opened: int = 0  # connections so far
    open: int = 0
    most_open: int = 0
    busy: int = 0  # messages between the end of data and its answer
    most_busy: int = 0
    lives: list[tuple[float, float]] = field(default_factory=list)  # of connections: from, to
    listener: Listener | None = None

    def __post_init__(self) -> None:
        number = next(_hosts)
        self.host = self.host or f"127.77.{number // 250}.{number % 250 + 1}"

    async def up(self, **more: Any) -> None:
        """Take connections."""
        assert self.listener is None
        self.listener = Listener(lambda: _Session(self), **more)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.host, PORT))
        await self.listener.listen(sock=sock)

    async def down(self) -> None:
        """Refuse connections, cut those there are."""
        if self.listener is not None:
            for one in list(self.listener.sessions):
                _abort(one)
            await self.listener.close(patience=0.0)
            self.listener = None

    @contextlib.asynccontextmanager
    async def off(self) -> Any:
        """Down for as long as this lasts."""
        await self.down()
        yield
        await self.up()


class _Session:
    """One connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.number = 0
        self.here = False
        self.since = 0.0
        self.sender = ""
        self.recipients: list[str] = []
        self.content = b""

    def greet(self, peer: Peer) -> Answer:
        server = self.server
        self.since = asyncio.get_running_loop().time()
        self.here = True
        server.opened += 1
        server.open += 1
        server.most_open = max(server.most_open, server.open)
        self.number = server.opened
        return server.greet(server)

    def command(self, command: c.Command, connection: Connection) -> Answer:
        server, now = self.server, asyncio.get_running_loop().time()
        if isinstance(command, c.Ehlo):
            return Reply(250, (server.name, *server.extensions))
        if isinstance(command, c.Mail):
            self.sender, self.recipients, self.content = command.sender, [], b""
            server.begun.append(now)
        elif isinstance(command, c.Rcpt):
            server.asked.append((now, command.recipient))
            reply = server.rcpt(server, command.recipient)
            if reply.is_success:
                self.recipients.append(command.recipient)
            return reply
        elif isinstance(command, c.Data):
            return (
                Reply.make(354, "Go ahead") if self.recipients else Reply.make(554, "No", "5.5.1")
            )
        elif isinstance(command, c.Quit):
            return Reply.make(221, "Bye", "2.0.0")
        return OK

    def body(self, data: bytes) -> None:
        self.content += data

    def ended(self, end: BodyEnd, connection: Connection) -> Answer:
        server = self.server
        server.busy += 1
        server.most_busy = max(server.most_busy, server.busy)
        if server.work:
            return self._slowly()
        return self._decide()

    async def _slowly(self) -> Reply:
        await asyncio.sleep(self.server.work)
        answer = self._decide()
        return answer if isinstance(answer, Reply) else await answer

    def _decide(self) -> Answer:
        server = self.server
        server.busy -= 1
        if server.cut(server):
            self._keep()
            return _never(self)
        reply = server.end(server)
        if reply.is_success:
            self._keep()
        return reply

    def _keep(self) -> None:
        now = asyncio.get_running_loop().time()
        to = tuple(self.recipients)
        self.server.taken.append(Taken(now, self.sender, to, self.content, self.number))

    def over(self) -> None: ...

    def refused(self, reply: Reply, reason: str) -> None: ...

    def secured(self, peer: Peer) -> None: ...

    def closed(self, reason: str) -> None:
        if self.here:
            self.here = False
            self.server.open -= 1
            self.server.lives.append((self.since, asyncio.get_running_loop().time()))


def _never(session: _Session) -> Awaitable[Reply]:
    """Hang up instead of an answer."""
    assert session.server.listener is not None
    for one in list(session.server.listener.sessions):
        if one._session is session:
            _abort(one)
    return asyncio.get_running_loop().create_future()


def _abort(protocol: Any) -> None:
    if protocol._transport is not None:
        protocol._transport.abort()


async def silence() -> Reply:
    """A greeting that never comes."""
    await asyncio.Event().wait()
    raise AssertionError
