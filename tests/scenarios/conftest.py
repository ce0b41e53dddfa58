"""The scene of every scenario: names by a real DNS server, mail servers on real sockets.

Outside a private network the well-known ports are mapped to free ones, for the probe's dialer
alone; inside (scripts/netns) they are the real ones.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import peers
from canaries import PASSWORD, find_leaks
from fakes.certs import Authority, Kind
from fakes.dns import FakeDns
from posthouse.flow import Endpoint, Secret, Security, Status
from posthouse.net.clock import Clock, SystemClock
from posthouse.net.dial import Connected, Dialer, Family, NetDialer
from posthouse.net.http import Http
from posthouse.net.resolver import DnsResolver
from posthouse.protocol.ports import TLS_PORTS
from posthouse.setup.probe import Login, Net, Options, ProbeResult, probe, to_dict
from scenarios.peer import Peer, Raw, Script, start, start_raw

HOST = "mail.test"
CLOSED = 1  # tcpmux: nothing has listened there for decades
TIMEOUT = 1.2  # seconds a step may take here


@dataclass
class MappedDialer:
    """A dialer for whom the well-known ports are elsewhere; what is not mapped is closed."""

    dialer: Dialer
    ports: dict[int, int] = field(default_factory=dict)
    real: bool = False

    async def dial(
        self, host: str, port: int, *, timeout: float = 15.0, family: Family | None = None
    ) -> Connected:
        actual = port if self.real else self.ports.get(port, CLOSED)
        return await self.dialer.dial(host, actual, timeout=timeout, family=family)


@dataclass
class Scene:
    """What a test sets up, and then probes."""

    authority: Authority
    dns: FakeDns
    stack: AsyncExitStack
    dialer: MappedDialer
    clock: Clock
    http: Http | None = None

    async def server(
        self,
        port: int = 587,
        *,
        kind: Kind = Kind.GOOD,
        hosts: tuple[str, ...] = (HOST,),
        tls: ssl.SSLContext | None = None,
        raw: Raw | None = None,
        **script: Any,
    ) -> Peer:
        """A mail server on what the probe knows as ``port``."""
        real = port if self.dialer.real else 0
        if raw is not None:
            peer = await start_raw(self.stack, raw, real)
        else:
            made = Script(**script)
            implicit = port in TLS_PORTS
            if implicit or made.starttls == "STARTTLS":
                tls = tls or self.authority.context(kind, hosts)
            peer = await start(self.stack, made.behaviour(tls, implicit), real)
        self.dialer.ports[port] = peer.port
        return peer

    async def probe(
        self,
        target: Endpoint | str | int = 587,
        security: Security | None = None,
        *,
        options: Options | None = None,
        **wish: Any,
    ) -> ProbeResult:
        """Probe ``mail.test`` (or any target) with everything of this scene."""
        if isinstance(target, int):
            usual = Security.TLS if target in TLS_PORTS else Security.STARTTLS
            target = Endpoint(HOST, target, security or usual)
        options = options or Options()
        options = replace(options, ca_file=str(self.authority.ca_file))
        if options.timeout == Options().timeout:
            options = replace(options, timeout=TIMEOUT)
        resolver = DnsResolver(self.dns.address, timeout=0.3, total=1.0)
        self.dialer.dialer = NetDialer(resolver)
        net = Net(resolver, self.dialer, self.clock, self.http)
        result = await probe(target, net, options=options, **wish)
        sound(result)
        return result


def sound(result: ProbeResult) -> None:
    """What holds for every probe: JSON that can be written, words in both languages, no secret."""
    for lang in ("en", "zh"):
        text = json.dumps(to_dict(result, lang), ensure_ascii=False)
        assert not find_leaks(text)
        assert "probe." not in to_dict(result, lang)["verdict"]["text"]
    failed = result.verdict.status is Status.FAIL
    assert (result.explanation is not None) or not failed
    assert result.trace.steps


def says(
    result: ProbeResult,
    verdict: str,
    cause: str | None,
    *essentials: str,
    en: tuple[str, ...] = (),
    zh: tuple[str, ...] = (),
) -> None:
    """The one verdict, its cause, and the words that both languages can't do without."""
    found = to_dict(result, "en")["verdict"]
    assert (found["id"], found["cause"]) == (verdict, cause), found["text"]
    for lang, more in (("en", en), ("zh", zh)):
        said = to_dict(result, lang)["verdict"]
        text = said["text"] + "\n" + said["remedy"]
        for essential in (*essentials, *more):
            assert essential in text, f"{lang}: {essential!r} not in {text!r}"
    if cause is not None:
        assert result.explanation is not None
        assert result.explanation.cause.id == cause


def login(username: str = "alice@mail.test", password: str = PASSWORD, **more: Any) -> Login:
    """The usual account."""
    return Login(username, Secret(password), **more)


def steps(result: ProbeResult) -> dict[str, Status]:
    """Step name -> how it ended."""
    return {step.name: step.status for step in result.trace.steps}


def finding_ids(result: ProbeResult) -> set[str]:
    """What was noticed beside the verdict."""
    return {finding.id for finding in result.findings}


DEFAULT_NAMES: Mapping[tuple[str, str], list[str]] = {(HOST, "A"): ["127.0.0.1"]}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def scene(authority: Authority) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(FakeDns(DEFAULT_NAMES))
        resolver = DnsResolver(dns.address)
        dialer = MappedDialer(NetDialer(resolver), real=peers.in_netns())
        yield Scene(authority, dns, stack, dialer, SystemClock())
