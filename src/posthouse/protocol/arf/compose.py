"""Mails of several parts, as reports are sent. RFC 5322, RFC 2045, RFC 6522.

Enters: who, to whom, when, and the pieces. Leaves: the mail's bytes, with CRLF. Called by
``write``, ``dmarc.report.mail`` and ``tlsrpt``. The date and the Message-ID come from the caller,
who has a clock; the boundary from the content, so that the same report makes the same mail. Fails
with ValueError where a header field would be broken by what it is given.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final, NamedTuple

LINE: Final = 78  # columns (RFC 5322 section 2.1.1)
HARD: Final = 998  # octets of any line

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


class Piece(NamedTuple):
    """One part. ``encode``: as base64; else as it is, its line ends made CRLF."""

    media_type: str  # with its parameters
    content: bytes
    encode: bool = False
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The header fields a mail must have. Addresses may have names: "Reports <r@example.org>"."""

    sender: str
    recipients: tuple[str, ...]
    date: datetime  # with its zone
    message_id: str  # with or without angle brackets
    subject: str
    extra: tuple[tuple[str, str], ...] = ()


def multipart(envelope: Envelope, media_type: str, pieces: Sequence[Piece]) -> bytes:
    """The mail. ``media_type`` is of the whole, with its parameters but for the boundary."""
    bodies = [_piece(piece) for piece in pieces]
    boundary = _boundary(bodies)
    identity = envelope.message_id.strip("<> ")
    fields = [
        field("From", envelope.sender),
        field("To", ", ".join(envelope.recipients)),
        field("Date", format_datetime(envelope.date)),
        field("Message-ID", f"<{identity}>"),
        field("Subject", envelope.subject),
        *(field(name, value) for name, value in envelope.extra),
        field("MIME-Version", "1.0"),
        field("Content-Type", f'{media_type}; boundary="{boundary}"'),
    ]
    mark = b"--" + boundary.encode("ascii")
    lines = [*fields, b""]
    for body in bodies:
        lines += [mark, body]
    return b"\r\n".join([*lines, mark + b"--", b""])


def field(name: str, value: str) -> bytes:
    """One header field, folded at its blanks. Not ASCII: UTF-8 as it is (RFC 6532)."""
    value = _CONTROL.sub(" ", value).strip()
    words, lines, line = value.split(" "), [], f"{name}:"
    for word in words:
        if line.strip() and len(line) + 1 + len(word) > LINE and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    lines.append(line)
    raw = "\r\n".join(lines).encode("utf-8", "replace")
    if any(len(one) > HARD for one in raw.split(b"\r\n")):
        raise ValueError(f"{name}: a line of more than {HARD} octets")
    return raw


def _piece(piece: Piece) -> bytes:
    fields = [field("Content-Type", piece.media_type)]
    content = piece.content
    if piece.encode:
        encoded = base64.b64encode(content)
        content = b"\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
        fields.append(field("Content-Transfer-Encoding", "base64"))
    else:
        content = _LINE_END.sub(b"\r\n", content)
        fields.append(field("Content-Transfer-Encoding", "7bit" if content.isascii() else "8bit"))
    if piece.filename:
        name = re.sub(r'["\\\x00-\x1f]', "_", piece.filename)
        fields.append(field("Content-Disposition", f'attachment; filename="{name}"'))
    return b"\r\n".join([*fields, b"", content])


def _boundary(bodies: Sequence[bytes]) -> str:
    """No line of any part begins with it: nobody can write the hash of his own text into it."""
    digest = hashlib.sha256(b"\x00".join(bodies)).hexdigest()
    return f"=_{digest[:40]}"


def wrapped(content: bytes) -> bytes:
    """A stranger's message, fit to be a part: no NUL, no line longer than RFC 5322 allows."""
    lines = []
    for line in _LINE_END.split(content.replace(b"\x00", b"")):
        pieces = [line[at : at + HARD] for at in range(0, len(line), HARD)]
        lines += pieces or [b""]
    return b"\r\n".join(lines)
