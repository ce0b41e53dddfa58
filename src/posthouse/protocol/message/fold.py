"""Header lines that are too long, folded where they may be. RFC 5322 sections 2.1.1 and 2.2.3.

Enters: a header section with CRLF line ends. Leaves: the same, that reads the same, with no line
over 998 octets. Called by ``recode``. Raises FoldError where a line has no place to be folded at.

Lines that are short enough stay as they are, since somebody may have meant them so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from posthouse.protocol.smtp.limits import TEXT_LINE

WIDTH: Final = 78  # octets of a folded line, where there is a blank: section 2.1.1

_CRLF: Final = b"\r\n"
# A word with the blanks before it: unfolding takes the line end alone away. Blanks at the end of
# the line go with the last one, for a line of nothing but blanks is obsolete (section 4.2).
_WORD: Final = re.compile(rb"[ \t]*[^ \t]+(?:[ \t]+\Z)?|[ \t]+\Z")
_ADDRESSES: Final = re.compile(
    rb"(?:resent-)?(?:from|sender|reply-to|to|cc|bcc)[ \t]*:", re.IGNORECASE
)


class FoldError(ValueError):
    """A word of more than 998 octets."""


def folded(header: bytes) -> bytes:
    """The section with all lines short enough."""
    lines, addresses = [], False
    for line in header.split(_CRLF):
        if not line.startswith((b" ", b"\t")):
            addresses = _ADDRESSES.match(line) is not None
        if len(line) <= TEXT_LINE:
            lines.append(line)
        else:
            lines += _lines(_parted(line) if addresses else line)
    return _CRLF.join(lines)


def _parted(line: bytes) -> bytes:
    """Blanks put in between addresses, where a program has written none (section 3.4).

    Only in words that are too long: one has no blank in it, so no name of several words either.
    """
    return b"".join(
        word.replace(b",", b", ") if len(word) > TEXT_LINE else word for word in _WORD.findall(line)
    )


def _lines(line: bytes) -> Iterator[bytes]:
    first, *words = _WORD.findall(line)
    made = first
    if words and first.endswith(b":"):  # no line has the field's name alone: some take it for empty
        made += words.pop(0)
    for word in words:
        if len(made) + len(word) > WIDTH:
            yield _checked(made)
            made = word
        else:
            made += word
    yield _checked(made)


def _checked(line: bytes) -> bytes:
    if len(line) > TEXT_LINE:
        raise FoldError
    return line
