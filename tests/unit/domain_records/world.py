"""A zone in memory: it answers the questions of a plan, and a plan can be carried out in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run
from posthouse.setup.domain.records import Change, Entry, Inventory, Plan, plan
from posthouse.setup.domain.records.read import read

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
Table = Mapping[tuple[str, str], Sequence[str]]


class Zone:
    """All of DNS."""

    def __init__(self, table: Table | None = None, *, signed: bool = False) -> None:
        self.table = {key: list(values) for key, values in (table or {}).items()}
        self.failing: dict[tuple[str, str], AnswerStatus] = {}
        self.signed = signed
        self.asked: list[tuple[str, str]] = []

    def __repr__(self) -> str:
        return f"Zone({self.table})"

    def answer(self, ask: Ask) -> Answer:
        self.asked.append((ask.name, ask.type))
        name = target = ask.name.lower().rstrip(".")
        failure = self.failing.get((name, ask.type))
        if failure is not None:
            return Answer(name, ask.type, failure)
        for _ in range(8):
            alias = self._at(target, "CNAME")
            if not alias or ask.type == "CNAME":
                break
            target = alias[0].lower().rstrip(".")
        values = self._at(target, ask.type)
        known = any(one == target or one.endswith("." + target) for one, _ in self.table)
        status = AnswerStatus.OK if values else AnswerStatus.NODATA
        if not values and not known:
            status = AnswerStatus.NXDOMAIN
        canonical = target if target != name else ""
        return Answer(name, ask.type, status, tuple(values), 300, self.signed, canonical=canonical)

    def _at(self, name: str, type_: str) -> list[str]:
        """The records of a name, or those a wildcard gives it (RFC 4592)."""
        while not any(one == name or one.endswith("." + name) for one, _ in self.table):
            parent = name.partition(".")[2]
            if not parent:
                return []
            if any(one == f"*.{parent}" for one, _ in self.table):
                return self.table.get((f"*.{parent}", type_), [])
            if any(one == parent or one.endswith("." + parent) for one, _ in self.table):
                return []
            name = parent
        return self.table.get((name, type_), [])

    def carry_out(self, entries: Iterable[Entry]) -> None:
        """What an administrator does who has a plan."""
        for entry in entries:
            record = entry.record
            values = self.table.setdefault((record.name, record.type), [])
            if entry.change is Change.ADD:
                assert record.value not in values, "added twice"
                values.append(record.value)
            elif entry.change is Change.CHANGE:
                values[values.index(entry.live[0])] = record.value
            elif entry.change is Change.REMOVE:
                values.remove(record.value)
            if not values:
                del self.table[record.name, record.type]
        self.check()

    def check(self) -> None:
        """No alias has company, no name two aliases."""
        for (name, type_), values in self.table.items():
            if type_ == "CNAME":
                assert len(values) == 1, name
                others = [kind for one, kind in self.table if one == name and kind != "CNAME"]
                assert not others, (name, others)


def planned(zone: Zone, inventory: Inventory | str, **more: Any) -> Plan:
    """The plan for an inventory, or for the lines of one."""
    if isinstance(inventory, str):
        inventory = read(f'domain = "example.test"\n{inventory}')
    return run(plan(inventory, more.pop("now", NOW), **more), zone.answer)


def settled(zone: Zone, inventory: Inventory | str, **more: Any) -> Plan:
    """The plan, carried out; a second one must find nothing to do."""
    made = planned(zone, inventory, **more)
    zone.carry_out(made.changes)
    zone.carry_out(one for one in made.elsewhere if one.change is not Change.CHANGE)
    again = planned(zone, inventory, **more)
    assert [(one.change, one.record) for one in again.changes] == []
    return made


def texts(made: Plan, section: str) -> list[tuple[str, str, str]]:
    """Change, name and value of the entries of a section."""
    return [
        (one.change.value, one.record.name, one.record.value)
        for one in made.entries
        if one.section == section
    ]


def found(made: Plan) -> dict[str, dict[str, Any]]:
    """Findings by id."""
    return {one.id.removeprefix("records."): dict(one.params) for one in made.findings}
