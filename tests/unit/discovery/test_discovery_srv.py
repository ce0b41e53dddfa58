"""SRV: order by priority and weighted chance, and "not offered"."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery import srv
from posthouse.protocol.discovery.offer import DiscoveryError, Incoming, Offer
from posthouse.protocol.discovery.srv import SrvRecord


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("0 1 465 smtp.example.com.", SrvRecord(0, 1, 465, "smtp.example.com")),
        ("10 0 587 SMTP.Example.com", SrvRecord(10, 0, 587, "smtp.example.com")),
        ("0 0 0 .", SrvRecord(0, 0, 0, srv.NOT_OFFERED)),
        (" 65535\t65535  65535 a. ", SrvRecord(65535, 65535, 65535, "a")),
    ],
)
def test_parse(text: str, record: SrvRecord) -> None:
    assert srv.parse(text) == record


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "bad_record"),
        ("0 1 465", "bad_record"),
        ("0 1 465 a b", "bad_record"),
        ("0 1 x a.", "bad_record"),
        ("0 1 65536 a.", "bad_record"),
        ("-1 1 465 a.", "bad_record"),
        ("٠ 1 465 a.", "bad_record"),
        ("0 1 0 a.", "bad_port"),
        ("0 1 465 a_b.example.", "bad_host"),
        ("0 1 465 10.10.10.300.", "bad_host"),
    ],
)
def test_unreadable(text: str, reason: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        srv.parse(text)
    assert caught.value.reason == reason


def test_one_bad_record_spoils_no_good_one() -> None:
    found, errors = srv.parse_all(["nonsense", "0 1 465 a."])
    assert [record.target for record in found] == ["a"]
    assert [error.reason for error in errors] == ["bad_record"]


@pytest.mark.parametrize(
    ("records", "refused"),
    [(["0 0 0 ."], True), (["0 0 0 .", "0 1 465 a."], False), ([], False), (["0 1 465 a."], False)],
)
def test_not_offered(records: list[str], refused: bool) -> None:
    found, _ = srv.parse_all(records)
    assert srv.not_offered(found) is refused
    assert all(record.target != "." for record in srv.order(found, lambda _n: 0))


def targets(records: list[SrvRecord], pick: object) -> str:
    return "".join(record.target for record in srv.order(records, pick))  # type: ignore[arg-type]


def test_priority_wins_over_weight() -> None:
    records = [SrvRecord(20, 100, 1, "c"), SrvRecord(10, 1, 1, "b"), SrvRecord(0, 0, 1, "a")]
    for pick in (lambda _n: 0, lambda n: n - 1):
        assert targets(records, pick) == "abc"


def test_the_draw_is_that_of_rfc_2782() -> None:
    records = [SrvRecord(0, 3, 1, "b"), SrvRecord(0, 0, 1, "z"), SrvRecord(0, 1, 1, "c")]
    # with weight 0 first, running sums are z=0 b=3 c=4, so a draw of 1 to 3 takes b
    assert targets(records, lambda _n: 0)[0] == "z"
    assert targets(records, lambda n: min(1, n - 1))[0] == "b"
    assert targets(records, lambda n: min(3, n - 1))[0] == "b"
    assert targets(records, lambda n: n - 1)[0] == "c"


def test_weights_are_the_odds() -> None:
    chance = random.Random(7)
    records = [SrvRecord(0, 60, 1, "a"), SrvRecord(0, 20, 1, "b"), SrvRecord(0, 20, 1, "c")]
    first = Counter(targets(records, chance.randrange)[0] for _ in range(2_000))
    assert 0.55 < first["a"] / 2_000 < 0.65


def test_offers() -> None:
    record = SrvRecord(0, 1, 465, "smtp.example.com")
    assert srv.offer(record, srv.SUBMISSIONS, "alice@example.com") == Offer(
        Endpoint("smtp.example.com", 465, Security.TLS),
        "alice@example.com",
        (),
        CredentialKind.UNKNOWN,
    )
    assert srv.offer(record, srv.SUBMISSION, "a@b").endpoint.security is Security.STARTTLS
    assert srv.SERVICES == ("_submissions._tcp", "_submission._tcp")
    assert srv.name(srv.SUBMISSIONS, "example.com") == "_submissions._tcp.example.com"


@pytest.mark.parametrize(
    ("service", "protocol", "security"),
    [
        ("_imaps._tcp", "imap", Security.TLS),
        ("_imap._tcp", "imap", Security.STARTTLS),
        ("_pop3s._tcp", "pop3", Security.TLS),
        ("_pop3._tcp", "pop3", Security.STARTTLS),
    ],
)
def test_incoming(service: str, protocol: str, security: Security) -> None:
    assert service in srv.INCOMING_SERVICES
    record = SrvRecord(0, 0, 7, "h")
    assert srv.incoming(record, service) == Incoming(protocol, "h", 7, security)


RECORDS = st.lists(
    st.builds(SrvRecord, st.integers(0, 3), st.integers(0, 9), st.just(1), st.sampled_from("ab.")),
    max_size=12,
)


@given(RECORDS, st.integers(0, 10**6))
def test_order_loses_and_invents_nothing(records: list[SrvRecord], seed: int) -> None:
    ordered = srv.order(records, lambda n: seed % n)
    assert Counter(ordered) == Counter(r for r in records if r.target != ".")
    assert [r.priority for r in ordered] == sorted(r.priority for r in ordered)


@given(st.text(max_size=60) | st.text("0123456789 .a\n", max_size=30))
def test_any_text_is_a_record_or_a_discovery_error(text: str) -> None:
    found, errors = srv.parse_all([text])
    assert len(found) + len(errors) == 1
