"""SPF: may this client send for this domain? RFC 7208, with RFC 6652 and RFC 8616.

Enters: a client's address, a domain, a sender, and the answers to the DNS questions asked on the
way (``protocol.dns``); or the text of a record. Leaves: ``Result`` with every step of the check;
``Record``; findings about a published record; records with something added, taken out, merged or
flattened. Called by the audit of a domain, the receiving side and the command line.

Fails with ``RecordError`` where a text is no record, ``EditError`` where a change can't be made,
and ValueError where a client's address is none. A check itself never fails: what the record's
author or DNS did wrong is permerror or temperror, with the note that tells why.
"""

from posthouse.protocol.spf.check import check_helo, check_host, check_mail
from posthouse.protocol.spf.edit import EditError
from posthouse.protocol.spf.lint import FINDING_IDS, lint
from posthouse.protocol.spf.model import (
    DEFAULT_LIMITS,
    TRACE_IDS,
    Limits,
    Note,
    Result,
)
from posthouse.protocol.spf.parse import is_record, parse
from posthouse.protocol.spf.record import (
    Code,
    MacroString,
    Mechanism,
    Modifier,
    Network,
    Record,
    RecordError,
)
from posthouse.protocol.spf.reporting import Reporting, reporting
from posthouse.protocol.spf.survey import Coverage, Survey, survey

__all__ = [
    "DEFAULT_LIMITS",
    "FINDING_IDS",
    "TRACE_IDS",
    "Code",
    "Coverage",
    "EditError",
    "Limits",
    "MacroString",
    "Mechanism",
    "Modifier",
    "Network",
    "Note",
    "Record",
    "RecordError",
    "Reporting",
    "Result",
    "Survey",
    "check_helo",
    "check_host",
    "check_mail",
    "is_record",
    "lint",
    "parse",
    "reporting",
    "survey",
]
