"""One provider's TOML file, read into facts.

Enters: a provider id. Leaves: its ``Provider``. A file that says ``like = "x"`` takes from x what
it does not say itself (user name, credential, limits, ends, notes, remedies), so that the steps for
163.com are written once for all of NetEase. Fails: KeyError for an unknown id; the files themselves
are held right by ``lint``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from posthouse.directory.model import (
    Credential,
    End,
    Kind,
    Limits,
    Pattern,
    Provider,
    Server,
    Source,
    Steps,
    Trust,
    UsernameForm,
    UsernameRule,
    Words,
)
from posthouse.flow import CredentialKind, Endpoint, Security

FOLDER: Final = Path(__file__).parent / "providers"
INHERITED: Final = ("username", "credential", "limits", "ends", "notes", "remedy")

Raw = Mapping[str, Any]


def raw(provider_id: str, folder: Path = FOLDER) -> Raw:
    """The file as it stands. KeyError where there is none."""
    try:
        with (folder / f"{provider_id}.toml").open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise KeyError(provider_id) from None


def merged(own: Raw, model: Raw) -> Raw:
    """``own``, completed by what it inherits from ``model``; its credential field by field."""
    result = {key: model[key] for key in INHERITED if key in model} | dict(own)
    if "credential" in own and "credential" in model:
        result["credential"] = {**model["credential"], **own["credential"]}
    result["sources"] = [*own.get("sources", ()), *model.get("sources", ())]
    return result


@cache
def read(provider_id: str) -> Provider:
    """The provider of that id; its file is read once. KeyError where there is none."""
    own = raw(provider_id)
    return provider(merged(own, raw(own["like"])) if "like" in own else own)


def provider(data: Raw) -> Provider:
    """Facts from a whole (merged) file."""
    return Provider(
        id=data["id"],
        kind=Kind(data["kind"]),
        name=data["name"],
        domains=tuple(data.get("domains", ())),
        mx=_patterns(data.get("mx", ())),
        ns=_patterns(data.get("ns", ())),
        servers=tuple(_server(s) for s in data.get("servers", ())),
        also_hosts=tuple(data.get("also_hosts", ())),
        regions=tuple(data.get("regions", ())),
        username=_username(data["username"]),
        credential=_credential(data["credential"]),
        limits=_limits(data["limits"]) if "limits" in data else None,
        ends=tuple(_end(e) for e in data.get("ends", ())),
        notes=tuple(_words(n) for n in data.get("notes", ())),
        remedies={cause: _variants(table) for cause, table in data.get("remedy", {}).items()},
        sources=tuple(_source(s) for s in data["sources"]),
    )


def _words(table: Raw) -> Words:
    return {"en": table["en"], "zh": table["zh"]}


def _optional_words(table: Raw | None) -> Words | None:
    return None if table is None else _words(table)


def _patterns(rows: Any) -> tuple[Pattern, ...]:
    return tuple(Pattern(row["pattern"], Trust(row["trust"])) for row in rows)


def _server(row: Raw) -> Server:
    return Server(
        Endpoint(row["host"], row["port"], Security(row["security"])),
        Trust(row["trust"]),
        row.get("region", ""),
        tuple(row.get("auth", ())),
        _optional_words(row.get("note")),
    )


def _username(table: Raw) -> UsernameRule:
    return UsernameRule(
        UsernameForm(table["form"]),
        table.get("value", ""),
        tuple(UsernameForm(form) for form in table.get("alternatives", ())),
        _optional_words(table.get("note")),
    )


def _credential(table: Raw) -> Credential:
    return Credential(
        kinds=tuple(CredentialKind(kind) for kind in table["kinds"]),
        trust=Trust(table["trust"]),
        url=table.get("url"),
        steps=_steps(table["steps"]) if "steps" in table else None,
        requires=_optional_words(table.get("requires")),
        admin_must_allow=table.get("admin_must_allow", False),
    )


def _steps(table: Raw) -> Steps:
    return {"en": tuple(table["en"]), "zh": tuple(table["zh"])}


def _limits(table: Raw) -> Limits:
    return Limits(
        Trust(table["trust"]),
        table.get("per_day"),
        table.get("per_hour"),
        table.get("per_minute"),
        table.get("recipients"),
        _optional_words(table.get("note")),
    )


def _end(row: Raw) -> End:
    return End(row["date"], row["what"], _words(row), Trust(row["trust"]))


def _variants(table: Raw) -> Mapping[str, Words]:
    """The usual remedy stands in the table itself, a variant's in a table below it."""
    variants = {name: _words(words) for name, words in table.items() if isinstance(words, dict)}
    return variants | ({"": _words(table)} if "en" in table else {})


def _source(row: Raw) -> Source:
    covers = tuple(row["covers"])
    return Source(row["name"], row["date"], Trust(row["trust"]), covers, row.get("url"))
