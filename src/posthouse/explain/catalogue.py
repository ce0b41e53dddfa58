"""The words for people, in English and 简体中文, by key.

Enters: a key such as "probe.step.connect" and values for its gaps. Leaves: one text. The first
part of a key names the file ``text/<lang>/<area>.toml``; of it only the tables asked for are
parsed, since one command needs few of many; tables become dotted keys; a list of strings is joined
by line ends. ``{host}`` is filled in; ``[[ on {host}]]`` is left out where host is missing or
empty. Called by whoever shows something. Nothing fails in use: a missing text falls back to
English, then to its key. ``strict=True``, for tests, raises KeyError instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

LANGUAGES: Final = ("en", "zh")
FALLBACK: Final = "en"
REMEMBERED: Final = 4_096  # keys whose text is kept: there are some 3,000
TEXT: Final = Path(__file__).parent / "text"

_OPTIONAL: Final = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_GAP: Final = re.compile(r"\{([A-Za-z_]\w*)(?::([^{}]*))?\}")


class Catalogue:
    """The texts of one language."""

    __slots__ = ("lang", "strict")

    def __init__(self, lang: str, *, strict: bool = False) -> None:
        self.lang = lang if lang in LANGUAGES else FALLBACK
        self.strict = strict

    def text(self, key: str, /, **params: Any) -> str:
        """The text of a key, its gaps filled."""
        found = _find(self.lang, key)
        if found is None and self.strict:
            raise KeyError(f"{self.lang}: {key}")
        if found is None:
            found = _find(FALLBACK, key)
        return key if found is None else fill(found, params)

    def has(self, key: str) -> bool:
        """Whether this language, or English, has the key."""
        return _find(self.lang, key) is not None or _find(FALLBACK, key) is not None


@cache
def catalogue(lang: str) -> Catalogue:
    """The catalogue of a language ("en", "zh"; any other gives English)."""
    return Catalogue(lang)


def fill(text: str, params: Mapping[str, Any]) -> str:
    """Fill the gaps of a text. A missing value leaves nothing, an odd one is shown as it is."""
    if "{" not in text and "[[" not in text:
        return text

    def optional(match: re.Match[str]) -> str:
        inner = match[1]
        wanted = _GAP.findall(inner)
        return inner if all(_value(params, name) for name, _ in wanted) else ""

    def gap(match: re.Match[str]) -> str:
        value = _shown(params.get(match[1]), match[2] or "")
        return _apart(match.string[: match.start()][-1:], value, match.string[match.end() :][:1])

    return _GAP.sub(gap, _OPTIONAL.sub(optional, text))


def _apart(before: str, value: str, after: str) -> str:
    """Chinese sets a blank between its characters and Latin ones; a text can't know its values."""
    left = " " if _is_han(before) and _is_latin(value[:1]) else ""
    right = " " if _is_latin(value[-1:]) and _is_han(after) else ""
    return f"{left}{value}{right}"


def _is_han(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff"


def _is_latin(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _value(params: Mapping[str, Any], name: str) -> bool:
    return params.get(name) not in (None, "")


def _shown(value: Any, spec: str) -> str:
    if value is None:
        return ""
    try:
        return format(value, spec)
    except (TypeError, ValueError):
        return str(value)


def areas(lang: str) -> tuple[str, ...]:
    """The areas that have a file in this language."""
    return tuple(sorted(path.stem for path in (TEXT / lang).glob("*.toml")))


def entries(lang: str, area: str) -> Mapping[str, str]:
    """All texts of an area, by the rest of their keys. Empty where there is no such file."""
    return _area(lang, area)


@lru_cache(maxsize=REMEMBERED)
def _find(lang: str, key: str) -> str | None:
    """The text of a key: in the table with the longest name that begins it."""
    area, _, rest = key.partition(".")
    tables = _tables(lang, area)
    name = rest
    while name:
        name = name.rpartition(".")[0]
        if name in tables:
            found = _table(lang, area, name).get(rest[len(name) + 1 :] if name else rest)
            if found is not None:
                return found
    return None


_HEADER: Final = re.compile(r"^\[([\w.-]+)\]$", re.MULTILINE)


@cache
def _tables(lang: str, area: str) -> dict[str, str]:
    """The text of each table of an area, not parsed yet. A test holds it against the whole."""
    if not area.isidentifier():  # also keeps "../x" away from the file system
        return {}
    try:
        content = (TEXT / lang / f"{area}.toml").read_text("utf-8")
    except FileNotFoundError:
        return {}
    first, *parts = _HEADER.split(content)
    return {"": first} | dict(zip(parts[::2], parts[1::2], strict=True))


@cache
def _table(lang: str, area: str, name: str) -> dict[str, str]:
    import tomllib  # not needed to explain without words, and slow to import

    flat: dict[str, str] = {}
    _flatten(tomllib.loads(_tables(lang, area)[name]), "", flat)
    return flat


@cache
def _area(lang: str, area: str) -> dict[str, str]:
    """All of an area."""
    return {
        f"{name}.{key}" if name else key: text
        for name in _tables(lang, area)
        for key, text in _table(lang, area, name).items()
    }


def _flatten(table: Mapping[str, Any], prefix: str, flat: dict[str, str]) -> None:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            _flatten(value, f"{key}.", flat)
        elif isinstance(value, list):
            flat[key] = "\n".join(str(item) for item in value)
        else:
            flat[key] = str(value).strip("\n")
