"""A message from its parts: subject, text, HTML, headers.

Enters: the fields of one JSON object, or of the command line. Leaves: a message with CRLF line ends
and 7-bit octets, the same for the same fields. Called by ``compose``. The email package could do
it in many times the time, which is what a list of a million is about. Raises Unusable. RFC 2045
to 2047.
"""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Iterator, Mapping
from email.header import Header
from email.utils import formataddr
from typing import Any, Final

from posthouse.protocol.address import Address
from posthouse.protocol.smtp.data import normalize
from posthouse.send.client.addresses import pairs
from posthouse.send.client.facts import Problem, Unusable

KNOWN: Final = frozenset(
    ("id", "from", "to", "cc", "bcc", "reply_to", "subject", "text", "html", "headers")
)
LINE: Final = 998  # octets (RFC 5322 section 2.1.1)
FOLD: Final = 76  # characters of a header line, as RFC 5322 section 2.1.1 asks where it can be

_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ASCII: Final = bytes(range(128))
_ADDRESSES: Final = (
    ("from", "From"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("reply_to", "Reply-To")
)  # fmt: skip
_OURS: Final = frozenset(  # what has a key of its own, and MIME
    ("mime-version", "content-type", "content-transfer-encoding", "subject")
) | {name.lower() for _, name in _ADDRESSES}


def written(fields: Mapping[str, Any], boundary: str) -> bytes:
    """The message; ``boundary`` parts its alternatives. Raises Unusable."""
    for name in fields:
        if name not in KNOWN:
            raise _bad(name)
    lines = list(_head(fields))
    lines.append("MIME-Version: 1.0")
    text, html = _string(fields, "text"), _string(fields, "html")
    if not html:
        return _joined(lines) + _part("plain", text)
    if "text" not in fields:
        return _joined(lines) + _part("html", html)
    mark = f"=_{boundary}"
    lines.append(f'Content-Type: multipart/alternative; boundary="{mark}"')
    parts = (_part("plain", text), _part("html", html))
    inside = b"".join(b"--" + mark.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return _joined(lines) + b"\r\n" + inside + b"--" + mark.encode() + b"--\r\n"


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def _head(fields: Mapping[str, Any]) -> Iterator[str]:
    for key, name in _ADDRESSES:
        written = address_field(name, _strings(fields, key))
        if written:
            yield written
    subject = _string(fields, "subject")
    if subject:
        yield field("Subject", subject)
    more = fields.get("headers") or {}
    if not isinstance(more, Mapping):
        raise _bad("headers")
    taken = set(_OURS)
    for name, value in more.items():
        if not isinstance(value, str) or not _NAME.fullmatch(name) or name.lower() in taken:
            raise Unusable(Problem.BAD_HEADER, name=str(name)[:40])
        taken.add(name.lower())
        yield field(name, value)


def field(name: str, value: str) -> str:
    """One header field, in encoded words where it has to be (RFC 2047). Raises Unusable."""
    if _UNSAFE.search(value):  # a line break would begin a field of the writer's choice
        raise Unusable(Problem.BAD_HEADER, name=name)
    if value.isascii() and len(name) + 2 + len(value) <= FOLD:
        return f"{name}: {value}"
    try:
        charset = "us-ascii" if value.isascii() else "utf-8"
        text = Header(value, charset, maxlinelen=FOLD, header_name=name).encode(linesep="\r\n")
    except (ValueError, LookupError):  # a lone surrogate
        raise Unusable(Problem.BAD_HEADER, name=name) from None
    return f"{name}: {text}"


def address_field(name: str, values: list[str]) -> str:
    """Names encoded, addresses as they are: encoded words have no place in them.

    "" where there is no address. Raises Unusable.
    """
    if any(_UNSAFE.search(value) for value in values):
        raise Unusable(Problem.BAD_HEADER, name=name)
    try:
        mailboxes = [_mailbox(*pair) for pair in pairs(values)]
    except (ValueError, LookupError):  # a lone surrogate
        raise Unusable(Problem.BAD_HEADER, name=name) from None
    return f"{name}: " + ",\r\n ".join(mailboxes) if mailboxes else ""


def _mailbox(name: str, address: Address) -> str:
    """With the domain in ASCII, so that only a local part that is not ASCII needs SMTPUTF8."""
    if not name:
        return address.wire
    if not name.isascii():
        coded = Header(name, "utf-8").encode(linesep="\r\n")
        return f"{coded} <{address.wire}>"
    return formataddr((name, "a@b")).replace("<a@b>", f"<{address.wire}>")


def _part(kind: str, text: str) -> bytes:
    """A body part: as it is where it can be, else in the shorter of the two encodings."""
    try:
        raw = normalize(text.encode())
    except UnicodeEncodeError:
        raise _bad("html" if kind == "html" else "text") from None
    if raw and not raw.endswith(b"\r\n"):
        raw += b"\r\n"
    plain = raw.isascii() and b"\0" not in raw
    if plain and max(map(len, raw.split(b"\r\n"))) <= LINE:
        encoding = "7bit"
    elif len(raw.translate(None, _ASCII)) * 6 < len(raw):
        encoding = "quoted-printable"
        raw = normalize(quopri.encodestring(raw.replace(b"\r\n", b"\n")))
    else:
        encoding = "base64"
        raw = normalize(base64.encodebytes(raw))
    charset = "us-ascii" if plain else "utf-8"
    head = f"Content-Type: text/{kind}; charset={charset}\r\n"
    return f"{head}Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + raw


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise _bad(name)
    return value or ""


def _strings(fields: Mapping[str, Any], name: str) -> list[str]:
    value = fields.get(name)
    values = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise _bad(name)
    return values


def _bad(name: object) -> Unusable:
    return Unusable(Problem.BAD_FIELD, name=str(name)[:40])
