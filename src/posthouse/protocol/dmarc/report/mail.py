"""The mail that carries an aggregate report. RFC 9990 section 3.5.2.

Enters: ``AggregateReport``, who sends it, to whom, when. Leaves: its file name, its subject, the
mail. Called by the receiving side. Fails with ValueError as ``write`` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from posthouse.protocol.arf import Envelope, Piece, multipart
from posthouse.protocol.dmarc.report.model import AggregateReport
from posthouse.protocol.dmarc.report.write import write_gzip

_UNIQUE: Final = re.compile(r"[^A-Za-z0-9]")
_ID: Final = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]")


def filename(report: AggregateReport, receiver: str, *, packed: bool = True) -> str:
    """ "mail.receiver.example!example.com!1013662812!1013749130!id.xml.gz"."""
    data = report.metadata
    parts = [receiver, report.published.domain, str(data.begin), str(data.end)]
    if unique := _UNIQUE.sub("", data.report_id)[:80]:
        parts.append(unique)  # the letters and digits of the Report-ID (section 3.1.4)
    return "!".join(parts) + (".xml.gz" if packed else ".xml")


def subject(report: AggregateReport, receiver: str) -> str:
    """ "Report Domain: example.com Submitter: mail.receiver.example Report-ID: <id>"."""
    identity = _ID.sub("", report.metadata.report_id)
    return f"Report Domain: {report.published.domain} Submitter: {receiver} Report-ID: <{identity}>"


def aggregate_mail(
    report: AggregateReport,
    *,
    receiver: str,
    sender: str,
    recipients: Sequence[str],
    date: datetime,
    message_id: str,
    text: str = "",
) -> bytes:
    """The mail. It must pass DMARC itself, so whoever sends it signs it."""
    envelope = Envelope(
        sender,
        tuple(recipients),
        date,
        message_id,
        subject(report, receiver),
        # RFC 3834: nobody shall answer a report with a vacation notice
        (("Auto-Submitted", "auto-generated"),),
    )
    words = text or f"DMARC aggregate report about {report.published.domain} from {receiver}."
    pieces = [
        Piece("text/plain; charset=utf-8", words.encode("utf-8", "replace")),
        Piece("application/gzip", write_gzip(report), True, filename(report, receiver)),
    ]
    return multipart(envelope, "multipart/mixed", pieces)
