"""A message from its parts: subject, text, HTML, headers, attachments.

Enters: the fields of one JSON object, or of the command line. Leaves: a message with CRLF line ends
and 7-bit octets, the same for the same fields. Called by ``compose``. The email package could do
it in many times the time, which is what a list of a million is about. Raises Unusable. RFC 2045
to 2047, 2183, 2231.

An attachment holds its octets, never a path: whoever fills in a line of JSON must not be able to
have a file of this machine sent.
"""

from __future__ import annotations

import base64
import mimetypes
import quopri
import re
from collections.abc import Iterable, Iterator, Mapping
from email.header import Header
from email.utils import formataddr
from typing import Any, Final
from urllib.parse import quote

from posthouse.protocol.address import Address
from posthouse.protocol.smtp.data import normalize
from posthouse.send.client.addresses import pairs
from posthouse.send.client.facts import Problem, Unusable

KNOWN: Final = frozenset(
    (
        *("id", "from", "to", "cc", "bcc", "reply_to", "subject"),
        *("text", "html", "headers", "attachments"),
    )
)
LINE: Final = 998  # octets (RFC 5322 section 2.1.1)
FOLD: Final = 76  # characters of a header line, as RFC 5322 section 2.1.1 asks where it can be

NAME_LIMIT: Final = 255  # octets of an attachment's name, as file systems have it: fits LINE

_TYPE: Final = re.compile(r"(?!multipart/|message/)[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
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
    lines = [*_head(fields), "MIME-Version: 1.0"]
    attachments = fields.get("attachments") or []
    if not isinstance(attachments, list):
        raise _bad("attachments")
    content = _content(fields, f"=_{boundary}")
    if attachments:
        content = _several("mixed", f"=_m{boundary}", [content, *map(_attached, attachments)])
    return _joined(lines) + content


def _content(fields: Mapping[str, Any], mark: str) -> bytes:
    """Text, HTML, or both as two forms of one thing."""
    text, html = _string(fields, "text"), _string(fields, "html")
    if not html:
        return _part("plain", text)
    if "text" not in fields:
        return _part("html", html)
    return _several("alternative", mark, [_part("plain", text), _part("html", html)])


def _several(kind: str, mark: str, parts: Iterable[bytes]) -> bytes:
    head = f'Content-Type: multipart/{kind}; boundary="{mark}"\r\n\r\n'.encode()
    inside = b"".join(b"--" + mark.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return head + inside + b"--" + mark.encode() + b"--\r\n"


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


def _attached(one: object) -> bytes:
    """One attachment: its name, its octets in base64, its type where the name does not tell."""
    if not isinstance(one, Mapping) or one.keys() - {"name", "content", "type"}:
        raise _bad("attachments")
    name, content = _string(one, "name"), _string(one, "content")
    kind = _string(one, "type").lower() or mimetypes.guess_type(name)[0]
    try:
        raw = base64.b64decode("".join(content.split()), validate=True)
        octets = len(name.encode())
    except ValueError:  # not base64, not ASCII; a lone surrogate
        raise _bad("attachments") from None
    if not 0 < octets <= NAME_LIMIT or _UNSAFE.search(name):
        raise _bad("attachments")
    if kind is None or not _TYPE.fullmatch(kind):
        kind = "application/octet-stream"
    if name.isascii():
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        named = f'filename="{escaped}"'
    else:
        named = f"filename*=utf-8''{quote(name, safe='')}"  # RFC 2231 section 4
    head = (
        f"Content-Type: {kind}\r\nContent-Disposition: attachment;\r\n {named}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + normalize(base64.encodebytes(raw))


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
