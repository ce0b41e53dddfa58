"""The page of a cause: what it means, how to know it, who must act, what to do.

Enters: a cause's id and a language. Leaves: a ``Page`` of plain texts, which the command, the
documentation and the web page render. An id that is no cause raises KeyError.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.explain.catalogue import catalogue, entries
from posthouse.explain.causes import cause, example, reference
from posthouse.explain.explanation import who


@dataclass(frozen=True, slots=True)
class Variant:
    """A kind of the cause that asks for another remedy."""

    id: str
    title: str
    remedy: str  # one step a line


@dataclass(frozen=True, slots=True)
class Page:
    """All that is to be said of one cause, in one language."""

    id: str
    title: str
    stage: str  # where it happens, in words
    who: str  # who must act, in words
    retry: str  # whether waiting helps, in words
    meaning: str
    recognise: str
    remedy: str  # one step a line
    variants: tuple[Variant, ...]
    codes: tuple[str, ...]
    example: str
    reference: str


def page(cause_id: str, lang: str) -> Page:
    """The page of a cause. KeyError where there is no such cause."""
    found = cause(cause_id)
    words = catalogue(lang)
    key = f"causes.{cause_id}"
    return Page(
        id=cause_id,
        title=words.text(f"{key}.title"),
        stage=words.text(f"causes.word.stage.{found.stage.value}"),
        who=who(found, lang),
        retry=words.text(f"causes.word.retry.{found.retry.value}"),
        meaning=words.text(f"{key}.meaning"),
        recognise=words.text(f"{key}.recognise"),
        remedy=words.text(f"{key}.remedy"),
        variants=tuple(_variants(cause_id, lang)),
        codes=found.codes,
        example=example(cause_id),
        reference=reference(cause_id),
    )


def _variants(cause_id: str, lang: str) -> list[Variant]:
    words = catalogue(lang)
    prefix, end = f"{cause_id}.variant.", ".remedy"
    names = [
        key[len(prefix) : -len(end)]
        for key in entries("en", "causes")
        if key.startswith(prefix) and key.endswith(end)
    ]
    return [
        Variant(
            name,
            words.text(f"causes.{prefix}{name}.title"),
            words.text(f"causes.{prefix}{name}.remedy"),
        )
        for name in names
    ]
