"""A resolver that asks each question once, no more than so many, and not after the time is over.

Enters: a resolver, a number of questions, a time. Leaves: answers, shared by everybody who asks the
same; ``Usage``; and every answer so far, as evidence. The owner of one audit's questions. What
may no longer be asked gets an answer that says so, so that whoever asked ends by itself with
"unknown". Nothing fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

from posthouse.net.resolver import Resolver
from posthouse.protocol.dns import Answer, AnswerStatus
from posthouse.protocol.host import HostError, to_ascii
from posthouse.setup.domain.model import Usage

T = TypeVar("T")

SERVER: Final = "budget"  # who "answered" what was not asked
Key = tuple[str, str]


class Budget:
    """A ``Resolver`` for one audit."""

    def __init__(self, resolver: Resolver, *, limit: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._resolver = resolver
        self._limit = limit
        self._until = loop.time() + seconds
        self._known: dict[Key, Answer] = {}
        self._flights: dict[Key, asyncio.Task[Answer]] = {}
        self._asked = 0
        self._cached = 0
        self._refused = 0
        self._over = False
        self._alarm = loop.call_later(seconds, self._end)

    async def ask(self, name: str, type: str) -> Answer:
        """The answer; REFUSED by "budget" where the budget is used up, TIMEOUT after the end."""
        key = _key(name, type)
        begun = self._start(key)
        return begun if isinstance(begun, Answer) else await self._wait(key, begun)

    async def ask_all(self, questions: Iterable[tuple[str, str]]) -> list[Answer]:
        """Many questions at once; the answers in their order."""
        keys = [_key(*question) for question in questions]
        begun = [(key, self._start(key)) for key in keys]
        return [
            one if isinstance(one, Answer) else await self._wait(key, one) for key, one in begun
        ]

    async def _wait(self, key: Key, flight: asyncio.Task[Answer]) -> Answer:
        """For an answer that others may wait for as well."""
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            if self._over and flight.cancelled():  # given up before it had begun
                return Answer(*key, AnswerStatus.TIMEOUT, server=SERVER)
            raise

    def _start(self, key: Key) -> Answer | asyncio.Task[Answer]:
        known = self._known.get(key) or self._flights.get(key)
        if known is not None:
            self._cached += 1
            return known
        if self._over or self._asked >= self._limit:
            self._refused += 1
            status = AnswerStatus.TIMEOUT if self._over else AnswerStatus.REFUSED
            return Answer(*key, status, server=SERVER)
        self._asked += 1
        flight = self._flights[key] = asyncio.create_task(self._fetch(key))
        return flight

    async def _fetch(self, key: Key) -> Answer:
        try:
            answer = await self._resolver.ask(*key)
        except asyncio.CancelledError:
            if not self._over:
                raise
            self._refused += 1
            answer = Answer(*key, AnswerStatus.TIMEOUT, server=SERVER)
        self._known[key] = answer
        self._flights.pop(key, None)
        return answer

    def _end(self) -> None:
        """The time is over: what is on the way is given up, and whoever waits is told."""
        self._over = True
        for flight in list(self._flights.values()):
            flight.cancel()

    def known(self, name: str, type_: str) -> Answer | None:
        """What has been answered; None where nobody asked, or no answer has come yet."""
        return self._known.get(_key(name, type_))

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return max(0.0, self._until - asyncio.get_running_loop().time())

    @property
    def usage(self) -> Usage:
        """What has been spent."""
        return Usage(self._asked, self._cached, self._refused, self._limit)

    async def close(self) -> None:
        """Give up what is still on the way."""
        self._alarm.cancel()
        self._over = False
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


class Patient:
    """The same resolver, for somebody who has no more than ``seconds`` for all questions."""

    def __init__(self, resolver: Resolver, seconds: float) -> None:
        self._resolver = resolver
        self._until = asyncio.get_running_loop().time() + seconds

    async def ask(self, name: str, type: str) -> Answer:
        """The answer, or TIMEOUT. The question itself goes on for others who asked it."""
        try:
            async with asyncio.timeout_at(self._until):
                return await self._resolver.ask(name, type)
        except TimeoutError:
            return Answer(name, type, AnswerStatus.TIMEOUT)


class Shared:
    """What several checks need and one of them works out, whoever comes first."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def once(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """The result of ``make``, called by the first who asks for ``key``."""

        async def call() -> T:
            return await make()

        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(call())
        made: T = task.result() if task.done() else await asyncio.shield(task)
        return made

    async def close(self) -> None:
        """End what still runs."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(name: str, type_: str) -> Key:
    plain = name.strip().rstrip(".").lower()
    if not plain.isascii():
        with suppress(HostError):
            plain = to_ascii(plain)
    return plain, type_.upper()
