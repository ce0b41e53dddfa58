"""What stands beside providers: filters, forwarders, throw-away domains, addresses of a task.

Enters: an MX host, a domain, a local part. Leaves: a name, or a yes or no. Callers: ``find`` (whose
mailbox provider is not the filter in front of it) and ``probe`` (a recipient that is no person).
The facts are data with source and date: ``beside.toml``. Nothing fails.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from posthouse.directory import pattern


@cache
def _facts() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("beside.toml").read_text("utf-8"))


def filter_of(mx_host: str) -> str | None:
    """The service that filters mail at this MX; the mailboxes behind it are somebody else's."""
    return _named("filter", mx_host)


def forwarder_of(mx_host: str) -> str | None:
    """The service that only passes mail on from this MX; it has no mailboxes and sends nothing."""
    return _named("forwarder", mx_host)


def is_disposable(domain: str) -> bool:
    """Whether addresses of this domain are thrown away after use."""
    name = pattern.normal(domain)
    known = _facts()["disposable"]["domains"]
    return any(name == one or name.endswith(f".{one}") for one in known)


def is_role(local: str) -> bool:
    """Whether this local part is that of a task and not of a person (RFC 2142)."""
    return local.partition("+")[0].lower() in _facts()["role"]["names"]


def _named(kind: str, host: str) -> str | None:
    name = pattern.normal(host)
    names: Mapping[str, list[str]] = _facts()[kind]["names"]
    fits = (who for who, rules in names.items() if pattern.best(rules, name) is not None)
    return next(fits, None)
