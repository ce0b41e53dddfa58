"""DNS questions and answers: the system's resolvers, one given resolver, or a fixture.

Enters: a name and a type. Leaves: an ``Answer`` with its records in presentation form, and which
server gave it, or failed to. Called by find, probe and ``net.dial``. ``ask`` never raises for what
DNS did: the status says it. What can fail: nothing else; a name that no DNS can hold is NXDOMAIN.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from posthouse.flow import Failure
from posthouse.net import hosts
from posthouse.net.clock import Clock, SystemClock
from posthouse.net.tls import a_label
from posthouse.protocol.dns import Answer, AnswerStatus, Query

if TYPE_CHECKING:
    from posthouse.net.dnswire import Client

__all__ = [
    "Answer",
    "AnswerStatus",
    "DnsResolver",
    "FixtureResolver",
    "Resolver",
    "answer",
    "resolver_address",
    "unresolved",
]

T = TypeVar("T")

QUERY_SECONDS: Final = 2.0  # one server, one question: a far resolver needs 300 ms and one loss
TOTAL_SECONDS: Final = 5.0  # find promises an answer within 5 s, so no question may take longer
ROUNDS: Final = 2  # each server is asked this often; UDP loses packets
CNAME_LIMIT: Final = 8  # aliases followed; longer chains are loops or mistakes
# Answers kept, half a kilobyte each: one run of a command asks some dozens, a relay three or four
# for each domain it delivers to.
CACHE_LIMIT: Final = 10_000
# Of all of them together. An answer of 200 KB may have 3 KB on the wire, since names are compressed
# there, and whoever sends to subdomains of his own has us ask for as many as he likes.
CACHE_OCTETS: Final = 16_777_216
CACHE_SECONDS: Final = 3_600  # no answer is believed longer, whatever its TTL says
PARALLEL: Final = 50  # questions on the way at once; home routers choke on more


class Resolver(Protocol):
    """Whoever can answer questions."""

    async def ask(self, name: str, type: str) -> Answer:
        """Ask for A, AAAA, MX, SRV, TXT, NS, CNAME, PTR, TLSA, SOA..."""
        ...


async def answer(query: Query[T], resolver: Resolver) -> T:
    """The result of an algorithm that asks DNS, its questions put to ``resolver``."""
    try:
        ask = next(query)
        while True:
            ask = query.send(await resolver.ask(ask.name, ask.type))
    except StopIteration as end:
        result: T = end.value
        return result


def resolver_address(text: str) -> tuple[str, int]:
    """``ADDR[:PORT]`` ("9.9.9.9", "127.0.0.1:5353", "[::1]:53", "::1"). Raises ValueError."""
    host, port = text.strip(), "53"
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise ValueError(f"not an address: {text!r}")
        port = rest[1:] or port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError(f"not a port: {text!r}")
    return str(ip_address(host)), int(port)


class DnsResolver:
    """Real DNS. ``server`` None: the system's resolvers and hosts file."""

    def __init__(
        self,
        server: tuple[str, int] | None = None,
        *,
        timeout: float = QUERY_SECONDS,
        total: float = TOTAL_SECONDS,
        parallel: int = PARALLEL,
        clock: Clock | None = None,
    ) -> None:
        self._given = server
        self._timeout = timeout
        self._total = total
        self._clock = clock or SystemClock()
        self._well: tuple[str, int] | None = None  # the server that answered last
        self._client: Client | None = None
        self._cache: dict[tuple[str, str], tuple[float, Answer]] = {}
        self._held = 0  # octets of the cache
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._slots = asyncio.Semaphore(parallel)
        self.hits = 0  # answered by what is known, or being asked already
        self.misses = 0  # put to a server

    async def ask(self, name: str, type: str) -> Answer:
        key = (_plain(name), type.upper())
        local = None if self._given is not None else hosts.lookup(*key)
        if local:
            return Answer(*key, AnswerStatus.OK, tuple(local), server="hosts")
        kept = self._cache.get(key)
        if kept is not None and kept[0] > self._clock.monotonic():
            self.hits += 1
            return kept[1]
        trying = _Trying()
        try:
            async with asyncio.timeout(None) as time:
                return await self._shared(key, trying, time)
        except TimeoutError:
            return Answer(*key, AnswerStatus.TIMEOUT, server=trying.server)

    async def _shared(self, key: tuple[str, str], trying: _Trying, time: asyncio.Timeout) -> Answer:
        """One question for all who ask it at once. Who gives up does not spoil it for the rest.

        ``time`` begins when a server is asked: that we have too many questions is not its silence.
        """
        while (flight := self._flights.get(key)) is not None:
            await flight.begun.wait()
            if not flight.answer.done():
                self._begin(time)
            theirs = await asyncio.shield(flight.answer)
            if theirs is not None:
                self.hits += 1
                return theirs
        flight = self._flights[key] = _Flight()
        self.misses += 1
        answer = None
        try:
            async with self._slots:
                flight.begun.set()
                self._begin(time)
                answer = await self._resolve(*key, trying)
        finally:
            del self._flights[key]
            flight.answer.set_result(answer)  # None: given up; one of those who wait asks anew
            flight.begun.set()
        if not answer.failed:
            self._keep(answer)
        return answer

    def _begin(self, time: asyncio.Timeout) -> None:
        if time.when() is None:
            time.reschedule(asyncio.get_running_loop().time() + self._total)

    def _keep(self, answer: Answer) -> None:
        key = (answer.name, answer.type)
        self._forget(key)
        self._held += _weight(answer)
        self._cache[key] = (self._clock.monotonic() + min(answer.ttl, CACHE_SECONDS), answer)
        while len(self._cache) > CACHE_LIMIT or self._held > CACHE_OCTETS:
            self._forget(next(iter(self._cache)))  # the oldest

    def _forget(self, key: tuple[str, str]) -> None:
        kept = self._cache.pop(key, None)
        if kept is not None:
            self._held -= _weight(kept[1])

    async def _resolve(self, name: str, type_: str, trying: _Trying) -> Answer:
        """Follow aliases that the server did not follow itself."""
        target, ttl, authenticated = name, CACHE_SECONDS, True
        for _ in range(CNAME_LIMIT):
            answer = await self._ask_servers(target, type_, trying)
            ttl, authenticated = min(ttl, answer.ttl), authenticated and answer.authenticated
            led_on = answer.canonical not in ("", target)
            if answer.status is AnswerStatus.NODATA and led_on:
                target = answer.canonical
                continue
            canonical = answer.canonical or target
            return Answer(
                name,
                type_,
                answer.status,
                answer.records,
                ttl,
                authenticated,
                answer.server,
                canonical if canonical != name else "",
                answer.offline,
            )
        return Answer(name, type_, AnswerStatus.SERVFAIL, server=trying.server)

    async def _ask_servers(self, name: str, type_: str, trying: _Trying) -> Answer:
        from posthouse.net import dnswire  # here: it takes time to load, and not all runs ask

        if self._client is None:
            self._client = dnswire.Client()
        servers = [self._given] if self._given else [*dnswire.system_servers()]
        # Whoever answered last is asked first: a dead one costs its time once, not each time.
        servers.sort(key=lambda server: server != self._well)
        question = dnswire.question(name, type_)
        if question is None:
            return Answer(name, type_, AnswerStatus.NXDOMAIN)
        worst = Answer(name, type_, AnswerStatus.SERVFAIL)
        unreachable = 0
        for server in servers * ROUNDS:
            trying.server = dnswire.server_text(server)
            answer = await self._client.exchange(question, server, self._timeout)
            if not answer.failed:
                self._well = server
                return answer
            worst = answer
            unreachable += answer.offline
        # Offline only if not one of them could be reached.
        all_of_them = 0 < unreachable == len(servers) * ROUNDS
        return replace(worst, offline=all_of_them)


def _weight(answer: Answer) -> int:
    """Octets in memory, more or less: each text has some 50 besides its own."""
    return 500 + sum(len(record) + 50 for record in answer.records)


def unresolved(
    answers: Sequence[Answer], *, waiting: bool = False
) -> tuple[Failure, Answer | None]:
    """Why a name has no address, and the answer that says so, where one does.

    ``answers`` are those for A and AAAA, none with an address; ``waiting`` says that one is still
    missing. NXDOMAIN for one type goes for all (RFC 8020); ``send.deliver`` is not so sure.
    """
    if any(answer.offline for answer in answers):
        return Failure.OFFLINE, None
    for status, failure in _NO_ADDRESS:
        said = next((answer for answer in answers if answer.status is status), None)
        if said is not None or (waiting and status is AnswerStatus.TIMEOUT):
            return failure, said
    return Failure.NO_ADDRESS, None


# In the order in which they count.
_NO_ADDRESS: Final = (
    (AnswerStatus.EXHAUSTED, Failure.EXHAUSTED),
    (AnswerStatus.NXDOMAIN, Failure.NAME_NOT_FOUND),
    (AnswerStatus.TIMEOUT, Failure.DNS_TIMEOUT),
    (AnswerStatus.SERVFAIL, Failure.DNS_FAILED),
    (AnswerStatus.REFUSED, Failure.DNS_FAILED),
)


class _Flight:
    """A question that waits for its turn, or is on the way."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class _Trying:
    """Who is being asked, for the report when time runs out."""

    server: str = ""


FixtureValue = Sequence[str] | AnswerStatus | Answer


@dataclass(slots=True)
class FixtureResolver:
    """The double: answers from a table ``{(name, type): [records] | AnswerStatus | Answer}``.

    A name the table knows with another type is NODATA, any other NXDOMAIN; CNAMEs are followed.
    ``delay`` seconds pass on the clock before each answer; ``asked`` lists the questions.
    """

    table: Mapping[tuple[str, str], FixtureValue]
    delay: float = 0.0
    authenticated: bool = False
    clock: Clock = field(default_factory=SystemClock)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def ask(self, name: str, type: str) -> Answer:
        if self.delay:
            await self.clock.sleep(self.delay)
        name, type = _plain(name), type.upper()
        self.asked.append((name, type))
        table = {(_plain(n), t.upper()): value for (n, t), value in self.table.items()}
        target = name
        for _ in range(CNAME_LIMIT):
            alias = table.get((target, "CNAME"))
            if (target, type) in table or not isinstance(alias, list | tuple):
                break
            target = _plain(alias[0])
        answer = self._answer(target, type, table)
        return replace(
            answer,
            name=name,
            canonical=target if target != name else "",
            authenticated=answer.authenticated or self.authenticated,
        )

    def _answer(self, name: str, type_: str, table: Mapping[tuple[str, str], Any]) -> Answer:
        value = table.get((name, type_))
        if isinstance(value, Answer):
            return value
        if isinstance(value, AnswerStatus):
            return Answer(name, type_, value, server="fixture")
        if value:
            return Answer(name, type_, AnswerStatus.OK, tuple(value), 300, server="fixture")
        exists = any(n == name or n.endswith("." + name) for n, _ in table)
        status = AnswerStatus.NODATA if exists else AnswerStatus.NXDOMAIN
        return Answer(name, type_, status, server="fixture")


def _plain(name: str) -> str:
    return a_label(name.strip()).rstrip(".")
