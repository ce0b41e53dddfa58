"""A message's transfer encodings changed for the next server, and nothing else of it.

Enters: a message with CRLF line ends, not dot-stuffed. Leaves: the same message with its parts
encoded otherwise: ``to_short_lines`` for a program that wrote all its HTML in one (RFC 5322 section
2.1.1), ``to_seven_bits`` for a server without 8BITMIME (RFC 6152 section 3); ``to_eight_bits`` and
``to_binary`` undo base64, which makes a message a quarter smaller (RFC 6152, RFC 3030). Called by
the relay before it keeps or signs. Fails with RecodeError alone, whatever comes in.

Only Content-Transfer-Encoding fields and bodies of leaves are written anew, and header lines that
are too long; all other octets stay as they are, boundaries too. What is signed or encrypted is
never touched.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from posthouse.protocol.message.fold import FoldError, folded
from posthouse.protocol.message.headers import parse_parameters
from posthouse.protocol.message.text import is_utf8
from posthouse.protocol.smtp.data import has_long_line, whole_lines
from posthouse.protocol.smtp.limits import TEXT_LINE

DEPTH_LIMIT: Final = 12  # parts in parts; mail has three or four
PARTS_LIMIT: Final = 500  # delimiters of one multipart; more is an attack on somebody's parser
LINE: Final = 76  # characters of an encoded line (RFC 2045 section 6.8)

_CRLF: Final = b"\r\n"
_FIELD: Final = re.compile(rb"(?:\A|(?<=\n))([!-9;-~]{1,100})[ \t]*:([^\n]*\n(?:[ \t][^\n]*\n)*)")
_TRANSFER: Final = b"content-transfer-encoding"
_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})
_SIGNED: Final = frozenset({"multipart/signed", "multipart/encrypted"})
_SEALED: Final = re.compile(
    r"application/(?:x-)?(?:pkcs7-(?:mime|signature)|pgp(?:-encrypted|-signature)?)"
)
_ARMOUR: Final = b"-----BEGIN PGP "
_SEALS: Final = frozenset({b"dkim-signature", b"arc-seal", b"arc-message-signature"})
_EMBEDDED: Final = frozenset({"message/rfc822", "message/global"})
_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class RecodeError(Exception):
    """A message that can't be recoded. ``reason``: "signed", "header", "malformed"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# What is done with a leaf: (type, encoding, body, marks) -> (encoding, body), or None to leave it.
Leaf = Callable[[str, str, bytes, tuple[bytes, ...]], tuple[bytes, bytes] | None]


class _How(NamedTuple):
    """What is done with leaves and headers, and the encoding a composite then has at most."""

    leaf: Leaf
    outer: bytes
    header: Callable[[bytes], bytes] = bytes  # as it is
    fits: Callable[[bytes], bool] = lambda _: False  # an entity that may stay as it is, all of it
    marks: tuple[bytes, ...] = ()  # what the delimiters of the multiparts around begin with


def to_short_lines(message: bytes) -> bytes:
    """The message with no line over 998 octets. RecodeError ``header``: one can't be folded."""
    if not has_long_line(message):
        return message
    _refuse_signed(message)
    start = _body(message)
    if has_long_line(message[start:]):
        message = _with_mime(message)
    made = _entity(message, _How(_short, b"8bit", _folded, _has_short_lines), DEPTH_LIMIT)
    if has_long_line(made):  # in what stands between parts, say
        raise RecodeError("malformed")
    return _ended(made, message)


def to_seven_bits(message: bytes) -> bytes:
    """The message in ASCII. RecodeError ``header`` where a header is not (RFC 6532)."""
    if message.isascii():
        return message
    _refuse_signed(message)
    how = _How(_seven, b"7bit", _ascii, bytes.isascii)
    made = _entity(_with_mime(message), how, DEPTH_LIMIT)
    if not made.isascii():
        raise RecodeError("malformed")
    return _ended(made, message)


def to_eight_bits(message: bytes) -> bytes:
    """Base64 of text undone where its lines are lines: for 8BITMIME."""
    _refuse_signed(message)
    return _entity(message, _How(_eight, b"8bit"), DEPTH_LIMIT)


def to_binary(message: bytes) -> bytes:
    """All base64 undone: for BINARYMIME, whose octets need no lines (RFC 3030 section 3)."""
    _refuse_signed(message)
    return _entity(message, _How(_binary, b"binary"), DEPTH_LIMIT)


def is_signed(header: bytes) -> bool:
    """Whether a signature covers the body of a message with this header."""
    names = {found[1].lower() for found in _FIELD.finditer(header)}
    return not names.isdisjoint(_SEALS)


def part_headers(message: bytes) -> Iterator[bytes]:
    """The headers of all parts, up to one that can't be taken apart or is over a limit."""
    try:
        yield from _part_headers(message, DEPTH_LIMIT)
    except RecodeError:
        return


def _part_headers(entity: bytes, depth: int) -> Iterator[bytes]:
    start = _body(entity)
    yield entity[:start]
    media_type, params = parse_parameters(_value(entity[:start], b"content-type"))
    if depth == 0:
        return
    if media_type in _EMBEDDED:
        yield from _part_headers(entity[start:], depth - 1)
    elif media_type.startswith("multipart/"):
        for is_part, piece in _pieces(entity[start:], params.get("boundary", "")):
            if is_part:
                yield from _part_headers(piece, depth - 1)


def _ended(made: bytes, message: bytes) -> bytes:
    """With its last line's end where the message had one: base64 that is all of it has none."""
    return made + _CRLF if message.endswith(_CRLF) and not made.endswith(_CRLF) else made


def _refuse_signed(message: bytes) -> None:
    if is_signed(message[: _body(message)]):
        raise RecodeError("signed")


def _body(entity: bytes) -> int:
    """Where the body begins."""
    if entity.startswith(_CRLF):
        return 2
    end = entity.find(b"\r\n\r\n")
    return end + 4 if end >= 0 else len(entity)


def _entity(entity: bytes, how: _How, depth: int) -> bytes:
    """A message or a part, with its header."""
    if depth == 0:
        raise RecodeError("malformed")
    if how.fits(entity):
        return entity
    start = _body(entity)
    header, body = how.header(entity[:start]), entity[start:]
    media_type, params = parse_parameters(_value(header, b"content-type"))
    encoding = _value(header, _TRANSFER).strip().lower()
    _refuse_sealed(media_type, body)
    if media_type.startswith("multipart/") or media_type in _EMBEDDED:
        if encoding not in _IDENTITY:  # RFC 2045 section 6.4: composites are never encoded
            return header + body
        made = _composite(media_type, params.get("boundary", ""), body, how, depth)
        if made == body:
            return header + body
        return _with_encoding(header, _least(made, how.outer)) + made
    changed = how.leaf(media_type or "text/plain", encoding, body, how.marks)
    return header + body if changed is None else _with_encoding(header, changed[0]) + changed[1]


def _ascii(header: bytes) -> bytes:
    if not header.isascii():
        raise RecodeError("header")
    return header


def _folded(header: bytes) -> bytes:
    try:
        return folded(header)
    except FoldError:
        raise RecodeError("header") from None


def _has_short_lines(entity: bytes) -> bool:
    return not has_long_line(entity)


def _least(body: bytes, outer: bytes) -> bytes:
    """The encoding that is true of a composite."""
    if body.isascii() and outer != b"binary":
        return b"7bit"
    return outer


def _with_mime(message: bytes) -> bytes:
    """A message of before MIME gets its fields: without them nobody undoes what is done to it.

    RFC 2045 section 4; RFC 1428 section 3 has the name for text of which nobody knows the charset.
    """
    start = _body(message)
    names = {found[1].lower() for found in _FIELD.finditer(message[:start])}
    fields = b""
    if b"mime-version" not in names:
        fields += b"MIME-Version: 1.0\r\n"
    if b"content-type" not in names:
        charset = b"utf-8" if is_utf8(message[start:]) else b"unknown-8bit"
        fields += b"Content-Type: text/plain; charset=" + charset + _CRLF
    end = start - len(_CRLF) if start < len(message) else start
    return message[:end] + fields + message[end:]


def _refuse_sealed(media_type: str, body: bytes) -> None:
    if media_type in _SIGNED or _SEALED.fullmatch(media_type) or _ARMOUR in body[:2_000]:
        raise RecodeError("signed")


def _composite(media_type: str, boundary: str, body: bytes, how: _How, depth: int) -> bytes:
    if media_type in _EMBEDDED:
        _refuse_signed(body)
        return _entity(body, how, depth - 1)
    pieces = list(_pieces(body, boundary))
    within = how._replace(marks=(*how.marks, b"\n--" + boundary.rstrip().encode("ascii")))
    return b"".join(
        _entity(piece, within, depth - 1) if is_part else piece for is_part, piece in pieces
    )


def _pieces(body: bytes, boundary: str) -> Iterator[tuple[bool, bytes]]:
    """All of a multipart's body: its parts, and what stands between them (RFC 2046 5.1.1)."""
    try:
        mark = re.escape(boundary.rstrip().encode("ascii"))
    except UnicodeEncodeError:
        raise RecodeError("malformed") from None
    if not mark:
        raise RecodeError("malformed")
    delimiters = re.compile(rb"(?:\A|\r\n)--" + mark + rb"(--)?[ \t]*(?=\r\n|\Z)")
    position, inside, count = 0, False, 0
    for found in delimiters.finditer(body):
        if found.start() > position:  # else its line end is the one of the delimiter before
            start = position + 2 if inside else position
            yield False, body[position:start]
            yield inside, body[start : found.start()]
        yield False, body[found.start() : found.end()]
        position, inside, count = found.end(), found[1] is None, count + 1
        if not inside:
            break  # what follows the last delimiter is no part
        if count > PARTS_LIMIT:
            raise RecodeError("malformed")
    start = position + 2 if inside else position
    yield False, body[position:start]
    yield inside, body[start:]


def _value(header: bytes, name: bytes) -> str:
    """The first field of that name, unfolded."""
    for found in _FIELD.finditer(header):
        if found[1].lower() == name:
            return found[2].replace(_CRLF, b"").decode("latin-1")
    return ""


def _with_encoding(header: bytes, encoding: bytes) -> bytes:
    """The header with that Content-Transfer-Encoding, at the place of the old one."""
    field = b"Content-Transfer-Encoding: " + encoding + _CRLF
    for found in _FIELD.finditer(header):
        if found[1].lower() == _TRANSFER:
            return header[: found.start()] + field + header[found.end() :]
    return header[:-2] + field + _CRLF  # before the empty line that ends it


# Leaves


def _seven(
    media_type: str, encoding: str, body: bytes, _: tuple[bytes, ...]
) -> tuple[bytes, bytes] | None:
    if body.isascii():
        return None
    if encoding not in _IDENTITY:
        raise RecodeError("malformed")  # 8 bits in what calls itself base64
    return _encoded(media_type, body)


def _short(
    media_type: str, encoding: str, body: bytes, _: tuple[bytes, ...]
) -> tuple[bytes, bytes] | None:
    if not has_long_line(body):
        return None
    if encoding == "base64":  # readers skip line ends (RFC 2045 section 6.8)
        return b"base64", _cut(body.translate(None, b"\r\n"))
    if encoding == "quoted-printable":
        return _encoded(media_type, binascii.a2b_qp(body))
    if encoding not in _IDENTITY:
        raise RecodeError("malformed")
    return _encoded(media_type, body)


def _encoded(media_type: str, body: bytes) -> tuple[bytes, bytes]:
    """Text so that it can still be read, unless that makes it twice as long as it was."""
    if media_type.startswith("text/"):
        quoted = binascii.b2a_qp(body, istext=True)
        if b"\n" not in body:  # binascii takes the kind of its soft breaks from the text
            quoted = quoted.replace(b"\n", _CRLF)
        # A line that quoting begins must not look like the delimiter of some multipart.
        if (
            len(quoted) <= 2 * len(body)
            and quoted.count(b"\n--") == body.count(b"\n--")
            and whole_lines(quoted)
        ):
            return b"quoted-printable", quoted
    return b"base64", _cut(binascii.b2a_base64(body, newline=False))


def _cut(text: bytes) -> bytes:
    return _CRLF.join(text[at : at + LINE] for at in range(0, len(text), LINE))


def _eight(
    media_type: str, encoding: str, body: bytes, _: tuple[bytes, ...]
) -> tuple[bytes, bytes] | None:
    if not media_type.startswith("text/"):
        return None
    plain = _decoded(encoding, body)
    if plain is None or not _is_lines(plain):
        return None
    return (b"7bit" if plain.isascii() else b"8bit"), plain


def _is_lines(plain: bytes) -> bool:
    """Whether it may stand as it is after DATA (RFC 2045 section 2.8), and hides no delimiter."""
    if not whole_lines(plain) or b"\0" in plain or b"\n--" in b"\n" + plain:
        return False
    return all(len(line) <= TEXT_LINE for line in plain.split(_CRLF))


def _binary(
    _: str, encoding: str, body: bytes, marks: tuple[bytes, ...]
) -> tuple[bytes, bytes] | None:
    """Any "--" at the beginning of a line won't do to leave it: chance puts one into 16 MB."""
    plain = _decoded(encoding, body)
    if plain is None or any(mark in plain or plain.startswith(mark[1:]) for mark in marks):
        return None
    return b"binary", plain


def _decoded(encoding: str, body: bytes) -> bytes | None:
    """What base64 holds, where it is clean; else it is left as it is."""
    if encoding != "base64":
        return None
    packed = body.translate(None, b"\r\n \t")
    if not packed or not _BASE64.fullmatch(packed):
        return None
    return binascii.a2b_base64(packed)
