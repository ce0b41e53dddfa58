"""A small world for find: DNS and web from tables, with round trips, on a clock that only waits
when nothing else is to be done.

``run(coroutine)`` runs it on virtual time: a search that takes 5 s takes none. ``World.net`` is
what ``find`` is given; ``asked`` lists all questions in order.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.http import FixtureHttp, HttpAnswer
from posthouse.net.resolver import Answer, AnswerStatus, FixtureResolver
from posthouse.setup.find import FindResult, Net, find

T = TypeVar("T")
RTT = 0.05  # seconds
NEVER = 1_000.0  # seconds; longer than anybody waits
TODAY = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class _Selector(selectors.SelectSelector):
    """Lets time pass at once instead of waiting for it."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("everybody waits for something that will never come")
        if not events and timeout:
            self.loop.virtual += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when all tasks wait."""

    def __init__(self) -> None:
        self.virtual = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.virtual


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class LoopClock:
    """The clock of the running loop."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return TODAY + timedelta(seconds=self.monotonic())

    def time(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class WorldResolver:
    """One round trip an answer; names in ``slow`` take their own time."""

    table: FixtureResolver
    slow: Mapping[str, float] = field(default_factory=dict)
    rtt: float = RTT
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def ask(self, name: str, type: str) -> Answer:
        self.asked.append((name, type))
        await asyncio.sleep(self.slow.get(name, self.slow.get("*", self.rtt)))
        return await self.table.ask(name, type)


@dataclass
class WorldHttp:
    """DNS, TCP, TLS and the answer: four round trips, three without TLS. Hosts need an address."""

    pages: FixtureHttp
    resolver: WorldResolver
    slow: Mapping[str, float] = field(default_factory=dict)
    rtt: float = RTT
    cancelled: list[str] = field(default_factory=list)

    async def get(self, url: str, **options: Any) -> HttpAnswer:
        await self._connect(url)
        return await self.pages.get(url, **_only_limit(options))

    async def post(self, url: str, body: bytes, **options: Any) -> HttpAnswer:
        await self._connect(url)
        return await self.pages.post(url, body, **_only_limit(options))

    @property
    def asked(self) -> list[tuple[str, str, bytes]]:
        """(method, url, body) of all requests that reached a server."""
        return self.pages.asked

    async def _connect(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        answer = await self.resolver.ask(host, "A")
        if answer.status is not AnswerStatus.OK:
            raise NetworkFailure(Failure.NAME_NOT_FOUND, Stage.DNS, host=host)
        trips = 3 if parts.scheme == "https" else 2
        try:
            await asyncio.sleep(self.slow.get(host, trips * self.rtt))
        except asyncio.CancelledError:
            self.cancelled.append(url)
            raise


def _only_limit(options: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k == "limit"}


@dataclass
class World:
    """DNS records and web pages. A host of ``pages`` gets an address by itself."""

    dns: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    pages: Mapping[str, Any] = field(default_factory=dict)
    slow: Mapping[str, float] = field(default_factory=dict)
    authenticated: bool = False
    rtt: float = RTT
    picks: Sequence[int] = ()

    def __post_init__(self) -> None:
        hosts = {urlsplit(url).hostname or "" for url in self.pages}
        known = {(host, "A"): ["192.0.2.1"] for host in hosts}
        table = FixtureResolver({**known, **self.dns}, authenticated=self.authenticated)
        self.resolver = WorldResolver(table, self.slow, self.rtt)
        self.http = WorldHttp(FixtureHttp(self.pages), self.resolver, self.slow, self.rtt)

    @property
    def net(self) -> Net:
        """What ``find`` is given."""
        left = list(self.picks)
        return Net(self.resolver, self.http, LoopClock(), lambda n: left.pop(0) if left else 0)

    def find(self, address: str, **options: Any) -> FindResult:
        """Search in this world."""
        return run(find(address, self.net, **options))


def where(result: FindResult) -> list[str]:
    """The candidates as "host:port security"."""
    return [f"{c.endpoint} {c.endpoint.security.value}" for c in result.candidates]


def ids(result: FindResult) -> list[str]:
    """The findings' ids."""
    return [f.id for f in result.findings]


AUTOCONFIG = """<clientConfig version="1.1"><emailProvider id="x">
<outgoingServer type="smtp"><hostname>{host}</hostname><port>{port}</port>
<socketType>{socket}</socketType><username>{username}</username>
<authentication>{auth}</authentication></outgoingServer></emailProvider></clientConfig>"""


def autoconfig(
    host: str,
    port: int = 465,
    socket: str = "SSL",
    *,
    username: str = "%EMAILADDRESS%",
    auth: str = "password-cleartext",
) -> bytes:
    """An autoconfig file with one server."""
    text = AUTOCONFIG.format(host=host, port=port, socket=socket, username=username, auth=auth)
    return text.encode()
