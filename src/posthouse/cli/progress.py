"""What is going on, as it happens: one line for each step that ended, a moving one for the present.

Enters: the Steps and Lines of a Trace, the partial results of a search. Leaves: lines on stderr;
with ``-v`` the transcript too, with the marks of ``flow.Mark``. Quiet with ``--quiet``.
Nothing can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rich.text import Text

from posthouse.cli.prose import cells
from posthouse.cli.screen import MARKS, Screen
from posthouse.flow import Line, Status, Step
from posthouse.setup.find import FindResult, Outcome
from posthouse.setup.probe import step_text

NAME_WIDTH: Final = 36  # cells for the name of a step
TIME_WIDTH: Final = 8
NOTE_LIMIT: Final = 200  # characters of what a server says beside a step


class Progress:
    """The owner of the moving line; an observer of a probe."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._quiet = screen.session.quiet
        self._verbose = screen.session.verbose
        self._status: Any = None

    @contextmanager
    def running(self, text: str) -> Iterator[None]:
        """Show ``text`` moving, where there is a terminal, until the block ends."""
        if self._quiet or not self._screen.err.is_terminal:
            yield
            return
        with self._screen.err.status(Text(text), spinner="line") as self._status:
            yield
        self._status = None

    def __call__(self, item: Step | Line) -> None:
        """One step began or ended, or one line was said."""
        if self._quiet:
            return
        if isinstance(item, Line):
            if self._verbose:
                self._screen.err.print(Text(f"  {item.mark.value} {item.text}", style="dim"))
        elif item.seconds is None:
            self._now(step_text(item, self._screen.session.lang))
        else:
            self._ended(item, item.seconds)

    def search(self, result: FindResult) -> None:
        """A source of a search has answered."""
        if self._quiet or result.outcome is Outcome.NOTHING or result.best is None:
            return
        words = self._screen.words
        self._now(words.text("screen.find.so_far", server=str(result.best.endpoint)))

    def _now(self, text: str) -> None:
        if self._status is not None:
            self._status.update(Text(text))

    def _ended(self, step: Step, seconds: float) -> None:
        sign, style = MARKS[step.status]
        name = step_text(step, self._screen.session.lang)
        line = Text(f"{sign} ", style=style)
        line.append(name + " " * (NAME_WIDTH - cells(name)), style="default")
        line.append(_time(seconds).rjust(TIME_WIDTH), style="dim")
        note = note_of(step)
        if note:
            line.append(f"  {note}", style="default" if step.status is Status.OK else "yellow")
        if self._screen.err.is_terminal:
            self._screen.err.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self._screen.err.print(line, soft_wrap=True)


def note_of(step: Step) -> str:
    """What a step learned that needs no language: an address, a version, a server's words."""
    detail = step.detail
    if "code" in detail:
        said = f"{detail['code']} {detail.get('enhanced') or ''} {detail.get('text') or ''}"
        return " ".join(said.split())[:NOTE_LIMIT]
    maker = NOTES.get(step.name)
    return " ".join(maker(detail).split())[:NOTE_LIMIT] if maker and step.status is OK else ""


OK: Final = Status.OK
NOTES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "resolve": lambda d: ", ".join(d.get("addresses", [])[:3]),
    "connect": lambda d: str(d.get("address", "")),
    "greeting": lambda d: str(d.get("text", "")),
    "tls": lambda d: f"{d.get('version', '')} {d.get('cipher', '')}",
    "certificate": lambda d: ", ".join(d.get("names", [])[:3]),
    "auth": lambda d: str(d.get("mechanism", "")),
    "message": lambda d: str(d.get("text", "")),
    "choose": lambda d: ", ".join(map(str, d.get("open", []))) or str(d.get("security", "")),
}


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
