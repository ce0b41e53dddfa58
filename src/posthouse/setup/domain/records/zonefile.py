"""Records as lines of a zone file. RFC 1035 section 5.1.

Enters: records. Leaves: text that any name server loads: whole names with the last dot, TXT values
in quotes and cut into strings of at most 255 octets. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from posthouse.protocol import txt
from posthouse.setup.domain.records.model import Record


def line(record: Record) -> str:
    """One record."""
    value = txt.quoted(record.value) if record.type == "TXT" else record.value
    return f"{record.name}. {record.ttl} IN {record.type} {value}"


def lines(records: Iterable[Record]) -> Iterator[str]:
    """Many, each once."""
    yield from dict.fromkeys(line(one) for one in records)
