"""What is looked at after the way has stopped: whatever turns a failure into an answer.

Enters: the session that stopped and why. Leaves: ``Aftermath``: neighbours, names, TLS versions,
the certificate of a server that only old programs can talk to, and how wrong our clock is. No
credential goes anywhere here. Never fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from posthouse.flow import Failure, Finding, NetworkFailure, Stage
from posthouse.net.dial import Family, family_of
from posthouse.net.servertime import ServerTime, clock_verdict, time_in
from posthouse.net.tls import Problem, TlsSession
from posthouse.setup.probe import listing, names, report
from posthouse.setup.probe.around import Around
from posthouse.setup.probe.facts import Delivery, Facts, Names, Neighbour, State, Stop
from posthouse.setup.probe.session import Session
from posthouse.setup.probe.verdict.rule import address_in

WITNESS_SECONDS: Final = 4.0  # for one web server to tell the time
BROKEN_HANDSHAKE: Final = (Failure.TLS_HANDSHAKE, Failure.CLOSED, Failure.RESET)
DATE_PROBLEMS: Final = (Problem.EXPIRED, Problem.NOT_YET_VALID)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Everything learned after the stop."""

    neighbours: tuple[Neighbour, ...] = ()
    names: Names = field(default_factory=Names)
    versions: Mapping[str, bool | None] = field(default_factory=dict)
    tls: TlsSession | None = None
    clock_behind: float | None = None
    broken_family: str = ""  # "IPv6" where it fails and the other one carried us
    findings: tuple[Finding, ...] = ()


def well(session: Session, domain: str) -> Aftermath:
    """Nothing to look for."""
    names = Names(domain=domain, addresses=session.addresses)
    return Aftermath(names=names, tls=session.tls)


async def look(
    session: Session,
    stop: Stop,
    around: Around,
    *,
    delivery: Delivery,
    domain: str,
    header_from: str,
) -> Aftermath:
    """All looks at once. The session is closed already."""
    known = Names(domain=domain, addresses=session.addresses)
    bare = Facts(session.endpoint, stop)
    neighbours, learned, versions, tls, behind, checked = await asyncio.gather(
        around.after(bare, stop),
        names.look_up(
            session.net.resolver,
            known,
            host=session.endpoint.host,
            stop=stop,
            tls=session.tls,
            delivery=delivery,
        ),
        _versions(session, stop),
        _old_tls(session, stop, around),
        _clock(session),
        _checked_by_them(session, stop, delivery.sender, header_from),
    )
    return Aftermath(neighbours, learned, versions, tls, behind, findings=checked)


async def _checked_by_them(
    session: Session, stop: Stop, sender: str, header_from: str
) -> tuple[Finding, ...]:
    """What a receiver that checks the sender's domain, or our address, had in front of it."""
    if stop.cause == "sender.auth_failed":
        return await report.of_sender(session, sender, header_from)
    if stop.cause == "sender.reputation":  # servers go on refusing long after a list lets one go
        return await listing.look_up(session.net.resolver, address_in(stop.text), stop.text)
    return ()


async def _versions(session: Session, stop: Stop) -> Mapping[str, bool | None]:
    """A failed handshake may be one of versions: only raw hellos tell."""
    if stop.stage is not Stage.TLS or stop.failure not in BROKEN_HANDSHAKE:
        return {}
    return await report.versions(session.endpoint, session.net, session.options)


async def _old_tls(session: Session, stop: Stop, around: Around) -> TlsSession | None:
    """The certificate is shown also where only an old handshake gets to it."""
    if stop.stage is not Stage.TLS or stop.failure not in BROKEN_HANDSHAKE:
        return session.tls
    return await around.legacy_tls(session.endpoint)


async def _clock(session: Session) -> float | None:
    """Seconds our clock is behind, where that explains a certificate's dates."""
    tls = session.tls
    if tls is None or not any(tls.problem(kind) for kind in DATE_PROBLEMS):
        return None
    others = list(session.times) or await _web_time(session)
    verdict = clock_verdict(tls, session.net.clock.now(), others, ca_file=session.options.ca_file)
    return verdict.behind.total_seconds() if verdict.explains else None


async def _web_time(session: Session) -> list[ServerTime]:
    """The Date header of the same host's web server (RFC 9110 section 6.6.1), without TLS."""
    if session.net.http is None:
        return []
    url = f"http://{session.endpoint.host}/"
    try:
        async with asyncio.timeout(WITNESS_SECONDS):
            answer = await session.net.http.get(url, limit=1, redirects=0)
    except (NetworkFailure, TimeoutError):
        return []
    told = time_in(answer.headers.get("date", ""))
    return [ServerTime(url, told)] if told else []


async def other_family(session: Session, around: Around, domain: str) -> Aftermath:
    """All went well; does the family work that was not used? Programs may try it first."""
    quiet = well(session, domain)
    connected = session.connected
    families = {family_of(a) for a in session.addresses}
    if connected is None or len(families) < 2:
        return quiet
    other = next(f for f in families if f is not connected.family)
    name = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}[other]
    if any(a.family is other and a.failure for a in connected.attempts):
        return replace(quiet, broken_family=name)
    seen = await around.family(session.endpoint, other)  # it may only have been slower
    broken = "" if seen.state is State.OPEN else name
    return replace(quiet, neighbours=(seen,), broken_family=broken)
