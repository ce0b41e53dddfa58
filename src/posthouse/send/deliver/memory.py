"""What the connector remembers of servers, as long as the process lives.

Enters: how each one did. Leaves: until when it stands behind the others, which of its addresses is
next, how many recipients it takes at once. The owner of these facts; called by ``connect``.
A server is known by its host and port, each of its addresses by itself and the port. Nothing fails.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from posthouse.send.deliver.places import ADDRESSES_LIMIT, End

SORE: Final = 60.0  # seconds a server that failed stands behind the others
# One that breaks after EHLO stands behind them this much longer each time: tries of a message are
# twice as far apart each time, and the next one has to meet another server.
WORSE: Final = 4
SORE_MOST: Final = 7_200.0  # seconds
LIMIT: Final = 4_000  # servers and addresses remembered


class Memory:
    """See the module. ``now`` gives monotonic seconds, ``rng`` chance."""

    def __init__(self, now: Callable[[], float], rng: random.Random) -> None:
        self._now = now
        self._rng = rng
        self._most: dict[End, int] = {}  # recipients
        self._turns: dict[str, int] = {}  # of a host's addresses
        self._sore: dict[End, tuple[float, int]] = {}  # until then; how often it broke

    def sore_until(self, end: End) -> float:
        """0 for who is well: these come first, in the order they are in."""
        until, _ = self._sore.get(end, (0.0, 0))
        return until if until > self._now() else 0.0

    def failed(self, end: End, *, broke: bool = False) -> None:
        """It failed while opening, or broke behind EHLO: then for longer each time."""
        if len(self._sore) >= LIMIT:
            self._sore.clear()
        now = self._now()
        until, times = self._sore.get(end, (0.0, 0))
        if broke and (times == 0 or until <= now):  # what breaks together is one sign
            times = min(times + 1, 10)  # far beyond SORE_MOST
        seconds = min(SORE * WORSE ** (times - 1), SORE_MOST) if broke else SORE
        self._sore[end] = (max(until, now + seconds), times)

    def went(self, end: End, well: bool) -> None:
        """A message was carried, or the server is in trouble."""
        if well:
            self._sore.pop(end, None)
        else:
            self.failed(end, broke=True)

    def most(self, end: End) -> int | None:
        """How many recipients it takes at once, as far as that is known."""
        return self._most.get(end)

    def too_many(self, end: End, count: int) -> None:
        """It refused a message for that many recipients: half of them next time."""
        if len(self._most) >= LIMIT:
            self._most.clear()
        self._most[end] = max(1, min(count // 2, self._most.get(end, count)))

    def turn(self, host: str) -> int:
        """Which of its addresses comes first: another one each time."""
        if len(self._turns) >= LIMIT:
            self._turns.clear()
        turn = self._turns.get(host, self._rng.randrange(ADDRESSES_LIMIT))
        self._turns[host] = turn + 1
        return turn
