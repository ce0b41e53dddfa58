"""Writing tag lists as header fields of short lines.

Enters: a field's name and its tags. Leaves: the field's octets, folded with CRLF and a blank.
Called by ``sign`` and ``arc``. Nothing fails. RFC 5322 section 2.1.1, RFC 6376 section 3.2.

Folds stand between tags, after the colons of h= and inside base64: where FWS is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LINE: Final = 78  # columns, without the line end (RFC 5322 section 2.1.1)
FOLD: Final = b"\r\n "

_PIECES: Final = re.compile(rb"[^:]*:|[^:]+\Z")


def fold_tags(name: bytes, tags: Iterable[tuple[bytes, bytes]]) -> bytes:
    """``name: tag=value; tag=value`` without a line end, no line longer than LINE if it can be."""
    lines = [name + b":"]
    items = [key + b"=" + value for key, value in tags]
    for number, item in enumerate(items):
        text = item + b";" if number < len(items) - 1 else item
        if len(lines[-1]) + 1 + len(text) <= LINE:
            lines[-1] += b" " + text
        elif 1 + len(text) <= LINE:
            lines.append(b" " + text)
        else:
            lines.extend(_broken(text))
    return b"\r\n".join(lines)


def _broken(text: bytes) -> list[bytes]:
    """A tag too long for a line: broken at colons if it has them, else anywhere if it is base64."""
    if text[:3] in (b"bh=",) or text[:2] == b"b=":
        start = text.index(b"=") + 1
        return fold_base64(text[:start], text[start:]).split(b"\r\n")
    if b":" not in text:
        return [b" " + text]
    lines = [b" "]
    for piece in _PIECES.findall(text):
        if len(lines[-1]) + len(piece) > LINE and lines[-1] != b" ":
            lines.append(b" ")
        lines[-1] += piece
    return lines


def fold_base64(start: bytes, text: bytes) -> bytes:
    """`` start`` followed by base64, in lines of full length."""
    first = LINE - 1 - len(start)
    rest = [text[at : at + LINE - 1] for at in range(first, len(text), LINE - 1)]
    return FOLD.join([b" " + start + text[:first], *rest])
