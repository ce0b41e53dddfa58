"""A message that has come: collected, looked at, made ready to be kept.

Enters: octets as they come, then what the session knows of them. Leaves: the content in wire form
with our lines on top, or the reply that refuses it. Called by ``session``. A message without
surprises is joined once and looked at once, its header alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from posthouse.protocol.mailboxes import MailboxError
from posthouse.protocol.message.recode import RecodeError, is_signed, to_short_lines
from posthouse.protocol.smtp.data import BodyFacts, doubled_dots, stuff, unstuff
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.submit import replies
from posthouse.send.submit.header import MAILBOXES, Header, mailboxes, mended, scan
from posthouse.send.submit.senders import Senders
from posthouse.send.submit.stamp import date_of

HEADER: Final = 262_144  # octets of a header section; Postfix keeps 100 KiB, Exim takes 1 MiB
HOPS: Final = 100  # Received fields: RFC 5321 section 6.3, where they are the only sign of a loop
# A line of an mbox file, as some programs send it along; "From : Alice" is a field.
_MBOX: Final = re.compile(rb">?From (?![ \t]*:)[^\r\n]*\r\n")
ROOM: Final = 268_435_456  # octets of unfinished messages in one process, whoever sends them


@dataclass(slots=True)
class Room:
    """The memory that all unfinished messages of a process share: mutable, one owner (Desk).

    Nobody has more than ``share`` of it: who begins messages and ends none takes it from himself.
    """

    left: int = ROOM
    share: int = ROOM // 2
    taken: dict[str, int] = field(default_factory=dict)  # by each user, or client of a relay

    def take(self, whose: str, octets: int) -> bool:
        """Some of it, or none where that is too much."""
        has = self.taken.get(whose, 0) + octets
        if octets > self.left or has > self.share:
            return False
        self.left -= octets
        self.taken[whose] = has
        return True

    def give(self, whose: str, octets: int) -> None:
        """It is free again."""
        self.left += octets
        has = self.taken.pop(whose, 0) - octets
        if has > 0:
            self.taken[whose] = has


class Body:
    """The owner of one message on its way in."""

    __slots__ = (
        "_before",
        "_dots",
        "_limit",
        "_room",
        "_taken",
        "_whose",
        "crowded",
        "over",
        "parts",
        "size",
    )

    def __init__(self, limit: int, room: Room, whose: str) -> None:
        self._limit = limit
        self._room = room
        self._whose = whose
        self._taken = 0
        self._dots = 0  # that are no message's; counted where it is about to be too large
        self._before = b""  # the last octets of what they were counted in
        self.parts: list[bytes] = []
        self.size = 0
        self.over = False  # larger than may be
        self.crowded = False  # no memory for it now

    def add(self, data: bytes) -> None:
        """The next octets; after too many, they are counted only."""
        self.size += len(data)
        if self.over or self.crowded:
            return
        self.over = self.size > self._limit and self._is_over(data)
        self.crowded = not self.over and not self._room.take(self._whose, len(data))
        if self.over or self.crowded:
            self.release()
            return
        self._taken += len(data)
        self.parts.append(data)

    def _is_over(self, data: bytes) -> bool:
        """RFC 1870 section 5: doubled dots are no part of a message's size."""
        if not self._before:
            data, self._before = b"".join((*self.parts, data)), b"\r\n"
        self._dots += doubled_dots(data, self._before)
        self._before = (self._before + data[-2:])[-2:]
        return self.size - self._dots > self._limit

    def release(self) -> None:
        """Give back the memory."""
        self._room.give(self._whose, self._taken)
        self._taken = 0
        self.parts = []

    def refusal(self) -> Reply | None:
        """Whether it was too much."""
        if self.over:
            return replies.too_big(self._limit)
        return replies.NO_ROOM if self.crowded else None


class Author(NamedTuple):
    """Who hands in the message, where the header is held against it (RFC 6409 section 8.1)."""

    sender: str  # of MAIL
    senders: Senders  # as whom the login may send


class Mark(NamedTuple):
    """What tells our copy of the message: our name, its id, the time (seconds since 1970)."""

    name: str
    id: str
    second: int


class Ready(NamedTuple):
    """Pieces of a message in wire form, without our Received line."""

    pieces: Sequence[bytes]
    message_id: str


def prepare(
    parts: list[bytes], facts: BodyFacts, author: Author | None, mark: Mark, *, chunked: bool
) -> Ready | Reply:
    """Look at a whole message. ``author`` is None where nobody has signed in for it."""
    if (refused := _defect(facts)) is not None:
        return refused
    if chunked:
        parts = [_stuffed(b"".join(parts))]
    elif len(parts) > 1 and not _has_header(parts[0]):
        parts = [b"".join(parts)]
    first = parts[0] if parts else b""
    if first.startswith((b"From ", b">From ")) and (mbox := _MBOX.match(first)) is not None:
        first = first[mbox.end() :]  # what follows it is the header
        parts = [first, *parts[1:]]
    header = scan(first)
    if header.end > HEADER:
        return replies.LONG_HEADER
    if header.received >= HOPS:
        return replies.LOOP
    if author is not None and (refused := _claims(header, author)) is not None:
        return refused
    # RFC 6409 section 8 lets the first server mend a message; what another one has had in its hands
    # is that one's (RFC 5321 section 6.4).
    ours = author is not None or header.received == 0
    if ours and header.void:
        header = _renewed(first, header)
    added, message_id = _added(header, author, mark) if ours else (b"", _id_of(header))
    rest = parts
    if header.private or (ours and not header.parted):
        # Whoever still has Bcc in a message wants it seen by nobody (RFC 5322 section 3.6.3), and
        # Return-Path is for the last server to write (RFC 5321 section 4.4). As Postfix does.
        rest = [*mended(first, header), *parts[1:]]
    if facts.long_line:  # RFC 6409 section 8; RFC 5321 section 4.5.3.1.6
        try:
            rest = [stuff(to_short_lines(unstuff(b"".join(rest))))]
        except RecodeError as error:
            return replies.SIGNED_LINE if error.reason == "signed" else replies.LONG_LINE
    return Ready([added, *rest], message_id)


def _defect(facts: BodyFacts) -> Reply | None:
    """What no message of lines may have; after DATA the listener has looked for bare ones."""
    if facts.bare_cr or facts.bare_lf:
        return replies.BARE
    return replies.NUL if facts.nul else None


def _has_header(part: bytes) -> bool:
    """Whether the header's end is in this first piece."""
    return part.startswith(b"\r\n") or b"\r\n\r\n" in part


def _stuffed(message: bytes) -> bytes:
    """What came by BDAT, in the form of DATA; its last line gets the end it may have missed."""
    return stuff(message if message.endswith(b"\r\n") or not message else message + b"\r\n")


def _claims(header: Header, author: Author) -> Reply | None:
    """Whom the message names as its own: every address of From, and Sender where there is one; the
    same of whoever sends it again, the last of them, who stands on top (RFC 5322 section 3.6.6)."""
    if (refused := _number(header, author)) is not None:
        return refused
    for values, most, what, unclear in (
        (header.authors, MAILBOXES, "Header From", replies.BAD_FROM),
        (header.senders, 1, "Header Sender", replies.BAD_SENDER),
        (header.resent, MAILBOXES, "Header Resent-From", replies.BAD_RESENT),
        (header.resent_senders, 1, "Header Resent-Sender", replies.BAD_RESENT),
    ):
        for value in values[:1]:
            try:
                addresses = mailboxes(value)
            except MailboxError:
                return unclear
            if len(addresses) > most:  # RFC 5322 section 3.6.2: one person alone has sent it
                return unclear
            if not all(map(author.senders.allow, addresses)):
                return replies.use(550, what, author.senders.patterns)
    return None


def _number(header: Header, author: Author) -> Reply | None:
    """RFC 5322 section 3.6: one From and one Sender at most, or readers see different people; and
    no less, where the envelope names nobody either."""
    if len(header.authors) > 1:
        return replies.SEVERAL_FROM
    if len(header.senders) > 1:
        return replies.SEVERAL_SENDER
    return None if header.authors or author.sender else replies.NO_FROM


def _id_of(header: Header) -> str:
    return header.message_id.decode("ascii", "replace")


def _renewed(first: bytes, header: Header) -> Header:
    """RFC 6409 section 8.3: what stands for a Message-ID and holds none goes, and one is added; but
    a signature may be of it."""
    if is_signed(first[: header.end]):
        return header._replace(has_message_id=True)
    return header._replace(private=tuple(sorted((*header.private, *header.void))))


def _added(header: Header, author: Author | None, mark: Mark) -> tuple[bytes, str]:
    """(the fields that were missing, the Message-ID). RFC 6409 sections 8.2 and 8.3."""
    lines: list[str] = []
    message_id = _id_of(header)
    if author is not None and not header.authors:  # RFC 5322 section 3.6: there has to be one
        lines.append(f"From: <{author.sender}>\r\n")
    if not header.date:
        lines.append(f"Date: {date_of(mark.second)}\r\n")
    if not header.has_message_id:
        message_id = f"<{mark.id}@{mark.name}>"
        lines.append(f"Message-ID: {message_id}\r\n")
    if header.resent:  # RFC 5322 section 3.6.6; last, for its block stands on top
        if not header.resent_date:
            lines.append(f"Resent-Date: {date_of(mark.second)}\r\n")
        if not header.resent_id:
            lines.append(f"Resent-Message-ID: <resent.{mark.id}@{mark.name}>\r\n")
    return "".join(lines).encode("utf-8"), message_id
