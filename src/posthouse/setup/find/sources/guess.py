"""Likely names, where nobody knows better.

Enters: a query and the domain's MX hosts. Leaves: names that exist, on 465 and 587, always marked
as unproven: of 962 real domains smtp.DOMAIN is right for 6 %, {smtp., mail., bare} for 10 %. The
search is bounded; nothing is connected to but the hoster's own file (``hoster``). Fails: never.
"""

from __future__ import annotations

import asyncio
from typing import Final

from posthouse.flow import Endpoint, Security
from posthouse.net.resolver import Answer, AnswerStatus
from posthouse.setup.find import trust
from posthouse.setup.find.model import Claim, Evidence, Found, Net, Quality, Query, Source
from posthouse.setup.find.sources import hoster, records

NAMES_TRIED: Final = 8  # two questions each; a search of more would be a scan
NAMES_SHOWN: Final = 3
MX_READ: Final = 3


async def ask(query: Query, net: Net, mx: tuple[str, ...]) -> Found:
    """Look up all likely names at once."""
    names = likely(query.domain, mx)
    published, answers = await asyncio.gather(
        hoster.ask(query, net, mx), asyncio.gather(*(_exists(net, name) for name in names))
    )
    real = [(name, answer) for name, answer in zip(names, answers, strict=True) if answer]
    claims = list(published)
    for name, answer in real[:NAMES_SHOWN]:
        evidence = Evidence(
            source=Source.GUESS,
            where=records.where(answer),
            trust=trust.word(Source.GUESS, Quality.PLAIN),
            checked=net.clock.now(),
            dnssec=answer.authenticated,
        )
        claims += [
            Claim(Endpoint(name, 465, Security.TLS), evidence),
            Claim(Endpoint(name, 587, Security.STARTTLS), evidence),
        ]
    return Found(tuple(claims), detail="guess", params={"tried": len(names), "real": len(real)})


def likely(domain: str, mx: tuple[str, ...]) -> tuple[str, ...]:
    """Names to try, the likeliest first: the domain's own, then what its mail host suggests."""
    names = [f"smtp.{domain}", f"mail.{domain}", domain]
    for host in mx[:MX_READ]:
        first, _, rest = host.partition(".")
        below = rest if "." in rest else host  # "mx.hoster.example" -> "hoster.example"
        names += [host if first in ("mail", "smtp") else "", f"smtp.{below}", f"mail.{below}"]
    return tuple(dict.fromkeys(n for n in names if n))[:NAMES_TRIED]


async def _exists(net: Net, name: str) -> Answer | None:
    """The answer that gave an address, if any."""
    pair = await asyncio.gather(net.resolver.ask(name, "A"), net.resolver.ask(name, "AAAA"))
    good = [a for a in pair if a.status is AnswerStatus.OK and a.records]
    return good[0] if good else None
