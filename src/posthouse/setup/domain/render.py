"""An audit as plain JSON values, schema 1. Keys and ids never change with the language.

Enters: an ``Audit``, ``Propagation``, ``Comparison`` or ``MessageReport``, and the language of its
texts. Leaves: a dict that ``json.dumps`` takes. Called by the command line. Never fails.
"""

from __future__ import annotations

from typing import Any, Final

from posthouse.protocol.dkim import Result
from posthouse.setup.domain import words
from posthouse.setup.domain.compare import Change, Comparison
from posthouse.setup.domain.hop import Hop
from posthouse.setup.domain.message import MessageReport
from posthouse.setup.domain.model import Audit, Checked, Evidence, Item, Requirement
from posthouse.setup.domain.propagation import Propagation
from posthouse.setup.domain.simulate import Fate, Simulation

SCHEMA: Final = 1


def to_dict(audit: Audit, lang: str = "en") -> dict[str, Any]:
    """The whole audit."""
    usage = audit.usage
    return {
        "schema": SCHEMA,
        "domain": audit.domain,
        "verdict": audit.verdict.value,
        "providers": list(audit.providers),
        "egress": {"addresses": list(audit.egress), "given": audit.egress_given},
        "checks": {one.name: _check(one, lang) for one in audit.checks},
        "requirements": [_requirement(one, lang) for one in audit.requirements],
        "queries": {
            "asked": usage.asked,
            "cached": usage.cached,
            "refused": usage.refused,
            "limit": usage.limit,
        },
        "seconds": round(audit.seconds, 4),
    }


def _check(check: Checked, lang: str) -> dict[str, Any]:
    return {
        "title": words.title(check.name, lang),
        "verdict": check.verdict.value,
        "findings": [item_dict(item, lang) for item in check.items],
        "facts": dict(check.facts),
        "seconds": round(check.seconds, 4),
    }


def item_dict(item: Item, lang: str) -> dict[str, Any]:
    """One finding."""
    each = item.finding
    return {
        "id": each.id,
        "check": item.check,
        "verdict": item.verdict.value,
        "cause": each.cause,
        "text": words.finding_text(each, lang),
        "consequence": words.consequence(each, lang) or None,
        "fix": words.fix(each, lang) or None,
        "publish": list(item.publish),
        "evidence": [_evidence(one) for one in item.evidence],
        "params": dict(each.params),
    }


def _evidence(one: Evidence) -> dict[str, Any]:
    return {
        "name": one.name,
        "type": one.type,
        "status": one.status,
        "records": list(one.records),
        "ttl": one.ttl,
        "resolver": one.server or None,
        "dnssec": one.authenticated,
    }


def _requirement(one: Requirement, lang: str) -> dict[str, Any]:
    return {
        "receiver": one.receiver,
        "rule": one.rule,
        "volume": one.volume,
        "mark": one.mark.value,
        "why": one.why,
        "rule_text": words.rule_text(one, lang),
        "why_text": words.why_text(one, lang),
        "params": dict(one.params),
        "source": one.source,
        "date": one.date,
    }


def comparison_dict(comparison: Comparison, lang: str = "en") -> dict[str, Any]:
    """Two audits of a domain, side by side."""
    return {
        "schema": SCHEMA,
        "domain": comparison.domain,
        "worse": comparison.worse,
        "changed": comparison.changed,
        "changes": [_change(one, lang) for one in comparison.changes],
    }


def _change(one: Change, lang: str) -> dict[str, Any]:
    params = {"before": one.before, "now": one.now, "id": one.id}
    return {
        "kind": one.kind.value,
        "check": one.check,
        "id": one.id,
        "before": one.before or None,
        "now": one.now or None,
        "text": words.text(f"change.{one.kind.value}", lang, {**params, "text": one.text}),
        "detail": one.text,
    }


def propagation_dict(found: Propagation, lang: str = "en") -> dict[str, Any]:
    """One question put to several resolvers, or several of them."""
    return {
        "schema": SCHEMA,
        "domain": found.domain,
        "agreed": found.agreed,
        "stale": list(found.stale),
        "questions": [
            {
                "name": table.name,
                "type": table.type,
                "value": list(table.value) if table.value is not None else None,
                "by": table.by,
                "agreed": table.agreed,
                "rows": [
                    {
                        "resolver": row.resolver,
                        "status": row.status,
                        "records": list(row.records),
                        "ttl": row.ttl,
                        "state": row.state.value,
                        "text": words.text(f"propagation.{row.state.value}", lang),
                    }
                    for row in table.rows
                ],
            }
            for table in found.tables
        ],
    }


def message_dict(report: MessageReport, lang: str = "en") -> dict[str, Any]:
    """One received message, explained."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "from": list(report.authors),
        "hop": _hop(report.hop),
        "results": _results(report),
        "alignment": [
            {
                "mechanism": row.mechanism,
                "domain": row.domain,
                "selector": row.selector or None,
                "result": row.result,
                "aligned": row.aligned,
                "mode": row.mode,
            }
            for row in report.dmarc.alignments
        ],
        "signatures": [_signature(one) for one in report.dkim.results],
        "told": [
            {"by": by, "method": method, "theirs": theirs, "ours": ours}
            for by, method, theirs, ours in report.told
        ],
        "unsubscribe": {
            "uris": list(report.unsubscribe.uris),
            "one_click": report.unsubscribe.one_click,
            "signed": report.unsubscribe.signed,
        },
        "findings": [item_dict(item, lang) for item in report.items],
    }


def _hop(hop: Hop) -> dict[str, Any]:
    return {
        "ip": hop.ip or None,
        "helo": hop.helo or None,
        "mail_from": hop.mail_from,
        "by": hop.by or None,
        "protocol": hop.protocol or None,
        "given": list(hop.given),
    }


def _results(report: MessageReport) -> dict[str, Any]:
    return {
        "spf": report.spf.code.value if report.spf is not None else None,
        "dkim": report.dkim.code.value,
        "arc": report.arc.code.value,
        "dmarc": report.dmarc.code.value,
        "disposition": report.dmarc.disposition.value,
        "policy": report.dmarc.policy.value if report.dmarc.policy is not None else None,
    }


def _signature(one: Result) -> dict[str, Any]:
    return {
        "domain": one.domain,
        "selector": one.selector,
        "result": one.code.value,
        "reason": one.reason,
        "bits": one.key_bits,
    }


def simulation_dict(found: Simulation) -> dict[str, Any]:
    """What a receiver would do with several mails."""
    return {
        "schema": SCHEMA,
        "receiver": found.receiver,
        "counts": {fate.value: found.count(fate) for fate in Fate},
        "rules": found.rules,
        "mails": [
            {"fate": one.fate.value, "rule": one.rule or None, "cause": one.cause}
            for one in found.mails
        ],
    }
