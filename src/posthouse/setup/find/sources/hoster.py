"""What the hoster publishes for everybody whose mail it takes in (autoconfig by MX).

Enters: a query and the domain's MX hosts, none of which the directory knows. Leaves: the servers of
the file at the parent of the preferred MX host (draft-ietf-mailmaint-autoconfig, "MX"). The address
is not told to that stranger. Called by ``guess``, when everybody nearer knows nothing. Fails:
never; a hoster without a file, or a slow one, gives nothing.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from posthouse.net.http import HttpAnswer
from posthouse.protocol.discovery import autoconfig
from posthouse.setup.find.model import Claim, Found, Net, Quality, Query, Source
from posthouse.setup.find.sources import web

SECONDS: Final = 2.0  # names, connection and answer; the likely names are not held up longer
_PATHS: Final = (
    "https://autoconfig.{parent}/mail/config-v1.1.xml",
    "https://{parent}/.well-known/autoconfig/mail/config-v1.1.xml",
)
_CATEGORY: Final = 3  # "co.uk", "com.cn": letters of a label that names a category, not a company


async def ask(query: Query, net: Net, mx: tuple[str, ...]) -> tuple[Claim, ...]:
    """Ask both places at once; nothing where the MX lies in the domain itself."""
    parent = parent_of(mx[0]) if mx else ""
    if not parent or parent == query.domain or parent.endswith(f".{query.domain}"):
        return ()
    attempts = [_one(query, net, path.format(parent=parent)) for path in _PATHS]
    try:
        async with asyncio.timeout(SECONDS):
            return (await web.first_good(attempts)).claims
    except TimeoutError:
        return ()


def parent_of(host: str) -> str:
    """The domain an MX host stands in; "" where that would be everybody's ("co.uk")."""
    parent = host.partition(".")[2]
    labels = parent.split(".")
    common = len(labels) == 2 and len(labels[0]) <= _CATEGORY and len(labels[1]) == 2
    return "" if len(labels) < 2 or common else parent


async def _one(query: Query, net: Net, url: str) -> Found:
    def read(answer: HttpAnswer) -> Found:
        offers = autoconfig.parse(answer.body, address=query.address).outgoing
        return Found(web.claims(offers, net, Source.MX, Quality.SECONDARY, url))

    return await web.attempt(partial(net.http.get, url, limit=web.BODY_LIMIT), read)
