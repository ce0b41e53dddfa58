"""The block lists of DNS that are worth a look, as facts with source and date.

Enters: ``blocklists.toml``, or an id. Leaves: ``Blocklist`` values for ``protocol.dnsbl``. Called
by the audit of a domain and by monitors. Fails: KeyError for an unknown id, ValueError for a table
that is wrong; the file that is shipped is held right by a test.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from posthouse.protocol.dnsbl import Blocklist, Kind

PATH: Final = Path(__file__).with_name("blocklists.toml")
_REQUIRED: Final = ("name", "zone", "kind", "removal", "source", "date")
_OPTIONAL: Final = (
    *("ipv6", "codes", "mask", "errors"),
    *("registration", "public_resolvers", "test"),
)


@cache
def blocklists() -> tuple[Blocklist, ...]:
    """All of them, the weightiest first."""
    with PATH.open("rb") as file:
        return read(tomllib.load(file))


def blocklist(list_id: str) -> Blocklist:
    """The list of that id. KeyError where there is none."""
    found = next((each for each in blocklists() if each.id == list_id), None)
    if found is None:
        raise KeyError(list_id)
    return found


def of_kind(kind: Kind) -> tuple[Blocklist, ...]:
    """The lists of addresses, or of domains."""
    return tuple(each for each in blocklists() if each.kind is kind)


def read(tables: Mapping[str, Mapping[str, Any]]) -> tuple[Blocklist, ...]:
    """Lists from tables by id, those of the file or an operator's own. Raises ValueError."""
    return tuple(_list(list_id, table) for list_id, table in tables.items())


def _list(list_id: str, table: Mapping[str, Any]) -> Blocklist:
    unknown = sorted(set(table) - {*_REQUIRED, *_OPTIONAL})
    missing = [key for key in _REQUIRED if not isinstance(table.get(key), str)]
    if unknown or missing:
        raise ValueError(f"{list_id}: unknown {unknown}, missing {missing}")
    return Blocklist(**{**table, "id": list_id, "kind": Kind(table["kind"])})
