"""The parts of a message.

Enters: a whole message. Leaves: ``Part``, a tree: a multipart's children, and the message inside
a message/rfc822. Called by ``explain.bounce``. Nothing raises: past a cap, or where no delimiter
is found, a part simply stays one piece. RFC 2045, 2046.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from posthouse.protocol.message.headers import Headers, parse_parameters, split_headers, unix
from posthouse.protocol.message.text import decode_base64, decode_charset

SIZE_LIMIT: Final = 4_000_000  # bytes read of a message; the report comes before the original
DEPTH_LIMIT: Final = 12  # parts in parts; reports have two or three
PARTS_LIMIT: Final = 200  # children of one multipart

_EMBEDDED: Final = frozenset({"message/rfc822", "message/global", "message/news"})


@dataclass(frozen=True, slots=True)
class Part:
    """A message, or a part of one."""

    headers: Headers
    media_type: str  # "text/plain", lower case; what RFC 2045 section 5.2 implies if none is named
    params: Mapping[str, str]
    body: bytes  # as transferred, line ends LF
    parts: tuple[Part, ...] = field(default=(), repr=False)  # children, or the embedded message

    def content(self) -> bytes:
        """The body, its transfer encoding undone."""
        encoding = self.headers.get("content-transfer-encoding").strip().lower()
        return _transfer_decoded(self.body, encoding)

    def text(self) -> str:
        """The body as text."""
        return decode_charset(self.content(), self.params.get("charset", ""))


def parse_message(raw: bytes) -> Part:
    """The message as a tree of parts."""
    return _part(unix(raw[:SIZE_LIMIT]), "text/plain", DEPTH_LIMIT)


def walk(part: Part, *, into_messages: bool = False) -> Iterator[Part]:
    """The part and all below it, in order; those of an embedded message only if asked for."""
    yield part
    if part.media_type in _EMBEDDED and not into_messages:
        return
    for child in part.parts:
        yield from walk(child, into_messages=into_messages)


def _part(raw: bytes, default: str, depth: int) -> Part:
    headers, body = split_headers(raw)
    media_type, params = parse_parameters(headers.get("content-type"))
    if "/" not in media_type:
        media_type = default
    parts: tuple[Part, ...] = ()
    if depth > 0:
        if media_type.startswith("multipart/"):
            parts = _children(body, media_type, params.get("boundary", ""), depth - 1)
        elif media_type in _EMBEDDED:
            encoding = headers.get("content-transfer-encoding").strip().lower()
            inner = unix(_transfer_decoded(body, encoding))
            parts = (_part(inner, "text/plain", depth - 1),)
    return Part(headers, media_type, params, body, parts)


def _children(body: bytes, media_type: str, boundary: str, depth: int) -> tuple[Part, ...]:
    # RFC 2046 section 5.1.5: in a digest the parts are messages unless they say otherwise.
    default = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
    return tuple(_part(raw, default, depth) for raw in _pieces(body, boundary))


def _pieces(body: bytes, boundary: str) -> Iterator[bytes]:
    """What stands between the delimiter lines (RFC 2046 section 5.1.1)."""
    # 8-bit boundaries were read by a guess; what is left of them in the body can't be found.
    mark = re.escape(boundary.rstrip().encode("latin-1", "replace"))
    if not mark:
        return
    lines = re.compile(rb"^--" + mark + rb"(--)?[ \t]*$", re.MULTILINE)
    start, count = -1, 0
    for found in lines.finditer(body):
        if start >= 0:
            yield body[start : max(start, found.start() - 1)]
            count += 1
        start = -1 if found[1] else found.end() + 1
        if found[1] or count >= PARTS_LIMIT:
            return
    if start >= 0:  # cut short: what is there counts
        yield body[start:]


def _transfer_decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.decodestring(body)
    return decode_base64(body) if encoding == "base64" else body
