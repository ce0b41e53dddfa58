"""How many connections one way a pool may open, where other workers have pools for it, too.

Enters: how many a pool has and wants. Leaves: how many it may open now, and whether it should give
one up. Called by ``pool``. Nothing fails.

A hop's ``pool`` is for the whole relay: a server that allows twenty connections counts those of all
workers. Who has mail takes what is free, so that one busy worker may have them all. Who has less
than an equal share and gets nothing says that it waits; whoever has more gives one up then, when
its message is through, and takes none beyond his share. Who waits for ``STARVED`` seconds and has
none takes one in any case: better one too many than mail that waits for a wrong count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.send.crowd import Crowd

AGAIN: Final = 0.1  # seconds until one that waits asks once more
STARVED: Final = 30.0


class Slots:
    """The owner of one pool's part. ``way`` names what is shared, ``most`` is the hop's ``pool``,
    ``workers`` share it; without ``crowd`` there are no others. ``now`` gives monotonic seconds."""

    def __init__(
        self,
        way: str,
        most: int,
        workers: int,
        *,
        now: Callable[[], float],
        crowd: Crowd | None = None,
    ) -> None:
        self._open, self._waiting = f"open {way}", f"waiting {way}"  # no address of a client
        self._most = most
        self._share = most // workers
        self._crowd = crowd
        self._now = now
        self._mine = 0
        self._leaving = 0  # of those, whose QUIT has not left us
        self.waits = False  # we have less than our share, want more, and get none
        self._since = 0.0  # that long
        self._rests = float("-inf")  # until then, as we have just given one up

    def claim(self, wanted: int) -> int:
        """Of so many more connections, how many may be opened now."""
        if self._crowd is None:
            return wanted
        wanted = max(0, wanted)
        granted = self._granted(self._crowd, wanted) if wanted else 0
        self._mine += granted
        self._wait(self._crowd, granted < wanted and self._mine < max(1, self._share))
        return granted

    def _granted(self, crowd: Crowd, wanted: int) -> int:
        if wanted + self._mine > self._share and self._others_wait(crowd):
            may = max(0, max(1, self._share) - self._mine)
            asked = 0 if self._now() < self._rests else min(wanted, may)
        else:
            asked = wanted
        over = max(0, crowd.change(self._open, asked) - self._most)
        granted = max(0, asked - over)
        if self._starved():
            granted = max(1, granted)
        crowd.change(self._open, granted - asked)
        return granted

    def leaves(self) -> None:
        """One is given up; it counts until ``left``, or another would come before it has gone."""
        self._leaving += 1

    def left(self) -> None:
        """Its QUIT is out."""
        self._leaving -= 1

    def have(self, number: int) -> None:
        """How many there really are, without those that leave."""
        number += self._leaving
        if self._crowd is not None and number != self._mine:
            self._crowd.change(self._open, number - self._mine)
            self._mine = number

    def gives_up(self) -> bool:
        """Whether to let one go: we have more than our share, and somebody waits for his."""
        if (
            self._crowd is None
            or self._mine - self._leaving <= self._share
            or not self._others_wait(self._crowd)
        ):
            return False
        self._rests = self._now() + 3 * AGAIN
        return True

    def _others_wait(self, crowd: Crowd) -> bool:
        return crowd.count(self._waiting) > self.waits

    def _starved(self) -> bool:
        return self.waits and self._mine == 0 and self._now() - self._since >= STARVED

    def _wait(self, crowd: Crowd, waits: bool) -> None:
        if waits != self.waits:
            self.waits, self._since = waits, self._now()
            crowd.change(self._waiting, 1 if waits else -1)
