"""report: DMARC's reports, read and written. RFC 9990, RFC 7489 appendix C, RFC 9991, RFC 6591.

Enters: bytes as they come (XML, gzip, zip, or a mail with one of them inside), or facts to report.
Leaves: ``AggregateReport``, ``Summary``, ``Evidence`` for the roll-out; XML, its gzip and file
name, and the mail that carries it; failure reports as ``arf.FeedbackReport``. Called by whoever
watches a domain, and by the receiving side. ``unpack`` and its errors serve ``tlsrpt`` too.

Fails with ``ReportError`` where nothing can be read, ``ValueError`` where what is to be written
can't be. Small mistakes of the sender are repaired, and said in the report's ``notes``.
"""

from posthouse.protocol.dmarc.report.failure import (
    FailedMessage,
    failure_report,
    wants_failure_report,
)
from posthouse.protocol.dmarc.report.mail import aggregate_mail, filename, subject
from posthouse.protocol.dmarc.report.model import (
    NOTE_IDS,
    AggregateReport,
    DkimResult,
    Extension,
    Metadata,
    Note,
    Published,
    Reason,
    ReportRecord,
    SpfResult,
)
from posthouse.protocol.dmarc.report.read import read
from posthouse.protocol.dmarc.report.summary import Day, Source, Summary, evidence, summary
from posthouse.protocol.dmarc.report.trend import Trend, trend
from posthouse.protocol.dmarc.report.unpack import Limits, ReportError, unpack
from posthouse.protocol.dmarc.report.write import write_gzip, write_xml

__all__ = [
    "NOTE_IDS",
    "AggregateReport",
    "Day",
    "DkimResult",
    "Extension",
    "FailedMessage",
    "Limits",
    "Metadata",
    "Note",
    "Published",
    "Reason",
    "ReportError",
    "ReportRecord",
    "Source",
    "SpfResult",
    "Summary",
    "Trend",
    "aggregate_mail",
    "evidence",
    "failure_report",
    "filename",
    "read",
    "subject",
    "summary",
    "trend",
    "unpack",
    "wants_failure_report",
    "write_gzip",
    "write_xml",
]
