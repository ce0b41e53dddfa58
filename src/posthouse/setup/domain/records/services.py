"""What a domain publishes for a service that sends for it: data with source and date.

Enters: ``services.toml`` beside this, and what the audit knows of providers (``facts``). Leaves:
``ServiceFacts``, and the records of a service for one domain. A mistake in the file is a broken
installation (a test holds it right). Nothing else fails.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from posthouse.setup.domain import facts

NO_INCLUDE: Final = "none"
_GAP: Final = re.compile(r"\{([a-z_]+)\}")

Params = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Template:
    """One record of a service, with gaps."""

    name: str
    type: str
    value: str
    why: str
    each: str = ""  # a param: one record for each of its values
    when: str = ""  # a param: only where it is given

    @property
    def gaps(self) -> frozenset[str]:
        """What must be known to write it."""
        found = {*_GAP.findall(self.name), *_GAP.findall(self.value)}
        return frozenset(found - {"domain", "dashes", "item", "number"})


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """One service. ``spf``: the domain to include; "" where an include would do nothing."""

    id: str
    spf: str
    shows: frozenset[str]  # includes that show that SPF lets it send
    params: tuple[str, ...]
    lists: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]
    records: tuple[Template, ...]
    source: str
    date: str
    defaults: Params = field(default_factory=dict)

    def lacking(self, params: Params) -> list[str]:
        """Params the owner has still to give, each group of alternatives as one."""
        return ["/".join(group) for group in self.needs if not any(one in params for one in group)]


@cache
def services() -> Mapping[str, ServiceFacts]:
    """By directory id."""
    with (Path(__file__).parent / "services.toml").open("rb") as file:
        tables = tomllib.load(file)["service"]
    plain = {id_: _plain(one) for id_, one in facts.providers().items()}
    return plain | {id_: _service(id_, table) for id_, table in tables.items()}


def _plain(known: facts.Provider) -> ServiceFacts:
    """A provider of which no more is said here: its include, and the aliases it names exactly."""
    exact = [row for row in known.rows if row.type == "CNAME" and "*" not in row.values[0]]
    return ServiceFacts(
        known.id,
        known.spf,
        frozenset((known.spf, *known.include)) - {""},
        (),
        (),
        (),
        tuple(Template(row.name, row.type, row.values[0], _why(row.name)) for row in exact),
        known.source,
        known.date,
    )


def _why(name: str) -> str:
    return "dkim" if name.endswith("._domainkey") else "service"


def _service(id_: str, table: Mapping[str, Any]) -> ServiceFacts:
    known = facts.providers().get(id_)
    include = table.get("spf", known.spf if known else NO_INCLUDE)
    shown = {include, *((known.spf, *known.include) if known else ())}
    return ServiceFacts(
        id_,
        "" if include == NO_INCLUDE else include,
        frozenset(shown - {"", NO_INCLUDE}),
        tuple(table.get("params", ())),
        tuple(table.get("lists", ())),
        tuple(tuple(group) for group in table.get("needs", ())),
        tuple(Template(**row) for row in table.get("record", ())),
        table["source"],
        table["date"],
        {name: (value,) for name, value in table.get("defaults", {}).items()},
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a service for one domain."""

    name: str
    type: str
    value: str
    why: str


def rows(service: ServiceFacts, domain: str, params: Params) -> Iterator[Row]:
    """The records that can be written with what is known."""
    given = {**service.defaults, **params}
    for template in service.records:
        if template.when and template.when not in given:
            continue
        if not template.gaps <= set(given) or (template.each and template.each not in given):
            continue
        items: Sequence[str] = given[template.each] if template.each else ("",)
        for number, item in enumerate(items, 1):
            fill = {name: values[0] for name, values in given.items()} | {
                "domain": domain,
                "dashes": domain.replace(".", "-"),
                "item": item,
                "number": str(number),
            }
            name = _filled(template.name, fill)
            whole = f"{name}.{domain}" if name else domain
            yield Row(whole.lower(), template.type, _filled(template.value, fill), template.why)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _GAP.sub(lambda gap: values[gap[1]], text)
