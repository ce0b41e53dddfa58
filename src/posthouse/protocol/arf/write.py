"""Writing feedback reports. RFC 5965 section 2, RFC 6591 section 3, RFC 9991 section 4.

Enters: ``FeedbackReport`` and an ``Envelope``. Leaves: the mail. Called by the receiving side.
Fails with ValueError where a field that the type needs is missing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from email.utils import format_datetime
from typing import Final

from posthouse.protocol.arf.compose import Envelope, Piece, field, multipart, wrapped
from posthouse.protocol.arf.model import FeedbackReport

ORIGINAL: Final = 100_000  # bytes of the message that are sent back
_KIND: Final = "multipart/report; report-type=feedback-report"
_VALUE: Final = 900  # characters of one value: a line holds 998 octets


def write(report: FeedbackReport, envelope: Envelope) -> bytes:
    """The mail."""
    _check(report)
    kind = "text/rfc822-headers" if report.headers_only else "message/rfc822"
    text = report.text or "This is a feedback report. Its fields are in the next part."
    pieces = [
        Piece("text/plain; charset=utf-8", text.encode("utf-8", "replace")),
        Piece("message/feedback-report", b"\r\n".join([*_fields(report), b""])),
        Piece(kind, wrapped(report.original[:ORIGINAL])),
    ]
    return multipart(envelope, _KIND, pieces)


def _check(report: FeedbackReport) -> None:
    """RFC 5965 section 3.1; RFC 6591 section 3.1 for failures of authentication."""
    missing = [
        name
        for name, value in (
            ("Feedback-Type", report.feedback_type),
            ("User-Agent", report.user_agent),
            ("Version", report.version),
        )
        if not value
    ]
    if report.feedback_type == "auth-failure":
        for name, told in (
            ("Auth-Failure", bool(report.auth_failure)),
            ("Authentication-Results", bool(report.authentication_results)),
            ("Reported-Domain", bool(report.reported_domains)),
            ("Source-IP", bool(report.source_ip)),
            # RFC 9991 section 4
            ("Identity-Alignment", report.auth_failure != "dmarc" or _aligned(report) != ""),
        ):
            missing += [] if told else [name]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}")


def _aligned(report: FeedbackReport) -> str:
    if report.identity_alignment is None:
        return ""
    return ", ".join(report.identity_alignment) or "none"


def _fields(report: FeedbackReport) -> Iterator[bytes]:
    for name, value in _single(report):
        if value:
            yield field(name, value[:_VALUE])
    if report.original_mail_from is not None:
        yield field("Original-Mail-From", f"<{report.original_mail_from[:_VALUE]}>")
    for name, values in (
        ("Original-Rcpt-To", tuple(f"<{one}>" for one in report.original_rcpt_to)),
        ("Authentication-Results", report.authentication_results),
        ("Reported-Domain", report.reported_domains),
        ("Reported-URI", report.reported_uris),
        ("SPF-DNS", report.spf_dns),
    ):
        for one in values:
            yield field(name, one[:_VALUE])
    for name, raw in (
        ("DKIM-Canonicalized-Header", report.dkim_canonicalized_header),
        ("DKIM-Canonicalized-Body", report.dkim_canonicalized_body),
    ):
        if raw:
            yield _base64(name, raw)


def _single(report: FeedbackReport) -> Iterator[tuple[str, str]]:
    yield "Feedback-Type", report.feedback_type
    yield "User-Agent", report.user_agent
    yield "Version", report.version
    yield "Incidents", str(report.incidents) if report.incidents != 1 else ""
    yield "Source-IP", report.source_ip
    yield "Source-Port", str(report.source_port) if report.source_port else ""
    yield "Arrival-Date", format_datetime(report.arrival) if report.arrival else ""
    yield "Original-Envelope-Id", report.original_envelope_id
    yield "Reporting-MTA", f"dns; {report.reporting_mta}" if report.reporting_mta else ""
    yield "Auth-Failure", report.auth_failure
    yield "Delivery-Result", report.delivery_result
    yield "Identity-Alignment", _aligned(report)
    yield "DKIM-Domain", report.dkim_domain
    yield "DKIM-Identity", report.dkim_identity
    yield "DKIM-Selector", report.dkim_selector
    yield "DKIM-Selector-DNS", report.dkim_selector_dns
    yield "DKIM-ADSP-DNS", report.dkim_adsp_dns


def _base64(name: str, raw: bytes) -> bytes:
    text = base64.b64encode(raw).decode("ascii")
    return field(name, " ".join(text[at : at + 70] for at in range(0, len(text), 70)))
