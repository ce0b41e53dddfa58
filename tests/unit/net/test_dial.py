"""Happy eyeballs over real sockets on loopback: who wins, and how every failure is told."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

import posthouse
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.dial import (
    ADDRESS_LIMIT,
    Dialer,
    Family,
    MemoryDialer,
    NetDialer,
    dial,
)
from posthouse.net.resolver import Answer, AnswerStatus, FixtureResolver
from posthouse.net.stream import MemoryStream, TcpStream

# 2001:db8::/32 is for documentation (RFC 3849); in these tests its packets go nowhere or are
# refused at once by the kernel, and both are what a broken IPv6 path looks like.


async def greet(stream: TcpStream) -> None:
    await stream.write(b"220 hi\r\n")
    await stream.read()


def names(**hosts: list[str]) -> FixtureResolver:
    table: dict[tuple[str, str], list[str]] = {}
    for host, addresses in hosts.items():
        for type_ in ("A", "AAAA"):
            found = [a for a in addresses if (":" in a) == (type_ == "AAAA")]
            if found:
                table[f"{host}.test", type_] = found
    return FixtureResolver(table)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that answers no SYN: its queue of waiting connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fill = [socket.socket() for _ in range(4)]
        for one in fill:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        time.sleep(0.05)
        try:
            yield port
        finally:
            for one in fill:
                one.close()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_name_becomes_a_connection(serve) -> None:
    port = await serve(greet)
    connected = await dial("mail.test", port, resolver=names(mail=["127.0.0.1"]))
    assert (connected.address, connected.family) == ("127.0.0.1", Family.IPV4)
    assert await connected.stream.read() == b"220 hi\r\n"
    assert [a.connected for a in connected.attempts] == [True]
    assert {a.type for a in connected.answers} == {"A", "AAAA"}
    await connected.stream.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[127.0.0.1]"])
async def test_an_address_needs_no_dns(serve, host: str) -> None:
    port = await serve(greet)
    resolver = names()
    connected = await dial(host, port, resolver=resolver)
    assert resolver.asked == []
    await connected.stream.close()


async def test_a_dead_ipv6_address_costs_less_than_a_second(serve) -> None:
    """S04: nothing on ::1 at that port, all fine on 127.0.0.1."""
    port = await serve(greet)
    began = time.monotonic()
    connected = await dial("mail.test", port, resolver=names(mail=["::1", "127.0.0.1"]))
    assert time.monotonic() - began < 1
    assert connected.family is Family.IPV4
    first = connected.attempts[0]
    assert (first.address, first.family, first.failure) == ("::1", Family.IPV6, Failure.REFUSED)
    await connected.stream.close()


async def test_a_silent_address_does_not_hold_up_the_next(serve, monkeypatch) -> None:
    """An IPv6 path that drops packets: the second address is tried after 250 ms."""
    port = await serve(greet)
    real = TcpStream.connect

    async def connect(address: str, number: int) -> TcpStream:
        if ":" in address:
            await asyncio.sleep(60)
        return await real(address, number)

    monkeypatch.setattr(TcpStream, "connect", connect)
    began = time.monotonic()
    connected = await dial("mail.test", port, resolver=names(mail=["2001:db8::1", "127.0.0.1"]))
    assert 0.24 < time.monotonic() - began < 1
    assert connected.family is Family.IPV4
    other = next(a for a in connected.attempts if not a.connected)
    assert (other.address, other.failure) == ("2001:db8::1", None)
    await connected.stream.close()


async def test_families_take_turns_and_ipv6_comes_first(monkeypatch) -> None:
    tried: list[str] = []

    async def connect(address: str, number: int) -> TcpStream:
        tried.append(address)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(TcpStream, "connect", connect)
    resolver = names(mail=["2001:db8::1", "2001:db8::2", "127.0.0.1", "127.0.0.2", "127.0.0.3"])
    with pytest.raises(NetworkFailure):
        await dial("mail.test", 25, resolver=resolver)
    assert [":" in a for a in tried] == [True, False, True, False, False]


async def test_no_more_addresses_are_tried_than_the_limit(monkeypatch) -> None:
    tried: list[str] = []

    async def connect(address: str, number: int) -> TcpStream:
        tried.append(address)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(TcpStream, "connect", connect)
    with pytest.raises(NetworkFailure):
        await dial("m.test", 25, resolver=names(m=[f"127.0.1.{n}" for n in range(60)]))
    assert len(tried) == ADDRESS_LIMIT


async def test_addresses_are_spread(serve) -> None:
    """RFC 8305 section 4: each client shuffles; many of them share the load."""
    port = await serve(greet, "0.0.0.0")
    resolver = names(mail=["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    used = set()
    for seed in range(12):
        dialer: Dialer = NetDialer(resolver, random.Random(seed))
        connected = await dialer.dial("mail.test", port)
        used.add(connected.address)
        await connected.stream.close()
    assert used == {"127.0.0.1", "127.0.0.2", "127.0.0.3"}


async def test_the_next_address_is_tried_when_one_refuses(serve) -> None:
    port = await serve(greet)
    connected = await dial(
        "mail.test", port, resolver=names(mail=["127.0.0.9", "127.0.0.1"]), rng=random.Random(1)
    )
    assert connected.address == "127.0.0.1"
    await connected.stream.close()


async def test_one_family_can_be_asked_for(serve) -> None:
    port = await serve(greet)
    resolver = names(mail=["::1", "127.0.0.1"])
    connected = await dial("mail.test", port, resolver=resolver, family=Family.IPV4)
    assert resolver.asked == [("mail.test", "A")]
    await connected.stream.close()
    with pytest.raises(NetworkFailure) as caught:
        await dial("mail.test", port, resolver=resolver, family=Family.IPV6)
    assert caught.value.failure is Failure.REFUSED


async def test_ipv4_goes_ahead_when_the_aaaa_answer_is_late(serve) -> None:
    """RFC 8305 section 3: after 50 ms, IPv4 alone is good enough."""
    port = await serve(greet)

    class Late:
        async def ask(self, name: str, type: str) -> Answer:
            if type == "AAAA":
                await asyncio.sleep(5)
            return Answer(name, type, AnswerStatus.OK, ("127.0.0.1",))

    began = time.monotonic()
    connected = await dial("mail.test", port, resolver=Late())
    assert 0.04 < time.monotonic() - began < 0.6
    await connected.stream.close()


async def test_nothing_is_left_running(serve) -> None:
    port = await serve(greet)
    before = asyncio.all_tasks()
    connected = await dial("mail.test", port, resolver=names(mail=["::1", "127.0.0.1"]))
    await connected.stream.close()
    await asyncio.sleep(0.05)
    left = [t for t in asyncio.all_tasks() - before if "connect" in repr(t) or "ask" in repr(t)]
    assert not left


# -- failures


async def fail(host: str, port: int, resolver: FixtureResolver, **more: object) -> NetworkFailure:
    with pytest.raises(NetworkFailure) as caught:
        await dial(host, port, resolver=resolver, **more)  # type: ignore[arg-type]
    json.dumps(caught.value.detail)  # plain JSON values
    assert caught.value.detail["host"] == host
    assert caught.value.detail["port"] == port
    return caught.value


async def test_refused() -> None:
    failure = await fail("m.test", closed_port(), names(m=["127.0.0.1"]))
    assert (failure.failure, failure.stage) == (Failure.REFUSED, Stage.CONNECT)
    assert failure.detail["attempts"][0]["failure"] == "refused"


async def test_timeout() -> None:
    with silent_port() as port:
        failure = await fail("m.test", port, names(m=["127.0.0.1"]), timeout=0.3)
    assert (failure.failure, failure.stage) == (Failure.TIMEOUT, Stage.CONNECT)
    assert failure.detail["seconds"] == 0.3
    assert failure.detail["attempts"][0]["address"] == "127.0.0.1"


async def test_refusal_says_more_than_silence() -> None:
    with silent_port() as port:
        failure = await fail("m.test", port, names(m=["127.0.0.1", "127.0.0.2"]), timeout=0.8)
    assert failure.failure is Failure.REFUSED
    assert {a["failure"] for a in failure.detail["attempts"]} == {"refused", "timeout"}


STATUSES = [
    ({}, Failure.NAME_NOT_FOUND),
    ({("m.test", "MX"): ["10 mx.test."]}, Failure.NO_ADDRESS),
    ({("m.test", "A"): AnswerStatus.SERVFAIL}, Failure.DNS_FAILED),
    ({("m.test", "A"): AnswerStatus.REFUSED}, Failure.DNS_FAILED),
    ({("m.test", "A"): AnswerStatus.TIMEOUT}, Failure.DNS_TIMEOUT),
    ({("m.test", "AAAA"): AnswerStatus.TIMEOUT, ("m.test", "MX"): ["1 x."]}, Failure.DNS_TIMEOUT),
    (
        {("m.test", "AAAA"): AnswerStatus.SERVFAIL, ("m.test", "A"): AnswerStatus.TIMEOUT},
        Failure.DNS_TIMEOUT,
    ),
    (
        {("m.test", "AAAA"): AnswerStatus.NXDOMAIN, ("m.test", "A"): AnswerStatus.SERVFAIL},
        Failure.NAME_NOT_FOUND,
    ),
    (
        {
            ("m.test", t): Answer("m.test", t, AnswerStatus.TIMEOUT, offline=True)
            for t in ("A", "AAAA")
        },
        Failure.OFFLINE,
    ),
    ({("m.test", "A"): ["not an address"]}, Failure.NO_ADDRESS),
]


@pytest.mark.parametrize(("table", "expected"), STATUSES)
async def test_dns_failures(table: dict[tuple[str, str], object], expected: Failure) -> None:
    failure = await fail("m.test", 25, FixtureResolver(table))  # type: ignore[arg-type]
    assert (failure.failure, failure.stage) == (expected, Stage.DNS)


async def test_one_family_failing_in_dns_does_not_stop_the_other(serve) -> None:
    port = await serve(greet)
    table = {("m.test", "A"): ["127.0.0.1"], ("m.test", "AAAA"): AnswerStatus.SERVFAIL}
    connected = await dial("m.test", port, resolver=FixtureResolver(table))
    await connected.stream.close()


async def test_a_resolver_slower_than_the_dial() -> None:
    class Slow:
        async def ask(self, name: str, type: str) -> Answer:
            await asyncio.sleep(5)
            raise AssertionError

    with pytest.raises(NetworkFailure) as caught:
        await dial("m.test", 25, resolver=Slow(), timeout=0.1)
    assert caught.value.failure is Failure.DNS_TIMEOUT


ERRNOS = [
    ([113, 101], Failure.UNREACHABLE),  # EHOSTUNREACH, ENETUNREACH
    ([101, 101], Failure.OFFLINE),
    ([101, 111], Failure.REFUSED),
    ([110, 113], Failure.TIMEOUT),
    ([104, 101], Failure.RESET),
]


@pytest.mark.parametrize(("errnos", "expected"), ERRNOS)
async def test_failures_of_several_addresses(
    monkeypatch, errnos: list[int], expected: Failure
) -> None:
    rest = list(errnos)

    async def connect(address: str, number: int) -> TcpStream:
        raise OSError(rest.pop(0), "x")

    monkeypatch.setattr(TcpStream, "connect", connect)
    failure = await fail("m.test", 25, names(m=["2001:db8::1", "127.0.0.1"]))
    assert failure.failure is expected


SCRIPT = """
import asyncio, sys
from posthouse.flow import NetworkFailure
from posthouse.net.dial import dial
from posthouse.net.resolver import DnsResolver, FixtureResolver

async def main():
    fixture = FixtureResolver({("m.test", "A"): ["192.0.2.1"]})
    for resolver in (fixture, DnsResolver(("192.0.2.53", 53))):
        try:
            await dial("m.test", 25, resolver=resolver, timeout=3)
        except NetworkFailure as failure:
            print(failure.stage, failure.failure)

asyncio.run(main())
"""

ROUTES = [
    ("true", ["connect offline", "dns offline"]),
    (
        "ip link set lo up && ip addr add 10.9.9.9/8 dev lo"
        " && ip route add unreachable 192.0.2.0/24",
        ["connect unreachable", "dns dns_timeout"],
    ),
]


@pytest.mark.parametrize(("setup", "expected"), ROUTES)
def test_offline_and_unreachable_in_a_network_of_its_own(setup: str, expected: list[str]) -> None:
    """S08: no route at all, and a host that ICMP says is unreachable."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"]).returncode:
        pytest.skip("no network namespaces here")
    if "ip " in setup and shutil.which("ip") is None:
        pytest.skip("no ip command here")
    command = f'{setup} && exec "$0" -c "$1"'
    source = str(Path(posthouse.__file__).parents[1])
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", command, sys.executable, SCRIPT],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": source},
        check=False,
    )
    assert done.stdout.splitlines() == expected, done.stderr


# -- the double


async def test_memory_dialer() -> None:
    async def handler(stream: MemoryStream) -> None:
        await stream.write(b"220 hi\r\n")
        await stream.read()

    dialer = MemoryDialer(
        {
            ("a.test", 25): handler,
            ("b.test", 25): Failure.TIMEOUT,
            ("c.test", 25): Failure.NAME_NOT_FOUND,
        }
    )
    connected = await dialer.dial("a.test", 25)
    assert await connected.stream.read() == b"220 hi\r\n"
    assert connected.stream.peer == "a.test:25"
    await connected.stream.close()
    await asyncio.gather(*dialer.tasks)
    for host, failure, stage in (
        ("b.test", Failure.TIMEOUT, Stage.CONNECT),
        ("c.test", Failure.NAME_NOT_FOUND, Stage.DNS),
        ("d.test", Failure.REFUSED, Stage.CONNECT),
    ):
        with pytest.raises(NetworkFailure) as caught:
            await dialer.dial(host, 25)
        assert (caught.value.failure, caught.value.stage) == (failure, stage)
    assert [host for host, _ in dialer.dialled] == ["a.test", "b.test", "c.test", "d.test"]
    assert all(a != b for a, b in pairwise(dialer.dialled))
