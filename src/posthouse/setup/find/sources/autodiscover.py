"""Microsoft Autodiscover: POX (XML by POST) and v2 (JSON), at the domain's own hosts only.

Enters: a query. Leaves: the SMTP servers a POX answer names; the provider's servers where a v2
answer or a redirect leads to a mailbox at Microsoft; a finding where the account is an Exchange
account. Redirects are read, never followed: whoever is named there learns no address from us.
Fails: never; the report says what happened.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from posthouse import directory
from posthouse.flow import Finding, Status
from posthouse.net.http import HttpAnswer
from posthouse.protocol.discovery import autodiscover_pox as pox
from posthouse.protocol.discovery import autodiscover_v2 as v2
from posthouse.setup.find.model import Claim, Found, Net, Quality, Query, Source, State
from posthouse.setup.find.sources import listed, web

# Where a redirect leads that belongs to a mailbox at Microsoft, to the directory's id.
MICROSOFT: Final[Mapping[str, str]] = {
    "microsoft365": "m365",
    "microsoft365-cn": "m365-21vianet",
    "outlook": "outlook",
}
_HOSTS: Final[Mapping[str, str]] = {
    "autodiscover.outlook.com": "m365",
    "autodiscover-s.outlook.com": "m365",
    "outlook.office365.com": "m365",
    "autodiscover-s.partner.outlook.cn": "m365-21vianet",
    "autodiscover.partner.outlook.cn": "m365-21vianet",
}


async def ask(query: Query, net: Net) -> Found:
    """Ask both POX places at once."""
    return await web.first_good([_pox(query, net, url) for url in pox.urls(query.domain)])


async def ask_v2(query: Query, net: Net) -> Found:
    """Ask where a mailbox's Autodiscover is."""

    def read(answer: HttpAnswer) -> Found:
        found = v2.parse(answer.body)
        provider = MICROSOFT.get(found.hosted_by or "")
        return _of_provider(net, provider, Source.AUTODISCOVER_V2, web.bare(answer.url))

    attempts = [
        web.attempt(partial(net.http.get, url, limit=web.BODY_LIMIT, redirects=0), read)
        for url in v2.urls(query.address, query.domain)
    ]
    return await web.first_good(attempts)


def _pox(query: Query, net: Net, url: str) -> Coroutine[Any, Any, Found]:
    redirected: list[str] = []

    async def fetch() -> HttpAnswer:
        answer = await net.http.post(
            url,
            pox.request(query.address),
            limit=web.BODY_LIMIT,
            headers={"Content-Type": pox.CONTENT_TYPE},
            redirects=0,
        )
        if answer.status in range(300, 400) and answer.tls_trusted:
            redirected.append(answer.headers.get("location", ""))
        return answer

    def read(answer: HttpAnswer) -> Found:
        found = pox.parse(answer.body, address=query.address)
        if found.error or found.redirect_address:
            return Found(state=State.NOTHING, detail="declined", params={"url": url})
        if found.redirect_url:
            return _redirect(net, found.redirect_url, url)
        claims = web.claims(found.outgoing, net, Source.AUTODISCOVER, Quality.PLAIN, url)
        findings = _exchange(query.domain) if found.exchange else ()
        return Found(claims, findings, incoming=found.incoming)

    async def one() -> Found:
        found = await web.attempt(fetch, read)
        return _redirect(net, redirected[0], url) if redirected else found

    return one()


def _exchange(domain: str) -> tuple[Finding, ...]:
    return (Finding("exchange_account", Status.OK, None, {"domain": domain}),)


def _redirect(net: Net, location: str, where: str) -> Found:
    try:
        host = (urlsplit(location).hostname or "").lower()
    except ValueError:
        host = ""
    found = _of_provider(net, _HOSTS.get(host), Source.AUTODISCOVER, where)
    if found.claims:
        return found
    return Found(state=State.NOTHING, detail="redirected", params={"url": where})


def _of_provider(net: Net, provider_id: str | None, source: Source, where: str) -> Found:
    if provider_id is None:
        return Found()
    provider = directory.load(provider_id)
    evidence = listed.evidence(source, provider, Quality.PLAIN, where, checked=net.clock.now())
    return Found(tuple(Claim(s.endpoint, evidence, auth=s.auth) for s in provider.servers))
