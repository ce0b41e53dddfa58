"""What the writer's thread does in one lane: letters, outcomes and events, as few statements.

Enters: the jobs of one batch. Leaves: rows; for each job its result. Each statement gives up the
interpreter's lock and has to wait for it again, so a batch is gathered first: all letters are one
statement, all recipients, all events, all that was delivered. ``lane`` makes the jobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from posthouse.letter import Event, Item, Letter, Recipient, Settled, State
from posthouse.send.queue.ids import number_of, text_of

MOST_ROWS: Final = 64  # letters in one statement: its text is made for each power of two
_encoder: Final = msgspec.json.Encoder()
LAST: Final = 1_000  # characters kept of the last answer

EventRow = tuple[float, str, int, str, str]


class Put(NamedTuple):
    """Keep one letter."""

    letter: tuple[Any, ...]
    recipients: Sequence[tuple[Any, ...]]
    events: Sequence[EventRow]


class Settle(NamedTuple):
    """Record outcomes. Its result is how many letters are gone with their last recipient."""

    settled: Sequence[Settled]
    events: Sequence[EventRow]
    bounces: Sequence[Put]


Job = Put | Settle


def put(letter: Letter, items: Sequence[Item], events: Sequence[Event]) -> Put:
    """The rows of one letter."""
    number = number_of(letter.id)
    row = (
        number,
        letter.sender,
        letter.accepted,
        len(letter.content),
        letter.user,
        letter.client,
        letter.message_id,
        plain(letter.params),
        letter.content,
    )
    recipients = [
        (number, i.key, i.recipient.address, plain(i.recipient.params), i.state, i.due)
        for i in items
    ]
    return Put(row, recipients, [event_row(event) for event in events])


def event_row(event: Event) -> EventRow:
    """One event as it is kept."""
    return event.at, event.kind, number_of(event.letter), event.recipient, plain(event.data)


# A recipient's columns, as ``item_of`` reads them.
ITEM: Final = "letter, n, address, params, state, attempts, due, last, cause, warned"


def item_of(row: tuple[Any, ...]) -> Item:
    """One recipient as it is kept."""
    number, n, address, params, state, attempts, due, last, cause, warned = row
    recipient = Recipient(address, msgspec.json.decode(params) if params != "{}" else {})
    name = text_of(number)
    return Item(n, name, recipient, State(state), attempts, due, last, cause, bool(warned))


def plain(values: Mapping[str, Any]) -> str:
    """A mapping as the text of one column."""
    return _encoder.encode(values).decode() if values else "{}"


def commit(db: sqlite3.Connection, jobs: Sequence[Job]) -> list[int]:
    """Write a batch, in the transaction that is open. A letter's rows come before its outcomes."""
    puts = [job for job in jobs if isinstance(job, Put)]
    settles = [job for job in jobs if isinstance(job, Settle)]
    puts += [bounce for job in settles for bounce in job.bounces]
    _insert(db, puts)
    gone = _settle(db, [one for job in settles for one in job.settled])
    events = [row for job in puts for row in job.events]
    events += [row for job in settles for row in job.events]
    if events:
        write_events(db, events)
    # The count is of all; that only the first is told it all does not matter to who sums it up.
    results = [0] * len(jobs)
    if gone:
        results[next(n for n, job in enumerate(jobs) if isinstance(job, Settle))] = gone
    return results


def _insert(db: sqlite3.Connection, puts: Sequence[Put]) -> None:
    if not puts:
        return
    begin = 0
    while begin < len(puts):
        size = min(MOST_ROWS, 1 << (len(puts) - begin).bit_length() - 1)
        rows = [value for job in puts[begin : begin + size] for value in job.letter]
        db.execute(_letters(size), rows)
        begin += size
    db.execute(_RECIPIENTS, (_rows([row for job in puts for row in job.recipients]),))


def _settle(db: sqlite3.Connection, settled: Sequence[Settled]) -> int:
    """Record outcomes; how many letters are gone with their last recipient."""
    over = [(number_of(one.item.letter), one.item.key) for one in settled if one.due is None]
    for one in settled:
        if one.due is not None:
            _defer(db, one)
    if not over:
        return 0
    db.execute(_OVER, (_rows(over),))
    return drop_letters(db, {number for number, _ in over})


def _defer(db: sqlite3.Connection, one: Settled) -> None:
    db.execute(
        "UPDATE recipients SET state = ?, attempts = attempts + 1, due = ?, last = ?,"
        " cause = ?, warned = max(warned, ?) WHERE letter = ? AND n = ? AND state != ?",
        (
            State.HELD if one.held else State.DEFERRED,
            one.due,
            one.outcome.last[:LAST],
            one.outcome.cause,
            one.warned,
            number_of(one.item.letter),
            one.item.key,
            State.HELD,
        ),
    )


def write_events(db: sqlite3.Connection, events: Sequence[EventRow]) -> None:
    """In the transaction that is open."""
    db.execute(_EVENTS, (_rows(events),))


def drop_letters(db: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Those that have no recipients any more; how many."""
    return db.execute(_GONE, (_encoder.encode(list(numbers)).decode(),)).rowcount


def _rows(rows: Sequence[tuple[Any, ...]]) -> str:
    return _encoder.encode(rows).decode()


@cache
def _letters(rows: int) -> str:
    values = ",".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO letters VALUES {values}"  # noqa: S608  nothing but marks


def _from_json(statement: str, fields: int) -> str:
    """All rows come as one JSON text: one statement for a batch ("->>" would need SQLite 3.38)."""
    columns = ", ".join(f"json_extract(value, '$[{n}]')" for n in range(fields))
    rows = f"SELECT {columns} FROM json_each(?)"  # noqa: S608  nothing but field numbers
    return statement.replace("ROWS", rows)


_RECIPIENTS: Final = _from_json(
    "INSERT INTO recipients (letter, n, address, params, state, due) ROWS", 6
)
_EVENTS: Final = _from_json("INSERT INTO events (at, kind, letter, recipient, data) ROWS", 5)
_OVER: Final = _from_json("DELETE FROM recipients WHERE (letter, n) IN (ROWS)", 2)
_GONE: Final = (
    "DELETE FROM letters WHERE id IN (SELECT value FROM json_each(?))"
    " AND NOT EXISTS (SELECT 1 FROM recipients WHERE letter = letters.id)"
)
