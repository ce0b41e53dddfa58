"""The two canonicalizations: what of a message may change on its way without harm to a signature.

Enters: header fields and stretches of a body, with CRLF line ends. Leaves: the octets to hash.
Called by ``fields``, ``body``, ``sign``, ``verify`` and ``arc``. Nothing fails. Time is linear.
RFC 6376 section 3.4. White space is blank and tab alone; anything else is an octet like any other.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

CRLF: Final = b"\r\n"

_BLANKS: Final = re.compile(rb"  +")


class Canon(StrEnum):
    """How much may change: nothing, or white space and the case of field names."""

    SIMPLE = "simple"
    RELAXED = "relaxed"


def relaxed_fields(section: bytes) -> tuple[list[bytes], list[bytes]]:
    """The names of the fields of a header, and the fields themselves in relaxed form.

    RFC 6376 section 3.4.2: unfolded, runs of blanks one, none at the ends or around the colon,
    names in lower case. The name of a line without a colon is empty. ``section`` has CRLF between
    its fields and none at its end. All are done in one stroke: it is the hot path of signing.
    """
    if not section:
        return [], []
    text = section.replace(b"\r\n ", b" ")
    if b"\t" in text:
        text = text.replace(b"\r\n\t", b" ")
    names, fields = [], []
    for line in _single(text).split(CRLF):
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" ").lower() if colon else b""
        names.append(name)
        fields.append(name + b":" + value.strip(b" "))
    return names, fields


def relaxed_field(raw: bytes) -> bytes:
    """One field in relaxed form. Every CRLF in it is a fold."""
    return relaxed_fields(raw)[1][0]


def relaxed_text(data: bytes) -> bytes:
    """Whole lines of a body: runs of blanks one, none before a line end. RFC 6376 section 3.4.4.

    A run at the end of ``data`` is left as one blank: the line may go on.
    """
    data = _single(data)
    return data.replace(b" \r\n", CRLF) if _has(b" \r\n", data) else data


def _single(data: bytes) -> bytes:
    if b"\t" in data:
        data = data.replace(b"\t", b" ")
    return _BLANKS.sub(b" ", data) if _has(b"  ", data) else data


def _has(some: bytes, data: bytes) -> bool:
    return data.rfind(some) >= 0  # from the end: CPython does so in half the time of "in"
