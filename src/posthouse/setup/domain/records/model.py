"""The facts of a plan: what shall stand in DNS, what stands there now, what to change when.

Enters and leaves: nothing but these frozen shapes. Nothing here asks anybody, and nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dmarc import Plan as Rollout

TTL: Final = 3_600  # seconds; short enough to take a mistake back within the hour


class Change(StrEnum):
    """What is to be done about one record."""

    ADD = "add"
    CHANGE = "change"  # one that stands there is replaced
    REMOVE = "remove"
    SAME = "same"
    UNKNOWN = "unknown"  # DNS did not say what stands there


class Stage(IntEnum):
    """The order of publication: nothing may be announced before it works."""

    HOSTS = 1  # names and addresses
    SENDERS = 2  # SPF and DKIM: who may send
    SERVERS = 3  # MX and SRV: where to connect
    REPORTS = 4  # TLS-RPT, before anything can fail by policy
    POLICY = 5  # DMARC, MTA-STS, DANE: what to do with the rest
    BRAND = 6  # BIMI
    LATER = 7  # what goes once nobody needs it any more


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``name`` has no last dot; ``value`` is in presentation form, a TXT its text."""

    name: str
    type: str
    value: str
    ttl: int = TTL


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the plan.

    ``live`` is what stands there now: for CHANGE the value that is replaced. ``why`` is the id of
    the words, "records.why.<why>", filled with ``params``.
    """

    section: str  # "spf", "dkim", "dmarc", "mta_sts", "tls_rpt", "dane", "srv", "mx", "host"...
    record: Record
    change: Change
    why: str
    stage: Stage
    live: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """The record shall stand when the plan is carried out."""
        return self.change is not Change.REMOVE


@dataclass(frozen=True, slots=True)
class File:
    """A file that a web server has to show before the record that announces it."""

    name: str
    content: bytes
    url: str
    why: str
    stage: Stage = Stage.HOSTS


@dataclass(frozen=True, slots=True)
class Cover:
    """One place mail leaves from, and whether SPF lets it. None: could not be determined."""

    address: str  # an address or a range
    source: str  # where the inventory has it: "addresses", the name of a host
    live: bool | None
    planned: bool | None


@dataclass(frozen=True, slots=True)
class SpfSummary:
    """What SPF costs, now and as planned. ``costs``: lookups of each term that asks DNS."""

    live_lookups: int | None = None
    lookups: int | None = None
    limit: int = 10
    costs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All there is to publish for one domain. ``entries`` are in the order of publication.

    ``elsewhere`` are records that others must publish: the owner of an address (PTR), the domain
    that receives reports. ``rollout`` is the next step of DMARC, with what stands before it.
    """

    domain: str
    entries: tuple[Entry, ...]
    files: tuple[File, ...] = ()
    elsewhere: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = ()
    coverage: tuple[Cover, ...] = ()
    spf: SpfSummary = field(default_factory=SpfSummary)
    rollout: Rollout | None = None

    @property
    def changes(self) -> tuple[Entry, ...]:
        """What is not yet as it shall be."""
        return tuple(one for one in self.entries if one.change is not Change.SAME)

    @property
    def uncovered(self) -> tuple[Cover, ...]:
        """Places mail leaves from that the SPF record of now does not let send."""
        return tuple(one for one in self.coverage if one.live is False)

    @property
    def sure(self) -> bool:
        """DNS answered everything, so that the plan can be carried out."""
        unsure = any(one.change is Change.UNKNOWN for one in self.entries)
        return not unsure and all(one.status is not Status.UNKNOWN for one in self.findings)


# Every id of a finding of a plan, with the params its words may use.
FINDING_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "records.live_failed": ("name", "type", "status"),
    "records.egress_uncovered": ("addresses", "count", "total"),
    "records.egress_unresolved": ("host", "status"),
    "records.spf_none": ("domain",),
    "records.spf_several": ("count",),
    "records.spf_broken": ("terms",),
    "records.spf_dead": ("term", "name"),
    "records.spf_renamed": ("term", "right"),
    "records.spf_over": ("count", "limit", "terms"),
    "records.spf_flattened": ("terms", "count"),
    "records.spf_unclaimed": ("terms",),
    "records.spf_not_there": ("term",),
    "records.spf_open_end": ("end",),
    "records.spf_strict": (),
    "records.spf_not_strict": ("reasons",),
    "records.dkim_none": (),
    "records.service_needs": ("service", "params", "source"),
    "records.alias": ("name", "target"),
    "records.dmarc_no_reports": (),
    "records.dmarc_waits": ("stage", "goal", "reasons"),
    "records.dmarc_lists": (),
    "records.dmarc_external": ("address", "name"),
    "records.dmarc_broken": ("tags",),
    "records.reports_unread": ("count", "file", "reason"),
    "records.sts_no_mx": (),
    "records.sts_no_host": ("name",),
    "records.sts_mode": ("live", "wanted"),
    "records.dane_unseen": ("host", "port"),
    "records.dane_unsigned": ("host",),
    "records.dane_foreign": ("host",),
    "records.dane_roll": ("host", "wait"),
    "records.bimi_waits": ("policy",),
    "records.alias_target": ("name", "type", "host"),
    "records.ptr": ("address", "host", "names"),
}

# Every id of a reason for a record, with the params its words may use.
WHY_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "host": (),
    "name": (),
    "ptr": (),
    "spf": (),
    "spf_nobody": (),
    "dkim": ("selector",),
    "dkim_alias": ("selector",),
    "dkim_old": ("selector", "until"),
    "dkim_gone": (),
    "dkim_service": ("service",),
    "return_path": ("service",),
    "ownership": ("service",),
    "service": ("service",),
    "mx": (),
    "mx_null": (),
    "srv": ("service",),
    "srv_none": ("service",),
    "tls_rpt": (),
    "dmarc_none": (),
    "dmarc_quarantine": (),
    "dmarc_reject": (),
    "dmarc_nobody": (),
    "report_permission": (),
    "sts_host": (),
    "sts_file": (),
    "sts_record": (),
    "dane": ("host",),
    "bimi": (),
    "one_only": (),
    "not_wanted": (),
    "alias_alone": (),
}


def finding(id_: str, status: Status, /, **params: Any) -> Finding:
    """One finding; its params are those ``FINDING_IDS`` names."""
    return Finding(f"records.{id_}", status, None, params)
