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
IDLE: Final = 1_000  # entries of the heap that may be out of date, besides as many as are not

_Key = tuple[str, int]  # a letter's id and the item's key


class Agenda:
    """See the module. To look at a long queue again takes a while, in which all goes on:
    ``begin``, ``renew`` with each part of it, ``end``."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        self._items: dict[_Key, tuple[float, Item]] = {}
        self._due: list[tuple[float, str, int]] = []  # a heap; what the dict has otherwise is over
        self._unseen: set[_Key] = set()  # since ``begin``

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item, due: float) -> None:
        """``due`` is steady; ``item.due`` is what the disk says, by the wall clock."""
        key = (item.letter, item.key)
        before = self._items.get(key)
        self._items[key] = (due, item)
        self._unseen.discard(key)
        if before is None or before[0] != due:
            heapq.heappush(self._due, (due, *key))

    def take(self, most: int) -> dict[str, list[Item]]:
        """What is due, by letter: so many, and what goes with the last of them."""
        now = self._steady()
        ready: dict[str, list[Item]] = {}
        last: tuple[float, str] | None = None
        while self._due and self._due[0][0] <= now and (most > 0 or self._due[0][:2] == last):
            due, letter, key = heapq.heappop(self._due)
            found = self._items.get((letter, key))
            if found is not None and found[0] == due:
                del self._items[letter, key]
                ready.setdefault(letter, []).append(found[1])
                last = (due, letter)
                most -= 1
        return ready

    def begin(self, taken: Iterable[Item]) -> None:
        """The queue is about to be read anew; ``taken`` were due already and are still to go."""
        for item in taken:
            self.add(item, 0.0)
        self._unseen = set(self._items)

    def renew(self, items: Iterable[Item]) -> None:
        """A part of it.

        What the disk says as before stays due when it was, whatever the wall clock did meanwhile.
        """
        now, off = self._steady(), self._steady.off
        for item in items:
            before = self._items.get((item.letter, item.key))
            if item.state is State.READY:
                due = 0.0
            elif before is not None and before[1].due == item.due:
                due = before[0]
            else:
                due = min(item.due - off, now + FAR)
            self.add(item, due)

    def end(self) -> None:
        """All of it was read: what was not there is gone, or held."""
        for key in self._unseen:
            del self._items[key]
        self._unseen = set()
        if len(self._due) > 2 * len(self._items) + IDLE:
            self._due = [(due, *key) for key, (due, _) in self._items.items()]
            heapq.heapify(self._due)
