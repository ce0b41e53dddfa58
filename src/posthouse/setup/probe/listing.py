"""Whether block lists hold an address that a server has refused for its reputation.

Enters: the address as the server saw it, and the server's words. Leaves: findings: which list, why,
how to get off it. The list itself is asked (``protocol.dnsbl``), as servers go on refusing for
hours after it has let an address go. Never fails: what can't be asked is left out.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any, Final

from posthouse.directory import blocklists
from posthouse.flow import Finding, Status
from posthouse.net.resolver import Resolver, answer
from posthouse.protocol import dnsbl
from posthouse.setup.probe.verdict.blocklists import blocklist_in

USUAL: Final = ("spamhaus-zen", "barracuda", "spamcop", "psbl")  # where the server names none
REASON_LIMIT: Final = 200  # characters of a list's own words


async def look_up(resolver: Resolver, ip: str, words: str) -> tuple[Finding, ...]:
    """Ask the list that the server named, else the usual ones; all at once."""
    try:
        local = ip_address(ip).is_loopback or ip_address(ip).is_link_local
    except ValueError:
        return ()
    named = blocklist_in(words)
    wanted = (named.known_as,) if named is not None and named.known_as else USUAL
    known = [each for each in blocklists.blocklists() if each.id in wanted and not local]
    found = await asyncio.gather(*(_one(resolver, ip, each) for each in known))
    return tuple(finding for finding in found if finding is not None)


async def _one(resolver: Resolver, ip: str, asked: dnsbl.Blocklist) -> Finding | None:
    try:
        seen = await answer(dnsbl.check(ip, asked), resolver)
    except dnsbl.SubjectError:  # a list without IPv6
        return None
    params: dict[str, Any] = {"ip": ip, "list": asked.name, "link": asked.removal}
    if seen.state is dnsbl.State.CLEAR:
        return Finding("not_listed", Status.OK, None, params)
    if seen.state is not dnsbl.State.LISTED:
        why = seen.reason or seen.state.value
        params |= {"answer": ", ".join(seen.codes) or why, "why": why}
        return Finding("listing_unknown", Status.WARN, None, params)
    params |= {"codes": list(seen.codes), "meanings": list(seen.meanings)}
    params["reason"] = seen.evidence[:REASON_LIMIT]
    return Finding("listed", Status.FAIL, "sender.reputation", params)
