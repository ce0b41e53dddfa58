"""What the configuration says of submission: where it listens, how much anybody may send.

Enters: the tables ``[[listen]]`` and ``[limits]`` as ``tomllib`` gave them. Leaves: ``Listening``
and ``Limits``, frozen. Called by whoever reads the configuration. Fails with SettingError alone,
which names the key and what would be right; see ``send.settings``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from posthouse.send.settings import SettingError, Table

Network = IPv4Network | IPv6Network

SIZE: Final = 50 * 1024 * 1024  # octets of a message: 35 MB of attachments and their base64
BURST: Final = 50  # messages in one second: more is a program gone wild, not a person
HOUR: Final = 1_000  # messages; what large providers allow a customer, and far above a person
DAY: Final = 10_000  # messages; the same
MOST: Final = 1_000_000_000  # of any limit: beyond it a typing error is likelier than a wish
# A relay for whole continents is an open relay. 10.0.0.0/8 and fd00::/8 are the widest that
# somebody may own (RFC 1918, RFC 4193).
WIDEST: Final = 8
WIDEST_PUBLIC_V6: Final = 19  # 2a00::/8 is a continent; no single owner has more than 2003::/19
_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2


class Mode(StrEnum):
    """What a listener is for."""

    TLS = "tls"  # submission, TLS from the first octet (465, RFC 8314 section 3.3)
    STARTTLS = "starttls"  # submission, upgraded (587, RFC 6409 and RFC 3207)
    RELAY = "relay"  # other machines of ours, known by their address (25); nobody signs in


@dataclass(frozen=True, slots=True)
class Listening:
    """One listener. ``networks`` () means from everywhere."""

    address: str
    port: int
    mode: Mode
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Messages a user, or a client address of a relay listener, may send. 0 is no limit."""

    burst: int = BURST  # in one second
    hour: int = HOUR
    day: int = DAY


def read_listen(raw: Mapping[str, Any], path: str = "listen") -> Listening:
    """One ``[[listen]]`` table. Raises SettingError."""
    table = Table(raw, path, ("address", "mode", "networks"))
    address, port = _address(raw.get("address"), table.at("address"))
    if "mode" not in table:
        raise table.wrong("choice", "mode", choices=", ".join(Mode))
    mode = table.choice("mode", Mode, Mode.TLS)
    networks = read_networks(raw.get("networks", []), table.at("networks"))
    if mode is Mode.RELAY:
        _closed(networks, table.at("networks"))
    elif "networks" in table and not networks:  # "nobody" to whoever wrote it, never everybody
        raise table.wrong("networks", "networks")
    return Listening(address, port, mode, networks)


def read_limits(raw: Mapping[str, Any], path: str = "limits") -> Limits:
    """The ``[limits]`` table. Raises SettingError."""
    table = Table(raw, path, ("burst", "hour", "day"))
    return Limits(
        table.whole("burst", BURST, least=0, most=MOST),
        table.whole("hour", HOUR, least=0, most=MOST),
        table.whole("day", DAY, least=0, most=MOST),
    )


def read_networks(values: Any, path: str) -> tuple[Network, ...]:
    """CIDR networks. Raises SettingError."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise SettingError("networks", path)
    found = []
    for place, value in enumerate(values, 1):
        try:
            found.append(network_of(value if isinstance(value, str) else ""))
        except ValueError:
            raise SettingError("network", f"{path}[{place}]", value, meant=_meant(value)) from None
    return tuple(found)


def _meant(value: object) -> str:
    """The network in which an address with a prefix lies; "" for what is none."""
    try:
        return str(ipaddress.ip_network(value, strict=False)) if isinstance(value, str) else ""
    except ValueError:
        return ""


def network_of(text: str) -> Network:
    """A network; of IPv4 written as IPv6 (``::ffff:10.0.0.0/104``) the IPv4 one, as a client is
    an IPv4 one by then (``plain_address``). Raises ValueError."""
    network = ipaddress.ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = network.network_address.ipv4_mapped
        return IPv4Network(f"{first}/{network.prefixlen - _MAPPED.prefixlen}")
    return network


@lru_cache(maxsize=1_024)  # the same clients come again and again
def within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether a client's address is in one of the networks; what is no address is in none."""
    try:
        client = plain_address(address)
    except ValueError:
        return False
    return any(client in network for network in networks)


@lru_cache(maxsize=1_024)
def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; IPv4 that came in by an IPv6 socket is IPv4. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=1_024)
def client_of(address: str) -> str:
    """The text of a client's ``plain_address``; what is none stays as it is."""
    try:
        return str(plain_address(address))
    except ValueError:
        return address


def _closed(networks: Sequence[Network], path: str) -> None:
    """Never an open relay, not even by configuration."""
    if not networks:
        raise SettingError("relay_networks", path)
    for place, network in enumerate(networks, 1):
        least = WIDEST if network.version == 4 or network.is_private else WIDEST_PUBLIC_V6
        if network.prefixlen < least:
            raise SettingError("relay_wide", f"{path}[{place}]", str(network), least=least)


def _address(value: Any, path: str) -> tuple[str, int]:
    """``0.0.0.0:465`` or ``[::]:465``."""
    text = value if isinstance(value, str) else ""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
        good = (address.version == 6) == host.startswith("[")
        number = int(port) if port.isascii() and port.isdigit() else -1
    except ValueError:
        good, number = False, -1
    if not good or not 0 <= number <= 65_535:
        raise SettingError("listen_address", path, "" if value is None else value)
    return bare, number
