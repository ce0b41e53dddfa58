"""The queue from the command's side: look, change, prune, beside a running relay.

Enters: the relay's data folder, a ``Query``. Leaves: entries, what happened to one letter, how much
was changed. Each change is one transaction a lane, with its events, and counts up the row that
tells the lane's worker to look again. Called by ``posthouse queue``. Fails with ``LaneError``; a
lane is then as it was.

A worker may hold what is changed here in its hands: a recipient that is held or deleted in that
moment may still be delivered, and then both are among the events.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from posthouse.letter import Entry, Event, Item, State
from posthouse.protocol.message.headers import HEADER_LIMIT
from posthouse.protocol.smtp.data import unstuff
from posthouse.send.queue import query as queries
from posthouse.send.queue import rows
from posthouse.send.queue.files import LaneError, folder_of, lanes_in, opened, told
from posthouse.send.queue.ids import number_of, text_of
from posthouse.send.queue.prune import Pruned, prune
from posthouse.send.queue.query import Query, Where

WHOLE: Final = 1 << 30  # octets: more than SQLite keeps in one value (10^9)
STEP: Final = 5_000  # letters read at once where all are gone through
EVENTS: Final = 10_000  # of one letter that are shown, the latest: with 1,000 recipients for days

Key = tuple[int, int]  # a recipient: the letter's number and its place in it
# The place of none: what was saved of a damaged lane may have letters whose recipients are lost.
# Nobody can deliver them; they can be looked at, and deleted.
NOBODY: Final = -1


class Act(StrEnum):
    """What a person may do to recipients."""

    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    DELETE = "delete"


class _Doing(NamedTuple):
    """From which states, what is written, and the event. No text: the rows go."""

    states: tuple[State, ...]
    text: str
    event: str


_DUE: Final = f"state = '{State.READY}', due = ?"
_DOING: Final[Mapping[Act, _Doing]] = {
    Act.HOLD: _Doing((State.READY, State.DEFERRED), f"state = '{State.HELD}', due = ?", "held"),
    Act.RELEASE: _Doing((State.HELD,), _DUE, "released"),
    Act.RETRY: _Doing((State.DEFERRED,), _DUE, "retried"),
    Act.DELETE: _Doing((State.READY, State.DEFERRED, State.HELD), "", "deleted"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Messages in the order asked for; of their recipients those that fit the query."""

    entries: tuple[Entry, ...]
    total: int  # messages that fit, also those not shown


@dataclass(frozen=True, slots=True)
class Shown:
    """All that is known of one letter. ``entry`` is None where it has left the queue."""

    id: str
    entry: Entry | None
    params: Mapping[str, str | None]  # of MAIL
    header: bytes  # unstuffed, the beginning of the message
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Picked:
    """Recipients that an act is for, by lane."""

    act: Act
    keys: tuple[tuple[int, tuple[Key, ...]], ...]  # place of the lane, its recipients

    @property
    def recipients(self) -> int:
        """How many."""
        return sum(n != NOBODY for _, keys in self.keys for _, n in keys)

    @property
    def letters(self) -> frozenset[str]:
        """Whose."""
        return frozenset(text_of(letter) for _, keys in self.keys for letter, _ in keys)


class Desk:
    """The owner of a connection to each lane of a data folder.

    ``whole``: all lanes or none. Without it ``list`` goes on past a lane that can't be read, and
    ``unreadable`` has it.
    """

    def __init__(self, data: Path, *, whole: bool = True) -> None:
        paths = lanes_in(data).values()
        if not paths:
            raise LaneError("no_queue", folder_of(data))
        self._whole = whole
        self._lanes: list[tuple[Path, sqlite3.Connection]] = []
        self.unreadable: list[LaneError] = []
        for path in paths:
            try:
                self._lanes.append((path, opened(path)))
            except LaneError as error:
                self._pass(error)

    def _pass(self, error: LaneError) -> None:
        """Go on without that lane, where that is asked for."""
        if self._whole:
            self.close()
            raise error
        self.unreadable.append(error)

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go."""
        for _, db in self._lanes:
            db.close()

    # -- look

    def list(self, query: Query, *, limit: int = 0, oldest: bool = False) -> Page:
        """The newest (or oldest) messages that fit; ``limit`` 0 is all of them."""
        where, total = queries.of_letters(query), 0
        found: list[list[Entry]] = []
        count = f"SELECT count(*) FROM letters WHERE {where.text}"  # noqa: S608
        for path, db in self._lanes:
            try:
                with told(path), _one_moment(db):
                    number = db.execute(count, where.values).fetchone()[0]
                    entries = _entries(db, where, query, limit, oldest)
                found.append(entries)
                total += number
            except LaneError as error:
                self._pass(error)
        # Ids grow with time, in all lanes.
        merged = heapq.merge(*found, key=lambda one: number_of(one.id), reverse=not oldest)
        page = tuple(merged)
        return Page(page[:limit] if limit else page, total)

    def each(self, query: Query, *, oldest: bool = False) -> Iterator[Entry]:
        """The same one after the other, in little memory; each as it is when it is read."""
        own = [self._each(path, db, query, oldest) for path, db in self._lanes]
        yield from heapq.merge(*own, key=lambda one: number_of(one.id), reverse=not oldest)

    def _each(
        self, path: Path, db: sqlite3.Connection, query: Query, oldest: bool
    ) -> Iterator[Entry]:
        where, behind = queries.of_letters(query), ">" if oldest else "<"
        part, last = where, 0
        try:
            while True:
                with told(path):
                    found = _entries(db, part, query, STEP, oldest)
                yield from found
                if len(found) < STEP:
                    return
                last = number_of(found[-1].id)
                part = Where(f"{where.text} AND id {behind} ?", (*where.values, last))
        except LaneError as error:
            self._pass(error)

    def show(self, letter: str) -> Shown | None:
        """One letter, also one that has left the queue; None where nothing is known of it."""
        for number in queries.numbers([letter]):
            for path, db in self._lanes:
                with told(path), _one_moment(db):
                    shown = _shown(db, number)
                if shown is not None:
                    return shown
        return None

    def has(self, letter: str) -> bool:
        """Whether a letter of this id waits."""
        return self.list(Query(ids=(letter,)), limit=1).total > 0

    def content(self, letter: str) -> bytes | None:
        """The message as it was handed in: unstuffed. None where it is gone."""
        for number in queries.numbers([letter]):
            for path, db in self._lanes:
                with told(path):
                    row = db.execute(_CONTENT, (WHOLE, number)).fetchone()
                if row is not None:
                    return unstuff(row[0])
        return None

    # -- change

    def pick(self, query: Query, act: Act) -> Picked:
        """The recipients that fit and that the act can be done to."""
        letters, recipients = queries.of_letters(query), queries.of_recipients(query)
        states = _states(act)
        sql = (
            f"SELECT letter, n FROM recipients WHERE {recipients.text} AND state IN ({states})"  # noqa: S608
            f" AND letter IN (SELECT id FROM letters WHERE {letters.text}) ORDER BY letter, n"
        )
        lost = f"SELECT id, {NOBODY} FROM letters WHERE {letters.text} AND {_LOST}"  # noqa: S608
        keys = []
        for place, (path, db) in enumerate(self._lanes):
            with told(path):
                found = db.execute(sql, (*recipients.values, *letters.values)).fetchall()
                if act is Act.DELETE:
                    found += db.execute(lost, letters.values).fetchall()
            keys.append((place, tuple(found)))
        return Picked(act, tuple(keys))

    def do(self, picked: Picked, now: float, by: str = "") -> Picked:
        """Do it; gives what was really changed, as the relay works on meanwhile."""
        done = []
        for place, keys in picked.keys:
            path, db = self._lanes[place]
            with told(path):
                done.append((place, _change(db, picked.act, keys, now, by)))
        return replace(picked, keys=tuple(done))

    def prune(self, before: float, now: float, *, dry: bool = False) -> Iterator[Pruned]:
        """Remove the events before that time of letters that have left; see ``prune``."""
        for path, db in self._lanes:
            with told(path):
                yield from prune(db, before, now, dry=dry)


_ENTRY: Final = "id, sender, accepted, size, user, client, message_id"
_CONTENT: Final = "SELECT substr(content, 1, ?) FROM letters WHERE id = ?"
_LOST: Final = "NOT EXISTS (SELECT 1 FROM recipients WHERE letter = letters.id)"
_KEYS: Final = (
    "(letter, n) IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]')"
    " FROM json_each(?))"
)


@contextmanager
def _one_moment(db: sqlite3.Connection) -> Iterator[None]:
    """What is read within belongs together, though the relay delivers meanwhile."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _entries(
    db: sqlite3.Connection, where: Where, query: Query, limit: int, oldest: bool
) -> list[Entry]:
    order = "ASC" if oldest else "DESC"
    sql = f"SELECT {_ENTRY} FROM letters WHERE {where.text} ORDER BY id {order} LIMIT ?"  # noqa: S608
    with _one_moment(db):
        found = db.execute(sql, (*where.values, limit or -1)).fetchall()
        items = _items(db, [row[0] for row in found], queries.of_recipients(query))
    return [_entry(row, items.get(row[0], ())) for row in found]


def _items(
    db: sqlite3.Connection, letters: Sequence[int], where: Where
) -> Mapping[int, Sequence[Item]]:
    sql = (
        f"SELECT {rows.ITEM} FROM recipients WHERE letter IN (SELECT value FROM json_each(?))"  # noqa: S608
        f" AND {where.text} ORDER BY letter, n"
    )
    found: dict[int, list[Item]] = {}
    for row in db.execute(sql, (json.dumps(letters), *where.values)):
        _check(row[:-2])  # a cause may be missing
        found.setdefault(row[0], []).append(rows.item_of(row))
    return found


def _check(row: tuple[Any, ...]) -> None:
    """No column may be NULL: what is missing was on a page that is lost, as SQLite does not say."""
    if None in row:
        raise sqlite3.DatabaseError("values are missing")


def _entry(row: tuple[Any, ...], items: Sequence[Item]) -> Entry:
    _check(row)
    number, sender, accepted, size, user, client, message_id = row
    return Entry(text_of(number), sender, accepted, size, user, client, message_id, tuple(items))


def _shown(db: sqlite3.Connection, number: int) -> Shown | None:
    row = db.execute(f"SELECT {_ENTRY}, params FROM letters WHERE id = ?", (number,)).fetchone()  # noqa: S608
    sql = (
        "SELECT at, kind, letter, recipient, data FROM (SELECT * FROM events WHERE letter = ?"
        " ORDER BY id DESC LIMIT ?) ORDER BY id"
    )
    name = text_of(number)
    events = tuple(map(rows.event_of, db.execute(sql, (number, EVENTS))))
    if row is None:
        return Shown(name, None, {}, b"", events) if events else None
    *fields, params = row
    entry = _entry(tuple(fields), _items(db, [number], Where("1", ())).get(number, ()))
    content = db.execute(_CONTENT, (HEADER_LIMIT, number)).fetchone()
    header = unstuff(content[0]) if content else b""
    return Shown(name, entry, json.loads(params), header, events)


def _change(
    db: sqlite3.Connection, act: Act, keys: Sequence[Key], now: float, by: str
) -> tuple[Key, ...]:
    """One transaction: the rows, their events, and the sign to the worker."""
    if not keys:
        return ()
    doing = _DOING[act]
    db.execute("BEGIN IMMEDIATE")
    try:
        # The worker may have delivered some since they were picked.
        sql = (
            f"SELECT letter, n, address FROM recipients WHERE {_KEYS} AND state IN ({_states(act)})"  # noqa: S608
        )
        found = db.execute(sql, (json.dumps(keys),)).fetchall()
        found += [(letter, n, "") for letter, n in keys if n == NOBODY]
        done = tuple((letter, n) for letter, n, _ in found)
        if done:
            _write(db, doing, done, now)
            data = rows.plain({"by": by} if by else {})
            events = [(now, doing.event, letter, address, data) for letter, _, address in found]
            rows.write_events(db, events)
            db.execute("UPDATE changes SET n = n + 1")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return done


def _write(db: sqlite3.Connection, doing: _Doing, keys: Sequence[Key], now: float) -> None:
    text = json.dumps(keys)
    if doing.text:
        db.execute(f"UPDATE recipients SET {doing.text} WHERE {_KEYS}", (now, text))  # noqa: S608
        return
    db.execute(f"DELETE FROM recipients WHERE {_KEYS}", (text,))  # noqa: S608
    rows.drop_letters(db, {letter for letter, _ in keys})


def _states(act: Act) -> str:
    return ", ".join(f"'{state}'" for state in _DOING[act].states)
