"""Header fields as bytes: split and selected without a change, as signatures need them.

Enters: a message, or its header section, as bytes. Leaves: ``Header``, its fields in order with
CRLF line ends, and where the body begins. Called by ``dkim``, ``arc`` and ``authres``. Nothing
fails. RFC 5322 section 2.2.

A bare LF counts as a line end, in the header as in the body (see ``body``): a message kept in a
file of Unix lines is hashed as it will be sent. A bare CR is an octet like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from posthouse.protocol.dkim.canon import CRLF, Canon, relaxed_field, relaxed_fields
from posthouse.protocol.smtp.data import whole_lines

_CR: Final = 0x0D
_FOLD: Final = (b" ", b"\t")


class Field(NamedTuple):
    """One header field."""

    name: bytes  # lower case, without the blanks before the colon; b"" for a line without a colon
    raw: bytes  # the whole field as it came, folded, with CRLF, without its last line end
    place: int = -1  # in its header, topmost 0; -1 for one that stands in none

    @property
    def value(self) -> bytes:
        """What stands after the colon, folded."""
        return self.raw.partition(b":")[2]


class Header:
    """The fields of one message. What is derived from them is made when first asked for."""

    __slots__ = ("_places", "_raws", "_section", "names", "relaxed")

    def __init__(self, section: bytes) -> None:
        """``section`` without an empty line at its end or a line end after its last field."""
        self._section = section = crlf(section)
        self.names, self.relaxed = relaxed_fields(section)  # they are always needed
        self._places: dict[bytes, list[int]] | None = None
        self._raws: list[bytes] | None = None

    @property
    def octets(self) -> int:
        """How long the header is."""
        return len(self._section)

    @property
    def raws(self) -> list[bytes]:
        """The fields as they came, with CRLF inside, without the line end after each."""
        if self._raws is None:
            self._raws = raw_fields(self._section)
        return self._raws

    def field(self, place: int) -> Field:
        """One field."""
        return Field(self.names[place], self.raws[place], place)

    def named(self, name: bytes) -> list[Field]:
        """The fields of that (lower-case) name, in their order."""
        return [self.field(place) for place in self.places.get(name, ())]

    @property
    def places(self) -> dict[bytes, list[int]]:
        """Where the fields of each name stand, topmost first."""
        if self._places is None:
            self._places = {}
            for place, name in enumerate(self.names):
                if name:
                    self._places.setdefault(name, []).append(place)
        return self._places

    def select(self, names: Iterable[bytes], without: int = -1) -> list[int]:
        """Where the fields stand that ``names`` (lower case) mean. RFC 6376 section 5.4.2.

        A name repeated means the next field upwards; one too many means nothing, which is how a
        later addition is noticed. ``without`` is the signature itself: it did not exist yet.
        """
        left: dict[bytes, list[int]] = {}
        chosen = []
        for name in names:
            places = left.get(name)
            if places is None:
                places = left[name] = [p for p in self.places.get(name, ()) if p != without]
            if places:
                chosen.append(places.pop())
        return chosen

    def canonical(self, places: Iterable[int], canon: Canon) -> bytes:
        """The fields at ``places`` as they are hashed, each with its line end."""
        lines = self.relaxed if canon is Canon.RELAXED else self.raws
        return CRLF.join([*map(lines.__getitem__, places), b""])


def split(message: bytes) -> tuple[Header, int]:
    """The header of a message, and the offset of its body (its length where there is none)."""
    start = 0
    if message.startswith(b"From "):  # mbox: the envelope line is no field
        start = message.find(b"\n") + 1 or len(message)
    end, body = boundary(message, start)
    return Header(message[start:end]), body


def boundary(message: bytes, start: int = 0) -> tuple[int, int]:
    """Where the last field of a header ends, without its line end, and where the body begins."""
    if message.startswith((b"\r\n", b"\n"), start):
        return start, message.index(b"\n", start) + 1
    end, body = message.find(b"\n\r\n", start), 3
    bare = message.find(b"\n\n", start, end + 1 if end >= 0 else len(message))
    if bare >= 0:
        end, body = bare, 2
    if end < 0:
        if not message.endswith(b"\n"):
            return len(message), len(message)
        end, body = len(message) - 1, 1
    cr = end > start and message[end - 1] == _CR
    return end - cr, end + body


def parse_header(section: bytes) -> Header:
    """The fields of a header section, which ends with its last field or with an empty line."""
    return split(section)[0]


def raw_fields(section: bytes) -> list[bytes]:
    """The fields as they came, each without the line end after it. ``section`` as in Header."""
    fields: list[bytes] = []
    folded: list[bytes] = []
    for line in section.split(CRLF) if section else ():
        if line.startswith(_FOLD) and fields:
            folded = folded or [fields[-1]]
            folded.append(line)
            continue
        if folded:
            fields[-1] = CRLF.join(folded)
            folded = []
        fields.append(line)
    if folded:
        fields[-1] = CRLF.join(folded)
    return fields


def crlf(data: bytes) -> bytes:
    """``data`` with every bare LF made CRLF."""
    if whole_lines(data):
        return data
    return data.replace(CRLF, b"\n").replace(b"\n", CRLF)


def canonical(fields: Iterable[Field]) -> bytes:
    """Any fields in relaxed form, each with its line end."""
    return CRLF.join([*[relaxed_field(item.raw) for item in fields], b""])
