"""A search as plain JSON values, schema 1. Keys and ids never change with the language.

Enters: a ``FindResult`` and the language of its texts. Leaves: a dict that ``json.dumps`` takes,
completed by what the directory knows of each candidate's provider: where to make the credential and
how, limits, end dates, notes. Called by the command line. Never fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from posthouse import directory
from posthouse.flow import Finding
from posthouse.setup.find import words
from posthouse.setup.find.model import Candidate, Conflict, Evidence, FindResult, SourceReport

SCHEMA: Final = 1


def to_dict(result: FindResult, lang: str = "en") -> dict[str, Any]:
    """The whole result."""
    return {
        "schema": SCHEMA,
        "address": result.address,
        "domain": result.domain,
        "outcome": result.outcome.value,
        "candidates": [_candidate(c, lang) for c in result.candidates],
        "conflicts": [_conflict(c, lang) for c in result.conflicts],
        "findings": [finding_dict(f, lang) for f in result.findings],
        "sources": [_report(r, lang) for r in result.reports],
        "incoming": [
            {
                "protocol": server.protocol,
                "host": server.host,
                "port": server.port,
                "security": server.security.value,
            }
            for server in result.incoming
        ],
        "seconds": round(result.seconds, 4),
    }


def _candidate(candidate: Candidate, lang: str) -> dict[str, Any]:
    provider = directory.load(candidate.provider) if candidate.provider else None
    return {
        "host": candidate.endpoint.host,
        "port": candidate.endpoint.port,
        "security": candidate.endpoint.security.value,
        "username": candidate.username or None,
        "auth": list(candidate.auth),
        "credential": _credential(candidate, provider, lang),
        "provider": candidate.provider,
        "provider_name": provider.name[lang] if provider else None,
        "trust": candidate.trust.value,
        "evidence": [_evidence(e) for e in candidate.evidence],
        "limits": _limits(provider.limits, lang) if provider and provider.limits else None,
        "ends": [_end(e, lang) for e in provider.ends] if provider else [],
        "notes": _notes(candidate, provider, lang) if provider else [],
    }


def _credential(
    candidate: Candidate, provider: directory.Provider | None, lang: str
) -> dict[str, Any]:
    known = provider.credential if provider else None
    kinds = known.kinds if known else (candidate.credential,)
    return {
        "kind": candidate.credential.value,
        "kinds": [kind.value for kind in kinds],
        "url": known.url if known else None,
        "steps": list(known.steps[lang]) if known and known.steps else [],
        "requires": _words(known.requires, lang) if known else None,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "source": evidence.source.value,
        "where": evidence.where,
        "trust": evidence.trust.value,
        "checked": evidence.checked.isoformat(timespec="seconds"),
        "dnssec": evidence.dnssec,
        "seconds": round(evidence.seconds, 4),
    }


def _limits(limits: directory.Limits, lang: str) -> dict[str, Any]:
    return {
        "per_day": limits.per_day,
        "per_hour": limits.per_hour,
        "per_minute": limits.per_minute,
        "recipients": limits.recipients,
        "note": _words(limits.note, lang),
        "trust": limits.trust.value,
    }


def _end(end: directory.End, lang: str) -> dict[str, Any]:
    return {"date": end.date, "what": end.what, "text": end.words[lang], "trust": end.trust.value}


def notes(candidate: Candidate, lang: str) -> list[str]:
    """What the directory says beside the settings: on the server, the user name, the provider."""
    provider = directory.load(candidate.provider) if candidate.provider else None
    return _notes(candidate, provider, lang) if provider else []


def _notes(candidate: Candidate, provider: directory.Provider, lang: str) -> list[str]:
    servers = [s for s in provider.servers if s.endpoint == candidate.endpoint]
    said = [s.note for s in servers] + [provider.username.note] + list(provider.notes)
    return [note[lang] for note in said if note]


def _words(text: Mapping[str, str] | None, lang: str) -> str | None:
    return text[lang] if text else None


def _conflict(conflict: Conflict, lang: str) -> dict[str, Any]:
    return {
        "field": conflict.field,
        "name": words.field_name(conflict, lang),
        "chosen": conflict.chosen,
        "values": [
            {"value": value, "evidence": [_evidence(e) for e in evidence]}
            for value, evidence in conflict.values
        ],
    }


def finding_dict(finding: Finding, lang: str) -> dict[str, Any]:
    """One thing noticed."""
    return {
        "id": finding.id,
        "status": finding.status.value,
        "cause": finding.cause,
        "text": words.finding_text(finding, lang),
        "params": dict(finding.params),
    }


def _report(report: SourceReport, lang: str) -> dict[str, Any]:
    return {
        "source": report.source.value,
        "state": report.state.value,
        "seconds": round(report.seconds, 4),
        "detail": report.detail or None,
        "text": words.report_text(report, lang),
        "params": dict(report.params),
    }
