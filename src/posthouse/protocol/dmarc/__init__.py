"""dmarc: is the name in From the sender's own, and what if not? RFC 9989, with 9990 and 9991.

Enters: a message's author domain and how SPF and DKIM came out, and the answers to the DNS
questions asked on the way (``protocol.dns``); the text of a record; reports. Leaves: ``Verdict``
with every step; ``Record``; findings about a published record; the text of a record to publish;
the next step towards p=reject. ``report`` reads and writes the reports. Called by the audit of a
domain, the receiving side and the command line.

Fails with ``RecordError`` where a text is no record, and ValueError where a record can't be
written. An evaluation itself never fails: what a record's author or DNS did wrong is in the
verdict. ``evaluate_psl`` tells what RFC 7489 would have said, ``compare`` both.
"""

from posthouse.protocol.dmarc.build import build, mailto
from posthouse.protocol.dmarc.evaluate import discover, evaluate, policy_for
from posthouse.protocol.dmarc.external import Permission, permission
from posthouse.protocol.dmarc.former import Comparison, Suffixes, compare, evaluate_psl
from posthouse.protocol.dmarc.lint import FINDING_IDS, Grade, grade, lint
from posthouse.protocol.dmarc.parse import is_record, parse, report_uri
from posthouse.protocol.dmarc.record import (
    Action,
    Mode,
    Policy,
    Problem,
    Psd,
    Record,
    RecordError,
    ReportUri,
)
from posthouse.protocol.dmarc.result import (
    TRACE_IDS,
    Alignment,
    Code,
    Discovery,
    Dkim,
    Method,
    Note,
    Spf,
    Verdict,
)
from posthouse.protocol.dmarc.rollout import (
    BLOCKER_IDS,
    Blocker,
    Evidence,
    Plan,
    SpfAdvice,
    Step,
    plan,
    spf_advice,
)
from posthouse.protocol.dmarc.survey import Survey, survey

__all__ = [
    "BLOCKER_IDS",
    "FINDING_IDS",
    "TRACE_IDS",
    "Action",
    "Alignment",
    "Blocker",
    "Code",
    "Comparison",
    "Discovery",
    "Dkim",
    "Evidence",
    "Grade",
    "Method",
    "Mode",
    "Note",
    "Permission",
    "Plan",
    "Policy",
    "Problem",
    "Psd",
    "Record",
    "RecordError",
    "ReportUri",
    "Spf",
    "SpfAdvice",
    "Step",
    "Suffixes",
    "Survey",
    "Verdict",
    "build",
    "compare",
    "discover",
    "evaluate",
    "evaluate_psl",
    "grade",
    "is_record",
    "lint",
    "mailto",
    "parse",
    "permission",
    "plan",
    "policy_for",
    "report_uri",
    "spf_advice",
    "survey",
]
