"""The nearest of several servers that do the same: by measured time, never by their names.

Enters: endpoints (the regions of a sending service, the nodes of an organisation) and the net.
Leaves: ``Nearest``: the one whose first word came soonest, and what each took, as the reason. One
connection a try, no credential. A choice holds as long as DNS says that the addresses do (their
TTL), then it is measured again. Never fails: who can't be reached is at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.flow import Endpoint, Failure, Finding, NetworkFailure, Security, Stage, Status
from posthouse.net.stream import Stream
from posthouse.net.tls import TlsOptions
from posthouse.setup.probe.facts import Net, Options

TRIES: Final = 2  # the first may wait for a cold name server or a lost packet
TRY_SECONDS: Final = 3.0  # twice round the world and back; who is slower is not near
AT_ONCE: Final = 8  # connections on the way together: more would measure our own line
HOLD_LEAST: Final = 30.0  # seconds a choice is kept, whatever the TTL says
HOLD_MOST: Final = 3_600.0
SHOWN: Final = 4  # others that a sentence names


@dataclass(frozen=True, slots=True)
class Reach:
    """How one endpoint was reached: seconds to its first word, or why not."""

    endpoint: Endpoint
    seconds: float | None = None
    failure: Failure | None = None
    ttl: float = HOLD_MOST


@dataclass(frozen=True, slots=True)
class Nearest:
    """The choice and its reason, the nearest first."""

    measured: tuple[Reach, ...]

    @property
    def best(self) -> Endpoint | None:
        """The nearest one; None where none can be reached."""
        first = next(iter(self.measured), None)
        return first.endpoint if first and first.seconds is not None else None

    def finding(self) -> Finding:
        """The choice, in a form that ``words`` can say."""
        reached = [r for r in self.measured if r.seconds is not None]
        if not reached:
            hosts = [r.endpoint.host for r in self.measured]
            return Finding("nearest_none", Status.FAIL, "conn.timeout", {"hosts": hosts[:SHOWN]})
        first, *rest = reached
        params = {"host": first.endpoint.host, "milliseconds": _milliseconds(first)}
        if not rest:
            return Finding("nearest_only", Status.OK, None, params)
        others = [f"{r.endpoint.host} {_milliseconds(r)} ms" for r in rest[:SHOWN]]
        return Finding("nearest", Status.OK, None, {**params, "others": others})


class NearestChoice:
    """The owner of one choice: measured when first asked for, and again when it is too old."""

    def __init__(self, endpoints: Sequence[Endpoint], net: Net, options: Options) -> None:
        self._endpoints = tuple(endpoints)
        self._net = net
        self._options = options
        self._nearest: Nearest | None = None
        self._until = 0.0

    async def choose(self) -> Nearest:
        """The nearest now."""
        now = self._net.clock.monotonic()
        if self._nearest is None or now >= self._until:
            self._nearest = await nearest(self._endpoints, self._net, self._options)
            ttl = min((r.ttl for r in self._nearest.measured), default=HOLD_LEAST)
            hold = min(max(ttl, HOLD_LEAST), HOLD_MOST)
            self._until = self._net.clock.monotonic() + hold
        return self._nearest


async def nearest(
    endpoints: Sequence[Endpoint],
    net: Net,
    options: Options = Options(),  # noqa: B008  frozen
) -> Nearest:
    """Measure all of them. Of its tries each endpoint's best one counts."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def measured(endpoint: Endpoint) -> Reach:
        async with slots:
            tries = [await _try(endpoint, net, options) for _ in range(TRIES)]
        return min(tries, key=_order)

    found = await asyncio.gather(*(measured(one) for one in dict.fromkeys(endpoints)))
    return Nearest(tuple(sorted(found, key=_order)))


async def _try(endpoint: Endpoint, net: Net, options: Options) -> Reach:
    """The time on the wire alone: looking up the name is not part of it."""
    try:
        async with asyncio.timeout(TRY_SECONDS):
            connected = await net.dialer.dial(endpoint.host, endpoint.port, timeout=TRY_SECONDS)
            ttl = min((float(a.ttl) for a in connected.answers if a.records), default=HOLD_MOST)
            spent = sum(a.seconds for a in connected.attempts if a.connected)
            began = net.clock.monotonic()
            try:
                await _first_word(connected.stream, endpoint, net, options)
            finally:
                await connected.stream.close()
            return Reach(endpoint, spent + net.clock.monotonic() - began, ttl=ttl)
    except TimeoutError:
        return Reach(endpoint, failure=Failure.TIMEOUT)
    except NetworkFailure as failure:
        return Reach(endpoint, failure=failure.failure)


async def _first_word(stream: Stream, endpoint: Endpoint, net: Net, options: Options) -> None:
    if endpoint.security is Security.TLS:
        at = net.clock.now()
        await stream.start_tls(TlsOptions(endpoint.host, ca_file=options.ca_file, at=at))
    if not await stream.read():
        raise NetworkFailure(Failure.CLOSED, Stage.GREETING)


def _order(reach: Reach) -> tuple[bool, float]:
    return reach.seconds is None, reach.seconds or 0.0


def _milliseconds(reach: Reach) -> int:
    return max(1, round((reach.seconds or 0.0) * 1000))
