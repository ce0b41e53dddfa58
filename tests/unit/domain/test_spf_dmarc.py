"""The audit's view of SPF and DMARC: findings, coverage, and the record to publish."""

from __future__ import annotations

import pytest

from unit.domain.world import GOOD, TIMEOUT, ids, item, look, verdicts

INCLUDES = {(f"i{n}.test", "TXT"): ["v=spf1 -all"] for n in range(12)}
ELEVEN = "v=spf1 " + " ".join(f"include:i{n}.test" for n in range(11)) + " -all"


@pytest.mark.parametrize(
    ("records", "id_", "verdict"),
    [
        (["v=spf1 mx -all"], "domain.spf_ok", "ok"),
        ([], "spf.none", "fail"),
        (["v=spf1 mx -all", "v=spf1 a ~all"], "spf.several", "fail"),
        ([ELEVEN], "spf.lookups", "fail"),
        (["v=spf1 a mx ptr ~all"], "spf.ptr", "warn"),
        (["v=spf1 ipv4:192.0.2.1 -all"], "spf.syntax", "fail"),
    ],
)
async def test_what_the_record_is_worth(records: list[str], id_: str, verdict: str) -> None:
    table = {**GOOD, **INCLUDES, ("good.test", "TXT"): records, ("good.test", "A"): ["192.0.2.9"]}
    found = await look(table, "spf")
    assert verdicts(found)[id_] == verdict
    assert item(found, id_).evidence[0].name == "good.test"


async def test_only_txt_is_asked_never_type_99() -> None:
    found = await look({**GOOD, ("good.test", "SPF"): ["v=spf1 -all"]}, "spf")
    assert all(e.type == "TXT" for one in found.items for e in one.evidence)
    assert found.check("spf").facts["record"] == "v=spf1 mx -all"


async def test_the_one_address_of_five_that_is_left_out_is_named() -> None:
    egress = [f"203.0.113.{n}" for n in range(1, 6)]
    text = "v=spf1 ip4:203.0.113.1 ip4:203.0.113.2/31 ip4:203.0.113.5 -all"
    found = await look({**GOOD, ("good.test", "TXT"): [text]}, "spf", egress=tuple(egress))
    missing = [i for i in found.items if i.finding.id == "domain.spf_uncovered"]
    assert [one.finding.params["ip"] for one in missing] == ["203.0.113.4"]
    assert missing[0].publish == (
        'good.test. IN TXT "v=spf1 ip4:203.0.113.1 ip4:203.0.113.2/31 ip4:203.0.113.5 '
        'ip4:203.0.113.4 -all"',
    )


async def test_all_covered_is_said_with_the_addresses() -> None:
    found = await look(GOOD, "spf", egress=("198.51.100.25",))
    assert item(found, "domain.spf_covered").finding.params["ips"] == ["198.51.100.25"]


async def test_proton_under_its_wrong_name_breaks_the_record_and_is_put_right() -> None:
    text = "v=spf1 include:_spf.google.com include:_spf.protonmail.com ~all"
    table = {
        **GOOD,
        ("good.test", "TXT"): [text],
        ("_spf.google.com", "TXT"): ["v=spf1 ip4:192.0.2.0/24 ~all"],
        ("_spf.protonmail.ch", "TXT"): ["v=spf1 ip4:203.0.113.0/24 ~all"],
    }
    found = await look(table, "spf", egress=("203.0.113.9",))
    assert verdicts(found)["spf.include_none"] == "fail"
    assert found.check("spf").facts["egress"] == {"203.0.113.9": "permerror"}
    assert item(found, "domain.spf_known_mistake").finding.params["right"] == "_spf.protonmail.ch"
    line = item(found, "spf.include_none").publish[0]
    assert "include:_spf.protonmail.ch" in line
    assert "protonmail.com" not in line
    mended = line.partition('"')[2].rstrip('"')
    again = await look({**table, ("good.test", "TXT"): [mended]}, "spf", egress=("203.0.113.9",))
    assert again.check("spf").facts["egress"] == {"203.0.113.9": "pass"}
    assert again.verdict.value in ("ok", "warn")


async def test_all_fixes_are_in_one_record_so_that_none_undoes_another() -> None:
    text = "v=spf1 ptr ip4:8.8.4.4 ip4:8.8.4.4 include:_spf.protonmail.com -all"
    table = {
        **GOOD,
        ("good.test", "TXT"): [text],
        ("_spf.protonmail.com", "TXT"): ["v=spf1 -all"],
        ("_spf.protonmail.ch", "TXT"): ["v=spf1 -all"],
    }
    found = await look(table, "spf", egress=("9.9.9.9",))
    lines = {one.publish for one in found.items if one.publish}
    assert lines == {
        ('good.test. IN TXT "v=spf1 ip4:8.8.4.4 include:_spf.protonmail.ch ip4:9.9.9.9 -all"',)
    }
    mended = {**table, ("good.test", "TXT"): [lines.pop()[0].split('"')[1]]}
    again = await look(mended, "spf", egress=("9.9.9.9", "8.8.4.4"))
    assert set(verdicts(again).values()) == {"ok"}


async def test_two_records_are_merged_into_the_one_to_publish() -> None:
    texts = ["v=spf1 ip4:192.0.2.1 -all", "v=spf1 include:i1.test ~all", "google-site=x"]
    found = await look({**GOOD, **INCLUDES, ("good.test", "TXT"): texts}, "spf")
    line = item(found, "spf.several").publish[0]
    assert line == 'good.test. IN TXT "v=spf1 ip4:192.0.2.1 include:i1.test ~all"'


async def test_a_domain_without_spf_is_told_one_that_fits_its_provider() -> None:
    table = {**GOOD, ("good.test", "TXT"): [], ("good.test", "MX"): ["0 aspmx.l.google.com."]}
    line = item(await look(table, "spf"), "spf.none").publish[0]
    assert line == 'good.test. IN TXT "v=spf1 include:_spf.google.com ~all"'


async def test_a_domain_that_takes_no_mail_is_told_to_send_none() -> None:
    table = {**GOOD, ("good.test", "TXT"): [], ("good.test", "MX"): ["0 ."]}
    assert item(await look(table, "spf"), "spf.none").publish == (
        'good.test. IN TXT "v=spf1 -all"',
    )


async def test_silent_dns_is_unknown_and_not_missing() -> None:
    found = await look({**GOOD, ("good.test", "TXT"): TIMEOUT}, "spf", egress=("192.0.2.1",))
    assert found.verdict.value != "ok"
    assert "spf.dns_failed" in ids(found)
    assert "domain.spf_uncovered" not in ids(found)
    assert verdicts(found)["domain.spf_unsure"] == "unknown"


@pytest.mark.parametrize(
    ("record", "grade", "id_", "verdict"),
    [
        ("v=DMARC1; p=none; rua=mailto:d@good.test", "warn", "dmarc.monitoring", "warn"),
        ("v=DMARC1; p=quarantine; rua=mailto:d@good.test", "ok", "dmarc.enforced", "ok"),
        ("v=DMARC1; p=reject; rua=mailto:d@good.test", "ok", "dmarc.enforced", "ok"),
        ("v=DMARC1; p=reject; t=y; rua=mailto:d@good.test", "test", "dmarc.testing", "warn"),
        ("v=DMARC1; p=reject; pct=20; rua=mailto:d@good.test", "ok", "dmarc.pct_removed", "warn"),
    ],
)
async def test_dmarc_grades(record: str, grade: str, id_: str, verdict: str) -> None:
    found = await look({**GOOD, ("_dmarc.good.test", "TXT"): [record]}, "dmarc")
    assert found.check("dmarc").facts["grade"] == grade
    assert verdicts(found)[id_] == verdict
    assert item(found, id_).evidence[0].records == (record,)


async def test_pct_is_taken_out_of_the_record_to_publish() -> None:
    record = "v=DMARC1; p=quarantine; pct=20; rua=mailto:d@good.test"
    found = await look({**GOOD, ("_dmarc.good.test", "TXT"): [record]}, "dmarc")
    assert item(found, "dmarc.pct_removed").publish == (
        '_dmarc.good.test. IN TXT "v=DMARC1; p=quarantine; rua=mailto:d@good.test"',
    )


async def test_reports_to_a_stranger_need_his_word() -> None:
    table = {**GOOD, ("_dmarc.good.test", "TXT"): ["v=DMARC1; p=none; rua=mailto:r@other.test"]}
    found = await look(table, "dmarc")
    assert item(found, "dmarc.rua_external").publish == (
        'good.test._report._dmarc.other.test. IN TXT "v=DMARC1"',
    )
    allowed = {**table, ("good.test._report._dmarc.other.test", "TXT"): ["v=DMARC1"]}
    assert "dmarc.rua_external" not in ids(await look(allowed, "dmarc"))


async def test_a_missing_record_is_a_finding_with_a_first_record() -> None:
    found = await look({**GOOD, ("_dmarc.good.test", "TXT"): []}, "dmarc")
    assert verdicts(found) == {"dmarc.none": "fail"}
    assert item(found, "dmarc.none").publish == (
        '_dmarc.good.test. IN TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@good.test"',
    )


async def test_the_walk_up_the_tree_finds_the_policy_of_the_domain_above() -> None:
    found = await look(GOOD, "dmarc", domain="news.good.test")
    facts = found.check("dmarc").facts
    assert (facts["found_at"], facts["inherited"]) == ("good.test", True)
    assert facts["walk"][:2] == ["news.good.test", "good.test"]
