"""The order of belief, as one table."""

from __future__ import annotations

import pytest

from posthouse.flow import Endpoint, Security
from posthouse.setup.find import trust
from posthouse.setup.find.model import Quality, Source, Trust

S, Q, T = Source, Quality, Trust

# Best first. An equal number is an equal rank.
ORDER = [
    (1, S.ORGANISATION, Q.PLAIN, T.ORGANISATION),
    (2, S.DIRECTORY, Q.OFFICIAL, T.OFFICIAL),
    (3, S.PACC, Q.SIGNED, T.SIGNED),
    (4, S.PACC, Q.PLAIN, T.PUBLISHED),
    (4, S.AUTOCONFIG, Q.PLAIN, T.PUBLISHED),
    (5, S.SRV, Q.SIGNED, T.SIGNED),
    (6, S.DIRECTORY, Q.LISTED, T.LISTED),
    (7, S.SRV, Q.PLAIN, T.PUBLISHED),
    (8, S.MX, Q.OFFICIAL, T.DERIVED),
    (9, S.MX, Q.LISTED, T.DERIVED),
    (10, S.AUTOCONFIG, Q.CONTRADICTED, T.PUBLISHED),
    (11, S.MX, Q.SECONDARY, T.DERIVED),
    (12, S.AUTODISCOVER, Q.PLAIN, T.PUBLISHED),
    (13, S.AUTODISCOVER_V2, Q.PLAIN, T.DERIVED),
    (14, S.DIRECTORY, Q.SECONDARY, T.SECONDARY),
    (15, S.MX, Q.AMBIGUOUS, T.HINT),
    (16, S.NS, Q.PLAIN, T.HINT),
    (17, S.GUESS, Q.PLAIN, T.UNPROVEN),
    (18, S.AUTOCONFIG, Q.UNTRUSTED, T.UNTRUSTED),
]


def test_the_order() -> None:
    by_points = sorted({trust.points(s, q) for _, s, q, _ in ORDER}, reverse=True)
    places = [
        (by_points.index(trust.points(s, q)) + 1, s, q, trust.word(s, q)) for _, s, q, _ in ORDER
    ]
    assert places == ORDER


def test_the_table_has_no_row_that_the_order_does_not_test() -> None:
    listed = {(s, q) for _, s, q, _ in ORDER}
    assert {(r.source, r.quality) for r in trust.RANKING} == listed - {(S.AUTOCONFIG, Q.UNTRUSTED)}


@pytest.mark.parametrize("source", list(S))
def test_what_anybody_could_forge_has_no_points(source: Source) -> None:
    assert trust.points(source, Q.UNTRUSTED) == 0


@pytest.mark.parametrize(
    ("best", "voices", "expected"),
    [
        (60, {"srv"}, 60),
        (60, {"srv", "mx"}, 68),
        (60, {"srv", "mx", "directory"}, 76),
        (60, {"srv", "mx", "directory", "web"}, 76),  # two agreements count, no more
        (70, {"srv", "mx", "web"}, 79),  # never as good as a signature
        (80, {"srv", "web"}, 80),
        (90, {"srv", "directory"}, 90),
        (10, {"srv", "mx"}, 10),  # a guess stays a guess
        (30, {"mx", "web"}, 30),
    ],
)
def test_agreement(best: int, voices: set[str], expected: int) -> None:
    assert trust.score(best, voices) == expected


@pytest.mark.parametrize(
    ("pending", "tenant", "expected"),
    [
        (set(), False, 0),
        ({S.MX}, False, 52),
        ({S.AUTOCONFIG}, False, 70),
        ({S.AUTOCONFIG}, True, 48),  # alone against the MX it would be a contradiction
        ({S.AUTOCONFIG, S.SRV}, True, 78),  # SRV may yet confirm it
        ({S.PACC}, True, 80),
        ({S.NS, S.GUESS}, False, 20),
    ],
)
def test_potential(pending: set[Source], tenant: bool, expected: int) -> None:
    assert trust.potential(pending, tenant=tenant) == expected


def test_rfc_8314_order_of_ports() -> None:
    tls, starttls, none = Security.TLS, Security.STARTTLS, Security.NONE
    ports = [
        (25, starttls),
        (2587, starttls),
        (994, tls),
        (587, starttls),
        (465, tls),
        (587, none),
    ]
    ordered = sorted(ports, key=lambda p: trust.preference(Endpoint("h.example", *p)))
    assert ordered == [
        (465, tls),
        (587, starttls),
        (994, tls),
        (2587, starttls),
        (25, starttls),
        (587, none),
    ]
