"""What the parts of ``client`` tell each other: a draft, a message, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from posthouse.letter import Outcome, Result

BOM: Final = b"\xef\xbb\xbf"  # what Windows puts before UTF-8


class Kind(StrEnum):
    """How a draft is written."""

    MAIL = "mail"  # a message as RFC 5322 has it
    JSON = "json"  # one object: from, to, subject, text...


@dataclass(frozen=True, slots=True)
class Draft:
    """One message as it was found."""

    where: str  # for people: "customers.jsonl:12", "news.mbox#3", a file's name
    data: bytes = field(repr=False)
    kind: Kind = Kind.MAIL
    problem: Unusable | None = None  # it could not even be read


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the user said about sender and recipients; "" and () leave it to the message."""

    sender: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready to be handed in."""

    key: str  # whom the journal knows it by
    where: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)  # wire form
    size: int  # octets without the dots of the wire form, as SIZE counts (RFC 1870 section 5)
    message_id: str  # with its brackets
    eight_bit: bool = False  # needs 8BITMIME (RFC 6152)
    utf8: bool = False  # needs SMTPUTF8 (RFC 6531)


class Problem(StrEnum):
    """Why a message can't be handed in, whatever the server says. Words: ``send.problem``."""

    NOT_MAIL = "not_mail"  # no header fields
    NO_SENDER = "no_sender"
    NO_RECIPIENT = "no_recipient"
    BAD_ADDRESS = "bad_address"  # params: address, reason
    BAD_HEADER = "bad_header"  # params: name
    NOT_JSON = "not_json"
    BAD_FIELD = "bad_field"  # params: name
    TOO_LONG = "too_long"  # larger than we read
    UNREADABLE = "unreadable"  # the file
    TOO_BIG = "too_big"  # larger than the server's SIZE; params: size, limit
    NO_8BITMIME = "no_8bitmime"
    NO_SMTPUTF8 = "no_smtputf8"


class Unusable(Exception):
    """A message that can't be handed in. ``params`` are plain values for the words."""

    def __init__(self, problem: Problem, **params: Any) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.params: Mapping[str, Any] = params


STATUSES: Final = ("sent", "before", "twice", "refused", "failed", "unusable")


@dataclass(frozen=True, slots=True)
class Done:
    """How one message ended in this run."""

    where: str
    key: str = ""
    message_id: str = ""
    outcomes: tuple[Outcome, ...] = ()
    problem: Unusable | None = None
    before: bool = False  # the journal says it was handed in by an earlier run
    twice: bool = False  # the same message stood in the input already
    unsure: bool = False  # an answer was lost on the way: it may have been handed in twice

    @property
    def status(self) -> str:
        """The one word for it, of STATUSES."""
        if self.problem is not None:
            return "unusable"
        if self.before:
            return "before"
        if self.twice:
            return "twice"
        results = {outcome.result for outcome in self.outcomes}
        if Result.REFUSED in results:
            return "refused"
        return "failed" if Result.DEFERRED in results else "sent"
