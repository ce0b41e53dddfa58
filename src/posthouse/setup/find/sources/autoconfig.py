"""What the domain publishes in config-v1.1.xml (draft-ietf-mailmaint-autoconfig).

Enters: a query. Leaves: the file's servers. Asked over HTTPS; over HTTP only where the user allows
it, without the address, and marked as untrusted. The address goes to the domain's own host alone.
Fails: never; the report says what happened.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any

from posthouse.net.http import HttpAnswer
from posthouse.protocol.discovery import autoconfig
from posthouse.setup.find.model import Found, Net, Quality, Query, Source
from posthouse.setup.find.sources import web


async def ask(query: Query, net: Net) -> Found:
    """Ask all places at once; the best one that answers counts."""
    attempts = [_one(query, net, url, Quality.PLAIN) for url in autoconfig.urls(query.address)]
    if query.allow_http:
        plain = autoconfig.insecure_urls(query.address)
        attempts += [_one(query, net, url, Quality.UNTRUSTED) for url in plain]
    return await web.first_good(attempts)


def _one(query: Query, net: Net, url: str, quality: Quality) -> Coroutine[Any, Any, Found]:
    def read(answer: HttpAnswer) -> Found:
        found = autoconfig.parse(answer.body, address=query.address)
        where = web.bare(url)
        claims = web.claims(found.outgoing, net, Source.AUTOCONFIG, quality, where)
        # What came by plain HTTP is only good to be doubted.
        return Found(claims, incoming=found.incoming if quality is Quality.PLAIN else ())

    fetch = partial(net.http.get, url, limit=web.BODY_LIMIT)
    return web.attempt(fetch, read, verified=quality is Quality.PLAIN)
