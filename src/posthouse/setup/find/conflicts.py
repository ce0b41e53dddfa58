"""Where sources contradict each other, field by field.

Enters: all claims and the chosen candidate. Leaves: ``Conflict`` facts. Called by ``merge``. A
source that lists fewer servers than another does not contradict it; one whose list has nothing in
common with the chosen source's list does. Pure; nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from posthouse import directory
from posthouse.flow import CredentialKind
from posthouse.setup.find import trust
from posthouse.setup.find.model import Candidate, Claim, Conflict, Evidence, Quality, Source

SILENT: Final = (Source.GUESS, Source.NS)  # nobody's statement about this domain

# Discovery formats know only "password". An app password or 授权码 is entered in the same place and
# is no contradiction; OAuth2 or no login at all is.
_SAME_CREDENTIAL: Final[Mapping[CredentialKind, str]] = {
    CredentialKind.PASSWORD: "password",
    CredentialKind.APP_PASSWORD: "password",
    CredentialKind.AUTH_CODE: "password",
    CredentialKind.KEY: "password",
    CredentialKind.TOKEN: "password",
    CredentialKind.OAUTH2: "oauth2",
    CredentialKind.NONE: "none",
}

Values = Callable[[Claim], Collection[str]]


def conflicts(claims: Sequence[Claim], chosen: Candidate) -> tuple[Conflict, ...]:
    """All contradictions with ``chosen``. Port, mode and login are compared on its host only."""
    speakers = [
        c
        for c in claims
        if c.evidence.source not in SILENT and c.evidence.quality is not Quality.AMBIGUOUS
    ]
    here = [c for c in speakers if c.endpoint.host == chosen.endpoint.host]
    port = [c for c in here if c.endpoint.port == chosen.endpoint.port]
    kinds = _kinds(chosen)
    found = (
        _compare("host", speakers, chosen, chosen.endpoint.host, lambda c: {c.endpoint.host}),
        _compare("port", here, chosen, str(chosen.endpoint.port), _port),
        _compare("security", port, chosen, chosen.endpoint.security.value, _security),
        _compare("username", here, chosen, chosen.username, _username),
        _compare("credential", here, chosen, kinds[0], lambda c: _credential(c, kinds)),
        _compare("auth", here, chosen, _joined(chosen.auth), _auth(chosen.auth)),
    )
    return tuple(c for c in found if c is not None)


def _port(claim: Claim) -> Collection[str]:
    return {str(claim.endpoint.port)}


def _security(claim: Claim) -> Collection[str]:
    return {claim.endpoint.security.value}


def _username(claim: Claim) -> Collection[str]:
    return {claim.username} if claim.username else ()


def _kinds(chosen: Candidate) -> tuple[str, ...]:
    """Every class of credential that the chosen answer allows, its own first."""
    provider = directory.load(chosen.provider) if chosen.provider else None
    kinds = (chosen.credential, *(provider.credential.kinds if provider else ()))
    names = (_SAME_CREDENTIAL.get(kind, "") for kind in kinds)
    return tuple(dict.fromkeys(n for n in names if n)) or ("",)


def _credential(claim: Claim, allowed: Sequence[str]) -> Collection[str]:
    name = _SAME_CREDENTIAL.get(claim.credential, "")
    if not name:
        return ()
    return {allowed[0]} if name in allowed else {name}


def _joined(methods: Iterable[str]) -> str:
    return " ".join(methods)


def _auth(chosen: Collection[str]) -> Values:
    """Lists of methods that share one do not contradict."""

    def values(claim: Claim) -> Collection[str]:
        if not claim.auth:
            return ()
        return {_joined(chosen if set(claim.auth) & set(chosen) else claim.auth)}

    return values


def _compare(
    field: str, claims: Sequence[Claim], chosen: Candidate, value: str, values: Values
) -> Conflict | None:
    """A conflict, where a source's values have nothing in common with the chosen source's."""
    if not value:
        return None
    said: dict[Source, set[str]] = {}
    for claim in claims:
        said.setdefault(claim.evidence.source, set()).update(values(claim))
    accepted = {value} | said.get(chosen.evidence[0].source, set())
    dissenting = {source for source, all_ in said.items() if all_ and not all_ & accepted}
    if not dissenting:
        return None
    order = sorted(claims, key=lambda c: -trust.points_of(c.evidence))
    table: dict[str, dict[Source, Evidence]] = {value: {}}
    for claim in order:
        for one in values(claim):
            if one == value or claim.evidence.source in dissenting:
                table.setdefault(one, {}).setdefault(claim.evidence.source, claim.evidence)
    rows = tuple((one, tuple(evidence.values())) for one, evidence in table.items())
    return Conflict(field, rows, value)
