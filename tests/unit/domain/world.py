"""A small Internet for the audit's tests: tables of DNS and HTTP, and one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posthouse.net.clock import SystemClock
from posthouse.net.dial import MemoryDialer
from posthouse.net.http import FixtureHttp
from posthouse.net.resolver import AnswerStatus, FixtureResolver
from posthouse.protocol.dnsbl import Blocklist, Kind
from posthouse.setup.domain import Audit, Item, Net, Options, audit

Table = Mapping[tuple[str, str], Any]
ZEN = Blocklist(
    "zen", "Zen", "zen.bl.test", Kind.IP, "https://bl.test/", codes={"127.0.0.2": "sbl"}
)
DBL = Blocklist("dbl", "Dbl", "dbl.bl.test", Kind.DOMAIN, "https://bl.test/")
LISTS = (ZEN, DBL)
PROOFS: Table = {
    ("2.0.0.127.zen.bl.test", "A"): ["127.0.0.2"],
    ("test.dbl.bl.test", "A"): ["127.0.1.2"],
}
# A domain in good order, with its own server.
GOOD: Table = {
    ("good.test", "SOA"): ["ns.good.test. h.good.test. 1 2 3 4 5"],
    ("good.test", "MX"): ["10 mx.good.test."],
    ("mx.good.test", "A"): ["198.51.100.25"],
    ("good.test", "TXT"): ["v=spf1 mx -all"],
    ("_dmarc.good.test", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@good.test"],
    ("25.100.51.198.in-addr.arpa", "PTR"): ["mx.good.test."],
    ("_smtp._tls.good.test", "TXT"): ["v=TLSRPTv1; rua=mailto:t@good.test"],
    **PROOFS,
}


def net(table: Table, pages: Mapping[str, Any] | None = None, **more: Any) -> Net:
    """Doubles of everything."""
    resolver = FixtureResolver(dict(table), **more)
    return Net(resolver, MemoryDialer({}), FixtureHttp(dict(pages or {})), SystemClock())


async def look(
    table: Table,
    *checks: str,
    domain: str = "good.test",
    pages: Mapping[str, Any] | None = None,
    authenticated: bool = False,
    **options: Any,
) -> Audit:
    """The audit of a domain, or some of its checks."""
    options.setdefault("blocklists", LISTS)
    around = net({**PROOFS, **table}, pages, authenticated=authenticated)
    return await audit(domain, around, Options(checks=frozenset(checks), **options))


def ids(found: Audit | Sequence[Item]) -> list[str]:
    """The ids of the findings, in their order."""
    items = found.items if isinstance(found, Audit) else found
    return [item.finding.id for item in items]


def verdicts(found: Audit) -> dict[str, str]:
    """id -> verdict."""
    return {item.finding.id: item.verdict.value for item in found.items}


def item(found: Audit, id_: str) -> Item:
    """The first finding of that id."""
    return next(one for one in found.items if one.finding.id == id_)


TIMEOUT, SERVFAIL, REFUSED = AnswerStatus.TIMEOUT, AnswerStatus.SERVFAIL, AnswerStatus.REFUSED
