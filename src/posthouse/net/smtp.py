"""An SMTP (or LMTP) client on a ``Stream``: one method a command, each gives the server's reply.

Enters: an open stream, commands, a message. Leaves: ``Reply``s, whatever their code, and a masked
transcript in the ``Trace``. Probe and deliver call it. What goes wrong below SMTP is a
NetworkFailure of the command's stage: CLOSED, RESET, SILENT (within RFC 5321 section 4.5.3.2, or
the caller's own ``asyncio.timeout``), NOT_SMTP, TLS_EXPECTED, BAD_REPLY, TLS_NOT_OFFERED,
TLS_STRIPPED, and what ``start_tls`` raises. A caller's mistake is a LocalProtocolError.

Whether a password may be sent is for the caller to decide, who has seen the certificate.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Failure, NetworkFailure, Secret, Stage, Trace
from posthouse.net.smtp_login import exchange
from posthouse.net.smtp_wire import Timeouts, Wire
from posthouse.net.stream import Stream
from posthouse.net.tls import TlsOptions, TlsSession
from posthouse.protocol.first_bytes import protocol_of
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.data import check_lines
from posthouse.protocol.smtp.events import MessageData
from posthouse.protocol.smtp.extensions import auth_mechanisms, erased
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.state import State

BLOCK: Final = 65_536  # octets of message handed over at once; one time-out covers each
GROUP: Final = 50  # pipelined commands before their replies are read: both fit any TCP window
NONCE_OCTETS: Final = 24  # random octets for SCRAM (RFC 5802 asks for enough to never repeat)

_STAGES: Final[Mapping[type, Stage]] = {
    c.Ehlo: Stage.EHLO,
    c.Helo: Stage.EHLO,
    c.Lhlo: Stage.EHLO,
    c.StartTls: Stage.TLS,
    c.Auth: Stage.AUTH,
    c.AuthResponse: Stage.AUTH,
    c.Mail: Stage.MAIL,
    c.Rcpt: Stage.RCPT,
    c.Data: Stage.DATA,
    c.Bdat: Stage.DATA,
    c.MessageEnd: Stage.DATA,
}


@dataclass(frozen=True, slots=True)
class AuthOutcome:
    """How a login ended. ``error``: the JSON of a refused OAuth token, if the server gave one.

    ``verified``: the server has proved that it knows the password (SCRAM).
    ``cancelled``: why we broke off (a SaslError's reason), "" where we did not.
    """

    mechanism: str
    reply: Reply
    error: Mapping[str, Any] | None = None
    verified: bool = False
    cancelled: str = ""


class SmtpClient:
    """The owner of one connection to a server."""

    def __init__(
        self,
        stream: Stream,
        trace: Trace | None = None,
        *,
        lmtp: bool = False,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  frozen
    ) -> None:
        self._stream = stream
        self._timeouts = timeouts
        self._lmtp = lmtp
        self._wire = Wire(stream, trace, timeouts, lmtp=lmtp)
        self.injected = 0  # octets that somebody put behind STARTTLS in plain text

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the last EHLO reply offered: upper-case keyword -> parameters."""
        return self._wire.connection.extensions

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._wire.connection.state

    # -- the session

    async def greeting(self) -> Reply:
        """The server's first words, 220 if it will talk with us."""
        reply = await self._wire.reply(Stage.GREETING, self._timeouts.greeting)
        if protocol_of(reply.raw) == "ftp" and "SMTP" not in reply.text.upper():
            raise NetworkFailure(Failure.NOT_SMTP, Stage.GREETING, protocol="ftp", text=reply.text)
        return reply

    async def ehlo(self, name: str) -> Reply:
        """EHLO (LHLO in LMTP). 500 or 502 is a server that only knows ``helo``."""
        return await self.command(c.Lhlo(name) if self._lmtp else c.Ehlo(name))

    async def helo(self, name: str) -> Reply:
        """HELO: no extensions, so neither TLS nor a login."""
        return await self.command(c.Helo(name))

    async def starttls(self) -> Reply:
        """STARTTLS; after a 220 comes ``upgrade``. TLS_NOT_OFFERED or TLS_STRIPPED without it."""
        if "STARTTLS" not in self.extensions:
            stripped = erased(self.extensions)
            failure = Failure.TLS_STRIPPED if stripped else Failure.TLS_NOT_OFFERED
            raise NetworkFailure(failure, Stage.TLS)
        return await self.command(c.StartTls())

    async def upgrade(self, options: TlsOptions) -> TlsSession:
        """Start TLS: after ``starttls``, or before ``greeting`` where the port has implicit TLS.

        The certificate is not judged here. Say ``ehlo`` again afterwards (RFC 3207 section 4.2).
        """
        session = await self._stream.start_tls(options)
        self.injected = self._wire.tls_started()
        self._wire.note(f"{session.version} {session.cipher}")
        return session

    async def auth(self, mechanism: str, username: str, secret: Secret) -> AuthOutcome:
        """Log in by ``mechanism``, once. SaslError where the credentials do not fit it."""
        tls = self._stream.tls
        host, _, port = self._stream.peer.rpartition(":")
        client = sasl.client(
            mechanism,
            username=username,
            secret=secret,
            host=tls.server_name if tls is not None and tls.server_name else host.strip("[]"),
            port=int(port) if port.isdecimal() else 0,
            nonce=secrets.token_bytes(NONCE_OCTETS),
            channel_binding=self._binding(mechanism),
        )
        return await self.exchange(client)

    def _binding(self, mechanism: str) -> sasl.ChannelBinding | None:
        tls = self._stream.tls
        if tls is None or tls.channel_binding is None:
            return None
        # RFC 5802 section 6: to say "I could bind, you do not offer it" is only right where true.
        plus = f"{mechanism.upper().removesuffix('-PLUS')}-PLUS"
        if plus in auth_mechanisms(self.extensions) and plus != mechanism.upper():
            return None
        return sasl.ChannelBinding("tls-server-end-point", tls.channel_binding)

    async def exchange(self, mechanism: sasl.ClientMechanism) -> AuthOutcome:
        """Log in with a mechanism that the caller has made (RFC 4954 section 4)."""
        reply, cancelled = await exchange(self.command, mechanism)
        if reply.is_success:
            self._believe(mechanism)
        # Only the OAuth mechanisms have one.
        told = self._wire.without_echo(getattr(mechanism, "error", None))
        return AuthOutcome(mechanism.name, reply, told, mechanism.verified, cancelled)

    @staticmethod
    def _believe(mechanism: sasl.ClientMechanism) -> None:
        try:
            mechanism.done()
        except sasl.SaslError as error:
            raise NetworkFailure(Failure.BAD_REPLY, Stage.AUTH, reason=error.reason) from None

    async def quit(self) -> Reply:
        """QUIT; ``close`` comes next."""
        return await self.command(c.Quit())

    async def close(self) -> None:
        """Close the stream. Never raises."""
        await self._stream.close()

    # -- the transaction

    async def mail(self, sender: str, params: Mapping[str, str | None] | None = None) -> Reply:
        """MAIL FROM; "" is the null sender."""
        return await self.command(c.Mail(sender, params or {}))

    async def rcpt(self, recipient: str, params: Mapping[str, str | None] | None = None) -> Reply:
        """RCPT TO."""
        return await self.command(c.Rcpt(recipient, params or {}))

    async def rset(self) -> Reply:
        """RSET."""
        return await self.command(c.Rset())

    async def envelope(
        self,
        sender: str,
        recipients: Sequence[str],
        params: Mapping[str, str | None] | None = None,
        rcpt_params: Mapping[str, str | None] | None = None,
    ) -> tuple[Reply, tuple[Reply, ...]]:
        """MAIL and every RCPT, in groups where the server pipelines; the replies in order."""
        items: list[c.Command] = [c.Mail(sender, params or {})]
        items += [c.Rcpt(recipient, rcpt_params or {}) for recipient in recipients]
        pipelines = "PIPELINING" in self.extensions
        replies: list[Reply] = []
        seconds = self._timeouts.command
        while items:
            group, items = items[: GROUP if pipelines else 1], items[GROUP if pipelines else 1 :]
            for item in group:
                await self._wire.send(item, _STAGES[type(item)])
            replies += [await self._wire.reply(_STAGES[type(i)], seconds) for i in group]
        return replies[0], tuple(replies[1:])

    async def data(self, message: bytes, *, wire: bool = False) -> Reply:
        """DATA and the message; the reply that ended it (in LMTP the first; see ``data_each``).

        Lines end in CRLF (``protocol.smtp.normalize``); ``wire``: dots are stuffed already. A
        failure's detail tells the octets ``sent``, and ``sent_all``: then the message may have
        been accepted all the same, and sending it again may double it.
        """
        return (await self.data_each(message, wire=wire))[0]

    async def data_each(self, message: bytes, *, wire: bool = False) -> tuple[Reply, ...]:
        """The same for LMTP: a reply for each accepted recipient (RFC 2033 section 4.2)."""
        recipients = len(self._wire.connection.recipients) if self._lmtp else 1
        check_lines(message)  # before the server waits for a message that cannot be sent
        first = await self.command(c.Data())
        if not first.is_intermediate:
            return (first,)
        sent = 0
        try:
            for begin in range(0, len(message), BLOCK):
                block = message[begin : begin + BLOCK]
                await self._wire.send(MessageData(block, wire), Stage.DATA)
                sent += len(block)
            self._wire.show_message(len(message))
            await self._wire.send(c.MessageEnd(), Stage.DATA)
            seconds = self._timeouts.end
            replies = [await self._wire.reply(Stage.DATA, seconds) for _ in range(recipients or 1)]
        except NetworkFailure as failure:
            failure.detail.update(sent=sent, sent_all=self._wire.all_written)
            raise
        return tuple(replies)

    async def bdat(self, message: bytes, *, chunk: int = 1_048_576) -> Reply:
        """The message as BDAT chunks (RFC 3030); the reply that ended it (in LMTP the first)."""
        return (await self.bdat_each(message, chunk=chunk))[0]

    async def bdat_each(self, message: bytes, *, chunk: int = 1_048_576) -> tuple[Reply, ...]:
        """The same for LMTP: the last chunk gets a reply for each accepted recipient."""
        recipients = len(self._wire.connection.recipients) if self._lmtp else 1
        begin = 0
        while True:
            part = message[begin : begin + chunk]
            begin += len(part)
            last = begin >= len(message)
            await self._wire.send(c.Bdat(len(part), last), Stage.DATA)
            for start in range(0, len(part), BLOCK):
                await self._wire.send(MessageData(part[start : start + BLOCK]), Stage.DATA)
            seconds = self._timeouts.end if last else self._timeouts.command
            owed = (recipients or 1) if last else 1
            replies = [await self._wire.reply(Stage.DATA, seconds) for _ in range(owed)]
            if last or not replies[0].is_success:
                return tuple(replies)

    async def command(self, item: c.Command) -> Reply:
        """Any one command, and its reply."""
        stage = _STAGES.get(type(item), Stage.ANY)
        await self._wire.send(item, stage)
        seconds = self._timeouts.data if isinstance(item, c.Data) else self._timeouts.command
        return await self._wire.reply(stage, seconds)
