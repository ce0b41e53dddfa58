"""DNS questions on the wire: UDP, and TCP where UDP was too small.

Enters: a question and a server. Leaves: an ``Answer``. Only ``net.resolver`` uses it, and imports
it when the first question is asked. ``protocol.dnsmessage`` writes and reads the messages. The
sockets are connected ones, so that a closed port or a missing route is seen at once and not as
silence; questions that are on the way together share one. What can fail: nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, cast

from posthouse.flow import Failure, NetworkFailure
from posthouse.net.hosts import stamp
from posthouse.net.pipe import failure_of
from posthouse.net.stream import Stream, TcpStream
from posthouse.protocol.dns import Answer, AnswerStatus
from posthouse.protocol.dnsmessage import (
    NXDOMAIN,
    REFUSED,
    Question,
    Reply,
    WireError,
    question,
    read,
)

__all__ = ["Client", "answer_of", "ask_stream", "question", "server_text", "system_servers"]

# RFC 5452 section 9.2: an attacker has to guess the port as well as the id, so a port is left soon.
QUESTIONS_LIMIT: Final = 32  # of one socket; a new one costs as much as three questions
PORT: Final = 53
RESOLV_CONF: Final = "/etc/resolv.conf"  # Windows has none: dnspython asks its registry

Server = tuple[str, int]

_FAILED: Final = {REFUSED: AnswerStatus.REFUSED}
_UNASKED: Final = {
    Failure.REFUSED: AnswerStatus.REFUSED,
    Failure.EXHAUSTED: AnswerStatus.EXHAUSTED,
}


def system_servers() -> tuple[Server, ...]:
    """The resolvers this machine is set up with at this moment; none if it has none."""
    return _servers(RESOLV_CONF, stamp(Path(RESOLV_CONF)))


@lru_cache(maxsize=1)
def _servers(path: str, _stamp: tuple[int, int, int] | None) -> tuple[Server, ...]:
    import dns.exception
    import dns.resolver

    try:
        found = dns.resolver.Resolver(filename=path).nameservers
    except (dns.exception.DNSException, OSError):
        return ()
    return tuple((one, PORT) for one in found if isinstance(one, str) and "/" not in one)


def server_text(server: Server) -> str:
    """The server for people: the port only where it is not 53."""
    host, port = server
    if port == PORT:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Client:
    """Asks servers. It keeps no socket open when no question is on the way."""

    def __init__(self) -> None:
        self._sockets: dict[Server, _Socket] = {}

    async def exchange(self, question: Question, server: Server, seconds: float) -> Answer:
        """Ask one server once, and wait so long; TIMEOUT after that."""
        text = server_text(server)
        until = asyncio.get_running_loop().time() + seconds
        try:
            reply = await self._socket(server).ask(question, until)
            if reply.truncated:
                async with asyncio.timeout_at(until):
                    reply = await _tcp(question, server)
        except (OSError, NetworkFailure) as error:
            kind = (error if isinstance(error, NetworkFailure) else failure_of(error)).failure
            status = _UNASKED.get(kind, AnswerStatus.TIMEOUT)
            offline = kind is Failure.OFFLINE
            return Answer(question.name, question.type, status, server=text, offline=offline)
        except WireError:
            return Answer(question.name, question.type, AnswerStatus.SERVFAIL, server=text)
        return answer_of(reply, question, text)

    def _socket(self, server: Server) -> _Socket:
        """The one in use, or a new one where that is used up."""
        socket = self._sockets.get(server)
        if socket is None or not socket.usable:
            socket = self._sockets[server] = _Socket(server)
        return socket


class _Flight(NamedTuple):
    """A question on the way."""

    question: Question
    reply: asyncio.Future[Reply]

    def fail(self, error: Exception) -> None:
        """Give it up, unless the reply has come."""
        if not self.reply.done():
            self.reply.set_exception(error)


class _Socket(asyncio.DatagramProtocol):
    """One connected socket and the questions it has on the way; it closes after the last."""

    def __init__(self, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._flights: dict[bytes, _Flight] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._asked = 0
        self._closed = False
        self._opening = self._loop.create_task(self._open(server))

    @property
    def usable(self) -> bool:
        """Whether one more question may be asked here, in the running event loop."""
        fresh = self._asked < QUESTIONS_LIMIT and not self._closed
        return fresh and self._loop is asyncio.get_running_loop()

    async def ask(self, question: Question, until: float) -> Reply:
        """The reply to one question. Raises OSError (at ``until``: TimeoutError), WireError."""
        self._asked += 1
        id_ = secrets.token_bytes(2)
        while id_ in self._flights:
            id_ = secrets.token_bytes(2)
        flight = self._flights[id_] = _Flight(question, self._loop.create_future())
        # Some thousand questions a second: a timer alone is cheaper than asyncio.timeout.
        alarm = self._loop.call_at(until, flight.fail, TimeoutError())
        try:
            if self._transport is not None:
                self._transport.sendto(question.message(id_))
            return await flight.reply
        finally:
            alarm.cancel()
            del self._flights[id_]
            if not self._flights:
                self._close()

    async def _open(self, server: Server) -> None:
        try:
            await self._loop.create_datagram_endpoint(lambda: self, remote_addr=server)
        except OSError as error:
            self.error_received(error)

    def _close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        if self._closed:  # whoever asked has given up already
            transport.close()
        for id_, flight in self._flights.items():
            self._transport.sendto(flight.question.message(id_))

    def datagram_received(self, data: bytes, addr: object) -> None:
        flight = self._flights.get(data[:2])
        if flight is None or flight.reply.done():
            return  # late, or forged
        try:
            reply = read(flight.question, data)
        except WireError as error:
            flight.fail(error)  # ours, and malformed: do not wait for more
            return
        if reply is not None:
            flight.reply.set_result(reply)

    def error_received(self, error: Exception) -> None:
        """What the system knows of the server holds for all that was sent to it."""
        self._closed = True
        for flight in self._flights.values():
            flight.fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.error_received(error or ConnectionAbortedError())


async def _tcp(question: Question, server: Server) -> Reply:
    """RFC 7766 section 8: two octets of length, then the message."""
    stream = await TcpStream.connect(*server)
    try:
        return await ask_stream(stream, question, secrets.token_bytes(2))
    finally:
        stream.abort()  # nothing is left to say, and TIME_WAIT costs a port


async def ask_stream(stream: Stream, question: Question, id_: bytes) -> Reply:
    """Ask over a stream that nobody else uses. Raises NetworkFailure, WireError."""
    query = question.message(id_)
    await stream.write(len(query).to_bytes(2, "big") + query)
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        more = await stream.read()
        if not more:
            raise WireError("short")
        data += more
    wire = data[2 : 2 + int.from_bytes(data[:2], "big")]
    reply = read(question, wire, whole=True) if wire[:2] == id_ else None
    if reply is None:
        raise WireError("another question")
    return reply


def answer_of(reply: Reply, question: Question, server: str) -> Answer:
    """The reply in the words of the rest of Posthouse."""
    if reply.rcode not in (0, NXDOMAIN):
        status = _FAILED.get(reply.rcode, AnswerStatus.SERVFAIL)
        return Answer(question.name, question.type, status, server=server)
    status = AnswerStatus.OK if reply.records else AnswerStatus.NODATA
    return Answer(
        question.name,
        question.type,
        AnswerStatus.NXDOMAIN if reply.rcode == NXDOMAIN else status,
        reply.records,
        reply.ttl,
        reply.authenticated,
        server,
        reply.canonical,
    )
