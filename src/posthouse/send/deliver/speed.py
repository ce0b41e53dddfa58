"""How many messages may be under way to one hop at once: more while all goes well, fewer at once.

Enters: how each message and each new connection went. Leaves: ``allowed``. The owner of one pool's
speed; ``now`` gives monotonic seconds. Nothing fails.

As TCP does it (RFC 5681 section 3.1): quick growth, one more for each success, until the hop first
says that it is too much; from the half of that on one more for each round of successes. Else each
recovery would run into the same wall again, and servers remember who does that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.send.hop import START

EASE: Final = 1.0  # seconds: what fails together, fifty connections at once, is one sign


class Speed:
    """See the module. ``most`` is the hop's ``pool``."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = float(most)
        self._now = now
        self._allowed = float(min(START, most))
        self._known = self._most  # up to here growth is quick
        self._slowed = float("-inf")

    @property
    def allowed(self) -> int:
        """Connections, and messages under way."""
        return int(self._allowed)

    def went(self, *, well: bool) -> None:
        """One message, or one new connection, and whether the hop took it easily."""
        if well:
            more = 1.0 if self._allowed < self._known else 1.0 / self._allowed
            self._allowed = min(self._most, self._allowed + more)
        elif self._now() - self._slowed >= EASE:
            self._slowed = self._now()
            self._allowed = self._known = max(1.0, self._allowed / 2)
