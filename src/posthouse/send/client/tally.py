"""The counts of a run, and why messages were not handed in: kept as it goes, small however many.

Enters: each ``Done``. Leaves: numbers, and groups by cause with one example each. Called by the
command line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from posthouse.letter import Outcome, Result
from posthouse.send.client.facts import Done, Problem, Unusable

OTHER: Final = "other"  # the group of what came when there were too many
EXAMPLES: Final = 3  # messages named for each cause
GROUPS: Final = 100  # kept apart: causes, of which there are about fifty, and fields by name


@dataclass(slots=True)
class Group:
    """Recipients that were not reached for one cause, or messages of which the same is said."""

    id: str  # Cause.id, "problem." and Problem, or OTHER
    for_good: bool
    outcome: Outcome | None = None  # the first
    problem: Unusable | None = None  # with what is true of all of them
    count: int = 0
    where: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What has become of the messages so far."""

    total: int | None = None
    counts: Counter[str] = field(default_factory=Counter)  # Done.status
    recipients: int = 0  # taken by the server
    unsure: int = 0
    groups: dict[str, Group] = field(default_factory=dict)

    def add(self, done: Done) -> None:
        """One more message is over."""
        self.counts[done.status] += 1
        self.unsure += done.unsure
        if done.problem is not None:
            group = self._group(_name(done.problem), done, for_good=True)
            group.problem = _shared(group.problem, done.problem)
            return
        for outcome in done.outcomes:
            if outcome.result is Result.DELIVERED:
                self.recipients += 1
                continue
            for_good = outcome.result is Result.REFUSED
            name = f"{outcome.cause or 'none'} {outcome.result}"
            group = self._group(name, done, for_good=for_good)
            group.outcome = group.outcome or outcome

    def _group(self, name: str, done: Done, *, for_good: bool) -> Group:
        if name not in self.groups and len(self.groups) >= GROUPS:
            name = OTHER
        group = self.groups.setdefault(name, Group(name.split(" ")[0], for_good))
        group.count += 1
        group.for_good = group.for_good and for_good
        if len(group.where) < EXAMPLES and done.where not in group.where:
            group.where.append(done.where)
        return group

    @property
    def over(self) -> int:
        """Messages that are over, in whatever way."""
        return self.counts.total()

    @property
    def bad(self) -> int:
        """Messages that were not handed in, or not to everybody."""
        return sum(self.counts[name] for name in ("refused", "failed", "unusable"))

    @property
    def remaining(self) -> int | None:
        """Messages still to come, where that is known."""
        return None if self.total is None else max(0, self.total - self.over)


def _name(problem: Unusable) -> str:
    """Fields are told apart by name; else a list of bad addresses would be as long as they are."""
    of_field = problem.problem in (Problem.BAD_FIELD, Problem.BAD_HEADER)
    return f"problem.{problem.problem} {problem.params['name'] if of_field else ''}"


def _shared(first: Unusable | None, other: Unusable) -> Unusable:
    if first is None or first.params == other.params:
        return first or other
    both = first.params.items() & other.params.items()
    return Unusable(first.problem, **dict(both))
