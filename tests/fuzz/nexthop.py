"""Targets that play a wrong next hop against ``Pool`` and ``Carrier``; see ``wronghop``.

``_judged`` holds what was reported against what the hop got and said.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fuzz.witness import Content
from fuzz.wronghop import FakeHop, HopLoop, Play
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp import command as c
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.transaction import Task, Transaction, Way, as_it_is, recipients_of
from posthouse.send.hop import Hop

TASKS = 6
LONGEST = 7_200.0  # seconds of the hop's time: each of the six may meet one silence of 600
HELLO = 60.0  # seconds for greeting and EHLO, as the connector has it

_WIRE = b"Subject: %d\r\n\r\nhello %d\r\n..a dot\r\n"
_BINARY = b"Subject: %d\r\n\r\n\0\n.\n\xff\r\n.\r\nMAIL FROM:<t%d@d.example>\r\n"
_NUMBERS = range(TASKS)
_CONTENTS = {n: Content(_WIRE % (n, n), _BINARY % (n, n)) for n in _NUMBERS}


def _task(number: int) -> Task:
    names = (f"a{number}@e.example", f"b{number}@e.example")[: 1 + number % 2]
    recipients = tuple([Recipient(name) for name in names])
    letter = Letter(str(number), f"t{number}@d.example", recipients, _CONTENTS[number].wire, 0.0)
    items = [Item(n, str(n), one, State.READY) for n, one in enumerate(recipients)]
    return Task(letter, tuple(items))


_TASKS = [_task(number) for number in _NUMBERS]


def _prepared(task: Task, extensions: Mapping[str, str], *, binary: bool = False) -> Transaction:
    """Each third goes as BINARYMIME where it may."""
    number = int(task.letter.id)
    if number % 3 == 2 and {"8BITMIME", "BINARYMIME", "CHUNKING"} <= set(extensions):
        mail = c.Mail(task.letter.sender, {"BODY": "BINARYMIME"})
        return Transaction(
            mail,
            recipients_of(task, extensions, utf8="SMTPUTF8" in mail.params),
            _CONTENTS[number].binary,
        )
    return as_it_is(task, extensions, binary=binary)


def _played(data: bytes, work: Callable[[HopLoop], Coroutine[Any, Any, None]]) -> None:
    loop = HopLoop(Play(data), _CONTENTS)
    try:
        loop.run_until_complete(work(loop))
        for problem in loop.problems:
            raise problem if isinstance(problem, BaseException) else AssertionError(problem)
        left = [task.get_coro() for task in asyncio.all_tasks(loop)]
        assert not left, left
        assert all(hop.is_closing() for hop in loop.hops.values()), "a connection was left open"
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def _connected(loop: HopLoop) -> Carrier:
    carrier = Carrier(lmtp=loop.play.lmtp)
    try:
        async with asyncio.timeout(HELLO):
            await carrier.open("192.0.2.1", 25)
            await carrier.hello("relay.test")
    except TimeoutError:
        carrier.abort(NetworkFailure(Failure.SILENT, Stage.EHLO))
        raise NetworkFailure(Failure.SILENT, Stage.EHLO) from None
    except BaseException:
        carrier.abort(NetworkFailure(Failure.CLOSED, Stage.ANY))
        raise
    return carrier


def _judged(loop: HopLoop, task: Task, carried: Carried, carrier: Carrier | None) -> None:
    """What is told is what happened."""
    book, number = loop.book, int(task.letter.id)
    delivered = set()
    for recipient, (stage, reply) in carried.replies.items():
        told = (stage.value, reply.code)
        assert recipient in task.recipients
        known = {(number, "", *told), (number, recipient, *told)} & book.said
        assert known or told in book.opening, f"nobody said {told} of {number}"
        if reply.is_success:
            delivered.add((number, recipient))
            assert stage is Stage.DATA, f"delivered at {stage}"
    assert delivered == {one for one in book.taken if one[0] == number}
    missing = set(task.recipients) - set(carried.replies)
    assert carried.failure or not missing, f"no word of {missing}"
    unsure = carried.failure is not None and number in book.whole
    assert carried.unsure is unsure, f"{number} is told as {carried.unsure=}"
    if carrier is not None and carried.failure is not None:
        silent = carried.failure.failure is Failure.SILENT
        assert not silent or loop.hops[carrier].witness.owed, "the hop had answered everything"


def _was_no_try(hop: FakeHop, carried: Carried) -> bool:
    """The server was tired of a connection that had carried others."""
    if hop.witness.begun < 2 or carried.unsure:
        return False
    if carried.replies:
        said = [(stage, reply.code) for stage, reply in carried.replies.values()]
        return set(said) == {(Stage.MAIL, 421)}
    kind = carried.failure and carried.failure.failure
    return kind in (Failure.CLOSED, Failure.RESET)


def next_hop(data: bytes) -> None:
    """The pool tells of each task once, and nothing but what happened."""
    _played(data, _pooled)


async def _pooled(loop: HopLoop) -> None:
    play, reported = loop.play, []

    def report(task: Task, carried: Carried, carrier: Carrier | None) -> None:
        reported.append(task.letter.id)
        _judged(loop, task, carried, carrier)
        assert carrier is None or not _was_no_try(loop.hops[carrier], carried), "that was no try"
        if len(reported) == TASKS:
            loop.over.set()

    hop = Hop("x", pool=play.pool, reuse=play.reuse, interval=play.interval, lmtp=play.lmtp)
    pool = Pool(Way(hop), lambda *_: _connected(loop), report, now=loop.time, prepare=_prepared)
    for task in _TASKS:
        pool.add(task)
        if play.pause:
            await asyncio.sleep(play.pause)
    async with asyncio.timeout(LONGEST):
        await loop.over.wait()
    await pool.close()
    await asyncio.sleep(10.0)
    if not loop.problems:
        assert sorted(reported) == [task.letter.id for task in _TASKS]
        assert all(one.witness.begun <= play.reuse for one in loop.hops.values())
        # Only the end of a try opens more, and a task has two tries at most: see ``_was_gone``.
        assert len(loop.hops) <= play.pool * (2 * TASKS + 1), "connections for nothing"


def two_ahead(data: bytes) -> None:
    """The same of one connection at a time that is given two messages at once."""
    _played(data, _hastened)


async def _hastened(loop: HopLoop) -> None:
    sweeper = asyncio.create_task(_sweep(loop))
    waiting, flights = deque(_TASKS), deque[tuple[Task, asyncio.Future[Carried]]]()
    for last in (False, False, True):
        try:
            carrier = await _connected(loop)
        except (NetworkFailure, Refused):
            continue
        while waiting and (last or carrier.failure is None):
            while waiting and carrier.room:
                task = waiting.popleft()
                ready = _prepared(task, carrier.extensions)
                flights.append((task, carrier.carry(*ready)))
                await asyncio.sleep(loop.play.pause)
            task, done = flights.popleft()
            _judged(loop, task, await done, carrier)
        for task, done in flights:
            _judged(loop, task, await done, carrier)
        flights.clear()
        carrier.quit()
    sweeper.cancel()
    await asyncio.sleep(10.0)


async def _sweep(loop: HopLoop) -> None:
    while True:
        await asyncio.sleep(1.0)
        for carrier in list(loop.hops):
            if isinstance(carrier, Carrier) and carrier.room < 2 and carrier.deadline < loop.time():
                carrier.abort(NetworkFailure(Failure.SILENT, Stage.ANY))


_PIPELINED, _LMTP, _BINARY_TOO, _JOINED, _OLD = 2, 1, 28, 32, 64
_ENDS, _ROUND = 1, 2

SCRIPTS = [
    bytes(head) + script
    for head, script in (
        ((0, 0, 0), b"."),
        ((_PIPELINED, 0, 0), b"......5.......4"),
        ((_PIPELINED | _JOINED, 0, 0), b"........................b"),
        ((_PIPELINED | _JOINED, 1, 0), b"......d.....a"),
        ((_PIPELINED | _JOINED | _BINARY_TOO, 2, _ENDS), b"............C"),
        ((_LMTP | _PIPELINED | _JOINED, 0, 0), b".............5"),
        ((_LMTP | _BINARY_TOO, 8, _ENDS), b"..............................."),
        ((_OLD, 0, 0), b"...p.s..m.u..n"),
        ((_PIPELINED, 0x80, 0), b".....f......b......r"),
        ((0, 0, 0), b"....f"),
        ((_PIPELINED, 0, 0), b"......b"),
        ((_PIPELINED | _JOINED, 0, 0), b"...........c"),
        ((_PIPELINED, 0, _ROUND), b"..f"),
        ((0, 0, 0), b"...453.3"),
        ((_PIPELINED | _JOINED, 0xC0, _ROUND), b".......F"),
        ((_PIPELINED | _JOINED, 0x30, _ROUND), b"............S...g"),
        ((_PIPELINED | _LMTP, 0, _ROUND), b"......5..3.."),
    )
]
