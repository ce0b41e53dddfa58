"""A plan in the making: what is wanted, put beside what is live.

Enters: wanted records, and the answers to the questions for their names. Leaves: entries, findings,
files. The owner of one plan's state; called by each part of the plan. Nothing fails: where DNS does
not say what stands at a name, the entry says "unknown" and nothing is to be done there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from posthouse.flow import Finding, Status
from posthouse.protocol.dkim.signature import within
from posthouse.protocol.dns import Answer, Query
from posthouse.setup.domain.checks.dkim import control_label
from posthouse.setup.domain.records.ask import Answers, Key, question, remembering
from posthouse.setup.domain.records.inventory import Inventory
from posthouse.setup.domain.records.model import (
    Change,
    Entry,
    File,
    Record,
    Stage,
    finding,
)

T = TypeVar("T")
Same = Callable[[str, str], bool]

CNAME: Final = "CNAME"
# What may stand where an alias is wanted: an alias stands alone (RFC 1034 section 3.6.2).
BESIDE: Final = ("TXT", "A", "AAAA", "MX")
_HOST_FIELD: Final = {"CNAME": 0, "MX": 1, "SRV": 3, "PTR": 0}


def canonical(type_: str, value: str) -> str:
    """The value as it is compared: names in lower case, without the last dot."""
    place = _HOST_FIELD.get(type_)
    if place is None:
        return " ".join(value.lower().split()) if type_ != "TXT" else value
    fields = value.split()
    if len(fields) > place:
        fields[place] = fields[place].lower().removesuffix(".") or "."
    return " ".join(fields)


def identity(type_: str, value: str) -> str:
    """What stays when a record is changed and not replaced by another: its host."""
    place = _HOST_FIELD.get(type_)
    fields = canonical(type_, value).split()
    return fields[place] if place is not None and len(fields) > place else value


def _nothing(live: Answer) -> Answer:
    """The answer without what a wildcard gave."""
    return replace(live, records=(), canonical="")


def _only(live: Answer, values: Sequence[str]) -> Answer:
    """What a wildcard gives, as far as it is wanted."""
    wanted = {canonical(live.type, one) for one in values}
    kept = [one for one in live.records if canonical(live.type, one) in wanted]
    return replace(live, records=tuple(kept), canonical="")


class Draft:
    """The plan so far."""

    def __init__(self, inventory: Inventory, known: Answers) -> None:
        self.inventory = inventory
        self.domain = inventory.domain
        self.known = known
        self.entries: list[Entry] = []
        self.elsewhere: list[Entry] = []
        self.files: list[File] = []
        self.findings: list[Finding] = []

    # Questions

    def run(self, query: Query[T], instead: Mapping[Key, Answer] | None = None) -> Query[T]:
        """The result of an algorithm that asks DNS, each question once a plan."""
        return (yield from remembering(query, self.known, instead or {}))

    def ask(self, name: str, type_: str) -> Query[Answer]:
        """What is live; a failure is said once."""
        answer = yield from self.run(question(name, type_))
        if answer.failed:
            self.say(
                "live_failed", Status.UNKNOWN, name=name, type=type_, status=answer.status.value
            )
        return answer

    def say(self, id_: str, status: Status, /, **params: Any) -> None:
        """A finding, each once."""
        made = finding(id_, status, **params)
        if made not in self.findings:
            self.findings.append(made)

    # Records

    def record(self, name: str, type_: str, value: str) -> Record:
        """One record with the inventory's TTL."""
        return Record(name, type_, value, self.inventory.ttl)

    def only(
        self,
        section: str,
        wanted: Record,
        live: Answer,
        owned: Callable[[str], bool],
        *,
        why: str,
        stage: Stage,
        same: Same = str.__eq__,
        params: Mapping[str, Any] | None = None,
    ) -> Query[None]:
        """One TXT record of its kind at a name; ``owned`` tells which of those there are of it."""
        mine = [text for text in live.records if owned(text)]
        if (yield from self._wild(live)):
            live = _nothing(live)
            stays = self._direct(wanted.name)
            mine = [text for text in mine if stays and same(text, wanted.value)][:1]
        if live.failed:
            self._add(Entry(section, wanted, Change.UNKNOWN, why, stage, (), params or {}))
            return
        if any(same(text, wanted.value) for text in mine):
            kept = next(text for text in mine if same(text, wanted.value))
            record = Record(wanted.name, wanted.type, kept, wanted.ttl)
            self._add(Entry(section, record, Change.SAME, why, stage, (kept,), params or {}))
            mine.remove(kept)
        else:
            yield from self._free(section, live, stage)
            alias = bool(live.canonical)  # its record stands elsewhere, and goes with the alias
            old = mine.pop(0) if mine and not alias else ""
            change = Change.CHANGE if old else Change.ADD
            live_now = (old,) if old else ()
            self._add(Entry(section, wanted, change, why, stage, live_now, params or {}))
            mine = [] if alias else mine
        for text in mine:
            self._remove(section, self.record(wanted.name, wanted.type, text), "one_only", stage)

    def exactly(
        self,
        section: str,
        name: str,
        type_: str,
        values: Sequence[str],
        live: Answer,
        *,
        why: str,
        stage: Stage,
        removal: Stage | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Query[None]:
        """These records of a type at a name, and no others."""
        if live.failed:
            for value in values:
                record = self.record(name, type_, value)
                self._add(Entry(section, record, Change.UNKNOWN, why, stage, (), params or {}))
            return
        if (yield from self._wild(live)):
            there = {canonical(type_, one) for one in live.records}
            whole = self._direct(name) and all(canonical(type_, one) in there for one in values)
            live = _only(live, values) if whole else _nothing(live)
        aliased = bool(live.canonical) and type_ != CNAME
        left = [] if aliased else list(live.records)
        if aliased and values:
            yield from self._free(section, live, stage)
        for value in values:
            made = Entry(section, self.record(name, type_, value), Change.ADD, why, stage)
            self._paired(replace(made, params=params or {}), left)
        for value in left:
            record = self.record(name, type_, value)
            self._remove(section, record, "not_wanted", removal or stage)

    def _paired(self, entry: Entry, left: list[str]) -> None:
        """One wanted record beside those that are ``left`` of the live ones."""
        type_, value = entry.record.type, canonical(entry.record.type, entry.record.value)
        for live in left:
            if canonical(type_, live) == value:
                left.remove(live)
                self._add(replace(entry, change=Change.SAME, live=(live,)))
                return
        for live in left:
            alone = type_ == CNAME or identity(type_, live) == identity(type_, value)
            if alone and type_ in _HOST_FIELD:
                left.remove(live)
                self._add(replace(entry, change=Change.CHANGE, live=(live,)))
                return
        self._add(entry)

    def alias(
        self,
        section: str,
        name: str,
        target: str,
        *,
        why: str,
        stage: Stage,
        params: Mapping[str, Any] | None = None,
    ) -> Query[None]:
        """A CNAME, and nothing beside it."""
        live = yield from self.ask(name, CNAME)
        if not live.failed and not live.records:
            for type_ in BESIDE:
                beside = yield from self.ask(name, type_)
                if (yield from self._wild(beside)):
                    continue
                for value in () if beside.canonical else beside.records:
                    self._remove(section, self.record(name, type_, value), "alias_alone", stage)
        yield from self.exactly(
            section, name, CNAME, (f"{target}.",), live, why=why, stage=stage, params=params
        )

    def _wild(self, live: Answer) -> Query[bool]:
        """Whether any other name beside it gets the same answer: then a wildcard gives it (RFC
        4592), and there is nothing at the name itself that could be changed or taken away."""
        given = bool(live.records or live.canonical)
        if not given or live.name == self.domain or not within(live.name, self.domain):
            return False
        control = f"{control_label(live.name)}.{live.name.partition('.')[2]}"
        other = yield from self.run(question(control, live.type))
        same = set(other.records) == set(live.records) and other.canonical == live.canonical
        return same and not other.failed

    def _direct(self, name: str) -> bool:
        """Right below the domain. What a wildcard gives a deeper name ends as soon as anything else
        stands between them (RFC 4592 section 2.2.2), so there the record itself is published."""
        return name.partition(".")[2] == self.domain

    def _free(self, section: str, live: Answer, stage: Stage) -> Query[None]:
        """Take an alias away that stands where a record is wanted."""
        if not live.canonical:
            return
        alias = yield from self.ask(live.name, CNAME)
        self.say("alias", Status.WARN, name=live.name, target=live.canonical)
        for value in alias.records:
            self._remove(section, self.record(live.name, CNAME, value), "alias_alone", stage)

    def remove(self, section: str, record: Record, why: str, stage: Stage = Stage.LATER) -> None:
        """Something live that is no longer needed."""
        self._remove(section, record, why, stage)

    def _remove(self, section: str, record: Record, why: str, stage: Stage) -> None:
        self._add(Entry(section, record, Change.REMOVE, why, stage, (record.value,)))

    def _add(self, entry: Entry) -> None:
        """An entry once: a key that two services share is one record."""
        known = [one.record for one in self.entries if one.change is entry.change]
        if entry.record not in known:
            self.entries.append(entry)
