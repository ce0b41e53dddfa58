"""Rows of the table of capabilities that need servers: spread, nearest, blocked, checked."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from canaries import AUTH_CODE, PASSWORD
from fakes.dns import DnsReply
from posthouse.directory import ses
from posthouse.flow import Endpoint, Security, Status
from posthouse.net.clock import FakeClock
from posthouse.net.dial import NetDialer
from posthouse.net.resolver import DnsResolver, FixtureResolver
from posthouse.net.stream import TcpStream, listen
from posthouse.setup.probe import (
    Envelope,
    NearestChoice,
    Net,
    Options,
    finding_text,
    nearest,
)
from posthouse.setup.probe.words import extension_text
from scenarios.conftest import HOST, MappedDialer, Scene, finding_ids, login, says

NODES = ("127.0.0.71", "127.0.0.72", "127.0.0.73")
STARTTLS = Security.STARTTLS
PICKS = 1_000


async def hangs_up(stream: TcpStream) -> None:
    await stream.close()


async def dial_often(picks: int, port: int) -> Counter[str]:
    """Which address of a name with two was connected to."""
    resolver = FixtureResolver({("two.test", "A"): list(NODES[:2])})
    dialer = NetDialer(resolver, random.Random(24))
    used: Counter[str] = Counter()
    for _ in range(picks):
        connected = await dialer.dial("two.test", port)
        used[connected.address] += 1
        connected.stream.abort()
    return used


async def test_row_24_two_addresses_share_the_load_evenly() -> None:
    """RFC 5321 section 5.1, RFC 8305 section 4: addresses of one preference in random order."""
    first = await listen(hangs_up, NODES[0], 0)
    port = first.sockets[0].getsockname()[1]
    second = await listen(hangs_up, NODES[1], port)
    try:
        used = await dial_often(PICKS, port)
    finally:
        first.close()
        second.close()
    assert sum(used.values()) == PICKS
    assert all(0.45 <= used[node] / PICKS <= 0.55 for node in NODES[:2]), used


async def test_row_24_a_dead_address_is_skipped() -> None:
    server = await listen(hangs_up, NODES[1], 0)
    try:
        used = await dial_often(200, server.sockets[0].getsockname()[1])
    finally:
        server.close()
    assert used == {NODES[1]: 200}


def greets_after(seconds: float) -> Callable[[TcpStream], Awaitable[None]]:
    async def serve(stream: TcpStream) -> None:
        await asyncio.sleep(seconds)
        await stream.write(b"220 node.test ESMTP\r\n")
        await asyncio.sleep(0.05)

    return serve


class Nodes:
    """Three servers of one service, each as far away as a region of the world."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.delay = dict(zip(NODES, (0.2, 0.05, 0.005), strict=True))
        self.greeted = 0

    async def start(self) -> tuple[Endpoint, ...]:
        port = 0
        for number, node in enumerate(NODES):
            server = await listen(self._serve(node), node, port)
            self.scene.stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
            self.scene.dns.set(f"n{number}.test", "A", DnsReply(records=[node], ttl=120))
        return tuple(Endpoint(f"n{number}.test", port, STARTTLS) for number in range(3))

    def _serve(self, node: str) -> Callable[[TcpStream], Awaitable[None]]:
        async def serve(stream: TcpStream) -> None:
            self.greeted += 1
            await greets_after(self.delay[node])(stream)

        return serve

    def net(self, clock: FakeClock | None = None) -> Net:
        resolver = DnsResolver(self.scene.dns.address, timeout=0.3, total=1.0)
        return Net(resolver, NetDialer(resolver), clock or self.scene.clock)


async def test_row_25_the_nearest_node_is_chosen_and_why(scene: Scene) -> None:
    nodes = Nodes(scene)
    endpoints = await nodes.start()
    found = await nearest(endpoints, nodes.net())
    assert found.best == endpoints[2]
    assert [r.endpoint.host for r in found.measured] == ["n2.test", "n1.test", "n0.test"]
    for lang in ("en", "zh"):
        text = finding_text(found.finding(), lang)
        assert all(word in text for word in ("n2.test", "n1.test", "n0.test", "ms"[lang == "zh" :]))
    told = found.finding().params
    assert told["milliseconds"] < 50


async def test_row_25_a_dead_node_is_last_and_none_is_told(scene: Scene) -> None:
    nodes = Nodes(scene)
    endpoints = await nodes.start()
    dead = Endpoint(endpoints[2].host, 1, STARTTLS)
    found = await nearest((dead, *endpoints[:2]), nodes.net())
    assert found.best == endpoints[1]
    assert found.measured[-1].failure is not None
    none = await nearest((dead,), nodes.net())
    assert none.best is None
    assert none.finding().status is Status.FAIL
    assert "n2.test" in finding_text(none.finding(), "zh")


async def test_row_25_measured_again_after_the_ttl(scene: Scene) -> None:
    from datetime import UTC, datetime

    nodes = Nodes(scene)
    endpoints = await nodes.start()
    clock = FakeClock(datetime.now(UTC))
    choice = NearestChoice(endpoints, Timed(nodes.net(clock), clock).net, Options())
    assert (await choice.choose()).best == endpoints[2]
    seen = nodes.greeted
    nodes.delay = dict(zip(NODES, (0.005, 0.05, 0.2), strict=True))
    await clock.sleep(60)
    assert (await choice.choose()).best == endpoints[2]  # its addresses still hold
    assert nodes.greeted == seen
    await clock.sleep(61)
    assert (await choice.choose()).best == endpoints[0]


async def test_row_25_the_nearest_region_of_ses(scene: Scene) -> None:
    """All regions are asked; what can't be reached costs no more than its time."""
    delays = {"us-east-1": 0.2, "eu-central-1": 0.01}
    context = scene.authority.context()
    port = 465 if scene.dialer.real else 0
    for (region, delay), node in zip(delays.items(), NODES, strict=False):

        async def serve(stream: TcpStream, delay: float = delay) -> None:
            await asyncio.sleep(delay)
            await stream.accept_tls(context)
            await stream.write(b"220 email-smtp ESMTP\r\n")
            await asyncio.sleep(0.05)

        server = await listen(serve, node, port)
        scene.stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        scene.dns.set(ses.host(region), "A", [node])
    resolver = DnsResolver(scene.dns.address, timeout=0.3, total=1.0)
    dialer = MappedDialer(NetDialer(resolver), {465: port}, scene.dialer.real)
    found = await nearest(ses.one_per_region(), Net(resolver, dialer, scene.clock))
    assert found.best == ses.endpoints("eu-central-1")[0]
    assert len(found.measured) == len(ses.REGIONS)
    assert ses.host("us-east-1") in finding_text(found.finding(), "en")


class Timed:
    """A clock that tests move by hand and that runs with the real one between."""

    def __init__(self, net: Net, clock: FakeClock) -> None:
        began = asyncio.get_running_loop().time()
        still = clock.monotonic
        loop = asyncio.get_running_loop()
        clock.monotonic = lambda: still() + loop.time() - began  # type: ignore[method-assign]
        self.net = net


async def test_row_12_three_ways_of_being_in_the_way(scene: Scene) -> None:
    """A dropped port is test_s07's; here a refused one and a replaced certificate, in one run."""
    from fakes.certs import Kind

    refused = await scene.probe(587)
    says(refused, "refused", "conn.refused", "587")
    await scene.server(465, kind=Kind.INTERCEPTION)
    replaced = await scene.probe(465)
    says(replaced, "intercepted", "tls.certificate", "Avast")


@pytest.mark.parametrize("blocked", ["refused", "silent"])
async def test_row_89_587_is_blocked_and_465_is_proposed(scene: Scene, blocked: str) -> None:
    from scenarios.test_s06_s09_tcp import full_backlog

    await scene.server(465)
    if blocked == "refused":
        result = await scene.probe(587)
        says(result, "refused", "conn.refused", "587", "465")
    else:
        with full_backlog(587 if scene.dialer.real else 0) as dead:
            scene.dialer.ports[587] = dead
            result = await scene.probe(587)
        says(result, "works_elsewhere", "conn.timeout", "587", "465")
    assert result.suggestion == Endpoint(HOST, 465, Security.TLS)


async def test_row_33_account_password_authorization_code_revoked(scene: Scene) -> None:
    """The account's password is refused with the hint, the code works, a revoked one does not."""
    host, who = "smtp.qq.com", "10000@qq.com"
    scene.dns.set(host, "A", ["127.0.0.1"])
    no = "535 Login Fail. Please enter your authorization code to login."
    await scene.server(
        587, hosts=(host,), replies={"AUTH": (no, "235 Authentication successful", no)}
    )
    endpoint = Endpoint(host, 587, STARTTLS)
    account = await scene.probe(endpoint, login=login(who, PASSWORD))
    says(account, "app_password", "auth.app_password", "https://", zh=("授权码",))
    code = await scene.probe(endpoint, login=login(who, AUTH_CODE))
    says(code, "ok", None)
    revoked = await scene.probe(endpoint, login=login(who, AUTH_CODE))
    assert revoked.verdict.status is Status.FAIL
    assert revoked.verdict.cause == "auth.app_password"


@pytest.mark.parametrize("port", [25, 465, 587])
async def test_row_50_instead_of_telnet(scene: Scene, port: int) -> None:
    """Greeting, EHLO list, STARTTLS or not, and the day the certificate ends; on all ports."""
    await scene.server(port)
    result = await scene.probe(port)
    says(result, "ok", None, f"{HOST}:{port}")
    greeting = result.trace.find("greeting")
    assert greeting is not None
    assert "mail.test ESMTP" in greeting.detail["text"]
    assert {"PIPELINING", "SIZE", "8BITMIME", "AUTH", "DSN"} <= set(result.extensions)
    offered = result.trace.find("starttls")
    assert (offered is not None) is (port != 465)
    certificate = next(f for f in result.findings if f.id == "certificate")
    assert result.tls is not None
    assert result.tls.leaf is not None
    assert certificate.params["date"] == result.tls.leaf.not_after.date().isoformat()


EIGHT = ("SIZE", "8BITMIME", "STARTTLS", "AUTH", "PIPELINING", "CHUNKING", "SMTPUTF8", "DSN")


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_row_145_extensions_are_explained(scene: Scene, lang: str) -> None:
    words = [k if k != "AUTH" else "AUTH PLAIN LOGIN" for k in EIGHT if k != "STARTTLS"]
    await scene.server(587, ehlo=tuple(words))
    result = await scene.probe(587)
    assert set(EIGHT) - {"STARTTLS"} <= set(result.extensions)
    assert all(extension_text(keyword, lang) for keyword in EIGHT)
    assert extension_text("XNOBODY", lang) == ""


async def test_row_146_open_relay_weak_tls_no_ptr_in_one(scene: Scene) -> None:
    context = scene.authority.context(versions=(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3))
    await scene.server(25, tls=context)
    result = await scene.probe(
        25,
        envelope=Envelope("a@strange.test", ("b@foreign.test",)),
        options=Options(open_relay=True, thorough=True),
    )
    assert {"open_relay", "tls_old_versions", "no_ptr"} <= finding_ids(result)
    graded = {f.id: f.status for f in result.findings}
    assert graded["open_relay"] is Status.FAIL
    assert graded["no_ptr"] is Status.WARN
