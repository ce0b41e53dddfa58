"""Whether a domain is signed, as far as a validating resolver tells. RFC 4035, RFC 6840 5.7.

Enters: a domain, answers to two to five questions. Leaves: ``Signed`` and findings. The resolver is
believed: its AD bit is its word, a DS record at the parent shows that the domain means to be
signed. Called by the audit of a domain. Nothing fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dns import AnswerStatus, Ask, Query
from posthouse.protocol.host import HostError, to_ascii

CUTS_LIMIT: Final = 4  # names on the way up to where the zone begins
DIGESTS: Final = {"1": "SHA-1", "2": "SHA-256", "4": "SHA-384"}
_OLD_DIGESTS: Final = frozenset(("1", "3"))  # RFC 8624 section 3.3: not to be used
_OLD_ALGORITHMS: Final = frozenset(("1", "3", "5", "6", "7", "12"))  # RFC 8624 section 3.1, SHA-1

# Every id of a finding, with the params its words may use.
FINDING_IDS: Final = {
    "dnssec.signed": ("domain", "zone"),
    "dnssec.unsigned": ("domain",),
    "dnssec.not_validated": ("domain", "zone"),
    "dnssec.broken": ("domain", "zone", "status"),
    "dnssec.dns_failed": ("domain", "status"),
    "dnssec.old_algorithm": ("zone", "record"),
}


@dataclass(frozen=True, slots=True)
class Signed:
    """What DNS says. ``zone`` is where the DS record stands, "" where there is none."""

    domain: str
    authenticated: bool
    status: AnswerStatus
    zone: str = ""
    ds: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def _finding(id_: str, status: Status, /, **params: Any) -> Finding:
    return Finding(f"dnssec.{id_}", status, None, params)


def check(domain: str) -> Query[Signed]:
    """Whether ``domain`` (U-labels are fine) is signed."""
    try:
        name = to_ascii(domain)
    except HostError:
        return Signed(domain, False, AnswerStatus.NXDOMAIN)
    answer = yield Ask(name, "SOA")
    zone, ds, failed = yield from _parent(name, bool(answer.records))
    found = Signed(name, answer.authenticated, answer.status, zone, ds)
    return Signed(*_facts(found), tuple(_findings(found, failed)))


def _facts(found: Signed) -> tuple[str, bool, AnswerStatus, str, tuple[str, ...]]:
    return found.domain, found.authenticated, found.status, found.zone, found.ds


def _parent(name: str, apex: bool) -> Query[tuple[str, tuple[str, ...], bool]]:
    """The zone's DS records: of the name itself; further up where it is no zone of its own."""
    labels = name.split(".")
    failed = False
    for cut in range(1 if apex else min(CUTS_LIMIT, max(1, len(labels) - 1))):
        zone = ".".join(labels[cut:])
        answer = yield Ask(zone, "DS")
        if answer.records:
            return zone, answer.records, False
        failed = failed or answer.failed
    return "", (), failed


def _findings(found: Signed, failed: bool) -> list[Finding]:
    known = {"domain": found.domain, "zone": found.zone}
    status = str(found.status)
    bogus = found.status is AnswerStatus.SERVFAIL
    if bogus and found.ds:
        return [_finding("broken", Status.FAIL, **known, status=status)]
    if found.status in (AnswerStatus.SERVFAIL, AnswerStatus.TIMEOUT, AnswerStatus.REFUSED):
        return [_finding("dns_failed", Status.UNKNOWN, domain=found.domain, status=status)]
    if found.authenticated:
        return [_finding("signed", Status.OK, **known), *_old(found)]
    if found.ds:  # the domain means to be signed; the resolver does not look
        return [_finding("not_validated", Status.UNKNOWN, **known), *_old(found)]
    if failed:
        return [_finding("dns_failed", Status.UNKNOWN, domain=found.domain, status="ds")]
    return [_finding("unsigned", Status.WARN, domain=found.domain)]


def _old(found: Signed) -> list[Finding]:
    """Where every DS record is of a kind that is going away."""
    kinds = [record.split()[1:3] for record in found.ds]
    if not kinds or not all(len(kind) == 2 and _is_old(*kind) for kind in kinds):
        return []
    return [_finding("old_algorithm", Status.WARN, zone=found.zone, record=found.ds[0][:80])]


def _is_old(algorithm: str, digest: str) -> bool:
    return algorithm in _OLD_ALGORITHMS or digest in _OLD_DIGESTS
