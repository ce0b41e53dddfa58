"""What went wrong, explained: a Cause, how it was found, and its words.

Leaves: ``Explanation``, made by ``reply`` and ``failure`` (and by a probe that saw more than one
line), with ``title`` and ``remedy`` in either language. A provider's own remedy wins, where the
directory has one. Nothing fails; an unknown provider only has no remedy of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from posthouse.explain.catalogue import Catalogue, catalogue
from posthouse.flow import Cause, Stage

if TYPE_CHECKING:
    from posthouse.directory import Provider

_APART = ("locked", "oauth_expired", "non_ascii", "basic_retired")  # a provider's usual words miss
_MADE = ("app_password", "auth_code")


class Explanation(NamedTuple):  # one a line: a frozen dataclass takes five times as long to make
    """One failure, understood."""

    cause: Cause
    stage: Stage
    confidence: float  # 0..1
    rule: str  # what decided: "rcpt.unknown/phrases", "code 550 5.1.1", "likeness", "failure ..."
    evidence: tuple[str, ...]  # the words and codes that made it decide
    provider: str | None  # the directory's id
    variant: str | None  # the kind of the cause, where remedies differ
    params: Mapping[str, Any]  # plain JSON values for the words

    def to_dict(self, lang: str) -> dict[str, Any]:
        """Plain JSON values; ids are never translated."""
        return {
            "cause": self.cause.id,
            "variant": self.variant,
            "stage": self.stage.value,
            "who": [who.value for who in self.cause.who],
            "retry": self.cause.retry.value,
            "confidence": self.confidence,
            "evidence": list(self.evidence),
            "provider": self.provider,
            "rule": self.rule,
            "title": title(self, lang),
            "remedy": remedy(self, lang),
        }


def title(explanation: Explanation, lang: str) -> str:
    """One line: what happened."""
    return _text(explanation, "title", lang)


def remedy(explanation: Explanation, lang: str) -> str:
    """What to do, one step a line."""
    own = _own_remedy(explanation, lang)
    return _text(explanation, "remedy", lang) if own is None else own


def who(cause: Cause, lang: str) -> str:
    """Who must act, the likeliest first, as one phrase."""
    words = catalogue(lang)
    return words.text("causes.word.or").join(
        words.text(f"causes.word.who.{person.value}") for person in cause.who
    )


def _text(explanation: Explanation, part: str, lang: str) -> str:
    words = catalogue(lang)
    key = f"causes.{explanation.cause.id}"
    special = f"{key}.variant.{explanation.variant}.{part}"
    if explanation.variant is None or not words.has(special):
        special = f"{key}.{part}"
    return words.text(special, **_spoken(explanation.params, words))


def _spoken(params: Mapping[str, Any], words: Catalogue) -> dict[str, Any]:
    """Lists become phrases; a name that is none of a keyword's is left out."""
    comma = words.text("causes.word.comma")
    return {
        str(name): comma.join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in params.items()
    }


def _own_remedy(explanation: Explanation, lang: str) -> str | None:
    """The provider's words for this kind of the cause, else for the cause."""
    if explanation.provider is None:
        return None
    from posthouse import directory

    try:
        provider = directory.load(explanation.provider)
    except (KeyError, OSError):
        return None
    cause, variant = explanation.cause.id, explanation.variant
    if variant in _APART and variant not in provider.remedies.get(cause, {}):
        return None
    own = provider.remedy(cause, lang, variant)
    if own is None and cause == "auth.credentials" and _special(provider):
        return provider.remedy("auth.app_password", lang)  # the likeliest wrong password there
    return own


def _special(provider: Provider) -> bool:
    """Whether it wants a password made for mail programs."""
    return provider.credential is not None and provider.credential.kinds[0] in _MADE
