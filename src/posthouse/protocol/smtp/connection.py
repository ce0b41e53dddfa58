"""SMTP and LMTP without a socket: one ``Connection`` for the client's and the server's role.

Feed it the octets that came (``receive``), and it gives events; ask it for the octets of what you
want to say (``send``), and write them. It keeps the state table (``state``), matches replies to
pipelined commands, knows the extensions, finds the end of the message. It has no clock, opens
nothing, and decides nothing: whether a login or a recipient is welcome is the owner's business.

Client: ``send(Command)``, ``send(MessageData(...))``, ``send(MessageEnd())``; events are
``ReplyReceived`` and ``RemoteError``. Server: ``send(Reply)``; events are ``CommandReceived``,
``Refused``, ``BodyChunk``, ``BodyEnd``; after each reply call ``receive(b"")`` until it is empty,
and feed no more than that needs. ``send`` raises LocalProtocolError, ``receive`` never raises.
However the octets are cut, the events are the same (but for where a BodyChunk begins).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from posthouse.protocol.smtp.client import ClientSide
from posthouse.protocol.smtp.command import Command
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import Event, Sendable
from posthouse.protocol.smtp.limits import Limits
from posthouse.protocol.smtp.server import ServerSide
from posthouse.protocol.smtp.session import Session
from posthouse.protocol.smtp.state import State


class Role(StrEnum):
    """Which side we are."""

    CLIENT = "client"
    SERVER = "server"


class Connection:
    """One SMTP or LMTP connection, seen from one side. ``tls``: it is inside TLS from the start."""

    def __init__(
        self,
        role: Role,
        *,
        lmtp: bool = False,
        tls: bool = False,
        limits: Limits = Limits(),  # noqa: B008  frozen
    ) -> None:
        self.role = role
        self._session = Session(lmtp=lmtp, tls=tls)
        self._side: ClientSide | ServerSide = (
            ClientSide(self._session, limits) if role is Role.CLIENT else ServerSide(self._session)
        )
        # Not methods that pass on to the side: a relay calls them a dozen times for each message.
        # The octets to write for an item; LocalProtocolError where it may not be sent now.
        self.send: Callable[[Sendable], bytes] = self._side.send
        # The events that octets complete; see the module for when to call it with b"".
        self.receive: Callable[[bytes], list[Event]] = self._side.receive

    @property
    def client(self) -> ClientSide:
        """The client's side itself, for a relay that says whole envelopes."""
        if not isinstance(self._side, ClientSide):
            raise LocalProtocolError("this is the server's side")
        return self._side

    @property
    def server(self) -> ServerSide:
        """The server's side itself, for a listener that looks at each command at once."""
        if not isinstance(self._side, ServerSide):
            raise LocalProtocolError("this is the client's side")
        return self._side

    @property
    def state(self) -> State:
        """Where the session is, as far as replies have confirmed it."""
        return self._session.state

    @property
    def extensions(self) -> Mapping[str, str]:
        """What the last EHLO reply offered: upper-case keyword -> parameters."""
        return MappingProxyType(self._session.extensions)

    @property
    def lmtp(self) -> bool:
        """Whether this is LMTP."""
        return self._session.lmtp

    @property
    def tls(self) -> bool:
        """Whether the connection is inside TLS."""
        return self._session.tls

    @property
    def authenticated(self) -> bool:
        """Whether a login has succeeded."""
        return self._session.authenticated

    @property
    def utf8(self) -> bool:
        """Whether the transaction under way has SMTPUTF8."""
        return self._session.utf8

    @property
    def recipients(self) -> Sequence[str]:
        """The recipients accepted in the transaction under way."""
        return tuple(self._session.recipients)

    @property
    def awaited(self) -> Sequence[Command | None]:
        """Commands whose replies are still to come (client) or to be given; None: the greeting."""
        return tuple(a.command for a in self._side.awaited)

    @property
    def unread(self) -> bytes:
        """Octets received and not understood yet: a line that has not ended."""
        return bytes(self._side.buffer)

    @property
    def pending(self) -> int:
        """How many octets are received and not understood yet."""
        return len(self._side.buffer)

    def tls_started(self) -> int:
        """The stream has been upgraded: EHLO, login and buffer are forgotten (RFC 3207).

        Gives the number of octets thrown away. More than none came in plain text behind STARTTLS
        or its reply: somebody on the way injected them.
        """
        if self._session.state is not State.TLS:
            raise LocalProtocolError("no STARTTLS was agreed")
        dropped = self._side.forget()
        self._session.tls_started()
        return dropped
