"""Aggregate and failure reports as they were sent, compared with what others read in them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from conformance.suites import files, need
from posthouse.protocol import arf
from posthouse.protocol.dmarc import report

WORDS = {
    "r": "Relaxed",
    "s": "Strict",
    "mfrom": "MailFrom",
    "helo": "Helo",
    "trusted_forwarder": "TrustedForwarder",
    "sampled_out": "Other",  # there; we keep RFC 7489's word
    "forwarded": "Other",
    "local_policy": "LocalPolicy",
    "mailing_list": "MailingList",
    "policy_test_mode": "PolicyTestMode",
    "temperror": "TempError",
    "permerror": "PermError",
    "softfail": "SoftFail",
}

NAMES = [path for path in files("dmarc-reports-mail-auth-rs") if path.suffix in (".xml", ".eml")]


def word(text: str) -> str:
    """A word of a report, as the suite's JSON writes it."""
    return WORDS.get(text, text.capitalize()) or "Unspecified"


def as_suite(one: report.AggregateReport) -> dict[str, Any]:
    """Our report in the suite's form, but for fields RFC 9990 added since."""
    data, policy = one.metadata, one.published
    return {
        "version": Decimal(one.version or 0),
        "report_metadata": {
            "org_name": data.org_name,
            "email": data.email,
            "extra_contact_info": data.extra_contact_info or None,
            "report_id": data.report_id,
            "date_range": {"begin": data.begin, "end": data.end},
            "error": list(data.errors),
            "generator": data.generator or None,
        },
        "policy_published": {
            "domain": policy.domain,
            "adkim": word(policy.adkim),
            "aspf": word(policy.aspf),
            "p": word(policy.p),
            "sp": word(policy.sp),
            "np": word(policy.np),
            "discovery_method": word(policy.discovery_method),
            "testing": policy.testing == "y",
            "fo": policy.fo or None,
        },
        "record": [record(row) for row in one.records],
        "extensions": [extension(row) for row in one.extensions],
    }


def record(row: report.ReportRecord) -> dict[str, Any]:
    return {
        "row": {
            "source_ip": row.source_ip,
            "count": row.count,
            "policy_evaluated": {
                "disposition": word(row.disposition),
                "dkim": word(row.dkim),
                "spf": word(row.spf),
                "reason": [
                    {"type_": word(one.type), "comment": one.comment or None} for one in row.reasons
                ],
            },
        },
        "identifiers": {
            "envelope_to": row.envelope_to or None,
            "envelope_from": row.envelope_from or "",
            "header_from": row.header_from,
        },
        "auth_results": {
            "dkim": [
                {
                    "domain": one.domain,
                    "selector": one.selector,
                    "result": word(one.result),
                    "human_result": one.human or None,
                }
                for one in row.dkim_results
            ],
            "spf": [
                {
                    "domain": one.domain,
                    "scope": word(one.scope),
                    "result": word(one.result),
                    "human_result": one.human or None,
                }
                for one in row.spf_results
            ],
        },
        "extensions": [extension(one) for one in row.extensions],
    }


def extension(one: report.Extension) -> dict[str, str]:
    return {"name": one.name, "definition": one.definition}


def compared(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides; the suite's older files lack the fields that RFC 9990 added."""
    (found,) = report.read(path.read_bytes())
    ours = as_suite(found)
    theirs = json.loads(path.with_suffix(".json").read_text("utf-8"), parse_float=Decimal)
    theirs["policy_published"].pop("version_published", None)  # of a draft
    for section in ("report_metadata", "policy_published"):
        for name in ("generator", "np", "discovery_method"):
            if name not in theirs[section]:
                ours[section].pop(name, None)
    return ours, theirs


def test_the_suites_are_here() -> None:
    need("dmarc-reports-mail-auth-rs")
    assert len(NAMES) >= 10
    need("dmarc-reports-parsedmarc/aggregate")
    assert len(files("dmarc-reports-parsedmarc/aggregate")) >= 17


@pytest.mark.parametrize("path", NAMES, ids=lambda path: path.name)
def test_field_by_field(path: Path) -> None:
    ours, theirs = compared(path)
    assert ours == theirs


# What is wrong with a sample; all others are without fault.
REPAIRED = {
    "empty_reason.xml": {"reason_empty"},
    "ikea.com!example.de!1538690400!1538776800.xml": {"not_well_formed"},
    "invalid_utf_8.xml": {"encoding"},
    "invalid_xml.xml": {"not_well_formed"},
}


@pytest.mark.parametrize(
    "path", files("dmarc-reports-parsedmarc/aggregate"), ids=lambda path: path.name
)
def test_aggregate_samples(path: Path) -> None:
    (found,) = report.read(path.read_bytes())
    assert {note.id for note in found.notes} == REPAIRED.get(path.name, set())
    assert found.published.domain
    assert found.metadata.begin <= found.metadata.end
    assert all(row.source_ip and row.count and row.header_from for row in found.records)


def test_what_stands_in_some_samples() -> None:
    where = need("dmarc-reports-parsedmarc/aggregate")
    (large,) = report.read(next(where.glob("!large*")).read_bytes())
    assert len(large.records) == 2286
    (bad,) = report.read((where / "invalid_xml.xml").read_bytes())
    assert bad.metadata.email == "<bad-xml@bad-xml.net>"
    assert bad.records[0].header_from == "bad<xml.net"
    (utf8,) = report.read((where / "invalid_utf_8.xml").read_bytes())
    assert utf8.records[0].header_from == "bad_byte\ufffd"
    (new,) = report.read((where / "rfc9990-sample.xml").read_bytes())
    assert (new.namespace, new.version) == ("urn:ietf:params:xml:ns:dmarc-2.0", "1.0")
    assert (new.published.np, new.published.testing) == ("none", "n")
    assert new.published.discovery_method == "treewalk"
    assert new.metadata.generator == "Example DMARC Aggregate Reporter v1.2"
    assert new.records[0].disposition == "pass"


@pytest.mark.parametrize(
    "path", files("dmarc-reports-parsedmarc/aggregate_invalid"), ids=lambda path: path.name
)
def test_invalid_samples_are_repaired_and_say_so_or_refused(path: Path) -> None:
    try:
        (found,) = report.read(path.read_bytes())
    except report.ReportError:
        return
    assert found.notes


def test_upper_case_is_repaired() -> None:
    where = need("dmarc-reports-parsedmarc/aggregate_invalid")
    (found,) = report.read((where / "report_with_upper_cased_pass.xml").read_bytes())
    assert {note.id for note in found.notes} == {"word_case"}
    assert (found.records[0].dkim, found.records[0].spf) == ("pass", "pass")
    assert found.records[0].dkim_results[0].result == "pass"


def test_an_empty_file_is_refused() -> None:
    path = need("dmarc-reports-parsedmarc") / "empty.xml"
    with pytest.raises(report.ReportError) as caught:
        report.read(path.read_bytes())
    assert caught.value.reason == "empty"


def test_the_same_report_plain_gzip_and_zip() -> None:
    where = need("dmarc-reports-parsedmarc/extract_report")
    plain, gz, packed = (
        report.read((where / f"nice-input.xml{end}").read_bytes()) for end in ("", ".gz", ".zip")
    )
    assert plain == gz == packed
    assert plain[0].messages == 3047


FAILURES = {
    "DMARC Failure Report for domain.de": ("10.10.10.10", ("domain.de",), "dmarc"),
    "[Netease DMARC Failure Report]": ("167.89.69.24", ("cardinal.com",), ""),
    "dmarc_ruf_report_linkedin": ("10.10.10.10", ("example.com",), "dmarc"),
    "exim_plain_text_only_no_arf_part": ("203.0.113.68", ("example.com",), "dmarc"),
}


@pytest.mark.parametrize(
    "path", files("dmarc-reports-parsedmarc/failure"), ids=lambda path: path.name
)
def test_failure_samples(path: Path) -> None:
    found = arf.read(path.read_bytes())
    assert found.feedback_type == "auth-failure"
    assert found.original
    assert found.arrival is not None
    wanted = [row for name, row in FAILURES.items() if path.name.startswith(name)]
    for row in wanted:  # a sample that is new here has no row yet
        assert (found.source_ip, found.reported_domains, found.auth_failure) == row


def test_line_ends_make_no_difference() -> None:
    where = need("dmarc-reports-parsedmarc/failure")
    lf, crlf = (
        arf.read((where / f"dmarc_ruf_report_linkedin{end}").read_bytes())
        for end in (".eml", ".crlf.eml")
    )
    assert lf == crlf
