"""Recipients that wait for their time, the next one first.

Enters: items and when they are due, by the steady clock. Leaves: those that are. The owner of one
dispatcher's waiting items; called by it alone. Nothing fails.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from posthouse.letter import Item, State
from posthouse.send.deliver.steady import Steady

# No schedule waits longer: a due time beyond was written by a clock that was wrong.
FAR: Final = 86_400.0  # seconds


class Agenda:
    """See the module."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        self._due: list[tuple[float, str, int, Item]] = []  # a heap

    def __len__(self) -> int:
        return len(self._due)

    def add(self, item: Item, due: float) -> None:
        """``due`` is steady; ``item.due`` is what the disk says, by the wall clock."""
        heapq.heappush(self._due, (due, item.letter, item.key, item))

    def take(self) -> dict[str, list[Item]]:
        """What is due, by letter."""
        now = self._steady()
        ready: dict[str, list[Item]] = {}
        while self._due and self._due[0][0] <= now:
            item = heapq.heappop(self._due)[3]
            ready.setdefault(item.letter, []).append(item)
        return ready

    def renew(self, items: Iterable[Item], taken: Iterable[Item]) -> None:
        """The queue as it is on the disk now; ``taken`` were due already and are still to go.

        What the disk says as before stays due when it was, whatever the wall clock did meanwhile.
        """
        known = {(item.letter, item.key): (item.due, due) for due, _, _, item in self._due}
        known |= {(item.letter, item.key): (item.due, 0.0) for item in taken}
        now, off = self._steady(), self._steady.off
        self._due = []
        for item in items:
            before = known.get((item.letter, item.key))
            if item.state is State.READY:
                due = 0.0
            elif before is not None and before[0] == item.due:
                due = before[1]
            else:
                due = min(item.due - off, now + FAR)
            self._due.append((due, item.letter, item.key, item))
        heapq.heapify(self._due)
