"""The events of letters that have left, removed when they are old enough: 250 octets each.

Enters: an open lane, the time before which nothing is kept. Leaves: how many letters' and events
were removed, step by step. Called by the desk for ``posthouse queue prune``, and by the relay's
workers for ``[queue] keep_events``; whoever calls decides how long to wait between two steps, so
that the lane's writer has its turn. Fails as SQLite does; what was told as removed is.

A letter's events go together, when the last of them is old and the letter is no longer in the
queue: then there will be no more of them. Letters are gone through by their number, which is the
time they were accepted, so what is too young is not even looked at. After a clock that ran ahead
numbers lie in the future, and all are looked at.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from posthouse.send.queue.files import BUSY
from posthouse.send.queue.ids import first_at

LETTERS: Final = 200  # looked at in one step, some 600 events
EVENTS: Final = 1_000  # removed in one transaction: milliseconds


class Pruned(NamedTuple):
    """What one step has removed, or would have."""

    letters: int
    events: int


def prune(
    db: sqlite3.Connection, before: float, now: float, *, dry: bool = False
) -> Iterator[Pruned]:
    """Go through a lane; times are seconds since 1970. ``dry``: count, and remove nothing."""
    behind, end = 0, _end(db, before, now)
    while histories := db.execute(_HISTORIES, (behind, end, LETTERS)).fetchall():
        behind = histories[-1][0]
        old = [row for row in histories if row[2] < before and not row[3]]
        if dry:
            yield Pruned(len(old), sum(events for _, events, _, _ in old))
            continue
        letters = json.dumps([letter for letter, _, _, _ in old])
        removed = EVENTS if old else 0
        while removed == EVENTS:  # one letter alone may have more
            removed = _removed(db, letters)
            yield Pruned(0, removed)
        yield Pruned(len(old), 0)


def _removed(db: sqlite3.Connection, letters: str) -> int:
    """One transaction; how many events it removed.

    SQLite asks less and less often whether a lane is free, and a busy writer leaves it free for
    less than a millisecond: so it is asked each millisecond.
    """
    db.execute("PRAGMA busy_timeout = 1")
    until = time.monotonic() + BUSY
    try:
        while True:
            try:
                return db.execute(_REMOVE, (letters, EVENTS)).rowcount
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > until:
                    raise
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")


def _end(db: sqlite3.Connection, before: float, now: float) -> int:
    """The first number that is too young."""
    highest = db.execute("SELECT max(letter) FROM events").fetchone()[0] or 0
    return first_at(before) if highest < first_at(now + 1) else highest + 1


_HISTORIES: Final = (
    "SELECT letter, count(*), max(at), EXISTS (SELECT 1 FROM letters WHERE id = events.letter)"
    " FROM events WHERE letter > ? AND letter < ? GROUP BY letter ORDER BY letter LIMIT ?"
)
_REMOVE: Final = (
    "DELETE FROM events WHERE id IN (SELECT id FROM events"
    " WHERE letter IN (SELECT value FROM json_each(?)) LIMIT ?)"
)
