"""Names of letters: numbers that grow with time, written short for people and logs.

Enters: the time and a lane. Leaves: an integer that no other letter has, and its text. 41 bits of
milliseconds since 2024 (until 2093), 6 of the lane, 16 of a counter. No randomness: two letters of
one lane differ by time or counter, also after a restart within the same millisecond, since the
counter begins anew only when the millisecond does.
"""

from __future__ import annotations

from typing import Final

EPOCH: Final = 1_704_067_200.0  # 2024-01-01, so that 63 bits last
LANES: Final = 64
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u to misread
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}


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


def text_of(number: int) -> str:
    """As people see it: "1f3k9q0000g0"."""
    letters = []
    while number:
        number, rest = divmod(number, 32)
        letters.append(_ALPHABET[rest])
    return "".join(reversed(letters)) or "0"


def number_of(text: str) -> int:
    """The number of an id. Raises ValueError for what is none."""
    number = 0
    if not 0 < len(text) <= 13:
        raise ValueError("not an id")
    for character in text.lower():
        if character not in _VALUES:
            raise ValueError("not an id")
        number = number * 32 + _VALUES[character]
    return number
