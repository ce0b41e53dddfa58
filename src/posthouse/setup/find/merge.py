"""From claims to ranked candidates.

Enters: the claims of all sources. Leaves: ``Merged``: candidates in the order they should be tried,
the contradictions between sources, and what was noticed on the way. Called by ``engine`` after
every answer, so that partial results are always whole. Pure; nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from posthouse import directory
from posthouse.flow import CredentialKind, Endpoint, Finding, Security, Status
from posthouse.setup.find import trust
from posthouse.setup.find.conflicts import conflicts
from posthouse.setup.find.model import (
    Candidate,
    Claim,
    Conflict,
    Evidence,
    Quality,
    Source,
    Trust,
)

KNOWS_CREDENTIAL: Final = 90  # points from which a source overrules the directory's provider entry


@dataclass(frozen=True, slots=True)
class Merged:
    """What the claims come to."""

    candidates: tuple[Candidate, ...]
    conflicts: tuple[Conflict, ...]
    findings: tuple[Finding, ...]


def merge(claims: Sequence[Claim], address: str) -> Merged:
    """Rank ``claims`` for ``address`` ("" where a provider was asked for without one)."""
    claims = _judged(claims)
    usable = [c for c in claims if c.endpoint.security is not Security.NONE]
    voices = _voices(usable)
    candidates = [
        _candidate(group, voices[endpoint.host], address)
        for endpoint, group in _by_endpoint(usable).items()
    ]
    ranked = _without_relay(_without_guesses(_ordered(candidates)))
    return Merged(
        tuple(ranked),
        conflicts(claims, ranked[0]) if ranked else (),
        (*_plain_findings(claims, ranked), *_contradictions(claims)),
    )


def settled(claims: Sequence[Claim], best: Candidate, pending: Collection[Source]) -> bool:
    """Whether no answer of the ``pending`` sources can put another host on top."""
    if best.score < trust.PROVING:
        return False
    usable = [c for c in _judged(claims) if c.endpoint.security is not Security.NONE]
    tenant = any(_is_tenant(c) for c in usable)
    if trust.potential(pending, tenant=tenant) >= best.score:
        return False
    coming = {trust.GROUPS[s] for s in pending if s in trust.GROUPS}
    strongest = max((trust.most(s) for s in pending), default=0)
    voices = _voices(usable)
    # Further hosts of the same provider are not rivals: either is right.
    own = best.evidence[0]
    allies = {c.endpoint.host for c in usable if _same_voice(c.evidence, own)}
    rivals = {c.endpoint.host for c in usable} - allies
    return all(
        trust.score(max(strongest, _most(usable, host)), voices[host] | coming) < best.score
        for host in rivals
        if _most(usable, host) >= trust.PROVING
    )


def _same_voice(one: Evidence, other: Evidence) -> bool:
    return (one.source, one.provider) == (other.source, other.provider)


def _most(claims: Iterable[Claim], host: str) -> int:
    return max(trust.points_of(c.evidence) for c in claims if c.endpoint.host == host)


def _judged(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """``claims``, with autoconfig marked where the domain's mail lives with somebody else."""
    tenants = {c.evidence.provider for c in claims if _is_tenant(c)}
    agreed = {c.endpoint.host for c in claims if c.evidence.source in _CONFIRMING}
    mine = [c for c in claims if c.evidence.source is Source.AUTOCONFIG]
    if not tenants or any(_fits(c.endpoint.host, tenants, agreed) for c in mine):
        return tuple(claims)
    return tuple(_contradicted(c) if c.evidence.source is Source.AUTOCONFIG else c for c in claims)


def _is_tenant(claim: Claim) -> bool:
    return claim.evidence.source is Source.MX and trust.points_of(claim.evidence) >= trust.PROVING


_CONFIRMING: Final = (Source.SRV, Source.PACC, Source.MX, Source.ORGANISATION)


def _fits(host: str, tenants: Collection[str | None], agreed: Collection[str]) -> bool:
    if host in agreed:
        return True
    provider = directory.by_host(host)
    return provider is not None and provider.id in tenants


def _contradicted(claim: Claim) -> Claim:
    if claim.evidence.quality is not Quality.PLAIN:
        return claim
    word = trust.word(Source.AUTOCONFIG, Quality.CONTRADICTED)
    return replace(
        claim, evidence=replace(claim.evidence, quality=Quality.CONTRADICTED, trust=word)
    )


def _voices(claims: Iterable[Claim]) -> Mapping[str, frozenset[str]]:
    """Who names each host. RFC 8314's order of ports must not lose to an agreement on 587."""
    by_host: dict[str, list[Evidence]] = {}
    for claim in claims:
        by_host.setdefault(claim.endpoint.host, []).append(claim.evidence)
    return {host: trust.groups(evidence) for host, evidence in by_host.items()}


def _by_endpoint(claims: Iterable[Claim]) -> Mapping[Endpoint, list[Claim]]:
    groups: dict[Endpoint, list[Claim]] = {}
    for claim in claims:
        groups.setdefault(claim.endpoint, []).append(claim)
    return groups


def _candidate(claims: list[Claim], voices: frozenset[str], address: str) -> Candidate:
    claims = sorted(claims, key=lambda c: -trust.points_of(c.evidence))
    best = claims[0].evidence
    points = trust.points_of(best)
    total = trust.score(points, voices)
    provider = _provider(claims)
    return Candidate(
        endpoint=claims[0].endpoint,
        username=_username(claims, provider, address),
        auth=next((c.auth for c in claims if c.auth), ()),
        credential=_credential(claims, provider),
        provider=provider.id if provider else None,
        trust=Trust.CONFIRMED if total > points else best.trust,
        evidence=_one_a_source(c.evidence for c in claims),
        score=total,
    )


def _one_a_source(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    first: dict[tuple[Source, str], Evidence] = {}
    for item in evidence:
        first.setdefault((item.source, item.where), item)
    return tuple(first.values())


def _provider(claims: Sequence[Claim]) -> directory.Provider | None:
    named = next((c.evidence.provider for c in claims if c.evidence.provider), None)
    return directory.load(named) if named else directory.by_host(claims[0].endpoint.host)


def _username(claims: Sequence[Claim], provider: directory.Provider | None, address: str) -> str:
    said = next((c.username for c in claims if c.username), "")
    if said or not provider:
        return said or address  # RFC 6186 section 4: the full address is tried first
    if not address:
        return provider.username.value  # only a fixed name is known without an address
    return provider.username.for_address(address) or ""


def _credential(claims: Sequence[Claim], provider: directory.Provider | None) -> CredentialKind:
    """What discovery calls a password may be an app password or 授权码: the directory knows."""
    said = [c for c in claims if c.credential is not CredentialKind.UNKNOWN]
    if said and trust.points_of(said[0].evidence) >= KNOWS_CREDENTIAL:
        return said[0].credential
    if provider:
        return provider.credential.kinds[0]
    return said[0].credential if said else CredentialKind.UNKNOWN


def _ordered(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By points; then host by host, the host with the best port first (RFC 8314 section 3.3)."""
    place: dict[tuple[int, str], tuple[int, int]] = {}
    for index, one in enumerate(candidates):
        key = (one.score, one.endpoint.host)
        port = trust.preference(one.endpoint)
        known = place.get(key)
        place[key] = (port, index) if known is None else (min(port, known[0]), known[1])
    return sorted(
        candidates,
        key=lambda c: (
            -c.score,
            place[(c.score, c.endpoint.host)],
            trust.preference(c.endpoint),
        ),
    )


def _without_guesses(ranked: list[Candidate]) -> list[Candidate]:
    """Guesses and hints are only shown where nobody knows better."""
    if not any(c.score >= trust.PROVING for c in ranked):
        return ranked
    return [c for c in ranked if c.evidence[0].source not in (Source.GUESS, Source.NS)]


def _without_relay(ranked: list[Candidate]) -> list[Candidate]:
    """Port 25 is for servers (RFC 5068 section 3.1): shown only where there is nothing else."""
    others = [c for c in ranked if c.endpoint.port != trust.RELAY_PORT]
    if any(c.score >= trust.PROVING for c in others):
        return others
    return others + [c for c in ranked if c.endpoint.port == trust.RELAY_PORT]


def _plain_findings(claims: Sequence[Claim], ranked: Sequence[Candidate]) -> list[Finding]:
    """Servers known only without encryption, and a relay port on top."""
    found = []
    encrypted = {c.endpoint.host for c in ranked}
    plain = {
        c.endpoint: c for c in claims if c.endpoint.security is Security.NONE
    }  # the latest word on each is enough
    for endpoint, claim in plain.items():
        if endpoint.host not in encrypted:
            params = {
                "host": endpoint.host,
                "port": endpoint.port,
                "source": claim.evidence.source.value,
            }
            found.append(Finding("plain_only", Status.FAIL, "tls.failed", params))
    if ranked and ranked[0].endpoint.port == trust.RELAY_PORT:
        params = {"host": ranked[0].endpoint.host}
        found.append(Finding("relay_port", Status.WARN, None, params))
    return found


def _contradictions(claims: Sequence[Claim]) -> list[Finding]:
    marked = [c for c in claims if c.evidence.quality is Quality.CONTRADICTED]
    tenant = next((c for c in claims if _is_tenant(c)), None)
    if not marked or tenant is None:
        return []
    params = {
        "host": marked[0].endpoint.host,
        "where": marked[0].evidence.where,
        "provider": tenant.evidence.provider,
        "mail_host": tenant.endpoint.host,
    }
    return [Finding("autoconfig_contradicted", Status.WARN, None, params)]
