"""doctor: what every mail program needs from this computer and its network.

Enters: a resolver, a dialer, HTTP, a clock (or none of them when offline). Leaves: Findings in a
fixed order; their words are in the catalogue under ``doctor``. Called by ``posthouse doctor``.
It signs in nowhere and sends nothing: connections to well-known submission servers are opened and
closed. Nothing can fail but a bug; what could not be looked at is a finding with status unknown.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from posthouse import directory
from posthouse.flow import Failure, Finding, NetworkFailure, Status
from posthouse.net.clock import Clock
from posthouse.net.dial import Dialer, Family
from posthouse.net.http import Http
from posthouse.net.machine import openssl_version, trust_store
from posthouse.net.resolver import AnswerStatus, Resolver
from posthouse.net.servertime import time_in

# Submission servers that answer from nearly everywhere, in two parts of the world, so that one
# that is blocked in a country does not look like a blocked port.
WITNESSES: Final = ("gmail", "qq", "fastmail")
PORTS: Final = (465, 587, 25)
TIME_PAGES: Final = ("http://www.qq.com/", "http://www.gstatic.com/generate_204")
CLOCK_TOLERANCE: Final = timedelta(minutes=10)  # certificates and tokens forgive less than hours
PAGE_LIMIT: Final = 500_000  # octets; only its Date header is read


@dataclass(frozen=True, slots=True)
class Net:
    """What doctor reaches the outside with."""

    resolver: Resolver
    dialer: Dialer
    http: Http
    clock: Clock


async def check(net: Net | None, *, timeout: float = 5.0) -> tuple[Finding, ...]:  # noqa: ASYNC109
    """Look at everything at once. ``net`` None: only at what needs no network."""
    if net is None:
        return (*local(), Finding("doctor.network.skipped", Status.SKIPPED))
    hosts = _witnesses()
    names, signed, clock, ipv6, *ports = await asyncio.gather(
        _dns(net.resolver, hosts),
        _dnssec(net.resolver),
        clock_of(net),
        _ipv6(net.dialer, hosts, timeout),
        *(port_out(net.dialer, port, timeout) for port in PORTS),
    )
    return (*local(), names, signed, clock, *ports, ipv6)


def local() -> tuple[Finding, ...]:
    """What needs no network."""
    return _python(), _trust_store()


def _python() -> Finding:
    params = {"python": platform.python_version(), "openssl": openssl_version()}
    return Finding("doctor.python", Status.OK, params=params)


def _trust_store() -> Finding:
    store = trust_store()
    if store.found:
        return Finding("doctor.trust.ok", Status.OK, params={"place": store.place or "system"})
    return Finding("doctor.trust.empty", Status.FAIL, "tls.certificate")


def _witnesses() -> tuple[str, ...]:
    return tuple(directory.load(name).offered[0].endpoint.host for name in WITNESSES)


async def _dns(resolver: Resolver, hosts: Sequence[str]) -> Finding:
    answers = await asyncio.gather(*(resolver.ask(host, "A") for host in hosts))
    good = [answer for answer in answers if answer.status is AnswerStatus.OK]
    if good:
        return Finding("doctor.dns.ok", Status.OK, params={"resolver": good[0].server})
    worst = answers[0]
    params = {"resolver": worst.server, "answer": str(worst.status), "host": worst.name}
    return Finding("doctor.dns.failed", Status.FAIL, "dns.temporary", params)


async def _dnssec(resolver: Resolver) -> Finding:
    """The root zone is signed: a validating resolver says so by its AD flag (RFC 4035)."""
    answer = await resolver.ask(".", "NS")
    if answer.status is not AnswerStatus.OK:
        return Finding("doctor.dnssec.unknown", Status.UNKNOWN)
    if answer.authenticated:
        return Finding("doctor.dnssec.ok", Status.OK)
    return Finding("doctor.dnssec.none", Status.WARN, params={"resolver": answer.server})


async def clock_of(net: Net) -> Finding:
    """Two servers' Date headers; plain HTTP on purpose, a wrong clock breaks HTTPS."""
    times = [t for t in await asyncio.gather(*(_date(net, url) for url in TIME_PAGES)) if t]
    if not times:
        return Finding("doctor.clock.unknown", Status.UNKNOWN)
    now = net.clock.now()
    off = min((now - moment for moment in times), key=abs)
    params = {"now": now.isoformat(timespec="seconds"), "seconds": round(off.total_seconds())}
    if abs(off) <= CLOCK_TOLERANCE:
        return Finding("doctor.clock.ok", Status.OK, params=params)
    params["time"] = (now - off).isoformat(timespec="seconds")
    return Finding("doctor.clock.wrong", Status.FAIL, "tls.certificate", params)


async def _date(net: Net, url: str) -> datetime | None:
    try:
        answer = await net.http.get(url, limit=PAGE_LIMIT, redirects=0)
    except NetworkFailure:
        return None
    return time_in(answer.headers.get("date", ""))


async def port_out(dialer: Dialer, port: int, seconds: float) -> Finding:
    """Whether a port gets out: one server that answers is enough, even one that refuses."""
    hosts = _witnesses()
    tries = await asyncio.gather(*(_connect(dialer, host, port, seconds, None) for host in hosts))
    params: dict[str, Any] = {"port": port, "hosts": ", ".join(hosts)}
    if "" in tries:
        return Finding("doctor.port.open", Status.OK, params=params)
    failures = set(tries)
    if failures <= {Failure.NAME_NOT_FOUND, Failure.DNS_FAILED, Failure.DNS_TIMEOUT}:
        return Finding("doctor.port.unknown", Status.UNKNOWN, params=params)
    if failures == {Failure.OFFLINE}:
        return Finding("doctor.port.offline", Status.FAIL, "conn.timeout", params)
    # Port 25 is closed on purpose for most people, and nobody needs it to hand in mail.
    status = Status.WARN if port == 25 else Status.FAIL
    name = "doctor.port.relay_blocked" if port == 25 else "doctor.port.blocked"
    return Finding(name, status, "conn.timeout", params)


async def _connect(
    dialer: Dialer, host: str, port: int, seconds: float, family: Family | None
) -> Failure | str:
    try:
        connected = await dialer.dial(host, port, timeout=seconds, family=family)
    except NetworkFailure as failure:
        return failure.failure
    await connected.stream.close()
    return ""


async def _ipv6(dialer: Dialer, hosts: Sequence[str], seconds: float) -> Finding:
    got = [await _connect(dialer, host, 465, seconds, Family.IPV6) for host in hosts[:1]]
    if "" in got:
        return Finding("doctor.ipv6.ok", Status.OK)
    if got[0] in (Failure.TIMEOUT, Failure.DNS_TIMEOUT):
        return Finding("doctor.ipv6.broken", Status.WARN)  # an address, but no way: it costs time
    return Finding("doctor.ipv6.none", Status.OK)


def to_dict(findings: Sequence[Finding], text: Callable[[Finding], str]) -> dict[str, Any]:
    """The answer as plain JSON values; ``text`` gives a finding's words."""
    return {
        "checks": [
            {
                "id": f.id,
                "status": str(f.status),
                "cause": f.cause,
                "params": dict(f.params),
                "text": text(f),
            }
            for f in findings
        ]
    }
