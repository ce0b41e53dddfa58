"""Handing in many messages over many connections to one server.

Enters: a ``Desk`` that has the messages, the way in, the terms. Leaves: every try told to the desk.
Each connection is one task that has two messages under way: the second's commands travel with the
end of the first, so that a message costs one round trip. The first connection comes alone, and
signs in; only when it stands is another one opened, and more where the work takes its time. A
connection that breaks is opened again.

It ends early where nothing can come of going on: the server can't be reached, the login is refused,
or one message after the other is refused for what we are and not for what it is (an account at its
limit); and where the desk closes. Where such answers are for now, all rest before they go on.
Raises nothing: ``Crew.stopped`` says why it ended early.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.letter import Outcome, Result
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.extensions import session_limits
from posthouse.protocol.smtp.limits import RECIPIENTS
from posthouse.send.client.desk import Desk, Job
from posthouse.send.client.door import Door
from posthouse.send.client.facts import Message, Unusable
from posthouse.send.client.fit import fitted

CONNECTIONS: Final = 10  # providers allow about so many
FIRST: Final = 2  # of them: a hundred messages to a quick server are not worth more logins
LONG: Final = 1.0  # seconds that the work has to last before there are twice as many
PAUSES: Final = (5.0, 20.0, 60.0)  # seconds before each further try of what was deferred
REOPEN: Final = (0.0, 1.0, 5.0, 15.0)  # seconds before each try to open a lost connection again
HOPELESS: Final = 20  # messages refused for what we are, one after the other, none taken
SWEEP: Final = 1.0  # seconds between looks for connections that hang
LAST_WORDS: Final = 10.0  # seconds that an interruption leaves to what is under way
AT_WORK: Final = 10.0  # seconds one message may take and still go at the rate asked for
# Answers that the next message will get as well, whoever it is for.
ABOUT_US: Final = frozenset(
    {
        *("auth.required", "auth.credentials", "auth.app_password", "auth.disabled"),
        *("auth.mechanism", "auth.temporary", "tls.required", "sender.account_blocked"),
        *("sender.quota", "sender.reputation", "sender.ip_identity"),
        *("rate.limited", "server.error", "conn.lost"),
    }
)
# To wait for these takes hours, whatever the code, and each try may count.
LASTING: Final = frozenset({"sender.quota", "sender.account_blocked"})


@dataclass(frozen=True, slots=True)
class Terms:
    """How many connections at most, how many messages a second, how long until the next try."""

    connections: int = CONNECTIONS
    rate: float | None = None  # messages a second
    pauses: tuple[float, ...] = PAUSES
    reopen: tuple[float, ...] = REOPEN
    first: int = FIRST  # connections at once; more, where that does not do


@dataclass(frozen=True, slots=True)
class _Flight:
    """One message in the hands of one connection."""

    job: Job
    tried: list[str]
    carried: asyncio.Future[Carried]


class Crew:
    """The owner of the connections."""

    def __init__(self, desk: Desk, door: Door, terms: Terms) -> None:
        self._desk = desk
        self._door = door
        self._terms = terms
        self._busy: set[Carrier] = set()
        self._alive = 0  # connections that work, or are being opened again
        self._turn = asyncio.Lock()  # of the connection whose message goes next, where they wait
        self._slot = 0.0  # when the rate lets the next message go
        self._rest = 0.0  # until when no message goes
        self._taken = False  # the server has taken a message of this run
        self._refused = 0  # messages refused for what we are, since it took one or we rested
        self._rests = 0  # since it took one
        self.opened = 0
        self.stopped: NetworkFailure | Refused | None = None

    async def run(self) -> None:
        """Until everything is handed in or given up."""
        job = await self._desk.take()
        if job is None:
            return
        self._desk.put_back(job, first=True)
        try:
            carrier = await self._open()
        except (NetworkFailure, Refused) as error:
            self._end(error)
            return
        self._alive = 1
        sweeper = asyncio.create_task(self._sweep())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work(carrier))
                group.create_task(self._grow(group))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            sweeper.cancel()

    def stop(self) -> None:
        """Take no more; what is under way may still be answered, for some seconds."""
        self._desk.close()
        asyncio.get_running_loop().call_later(LAST_WORDS, self._hang_up)

    @property
    def _needed(self) -> int:
        """Connections that the rate can keep at work: servers hang up on those that idle."""
        terms = self._terms
        most = math.inf if terms.rate is None else math.ceil(terms.rate * AT_WORK)
        return int(min(terms.connections, most))

    @property
    def busy(self) -> bool:
        """Whether a connection stands."""
        return bool(self._busy)

    def _hang_up(self) -> None:
        for carrier in list(self._busy):
            carrier.abort(NetworkFailure(Failure.CLOSED, Stage.ANY))

    def _end(self, error: NetworkFailure | Refused) -> None:
        self.stopped = self.stopped or error
        self._desk.close()

    # -- connections

    async def _open(self, *, again: bool = False) -> Carrier:
        carrier = await self._door.open(again=again)
        self.opened += 1
        return carrier

    async def _grow(self, group: asyncio.TaskGroup) -> None:
        """The other connections: some at once, then twice as many while the work lasts."""
        most, there, more = self._needed, 1, self._terms.first - 1
        while there < most:
            more = min(more, most - there)
            for _ in range(more):
                group.create_task(self._join())
            there = more = there + more
            if not await self._desk.lasts(LONG):
                return

    async def _join(self) -> None:
        """One connection more, if there is work for it and the server takes it."""
        job = await self._desk.take()
        if job is None:
            return
        self._desk.put_back(job, first=True)
        self._alive += 1
        try:
            carrier = await self._open()
        except (NetworkFailure, Refused):  # the others go on: servers limit connections
            self._alive -= 1
            return
        await self._work(carrier)

    async def _work(self, first: Carrier) -> None:
        """Hand in over this connection, and over those that come after it."""
        carrier: Carrier | None = first
        fruitless = 0  # connections in a row on which nothing was answered
        while carrier is not None:
            self._busy.add(carrier)
            try:
                over, answered = await self._use(carrier)
            finally:
                self._busy.discard(carrier)
                carrier.quit()
            if over:
                break
            fruitless = 0 if answered else fruitless + 1
            why = carrier.failure or NetworkFailure(Failure.CLOSED, Stage.ANY)
            carrier = await self._reopen(fruitless, why)
        self._alive -= 1

    async def _reopen(self, tries: int, why: NetworkFailure | Refused) -> Carrier | None:
        """In the place of a connection that is gone; None where it can't be had."""
        for seconds in self._terms.reopen[tries:]:
            if seconds:
                await self._desk.pause(seconds)
            if self._desk.closed:
                return None
            try:
                return await self._open(again=True)
            except (NetworkFailure, Refused) as error:
                why = error
                if self._alive > 1:  # enough others
                    return None
                if isinstance(error, Refused) and error.stage is Stage.AUTH:
                    break
        if self._alive == 1:
            self._end(why)
        return None

    async def _sweep(self) -> None:
        """A connection that hangs is ended (the time-outs of RFC 5321 section 4.5.3.2)."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            for carrier in list(self._busy):
                late = carrier.deadline < loop.time() or carrier.vanished
                if late and carrier.room < 2:
                    carrier.abort(NetworkFailure(Failure.SILENT, Stage.ANY))

    # -- messages

    async def _use(self, carrier: Carrier) -> tuple[bool, bool]:
        """Until there is no work (True), or the connection is no good any more (False).

        Also whether anything was answered on it.
        """
        most = session_limits(carrier.extensions).mail_max
        flights: deque[_Flight] = deque()
        given, answered = 0, False
        while True:
            while carrier.failure is None and (most is None or given < most):
                flight = await self._next(carrier, len(flights))
                if flight is None:
                    break
                flights.append(flight)
                given += 1
            if flights:
                answered = await self._land(flights.popleft(), carrier) or answered
            elif carrier.failure is not None or given == most:
                return False, answered
            elif not await self._desk.work():
                return True, answered

    async def _next(self, carrier: Carrier, under_way: int) -> _Flight | None:
        """One more message on its way, if there is one and it may go now."""
        ahead = 1 if self._terms.rate is not None else 2
        while under_way < ahead and carrier.room:
            job = await self._desk.take()
            if job is None:
                return None
            if not await self._may_go(carrier):
                self._desk.put_back(job, first=True)
                return None
            try:
                return self._start(carrier, job, fitted(job.message, carrier.extensions))
            except Unusable as problem:
                self._desk.finish(job, problem)
        return None

    def _start(self, carrier: Carrier, job: Job, message: Message) -> _Flight | None:
        offered = carrier.extensions
        params: dict[str, str | None] = {}
        if "SIZE" in offered:
            params["SIZE"] = str(message.size)
        if message.eight_bit:
            params["BODY"] = "8BITMIME"
        if message.utf8:
            params["SMTPUTF8"] = None
        tried = job.left[: min(session_limits(offered).rcpt_max or RECIPIENTS, RECIPIENTS)]
        if not self._desk.under_way(job):
            self._desk.put_back(job, first=True)
            return None
        carried = carrier.carry(
            c.Mail(message.sender, params), [c.Rcpt(one) for one in tried], message.content
        )
        return _Flight(job, tried, carried)

    async def _land(self, flight: _Flight, carrier: Carrier) -> bool:
        carried = await flight.carried
        found = self._desk.settle(
            flight.job,
            flight.tried,
            carried,
            host=self._door.place.host,
            peer=carrier.peer,
            used=carrier.carried > 1,
        )
        self._judge(carried, found)
        return bool(carried.replies)

    def _judge(self, carried: Carried, found: Mapping[str, Outcome]) -> None:
        """Whether it makes sense to go on: at all, or now."""
        if any(one.result is Result.DELIVERED for one in found.values()):
            self._taken, self._refused, self._rests = True, 0, 0
            return
        now = asyncio.get_running_loop().time()
        against = [one for one in found.values() if one.code and self._about_us(one)]
        if not against or now < self._rest:  # what was under way is answered like that, too
            return
        self._refused += 1
        if self._refused < HOPELESS:
            return
        last, pauses = against[-1], self._terms.pauses
        if last.code >= 500 or last.cause in LASTING or self._rests >= len(pauses):
            self._end(Refused(*carried.replies[last.recipient]))
            return
        self._rest = now + pauses[self._rests]
        self._refused, self._rests = 0, self._rests + 1

    def _about_us(self, outcome: Outcome) -> bool:
        """Whether it is no answer to this message: the next one would hear the same.

        MAIL names no recipient yet; but where others were taken, it may be about that sender.
        """
        early = outcome.stage is Stage.MAIL or outcome.cause == "relay.denied"
        return outcome.cause in ABOUT_US or (early and not self._taken)

    async def _may_go(self, carrier: Carrier) -> bool:
        """Wait until the rate, or a rest, lets a message go; False where this one can't any more.

        Who lost the connection meanwhile has used nothing up: the next in line goes instead.
        """
        clock, rate = asyncio.get_running_loop().time, self._terms.rate
        if rate is not None or self._rest > clock():
            async with self._turn:
                now = clock()
                begin = max(now, self._slot, self._rest)
                if begin > now:
                    await self._desk.pause(begin - now)
                if rate is not None and self._usable(carrier):
                    self._slot = begin + 1 / rate
        return self._usable(carrier)

    def _usable(self, carrier: Carrier) -> bool:
        return not self._desk.closed and carrier.failure is None
