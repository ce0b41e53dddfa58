"""The resolver against a real DNS server on loopback, and its double."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from pathlib import Path

import pytest

from fakes.dns import DnsReply, FakeDns
from posthouse.net import dnswire, hosts
from posthouse.net import resolver as module
from posthouse.net.clock import FakeClock
from posthouse.net.resolver import (
    Answer,
    AnswerStatus,
    DnsResolver,
    FixtureResolver,
    Resolver,
    resolver_address,
)
from posthouse.protocol.dnsmessage import Question

S = AnswerStatus
LONG_TXT = tuple(f'"{n:03} {"x" * 200}"' for n in range(5))

TABLE = {
    ("mail.test", "A"): ["127.0.0.1"],
    ("mail.test", "MX"): ["10 mx1.mail.test.", "20 mx2.mail.test."],
    ("_submission._tcp.mail.test", "SRV"): ["0 1 587 mail.test."],
    ("_25._tcp.mail.test", "TLSA"): ["3 1 1 " + "ab" * 32],
    ("1.0.0.127.in-addr.arpa", "PTR"): ["mail.test."],
    ("mail.test", "NS"): ["ns.mail.test."],
    ("mail.test", "TXT"): ['"v=spf1 " "-all"', '"zwei" " \\195\\188"'],
    ("latin.test", "TXT"): ['"\\252"'],
    ("alias.test", "CNAME"): ["alias2.test."],
    ("alias2.test", "CNAME"): ["mail.test."],
    ("broken.test", "CNAME"): ["nowhere.example."],
    ("loop.test", "CNAME"): ["loop.test."],
    ("servfail.test", "A"): DnsReply(rcode="SERVFAIL"),
    ("refused.test", "A"): DnsReply(rcode="REFUSED"),
    ("silent.test", "A"): DnsReply(silent=True),
    ("formerr.test", "A"): DnsReply(rcode="FORMERR"),
    ("signed.test", "A"): DnsReply(("127.0.0.5",), authenticated=True),
    ("big.test", "TXT"): DnsReply(LONG_TXT, truncated=True),
    ("cut.test", "A"): DnsReply(("127.0.0.6",), truncated=True),
    ("slow.test", "A"): DnsReply(("127.0.0.7",), delay=0.2),
    ("brief.test", "A"): DnsReply(("127.0.0.8",), ttl=0),
}

ASKED = [
    ("mail.test", "A", S.OK, ("127.0.0.1",)),
    ("MAIL.Test.", "a", S.OK, ("127.0.0.1",)),
    ("mail.test", "AAAA", S.NODATA, ()),
    ("_tcp.mail.test", "A", S.NODATA, ()),  # an empty non-terminal exists
    ("nx.test", "A", S.NXDOMAIN, ()),
    ("_submission._tcp.mail.test", "SRV", S.OK, ("0 1 587 mail.test.",)),
    ("_25._tcp.mail.test", "TLSA", S.OK, ("3 1 1 " + "ab" * 32,)),
    ("1.0.0.127.in-addr.arpa", "PTR", S.OK, ("mail.test.",)),
    ("mail.test", "NS", S.OK, ("ns.mail.test.",)),
    ("latin.test", "TXT", S.OK, ("ü",)),
    ("alias.test", "A", S.OK, ("127.0.0.1",)),
    ("alias.test", "AAAA", S.NODATA, ()),
    ("alias.test", "CNAME", S.OK, ("alias2.test.",)),
    ("broken.test", "A", S.NXDOMAIN, ()),
    ("loop.test", "A", S.SERVFAIL, ()),
    ("servfail.test", "A", S.SERVFAIL, ()),
    ("formerr.test", "A", S.SERVFAIL, ()),
    ("refused.test", "A", S.REFUSED, ()),
    ("silent.test", "A", S.TIMEOUT, ()),
    ("cut.test", "A", S.OK, ("127.0.0.6",)),
    ("a..b.test", "A", S.NXDOMAIN, ()),
    ("x" * 64 + ".test", "A", S.NXDOMAIN, ()),
    ("mail.test", "NOSUCHTYPE", S.NXDOMAIN, ()),
]


def quick(server: FakeDns, **more: object) -> DnsResolver:
    return DnsResolver(server.address, **({"timeout": 0.15, "total": 0.6} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "type_", "status", "records"), ASKED)
async def test_answers(name: str, type_: str, status: S, records: tuple[str, ...]) -> None:
    async with FakeDns(TABLE) as server:
        answer = await quick(server).ask(name, type_)
    assert (answer.status, answer.records) == (status, records)
    assert answer.type == type_.upper()


async def test_the_failing_server_is_named() -> None:
    async with FakeDns(TABLE) as server:
        resolver = quick(server)
        for name in ("servfail.test", "refused.test", "silent.test", "mail.test"):
            assert (await resolver.ask(name, "A")).server == f"127.0.0.1:{server.port}"


async def test_txt_strings_are_joined() -> None:
    async with FakeDns(TABLE) as server:
        answer = await quick(server).ask("mail.test", "TXT")
    assert sorted(answer.records) == ["v=spf1 -all", "zwei ü"]


async def test_aliases_tell_where_they_lead() -> None:
    async with FakeDns(TABLE) as server:
        resolver = quick(server)
        assert (await resolver.ask("alias.test", "A")).canonical == "mail.test"
        assert (await resolver.ask("broken.test", "A")).canonical == "nowhere.example"
        assert (await resolver.ask("mail.test", "A")).canonical == ""


async def test_dnssec_is_asked_for_and_told() -> None:
    async with FakeDns(TABLE) as server:
        resolver = quick(server)
        assert (await resolver.ask("signed.test", "A")).authenticated
        assert not (await resolver.ask("mail.test", "A")).authenticated


@pytest.mark.parametrize(("name", "type_", "count"), [("big.test", "TXT", 5), ("cut.test", "A", 1)])
async def test_large_answers_come_by_tcp(name: str, type_: str, count: int) -> None:
    async with FakeDns(TABLE) as server:
        answer = await quick(server).ask(name, type_)
        assert len(answer.records) == count
        assert [q.transport for q in server.queries] == ["udp", "tcp"]


async def test_one_question_for_all_who_ask_at_once() -> None:
    async with FakeDns(TABLE) as server:
        resolver = quick(server, timeout=1, total=2)
        answers = await asyncio.gather(*(resolver.ask("slow.test", "A") for _ in range(10)))
        assert {a.records for a in answers} == {("127.0.0.7",)}
        assert server.asked("slow.test", "A") == 1


async def test_one_who_gives_up_does_not_spoil_it_for_the_others() -> None:
    async with FakeDns(TABLE) as server:
        resolver = quick(server, timeout=1, total=2)
        first = asyncio.create_task(resolver.ask("slow.test", "A"))
        second = asyncio.create_task(resolver.ask("slow.test", "A"))
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).status is S.OK
        assert first.cancelled()


async def test_each_who_waits_has_the_whole_time() -> None:
    async with FakeDns(TABLE) as server:
        resolver = quick(server, timeout=5, total=0.3)
        first = asyncio.create_task(resolver.ask("silent.test", "A"))
        await asyncio.sleep(0.2)
        server.set("silent.test", "A", ["127.0.0.1"])
        second = asyncio.create_task(resolver.ask("silent.test", "A"))
        assert (await first).status is S.TIMEOUT
        assert (await second).status is S.OK


async def test_the_last_to_give_up_ends_the_question() -> None:
    async with FakeDns({("silent.test", "A"): DnsReply(silent=True)}) as server:
        resolver = quick(server, timeout=5, total=5)
        before = asyncio.all_tasks()
        asking = asyncio.create_task(resolver.ask("silent.test", "A"))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert not asyncio.all_tasks() - before


async def test_answers_are_kept_for_their_ttl() -> None:
    async with FakeDns(TABLE) as server:
        clock = FakeClock()
        resolver = quick(server, clock=clock)
        for name in ("mail.test", "mail.test", "nx.test", "nx.test", "brief.test", "brief.test"):
            await resolver.ask(name, "A")
        asked = [server.asked(n, "A") for n in ("mail.test", "nx.test", "brief.test")]
        assert asked == [1, 1, 2]
        clock.advance(301)
        await resolver.ask("mail.test", "A")
        assert server.asked("mail.test", "A") == 2


@pytest.mark.parametrize("at_once", [1, 50])
async def test_who_asks_often_is_answered_from_what_is_known(at_once: int) -> None:
    """1,000 questions about 100 names, in any order: a server hears each once."""
    names = [f"n{n % 100}.test" for n in range(1_000)]
    random.Random(5).shuffle(names)
    async with FakeDns({(name, "A"): ["127.0.0.1"] for name in names}) as server:
        resolver = quick(server)
        for begin in range(0, len(names), at_once):
            asked = (resolver.ask(name, "A") for name in names[begin : begin + at_once])
            assert {answer.status for answer in await asyncio.gather(*asked)} == {S.OK}
        assert len(server.queries) == resolver.misses == 100
        assert resolver.hits == 900


async def test_when_the_cache_is_full_only_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_LIMIT", 3)
    async with FakeDns({(f"n{n}.test", "A"): ["127.0.0.1"] for n in range(4)}) as server:
        resolver = quick(server)
        for name in ("n0", "n1", "n2", "n3", "n1", "n2", "n3", "n0"):
            await resolver.ask(f"{name}.test", "A")
        assert (resolver.misses, resolver.hits) == (5, 3)


async def test_answers_that_are_large_are_kept_in_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever sends to any subdomain of his, each with 200 long names for its MX."""
    monkeypatch.setattr(module, "CACHE_OCTETS", 100_000)
    long = ".".join(["x" * 60] * 3)
    large = [f"10 {n}.{long}.test." for n in range(50)]
    table = {(f"n{n}.test", "MX"): large for n in range(20)}
    async with FakeDns({**table, ("small.test", "A"): ["127.0.0.1"]}) as server:
        resolver = quick(server)
        for number in range(20):
            await resolver.ask(f"n{number}.test", "MX")
        for number in range(20):
            await resolver.ask(f"n{number}.test", "MX")  # a look in vain takes nothing away
        kept = [answer for _, answer in resolver._cache.values()]
        assert 0 < sum(len(record) for answer in kept for record in answer.records) < 100_000
        await resolver.ask("small.test", "A")
        await resolver.ask("small.test", "A")
        assert resolver.hits == 1


async def test_failures_are_not_kept() -> None:
    async with FakeDns(TABLE) as server:
        resolver = quick(server)
        assert (await resolver.ask("servfail.test", "A")).status is S.SERVFAIL
        server.set("servfail.test", "A", ["127.0.0.1"])
        assert (await resolver.ask("servfail.test", "A")).status is S.OK


async def test_a_silent_server_costs_no_more_than_the_total() -> None:
    async with FakeDns(TABLE) as server:
        began = time.monotonic()
        answer = await quick(server, timeout=5, total=0.2).ask("silent.test", "A")
    assert answer.status is S.TIMEOUT
    assert time.monotonic() - began < 1


async def test_a_question_that_waits_for_others_has_its_whole_time_still() -> None:
    """Or a relay that starts with a long queue takes its own haste for a silent server."""
    async with FakeDns(
        {(f"{n}.test", "A"): DnsReply(("127.0.0.1",), delay=0.2) for n in range(9)}
    ) as server:
        resolver = quick(server, timeout=0.5, total=0.5, parallel=1)
        names = [f"{n}.test" for n in (*range(6), 5, 5)]
        answers = await asyncio.gather(*(resolver.ask(name, "A") for name in names))
    assert {answer.status for answer in answers} == {S.OK}


async def test_a_closed_port_is_seen_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    answer = await DnsResolver(("127.0.0.1", port)).ask("mail.test", "A")
    assert answer.status is S.REFUSED
    assert time.monotonic() - began < 1


async def test_a_lost_packet_is_asked_again() -> None:
    async with FakeDns(TABLE) as server:
        server.set("mail.test", "A", DnsReply(silent=True))
        asking = asyncio.create_task(quick(server, timeout=0.2, total=2).ask("mail.test", "A"))
        await asyncio.sleep(0.1)
        server.set("mail.test", "A", ["127.0.0.1"])
        assert (await asking).status is S.OK


async def test_malformed_answers_are_a_failure_and_forged_ones_are_ignored() -> None:
    loop = asyncio.get_running_loop()

    class Odd(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport  # type: ignore[assignment]

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(b"\xff\xff" + data[2:], addr)  # another question's number
            self.transport.sendto(b"", addr)
            self.transport.sendto(data[:2] + b"\x81\x80 junk", addr)

    transport, _ = await loop.create_datagram_endpoint(Odd, local_addr=("127.0.0.1", 0))
    address = transport.get_extra_info("sockname")
    answer = await DnsResolver(address, timeout=0.3, total=1).ask("mail.test", "A")
    transport.close()
    assert answer.status is S.SERVFAIL


# -- without DNS


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        ("localhost", "A", ("127.0.0.1",)),
        ("localhost", "AAAA", ("::1",)),
        ("x.localhost", "A", ("127.0.0.1",)),
        ("localhost", "MX", ()),
    ],
)
def test_localhost_needs_no_dns(name: str, type_: str, expected: tuple[str, ...]) -> None:
    assert hosts.lookup(name, type_) == expected


def test_hosts_file() -> None:
    text = "127.0.1.1 Box box.lan # me\n::1 six\nnonsense here\n\n10.0.0.1 box\n# 1.1.1.1 no\n"
    assert hosts.parse(text) == {
        "box": ("127.0.1.1", "10.0.0.1"),
        "box.lan": ("127.0.1.1",),
        "six": ("::1",),
    }


async def test_a_given_resolver_is_asked_even_for_localhost() -> None:
    async with FakeDns({("localhost", "A"): ["127.0.0.9"]}) as server:
        assert (await quick(server).ask("localhost", "A")).records == ("127.0.0.9",)


async def test_the_system_s_resolvers_are_those_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay may start before the network is there, or be carried to another one."""
    file, asked = tmp_path / "resolv.conf", []
    monkeypatch.setattr(dnswire, "RESOLV_CONF", str(file))

    async def exchange(_: object, question: Question, server: dnswire.Server, __: float) -> Answer:
        asked.append(server[0])
        status = S.TIMEOUT if server[0] == "192.0.2.1" else S.NODATA
        return Answer(question.name, question.type, status)

    monkeypatch.setattr(dnswire.Client, "exchange", exchange)
    resolver = DnsResolver()
    assert (await resolver.ask("a.test", "A")).failed
    for text in ("192.0.2.1", "192.0.2.1\nnameserver 192.0.2.2"):
        file.write_text(f"nameserver {text}\n")
        await resolver.ask("a.test", "A")
    assert asked == ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"]
    await resolver.ask("b.test", "A")  # the dead one has cost its time
    assert asked[4:] == ["192.0.2.2"]


def test_the_hosts_file_is_that_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hosts"
    monkeypatch.setattr(hosts, "hosts_file", lambda: file)
    assert hosts.lookup("box.test", "A") == ()
    for address in ("10.0.0.1", "10.0.0.21"):
        file.write_text(f"{address} box.test\n")
        assert hosts.lookup("box.test", "A") == (address,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9.9.9.9", ("9.9.9.9", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[2001:DB8::1]:54", ("2001:db8::1", 54)),
        (" 1.1.1.1 ", ("1.1.1.1", 53)),
    ],
)
def test_resolver_address(text: str, expected: tuple[str, int]) -> None:
    assert resolver_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dns.example",
        "1.1.1.1:",
        "1.1.1.1:0",
        "1.1.1.1:65536",
        "[::1]x",
        "1.1.1:53",
        "1.1.1.1:５３",
    ],
)
def test_bad_resolver_address(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        resolver_address(text)


# -- the double


async def test_the_double_answers_like_the_real_one() -> None:
    plain = {key: value for key, value in TABLE.items() if not isinstance(value, DnsReply)}
    fixture: Resolver = FixtureResolver(plain)
    async with FakeDns(plain) as server:
        real = quick(server)
        for name, type_ in [
            *plain,
            ("nx.test", "A"),
            ("mail.test", "AAAA"),
            ("alias.test", "A"),
            ("alias.test", "AAAA"),
            ("broken.test", "A"),
        ]:
            if type_ == "TXT":
                continue  # the fixture's strings are joined already
            one, other = await fixture.ask(name, type_), await real.ask(name, type_)
            assert (one.status, set(one.records)) == (other.status, set(other.records)), name
            assert one.canonical == other.canonical


async def test_the_double_can_fail_and_be_slow() -> None:
    clock = FakeClock()
    signed = Answer("y.test", "A", S.OK, ("127.0.0.2",), authenticated=True)
    fixture = FixtureResolver(
        {("x.test", "A"): S.SERVFAIL, ("y.test", "A"): signed}, delay=0.3, clock=clock
    )
    assert (await fixture.ask("x.test", "A")).status is S.SERVFAIL
    assert (await fixture.ask("Y.test.", "a")).authenticated
    assert clock.slept == [0.3, 0.3]
    assert fixture.asked == [("x.test", "A"), ("y.test", "A")]
