"""dane: certificates of mail servers, proven by DNSSEC. RFC 6698, RFC 7671, RFC 7672.

Enters: answers to DNS questions with what DNSSEC proved of them, certificates as DER. Leaves:
``HostTlsa`` (what is published for one server), ``Judged`` (whether a chain fits), records to
publish, findings. ``tlsa`` reads and writes records, ``chain`` compares, ``lookup`` asks,
``publish`` makes them, ``audit`` looks for mistakes. Called by the probe, the audit of a domain
and whoever delivers. Parsers fail with TlsaError, makers with KeyMaterialError, the rest not at
all.
"""

from __future__ import annotations

from posthouse.protocol.dane.audit import FINDING_IDS, audit, audit_host
from posthouse.protocol.dane.chain import Judged, Outcome, judge, judge_records
from posthouse.protocol.dane.lookup import HostTlsa, Mx, lookup, mail_hosts, tlsa_name
from posthouse.protocol.dane.publish import (
    KeyMaterialError,
    build,
    record_line,
    rollover,
)
from posthouse.protocol.dane.tlsa import (
    Matching,
    Selector,
    Tlsa,
    TlsaError,
    Usage,
    agile,
    parse,
    parse_all,
)

__all__ = [
    "FINDING_IDS",
    "HostTlsa",
    "Judged",
    "KeyMaterialError",
    "Matching",
    "Mx",
    "Outcome",
    "Selector",
    "Tlsa",
    "TlsaError",
    "Usage",
    "agile",
    "audit",
    "audit_host",
    "build",
    "judge",
    "judge_records",
    "lookup",
    "mail_hosts",
    "parse",
    "parse_all",
    "record_line",
    "rollover",
    "tlsa_name",
]
