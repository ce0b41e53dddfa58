"""Whether mail may go to one server under a policy. RFC 8461 sections 4 and 5.

Enters: a policy, the name of the server, how TLS with it came out. Leaves: ``Decision``. Called by
whoever delivers, and to show what would happen. Nothing fails; whether a policy has grown too old
is the caller's clock to say (``Policy.max_age``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.protocol.mtasts.policy import Mode, Policy
from posthouse.protocol.mtasts.record import Discovery, Found


class Tls(StrEnum):
    """How TLS with the server came out, its name checked against the MX name (section 4.2)."""

    TRUSTED = "trusted"
    NOT_OFFERED = "not_offered"
    FAILED = "failed"  # the handshake broke
    WRONG_NAME = "wrong_name"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"


class Verdict(StrEnum):
    """What to do with the message."""

    ALLOWED = "allowed"
    REPORT = "report"  # deliver, and count the failure in the TLS report
    REFUSED = "refused"  # not to this server; a temporary failure of the message (section 5.1)


# RFC 8460 section 4.3: the failure types of TLS reports
_REPORTED: Final = {
    Tls.NOT_OFFERED: "starttls-not-supported",
    Tls.FAILED: "validation-failure",
    Tls.WRONG_NAME: "certificate-host-mismatch",
    Tls.EXPIRED: "certificate-expired",
    Tls.UNTRUSTED: "certificate-not-trusted",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. ``reason``: "ok", "no_policy", "mode_none", "mx_mismatch" or a Tls value.
    ``report``: the failure type for a TLS report, "" where there is none."""

    verdict: Verdict
    reason: str
    report: str = ""


def decide(policy: Policy | None, host: str, tls: Tls) -> Decision:
    """Whether a message may go to ``host``."""
    if policy is None:
        return Decision(Verdict.ALLOWED, "no_policy")
    if policy.mode is Mode.NONE:
        return Decision(Verdict.ALLOWED, "mode_none")
    failed = Verdict.REFUSED if policy.mode is Mode.ENFORCE else Verdict.REPORT
    if not policy.covers(host):  # section 4.1; RFC 8460 has no type of its own for it
        return Decision(failed, "mx_mismatch", "validation-failure")
    if tls is not Tls.TRUSTED:  # section 4.2
        return Decision(failed, str(tls), _REPORTED[tls])
    return Decision(Verdict.ALLOWED, "ok")


def should_fetch(known_id: str | None, discovery: Discovery) -> bool:
    """Whether the policy is to be fetched: none is known, or its edition changed (section 3.1).

    Where the record is gone or DNS is silent, a known policy goes on until it is too old: whoever
    can suppress an answer must not be able to take the policy away (section 5.1).
    """
    if discovery.found is not Found.ONE or discovery.record is None:
        return False
    return discovery.record.id != known_id
