"""The SPF record a plan proposes: what stays, what comes, what goes, and never too much of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from posthouse.protocol import spf
from posthouse.protocol.dmarc.report import (
    AggregateReport,
    Metadata,
    Published,
    ReportRecord,
    SpfResult,
)
from posthouse.protocol.dns import AnswerStatus, run
from posthouse.setup.domain.records import Change, from_options

from .world import NOW, Zone, found, planned, settled, texts

DOMAIN = "example.test"
GOOGLE = {("_spf.google.com", "TXT"): ["v=spf1 ip4:198.51.100.0/24 ~all"]}
OUTLOOK = {("spf.protection.outlook.com", "TXT"): ["v=spf1 ip4:203.0.113.0/25 -all"]}


def zone(*live: str, **more: list[str]) -> Zone:
    extra = {(name.replace("_dot_", "."), "TXT"): value for name, value in more.items()}
    table = {**GOOGLE, **OUTLOOK, **extra}
    return Zone(table | ({(DOMAIN, "TXT"): list(live)} if live else {}))


CASES = [
    # live, inventory, what it becomes
    ((), 'services = ["workspace"]', "v=spf1 include:_spf.google.com ~all"),
    (
        ("v=spf1 include:_spf.google.com ~all",),
        'services = ["workspace"]',
        "v=spf1 include:_spf.google.com ~all",
    ),
    (
        ("v=spf1 INCLUDE:_SPF.google.com -all",),
        'services = ["workspace"]',
        "v=spf1 INCLUDE:_SPF.google.com -all",
    ),
    (
        ("v=spf1 include:_spf.google.com ~all",),
        'services = ["workspace", "m365"]',
        "v=spf1 include:_spf.google.com include:spf.protection.outlook.com ~all",
    ),
    (
        ("v=spf1 ip4:192.0.2.1 ~all", "v=spf1 include:_spf.google.com -all"),
        'services = ["workspace"]',
        "v=spf1 ip4:192.0.2.1 include:_spf.google.com ~all",
    ),
    (("v=spf1 ip4:192.0.2.1 +all",), "", "v=spf1 ip4:192.0.2.1 ~all"),
    (("v=spf1 ip4:192.0.2.1",), "", "v=spf1 ip4:192.0.2.1 ~all"),
    (
        ("v=spf1 ip4:192.0.2.0/24 -all",),
        'addresses = ["192.0.2.7", "2001:db8::1"]',
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::1 -all",
    ),
    (
        ("v=spf1 -ip4:192.0.2.7 ip4:192.0.2.0/24 -all",),
        'addresses = ["192.0.2.0/26"]',
        "v=spf1 -ip4:192.0.2.7 ip4:192.0.2.0/24 -all",
    ),
    (
        ("v=spf1 redirect=_spf.google.com",),
        'services = ["workspace"]\naddresses = ["192.0.2.1"]',
        "v=spf1 ip4:192.0.2.1 redirect=_spf.google.com",
    ),
    (
        ("v=spf1 ipv4:192.0.2.1 include:_spf.google.com ~all",),
        'services = ["workspace"]',
        "v=spf1 include:_spf.google.com ~all",
    ),
    (
        ("v=spf1 include:gone.test ip4:192.0.2.1 ~all",),
        "",
        "v=spf1 ip4:192.0.2.1 ~all",
    ),
    (
        ("v=spf1 include:spf.google.com ~all",),
        'services = ["workspace"]',
        "v=spf1 include:_spf.google.com ~all",
    ),
    (
        ("v=spf1 include:_spf.google.com ip4:192.0.2.1 ~all",),
        '[spf]\nremove = ["ip4:192.0.2.1/32", "ip4:192.0.2.9"]',
        "v=spf1 include:_spf.google.com ~all",
    ),
    (("v=spf1 ip4:192.0.2.1 ~all",), '[spf]\nend = "-all"', "v=spf1 ip4:192.0.2.1 -all"),
    (("v=spf1 ip4:192.0.2.1 ~all",), "sends = false", "v=spf1 -all"),
    ((), 'services = ["ses:region=eu-west-1,tokens=a+b+c"]', "v=spf1 ~all"),
]


@pytest.mark.parametrize(("live", "inventory", "wanted"), CASES)
def test_record(live: tuple[str, ...], inventory: str, wanted: str) -> None:
    dns = zone(*live, "unrelated=1")
    made = settled(dns, inventory)
    kept = [one for one in dns.table[DOMAIN, "TXT"] if spf.is_record(one)]
    assert kept == [wanted]
    assert "unrelated=1" in dns.table[DOMAIN, "TXT"]
    assert made.spf.lookups is not None
    assert made.spf.lookups <= 10


def test_five_senders_of_which_one_is_not_covered() -> None:
    dns = zone("v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 a:relay.test include:_spf.google.com ~all")
    dns.table["relay.test", "A"] = ["192.0.2.3"]
    senders = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.9", "192.0.2.5"]
    made = planned(dns, f"addresses = {senders}")
    assert [one.address for one in made.uncovered] == ["192.0.2.5"]
    params = found(made)["egress_uncovered"]
    assert params == {"addresses": "192.0.2.5", "count": 1, "total": 5}
    assert all(one.planned for one in made.coverage)


def test_senders_by_name_and_by_host() -> None:
    dns = zone("v=spf1 ~all")
    dns.table["relay.test", "A"] = ["192.0.2.30"]
    dns.table["relay.test", "AAAA"] = ["2001:db8::30"]
    made = settled(
        dns,
        'send_hosts = ["relay.test", "nowhere.test"]\n[[host]]\nname = "out.example.test"\n'
        'addresses = ["192.0.2.40"]\n[[host]]\nname = "web.example.test"\nsends = false\n'
        'addresses = ["192.0.2.50"]',
    )
    [entry] = [one for one in made.entries if one.section == "spf"]
    assert entry.record.value == "v=spf1 ip4:192.0.2.40 ip4:192.0.2.30 ip6:2001:db8::30 ~all"
    assert found(made)["egress_unresolved"]["host"] == "nowhere.test"


def over(count: int) -> dict[tuple[str, str], list[str]]:
    """``count`` includes, each of one range and one lookup."""
    return {(f"s{n}.test", "TXT"): [f"v=spf1 ip4:10.{n}.0.0/16 -all"] for n in range(count)}


def test_a_record_over_the_limit_is_never_proposed() -> None:
    live = "v=spf1 " + " ".join(f"include:s{n}.test" for n in range(10)) + " ~all"
    dns = zone(live)
    dns.table.update(over(10))
    made = planned(dns, 'services = ["workspace"]')
    assert texts(made, "spf") == []
    assert found(made)["spf_over"]["count"] == 11
    assert "include:_spf.google.com (1)" in found(made)["spf_over"]["terms"]
    assert made.coverage == ()


def test_flattened_on_request_and_no_more_than_needed() -> None:
    live = "v=spf1 " + " ".join(f"include:s{n}.test" for n in range(12)) + " ~all"
    dns = zone(live)
    dns.table.update(over(12))
    made = settled(dns, 'services = ["workspace"]\n[spf]\nflatten = true')
    [(change, _, text)] = texts(made, "spf")
    assert change == "change"
    assert text.count("include:") == 10
    assert made.spf.lookups == 10
    assert found(made)["spf_flattened"]["count"] == 3
    survey = run(spf.survey(DOMAIN), dns.answer)
    assert all(survey.covers(f"10.{n}.1.1") for n in range(12))
    assert survey.covers("198.51.100.1")


def test_when_dns_fails_nothing_is_proposed() -> None:
    dns = zone("v=spf1 include:_spf.google.com ~all")
    dns.failing[DOMAIN, "TXT"] = AnswerStatus.SERVFAIL
    made = planned(dns, 'services = ["m365"]\naddresses = ["192.0.2.1"]')
    assert texts(made, "spf") == []
    assert not made.sure
    assert [one.live for one in made.coverage] == [None]
    dns.failing = {("_spf.google.com", "TXT"): AnswerStatus.TIMEOUT}
    made = planned(dns, 'services = ["m365"]\naddresses = ["192.0.2.1"]')
    assert texts(made, "spf") == []
    assert not made.sure


def test_services_nobody_claims_are_named_and_kept() -> None:
    dns = zone("v=spf1 include:s1.test include:_spf.google.com ~all")
    dns.table.update(over(2))
    made = settled(dns, 'services = ["workspace"]')
    assert found(made)["spf_unclaimed"]["terms"] == "include:s1.test"
    assert texts(made, "spf")[0][0] == "same"


def test_an_include_by_way_of_another_is_enough() -> None:
    dns = zone("v=spf1 include:all.test ~all")
    dns.table["all.test", "TXT"] = ["v=spf1 include:_spf.google.com -all"]
    made = settled(dns, 'services = ["workspace"]')
    assert texts(made, "spf")[0][0] == "same"


def test_an_include_of_a_service_that_has_no_record_is_not_added() -> None:
    made = settled(Zone(), 'services = ["workspace"]')
    assert found(made)["spf_dead"]["name"] == "_spf.google.com"
    assert texts(made, "spf") == [("add", DOMAIN, "v=spf1 ~all")]


def report(
    day: int, *, spf_result: str = "pass", count: int = 10, p: str = "none"
) -> AggregateReport:
    begin = int((NOW - timedelta(days=day)).timestamp())
    row = ReportRecord(
        "192.0.2.1",
        count,
        "none",
        "pass",
        spf_result,
        DOMAIN,
        spf_results=(SpfResult(DOMAIN, spf_result, "mfrom"),),
    )
    data = Metadata("receiver.test", "r@receiver.test", f"{day}", begin, begin + 86_399)
    return AggregateReport(data, Published(DOMAIN, p), (row,))


@pytest.mark.parametrize(
    ("days", "bad", "end", "finding"),
    [
        (35, 0, "-all", "spf_strict"),
        (35, 1, "~all", "spf_not_strict"),
        (20, 0, "~all", "spf_not_strict"),
    ],
)
def test_strict_once_reports_allow_it(days: int, bad: int, end: str, finding: str) -> None:
    """Row 116: a month without a legitimate failure; else not."""
    reports = [report(day, spf_result="fail" if day <= bad else "pass") for day in range(1, days)]
    inventory = 'addresses = ["192.0.2.1"]\n[spf]\nend = "auto"'
    dns = zone("v=spf1 ip4:192.0.2.1 ~all")
    made = planned(dns, inventory, reports=reports)
    assert texts(made, "spf")[0][2].endswith(end)
    assert finding in found(made)
    assert texts(planned(dns, inventory), "spf")[0][0] == "same"  # without reports, nothing


def test_options_make_the_same_inventory() -> None:
    inventory = from_options(
        DOMAIN,
        services=["workspace"],
        addresses=["192.0.2.1"],
        mx=["10 mx.test"],
        dmarc_reports=["d@example.test"],
    )
    made = settled(zone(), inventory)
    assert texts(made, "spf") == [
        ("add", DOMAIN, "v=spf1 include:_spf.google.com ip4:192.0.2.1 ~all")
    ]
    assert all(one.change is Change.ADD for one in made.entries)


def test_many_senders_make_a_short_record() -> None:
    senders = [f"192.0.{third}.{last}" for third in (2, 3) for last in range(256)]
    senders += [f"198.51.100.{n}" for n in (1, 2, 3, 9)] + ["2001:db8::1"]
    dns = zone()
    made = settled(dns, f"addresses = {senders}")
    [(_, _, text)] = texts(made, "spf")
    assert text == (
        "v=spf1 ip4:192.0.2.0/23 ip4:198.51.100.1 ip4:198.51.100.2/31 ip4:198.51.100.9 "
        "ip6:2001:db8::1 ~all"
    )
    assert all(one.planned for one in made.coverage)


def test_what_keeps_a_sender_out_comes_after_it() -> None:
    dns = zone("v=spf1 -ip4:192.0.2.0/24 include:loop.test ~all")
    dns.table["loop.test", "TXT"] = ["v=spf1 include:loop.test ~all"]
    made = settled(dns, 'addresses = ["192.0.2.1", "198.51.100.1"]')
    [(_, _, text)] = texts(made, "spf")
    assert text == (
        "v=spf1 ip4:198.51.100.1 ip4:192.0.2.1 -ip4:192.0.2.0/24 include:loop.test ~all"
    )
    assert "spf.loop" in {one.id for one in made.findings}
