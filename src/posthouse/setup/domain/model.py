"""The facts of an audit: what was looked at, how it came out, what proves it and what mends it.

Enters and leaves: nothing but these frozen shapes; every module of ``domain`` speaks them. Nothing
here asks anybody, and nothing can fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.net.clock import Clock
from posthouse.net.dial import Dialer
from posthouse.net.http import Http
from posthouse.net.resolver import Resolver
from posthouse.protocol.dnsbl import Blocklist

QUERIES: Final = 600  # questions of one audit; a domain with five providers needs some 120
SECONDS: Final = 20.0  # one audit; nobody waits longer, and most take less than one


class Verdict(StrEnum):
    """How one thing came out, the best first. Unknown is never shown as good."""

    OK = "ok"
    INFO = "info"  # nothing to do, worth knowing
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"

    @property
    def weight(self) -> int:
        """Higher is worse."""
        return _ORDER.index(self)


_ORDER: Final = tuple(Verdict)
_OF_STATUS: Final = {
    Status.OK: Verdict.OK,
    Status.SKIPPED: Verdict.INFO,
    Status.UNKNOWN: Verdict.UNKNOWN,
    Status.WARN: Verdict.WARN,
    Status.FAIL: Verdict.FAIL,
}


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of several; OK for none."""
    return max(verdicts, key=lambda one: one.weight, default=Verdict.OK)


@dataclass(frozen=True, slots=True)
class Net:
    """What an audit reaches the outside with."""

    resolver: Resolver
    dialer: Dialer
    http: Http
    clock: Clock


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller knows, and how far to go.

    ``egress``: addresses that send for the domain; without them those of its mail servers stand
    in. ``envelope``: domains used in MAIL FROM beside the domain itself. ``message``: one mail the
    domain has sent, as received or as signed. ``signing_keys``: selector -> private key (PEM).
    ``connect``: also talk with mail servers (EHLO, STARTTLS, certificate); nothing is ever sent.
    ``blocklists`` None: those of the directory. ``checks`` empty: all of them.
    """

    egress: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()  # directory ids of services that send, beside those found
    envelope: tuple[str, ...] = ()
    message: bytes | None = None
    signing_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    connect: bool = False
    blocklists: tuple[Blocklist, ...] | None = None
    checks: frozenset[str] = frozenset()
    bimi_selector: str = "default"
    ehlo_name: str = "[127.0.0.1]"
    ca_file: str | None = None
    queries: int = QUERIES
    seconds: float = SECONDS


@dataclass(frozen=True, slots=True)
class Evidence:
    """One answer of DNS that a finding rests on."""

    name: str
    type: str
    status: str
    records: tuple[str, ...] = ()
    ttl: int = 0
    server: str = ""
    authenticated: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One finding of a check. ``publish``: lines of a zone file that mend it."""

    check: str
    finding: Finding
    evidence: tuple[Evidence, ...] = ()
    publish: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """How it came out."""
        return _OF_STATUS[self.finding.status]


@dataclass(frozen=True, slots=True)
class Checked:
    """One check, done. ``facts`` are plain JSON values: what was found, beside what is wrong."""

    name: str
    items: tuple[Item, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """That of the worst finding."""
        return worst([item.verdict for item in self.items])


class Mark(StrEnum):
    """One requirement of a receiver. Never a guessed pass."""

    PASS = "pass"  # noqa: S105  a mark, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing a receiver asks of senders, and whether the domain does it.

    ``why`` is the id of the words ("domain.bulk.why.<why>"). ``volume``: 0 for all senders, else
    the messages a day from which on it is asked.
    """

    receiver: str
    rule: str
    volume: int
    mark: Mark
    why: str
    params: Mapping[str, Any] = field(default_factory=dict)  # plain JSON values
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the audit cost. ``refused``: questions not asked, because the budget was used up."""

    asked: int
    cached: int
    refused: int
    limit: int


@dataclass(frozen=True, slots=True)
class Audit:
    """All that one audit found. ``providers``: directory ids of those who handle its mail."""

    domain: str
    checks: tuple[Checked, ...]
    requirements: tuple[Requirement, ...]
    usage: Usage
    providers: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    egress_given: bool = False
    seconds: float = 0.0

    @property
    def items(self) -> tuple[Item, ...]:
        """All findings, in the order of the checks."""
        return tuple(item for check in self.checks for item in check.items)

    @property
    def verdict(self) -> Verdict:
        """That of the worst finding."""
        return worst([check.verdict for check in self.checks])

    def check(self, name: str) -> Checked | None:
        """The check of that name, where it was made."""
        return next((one for one in self.checks if one.name == name), None)


_EXIT_PROBLEM: Final = 1
_EXIT_UNDETERMINED: Final = 3
_CORE: Final = ("mx", "spf", "dmarc")


def exit_code(audit: Audit, fail_on: Verdict = Verdict.FAIL) -> int:
    """0 fine; 1 a finding at least as bad as ``fail_on``; 3 where DNS did not say enough to tell.

    3 also where a failing DNS hides whether there is a problem at all.
    """
    known = [item.verdict for item in audit.items if item.verdict is not Verdict.UNKNOWN]
    if any(verdict.weight >= fail_on.weight for verdict in known):
        return _EXIT_PROBLEM
    unsure = [
        item
        for item in audit.items
        if item.verdict is Verdict.UNKNOWN
        and item.check in _CORE
        and item.finding.id.endswith(("dns_failed", "unfinished"))
    ]
    cut = any(item.finding.id == "domain.budget" for item in audit.items)
    if unsure or cut:
        return _EXIT_UNDETERMINED
    if fail_on is Verdict.UNKNOWN and len(known) < len(audit.items):
        return _EXIT_PROBLEM
    return 0
