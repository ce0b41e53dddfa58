"""Header fields: found, unfolded, decoded.

Enters: bytes that begin with header fields. Leaves: ``Headers``, a tuple of ``Field`` in their
order, and where the body begins. Called by ``mime`` and ``dsn``. Nothing raises; what is no field
ends the headers, as if the empty line before the body had been lost. RFC 5322 sections 2.1, 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.message.text import VALUE_LIMIT, decode_words, guess

HEADER_LIMIT: Final = 262_144  # bytes of one header section; larger than any server lets pass
FIELD_LIMIT: Final = 1_000  # fields kept of one section

_FIELD: Final = re.compile(rb"([!-9;-~]{1,100})[ \t]*:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_FROM_LINE: Final = re.compile(rb">?From [^\n]*\n")
_BLANK: Final = re.compile(rb"(?:[ \t]*\n)*")
# From the first blank of a run: to start at each would take a quadratic time.
_FOLD: Final = re.compile(r"(?<!\s)\s*\n\s*")
_COMMENT: Final = re.compile(r"\([^()]*\)")
_PARAMETER: Final = re.compile(r";\s*([\w.-]{1,60}\*?)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s]*))")


@dataclass(frozen=True, slots=True)
class Field:
    """One header field."""

    name: str  # lower case
    raw: bytes  # the value as it came, folded

    @property
    def text(self) -> str:
        """The value on one line, encoded words decoded."""
        value = guess(self.raw[:VALUE_LIMIT])
        return decode_words(_FOLD.sub(" ", value)).strip()


@dataclass(frozen=True, slots=True)
class Headers:
    """The fields of one section, in their order."""

    fields: tuple[Field, ...] = ()

    def get(self, name: str) -> str:
        """The first field of that name, decoded; "" where there is none."""
        return next(self._named(name), "")

    def all(self, name: str) -> list[str]:
        """All fields of that name, decoded."""
        return list(self._named(name))

    def _named(self, name: str) -> Iterator[str]:
        name = name.lower()
        return (field.text for field in self.fields if field.name == name)

    def __contains__(self, name: str) -> bool:
        return any(field.name == name.lower() for field in self.fields)


def split_headers(raw: bytes) -> tuple[Headers, bytes]:
    """The header fields ``raw`` (with LF line ends) begins with, and the body after them."""
    start = _BLANK.match(raw).end()  # type: ignore[union-attr]  # matches anything
    if line := _FROM_LINE.match(raw, start):
        start = line.end()
    fields: list[Field] = []
    position, end = start, min(len(raw), start + HEADER_LIMIT)
    while found := _FIELD.match(raw, position, end):
        if len(fields) < FIELD_LIMIT:
            fields.append(Field(found[1].decode("ascii").lower(), found[2].rstrip()))
        position = found.end()
    if not fields:
        return Headers(), raw
    if raw[position : position + 1] == b"\n":
        position += 1
    return Headers(tuple(fields)), raw[position:]


def parse_headers(raw: bytes) -> Headers:
    """The header fields ``raw`` begins with, whatever its line ends."""
    return split_headers(unix(raw[:HEADER_LIMIT]))[0]


def unix(raw: bytes) -> bytes:
    """CRLF and bare CR made LF."""
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in raw else raw


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """``type/subtype; name=value`` in lower case, values as they are (RFC 2045 section 5.1).

    Of RFC 2231's continuations ("name*0=") the pieces are joined; percent-encoding is kept.
    """
    value = value[:VALUE_LIMIT]
    main = _COMMENT.sub("", value.partition(";")[0]).strip().lower()
    params: dict[str, str] = {}
    for found in _PARAMETER.finditer(value):
        name = re.sub(r"\*\d{0,3}\*?$", "", found[1].lower())
        text = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        params[name] = params.get(name, "") + text if "*" in found[1] else params.get(name, text)
    return main, params
