"""From host and port to a connection: happy eyeballs, with every attempt told.

Enters: a host name or address, a port, a resolver. Leaves: ``Connected``, or a ``NetworkFailure``
whose detail lists every attempt. Called by probe, ``net.http`` and ``net.imap``. RFC 8305: both
families are asked and tried, staggered, so that a dead IPv6 path costs a quarter of a second and
not a minute. What can fail: NAME_NOT_FOUND, NO_ADDRESS, DNS_FAILED, DNS_TIMEOUT (stage DNS);
REFUSED, TIMEOUT, UNREACHABLE, OFFLINE, RESET (stage CONNECT).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final, Protocol

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.pipe import failure_of
from posthouse.net.resolver import Answer, Resolver, unresolved
from posthouse.net.stream import MemoryStream, Stream, TcpStream
from posthouse.net.tls import a_label

CONNECT_SECONDS: Final = 15.0  # three SYN retries; who answers later will not carry mail either
ATTEMPT_DELAY: Final = 0.25  # RFC 8305 section 8, Connection Attempt Delay
RESOLUTION_DELAY: Final = 0.05  # RFC 8305 section 8: how long A waits for AAAA
ADDRESS_LIMIT: Final = 16  # addresses tried; more than that is no help and looks like a scan


class Family(StrEnum):
    """Address families."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address tried. Neither connected nor failed: another was faster."""

    address: str
    family: Family
    seconds: float
    failure: Failure | None = None
    connected: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """An open connection, and what it took."""

    stream: Stream
    address: str
    family: Family
    attempts: tuple[Attempt, ...] = ()  # in the order they ended
    answers: tuple[Answer, ...] = ()  # what DNS said; none for an address


class Dialer(Protocol):
    """Whoever can open connections."""

    async def dial(
        self,
        host: str,
        port: int,
        *,
        timeout: float = CONNECT_SECONDS,  # noqa: ASYNC109  told in the failure
        family: Family | None = None,
    ) -> Connected:
        """Connect. Raises NetworkFailure, stage DNS or CONNECT."""
        ...


class NetDialer:
    """Real connections. ``rng`` spreads the load over a name's addresses (RFC 8305 section 4)."""

    def __init__(self, resolver: Resolver, rng: random.Random | None = None) -> None:
        self._resolver = resolver
        self._rng = rng

    async def dial(
        self,
        host: str,
        port: int,
        *,
        timeout: float = CONNECT_SECONDS,  # noqa: ASYNC109  told in the failure
        family: Family | None = None,
    ) -> Connected:
        return await dial(
            host, port, resolver=self._resolver, timeout=timeout, family=family, rng=self._rng
        )


async def dial(
    host: str,
    port: int,
    *,
    resolver: Resolver,
    timeout: float = CONNECT_SECONDS,  # noqa: ASYNC109  told in the failure
    family: Family | None = None,
    rng: random.Random | None = None,
) -> Connected:
    """Connect to the first address that answers, within ``timeout`` seconds in all."""
    race = _Race(host, port, rng or random.SystemRandom())
    try:
        async with asyncio.timeout(timeout):
            return await race.run(resolver, family)
    except TimeoutError:
        raise race.failure(timeout) from None
    finally:
        await race.cancel()


def family_of(address: str) -> Family:
    """The family of an address in text form. Raises ValueError for anything else."""
    return Family.IPV6 if ip_address(address).version == 6 else Family.IPV4


def _as_address(host: str) -> str | None:
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


class _Race:
    """One dial: the addresses still to try, the attempts running, and what came of the others."""

    def __init__(self, host: str, port: int, rng: random.Random) -> None:
        self._host = host
        self._port = port
        self._rng = rng
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._waiting: dict[Family, list[str]] = {Family.IPV6: [], Family.IPV4: []}
        self._last: Family | None = None
        self._tried = 0
        self._lookups: dict[asyncio.Task[Answer], Family] = {}
        self._running: dict[asyncio.Task[TcpStream], tuple[str, float]] = {}
        self._start_at = self._began
        self.attempts: list[Attempt] = []
        self.answers: list[Answer] = []

    async def run(self, resolver: Resolver, family: Family | None) -> Connected:
        """Race until one address is connected. Raises NetworkFailure when none is left."""
        address = _as_address(self._host)
        if address is not None:
            self._waiting[family_of(address)] = [address]
        else:
            self._ask(resolver, family)
        while True:
            self._start_next()
            tasks = [*self._lookups, *self._running]
            if not tasks and not self._any_waiting():
                raise self.failure(self._now() - self._began)
            wait = max(0.0, self._start_at - self._now()) if self._any_waiting() else None
            if tasks:
                await asyncio.wait(tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(wait or 0)
            self._read_answers()
            winner = self._read_attempts()
            if winner is not None:
                return winner

    def _ask(self, resolver: Resolver, family: Family | None) -> None:
        # RFC 8305 section 3: AAAA first, A right after it, neither waits for the other.
        for kind, type_ in ((Family.IPV6, "AAAA"), (Family.IPV4, "A")):
            if family in (None, kind):
                task = asyncio.create_task(resolver.ask(a_label(self._host), type_))
                self._lookups[task] = kind

    def _read_answers(self) -> None:
        for task in [t for t in self._lookups if t.done()]:
            family = self._lookups.pop(task)
            answer = task.result()
            self.answers.append(answer)
            addresses = [a for a in answer.records if _as_address(a)]
            self._rng.shuffle(addresses)
            self._waiting[family] = addresses
            if family is Family.IPV4 and addresses and self._lookups and not self._tried:
                self._start_at = self._now() + RESOLUTION_DELAY
            elif family is Family.IPV6 and not self._tried:
                self._start_at = self._now()

    def _any_waiting(self) -> bool:
        return any(self._waiting.values()) and self._tried < ADDRESS_LIMIT

    def _start_next(self) -> None:
        if not self._any_waiting() or self._now() < self._start_at:
            return
        # RFC 8305 section 4: IPv6 first, then the families take turns.
        turns = [Family.IPV4, Family.IPV6] if self._last is Family.IPV6 else list(self._waiting)
        family = next(f for f in turns if self._waiting[f])
        address = self._waiting[family].pop(0)
        task = asyncio.create_task(TcpStream.connect(address, self._port))
        self._running[task] = (address, self._now())
        self._last = family
        self._tried += 1
        self._start_at = self._now() + ATTEMPT_DELAY

    def _read_attempts(self) -> Connected | None:
        winner = None
        for task in [t for t in self._running if t.done()]:
            address, began = self._running.pop(task)
            family, seconds = family_of(address), self._now() - began
            error = task.exception()
            if error is None and winner is None:
                self.attempts.append(Attempt(address, family, seconds, connected=True))
                winner = (task.result(), address, family)
            elif error is None:
                task.result().abort()
            elif isinstance(error, OSError):
                failure = failure_of(error, Stage.CONNECT).failure
                self.attempts.append(Attempt(address, family, seconds, failure))
                self._start_at = self._now()  # RFC 8305 section 5: a failure ends the delay
            else:
                raise error
        if winner is None:
            return None
        self._note_running(None)
        return Connected(*winner, tuple(self.attempts), tuple(self.answers))

    async def cancel(self) -> None:
        """Drop the lookups and attempts that are still on their way."""
        tasks: list[asyncio.Task[Any]] = [*self._lookups, *self._running]
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, TcpStream):
                result.abort()

    def _note_running(self, failure: Failure | None) -> None:
        for address, began in self._running.values():
            spent = self._now() - began
            self.attempts.append(Attempt(address, family_of(address), spent, failure))

    def failure(self, seconds: float) -> NetworkFailure:
        """Why there is no connection, now that nothing is left to try, or no time."""
        detail: dict[str, Any] = {"host": self._host, "port": self._port, "seconds": seconds}
        self._note_running(Failure.TIMEOUT)
        if not self.attempts:
            return _dns_failure(self.answers, bool(self._lookups), detail)
        detail["attempts"] = [
            {
                "address": a.address,
                "family": str(a.family),
                "seconds": a.seconds,
                "failure": str(a.failure),
            }
            for a in self.attempts
        ]
        return NetworkFailure(_overall(a.failure for a in self.attempts), Stage.CONNECT, **detail)


# What counts most when addresses failed in different ways: a machine that answers says more than
# silence, and "no route" may only mean that one family is missing here.
_WEIGHT: Final = (
    Failure.REFUSED,
    Failure.RESET,
    Failure.TIMEOUT,
    Failure.UNREACHABLE,
    Failure.OFFLINE,
    Failure.EXHAUSTED,
)


def _overall(failures: Iterable[Failure | None]) -> Failure:
    seen = set(failures)
    return next((f for f in _WEIGHT if f in seen), Failure.TIMEOUT)


def _dns_failure(
    answers: Sequence[Answer], waiting: bool, detail: dict[str, Any]
) -> NetworkFailure:
    bad = next((answer for answer in answers if answer.failed), None)
    if bad is not None:
        detail |= {"server": bad.server, "status": str(bad.status)}
    kind, _ = unresolved(answers, waiting=waiting)
    return NetworkFailure(kind, Stage.DNS, **detail)


MemoryHandler = Callable[[MemoryStream], Awaitable[None]]


@dataclass(slots=True)
class MemoryDialer:
    """The double: ``{(host, port): handler | Failure}``; whatever is not listed is REFUSED.

    A handler gets the server's end of a fresh pair and runs in a task of its own; its stream is
    closed when it returns. ``dialled`` lists what was asked for, ``tasks`` the handlers.
    """

    peers: Mapping[tuple[str, int], MemoryHandler | Failure]
    dialled: list[tuple[str, int]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def dial(
        self,
        host: str,
        port: int,
        *,
        timeout: float = CONNECT_SECONDS,  # noqa: ASYNC109  told in the failure
        family: Family | None = None,
    ) -> Connected:
        self.dialled.append((host, port))
        peer = self.peers.get((host, port), Failure.REFUSED)
        if isinstance(peer, Failure):
            stage = Stage.DNS if peer in _DNS_STAGE else Stage.CONNECT
            raise NetworkFailure(peer, stage, host=host, port=port, seconds=0.0)
        near, far = MemoryStream.pair(server=f"{host}:{port}")
        self.tasks.append(asyncio.create_task(_serve(peer, far)))
        family = family or Family.IPV4
        return Connected(near, host, family, (Attempt(host, family, 0.0, connected=True),))


_DNS_STAGE: Final = frozenset(
    (Failure.NAME_NOT_FOUND, Failure.NO_ADDRESS, Failure.DNS_FAILED, Failure.DNS_TIMEOUT)
)


async def _serve(handler: MemoryHandler, stream: MemoryStream) -> None:
    try:
        await handler(stream)
    except NetworkFailure:
        pass  # the client went away
    finally:
        await stream.close()
