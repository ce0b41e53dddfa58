"""Names this machine knows without DNS: localhost, and the hosts file.

Enters: a name and a type. Leaves: addresses, or () where DNS has to be asked. Only the resolver
uses it, and only when it stands for the system's own. Never fails: no file means no names.
"""

from __future__ import annotations

import os
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

HOSTS_LIMIT: Final = 1_000_000  # characters read; block lists in hosts files reach this size


def hosts_file() -> Path:
    """Where the system keeps it."""
    if os.name == "nt":
        root = os.environ.get("SYSTEMROOT", r"C:\Windows")
        return Path(root, "System32", "drivers", "etc", "hosts")
    return Path("/etc/hosts")


def lookup(name: str, type_: str) -> tuple[str, ...]:
    """Addresses for an A or AAAA question about a lower-case name without its last dot."""
    if type_ not in ("A", "AAAA"):
        return ()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return ("127.0.0.1",) if type_ == "A" else ("::1",)
    version = 4 if type_ == "A" else 6
    return tuple(a for a in _table().get(name, ()) if ip_address(a).version == version)


@cache
def _table() -> dict[str, tuple[str, ...]]:
    try:
        with hosts_file().open(encoding="utf-8", errors="replace") as file:
            return parse(file.read(HOSTS_LIMIT))
    except OSError:
        return {}


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """hosts(5): one address and its names a line."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            address = str(ip_address(address))
        except ValueError:
            continue
        for name in names:
            key = name.lower().rstrip(".")
            found[key] = (*found.get(key, ()), address)
    return found
