"""The screen of commands that must start at once: the layout of ``screen``, without rich.

Enters: texts. Leaves: lines on stdout, bold and dim where it is a terminal that wants them
(``click.echo`` takes the style off for pipes; NO_COLOR is heeded here).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import click

from posthouse.cli.options import Session
from posthouse.cli.prose import WIDEST, cells, wrap

USUAL: Final = 80  # columns, where nobody tells


class Plain:
    """One command's answer as text."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.words = session.words
        self.width = min(_columns(), WIDEST)
        self._color = False if os.environ.get("NO_COLOR") else None

    def say(self, text: str, *, style: str = "", indent: int = 0) -> None:
        """One paragraph, in ``style`` "bold" or "dim"."""
        for line in wrap(text, self.width - indent):
            self._line(" " * indent + line, style)

    def blank(self) -> None:
        """One empty line."""
        self._line("")

    def heading(self, key: str, **params: Any) -> None:
        """A heading from the catalogue, with a blank line above."""
        self.blank()
        self.say(self.words.text(key, **params), style="bold")

    def hanging(self, label: str, text: str, *, indent: int = 2) -> None:
        """A label and its text, wrapped beside it."""
        self._beside(label, text, indent, cells(label) + 1)

    def table(self, rows: Sequence[tuple[str, str]], *, indent: int = 2) -> None:
        """Names and values; the values wrap."""
        width = max((cells(name) for name, _ in rows), default=0) + 2
        for name, value in rows:
            self._beside(name, value, indent, width)

    def _beside(self, label: str, text: str, indent: int, width: int) -> None:
        first, *others = wrap(text, self.width - indent - width)
        self._line(f"{' ' * indent}{label}{' ' * (width - cells(label))}{first}")
        for line in others:
            self._line(f"{' ' * (indent + width)}{line}")

    def _line(self, text: str, style: str = "") -> None:
        text = text.rstrip()
        styled = click.style(text, bold=style == "bold" or None, dim=style == "dim" or None)
        click.echo(styled if style else text, color=self._color)


def _columns() -> int:
    """As ``shutil.get_terminal_size`` has it, without importing what it needs for archives."""
    try:
        return int(os.environ["COLUMNS"]) or USUAL
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(1).columns or USUAL
    except (OSError, ValueError):
        return USUAL
