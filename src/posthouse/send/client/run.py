"""One run: desk, connections and journal at work together.

Enters: drafts, the way in, the journal. Leaves: how it ended. Called by the command line. Raises
nothing but a fault of its own.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from posthouse.flow import NetworkFailure
from posthouse.net.smtp_open import Refused
from posthouse.send.client.crew import Crew, Terms
from posthouse.send.client.desk import Desk
from posthouse.send.client.door import Door
from posthouse.send.client.facts import Done, Draft, Envelope
from posthouse.send.client.journal import Book


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended; what became of each message was reported as it happened."""

    stopped: NetworkFailure | Refused | None = None  # why it ended early
    error: Exception | None = None  # what we could not do: JournalError, OSError, a fault of ours
    unnoted: int = 0  # messages that were taken, which the journal does not say
    interrupted: bool = False
    cut: int = 0  # messages under way that a second interruption did not wait for
    untried: int = 0  # messages that were read and not tried
    all_read: bool = True
    connections: int = 0


async def hand_in(
    drafts: Iterator[Draft],
    said: Envelope,
    door: Door,
    *,
    book: Book,
    report: Callable[[Done], None],
    terms: Terms,
    waiting: Callable[[int], None] = lambda _number: None,
    stopping: Callable[[], None] = lambda: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> End:
    """Hand in everything.

    ``waiting`` is told how many messages wait for a further try, whenever that changes.
    SIGINT, SIGTERM and SIGHUP (the terminal is closed) let what is under way end, and ``stopping``
    is called where there is any; a second one does not. Where the journal can't be written,
    ``report`` raises or ``drafts`` does, what is under way ends, too.
    """
    rng = random.Random()  # noqa: S311  spreads the tries, keeps no secret
    desk = Desk(drafts, said, book, report, waiting, pauses=terms.pauses, now=now, rng=rng)
    crew = Crew(desk, door, terms)
    interrupted: list[int] = []

    def interrupt(number: int) -> None:
        interrupted.append(number)
        crew.stop()
        if len(interrupted) > 1 or not crew.busy:
            running.cancel()
        elif desk.handed:
            stopping()

    keeping, running = asyncio.create_task(book.keep()), asyncio.create_task(crew.run())
    loop = asyncio.get_running_loop()
    signals = _heard()
    for number in signals:
        with suppress(NotImplementedError):  # Windows: an interruption is an exception there
            loop.add_signal_handler(number, interrupt, number)
    try:
        await asyncio.wait((keeping, running), return_when=asyncio.FIRST_COMPLETED)
        if keeping.done() and isinstance(error := keeping.exception(), Exception):
            desk.fail(error)
            await asyncio.wait((running,))
        if not running.cancelled():
            running.result()
    finally:
        for number in signals:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
        for task in (keeping, running):
            task.cancel()
        await asyncio.gather(keeping, running, return_exceptions=True)
    untried = desk.give_up()
    return End(
        crew.stopped,
        desk.error,
        desk.unnoted,
        bool(interrupted),
        desk.handed,
        untried,
        desk.all_read,
        crew.opened,
    )


def _heard() -> list[signal.Signals]:
    """The signals that end a run. ``nohup`` has SIGHUP ignored, and so it stays."""
    found = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        found.append(hangup)
    return found
