"""tlsrpt: SMTP TLS reporting: the record that asks for reports, and the reports. RFC 8460.

Enters: the text of a TXT record at _smtp._tls; reports as bytes (JSON, gzip, or the mail around
them), or facts to report. Leaves: ``Record``; ``TlsReport`` and ``Summary``; JSON, gzip, mail.
Called by the audit of a domain, whoever watches it, and the sending side.

Fails with ``RecordError`` where a text is no record, ``dmarc.report.ReportError`` where nothing
can be read, ValueError where a report can't be written. Small mistakes are in ``notes``.
"""

from posthouse.protocol.tlsrpt.model import (
    NOTE_IDS,
    RESULT_TYPES,
    Failure,
    Note,
    PolicyReport,
    TlsReport,
)
from posthouse.protocol.tlsrpt.read import read
from posthouse.protocol.tlsrpt.record import (
    FINDING_IDS,
    Record,
    RecordError,
    build,
    fetch,
    is_record,
    lint,
    parse,
)
from posthouse.protocol.tlsrpt.summary import Summary, summary
from posthouse.protocol.tlsrpt.write import filename, report_mail, write_gzip, write_json

__all__ = [
    "FINDING_IDS",
    "NOTE_IDS",
    "RESULT_TYPES",
    "Failure",
    "Note",
    "PolicyReport",
    "Record",
    "RecordError",
    "Summary",
    "TlsReport",
    "build",
    "fetch",
    "filename",
    "is_record",
    "lint",
    "parse",
    "read",
    "report_mail",
    "summary",
    "write_gzip",
    "write_json",
]
