"""What a line is like, where rules and codes leave doubt: the examples whose words it shares.

Enters: the keys of a line (``words.split``). Leaves: points for causes, by how much more often a
key stands in a cause's examples than elsewhere. ``learn`` makes the table of ``rules/examples.txt``
when the index is built; ``Table`` reads it for a line. Called by ``build`` and by ``engine``.

Rules come first, since they say why; this only breaks doubt, so its points are worth less than
any clear rule's. It speaks no language: a word of any tongue counts once examples have it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

SEEN_TWICE: Final = 2  # examples a key must stand in: one is chance
TELLING: Final = 0.5  # log odds a key must have for a cause: below that it tells nothing
UNSEEN: Final = 0.3  # added to every count, so that what was not seen is rare, not impossible
WORTH: Final = 0.2  # points for one unit of log odds: ten like words weigh less than a clear rule
SCALE: Final = 100  # the table keeps whole numbers: hundredths of a point


def learn(examples: Sequence[tuple[Iterable[str], str]], causes: Sequence[str]) -> dict[str, str]:
    """For each telling key "cause points cause points ...", causes by their place in ``causes``."""
    known = [(set(filter(tells, keys)), cause) for keys, cause in examples]
    total = Counter(cause for _, cause in known)
    everywhere = Counter(key for keys, _ in known for key in keys)
    within = Counter((key, cause) for keys, cause in known for key in keys)
    table: dict[str, list[str]] = {}
    for (key, cause), count in sorted(within.items()):
        if everywhere[key] < SEEN_TWICE:
            continue
        here = (count + UNSEEN) / (total[cause] + 2 * UNSEEN)
        others = len(known) - total[cause]
        there = (everywhere[key] - count + UNSEEN) / (others + 2 * UNSEEN)
        odds = math.log(here / there)
        if odds > TELLING:
            points = round(odds * WORTH * SCALE)
            table.setdefault(key, []).append(f"{causes.index(cause)} {points}")
    return {key: " ".join(pairs) for key, pairs in table.items()}


def tells(key: str) -> bool:
    """Numbers and single letters are chance."""
    return len(key) > 1 and not key.isdigit()


class Table:
    """The table read from the index, each key opened when first met."""

    __slots__ = ("_causes", "_folded", "_opened")

    def __init__(self, folded: Mapping[str, str], causes: Sequence[str]) -> None:
        self._folded = folded
        self._causes = causes
        self._opened: dict[str, tuple[tuple[str, float], ...]] = {}

    def add(self, keys: Iterable[str], scores: dict[str, float]) -> None:
        """Put the points of a line's keys on the scores of causes."""
        folded, opened = self._folded, self._opened
        for key in set(keys):
            if key in folded:
                for cause, worth in opened.get(key) or self._open(key):
                    scores[cause] = scores.get(cause, 0.0) + worth

    def telling(self, keys: Iterable[str], cause: str) -> list[str]:
        """The keys that speak for a cause, the clearest first."""
        shares = [
            (-worth, key)
            for key in set(keys)
            if key in self._folded
            for name, worth in self._opened.get(key) or self._open(key)
            if name == cause
        ]
        return [key for _, key in sorted(shares)]

    def _open(self, key: str) -> tuple[tuple[str, float], ...]:
        pairs = iter(self._folded[key].split())
        found = tuple((self._causes[int(number)], int(next(pairs)) / SCALE) for number in pairs)
        self._opened[key] = found
        return found
