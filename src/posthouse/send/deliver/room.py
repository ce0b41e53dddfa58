"""How much of what is on its way is in memory, and what has to wait on the disk for room.

Enters: letters as they are given to ways, come back and are recorded. Leaves: whether a way may
have one more; what was put aside and has room now. The owner of one dispatcher's counts; called by
it alone. Nothing fails.

A next hop that is slow, or hangs, must not keep the others' mail on the disk: a way has its share
and no more, and a little has room though the long letters of others fill all of it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Final

from posthouse.letter import Item, Letter
from posthouse.send.hop import Hop

Key = tuple[str, str]  # of a Way: its hop's name and its domain; to hash a whole hop takes long
Due = tuple[str, tuple[Item, ...]]  # a letter's id, and those of its recipients that are to go

IN_HAND: Final = 64 * 1024 * 1024  # octets of letters; the one that fills it comes on top
SHARE: Final = IN_HAND // 2  # octets of one way; the letter that fills it comes on top
LITTLE: Final = 256 * 1024  # octets a way may always have, while there is less than twice IN_HAND
ASIDE: Final = 10_000  # letters: which way one goes shows only when it was loaded, so it costs that


class Room:
    """See the module."""

    def __init__(self) -> None:
        self.octets = 0
        self._letters: dict[str, list[int]] = {}  # id -> [its size, its tasks under way]
        self._ways: Counter[Key] = Counter()  # octets
        self._aside: dict[Key, deque[tuple[Due, int]]] = {}  # and its size
        self._count = 0  # of those

    @property
    def full(self) -> bool:
        """Whether there is no use in loading a letter, whatever its way."""
        return self.octets > 2 * IN_HAND or self._count >= ASIDE

    def has(self, way: Key, size: int) -> bool:
        """Whether a way may have a letter of that size."""
        return _fits(size, self._ways[way], self.octets)

    def take(self, way: Key, letter: Letter) -> None:
        """One more task of it is under way."""
        known = self._letters.setdefault(letter.id, [len(letter.content), 0])
        if known[1] == 0:
            self.octets += known[0]
        known[1] += 1
        self._ways[way] += known[0]

    def leave(self, way: Key, letter: str) -> None:
        """The way is done with a task; that is not recorded yet."""
        self._ways[way] -= self._letters[letter][0]
        if self._ways[way] <= 0:
            del self._ways[way]

    def let_go(self, letter: str) -> None:
        """A task is over; with the last one its letter."""
        known = self._letters.get(letter)
        if known is None:
            return
        known[1] -= 1
        if known[1] == 0:
            self.octets -= known[0]
            del self._letters[letter]

    def put_aside(self, way: Key, due: Due, size: int) -> None:
        """It has to wait on the disk."""
        self._aside.setdefault(way, deque()).append((due, size))
        self._count += 1

    def next(self) -> Iterator[Due]:
        """Take what has room now: no more of a way than that, lest all be loaded for nothing."""
        octets = self.octets
        for way in list(self._aside):
            waiting, mine = self._aside[way], self._ways[way]
            while waiting and _fits(waiting[0][1], mine, octets):
                due, size = waiting.popleft()
                self._count -= 1
                mine += size
                octets += size
                yield due
            if not waiting:
                del self._aside[way]

    def withdraw(self) -> list[Due]:
        """Take all that was put aside."""
        found = [due for way in self._aside.values() for due, _ in way]
        self._aside.clear()
        self._count = 0
        return found


def _fits(size: int, mine: int, octets: int) -> bool:
    """``mine`` is what the way has, ``octets`` what all have."""
    if mine + size <= LITTLE:
        return octets <= 2 * IN_HAND
    return mine <= SHARE and octets <= IN_HAND


def by_way(going: Sequence[tuple[Hop, Item]]) -> list[tuple[Key, tuple[Item, ...]]]:
    """The items of each way together.

    But an address that needs SMTPUTF8 goes by itself, lest it takes others with it where a server
    lacks that (RFC 6531 section 3.2).
    """
    ways: dict[tuple[Key, bool], list[Item]] = {}
    for hop, item in going:
        address = item.recipient.address
        domain = "" if hop.targets else address.rpartition("@")[2].lower()
        ways.setdefault(((hop.name, domain), address.isascii()), []).append(item)
    return [(way, tuple(items)) for (way, _), items in ways.items()]
