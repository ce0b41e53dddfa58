"""What the user has to know about the answer before trying it.

Enters: the ranked candidates at the end of a search. Leaves: findings: which credential is wanted,
that an Exchange account needs no SMTP, that nothing is proven. Called by ``engine`` once. Pure;
nothing can fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from posthouse import directory
from posthouse.flow import CredentialKind, Finding, Status
from posthouse.setup.find import trust
from posthouse.setup.find.model import Candidate, Outcome, Quality, Query, Source

# Their mailboxes are reached as Exchange accounts; SMTP is for programs and may be switched off.
EXCHANGE: Final = ("m365", "m365-21vianet")

_SAYS_WHY: Final = ("domain_not_found", "no_smtp")  # why there is nothing; no need to say it again

# Not the mailbox password: what to make instead. The steps stand in the directory.
_SPECIAL: Final = (
    CredentialKind.APP_PASSWORD,
    CredentialKind.AUTH_CODE,
    CredentialKind.OAUTH2,
    CredentialKind.KEY,
    CredentialKind.TOKEN,
)


def advice(
    candidates: Sequence[Candidate], outcome: Outcome, query: Query, known: Sequence[Finding] = ()
) -> tuple[Finding, ...]:
    """Findings about the best candidate, or about there being none."""
    domain = {"domain": query.domain}
    if not candidates:
        if outcome is Outcome.NOTHING and all(f.id not in _SAYS_WHY for f in known):
            return (Finding("nothing", Status.FAIL, None, domain),)
        return ()
    best = candidates[0]
    found = [*_unproven(best, outcome, domain), *_credential(best), *_elsewhere(best, query)]
    if best.provider in EXCHANGE and all(f.id != "exchange_account" for f in known):
        found.insert(0, Finding("exchange_account", Status.OK, None, domain))
    return tuple(found)


def _unproven(best: Candidate, outcome: Outcome, domain: dict[str, str]) -> Iterator[Finding]:
    if outcome is not Outcome.UNPROVEN or best.evidence[0].quality is Quality.AMBIGUOUS:
        return  # the source itself has said what is open
    source = best.evidence[0].source
    if best.evidence[0].quality is Quality.UNTRUSTED:
        name = "untrusted"
    elif source is Source.GUESS:
        name = "guessed"
    else:
        name = "hint_only"
    yield Finding(name, Status.WARN, None, domain | {"host": best.endpoint.host})


def _credential(best: Candidate) -> Iterator[Finding]:
    provider = directory.load(best.provider) if best.provider else None
    if provider is None:
        return
    params = {"provider": provider.id, "url": provider.credential.url or ""}
    if best.credential in _SPECIAL:
        yield Finding(f"credential.{best.credential.value}", Status.OK, "auth.app_password", params)
    if provider.credential.admin_must_allow:
        yield Finding("admin_must_allow", Status.WARN, "auth.disabled", params)
    if not best.username:
        yield Finding("username_issued", Status.OK, None, params)


def _elsewhere(best: Candidate, query: Query) -> Iterator[Finding]:
    """A bare DNS answer that leads out of the domain: the user has to look (RFC 6186 section 6)."""
    alone = all(
        e.source is Source.SRV and e.quality is Quality.PLAIN
        for e in best.evidence
        if trust.points_of(e) >= trust.PROVING
    )
    host, domain = best.endpoint.host, query.domain
    own = host == domain or host.endswith(f".{domain}")
    if best.evidence[0].source is Source.SRV and alone and not own and best.provider is None:
        params = {"host": host, "domain": domain}
        yield Finding("unsigned_elsewhere", Status.WARN, None, params)
