"""The value of a TXT record, cut into its strings, and as a zone file has it. RFC 1035.

Enters: text. Leaves: strings of at most 255 octets, or one line that any name server loads. Called
by whoever proposes a record. Nothing fails.
"""

from __future__ import annotations

from typing import Final

STRING: Final = 255  # octets of one string, RFC 1035 section 3.3
_BACKSLASH: Final = 0x5C
_QUOTE: Final = 0x22


def strings(text: str) -> tuple[bytes, ...]:
    """The strings of the record, parted after a blank where one is near.

    Joined without anything between they are the text again (RFC 7208 section 3.3).
    """
    data = text.encode("utf-8", "replace")
    made: list[bytes] = []
    while len(data) > STRING:
        cut = data.rfind(b" ", STRING // 2, STRING) + 1 or STRING
        made.append(data[:cut])
        data = data[cut:]
    return (*made, data)


def quoted(text: str) -> str:
    """The same as a zone file has it (RFC 1035 section 5.1)."""
    return " ".join(f'"{_escaped(part)}"' for part in strings(text))


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
