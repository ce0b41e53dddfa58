"""Failure reports about single messages. RFC 9991, RFC 6591.

Enters: a ``Verdict``, the owner's fo=, and what is known of the message. Leaves: whether a report
is asked for, and the ``arf.FeedbackReport``. Called by the receiving side, which sends it only
after ``external.permission``. Nothing fails.

The message's header alone goes along: its body is private (RFC 9991 section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from posthouse.protocol.arf import FeedbackReport, spf_dns
from posthouse.protocol.dmarc.record import Mode, Psd
from posthouse.protocol.dmarc.result import Alignment, Code, Verdict
from posthouse.protocol.dmarc.walk import is_within


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """What a receiver knows of the message."""

    source_ip: str
    mail_from: str
    authentication_results: str  # our own field's value
    headers: bytes = b""
    rcpt_to: tuple[str, ...] = ()
    arrival: datetime | None = None
    delivery_result: str = "delivered"
    dkim_identity: str = ""  # i= of the signature that failed
    spf_records: tuple[str, ...] = ()  # read for the domain of MAIL FROM


def wants_failure_report(verdict: Verdict) -> tuple[str, ...]:
    """What fo= asks to be told about this message: "dmarc", "dkim", "spf"; () for nothing.

    RFC 9989 section 4.7: 0 when nothing is aligned and passes, 1 when anything does not; d and s
    for DKIM and SPF by themselves, aligned or not. Without ruf= nothing is sent at all, nor for
    what a public suffix asks (RFC 9991 section 2).
    """
    found = verdict.discovery
    policy = found.policy if found is not None else None
    if (
        policy is None
        or not policy.ruf
        or policy.psd is Psd.YES
        or verdict.code not in (Code.PASS, Code.FAIL)
    ):
        return ()
    wanted: list[str] = []
    rows = verdict.alignments
    if "0" in policy.fo and verdict.code is Code.FAIL:
        wanted.append("dmarc")
    if "1" in policy.fo and not (verdict.spf_aligned and verdict.dkim_aligned):
        wanted.append("dmarc")
    for option, mechanism in (("d", "dkim"), ("s", "spf")):
        failing = [r for r in rows if r.mechanism == mechanism and r.result not in ("pass", "none")]
        if option in policy.fo and failing:
            wanted.append(mechanism)
    return tuple(wanted)


def failure_report(verdict: Verdict, message: FailedMessage, user_agent: str) -> FeedbackReport:
    """The report of a DMARC failure. RFC 9991 section 4."""
    broken = [one for one in verdict.alignments if _failed_aligned(one, verdict)]
    named = {one.mechanism for one in broken}
    signed = next((one for one in broken if one.mechanism == "dkim"), None)
    sender = next((one.domain for one in broken if one.mechanism == "spf"), "")
    identity = message.dkim_identity or (f"@{signed.domain}" if signed is not None else "")
    return FeedbackReport(
        "auth-failure",
        user_agent,
        source_ip=message.source_ip,
        arrival=message.arrival,
        original_mail_from=message.mail_from,
        original_rcpt_to=message.rcpt_to,
        reported_domains=(verdict.author,),
        authentication_results=(message.authentication_results,),
        auth_failure="dmarc",
        delivery_result=message.delivery_result,
        identity_alignment=tuple(sorted(named)),
        dkim_domain=signed.domain if signed is not None else "",
        dkim_identity=identity if signed is not None else "",
        dkim_selector=signed.selector if signed is not None else "",
        spf_dns=spf_dns(sender, message.spf_records) if sender else (),
        original=message.headers,
        headers_only=True,
    )


def _failed_aligned(one: Alignment, verdict: Verdict) -> bool:
    """An identifier in the author's name that was not authenticated.

    What failed was never looked up in DNS, so a domain under the policy's counts as aligned.
    """
    if one.result == "pass" or not one.domain:
        return False
    found = verdict.discovery
    owner = (found.organizational or found.domain) if found is not None else ""
    return bool(one.aligned) or (one.mode == Mode.RELAXED and is_within(one.domain, owner))
