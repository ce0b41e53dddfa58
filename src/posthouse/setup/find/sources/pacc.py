"""What the domain publishes as PACC (draft-ietf-mailmaint-pacc), with the digest that DNS holds.

Enters: a query. Leaves: the document's server. With a digest that fits it is signed; without one it
is as good as any file over HTTPS; a digest that does not fit makes it worthless. No request holds
the address. Fails: never; the report says what happened.
"""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import urlsplit

from posthouse.flow import Finding, Status
from posthouse.net.http import HttpAnswer
from posthouse.net.resolver import Answer
from posthouse.protocol.discovery import pacc
from posthouse.setup.find.model import Found, Net, Quality, Query, Source, State
from posthouse.setup.find.sources import records, web


async def ask(query: Query, net: Net) -> Found:
    """Fetch the document and its digest at once."""
    digest = asyncio.create_task(net.resolver.ask(pacc.digest_name(query.domain), "TXT"))
    try:
        got: list[HttpAnswer] = []
        found = await web.first_good(
            [_one(query, net, url, got) for url in pacc.urls(query.domain)]
        )
        if not found.claims:
            return found
        return _judge(query, got[-1], await digest, net)
    finally:
        digest.cancel()


async def _one(query: Query, net: Net, url: str, got: list[HttpAnswer]) -> Found:
    def read(answer: HttpAnswer) -> Found:
        got.append(answer)
        offers = pacc.parse(answer.body, address=query.address).outgoing
        return Found(web.claims(offers, net, Source.PACC, Quality.PLAIN, url))

    return await web.attempt(partial(net.http.get, url, limit=web.BODY_LIMIT), read)


def _judge(query: Query, answer: HttpAnswer, digest: Answer, net: Net) -> Found:
    verdict = pacc.verify(answer.body, digest.records[: records.RECORDS_READ])
    params = {"name": pacc.digest_name(query.domain), "url": answer.url}
    if verdict is pacc.Digest.MISMATCH:
        finding = Finding("pacc_mismatch", Status.FAIL, None, params)
        return Found((), (finding,), State.FAILED, "pacc_mismatch", params)
    quality = Quality.SIGNED if verdict is pacc.Digest.MATCH else Quality.PLAIN
    if quality is Quality.PLAIN and not _own(answer.url, query.domain):
        # Without a digest only the domain's own name vouches for the document.
        return Found(state=State.FAILED, detail="redirected", params=params)
    found = pacc.parse(answer.body, address=query.address)
    findings = () if quality is Quality.SIGNED else _undigested(params)
    signed = digest.authenticated if quality is Quality.SIGNED else None
    claims = web.claims(found.outgoing, net, Source.PACC, quality, answer.url, dnssec=signed)
    return Found(claims, findings, incoming=found.incoming)


def _undigested(params: dict[str, str]) -> tuple[Finding, ...]:
    return (Finding("pacc_no_digest", Status.WARN, None, params),)


def _own(url: str, domain: str) -> bool:
    host = (urlsplit(url).hostname or "").lower()
    return host == domain or host.endswith(f".{domain}")
