"""The mailboxes behind a filter: whose they are, when the MX only names the filter.

Enters: the filter at a domain's MX. Leaves: the servers of the provider that the domain's
Autodiscover alias proves, or, as hints, of the one its SPF record lets send; and a finding that
says what stands in front. Called by ``sources.mx``. Fails: never; DNS trouble leaves a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from posthouse import directory
from posthouse.flow import Finding, Status
from posthouse.net.resolver import Answer, AnswerStatus
from posthouse.setup.find.model import Claim, Found, Net, Quality, Query, Source
from posthouse.setup.find.sources import listed, records

# Where the alias autodiscover.DOMAIN leads -> provider. Clients rely on it, so it is kept right.
ALIASES: Final[Mapping[str, str]] = {
    "autodiscover.outlook.com": "m365",
    "autodiscover.partner.outlook.cn": "m365-21vianet",
}
# What an SPF record includes -> provider. It only says who may send: a hint.
SENDERS: Final[Mapping[str, str]] = {
    "spf.protection.outlook.com": "m365",
    "spf.protection.partner.outlook.cn": "m365-21vianet",
    "_spf.google.com": "workspace",
    "spf.mail.qq.com": "exmail",
    "spf.exmail.qq.com": "exmail",
    "spf.163.com": "qiye163",
    "spf.qiye.aliyun.com": "aliyun-qiye",
    "zoho.com": "zoho-pro",
    "zohomail.com": "zoho-pro",
    "zoho.eu": "zoho-pro-eu",
    "zohomail.eu": "zoho-pro-eu",
    "spf.messagingengine.com": "fastmail-domain",
    "_spf.protonmail.ch": "proton-domain",
    "_spf.yandex.net": "yandex-360",
    "icloud.com": "icloud-domain",
    "emailsrvr.com": "rackspace",
}


async def found(query: Query, net: Net, filter_name: str) -> Found:
    """What can be told of the mailboxes behind ``filter_name``."""
    alias, spf = await asyncio.gather(
        net.resolver.ask(f"autodiscover.{query.domain}", "CNAME"),
        net.resolver.ask(query.domain, "TXT"),
    )
    proved = ALIASES.get(records.host(alias.records[0])) if _good(alias) else None
    provider_id = proved or _sender(spf)
    params = {"domain": query.domain, "filter": filter_name, "provider": provider_id or ""}
    if provider_id is None:
        return Found(findings=(Finding("filter_in_front", Status.OK, None, params),))
    provider = directory.load(provider_id)
    answer, quality = (alias, Quality.LISTED) if proved else (spf, Quality.AMBIGUOUS)
    evidence = listed.evidence(
        Source.MX,
        provider,
        quality,
        records.where(answer),
        checked=net.clock.now(),
        dnssec=answer.authenticated,
    )
    name = "filter_in_front_known" if proved else "filter_in_front_hint"
    claims = tuple(Claim(s.endpoint, evidence, auth=s.auth) for s in provider.offered)
    return Found(claims, (Finding(name, Status.OK, None, params),))


def _good(answer: Answer) -> bool:
    return answer.status is AnswerStatus.OK and bool(answer.records)


def _sender(answer: Answer) -> str | None:
    """The first mailbox provider that the SPF record includes (RFC 7208 section 5.2)."""
    spf = next((r for r in answer.records if r.lower().startswith("v=spf1 ")), "")
    includes = (term.partition(":")[2] for term in spf.lower().split() if "include:" in term)
    return next((SENDERS[name] for name in map(records.host, includes) if name in SENDERS), None)
