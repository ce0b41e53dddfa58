"""How many connections each one has, to all workers together: a client address, a way to a hop.

Enters: who gets a connection or loses one. Leaves: how many it has. Called by ``submit.desk`` and
``deliver.slots``. Nothing fails.

Each worker has a column of cells in memory that all see, and writes no other, so there are no
turns; when one has ended, and its connections with it, the supervisor empties its column.
Each has a cell in each of ``ROWS``, by the hash of its name, and maybe shares one with somebody:
the least of its sums is what counts, never too few and hardly ever too many. Two connections at the
same moment may both be the last that is allowed.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from posthouse.send.shared import Shared

WORKERS: Final = 64  # columns: as many as there are lanes
ROWS: Final = 2
CELLS: Final = 4_096  # of a row: two busy ones of hundreds share both by one in 100,000

_CELL: Final = struct.Struct("I")
_ALL: Final = struct.Struct(f"{WORKERS}I")


class Crowd:
    """The owner of one worker's column. ``shared`` is of ``memory``; None: there are no others."""

    def __init__(self, worker: int = 0, shared: Shared | None = None) -> None:
        self._memory = (shared or memory()).memory
        self._column = worker * _CELL.size
        self.here: dict[str, int] = {}  # those of each that arrived, to this worker

    def arrived(self, who: str) -> int:
        """One more; how many it has."""
        self.here[who] = self.here.get(who, 0) + 1
        return self.change(who, 1)

    def left(self, who: str) -> None:
        """One fewer."""
        count = self.here.get(who, 0) - 1
        if count > 0:
            self.here[who] = count
        else:
            self.here.pop(who, None)
        for cell in _cells(who):
            self._add(cell, -1)

    def change(self, who: str, number: int) -> int:
        """So many more or fewer, for those who know themselves how many; how many it has then."""
        for cell in _cells(who):
            self._add(cell, number)
        return self.count(who)

    def count(self, who: str) -> int:
        """How many it has."""
        return min(map(self._sum, _cells(who)))

    def _add(self, cell: int, number: int) -> None:
        own = _CELL.unpack_from(self._memory, cell + self._column)[0]
        _CELL.pack_into(self._memory, cell + self._column, max(0, own + number))

    def _sum(self, cell: int) -> int:
        return sum(_ALL.unpack_from(self._memory, cell))


def memory(*, forks: bool = False) -> Shared:
    """For the columns of all workers."""
    return Shared(ROWS * CELLS * _ALL.size, forks=forks)


def gone(shared: Shared, worker: int) -> None:
    """A worker has ended."""
    for cell in range(ROWS * CELLS):
        _CELL.pack_into(shared.memory, cell * _ALL.size + worker * _CELL.size, 0)


@lru_cache(maxsize=1_024)  # the same ones come again and again
def _cells(who: str) -> tuple[int, int]:
    """Where its cells begin, one in each row."""
    mark = hash(who)
    return mark % CELLS * _ALL.size, (CELLS + (mark >> 12) % CELLS) * _ALL.size
