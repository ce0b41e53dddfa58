"""The next hops, from the ``[[hop]]`` tables of the configuration.

Enters: the whole document, the folder it lies in, the environment. Leaves: ``Hop``s. Called once at
the start, and by ``route test``. Fails with SettingError at the first thing that can't be right:
what would only show at night, with mail waiting, is said at once.

A hop is one of: ``hosts`` of its own, a ``provider`` of the directory (host, port and security are
taken from there), or ``mx = true``: the recipient's domain decides. Where the file does not say
what it wants of TLS, a named host must prove its name, and an MX gets what it offers (RFC 7435).
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from posthouse.flow import Secret, Security
from posthouse.protocol.host import parse_ip
from posthouse.send import hop as defaults
from posthouse.send.hop import Hop, Target, TlsPolicy
from posthouse.send.route import provider, secret, targets
from posthouse.send.settings import SettingError, Table, tables

KEYS: Final = (
    *("name", "hosts", "provider", "region", "mx", "security", "tls", "ca_file"),
    *("user", "secret_file", "secret_env", "derive", "lmtp", "binary"),
    *("pool", "reuse", "idle", "lifetime", "interval", "ehlo", "source", "fallback"),
)
KINDS: Final = ("hosts", "provider", "mx")
MOST_POOL: Final = 1_000  # connections: sockets and memory of one process end somewhere above
MOST_REUSE: Final = 1_000_000  # messages
MOST_IDLE: Final = 600.0  # seconds: RFC 5321 section 4.5.3.2.7 lets servers hang up after 5 minutes
MOST_LIFETIME: Final = 86_400.0  # seconds
MOST_INTERVAL: Final = 86_400.0  # seconds
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a hop is, and how its port is protected where the file doesn't say."""

    targets: tuple[Target, ...]
    security: Security
    region: str = ""  # of Amazon SES
    user: str = ""  # where the provider has one for everybody


def read_hops(
    document: Mapping[str, Any], *, folder: Path, environ: Mapping[str, str] | None = os.environ
) -> dict[str, Hop]:
    """All hops by name. ``folder`` is where relative paths begin. Raises SettingError.

    Without ``environ`` no secret is looked for, and no hop has one: to whoever only asks which way
    mail goes, they need not be readable.
    """
    hops: dict[str, Hop] = {}
    for hop in [_hop(raw, path, folder, environ) for path, raw in tables(document, "hop")]:
        if hop.name in hops:
            raise SettingError("twice", "hop.name", hop.name)
        hops[hop.name] = hop
    _check_fallbacks(hops)
    return hops


def _check_fallbacks(hops: Mapping[str, Hop]) -> None:
    """Each leads to a hop there is, and none to one it came from."""
    for first in hops:
        passed = [first]
        while name := hops[passed[-1]].fallback:
            where = f"hop[{passed[-1]}].fallback"
            if name not in hops:
                raise unknown_hop(where, name, hops)
            passed.append(name)
            if name in passed[:-1]:
                raise SettingError("circle", where, name, way=" → ".join(passed))


def unknown_hop(where: str, name: str, hops: Collection[str]) -> SettingError:
    """The error that says which hops there are."""
    near = next(iter(get_close_matches(name, list(hops), 1)), "")
    return SettingError("unknown_hop", where, name, near=near, known=", ".join(hops))


def _hop(raw: Mapping[str, Any], path: str, folder: Path, environ: Mapping[str, str] | None) -> Hop:
    secret.refuse_plain(raw, path)
    table = Table(raw, path, KEYS)
    way = _way(table)
    security, policy = _protection(table, way)
    user, password = _login(table, way, policy, folder, environ)
    return Hop(
        name=_name(table),
        targets=way.targets,
        security=security,
        tls=policy,
        ca_file=_ca_file(table, folder),
        user=user,
        secret=password,
        lmtp=table.flag("lmtp"),
        binary=table.flag("binary"),
        pool=table.whole("pool", defaults.POOL, least=1, most=MOST_POOL),
        reuse=table.whole("reuse", defaults.REUSE, least=1, most=MOST_REUSE),
        idle=table.seconds("idle", defaults.IDLE, most=MOST_IDLE),
        lifetime=table.seconds("lifetime", defaults.LIFETIME, least=1.0, most=MOST_LIFETIME),
        interval=table.seconds("interval", 0.0, most=MOST_INTERVAL),
        ehlo=table.host_name("ehlo", "host"),
        source=_source(table),
        fallback=table.text("fallback"),
    )


def _name(table: Table) -> str:
    if "name" not in table:
        raise table.wrong("missing", "name")
    name = table.text("name")
    if not _NAME.fullmatch(name):
        raise table.wrong("name", "name")
    return name


def _way(table: Table) -> _Way:
    """Where it is: exactly one of the three kinds."""
    given = [key for key in KINDS if key in table and table.raw(key) is not False]
    if not given:
        raise SettingError("no_target", table.path, choices=", ".join(KINDS))
    if len(given) > 1:
        raise table.wrong("both", given[1], other=given[0])
    kind = given[0]
    if kind != "provider":
        _refuse(table, ("region", "derive"), "only_provider")
    if kind == "provider":
        _refuse(table, ("lmtp",), "not_provider")
        found = provider.find(table)
        return _Way((found.target,), found.security, found.region, found.user)
    if kind == "mx":
        table.flag("mx")
        # Which server it will be, nobody knows yet: no password may wait for it.
        _refuse(table, ("user", "secret_file", "secret_env", "lmtp", "ca_file"), "not_mx")
        return _Way((), Security.STARTTLS)
    found_targets, security = targets.read_targets(table)
    return _Way(found_targets, security)


def _refuse(table: Table, keys: tuple[str, ...], reason: str) -> None:
    for key in keys:
        if key in table and table.raw(key) is not False:
            raise table.wrong(reason, key)


def _protection(table: Table, way: _Way) -> tuple[Security, TlsPolicy]:
    """The mode of the port and what is asked of TLS; the two must not contradict each other."""
    unsaid = way.security
    if table.raw("tls") == TlsPolicy.NONE and "security" not in table:
        unsaid = Security.NONE
    security = table.choice("security", Security, unsaid)
    if security is Security.TLS and not way.targets:
        raise table.wrong("not_mx", "security")  # between servers it is port 25 (RFC 5321)
    if security is Security.NONE:
        usual = TlsPolicy.NONE
    elif way.targets:
        usual = TlsPolicy.VERIFIED
    else:
        usual = TlsPolicy.OPPORTUNISTIC
    if table.raw("tls") in (Security.TLS, Security.STARTTLS):  # what other programs call tls
        raise table.wrong("tls_security", "tls", choices=", ".join(TlsPolicy))
    policy = table.choice("tls", TlsPolicy, usual)
    if (security is Security.NONE) != (policy is TlsPolicy.NONE):
        raise table.wrong("tls_conflict", "tls", security=security.value)
    if security is Security.TLS and policy is TlsPolicy.OPPORTUNISTIC:
        raise table.wrong("tls_implicit", "tls")
    return security, policy


def _login(
    table: Table, way: _Way, policy: TlsPolicy, folder: Path, environ: Mapping[str, str] | None
) -> tuple[str, Secret | None]:
    """User name and secret: both or neither, and only inside TLS (RFC 4954 section 4)."""
    user = table.text("user", way.user)
    named = secret.names_secret(table)
    if (named or "user" in table) and table.raw("security") == Security.NONE:
        raise table.wrong("password_open", "security", tls=table.raw("tls"))
    if not named:
        if "user" in table or "derive" in table:
            raise SettingError("secret_missing", table.path)
        return "", None
    if not user:
        raise SettingError("user_missing", table.path)
    if policy not in (TlsPolicy.VERIFIED, TlsPolicy.REQUIRED):
        raise table.wrong("password_plain", "tls", policy=policy.value)
    if "derive" in table and not way.region:
        raise table.wrong("only_ses", "derive")
    if environ is None:
        return user, None
    value = secret.read_secret(table, folder, environ)
    return user, secret.derived(table, value, user, way.region) if way.region else value


def _ca_file(table: Table, folder: Path) -> str | None:
    if "ca_file" not in table:
        return None
    path = folder / table.text("ca_file")
    if not os.path.isfile(path) or not os.access(path, os.R_OK):  # Path.is_file can fail
        raise table.wrong("unreadable", "ca_file", path=str(path))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):  # SSLError is one: said now, not when mail waits
        raise table.wrong("no_ca", "ca_file", path=str(path)) from None
    return str(path)


def _source(table: Table) -> str | None:
    text = table.text("source")
    address = parse_ip(text) if text else None
    if text and address is None:
        raise table.wrong("ip", "source")
    return address
