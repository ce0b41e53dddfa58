"""Text that wraps as both languages want it.

rich breaks lines at blanks alone, which leaves ragged lines in Chinese. Here a line may also end
between two CJK characters, but not before a closing mark nor after an opening one (the core of
Unicode's UAX #14). Widths are those of the terminal's cells. Nothing can fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_CJK: Final = "\u3000-\u303f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef—…“”‘’·×"
_CLOSING: Final = "，。、；：！？）》」』】〉”’…—"
_OPENING: Final = "（《「『【〈“‘"
# A piece that is never broken: CJK characters one by one with the marks that cling to them, words.
_PIECE: Final = re.compile(
    rf"\s+|[{_OPENING}]*(?:[^\s{_CJK}]+|[{_CJK}])[{_CLOSING}]*|[{_OPENING}{_CLOSING}]+"
)


class Prose:
    """One paragraph, or several parted by line ends."""

    def __init__(self, text: str, style: str = "") -> None:
        self.text = text
        self.style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in wrap(self.text, options.max_width):
            yield Text(line, style=self.style, no_wrap=True, overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max((cell_len(line) for line in self.text.splitlines()), default=0)
        widest = max((cell_len(piece) for piece in _pieces(self.text)), default=0)
        return Measurement(min(widest, options.max_width), min(longest, options.max_width))


def wrap(text: str, width: int) -> list[str]:
    """The lines of ``text``, each at most ``width`` cells."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += _fill(paragraph, max(2, width))
    return lines


def _fill(paragraph: str, width: int) -> Iterator[str]:
    line, used = "", 0
    for piece in _pieces(paragraph):
        size = cell_len(piece)
        if used + size > width and line.strip():
            yield line.rstrip()
            line, used = "", 0
            if piece.isspace():
                continue
        *full, rest = _cut(piece, width)
        yield from full
        line, used = line + rest, used + cell_len(rest)
    yield line.rstrip()


def _cut(piece: str, width: int) -> list[str]:
    """A piece longer than the line (a URL) in parts that fit; it can't be broken well."""
    parts, part, size = [], "", 0
    for character in piece:
        size += cell_len(character)
        if size > width:
            parts.append(part)
            part, size = "", cell_len(character)
        part += character
    return [*parts, part]


def _pieces(text: str) -> list[str]:
    return [piece for piece in _PIECE.findall(text) if piece]
