"""Reports of SPF failures to the domain that asks for them. RFC 6652 sections 3 and 4.

Enters: the domain's ``spf.Reporting`` (ra=, rp=, rr= of its record), the result of a check, what
is known of the message, and a random number the caller has thrown. Leaves: a report and the
address it goes to, or None where none is wanted. Called by the receiving side. Nothing fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from posthouse.protocol.arf.model import FeedbackReport
from posthouse.protocol.spf import Code, Reporting

_DELIVERY: Final = "delivered"


@dataclass(frozen=True, slots=True)
class SpfFailure:
    """What a receiver knows of a message whose SPF did not pass.

    ``records`` are the SPF records read on the way, as published; ``authentication_results`` is
    our own field's value.
    """

    domain: str  # whose record decided
    code: Code
    source_ip: str
    mail_from: str
    authentication_results: str
    records: tuple[str, ...] = ()
    rcpt_to: tuple[str, ...] = ()
    arrival: datetime | None = None
    delivery_result: str = _DELIVERY
    headers: bytes = b""  # of the message, where DATA was reached


def spf_failure(
    reporting: Reporting | None, failure: SpfFailure, throw: float, user_agent: str
) -> tuple[str, FeedbackReport] | None:
    """The recipient and the report. ``throw`` is random, 0 to less than 1: rp= takes a share."""
    if reporting is None or not reporting.wants(failure.code):
        return None
    if throw * 100 >= reporting.percentage:  # section 3: rp=0 is none at all
        return None
    report = FeedbackReport(
        "auth-failure",
        user_agent,
        source_ip=failure.source_ip,
        arrival=failure.arrival,
        original_mail_from=failure.mail_from,
        original_rcpt_to=failure.rcpt_to,
        reported_domains=(failure.domain,),
        authentication_results=(failure.authentication_results,),
        auth_failure="spf",
        delivery_result=failure.delivery_result,
        spf_dns=spf_dns(failure.domain, failure.records),
        original=failure.headers,
        headers_only=True,
    )
    return f"{reporting.local}@{failure.domain}", report


def spf_dns(domain: str, records: tuple[str, ...]) -> tuple[str, ...]:
    """Values of SPF-DNS: "txt : domain : record" (RFC 6591 section 3.2.6)."""
    return tuple(f'txt : {domain} : "{text}"' for text in records)
