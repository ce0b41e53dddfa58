"""Mail servers of a domain, and whether it is signed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol import dnssec, mx
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run
from unit.dane.table import Rows, Zone

MX = "example.com MX"
A: Rows = {"a.example A": ["192.0.2.1"], "b.example AAAA": ["2001:db8::1"]}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({MX: ["10 a.example.", "20 B.example."], **A}, ["ok"]),
        ({MX: ["0 ."]}, ["null"]),
        ({MX: ["0 .", "10 a.example."], **A}, ["null_among_others"]),
        ({MX: ["10 192.0.2.1."]}, ["ip_literal"]),
        ({MX: ["10 [192.0.2.1]"]}, ["ip_literal"]),
        ({MX: ["10 a_b.example."]}, ["bad_name"]),
        ({MX: ["mail.example."]}, ["malformed"]),
        ({MX: ["99999 a.example."]}, ["malformed"]),
        ({MX: ["10 a.example.", "20 a.example."], **A}, ["duplicate"]),
        ({MX: ["10 gone.example."]}, ["no_address"]),
        ({MX: ["10 alias.example."], "alias.example CNAME": ["a.example"], **A}, ["alias"]),
        ({MX: ["10 a.example."], "a.example A": ["10.0.0.1"]}, ["private"]),
        ({MX: ["10 a.example."], "a.example A": ["127.0.0.1", "192.0.2.1"]}, ["private"]),
        ({MX: ["10 a.example."], "a.example AAAA": ["fd00::1"]}, ["private"]),
        ({MX: ["10 a.example."], "a.example A": AnswerStatus.TIMEOUT}, ["dns_failed"]),
        ({"example.com A": ["192.0.2.1"]}, ["implicit"]),
        ({"example.com TXT": ["x"]}, ["missing"]),
        ({"example.com TXT": ["x"], "example.com A": AnswerStatus.TIMEOUT}, ["dns_failed"]),
        ({}, ["domain_missing"]),
        ({MX: AnswerStatus.SERVFAIL}, ["dns_failed"]),
    ],
)
def test_mail_servers(rows: Rows, expected: list[str]) -> None:
    exchanges, servers, made = run(mx.survey("Example.COM"), Zone(rows))
    assert [finding.id for finding in made] == [f"mx.{id_}" for id_ in expected]
    for finding in made:
        assert set(finding.params) == set(mx.FINDING_IDS[finding.id])
    assert exchanges.null is (expected == ["null"])
    assert len(servers) <= mx.HOSTS_LIMIT


def test_the_best_come_first_and_not_all_are_looked_up() -> None:
    records = [f"{n} m{n:02}.example." for n in reversed(range(60))]
    zone = Zone({MX: records})
    exchanges, _, _ = run(mx.survey("example.com"), zone)
    assert exchanges.hosts[0] == "m00.example"
    assert len(zone.asked) == 1 + 2 * mx.HOSTS_LIMIT


@pytest.mark.parametrize("domain", ["", "a..b", "192.0.2.1", "x" * 300])
def test_what_is_no_domain(domain: str) -> None:
    zone = Zone({})
    _, _, made = run(mx.survey(domain), zone)
    assert [finding.id for finding in made] == ["mx.domain_missing"]
    assert zone.asked == []


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_records_can_be_judged(records: list[str]) -> None:
    run(mx.survey("example.com"), Zone({MX: records}))


DS = ["12345 13 2 " + "ab" * 32]


@pytest.mark.parametrize(
    ("domain", "rows", "unsigned", "expected"),
    [
        ("example.com", {"example.com SOA": ["x"], "example.com DS": DS}, [], ["signed"]),
        ("a.example.com", {"a.example.com A": ["x"], "example.com DS": DS}, [], ["signed"]),
        ("example.com", {"example.com SOA": ["x"]}, ["com"], ["unsigned"]),
        (
            "example.com",
            {"example.com SOA": ["x"], "example.com DS": DS},
            ["example.com"],
            ["not_validated"],
        ),
        # a zone of its own below a signed one, without DS
        (
            "a.example.com",
            {"a.example.com SOA": ["x"], "example.com DS": DS},
            ["a.example.com"],
            ["unsigned"],
        ),
        (
            "example.com",
            {"example.com SOA": AnswerStatus.SERVFAIL, "example.com DS": DS},
            [],
            ["broken"],
        ),
        ("example.com", {"example.com SOA": AnswerStatus.SERVFAIL}, [], ["dns_failed"]),
        ("example.com", {"example.com SOA": AnswerStatus.TIMEOUT}, [], ["dns_failed"]),
        (
            "example.com",
            {"example.com SOA": ["x"], "example.com DS": ["1 5 1 " + "ab" * 20]},
            [],
            ["signed", "old_algorithm"],
        ),
    ],
)
def test_dnssec(domain: str, rows: Rows, unsigned: Sequence[str], expected: list[str]) -> None:
    got = run(dnssec.check(domain), Zone(rows, unsigned=unsigned))
    assert [finding.id for finding in got.findings] == [f"dnssec.{id_}" for id_ in expected]
    for finding in got.findings:
        assert set(finding.params) == set(dnssec.FINDING_IDS[finding.id])


def test_dnssec_asks_little() -> None:
    asked: list[str] = []

    def lookup(ask: Ask) -> Answer:
        asked.append(ask.name)
        return Answer(ask.name, ask.type, AnswerStatus.NODATA)

    run(dnssec.check("a.b.c.d.e.f.example.com"), lookup)
    assert len(asked) == 1 + dnssec.CUTS_LIMIT
