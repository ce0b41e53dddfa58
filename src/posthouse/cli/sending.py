"""Runs ``send``: the bar while it goes on, the results, the summary, the exit code.

Enters: the Screen, what is to be sent and where. Leaves: the answer on stdout, progress on stderr,
the exit code. Called by ``cli.send``. Fails with click's errors where the journal can't be opened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from posthouse.cli import results
from posthouse.cli.root import (
    INTERRUPTED,
    OK,
    PROBLEM,
    SIGN_IN_REFUSED,
    UNDETERMINED,
    shut_output,
)
from posthouse.cli.screen import Screen
from posthouse.flow import NetworkFailure, Stage
from posthouse.net import loop
from posthouse.net.resolver import DnsResolver
from posthouse.send import client

REDRAWN: Final = 0.1  # seconds between two looks of the bar
LINES: Final = 5.0  # seconds between two lines, where there is no terminal
NETWORK: Final = (Stage.DNS, Stage.CONNECT, Stage.GREETING, Stage.ANY)  # says nothing of the server


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be sent, and where."""

    place: client.Place
    said: client.Envelope
    source: client.Source | None  # of many
    drafts: tuple[client.Draft, ...]  # where it is one
    journal: Path | None
    jsonl: bool
    relay: str = ""  # the configuration of our own, where it goes there


def run(screen: Screen, job: Job, terms: client.Terms) -> int:
    """Send, show, and say how it went."""
    words = screen.words
    try:
        book: client.Journal | client.NoJournal = client.NoJournal()
        if job.journal is not None:
            book = client.Journal(job.journal, time.time)
            if book.uncertain:
                screen.note(words.text("send.journal.uncertain", n=book.uncertain))
        elif job.source is not None:
            screen.note(words.text("send.journal.none"))
    except client.JournalError as error:
        text = words.text(f"send.journal.{error.reason}", path=str(job.journal))
        raise click.ClickException(text) from None
    run = _Run(screen, job)
    began = time.monotonic()
    try:
        end = loop.run(run.go(book, terms))
    finally:
        unkept = _close(book)
    if end.error is not None and not isinstance(end.error, client.JournalError | OSError):
        raise end.error
    end = replace(end, error=end.error or unkept)
    if run.unheard is not None:
        shut_output()
    spent = time.monotonic() - began
    uncertain = book.uncertain if isinstance(book, client.Journal) else 0
    report = results.Report(
        job.place, run.tally, end, spent, job.journal, uncertain, run.unheard, job.relay
    )
    if job.jsonl:  # the lines were the answer
        results.show_end(screen.aside(), report)
    elif job.source is None:
        results.show_one(screen, report, run.only)
    else:
        results.show_many(screen, report)
    return exit_code(run.tally, end)


def _close(book: client.Journal | client.NoJournal) -> client.JournalError | None:
    """What the disk says at the end."""
    try:
        if isinstance(book, client.Journal):
            book.close()
    except client.JournalError as error:
        return error
    return None


class _Run:
    """The owner of the counts and the bar of one run."""

    def __init__(self, screen: Screen, job: Job) -> None:
        self._screen = screen
        self._job = job
        self.tally = client.Tally()
        self.only: client.Done | None = None
        self.unheard: OSError | None = None  # stdout takes no more
        self._bar: Any = None
        self._task: Any = None
        self._shown = time.monotonic()
        self._waiting = 0  # messages that wait for a further try

    async def go(self, book: client.Book, terms: client.Terms) -> client.End:
        """Send everything."""
        source, job = self._job.source, self._job
        moving = None
        drafts: Iterator[client.Draft] = iter(job.drafts)
        if source is not None:
            drafts = source.drafts()
            counting = asyncio.create_task(asyncio.to_thread(source.count))
            counting.add_done_callback(self._counted)
            self._begin()
            moving = asyncio.create_task(self._move())
        door = client.Door(job.place, DnsResolver(self._screen.session.resolver))
        try:
            return await client.hand_in(
                drafts,
                job.said,
                door,
                book=book,
                report=self._one,
                terms=terms,
                waiting=self._wait,
                stopping=self._stopping,
            )
        finally:
            if moving is not None:
                moving.cancel()
            if self._bar is not None:
                with suppress(OSError):
                    self._draw()
                    self._bar.stop()

    def _counted(self, counting: asyncio.Task[int]) -> None:
        if not counting.cancelled() and counting.exception() is None:
            self.tally.total = counting.result()

    def _one(self, done: client.Done) -> None:
        """One message is over."""
        self.tally.add(done)
        if self._job.source is None:
            self.only = done
        if self._job.jsonl and self.unheard is None:
            try:
                results.line(self._screen, done)
            except OSError as error:
                self.unheard = error
                raise
        with suppress(OSError):  # a progress that nobody sees is no reason to stop
            self._progress()

    def _wait(self, number: int) -> None:
        """So many wait for a further try."""
        self._waiting = number

    def _stopping(self) -> None:
        """Somebody interrupts, and looks at a screen on which nothing goes on for some seconds."""
        with suppress(OSError):
            self._screen.note(self._screen.words.text("send.stopping"))

    async def _move(self) -> None:
        """The bar, while no message ends: servers may think for minutes."""
        while self._bar is not None:
            await asyncio.sleep(REDRAWN)
            with suppress(OSError):
                self._progress()

    def _progress(self) -> None:
        now = time.monotonic()
        if self._bar is not None:
            if now - self._shown > REDRAWN:
                self._shown = now
                self._draw()
        elif self._job.source is not None and now - self._shown > LINES:
            self._shown = now
            self._say()

    def _begin(self) -> None:
        session, err = self._screen.session, self._screen.err
        if session.quiet or session.json or not err.is_terminal:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=err,
            auto_refresh=False,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._text(), total=None)

    def _draw(self) -> None:
        tally = self.tally
        self._bar.update(
            self._task,
            completed=tally.over,
            total=tally.total,
            description=self._text(),
            refresh=True,
        )

    def _say(self) -> None:
        self._screen.note(self._text())

    def _text(self) -> str:
        tally = self.tally
        sent = tally.counts["sent"]
        rest = tally.remaining
        return self._screen.words.text(
            "send.progress",
            sent=sent,
            failed=tally.bad,
            rest="" if rest is None else rest,
            waiting=self._waiting or "",
        )


def exit_code(tally: client.Tally, end: client.End) -> int:
    """What a script is told."""
    if end.interrupted:
        return INTERRUPTED
    if end.error is not None:
        return PROBLEM
    if end.stopped is not None:
        return _stopped(end.stopped)
    if any(group.for_good for group in tally.groups.values()):
        return PROBLEM
    if not tally.groups:
        return OK
    answered = any(g.outcome is not None and g.outcome.code for g in tally.groups.values())
    return PROBLEM if answered else UNDETERMINED


def _stopped(error: NetworkFailure | client.Refused) -> int:
    cause = client.why(error, "").cause.id
    if isinstance(error, client.Refused):
        from posthouse.cli.prove import SIGN_IN

        if error.stage is Stage.AUTH or cause in SIGN_IN:
            return SIGN_IN_REFUSED
        return PROBLEM
    answered = bool(error.detail.get("text"))  # 421, or what is no reply
    return PROBLEM if answered or error.stage not in NETWORK else UNDETERMINED
