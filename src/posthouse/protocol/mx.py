"""The mail servers a domain names, and whether mail can reach them. RFC 5321 section 5.1, RFC 7505.

Enters: a domain, answers to the questions. Leaves: ``MxRecord``, ``Exchanges`` and findings.
``lookup`` takes one question, ``host`` two for each server (they may run side by side), ``survey``
does all in turn. Called by the audit of a domain. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple

from posthouse.flow import Finding, Status
from posthouse.protocol.dns import AnswerStatus, Ask, Query
from posthouse.protocol.host import HostError, parse_ip, to_ascii

HOSTS_LIMIT: Final = 20  # servers looked up; senders give up after some five
CAUSE: Final = "rcpt.domain"
# Where no mail from elsewhere arrives. The ranges for documentation are left out: all examples
# use them.
_INNER: Final = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10"),
    )
)

# Every id of a finding, with the params its words may use.
FINDING_IDS: Final = {
    "mx.dns_failed": ("name", "status"),
    "mx.domain_missing": ("domain",),
    "mx.missing": ("domain",),
    "mx.implicit": ("domain", "addresses"),
    "mx.null": ("domain",),
    "mx.null_among_others": ("domain", "count"),
    "mx.malformed": ("domain", "record"),
    "mx.ip_literal": ("domain", "host"),
    "mx.bad_name": ("domain", "host"),
    "mx.duplicate": ("domain", "host"),
    "mx.alias": ("host", "target"),
    "mx.no_address": ("host",),
    "mx.private": ("host", "addresses"),
    "mx.ok": ("domain", "hosts"),
}


class MxRecord(NamedTuple):
    """One record."""

    preference: int
    host: str  # lower case, no dot at the end; "" is the null MX


@dataclass(frozen=True, slots=True)
class Exchanges:
    """What a domain says about its mail. ``null``: it takes none, and says so (RFC 7505)."""

    domain: str
    status: AnswerStatus
    records: tuple[MxRecord, ...] = ()  # best first
    authenticated: bool = False
    null: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The servers that can be looked up, best first, each once."""
        named = (record.host for record in self.records if _is_name(record.host))
        return tuple(dict.fromkeys(named))[:HOSTS_LIMIT]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One server's addresses."""

    host: str
    addresses: tuple[str, ...] = ()
    alias: str = ""  # where a CNAME led
    findings: tuple[Finding, ...] = ()


def _finding(id_: str, status: Status, /, **params: Any) -> Finding:
    return Finding(f"mx.{id_}", status, CAUSE if status is Status.FAIL else None, params)


def _is_name(host: str) -> bool:
    try:
        return to_ascii(host) == host
    except HostError:
        return False


def lookup(domain: str) -> Query[Exchanges]:
    """The records of a domain (U-labels are fine), and what is wrong with them."""
    try:
        name = to_ascii(domain, underscores=True)
    except HostError:
        missing = _finding("domain_missing", Status.FAIL, domain=domain[:100])
        return Exchanges(domain, AnswerStatus.NXDOMAIN, findings=(missing,))
    answer = yield Ask(name, "MX")
    rows = [(text, _record(text)) for text in answer.records]
    records = tuple(sorted(row for _, row in rows if row is not None))
    null = [record.host for record in records] == [""]
    bad = [_finding("malformed", Status.FAIL, domain=name, record=t[:80]) for t, r in rows if not r]
    if answer.failed:
        status = str(answer.status)
        bad.append(_finding("dns_failed", Status.UNKNOWN, name=name, status=status))
    elif answer.status is AnswerStatus.NXDOMAIN:
        bad.append(_finding("domain_missing", Status.FAIL, domain=name))
    found = [*bad, *_named(name, records, null)]
    return Exchanges(name, answer.status, records, answer.authenticated, null, tuple(found))


def _record(text: str) -> MxRecord | None:
    preference, _, host = text.strip().partition(" ")
    if not (preference.isascii() and preference.isdigit()) or not host.strip():
        return None
    if len(preference) > 5 or int(preference) > 65_535:
        return None
    return MxRecord(int(preference), host.strip().lower().removesuffix("."))


def _named(domain: str, records: Sequence[MxRecord], null: bool) -> Iterator[Finding]:
    """What the records themselves show."""
    if null:
        yield _finding("null", Status.OK, domain=domain)
        return
    hosts = [record.host for record in records]
    if "" in hosts:  # RFC 7505 section 3: it stands alone
        count = len(records) - 1
        yield _finding("null_among_others", Status.FAIL, domain=domain, count=count)
    for host in dict.fromkeys(host for host in hosts if host):
        if parse_ip(host.strip("[]")) is not None:
            yield _finding("ip_literal", Status.FAIL, domain=domain, host=host)
        elif not _is_name(host):
            yield _finding("bad_name", Status.FAIL, domain=domain, host=host[:100])
        if hosts.count(host) > 1:
            yield _finding("duplicate", Status.WARN, domain=domain, host=host)


def host(name: str) -> Query[Exchange]:
    """The addresses of one server, and what is wrong with them."""
    addresses: list[str] = []
    alias, failed = "", ""
    for type_ in ("A", "AAAA"):
        answer = yield Ask(name, type_)
        failed = failed or (str(answer.status) if answer.failed else "")
        alias = alias or (answer.canonical if answer.canonical != name else "")
        addresses += answer.records
    found = []
    if alias:  # RFC 5321 section 5.1, RFC 2181 section 10.3
        found.append(_finding("alias", Status.WARN, host=name, target=alias))
    if not addresses and failed:
        found.append(_finding("dns_failed", Status.UNKNOWN, name=name, status=failed))
    elif not addresses:
        found.append(_finding("no_address", Status.FAIL, host=name))
    inner = [address for address in addresses if _is_inner(address)]
    if inner:
        status = Status.FAIL if len(inner) == len(addresses) else Status.WARN
        found.append(_finding("private", status, host=name, addresses=inner))
    return Exchange(name, tuple(addresses), alias, tuple(found))


def _is_inner(address: str) -> bool:
    plain = parse_ip(address)
    if plain is None:
        return False
    ip = ip_address(plain)
    return any(ip.version == network.version and ip in network for network in _INNER)


def survey(domain: str) -> Query[tuple[Exchanges, tuple[Exchange, ...], tuple[Finding, ...]]]:
    """The domain, its servers, and all findings."""
    exchanges = yield from lookup(domain)
    found = [*exchanges.findings]
    if exchanges.status is AnswerStatus.NODATA:  # RFC 5321 section 5.1: its own address counts
        own = yield from host(exchanges.domain)
        found += implied(exchanges.domain, own)
        return exchanges, (own,), tuple(found)
    servers = []
    for name in exchanges.hosts:
        server = yield from host(name)
        servers.append(server)
        found += server.findings
    if servers and all(finding.status is Status.OK for finding in found):
        found.append(
            _finding("ok", Status.OK, domain=exchanges.domain, hosts=list(exchanges.hosts))
        )
    return exchanges, tuple(servers), tuple(found)


def implied(domain: str, own: Exchange) -> tuple[Finding, ...]:
    """What a domain without MX comes to."""
    if own.addresses:
        addresses = list(own.addresses[:HOSTS_LIMIT])
        return (_finding("implicit", Status.WARN, domain=domain, addresses=addresses),)
    if any(finding.id == "mx.dns_failed" for finding in own.findings):
        return tuple(finding for finding in own.findings if finding.id == "mx.dns_failed")
    return (_finding("missing", Status.FAIL, domain=domain),)
