"""Whether what an HTTPS fetch brought counts as a policy. RFC 8461 section 3.3.

Enters: plain facts about one answer. Leaves: ``Fetched``, with a policy or with what is wrong, in
the words of TLS reports too (RFC 8460 section 4.3.2.1). Nothing fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.protocol.mtasts.policy import BODY_LIMIT, Policy, PolicyError, parse

FETCH_SECONDS: Final = 60  # section 3.3: a sender waits one minute at most
_OK: Final = 200


class Problem(StrEnum):
    """Why there is no policy."""

    UNREACHABLE = "unreachable"  # no connection, no name, no answer
    CERTIFICATE = "certificate"  # not trusted, or not for mta-sts.<domain>
    REDIRECT = "redirect"
    STATUS = "status"
    MEDIA_TYPE = "media_type"
    TOO_BIG = "too_big"
    SYNTAX = "syntax"


# RFC 8460 section 4.3.2.1; all else is a fetch error
_REPORTED: Final = {
    Problem.CERTIFICATE: "sts-webpki-invalid",
    Problem.SYNTAX: "sts-policy-invalid",
    Problem.TOO_BIG: "sts-policy-invalid",
    Problem.MEDIA_TYPE: "sts-policy-invalid",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """One fetch, judged. Exactly one of ``policy`` and ``problem`` is there."""

    policy: Policy | None = None
    problem: Problem | None = None
    status: int = 0  # of HTTP; 0 where there was none
    media_type: str = ""
    error: PolicyError | None = None  # for SYNTAX

    @property
    def report(self) -> str:
        """The failure type for a TLS report, "" where there is none."""
        return "" if self.problem is None else _REPORTED.get(self.problem, "sts-policy-fetch-error")


def policy_url(domain: str) -> str:
    """Where the policy of a domain (A-labels) stands."""
    return f"https://mta-sts.{domain}/.well-known/mta-sts.txt"


def judge_fetch(
    *, status: int, content_type: str, redirected: bool, tls_trusted: bool, body: bytes
) -> Fetched:
    """What one answer is worth.

    ``status`` 0: nobody answered. ``redirected``: a redirect was followed on the way; it may not
    be. ``tls_trusted``: the chain ends at a trusted root and the name is the policy host's; True as
    well where no certificate was seen.
    """
    media = content_type.partition(";")[0].strip().lower()[:100]
    problem = _problem(status, media, redirected, tls_trusted, len(body))
    if problem is not None:
        return Fetched(None, problem, status, media)
    try:
        return Fetched(parse(body), None, status, media)
    except PolicyError as error:
        return Fetched(None, Problem.SYNTAX, status, media, error)


def _problem(
    status: int, media: str, redirected: bool, tls_trusted: bool, size: int
) -> Problem | None:
    if not status and tls_trusted:
        return Problem.UNREACHABLE
    if not tls_trusted:
        return Problem.CERTIFICATE
    if redirected or 300 <= status < 400:  # MUST NOT be followed
        return Problem.REDIRECT
    if status != _OK:
        return Problem.STATUS
    if media != "text/plain":  # keeps out pages that users of a web host may write
        return Problem.MEDIA_TYPE
    return Problem.TOO_BIG if size > BODY_LIMIT else None
