"""The tables of the configuration, and what is said of a wrong one."""

from __future__ import annotations

from typing import Any

import pytest

from posthouse.explain import Catalogue
from posthouse.send.settings import SettingError
from posthouse.send.submit.settings import (
    Limits,
    Mode,
    read_limits,
    read_listen,
    within,
)


def test_good_tables() -> None:
    listening = read_listen(
        {"address": "[::]:465", "mode": "tls", "networks": ["10.0.0.0/8", "2001:db8::/32"]}
    )
    assert (listening.address, listening.port, listening.mode) == ("::", 465, Mode.TLS)
    assert [str(n) for n in listening.networks] == ["10.0.0.0/8", "2001:db8::/32"]
    assert read_listen({"address": "0.0.0.0:587", "mode": "starttls"}).networks == ()
    assert read_limits({"burst": 10}) == Limits(burst=10)
    assert read_limits({}) == Limits()


RELAY = {"address": "127.0.0.1:25", "mode": "relay"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"address": "0.0.0.0", "mode": "tls"}, "listen.address", "listen_address"),
    ({"address": "::1:465", "mode": "tls"}, "listen.address", "listen_address"),
    ({"address": "[127.0.0.1]:465", "mode": "tls"}, "listen.address", "listen_address"),
    ({"address": "0.0.0.0:70000", "mode": "tls"}, "listen.address", "listen_address"),
    ({"address": "0.0.0.0:４６５", "mode": "tls"}, "listen.address", "listen_address"),
    ({"address": 465, "mode": "tls"}, "listen.address", "listen_address"),
    ({"mode": "tls"}, "listen.address", "listen_address"),
    ({"address": "0.0.0.0:465", "mode": "ssl"}, "listen.mode", "choice"),
    ({"address": "0.0.0.0:465"}, "listen.mode", "choice"),
    ({"address": "0.0.0.0:465", "mode": ["tls"]}, "listen.mode", "choice"),
    ({"address": "0.0.0.0:465", "mode": "tls", "tls": True}, "listen.tls", "unknown_key"),
    ({"address": "0.0.0.0:465", "mode": "tls", "networks": []}, "listen.networks", "networks"),
    ({"address": "0.0.0.0:465", "mode": "tls", "a\nb": 1}, "listen.a?b", "unknown_key"),
    (RELAY, "listen.networks", "relay_networks"),
    (RELAY | {"networks": []}, "listen.networks", "relay_networks"),
    (RELAY | {"networks": ["10.0.0.0/8", "0.0.0.0/0"]}, "listen.networks[2]", "relay_wide"),
    (RELAY | {"networks": ["::/0"]}, "listen.networks[1]", "relay_wide"),
    (RELAY | {"networks": ["2a00::/8"]}, "listen.networks[1]", "relay_wide"),
    (RELAY | {"networks": ["fd00::/8", "2001::/16"]}, "listen.networks[2]", "relay_wide"),
    (RELAY | {"networks": ["192.168.0.1/24"]}, "listen.networks[1]", "network"),
    (RELAY | {"networks": [10]}, "listen.networks[1]", "network"),
    (RELAY | {"networks": "10.0.0.0/8"}, "listen.networks", "networks"),
]


@pytest.mark.parametrize(("table", "key", "reason"), WRONG)
def test_a_wrong_listener_names_its_key(table: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(SettingError) as wrong:
        read_listen(table)
    assert (wrong.value.key, wrong.value.reason) == (key, reason)
    for lang in ("en", "zh"):
        told = wrong.value.told(Catalogue(lang, strict=True))
        assert key in told
        assert "{" not in told


def test_a_network_with_bits_behind_its_prefix_is_told_the_one_it_lies_in() -> None:
    with pytest.raises(SettingError) as wrong:
        read_listen(RELAY | {"networks": ["10.1.2.3/16"]})
    for lang in ("en", "zh"):
        assert "10.1.0.0/16" in wrong.value.told(Catalogue(lang))


@pytest.mark.parametrize(
    "table", [{"hour": -1}, {"hour": "9"}, {"day": True}, {"day": 10**12}, {"week": 1}]
)
def test_a_wrong_limit_names_its_key(table: dict[str, Any]) -> None:
    with pytest.raises(SettingError) as wrong:
        read_limits(table)
    assert wrong.value.key == f"limits.{next(iter(table))}"


@pytest.mark.parametrize(
    ("client", "network", "inside"),
    [
        ("192.168.0.255", "192.168.0.0/24", True),
        ("192.168.1.100", "192.168.0.0/24", False),
        ("10.0.0.1", "192.168.0.0/24", False),
        ("::ffff:192.168.0.7", "192.168.0.0/24", True),  # by an IPv6 socket
        ("10.2.3.4", "::ffff:10.0.0.0/104", True),
        ("::ffff:10.2.3.4", "::ffff:10.0.0.0/104", True),
        ("11.2.3.4", "::ffff:10.0.0.0/104", False),
        ("fe80::1%eth0", "fe80::/10", True),
        ("nonsense", "0.0.0.0/0", False),
        ("", "0.0.0.0/0", False),
    ],
)
def test_within(client: str, network: str, inside: bool) -> None:
    networks = read_listen({"address": "0.0.0.0:1", "mode": "tls", "networks": [network]}).networks
    assert within(client, networks) is inside
