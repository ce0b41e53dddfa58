"""One table of the configuration, read key by key: each value checked, each mistake named.

Enters: a table as ``tomllib`` gives it, its path, the keys it may have. Leaves: values of the kind
asked for. Called by the readers of each part's tables. Fails with ``SettingError`` alone: the path
of the key, what is wrong (an id for the catalogue, ``settings.error.<reason>``), the value, what
would be right. The value of a key that may be a misspelt secret is not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, TypeVar

from posthouse.explain import Catalogue
from posthouse.protocol.host import HostError, to_ascii
from posthouse.send import units

E = TypeVar("E", bound=Enum)
T = TypeVar("T")
SHOWN: Final = 80  # characters of a wrong value that are repeated
# "C:\\temp" has a tab in TOML; an octet 0 is in no path, a line end in no line of SMTP.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class SettingError(ValueError):
    """A setting that can't be used. ``params`` are plain values that the words may use.

    ``key`` is its path as a person would look for it: ``hop[ses].pool``; without a name the place
    counts from 1: ``hop[2].name``.
    """

    def __init__(self, reason: str, key: str, value: object = None, **params: Any) -> None:
        shown = "" if value is None else _shown(value)
        told = {name: param for name, param in params.items() if param not in ("", None)}
        rest = "".join(f", {name} {param}" for name, param in told.items())
        super().__init__(f"{key}: {reason}{f' {shown}' if shown else ''}{rest}")
        self.reason = reason
        self.key = _printable(key)
        self.value = shown
        self.params = params

    def told(self, words: Catalogue) -> str:
        """One line for people."""
        params = {"value": self.value, **self.params}
        if "wanted" in params:
            params["wanted"] = words.text(f"settings.kind.{params['wanted']}", key=self.key)
        return words.text(f"settings.error.{self.reason}", key=self.key, **params)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return _printable(text[:SHOWN])


def _printable(text: str) -> str:
    """A quoted key may hold anything, and the answer is one line of a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


class Table:
    """One table. Making it refuses keys that it may not have, before any is missed."""

    def __init__(self, raw: object, path: str, keys: Iterable[str]) -> None:
        if not isinstance(raw, Mapping):
            raise SettingError("kind", path, raw, wanted="table")
        self._raw = raw
        self.path = path
        known = list(keys)
        for name in raw:
            if name not in known:
                near = next(iter(get_close_matches(name.lower(), known, 1)), "")
                raise SettingError("unknown_key", self.at(name), near=near, known=", ".join(known))

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def at(self, name: str) -> str:
        """The path of a key of this table."""
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, reason: str, name: str, **params: Any) -> SettingError:
        """The error that says what is wrong with a key's value."""
        return SettingError(reason, self.at(name), self._raw.get(name), **params)

    def raw(self, name: str) -> Any:
        """The value as it stands; None where it is missing."""
        return self._raw.get(name)

    def text(self, name: str, default: str = "") -> str:
        """A string, not empty where it is there."""
        return self._of_kind(name, str, "text", default)

    def place(self, name: str) -> str:
        """A path. What only a shell would open out is refused: ~ would be a folder of that name."""
        text = self.text(name)
        if text.startswith(("~", "$")):
            raise self.wrong("shell_path", name)
        return text

    def host_name(self, name: str, reason: str) -> str:
        """The A-label form of a name, as it goes out in EHLO (RFC 5321 section 2.3.5)."""
        text = self.text(name)
        try:
            return to_ascii(text) if text else ""
        except HostError:
            raise self.wrong(reason, name) from None

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        return self._of_kind(name, bool, "flag", default)

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number in a range."""
        value = self._of_kind(name, int, "number", default)
        if not least <= value <= most:
            raise self.wrong("range", name, least=least, most=most)
        return value

    def seconds(self, name: str, default: float, *, most: float, least: float = 0.0) -> float:
        """A time: "30s"."""
        value = self._read(name, units.seconds, "time", default)
        if not least <= value <= most:
            limits = {"least": units.time_text(least), "most": units.time_text(most)}
            raise self.wrong("range", name, **limits)
        return value

    def octets(self, name: str) -> int | None:
        """A size: "10M", or None where none is given."""
        return self._read(name, units.octets, "size", None)

    def choice(self, name: str, kind: type[E], default: E) -> E:
        """One of the values of an enumeration."""
        choices = [str(one.value) for one in kind]
        value = self._raw.get(name, default)
        if isinstance(value, kind):
            return value
        if value not in choices:
            near = next(iter(get_close_matches(str(value).lower(), choices, 1)), "")
            raise self.wrong("choice", name, choices=", ".join(choices), near=near)
        return kind(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, not empty where it is there; one string is a list of one."""
        value = self._raw.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, Sequence) or not value:
            raise self.wrong("kind", name, wanted="texts")
        if not all(isinstance(one, str) and one for one in value):
            raise self.wrong("kind", name, wanted="texts")
        return tuple(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A table of names that are the user's own (header fields)."""
        return self._of_kind(name, dict, "table", {})

    def _of_kind(self, name: str, kind: type[T], wanted: str, default: T) -> T:
        if name not in self._raw:
            return default
        value = self._raw[name]
        # To Python True is a number, too; to whoever wrote it, it is none.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong("kind", name, wanted=wanted)
        if value in ("", {}):
            raise self.wrong("empty", name)
        if isinstance(value, str) and _CONTROL.search(value):
            raise SettingError("control", self.at(name))  # it may be a secret
        return value

    def _read(self, name: str, reader: Callable[[object], T], reason: str, default: T | None) -> T:
        if name not in self._raw:
            return default  # type: ignore[return-value]  # None only where None may be given
        try:
            return reader(self._raw[name])
        except ValueError:
            raise self.wrong(reason, name) from None


def tables(document: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The tables of an array such as ``[[hop]]``, each with its path."""
    rows = document.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise SettingError("kind", name, wanted="tables")
    return [(_path(name, row, place), row) for place, row in enumerate(rows, 1)]


def _path(name: str, row: Mapping[str, Any], place: int) -> str:
    own = row.get("name")
    return f"{name}[{own if isinstance(own, str) and own.isprintable() and own else place}]"
