"""bimi: a brand's logo beside its mail. draft-brand-indicators-for-message-identification.

Enters: answers to one or two DNS questions; what DMARC says; the logo and the mark certificate as
octets. Leaves: ``Asserted``, ``Logo``, ``Mark`` and findings. Fetching is the caller's. Called by
the audit of a domain. ``parse`` fails with RecordError and ``read_mark`` with MarkError alone, the
rest not at all.
"""

from __future__ import annotations

from posthouse.protocol.bimi.audit import FINDING_IDS, Dmarc, audit, prerequisites
from posthouse.protocol.bimi.mark import Mark, MarkError, check_mark, read_mark
from posthouse.protocol.bimi.record import (
    Asserted,
    Found,
    Record,
    RecordError,
    is_record,
    lookup,
    parse,
    record_name,
)
from posthouse.protocol.bimi.svg import ADVISED_SIZE, Logo, check_logo

__all__ = [
    "ADVISED_SIZE",
    "FINDING_IDS",
    "Asserted",
    "Dmarc",
    "Found",
    "Logo",
    "Mark",
    "MarkError",
    "Record",
    "RecordError",
    "audit",
    "check_logo",
    "check_mark",
    "is_record",
    "lookup",
    "parse",
    "prerequisites",
    "read_mark",
    "record_name",
]
