"""Sockets of questions: shared, left soon, closed; forged replies are not taken."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from fakes.dns import DnsReply, FakeDns
from posthouse.net.dnswire import QUESTIONS_LIMIT, Client
from posthouse.net.resolver import Answer, AnswerStatus, DnsResolver
from posthouse.protocol.dnsmessage import Question, question

Address = tuple[str, int]


def asked(name: str) -> Question:
    made = question(name, "A")
    assert made is not None
    return made


def reply(query: bytes, last: int) -> bytes:
    """10.0.0.``last``, for a query that has EDNS at its end."""
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0" + bytes([last])
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:-11] + record


class Peer(asyncio.DatagramProtocol):
    """A server that does as it is told, and remembers who asked what."""

    def __init__(self, act: Callable[[Peer], None]) -> None:
        self.act = act
        self.queries: list[tuple[bytes, Address]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.queries.append((data, addr))
        self.act(self)

    def send(self, data: bytes, addr: Address) -> None:
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]

    @property
    def ports(self) -> list[int]:
        return [addr[1] for _, addr in self.queries]


Listening = Callable[[Peer], Awaitable[Address]]


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    """Puts a peer on a port of loopback, until the test ends."""
    loop, transports = asyncio.get_running_loop(), []

    async def start(peer: Peer) -> Address:
        there = ("127.0.0.1", 0)
        transport, _ = await loop.create_datagram_endpoint(lambda: peer, local_addr=there)
        transports.append(transport)
        address: Address = transport.get_extra_info("sockname")
        return address

    yield start
    for transport in transports:
        transport.close()


def at_once(peer: Peer) -> None:
    data, addr = peer.queries[-1]
    peer.send(reply(data, 1), addr)


def all_backwards(count: int) -> Callable[[Peer], None]:
    """Answers when ``count`` questions are there, the last one first, each by its name."""

    def act(peer: Peer) -> None:
        if len(peer.queries) == count:
            for data, addr in reversed(peer.queries):
                peer.send(reply(data, data[14]), addr)

    return act


async def test_questions_on_the_way_together_share_a_socket(listening: Listening) -> None:
    peer = Peer(all_backwards(20))
    address, client = await listening(peer), Client()
    names = [f"n{chr(97 + n)}.test" for n in range(20)]
    answers = await asyncio.gather(*(client.exchange(asked(name), address, 2) for name in names))
    assert [answer.name for answer in answers] == names
    assert [answer.records for answer in answers] == [(f"10.0.0.{97 + n}",) for n in range(20)]
    assert len(set(peer.ports)) == 1
    assert len({data[:2] for data, _ in peer.queries}) == 20


async def test_a_socket_is_left_after_some_questions(listening: Listening) -> None:
    count = 3 * QUESTIONS_LIMIT
    peer = Peer(all_backwards(count))
    address, client = await listening(peer), Client()
    await asyncio.gather(*(client.exchange(asked("a.test"), address, 2) for _ in range(count)))
    assert len(set(peer.ports)) == 3


async def test_no_socket_is_kept_for_later(listening: Listening) -> None:
    peer = Peer(at_once)
    address, client = await listening(peer), Client()
    for _ in range(5):
        await client.exchange(asked("a.test"), address, 2)
    assert len(set(peer.ports)) > 1


def wrong_ones(query: bytes) -> Iterator[bytes]:
    """What somebody would send who guesses."""
    right = reply(query, 66)
    yield bytes([query[0], query[1] ^ 1]) + right[2:]  # another id
    yield right.replace(b"\1a\4test", b"\1b\4test")  # another name
    yield right[:12] + right[12:].replace(b"\0\1\0\1", b"\0\2\0\1", 1)  # another type
    yield query  # an echo
    yield b""


async def test_wrong_replies_are_ignored(listening: Listening) -> None:
    def act(peer: Peer) -> None:
        data, addr = peer.queries[-1]
        for wrong in wrong_ones(data):
            peer.send(wrong, addr)
        peer.send(reply(data, 1), addr)
        peer.send(reply(data, 2), addr)  # too late

    address = await listening(Peer(act))
    answer = await Client().exchange(asked("a.test"), address, 2)
    assert answer.records == ("10.0.0.1",)


async def test_nobody_but_the_server_is_heard(listening: Listening) -> None:
    def act(peer: Peer) -> None:
        data, addr = peer.queries[-1]
        stranger.send(reply(data, 66), addr)
        peer.send(reply(data, 1), addr)

    stranger = Peer(lambda peer: None)
    await listening(stranger)
    address = await listening(Peer(act))
    answer = await Client().exchange(asked("a.test"), address, 2)
    assert answer.records == ("10.0.0.1",)


async def test_a_closed_port_fails_all_that_was_asked_there(listening: Listening) -> None:
    peer = Peer(lambda peer: None)
    address = await listening(peer)
    peer.transport.close()
    await asyncio.sleep(0.01)
    client = Client()
    several = (client.exchange(asked(name), address, 2) for name in ("a.test", "b.test"))
    assert {one.status for one in await asyncio.gather(*several)} == {AnswerStatus.REFUSED}
    address = await listening(Peer(at_once))
    assert (await client.exchange(asked("a.test"), address, 2)).records == ("10.0.0.1",)


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """No socket is found open by the garbage collector."""
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [one for one in found if one.category is ResourceWarning] == []


async def given_up(resolver: DnsResolver) -> None:
    asking = asyncio.create_task(resolver.ask("silent.test", "A"))
    await asyncio.sleep(0.02)
    asking.cancel()


async def given_up_at_once(resolver: DnsResolver) -> None:
    asking = asyncio.create_task(resolver.ask("silent.test", "A"))
    for _ in range(3):
        await asyncio.sleep(0)
    asking.cancel()


async def never_ended(resolver: DnsResolver) -> None:
    tasks.add(asyncio.create_task(resolver.ask("silent.test", "A")))
    await asyncio.sleep(0.02)


async def timed_out(resolver: DnsResolver) -> None:
    assert (await resolver.ask("silent.test", "A")).status is AnswerStatus.TIMEOUT


async def answered(resolver: DnsResolver) -> None:
    assert (await resolver.ask("mail.test", "A")).records == ("127.0.0.1",)


tasks: set[asyncio.Task[Answer]] = set()
WORKS = [given_up, given_up_at_once, never_ended, timed_out, answered]


@pytest.mark.parametrize("work", WORKS)
def test_one_resolver_in_one_event_loop_after_another(
    work: Callable[[DnsResolver], Awaitable[None]],
) -> None:
    table = {
        ("mail.test", "A"): DnsReply(("127.0.0.1",), ttl=0),
        ("silent.test", "A"): DnsReply(silent=True),
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    resolver = DnsResolver(("127.0.0.1", port), timeout=0.1, total=0.3)

    async def run() -> None:
        async with FakeDns(table, port=port):
            await work(resolver)

    with nothing_left_open():
        for _ in range(3):
            asyncio.run(run())
        tasks.clear()
