"""What the domain's servers show now: the MTA-STS policy, the certificates of mail servers.

Enters: an inventory, ``Net``. Leaves: the policy; the inventory with the certificates it does not
name filled in. Called by the command line where it may connect. Nothing fails: what can't be had is
left out, and the plan says so. Run it where the way to the servers is trusted: a TLSA record made
from a certificate that somebody on the way has put there would keep mail out.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from posthouse.flow import NetworkFailure, Security
from posthouse.protocol import mtasts
from posthouse.setup.domain.look import look
from posthouse.setup.domain.model import Net, Options
from posthouse.setup.domain.records.inventory import Dane, Inventory

SECONDS: Final = 10.0  # for the policy; who waits longer has no policy that works
_TLS_PORT: Final = 465


async def served_policy(domain: str, net: Net) -> mtasts.Policy | None:
    """The policy that senders get. RFC 8461 section 3.3."""
    url = mtasts.policy_url(domain)
    try:
        async with asyncio.timeout(SECONDS):
            got = await net.http.get(url, limit=mtasts.BODY_LIMIT + 1, redirects=0)
    except (NetworkFailure, TimeoutError):
        return None
    return mtasts.judge_fetch(
        status=got.status,
        content_type=got.headers.get("content-type", ""),
        redirected=bool(got.redirects),
        tls_trusted=got.tls_trusted,
        body=got.body,
    ).policy


async def with_certificates(
    inventory: Inventory, net: Net, options: Options | None = None
) -> Inventory:
    """The same, with what mail servers show where no certificate was given."""
    options = options or Options()
    filled = await asyncio.gather(*(_filled(one, net, options) for one in inventory.dane))
    return replace(inventory, dane=tuple(filled))


async def _filled(wish: Dane, net: Net, options: Options) -> Dane:
    if wish.materials:
        return wish
    security = Security.TLS if wish.port == _TLS_PORT else Security.STARTTLS
    seen = await look(net, options, wish.host, wish.port, security)
    return replace(wish, materials=seen.chain[:1])
