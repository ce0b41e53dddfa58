"""What the writer's thread does in one lane: letters, outcomes and events, all in one statement.

Enters: the jobs of one batch. Leaves: rows, and how many letters are gone with them. Each statement
gives up Python's lock several times and has to wait for it again beside a loop that is busy, so a
batch is one insertion into a view, whose triggers (``batch.sql``) do what there is to do. ``lane``
makes the jobs. Fails as SQLite does, with nothing written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from posthouse.letter import Event, Item, Letter, Settled, State
from posthouse.send.queue.ids import number_of
from posthouse.send.queue.rows import plain

# The columns of the view: a row's letter and item, then what it has.
_CONTENT: Final = 8  # a letter
_ADDRESS: Final = 2  # a recipient
_ITEM: Final = 7  # what becomes of it
_EVENT: Final = 4
COLUMNS: Final = 2 + _CONTENT + _ADDRESS + _ITEM + _EVENT

MOST: Final = 256  # rows in one statement
LARGE: Final = 256 * 1024  # octets of contents that a statement may keep when it is done
LAST: Final = 1_000  # characters kept of the last answer


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
        return sum([bounce.octets for bounce in self.bounces]) if self.bounces else 0


Job = Put | Settle


class Tables:
    """The owner of the connection that writes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._off = 0  # letters gone but not expected to be, less those that are still there
        db.create_function("differs", 1, self._differs)
        db.executescript(_TABLES)
        self._most = min(MOST, db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // COLUMNS)

    def commit(self, jobs: Sequence[Job]) -> int:
        """Write a batch, all or nothing; how many letters are gone with their last recipient."""
        rows = _Rows()
        for job in jobs:
            rows.add(job)
        self._off = 0
        sizes: set[int] = set()
        if len(rows.values) > self._most * COLUMNS:
            sizes = self._insert_many(rows.values)
        elif rows.values:
            sizes = {self._insert(rows.values)}
        if rows.octets > LARGE:
            self._let_go(sizes)
        return rows.leaving + self._off

    def close(self) -> None:
        """Let go."""
        self._db.close()

    def _insert(self, values: list[Any]) -> int:
        """One transaction by itself, where none is open; how many rows its statement has."""
        rows = len(values) // COLUMNS
        # To prepare one costs more than some rows of nothing, and many would be kept.
        step = 1 << max(0, rows.bit_length() - 4)
        rows = min(-(-rows // step) * step, self._most)
        values += [0] * (rows * COLUMNS - len(values))
        # Not by execute, which gives up Python's lock once more, for the id of the last row.
        self._db.executemany(_statement(rows), (values,))
        return rows

    def _insert_many(self, values: list[Any]) -> set[int]:
        size = self._most * COLUMNS
        self._db.execute("BEGIN IMMEDIATE")
        try:
            sizes = {
                self._insert(values[begin : begin + size]) for begin in range(0, len(values), size)
            }
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk ends the transaction by itself
                self._db.rollback()
            raise
        return sizes

    def _let_go(self, sizes: set[int]) -> None:
        """A statement keeps what was bound to it until something else is.

        All is on the disk by now: that somebody else has the file must not say otherwise.
        """
        for rows in sizes:
            with suppress(sqlite3.Error):
                self._db.execute(_statement(rows), [0] * (rows * COLUMNS))

    def _differs(self, letters: int) -> None:
        self._off += letters


@cache
def _statement(rows: int) -> str:
    row = f"({', '.join('?' * COLUMNS)})"
    return f"INSERT INTO batch VALUES {', '.join([row] * rows)}"  # noqa: S608  nothing but marks


# Read with the code, as the lane's schema.
_TABLES: Final = files("posthouse.send.queue").joinpath("batch.sql").read_text("utf-8")
# Python's sqlite3 takes six times as long to bind None as it takes for a number.
_NO_LETTER: Final = (0,) * _CONTENT
_NO_ADDRESS: Final = (0,) * _ADDRESS
_NO_ITEM: Final = (0,) * _ITEM
_NO_EVENT: Final = (0,) * _EVENT


class _Rows:
    """The owner of a batch's rows, one value behind the other, as they are bound.

    A row has whatever goes together: a letter, its first recipient and its first event; an outcome
    and its event. Letters come before their outcomes, events in their order.
    """

    __slots__ = ("leaving", "octets", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.leaving = 0  # letters that are expected to go
        self.octets = 0  # of contents

    def add(self, job: Job) -> None:
        if isinstance(job, Put):
            self._put(job)
            return
        for bounce in job.bounces:
            self._put(bounce)
        self._settle(job.settled, job.events)

    def _put(self, put: Put) -> None:
        letter, items, events = put
        number, size = number_of(letter.id), len(letter.content)
        self.octets += size
        head: tuple[Any, ...] = (
            letter.content,
            letter.sender,
            letter.accepted,
            size,
            letter.user,
            letter.client,
            letter.message_id,
            plain(letter.params),
        )
        beside: tuple[Any, ...] = _NO_EVENT
        if events and events[0].letter == letter.id:
            beside, events = _event(events[0]), events[1:]
        for key, _, (address, params), state, _, due, *_ in items:
            kept = (address, plain(params), 0, 0, state.value, due, 0, 0, 0)
            self.values += (number, key, *head, *kept, *beside)
            head, beside = _NO_LETTER, _NO_EVENT
        for event in events:
            self._tell(event)

    def _settle(self, settled: Sequence[Settled], events: Sequence[Event]) -> None:
        end, told = len(settled), 0
        for n, one in enumerate(settled, 1):
            letter = one.item.letter
            while told < len(events) and events[told].letter != letter:
                self._tell(events[told])
                told += 1
            beside = _event(events[told]) if told < len(events) else _NO_EVENT
            told += 1
            if one.due is None:
                # With others behind it that are over, the last of them is what it leaves with.
                leaves = n == end or settled[n].item.letter != letter
                self.leaving += leaves
                becomes: tuple[Any, ...] = (1, int(leaves), 0, 0, 0, 0, 0)
            else:
                becomes = _deferred(one)
            row = (number_of(letter), one.item.key, *_NO_LETTER, *_NO_ADDRESS, *becomes, *beside)
            self.values += row
        for event in events[told:]:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        nothing = (0, *_NO_LETTER, *_NO_ADDRESS, *_NO_ITEM)
        self.values += (number_of(event.letter), *nothing, *_event(event))


def _event(event: Event) -> tuple[str, float, str, str]:
    return event.kind, event.at, event.recipient, plain(event.data)


def _deferred(one: Settled) -> tuple[Any, ...]:
    state = State.HELD if one.held else State.DEFERRED
    last = one.outcome.last[:LAST]
    return 0, 0, state.value, one.due, last, one.outcome.cause, int(one.warned)
