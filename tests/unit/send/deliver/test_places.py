"""Where mail for a hop goes, in which order, and where it can never go."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp_open import Refused
from posthouse.protocol.dns import Answer, AnswerStatus
from posthouse.send.deliver import places as module
from posthouse.send.deliver.places import Ourselves, Place, in_order, places
from posthouse.send.hop import Hop, Target

Table = Mapping[tuple[str, str], Sequence[str] | AnswerStatus]
US = Ourselves(frozenset({"relay.d.example"}), frozenset({"192.0.2.99"}))


async def hosts(table: Table, domain: str = "e.example", seed: int = 1) -> list[str]:
    resolver = FixtureResolver(table)
    found = await places(Hop("direct"), domain, resolver, random.Random(seed), US)
    assert all(place.direct and place.port == 25 for place in found)
    return [place.host for place in found]


MX = ("e.example", "MX")


@pytest.mark.parametrize(
    ("table", "domain", "expected"),
    [
        ({MX: ["20 b.example.", "10 a.example."]}, "e.example", ["a.example", "b.example"]),
        ({("e.example", "A"): ["192.0.2.1"]}, "e.example", ["e.example"]),
        ({}, "[192.0.2.1]", ["192.0.2.1"]),
        ({}, "[IPv6:2001:db8::1]", ["2001:db8::1"]),
        ({}, "[ipv6:2001:db8::1]", ["2001:db8::1"]),
        ({MX: ["10 a.example.", "10 a.example."]}, "e.example", ["a.example"]),
        ({MX: ["0 .", "10 a.example."]}, "e.example", ["a.example"]),
        ({MX: ["10 192.0.2.1.", "20 a.example."]}, "e.example", ["a.example"]),
        (
            {MX: ["10 mail_in.example.", "20 a.example."]},
            "e.example",
            ["mail_in.example", "a.example"],
        ),
        # RFC 5321 section 5.1: only those before ourselves
        (
            {MX: ["10 a.example.", "20 relay.d.example.", "20 b.example.", "30 c.example."]},
            "e.example",
            ["a.example"],
        ),
        # ... by address too, whatever stands beside it
        (
            {
                MX: ["10 a.example.", "20 lb.example.", "20 b.example.", "30 c.example."],
                ("lb.example", "A"): ["192.0.2.7", "192.0.2.99"],
            },
            "e.example",
            ["a.example"],
        ),
        # an address of this machine's inside is nobody's: it says nothing of the others
        (
            {
                MX: ["0 local.example.", "10 a.example."],
                ("local.example", "A"): ["127.0.0.1"],
            },
            "e.example",
            ["a.example"],
        ),
        (
            {
                MX: ["10 a.example.", "20 b.example."],
                ("a.example", "A"): ["127.0.0.1", "192.0.2.7"],
            },
            "e.example",
            ["a.example", "b.example"],
        ),
        ({("xn--fsq.example", "MX"): ["1 m.example."]}, "例.example", ["m.example"]),
        # no host name, but a domain that has mail
        ({("my_shop.example", "MX"): ["1 m.example."]}, "my_shop.example", ["m.example"]),
        ({("my_shop.example", "A"): ["192.0.2.1"]}, "My_Shop.example", ["my_shop.example"]),
    ],
)
async def test_direct(table: Table, domain: str, expected: list[str]) -> None:
    assert await hosts(table, domain) == expected


async def test_equal_exchangers_share_the_load() -> None:
    table = {MX: [f"10 m{n}.example." for n in range(4)] + ["20 last.example."]}
    orders = [await hosts(table, seed=seed) for seed in range(40)]
    assert {order[0] for order in orders} == {f"m{n}.example" for n in range(4)}
    assert all(order[-1] == "last.example" for order in orders)


@pytest.mark.parametrize(
    ("table", "domain", "code", "enhanced"),
    [
        ({MX: ["0 ."]}, "e.example", 556, "5.1.10"),  # RFC 7505
        ({}, "e.example", 550, "5.1.2"),
        ({MX: ["10 relay.d.example.", "20 b.example."]}, "e.example", 554, "5.4.6"),
        (
            {MX: ["5 lb.example.", "10 b.example."], ("lb.example", "A"): ["192.0.2.99"]},
            *("e.example", 554, "5.4.6"),
        ),
        ({("e.example", "AAAA"): ["::ffff:192.0.2.99"]}, "e.example", 554, "5.4.6"),
        ({}, "[192.0.2.99]", 554, "5.4.6"),
        ({}, "[IPv6:::ffff:127.0.0.9]", 554, "5.4.6"),
        ({MX: ["10 192.0.2.1."]}, "e.example", 550, "5.4.4"),
        ({}, "[169.254.169.254]", 550, "5.4.4"),
        ({("e.example", "A"): ["224.0.0.1"]}, "e.example", 550, "5.4.4"),
        (
            {MX: ["10 a.example."], ("a.example", "AAAA"): ["fe80::1"]},
            *("e.example", 550, "5.4.4"),
        ),
        (
            {MX: ["10 a.example."], ("a.example", "A"): ["169.254.169.254", "127.0.0.1"]},
            *("e.example", 554, "5.4.6"),
        ),
        ({}, "[nonsense]", 501, "5.1.3"),
        ({}, "e..example", 550, "5.1.2"),
    ],
)
async def test_never(table: Table, domain: str, code: int, enhanced: str) -> None:
    with pytest.raises(Refused) as refused:
        await hosts(table, domain)
    assert refused.value.stage is Stage.DNS
    assert (refused.value.reply.code, str(refused.value.reply.enhanced)) == (code, enhanced)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (AnswerStatus.SERVFAIL, Failure.DNS_FAILED),
        (AnswerStatus.REFUSED, Failure.DNS_FAILED),
        (AnswerStatus.TIMEOUT, Failure.DNS_TIMEOUT),
    ],
)
async def test_dns_that_says_nothing(status: AnswerStatus, failure: Failure) -> None:
    with pytest.raises(NetworkFailure) as failed:
        await hosts({MX: status})
    assert (failed.value.failure, failed.value.stage) == (failure, Stage.DNS)


async def test_an_exchanger_that_is_no_name_is_told_as_it_stands() -> None:
    with pytest.raises(Refused, match=r"MX of e\.example is no host name: 192\.0\.2\.1"):
        await hosts({MX: ["10 192.0.2.1."]})


class Slow(FixtureResolver):
    """It knows exchangers at once, and is silent about addresses."""

    async def ask(self, name: str, type_: str) -> Answer:
        if type_ != "MX":
            await asyncio.sleep(60)
        return await super().ask(name, type_)


async def test_who_dns_is_silent_about_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.05)
    async with asyncio.timeout(5):
        found = await places(
            Hop("direct"), "e.example", Slow({MX: ["10 a.example."]}), random.Random(1), US
        )
    assert [place.host for place in found] == ["a.example"]


@pytest.mark.parametrize("dumb", ["AAAA", "A"])
async def test_one_family_does_not_wait_for_the_other_to_the_end(
    dumb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 4074 section 4.1: some servers never answer a question for AAAA."""

    class Silent(FixtureResolver):
        async def ask(self, name: str, type: str) -> Answer:
            if type == dumb:
                await asyncio.sleep(60)
            return await FixtureResolver.ask(self, name, type)

    monkeypatch.setattr(module, "OTHER", 0.05)
    resolver = Silent({("a.example", "A"): ["192.0.2.1"], ("a.example", "AAAA"): ["2001:db8::1"]})
    async with asyncio.timeout(5):
        found = module.usable(await module.addresses("a.example", resolver))
    assert found == ["192.0.2.1" if dumb == "AAAA" else "2001:db8::1"]


def test_targets_by_priority_then_weight() -> None:
    targets = [
        Target("backup", 25, 20),
        Target("heavy", 25, 10, weight=90),
        Target("light", 25, 10, weight=10),
        Target("never", 25, 10, weight=0),
    ]
    rng = random.Random(5)
    orders = [[target.host for target in in_order(targets, rng)] for _ in range(2_000)]
    first = Counter(order[0] for order in orders)
    assert all(order[-1] == "backup" and len(order) == 4 for order in orders)
    assert 1_650 < first["heavy"] < 1_900
    assert 130 < first["light"] < 290
    assert first["never"] < 60


async def test_a_hop_with_targets_asks_no_dns() -> None:
    resolver = FixtureResolver({})
    hop = Hop("x", (Target("a.example", 587),))
    found = await places(hop, "e.example", resolver, random.Random(1), US)
    assert found == [Place("a.example", 587)]
    assert resolver.asked == []


async def test_who_only_stands_in_is_known() -> None:
    table = {MX: ["10 a.example.", "10 b.example.", "20 c.example."]}
    targets = (Target("a.example", 25, 1), Target("b.example", 25, 1), Target("c.example", 25, 2))
    for hop in (Hop("direct"), Hop("x", targets)):
        found = await places(hop, "e.example", FixtureResolver(table), random.Random(1), US)
        assert [place.host for place in found if place.spare] == ["c.example"]


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("192.0.2.99", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("::ffff:127.0.0.9", True),
        ("::ffff:192.0.2.99", True),
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1", True),
        ("fe80::1%eth0", True),
        ("224.0.0.1", True),
        ("ff02::1", True),
        ("255.255.255.255", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("10.0.0.1", False),  # mail within a company
        ("fd00::1", False),
        ("64:ff9b::c000:201", False),  # IPv4 behind NAT64, RFC 6052
    ],
)
def test_ourselves(address: str, ours: bool) -> None:
    assert US.has(address) is ours


def test_who_listens_everywhere_is_met_at_each_address_of_the_machine() -> None:
    wide = Ourselves(local=lambda address: address == "198.51.100.1")
    assert wide.has("198.51.100.1")
    assert wide.has("::ffff:198.51.100.1")
    assert not wide.has("192.0.2.7")
    assert wide.has("127.0.0.1")
    assert not Ourselves(local=lambda _: True).listens("127.0.0.1")  # that is every machine's
