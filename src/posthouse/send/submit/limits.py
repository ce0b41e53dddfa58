"""How much one user, or one client address, may send: counted in windows, in bounded memory.

Enters: a key, and the time (seconds that never go back). Leaves: nothing, or a ``Refusal`` that
says how many seconds to wait. No clock of its own. Called by ``session`` for messages and by
``gate`` for failed logins. Nothing fails.

A window is cut into slices. What is counted are the slices that may still reach into the window,
so there are never more than ``most`` in any span of that length; in exchange a place may become
free up to one slice later than it could.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SLICES: Final = 20  # of a window: a day is free again by 72 minutes, a second by 50 ms
KEYS: Final = 10_000  # kept at once, 2 to 8 KB each: who was not seen for the longest goes first


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


class _Window:
    """What one key did within one rate."""

    __slots__ = ("slices", "total")

    def __init__(self) -> None:
        self.slices: deque[list[int]] = deque()  # [number of the slice, how many]
        self.total = 0

    def drop(self, before: int) -> None:
        """Forget the slices that have left the window."""
        slices = self.slices
        while slices and slices[0][0] < before:
            self.total -= slices.popleft()[1]

    def add(self, number: int) -> None:
        """Count one. The newest slice takes it where a clock should go back."""
        slices = self.slices
        if slices and slices[-1][0] >= number:
            slices[-1][1] += 1
        else:
            slices.append([number, 1])
        self.total += 1


class Rates:
    """The owner of all counts of one kind. Rates of 0 are none."""

    def __init__(self, rates: Sequence[Rate], keys: int = KEYS) -> None:
        self._rates = [(rate, rate.seconds / SLICES) for rate in rates if rate.most > 0]
        self._keys = keys
        self._known: dict[str, list[_Window]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def refusal(self, key: str, now: float) -> Refusal | None:
        """Count one more, or say why not: then nothing is counted."""
        if not self._rates:
            return None
        refused = self.blocked(key, now)
        if refused is None:
            self.count(key, now)
        return refused

    def blocked(self, key: str, now: float) -> Refusal | None:
        """Whether one more would be too many; counts nothing. The longest wait is told."""
        windows = self._known.get(key)
        if windows is None:
            return None
        found = None
        for window, (rate, slice_) in zip(windows, self._rates, strict=True):
            window.drop(int(now / slice_) - SLICES)
            if window.total >= rate.most:
                # The oldest slice leaves when the window begins after its end.
                wait = (window.slices[0][0] + SLICES + 1) * slice_ - now
                if found is None or wait > found.wait:
                    found = Refusal(rate, wait)
        return found

    def count(self, key: str, now: float) -> None:
        """Count one, allowed or not."""
        # Taken out and put in again: the first in the dict is who was not seen for the longest.
        windows = self._known.pop(key, None)
        if windows is None:
            windows = [_Window() for _ in self._rates]
            if len(self._known) >= self._keys:
                del self._known[next(iter(self._known))]
        self._known[key] = windows
        for window, (_, slice_) in zip(windows, self._rates, strict=True):
            window.add(int(now / slice_))

    def forget(self, key: str) -> None:
        """Begin anew for this key."""
        self._known.pop(key, None)
