"""Names of letters: numbers that grow with time, written short for people and logs.

Enters: the time and a lane. Leaves: an integer that no other letter has, and its text. 41 bits of
milliseconds since 2024 (until 2093), 6 of the lane, 16 of a counter. No randomness: two letters of
one lane differ by time or counter, also after a restart within the same millisecond, since the
counter begins anew only when the millisecond does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

EPOCH: Final = 1_704_067_200.0  # 2024-01-01, so that 63 bits last
LANES: Final = 64
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u to misread
# As ``int`` reads base 32, and nothing else: what is no letter of ours becomes one of none.
_DIGITS: Final = {ord(c): "0123456789abcdefghijklmnopqrstuv"[n] for n, c in enumerate(_ALPHABET)}
_LETTERS: Final = frozenset(_ALPHABET)
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


class Ids:
    """The owner of one lane's counter."""

    def __init__(self, lane: int, last: int = 0) -> None:
        if not 0 <= lane < LANES:
            raise ValueError(f"a lane is 0 to {LANES - 1}")
        self._lane = lane
        self._last = last  # the highest number given so far, also before a restart

    def next(self, now: float) -> int:
        """A new number; ``now`` is in seconds since 1970 and may stand still or go back."""
        milliseconds = max(int((now - EPOCH) * 1000), self._last >> 22)
        number = (milliseconds << 22) | (self._lane << 16)
        if number <= self._last:
            number = self._last + 1
            if number & 0xFFFF == 0:  # the counter is full: borrow the next millisecond
                number = ((milliseconds + 1) << 22) | (self._lane << 16)
        self._last = number
        return number

    def pass_by(self, number: int) -> None:
        """Give none of the time of that number or before: it may be ours, in another lane."""
        self._last = max(self._last, (number >> 22 << 22) | (self._lane << 16) | 0xFFFF)


def first_at(now: float) -> int:
    """The lowest number of that time, in all lanes; 0 before there were any."""
    return max(0, int((now - EPOCH) * 1000)) << 22


def text_of(number: int) -> str:
    """As people see it: "1f3k9q0000g0"."""
    high, low = number >> 30, number & 0x3FFF_FFFF
    text = (
        f"{_PAIRS[high >> 30 & 1023]}{_PAIRS[high >> 20 & 1023]}{_PAIRS[high >> 10 & 1023]}"
        f"{_PAIRS[high & 1023]}{_PAIRS[low >> 20]}{_PAIRS[low >> 10 & 1023]}{_PAIRS[low & 1023]}"
    )
    return text.lstrip("0") or "0"


@lru_cache(maxsize=4_096)  # a letter's is asked for with each of its events
def number_of(text: str) -> int:
    """The number of an id. Raises ValueError for what is none."""
    lower = text.lower()
    if not 0 < len(lower) <= 13 or not _LETTERS.issuperset(lower):
        raise ValueError("not an id")
    return int(lower.translate(_DIGITS), 32)
