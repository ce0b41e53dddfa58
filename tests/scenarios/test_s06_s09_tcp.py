"""S06-S09: the connection itself."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import peers
from posthouse.flow import Endpoint, Security, Status
from posthouse.net.stream import TcpStream
from posthouse.setup.probe.facts import State
from scenarios.conftest import Scene, login, says, steps


async def test_s06_refused_but_other_ports_are_open(scene: Scene) -> None:
    server = await scene.server(587)
    await scene.server(25)
    result = await scene.probe(465, login=login())
    says(result, "refused", "conn.refused", "mail.test", "465", "587", "25")
    assert result.suggestion == Endpoint("mail.test", 587, Security.STARTTLS)
    states = {n.endpoint.port: n.state for n in result.neighbours}
    assert states[587] is State.OPEN
    assert states[2525] is State.REFUSED
    assert set(server.verbs()) <= {"EHLO", "QUIT"}  # looked at, and no credential shown


async def test_s06_nothing_is_open(scene: Scene) -> None:
    result = await scene.probe(587)
    says(result, "refused", "conn.refused", "mail.test", "587")
    assert result.verdict.params["variant"] == "nothing"


@contextmanager
def full_backlog(port: int = 0) -> Iterator[int]:
    """A port whose accept queue is full: the kernel drops every further SYN."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(0)
    address = listener.getsockname()
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(address)
        fillers.append(filler)
    try:
        yield address[1]
    finally:
        for one in (listener, *fillers):
            one.close()


async def test_s07_port_blocked_and_another_one_works(scene: Scene) -> None:
    await scene.server(587)
    with full_backlog(25 if scene.dialer.real else 0) as dead:
        scene.dialer.ports[25] = dead
        result = await scene.probe(25)
    says(
        result,
        "works_elsewhere",
        "conn.timeout",
        "mail.test",
        "25",
        "587",
        en=("blocked by your network or hoster", "no answer", " s,"),
        zh=("被你的网络或主机商封锁", "没有应答", "秒"),
    )
    assert result.suggestion == Endpoint("mail.test", 587, Security.STARTTLS)


@pytest.mark.parametrize(("blocked", "works"), [(465, 587), (587, 465), (587, 2465)])
async def test_s07_what_else_works_is_proposed(scene: Scene, blocked: int, works: int) -> None:
    await scene.server(works)
    with full_backlog(blocked if scene.dialer.real else 0) as dead:
        scene.dialer.ports[blocked] = dead
        result = await scene.probe(blocked)
    says(result, "works_elsewhere", "conn.timeout", str(blocked), str(works))
    assert result.suggestion is not None
    assert result.suggestion.port == works


def route(*words: str) -> None:
    subprocess.run(["ip", "route", "add", *words], check=True, capture_output=True)


@pytest.mark.netns
async def test_s07_dropped_packets(scene: Scene) -> None:
    route("192.0.2.0/24", "dev", "lo")
    scene.dns.set("far.test", "A", ["192.0.2.7"])
    result = await scene.probe(Endpoint("far.test", 587, Security.STARTTLS))
    says(result, "filtered", "conn.timeout", "far.test:587")
    assert steps(result)["connect"] is Status.FAIL


@pytest.mark.netns
async def test_s08_unreachable(scene: Scene) -> None:
    route("unreachable", "198.51.100.0/24")
    scene.dns.set("far.test", "A", ["198.51.100.7"])
    result = await scene.probe(Endpoint("far.test", 587, Security.STARTTLS))
    says(
        result,
        "unreachable",
        "conn.timeout",
        "far.test:587",
        en=("router", "VPN"),
        zh=("路由器", "VPN"),
    )


@pytest.mark.netns
async def test_s08_offline(scene: Scene) -> None:
    scene.dns.set("far.test", "A", ["203.0.113.7"])  # no route at all
    result = await scene.probe(Endpoint("far.test", 587, Security.STARTTLS))
    says(
        result,
        "offline",
        "conn.timeout",
        "far.test",
        "Wi-Fi",
        en=("no network",),
        zh=("没有联网",),
    )


ALONE = """
import asyncio
from posthouse.net.clock import SystemClock
from posthouse.net.dial import NetDialer
from posthouse.net.resolver import FixtureResolver
from posthouse.setup.probe import Net, probe

resolver = FixtureResolver({("far.test", "A"): ["203.0.113.7"]})
net = Net(resolver, NetDialer(resolver), SystemClock())
verdict = asyncio.run(probe("far.test:587", net)).verdict
print(verdict.id, verdict.cause)
"""


def test_s08_offline_in_a_network_of_its_own() -> None:
    """The same without scripts/netns, where the system allows a plain namespace."""
    if shutil.which("unshare") is None or peers.in_netns():
        pytest.skip("no unshare here, or inside the namespace already")
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", ALONE], capture_output=True, text=True
    )
    if "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert done.stdout.split() == ["offline", "conn.timeout"], done.stderr


async def test_s09_reset_right_after_connect(scene: Scene) -> None:
    async def reset(stream: TcpStream) -> None:
        stream.abort()

    await scene.server(587, raw=reset)
    result = await scene.probe(587)
    says(
        result,
        "hangs_up",
        "conn.lost",
        "mail.test:587",
        en=("blocked your IP", "another network"),
        zh=("屏蔽了你的 IP", "换一个网络"),
    )


async def test_s09_but_465_answers(scene: Scene) -> None:
    async def close(stream: TcpStream) -> None:
        await stream.close()

    await scene.server(587, raw=close)
    await scene.server(465)
    result = await scene.probe(587)
    says(result, "hangs_up", "conn.lost", "mail.test:587", "mail.test:465")
    assert result.suggestion == Endpoint("mail.test", 465, Security.TLS)
