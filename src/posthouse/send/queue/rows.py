"""Rows of a lane that its writer and the command have in common: recipients, events, what is over.

Enters: rows, or what becomes one. Leaves: items, text of columns, changes within the transaction
that is open. Called by ``lane``, ``batch`` and ``desk``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from posthouse.letter import Event, Item, Recipient, State
from posthouse.send.queue.ids import text_of

_encoder: Final = msgspec.json.Encoder()

EventRow = tuple[float, str, int, str, str]

# A recipient's columns, as ``item_of`` reads them.
ITEM: Final = "letter, n, address, params, state, attempts, due, last, cause, warned"


def item_of(row: tuple[Any, ...]) -> Item:
    """One recipient as it is kept."""
    number, n, address, params, state, attempts, due, last, cause, warned = row
    recipient = Recipient(address, msgspec.json.decode(params) if params != "{}" else {})
    name = text_of(number)
    return Item(n, name, recipient, State(state), attempts, due, last, cause, bool(warned))


def event_of(row: tuple[float, str, int, str, str]) -> Event:
    """One event as it is kept."""
    at, kind, number, recipient, data = row
    return Event(at, kind, text_of(number), recipient, msgspec.json.decode(data))


def plain(values: Mapping[str, Any]) -> str:
    """A mapping as the text of one column."""
    return _encoder.encode(values).decode() if values else "{}"


def write_events(db: sqlite3.Connection, events: Sequence[EventRow]) -> None:
    """In the transaction that is open."""
    db.executemany(_EVENT, events)


def drop_letters(db: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Those that have no recipients any more; how many."""
    return db.execute(_GONE, (_encoder.encode(list(numbers)).decode(),)).rowcount


_EVENT: Final = "INSERT INTO events (at, kind, letter, recipient, data) VALUES (?, ?, ?, ?, ?)"
_GONE: Final = (
    "DELETE FROM letters WHERE id IN (SELECT value FROM json_each(?))"
    " AND NOT EXISTS (SELECT 1 FROM recipients WHERE letter = letters.id)"
)
