"""DMARC step by step, MTA-STS, TLS-RPT, BIMI."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.protocol import dmarc, mtasts, tlsrpt
from posthouse.protocol.dmarc.report import (
    AggregateReport,
    Metadata,
    Published,
    ReportRecord,
    write_gzip,
    write_xml,
)
from posthouse.protocol.dns import AnswerStatus
from posthouse.setup.domain.records import Stage, read_folder, steps, text

from .world import NOW, Zone, found, planned, settled, texts

DOMAIN, NAME = "example.test", "_dmarc.example.test"
SPF = {(DOMAIN, "TXT"): ["v=spf1 ip4:192.0.2.0/24 ~all"]}
OWN = 'addresses = ["192.0.2.1"]\n'


def zone(record: str = "", **more: list[str]) -> Zone:
    table = dict(SPF)
    if record:
        table[NAME, "TXT"] = [record]
    return Zone(table)


def report(
    day: int, p: str, *, passed: int = 20, failed: int = 0, ip: str = "192.0.2.1"
) -> AggregateReport:
    begin = int((NOW - timedelta(days=day)).timestamp())
    rows = [ReportRecord("192.0.2.1", passed, "none", "pass", "pass", DOMAIN)]
    if failed:
        rows.append(ReportRecord(ip, failed, "none", "fail", "fail", DOMAIN))
    data = Metadata("receiver.test", "r@receiver.test", f"{day}-{p}", begin, begin + 86_399)
    return AggregateReport(data, Published(DOMAIN, p), tuple(rows))


RUA = "rua=mailto:d@example.test"
MONTH = range(1, 36)


@pytest.mark.parametrize(
    ("live", "reports", "extra", "wanted", "blockers"),
    [
        ("", None, "", f"v=DMARC1; p=none; {RUA}", set()),
        (
            f"v=DMARC1; p=none; {RUA}",
            None,
            "",
            "same",
            {"too_early", "few_reports", "few_messages"},
        ),
        (
            f"v=DMARC1; p=none; {RUA}",
            [report(day, "none") for day in MONTH],
            "",
            f"v=DMARC1; p=quarantine; {RUA}",
            set(),
        ),
        (
            f"v=DMARC1; p=none; {RUA}",
            [report(day, "none") for day in range(1, 20)],
            "",
            "same",
            {"too_early", "few_reports"},
        ),
        (
            f"v=DMARC1; p=quarantine; {RUA}",
            [report(day, "quarantine") for day in MONTH],
            "",
            f"v=DMARC1; p=reject; {RUA}",
            set(),
        ),
        (  # a month in all, but only ten days of it in quarantine
            f"v=DMARC1; p=quarantine; {RUA}",
            [report(day, "quarantine" if day <= 10 else "none") for day in MONTH],
            "",
            "same",
            {"too_early", "few_reports"},
        ),
        (  # senders of one's own fail
            f"v=DMARC1; p=none; {RUA}",
            [report(day, "none", failed=3) for day in MONTH],
            "",
            "same",
            {"failing"},
        ),
        (  # nobody has said yet whose they are
            f"v=DMARC1; p=none; {RUA}",
            [report(day, "none", failed=3, ip="203.0.113.9") for day in MONTH],
            "",
            "same",
            {"unreviewed"},
        ),
        (
            f"v=DMARC1; p=none; {RUA}",
            [report(day, "none", failed=3, ip="203.0.113.9") for day in MONTH],
            '[dmarc]\nstrangers = ["203.0.113.0/24"]',
            f"v=DMARC1; p=quarantine; {RUA}",
            set(),
        ),
        (
            f"v=DMARC1; p=quarantine; {RUA}",
            [report(day, "quarantine") for day in MONTH],
            "[dmarc]\nmailing_lists = true",
            "same",
            {"lists"},
        ),
        (
            f"v=DMARC1; p=quarantine; {RUA}",
            [report(day, "quarantine") for day in MONTH],
            '[dmarc]\ngoal = "quarantine"',
            "same",
            set(),
        ),
        (f"v=DMARC1; p=reject; {RUA}; pct=100", None, "", "same", set()),
        (f"v=DMARC1; p=none; {RUA}", None, "sends = false", f"v=DMARC1; p=reject; {RUA}", None),
        (
            f"v=DMARC1; p=reject; {RUA}",
            None,
            '[dmarc]\nsubdomains = "none"',
            f"v=DMARC1; p=reject; sp=none; {RUA}",
            set(),
        ),
        (f"v=DMARC1; p=none; {RUA}", None, '[dmarc]\nsubdomains = "reject"', "same", None),
    ],
)
def test_roll_out(
    live: str,
    reports: list[AggregateReport] | None,
    extra: str,
    wanted: str,
    blockers: set[str] | None,
) -> None:
    inventory = f"{OWN}{extra if extra.startswith('sends') else ''}\n"
    inventory += '[reports]\ndmarc = ["d@example.test"]\n'
    inventory += extra if extra.startswith("[") else ""
    made = planned(zone(live), inventory, reports=reports)
    [(change, _, text)] = texts(made, "dmarc")
    assert (change if wanted == "same" else text) == wanted
    assert made.rollout is not None
    if blockers is not None:
        assert {one.id for one in made.rollout.blockers} == blockers


def test_reports_that_are_old_say_nothing() -> None:
    reports = [report(day, "none") for day in range(200, 240)]
    live = f"v=DMARC1; p=none; {RUA}"
    made = planned(zone(live), OWN + '[reports]\ndmarc = ["d@example.test"]', reports=reports)
    assert texts(made, "dmarc")[0][0] == "same"


def test_reports_from_a_folder_open_the_way(tmp_path: Path) -> None:
    for day in MONTH:
        path = tmp_path / f"{day}.xml"
        path.write_bytes(write_xml(report(day, "none")))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "40.xml.gz").write_bytes(write_gzip(report(40, "none")))
    (tmp_path / "readme.txt").write_text("hello")
    reports, unread = read_folder(tmp_path)
    assert len(reports) == 36
    assert [one.file for one in unread] == ["readme.txt"]
    inventory = OWN + '[reports]\ndmarc = ["d@example.test"]'
    live = f"v=DMARC1; p=none; {RUA}"
    made = planned(zone(live), inventory, reports=reports, unread=unread)
    assert "p=quarantine" in texts(made, "dmarc")[0][2]
    assert found(made)["reports_unread"]["count"] == 1
    with pytest.raises(OSError, match="nowhere"):
        read_folder(tmp_path / "nowhere")


def test_reports_to_a_stranger_need_its_word() -> None:
    """Row 60: an external rua needs _report._dmarc there."""
    inventory = OWN + '[reports]\ndmarc = ["d@example.test", "x@watcher.example"]'
    dns = zone()
    made = settled(dns, inventory)
    [entry] = made.elsewhere
    assert entry.record.name == "example.test._report._dmarc.watcher.example"
    assert dmarc.is_record(entry.record.value)
    assert found(made)["dmarc_external"]["address"] == "x@watcher.example"
    assert "dmarc_external" not in found(planned(dns, inventory))


def test_who_gets_reports_now_still_gets_them() -> None:
    dns = zone("v=DMARC1; p=none; rua=mailto:old@example.test")
    settled(dns, OWN + '[reports]\ndmarc = ["d@example.test", "OLD@example.test"]')
    [text] = dns.table[NAME, "TXT"]
    assert text == "v=DMARC1; p=none; rua=mailto:old@example.test,mailto:d@example.test"


@pytest.mark.parametrize(
    "live", ["v=DMARC1; p=nonsense", "v=DMARC1", "v=DMARC1; p=none; v=DMARC1; sp=x"]
)
def test_a_broken_record_is_replaced(live: str) -> None:
    dns = zone(live)
    settled(dns, OWN + '[reports]\ndmarc = ["d@example.test"]')
    [text] = dns.table[NAME, "TXT"]
    assert dmarc.parse(text).effective is not None
    assert not dmarc.parse(text).broken


def test_two_records_become_one() -> None:
    dns = zone()
    dns.table[NAME, "TXT"] = ["v=DMARC1; p=reject; " + RUA, "v=DMARC1; p=none", "other"]
    settled(dns, OWN + '[reports]\ndmarc = ["d@example.test"]')
    assert dns.table[NAME, "TXT"] == ["v=DMARC1; p=reject; " + RUA, "other"]


def test_an_alias_gives_way_and_its_record_counts() -> None:
    dns = zone()
    dns.table[NAME, "CNAME"] = ["d.vendor.test."]
    dns.table["d.vendor.test", "TXT"] = ["v=DMARC1; p=reject; rua=mailto:r@vendor.test"]
    dns.table["example.test._report._dmarc.vendor.test", "TXT"] = ["v=DMARC1"]
    made = planned(dns, OWN)
    assert [one[0] for one in texts(made, "dmarc")] == ["same"]
    made = settled(dns, OWN + '[reports]\ndmarc = ["d@example.test"]')
    assert found(made)["alias"]["target"] == "d.vendor.test"
    assert (NAME, "CNAME") not in dns.table
    [text] = dns.table[NAME, "TXT"]
    assert text.startswith("v=DMARC1; p=reject; rua=mailto:r@vendor.test,")


def test_nothing_is_proposed_where_dns_fails() -> None:
    dns = zone()
    dns.failing[NAME, "TXT"] = AnswerStatus.TIMEOUT
    made = planned(dns, OWN)
    assert [one[0] for one in texts(made, "dmarc")] == ["unknown"]
    assert not made.sure


# TLS


STS = 'mx = ["10 mx1.example.test", "20 mx2.example.test"]\n[mta_sts]\nhost = "web.test"\n'


def test_policy_file_record_and_host() -> None:
    dns = zone()
    made = settled(dns, STS)
    [file] = made.files
    policy = mtasts.parse(file.content)
    assert policy == mtasts.Policy(
        mtasts.Mode.TESTING, ("mx1.example.test", "mx2.example.test"), 1_209_600
    )
    assert file.url == mtasts.policy_url(DOMAIN)
    [text] = dns.table["_mta-sts.example.test", "TXT"]
    assert mtasts.parse_record(text).id
    assert dns.table["mta-sts.example.test", "CNAME"] == ["web.test."]
    order = [stage for stage, _ in steps(planned(zone(), STS))]
    assert order == sorted(order)
    assert order.index(Stage.HOSTS) < order.index(Stage.POLICY)


def test_the_file_is_named_whenever_it_changes() -> None:
    dns = zone()
    assert "mta-sts.txt" in text(settled(dns, STS))
    assert "mta-sts.txt" not in text(planned(dns, STS))
    changed = text(planned(dns, STS + 'mode = "enforce"\n'), "zh")
    assert changed.index("mta-sts.txt") < changed.index("v=STSv1")


def test_the_id_changes_with_the_file_and_only_then() -> None:
    dns = zone()
    settled(dns, STS)
    [first] = dns.table["_mta-sts.example.test", "TXT"]
    settled(dns, STS + 'mode = "enforce"\n')
    [second] = dns.table["_mta-sts.example.test", "TXT"]
    assert first != second
    settled(dns, STS.replace("mx2", "mx3") + 'mode = "enforce"\n')
    assert dns.table["_mta-sts.example.test", "TXT"] != [second]


def test_a_live_id_stays_where_the_policy_does() -> None:
    dns = zone()
    dns.table["_mta-sts.example.test", "TXT"] = ["v=STSv1; id=20260101000000"]
    served = mtasts.Policy(mtasts.Mode.ENFORCE, ("mx2.example.test", "mx1.example.test"), 1_209_600)
    made = planned(dns, STS, served=served)
    assert [one[0] for one in texts(made, "mta_sts")] == ["add", "same"]
    assert b"mode: enforce" in made.files[0].content  # never milder by itself
    other = mtasts.Policy(mtasts.Mode.ENFORCE, ("mx9.example.test",), 1_209_600)
    made = planned(dns, STS, served=other)
    assert [one[0] for one in texts(made, "mta_sts")] == ["add", "change"]


def test_what_mta_sts_lacks() -> None:
    assert "sts_no_mx" in found(planned(zone(), "[mta_sts]"))
    made = planned(zone(), 'mx = ["mx.test"]\n[mta_sts]')
    assert found(made)["sts_no_host"]["name"] == "mta-sts.example.test"


def test_tls_reports_join_those_of_now() -> None:
    dns = zone()
    dns.table["_smtp._tls.example.test", "TXT"] = ["v=TLSRPTv1; rua=mailto:a@b.test;"]
    settled(dns, '[reports]\ntls = ["t@example.test", "https://tls.example.test/report"]')
    [text] = dns.table["_smtp._tls.example.test", "TXT"]
    assert [one.uri for one in tlsrpt.parse(text).uris] == [
        "mailto:a@b.test",
        "mailto:t@example.test",
        "https://tls.example.test/report",
    ]


@pytest.mark.parametrize(
    ("live", "there"),
    [
        ("v=DMARC1; p=none", False),
        ("v=DMARC1; p=quarantine", True),
        ("v=DMARC1; p=reject; sp=none", False),
        ("v=DMARC1; p=reject; t=y", False),
    ],
)
def test_a_logo_once_dmarc_is_enforced(live: str, there: bool) -> None:
    made = settled(zone(live), '[bimi]\nlogo = "https://example.test/logo.svg"')
    logos = texts(made, "bimi")
    assert bool(logos) is there
    assert ("bimi_waits" in found(made)) is not there
    if there:
        text = "v=BIMI1; l=https://example.test/logo.svg; a="
        assert logos == [("add", "default._bimi.example.test", text)]


def test_what_dns_answered_is_told_in_words() -> None:
    dns = zone()
    dns.failing[NAME, "TXT"] = AnswerStatus.REFUSED
    shown = text(planned(dns, OWN), "zh")
    assert f"? DNS 没有说明 {NAME}（TXT）现有什么记录：被拒绝。" in shown
    assert "[unknown]" not in shown
