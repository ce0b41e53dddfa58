"""The servers of a hop, as its table names them.

Enters: the table's ``hosts``: "host:port" in the order of preference, or tables with ``host``,
``priority`` and ``weight``. Leaves: ``Target``s, and the security their ports are known for. Called
by ``hops``. Fails with SettingError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from posthouse.flow import Security
from posthouse.protocol.ports import RELAY_PORT, usual_security
from posthouse.protocol.server_input import ServerError, parse_server
from posthouse.send.hop import Target
from posthouse.send.settings import SettingError, Table

KEYS: Final = ("host", "port", "priority", "weight")
MOST: Final = 64  # servers of one hop
MOST_NUMBER: Final = 65_535  # RFC 2782: priority and weight are 16 bits
# RFC 8314 section 3.3, RFC 6409 section 3.1
_PORTS: Final = {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: RELAY_PORT}


def read_targets(table: Table) -> tuple[tuple[Target, ...], Security]:
    """The servers, and what security they are meant to have where the table does not say."""
    hosts = table.raw("hosts")
    if isinstance(hosts, str):
        hosts = [hosts]
    if not isinstance(hosts, list) or not hosts:
        raise table.wrong("kind", "hosts", wanted="texts")
    if len(hosts) > MOST:
        raise SettingError("range", table.at("hosts"), len(hosts), least=1, most=MOST)
    security = table.choice("security", Security, Security.STARTTLS)
    port = 0 if table.flag("lmtp") else _PORTS[security]  # LMTP has no port of its own (RFC 2033)
    found = tuple(
        _target(one, f"{table.at('hosts')}[{place}]", place - 1, port)
        for place, one in enumerate(hosts, 1)
    )
    return found, security if "security" in table else _usual(table, found)


def _usual(table: Table, found: tuple[Target, ...]) -> Security:
    """What the ports say, where they agree."""
    said = {usual_security(one.port) for one in found}
    if len(said) > 1:
        raise SettingError("security_unclear", table.at("security"))
    return said.pop() or Security.STARTTLS


def _target(value: object, path: str, place: int, default: int) -> Target:
    """One server; without a priority its place in the list is one."""
    if isinstance(value, str):
        host, port = _server(value, path)
        return Target(host, _port(port or default, path), place)
    if not isinstance(value, Mapping):
        raise SettingError("kind", path, value, wanted="host")
    table = Table(value, path, KEYS)
    if "host" not in table:
        raise table.wrong("missing", "host")
    host, port = _server(table.text("host"), table.at("host"))
    if port and "port" in table:
        raise table.wrong("both", "port", other="host")
    port = port or table.whole("port", default, least=min(1, default), most=65_535)
    return Target(
        host,
        _port(port, path),
        table.whole("priority", place, least=0, most=MOST_NUMBER),
        table.whole("weight", 1, least=0, most=MOST_NUMBER),
    )


def _server(text: str, path: str) -> tuple[str, int]:
    try:
        server = parse_server(text)
    except ServerError as error:
        out = error.reason in ("bad_port", "port_out_of_range")
        raise SettingError("port" if out else "host", path, text) from None
    if server.scheme is not None:  # the mode is said by "security", for all of them
        raise SettingError("host", path, text)
    return server.host, server.port or 0


def _port(port: int, path: str) -> int:
    if not port:
        raise SettingError("lmtp_port", path)
    return port
