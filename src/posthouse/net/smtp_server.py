"""The server's side of SMTP and LMTP on a ``Stream``: ``serve`` runs one session to its end.

Enters: a stream and a ``Handler``, which decides. Leaves: whatever the handler keeps. The engine
refuses what breaks the protocol; the handler is asked about the rest and answers with a ``Reply``.
Fakes and interoperability tests use it; it holds one message at a time in memory, up to
``ServerOptions.size``. NetworkFailure comes out where the client goes away in the middle.

What is fixed here, whoever the handler is: a message with a bare LF or CR is refused and the
connection closed (521 5.5.2, the answer to SMTP smuggling); too many errors end the session; octets
injected behind STARTTLS are thrown away and counted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.stream import Stream
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.connection import Connection, Role
from posthouse.protocol.smtp.data import BodyFacts, unstuff
from posthouse.protocol.smtp.events import BodyChunk, BodyEnd, CommandReceived, Event, Refused
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.state import State

ERRORS: Final = 20  # refused commands before the session ends, as in Postfix
WAIT: Final = 300.0  # seconds for the next command or data (RFC 5321 section 4.5.3.2.7)
SIZE: Final = 52_428_800  # octets of a message

_TOO_BIG: Final = Reply.make(552, "Message too big", "5.3.4")
_BARE: Final = Reply.make(521, "Bare CR or LF in the message", "5.5.2")
_CANCELLED: Final = Reply.make(501, "Authentication cancelled", "5.7.0")
_FAILED: Final = Reply.make(535, "Authentication credentials invalid", "5.7.8")


@dataclass(frozen=True, slots=True)
class Message:
    """One message, complete. ``wire`` is dot-stuffed unless ``chunked`` (it came by BDAT)."""

    mail: c.Mail
    recipients: tuple[c.Rcpt, ...]
    wire: bytes = field(repr=False)
    facts: BodyFacts
    chunked: bool

    @property
    def content(self) -> bytes:
        """The message itself."""
        return self.wire if self.chunked else unstuff(self.wire)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How one session is run."""

    lmtp: bool = False
    implicit_tls: bool = False  # TLS before the greeting, with ``tls``
    tls: ssl.SSLContext | None = None  # for STARTTLS, which has to be in the handler's EHLO reply
    size: int = SIZE
    errors: int = ERRORS
    wait: float = WAIT


class Handler(Protocol):
    """Who decides. Every method gets the session and gives the reply to send."""

    async def greet(self, session: ServerSession) -> Reply:
        """The first words: 220, or a refusal."""
        ...

    async def hello(self, session: ServerSession, command: c.Ehlo | c.Helo | c.Lhlo) -> Reply:
        """250 with the extensions, one a line, after the server's name."""
        ...

    async def auth(self, session: ServerSession, command: c.Auth) -> Reply:
        """The end of a login; ``session.ask`` and ``session.login`` hold the exchange."""
        ...

    async def mail(self, session: ServerSession, command: c.Mail) -> Reply:
        """May this sender?"""
        ...

    async def rcpt(self, session: ServerSession, command: c.Rcpt) -> Reply:
        """May it go there?"""
        ...

    async def data(self, session: ServerSession) -> Reply:
        """354, or a refusal."""
        ...

    async def message(self, session: ServerSession, message: Message) -> Sequence[Reply]:
        """One reply; in LMTP one for each recipient."""
        ...

    async def other(self, session: ServerSession, command: c.Command) -> Reply:
        """STARTTLS, RSET, NOOP, VRFY, EXPN, HELP, QUIT, XCLIENT, Unknown; see ``plain_answer``."""
        ...

    async def refused(self, session: ServerSession, refused: Refused) -> Reply:
        """What to say to a breach of the protocol; ``refused.reply`` as a rule."""
        ...


def plain_answer(command: c.Command) -> Reply:
    """What an ordinary server says to the commands of ``Handler.other``."""
    return _PLAIN.get(type(command), Reply.make(500, "Command not recognised", "5.5.2"))


_PLAIN: Final = {
    c.StartTls: Reply.make(220, "Ready to start TLS", "2.0.0"),
    c.Rset: Reply.make(250, "Reset", "2.0.0"),
    c.Noop: Reply.make(250, "Nothing done", "2.0.0"),
    c.Vrfy: Reply.make(252, "Send some mail, and see", "2.5.0"),  # RFC 5321 section 3.5.3
    c.Expn: Reply.make(502, "Not here", "5.5.1"),
    c.Help: Reply.make(214, "RFC 5321", "2.0.0"),
    c.Quit: Reply.make(221, "Good-bye", "2.0.0"),
    c.Xclient: Reply.make(220, "As if just connected"),
}


class Cancelled(Exception):
    """The client broke off a login; ``reply`` is what it gets."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.code))
        self.reply = reply


class ServerSession:
    """The owner of one session: what has been said, and what is still to be written."""

    def __init__(self, stream: Stream, handler: Handler, options: ServerOptions) -> None:
        self.stream = stream
        self.options = options
        self.connection = Connection(Role.SERVER, lmtp=options.lmtp, tls=options.implicit_tls)
        self.hello = ""  # the client's name
        self.username = ""  # who logged in
        self.mail: c.Mail | None = None
        self.recipients: list[c.Rcpt] = []
        self.injected = 0  # octets that came behind STARTTLS in plain text
        self.ended = False  # set it to close once everything is written
        self._handler = handler
        self._out = bytearray()
        self._body: list[bytes] = []
        self._size = 0
        self._errors = 0

    async def run(self) -> None:
        """The whole session."""
        if self.options.implicit_tls and self.options.tls is not None:
            await self.stream.accept_tls(self.options.tls)
        await self.say(await self._handler.greet(self))
        await self.flush()
        while not self.ended and self.connection.state is not State.CLOSED:
            data = await self._read()
            if not data:
                return
            await self._handle(self.connection.receive(data))
            await self.flush()

    async def say(self, reply: Reply) -> None:
        """Put a reply into what is written next."""
        self._out += self.connection.send(reply)

    async def flush(self) -> None:
        """Write what has been said: one write for all replies of a pipelined group."""
        out, self._out = bytes(self._out), bytearray()
        if out:
            await self.stream.write(out)

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self.options.wait) as bound:
                return await self.stream.read()
        except TimeoutError:
            if not bound.expired():
                raise
            await self.say(Reply.make(421, "Timeout", "4.4.2"))
            await self.flush()
            raise NetworkFailure(Failure.SILENT, Stage.ANY, seconds=self.options.wait) from None

    async def _handle(self, events: list[Event]) -> None:
        while events and not self.ended:
            for event in events:
                await self._event(event)
            events = self.connection.receive(b"")

    async def _event(self, event: Event) -> None:
        match event:
            case CommandReceived(command):
                await self._command(command)
            case BodyChunk(data):
                self._size += len(data)
                if self._size <= self.options.size:
                    self._body.append(data)
            case BodyEnd():
                await self._body_end(event)
            case Refused():
                await self.say(await self._handler.refused(self, event))
                await self._count_error(fatal=event.fatal)

    async def _command(self, command: c.Command) -> None:
        if isinstance(command, c.Bdat):
            return  # its octets come first
        reply = await self._answer(command)
        await self.say(reply)
        if reply.is_permanent:
            await self._count_error(fatal=False)
        elif isinstance(command, c.Mail) and reply.is_success:
            self._begin(command)
        elif isinstance(command, c.Rcpt) and reply.is_success:
            self.recipients.append(command)
        elif isinstance(command, c.StartTls) and reply.is_success:
            await self._start_tls()

    async def _answer(self, command: c.Command) -> Reply:
        handler = self._handler
        match command:
            case c.Ehlo() | c.Helo() | c.Lhlo():
                self.hello = command.name
                return await handler.hello(self, command)
            case c.Auth():
                return await self._auth(command)
            case c.Mail():
                return await handler.mail(self, command)
            case c.Rcpt():
                return await handler.rcpt(self, command)
            case c.Data():
                return await handler.data(self)
        return await handler.other(self, command)

    def _begin(self, command: c.Mail) -> None:
        self.mail, self.recipients = command, []
        self._body, self._size = [], 0

    async def _start_tls(self) -> None:
        await self.flush()
        if self.options.tls is None:
            self.ended = True
            return
        await self.stream.accept_tls(self.options.tls)
        self.injected += self.connection.tls_started()

    async def _count_error(self, *, fatal: bool) -> None:
        self._errors += 1
        if fatal:
            self.ended = True
        elif self._errors >= self.options.errors:
            await self.say(Reply.make(421, "Too many errors", "4.7.0"))

    # -- the message

    async def _body_end(self, end: BodyEnd) -> None:
        if not end.last:
            await self.say(_TOO_BIG if self._too_big() else Reply.make(250, "Go on", "2.0.0"))
            return
        # Not told apart from the message's own end by every server (CVE-2023-51764 and its kin).
        bare = not end.chunked and (end.facts.bare_cr or end.facts.bare_lf)
        if bare:
            self.ended = True
        if bare or self._too_big() or self.mail is None:
            replies: Sequence[Reply] = [_BARE if bare else _TOO_BIG]
        else:
            body = b"".join(self._body)
            message = Message(self.mail, tuple(self.recipients), body, end.facts, end.chunked)
            replies = await self._handler.message(self, message)
        self._body = []
        for number in range(len(self.connection.awaited)):
            await self.say(replies[min(number, len(replies) - 1)])

    def _too_big(self) -> bool:
        return self._size > self.options.size

    # -- the login

    async def _auth(self, command: c.Auth) -> Reply:
        try:
            return await self._handler.auth(self, command)
        except Cancelled as cancelled:
            return cancelled.reply

    async def ask(self, challenge: bytes) -> bytes:
        """Say 334 and wait for the answer. Cancelled where the client breaks off."""
        await self.say(Reply.challenge(challenge))
        events = self.connection.receive(b"")
        while not events:
            await self.flush()
            data = await self._read()
            if not data:
                raise NetworkFailure(Failure.CLOSED, Stage.AUTH)
            events = self.connection.receive(data)
        match events[0]:
            case CommandReceived(c.AuthResponse(data=bytes(response))):
                return response
            case Refused(reply=reply):
                raise Cancelled(reply)
        raise Cancelled(_CANCELLED)

    async def login(self, mechanism: sasl.ServerMechanism, command: c.Auth) -> Reply:
        """The whole exchange by a SASL mechanism: 235, or the refusal that fits."""
        try:
            challenge = mechanism.start(command.initial)
            while challenge is not None:
                challenge = mechanism.receive(await self.ask(challenge))
        except sasl.SaslError as error:
            return Reply.make(501, "Malformed response", "5.5.2") if error.malformed else _FAILED
        self.username = mechanism.username
        return Reply.make(235, "Authentication successful", "2.7.0")


async def serve(stream: Stream, handler: Handler, options: ServerOptions | None = None) -> None:
    """Run one session; the stream is left open, for the caller to close."""
    await ServerSession(stream, handler, options or ServerOptions()).run()
