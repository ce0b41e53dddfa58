"""The zones of the published SPF suites, answering questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from posthouse.protocol.dns import Answer, AnswerStatus, Ask

CHAIN = 10  # aliases followed


class Text(yaml.SafeLoader):
    """Everything is text, as a zone file has it (1234::1 and 1.2 are no numbers)."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def scenarios(path: Path) -> list[Mapping[str, Any]]:
    """The parts of one suite file: each with tests and a zone."""
    found = yaml.load_all(path.read_text("latin-1"), Loader=Text)
    return [scenario for scenario in found if scenario]


class Zone:
    """One zone. By default an SPF entry is a TXT record too, unless TXT is written out."""

    def __init__(self, data: Mapping[str, Sequence[Any]]) -> None:
        self._rows: dict[str, list[tuple[str, str]]] = {}
        self._silent: set[str] = set()
        for name, entries in data.items():
            self._add(name.lower(), entries)
        self.asked: list[Ask] = []

    def _add(self, name: str, entries: Sequence[Any]) -> None:
        rows = self._rows.setdefault(name, [])
        pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
        own_text = any(type_ == "TXT" for type_, _ in pairs)
        if "TIMEOUT" in entries:
            self._silent.add(name)
        for type_, value in pairs:
            if (type_ == "SPF" and not own_text) or (type_ == "TXT" and value != "NONE"):
                rows.append(("TXT", _text(value)))
            elif type_ == "MX":
                rows.append(("MX", f"{value[0]} {value[1]}."))
            elif type_ not in ("TXT", "SPF"):
                rows.append((type_, value))

    def __call__(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        assert ask.type != "SPF", "type 99 is never asked (RFC 7208 section 3.1)"
        name = ask.name
        for _ in range(CHAIN):
            rows = self._rows.get(name)
            found = tuple(value for type_, value in rows or () if type_ == ask.type)
            if found:
                return Answer(ask.name, ask.type, AnswerStatus.OK, found)
            if name in self._silent:
                return Answer(ask.name, ask.type, AnswerStatus.TIMEOUT)
            alias = next((value for type_, value in rows or () if type_ == "CNAME"), None)
            if alias is None:
                missing = AnswerStatus.NXDOMAIN if rows is None else AnswerStatus.NODATA
                return Answer(ask.name, ask.type, missing)
            name = alias.lower().removesuffix(".")
        return Answer(ask.name, ask.type, AnswerStatus.SERVFAIL)  # RFC 1034 section 3.6.2


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)
