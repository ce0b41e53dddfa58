"""How far each source is believed: one table, and the arithmetic on it.

Enters: evidence. Leaves: points, a word, and whether the search may end. Called by ``merge`` and
``engine``. Nothing here can fail.

Why this order. Your own organisation knows best. A provider's own page, read into the directory,
cannot be forged by the network you sit in. Then comes what the domain publishes, in the order of
how hard it is to forge: a digest or DNSSEC, HTTPS with a verified certificate, a bare DNS answer;
a directory row about the very domain stands above bare DNS for that reason. Where the domain's
mail lives (MX) comes after what the domain says of sending: a filter may stand in front of the
mailboxes. One exception: an autoconfig file that names a stranger while the MX names a known
provider's tenant. Web hosters answer autoconfig for every domain they host, long after its mail
has moved away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from posthouse.flow import Endpoint, Security
from posthouse.setup.find.model import Evidence, Quality, Source, Trust


@dataclass(frozen=True, slots=True)
class Rank:
    """One row: an answer of this source and quality gets these points and this word."""

    source: Source
    quality: Quality
    points: int
    trust: Trust


S, Q, T = Source, Quality, Trust
RANKING: Final[tuple[Rank, ...]] = (
    Rank(S.ORGANISATION, Q.PLAIN, 100, T.ORGANISATION),
    Rank(S.DIRECTORY, Q.OFFICIAL, 90, T.OFFICIAL),
    Rank(S.PACC, Q.SIGNED, 80, T.SIGNED),
    Rank(S.PACC, Q.PLAIN, 70, T.PUBLISHED),
    Rank(S.AUTOCONFIG, Q.PLAIN, 70, T.PUBLISHED),
    Rank(S.SRV, Q.SIGNED, 68, T.SIGNED),
    Rank(S.DIRECTORY, Q.LISTED, 64, T.LISTED),
    Rank(S.SRV, Q.PLAIN, 60, T.PUBLISHED),
    Rank(S.MX, Q.OFFICIAL, 52, T.DERIVED),
    Rank(S.MX, Q.LISTED, 50, T.DERIVED),
    Rank(S.AUTOCONFIG, Q.CONTRADICTED, 48, T.PUBLISHED),
    Rank(S.MX, Q.SECONDARY, 46, T.DERIVED),
    Rank(S.AUTODISCOVER, Q.PLAIN, 44, T.PUBLISHED),
    Rank(S.AUTODISCOVER_V2, Q.PLAIN, 42, T.DERIVED),
    Rank(S.DIRECTORY, Q.SECONDARY, 40, T.SECONDARY),
    Rank(S.MX, Q.AMBIGUOUS, 30, T.HINT),
    Rank(S.NS, Q.PLAIN, 20, T.HINT),
    Rank(S.GUESS, Q.PLAIN, 10, T.UNPROVEN),
)
_ROWS: Final[Mapping[tuple[Source, Quality], Rank]] = {(r.source, r.quality): r for r in RANKING}

PROVING: Final = 40  # fewer points are a guess, not an answer
CERTAIN: Final = 80  # agreement of weaker sources never reaches this
AGREEMENT: Final = 8  # points for each further independent source that names the same host
AGREEMENTS_COUNTED: Final = 2  # so that many weak voices do not shout down a strong one

# Sources of one group share whoever runs them (the domain's web space), or the same knowledge;
# their agreement proves nothing.
GROUPS: Final[Mapping[Source, str]] = {
    S.ORGANISATION: "organisation",
    S.DIRECTORY: "directory",
    S.PACC: "web",
    S.AUTOCONFIG: "web",
    S.AUTODISCOVER: "web",
    S.AUTODISCOVER_V2: "web",
    S.SRV: "srv",
    S.MX: "mx",
}

# RFC 8314 section 3.3: implicit TLS on 465 before STARTTLS on 587; further ports only after both.
PREFERENCE: Final[Mapping[tuple[int, Security], int]] = {
    (465, Security.TLS): 0,
    (587, Security.STARTTLS): 1,
}
RELAY_PORT: Final = 25  # RFC 5068 section 3.1: not for clients


def points(source: Source, quality: Quality) -> int:
    """Points of one answer. What could be forged by anybody has none."""
    row = _ROWS.get((source, quality))
    return row.points if row else 0


def word(source: Source, quality: Quality) -> Trust:
    """The word for one answer."""
    row = _ROWS.get((source, quality))
    return row.trust if row else Trust.UNTRUSTED


def points_of(evidence: Evidence) -> int:
    """Points of a piece of evidence."""
    return points(evidence.source, evidence.quality)


def groups(evidence: Iterable[Evidence]) -> frozenset[str]:
    """The independent voices among ``evidence`` that are worth counting."""
    return frozenset(
        GROUPS[e.source] for e in evidence if e.source in GROUPS and points_of(e) >= PROVING
    )


def score(best: int, voices: Collection[str]) -> int:
    """Points of an endpoint whose best evidence has ``best`` and whose host ``voices`` name."""
    if best < PROVING or best >= CERTAIN:
        return best
    extra = AGREEMENT * min(AGREEMENTS_COUNTED, max(0, len(voices) - 1))
    return min(best + extra, CERTAIN - 1)


def preference(endpoint: Endpoint) -> int:
    """Place in the order of ports; smaller is better."""
    known = PREFERENCE.get((endpoint.port, endpoint.security))
    if known is not None:
        return known
    if endpoint.port == RELAY_PORT or endpoint.security is Security.NONE:
        return 9
    return 2 if endpoint.security is Security.TLS else 3


def most(source: Source) -> int:
    """The most points an answer of this source can get."""
    return max((row.points for row in RANKING if row.source is source), default=0)


def potential(pending: Collection[Source], *, tenant: bool) -> int:
    """The most a host that nobody named yet could still get from ``pending`` sources.

    ``tenant``: the MX already names a tenant, so autoconfig alone would be a contradiction.
    """
    best, voices = 0, set[str]()
    confirmed = bool({S.SRV, S.PACC} & set(pending))
    for source in pending:
        top = most(source)
        if source is S.AUTOCONFIG and tenant and not confirmed:
            top = points(source, Quality.CONTRADICTED)
        best = max(best, top)
        if top >= PROVING:
            voices.add(GROUPS[source])
    return score(best, voices)
