"""Words for an audit, in one language.

Enters: findings, checks, requirements, and "en" or "zh". Leaves: sentences out of the catalogue:
those of a finding stand in the area of its id ("spf.none" -> "spf.finding.none"). Parameters are
plain JSON values that never depend on a language; here lists are joined, and reasons and states get
their words. Called by ``render`` and by the command line. A missing text falls back as ``explain``
does; nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from posthouse import directory
from posthouse.explain import catalogue
from posthouse.flow import Finding
from posthouse.setup.domain.model import Item, Mark, Requirement, Verdict

LIST_LIMIT: Final = 12  # values of a list that are shown
# Parameters whose values are ids, and where their words may stand in the finding's own area.
_WORDED: Final[Mapping[str, tuple[str, ...]]] = {
    "reason": ("reason", "syntax", "record", "policy", "mark", "mismatch", "private_key", "arc"),
    "problem": ("problem",),
    "problems": ("problem",),
    "meanings": ("meaning",),
    "result": ("result",),
    "status": ("status",),
    "failure": ("failure",),
    "detail": ("detail",),
    "source": ("source",),
    "sources": ("source",),
    "check": ("check",),
}

_AREAS: Final = {"arc": "dkim"}  # whose words stand with another's


def finding_text(finding: Finding, lang: str) -> str:
    """What is the case."""
    return _part(finding, "text", lang)


def consequence(finding: Finding, lang: str) -> str:
    """What comes of it; "" where that is in the text, or nothing does."""
    return _part(finding, "consequence", lang)


def fix(finding: Finding, lang: str) -> str:
    """What to do; "" where nothing is."""
    return _part(finding, "fix", lang) or _part(finding, "do", lang)


def title(check: str, lang: str) -> str:
    """What to call a check."""
    return catalogue(lang).text(f"domain.check.{check}")


def verdict_text(verdict: Verdict, lang: str) -> str:
    """A verdict in a word."""
    return catalogue(lang).text(f"domain.verdict.{verdict.value}")


def mark_text(mark: Mark, lang: str) -> str:
    """A mark in a word."""
    return catalogue(lang).text(f"domain.mark.{mark.value}")


def receiver_text(receiver: str, lang: str) -> str:
    """The name of a receiver."""
    return catalogue(lang).text(f"domain.receiver.{receiver}")


def rule_text(requirement: Requirement, lang: str) -> str:
    """What a receiver asks for."""
    return catalogue(lang).text(f"domain.bulk.rule.{requirement.rule}")


def why_text(requirement: Requirement, lang: str) -> str:
    """Why the mark is what it is."""
    params = _shown("domain.bulk", requirement.params, lang)
    return catalogue(lang).text(f"domain.bulk.why.{requirement.why}", **params)


def item_lines(item: Item, lang: str) -> tuple[str, ...]:
    """Text, consequence and fix, without the empty ones."""
    each = item.finding
    return tuple(
        part
        for part in (finding_text(each, lang), consequence(each, lang), fix(each, lang))
        if part
    )


def text(key: str, lang: str, params: Mapping[str, Any] | None = None) -> str:
    """Any other text of this area."""
    return catalogue(lang).text(f"domain.{key}", **dict(params or {}))


def _part(finding: Finding, part: str, lang: str) -> str:
    area, _, rest = finding.id.partition(".")
    key = f"{area}.finding.{rest}.{part}"
    words = catalogue(lang)
    if not words.has(key):
        return finding.id if part == "text" else ""
    return words.text(key, **_shown(finding.id, finding.params, lang)).strip()


def _shown(id_: str, params: Mapping[str, Any], lang: str) -> dict[str, Any]:
    plain = {name: value for name, value in params.items() if isinstance(value, str | int)}
    return {name: _value(id_, name, value, plain, lang) for name, value in params.items()}


def _value(id_: str, name: str, value: Any, plain: Mapping[str, Any], lang: str) -> Any:
    if isinstance(value, list | tuple):
        shown = [str(_value(id_, name, one, plain, lang)) for one in value[:LIST_LIMIT]]
        more = ["…"] if len(value) > LIST_LIMIT else []
        return ("、" if lang == "zh" else ", ").join([*shown, *more])
    if name == "provider" and value in directory.ids():
        return directory.load(value).name[lang]
    if name in _WORDED and isinstance(value, str) and value:
        return _word(id_, name, value, plain, lang)
    return value


def _word(id_: str, name: str, value: str, plain: Mapping[str, Any], lang: str) -> str:
    words = catalogue(lang)
    key = next((key for key in _keys(id_, name, value) if words.has(key)), None)
    if key is None:
        return value
    found = words.text(key, **plain)
    # here it is a sentence of its own, in the protocols' texts a part of one
    return found if id_.startswith("domain.") else found.rstrip(".。")


def _keys(id_: str, name: str, value: str) -> Iterator[str]:
    """Where the words of a value may stand: in the finding's own area, then here."""
    area, _, rest = id_.partition(".")
    own = [_AREAS.get(part, part) for part in rest.split("_")] if area == "domain" else []
    areas = dict.fromkeys([*own, area, "domain"])
    for one in areas:
        for group in _WORDED[name]:
            yield f"{one}.{group}.{value}"
    yield f"domain.word.{value}"
