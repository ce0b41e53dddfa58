"""What we write is valid by RFC 9990's schema, and parsedmarc reads in it what we wrote."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from conformance.suites import SUITES, files, need
from posthouse.protocol.dmarc import report
from unit.dmarc.test_dmarc_report import SIMPLE, reports

XSD = SUITES / "dmarc-xsd-rfc9990" / "dmarc-xml-0.2.xsd"


@pytest.fixture(scope="module")
def schema() -> Any:
    etree = pytest.importorskip("lxml.etree")
    need("dmarc-xsd-rfc9990")
    return etree.XMLSchema(etree.parse(str(XSD)))


def errors(schema: Any, data: bytes) -> list[str]:
    from lxml import etree

    schema.validate(etree.fromstring(data))
    return [str(one) for one in schema.error_log]


def test_the_schema_finds_mistakes(schema: Any) -> None:
    data = report.write_xml(SIMPLE)
    assert errors(schema, data) == []
    assert errors(schema, data.replace(b"<p>reject</p>", b"<p>refuse</p>"))
    assert errors(schema, data.replace(b"<count>3</count>", b""))


def test_what_we_write_is_valid(schema: Any) -> None:
    @settings(max_examples=60, deadline=None)
    @given(reports)
    def check(one: report.AggregateReport) -> None:
        assert errors(schema, report.write_xml(one)) == []

    check()


@pytest.mark.parametrize("path", files("dmarc-xsd-rfc9990", ".xml"), ids=lambda path: path.name)
def test_the_rfcs_own_samples(schema: Any, path: Path) -> None:
    (found,) = report.read(path.read_bytes())
    assert found.notes == ()
    # one sample is in the namespace of an alternative that was not taken
    assert bool(errors(schema, path.read_bytes())) is (found.namespace != SIMPLE.namespace)
    data = report.write_xml(found)
    assert errors(schema, data) == []
    assert report.read(data)[0].published == found.published


@pytest.mark.parametrize(
    "path",
    files("dmarc-reports-parsedmarc/aggregate") + files("dmarc-reports-mail-auth-rs", ".xml"),
    ids=lambda path: path.name,
)
def test_samples_written_again_are_valid(schema: Any, path: Path) -> None:
    """Old and wild reports in the new form, where they tell what it needs."""
    (found,) = report.read(path.read_bytes())
    if any(one.definition == "" or " " in one.name for one in found.extensions):
        pytest.skip("its extensions have no namespace")
    assert errors(schema, report.write_xml(found)) == []


def theirs(data: bytes) -> dict[str, Any]:
    """The report as parsedmarc reads it. It asks nobody: offline, and with its own files."""
    parsedmarc = pytest.importorskip("parsedmarc")
    logging.disable(logging.ERROR)
    try:
        found = parsedmarc.parse_aggregate_report_xml(
            data, offline=True, always_use_local_files=True, keep_alive=None
        )
    finally:
        logging.disable(logging.NOTSET)
    return dict(found)


def test_parsedmarc_reads_what_we_wrote() -> None:
    found = theirs(report.write_xml(SIMPLE))
    data, policy = found["report_metadata"], found["policy_published"]
    assert found["xml_namespace"] == SIMPLE.namespace
    assert data["org_name"] == SIMPLE.metadata.org_name
    assert data["org_email"] == SIMPLE.metadata.email
    assert data["report_id"] == SIMPLE.metadata.report_id.partition("@")[0]  # it cuts there
    assert policy["domain"] == SIMPLE.published.domain
    for name in ("p", "sp", "np", "adkim", "aspf", "fo", "testing", "discovery_method"):
        assert policy[name] == getattr(SIMPLE.published, name), name
    (ours,), (row,) = SIMPLE.records, found["records"]
    assert row["source"]["ip_address"] == ours.source_ip
    assert row["count"] == ours.count
    judged = row["policy_evaluated"]
    assert (judged["disposition"], judged["dkim"], judged["spf"]) == ("none", "fail", "fail")
    assert judged["policy_override_reasons"] == [
        {"type": "mailing_list", "comment": "list <a@b> & co"}
    ]
    assert row["identifiers"]["header_from"] == ours.header_from
    results = row["auth_results"]
    assert [(one["domain"], one["selector"], one["result"]) for one in results["dkim"]] == [
        ("list.test", "s1", "pass"),
        ("example.com", "s", "fail"),
    ]
    assert [(one["domain"], one["scope"], one["result"]) for one in results["spf"]] == [
        ("list.test", "mfrom", "pass")
    ]


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in files("dmarc-reports-parsedmarc/aggregate", ".xml")
        if path.name not in ("invalid_xml.xml", "invalid_utf_8.xml")  # mended in another way there
        and "large" not in path.name
    ],
    ids=lambda path: path.name,
)
def test_parsedmarc_and_we_read_the_same(path: Path) -> None:
    (ours,) = report.read(path.read_bytes())
    found = theirs(path.read_bytes())
    assert found["policy_published"]["domain"] == ours.published.domain
    assert found["policy_published"]["p"] == ours.published.p
    assert len(found["records"]) == len(ours.records)
    for row, mine in zip(found["records"], ours.records, strict=True):
        judged = row["policy_evaluated"]
        assert row["source"]["ip_address"] == mine.source_ip
        assert row["count"] == mine.count
        assert judged["disposition"] == mine.disposition
        assert (judged["dkim"], judged["spf"]) == (mine.dkim, mine.spf)
        assert row["identifiers"]["header_from"] == mine.header_from
        assert row["alignment"]["dmarc"] is mine.passed
