"""Whose tenant the domain is, by its MX records.

Enters: a query. Leaves: the outgoing servers of the provider whose incoming servers the domain
uses, and the MX hosts themselves for ``sources.guess``. Only rules of the directory are applied:
the base domain of an MX says nothing (mxbiz1.qq.com does not mean smtp.qq.com).
Fails: never; a DNS failure is in the report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from posthouse import directory
from posthouse.directory import beside
from posthouse.flow import Finding, Status
from posthouse.net.resolver import Answer, AnswerStatus
from posthouse.setup.find.model import Claim, Found, Net, Query, Source
from posthouse.setup.find.sources import amazon, behind, listed, records

_RECORD: Final = re.compile(r"^(\d{1,5})\s+(\S+)$")


async def ask(query: Query, net: Net) -> Found:
    """Look up MX and apply the directory's tenant rules."""
    answer = await net.resolver.ask(query.domain, "MX")
    failed = records.failure(answer)
    if failed is not None:
        return failed
    if answer.status is AnswerStatus.NXDOMAIN:
        params = {"domain": query.domain}
        finding = Finding("domain_not_found", Status.FAIL, "dns.server_name", params)
        return Found(findings=(finding,), no_domain=True)
    hosts = hosts_of(answer.records)
    if hosts == ("",):
        # RFC 7505 section 3: "." means that the domain takes no mail at all.
        return Found(findings=(Finding("null_mx", Status.WARN, None, _params(query)),))
    return await _by_rules(query, net, answer, hosts)


def hosts_of(rows: Sequence[str]) -> tuple[str, ...]:
    """MX hosts, the preferred one first (RFC 5321 section 5.1)."""
    found = []
    for row in rows[: records.RECORDS_READ]:
        parts = _RECORD.match(row.strip())
        if parts:
            found.append((int(parts[1]), records.host(parts[2])))
    return tuple(dict.fromkeys(host for _, host in sorted(found)))


def _params(query: Query) -> dict[str, str]:
    return {"domain": query.domain}


async def _by_rules(query: Query, net: Net, answer: Answer, hosts: tuple[str, ...]) -> Found:
    for host in hosts:
        region = amazon.region_of(host)
        if region is not None:
            return await amazon.found(query, net, answer, hosts, region)
        match = directory.by_mx(host)
        if match is not None and not match.provider.servers:
            return listed.without_smtp(match.provider)
        if match is not None:
            return Found(_claims(net, answer, host, match), hosts=hosts)
    return await _not_at_home(query, net, hosts)


async def _not_at_home(query: Query, net: Net, hosts: tuple[str, ...]) -> Found:
    """No MX is a mailbox provider's: a filter's, a forwarder's, or one nobody knows."""
    named = next((n for n in map(beside.filter_of, hosts) if n is not None), None)
    if named is not None:
        return await behind.found(query, net, named)
    passing = next((n for n in map(beside.forwarder_of, hosts) if n is not None), None)
    if passing is not None:
        params = _params(query) | {"forwarder": passing}
        return Found(findings=(Finding("forwarder", Status.WARN, None, params),))
    return Found(hosts=hosts)


def _claims(net: Net, answer: Answer, host: str, match: directory.TenantMatch) -> tuple[Claim, ...]:
    rule = listed.QUALITY[match.trust]
    now = net.clock.now()
    return tuple(
        Claim(
            server.endpoint,
            listed.evidence(
                Source.MX,
                match.provider,
                listed.weaker(rule, listed.QUALITY[server.trust]),
                f"{records.where(answer)} {host}",
                checked=now,
                dnssec=answer.authenticated,
            ),
            auth=server.auth,
        )
        for server in match.provider.servers
    )
