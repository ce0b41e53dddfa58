"""The same questions to several resolvers: who still has the old answer, and for how long.

Enters: a domain, named resolvers, and an authority (its own name servers) where the caller has one.
Leaves: ``Propagation``: a table a question. Called by the command line. What most resolvers say is
taken for the value, unless the authority says it; where they are evenly split, nobody is called
stale. Nothing fails: a resolver that does not answer has a row that says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.net.resolver import Resolver
from posthouse.protocol.dns import Answer
from posthouse.protocol.host import to_ascii

# What mail depends on, before the domain.
MAIL: Final = (
    ("", "MX"),
    ("", "TXT"),
    ("_dmarc.", "TXT"),
    ("_mta-sts.", "TXT"),
    ("_smtp._tls.", "TXT"),
)
AUTHORITY: Final = "authority"
MAJORITY: Final = "majority"
Value = tuple[str, ...]


class State(StrEnum):
    """One resolver beside the others."""

    CURRENT = "current"
    STALE = "stale"
    SPLIT = "split"  # another value than others, and nobody can tell who is right
    FAILED = "failed"  # no answer


@dataclass(frozen=True, slots=True)
class Row:
    """What one resolver said. ``ttl``: seconds until it asks again."""

    resolver: str
    status: str
    records: Value
    ttl: int
    state: State


@dataclass(frozen=True, slots=True)
class Table:
    """One question. ``value`` None where nobody can tell; ``by``: "authority", "majority" or ""."""

    name: str
    type: str
    value: Value | None
    by: str
    rows: tuple[Row, ...]

    @property
    def agreed(self) -> bool:
        """All who answered say the same."""
        return all(row.state in (State.CURRENT, State.FAILED) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Propagation:
    """All tables of one domain."""

    domain: str
    tables: tuple[Table, ...]

    @property
    def agreed(self) -> bool:
        """No question has two answers."""
        return all(table.agreed for table in self.tables)

    @property
    def stale(self) -> tuple[str, ...]:
        """The resolvers with an old answer, each once."""
        rows = (row for table in self.tables for row in table.rows)
        return tuple(dict.fromkeys(row.resolver for row in rows if row.state is State.STALE))


async def propagation(
    domain: str,
    resolvers: Mapping[str, Resolver],
    *,
    questions: Sequence[tuple[str, str]] = (),
    authority: Resolver | None = None,
) -> Propagation:
    """Ask everybody everything at once. ``questions``: (name, type); none: the mail records.

    Raises HostError where ``domain`` is no name.
    """
    name = to_ascii(domain.strip().removesuffix("."))
    asked = list(questions) or [(f"{prefix}{name}", type_) for prefix, type_ in MAIL]
    tables = await asyncio.gather(*(_table(n, t, resolvers, authority) for n, t in asked))
    return Propagation(name, tuple(tables))


async def _table(
    name: str, type_: str, resolvers: Mapping[str, Resolver], authority: Resolver | None
) -> Table:
    askers = [*resolvers.values(), *([authority] if authority is not None else [])]
    answers = await asyncio.gather(*(one.ask(name, type_) for one in askers))
    told = answers[len(resolvers)] if authority is not None else None
    own = list(zip(resolvers, answers, strict=False))
    value, by = _true_value([answer for _, answer in own], told)
    rows = tuple(_row(label, answer, value) for label, answer in own)
    return Table(name, type_, value, by, rows)


def value_of(answer: Answer) -> Value | None:
    """What an answer says, in one order; None where it says nothing."""
    return None if answer.failed else tuple(sorted(answer.records))


def _true_value(answers: Sequence[Answer], told: Answer | None) -> tuple[Value | None, str]:
    if told is not None and not told.failed:
        return value_of(told), AUTHORITY
    values = Counter(value for answer in answers if (value := value_of(answer)) is not None)
    ranked = values.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None, ""
    return ranked[0][0], MAJORITY


def _row(resolver: str, answer: Answer, value: Value | None) -> Row:
    own = value_of(answer)
    if own is None:
        state = State.FAILED
    elif value is None:
        state = State.SPLIT
    else:
        state = State.CURRENT if own == value else State.STALE
    return Row(resolver, answer.status.value, own or (), answer.ttl, state)
