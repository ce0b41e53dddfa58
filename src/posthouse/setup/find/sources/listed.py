"""The built-in directory, by the address's own domain. No network: the answer is there at once.

Enters: a query. Leaves: a claim for each server of the provider, best first. Called by ``engine``
before anything else, and by ``sources.mx`` and ``sources.ns`` for a provider found otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from posthouse import directory
from posthouse.flow import Finding, Status
from posthouse.setup.find import trust
from posthouse.setup.find.model import Claim, Evidence, Found, Quality, Query, Source

QUALITY: Final[Mapping[directory.Trust, Quality]] = {
    directory.Trust.OFFICIAL: Quality.OFFICIAL,
    directory.Trust.DIRECTORY: Quality.LISTED,
    directory.Trust.SECONDARY: Quality.SECONDARY,
}
_WEAKER: Final = (Quality.OFFICIAL, Quality.LISTED, Quality.SECONDARY)


def ask(query: Query) -> Found:
    """What the directory knows of the domain itself."""
    provider = directory.by_domain(query.domain)
    if provider is None:
        return Found()
    if not provider.servers:
        return without_smtp(provider)
    return Found(
        tuple(
            Claim(
                server.endpoint,
                evidence(Source.DIRECTORY, provider, QUALITY[server.trust], provider.id),
                auth=server.auth,
            )
            for server in provider.servers
        )
    )


def without_smtp(provider: directory.Provider) -> Found:
    """A provider whose mail leaves only through its own programs: searching on is in vain."""
    params = {"provider": provider.id}
    return Found(findings=(Finding("no_smtp", Status.FAIL, None, params),))


def evidence(
    source: Source,
    provider: directory.Provider,
    quality: Quality,
    where: str,
    *,
    checked: datetime | None = None,
    dnssec: bool | None = None,
) -> Evidence:
    """Evidence for a directory row; ``checked`` None: the day the row was read."""
    return Evidence(
        source=source,
        where=where,
        trust=trust.word(source, quality),
        checked=checked or read_on(provider),
        dnssec=dnssec,
        provider=provider.id,
        quality=quality,
    )


def weaker(one: Quality, other: Quality) -> Quality:
    """A conclusion is no better than its weakest part."""
    return max(one, other, key=_WEAKER.index)


def read_on(provider: directory.Provider) -> datetime:
    """The day the provider's servers were read; "2026-03" counts as its first day."""
    about = [s.date for s in provider.sources if "servers" in s.covers]
    dates = about or [s.date for s in provider.sources] or ["1970-01-01"]
    latest = max(dates)
    return datetime.fromisoformat(latest if len(latest) > 7 else f"{latest}-01").replace(tzinfo=UTC)
