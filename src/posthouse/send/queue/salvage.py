"""What can be read of a damaged lane, put into a new one.

Enters: the file, with its log of writes where that is left. Leaves: a new lane. SQLite goes from a
table's root to its rows and finds none behind one damaged page; here each page is read by itself,
and a row is known by its form (https://www.sqlite.org/fileformat2.html). What was settled is not
made to wait again by an old page: its events say what became of it. A letter of which octets are
missing keeps no recipient, so nobody is sent a part of it; it is shown as lost.

    python -m posthouse.send.queue.salvage lane-0.sqlite fresh.db

Fails with OSError: no such file, or the new one is there already. Damage is no failure.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

from posthouse.send.queue.lane import connect

Row = tuple[Any, ...]

MAGIC: Final = b"SQLite format 3\0"
PAGE: Final = 8192  # of our lanes (``lane``); of those that the shell of SQLite has made, 4,096
LEAF_TABLE, LEAF_INDEX, INTERIOR_INDEX = 13, 10, 2  # pages that have rows
COUNTED: Final = ("messages", "recipients", "events", "lost")
LETTER, RECIPIENT, EVENT = 9, 10, 6  # columns
_TABLES: Final = {LETTER: "letters", RECIPIENT: "recipients", EVENT: "events"}
# Of each column in order: i integer, n number, s text, o text or nothing, b octets, - the row's id.
_FORMS: Final = {
    LETTER: "-snissssb",
    RECIPIENT: "iisssinsoi",
    EVENT: "-nsiss",
}
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "i": (int,),
    "n": (int, float),
    "s": (str,),
    "o": (str, type(None)),
    "b": (bytes,),
    "-": (type(None),),
}
_LENGTHS: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # of nothing, integers, a real number, 0 and 1
_OVER: Final = "('delivered', 'refused', 'expired', 'discarded', 'deleted')"  # events that end it


class Damaged(Exception):
    """A page or row that is not what it should be."""


class Pages:
    """The pages of a file, by their numbers from 1, newer ones from its log of writes."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            empty = not os.fstat(file.fileno()).st_size
            self._octets = b"" if empty else mmap(file.fileno(), 0, access=ACCESS_READ)
        log = path.with_name(f"{path.name}-wal")
        newer = log.read_bytes() if log.exists() else b""
        self.size = _page_size(self._octets[:100], newer)
        self._newer = dict(_frames(newer, self.size))
        self.count = max([-(-len(self._octets) // self.size), *self._newer])

    def __getitem__(self, number: int) -> bytes:
        if number in self._newer:
            return self._newer[number]
        page = self._octets[(number - 1) * self.size : number * self.size]
        if number < 1 or len(page) < self.size:
            raise Damaged
        return page

    def free(self) -> set[int]:
        """Pages without a use: what they hold has been deleted. None where the first is damaged."""
        found: set[int] = set()
        with suppress(Damaged):
            if not self[1].startswith(MAGIC):
                return found
            trunk = _u32(self[1], 32)
            while trunk and trunk not in found:
                page = self[trunk]
                count = min(_u32(page, 4), self.size // 4 - 2)
                found |= {trunk, *struct.unpack_from(f">{count}I", page, 8)}
                trunk = _u32(page, 0)
        return found

    def rows(self) -> Iterator[tuple[Row, bool]]:
        """Every row of a form that we know; and whether all octets of its last column are there."""
        free = self.free()
        for number in range(1, self.count + 1):
            with suppress(Damaged):
                if number not in free:
                    yield from self._rows_of(self[number], 100 if number == 1 else 0)

    def _rows_of(self, page: bytes, head: int) -> Iterator[tuple[Row, bool]]:
        kind = page[head]
        if kind not in (LEAF_TABLE, LEAF_INDEX, INTERIOR_INDEX):
            return
        first = head + (12 if kind == INTERIOR_INDEX else 8)
        count = int.from_bytes(page[head + 3 : head + 5], "big")
        for at in range(first, min(first + 2 * count, self.size - 1), 2):
            cell = int.from_bytes(page[at : at + 2], "big")
            with suppress(Damaged, IndexError, struct.error, UnicodeDecodeError):
                yield self._row(page, cell, kind)

    def _row(self, page: bytes, at: int, kind: int) -> tuple[Row, bool]:
        if kind == INTERIOR_INDEX:
            at += 4  # the page of what is smaller
        length, at = _varint(page, at)
        name = None
        if kind == LEAF_TABLE:
            name, at = _varint(page, at)
        octets, whole = self._payload(page, at, length, kind)
        row = _record(octets)
        form = _FORMS.get(len(row), "")
        if not form or any(type(v) not in _KINDS[f] for v, f in zip(row, form, strict=True)):
            raise Damaged
        if (name is not None) != form.startswith("-"):
            raise Damaged
        return ((name, *row[1:]) if name is not None else row), whole

    def _payload(self, page: bytes, at: int, length: int, kind: int) -> tuple[bytes, bool]:
        """A row's octets, and whether they are those that were written, as far as it shows."""
        room = self.size - 4
        most = room - 31 if kind == LEAF_TABLE else (room - 8) * 64 // 255 - 23
        if length <= most:
            return page[at : at + length], True
        least = (room - 8) * 32 // 255 - 23
        here = least + (length - least) % room
        here = here if here <= most else least
        parts, left = [page[at : at + here]], length - here
        if left > self.count * self.size:
            raise Damaged
        following = _u32(page, at + here)
        with suppress(Damaged):
            while left > 0 and following:
                more = self[following]
                parts.append(more[4 : 4 + left])
                left -= room
                following = _u32(more, 0)
        return b"".join(parts).ljust(length, b"\0"), left <= 0 and following == 0


def _page_size(first: bytes, log: bytes) -> int:
    """Of the file, or of its log of writes; where neither says it, ours."""
    told = _u32(log, 8) if len(log) >= 32 else 0
    if first.startswith(MAGIC):
        told = int.from_bytes(first[16:18], "big")
    return told if told in (512, 1024, 2048, 4096, 8192, 16384, 32768) else PAGE


def _frames(log: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """The pages of a log of writes up to its last commit; older ones have another salt."""
    waiting: list[tuple[int, bytes]] = []
    for at in range(32, len(log) - size - 23, size + 24):
        if log[at + 8 : at + 16] != log[16:24]:
            return
        waiting.append((_u32(log, at), log[at + 24 : at + 24 + size]))
        if _u32(log, at + 4):
            yield from waiting
            waiting = []


def _u32(octets: bytes, at: int) -> int:
    number: int = struct.unpack_from(">I", octets, at)[0]
    return number


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """A number of 64 bits, and where it ends."""
    value = 0
    for n in range(8):
        octet = octets[at + n]
        value = value << 7 | octet & 127
        if octet < 128:
            return value, at + n + 1
    return value << 8 | octets[at + 8], at + 9


def _record(octets: bytes) -> Row:
    end, at = _varint(octets, 0)
    row: list[Any] = []
    place = end
    while at < end and len(row) <= RECIPIENT:
        kind, at = _varint(octets, at)
        length = (kind - 12) // 2 if kind >= 12 else _LENGTHS[kind]
        row.append(_value(kind, octets[place : place + length], length))
        place += length
    if place != len(octets):
        raise Damaged
    return tuple(row)


def _value(kind: int, octets: bytes, length: int) -> Any:
    if len(octets) != length:
        raise Damaged
    if kind >= 12:
        return octets.decode() if kind % 2 else octets
    if kind == 7:
        return struct.unpack(">d", octets)[0]
    if kind in (8, 9):
        return kind - 8
    return int.from_bytes(octets, "big", signed=True) if kind else None


def salvage(damaged: Path, fresh: Path) -> dict[str, int]:
    """Make a new lane of what can be read, all of it held; gives how much that is."""
    pages = Pages(damaged)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(connect(fresh)) as db:
        db.execute("BEGIN")
        for row, whole in pages.rows():
            if whole and not _has_nul(row):
                _insert(db, row)
        db.execute(_FORGOTTEN)
        spoiled = (row for row, whole in pages.rows() if not whole or _has_nul(row))
        torn = [row[:1] for row in spoiled if len(row) == LETTER and _insert(db, row)]
        for statement in _TIDY:
            db.execute(statement)
        db.executemany("DELETE FROM recipients WHERE letter = ?", torn)
        counts = dict(zip(COUNTED, *db.execute(_COUNTS), strict=True))
        db.execute("COMMIT")
    return counts


def _has_nul(row: Row) -> bool:
    """A message has none (``submit``): there were other octets."""
    return len(row) == LETTER and b"\0" in row[-1]


def _insert(db: sqlite3.Connection, row: Row) -> bool:
    marks = ", ".join("?" * len(row))
    sql = f"INSERT OR IGNORE INTO {_TABLES[len(row)]} VALUES ({marks})"  # noqa: S608
    return db.execute(sql, row).rowcount > 0


# Whom a message was for is among its events, too.
_FORGOTTEN: Final = (
    "INSERT OR IGNORE INTO recipients (letter, n, address, params, state)"
    " SELECT events.letter, one.key, one.value, '{}', 'held' FROM events, json_each(data,"
    " '$.recipients') AS one WHERE kind = 'accepted' AND json_valid(data)"
)
_NOBODY: Final = "NOT EXISTS (SELECT 1 FROM recipients WHERE letter = letters.id)"
_TIDY: Final = (
    "DELETE FROM recipients WHERE letter NOT IN (SELECT id FROM letters)",
    "DELETE FROM recipients WHERE EXISTS (SELECT 1 FROM events WHERE letter = recipients.letter"  # noqa: S608
    f" AND recipient = address AND kind IN {_OVER})",
    # Everything in it is over, so it had left.
    f"DELETE FROM letters WHERE {_NOBODY} AND EXISTS (SELECT 1 FROM events"  # noqa: S608
    f" WHERE letter = letters.id AND kind IN {_OVER})",
    "UPDATE recipients SET state = 'held'",
)
_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM letters), (SELECT count(*) FROM recipients),"  # noqa: S608
    f" (SELECT count(*) FROM events), (SELECT count(*) FROM letters WHERE {_NOBODY})"
)

if __name__ == "__main__":
    print(json.dumps(salvage(Path(sys.argv[1]), Path(sys.argv[2]))))
