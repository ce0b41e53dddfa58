"""Aggregate reports: written, validated, read back; summed up; and hostile ones."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol import dmarc
from posthouse.protocol.dmarc import report
from posthouse.protocol.dmarc.report import (
    AggregateReport,
    DkimResult,
    Extension,
    Metadata,
    Published,
    Reason,
    ReportError,
    ReportRecord,
    SpfResult,
)
from posthouse.protocol.message import parse_message, walk

SIMPLE = AggregateReport(
    Metadata("Example Receiver", "dmarc@receiver.test", "2026.11.24@receiver.test", 1000, 87_399),
    Published("example.com", "reject", "none", "quarantine", "r", "s", "1", "n", "treewalk"),
    (
        ReportRecord(
            "192.0.2.1",
            3,
            "none",
            "fail",
            "fail",
            "example.com",
            "",
            "receiver.test",
            (Reason("mailing_list", "list <a@b> & co"),),
            (DkimResult("list.test", "s1", "pass"), DkimResult("example.com", "s", "fail", "body")),
            (SpfResult("list.test", "pass", "mfrom"),),
        ),
    ),
    "1.0",
    "urn:ietf:params:xml:ns:dmarc-2.0",
)

# What XML can hold; the ends are stripped by every reader.
text = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"
    ),
    max_size=20,
).map(str.strip)
needed = text.filter(bool)
counts = st.integers(0, 10**12)
seconds = st.integers(0, 253_402_300_799)
dkims = st.builds(DkimResult, text, text, st.sampled_from(sorted(report.model.DKIM_RESULTS)), text)
spfs = st.builds(
    SpfResult,
    text,
    st.sampled_from(sorted(report.model.SPF_RESULTS)),
    st.just("mfrom"),
    text,
)
extensions = st.lists(
    st.builds(
        Extension,
        st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True),
        st.from_regex(r"urn:[a-z]{1,10}", fullmatch=True),
        text,
    ),
    max_size=2,
).map(tuple)
records = st.builds(
    ReportRecord,
    st.ip_addresses().map(str),
    counts,
    st.sampled_from(sorted(report.model.DISPOSITIONS)),
    st.sampled_from(["pass", "fail"]),
    st.sampled_from(["pass", "fail"]),
    text,
    st.none() | text,
    text,
    st.lists(
        st.builds(Reason, st.sampled_from(sorted(report.model.REASONS)), text), max_size=2
    ).map(tuple),
    st.lists(dkims, max_size=3).map(tuple),
    st.lists(spfs, max_size=1).map(tuple),
    extensions,
)
words = {
    "p": st.sampled_from(["none", "quarantine", "reject"]),
    "sp": st.sampled_from(["", "none", "reject"]),
    "mode": st.sampled_from(["", "r", "s"]),
}
reports = st.builds(
    AggregateReport,
    st.tuples(text, text, text, seconds, seconds, text, text, text).map(
        lambda t: Metadata(
            t[0], t[1], t[2], min(t[3:5]), max(t[3:5]), t[5], (t[6],) if t[6] else (), t[7]
        )
    ),
    st.builds(
        Published,
        text,
        words["p"],
        words["sp"],
        words["sp"],
        words["mode"],
        words["mode"],
        text,
        st.sampled_from(["", "y", "n"]),
        st.sampled_from(["", "psl", "treewalk"]),
    ),
    st.lists(records, min_size=1, max_size=4).map(tuple),
    st.just("1.0"),
    st.just("urn:ietf:params:xml:ns:dmarc-2.0"),
    extensions,
)


def ordered(one: AggregateReport) -> AggregateReport:
    """Signatures stand in a report by their worth, not in the order they were checked."""
    rows = tuple(replace(row, dkim_results=tuple(sorted(row.dkim_results))) for row in one.records)
    return replace(one, records=rows)


@settings(max_examples=60)
@given(reports)
def test_what_is_written_is_read_back(one: AggregateReport) -> None:
    for data in (report.write_xml(one), report.write_gzip(one)):
        (found,) = report.read(data)
        assert found.notes == ()
        assert ordered(found) == ordered(one)


def test_the_same_report_makes_the_same_file() -> None:
    assert report.write_gzip(SIMPLE) == report.write_gzip(SIMPLE)


def test_an_old_report_is_written_in_the_new_form() -> None:
    row = replace(
        SIMPLE.records[0],
        reasons=(Reason("sampled_out"),),
        spf_results=(SpfResult("h.test", "pass", "helo"), SpfResult("m.test", "fail", "mfrom")),
    )
    (found,) = report.read(report.write_xml(replace(SIMPLE, records=(row,))))
    assert found.records[0].reasons == (Reason("other"),)
    assert found.records[0].spf_results == (SpfResult("m.test", "fail", "mfrom"),)


@pytest.mark.parametrize(
    "bad",
    [
        replace(SIMPLE, records=()),
        replace(SIMPLE, records=(replace(SIMPLE.records[0], disposition="discard"),)),
        replace(SIMPLE, records=(replace(SIMPLE.records[0], dkim=""),)),
        replace(SIMPLE, published=replace(SIMPLE.published, p="refuse")),
        replace(SIMPLE, extensions=(Extension("bad name", "urn:x"),)),
        replace(SIMPLE, extensions=(Extension("name"),)),
    ],
)
def test_what_the_schema_forbids_is_not_written(bad: AggregateReport) -> None:
    with pytest.raises(ValueError, match=r"."):
        report.write_xml(bad)


def test_control_characters_of_a_stranger_do_not_break_the_file() -> None:
    row = replace(SIMPLE.records[0], header_from="a\x00b\ud800<c>]]>")
    (found,) = report.read(report.write_xml(replace(SIMPLE, records=(row,))))
    assert found.records[0].header_from == "a\ufffdb\ufffd<c>]]>"
    assert found.notes == ()


def test_the_mail() -> None:
    raw = report.aggregate_mail(
        SIMPLE,
        receiver="mail.receiver.test",
        sender="DMARC <dmarc@receiver.test>",
        recipients=["r@example.com"],
        date=datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC),
        message_id="x@receiver.test",
    )
    mail = parse_message(raw)
    name = "mail.receiver.test!example.com!1000!87399!20261124receivertest.xml.gz"
    assert mail.headers.get("subject") == (
        "Report Domain: example.com Submitter: mail.receiver.test "
        "Report-ID: <2026.11.24@receiver.test>"
    )
    part = list(walk(mail))[-1]
    assert part.media_type == "application/gzip"
    assert f'filename="{name}"' in part.headers.get("content-disposition")
    assert report.read(raw) == (SIMPLE,)
    assert all(len(line) <= 78 or b"filename" in line for line in raw.split(b"\r\n"))


# Hostile and broken input


def test_a_gzip_bomb() -> None:
    with pytest.raises(ReportError) as caught:
        report.read(gzip.compress(bytes(100_000_000)))
    assert caught.value.reason == "bomb"


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


GOOD = report.write_xml(SIMPLE)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"x" * 25_000_001, "too_big"),
        (packed(("a.xml", bytes(100_000_000))), "bomb"),
        (packed(*[(f"{n}.xml", bytes(4_000_000)) for n in range(19)]), "bomb"),
        (packed(*[(f"{n}.xml", GOOD) for n in range(21)]), "too_many"),
        (packed(("a.xml", GOOD), method=zipfile.ZIP_LZMA), "damaged"),
        (packed(("a.xml", GOOD))[:60], "damaged"),
        (b"\x1f\x8b" + b"x" * 50, "damaged"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(GOOD)))), "too_deep"),
        (packed(("a", packed(("b", packed(("c", packed(("d.xml", GOOD)))))))), "too_deep"),
        (b"<html></html>", "not_a_report"),
        (b"<feedback", "not_xml"),
        (b"just text", "not_a_report"),
        (b'{"policies": []}', "not_a_report"),
        (GOOD.replace(b"record>", b"rocord>"), "no_record"),
        (GOOD.replace(b"report_metadata>", b"data>"), "no_metadata"),
        (GOOD.replace(b"policy_published>", b"policy>"), "no_policy"),
        (
            b'<!DOCTYPE feedback [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><feedback>&b;</feedback>',
            "forbidden_xml",
        ),
        (b'<!DOCTYPE feedback SYSTEM "file:///etc/passwd"><feedback/>', "forbidden_xml"),
        (b"<feedback>" + b"<a>" * 30 + b"</a>" * 30 + b"</feedback>", "forbidden_xml"),
        (
            b"<feedback><a " + b" ".join(b'a%d=""' % n for n in range(2_000)) + b"/>",
            "forbidden_xml",
        ),
        (b"<feedback><record>" + b"<a></a>" * 30_000, "forbidden_xml"),
        (b'<feedback xmlns="' + b"x" * 500 + b'"></feedback>', "forbidden_xml"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(ReportError) as caught:
        report.read(raw)
    assert caught.value.reason == reason


def test_limits_on_records_and_elements() -> None:
    many = replace(SIMPLE, records=SIMPLE.records * 10)
    raw = report.write_xml(many)
    (found,) = report.read(raw, report.Limits(records=4))
    assert (len(found.records), found.notes[0].id) == (4, "records_over")
    with pytest.raises(ReportError) as caught:
        report.read(raw, report.Limits(elements=100))
    assert caught.value.reason == "forbidden_xml"


def test_a_huge_broken_document_is_not_mended_but_read_to_the_break() -> None:
    rows = GOOD[GOOD.index(b"<record>") : GOOD.index(b"</feedback>")]
    raw = GOOD.replace(b"</feedback>", b"<extension><<" + b"x>" * 4_000_000 + rows)
    (found,) = report.read(gzip.compress(raw))
    assert found.records == SIMPLE.records
    assert {note.id for note in found.notes} == {"truncated", "not_well_formed"}


def test_several_reports_in_one_zip_and_junk_beside_them() -> None:
    other = report.write_xml(replace(SIMPLE, version="1.0", extensions=()))
    assert len(report.read(packed(("a.xml", GOOD), ("readme.txt", b"hi"), ("b.xml", other)))) == 2


def test_a_forwarded_report_is_found() -> None:
    inner = report.aggregate_mail(
        SIMPLE,
        receiver="r.test",
        sender="a@r.test",
        recipients=["b@example.com"],
        date=datetime(2026, 1, 1, tzinfo=UTC),
        message_id="1@r.test",
    )
    outer = (
        b"From: c@example.com\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: message/rfc822\r\n\r\n" + inner
    )
    assert report.read(outer) == (SIMPLE,)


BROKEN = [
    # (what is wrong, the note that tells, still equal otherwise)
    (GOOD[: GOOD.index(b"</feedback>")], {"not_well_formed", "truncated"}),
    (
        GOOD.replace(b"<org_name>Example Receiver", b"<org_name>A & B <c@d.test>"),
        {"not_well_formed"},
    ),
    (GOOD.replace(b"Example Receiver", b"Ex\x01ample"), {"not_well_formed"}),
    (GOOD.replace(b"Example Receiver", "Ex\u00e9".encode("latin-1")), {"encoding"}),
    (GOOD.replace(b"<count>3", b"<count>-3"), {"number"}),
    (GOOD.replace(b"<count>3", b"<count>3e9"), {"number"}),
    (GOOD.replace(b"<count>3", b"<count>" + b"9" * 5000), {"number"}),
    (GOOD.replace(b"192.0.2.1", b"mail.example"), {"address"}),
    (GOOD.replace(b"<source_ip>192.0.2.1</source_ip>", b""), {"record_without_source"}),
    (GOOD.replace(b"<begin>1000", b"<begin>99999999"), {"range_reversed"}),
    (
        GOOD.replace(b"<begin>1000", b"<begin>1764028800000").replace(
            b"<end>87399", b"<end>1764115199000"
        ),
        {"number"},
    ),
    (GOOD.replace(b"mailing_list", b"Mailing_List"), {"word_case"}),
    (GOOD.replace(b"mailing_list", b"weather"), {"word_unknown"}),
]


@pytest.mark.parametrize(("raw", "notes"), BROKEN)
def test_what_is_repaired(raw: bytes, notes: set[str]) -> None:
    assert raw != GOOD
    (found,) = report.read(raw)
    assert {note.id for note in found.notes} == notes
    assert found.published == SIMPLE.published
    assert found.records[0].header_from == "example.com"
    for note in found.notes:
        assert set(note.params) == set(report.NOTE_IDS[note.id])


def test_half_a_report_keeps_the_whole_records() -> None:
    raw = report.write_xml(replace(SIMPLE, records=SIMPLE.records * 5))
    (found,) = report.read(gzip.compress(raw[: len(raw) * 3 // 5]))
    assert 1 <= len(found.records) < 5
    assert all(row == SIMPLE.records[0] for row in found.records)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1", "gb18030"])
def test_encodings(encoding: str) -> None:
    name = "Empf\u00e4nger" if "8859" in encoding else "\u6536\u4ef6\u65b9"
    one = replace(SIMPLE, metadata=replace(SIMPLE.metadata, org_name=name))
    declared = {"utf-8-sig": "UTF-8"}.get(encoding, encoding)
    text = report.write_xml(one).decode().replace('"UTF-8"', f'"{declared}"')
    assert report.read(text.encode(encoding)) == (one,)


def test_any_order_and_any_prefix() -> None:
    raw = b"""<x:feedback xmlns:x="urn:x"><x:record><x:auth_results/><x:identifiers>
    <x:header_from>example.com</x:header_from></x:identifiers><x:row><x:policy_evaluated>
    <x:spf>pass</x:spf><x:dkim>fail</x:dkim><x:disposition>none</x:disposition></x:policy_evaluated>
    <x:count>2</x:count><x:source_ip>2001:DB8::1</x:source_ip></x:row></x:record>
    <x:policy_published><x:p>none</x:p><x:domain>example.com</x:domain></x:policy_published>
    <x:report_metadata><x:report_id>1</x:report_id></x:report_metadata></x:feedback>"""
    (found,) = report.read(raw)
    row = found.records[0]
    assert (row.source_ip, row.count, row.spf, row.header_from) == (
        "2001:db8::1",
        2,
        "pass",
        "example.com",
    )
    assert found.namespace == "urn:x"


@settings(max_examples=150)
@given(
    st.binary(max_size=300)
    | st.binary(max_size=200).map(gzip.compress)
    | st.binary(max_size=200).map(lambda data: packed(("a", data)))
    | st.binary(max_size=200).map(lambda data: b"<feedback>" + data)
    | st.text("<>/&;\"' =feedback!-[]?xml", max_size=200).map(str.encode)
)
def test_any_bytes(raw: bytes) -> None:
    for read in (report.read, report.unpack):
        with suppress(ReportError):
            read(raw)


@settings(max_examples=150)
@given(st.data())
def test_any_damage_to_a_report(data: st.DataObject) -> None:
    raw = bytearray(
        data.draw(st.sampled_from([GOOD, gzip.compress(GOOD), packed(("a.xml", GOOD))]))
    )
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(raw) - 1))
        kind = data.draw(st.integers(0, 2))
        if kind == 0:
            raw[at] = data.draw(st.integers(0, 255))
        elif kind == 1:
            del raw[at : at + data.draw(st.integers(1, 40))]
        else:
            raw[at:at] = data.draw(st.binary(max_size=10))
        if not raw:
            break
    try:
        found = report.read(bytes(raw))
    except ReportError:
        return
    report.summary(found)
    report.evidence(found)


# Sums


def row(ip: str, count: int, dkim: str, spf: str, *reasons: str) -> ReportRecord:
    return ReportRecord(
        ip,
        count,
        "none",
        dkim,
        spf,
        "example.com",
        reasons=tuple(Reason(one) for one in reasons),
        spf_results=(SpfResult("example.com", spf, "mfrom"),),
    )


DAY = 86_400


def month(*rows: ReportRecord, days: int = 30) -> list[AggregateReport]:
    return [
        AggregateReport(
            Metadata("R", "r@r.test", f"{day}", day * DAY, (day + 1) * DAY - 1),
            Published("example.com", "none"),
            rows,
        )
        for day in range(20_000, 20_000 + days)
    ]


def test_summary() -> None:
    rows = (
        row("192.0.2.1", 8, "pass", "pass"),
        row("192.0.2.2", 2, "fail", "fail", "mailing_list"),
    )
    both = month(*rows, days=2)
    found = report.summary([*both, both[0]])  # one comes twice
    assert (found.reports, found.messages, found.passed, found.failed) == (2, 20, 16, 4)
    assert (found.spf_aligned, found.dkim_aligned, found.share) == (16, 16, 80.0)
    assert found.dispositions == {"none": 20}
    assert found.reasons == {"mailing_list": 4}
    assert [source.ip for source in found.sources] == ["192.0.2.1", "192.0.2.2"]
    assert [(source.ip, source.failed) for source in found.failing] == [("192.0.2.2", 4)]
    assert [(day.day, day.count, day.share) for day in found.days] == [
        (date(2024, 10, 4), 10, 80.0),
        (date(2024, 10, 5), 10, 80.0),
    ]
    assert report.summary([]).messages == 0


@settings(max_examples=30)
@given(st.lists(reports, max_size=3))
def test_nothing_is_lost_in_a_summary(some: list[AggregateReport]) -> None:
    found = report.summary(some)
    for total in (sum(one.count for one in found.sources), sum(one.count for one in found.days)):
        assert total == found.messages
    assert sum(found.dispositions.values()) == found.messages
    assert found.messages <= sum(one.messages for one in some)


def test_evidence_leads_to_quarantine() -> None:
    reports_ = month(row("192.0.2.1", 100, "pass", "pass"))
    evidence = report.evidence(reports_)
    assert (evidence.days, evidence.reported, evidence.legitimate) == (30, 30, 3000)
    policy = dmarc.parse("v=DMARC1; p=none; rua=mailto:r@example.com").policy
    assert dmarc.plan(policy, 30, evidence).step is dmarc.Step.QUARANTINE
    assert dmarc.spf_advice(evidence).strict


def test_a_sender_forgotten() -> None:
    reports_ = month(row("192.0.2.1", 100, "pass", "fail"), row("192.0.2.9", 5, "fail", "fail"))
    unseen = report.evidence(reports_)
    assert (unseen.unknown, unseen.unreviewed, unseen.failing) == (150, 1, 0)
    mine = report.evidence(reports_, lambda one: True)
    assert (mine.failing, mine.sources, mine.unreviewed) == (150, (("192.0.2.9", 150),), 0)
    assert mine.share > 0.5
    strange = report.evidence(reports_, lambda one: one.source_ip != "192.0.2.9")
    assert (strange.failing, strange.unknown) == (0, 0)
    assert strange.spf_failing == 3000  # DKIM saved them; -all could have them refused first
    assert not dmarc.spf_advice(strange).strict


def test_lists_are_nobodys_failure() -> None:
    evidence = report.evidence(month(row("192.0.2.1", 4, "fail", "fail", "mailing_list")))
    assert (evidence.lists, evidence.unknown, evidence.failing) == (120, 0, 0)


@pytest.mark.parametrize(
    ("failing", "needed", "met"),
    [
        ([50, 20, 8, 4, 3], 3, True),  # the article's case: after three days below 5 %
        ([50, 20, 8, 6], None, False),
        ([4, 6, 4], 2, True),  # one day is no success yet
        ([4, 4, 5], None, False),
        ([0], 0, True),
        ([], None, False),
    ],
)
def test_trend(failing: list[int], needed: int | None, met: bool) -> None:
    days = [
        report.Day(date(2026, 11, 1 + n), 100, 100 - bad, 0, 0) for n, bad in enumerate(failing)
    ]
    before = report.Day(date(2026, 10, 31), 100, 10, 0, 0)
    empty = report.Day(date(2026, 11, 29), 0, 0, 0, 0)
    found = report.trend([empty, *days, before], date(2026, 11, 1))
    assert (found.needed, found.met) == (needed, met)
    assert [share for _, share in found.points] == failing


def test_a_zip_that_lies_about_its_sizes() -> None:
    raw = bytearray(packed(("a.xml", bytes(1_000_000))))
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(ReportError):
        report.read(bytes(raw))


def test_raw_deflate_is_no_report() -> None:
    with pytest.raises(ReportError):
        report.read(zlib.compress(GOOD))
