"""What ``Connection.receive`` gives back, and what its ``send`` takes.

Bytes in, events out; none of them is an exception. Those that come for each command, reply or
message are named tuples, which are made at a fifth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from posthouse.protocol.smtp.command import Command
from posthouse.protocol.smtp.data import BodyFacts
from posthouse.protocol.smtp.reply import Reply


class ReplyReceived(NamedTuple):
    """Client: a reply, and the command it answers (None: the greeting).

    ``continued``: more lines of the reply before, which the server had ended too early (a missing
    hyphen); ``command`` is that reply's. ``unsolicited``: nothing was asked (421 before a
    time-out, or a server out of step).
    """

    reply: Reply
    command: Command | None
    continued: bool = False
    unsolicited: bool = False


@dataclass(frozen=True, slots=True)
class RemoteError:
    """Client: what came is no reply, or none to what was asked; the connection is over.

    ``reason``: "no_reply_code", "reply_too_long", or "wrong_class" (250 to DATA). ``raw`` is what
    came, from its first octet.
    """

    reason: str
    raw: bytes = field(repr=False)


class CommandReceived(NamedTuple):
    """Server: a well-formed command, allowed now. A reply is owed (for BDAT, after its octets)."""

    command: Command


@dataclass(frozen=True, slots=True)
class Refused:
    """Server: a line that breaks the protocol. ``reply`` is owed, and ready to be sent.

    ``reason`` is a stable word for counts and logs. ``fatal``: what follows cannot be understood,
    so the connection has to be closed after the reply.
    """

    reply: Reply
    reason: str
    fatal: bool = False


class BodyChunk(NamedTuple):
    """Server: octets of the message. Where one chunk ends and the next begins means nothing.

    After DATA they are in wire form (dots stuffed; ``data.unstuff`` takes them out of the whole);
    after BDAT they are the message itself.
    """

    data: bytes

    def __repr__(self) -> str:
        return f"BodyChunk({len(self.data)} octets)"  # never what it says


class BodyEnd(NamedTuple):
    """Server: the message (``last``) or one BDAT chunk of it is complete; replies are owed.

    ``facts`` are of the whole message so far. ``chunked``: it came by BDAT.
    """

    facts: BodyFacts
    last: bool = True
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class MessageData:
    """Client: the next octets of the message. ``wire``: they are dot-stuffed already.

    Lines end in CRLF; after DATA a bare CR or LF is a LocalProtocolError (see ``data``). After
    ``Bdat`` they are written as they are, and have to be as many as announced.
    """

    data: bytes = field(repr=False)
    wire: bool = False


Sendable: TypeAlias = Command | MessageData | Reply
Event: TypeAlias = ReplyReceived | RemoteError | CommandReceived | Refused | BodyChunk | BodyEnd
