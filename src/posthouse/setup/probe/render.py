"""A probe as plain JSON values, schema 1. Keys and ids never change with the language.

Enters: a ``ProbeResult`` and the language of its texts. Leaves: a dict that ``json.dumps`` takes.
No secret is in it: steps and transcript were masked before they were written down. Never fails.
"""

from __future__ import annotations

from typing import Any, Final

from posthouse.flow import Endpoint, Finding, Line, Step
from posthouse.net.tls import CertificateInfo, TlsSession
from posthouse.setup.probe import words
from posthouse.setup.probe.facts import Delivery, Neighbour, ProbeResult

SCHEMA: Final = 1


def to_dict(result: ProbeResult, lang: str = "en") -> dict[str, Any]:
    """The whole result."""
    return {
        "schema": SCHEMA,
        "endpoint": _endpoint(result.endpoint),
        "verdict": _verdict(result, lang),
        "suggestion": _endpoint(result.suggestion) if result.suggestion else None,
        "steps": [_step(step, lang) for step in result.trace.steps],
        "extensions": dict(result.extensions),
        "tls": _tls(result.tls) if result.tls else None,
        "findings": [_finding(finding, lang) for finding in result.findings],
        "neighbours": [_neighbour(neighbour) for neighbour in result.neighbours],
        "delivery": _delivery(result.delivery),
        "transcript": [_line(line) for line in result.trace.lines],
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {"host": endpoint.host, "port": endpoint.port, "security": endpoint.security.value}


def _verdict(result: ProbeResult, lang: str) -> dict[str, Any]:
    verdict, explained = result.verdict, result.explanation
    return {
        "id": verdict.id,
        "status": verdict.status.value,
        "cause": verdict.cause,
        "text": words.headline(result, lang),
        "remedy": words.remedy(result, lang),
        "who": [w.value for w in explained.cause.who] if explained else [],
        "retry": explained.cause.retry.value if explained else None,
        "params": dict(verdict.params),
    }


def _step(step: Step, lang: str) -> dict[str, Any]:
    return {
        "name": step.name,
        "text": words.step_text(step, lang),
        "stage": step.stage.value,
        "status": step.status.value,
        "started": round(step.started, 4),
        "seconds": None if step.seconds is None else round(step.seconds, 4),
        "cause": step.cause,
        "detail": dict(step.detail),
    }


def _finding(finding: Finding, lang: str) -> dict[str, Any]:
    return {
        "id": finding.id,
        "status": finding.status.value,
        "cause": finding.cause,
        "text": words.finding_text(finding, lang),
        "params": dict(finding.params),
    }


def _tls(session: TlsSession) -> dict[str, Any]:
    return {
        "version": session.version,
        "cipher": session.cipher,
        "bits": session.bits,
        "trusted": session.trusted,
        "problems": [{"kind": p.kind.value, **p.params} for p in session.problems],
        "certificates": [_certificate(c) for c in session.chain],
    }


def _certificate(certificate: CertificateInfo) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": list(certificate.names),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "key": certificate.key,
        "key_bits": certificate.key_bits,
        "signature_hash": certificate.signature_hash,
        "sha256": certificate.sha256,
        "pem": certificate.pem,
    }


def _neighbour(neighbour: Neighbour) -> dict[str, Any]:
    return {
        **_endpoint(neighbour.endpoint),
        "relation": neighbour.relation.value,
        "state": neighbour.state.value,
        "seconds": round(neighbour.seconds, 4),
        "protocol": neighbour.protocol or None,
        "address": neighbour.address or None,
        "starttls": neighbour.starttls,
    }


def _delivery(delivery: Delivery) -> dict[str, Any] | None:
    if not delivery.recipients:
        return None
    return {
        "sender": delivery.sender,
        "recipients": list(delivery.recipients),
        "size": delivery.size,
        "batches": list(delivery.batches),
        "message_id": delivery.message_id or None,
        "waited": delivery.waited,
    }


def _line(line: Line) -> dict[str, Any]:
    return {"mark": line.mark.value, "text": line.text, "at": round(line.at, 4)}
