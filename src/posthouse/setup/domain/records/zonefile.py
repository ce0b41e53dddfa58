"""Records as lines of a zone file. RFC 1035 section 5.1.

Enters: records. Leaves: text that any name server loads: whole names with the last dot, TXT values
in quotes and cut into strings of at most 255 octets. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from posthouse.setup.domain.records.model import Record

STRING: Final = 255  # octets of one string, RFC 1035 section 3.3
_BACKSLASH: Final = 0x5C
_QUOTE: Final = 0x22


def line(record: Record) -> str:
    """One record."""
    value = quoted(record.value) if record.type == "TXT" else record.value
    return f"{record.name}. {record.ttl} IN {record.type} {value}"


def lines(records: Iterable[Record]) -> Iterator[str]:
    """Many, each once."""
    yield from dict.fromkeys(line(one) for one in records)


def quoted(text: str) -> str:
    """A TXT value, parted after a blank where one is near; joined it is the same."""
    return " ".join(f'"{_escaped(part)}"' for part in _parts(text.encode("utf-8", "replace")))


def _parts(data: bytes) -> Iterator[bytes]:
    while len(data) > STRING:
        cut = data.rfind(b" ", STRING // 2, STRING) + 1 or STRING
        yield data[:cut]
        data = data[cut:]
    yield data


def _escaped(data: bytes) -> str:
    made = []
    for octet in data:
        if octet in (_BACKSLASH, _QUOTE):
            made.append(f"\\{chr(octet)}")
        elif 0x20 <= octet < 0x7F:
            made.append(chr(octet))
        else:
            made.append(f"\\{octet:03d}")
    return "".join(made)
