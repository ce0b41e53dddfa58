"""Targets of reports: DMARC's in XML, TLS reports in JSON, feedback in mails."""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from fuzz.senders import told
from fuzz.smtp import text_of
from posthouse.protocol import arf, tlsrpt
from posthouse.protocol.dmarc import report as dmarc

_LIMITS = dmarc.Limits(size=100_000, unpacked=200_000, members=3, layers=4, documents=4)
_ENVELOPE = arf.Envelope(
    "a@a.test", ("b@b.test",), datetime(2026, 1, 1, tzinfo=UTC), "<1@a.test>", "Report"
)
XML = (
    b'<?xml version="1.0"?><feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">'
    b"<version>1.0</version>"
    b"<report_metadata><org_name>A</org_name><email>a@a.test</email><report_id>1</report_id>"
    b"<date_range><begin>1700000000</begin><end>1700086399</end></date_range><error>x</error>"
    b"</report_metadata><policy_published><domain>b.test</domain><p>none</p><sp>none</sp>"
    b"<adkim>r</adkim><aspf>s</aspf><pct>100</pct><fo>0</fo></policy_published><record><row>"
    b"<source_ip>192.0.2.1</source_ip><count>2</count><policy_evaluated>"
    b"<disposition>none</disposition><dkim>fail</dkim><spf>pass</spf><reason><type>other</type>"
    b"<comment>x</comment></reason></policy_evaluated></row><identifiers>"
    b"<header_from>b.test</header_from><envelope_from/></identifiers><auth_results><dkim>"
    b"<domain>b.test</domain><selector>s</selector><result>fail</result></dkim><spf>"
    b"<domain>b.test</domain><scope>mfrom</scope><result>pass</result></spf></auth_results>"
    b"</record></feedback>"
)


def _mail(kind: bytes, name: bytes, content: bytes) -> bytes:
    return (
        b"From: a@a.test\r\nSubject: Report\r\nMIME-Version: 1.0\r\nContent-Type: " + kind
        + b'; name="' + name + b'"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + base64.encodebytes(content).replace(b"\n", b"\r\n")
    )  # fmt: skip


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.test!b.test!1!2.xml"), content)
    return file.getvalue()


GZIP = gzip.compress(XML, mtime=0)
AGGREGATES = (
    XML,
    GZIP,
    _zip(XML),
    _mail(b"application/gzip", b"a!b!1!2.xml.gz", GZIP),
    XML.replace(b"<pct>100", b"<pct>&bad;<").decode().encode("utf-16"),
)
JSON = (
    b'{"organization-name":"A","date-range":{"start-datetime":"2026-01-01T00:00:00Z",'
    b'"end-datetime":"2026-01-01T23:59:59.123456789+01:00"},"contact-info":"a@a.test",'
    b'"report-id":"1","policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1"'
    b'],"policy-domain":"b.test","mx-host":["*.b.test"]},"summary":{'
    b'"total-successful-session-count":5,"total-failure-session-count":2},"failure-details":[{'
    b'"result-type":"certificate-expired","sending-mta-ip":"192.0.2.1","receiving-ip":"[::1]",'
    b'"receiving-mx-hostname":"m.b.test","failed-session-count":2,"failure-reason-code":"x"}]}]}'
)
TLS = (
    JSON,
    gzip.compress(JSON, mtime=0),
    _mail(b"application/tlsrpt+gzip", b"a!b!1!2.json.gz", gzip.compress(JSON, mtime=0)),
    b'{"policies":[{"policy":"x","summary":[],"failure-details":{"failed-session-count":"3"}}]}',
)
TLS_RECORDS = (
    b"v=TLSRPTv1; rua=mailto:a@b.test,https://x.test/report; x=y",
    b"v=TLSRPTv1;rua=mailto:a@b.test!10m, ftp://x",
)
FEEDBACK = (
    b"From: fbl@a.test\r\nSubject: FW: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report;"
    b' report-type=feedback-report; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
    b"A complaint.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
    b"Feedback-Type: auth-failure\r\nUser-Agent: X/1\r\nVersion: 1\r\nAuth-Failure: dmarc\r\n"
    b"Identity-Alignment: dkim, spf\r\n"
    b"Original-Mail-From: <a@b.test>\r\nOriginal-Rcpt-To: <c@d.test>\r\nSource-IP: 192.0.2.1\r\n"
    b"Arrival-Date: Tue, 13 Jan 2026 10:00:00 +0100\r\nReported-Domain: b.test\r\nIncidents: 2\r\n"
    b"Authentication-Results: mx.test; dmarc=fail\r\nDKIM-Canonicalized-Body: aGk=\r\n"
    b'SPF-DNS: txt : "v=spf1 -all"\r\nX-More: y\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n'
    b"From: a@b.test\r\nSubject: x\r\n\r\nhi\r\n--b--\r\n",
    b"Subject: DMARC failure\r\n\r\nSource IP: 192.0.2.1\r\n" + b"-" * 2_000 + b"\r\nx",
    b"From: a@a.test\r\nSubject: complaint\r\n\r\nSource-IP: 192.0.2.1\r\nFeedback-Type: abuse\r\n",
)


def documents(data: bytes) -> None:
    try:
        found = dmarc.unpack(data, _LIMITS)
    except dmarc.ReportError as error:
        assert error.reason
        return
    assert 0 < len(found) <= _LIMITS.documents
    assert sum(len(one.data) for one in found) <= max(_LIMITS.unpacked, len(data))


def aggregate(data: bytes) -> None:
    try:
        found = dmarc.read(data, _LIMITS)
    except dmarc.ReportError as error:
        assert error.reason
        return
    for one in found:
        assert one.records
        assert len(one.notes) <= 100
        told(one.notes, dmarc.NOTE_IDS)
        _again(one)
    made = dmarc.summary(found)
    assert 0 <= made.passed <= made.messages
    dmarc.evidence(found)


def _again(report: dmarc.AggregateReport) -> None:
    """What can be written reads as the same, and without a note on its form."""
    try:
        written = dmarc.write_xml(report)
    except ValueError:
        return
    (again,) = dmarc.read(written)
    ids = {note.id for note in again.notes}
    assert not ids & {"not_well_formed", "truncated", "encoding", "records_over"}
    assert len(again.records) == len(report.records)
    assert again.messages == report.messages
    assert dmarc.write_xml(again) == written or ids


def tls_report(data: bytes) -> None:
    try:
        found = tlsrpt.read(data, _LIMITS)
    except dmarc.ReportError as error:
        assert error.reason
        return
    for one in found:
        told(one.notes, tlsrpt.NOTE_IDS)
        with suppress(ValueError):
            written = tlsrpt.write_json(one)
            json.loads(written)
            (again,) = tlsrpt.read(written)
            assert replace(again, notes=()).policies == one.policies
            assert tlsrpt.write_json(again) == written
    tlsrpt.summary(found)


def tls_record(data: bytes) -> None:
    text = text_of(data)
    try:
        found = tlsrpt.parse(text)
    except tlsrpt.RecordError as error:
        assert 0 <= error.position <= len(text)
        return
    told(tlsrpt.lint(found), tlsrpt.FINDING_IDS)
    again = tlsrpt.parse(tlsrpt.build(found.uris))
    assert len(again.uris) == len(found.uris)


def feedback(data: bytes) -> None:
    try:
        found = arf.read(data)
    except arf.FeedbackError as error:
        assert error.reason
        return
    told(found.notes, arf.NOTE_IDS)
    try:
        mail = arf.write(found, _ENVELOPE)
    except ValueError:
        return
    assert mail.count(b"\n") == mail.count(b"\r\n")
    again = arf.read(mail)
    kind = found.feedback_type
    assert again.feedback_type == kind or not kind.isprintable() or len(kind) > 900
    assert again.source_ip == found.source_ip
    assert again.dkim_canonicalized_body == found.dkim_canonicalized_body
