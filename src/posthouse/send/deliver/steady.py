"""The time by which delivery counts: what really passed, whatever is done to the wall clock.

Enters: the wall clock and the monotonic one, letters. Leaves: seconds since 1970 as the wall clock
would say them had nobody set it since the start. Called by ``dispatch`` and ``agenda``. Nothing
fails.

When a clock is set by hours, nobody knows whether it was wrong before or is wrong now. A letter
that expires, or a thousand that are tried again at once, because somebody corrected a clock, is
worse than one that waits a little longer: so a jump changes neither the age of a letter nor when
it is due. What is written for people and for the disk (dates, due times) is by the wall clock. A
new start believes the wall clock again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.letter import Letter

STEP: Final = 5.0  # seconds: a smaller step is the daily care for a clock, and is followed
KEPT: Final = 100_000  # letters that came while the clock was off, 100 octets each


class Steady:
    """See the module. ``now`` is the wall clock, ``monotonic`` never jumps."""

    def __init__(self, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._base = now() - monotonic()
        self._accepted: dict[str, float] = {}  # letters whose own date is by another clock

    def __call__(self) -> float:
        """The steady time."""
        return self._base + self._monotonic()

    @property
    def off(self) -> float:
        """By how much the wall clock was set since the start."""
        off = self._now() - self()
        if abs(off) < STEP:
            self._base += off
            return 0.0
        return off

    def wall(self, at: float) -> float:
        """A steady time as the wall clock says it now."""
        return at + self.off

    def arrived(self, letter: Letter) -> None:
        """A letter that was dated by the wall clock of this moment."""
        off = self.off
        if off:
            self._remember(letter, letter.accepted - off)

    def accepted(self, letter: Letter) -> float:
        """When a letter was accepted. One from the future begins its time now."""
        at = self._accepted.get(letter.id)
        if at is None:
            at, now = letter.accepted, self()
            if at > now + STEP:
                at = now
                self._remember(letter, at)
        return at

    def _remember(self, letter: Letter, at: float) -> None:
        if len(self._accepted) >= KEPT:
            del self._accepted[next(iter(self._accepted))]
        self._accepted[letter.id] = at
