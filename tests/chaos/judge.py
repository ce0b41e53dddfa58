"""Why a message arrived more than once: only a kill or a cut at that very moment explains it.

Enters: what the chaos wrote down while it ran (``Record``). Leaves: a reason for each copy beyond
the first, "" where there is none, and what is known of such a message.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from posthouse.send.queue.ids import LANES, number_of

# A worker records a delivery 10 ms and a commit after the 250, in the order in which they came. A
# busy machine takes longer for a commit; then nothing newer of its lane is recorded either.
BEFORE, LONGER = 0.25, 1.5  # seconds from a delivery to the kill that kept it from being recorded
# What was on its way when the worker was killed is taken a moment later; so are its clients told.
AFTER = 0.5  # seconds
AGAIN = 2.0  # seconds from when the disk has room again until what waited for it is recorded
ORPHANED = 6.0  # seconds after which the workers of a killed supervisor have ended by themselves


@dataclass(frozen=True)
class Arrival:
    """One copy that the next hop took."""

    number: int
    letter: str  # the queue's id of it, by the Received line
    at: float
    cut: bool  # taken, and then hung up

    @property
    def lane(self) -> int:
        """Whose letter it is: a part of the id."""
        return lane_of(self.letter)


@dataclass(frozen=True)
class Kill:
    """A worker that was killed, or the supervisor; and the lanes that the worker, or all, had."""

    at: float
    lanes: frozenset[int]
    supervisor: bool = False

    def __str__(self) -> str:
        return f"{'supervisor' if self.supervisor else 'worker'} of {sorted(self.lanes)} killed"


@dataclass
class Record:
    """What happened, in seconds of the monotonic clock."""

    arrivals: list[Arrival] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    full: list[tuple[float, float]] = field(default_factory=list)  # when the disk was
    unsure: dict[int, list[float]] = field(default_factory=dict)  # handed in, and no answer came

    def copies(self) -> dict[int, list[Arrival]]:
        """By number, as they came."""
        found: dict[int, list[Arrival]] = {}
        for arrival in self.arrivals:
            found.setdefault(arrival.number, []).append(arrival)
        return found


def why_again(record: Record, copies: list[Arrival], index: int) -> str:
    """Why one more copy came, although the one before it was there; "" where nothing explains it.

    A letter that is new: the client handed the message in again, for its connection broke when the
    worker that had the other was killed. The same letter again: the next hop itself had hung up
    behind the data; or the worker was killed between the next hop's 250 and the record.
    """
    later = copies[index]
    same = [one for one in copies[:index] if one.letter == later.letter]
    if not same:
        return "handed in again" if broken(record, copies) else ""
    if same[-1].cut:
        return "hung up on"
    return next(filter(None, (unrecorded(record, same[-1], kill) for kill in record.kills)), "")


def unrecorded(record: Record, copy: Arrival, kill: Kill) -> str:
    """How that kill kept the delivery of ``copy`` from being recorded; "" if it did not."""
    gap = kill.at - copy.at
    full = any(a - BEFORE <= copy.at and kill.at <= b + AGAIN for a, b in record.full)
    if copy.lane not in kill.lanes:
        return ""
    if kill.supervisor:  # workers end in good order, and what finds no room then is not recorded
        return "disk full, supervisor killed" if full and gap >= -ORPHANED else ""
    if -AFTER <= gap <= BEFORE:
        return "worker killed before the record"
    if gap < 0 or copy.at < newest_recorded(record, copy.lane, kill.at) - BEFORE:
        return ""
    if full:
        return "disk full, worker killed before the record"
    return "worker killed before the record, which took long" if gap <= LONGER else ""


def newest_recorded(record: Record, lane: int, until: float) -> float:
    """When the next hop took the newest letter of that lane whose first copy was recorded."""
    often = Counter(one.letter for one in record.arrivals)
    taken = (
        one.at
        for one in record.arrivals
        if one.lane == lane and one.at <= until and often[one.letter] == 1 and not one.cut
    )
    return max(taken, default=0.0)


def broken(record: Record, copies: list[Arrival]) -> bool:
    """Whether kills left the client of a message without an answer, as often as it has letters.

    The newest was handed in since the worker of each other one was killed and the client told.
    """
    unsure = record.unsure.get(copies[0].number, [])
    letters = sorted({one.letter for one in copies}, key=number_of)[:-1]
    return len(letters) <= len(unsure) and all(
        any(
            lane_of(letter) in kill.lanes and not kill.supervisor and 0 <= at - kill.at <= AFTER
            for kill in record.kills
            for at in unsure
        )
        for letter in letters
    )


def tale(record: Record, copies: list[Arrival]) -> str:
    """What is known of a message that came without a reason, in seconds from its first copy."""
    first = copies[0].at
    told = [f"{one.letter} of lane {one.lane} {one.at - first:+.3f}" for one in copies]
    told += [f"disk full {a - first:+.3f} to {b - first:+.3f}" for a, b in record.full]
    told += [f"{kill} {kill.at - first:+.3f}" for kill in record.kills]
    told += [f"no answer {at - first:+.3f}" for at in record.unsure.get(copies[0].number, [])]
    return f"{copies[0].number}: {', '.join(told)}"


def lane_of(letter: str) -> int:
    """See ``send/queue/ids.py``."""
    try:
        return number_of(letter) >> 16 & (LANES - 1)
    except ValueError:
        return -1
