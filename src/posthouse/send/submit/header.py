"""What submission must know of a message's header: found in one pass, without a mail library.

Enters: the octets of a message in wire form. Leaves: ``Header``: where the section ends, how many
Received fields, what From and Sender say, what is missing, what is private. Called by ``session``
for each message, so it is regular expressions over the header section alone, some microseconds.
``scan`` never fails; ``mailboxes`` raises MailboxError for a field whose addresses cannot be told
for certain, since a reader that guesses otherwise would see somebody else. RFC 5322 sections 2.2,
3.4 and 3.6.2.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from posthouse.protocol.mailboxes import MailboxError, read_mailboxes

MAILBOXES: Final = 20  # authors of one message; more is an attack or a mistake
FIELD: Final = 10_000  # octets of such a field: 20 authors with long names have less

_BREAK: Final = b"\r\n"
# Both want the section to begin with CRLF, so that they begin with something literal.
_FIELDS: Final = re.compile(
    rb"\r\n(from|sender|received|return-path|date|message-id|bcc"
    rb"|resent-(?:from|sender|date|message-id|bcc))[ \t]*:",
    re.IGNORECASE,
)
_NAMED: Final = (b"from", b"sender", b"resent-from", b"resent-sender")  # as in Header
_PRIVATE: Final = (b"bcc", b"resent-bcc", b"return-path")
_NO_FIELD: Final = re.compile(rb"\r\n(?![!-9;-~]+[ \t]*:|[ \t]|\Z)")
_END_OF_FIELD: Final = re.compile(rb"\r\n(?![ \t])")
_MESSAGE_ID: Final = re.compile(rb"[ \t\r\n]*(<[^<>\x00-\x20\x7f]{1,250}>)")

_ATOM: Final = rb"[!#-'*+\-/-9=?A-Z^-~\x80-\xff.]+"
_DOMAIN: Final = rb"@[A-Za-z0-9.\-\x80-\xff]+"
# alice@example.com; "a phrase" <alice@example.com>; a phrase <alice@example.com>. Nothing in them
# has two meanings, and no two parts of a pattern can take the same blank: no quadratic work.
_COMMON: Final = re.compile(
    rb"[ \t]*(?P<bare>" + _ATOM + _DOMAIN + rb")[ \t]*"
    rb"|(?:[ \t]*\"[^\"\\\r\n]*\"[ \t]*|[!#-'*+\-/-9=?A-Z^-~\x80-\xff. \t]*)"
    rb"<(?P<angle>" + _ATOM + _DOMAIN + rb")>[ \t]*"
)


class Header(NamedTuple):
    """Of one message. Offsets are into its wire form."""

    end: int  # where the fields end
    parted: bool  # an empty line follows them, or nothing at all
    received: int = 0
    authors: tuple[bytes, ...] = ()  # the values of From fields, folded
    senders: tuple[bytes, ...] = ()  # and of Sender fields
    resent: tuple[bytes, ...] = ()  # of Resent-From, the last one who sent it again first
    resent_senders: tuple[bytes, ...] = ()
    resent_date: bool = False
    resent_id: bool = False
    date: bool = False
    message_id: bytes = b""  # with its brackets, where there is one that can be read
    has_message_id: bool = False
    void: tuple[tuple[int, int], ...] = ()  # where Message-ID fields stand that hold no id
    private: tuple[tuple[int, int], ...] = ()  # where Bcc and Return-Path fields stand


def scan(wire: bytes) -> Header:
    """Look through the header section of a message, whose lines all end in CRLF."""
    end = 0 if wire.startswith(_BREAK) else wire.find(b"\r\n\r\n") + 2
    parted = True
    if end == 1:  # no empty line: all fields, and no body
        end = len(wire)
    section = _BREAK + wire[:end]  # offsets into it are 2 more than into ``wire``
    odd = _NO_FIELD.search(section)
    if section[2:3] in (b" ", b"\t"):
        end, parted = 0, False
    elif odd is not None:
        # RFC 5322 section 2.1 parts header and body by an empty line. Here it was lost; where one
        # is put in, everybody reads the same.
        end, parted = odd.start(), False
    return _fields(section[: end + 2], end, parted)


def _fields(section: bytes, end: int, parted: bool) -> Header:
    received, message_id, has_id = 0, b"", False
    seen: set[bytes] = set()  # of names
    named: dict[bytes, list[bytes]] = {name: [] for name in _NAMED}
    void: list[tuple[int, int]] = []
    private: list[tuple[int, int]] = []
    for match in _FIELDS.finditer(section):
        name = match[1].lower()
        seen.add(name)
        if name == b"received":
            received += 1
        elif (values := named.get(name)) is not None:
            values.append(section[match.end() : _end_of_field(section, match.end())])
        elif name == b"message-id":
            stop = _end_of_field(section, match.end())
            if section.find(b"<", match.end(), stop) < 0:
                void.append((match.start(), stop))
                continue
            found = _MESSAGE_ID.match(section, match.end())
            has_id, message_id = True, message_id or (found[1] if found is not None else b"")
        elif name in _PRIVATE:
            private.append((match.start(), _end_of_field(section, match.end())))
    authors, senders, resent, resent_senders = map(tuple, named.values())
    return Header(
        end, parted, received, authors, senders, resent, resent_senders, b"resent-date" in seen,
        b"resent-message-id" in seen, b"date" in seen, message_id, has_id, tuple(void),
        tuple(private),
    )  # fmt: skip


def _end_of_field(section: bytes, start: int) -> int:
    found = _END_OF_FIELD.search(section, start)
    return found.start() if found is not None else len(section)


def mended(wire: bytes, header: Header) -> list[bytes]:
    """The pieces of a message: less what is private, and with a lost empty line."""
    pieces, at = [], 0
    for begin, end in header.private:
        pieces.append(wire[at:begin])
        at = end
    if not header.parted:
        pieces += [wire[at : header.end], _BREAK]
        at = header.end
    pieces.append(wire[at:])
    return pieces


def mailboxes(value: bytes) -> tuple[str, ...]:
    """The addresses of a From or Sender field's value. Raises MailboxError."""
    if len(value) > FIELD:
        raise MailboxError("too long")
    common = _COMMON.fullmatch(value)
    try:
        if common is not None:
            return ((common["bare"] or common["angle"]).decode("utf-8"),)
        found = read_mailboxes(value.decode("utf-8"))
    except UnicodeDecodeError:
        raise MailboxError("not UTF-8") from None
    if not found or len(found) > MAILBOXES:
        raise MailboxError("no author, or too many")
    return tuple(one.address for one in found)
