"""TLS reporting: the record, and reports written, read back, summed up, and hostile ones."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import Status
from posthouse.protocol import dmarc, dns, tlsrpt
from posthouse.protocol.dmarc.report import Limits, ReportError
from posthouse.protocol.message import parse_message, walk
from posthouse.protocol.tlsrpt import Failure, PolicyReport, TlsReport
from unit.dmarc.zone import Zone

START = datetime(2026, 11, 24, tzinfo=UTC)
END = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
SIMPLE = TlsReport(
    "Example",
    "2026-11-24_example.com",
    START,
    END,
    (
        PolicyReport(
            "sts",
            "example.com",
            ("version: STSv1", "mode: testing"),
            ("*.example.com",),
            10,
            3,
            (
                Failure("certificate-expired", 2, "192.0.2.1", "mx.example.com", "mx", "192.0.2.9"),
                Failure("validation-failure", 1, additional_information="x", reason_code="Y"),
            ),
        ),
    ),
    "r@sender.test",
)


@pytest.mark.parametrize(
    ("text", "uris", "bad"),
    [
        ("v=TLSRPTv1; rua=mailto:a@b.test", ["mailto:a@b.test"], 0),
        (
            "v=TLSRPTv1;rua=mailto:a@b.test,https://b.test/x;",
            ["mailto:a@b.test", "https://b.test/x"],
            0,
        ),
        ("v=TLSRPTv1; rua=mailto:a@b.test, http://b.test/x", ["mailto:a@b.test"], 1),
        ("v=TLSRPTv1; rua=mailto:a@b.test; x=1", ["mailto:a@b.test"], 0),
    ],
)
def test_record(text: str, uris: list[str], bad: int) -> None:
    record = tlsrpt.parse(text)
    assert [uri.uri for uri in record.uris] == uris
    assert len(record.bad) == bad
    assert tlsrpt.parse(tlsrpt.build(record.uris)).uris == record.uris


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "version"),
        ("v=TLSRPTv2; rua=mailto:a@b.test", "version"),
        (" v=TLSRPTv1; rua=mailto:a@b.test", "version"),
        ("v=TLSRPTv1", "rua"),
        ("v=TLSRPTv1; rua=", "rua"),
        ("v=TLSRPTv1; rua=a@b.test", "rua"),
        ("v=TLSRPTv1;; rua=mailto:a@b.test", "tags"),
        ("v=TLSRPTv1; rua=mailto:a@b.test; rua=mailto:a@b.test", "tags"),
    ],
)
def test_what_is_no_record(text: str, reason: str) -> None:
    with pytest.raises(tlsrpt.RecordError) as caught:
        tlsrpt.parse(text)
    assert caught.value.reason == reason


GOOD = "v=TLSRPTv1; rua=mailto:a@b.test"


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        ((), ["none"]),
        (("v=spf1 -all",), ["none"]),
        ((GOOD,), ["published"]),
        ((GOOD, GOOD), ["several"]),
        ((GOOD, "junk"), ["published"]),
        (("v=TLSRPTv1; rua=x",), ["syntax"]),
        ((GOOD + ",ftp://x.test/",), ["published", "uri"]),
    ],
)
def test_fetch(texts: tuple[str, ...], ids: list[str]) -> None:
    zone = Zone({"_smtp._tls.example.com": texts} if texts else {})
    record, findings = dns.run(tlsrpt.fetch("example.com"), zone)
    assert [one.id.removeprefix("tlsrpt.") for one in findings] == ids
    assert (record is not None) is ("published" in ids)
    for one in findings:
        assert set(one.params) == set(tlsrpt.FINDING_IDS[one.id])


def test_fetch_when_dns_fails() -> None:
    record, findings = dns.run(tlsrpt.fetch("a.test"), Zone(failing=("_smtp._tls.a.test",)))
    assert (record, findings[0].status) == (None, Status.UNKNOWN)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 10**11)  # three of them are still a number that can be
failures = st.builds(
    Failure,
    st.sampled_from(sorted(tlsrpt.RESULT_TYPES)),
    counts,
    st.just("") | st.ip_addresses().map(str),
    texts,
    texts,
    st.just("") | st.ip_addresses().map(str),
    texts,
    texts,
)
policies = st.builds(
    PolicyReport,
    st.sampled_from(["sts", "tlsa", "no-policy-found"]),
    st.from_regex(r"[a-z]{1,9}\.test", fullmatch=True),
    st.lists(texts, max_size=3).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
    counts,
    st.just(0),
    st.lists(failures, max_size=3).map(tuple),
).map(lambda one: replace(one, failures=sum(detail.count for detail in one.details)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC, microsecond=0)
)
reports = st.builds(
    lambda name, id_, pair, rows, contact: TlsReport(
        name, id_, min(pair), max(pair), rows, contact
    ),
    texts.filter(bool),
    texts.filter(bool),
    st.tuples(moments, moments),
    st.lists(policies, max_size=3).map(tuple),
    texts,
)


@settings(max_examples=60)
@given(reports)
def test_what_is_written_is_read_back(one: TlsReport) -> None:
    for raw in (tlsrpt.write_json(one), tlsrpt.write_gzip(one)):
        assert tlsrpt.read(raw) == (one,)


def test_the_mail() -> None:
    raw = tlsrpt.report_mail(
        SIMPLE,
        submitter="mail.sender.test",
        domain="example.com",
        sender="tlsrpt@mail.sender.test",
        recipients=["a@b.test"],
        date=END,
        message_id="1@sender.test",
    )
    mail = parse_message(raw)
    assert (mail.media_type, mail.params["report-type"]) == ("multipart/report", "tlsrpt")
    assert mail.headers.get("tls-report-domain") == "example.com"
    assert mail.headers.get("tls-report-submitter") == "mail.sender.test"
    part = list(walk(mail))[-1]
    assert part.media_type == "application/tlsrpt+gzip"
    name = "mail.sender.test!example.com!1795478400!1795564799!20261124examplecom.json.gz"
    assert part.headers.get("content-disposition") == f'attachment; filename="{name}"'
    assert tlsrpt.read(raw) == (SIMPLE,)


def test_a_report_without_its_period_is_not_written() -> None:
    with pytest.raises(ValueError, match="period"):
        tlsrpt.write_json(replace(SIMPLE, start=None))


def test_summary() -> None:
    other = replace(
        SIMPLE, report_id="2", policies=(PolicyReport("tlsa", "example.com", (), (), 7, 0),)
    )
    found = tlsrpt.summary([SIMPLE, SIMPLE, other])
    assert (found.reports, found.successes, found.failures) == (2, 17, 3)
    assert found.by_type == {"certificate-expired": 2, "validation-failure": 1}
    assert found.by_mx == {"mx.example.com": 2, "": 1}
    assert found.by_sender == {"Example": 3}
    assert found.by_policy == {"sts": (10, 3), "tlsa": (7, 0)}
    assert found.share == 15.0
    assert tlsrpt.summary([]).share == 0


def changed(**changes: Any) -> bytes:
    document = json.loads(tlsrpt.write_json(SIMPLE))
    policy = document["policies"][0]
    places = {
        "policy": policy["policy"],
        "summary": policy["summary"],
        "range": document["date-range"],
    }
    for name, value in changes.items():
        where, _, field = name.partition("__")
        places.get(where, document if where == "top" else policy)[field.replace("_", "-")] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("raw", "note"),
    [
        (changed(policy__policy_type="odd"), "word_unknown"),
        (changed(policy__policy_type=None), "missing"),
        (changed(policy__policy_domain=3), "kind"),
        (changed(policy__mx_host=[1]), "kind"),
        (changed(summary__total_failure_session_count="3"), "kind"),
        (changed(summary__total_failure_session_count=4), "sum_differs"),
        (changed(summary__total_successful_session_count=-1), "number"),
        (changed(summary__total_successful_session_count=10**30), "number"),
        (changed(summary__total_successful_session_count=True), "number"),
        (changed(range__start_datetime="yesterday"), "date"),
        (changed(range__start_datetime="2027-01-01T00:00:00Z"), "range_reversed"),
        (changed(top__report_id=""), "missing"),
        (changed(top__date_range=[]), "kind"),
        (changed(row__failure_details={"result-type": "sts-policy-invalid"}), "sum_differs"),
        (changed(row__failure_details=[3]), "kind"),
        (changed(row__failure_details=[{"result-type": "x", "sending-mta-ip": "y"}]), "address"),
    ],
)
def test_notes(raw: bytes, note: str) -> None:
    (found,) = tlsrpt.read(raw)
    assert note in {one.id for one in found.notes}
    for one in found.notes:
        assert set(one.params) <= set(tlsrpt.NOTE_IDS[one.id])


@pytest.mark.parametrize(
    "period", ["2026-11-24T00:00:00.123456789Z", "2026-11-24T08:00:00+08:00", "2026-11-24T00:00:00"]
)
def test_dates(period: str) -> None:
    (found,) = tlsrpt.read(changed(range__start_datetime=period))
    assert found.start is not None
    assert found.start.replace(microsecond=0) == START


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b"{}", "not_a_report"),
        (b"[]", "not_a_report"),
        (b'{"policies":' + b"[" * 100_000, "not_json"),
        (b'{"policies": ' + b"9" * 5_000 + b"}", "not_json"),
        (b'{"policies": [' + b"1," * 2_000_001 + b"1]}", "bomb"),
        (gzip.compress(b'{"a":"' + b" " * 70_000_000), "bomb"),
        (b"<feedback/>", "not_a_report"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(ReportError) as caught:
        tlsrpt.read(raw)
    assert caught.value.reason == reason


def test_limits_of_the_caller() -> None:
    with pytest.raises(ReportError) as caught:
        tlsrpt.read(tlsrpt.write_gzip(SIMPLE), Limits(unpacked=100))
    assert caught.value.reason == "bomb"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100)
@given(
    st.sampled_from(
        [
            *("top__policies", "top__date_range", "top__report_id", "range__end_datetime"),
            *("policy__mx_host", "row__policy", "row__summary", "row__failure_details"),
            "summary__total_failure_session_count",
        ]
    ),
    values,
)
def test_any_json(place: str, value: Any) -> None:
    (found,) = tlsrpt.read(changed(**{place: value}))
    tlsrpt.summary([found])


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"{" + data))
def test_any_bytes(raw: bytes) -> None:
    with suppress(ReportError):
        tlsrpt.read(raw)


@given(st.text(max_size=100))
def test_any_record(text: str) -> None:
    for one in (text, "v=TLSRPTv1;" + text, "v=TLSRPTv1;rua=" + text):
        with suppress(tlsrpt.RecordError):
            assert tlsrpt.parse(one).uris


def test_a_uri_list_of_dmarc_serves_both() -> None:
    assert tlsrpt.build([dmarc.mailto("a@b.test")]) == GOOD
