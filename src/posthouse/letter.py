"""The words the stages of the relay share: a letter, what became of it, what happened when.

Enters and leaves: nothing but these frozen facts. Apart from ``flow``, whose words every command
needs at its start. Nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from posthouse.flow import Stage


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT of an accepted message. ``params`` are its ESMTP parameters (NOTIFY, ORCPT)."""

    address: str
    params: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message that was accepted and is to be delivered. What is in it never changes.

    ``content`` is in wire form: CRLF lines, dots stuffed, without the end of data (RFC 5321 section
    4.5.2), so that it goes from the one connection to the other as it is.
    """

    id: str  # of the queue; told in the reply to the client and in the log
    sender: str  # "" is the null path
    recipients: tuple[Recipient, ...]
    content: bytes = field(repr=False)
    accepted: float  # seconds since 1970
    params: Mapping[str, str | None] = field(default_factory=dict)  # of MAIL: BODY, ENVID, RET...
    user: str = ""  # who signed in
    client: str = ""  # address of the client
    message_id: str = ""  # with its brackets


class Result(StrEnum):
    """How one try to deliver to one recipient ended."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"  # to be tried again
    REFUSED = "refused"  # for good


@dataclass(frozen=True, slots=True)
class Outcome:
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


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a message: written in one transaction with what it changed."""

    at: float  # seconds since 1970
    kind: str  # "accepted", "delivered", "deferred", "refused", "expired", "bounced", "held"...
    letter: str  # Letter.id
    recipient: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)  # plain JSON values
