"""A queue in one SQLite file: the lane of one worker.

Enters: letters and what became of them. Leaves: items to deliver. Durable: a call that writes
returns after the commit (WAL, synchronous=FULL), so a 250 never runs ahead of the disk. The event
of each change is in the same transaction. Nobody else writes but the command, whose changes
``changed`` tells. Can fail: QueueFull before anything is written, StoreError with nothing written.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from posthouse.letter import (
    Entry,
    Event,
    Item,
    Letter,
    QueueFull,
    Recipient,
    Settled,
    State,
    StoreError,
)
from posthouse.send.queue.ids import Ids, number_of, text_of
from posthouse.send.queue.writer import Writer

# A message of 4 KiB costs about 1 KiB of memory while it waits, so this is some 100 MiB, and days
# of mail of a company; what is above it is a loop or an attack.
CAPACITY: Final = 100_000  # messages
SPARE: Final = 64 * 1024 * 1024  # octets that must stay free, so that deliveries can be recorded
SPACE_LOOK: Final = 1.0  # seconds a look at the free space is believed
BUSY: Final = 5.0  # seconds to wait for the command, which writes for milliseconds


class Lane:
    """The owner of one file. ``now`` is the clock, in seconds since 1970."""

    def __init__(self, path: Path, *, capacity: int = CAPACITY, spare: int = SPARE) -> None:
        self._path = path
        self._capacity = capacity
        self._spare = spare
        self._count = 0  # letters kept, and those on their way to the disk
        self._space: tuple[float, int] = (float("-inf"), 0)
        self._seen = 0

    async def open(self) -> None:
        """Make or open the file. Raises StoreError."""
        self._writer = Writer(self._connect)
        await self._writer.start()
        self._reader = self._connect()
        self._count = self._reader.execute("SELECT count(*) FROM letters").fetchone()[0]
        self._seen = self._changes()

    @property
    def count(self) -> int:
        """Messages in the queue."""
        return self._count

    @property
    def commits(self) -> tuple[int, int]:
        """Transactions, and the jobs in them."""
        return self._writer.commits, self._writer.jobs

    def ids(self, lane: int) -> Ids:
        """Names for new letters, higher than all that were given."""
        return Ids(lane, self._reader.execute(_HIGHEST).fetchone()[0])

    async def put(
        self, letter: Letter, *, events: Sequence[Event] = (), now: float | None = None
    ) -> tuple[Item, ...]:
        """See ``Queue``."""
        if self._count >= self._capacity:
            raise QueueFull(f"{self._count} messages wait")
        self._check_space(letter.accepted if now is None else now, len(letter.content))
        items = _items(letter)
        self._count += 1
        try:
            await self._writer.submit(lambda db: _insert(db, letter, items, events))
        except BaseException:
            self._count -= 1
            raise
        return items

    async def settle(
        self, settled: Sequence[Settled], events: Sequence[Event], bounces: Sequence[Letter] = ()
    ) -> tuple[Item, ...]:
        """See ``Queue``."""
        items = [_items(bounce) for bounce in bounces]

        def job(db: sqlite3.Connection) -> int:
            gone = _settle(db, settled)
            for bounce, its in zip(bounces, items, strict=True):
                _insert(db, bounce, its, ())
            _record(db, events)
            return gone

        gone = await self._writer.submit(job)
        self._count += len(bounces) - gone
        return tuple(item for its in items for item in its)

    async def load(self, letter: str) -> Letter | None:
        """See ``Queue``."""
        number = number_of(letter)
        found = self._reader.execute(_ONE_LETTER, (number,)).fetchone()
        if found is None:
            return None
        sql = "SELECT address, params FROM recipients WHERE letter = ? ORDER BY n"
        recipients = self._reader.execute(sql, (number,)).fetchall()
        return _letter(found, [Recipient(a, json.loads(p)) for a, p in recipients])

    async def waiting(self) -> tuple[Item, ...]:
        """See ``Queue``."""
        self._seen = self._changes()
        self._count = self._reader.execute("SELECT count(*) FROM letters").fetchone()[0]
        return tuple(map(_item, self._reader.execute(_ALL_ITEMS)))

    def changed(self) -> bool:
        """See ``Queue``. The command counts its changes in the file."""
        return self._changes() != self._seen

    async def close(self) -> None:
        """See ``Queue``."""
        await self._writer.close()
        self._reader.close()

    def _changes(self) -> int:
        changes: int = self._reader.execute("SELECT n FROM changes").fetchone()[0]
        return changes

    def _connect(self) -> sqlite3.Connection:
        try:
            return connect(self._path)
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    def _check_space(self, now: float, size: int) -> None:
        """Refuse in time: a full disk could not record that a message was delivered."""
        seen, free = self._space
        if not seen <= now < seen + SPACE_LOOK:
            stat = os.statvfs(self._path.parent)
            free = stat.f_bavail * stat.f_frsize
            self._space = (now, free)
        if free - size < self._spare:
            raise QueueFull(f"only {free} bytes are free")


def connect(path: Path) -> sqlite3.Connection:
    """Open one lane's file as it must be opened: durable, and readable while it is written."""
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    os.chmod(path, 0o600)  # mail is private
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(files("posthouse.send.queue").joinpath("schema.sql").read_text("utf-8"))
    return db


_ONE_LETTER: Final = (
    "SELECT id, sender, content, accepted, params, user, client, message_id FROM letters"
    " WHERE id = ?"
)
_ALL_ITEMS: Final = (
    "SELECT letter, n, address, params, state, attempts, due, last, cause, warned FROM recipients"
)
_HIGHEST: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM letters), 0),"
    " coalesce((SELECT max(letter) FROM events), 0))"
)


def _items(letter: Letter) -> tuple[Item, ...]:
    return tuple(
        Item(n, letter.id, recipient, State.READY, due=letter.accepted)
        for n, recipient in enumerate(letter.recipients)
    )


def _insert(
    db: sqlite3.Connection, letter: Letter, items: Iterable[Item], events: Sequence[Event]
) -> None:
    number = number_of(letter.id)
    db.execute(
        "INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            letter.sender,
            letter.accepted,
            len(letter.content),
            letter.user,
            letter.client,
            letter.message_id,
            _json(letter.params),
            letter.content,
        ),
    )
    db.executemany(
        "INSERT INTO recipients (letter, n, address, params, state, due) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (number, i.key, i.recipient.address, _json(i.recipient.params), i.state, i.due)
            for i in items
        ],
    )
    _record(db, events)


def _settle(db: sqlite3.Connection, settled: Sequence[Settled]) -> int:
    """Record outcomes; how many letters are gone with their last recipient."""
    touched: dict[int, None] = {}
    for one in settled:
        number, n = number_of(one.item.letter), one.item.key
        if one.due is None:
            db.execute("DELETE FROM recipients WHERE letter = ? AND n = ?", (number, n))
            touched[number] = None
            continue
        last = f"{one.outcome.code or ''} {one.outcome.enhanced} {one.outcome.text}"
        db.execute(
            "UPDATE recipients SET state = ?, attempts = attempts + 1, due = ?, last = ?,"
            " cause = ?, warned = max(warned, ?) WHERE letter = ? AND n = ? AND state != ?",
            (
                State.DEFERRED,
                one.due,
                " ".join(last.split())[:1000],
                one.outcome.cause,
                one.warned,
                number,
                n,
                State.HELD,
            ),
        )
    gone = 0
    for number in touched:
        gone += db.execute(
            "DELETE FROM letters WHERE id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM recipients WHERE letter = ?1)",
            (number,),
        ).rowcount
    return gone


def _record(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    db.executemany(
        "INSERT INTO events (at, kind, letter, recipient, data) VALUES (?, ?, ?, ?, ?)",
        [(e.at, e.kind, number_of(e.letter), e.recipient, _json(e.data)) for e in events],
    )


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) if values else "{}"


def _letter(row: tuple[Any, ...], recipients: list[Recipient]) -> Letter:
    number, sender, content, accepted, params, user, client, message_id = row
    return Letter(
        text_of(number),
        sender,
        tuple(recipients),
        content,
        accepted,
        json.loads(params),
        user,
        client,
        message_id,
    )


def _item(row: tuple[Any, ...]) -> Item:
    number, n, address, params, state, attempts, due, last, cause, warned = row
    return Item(
        n,
        text_of(number),
        Recipient(address, json.loads(params)),
        State(state),
        attempts,
        due,
        last,
        cause,
        bool(warned),
    )


__all__ = ["CAPACITY", "Entry", "Lane", "connect"]
