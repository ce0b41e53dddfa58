"""Names this machine knows without DNS: localhost, and the hosts file.

Enters: a name and a type. Leaves: addresses, or () where DNS has to be asked. Only the resolver
uses it, and only when it stands for the system's own. Never fails: no file means no names. A file
that has changed is read again: a relay lives for months, and may be there before the network is.
"""

from __future__ import annotations

import os
from functools import lru_cache
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
    file = hosts_file()
    table = _table(file, stamp(file))
    return tuple(a for a in table.get(name, ()) if ip_address(a).version == version)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file's content; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1)
def _table(path: Path, _stamp: tuple[int, int, int] | None) -> dict[str, tuple[str, ...]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
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
