"""What submission must know of a message's header: found in one pass, without a mail library.

Enters: the octets of a message in wire form. Leaves: ``Header``: where the section ends, how many
Received fields, what From and Sender say, what is missing, where Bcc stands. Called by ``session``
for each message, so it is regular expressions over the header section alone, some microseconds.
``scan`` never fails; ``mailboxes`` raises MailboxError for a field whose addresses cannot be told
for certain, since a reader that guesses otherwise would see somebody else. RFC 5322 sections 2.2,
3.4 and 3.6.2.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAILBOXES: Final = 20  # authors of one message; more is an attack or a mistake
FIELD: Final = 10_000  # octets of such a field: 20 authors with long names have less

_BREAK: Final = b"\r\n"
# Both want the section to begin with CRLF, so that they begin with something literal.
_FIELDS: Final = re.compile(
    rb"\r\n(from|sender|received|date|message-id|bcc|resent-(?:from|sender|bcc))[ \t]*:",
    re.IGNORECASE,
)
_NAMED: Final = (b"from", b"sender", b"resent-from", b"resent-sender")  # as in Header
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
_FOLD: Final = re.compile(r"\r\n(?=[ \t])")
_TOKEN: Final = re.compile(
    r"(?P<blank>[ \t]+)|(?P<special>[<>@,:;])"
    r'|(?P<quoted>"(?:[^"\\\r\n]|\\[^\r\n])*")|(?P<literal>\[[^\[\]\\\r\n]*\])'
    r"|(?P<atom>[^\x00-\x20()<>\[\]:;@\\,\"\x7f]+)"
)


class MailboxError(ValueError):
    """A From or Sender field without an address, or one that can be read in several ways."""


class Header(NamedTuple):
    """Of one message. Offsets are into its wire form."""

    end: int  # where the fields end
    parted: bool  # an empty line follows them, or nothing at all
    received: int = 0
    authors: tuple[bytes, ...] = ()  # the values of From fields, folded
    senders: tuple[bytes, ...] = ()  # and of Sender fields
    resent: tuple[bytes, ...] = ()  # of Resent-From, the last one who sent it again first
    resent_senders: tuple[bytes, ...] = ()
    date: bool = False
    message_id: bytes = b""  # with its brackets, where there is one that can be read
    has_message_id: bool = False
    bcc: tuple[tuple[int, int], ...] = ()  # where Bcc fields stand


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
    received, date, message_id, has_id = 0, False, b"", False
    named: dict[bytes, list[bytes]] = {name: [] for name in _NAMED}
    bcc: list[tuple[int, int]] = []
    for match in _FIELDS.finditer(section):
        name = match[1].lower()
        if name == b"received":
            received += 1
        elif (values := named.get(name)) is not None:
            values.append(section[match.end() : _end_of_field(section, match.end())])
        elif name == b"date":
            date = True
        elif name == b"message-id":
            found = _MESSAGE_ID.match(section, match.end())
            has_id, message_id = True, message_id or (found[1] if found is not None else b"")
        else:
            bcc.append((match.start(), _end_of_field(section, match.end())))
    authors, senders, resent, resent_senders = map(tuple, named.values())
    return Header(
        end, parted, received, authors, senders, resent, resent_senders, date, message_id, has_id,
        tuple(bcc),
    )  # fmt: skip


def _end_of_field(section: bytes, start: int) -> int:
    found = _END_OF_FIELD.search(section, start)
    return found.start() if found is not None else len(section)


def without(wire: bytes, header: Header, *, bcc: bool) -> list[bytes]:
    """The pieces of a message: less its Bcc fields (``bcc``), and with a lost empty line."""
    pieces, at = [], 0
    for begin, end in header.bcc if bcc else ():
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
        return _several(_FOLD.sub("", value.decode("utf-8")))
    except UnicodeDecodeError:
        raise MailboxError("not UTF-8") from None


Token = tuple[str, str]  # (kind, text)


def _several(text: str) -> tuple[str, ...]:
    """RFC 5322 section 3.4, with comments and groups (RFC 6854), without obsolete addresses."""
    found: list[str] = []
    piece: list[Token] = []
    group = angle = False
    for kind, token in [*_tokens(text), ("special", ",")]:
        special = token if kind == "special" else ""
        if special in ("<", ">"):
            angle = special == "<"
        if angle or special not in (":", ",", ";"):
            piece.append((kind, token))
            continue
        if special == ":":
            if group or not piece or any(k == "special" for k, _ in piece):
                raise MailboxError("a colon")
            group = True
        elif piece:
            found.append(_mailbox(piece))
        if special == ";":
            if not group:
                raise MailboxError("a semicolon")
            group = False
        piece = []
    if angle or group or not found or len(found) > MAILBOXES:
        raise MailboxError("no end, no author, or too many")
    return tuple(found)


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] == "(":
            at = _after_comment(text, at)
            continue
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise MailboxError("a character that has no place there")
        if match.lastgroup != "blank":
            tokens.append((match.lastgroup, match[0]))
        at = match.end()
    return tokens


_IN_COMMENT: Final = re.compile(r"[()\\]")


def _after_comment(text: str, at: int) -> int:
    """RFC 5322 section 3.2.2: comments nest."""
    depth = 0
    while (found := _IN_COMMENT.search(text, at)) is not None:
        at = found.end()
        if found[0] == "\\":
            at += 1
        else:
            depth += 1 if found[0] == "(" else -1
            if depth == 0:
                return at
    raise MailboxError("a comment without end")


def _mailbox(piece: list[Token]) -> str:
    """One mailbox: ``local@domain``, or words and ``<local@domain>``."""
    opening = [at for at, token in enumerate(piece) if token == ("special", "<")]
    if not opening:
        return _address(piece)
    if len(opening) > 1 or piece[-1] != ("special", ">"):
        raise MailboxError("angle brackets")
    words, inside = piece[: opening[0]], piece[opening[0] + 1 : -1]
    address = _address(inside)
    # alice@example.com <alice@example.com> is no phrase, and seen every day. Another address there
    # is what some readers would take for the author.
    phrase = all(kind != "special" for kind, _ in words)
    if not phrase and _address(words).lower() != address.lower():
        raise MailboxError("another address before the brackets")
    return address


def _address(piece: list[Token]) -> str:
    kinds = [kind for kind, _ in piece]
    if kinds not in (
        ["atom", "special", "atom"],
        ["quoted", "special", "atom"],
        ["atom", "special", "literal"],
        ["quoted", "special", "literal"],
    ) or piece[1] != ("special", "@"):
        raise MailboxError("no address")
    return "".join(text for _, text in piece)
