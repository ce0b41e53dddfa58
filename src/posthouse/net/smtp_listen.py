"""The relay's ear: SMTP sessions on sockets, as fast as one event loop goes.

Enters: octets from many clients, and a ``Session`` for each that decides. Leaves: replies in the
order the commands came, written together where they can be. Called by the daemon, which makes the
listeners. The protocol itself is ``protocol.smtp.Connection``, as everywhere; ``net.smtp_server``
serves the same on streams, one await after the other, for fakes and tests.

What is fixed here, whoever decides: octets injected behind STARTTLS are thrown away; a message with
a bare CR or LF is refused and the connection closed (CVE-2023-51764 and its kin); a client that is
silent, too slow or errs too often is ended with 421. Nothing raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from posthouse.net.smtp_session import Answer, Later, Peer, Session
from posthouse.net.tls_accept import Door
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection, Role
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import BodyChunk, BodyEnd, CommandReceived, Event, Refused
from posthouse.protocol.smtp.reply import EnhancedCode, Reply
from posthouse.protocol.smtp.state import State

ERRORS: Final = 20  # refused commands, since the last message, before the session ends
# Of an error is a recipient beyond the most of a message. RFC 5321 section 4.5.3.1.10: each of the
# rest is told 452, and the message goes to those before; so a thousand more are let through.
EXCESS: Final = 1 / 64
WAIT: Final = 300.0  # seconds for the next command or data (RFC 5321 section 4.5.3.2.7)
CLOSING: Final = 0.05  # seconds between looks for sessions that have come to their end
GRACE: Final = 1.0  # seconds of silence after which one without a message is not about to send it
SWEEP: Final = 1.0  # seconds between looks for sessions that are over their time
WHOLE: Final = 3600.0  # seconds one session may last; who sends for longer connects again
# Octets a second of a message that get it more time: 50 MB over 64 kbit/s take two hours, and would
# be cut off each time, for ever.
SLOWEST: Final = 8_192
AHEAD: Final = 16_384  # octets read and not looked at while an answer waits: a pipelined group
BACKLOG: Final = 1024  # connections that the kernel keeps until we take them
UNWRITTEN: Final = 65_536  # octets of replies a client may leave unread before it is cut off

_BARE: Final = Reply.make(521, "Bare CR or LF in the message", "5.5.2")
_SLOW: Final = Reply.make(421, "Timed out, closing connection", "4.4.2")
_ENOUGH: Final = Reply.make(421, "Too many errors, closing connection", "4.7.0")
_SHUT: Final = Reply.make(421, "Connection ends here, connect again", "4.3.2")
_LATER: Final = Reply.make(451, "Local error, try again later", "4.3.0")
_TOO_MANY: Final = EnhancedCode(4, 5, 3)
_MESSAGE: Final = (c.MessageEnd.verb, c.Bdat(0, last=True).row)  # what ends a message


class Listener:
    """The owner of the sessions of one or more sockets."""

    def __init__(
        self,
        make: Callable[[], Session],
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        wait: float = WAIT,
        whole: float = WHOLE,
        errors: int = ERRORS,
        most: int = 10_000,
    ) -> None:
        self.make = make
        self.tls = tls  # asked for each handshake, so that a new certificate needs no restart
        self.wait = wait
        self.whole = whole
        self.errors = errors
        self.most = most  # sessions at once
        self.sessions: set[_Protocol] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._servers: list[asyncio.Server | Door] = []

    async def listen(self, **where: Any) -> asyncio.Server:
        """Open a socket; ``where`` are ``create_server``'s words."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Protocol(self, False), backlog=BACKLOG, **where)
        self._opened(server)
        return server

    def listen_tls(self, sock: socket.socket, context: ssl.SSLContext, **more: Any) -> Door:
        """Implicit TLS on a socket that is bound; ``more`` are words of ``Door``."""
        sock.listen(BACKLOG)
        door = Door(sock, context, lambda: _Protocol(self, True), **more)
        door.open()
        self._opened(door)
        return door

    def _opened(self, server: asyncio.Server | Door) -> None:
        self._servers.append(server)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())

    async def close(self, *, patience: float = 10.0) -> None:
        """Take no more, let those who are in the middle of a message finish it, then end."""
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        until, doors = loop.time() + patience, [s for s in self._servers if isinstance(s, Door)]
        soon = loop.time() + min(GRACE, patience)
        while True:
            await asyncio.sleep(CLOSING)  # whom the loop had accepted already is among them then
            for session in list(self.sessions):
                session.shut()
            if loop.time() < soon and any(door.handshakes for door in doors):
                continue  # a client that has just come, and is about to be one of the sessions
            if not self.sessions or loop.time() >= until:
                break
        for door in doors:
            door.cut()
        for session in list(self.sessions):
            session.end(_SHUT, "shutdown")
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        """One timer for all: a call_later for each command costs more than the command."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            now = loop.time()
            for session in [s for s in self.sessions if s.overdue(now)]:
                session.late()
            for session in list(self.sessions):
                session.look()


class _Protocol(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_begun",
        "_busy",
        "_connection",
        "_early",
        "_eof",
        "_errors",
        "_events",
        "_handed_in",
        "_heard",
        "_listener",
        "_loop",
        "_octets",
        "_out",
        "_paused",
        "_securing",
        "_session",
        "_shutting",
        "_side",
        "_tls",
        "_transport",
    )

    def __init__(self, listener: Listener, implicit: bool) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._tls = implicit
        self._connection = Connection(Role.SERVER, tls=implicit)
        self._side = self._connection.server
        self._session = listener.make()
        self._events: list[Event] = []
        self._out: list[bytes] = []
        self._busy: asyncio.Future[Any] | None = None  # an answer that waits
        self._errors = 0.0
        self._shutting = False
        self._handed_in = False  # a message, at least one
        self._paused = False
        self._eof = False  # the client says nothing more
        self._securing = False  # the plain stream is in the hands of TLS
        self._early = b""
        self._begun = self._heard = self._loop.time()
        self._octets = 0  # read since the last message
        self._transport: asyncio.Transport | None = None

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._transport is not None:  # after STARTTLS: the same session on an encrypted stream
            return
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNWRITTEN)
        self._listener.sessions.add(self)
        if len(self._listener.sessions) > self._listener.most:
            self.end(Reply.make(421, "Too many connections, try again later", "4.7.0"), "crowded")
            return
        self._answer(self._session.greet(self._peer()))
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._octets += len(data)
        if self._securing:
            # Decrypted already, and here before ``start_tls`` has given us the new transport.
            self._early += data
            return
        side = self._side
        command = side.at_once(data)
        if command is not None:  # then nothing is under way, and nobody is waited for
            self._answer(self._session.command(command, self._connection))
            self._flush()
            return
        message = side.whole(data)
        if message is not None:
            self._session.body(message[0])
            self._ended(message[1])
            self._work()
            return
        self._events += side.receive(data)
        if self._busy is None:
            self._work()
        elif self._connection.pending > AHEAD and self._transport is not None:
            self._transport.pause_reading()  # what it sends meanwhile stays in the kernel
            self._paused = True

    def eof_received(self) -> bool:
        """It says nothing more, and may well listen: the answer that is owed comes first.

        But inside TLS, where Python's does not allow it.
        """
        self._eof = True
        return self._busy is not None and not self._tls

    def pause_writing(self) -> None:
        """The client asks and does not listen: that costs us memory."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        # An answer that is being waited for goes on: the message may be on the disk already.
        self._listener.sessions.discard(self)
        self._session.closed("lost" if exc else "closed")

    # -- time

    def overdue(self, now: float) -> bool:
        """Whether the client was silent for too long, or has been here for too long."""
        if self._busy is not None:
            return False
        longest = self._listener.whole + (0 if self._between else self._octets / SLOWEST)
        return now - self._heard > self._listener.wait or now - self._begun > longest

    def late(self) -> None:
        """Its time is over."""
        if self._transport is not None and self._transport.is_closing():
            self._transport.abort()  # it never reads our last words, which close() waits for
        else:
            self.end(_SLOW, "timeout")

    def look(self) -> None:
        """End it where whoever decides wants that; an answer that waits is given first."""
        if self._busy is None and (reply := self._session.over()) is not None:
            self.end(reply, "over")

    def shut(self) -> None:
        """End as soon as no message is under way, nor about to come from one who just came."""
        self._shutting = True
        waits = self._loop.time() - self._heard < GRACE and not self._handed_in
        if self._busy is None and self._between and not waits:
            self.end(_SHUT, "shutdown")

    @property
    def _between(self) -> bool:
        """Whether no transaction is open."""
        return self._connection.state not in (State.MAIL, State.RCPT, State.DATA, State.BDAT)

    def end(self, reply: Reply, reason: str) -> None:
        """Say 421 and hang up."""
        if self._transport is None or self._transport.is_closing():
            return
        with contextlib.suppress(LocalProtocolError):  # amid a message no reply is understood
            self._out.append(self._connection.send(reply))
        self._flush()
        self._transport.close()
        self._session.closed(reason)

    # -- the work

    def _work(self) -> None:
        """Everything that can be answered now; then all answers in one write."""
        while self._events and self._busy is None:
            self._event(self._events.pop(0))
        self._flush()

    def _event(self, event: Event) -> None:
        if isinstance(event, CommandReceived):
            if isinstance(event.command, c.Bdat):
                return  # its reply is owed after its octets (RFC 3030 section 2)
            self._answer(self._session.command(event.command, self._connection))
        elif isinstance(event, BodyChunk):
            self._session.body(event.data)
        elif isinstance(event, BodyEnd):
            self._ended(event)
        elif isinstance(event, Refused):
            self._session.refused(event.reply, event.reason)
            self._said(event.reply)
            if event.fatal:
                self._hang_up()

    def _ended(self, event: BodyEnd) -> None:
        facts = event.facts
        if event.last:
            self._handed_in, self._octets = True, 0
        if event.last and not event.chunked and (facts.bare_lf or facts.bare_cr):
            self._session.refused(_BARE, "bare_lf" if facts.bare_lf else "bare_cr")
            self._said(_BARE)
            self._hang_up()
        else:
            self._answer(self._session.ended(event, self._connection))

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, Reply):
            self._said(answer)
            return
        if not isinstance(answer, Later):
            answer = Later(asyncio.ensure_future(answer), asyncio.Future.result)
        self._busy, then = answer
        self._busy.add_done_callback(partial(self._done, then))

    def _done(
        self, then: Callable[[asyncio.Future[Any]], Reply], future: asyncio.Future[Any]
    ) -> None:
        """What was waited for is there."""
        if future.cancelled():
            return
        try:
            reply = then(future)
        except Exception as error:  # a bug must not take the client's message with it
            told = {"message": "a session failed", "exception": error, "session": self}
            self._loop.call_exception_handler(told)
            reply = _LATER
        self._busy = None
        self._heard = self._loop.time()
        self._said(reply)
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._paused = False
        self._work()
        if self._eof and self._busy is None:
            self._hang_up()

    def _said(self, reply: Reply) -> None:
        """A reply to the oldest command; what was pipelined behind it can be looked at now."""
        side = self._side
        owed = side.awaited[0].name if side.awaited else ""
        self._out.append(side.send(reply))
        state = side.session.state
        if state is State.TLS:
            self._upgrade()
            return
        if state is State.CLOSED:
            self._hang_up()
            return
        if reply.code < 300 and owed in _MESSAGE:
            self._errors = 0
        elif reply.code >= 400:
            self._errors += EXCESS if reply.enhanced == _TOO_MANY else 1
            if self._errors >= self._listener.errors:
                self.end(_ENOUGH, "errors")
                return
        if self._shutting and self._handed_in and self._between:
            self.end(_SHUT, "shutdown")
            return
        if side.buffer:
            self._events += side.receive(b"")

    def _flush(self) -> None:
        # Who is gone hears no answer any more: uvloop raises where something is written then.
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out) if len(self._out) > 1 else self._out[0])
            self._out.clear()

    def _hang_up(self) -> None:
        self._events.clear()
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _upgrade(self) -> None:
        """STARTTLS was agreed: everything the client sent before the handshake is thrown away."""
        self._flush()
        self._events.clear()
        if self._transport is not None:
            self._transport.pause_reading()
        self._busy = self._loop.create_task(self._handshake())

    async def _handshake(self) -> None:
        transport, context = self._transport, self._listener.tls
        if transport is None or context is None:
            raise RuntimeError("STARTTLS was agreed without a certificate")
        self._securing = True
        try:
            secure = await self._loop.start_tls(
                transport, self, context(), server_side=True, ssl_handshake_timeout=30
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError, ConnectionError):
            transport.abort()
            self.connection_lost(None)  # the loop tells it only of a stream that got as far as TLS
            return
        self._transport = cast(asyncio.Transport, secure)
        self._connection.tls_started()
        self._tls = True
        self._busy = None
        self._heard = self._loop.time()
        self._securing = False
        self._session.secured(self._peer())
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def _peer(self) -> Peer:
        if self._transport is None:
            return Peer("", 0, self._tls)
        name = self._transport.get_extra_info("peername") or ("", 0)
        tls = self._transport.get_extra_info("ssl_object") if self._tls else None
        if tls is None:
            return Peer(str(name[0]), int(name[1]), self._tls)
        version = f"{tls.version()} {(tls.cipher() or ('',))[0]}"
        certificate = self._transport.get_extra_info("peercert")
        return Peer(str(name[0]), int(name[1]), self._tls, certificate, version)
