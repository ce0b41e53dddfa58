"""Did a repair help? The share of failing messages day by day, against a target.

Enters: the days of a ``Summary``, the day of the repair, a target in percent. Leaves: ``Trend``.
Called by whoever watches a domain. A pure function; nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from posthouse.protocol.dmarc.report.summary import Day

TARGET: Final = 5.0  # of a hundred messages: fewer than that may fail


@dataclass(frozen=True, slots=True)
class Trend:
    """Shares of failing messages, of a hundred, from the day of the repair on.

    ``reached`` is the first day from which all shares are below the target, ``needed`` how many
    days after the repair that was. Days without a message are no points.
    """

    target: float
    since: date
    points: tuple[tuple[date, float], ...] = ()
    reached: date | None = None

    @property
    def needed(self) -> int | None:
        """Days from the repair to the target; None while it is missed."""
        return (self.reached - self.since).days if self.reached is not None else None

    @property
    def met(self) -> bool:
        """The last day is below the target."""
        return self.reached is not None


def trend(days: Iterable[Day], since: date, target: float = TARGET) -> Trend:
    """The trend since a repair."""
    rows = sorted((day.day, 100 - day.share) for day in days if day.count and day.day >= since)
    reached: date | None = None
    for day, share in rows:
        if share >= target:
            reached = None
        elif reached is None:
            reached = day
    return Trend(target, since, tuple(rows), reached)
