"""Where in a TOML text something stands, which ``tomllib`` does not tell.

Enters: the text, and a path such as ("service", 1, "id"). Leaves: a line, counted from 1; 0 where
it can't be found. Called where a value was read and is wrong. Nothing fails.

The parser itself is asked: a statement ends where the lines up to there are TOML and have the path,
and begins after the last lines that were TOML without it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any, Final

Path = Sequence[str | int]

TRIES: Final = 400  # parses for one error; an inventory has some fifty lines
STATEMENT: Final = 100  # lines of one value


def line_of(text: str, path: Path, shown: str = "") -> int:
    """The line of the statement that gives ``path`` its value, or of ``shown`` inside it."""
    lines = text.split("\n")
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return 0
    tries = TRIES
    for start, line in enumerate(lines):
        if names[-1] not in line or _has(lines[:start], path):
            continue
        for end in range(start + 1, min(len(lines), start + STATEMENT) + 1):
            tries -= 1
            if _has(lines[:end], path):
                return _inside(lines, start, end, shown)
        if tries <= 0:
            return 0
    return 0


def _inside(lines: list[str], start: int, end: int, shown: str) -> int:
    for number in range(start, end):
        if shown and shown in lines[number]:
            return number + 1
    return start + 1


def _has(lines: list[str], path: Path) -> bool:
    try:
        found: Any = tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    for part in path:
        try:
            found = found[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
