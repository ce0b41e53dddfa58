"""Lists, reverse zones and records behind real name servers, asked through the real resolver."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from peers import unbound
from posthouse.net.resolver import DnsResolver, answer
from posthouse.protocol import dane, dnsbl, fcrdns, mtasts, mx
from posthouse.protocol.dnsbl import Blocklist, Kind, State

pytestmark = [pytest.mark.netns, pytest.mark.peer("nsd", "unbound")]

CODES = {"127.0.0.2": "sbl", "127.0.0.4": "xbl"}
LISTED = [
    "2.0.0.127 A 127.0.0.2",
    "25.2.0.192 A 127.0.0.4",
    '25.2.0.192 TXT "see https://bl.test/"',
    "26.2.0.192 A 127.255.255.254",
]
ZONES = {f"bl{n}.test": LISTED for n in range(5)} | {
    "2.0.192.in-addr.arpa": ["25 PTR mail.example.test.", "26 PTR 192-0-2-26.example.test."],
    "example.test": [
        "@ MX 10 mail",
        "@ MX 20 alias",
        "mail A 192.0.2.25",
        "192-0-2-26 A 192.0.2.26",
        "alias CNAME mail",
        "_mta-sts CNAME sts.example.test.",
        'sts TXT "v=STSv1; " "id=1"',
        f"_25._tcp.mail TLSA 3 1 1 {'ab' * 32}",
    ],
}
LISTS = [Blocklist(f"bl{n}", f"BL {n}", f"bl{n}.test", Kind.IP, "", codes=CODES) for n in range(5)]


@pytest.fixture(scope="module", autouse=True)
def names() -> Iterator[None]:
    with unbound.with_nsd(ZONES):
        yield


async def test_five_lists_at_once() -> None:
    resolver = DnsResolver(("127.0.0.1", 53))
    began = time.monotonic()
    looks = [answer(dnsbl.check("192.0.2.25", each, prove=True), resolver) for each in LISTS]
    found = await asyncio.gather(*looks)
    assert time.monotonic() - began < 2
    assert {(f.state, f.meanings, f.evidence) for f in found} == {
        (State.LISTED, ("xbl",), "see https://bl.test/")
    }
    clear = await answer(dnsbl.check("192.0.2.27", LISTS[0], prove=True), resolver)
    assert clear.state is State.CLEAR
    refused = await answer(dnsbl.check("192.0.2.26", LISTS[0]), resolver)
    assert (refused.state, refused.reason) == (State.ERROR, "public_resolver")
    assert (await answer(dnsbl.health(LISTS[0]), resolver)).pulse is dnsbl.Pulse.WORKS


async def test_a_silent_list_lists_nobody() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.9", 53))
        resolver = DnsResolver(("127.0.0.9", 53), timeout=0.1, total=0.3)
        found = await answer(dnsbl.check("192.0.2.25", LISTS[0]), resolver)
        assert found.state is State.TIMEOUT
        health = await answer(dnsbl.health(LISTS[0]), resolver)
        assert health.pulse is dnsbl.Pulse.TIMEOUT


@pytest.mark.parametrize(
    ("address", "expected"),
    [("192.0.2.25", "ok"), ("192.0.2.26", "generic"), ("192.0.2.27", "none")],
)
async def test_reverse(address: str, expected: str) -> None:
    found = await answer(fcrdns.check(address), DnsResolver(("127.0.0.1", 53)))
    assert [finding.id for finding in found.findings] == [f"fcrdns.{expected}"]


async def test_records_of_a_domain() -> None:
    resolver = DnsResolver(("127.0.0.1", 53))
    _, _, made = await answer(mx.survey("example.test"), resolver)
    assert [(finding.id, finding.params["target"]) for finding in made] == [
        ("mx.alias", "mail.example.test")
    ]
    policy = await answer(mtasts.discover("example.test"), resolver)
    assert (policy.found, policy.alias) == (mtasts.Found.ONE, "sts.example.test")
    servers = await answer(dane.mail_hosts("example.test"), resolver)
    assert not servers.secure  # nothing here is signed
    host = await answer(dane.lookup(servers.hosts[0], mx_secure=servers.secure), resolver)
    assert host.outcome is dane.Outcome.INSECURE
