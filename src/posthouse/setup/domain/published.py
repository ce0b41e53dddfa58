"""What a domain publishes for mail programs: SRV, autoconfig, PACC, Autodiscover.

Enters: the domain, and the scene to ask with. Leaves: ``Published``, one for each source that says
something or fails to. Called by the discovery check. Documents are fetched only from hosts that
exist, only over HTTPS, with an address that nobody has. Nothing fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from posthouse.flow import Endpoint, NetworkFailure, Security
from posthouse.net.http import HttpAnswer
from posthouse.protocol.discovery import autoconfig, autodiscover_pox, pacc, srv
from posthouse.protocol.discovery.offer import MAX_DOCUMENT, DiscoveryError, Incoming, Offer
from posthouse.setup.domain.scene import Scene

MAILBOX: Final = "posthouse-audit"  # documents are made for an address; nobody's, here
SERVICES: Final = (*srv.SERVICES, *srv.INCOMING_SERVICES)
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Published:
    """What one source says.

    ``problem``: "" or why it says nothing that can be used: "unreadable", "untrusted", "failed",
    "dns", "digest". ``note``: "not_offered", "no_digest", "exchange".
    """

    source: str  # "srv", "autoconfig", "pacc", "autodiscover"
    where: str  # URL or name
    outgoing: tuple[Endpoint, ...] = ()
    incoming: tuple[Incoming, ...] = ()
    problem: str = ""
    detail: str = ""
    note: str = ""


async def published(scene: Scene) -> tuple[Published, ...]:
    """All sources at once; silent ones are left out."""
    parts = await asyncio.gather(
        *(_service(scene, service) for service in SERVICES),
        _autoconfig(scene),
        _pacc(scene),
        _autodiscover(scene),
    )
    return tuple(one for one in parts if one is not None)


async def _service(scene: Scene, service: str) -> Published | None:
    answer = await scene.budget.ask(srv.name(service, scene.domain), "SRV")
    if answer.failed:
        return Published("srv", answer.name, problem="dns", detail=answer.status.value)
    rows, errors = srv.parse_all(answer.records)
    if srv.not_offered(rows):
        return Published("srv", answer.name, note="not_offered")
    good = [row for row in rows if row.target != srv.NOT_OFFERED]
    if not good:
        detail = errors[0].detail if errors else ""
        broken = Published("srv", answer.name, problem="unreadable", detail=detail)
        return broken if errors else None
    detail = errors[0].detail if errors else ""
    if service in srv.SERVICES:
        found = tuple(_mode(srv.offer(row, service, "").endpoint) for row in good)
        return Published("srv", answer.name, outgoing=found, detail=detail)
    incoming = tuple(srv.incoming(row, service) for row in good)
    return Published("srv", answer.name, incoming=incoming, detail=detail)


def _mode(endpoint: Endpoint) -> Endpoint:
    """465 has one mode, whatever the record's label says (RFC 8314 section 3.3)."""
    implicit = endpoint.port == 465
    return Endpoint(endpoint.host, endpoint.port, Security.TLS) if implicit else endpoint


async def _exists(scene: Scene, host: str) -> bool:
    return any(answer.records for answer in await scene.exists(host))


Fetch = Callable[[], Awaitable[HttpAnswer]]
Read = Callable[[bytes], Published]


async def _document(
    scene: Scene, source: str, url: str, fetch: Fetch, read: Read
) -> Published | None:
    """One document, fetched and read; None where the server has none."""
    plain = url.partition("?")[0]
    try:
        async with asyncio.timeout(scene.budget.left or 0.001):
            answer = await fetch()
    except NetworkFailure as failure:
        return Published(source, plain, problem="failed", detail=failure.failure.value)
    except TimeoutError:
        return Published(source, plain, problem="failed", detail="timeout")
    if answer.status != _OK:
        return None
    if not answer.tls_trusted:
        return Published(source, plain, problem="untrusted")
    try:
        return read(answer.body)
    except DiscoveryError as error:
        return Published(source, plain, problem="unreadable", detail=error.reason)


def _endpoints(offers: tuple[Offer, ...]) -> tuple[Endpoint, ...]:
    return tuple(offer.endpoint for offer in offers)


async def _autoconfig(scene: Scene) -> Published | None:
    """The domain's own host first, then the well-known place of its web server."""
    address = f"{MAILBOX}@{scene.domain}"
    hosts = (f"autoconfig.{scene.domain}", scene.domain)
    for host, url in zip(hosts, autoconfig.urls(address), strict=False):
        if not await _exists(scene, host):
            continue

        def read(body: bytes, where: str = url) -> Published:
            found = autoconfig.parse(body, address=address)
            plain = where.partition("?")[0]
            return Published("autoconfig", plain, _endpoints(found.outgoing), found.incoming)

        def fetch(where: str = url) -> Awaitable[HttpAnswer]:
            return scene.net.http.get(where, limit=MAX_DOCUMENT)

        found = await _document(scene, "autoconfig", url, fetch, read)
        if found is not None and (host != scene.domain or not found.problem):
            return found  # a web server that fails is no autoconfig that fails
    return None


async def _pacc(scene: Scene) -> Published | None:
    digest, exists = await asyncio.gather(
        scene.budget.ask(pacc.digest_name(scene.domain), "TXT"),
        _exists(scene, f"ua-auto-config.{scene.domain}"),
    )
    if not exists:
        return None
    url = pacc.urls(scene.domain)[0]

    def read(body: bytes) -> Published:
        verdict = pacc.verify(body, digest.records)
        if verdict is pacc.Digest.MISMATCH:
            return Published("pacc", url, problem="digest")
        found = pacc.parse(body, address=f"{MAILBOX}@{scene.domain}")
        note = "" if verdict is pacc.Digest.MATCH else "no_digest"
        return Published("pacc", url, _endpoints(found.outgoing), found.incoming, note=note)

    def fetch() -> Awaitable[HttpAnswer]:
        return scene.net.http.get(url, limit=MAX_DOCUMENT)

    return await _document(scene, "pacc", url, fetch, read)


async def _autodiscover(scene: Scene) -> Published | None:
    """Microsoft's XML, at the domain's own host. A redirect is no answer of the domain's."""
    address = f"{MAILBOX}@{scene.domain}"
    host = f"autodiscover.{scene.domain}"
    own = [url for url in autodiscover_pox.urls(scene.domain) if f"//{host}/" in url]
    if not own or not await _exists(scene, host):
        return None

    def read(body: bytes) -> Published:
        found = autodiscover_pox.parse(body, address=address)
        note = "exchange" if found.exchange else ""
        outgoing = _endpoints(found.outgoing)
        return Published("autodiscover", own[0], outgoing, found.incoming, note=note)

    def fetch() -> Awaitable[HttpAnswer]:
        return scene.net.http.post(
            own[0],
            autodiscover_pox.request(address),
            limit=MAX_DOCUMENT,
            headers={"Content-Type": autodiscover_pox.CONTENT_TYPE},
            redirects=0,
        )

    return await _document(scene, "autodiscover", own[0], fetch, read)
