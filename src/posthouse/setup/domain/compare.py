"""Two audits of one domain: what became better, worse, or other.

Enters: the JSON of an earlier audit (``render.to_dict``), and a new one. Leaves: ``Comparison``.
Called by the command line and by whoever watches domains. Fails with CompareError where the file is
no audit of this domain.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from posthouse.setup.domain.model import Audit, Item, Verdict

SCHEMA: Final = 1
# Parameters that change with the day and not with the domain.
_PASSING: Final = frozenset(("days", "seconds", "ttl", "status", "count", "evidence"))
# What a record says, by check: where one of these changed, somebody edited DNS.
_RECORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "mx": ("records",),
    "spf": ("record",),
    "dkim": ("keys",),
    "dmarc": ("record",),
    "mtasts": ("record", "mode", "mx"),
    "tlsrpt": ("record",),
    "dane": ("hosts",),
    "bimi": ("record",),
    "dnssec": ("ds",),
}


class CompareError(Exception):
    """No audit to compare with. Reasons: ``not_an_audit``, ``schema``, ``other_domain``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Kind(StrEnum):
    """What sort of change."""

    APPEARED = "appeared"
    GONE = "gone"
    WORSE = "worse"
    BETTER = "better"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``before`` and ``now``: verdicts, or the records where those changed."""

    kind: Kind
    check: str
    id: str
    before: str
    now: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences, in the order of the checks."""

    domain: str
    changes: tuple[Change, ...]

    @property
    def changed(self) -> bool:
        """There is a difference at all."""
        return bool(self.changes)

    @property
    def worse(self) -> bool:
        """Something to act on that was not there before."""
        bad = (Verdict.WARN.value, Verdict.FAIL.value)
        return any(
            one.kind is Kind.WORSE or (one.kind is Kind.APPEARED and one.now in bad)
            for one in self.changes
        )


def compare(before: Mapping[str, Any], audit: Audit) -> Comparison:
    """``audit`` beside an earlier one. Raises CompareError.

    A finding that could not be made, then or now (unknown), is no change: DNS was silent once.
    """
    checks = _checks(before, audit.domain)
    changes: list[Change] = []
    for check in audit.checks:
        theirs = checks.get(check.name)
        if not isinstance(theirs, Mapping):
            continue
        changes += _records(check.name, theirs.get("facts"), check.facts)
        changes += _findings(check.name, _old(theirs), _new(check.items))
    return Comparison(audit.domain, tuple(changes))


def _checks(before: Mapping[str, Any], domain: str) -> Mapping[str, Any]:
    checks = before.get("checks") if isinstance(before, Mapping) else None
    if not isinstance(checks, Mapping):
        raise CompareError("not_an_audit")
    if before.get("schema") != SCHEMA:
        raise CompareError("schema", str(before.get("schema"))[:20])
    if before.get("domain") != domain:
        raise CompareError("other_domain", str(before.get("domain"))[:253])
    return checks


Key = tuple[str, str]
Row = tuple[str, str]  # verdict, text


def _key(id_: str, params: Mapping[str, Any]) -> Key:
    kept = {name: value for name, value in params.items() if name not in _PASSING}
    return id_, json.dumps(kept, sort_keys=True, default=str)


def _old(check: Mapping[str, Any]) -> dict[Key, Row]:
    found: dict[Key, Row] = {}
    rows = check.get("findings")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("id"), str):
            params = row.get("params")
            known = params if isinstance(params, Mapping) else {}
            found[_key(row["id"], known)] = (str(row.get("verdict", "")), str(row.get("text", "")))
    return found


def _new(items: tuple[Item, ...]) -> dict[Key, Row]:
    return {_key(item.finding.id, item.finding.params): (item.verdict.value, "") for item in items}


def _findings(check: str, old: Mapping[Key, Row], new: Mapping[Key, Row]) -> Iterator[Change]:
    unknown = Verdict.UNKNOWN.value
    unsure = unknown in {row[0] for row in (*old.values(), *new.values())}
    for key, (verdict, _) in new.items():
        earlier = old.get(key)
        if verdict == unknown or (earlier is not None and earlier[0] == verdict):
            continue
        if earlier is None and verdict != Verdict.OK.value:
            yield Change(Kind.APPEARED, check, key[0], "", verdict, _params(key))
        elif earlier is not None and earlier[0] != unknown:
            worse = Verdict(verdict).weight > _weight(earlier[0])
            kind = Kind.WORSE if worse else Kind.BETTER
            yield Change(kind, check, key[0], earlier[0], verdict, _params(key))
    for key, (verdict, told) in old.items():
        # where DNS is silent now, what it said before is not gone
        if key in new or verdict in (unknown, Verdict.OK.value) or (unsure and _hidden(new)):
            continue
        yield Change(Kind.GONE, check, key[0], verdict, "", told or _params(key))


def _hidden(new: Mapping[Key, Row]) -> bool:
    return any(verdict == Verdict.UNKNOWN.value for verdict, _ in new.values())


def _weight(verdict: str) -> int:
    try:
        return Verdict(verdict).weight
    except ValueError:
        return 0


def _params(key: Key) -> str:
    params = json.loads(key[1])
    return ", ".join(f"{name}={value}" for name, value in params.items())[:300]


def _records(check: str, old: object, new: Mapping[str, Any]) -> Iterator[Change]:
    if not isinstance(old, Mapping):
        return
    for name in _RECORDS.get(check, ()):
        before, now = (_plain(facts.get(name)) for facts in (old, new))
        if before != now:
            yield Change(Kind.RECORD, check, f"{check}.{name}", before, now)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
