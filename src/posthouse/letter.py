"""The words the stages of the relay share: a letter, what becomes of it, and what a queue does.

Enters and leaves: frozen facts, and ``Queue``, the contract of whatever keeps letters: SQLite now
(``send.queue``), a shared database later; nothing above knows which. Apart from ``flow``, whose
words every command needs at its start. Those of which each message makes several are named tuples:
a frozen dataclass takes five times as long to make.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from posthouse.flow import Failure, Stage

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Recipient(NamedTuple):
    """One RCPT of an accepted message. ``params`` are its ESMTP parameters (NOTIFY, ORCPT)."""

    address: str
    params: Mapping[str, str | None] = NOTHING


class Letter(NamedTuple):
    """One message that was accepted and is to be delivered. What is in it never changes.

    ``content`` is in wire form: CRLF lines, dots stuffed, without the end of data (RFC 5321 section
    4.5.2), so that it goes from the one connection to the other as it is.
    """

    id: str  # of the queue; told in the reply to the client and in the log
    sender: str  # "" is the null path
    recipients: tuple[Recipient, ...]
    content: bytes
    accepted: float  # seconds since 1970
    params: Mapping[str, str | None] = NOTHING  # of MAIL: BODY, ENVID, RET...
    user: str = ""  # who signed in
    client: str = ""  # address of the client
    message_id: str = ""  # with its brackets

    def __repr__(self) -> str:
        return f"Letter({self.id!r}, {len(self.content)} octets)"  # never what it says


class Result(StrEnum):
    """How one try to deliver to one recipient ended."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"  # to be tried again
    REFUSED = "refused"  # for good


class Outcome(NamedTuple):
    """One recipient of one attempt, with everything that explains it."""

    recipient: str
    result: Result
    code: int = 0  # of the reply; 0 where there was none
    enhanced: str = ""
    text: str = ""  # what the server said, or what happened
    host: str = ""  # the server's name and address
    stage: Stage = Stage.ANY
    cause: str | None = None  # Cause.id
    wait: float | None = None  # seconds the server asked us to wait, where it did
    # Of the report on success that a sender may want: "delivered" or "relayed"; "" where the server
    # has taken that over (RFC 3461 section 5.2.2).
    action: str = ""
    heard: bool = True  # the reply is a server's, not what we know without asking it
    failure: Failure | None = None  # what the network did, where there was no reply

    @property
    def last(self) -> str:
        """The answer on one line, for people: "451 4.7.1 Try again later"."""
        return " ".join(f"{self.code or ''} {self.enhanced} {self.text}".split())


class Event(NamedTuple):
    """Something that happened to a message: written in one transaction with what it changed."""

    at: float  # seconds since 1970
    kind: str  # "accepted", "delivered", "deferred", "refused", "expired", "bounced", "held"...
    letter: str  # Letter.id
    recipient: str = ""
    data: Mapping[str, Any] = NOTHING  # plain JSON values


class QueueFull(Exception):
    """No room for one more message: 452 4.3.1, try again later."""


class StoreError(Exception):
    """The store can't be written (disk full, damaged): nothing may be accepted or delivered now."""


class State(StrEnum):
    """Where one recipient of a message is."""

    READY = "ready"  # due, or in the hands of delivery
    DEFERRED = "deferred"  # waits for ``due``
    HELD = "held"  # waits for a person


class Item(NamedTuple):
    """One recipient that is still to be delivered to."""

    key: int  # of the row
    letter: str  # Letter.id
    recipient: Recipient
    state: State
    attempts: int = 0
    due: float = 0.0  # seconds since 1970
    last: str = ""  # the last answer, for people
    cause: str | None = None
    warned: bool = False  # the sender has been told of the delay
    released: bool = False  # by a person: rules do not hold it any more


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in the queue, for lists and searches."""

    id: str
    sender: str
    accepted: float
    size: int
    user: str
    client: str
    message_id: str
    items: tuple[Item, ...]


class Settled(NamedTuple):
    """What became of one item: an outcome, and when it is due again (None: it is over)."""

    item: Item
    outcome: Outcome
    due: float | None = None
    warned: bool = False
    held: bool = False  # it waits for a person, whatever ``due`` says


class Queue(Protocol):
    """Where accepted messages wait. What is written is durable when its future is done.

    It is written also where the future is cancelled. What was given must not change until then.
    What is awaited is an asyncio future; ``asyncio.ensure_future`` gives it as it is. Whatever
    reads raises StoreError where that is not possible now; a later look may go well.
    """

    def put(
        self, letter: Letter, *, events: Sequence[Event] = (), company: bool = False
    ) -> Awaitable[tuple[Item, ...]]:
        """Keep a message. Raises QueueFull at once; the future may have StoreError instead.

        Either way it was not accepted. ``company``: others are about to come, and it may wait for
        them for a moment.
        """
        ...

    def settle(
        self, settled: Sequence[Settled], events: Sequence[Event], bounces: Sequence[Letter] = ()
    ) -> Awaitable[tuple[Item, ...]]:
        """Record outcomes, their events and the bounces they cause, all in one transaction.

        The future has the items of the bounces, or StoreError: then nothing was recorded.
        """
        ...

    async def load(self, letter: str) -> Letter | None:
        """A message with its content and the recipients to be tried, which those that are held are
        not; None where it is gone."""
        ...

    def waiting(self) -> AsyncIterator[Sequence[Item]]:
        """Everything not yet delivered, but for letters that ``put`` has not given back yet.

        In parts, so that nobody has to wait for the whole of a long queue: each is as of the moment
        in which it is given, and no letter that came after the first is among them.
        """
        ...

    def changed(self) -> bool:
        """Whether somebody else (the command) has changed the queue since the last look."""
        ...

    def told(self) -> AsyncIterator[Sequence[Event]]:
        """The events of what somebody else did since they were last asked for."""
        ...

    async def close(self) -> None:
        """Write what waits, and let go."""
        ...
