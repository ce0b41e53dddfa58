"""A queue in one SQLite file: the lane of one worker.

Enters: letters and what became of them. Leaves: items to deliver. Durable: a call that writes
returns after the commit (WAL, synchronous=FULL), so a 250 never runs ahead of the disk. The event
of each change is in the same transaction. Nobody else writes but the command, whose changes
``changed`` tells. Can fail: QueueFull before anything is written, StoreError with nothing written,
or where the file can't be read.

Letters are counted in ``places``, for all lanes together: those in the file and those on their way
there. When the command has changed the file they are counted anew, at a moment when no outcome is
on its way: of a letter that goes with one nobody could say whether it is still among them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from posthouse.letter import (
    Event,
    Item,
    Letter,
    QueueFull,
    Recipient,
    Settled,
    State,
    StoreError,
)
from posthouse.send.queue import batch, rows
from posthouse.send.queue.files import BUSY, VERSION
from posthouse.send.queue.ids import Ids, number_of, text_of
from posthouse.send.queue.places import CAPACITY, Places
from posthouse.send.queue.writer import Writer

SPARE: Final = 64 * 1024 * 1024  # octets that must stay free, so that deliveries can be recorded
# Seconds a letter waits for others that are about to come, and an outcome for whatever comes. A
# sync, a change of threads and a wake-up shared by some are most of what keeping a letter costs; a
# kill repeats the deliveries that were not recorded, so those wait no longer either.
COMPANY: Final = 0.002
PATIENCE: Final = 0.01
LOG_KEPT: Final = 32 * 1024 * 1024  # octets that SQLite's log of writes may keep of its longest
PART: Final = 500  # recipients read before whatever else there is to do has its turn
SPACE_LOOK: Final = 1.0  # seconds a look at the free space is believed
# Octets of letters on their way to the disk. It may be slower than the network, and whoever waits
# for a 250 has nothing to lose but time: without an end, 1,000 clients could fill all memory.
ON_THE_WAY: Final = 256 * 1024 * 1024


class Lane:
    """The owner of one file. ``capacity`` is that of all lanes that share ``places``."""

    def __init__(
        self,
        path: Path,
        number: int = 0,
        *,
        capacity: int = CAPACITY,
        places: Places | None = None,
        spare: int = SPARE,
    ) -> None:
        self._path = path
        self._number = number
        self._capacity = capacity
        self._places = places or Places()
        self._spare = spare
        self._settling = 0  # outcomes on their way to the disk
        self._recount = False  # when there are none
        self._space: tuple[float, int] = (float("-inf"), 0)
        self._seen = 0  # of the command's changes
        self._told = (0, 0)  # of them, and the last event that was looked at
        self._octets = 0  # of letters on their way to the disk, reports apart
        self._putting: set[str] = set()  # letters that whoever put them does not know of yet

    async def open(self) -> None:
        """Make or open the file. Raises StoreError."""
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(lambda: batch.Tables(self._connect()), self._written)
        await self._writer.start()
        self._reader = self._connect()
        self._inode = self._path.stat().st_ino
        with _told(self._path):
            self._bare = json.dumps([row[0] for row in self._reader.execute(_BARE)])
        self._count_letters()
        self._told = self._last()
        self._seen = self._told[0]

    @property
    def count(self) -> int:
        """Messages in this lane."""
        return self._places.of(self._number)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def lost(self) -> str:
        """Why the file we have open ends with this process, and all that is in it; or ""."""
        try:
            inode = self._path.stat().st_ino
        except OSError as error:  # unmounted, moved away, deleted: what is open still is no place
            return error.strerror or str(error)
        return "" if inode == self._inode else "another file is there by now"  # a backup

    @property
    def commits(self) -> tuple[int, int]:
        """Transactions, and the jobs in them."""
        return self._writer.commits, self._writer.jobs

    def ids(self, lane: int) -> Ids:
        """Names for new letters, higher than all that are here."""
        return Ids(lane, self.highest)

    @property
    def highest(self) -> int:
        """The highest number of a letter that is here, or was and has left events. StoreError."""
        with _told(self._path):
            highest: int = self._reader.execute(_HIGHEST).fetchone()[0]
        return highest

    def put(
        self,
        letter: Letter,
        *,
        events: Sequence[Event] = (),
        company: bool = False,
        now: float | None = None,
    ) -> asyncio.Future[tuple[Item, ...]]:
        """See ``Queue``."""
        self._check_space(letter.accepted if now is None else now, len(letter.content))
        if not self._places.take(self._number, self._capacity):
            raise QueueFull(f"{self._places.taken} messages wait")
        self._putting.add(letter.id)
        self._octets += len(letter.content)
        items = _items(letter)
        job = batch.Put(letter, items, events)
        return self._writer.submit(job, items, within=COMPANY if company else 0.0)

    def settle(
        self, settled: Sequence[Settled], events: Sequence[Event], bounces: Sequence[Letter] = ()
    ) -> asyncio.Future[tuple[Item, ...]]:
        """See ``Queue``."""
        puts = [batch.Put(bounce, _items(bounce)) for bounce in bounces]
        if puts:  # they need no place: a report that is due is never refused
            self._places.add(self._number, len(puts))
            self._putting.update(bounce.id for bounce in bounces)
        self._settling += 1
        items = tuple([item for put in puts for item in put.items])
        return self._writer.submit(batch.Settle(settled, events, puts), items, within=PATIENCE)

    def _written(self, jobs: Sequence[batch.Job], gone: int, failure: StoreError | None) -> None:
        """Count what became of a batch, also of jobs whose caller has gone."""
        names: list[str] = []
        for job in jobs:
            if isinstance(job, batch.Put):
                names.append(job.letter.id)
                self._octets -= len(job.letter.content)
            else:
                names += [bounce.letter.id for bounce in job.bounces]
                self._settling -= 1
        if failure is not None:
            self._places.add(self._number, -len(names))
            self._putting.difference_update(names)
        else:
            self._places.add(self._number, -gone)
            # Behind the callbacks of the futures, which are done right after this: until its
            # caller has a letter, ``waiting`` must not give it to somebody else.
            self._loop.call_soon(self._putting.difference_update, names)
        if self._recount:
            with suppress(StoreError):  # after the next batch, then: this one is on the disk
                self._count_letters()

    async def load(self, letter: str) -> Letter | None:
        """See ``Queue``."""
        number = number_of(letter)
        with _told(self._path):
            found = self._reader.execute(_ONE_LETTER, (number,)).fetchone()
            if found is None:
                return None
            recipients = self._reader.execute(_TO_BE_TRIED, (number,)).fetchall()
        return _letter(found, [Recipient(a, json.loads(p)) for a, p in recipients])

    async def waiting(self) -> AsyncIterator[Sequence[Item]]:
        """See ``Queue``. What ``put`` is about to give to its caller is not among them."""
        (seen, _), top = self._last(), self.highest
        behind = (0, -1)
        while True:
            with _told(self._path):
                found = self._reader.execute(_ITEMS, (*behind, top, PART)).fetchall()
                if not found:
                    break
                first, behind = found[0][0], found[-1][:2]
                released = set(self._reader.execute(_RELEASED, (first, behind[0])))
            items = [
                item._replace(released=True) if row[:2] in released else item
                for row, item in zip(found, map(rows.item_of, found), strict=True)
                if item.letter not in self._putting
            ]
            yield items
            await asyncio.sleep(0)
        self._count_letters()
        self._seen = seen  # what could not be read is still to be seen

    def changed(self) -> bool:
        """See ``Queue``. The command counts its changes in the file."""
        return self._last()[0] != self._seen

    async def told(self) -> AsyncIterator[Sequence[Event]]:
        """See ``Queue``. Where the command has changed nothing, there are none to be looked for."""
        changes, last = self._last()
        before, behind = self._told
        while changes != before:
            with _told(self._path):
                found = self._reader.execute(_BY_PEOPLE, (behind, PART)).fetchall()
            if not found:
                break
            behind = found[-1][0]
            self._told = (before, behind)
            yield [rows.event_of(row[1:]) for row in found]
            await asyncio.sleep(0)
        self._told = (changes, max(last, behind))

    async def close(self) -> None:
        """See ``Queue``."""
        await self._writer.close()
        self._reader.close()

    def _count_letters(self) -> None:
        """Those in the file and those on their way there, in one statement: as of one moment.

        By their recipients, which are little beside the letters: to count those takes half a second
        where there are many. But some may have none (what was saved of a damaged file).
        """
        self._recount = True
        if self._settling > 0:
            return
        putting = json.dumps([number_of(letter) for letter in self._putting])
        with _told(self._path):
            kept = self._reader.execute(_OTHERS, (putting, self._bare)).fetchone()[0]
        self._places.put(self._number, kept + len(self._putting))
        self._recount = False

    def _last(self) -> tuple[int, int]:
        """The command's changes and the last event, as of one moment."""
        with _told(self._path):
            changes, last = self._reader.execute(_LAST).fetchone()
        return changes, last

    def _connect(self) -> sqlite3.Connection:
        with _told(self._path):
            return connect(self._path)

    def _check_space(self, now: float, size: int) -> None:
        """Refuse in time: a full disk could not record that a message was delivered."""
        seen, free = self._space
        if not seen <= now < seen + SPACE_LOOK:
            if self.lost:
                raise StoreError(f"{self._path}: {self.lost}")
            try:
                stat = os.statvfs(self._path.parent)
            except OSError as error:
                raise StoreError(f"{self._path}: {error.strerror}") from None
            free = stat.f_bavail * stat.f_frsize
            self._space = (now, free)
        if free - self._octets - size < self._spare:
            raise QueueFull(f"only {free} bytes are free")
        if self._octets and self._octets + size > ON_THE_WAY:
            raise QueueFull(f"the disk is slow: {self._octets} bytes wait for it")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite says of a file, as a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open one lane's file as it must be opened: durable, and readable while it is written.

    Raises StoreError where a newer Posthouse has made it, of whose rows this one knows nothing.
    """
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        said = f"a newer Posthouse has made it (version {version}; this one knows {VERSION})"
        raise StoreError(f"{path} can't be used: {said}")
    os.chmod(path, 0o600)  # mail is private
    # Of a new file: a letter of 4 KiB fits into one page, and one of 100 KiB has half as many; with
    # 4,096 octets its page chain takes a sixth of all time that it costs.
    db.execute("PRAGMA page_size = 8192")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # A backup reads for minutes, and meanwhile all that is written stays in the log of writes; else
    # that would keep its size until we end, and the disk would be as full as then.
    db.execute(f"PRAGMA journal_size_limit = {LOG_KEPT}")
    # Debian's SQLite writes zeros over all that is deleted: a third of all pages, half of them for
    # large letters. This leaves it to those pages that are written anyway.
    db.execute("PRAGMA secure_delete = FAST")
    db.executescript(_SCHEMA)


# Read with the code: another version's files may be there when a worker is started again.
_SCHEMA: Final = files("posthouse.send.queue").joinpath("schema.sql").read_text("utf-8")
_ONE_LETTER: Final = (
    "SELECT id, sender, content, accepted, params, user, client, message_id FROM letters"
    " WHERE id = ?"
)
# Who is held waits for a person: that may have come while a try was under way that put it off.
_TO_BE_TRIED: Final = (
    "SELECT address, params FROM recipients WHERE letter = ? AND state <> 'held' ORDER BY n"
)
_ITEMS: Final = (
    f"SELECT {rows.ITEM} FROM recipients WHERE (letter, n) > (?, ?) AND letter <= ?"  # noqa: S608
    " ORDER BY letter, n LIMIT ?"
)
# What is still here was never pruned, so its events tell it.
_RELEASED: Final = (
    "SELECT r.letter, r.n FROM events JOIN recipients AS r"
    " ON r.letter = events.letter AND r.address = events.recipient WHERE kind = 'released'"
    " AND events.letter BETWEEN ? AND ?"
)
_LAST: Final = "SELECT n, coalesce((SELECT max(id) FROM events), 0) FROM changes"
# What a rule holds has the rule's name.
_BY_PEOPLE: Final = (
    "SELECT id, at, kind, letter, recipient, data FROM events WHERE id > ?"
    " AND kind IN ('held', 'released', 'retried', 'deleted')"
    " AND json_extract(data, '$.rule') IS NULL ORDER BY id LIMIT ?"
)
_BARE: Final = (
    "SELECT id FROM letters WHERE NOT EXISTS (SELECT 1 FROM recipients WHERE letter = letters.id)"
)
_OTHERS: Final = (
    "SELECT (SELECT count(DISTINCT letter) FROM recipients"
    " WHERE letter NOT IN (SELECT value FROM json_each(?)))"
    " + (SELECT count(*) FROM letters WHERE id IN (SELECT value FROM json_each(?)))"
)
_HIGHEST: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM letters), 0),"
    " coalesce((SELECT max(letter) FROM events), 0))"
)


def _items(letter: Letter) -> tuple[Item, ...]:
    name, due = letter.id, letter.accepted
    return tuple(
        [Item(n, name, one, State.READY, 0, due) for n, one in enumerate(letter.recipients)]
    )


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
