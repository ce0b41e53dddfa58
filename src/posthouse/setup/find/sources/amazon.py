"""Mail that Amazon takes in: a WorkMail mailbox, or SES receiving for a program.

Enters: the domain's MX answer. Leaves: the servers of the one, where the domain's autodiscover
alias proves WorkMail, else those of both, as hints, with a finding that says how they differ.
Called by ``sources.mx``; the MX alone (inbound-smtp.<region>.amazonaws.com) fits both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from posthouse import directory
from posthouse.directory import ses
from posthouse.flow import Endpoint, Finding, Status
from posthouse.net.resolver import Answer, AnswerStatus
from posthouse.setup.find.model import Claim, Found, Net, Quality, Query, Source
from posthouse.setup.find.sources import listed, records

_MX: Final = re.compile(r"^inbound-smtp\.([a-z0-9-]{1,30})\.amazonaws\.com$")
_WORKMAIL_ALIAS: Final = ".awsapps.com"  # autodiscover.mail.<region>.awsapps.com


def region_of(host: str) -> str | None:
    """The region of an MX at Amazon."""
    found = _MX.match(host)
    return found[1] if found else None


async def found(
    query: Query, net: Net, answer: Answer, hosts: tuple[str, ...], region: str
) -> Found:
    """The servers of that region."""
    alias = await net.resolver.ask(f"autodiscover.{query.domain}", "CNAME")
    is_workmail = alias.status is AnswerStatus.OK and any(
        records.host(row).endswith(_WORKMAIL_ALIAS) for row in alias.records
    )
    now = net.clock.now()
    workmail = directory.load("workmail")
    servers = [s.endpoint for s in workmail.servers if s.region == region]
    if is_workmail:
        proof = listed.evidence(
            Source.MX,
            workmail,
            Quality.LISTED,
            records.where(alias),
            checked=now,
            dnssec=alias.authenticated,
        )
        return Found(tuple(Claim(one, proof) for one in servers), hosts=hosts)
    places = [(workmail, one) for one in servers]
    if region in ses.REGIONS:
        places += [(directory.load("ses"), one) for one in ses.endpoints(region)]
    where = f"{records.where(answer)} {hosts[0]}"
    claims = tuple(
        Claim(
            one,
            listed.evidence(
                Source.MX,
                provider,
                Quality.AMBIGUOUS,
                where,
                checked=now,
                dnssec=answer.authenticated,
            ),
        )
        for provider, one in places
    )
    return Found(claims, (_finding(query.domain, region, servers),), hosts=hosts)


def _finding(domain: str, region: str, workmail: Sequence[Endpoint]) -> Finding:
    params = {
        "domain": domain,
        "region": region,
        "workmail_host": workmail[0].host if workmail else "",
        "ses_host": ses.host(region) if region in ses.REGIONS else "",
    }
    return Finding("ses_or_workmail" if workmail else "ses_receiving", Status.WARN, None, params)
