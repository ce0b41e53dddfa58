"""What a large receiver would do with mails, by the rules it has published.

Enters: mails as bytes, ``Net``, a receiver's id. Leaves: ``Simulation``: each mail's fate and the
rule behind it. Called by the command line, to show what a missing record costs, and what is gained
once it is there. Only published rules count: what a receiver's filters think of a text, or of an
address, nobody can tell. Nothing fails but KeyError for an unknown receiver.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.protocol import dkim, dmarc, spf
from posthouse.setup.domain import facts
from posthouse.setup.domain.message import Known, MessageReport, explain_message
from posthouse.setup.domain.model import Net

PARALLEL: Final = 20  # mails looked at side by side


class Fate(StrEnum):
    """What becomes of a mail."""

    ACCEPTED = "accepted"
    JUNK = "junk"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # DNS failed: the receiver would put it off


@dataclass(frozen=True, slots=True)
class Judged:
    """One mail. ``rule``: "" where it is accepted, else the rule it breaks."""

    fate: Fate
    rule: str
    cause: str | None = None  # Cause.id


@dataclass(frozen=True, slots=True)
class Simulation:
    """All mails, in the order they were given."""

    receiver: str
    mails: tuple[Judged, ...]

    def count(self, fate: Fate) -> int:
        """How many had that fate."""
        return sum(one.fate is fate for one in self.mails)

    @property
    def rules(self) -> dict[str, int]:
        """How many mails broke each rule."""
        return dict(Counter(one.rule for one in self.mails if one.rule))


async def simulate(
    mails: Sequence[bytes],
    net: Net,
    *,
    receiver: str = "google",
    volume: int = 0,
    known: Known | None = None,
) -> Simulation:
    """Put every mail to the rules. ``volume``: messages the sender sends that receiver a day."""
    rules = [rule for rule in facts.rules() if rule.receiver == receiver]
    if not rules:
        raise KeyError(receiver)
    asked = {rule.rule for rule in rules if rule.volume <= volume}
    slots = asyncio.Semaphore(PARALLEL)

    async def one(raw: bytes) -> Judged:
        async with slots:
            return judge(await explain_message(raw, net, known), asked)

    return Simulation(receiver, tuple(await asyncio.gather(*(one(raw) for raw in mails))))


def judge(report: MessageReport, asked: set[str]) -> Judged:
    """One mail, by the rules that are asked of its sender."""
    failed = "sender.auth_failed"
    signed = report.dkim.code is dkim.Code.PASS
    allowed = report.spf is not None and report.spf.code is spf.Code.PASS
    unsure = report.dkim.code is dkim.Code.TEMPERROR or (
        report.spf is not None and report.spf.code is spf.Code.TEMPERROR
    )
    missing = [
        rule
        for rule, kept in (
            ("spf_or_dkim", signed or allowed),
            ("spf", allowed),
            ("dkim", signed),
            ("alignment", report.dmarc.code in (dmarc.Code.PASS, dmarc.Code.NONE)),
        )
        if rule in asked and not kept
    ]
    if any(one.finding.id == "domain.message_fields" for one in report.items) and "format" in asked:
        return Judged(Fate.REFUSED, "format", "msg.malformed")
    if (missing and unsure) or report.dmarc.code is dmarc.Code.TEMPERROR:
        return Judged(Fate.UNKNOWN, missing[0] if missing else "dmarc")
    if missing:
        return Judged(Fate.REFUSED, missing[0], failed)
    return _by_policy(report)


def _by_policy(report: MessageReport) -> Judged:
    """What the domain itself asks for. A receiver of this kind does as it is asked."""
    if report.dmarc.code is not dmarc.Code.FAIL:
        return Judged(Fate.ACCEPTED, "")
    fate = {
        dmarc.Action.REJECT: Fate.REFUSED,
        dmarc.Action.QUARANTINE: Fate.JUNK,
        dmarc.Action.NONE: Fate.ACCEPTED,
    }[report.dmarc.disposition]
    return Judged(fate, "dmarc", "sender.auth_failed" if fate is not Fate.ACCEPTED else None)
