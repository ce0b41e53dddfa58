"""What is wrong, or could be better, in the TLSA records of a domain's mail servers.

Enters: what ``mail_hosts`` and ``lookup`` found, and the chains that servers showed where someone
looked. Leaves: findings, "dane.mismatch" for example; their words are "dane.finding.<rest>".
Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dane.chain import Judged, Outcome
from posthouse.protocol.dane.lookup import HostTlsa, Mx, tlsa_name
from posthouse.protocol.dane.tlsa import Matching, Tlsa, Usage

# RFC 7672 section 3.1, RFC 7671 section 10.1.2: what every client understands and what survives a
# renewal. A CA's key may be named too.
ADVISED: Final = ("3 1 1", "2 1 1", "2 0 1")
SHOWN: Final = 80  # characters of a record

# Every id of a finding, with the params its words may use.
FINDING_IDS: Final = {
    "dane.none": ("host", "name"),
    "dane.some_hosts": ("domain", "with_records", "without"),
    "dane.dns_failed": ("host", "name"),
    "dane.mx_unsigned": ("host", "name"),
    "dane.address_unsigned": ("host",),
    "dane.tlsa_unsigned": ("host", "name"),
    "dane.syntax": ("host", "name", "record", "reason"),
    "dane.pkix_usage": ("host", "name", "record"),
    "dane.unusable": ("host", "name", "record"),
    "dane.not_advised": ("host", "name", "record", "form"),
    "dane.whole": ("host", "name", "form"),
    "dane.sha512_alone": ("host", "name", "form"),
    "dane.mismatch": ("host", "name", "reason"),
    "dane.stale": ("host", "name", "record"),
    "dane.ok": ("host", "name", "kinds"),
}


def finding(id_: str, status: Status, cause: str | None = None, /, **params: Any) -> Finding:
    """One finding; its params are those ``FINDING_IDS`` names."""
    return Finding(f"dane.{id_}", status, cause, params)


def audit(
    mx: Mx,
    hosts: Sequence[HostTlsa],
    chains: Mapping[str, Sequence[bytes]] | None = None,
    at: datetime | None = None,
) -> tuple[Finding, ...]:
    """All there is to say about a domain. ``chains`` by server, where someone looked."""
    found: list[Finding] = []
    for host in hosts:
        judged = None
        if chains is not None and host.host in chains:
            judged = host.judged_by(chains[host.host], mx.domain, at)
        found += audit_host(host, judged)
    having = [host.host for host in hosts if host.texts]
    without = [host.host for host in hosts if host.outcome is Outcome.NO_TLSA]
    if having and without:
        params: dict[str, Any] = {"domain": mx.domain, "with_records": having, "without": without}
        found.append(finding("some_hosts", Status.WARN, **params))
    return tuple(found)


def audit_host(host: HostTlsa, judged: Judged | None = None) -> tuple[Finding, ...]:
    """All there is to say about one server. ``judged``: how its certificates compared."""
    known = {"host": host.host, "name": _name(host)}
    found = [*_way(host, known), *_records(host, known)]
    if judged is not None and host.outcome is None:
        found += _compared(judged, known)
    if host.outcome is None and not any(f.status is Status.FAIL for f in found):
        kinds = list(dict.fromkeys(record.kind for record in host.records))
        found.append(finding("ok", Status.OK, kinds=kinds, **known))
    return tuple(found)


def _name(host: HostTlsa) -> str:
    return host.names[-1] if host.names else tlsa_name(host.base or host.host)


def _way(host: HostTlsa, known: Mapping[str, Any]) -> Iterator[Finding]:
    """What DNSSEC proved on the way to the records."""
    if host.outcome is Outcome.TEMPERROR:
        params = {"host": host.host, "name": host.why}
        yield finding("dns_failed", Status.FAIL, **params)
    elif host.outcome is Outcome.INSECURE and host.texts:
        id_ = "mx_unsigned" if host.why == "mx" else "tlsa_unsigned"
        yield finding(id_, Status.WARN, **known)
    elif host.outcome is Outcome.INSECURE and host.why == "address":
        yield finding("address_unsigned", Status.SKIPPED, host=host.host)
    elif not host.texts:
        yield finding("none", Status.SKIPPED, **known)


def _records(host: HostTlsa, known: Mapping[str, Any]) -> Iterator[Finding]:
    for error in host.errors:
        params = {"record": error.text, "reason": error.reason}
        yield finding("syntax", Status.FAIL, **params, **known)
    for record in host.records:
        yield from _record(record, known)
    digests = {record.matching for record in host.records if record.usable}
    if digests == {Matching.SHA512}:  # RFC 7671 section 10.1.2: not every client knows it
        kind = next(record.kind for record in host.records if record.usable)
        yield finding("sha512_alone", Status.WARN, form=kind, **known)


def _record(record: Tlsa, known: Mapping[str, Any]) -> Iterator[Finding]:
    shown = str(record)[:SHOWN]
    if record.usage in (Usage.PKIX_TA, Usage.PKIX_EE):  # RFC 7672 section 3.1.3
        yield finding("pkix_usage", Status.FAIL, record=shown, **known)
    elif not record.usable:
        yield finding("unusable", Status.FAIL, record=shown, **known)
    elif record.matching == Matching.FULL:  # RFC 7671 section 10.1.2
        yield finding("whole", Status.WARN, form=record.kind, **known)
    elif record.kind.rpartition(" ")[0] not in {kind.rpartition(" ")[0] for kind in ADVISED}:
        yield finding("not_advised", Status.WARN, record=shown, form=record.kind, **known)


def _compared(judged: Judged, known: Mapping[str, Any]) -> Iterator[Finding]:
    if judged.outcome is Outcome.MISMATCH:
        yield finding("mismatch", Status.FAIL, "tls.certificate", reason=judged.reason, **known)
    elif judged.outcome is Outcome.MATCH:
        for record in judged.unmatched:  # a key to come, or one that is gone: both are right once
            yield finding("stale", Status.OK, record=str(record)[:SHOWN], **known)
