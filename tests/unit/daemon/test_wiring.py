"""The parts of one worker, put together."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.behaviour import Behaviour
from fakes.dns import FakeDns
from fakes.smtp import FakeSmtpServer
from posthouse import config
from posthouse.daemon import metrics, wiring
from posthouse.daemon.wiring import Relay, _ourselves
from posthouse.letter import Letter, Recipient, StoreError
from posthouse.net import tcp
from posthouse.net.resolver import DnsResolver
from posthouse.send.queue import lane
from posthouse.send.queue.files import file_of
from posthouse.send.queue.ids import Ids, number_of, text_of

CONFIG = {
    "server": {"name": "relay.test", "data": "data", "workers": 1},
    "listen": [{"address": "127.0.0.1:0", "mode": "relay", "networks": ["127.0.0.0/8"]}],
    "hop": [{"name": "direct", "mx": True}],
    "route": [{"hop": "direct"}],
}


async def test_the_hit_rate_of_dns_is_among_the_metrics(tmp_path: Path) -> None:
    made = config.of(CONFIG, tmp_path)
    file_of(made.server.data, 0).parent.mkdir(parents=True)
    async with FakeDns({("mail.test", "A"): ["127.0.0.1"]}) as server:
        resolver = DnsResolver(server.address)
        relay = Relay(made, 0, watch=lambda _e: None, say=lambda _k, _f: None, resolver=resolver)
        await relay.open([0])
        for _ in range(4):
            await resolver.ask("mail.test", "A")
        counts = {(name, label): number for name, label, number in relay.counters()}
        await relay.close(0.1)
    assert (counts["dns_questions", "hit"], counts["dns_questions", "miss"]) == (3, 1)
    assert {name for name, _ in counts} <= set(metrics.COUNTERS)


async def test_a_report_in_a_lane_left_over_keeps_its_name_to_itself(tmp_path: Path) -> None:
    """A clock that ran ahead, and was set back before a restart; two letters had one id."""
    made = config.of(CONFIG, tmp_path)
    folder = file_of(made.server.data, 0).parent
    folder.mkdir(parents=True)
    ids, ahead = Ids(0), time.time() + 86_400
    letter, report = text_of(ids.next(ahead)), text_of(ids.next(ahead))
    for number, name in ((0, letter), (1, report)):
        one = lane.Lane(file_of(made.server.data, number), number)
        await one.open()
        await one.put(Letter(name, "a@d.example", (Recipient("b@e.example"),), b"", ahead))
        await one.close()
    relay = Relay(made, 0, watch=lambda _e: None, say=lambda _k, _f: None)
    await relay.open([0, 1])
    assert number_of(relay._next_id()) > number_of(report)
    await relay.close(0.1)


async def test_a_lane_left_over_that_is_damaged_stops_no_other_mail(tmp_path: Path) -> None:
    made, said = config.of(CONFIG, tmp_path), []
    file_of(made.server.data, 0).parent.mkdir(parents=True)
    file_of(made.server.data, 1).write_bytes(b"no database at all" * 1_000)
    relay = Relay(
        made, 0, watch=lambda _e: None, say=lambda kind, facts: said.append((kind, facts))
    )
    await relay.open([0, 1])
    assert [(kind, facts["lane"]) for kind, facts in said] == [("lane_unreadable", 1)]
    assert relay.gauges()["queue_messages", ""] == 0
    await relay.close(0.1)
    file_of(made.server.data, 0).write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StoreError):
        await Relay(made, 0, watch=lambda _e: None, say=lambda _k, _f: None).open([0, 1])


@pytest.mark.parametrize(
    ("greeting", "cause", "ours"),
    [
        ("554 5.7.1 Relay access denied", "relay.denied", True),
        ("421 4.3.2 Busy", "server.error", False),
    ],
)
async def test_a_hop_that_works_by_its_second_server_is_told(
    tmp_path: Path, greeting: str, cause: str, ours: bool
) -> None:
    said: list[tuple[str, dict[str, object]]] = []
    async with FakeSmtpServer(Behaviour(first=greeting)) as bad, FakeSmtpServer() as good:
        hosts = [
            {"host": "127.0.0.1", "port": one.port, "priority": n}
            for n, one in enumerate((bad, good))
        ]
        hop = {"name": "both", "hosts": hosts, "security": "none", "tls": "none"}
        made = config.of({**CONFIG, "hop": [hop], "route": [{"hop": "both"}]}, tmp_path)
        file_of(made.server.data, 0).parent.mkdir(parents=True)
        relay = Relay(
            made, 0, watch=lambda _e: None, say=lambda kind, facts: said.append((kind, dict(facts)))
        )
        await relay.open([0])
        letter = Letter(
            relay._next_id(), "a@d.example", (Recipient("b@e.example"),), b"x\r\n", time.time()
        )
        await relay._keep(letter, ())
        async with asyncio.timeout(5):
            while relay.gauges()["queue_messages", ""]:
                await asyncio.sleep(0.01)
        await relay.close(1)
    facts = {"cause": cause, "hop": "both", "host": "127.0.0.1", "reply": greeting}
    assert said[0] == ("passed_over", {**facts, "instead": "127.0.0.1"})
    assert said[1:] == ([("alarm", facts)] if ours else [])


class Client:
    """One that hands in messages, a step at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, *lines: str) -> None:
        """Say it, and hear a reply to each line."""
        for line in lines:
            self._writer.write(f"{line}\r\n".encode())
            assert (await self.hear())[:1] in "23"

    async def hear(self) -> str:
        """One reply."""
        async with asyncio.timeout(5):
            while (line := (await self._reader.readline()).decode())[3:4] == "-":
                pass
        return line

    async def begin(self) -> None:
        """All but the end of a message."""
        await self.say("MAIL FROM:<alice@d.example>", "RCPT TO:<bob@e.example>", "DATA")
        self._writer.write(b"Subject: x\r\n\r\nhello\r\n")

    def end(self) -> None:
        """The end of it."""
        self._writer.write(b".\r\n")

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Relay, list[Client]]]:
    """A worker that keeps all it is given, and two clients."""
    held = {**CONFIG, "route": [{"action": "hold"}]}
    made = config.of(held, folder)
    file_of(made.server.data, 0).parent.mkdir(parents=True)
    relay = Relay(made, 0, watch=lambda _e: None, say=lambda _k, _f: None)
    await relay.open([0])
    sock = socket.create_server(("127.0.0.1", 0))
    await relay.listen([sock])
    clients = []
    for _ in range(2):
        client = Client(*await asyncio.open_connection(*sock.getsockname()))
        await client.hear()
        await client.say("EHLO me.test")
        clients.append(client)
    yield relay, clients
    await relay.close(0.1)
    for client in clients:
        client.close()


def commits(relay: Relay) -> int:
    return {name: n for name, _, n in relay.counters()}["commits"]


async def test_two_clients_amid_a_message_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "COMPANY", 60.0)  # so long nobody waits: the last takes all along
    monkeypatch.setattr(lane, "PATIENCE", 60.0)  # that they are held is recorded later
    async with serving(tmp_path) as (relay, (one, other)):
        await one.begin()
        await other.begin()
        one.end()
        await asyncio.sleep(0.05)
        before = commits(relay)
        other.end()
        assert "Queued" in await one.hear()
        assert "Queued" in await other.hear()
        assert commits(relay) == before + 1
        await one.begin()  # and who is alone waits for nobody
        one.end()
        assert "Queued" in await one.hear()


async def test_a_client_that_stays_amid_its_message_holds_nobody_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, (slow, other)):
        await slow.begin()
        for _ in range(3):
            await other.begin()
            other.end()
            assert "Queued" in await other.hear()


@pytest.mark.parametrize(
    ("address", "met"),
    [
        ("0.0.0.0:25", {"198.51.100.1"}),
        ("[::]:25", {"198.51.100.1"}),
        ("0.0.0.0:587", set()),  # whoever listens on 25 here is another
        ("192.0.2.9:25", {"192.0.2.9"}),
        ("[::ffff:192.0.2.9]:25", {"192.0.2.9"}),
    ],
)
def test_where_we_are_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, met: set[str]
) -> None:
    monkeypatch.setattr(wiring, "is_local", lambda one: one == "198.51.100.1")
    listen = {"address": address, "mode": "relay", "networks": ["127.0.0.0/8"]}
    us = _ourselves(config.of({**CONFIG, "listen": [listen]}, tmp_path))
    there = {one for one in ("198.51.100.1", "192.0.2.9", "192.0.2.77") if us.listens(one)}
    assert there == met


def test_an_address_is_local_where_a_socket_can_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tcp.is_local("127.0.0.1")
    assert not tcp.is_local("192.0.2.77")
    assert not tcp.is_local("2001:db8::77")
    monkeypatch.setattr(tcp, "_can_be_had", lambda _: True)  # net.ipv4.ip_nonlocal_bind
    assert not tcp.is_local("127.0.0.1")
