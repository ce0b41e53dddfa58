"""What the domain publishes in SRV records.

Enters: a query. Leaves: targets in the order to try them, ``_submissions`` (TLS from the first
byte) before ``_submission`` (RFC 8314 section 5.1), priority and weight as RFC 2782 wants them; a
finding where the domain says that a service is not offered (RFC 6186 section 3.4). Fails: never; a
DNS failure is in the report.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from posthouse.flow import Endpoint, Finding, Security, Status
from posthouse.net.resolver import Answer
from posthouse.protocol.discovery import srv
from posthouse.setup.find import trust
from posthouse.setup.find.model import Claim, Evidence, Found, Net, Quality, Query, Source, State
from posthouse.setup.find.sources import records


async def ask(query: Query, net: Net) -> Found:
    """Look up both services at once."""
    answers = await asyncio.gather(
        *(net.resolver.ask(srv.name(service, query.domain), "SRV") for service in srv.SERVICES)
    )
    parts = [
        _one(query, net, service, answer)
        for service, answer in zip(srv.SERVICES, answers, strict=True)
    ]
    claims = tuple(c for part in parts for c in part.claims)
    findings = tuple(f for part in parts for f in part.findings)
    if claims:
        return Found(claims, findings)
    failed = next((p for p in parts if p.state in (State.FAILED, State.TIMED_OUT)), None)
    return replace(failed or Found(), findings=findings)


def _one(query: Query, net: Net, service: str, answer: Answer) -> Found:
    failed = records.failure(answer)
    if failed is not None:
        return failed
    rows, errors = srv.parse_all(answer.records[: records.RECORDS_READ])
    params = {"name": answer.name}
    if srv.not_offered(rows):
        return Found(findings=(Finding("srv_not_offered", Status.WARN, None, params),))
    bad = [
        Finding("srv_unreadable", Status.WARN, None, params | {"record": e.detail}) for e in errors
    ]
    quality = Quality.SIGNED if answer.authenticated else Quality.PLAIN
    evidence = Evidence(
        source=Source.SRV,
        where=records.where(answer),
        trust=trust.word(Source.SRV, quality),
        checked=net.clock.now(),
        dnssec=answer.authenticated,
        quality=quality,
    )
    # No user name: SRV says nothing of it (RFC 6186 section 4).
    return Found(
        tuple(
            Claim(_endpoint(srv.offer(row, service, query.address).endpoint), evidence)
            for row in srv.order(rows, net.pick)
        ),
        tuple(bad),
    )


def _endpoint(endpoint: Endpoint) -> Endpoint:
    """465 has one mode whatever the record's label says (RFC 8314 section 3.3)."""
    return replace(endpoint, security=Security.TLS) if endpoint.port == 465 else endpoint
