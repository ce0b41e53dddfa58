"""Who runs the domain's DNS: the weakest of hints at who runs its mail.

Enters: a query. Leaves: the servers of the provider that usually goes with those name servers,
marked as a hint. Fails: never; a DNS failure is in the report.
"""

from __future__ import annotations

from posthouse import directory
from posthouse.flow import Security
from posthouse.setup.find.model import Claim, Found, Net, Quality, Query, Source
from posthouse.setup.find.sources import listed, records


async def ask(query: Query, net: Net) -> Found:
    """Look up NS and ask the directory."""
    answer = await net.resolver.ask(query.domain, "NS")
    failed = records.failure(answer)
    if failed is not None:
        return failed
    for row in sorted(answer.records[: records.RECORDS_READ]):
        host = records.host(row)
        provider = directory.by_ns(host)
        if provider is None:
            continue
        where = f"{records.where(answer)} {host}"
        evidence = listed.evidence(
            Source.NS,
            provider,
            Quality.PLAIN,
            where,
            checked=net.clock.now(),
            dnssec=answer.authenticated,
        )
        return Found(
            tuple(
                Claim(s.endpoint, evidence, auth=s.auth)
                for s in provider.servers
                if s.endpoint.security is not Security.NONE
            )
        )
    return Found()
