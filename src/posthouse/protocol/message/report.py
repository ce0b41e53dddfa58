"""Delivery reports, written: multipart/report with its three parts. RFC 3461, 3464, 6522, 6533.

Enters: ``Report``: facts and the text for people. Leaves: the message with CRLF line ends, not
dot-stuffed, no line over 998 octets, ASCII but for the sender's address and a message returned
whole (``headers_alone`` is for where that is too much). Called by the relay. Nothing raises: what a
server said may be anything, and becomes one line of printable ASCII (encoded words where it was
not).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from typing import Final

from posthouse.protocol.host import parse_ip
from posthouse.protocol.message.text import is_utf8
from posthouse.protocol.smtp.limits import TEXT_LINE

DIAGNOSTIC_LIMIT: Final = 1_000  # characters of what a server said
ORIGINAL_LIMIT: Final = 64 * 1024  # octets of the message returned; a bounce is no second delivery
HEADERS_LIMIT: Final = 32 * 1024  # octets of its headers
FOLD: Final = 76

_CRLF: Final = b"\r\n"
_EIGHT: Final = b"\r\nContent-Transfer-Encoding: 8bit"
_KIND: Final = b"\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n boundary="
_OURS: Final = re.compile(re.escape(_KIND) + rb'"(=_[A-Za-z0-9]{0,40}_posthouse_*)"\Z')
_WHOLE: Final = rb"\r\nContent-Type: message/(rfc822|global)\r\n"
_ID: Final = re.compile(r"<[!-;=?-~]{1,500}>")
_LAST_BLANK: Final = re.compile(" (?=[^ ])")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Told:
    """One recipient's group of fields (RFC 3464 section 2.3)."""

    recipient: str
    action: str  # "failed", "delayed", "delivered", "relayed"
    status: str  # "5.1.1"
    original: str = ""  # ORCPT, decoded: "rfc822;bob@example.org"
    remote: str = ""  # the server's name
    diagnostic: str = ""  # its reply, with code
    replied: bool = True  # a reply; else what happened, in words
    last: datetime | None = None
    until: datetime | None = None  # Will-Retry-Until
    cause: str = ""  # Cause.id


@dataclass(frozen=True, slots=True)
class Report:
    """One report about one message."""

    reporter: str  # our name
    recipient: str  # whom it is for: the sender
    subject: str
    text: str  # for people, any characters, line ends LF
    told: tuple[Told, ...]
    date: datetime
    id: str  # of the report, without brackets
    arrival: datetime
    envelope_id: str = ""  # ENVID, decoded
    references: str = ""  # Message-ID of the original, with brackets
    queue_id: str = ""
    original: bytes = b""  # the message, not dot-stuffed
    full: bool = False  # return all of it, where it is not too large


def write_report(report: Report) -> bytes:
    """The message."""
    boundary = b"=_" + re.sub(rb"[^A-Za-z0-9]", b"", report.id.encode())[:40] + b"_posthouse"
    delimiter = b"\r\n--" + boundary + _CRLF
    parts = [_text_part(report.text), _status_part(report), _original_part(report)]
    eight = not all(part.isascii() for part in parts)
    while any(b"--" + boundary in part for part in parts):  # somebody returns our own report
        boundary += b"_"
        delimiter = b"\r\n--" + boundary + _CRLF
    head = _head(report, boundary, eight=eight)
    body = b"".join(delimiter + part for part in parts)
    return head + body[2:] + b"\r\n--" + boundary + b"--\r\n"


def headers_alone(report: bytes) -> bytes | None:
    """A report of ours with no more than the headers of the message that it returned whole.

    All of it but ``To`` is ASCII then. None where there is nothing to leave out.
    """
    head, _, body = report.partition(b"\r\n\r\n")
    found = _OURS.search(head)
    if found is None:
        return None
    delimiter = b"\r\n--" + found[1]
    whole = re.search(re.escape(delimiter) + _WHOLE, body)
    if whole is None:
        return None
    before, part = body[: whole.start()], body[whole.end() :]
    message = part.rpartition(delimiter)[0].partition(b"\r\n\r\n")[2]
    if whole[1] == b"global":
        message = binascii.a2b_base64(message)
    head = head.replace(_EIGHT, b"")
    part = _headers_part(_header_of(message))
    return b"".join([head, b"\r\n\r\n", before, delimiter, _CRLF, part, delimiter, b"--\r\n"])


def _head(report: Report, boundary: bytes, *, eight: bool) -> bytes:
    # RFC 3464 section 2: to the return path; RFC 3834 section 5: nobody may answer it.
    fields = [
        f"From: Mail Delivery System <MAILER-DAEMON@{report.reporter}>",
        f"To: <{_UNPRINTABLE.sub('', report.recipient)}>",
        "Subject: " + _encoded(report.subject, len("Subject: ")),
        f"Date: {format_datetime(report.date)}",
        f"Message-ID: <{report.id}@{report.reporter}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
    ]
    if _ID.fullmatch(report.references):
        fields += [f"In-Reply-To: {report.references}", f"References: {report.references}"]
    head = "\r\n".join(fields).encode("utf-8", "replace")
    encoding = _EIGHT if eight else b""  # RFC 2045 section 6.4: of the whole as of its parts
    return head + encoding + _KIND + b'"' + boundary + b'"\r\n\r\n'


def _part(kind: bytes, encoding: bytes, body: bytes, *more: bytes) -> bytes:
    lines = [b"Content-Type: " + kind, b"Content-Transfer-Encoding: " + encoding, *more]
    return _CRLF.join([*lines, b"", body])


def _text_part(text: str) -> bytes:
    octets = text.replace("\n", "\r\n").encode("utf-8", "replace")
    kind = b"text/plain; charset=utf-8"
    if octets.isascii() and _short(octets, FOLD + 2):
        return _part(kind, b"7bit", octets, b"Content-Description: Notification")
    return _part(kind, b"base64", _base64(octets), b"Content-Description: Notification")


def _status_part(report: Report) -> bytes:
    groups = [_CRLF.join(_about_message(report))]
    groups += [_CRLF.join(_about(told)) for told in report.told]
    body = b"\r\n\r\n".join(groups) + _CRLF
    return _part(b"message/delivery-status", b"7bit", body)


def _about_message(report: Report) -> Iterator[bytes]:
    """RFC 3464 section 2.2."""
    if report.envelope_id:
        yield _field("Original-Envelope-Id", report.envelope_id)
    yield _field("Reporting-MTA", f"dns; {report.reporter}")
    yield _field("Arrival-Date", format_datetime(report.arrival))
    if report.queue_id:
        yield _field("X-Posthouse-Queue-Id", report.queue_id)


def _about(told: Told) -> Iterator[bytes]:
    """RFC 3464 section 2.3."""
    if told.original:
        kind, _, address = told.original.partition(";")
        yield _field("Original-Recipient", _typed(kind, address))
    kind = "rfc822" if told.recipient.isascii() else "utf-8"
    yield _field("Final-Recipient", _typed(kind, told.recipient))
    yield _field("Action", told.action)
    yield _field("Status", told.status)
    if told.remote:
        yield _field("Remote-MTA", f"dns; {_literal(told.remote)}")
    if told.diagnostic:
        kind = "smtp" if told.replied else "x-posthouse"
        yield _diagnostic(kind, told.diagnostic)
    if told.last is not None:
        yield _field("Last-Attempt-Date", format_datetime(told.last))
    if told.until is not None:
        yield _field("Will-Retry-Until", format_datetime(told.until))
    if told.cause:
        yield _field("X-Posthouse-Cause", told.cause)


def _typed(kind: str, address: str) -> str:
    """As it is (RFC 3464 section 2.3.1); of type utf-8 in ASCII (RFC 6533 section 3)."""
    return f"{kind}; {_unitext(address) if kind.lower() == 'utf-8' else address}"


def _unitext(address: str) -> str:
    """RFC 6533 section 3: \\x{HEX} for what is not printable ASCII, and for the three of xtext."""
    return "".join(
        char if "!" <= char <= "~" and char not in "\\+=" else f"\\x{{{ord(char):02X}}}"
        for char in address
    )


def _literal(host: str) -> str:
    """An address as a name (RFC 5321 section 4.1.3); names as they are."""
    address = parse_ip(host)
    if address is None:
        return host
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _diagnostic(kind: str, text: str) -> bytes:
    plain = " ".join(_UNPRINTABLE.sub(" ", text)[:DIAGNOSTIC_LIMIT].split())
    name = f"Diagnostic-Code: {kind}; "
    if plain.isascii():
        return _field("Diagnostic-Code", f"{kind}; {plain}")
    # The code stays readable for programs that know no encoded words.
    code = re.match(r"[0-9]{3}(?: [0-9]\.[0-9]{1,3}\.[0-9]{1,3})? ", plain)
    lead = code[0] if code else ""
    words = _encoded(plain[len(lead) :], len(name) + len(lead))
    return (name + lead + words).encode("ascii", "replace")


def _encoded(text: str, used: int) -> str:
    """As an unstructured field's value: encoded words where needed, folded."""
    plain = _UNPRINTABLE.sub(" ", text)
    if plain.isascii():
        return _folded(plain, used)
    header = Header(plain, "utf-8", maxlinelen=FOLD, header_name="x" * max(1, used - 2))
    return header.encode(linesep="\r\n")


def _field(name: str, value: str) -> bytes:
    plain = _UNPRINTABLE.sub(" ", value).encode("ascii", "replace").decode("ascii")
    return (f"{name}: " + _folded(plain, len(name) + 2)).encode("ascii")


def _folded(text: str, used: int) -> str:
    """Lines of at most 76 characters where there are blanks, of 900 where there are none."""
    # Of several blanks only the last is a place to fold: no line is blank, and none gets lost.
    first, *words = (piece for whole in _LAST_BLANK.split(text) for piece in _cut(whole))
    lines, line = [], first
    room = FOLD - used
    for word in words:
        if len(line) + 1 + len(word) > room:
            lines.append(line)
            line, room = word, FOLD - 1
        else:
            line = f"{line} {word}"
    return "\r\n ".join([*lines, line])


def _cut(word: str) -> list[str]:
    return [word[at : at + 900] for at in range(0, len(word) or 1, 900)]


# The message returned


def _original_part(report: Report) -> bytes:
    message = report.original
    header = _header_of(message)
    whole = report.full and len(message) <= ORIGINAL_LIMIT
    if whole and not header.isascii() and is_utf8(header):
        # RFC 6532 section 3.7; in base64, for who reads the report may be behind an older server.
        return _part(b"message/global", b"base64", _base64(message))
    if whole and header.isascii() and _short(message, TEXT_LINE + 2):
        encoding = b"7bit" if message.isascii() else b"8bit"  # RFC 2046 section 5.2.1: no other
        return _part(b"message/rfc822", encoding, message)
    return _headers_part(header)


def _header_of(message: bytes) -> bytes:
    if message.startswith(_CRLF):
        return b""
    end = message.find(b"\r\n\r\n")
    return message[: end + 2] if end >= 0 else message


def _headers_part(header: bytes) -> bytes:
    header = header[: _cut_at(header)]
    if header.isascii() and _short(header, TEXT_LINE + 2):
        return _part(b"text/rfc822-headers", b"7bit", header)
    kind = b"message/global-headers" if is_utf8(header) else b"text/rfc822-headers"
    return _part(kind, b"base64", _base64(header))  # RFC 6533 section 6.3 allows it


def _cut_at(header: bytes) -> int:
    """At the end of a line."""
    if len(header) <= HEADERS_LIMIT:
        return len(header)
    return header.rfind(b"\n", 0, HEADERS_LIMIT) + 1 or HEADERS_LIMIT


def _short(octets: bytes, most: int) -> bool:
    """Whether no line is longer than that, with its end, and none is broken."""
    if octets.count(b"\r") != octets.count(_CRLF) or octets.count(b"\n") != octets.count(_CRLF):
        return False
    return b"\0" not in octets and all(len(line) <= most - 2 for line in octets.split(_CRLF))


def _base64(octets: bytes) -> bytes:
    text = binascii.b2a_base64(octets, newline=False)
    return _CRLF.join(text[at : at + FOLD] for at in range(0, len(text), FOLD))
