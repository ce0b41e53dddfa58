"""One connection of one listener: what is answered to each command, and what is accepted.

Enters: commands and octets, from ``net.smtp_listen``. Leaves: replies, and letters to ``Keep``;
the 250 of a message is said only after it returned. Refusals and logins are told to ``Watch``.
Implements ``net.smtp_session.Session``. Nothing fails here: what cannot be taken is refused with a
code that is true (4xx where it may work later).

Submission listeners (tls, starttls) want TLS, then a login, then a sender that belongs to it (RFC
6409 section 6.1, RFC 8314 section 3). Relay listeners take mail from their networks alone and know
no login.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from posthouse.flow import Secret
from posthouse.letter import Event, Letter, QueueFull, Recipient, StoreError
from posthouse.net.smtp_session import Answer, Later, Peer
from posthouse.net.tcp import site
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.connection import Connection
from posthouse.protocol.smtp.events import BodyEnd
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.submit import envelope, replies
from posthouse.send.submit.credentials import Claim, Exchange, Unfit
from posthouse.send.submit.desk import Desk
from posthouse.send.submit.login import Denied, Identity
from posthouse.send.submit.message import Author, Body, Mark, prepare
from posthouse.send.submit.settings import Listening, Mode, client_of, within
from posthouse.send.submit.stamp import origin_of, protocol_of, received

# Commands that lead nowhere, between two messages: Postfix takes 100 of them; a pool that keeps
# its connections alive says NOOP or RSET twice a minute.
JUNK: Final = 200

_NONE: Final[Mapping[str, str | None]] = MappingProxyType({})

# A header field, or the first line of an HTTP request; but not a command that lacks its blank.
_NO_SMTP: Final = re.compile(
    r"(?!(?:EHLO|HELO|MAIL|RCPT|DATA|RSET|NOOP|QUIT|VRFY|EXPN|HELP|AUTH|STARTTLS|BDAT)(?:FROM|TO)?:)"
    r"[!-9;-~]+:|[A-Z]+ \S+ HTTP/",
    re.IGNORECASE,
)
_DENIED: Final = {
    Denied.WRONG: replies.WRONG,
    Denied.BUSY: replies.BUSY,
    Denied.BLOCKED: replies.BLOCKED,
}


class Session:
    """See the module."""

    __slots__ = (
        "_begun",
        "_body",
        "_client",
        "_desk",
        "_ehlo",
        "_exchange",
        "_hello",
        "_helo",
        "_here",
        "_identity",
        "_junk",
        "_listening",
        "_origin",
        "_params",
        "_recipients",
        "_relay",
        "_sender",
        "_tls",
    )

    def __init__(self, desk: Desk, listening: Listening, hello: Mapping[bool, Reply]) -> None:
        self._desk = desk
        self._listening = listening
        self._relay = listening.mode is Mode.RELAY
        self._hello = hello
        self._client = ""
        self._here = False  # connected, and counted by the desk
        self._tls = ""  # version and cipher, "" in the clear
        self._helo = ""
        self._ehlo = False
        self._origin = ""  # first lines of our Received field; "" where they have to be made
        self._identity: Identity | None = None
        self._exchange = Exchange()
        self._junk = 0
        self._begun = False  # whether there is a transaction, or something of one, to forget
        self._fresh()

    def _fresh(self, sender: str = "", params: Mapping[str, str | None] = _NONE) -> None:
        """A new transaction, or none."""
        self._sender = sender
        self._params = params
        self._recipients: dict[str, Recipient] = {}
        self._body: Body | None = None

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._desk.receiving += 1

    # -- what the listener calls

    def greet(self, peer: Peer) -> Answer:
        self._client = client_of(peer.address)
        self._tls = _tls_of(peer)
        self._here = True
        if not self._desk.arrived(self._place):
            return self._refused("connect", replies.CROWDED, "connections")
        networks = self._listening.networks
        # A relay listener without networks serves nobody, whatever configuration let that through.
        if (networks or self._relay) and not within(self._client, networks):
            return self._refused("connect", replies.NOT_FROM_THERE, "network")
        return self._desk.greeting

    def command(self, command: c.Command, connection: Connection) -> Answer:
        if not self._here:  # it went away while an answer waited, with more in the pipeline
            return replies.GONE
        return _ANSWERS[type(command)](self, command)

    def body(self, data: bytes) -> None:
        if not self._here:
            return
        if self._body is None:
            self._body = self._empty()
            self._begin()
        self._body.add(data)

    def ended(self, end: BodyEnd, connection: Connection) -> Answer:
        if not self._here:
            return replies.GONE
        if end.chunked and not end.last:
            refused = self._too_much(end)
            if refused is None:
                return Reply(250, (f"{end.facts.size} octets received",), replies.OK)
            self._forget()
            return self._refused("data", refused, "size")
        answer = self._accept(end)
        self._forget()
        return answer

    def refused(self, reply: Reply, reason: str) -> None:
        self._refused("any", reply, reason)

    def over(self) -> Reply | None:
        """A login that no longer holds ends its sessions, idle or amid a message."""
        return None if self._still() else self._refused("any", replies.CHANGED, "login_changed")

    def secured(self, peer: Peer) -> None:
        self._tls = _tls_of(peer)
        self._helo, self._ehlo, self._origin = "", False, ""
        self._identity = None
        self._exchange.forget()
        self._forget()

    def closed(self, reason: str) -> None:
        self._forget()
        if self._here:
            self._here = False
            self._desk.left(self._place)

    # -- commands

    def _on_ehlo(self, command: c.Ehlo | c.Helo) -> Reply:
        self._forget()
        self._helo, self._origin = command.name, ""
        self._ehlo = isinstance(command, c.Ehlo)
        name = Reply(250, (self._desk.terms.name,))  # HELO is told no more
        return self._idle(self._hello[bool(self._tls)] if self._ehlo else name)

    def _stepped(self, step: Reply | Claim | Unfit) -> Answer:
        """What a step of a login leads to."""
        if isinstance(step, Claim):
            return self._sign_in(step.user, step.secret)
        return self._refused("auth", step.reply, step.reason) if isinstance(step, Unfit) else step

    async def _sign_in(self, user: str, secret: Secret) -> Reply:
        if self._desk.gate is None:
            return replies.BUSY
        result = await self._desk.gate.sign_in(user, secret, self._client)
        if isinstance(result, Denied):
            return self._refused("auth", _DENIED[result], result.value)
        self._identity = result
        return replies.SIGNED_IN

    def _on_mail(self, command: c.Mail) -> Reply:
        self._forget()
        if not self._relay and (no := self._stranger(command.sender)) is not None:
            return self._refused("mail", *no)
        size = command.params.get("SIZE")
        if size is not None and int(size) > self._desk.terms.size:  # RFC 1870 section 6.1
            return self._refused("mail", replies.too_big(self._desk.terms.size), "size")
        params = envelope.of_mail(command.params)
        if isinstance(params, Reply):
            return self._refused("mail", params, "parameter")
        self._begin()
        self._fresh(envelope.plainest(command.sender), params)
        return replies.SENDER_OK

    def _stranger(self, sender: str) -> tuple[Reply, str] | None:
        """Why this client may not send as ``sender``."""
        identity, gate = self._identity, self._desk.gate
        if not self._tls:
            return replies.TLS_FIRST, "no_tls"
        if identity is None or gate is None:
            return replies.LOGIN_FIRST, "no_login"
        if not self._still():
            return replies.CHANGED, "login_changed"
        # Receipts and automatic answers come from the null path (RFC 8098 section 3, RFC 3834
        # section 3.3); whose they are, From says.
        if sender and not identity.senders.allow(sender):
            return replies.use(553, "Sender", identity.senders.patterns), "sender"
        return None

    def _still(self) -> bool:
        """Whether the login holds; without one there is nothing to hold."""
        identity, gate = self._identity, self._desk.gate
        return identity is None or gate is None or gate.still(identity)

    def _on_rcpt(self, command: c.Rcpt) -> Reply:
        recipients, terms = self._recipients, self._desk.terms
        if len(recipients) >= terms.recipients:  # RFC 5321 section 4.5.3.1.10
            return self._refused("rcpt", replies.TOO_MANY, "recipients")
        params = envelope.of_rcpt(command.params, utf8="SMTPUTF8" in self._params)
        if isinstance(params, Reply):
            return self._refused("rcpt", params, "parameter")
        if not recipients:  # a message counts when it has somebody to go to
            limit = self._desk.rates.refusal(self._who, self._desk.clock.monotonic())
            if limit is not None:
                return self._refused("rcpt", replies.slow_down(limit.wait), "rate")
        address = envelope.plainest(command.recipient)
        if "@" not in address:  # RFC 5321 section 4.1.1.3: "Postmaster" is ours
            address = f"{address}@{terms.name}"
        recipients.setdefault(address, Recipient(address, params))
        return replies.RECIPIENT_OK

    def _on_rset(self, command: c.Rset) -> Reply:
        self._forget()
        return self._idle(replies.DONE)

    def _on_unknown(self, command: c.Unknown) -> Reply:
        """A line of a message or of HTTP: its sender does not hear us, and others wrote it."""
        if _NO_SMTP.match(command.line):
            return self._refused("any", replies.NO_SMTP, "no_smtp")
        return self._refused("any", replies.WHAT, "unknown")

    def _idle(self, reply: Reply) -> Reply:
        """A command that leads nowhere: some are fine, thousands are an attack."""
        self._junk += 1
        return reply if self._junk <= JUNK else self._refused("any", replies.JUNK, "junk")

    # -- the message

    def _accept(self, end: BodyEnd) -> Answer:
        body = self._body or self._empty()
        if (refused := self._too_much(end)) is not None:
            return self._refused("data", refused, "size")
        if not self._still():
            return self._refused("data", replies.CHANGED, "login_changed")
        desk, identity = self._desk, self._identity
        at, id_ = desk.clock.time(), desk.ids()
        author = None if identity is None else Author(self._sender, identity.senders)
        mark = Mark(desk.terms.name, id_, int(at))
        ready = prepare(body.parts, end.facts, author, mark, chunked=end.chunked)
        if isinstance(ready, Reply):
            return self._refused("data", ready, "content")
        self._junk = 0
        letter = Letter(
            id_, self._sender, tuple(self._recipients.values()),
            b"".join((self._stamp(id_, int(at)), *ready.pieces)), at, self._params,
            identity.user if identity is not None else "", self._client, ready.message_id,
        )  # fmt: skip
        return self._keep(letter, identity.label if identity is not None else "")

    def _too_much(self, end: BodyEnd) -> Reply | None:
        if end.chunked and end.facts.size > self._desk.terms.size:  # no dot of it is doubled
            return replies.too_big(self._desk.terms.size)
        return self._body.refusal() if self._body is not None else None

    def _stamp(self, id_: str, second: int) -> bytes:
        """Our Received field."""
        if not self._origin:
            self._origin = origin_of(self._helo, self._client, self._tls)
        utf8 = "SMTPUTF8" in self._params
        protocol = protocol_of(
            esmtp=self._ehlo, tls=bool(self._tls), signed_in=self._identity is not None, utf8=utf8
        )
        only = next(iter(self._recipients)) if len(self._recipients) == 1 else ""
        if not utf8 and not only.isascii():
            only = ""
        name = self._desk.terms.name
        line = received(self._origin, name, protocol, id_, only=only, second=second)
        return line.encode("utf-8")

    def _keep(self, letter: Letter, label: str) -> Answer:
        facts = {
            "sender": letter.sender,
            "recipients": [recipient.address for recipient in letter.recipients],
            "size": len(letter.content),
            "message_id": letter.message_id,
            "user": letter.user,
            "label": label,
            "client": letter.client,
            "tls": self._tls,
        }
        event = Event(letter.accepted, "accepted", letter.id, "", facts)
        try:
            kept = asyncio.ensure_future(self._desk.keep(letter, (event,)))
        except (QueueFull, StoreError) as error:
            return self._not_kept(error)
        return Later(kept, partial(self._kept, letter.id))

    def _kept(self, id_: str, kept: asyncio.Future[Any]) -> Reply:
        """The disk has it, or not."""
        error = kept.exception()
        if error is None:
            return Reply(250, (f"Queued as {id_}",), replies.OK)
        if isinstance(error, QueueFull | StoreError):
            return self._not_kept(error)
        raise error

    def _not_kept(self, error: QueueFull | StoreError) -> Reply:
        """The client hears that it is ours; the log, what there is to mend."""
        if isinstance(error, QueueFull):
            return self._refused("queue", replies.FULL, "queue_full", error=str(error))
        return self._refused("queue", replies.NO_STORE, "store", error=str(error))

    # -- helpers

    @property
    def _who(self) -> str:
        """Whom a message counts for."""
        return f"@{self._client}" if self._identity is None else self._identity.user

    def _empty(self) -> Body:
        return Body(self._desk.terms.size, self._desk.room, self._who)

    @property
    def _place(self) -> str:
        """Whom the connection counts for: our own machines may share an IPv6 network, and whoever
        comes to sign in has one for himself."""
        return self._client if self._relay else site(self._client)

    def _forget(self) -> None:
        if self._body is not None:
            self._body.release()
        if self._begun:
            self._fresh()
            self._begun = False
            self._desk.receiving -= 1

    def _refused(self, stage: str, reply: Reply, reason: str, **more: str) -> Reply:
        """Tell whoever counts; never what the client wrote."""
        self._desk.watch(
            "rejected",
            {
                "stage": stage,
                "code": reply.code,
                "enhanced": str(reply.enhanced),
                "reason": reason,
                "user": self._identity.user if self._identity is not None else "",
                "client": self._client,
                "listener": self._listening.mode.value,
                **more,
            },
        )
        return reply


def _tls_of(peer: Peer) -> str:
    return (peer.version or "TLS") if peer.tls else ""


_ANSWERS: Final[Mapping[type[c.Command], Callable[[Session, Any], Answer]]] = {
    c.Ehlo: Session._on_ehlo,
    c.Helo: Session._on_ehlo,
    c.StartTls: lambda session, _: replies.TLS_READY,
    c.Auth: lambda session, command: session._stepped(session._exchange.begin(command)),
    c.AuthResponse: lambda session, command: session._stepped(session._exchange.go_on(command)),
    c.Mail: Session._on_mail,
    c.Rcpt: Session._on_rcpt,
    c.Data: lambda session, _: replies.GO_AHEAD,
    c.Rset: Session._on_rset,
    c.Noop: lambda session, _: session._idle(replies.DONE),
    c.Vrfy: lambda session, _: session._idle(replies.NOT_TOLD),
    c.Expn: lambda session, _: session._idle(replies.NO_LISTS),
    c.Help: lambda session, _: session._idle(replies.HELP),
    c.Quit: lambda session, _: replies.BYE,
    c.Unknown: Session._on_unknown,
}
