"""A hop by the name of its provider: host, port and security are facts of the directory.

Enters: a hop's table. Leaves: ``Found``. Called by ``hops``. Fails with SettingError, which names
the nearest provider or region.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from posthouse import directory
from posthouse.directory import Provider, UsernameForm, ses
from posthouse.flow import Endpoint, Security
from posthouse.send.hop import Target
from posthouse.send.settings import SettingError, Table


@dataclass(frozen=True, slots=True)
class Found:
    """One server of a provider."""

    target: Target
    security: Security
    region: str  # where a password holds in one region only (Amazon SES)
    user: str  # where all accounts have the same; "" else


def find(table: Table) -> Found:
    """The provider's server, the one RFC 8314 prefers or of the security the table asks for."""
    name = table.text("provider")
    try:
        known = directory.load(name)
    except KeyError:
        near = next(iter(get_close_matches(name.lower(), directory.ids(), 1)), "")
        raise table.wrong("provider", "provider", near=near) from None
    endpoints = _of_region(table, known) if known.regions else _named_region(table, known)
    if "security" in table:
        wanted = table.choice("security", Security, Security.TLS)
        fit = [one for one in endpoints if one.security is wanted]
        if not fit:
            has = ", ".join(sorted({one.security.value for one in endpoints}))
            raise table.wrong("provider_security", "security", choices=has)
        endpoints = fit
    best = endpoints[0]
    fixed = known.username.form is UsernameForm.FIXED
    return Found(
        Target(best.host, best.port),
        best.security,
        table.text("region").lower() if known.id == "ses" else "",
        known.username.value if fixed else "",
    )


def _of_region(table: Table, known: Provider) -> list[Endpoint]:
    """Amazon SES: the host's name holds the region."""
    region = table.text("region")
    if not region:
        raise _region(table, known, known.regions)
    try:
        return list(ses.endpoints(region))
    except ses.SesError as error:
        known_ones = ", ".join(known.regions)
        near = error.suggestion or ""
        raise table.wrong("region", "region", near=near, choices=known_ones) from None


def _named_region(table: Table, known: Provider) -> list[Endpoint]:
    """Others list their servers, some of them with the region each is for."""
    region = table.text("region").lower()
    offered = known.offered
    regions = list(dict.fromkeys(server.region for server in offered))
    if not offered:
        raise table.wrong("provider_plain", "provider")
    if len(regions) > 1 and not region and "" not in regions:
        raise _region(table, known, regions)
    if region and region not in regions:
        near = next(iter(get_close_matches(region, [one for one in regions if one], 1)), "")
        raise table.wrong("region", "region", near=near, choices=", ".join(filter(None, regions)))
    return [server.endpoint for server in offered if server.region == region or len(regions) == 1]


def _region(table: Table, known: Provider, regions: object) -> SettingError:
    choices = ", ".join(regions) if isinstance(regions, list | tuple) else ""
    return SettingError(
        "region_missing", table.at("region"), provider=known.name["en"], choices=choices
    )
