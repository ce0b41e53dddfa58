"""What is known of providers, selectors, receivers and header fields: data with source and date.

Enters: the TOML files beside this one, a record's text. Leaves: plain values for the checks. The
files are read once; a mistake in one is a broken installation and raises what ``tomllib`` raises
(a test holds them right).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from posthouse.protocol import dmarc, spf
from posthouse.protocol.dns import Answer

EGRESS_LIMIT: Final = 16  # addresses looked at in block lists; each costs a question a list
DATA: Final = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Row:
    """One record a provider asks for. ``name``: before the domain ("" is the domain itself)."""

    name: str
    type: str
    values: tuple[str, ...]  # patterns, "*" stands for anything; one is enough
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Provider:
    """What one provider wants of a domain's DNS."""

    id: str
    spf: str = ""  # the domain to include
    include: tuple[str, ...] = ()  # other includes that show or do the same
    selectors: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    selector_target: str = ""  # CNAME of a given selector, "{selector}" filled in
    return_path_mx: str = ""  # pattern of the MX of a MAIL FROM domain
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A name often written into SPF records, and the right one."""

    wrong: str
    right: str
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement of one receiver. ``volume``: messages a day from which on it is asked."""

    receiver: str
    rule: str
    volume: int
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Sign:
    """What a filter writes into a header field. ``pattern``: what to look for in its value."""

    id: str
    field: str
    pattern: re.Pattern[str]
    weight: str  # "spam", "clean", "info"
    who: str
    source: str
    date: str


@cache
def providers() -> Mapping[str, Provider]:
    """By directory id."""
    tables = _read("providers.toml")
    return {id_: _provider(id_, table) for id_, table in tables["provider"].items()}


def _provider(id_: str, table: Mapping[str, Any]) -> Provider:
    rows = [
        Row(r["name"], r["type"], tuple(r["values"]), r.get("needed", True))
        for r in table.get("record", ())
    ]
    return Provider(
        id_,
        table.get("spf", ""),
        tuple(table.get("include", ())),
        tuple(table.get("selectors", ())),
        tuple(rows),
        table.get("selector_target", ""),
        table.get("return_path_mx", ""),
        table["source"],
        table["date"],
    )


@cache
def mistakes() -> tuple[Mistake, ...]:
    """Names often written wrongly."""
    return tuple(Mistake(**row) for row in _read("providers.toml")["mistake"])


@cache
def common_selectors() -> tuple[str, ...]:
    """Selectors that programs propose, for a domain of which nothing else is known."""
    return tuple(_read("providers.toml")["common"]["selectors"])


@cache
def rules() -> tuple[Rule, ...]:
    """What large receivers ask of senders."""
    return tuple(
        Rule(receiver, row["rule"], row.get("volume", 0), row["source"], table["date"])
        for receiver, table in _read("receivers.toml").items()
        for row in table["rules"]
    )


@cache
def signs() -> tuple[Sign, ...]:
    """What filters write into messages."""
    return tuple(
        Sign(
            row["id"],
            row["field"].lower(),
            re.compile(row["pattern"], re.IGNORECASE),
            row["weight"],
            row["who"],
            row["source"],
            row["date"],
        )
        for row in _read("signs.toml")["sign"]
    )


def _read(name: str) -> dict[str, Any]:
    with (DATA / name).open("rb") as file:
        return tomllib.load(file)


def includes_in(text: str) -> tuple[str, ...]:
    """The domains an SPF record includes or redirects to, in lower case."""
    try:
        record = spf.parse(text)
    except spf.RecordError:
        return ()
    found = []
    for term in record.terms:
        value = term.domain if isinstance(term, spf.Mechanism) else term.value
        if term.name in ("include", "redirect") and value is not None and value.literal:
            found.append(value.literal.lower().removesuffix("."))
    return tuple(found)


def reaches(text: str, wanted: Container[str], known: Callable[[str], Answer | None]) -> bool:
    """Whether an SPF record, or one it includes, includes what is wanted.

    ``known`` is what DNS has said of a name's TXT records: a survey has been everywhere, so nothing
    is asked.
    """
    waiting, seen = list(includes_in(text)), set[str]()
    while waiting:
        name = waiting.pop()
        if name in wanted:
            return True
        if name in seen:
            continue
        seen.add(name)
        answer = known(name)
        records = answer.records if answer is not None else ()
        waiting += [n for one in records if spf.is_record(one) for n in includes_in(one)]
    return False


def senders_in(text: str) -> tuple[str, ...]:
    """Ids of the providers an SPF record lets send."""
    named = set(includes_in(text))
    return tuple(one.id for one in providers().values() if named & {one.spf, *one.include} - {""})


def report_hosts(texts: Iterable[str]) -> list[str]:
    """The hosts that a DMARC record sends reports to, each once."""
    hosts: list[str] = []
    for text in texts:
        if not dmarc.is_record(text):
            continue
        try:
            policy = dmarc.parse(text).policy
        except dmarc.RecordError:
            continue
        hosts += [uri.host.lower() for uri in (*policy.rua, *policy.ruf) if uri.usable]
    return list(dict.fromkeys(host for host in hosts if host and not host.startswith("[")))


def fits(pattern: str, value: str) -> bool:
    """Whether a name fits a pattern in which "*" stands for anything."""
    plain = value.lower().removesuffix(".")
    parts = (re.escape(part) for part in pattern.lower().split("*"))
    return re.fullmatch(".*".join(parts), plain) is not None
