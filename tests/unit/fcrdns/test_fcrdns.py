"""Names of addresses, and the name in EHLO."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.flow import Status
from posthouse.protocol import fcrdns
from posthouse.protocol.dns import AnswerStatus, run
from unit.dane.table import Rows, Zone

IP, NAME = "192.0.2.25", "25.2.0.192.in-addr.arpa"
MX = "mail.example.com"
GOOD: Rows = {f"{NAME} PTR": [f"{MX}."], f"{MX} A": [IP]}
SIX = "2001:db8::25"
SIX_NAME = f"5.2.0.0{'.0' * 20}.8.b.d.0.1.0.0.2.ip6.arpa"


def ids(found: object) -> list[str]:
    made = list(found)  # type: ignore[call-overload]
    for finding in made:
        assert set(finding.params) == set(fcrdns.FINDING_IDS[finding.id])
        assert (finding.cause == "sender.ip_identity") is (finding.status is Status.FAIL)
    return [finding.id.removeprefix("fcrdns.") for finding in made]


@pytest.mark.parametrize(
    ("address", "rows", "expected"),
    [
        (IP, GOOD, ["ok"]),
        (SIX, {f"{SIX_NAME} PTR": [f"{MX}."], f"{MX} AAAA": ["2001:DB8:0::25"]}, ["ok"]),
        (SIX, {f"{SIX_NAME} PTR": [f"{MX}."], f"{MX} A": [IP]}, ["not_confirmed"]),
        ("::ffff:192.0.2.25", GOOD, ["ok"]),
        (IP, {}, ["none"]),
        (IP, {f"{NAME} PTR": []}, ["none"]),
        (IP, {f"{NAME} PTR": ["."]}, ["none"]),
        (IP, {**GOOD, f"{MX} A": ["192.0.2.26"]}, ["not_confirmed"]),
        (IP, {f"{NAME} PTR": [f"{MX}."]}, ["not_confirmed"]),
        (IP, {f"{NAME} PTR": ["a.example.", f"{MX}."], f"{MX} A": [IP]}, ["several", "ok"]),
        (
            IP,
            {f"{NAME} PTR": ["192-0-2-25.isp.example."], "192-0-2-25.isp.example A": [IP]},
            ["generic"],
        ),
        (
            IP,
            {**GOOD, f"{NAME} PTR": ["dyn25.isp.example.", f"{MX}."], "dyn25.isp.example A": [IP]},
            ["several", "ok"],
        ),
        (IP, {f"{NAME} PTR": AnswerStatus.SERVFAIL}, ["dns_failed"]),
        (IP, {f"{NAME} PTR": AnswerStatus.TIMEOUT}, ["dns_failed"]),
        (IP, {**GOOD, f"{MX} A": AnswerStatus.TIMEOUT}, ["dns_failed"]),
    ],
)
def test_reverse(address: str, rows: Rows, expected: list[str]) -> None:
    found = run(fcrdns.check(address), Zone(rows))
    assert ids(found.findings) == expected


def test_not_every_name_is_looked_up() -> None:
    zone = Zone({f"{NAME} PTR": [f"a{n}.example." for n in range(300)]})
    found = run(fcrdns.check(IP), zone)
    assert len(zone.asked) == 1 + fcrdns.NAMES_LIMIT
    assert len(found.findings[0].params["names"]) == fcrdns.NAMES_LIMIT


@pytest.mark.parametrize("address", ["", "example.com", "1.2.3", "1.2.3.4.5", "[::1]"])
def test_no_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        run(fcrdns.check(address), Zone({}))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192-0-2-25.isp.example", IP),
        ("25.2.0.192.isp.example", IP),
        ("ip192.0.2.25.isp.example", IP),
        ("host-192000002025.isp.example", IP),
        ("c0000219.isp.example", IP),
        ("ec2-192-0-2-25.compute-1.amazonaws.com", IP),
        ("static-192-000-002-025.isp.example", IP),
        ("pool-5.isp.example", IP),
        ("dhcp12.city.isp.example", IP),
        ("p4f.dynamic.isp.example", IP),
        ("xdsl-9.isp.example", IP),
        ("2001-db8-0-25.v6.isp.example", "2001:db8::25"),
        ("20010db8000000000000000000000025.isp.example", "2001:db8::25"),
    ],
)
def test_generic(host: str, address: str) -> None:
    assert fcrdns.is_generic(host, address)


@pytest.mark.parametrize(
    "host",
    [
        "mail.example.com",
        "mx25.example.com",
        "smtp-2.out.example.com",
        "mail.dsl.net",
        "dynamic.com",
        "mail-192-0-2.example.com",
        "carpool.example.com",
        "a192.example.com",
        "poolside.mail.example.com",
    ],
)
def test_names_of_one_s_own(host: str) -> None:
    assert not fcrdns.is_generic(host, IP)


@given(st.text(max_size=60), st.ip_addresses().map(str))
def test_any_name_can_be_judged(host: str, address: str) -> None:
    assert fcrdns.is_generic(host, address) in (True, False)


@pytest.mark.parametrize(
    ("helo", "rows", "expected"),
    [
        (MX, GOOD, ["helo_ok"]),
        ("MAIL.Example.com", GOOD, ["helo_ok"]),
        (f"[{IP}]", GOOD, ["helo_ok"]),
        ("[192.0.2.26]", GOOD, ["helo_invalid"]),
        (IP, GOOD, ["helo_invalid"]),
        ("localhost", GOOD, ["helo_invalid"]),
        ("server", GOOD, ["helo_invalid"]),
        ("server.local", GOOD, ["helo_invalid"]),
        ("a_b.example.com", GOOD, ["helo_invalid"]),
        ("", GOOD, ["helo_invalid"]),
        ("gone.example.com", GOOD, ["helo_no_address"]),
        ("o.example", {**GOOD, "o.example A": ["192.0.2.9"]}, ["helo_other_address"]),
        ("o.example", {**GOOD, "o.example A": [IP]}, ["helo_ok", "helo_differs"]),
        ("o.example", {**GOOD, "o.example A": AnswerStatus.TIMEOUT}, ["dns_failed"]),
    ],
)
def test_helo(helo: str, rows: Rows, expected: list[str]) -> None:
    reverse = run(fcrdns.check(IP), Zone(rows))
    assert ids(run(fcrdns.check_helo(helo, reverse), Zone(rows))) == expected


def test_helo_of_ipv6() -> None:
    rows: Rows = {f"{SIX_NAME} PTR": [f"{MX}."], f"{MX} AAAA": [SIX]}
    reverse = run(fcrdns.check(SIX), Zone(rows))
    for helo in (MX, f"[IPv6:{SIX}]"):
        assert ids(run(fcrdns.check_helo(helo, reverse), Zone(rows))) == ["helo_ok"]
