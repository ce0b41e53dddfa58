"""arf: feedback reports in mails: complaints, and failures of SPF, DKIM and DMARC.

Enters: a mail as bytes, or facts to report. Leaves: ``FeedbackReport``, or a mail. Called by
whoever watches complaints, by ``dmarc.report`` and by the receiving side. ``compose`` puts mails
of several parts together and serves ``dmarc.report`` and ``tlsrpt``, too.

Fails with ``FeedbackError`` where a mail is no feedback report, and ValueError where one can't be
written. RFC 5965 (the format), RFC 6591 (authentication failures), RFC 6430 (not-spam), RFC 6652
(SPF), RFC 9991 (DMARC).
"""

from posthouse.protocol.arf.compose import Envelope, Piece, multipart
from posthouse.protocol.arf.model import FEEDBACK_TYPES, NOTE_IDS, FeedbackReport, Note
from posthouse.protocol.arf.read import FeedbackError, Limits, read
from posthouse.protocol.arf.spf import SpfFailure, spf_dns, spf_failure
from posthouse.protocol.arf.write import write

__all__ = [
    "FEEDBACK_TYPES",
    "NOTE_IDS",
    "Envelope",
    "FeedbackError",
    "FeedbackReport",
    "Limits",
    "Note",
    "Piece",
    "SpfFailure",
    "multipart",
    "read",
    "spf_dns",
    "spf_failure",
    "write",
]
