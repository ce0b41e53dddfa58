"""SMTP commands as values: read from a line, written as a line.

Enters: one command line without its line end (server), or a command (client). Leaves: a frozen
command, or bytes with CRLF. ``Connection`` calls both; CommandError carries the reply that the
server owes, LocalProtocolError says that we were about to write nonsense. RFC 5321 section 4.1.
``row`` is what the state table calls a command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

Parameters: TypeAlias = Mapping[str, str | None]  # upper-case keyword -> value


@dataclass(frozen=True, slots=True)
class Ehlo:
    """The client's name, and a wish to be told the extensions."""

    verb: ClassVar[str] = "EHLO"
    row: ClassVar[str] = verb
    name: str


@dataclass(frozen=True, slots=True)
class Helo:
    """The same of 1982: no extensions."""

    verb: ClassVar[str] = "HELO"
    row: ClassVar[str] = "EHLO"
    name: str


@dataclass(frozen=True, slots=True)
class Lhlo:
    """EHLO of LMTP (RFC 2033 section 4.1)."""

    verb: ClassVar[str] = "LHLO"
    row: ClassVar[str] = "EHLO"
    name: str


@dataclass(frozen=True, slots=True)
class StartTls:
    """RFC 3207."""

    verb: ClassVar[str] = "STARTTLS"
    row: ClassVar[str] = verb


@dataclass(frozen=True, slots=True)
class Auth:
    """RFC 4954 section 4. ``initial`` is the decoded initial response, None where there is none."""

    verb: ClassVar[str] = "AUTH"
    row: ClassVar[str] = verb
    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The line after a 334, decoded; None is the cancelling "*"."""

    verb: ClassVar[str] = "RESPONSE"
    row: ClassVar[str] = verb
    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """Begin a transaction. ``sender`` is "" for the null path."""

    verb: ClassVar[str] = "MAIL"
    row: ClassVar[str] = verb
    sender: str
    params: Parameters = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Rcpt:
    """One recipient."""

    verb: ClassVar[str] = "RCPT"
    row: ClassVar[str] = verb
    recipient: str
    params: Parameters = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Data:
    """May the message come?"""

    verb: ClassVar[str] = "DATA"
    row: ClassVar[str] = verb


@dataclass(frozen=True, slots=True)
class Bdat:
    """``size`` octets of message follow at once (RFC 3030 section 2)."""

    verb: ClassVar[str] = "BDAT"
    size: int
    last: bool = False

    @property
    def row(self) -> str:
        """Its row in the state table."""
        return "BDAT LAST" if self.last else self.verb


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The end of a message: what the last replies of a transaction answer.

    In LMTP there is one reply for each ``recipient`` (RFC 2033 section 4.2); else it is None.
    """

    verb: ClassVar[str] = "MESSAGE"
    row: ClassVar[str] = verb
    recipient: str | None = None


@dataclass(frozen=True, slots=True)
class Rset:
    """Forget the transaction."""

    verb: ClassVar[str] = "RSET"
    row: ClassVar[str] = verb


@dataclass(frozen=True, slots=True)
class Noop:
    """Nothing."""

    verb: ClassVar[str] = "NOOP"
    row: ClassVar[str] = verb
    text: str = ""


@dataclass(frozen=True, slots=True)
class Vrfy:
    """Is there such a user?"""

    verb: ClassVar[str] = "VRFY"
    row: ClassVar[str] = verb
    text: str


@dataclass(frozen=True, slots=True)
class Expn:
    """Who is on the list?"""

    verb: ClassVar[str] = "EXPN"
    row: ClassVar[str] = verb
    text: str


@dataclass(frozen=True, slots=True)
class Help:
    """For people at a terminal."""

    verb: ClassVar[str] = "HELP"
    row: ClassVar[str] = verb
    text: str = ""


@dataclass(frozen=True, slots=True)
class Quit:
    """Good-bye."""

    verb: ClassVar[str] = "QUIT"
    row: ClassVar[str] = verb


@dataclass(frozen=True, slots=True)
class Xclient:
    """Postfix XCLIENT: a trusted proxy tells who the client is; values are decoded xtext."""

    verb: ClassVar[str] = "XCLIENT"
    row: ClassVar[str] = verb
    attributes: Mapping[str, str] = field(hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A verb that is no SMTP command. It may be a credential sent at the wrong moment."""

    verb: ClassVar[str] = "UNKNOWN"
    row: ClassVar[str] = verb
    line: str = field(repr=False)


Command: TypeAlias = (
    Ehlo
    | Helo
    | Lhlo
    | StartTls
    | Auth
    | AuthResponse
    | Mail
    | Rcpt
    | Data
    | Bdat
    | MessageEnd
    | Rset
    | Noop
    | Vrfy
    | Expn
    | Help
    | Quit
    | Xclient
    | Unknown
)

# Those without anything in them, of which each message needs one.
DATA: Final = Data()
MESSAGE_END: Final = MessageEnd()

# Sets for ``isinstance``; a union written in place would be made anew for each command.
HELLOS: Final = (Ehlo, Helo, Lhlo)
TELLING_HELLOS: Final = (Ehlo, Lhlo)  # whose replies list extensions
PATHS: Final = (Mail, Rcpt)

# May only be the last of a group of pipelined commands (RFC 2920 section 3.1).
ENDS_GROUP: Final[frozenset[type]] = frozenset({
    Ehlo, Helo, Lhlo, StartTls, Auth, AuthResponse, Data, Noop, Vrfy, Expn, Help, Quit, Xclient,
    Unknown,
})  # fmt: skip
