"""What a domain tells mail programs: do its sources agree, and do the servers exist and fit?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

from posthouse import directory
from posthouse.flow import Endpoint, Finding, Security, Status
from posthouse.protocol.discovery import srv
from posthouse.protocol.dns import Answer
from posthouse.setup.domain import look, zone
from posthouse.setup.domain.checks.common import finding, items
from posthouse.setup.domain.checks.transport import shown
from posthouse.setup.domain.model import Checked
from posthouse.setup.domain.published import Published, published
from posthouse.setup.domain.scene import Scene

SERVERS_LIMIT: Final = 4  # submission servers connected to
_RELAY: Final = 25
_PROBLEMS: Final = {
    "unreadable": Status.FAIL,
    "untrusted": Status.FAIL,
    "digest": Status.FAIL,
    "failed": Status.UNKNOWN,
    "dns": Status.UNKNOWN,
}


async def check_discovery(scene: Scene) -> Checked:
    """The linter of autoconfiguration."""
    sources, guess = await asyncio.gather(published(scene), scene.exists(f"smtp.{scene.domain}"))
    outgoing = [(one, endpoint) for one in sources for endpoint in one.outgoing]
    found = [each for one in sources for each in _of_source(one)]
    found += _agree(sources)
    found += [each for one, endpoint in outgoing for each in _plain(one, endpoint)]
    found += await _hosts(scene, sources)
    looks: tuple[look.Look, ...] = ()
    if scene.options.connect and outgoing:
        looks = await _looks(scene, [endpoint for _, endpoint in outgoing])
        found += [each for one in looks for each in judge(one)]
    found += await _guessed(scene, bool(outgoing), guess)
    proposal = await _proposal(scene)

    def mend(each: Finding) -> Sequence[str]:
        return proposal if each.id in ("domain.discovery_none", "domain.guess_missing") else ()

    facts = {
        "sources": [_shown(one) for one in sources],
        "servers": [shown(one) for one in looks],
    }
    unique = {(each.id, repr(sorted(each.params.items(), key=str))): each for each in found}
    made = items("discovery", unique.values(), scene, types=("SRV", "A", "AAAA"), mend=mend)
    return Checked("discovery", made, facts)


def _shown(one: Published) -> dict[str, Any]:
    return {
        "source": one.source,
        "where": one.where,
        "outgoing": [_text(endpoint) for endpoint in one.outgoing],
        "incoming": [f"{i.protocol} {i.host}:{i.port} {i.security.value}" for i in one.incoming],
        "problem": one.problem,
        "note": one.note,
    }


def _text(endpoint: Endpoint) -> str:
    return f"{endpoint.host}:{endpoint.port} {endpoint.security.value}"


def _of_source(one: Published) -> Iterable[Finding]:
    known = {"source": one.source, "where": one.where}
    if one.problem:
        params = {**known, "detail": one.detail}
        yield finding(f"discovery_{one.problem}", _PROBLEMS[one.problem], **params)
    elif one.detail and one.source == "srv":
        yield finding("discovery_unreadable", Status.WARN, detail=one.detail, **known)
    if one.note == "not_offered":
        yield finding("discovery_not_offered", Status.SKIPPED, **known)
    elif one.note == "no_digest":
        yield finding("discovery_no_digest", Status.WARN, **known)


def _agree(sources: Sequence[Published]) -> Iterable[Finding]:
    """All kinds of sources name the same servers, or programs of different makes differ."""
    kinds: dict[str, set[str]] = {}
    for one in sources:
        for endpoint in one.outgoing:
            kinds.setdefault(one.source, set()).add(_text(endpoint))
    if len(kinds) < 2:
        return
    hosts = {kind: {text.partition(":")[0] for text in texts} for kind, texts in kinds.items()}
    values = [f"{kind}: {', '.join(sorted(texts))}" for kind, texts in sorted(kinds.items())]
    first = next(iter(hosts.values()))
    if any(each != first for each in hosts.values()):
        yield finding("discovery_conflict", Status.WARN, values=values)
    elif not set.intersection(*kinds.values()):
        yield finding("discovery_ports_differ", Status.WARN, values=values)
    else:
        yield finding("discovery_agree", Status.OK, sources=sorted(kinds))


def _plain(one: Published, endpoint: Endpoint) -> Iterable[Finding]:
    """RFC 8314: no password without TLS, and 25 is not for clients."""
    params = {"where": one.where, "host": endpoint.host, "port": endpoint.port}
    if endpoint.security is Security.NONE:
        yield finding("discovery_plain", Status.FAIL, "tls.required", **params)
    elif endpoint.port == _RELAY:
        yield finding("discovery_relay_port", Status.WARN, **params)


async def _hosts(scene: Scene, sources: Sequence[Published]) -> list[Finding]:
    """Every server that is named has an address, and SRV does not lead to an alias."""
    named: dict[str, Published] = {}
    for one in sources:
        for host in (*(e.host for e in one.outgoing), *(i.host for i in one.incoming)):
            named.setdefault(host, one)
    pairs = await asyncio.gather(*(scene.ask_all((host,), "A", "AAAA") for host in named))
    found = []
    for (host, one), answers in zip(named.items(), pairs, strict=True):
        known = {"host": host, "source": one.source, "where": one.where}
        if not any(answer.records for answer in answers):
            found.append(_missing(known, answers))
        elif one.source == "srv" and any(a.canonical not in ("", host) for a in answers):
            alias = next(a.canonical for a in answers if a.canonical)  # RFC 2782, "Target"
            found.append(finding("discovery_alias", Status.WARN, target=alias, **known))
        found += [
            finding("discovery_incoming_plain", Status.WARN, port=i.port, **known)
            for i in one.incoming
            if i.host == host and i.security is Security.NONE
        ]
    return found


def _missing(known: dict[str, str], answers: Sequence[Answer]) -> Finding:
    if any(answer.failed for answer in answers):
        return finding("discovery_host_unsure", Status.UNKNOWN, **known)
    return finding("discovery_host_missing", Status.FAIL, "dns.server_name", **known)


async def _looks(scene: Scene, endpoints: Sequence[Endpoint]) -> tuple[look.Look, ...]:
    unique = [e for e in dict.fromkeys(endpoints) if e.security is not Security.NONE]
    return tuple(
        await asyncio.gather(
            *(
                look.look(scene.net, scene.options, e.host, e.port, e.security)
                for e in unique[:SERVERS_LIMIT]
            )
        )
    )


def judge(one: look.Look) -> list[Finding]:
    """A submission server beside what was published about it."""
    known = {"host": one.host, "port": one.port}
    if not one.reached:
        return [finding("server_unreachable", Status.UNKNOWN, failure=one.failure, **known)]
    if one.starttls is False:
        return [finding("server_no_starttls", Status.FAIL, "tls.required", **known)]
    if one.tls is None or one.failure:
        return [finding("server_failed", Status.FAIL, failure=one.failure, **known)]
    found = []
    if not one.tls.trusted:
        problems = [problem.kind.value for problem in one.tls.problems]
        names = list(one.tls.leaf.names) if one.tls.leaf is not None else []
        bad = {"problems": problems, "names": names, **known}
        found.append(finding("server_certificate", Status.FAIL, "tls.certificate", **bad))
    if not one.auth:
        found.append(finding("server_no_login", Status.FAIL, "auth.mechanism", **known))
    if one.auth_plain:
        found.append(finding("server_plain_login", Status.WARN, **known))
    return found or [finding("server_ok", Status.OK, auth=list(one.auth), **known)]


async def _guessed(scene: Scene, any_: bool, guess: Sequence[Answer]) -> list[Finding]:
    """Programs that find nothing try smtp.<domain>."""
    if (await scene.exchanges()).null:
        return []
    exists = any(answer.records for answer in guess)
    host = f"smtp.{scene.domain}"
    if any_ or any(answer.failed for answer in guess):
        return []
    tenant = bool(await _proposal(scene))
    if exists:
        return [finding("discovery_none", Status.SKIPPED, domain=scene.domain)]
    status = Status.WARN if not tenant else Status.SKIPPED
    return [finding("guess_missing", status, host=host, domain=scene.domain)]


async def _proposal(scene: Scene) -> list[str]:
    """SRV records for the servers of the provider that has the domain's mail."""
    for id_ in await scene.providers():
        provider = directory.load(id_) if id_ in directory.ids() else None
        if provider is None or provider.kind is not directory.Kind.TENANT:
            continue
        endpoints = [server.endpoint for server in provider.servers]
        return [line for e in endpoints if (line := _srv_line(scene.domain, e))]
    return []


def _srv_line(domain: str, endpoint: Endpoint) -> str:
    tls = endpoint.security is Security.TLS
    service = srv.SUBMISSIONS if tls else srv.SUBMISSION
    if endpoint.security is Security.NONE:
        return ""
    return zone.srv(srv.name(service, domain), endpoint.host, endpoint.port)
