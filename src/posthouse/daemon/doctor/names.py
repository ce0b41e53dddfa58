"""What DNS says of us: the server's name and its addresses, and the keys that receivers look up.

Enters: the configuration, a resolver, the time. Leaves: ``Finding``s, some of them those that the
audit of a domain has (``records.key_*``, ``fcrdns.*``). Called by ``look``. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from posthouse.config import Config
from posthouse.flow import Finding, Status
from posthouse.net.resolver import Resolver, answer
from posthouse.protocol import dkim, fcrdns
from posthouse.setup.domain.keys import Key, published

ADDRESSES: Final = 4  # of the server's name that are looked at


async def ours(config: Config, resolver: Resolver, *, direct: bool) -> list[Finding]:
    """Clients need the name's address; receivers of direct mail ask for the address's name too."""
    name = config.server.name
    answers = [await resolver.ask(name, kind) for kind in ("A", "AAAA")]
    addresses = [record for one in answers for record in one.records][:ADDRESSES]
    params: dict[str, Any] = {"name": name, "addresses": ", ".join(addresses)}
    if not addresses:
        if any(one.failed for one in answers):
            return [Finding("relay.name.unknown", Status.UNKNOWN, params=params)]
        status = Status.FAIL if direct else Status.WARN
        return [Finding("relay.name.none", status, params=params)]
    found = [Finding("relay.name.ok", Status.OK, params=params)]
    for address in addresses:
        found += await _reverse(address, name, resolver, direct=direct)
    return found


async def _reverse(address: str, name: str, resolver: Resolver, *, direct: bool) -> list[Finding]:
    try:
        reverse = await answer(fcrdns.check(address), resolver)
        said = await answer(fcrdns.check_helo(name, reverse), resolver)
    except ValueError:
        return []
    found = [*reverse.findings, *said]
    return found if direct else [_softer(one) for one in found]


def _softer(one: Finding) -> Finding:
    """Where a smart host delivers, it is that one's address that receivers look at."""
    return replace(one, status=Status.WARN) if one.status is Status.FAIL else one


async def keys(
    document: Mapping[str, Any], folder: Path, resolver: Resolver, now: datetime, *, direct: bool
) -> list[Finding]:
    """Whether each key's public half is what receivers find."""
    rows: Sequence[Mapping[str, Any]] = document.get("dkim", [])
    if not rows:
        return [Finding("relay.dkim.none", Status.WARN)] if direct else []
    found: list[Finding] = []
    for row in rows:
        path = folder / row["key"]
        signing = _signing(row, path)
        if signing is None:  # changed since the configuration was read
            found.append(Finding("records.key_unreadable", Status.FAIL, params={"path": str(path)}))
            continue
        key = Key(signing.domain, signing.selector, signing.algorithm, str(path), _made(path, now))
        said = await resolver.ask(key.name, "TXT")
        params = {"name": key.name, "algorithm": key.algorithm, "days": key.age(now)}
        good = Finding("records.key_ok", Status.OK, params=params)
        found += published(key, signing.private, said) or [good]
    return found


def _signing(row: Mapping[str, Any], path: Path) -> dkim.SigningKey | None:
    try:
        private = dkim.read_private_key(path.read_bytes())
        return dkim.SigningKey(row["domain"], row["selector"], private)
    except (OSError, dkim.PrivateKeyError, dkim.SigningError):
        return None


def _made(path: Path, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo)
    except OSError:
        return now
