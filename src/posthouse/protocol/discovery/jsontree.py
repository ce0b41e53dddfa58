"""JSON from strangers as a small tree with line numbers (RFC 8259).

Enters: bytes. Leaves: Value. The standard library's reader knows no lines and recurses as deep as
it is told to, so objects and arrays are walked here and only strings and numbers are left to it.
Called by the parsers of this package. Fails with DiscoveryError ``too_big``, ``not_json``,
``too_deep``, ``too_many``, ``duplicate_field``, and from the accessors ``missing_field``,
``wrong_type``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from posthouse.protocol.discovery.offer import MAX_DEPTH, MAX_DOCUMENT, DiscoveryError

_MAX_VALUES: Final = 10_000
# Characters of a path: every value keeps its own, and a field's name may fill the document.
_MAX_PATH: Final = 200
_BLANKS = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(
    r'(?P<mark>[{}\[\]:,])|(?P<string>"(?:[^"\\\x00-\x1f]++|\\.)*+")'
    # sixteen digits are more than any field here needs, and Python would read a million of them
    r"|(?P<number>-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,16})?(?:[eE][+-]?[0-9]{1,2})?)"
    r"|(?P<word>true|false|null)"
)
_WORDS: Final = {"true": True, "false": False, "null": None}

Data: TypeAlias = "dict[str, Value] | list[Value] | str | float | bool | None"


@dataclass(frozen=True, slots=True)
class Value:
    """One JSON value, where it stands, and its path ("outgoing[0].port")."""

    line: int
    data: Data
    path: str = ""

    def get(self, name: str) -> Value | None:
        """A member of an object; None where it is absent or null. ``wrong_type`` if no object."""
        members = self.members()
        found = members.get(name)
        return None if found is None or found.data is None else found

    def need(self, name: str) -> Value:
        """As ``get``, but ``missing_field`` where there is none."""
        found = self.get(name)
        if found is None:
            raise DiscoveryError("missing_field", self.line, f"{self.path}.{name}".lstrip("."))
        return found

    def members(self) -> dict[str, Value]:
        """The members of an object."""
        if not isinstance(self.data, dict):
            raise DiscoveryError("wrong_type", self.line, f"{self.path or 'document'}: object")
        return self.data

    def items(self) -> list[Value]:
        """The items of an array."""
        if not isinstance(self.data, list):
            raise DiscoveryError("wrong_type", self.line, f"{self.path or 'document'}: array")
        return self.data

    def text(self) -> str:
        """A string."""
        if not isinstance(self.data, str):
            raise DiscoveryError("wrong_type", self.line, f"{self.path}: string")
        return self.data

    def number(self) -> int:
        """A whole number."""
        if isinstance(self.data, bool) or not isinstance(self.data, int):
            raise DiscoveryError("wrong_type", self.line, f"{self.path}: whole number")
        return self.data

    def flag(self) -> bool:
        """true or false."""
        if not isinstance(self.data, bool):
            raise DiscoveryError("wrong_type", self.line, f"{self.path}: true or false")
        return self.data


def parse_json(data: bytes) -> Value:
    """The document's value."""
    if len(data) > MAX_DOCUMENT:
        raise DiscoveryError("too_big", None, f"{len(data)} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DiscoveryError("not_json", line, "not UTF-8") from None
    reader = _Reader(text)
    value = reader.value("", 0)
    reader.end()
    return value


class _Reader:
    """Walks the text once, from token to token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._values = 0
        self._kind = self._token = ""
        self._next()

    def _next(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        start = blanks.end() if blanks else self._at
        self._line += self._text.count("\n", self._at, start)  # no token holds a line end
        match = _TOKEN.match(self._text, start)
        if match:
            self._kind, self._token = match.lastgroup or "", match[0]
            self._at = match.end()
        else:
            self._kind = "end" if start == len(self._text) else "junk"
            self._token = ""
            self._at = start

    def _fail(self, detail: str) -> DiscoveryError:
        return DiscoveryError("not_json", self._line, detail)

    def _take(self, mark: str) -> bool:
        if self._token == mark and self._kind == "mark":
            self._next()
            return True
        return False

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise self._fail(f"expected {mark}")

    def end(self) -> None:
        """Nothing may follow the value."""
        if self._kind != "end":
            raise self._fail("text after the end")

    def value(self, path: str, depth: int) -> Value:
        """The value that begins at the current token."""
        line = self._line
        self._values += 1
        if self._values > _MAX_VALUES:
            raise DiscoveryError("too_many", line)
        if depth > MAX_DEPTH:
            raise DiscoveryError("too_deep", line)
        if self._take("{"):
            return Value(line, self._object(path, depth), path)
        if self._take("["):
            return Value(line, self._array(path, depth), path)
        data = self._scalar()
        self._next()
        return Value(line, data, path)

    def _scalar(self) -> str | float | bool | None:
        if self._kind == "word":
            return _WORDS[self._token]
        if self._kind not in {"string", "number"}:
            raise self._fail("expected a value")
        try:
            found: str | float = json.loads(self._token)
        except ValueError:  # an escape that JSON does not know
            raise self._fail("broken string") from None
        return found

    def _object(self, path: str, depth: int) -> dict[str, Value]:
        members: dict[str, Value] = {}
        if self._take("}"):
            return members
        while True:
            if self._kind != "string":
                raise self._fail("expected a field name")
            name = str(self._scalar())
            if name in members:
                raise DiscoveryError("duplicate_field", self._line, name)
            self._next()
            self._need(":")
            members[name] = self.value(f"{path}.{name}".lstrip(".")[:_MAX_PATH], depth + 1)
            if self._take("}"):
                return members
            self._need(",")

    def _array(self, path: str, depth: int) -> list[Value]:
        items: list[Value] = []
        if self._take("]"):
            return items
        while True:
            items.append(self.value(f"{path}[{len(items)}]"[:_MAX_PATH], depth + 1))
            if self._take("]"):
                return items
            self._need(",")
