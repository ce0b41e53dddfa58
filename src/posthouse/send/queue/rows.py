"""What the writer's thread does in one lane: letters, outcomes and events in one statement.

Enters: the jobs of one batch. Leaves: rows, and how many letters are gone with them. Each statement
gives up the interpreter's lock several times and has to wait for it again, beside a loop that is
busy; so a batch is one insertion into a view, whose trigger (``batch.sql``) does all there is to
do. ``lane`` makes the jobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec

from posthouse.letter import Event, Item, Letter, Recipient, Settled, State
from posthouse.send.queue.ids import number_of, text_of

_encoder: Final = msgspec.json.Encoder()
LAST: Final = 1_000  # characters kept of the last answer

EventRow = tuple[float, str, int, str, str]


class Put(NamedTuple):
    """Keep one letter."""

    letter: Letter
    items: Sequence[Item]
    events: Sequence[Event] = ()

    @property
    def octets(self) -> int:
        """How large it is."""
        return len(self.letter.content)


class Settle(NamedTuple):
    """Record outcomes, and keep the reports they cause."""

    settled: Sequence[Settled]
    events: Sequence[Event]
    bounces: Sequence[Put] = ()

    @property
    def octets(self) -> int:
        """How large it is."""
        return sum(bounce.octets for bounce in self.bounces) if self.bounces else 0


Job = Put | Settle


class Rows:
    """The owner of the connection that writes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._gone = 0
        db.create_function("gone", 1, self._tell)
        db.executescript(files("posthouse.send.queue").joinpath("batch.sql").read_text("utf-8"))

    def commit(self, jobs: Sequence[Job]) -> int:
        """Write a batch, all or nothing; how many letters are gone with their last recipient."""
        batch = _batch(jobs)
        self._gone = batch.leaving
        self._write(batch)
        return self._gone

    def close(self) -> None:
        """Let go."""
        self._db.close()

    def _write(self, batch: Batch) -> None:
        self._db.execute(_WRITE, batch)

    def _tell(self, gone: int) -> None:
        self._gone = gone


_NONE: Final[Mapping[str, Any]] = {}  # as JSON; a proxy has none


class Batch(NamedTuple):
    """What is written in one step: the columns of the view. None and "" are nothing."""

    letters: str | None
    contents: bytes | None
    recipients: str | None
    deferred: str | None
    over: str | None
    leaving: int  # letters whose last recipient is over, where each has no more than are over here
    events: str | None


_WRITE: Final = f"INSERT INTO batch VALUES ({', '.join('?' * len(Batch._fields))})"  # noqa: S608


def _batch(jobs: Sequence[Job]) -> Batch:
    puts: list[Put] = []
    settled: list[Settled] = []
    events: list[Event] = []
    for job in jobs:
        events += job.events
        if isinstance(job, Put):
            puts.append(job)
        else:
            puts += job.bounces
            settled += job.settled
    over = [(number_of(one.item.letter), one.item.key) for one in settled if one.due is None]
    deferred = [_deferred(one) for one in settled if one.due is not None]
    told = [(e.at, e.kind, number_of(e.letter), e.recipient, e.data or _NONE) for e in events]
    return Batch(
        *_letters(puts),
        _json(deferred),
        _json(over),
        len({number for number, _ in over}),
        _json(told),
    )


def _letters(puts: Sequence[Put]) -> tuple[str | None, bytes | None, str | None]:
    """Letters, their contents, their recipients."""
    if not puts:
        return None, None, None
    letters, recipients, begin = [], [], 1  # SQL counts from one
    for letter, items, _ in puts:
        number, size = number_of(letter.id), len(letter.content)
        letters.append(
            (
                number,
                letter.sender,
                letter.accepted,
                size,
                letter.user,
                letter.client,
                letter.message_id,
                letter.params or _NONE,
                begin,
            )
        )
        begin += size
        for key, _, (address, params), _, _, due, *_ in items:
            recipients.append((number, key, address, params or _NONE, due))
    contents = [put.letter.content for put in puts]
    whole = contents[0] if len(contents) == 1 else b"".join(contents)  # one is not copied
    return _json(letters), whole, _json(recipients)


def _deferred(one: Settled) -> tuple[Any, ...]:
    item, outcome = one.item, one.outcome
    return (
        number_of(item.letter),
        item.key,
        State.HELD if one.held else State.DEFERRED,
        one.due,
        outcome.last[:LAST],
        outcome.cause,
        one.warned,
    )


def _json(rows: Sequence[tuple[Any, ...]]) -> str | None:
    return _encoder.encode(rows).decode() if rows else None


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


def write_events(db: sqlite3.Connection, events: Sequence[EventRow]) -> None:
    """In the transaction that is open."""
    db.execute(_EVENTS, (_rows(events),))


def drop_letters(db: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Those that have no recipients any more; how many."""
    return db.execute(_GONE, (_encoder.encode(list(numbers)).decode(),)).rowcount


def _rows(rows: Sequence[tuple[Any, ...]]) -> str:
    return _encoder.encode(rows).decode()


_EVENTS: Final = (
    "INSERT INTO events (at, kind, letter, recipient, data) SELECT json_extract(value, '$[0]'),"
    " json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),"
    " json_extract(value, '$[4]') FROM json_each(?)"
)
_GONE: Final = (
    "DELETE FROM letters WHERE id IN (SELECT value FROM json_each(?))"
    " AND NOT EXISTS (SELECT 1 FROM recipients WHERE letter = letters.id)"
)
