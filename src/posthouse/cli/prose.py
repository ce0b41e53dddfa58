"""Text that wraps as both languages want it, measured in the terminal's cells.

A line may end at a blank, or between two CJK characters, but not before a closing mark nor after an
opening one (the core of Unicode's UAX #14). What others wrote is made fit to be shown
(``printable``). Used by both screens; imports next to nothing, since ``explain`` is asked in a
hurry. Nothing can fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import category, east_asian_width

WIDEST: Final = 100  # columns; longer lines are hard to read
_CJK: Final = "\u3000-\u303f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef—…“”‘’·×"
_CLOSING: Final = "，。、；：！？）》」』】〉”’…—"
_OPENING: Final = "（《「『【〈“‘"
# A piece that is never broken: CJK characters one by one with the marks that cling to them, words.
# Compiled where it is needed: that takes some milliseconds.
_PIECE: Final = rf"\s+|[{_OPENING}]*(?:[^\s{_CJK}]+|[{_CJK}])[{_CLOSING}]*|[{_OPENING}{_CLOSING}]+"
_WORD: Final = re.compile(r"\s+|\S+")


def cells(text: str) -> int:
    """How many cells a terminal gives the text (UAX #11; ambiguous characters are narrow)."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if east_asian_width(character) in "WF":
        return 2
    return 0 if category(character) in ("Mn", "Me", "Cf") else 1


def wrap(text: str, width: int) -> list[str]:
    """The lines of ``text``, each at most ``width`` cells."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += _fill(paragraph, max(2, width))
    return lines


def widest_piece(text: str) -> int:
    """The cells of what can't be broken well: the least width that looks right."""
    return max((cells(piece) for piece in _pieces(text)), default=0)


def _fill(paragraph: str, width: int) -> Iterator[str]:
    line, used = "", 0
    for piece in _pieces(paragraph):
        size = cells(piece)
        if used + size > width and line.strip():
            yield line.rstrip()
            line, used = "", 0
            if piece.isspace():
                continue
        *full, rest = _cut(piece, width)
        yield from full
        line, used = line + rest, used + cells(rest)
    yield line.rstrip()


def _cut(piece: str, width: int) -> list[str]:
    """A piece longer than the line (a URL) in parts that fit; it can't be broken well."""
    parts, part, size = [], "", 0
    for character in piece:
        size += _cells(character)
        if size > width:
            parts.append(part)
            part, size = "", _cells(character)
        part += character
    return [*parts, part]


def _pieces(text: str) -> list[str]:
    return _WORD.findall(text) if text.isascii() else re.findall(_PIECE, text)


def printable(text: str) -> str:
    """Without what could move a terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)
