"""mtasts: MTA-STS, a domain's wish that mail to it travels encrypted. RFC 8461.

Enters: answers to one DNS question, what an HTTPS fetch brought, how TLS with one mail server came
out. Leaves: ``Discovery``, ``Policy``, ``Decision`` and findings. The fetch is the caller's:
``policy_url`` says where, ``judge_fetch`` whether what came counts. Called by the audit of a domain
and by whoever delivers. Parsers fail with RecordError and PolicyError alone, the rest not at all.

A sender that also does DANE asks it first: MTA-STS never makes up for a failed DANE check
(section 2).
"""

from __future__ import annotations

from posthouse.protocol.mtasts.audit import FINDING_IDS, SHORT_AGE, audit
from posthouse.protocol.mtasts.decide import Decision, Tls, Verdict, decide, should_fetch
from posthouse.protocol.mtasts.fetch import Fetched, Problem, judge_fetch, policy_url
from posthouse.protocol.mtasts.policy import (
    BODY_LIMIT,
    MAX_AGE,
    Mode,
    Policy,
    PolicyError,
    matches,
    parse,
)
from posthouse.protocol.mtasts.record import (
    Discovery,
    Found,
    Record,
    RecordError,
    discover,
    is_record,
    parse_record,
)

__all__ = [
    "BODY_LIMIT",
    "FINDING_IDS",
    "MAX_AGE",
    "SHORT_AGE",
    "Decision",
    "Discovery",
    "Fetched",
    "Found",
    "Mode",
    "Policy",
    "PolicyError",
    "Problem",
    "Record",
    "RecordError",
    "Tls",
    "Verdict",
    "audit",
    "decide",
    "discover",
    "is_record",
    "judge_fetch",
    "matches",
    "parse",
    "parse_record",
    "policy_url",
    "should_fetch",
]
