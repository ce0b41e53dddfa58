"""Answers from a table, with what DNSSEC proved, for tests of algorithms that ask DNS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from posthouse.protocol.dns import Answer, AnswerStatus, Ask

Row = Sequence[str] | AnswerStatus
# "name TYPE" -> records or a status. A record of "name CNAME" leads all other questions there.
Rows = Mapping[str, Row]


class Zone:
    """A resolver of a table; it remembers what it was asked. ``unsigned``: ends of names that no
    DNSSEC proves."""

    def __init__(self, rows: Rows, *, unsigned: Sequence[str] = ()) -> None:
        self._rows = rows
        self._unsigned = tuple(unsigned)
        self.asked: list[str] = []

    def __call__(self, ask: Ask) -> Answer:
        self.asked.append(f"{ask.name} {ask.type}")
        alias = self._rows.get(f"{ask.name} CNAME")
        name, signed = ask.name, self._signed(ask.name)
        if alias and not isinstance(alias, AnswerStatus) and ask.type != "CNAME":
            name = alias[0]
            signed = signed and self._signed(name)
        canonical = name if name != ask.name else ""
        found = self._rows.get(f"{name} {ask.type}")
        if isinstance(found, AnswerStatus):
            return Answer(ask.name, ask.type, found, canonical=canonical)
        exists = any(key.rpartition(" ")[0] == name for key in self._rows)
        missing = AnswerStatus.NODATA if exists else AnswerStatus.NXDOMAIN
        status = AnswerStatus.OK if found else missing
        records = tuple(found or ())
        return Answer(
            ask.name, ask.type, status, records, authenticated=signed, canonical=canonical
        )

    def _signed(self, name: str) -> bool:
        return not any(name == end or name.endswith(f".{end}") for end in self._unsigned)


Lookup = Callable[[Ask], Answer]
