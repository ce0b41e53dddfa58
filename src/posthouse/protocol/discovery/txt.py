"""The value of a TXT record in presentation form (RFC 1035 section 5.1).

Enters: ``"v=one" "two"`` or bare text. Leaves: the character-strings joined without a blank, as
every user of TXT wants them (RFC 7208 section 3.3). Called by ``pacc``. Never fails.
"""

from __future__ import annotations

import re

# Read from string to string; one that is not closed goes to the end, and counts for nothing. To
# search on for another beginning would take a quadratic time on a record of escaped quotes.
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)(?:(")|\\?$)[^"]*', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-9]{3})|(.))", re.DOTALL | re.ASCII)


def txt_value(record: str) -> str:
    """``record`` without quotes and escapes; text without quotes is taken as it is."""
    text = record.strip()
    strings = [text]
    if text.startswith('"'):
        strings = [found[1] for found in _STRING.finditer(text) if found[2]]
    return "".join(_ESCAPE.sub(_unescape, part) for part in strings)


def _unescape(match: re.Match[str]) -> str:
    number, char = match[1], match[2]
    return chr(int(number)) if number else char
