"""Does it get better? The share of one's own mail that fails, day by day, beside a target.

Enters: aggregate reports, a target, the day of the change. Leaves: ``Trend``. Called by the command
line. A pure function of the reports; nothing fails. It promises nothing: how fast receivers forget
is theirs to decide, so what is told is what the reports say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Final

from posthouse.protocol.dmarc.report import AggregateReport, summary

TARGET: Final = 5.0  # of a hundred messages
WINDOW: Final = 7  # days the direction is judged by: a week has all kinds of days
FAR: Final = 365  # days; what is further off is not in sight


@dataclass(frozen=True, slots=True)
class Point:
    """One day. ``share``: messages that failed DMARC, of a hundred."""

    day: date
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Trend:
    """``reached``: the first day from which on every reported day is below the target."""

    points: tuple[Point, ...]
    target: float
    since: date | None
    reached: date | None = None
    expected: int | None = None  # days from the last one on, where it falls and is not there yet

    @property
    def met(self) -> bool:
        """The last day is below the target."""
        return self.reached is not None

    @property
    def days(self) -> int | None:
        """Days from the change to the target."""
        if self.reached is None or self.since is None:
            return None
        return max(0, (self.reached - self.since).days)


def trend(
    reports: Iterable[AggregateReport], *, target: float = TARGET, since: date | None = None
) -> Trend:
    """The failing share of each day with reports; ``since``: the day something was changed."""
    rows = [one for one in summary(reports).days if one.count]
    points = tuple(Point(one.day, one.count, 100 - one.share) for one in rows)
    if since is not None:
        points = tuple(one for one in points if one.day >= since)
    reached = _reached(points, target)
    expected = _expected(points, target) if reached is None else None
    return Trend(points, target, since, reached, expected)


def _reached(points: tuple[Point, ...], target: float) -> date | None:
    found = None
    for one in reversed(points):
        if one.share >= target:
            break
        found = one.day
    return found


def _expected(points: tuple[Point, ...], target: float) -> int | None:
    """By the straight line that fits the last week best."""
    if not points:
        return None
    begin = points[-1].day - timedelta(days=WINDOW)
    rows = [((one.day - begin).days, one.share) for one in points if one.day > begin]
    x = sum(day for day, _ in rows) / len(rows)
    y = sum(share for _, share in rows) / len(rows)
    width = sum((day - x) ** 2 for day, _ in rows)
    if not width:
        return None
    slope = sum((day - x) * (share - y) for day, share in rows) / width
    if slope >= 0:
        return None
    days = ceil((target - y) / slope + x - WINDOW)
    return max(1, days) if days <= FAR else None
