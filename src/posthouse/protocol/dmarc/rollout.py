"""From p=none to p=reject in steps, each earned by report data. RFC 9989 sections 5.1, 7.4.

Enters: the policy published now, since when, and what the aggregate reports say (``Evidence``).
Leaves: ``Plan``: the next step, the text to publish for it, and the ``Blocker``s that stand before
it; ``spf_advice``: whether SPF's ~all may become -all. Called by whoever looks after a domain. All
are pure functions of numbers and days; nothing fails.

A month of watching, then as long in quarantine, then reject; a domain whose people write to
mailing lists should not go that far (section 7.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from posthouse.protocol.dmarc.build import build
from posthouse.protocol.dmarc.record import Action, Policy

MONTH: Final = 30  # days of each stage, and of the evidence
# Of a hundred messages of known senders, how many may fail before going on. Forwarding breaks SPF
# and now and then DKIM, so none at all is out of reach for most.
TOLERATED: Final = 0.5
# Messages below which a share says little.
FEW: Final = 100
# Days with reports that a month needs: large receivers send one every day, others don't.
REPORTED: Final = 20


class Step(StrEnum):
    """What to do now."""

    PUBLISH = "publish"  # no record yet: watch first
    WAIT = "wait"
    QUARANTINE = "quarantine"
    REJECT = "reject"
    STAY = "stay"  # as far as this domain should go
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What reports say about the days of a stage. ``report.evidence`` makes it from reports.

    ``legitimate`` are messages from senders the owner knows, ``failing`` those of them that failed
    DMARC; ``sources`` the addresses that did, with their count. ``unknown`` are failing messages
    nobody has claimed yet: a forgotten newsletter, or a forger.
    """

    days: int = 0  # from the first day reported to the last
    reported: int = 0  # of them, days with at least one report
    legitimate: int = 0
    failing: int = 0
    spf_failing: int = 0  # legitimate messages that SPF itself did not pass
    unknown: int = 0
    unreviewed: int = 0  # sources with ``unknown`` messages nobody has looked at
    lists: int = 0  # messages that reports say came by a mailing list
    sources: tuple[tuple[str, int], ...] = ()

    @property
    def share(self) -> float:
        """Failing of a hundred legitimate messages."""
        return 100 * self.failing / self.legitimate if self.legitimate else 0.0


@dataclass(frozen=True, slots=True)
class Blocker:
    """What stands before the next step. Its words are "dmarc.blocker.<id>"."""

    id: str
    params: Mapping[str, Any]


# Every id a Blocker may have, with the params its words may use.
BLOCKER_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "no_reports": (),
    "too_early": ("days", "needed"),
    "few_reports": ("reported", "needed"),
    "few_messages": ("count", "needed"),
    "failing": ("count", "share", "tolerated", "source"),
    "unreviewed": ("count", "sources"),
    "lists": (),
    "spf_failing": ("count",),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The next step of a domain. ``goal`` is where it stops; ``record`` the text to publish."""

    stage: Action | None  # now; None without a record
    step: Step
    goal: Action
    blockers: tuple[Blocker, ...] = ()
    record: str = ""


def plan(
    policy: Policy | None, days: int, evidence: Evidence, *, uses_lists: bool | None = None
) -> Plan:
    """What to do with a policy that has stood for ``days``.

    ``uses_lists``: the domain's people write to mailing lists; None leaves it to the reports.
    """
    lists = evidence.lists > 0 if uses_lists is None else uses_lists
    goal = Action.QUARANTINE if lists else Action.REJECT
    if policy is None or policy.p is None:
        return Plan(None, Step.PUBLISH, goal)
    if policy.p.strength >= goal.strength and not policy.testing:
        extra = (Blocker("lists", {}),) if lists else ()
        over = policy.p.strength > goal.strength
        step = Step.STAY if lists else Step.DONE
        text = build(replace(policy, p=goal)) if over else ""
        return Plan(policy.p, step, goal, extra, text)
    # Section 4.7: under test, what is published is not applied yet; the next step is to apply it.
    tested = policy.testing and policy.p is not Action.NONE
    following = policy.p if tested else _next(policy.p)
    target = following if following.strength <= goal.strength else goal
    blockers = tuple(_blockers(policy, days, evidence))
    if blockers:
        return Plan(policy.p, Step.WAIT, goal, blockers)
    record = build(replace(policy, p=target, testing=False))
    return Plan(policy.p, Step(target.value), goal, (), record)


def _next(action: Action) -> Action:
    return Action.REJECT if action is Action.QUARANTINE else Action.QUARANTINE


def _blockers(policy: Policy, days: int, evidence: Evidence) -> Iterator[Blocker]:
    if not any(uri.usable for uri in policy.rua):
        yield Blocker("no_reports", {})
    if days < MONTH:
        yield Blocker("too_early", {"days": days, "needed": MONTH})
    yield from _data(evidence)
    if evidence.share > TOLERATED:
        source = evidence.sources[0][0] if evidence.sources else ""
        yield Blocker(
            "failing",
            {
                "count": evidence.failing,
                "share": round(evidence.share, 2),
                "tolerated": TOLERATED,
                "source": source,
            },
        )
    if evidence.unreviewed:
        yield Blocker("unreviewed", {"count": evidence.unknown, "sources": evidence.unreviewed})


def _data(evidence: Evidence) -> Iterator[Blocker]:
    """Whether there is enough to judge by."""
    if evidence.reported < REPORTED:
        yield Blocker("few_reports", {"reported": evidence.reported, "needed": REPORTED})
    if evidence.legitimate < FEW:
        yield Blocker("few_messages", {"count": evidence.legitimate, "needed": FEW})


@dataclass(frozen=True, slots=True)
class SpfAdvice:
    """Whether ~all may become -all: a month of reports, and not one legitimate failure."""

    strict: bool
    blockers: tuple[Blocker, ...] = ()


def spf_advice(evidence: Evidence) -> SpfAdvice:
    """-all makes some receivers refuse before they see a DKIM signature (RFC 9989 section 7.1), so
    a single legitimate message that SPF does not pass speaks against it.
    """
    blockers: list[Blocker] = []
    if evidence.days < MONTH:
        blockers.append(Blocker("too_early", {"days": evidence.days, "needed": MONTH}))
    blockers.extend(_data(evidence))
    if evidence.spf_failing:
        blockers.append(Blocker("spf_failing", {"count": evidence.spf_failing}))
    return SpfAdvice(not blockers, tuple(blockers))
