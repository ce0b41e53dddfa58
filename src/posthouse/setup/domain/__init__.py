"""A domain's mail, audited: what it publishes, what is wrong, and the records that mend it.

Enters: a domain, a resolver, a dialer, HTTP and a clock, and what the caller knows (addresses that
send, selectors, one mail). Leaves: an ``Audit``: findings with the answers of DNS behind them, the
requirements of large receivers, the cost; comparisons with an earlier audit; a table of resolvers;
one received mail explained; what a receiver would do with many. Called by the command line.
``audit`` and ``propagation`` raise HostError for what is no name, ``compare`` CompareError; what
DNS and servers do is a finding.

``model`` are the facts, ``scene`` what the checks share, ``checks`` the checks, ``budget`` counts
questions, ``data`` holds what is known of providers, receivers and filters.
"""

from __future__ import annotations

from posthouse.setup.domain.audit import audit
from posthouse.setup.domain.checks import CHECKS
from posthouse.setup.domain.compare import Change, CompareError, Comparison, compare
from posthouse.setup.domain.hop import Hop
from posthouse.setup.domain.message import Known, MessageReport, explain_message
from posthouse.setup.domain.model import (
    Audit,
    Checked,
    Evidence,
    Item,
    Mark,
    Net,
    Options,
    Requirement,
    Usage,
    Verdict,
    exit_code,
)
from posthouse.setup.domain.propagation import Propagation, propagation
from posthouse.setup.domain.simulate import Fate, Simulation, simulate

__all__ = [
    "CHECKS",
    "Audit",
    "Change",
    "Checked",
    "CompareError",
    "Comparison",
    "Evidence",
    "Fate",
    "Hop",
    "Item",
    "Known",
    "Mark",
    "MessageReport",
    "Net",
    "Options",
    "Propagation",
    "Requirement",
    "Simulation",
    "Usage",
    "Verdict",
    "audit",
    "compare",
    "exit_code",
    "explain_message",
    "propagation",
    "simulate",
]
