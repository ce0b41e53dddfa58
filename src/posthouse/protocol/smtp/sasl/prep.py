"""SASLprep (RFC 4013): one spelling for user names and passwords before they are hashed.

Enters: text. Leaves: prepared text. Called by SCRAM. Fails with SaslError. Unicode 3.2 is what
stringprep is bound to (RFC 3454), hence ``ucd_3_2_0`` even where Python knows a newer Unicode.
"""

from __future__ import annotations

import stringprep
from typing import Final
from unicodedata import ucd_3_2_0

from posthouse.protocol.smtp.sasl.common import SaslError

# Characters beyond ASCII: each is looked up in ten tables, and NFKC makes up to 18 of one, so a
# line full of them would hold up a server. No password comes near.
MAX_TEXT: Final = 1_024

# RFC 4013 section 2.3
_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """``text`` prepared as a stored string.

    RFC 5802 section 2.2 treats both sides' text as stored, so code points that Unicode 3.2 does
    not know (every emoji since) are refused. Raises SaslError ``prohibited``, ``bidi`` or
    ``unassigned`` with the code point, or ``too_long``.
    """
    if text.isascii() and text.isprintable():
        return text  # nothing in ASCII is mapped; the common case needs no tables
    if len(text) > MAX_TEXT:
        raise SaslError("too_long", f"{len(text)} characters")
    prepared = ucd_3_2_0.normalize("NFKC", _map(text))
    for char in prepared:
        if any(table(char) for table in _PROHIBITED):
            raise SaslError("prohibited", f"U+{ord(char):04X}")
        if stringprep.in_table_a1(char):
            raise SaslError("unassigned", f"U+{ord(char):04X}")
    _check_bidi(prepared)
    return prepared


def _map(text: str) -> str:
    """RFC 4013 section 2.1: other blanks become a space, soft hyphens and their kin vanish."""
    return "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        # U+200B is in both tables; RFC 4013 names the blanks first
        if stringprep.in_table_c12(char) or not stringprep.in_table_b1(char)
    )


def _check_bidi(text: str) -> None:
    """RFC 3454 section 6: right-to-left text stands alone and at both ends."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return
    if any(stringprep.in_table_d2(char) for char in text):
        raise SaslError("bidi")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise SaslError("bidi")
