"""How much one user, or one client address, may send: counted in windows, in bounded memory.

Enters: a key, and the time (seconds that never go back). Leaves: nothing, or a ``Refusal`` that
says how many seconds to wait. No clock of its own. Called by ``session`` for messages and by
``gate`` for failed logins. Nothing fails.

A window is cut into slices. What is counted are the slices that may still reach into the window,
so there are never more than ``most`` in any span of that length; in exchange a place may become
free up to one slice later than it could.

The counts stand in a ``Ledger``: memory that all workers of a relay see, so that a limit is one of
the whole relay, to the message, and a worker that is started anew goes on where the last one was.
A key is its 64-bit hash (Python's own, keyed anew with each start of the relay and the same in all
its forks); eight keys share a bucket, and the bucket is what processes have turns for. A worker
that is stopped in its turn makes the others count without: some may then be lost.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.send.shared import Shared

SLICES: Final = 20  # of a window: a day is free again by 72 minutes, a second by 50 ms
KEYS: Final = 16_384  # kept at once, 100 to 300 octets each, in memory only when they come
WAYS: Final = 8  # keys of a bucket: of these who was not seen for the longest goes first

_RING: Final = SLICES + 1  # slices that may reach into a window
_WINDOW: Final = struct.Struct(f"q{_RING}I")  # number of the newest slice; counts, newest first
_ROOM: Final = 96  # octets of a window: the next multiple of eight
_NEWEST: Final = struct.Struct("I")
_FIRST: Final = 8  # where the newest count stands
_MARK: Final = struct.Struct("q")
_SEEN: Final = struct.Struct("d")


@dataclass(frozen=True, slots=True)
class Rate:
    """``most`` within any ``seconds``."""

    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not now: which rate is used up, and for how many seconds."""

    rate: Rate
    wait: float


# Where it stands; its rate and slice; the newest slice and the counts; whether they have moved on.
_Window = tuple[int, Rate, float, int, list[int], bool]


class Ledger:
    """The owner of the memory of ``windows`` counts for each of ``keys``.

    A bucket is the marks of its keys (0: none), when each was seen, and their windows.
    """

    def __init__(self, windows: int, keys: int = KEYS, *, forks: bool = False) -> None:
        self.ways = min(WAYS, keys)
        self.buckets = -(-keys // self.ways)
        self.room = windows * _ROOM  # octets of a key's windows
        self.head = self.ways * (_MARK.size + _SEEN.size)
        self.size = self.head + self.ways * self.room  # of a bucket
        self.shared = Shared(self.buckets * self.size, forks=forks)
        self._marks = struct.Struct(f"{self.ways}q")
        self._seen = struct.Struct(f"{self.ways}d")

    def __len__(self) -> int:
        found = 0
        for bucket in range(self.buckets):
            marks = self._marks.unpack_from(self.shared.memory, bucket * self.size)
            found += self.ways - marks.count(0)
        return found

    def find(self, bucket: int, mark: int) -> int:
        """Its way in the bucket, or -1."""
        marks = self._marks.unpack_from(self.shared.memory, bucket * self.size)
        return marks.index(mark) if mark in marks else -1

    def make(self, bucket: int, mark: int) -> int:
        """A way for a key that has none, if need be that of another."""
        memory, start = self.shared.memory, bucket * self.size
        marks = self._marks.unpack_from(memory, start)
        seen = self._seen.unpack_from(memory, start + self._marks.size)
        way = marks.index(0) if 0 in marks else seen.index(min(seen))
        windows = self.windows(bucket, way)
        memory[windows : windows + self.room] = bytes(self.room)
        _MARK.pack_into(memory, start + way * _MARK.size, mark)
        return way

    def windows(self, bucket: int, way: int) -> int:
        """Where the windows of a key begin."""
        return bucket * self.size + self.head + way * self.room

    def see(self, bucket: int, way: int, now: float) -> None:
        """It was here."""
        start = bucket * self.size + self._marks.size
        _SEEN.pack_into(self.shared.memory, start + way * _SEEN.size, now)

    def drop(self, bucket: int, way: int) -> None:
        """Forget a key."""
        _MARK.pack_into(self.shared.memory, bucket * self.size + way * _MARK.size, 0)


class Rates:
    """Counts of one kind. Rates of 0 are none.

    ``ledger`` has a window for each of ``rates``, whether it is 0 or not; None: one of our own.
    """

    def __init__(
        self, rates: Sequence[Rate], keys: int = KEYS, *, ledger: Ledger | None = None
    ) -> None:
        self._rates = [
            (n * _ROOM, rate, rate.seconds / SLICES)
            for n, rate in enumerate(rates)
            if rate.most > 0
        ]
        self._ledger = Ledger(len(rates), keys) if ledger is None else ledger

    def __len__(self) -> int:
        return len(self._ledger)

    def refusal(self, key: str, now: float) -> Refusal | None:
        """Count one more, or say why not: then nothing is counted."""
        return self._do(key, now, look=True, count=True)

    def blocked(self, key: str, now: float) -> Refusal | None:
        """Whether one more would be too many; counts nothing. The longest wait is told."""
        return self._do(key, now, look=True, count=False)

    def count(self, key: str, now: float) -> None:
        """Count one, allowed or not."""
        self._do(key, now, look=False, count=True)

    def forget(self, key: str) -> None:
        """Begin anew for this key."""
        ledger, mark = self._ledger, _mark(key)
        bucket = mark % ledger.buckets
        alone = ledger.shared.take(bucket)
        way = ledger.find(bucket, mark)
        if way >= 0:
            ledger.drop(bucket, way)
        if alone:
            ledger.shared.give(bucket)

    def _do(self, key: str, now: float, *, look: bool, count: bool) -> Refusal | None:
        if not self._rates:
            return None
        ledger, mark = self._ledger, _mark(key)
        bucket = mark % ledger.buckets
        alone = ledger.shared.take(bucket)
        way, refused = ledger.find(bucket, mark), None
        if way < 0 and count:
            way = ledger.make(bucket, mark)
        if way >= 0:
            windows = self._windows(ledger.windows(bucket, way), now)
            if look:
                refused = _refusal(windows, now)
            if count and refused is None:
                ledger.see(bucket, way, now)
                _count(ledger.shared.memory, windows)
        if alone:
            ledger.shared.give(bucket)
        return refused

    def _windows(self, start: int, now: float) -> list[_Window]:
        """What a key did, as of now. The newest slice stays it where a clock should go back."""
        memory, found = self._ledger.shared.memory, []
        for place, rate, slice_ in self._rates:
            newest, *counts = _WINDOW.unpack_from(memory, start + place)
            gone = int(now / slice_) - newest  # slices that have left at the end
            if gone > 0:
                newest += gone
                counts = [0] * min(gone, _RING) + counts[: max(0, _RING - gone)]
            found.append((start + place, rate, slice_, newest, counts, gone > 0))
        return found


def _refusal(windows: Sequence[_Window], now: float) -> Refusal | None:
    found = None
    for _, rate, slice_, newest, counts, _ in windows:
        if sum(counts) >= rate.most:
            # The oldest slice leaves when the window begins after its end.
            oldest = newest - max(n for n, count in enumerate(counts) if count)
            wait = (oldest + _RING) * slice_ - now
            if found is None or wait > found.wait:
                found = Refusal(rate, wait)
    return found


def _count(memory: mmap.mmap | bytearray, windows: Sequence[_Window]) -> None:
    for start, _, _, newest, counts, moved in windows:
        counts[0] += 1
        if moved:
            _WINDOW.pack_into(memory, start, newest, *counts)
        else:
            _NEWEST.pack_into(memory, start + _FIRST, counts[0])


def _mark(key: str) -> int:
    return hash(key) or 1
