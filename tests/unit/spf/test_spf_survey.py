"""What a published record leads to, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from posthouse.flow import Finding
from posthouse.protocol import dns, spf
from posthouse.protocol.spf.lint import lint
from posthouse.protocol.spf.survey import QUESTIONS
from unit.spf.spf_table import Rows, zone


def survey(rows: Rows, domain: str = "b.test", **more: Any) -> spf.Survey:
    return dns.run(spf.survey(domain), zone(rows, **more))


def ids(findings: tuple[Finding, ...]) -> list[str]:
    for each in findings:
        assert set(each.params) == set(spf.FINDING_IDS[each.id]), each
    return [each.id.removeprefix("spf.") for each in findings]


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ("v=spf1 ip4:203.0.114.1 -all", []),
        ("v=spf1 a", ["all_missing"]),
        ("v=spf1 +all", ["all_pass"]),
        ("v=spf1 ?all", ["all_neutral"]),
        ("v=spf1 -all a mx", ["after_all"]),
        ("v=spf1 ~all redirect=a.test", ["redirect_ignored"]),
        ("v=spf1 redirect=a.test", []),
        ("v=spf1 ptr ptr:a.test -all", ["ptr", "ptr"]),
        ("v=spf1 a:X.test -a:x.test. -all", ["duplicate"]),
        ("v=spf1 a a/24 -all", []),
        ("v=spf1 ip4:20.0.0.0/8 ip6:2a00::/12 -all", ["wide", "wide"]),
        ("v=spf1 ip4:40.92.0.0/16 -all", []),
        ("v=spf1 ip4:192.168.1.1 ip6:fd00::1 -all", ["private", "private"]),
        ("v=spf1 ip4:8.8.8.0/24 ip4:8.8.8.8 -all", ["covered"]),
        ("v=spf1 ip4:8.8.8.8 ip4:8.8.8.0/24 -all", []),
        ("v=spf1 ip4:8.8.8.8 ip4:8.8.8.8/32 -all", ["duplicate"]),
        ("v=spf1 ip4=8.8.8.8 -all", ["modifier_typo"]),
        ("v=spf1 ra=%{l} rp=101 rr=x -all", ["reporting", "reporting", "reporting"]),
        ("v=spf1 ra=spf rp=50 rr=f:s -all", []),
        ("v=spf1 " + " ".join(f"a:h{n}.test" for n in range(60)) + " -all", ["long"]),
    ],
)
def test_a_record_alone(record: str, found: list[str]) -> None:
    assert ids(lint(spf.parse(record))) == found


RELAY = {"relay.test TXT": ["v=spf1 ip4:8.8.4.0/24 ip4:8.8.5.0/24 ~all"]}


def test_ranges_and_costs() -> None:
    rows = {
        "b.test TXT": ["v=spf1 a mx/28 include:relay.test -ip4:8.8.8.9 exists:%{i}.b.test ~all"],
        "b.test A": ["8.8.8.8"],
        "b.test AAAA": ["2001:4860::8"],
        "b.test MX": ["10 mx.b.test."],
        "mx.b.test A": ["8.8.8.16"],
        **RELAY,
    }
    found = survey(rows)
    assert [str(each) for each in found.ranges] == [
        "8.8.4.0/23",
        "8.8.8.8/32",
        "8.8.8.16/28",
        "2001:4860::8/128",
    ]
    assert (found.lookups, found.voids) == (4, 0)
    assert [found.covers(ip) for ip in ("8.8.5.9", "2001:4860::8", "8.8.8.9")] == [
        True,
        True,
        False,
    ]
    assert [(each.term, each.lookups, each.complete) for each in found.terms] == [
        ("a", 1, True),
        ("mx/28", 1, True),
        ("include:relay.test", 1, True),
        ("-ip4:8.8.8.9", 0, True),
        ("exists:%{i}.b.test", 1, False),
        ("~all", 0, True),
    ]
    assert ids(found.findings) == ["dynamic"]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ({}, ["none"]),
        ({"b.test TXT": ["v=spf10 -all", "hello"]}, ["none"]),
        ({"b.test TXT": ["v=spf1 -all", "V=SPF1 ~all"]}, ["several"]),
        ({"b.test TXT": ["v=spf1 a:1.2.3.4 -all"]}, ["syntax"]),
        ({"b.test TXT": ["v=spf1 include:no.test -all"]}, ["include_none"]),
        ({"b.test TXT": ["v=spf1 redirect=no.test"]}, ["include_none"]),
        ({"b.test TXT": ["v=spf1 include:b.test -all"]}, ["loop"]),
        ({"b.test TXT": ["v=spf1 include:%{d}.test -all"]}, ["include_none"]),
        ({"b.test TXT": ["v=spf1 include:c.test -all"], "c.test TXT": ["v=spf1 all"]},
         ["include_all"]),
        ({"b.test TXT": ["v=spf1 a:x.test mx:y.test -all"]}, ["name_missing"] * 2),
        ({"b.test TXT": ["v=spf1 a:x.test a:y.test a:z.test -all"]},
         [*["name_missing"] * 3, "voids"]),
        ({"b.test TXT": ["v=spf1 a:down.test -all"]}, ["dns_failed"] * 2),
        ({"b.test TXT": ["v=spf1 include:c.test -all"], "c.test TXT": ["v=spf1", "v=spf1"]},
         ["include_several"]),
        ({"b.test TXT": ["v=spf1 include:c.test -all"], "c.test TXT": ["v=spf1 x"]},
         ["include_syntax"]),
        ({"b.test TXT": ["v=spf1 mx -all"], "b.test MX": [f"{n} m.test." for n in range(11)]},
         ["mx_many"]),
        ({"b.test TXT": ["v=spf1" + " exists:%{i}.t" * 9 + " -all"]},
         ["dynamic", "lookups_near"]),
        ({"b.test TXT": ["v=spf1" + " ?ptr" * 11 + " -all"]},
         ["lookups"]),
    ],
)  # fmt: skip
def test_findings(rows: Rows, found: list[str]) -> None:
    got = ids(survey(rows, broken=("down.test",)).findings)
    assert [each for each in got if each not in ("ptr", "duplicate")] == found


def test_exceptions_inside_an_include_are_not_flattened_away() -> None:
    rows = {
        "b.test TXT": ["v=spf1 include:c.test ~all"],
        "c.test TXT": ["v=spf1 -ip4:8.8.8.8 ip4:8.8.8.0/24 -all"],
    }
    assert not survey(rows).terms[0].complete


def test_a_huge_tree_has_an_end() -> None:
    asked = 0
    record = "v=spf1 " + " ".join(f"include:{n}.%{{d}}" for n in range(20))

    def lookup(ask: dns.Ask) -> dns.Answer:
        nonlocal asked
        asked += 1
        return dns.Answer(ask.name, ask.type, dns.AnswerStatus.OK, (record,))

    found = dns.run(spf.survey("b.test"), lookup)
    assert asked == QUESTIONS
    assert "unfinished" in ids(found.findings)
