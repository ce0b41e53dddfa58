"""How many letters all lanes of a relay hold, so that its capacity is exact over all workers.

Enters: a lane takes a place for a letter, gives it back when the letter is gone, and puts its count
right when it has counted its file. Leaves: whether there was one. Called by ``lane``; the
supervisor makes it before it forks, counts the lanes there are, and the memory outlives each
worker.

Each lane has eight octets, written only by the worker that empties it; all read the sum. Taking is
to compare the sum and to add one, so takers have turns (``send.shared``): two that do not see each
other cannot both take the last place. That is two system calls, some 4 us a letter, and needs no
margin in which it would be inexact. Giving back needs no turn: it only makes room. A worker that
dies leaves its counts as they were, at most too high by the letters it had not written yet, until
the next one has counted the file. One that is stopped in its turn makes the others refuse for as
long: 452 for a while rather than a letter too many.
"""

from __future__ import annotations

import struct
from typing import Final

from posthouse.send.queue.ids import LANES
from posthouse.send.shared import Shared

# Messages. One of 4 KiB costs about 1 KiB of memory while it waits, so this is some 100 MiB, and
# days of mail of a company; what is above it is a loop or an attack.
CAPACITY: Final = 100_000

_ONE: Final = struct.Struct("q")
_ALL: Final = struct.Struct(f"{LANES}q")


class Places:
    """The owner of the counts. ``forks``: to be shared by processes."""

    def __init__(self, *, forks: bool = False) -> None:
        self._shared = Shared(_ALL.size, forks=forks)

    @property
    def taken(self) -> int:
        """Letters in all lanes."""
        return sum(_ALL.unpack_from(self._shared.memory))

    def of(self, lane: int) -> int:
        """Letters in one lane."""
        count: int = _ONE.unpack_from(self._shared.memory, lane * _ONE.size)[0]
        return count

    def take(self, lane: int, capacity: int) -> bool:
        """One more in this lane, where all hold fewer than ``capacity``."""
        shared = self._shared
        if not shared.take():
            return False
        counts = _ALL.unpack_from(shared.memory)
        free: bool = sum(counts) < capacity
        if free:
            _ONE.pack_into(shared.memory, lane * _ONE.size, counts[lane] + 1)
        shared.give()
        return free

    def add(self, lane: int, letters: int) -> None:
        """So many more (or fewer), whatever the capacity. For the lane's owner alone."""
        self.put(lane, self.of(lane) + letters)

    def put(self, lane: int, letters: int) -> None:
        """As many as were counted. For the lane's owner alone."""
        _ONE.pack_into(self._shared.memory, lane * _ONE.size, letters)

    def clear(self) -> None:
        """Nothing is counted yet; for when no worker runs."""
        self._shared.clear()
