"""The index: which provider a domain, an incoming host, a name server or a host belongs to.

Enters: ``index.tsv``, made from all files by ``scripts/directory index`` and committed, so that one
question costs one small file and not two hundred. Leaves: ``Index``, read once. Fails only where
the installation is broken (OSError).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from posthouse.directory import pattern
from posthouse.directory.read import Raw

PATH: Final = Path(__file__).with_name("index.tsv")
KIND_ORDER: Final = ("mailbox", "tenant", "service")  # whose words a shared host gets


@dataclass(frozen=True, slots=True)
class Index:
    """Names and patterns to provider ids, by kind of name."""

    domain: Mapping[str, str]
    mx: Mapping[str, str]
    ns: Mapping[str, str]
    host: Mapping[str, str]
    ids: tuple[str, ...]

    def by_domain(self, domain: str) -> str | None:
        """Exact, or below a domain that the provider gives out names under (``*.x``)."""
        name = pattern.normal(domain)
        found = self.domain.get(name)
        while found is None and "." in name:
            name = name.partition(".")[2]
            found = self.domain.get(f"*.{name}")
        return found

    def by_host(self, host: str) -> str | None:
        """The provider whose outgoing server has that name."""
        return _look_up(self.host, host)

    def by_mx(self, host: str) -> tuple[str, str] | None:
        """Provider id and the rule that matched."""
        rule = pattern.best(self.mx, pattern.normal(host))
        return None if rule is None else (self.mx[rule], rule)

    def by_ns(self, host: str) -> str | None:
        """The provider that usually goes with that name server."""
        return _look_up(self.ns, host)


def _look_up(table: Mapping[str, str], host: str) -> str | None:
    name = pattern.normal(host)
    if name in table:
        return table[name]
    rule = pattern.best((p for p in table if "*" in p), name)
    return None if rule is None else table[rule]


@cache
def committed() -> Index:
    """The committed index."""
    return parse(PATH.read_text("utf-8"))


def parse(text: str) -> Index:
    """Read what ``build`` wrote."""
    tables: dict[str, dict[str, str]] = {"domain": {}, "mx": {}, "ns": {}, "host": {}, "id": {}}
    for line in text.splitlines():
        kind, name, provider_id = line.split("\t")
        tables[kind][name] = provider_id
    return Index(tables["domain"], tables["mx"], tables["ns"], tables["host"], tuple(tables["id"]))


def build(files: Mapping[str, Raw]) -> str:
    """The text of the index for these files (id -> file), sorted so that a change shows."""
    rows = {("id", provider_id, provider_id) for provider_id in files}
    taken: set[str] = set()
    for data in sorted(files.values(), key=_owner_first):
        rows |= {("domain", name, data["id"]) for name in data.get("domains", ())}
        rows |= {("mx", row["pattern"], data["id"]) for row in data.get("mx", ())}
        rows |= {("ns", row["pattern"], data["id"]) for row in data.get("ns", ())}
        hosts = set(hosts_of(data)) - taken
        taken |= hosts
        rows |= {("host", host, data["id"]) for host in hosts}
    return "".join("\t".join(row) + "\n" for row in sorted(rows))


def hosts_of(data: Raw) -> Iterable[str]:
    """All names of a provider's outgoing servers, offered or not."""
    yield from (server["host"] for server in data.get("servers", ()))
    yield from data.get("also_hosts", ())


def _owner_first(data: Raw) -> tuple[bool, int, str]:
    """Several may share a host (smtp.gmail.com): it is named after its first owner."""
    return "like" in data, KIND_ORDER.index(data["kind"]), data["id"]
