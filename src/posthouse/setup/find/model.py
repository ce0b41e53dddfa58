"""The facts of find: what a source said, how far it is trusted, and what comes of it all.

Enters and leaves: nothing but these frozen shapes; every module of ``find`` speaks them. Nothing
here asks anybody, and nothing can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from random import SystemRandom
from typing import Any

from posthouse.flow import CredentialKind, Endpoint, Finding
from posthouse.net.clock import Clock
from posthouse.net.http import Http
from posthouse.net.resolver import Resolver
from posthouse.protocol.discovery.offer import Incoming


class Source(StrEnum):
    """Who can tell the outgoing server of an address."""

    ORGANISATION = "organisation"  # the file given with --profile
    DIRECTORY = "directory"  # built in
    PACC = "pacc"  # draft-ietf-mailmaint-pacc
    AUTOCONFIG = "autoconfig"  # draft-ietf-mailmaint-autoconfig
    SRV = "srv"  # RFC 6186, RFC 8314 section 5.1
    AUTODISCOVER = "autodiscover"  # Microsoft, POX
    AUTODISCOVER_V2 = "autodiscover_v2"  # Microsoft, JSON
    MX = "mx"  # whose tenant the domain is
    NS = "ns"  # who runs its DNS
    GUESS = "guess"  # likely names that exist


class Trust(StrEnum):
    """How far an answer is to be believed, in words. ``trust.RANKING`` puts them in order."""

    ORGANISATION = "organisation"  # your own organisation says so
    OFFICIAL = "official"  # directory, checked on the provider's own page
    SIGNED = "signed"  # published by the domain, and proved by digest or DNSSEC
    CONFIRMED = "confirmed"  # several independent sources agree
    PUBLISHED = "published"  # published by the domain
    LISTED = "listed"  # directory, read in public directories
    DERIVED = "derived"  # concluded from where the domain's mail lives
    SECONDARY = "secondary"  # directory, read at second hand
    HINT = "hint"
    UNPROVEN = "unproven"  # guessed
    UNTRUSTED = "untrusted"  # came in a way anybody could forge


class Quality(StrEnum):
    """What sets one answer of a source apart from another of the same source."""

    PLAIN = "plain"
    SIGNED = "signed"  # DNSSEC, or a digest that DNS confirms
    OFFICIAL = "official"
    LISTED = "listed"
    SECONDARY = "secondary"
    CONTRADICTED = "contradicted"  # the domain's mail demonstrably lives elsewhere
    AMBIGUOUS = "ambiguous"  # fits two products of one provider
    UNTRUSTED = "untrusted"  # by plain HTTP, or over TLS that did not verify


class State(StrEnum):
    """How asking one source came out."""

    ANSWERED = "answered"
    NOTHING = "nothing"  # it has no answer
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"  # no longer needed


class Outcome(StrEnum):
    """How the whole search came out."""

    FOUND = "found"
    UNPROVEN = "unproven"  # only guesses, hints or forgeable answers
    NOTHING = "nothing"  # everybody was asked, nobody knows
    COULD_NOT_DETERMINE = "could_not_determine"  # nobody knows, and not everybody could be asked


@dataclass(frozen=True, slots=True)
class Evidence:
    """One source's word for one endpoint."""

    source: Source
    where: str  # URL, DNS record name, file name, or directory entry
    trust: Trust
    checked: datetime  # aware; for the directory the day its fact was read
    dnssec: bool | None = None  # None where DNS was not what carried the answer
    seconds: float = 0.0  # after the search began
    provider: str | None = None  # directory id
    quality: Quality = Quality.PLAIN


@dataclass(frozen=True, slots=True)
class Claim:
    """One endpoint as one source gives it. "" and () mean: the source does not say."""

    endpoint: Endpoint
    evidence: Evidence
    username: str = ""
    auth: tuple[str, ...] = ()  # SASL mechanisms, best first
    credential: CredentialKind = CredentialKind.UNKNOWN


@dataclass(frozen=True, slots=True)
class Found:
    """All that asking one source gave."""

    claims: tuple[Claim, ...] = ()
    findings: tuple[Finding, ...] = ()
    state: State | None = None  # None: ANSWERED where there are claims, else NOTHING
    detail: str = ""  # id of the report's words, "find.detail.<detail>"
    params: Mapping[str, Any] = field(default_factory=dict)  # plain JSON values
    incoming: tuple[Incoming, ...] = ()  # servers for reading mail, best first
    hosts: tuple[str, ...] = ()  # MX: the domain's mail hosts, best first
    no_domain: bool = False  # DNS says that the domain does not exist


@dataclass(frozen=True, slots=True)
class Candidate:
    """One outgoing server that may be the right one."""

    endpoint: Endpoint
    username: str  # filled in for the address; "" where only the provider's page can tell it
    auth: tuple[str, ...]
    credential: CredentialKind
    provider: str | None  # directory id; steps, limits and dates are read there
    trust: Trust
    evidence: tuple[Evidence, ...]  # best first
    score: int  # of ``trust.score``


@dataclass(frozen=True, slots=True)
class Conflict:
    """Sources that contradict each other about one field."""

    field: str  # host, port, security, username, credential, auth
    values: tuple[tuple[str, tuple[Evidence, ...]], ...]  # the chosen value first
    chosen: str


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How asking one source went. ``seconds`` is how long it took."""

    source: Source
    state: State
    seconds: float = 0.0
    detail: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FindResult:
    """The answer: ranked candidates, contradictions, and how every source did."""

    address: str  # "" where a provider was asked for without an address
    domain: str  # A-label form
    candidates: tuple[Candidate, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    reports: tuple[SourceReport, ...] = ()
    findings: tuple[Finding, ...] = ()
    outcome: Outcome = Outcome.NOTHING
    seconds: float = 0.0
    incoming: tuple[Incoming, ...] = ()  # servers for reading mail, as the most trusted file says

    @property
    def best(self) -> Candidate | None:
        """The first candidate, if there is one."""
        return self.candidates[0] if self.candidates else None


def _pick(limit: int) -> int:
    return SystemRandom().randrange(limit)


@dataclass(frozen=True, slots=True)
class Net:
    """What find reaches the outside with. ``pick(n)`` gives 0..n-1 at random (RFC 2782)."""

    resolver: Resolver
    http: Http
    clock: Clock
    pick: Callable[[int], int] = _pick


@dataclass(frozen=True, slots=True)
class Query:
    """What every source is asked. Both are "" where only a provider was asked for."""

    address: str  # with the domain in A-label form
    domain: str  # A-label form, lower case
    allow_http: bool = False
