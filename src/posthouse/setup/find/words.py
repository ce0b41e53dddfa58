"""Words for what find found, in one language.

Enters: findings, sources, trust, reports, and "en" or "zh". Leaves: sentences out of the catalogue
("find.*"). Parameters of findings are plain JSON values that never depend on a language; here lists
are joined and providers are called by their names. Called by ``render`` and by the command line.
A missing text falls back as ``explain`` does; nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from posthouse import directory
from posthouse.explain import catalogue
from posthouse.flow import CredentialKind, Finding, Security
from posthouse.protocol.host import to_unicode
from posthouse.setup.find.model import Conflict, Outcome, Source, SourceReport, State, Trust

_PROVIDERS: Final = ("provider", "own_provider")  # parameters that hold a provider's id
_NAMES: Final = ("host", "domain")  # parameters that hold a name of DNS


def finding_text(finding: Finding, lang: str) -> str:
    """One thing noticed, as one or two sentences."""
    return _text(f"finding.{finding.id}", finding.params, lang)


def source_name(source: Source, lang: str) -> str:
    """What to call a source."""
    return _text(f"source.{source.value}", {}, lang)


def trust_text(trust: Trust, lang: str) -> str:
    """How far an answer is to be believed."""
    return _text(f"trust.{trust.value}", {}, lang)


def security_text(security: Security, lang: str) -> str:
    """What a mail program calls this mode."""
    return _text(f"security.{security.value}", {}, lang)


def credential_text(kind: CredentialKind, lang: str) -> str:
    """What the server wants where a program asks for a password."""
    return _text(f"credential.{kind.value}", {}, lang)


def outcome_text(outcome: Outcome, lang: str) -> str:
    """How the whole search came out."""
    return _text(f"outcome.{outcome.value}", {}, lang)


def state_text(state: State, lang: str) -> str:
    """How asking one source came out, in a word or two."""
    return _text(f"state.{state.value}", {}, lang)


def report_text(report: SourceReport, lang: str) -> str:
    """How asking one source came out, with its reason where there is one."""
    state = state_text(report.state, lang)
    if not report.detail:
        return state
    detail = _text(f"detail.{report.detail}", report.params, lang)
    return _text("report", {"state": state, "detail": detail}, lang)


def field_name(conflict: Conflict, lang: str) -> str:
    """What to call the field that sources contradict each other about."""
    return _text(f"field.{conflict.field}", {}, lang)


def value_text(conflict: Conflict, value: str, lang: str) -> str:
    """One of the values, as a person would write it."""
    if conflict.field == "security":
        return security_text(Security(value), lang)
    if conflict.field == "credential":
        return credential_text(CredentialKind(value), lang)
    return value


def _text(key: str, params: Mapping[str, Any], lang: str) -> str:
    shown = {name: _shown(name, value, lang) for name, value in params.items()}
    return catalogue(lang).text(f"find.{key}", **shown)


def _shown(name: str, value: Any, lang: str) -> Any:
    words = catalogue(lang)
    if name in _PROVIDERS and value in directory.ids():
        return directory.load(value).name[lang]
    if name in ("source", "reason"):
        return words.text(f"find.{name}.{value}")
    if name == "failure":
        known = words.has(f"find.failure.{value}")
        return words.text(f"find.failure.{value if known else 'other'}")
    if name == "status" and words.has(f"find.dns.{value}"):
        return words.text(f"find.dns.{value}")
    if name in _NAMES and isinstance(value, str):
        return to_unicode(value)  # as it was typed
    return (
        words.text("causes.word.comma").join(map(str, value)) if isinstance(value, list) else value
    )
