"""``posthouse queue prune``: the old events of letters that have left are removed.

Beside a running relay, in small transactions with pauses as long as they are. Where it takes longer
than ``QUIET`` a terminal is shown how far it is. Ctrl-C ends it; what was removed is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.cli.queue import choose
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.send.queue.desk import Desk
    from posthouse.send.queue.prune import Pruned

QUIET: Final = 2.0  # seconds before progress is shown
EVERY: Final = 0.2  # seconds between two times


def subcommand(words: Catalogue) -> Command:
    """Build it."""

    def text(key: str) -> str:
        return words.text(f"cli.option.queue_{key}")

    def run(**given: Any) -> int:
        asked = session(words, given)
        keep = _keep(words, given)
        return choose.at_desk(words, given, lambda desk: _prune(asked, desk, keep, given))

    return Command(
        "prune",
        words,
        key="cli.queue_prune",
        callback=run,
        params=[
            click.Option(["--older-than"], metavar="TIME", help=text("older_than")),
            click.Option(["--dry-run"], is_flag=True, help=text("dry_run")),
            *choose.where(words),
            *common(words, network=False),
        ],
    )


def _keep(words: Catalogue, given: Mapping[str, Any]) -> float:
    from posthouse.send import units

    value = given["older_than"]
    if value is None:
        raise click.UsageError(words.text("cli.error.missing", name="--older-than"))
    try:
        return units.seconds(value)
    except ValueError:
        said = words.text("settings.error.time", key="--older-than", value=value)
        raise click.UsageError(said) from None


def _prune(asked: Session, desk: Desk, keep: float, given: Mapping[str, Any]) -> int:
    dry, now = given["dry_run"], time.time()
    count = _Count(asked)
    try:
        count.all(desk.prune(now - keep, now, dry=dry), pauses=not dry)
    finally:
        count.tell(dry)
    return 0


class _Count:
    """The owner of the sum, and of the line that shows it."""

    def __init__(self, asked: Session) -> None:
        self._asked = asked
        self._letters = self._events = 0
        self._shown = False
        self._next = time.monotonic() + QUIET
        self._shows = sys.stderr.isatty() and not (asked.quiet or asked.json)

    def all(self, steps: Iterable[Pruned], *, pauses: bool) -> None:
        """Go through the steps; after each the lane is left to its relay for as long as it took."""
        began = time.monotonic()
        for letters, events in steps:
            self._letters, self._events = self._letters + letters, self._events + events
            took = time.monotonic() - began
            if self._shows and began + took >= self._next:
                self._show()
            if pauses:
                time.sleep(took)
            began = time.monotonic()

    def _show(self) -> None:
        said = self._text("so_far")
        click.echo(f"\r{said}", err=True, nl=False)
        self._shown, self._next = True, time.monotonic() + EVERY

    def tell(self, dry: bool) -> None:
        """The end."""
        if self._shown:
            click.echo(err=True)
        if self._asked.json:
            from posthouse.cli.answer import print_json

            print_json({"dry_run": dry, "messages": self._letters, "events": self._events})
        else:
            key = "nothing" if not self._events else "would" if dry else "done"
            click.echo(self._text(key))

    def _text(self, key: str) -> str:
        return self._asked.words.text(
            f"queue.prune.{key}", letters=self._letters, events=self._events
        )
