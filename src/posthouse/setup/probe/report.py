"""The closer look at encryption and names that only a thorough probe takes.

Enters: an endpoint and the net. Leaves: findings: TLS versions by raw hello, DANE, MTA-STS, the
PTR record, SPF and DMARC of the sender. All asked at once, each bounded. Never fails: what can't be
learned is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from posthouse.flow import Endpoint, Finding, Security, Status
from posthouse.net import tlsprobe
from posthouse.net.smtp import SmtpClient
from posthouse.net.stream import Stream
from posthouse.protocol.ports import RELAY_PORT
from posthouse.setup.probe import findings, names
from posthouse.setup.probe.facts import Envelope, Net, Options
from posthouse.setup.probe.session import Session

OPEN_SECONDS: Final = 6.0  # connecting, and where needed the words up to STARTTLS
HELLOS_SECONDS: Final = 20.0  # six hellos, two at a time, at a slow server


async def versions(endpoint: Endpoint, net: Net, options: Options) -> Mapping[str, bool | None]:
    """Which TLS versions the endpoint speaks; {} where it can't be told."""
    try:
        async with asyncio.timeout(HELLOS_SECONDS):
            fresh = _opener(endpoint, net, options)
            return await tlsprobe.probe_versions(fresh, server_name=endpoint.host)
    except TimeoutError:
        return {}


def _opener(endpoint: Endpoint, net: Net, options: Options) -> tlsprobe.OpenStream:
    async def fresh() -> Stream:
        async with asyncio.timeout(OPEN_SECONDS):
            return await _ready_for_hello(endpoint, net, options)

    return fresh


async def _ready_for_hello(endpoint: Endpoint, net: Net, options: Options) -> Stream:
    """A connection on which the next bytes may be a TLS hello."""
    connected = await net.dialer.dial(endpoint.host, endpoint.port, timeout=OPEN_SECONDS)
    if endpoint.security is Security.TLS:
        return connected.stream
    client = SmtpClient(connected.stream)
    await client.greeting()
    await client.ehlo(options.ehlo_name)
    await client.starttls()
    return connected.stream


async def closer(session: Session, domain: str, envelope: Envelope | None) -> list[Finding]:
    """Everything at once."""
    parts = await asyncio.gather(
        _hellos(session),
        _dane(session),
        _mta_sts(session, domain),
        _pointer(session),
        of_sender(session, envelope.sender if envelope else ""),
    )
    return [finding for part in parts for finding in part]


async def _hellos(session: Session) -> tuple[Finding, ...]:
    if session.tls is None:
        return ()
    fresh = _opener(session.endpoint, session.net, session.options)
    try:
        async with asyncio.timeout(HELLOS_SECONDS):
            survey = await tlsprobe.survey(fresh, server_name=session.endpoint.host)
    except TimeoutError:
        return ()
    return findings.of_hellos(survey.spoken, weak_ciphers=survey.weak.accepted)


async def of_sender(session: Session, sender: str, header_from: str = "") -> tuple[Finding, ...]:
    """SPF (RFC 7208) and DMARC (RFC 9989) records, and whether From and envelope agree."""
    envelope_domain = sender.rpartition("@")[2]
    from_domain = header_from.rpartition("@")[2] or envelope_domain
    if not envelope_domain:
        return ()
    spf, dmarc = await asyncio.gather(
        _txt(session, envelope_domain, "v=spf1"),
        _txt(session, f"_dmarc.{from_domain}", "v=dmarc1"),
    )
    params = {"from_domain": from_domain, "envelope_domain": envelope_domain}
    aligned = Status.OK if _related(from_domain, envelope_domain) else Status.WARN
    return (
        _record("spf", envelope_domain, spf),
        _record("dmarc", from_domain, dmarc),
        Finding("alignment", aligned, None, params),
    )


def _related(one: str, other: str) -> bool:
    """Relaxed alignment (RFC 9989), as far as names alone show it: equal, or one below another."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _record(kind: str, domain: str, record: str) -> Finding:
    if record:
        params = {"domain": domain, "record": record[:450]}
        return Finding(f"{kind}_record", Status.OK, None, params)
    return Finding(f"{kind}_missing", Status.WARN, "sender.auth_failed", {"domain": domain})


async def _txt(session: Session, name: str, start: str) -> str:
    answer = await session.net.resolver.ask(name, "TXT")
    return next((r for r in answer.records if r.lower().startswith(start)), "")


async def _dane(session: Session) -> tuple[Finding, ...]:
    name = f"_{session.endpoint.port}._tcp.{session.endpoint.host}"
    answer = await session.net.resolver.ask(name, "TLSA")
    return findings.of_tlsa(name, answer.records, answer.authenticated, session.tls)


async def _mta_sts(session: Session, domain: str) -> tuple[Finding, ...]:
    """Only where mail comes in: RFC 8461 says nothing about submission."""
    if session.endpoint.port != RELAY_PORT or not domain:
        return ()
    answer = await session.net.resolver.ask(f"_mta-sts.{domain}", "TXT")
    return findings.of_mta_sts(domain, answer.records)


async def _pointer(session: Session) -> tuple[Finding, ...]:
    ip = session.connected.address if session.connected else ""
    if not ip or await names.pointer(session.net.resolver, ip):
        return ()
    return (Finding("no_ptr", Status.WARN, "sender.ip_identity", {"ip": ip}),)
