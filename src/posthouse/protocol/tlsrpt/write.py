"""Writing TLS reports. RFC 8460 sections 4.4, 5.1 and 5.3.

Enters: ``TlsReport``. Leaves: JSON, its gzip, its file name, and the mail. Called by the sending
side, once a day for each domain that asks. Fails with ValueError where the report has no period.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from posthouse.protocol.arf import Envelope, Piece, multipart
from posthouse.protocol.tlsrpt.model import Failure, PolicyReport, TlsReport

_UNIQUE = re.compile(r"[^A-Za-z0-9]")
_ID = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]")


def write_json(report: TlsReport) -> bytes:
    """The document, UTF-8."""
    if report.start is None or report.end is None:
        raise ValueError("a report needs its period")
    document = {
        "organization-name": report.organization,
        "date-range": {
            "start-datetime": _rfc3339(report.start),
            "end-datetime": _rfc3339(report.end),
        },
        "contact-info": report.contact,
        "report-id": report.report_id,
        "policies": [_policy(one) for one in report.policies],
    }
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def write_gzip(report: TlsReport) -> bytes:
    """The document as gzip; the same bytes for the same report."""
    engine = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return engine.compress(write_json(report)) + engine.flush()


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _policy(one: PolicyReport) -> dict[str, Any]:
    policy: dict[str, Any] = {"policy-type": one.policy_type}
    if one.policy_string:
        policy["policy-string"] = list(one.policy_string)
    policy["policy-domain"] = one.policy_domain
    if one.mx_hosts:
        policy["mx-host"] = list(one.mx_hosts)
    found: dict[str, Any] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": one.successes,
            "total-failure-session-count": one.failures,
        },
    }
    if one.details:
        found["failure-details"] = [_failure(detail) for detail in one.details]
    return found


def _failure(one: Failure) -> dict[str, Any]:
    optional = {
        "sending-mta-ip": one.sending_mta_ip,
        "receiving-mx-hostname": one.receiving_mx_hostname,
        "receiving-mx-helo": one.receiving_mx_helo,
        "receiving-ip": one.receiving_ip,
    }
    rest = {
        "additional-information": one.additional_information,
        "failure-reason-code": one.reason_code,
    }
    return {
        "result-type": one.result_type,
        **{name: value for name, value in optional.items() if value},
        "failed-session-count": one.count,
        **{name: value for name, value in rest.items() if value},
    }


def filename(report: TlsReport, sender: str, domain: str) -> str:
    """ "mail.sender.example!example.net!1470013207!1470186007!id.json.gz" (section 5.1)."""
    if report.start is None or report.end is None:
        raise ValueError("a report needs its period")
    begin, end = int(report.start.timestamp()), int(report.end.timestamp())
    parts = [sender, domain, str(begin), str(end)]
    if unique := _UNIQUE.sub("", report.report_id)[:80]:
        parts.append(unique)
    return "!".join(parts) + ".json.gz"


def report_mail(
    report: TlsReport,
    *,
    submitter: str,
    domain: str,
    sender: str,
    recipients: Sequence[str],
    date: datetime,
    message_id: str,
    text: str = "",
) -> bytes:
    """The mail (section 5.3). It must be DKIM-signed, whatever its TLS (section 3)."""
    identity = _ID.sub("", report.report_id)
    envelope = Envelope(
        sender,
        tuple(recipients),
        date,
        message_id,
        f"Report Domain: {domain} Submitter: {submitter} Report-ID: <{identity}>",
        (
            ("TLS-Report-Domain", domain),
            ("TLS-Report-Submitter", submitter),
            ("Auto-Submitted", "auto-generated"),
        ),
    )
    words = text or f"TLS report about {domain} from {submitter}."
    packed = write_gzip(report)
    pieces = [
        Piece("text/plain; charset=utf-8", words.encode("utf-8", "replace")),
        Piece("application/tlsrpt+gzip", packed, True, filename(report, submitter, domain)),
    ]
    return multipart(envelope, 'multipart/report; report-type="tlsrpt"', pieces)
