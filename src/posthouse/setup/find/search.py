"""find: from an address, or a provider's name, to ranked outgoing servers with their evidence.

Enters: an address or a provider id, and ``Net``. Leaves: ``FindResult``. Called by the commands.
Fails: ``ProfileError`` for an organisation's file that can't be used, ``ProviderError`` for an
unknown provider or region; everything else, a bad address included, is in the result.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from posthouse import directory
from posthouse.directory import ses
from posthouse.flow import Finding, Status
from posthouse.protocol.address import Address
from posthouse.setup.find.engine import Observer, Search
from posthouse.setup.find.inputs import read_address
from posthouse.setup.find.model import Claim, FindResult, Found, Net, Outcome, Query, Source
from posthouse.setup.find.sources import NETWORK, listed, profile


class ProviderError(Exception):
    """No such provider or region. ``finding`` says it, with the one that was probably meant."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.id)
        self.finding = finding


async def find(
    address: str,
    net: Net,
    *,
    profile_file: Path | None = None,
    offline: bool = False,
    allow_http: bool = False,
    thorough: bool = False,
    observer: Observer | None = None,
) -> FindResult:
    """All that can be known of the outgoing server of ``address``, within 5 seconds.

    ``observer`` gets a whole partial result after each source's answer, the directory's at once.
    ``offline``: only the file and the directory. ``thorough``: no source is cut short while there
    is time. Raises ProfileError.
    """
    entry = read_address(address)
    if entry.address is None or entry.address.is_literal:
        return FindResult(address, "", findings=entry.findings, outcome=Outcome.NOTHING)
    query = _query(entry.address, allow_http)
    search = Search(query, net, findings=entry.findings, observer=observer, thorough=thorough)
    if profile_file is not None:
        search.take(Source.ORGANISATION, profile.ask(query, profile_file, net.clock.now()), 0.0)
    search.take(Source.DIRECTORY, listed.ask(query), 0.0)
    if offline:
        for source in (*NETWORK, Source.GUESS):
            search.skip(source, "offline")
        search.close()
    else:
        await search.run(NETWORK)
    return search.result()


async def find_provider(
    provider_id: str, net: Net, *, region: str | None = None, address: str = ""
) -> FindResult:
    """The servers of a provider that was asked for by name. Raises ProviderError."""
    provider = _provider(provider_id)
    entry = read_address(address) if address else None
    if entry is not None and entry.address is None:
        return FindResult(address, "", findings=entry.findings, outcome=Outcome.NOTHING)
    known = entry.address if entry else None
    query = Query(known.wire, known.ascii_domain) if known else Query("", "")
    found = _of_provider(provider, region)
    search = Search(query, net, findings=entry.findings if entry else ())
    search.take(Source.DIRECTORY, found, 0.0)
    search.close()
    return search.result()


def _query(address: Address, allow_http: bool) -> Query:
    return Query(address.wire, address.ascii_domain, allow_http)


def _provider(provider_id: str) -> directory.Provider:
    name = provider_id.strip().lower()
    if name in directory.ids():
        return directory.load(name)
    near = get_close_matches(name, directory.ids(), n=1, cutoff=0.6)
    params = {"provider": provider_id[:80], "suggestion": near[0] if near else ""}
    raise ProviderError(Finding("provider_unknown", Status.FAIL, None, params))


def _of_provider(provider: directory.Provider, region: str | None) -> Found:
    rows = regional(provider, region)
    claims = tuple(
        Claim(
            row.endpoint,
            listed.evidence(Source.DIRECTORY, provider, listed.QUALITY[row.trust], provider.id),
            auth=row.auth,
        )
        for row in rows
    )
    regions = regions_of(provider)
    if region is not None or not regions:
        return Found(claims)
    params = {"provider": provider.id, "regions": list(regions), "shown": rows[0].region}
    return Found(claims, (Finding("choose_region", Status.OK, None, params),))


def regions_of(provider: directory.Provider) -> tuple[str, ...]:
    """The regions to choose among, where the provider has several."""
    if provider.regions:
        return provider.regions
    return tuple(dict.fromkeys(s.region for s in provider.servers if s.region))


def regional(provider: directory.Provider, region: str | None) -> tuple[directory.Server, ...]:
    """The servers of one region, or all of them. Raises ProviderError for an unknown region."""
    if region is None:
        return provider.servers
    name, known = region.strip().lower(), regions_of(provider)
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.6)
        params = {"provider": provider.id, "region": region[:40], "regions": list(known)}
        params["suggestion"] = near[0] if near else ""
        raise ProviderError(Finding("region_unknown", Status.FAIL, None, params))
    if provider.id == "ses":
        rows = {(s.endpoint.port, s.endpoint.security): s for s in provider.servers}
        return tuple(
            replace(rows[e.port, e.security], endpoint=e, region=name) for e in ses.endpoints(name)
        )
    return tuple(s for s in provider.servers if s.region == name)
