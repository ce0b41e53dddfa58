"""The forms of reports as data: ``rules/bounce.toml``, made ready once.

Leaves: ``Forms``, asked for by the other modules here. Nothing is read before the first bounce.
A broken file is a broken installation and raises what ``tomllib`` and ``re`` raise.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from posthouse.explain import store

FILE: Final = store.RULES / "bounce.toml"
# RFC 5321 section 4.5.3.1 caps both sides; other scripts are let in (RFC 6531).
ADDRESS: Final = (
    r"(?:\"[^\"\s]{1,64}\"|[^\s<>@:;,\"'()\[\]|，。：；（）＜＞]{1,64})"
    r"@[^\s<>@:;,\"'()\[\]{}|!?*=/\\&%#…，。：；、（）＜＞]{1,255}"
)
PLACE: Final = "\0"  # stands for an address in a line that is compared with sentences


@dataclass(frozen=True, slots=True)
class Phrases:
    """Texts that may be equal to a line, or begin it ("...*" in the file)."""

    whole: frozenset[str]
    beginnings: tuple[str, ...]

    def match(self, line: str) -> bool:
        """``line`` in small letters."""
        return line in self.whole or line.startswith(self.beginnings)


@dataclass(frozen=True, slots=True)
class Forms:
    """All of the file."""

    lists: Mapping[str, tuple[str, ...]]  # "subject.failed" -> texts in small letters
    original: Phrases
    stop: Phrases
    labels: Mapping[str, str]  # "收件人" -> "recipient"
    sentences: re.Pattern[str]
    hosts: tuple[re.Pattern[str], ...]
    quote_before: re.Pattern[str]
    means: Mapping[str, str]
    exits: Mapping[str, str]
    recast: Mapping[str, str]

    def says(self, name: str, text: str) -> bool:
        """Whether ``text`` (in small letters, single blanks) has a phrase of the list ``name``."""
        return any(phrase in text for phrase in self.lists[name])


@cache
def forms() -> Forms:
    """The forms, read once."""
    table = tomllib.loads(FILE.read_text("utf-8"))
    labels = {
        label: kind
        for kind, names in table["labels"].items()
        if kind not in ("stop", "not_after")
        for label in names
    }
    return Forms(
        lists=_lists(table),
        original=_phrases(table["original"]["markers"]),
        stop=_phrases(table["labels"]["stop"]),
        labels=labels,
        sentences=_sentences(table["sentences"]["recipient"]),
        hosts=tuple(re.compile(text, re.IGNORECASE) for text in table["quotes"]["host"]),
        quote_before=re.compile(rf"(?:{'|'.join(table['quotes']['before'])})$", re.IGNORECASE),
        means=table["means"],
        exits=table["exit"],
        recast=table["recast"],
    )


def _lists(table: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    return {
        f"{section}.{name}": tuple(texts)
        for section, named in table.items()
        for name, texts in named.items()
        if isinstance(texts, list)
    }


def _phrases(texts: Iterable[str]) -> Phrases:
    texts = list(texts)
    return Phrases(
        frozenset(text for text in texts if not text.endswith("*")),
        tuple(text[:-1] for text in texts if text.endswith("*")),
    )


def _sentences(texts: Iterable[str]) -> re.Pattern[str]:
    """One expression for lines whose addresses have become ``PLACE``."""
    return re.compile("|".join(text.replace("{addr}", PLACE) for text in texts), re.IGNORECASE)
