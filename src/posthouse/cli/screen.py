"""Where words and answers go: answers to stdout, progress and errors to stderr.

Enters: a Session. Leaves: ``Screen`` with the two consoles and JSON. Everything is readable without
colour (NO_COLOR, pipes): a mark, a word or a place says what colour says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

from posthouse.cli.answer import print_json
from posthouse.cli.options import Session
from posthouse.cli.prose import WIDEST, cells, widest_piece, wrap
from posthouse.flow import Status

MARKS: Final[Mapping[Status, tuple[str, str]]] = {
    Status.OK: ("✓", "green"),
    Status.WARN: ("!", "yellow"),
    Status.FAIL: ("✗", "bold red"),
    Status.UNKNOWN: ("?", "yellow"),
    Status.SKIPPED: ("·", "dim"),
}


class Screen:
    """The two consoles of one command."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.words = session.words
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    def say(self, text: str, *, style: str = "", indent: int = 0) -> None:
        """One paragraph of the answer. Server text is never read as markup."""
        self.out.print(padded(Prose(text, style), indent))

    def blank(self) -> None:
        """One empty line."""
        self.out.print()

    def heading(self, key: str, **params: Any) -> None:
        """A heading from the catalogue, with a blank line above."""
        self.blank()
        self.say(self.words.text(key, **params), style="bold")

    def mark(self, status: Status, text: str, *, indent: int = 0, bold: bool = False) -> None:
        """A line with its mark, wrapped under itself."""
        self.out.print(marked(status, text, indent, bold=bold))

    def warn(self, status: Status, text: str) -> None:
        """A line with its mark that is not part of the answer."""
        self.err.print(marked(status, text))

    def hanging(self, label: str, text: str, *, indent: int = 2) -> None:
        """A label and its text, wrapped beside it."""
        grid = _grid()
        grid.add_row(Text(label), Prose(text))
        self.out.print(padded(grid, indent))

    def table(self, rows: Sequence[Sequence[str]], *, indent: int = 2) -> None:
        """Rows in columns: the first is a name and never wraps, the others do."""
        grid = _grid(gap=2)
        grid.add_column(no_wrap=True)
        for first, *others in rows:
            grid.add_row(Text(first), *(Prose(cell) for cell in others))
        self.out.print(padded(grid, indent))

    def columns(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and what they stand for."""
        self.table(rows, indent=0)

    def verbatim(self, text: str) -> None:
        """A file's content, not wrapped: it is to be copied."""
        self.out.print(Text(text.rstrip("\n")), soft_wrap=True)

    def aside(self) -> Screen:
        """The same screen on stderr, where stdout holds a file."""
        other = Screen(self.session)
        other.out = self.err
        return other

    def note(self, text: str) -> None:
        """A line of progress, not part of the answer."""
        if not self.session.quiet and not self.session.json:
            self.err.print(Prose(text))

    def problem(self, text: str) -> None:
        """A line that says what is wrong with the call itself."""
        click.echo(f"posthouse: {text}", err=True)

    def json(self, answer: Mapping[str, Any]) -> None:
        """The answer for programs: one object, ``"schema": 1`` first."""
        print_json(answer)


def marked(status: Status, text: str, indent: int = 0, *, bold: bool = False) -> Any:
    """A grid of the mark and the text, so that long text wraps beside its mark."""
    sign, style = MARKS[status]
    grid = _grid()
    grid.add_row(Text(sign, style=style), Prose(text, "bold" if bold else ""))
    return padded(grid, indent)


def padded(body: Any, indent: int) -> Any:
    """The body, moved to the right, with no blanks at the ends of its lines."""
    return _Indented(body, indent)


class Prose:
    """One paragraph, or several parted by line ends, for rich, which breaks at blanks only."""

    def __init__(self, text: str, style: str = "") -> None:
        self.text = text
        self.style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in wrap(self.text, options.max_width):
            yield Text(line, style=self.style, no_wrap=True, overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max((cells(line) for line in self.text.splitlines()), default=0)
        most = options.max_width
        return Measurement(min(widest_piece(self.text), most), min(longest, most))


class _Indented:
    """rich's own Padding either fills lines with blanks or squeezes tables."""

    def __init__(self, body: Any, indent: int) -> None:
        self.body = body
        self.indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        inner = options.update(width=max(1, options.max_width - self.indent))
        for line in console.render_lines(self.body, inner, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            yield Segment(" " * self.indent if line else "")
            yield from line[:-1]
            yield from (Segment(s.text.rstrip(), s.style) for s in line[-1:])
            yield Segment.line()


def _grid(gap: int = 1) -> Any:
    from rich.table import Table

    return Table.grid(padding=(0, gap, 0, 0))


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if console.width > WIDEST:
        console = Console(stderr=stderr, highlight=False, width=WIDEST)
    return console
