"""How many connections each client address has, to all workers together.

Enters: an address that connects or goes. Leaves: how many it has. Called by ``desk``. Nothing
fails.

Each worker has a column of cells in memory that all see, and writes no other, so there are no
turns; when one has ended, and its connections with it, the supervisor empties its column.
An address has a cell in each of ``ROWS``, by its hash, and maybe shares one with somebody: the
least of its sums is what counts, never too few and hardly ever too many. Two connections at the
same moment may both be the last that is allowed.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from posthouse.send.shared import Shared

WORKERS: Final = 64  # columns: as many as there are lanes
ROWS: Final = 2
CELLS: Final = 4_096  # of a row: two busy addresses of hundreds share both by one in 100,000

_CELL: Final = struct.Struct("I")
_ALL: Final = struct.Struct(f"{WORKERS}I")


class Crowd:
    """The owner of one worker's column. ``shared`` is of ``memory``; None: there are no others."""

    def __init__(self, worker: int = 0, shared: Shared | None = None) -> None:
        self._memory = (shared or memory()).memory
        self._column = worker * _CELL.size
        self.here: dict[str, int] = {}  # connections of each address to this worker

    def arrived(self, client: str) -> int:
        """One more; how many it has."""
        self.here[client] = self.here.get(client, 0) + 1
        first, second = _cells(client)
        self._add(first, 1)
        self._add(second, 1)
        return min(self._sum(first), self._sum(second))

    def left(self, client: str) -> None:
        """One fewer."""
        count = self.here.get(client, 0) - 1
        if count > 0:
            self.here[client] = count
        else:
            self.here.pop(client, None)
        first, second = _cells(client)
        self._add(first, -1)
        self._add(second, -1)

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


@lru_cache(maxsize=1_024)  # the same clients come again and again
def _cells(client: str) -> tuple[int, int]:
    """Where its cells begin, one in each row."""
    mark = hash(client)
    return mark % CELLS * _ALL.size, (CELLS + (mark >> 12) % CELLS) * _ALL.size
