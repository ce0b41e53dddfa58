"""What is to be handed in next, and what became of it.

Enters: drafts, one at a time as they are needed; how each try went. Leaves: jobs to try, and a
``Done`` for each message that is over. The owner of all messages that were read and are not over.
Called by ``crew``, which has the connections. Raises nothing: where the journal can't be written,
the results can't be told or the input can't be read, it is closed, and ``error`` says why. What is
under way is still answered, noted and told then.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final

from posthouse.letter import Outcome, Result
from posthouse.net.smtp_work import Carried
from posthouse.send.client.compose import compose
from posthouse.send.client.facts import Done, Draft, Envelope, Message, Unusable
from posthouse.send.client.journal import Book, JournalError
from posthouse.send.client.outcomes import TOO_MANY, outcomes_of

HELD: Final = 64_000_000  # octets of messages that wait for a further try: then no new ones
HELD_MESSAGES: Final = 1_000
SKIPPED: Final = 200  # drafts passed over before other tasks get their turn


@dataclass(slots=True)
class Job:
    """One message on its way."""

    message: Message
    left: list[str]  # recipients to be tried now
    later: list[str] = field(default_factory=list)  # those deferred in this round
    tries: int = 0
    unsure: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)


class Desk:
    """See the module. ``now`` is the wall clock; pauses go by the loop's."""

    def __init__(
        self,
        drafts: Iterator[Draft],
        said: Envelope,
        book: Book,
        report: Callable[[Done], None],
        waiting: Callable[[int], None],
        *,
        pauses: Sequence[float],
        now: Callable[[], datetime],
        rng: random.Random,
    ) -> None:
        self._drafts = drafts
        self._said = said
        self._book = book
        self._teller = report
        self._tell_waiting = waiting
        self._pauses = pauses
        self._now = now
        self._rng = rng
        self._ready: deque[Job] = deque()
        self._waiting: list[tuple[float, int, Job]] = []  # a heap, by the time of the next try
        self._number = count()
        self._held = 0  # octets in both
        self._seen: set[bytes] = set()  # keys of this run
        self._all_read = False
        self._wake = asyncio.Event()
        self.flying = 0  # jobs in the hands of connections
        self.handed = 0  # of those, messages whose content may be on its way
        self.closed = False  # no more is handed out
        self.error: Exception | None = None  # what we could not do, and closed for
        self.unnoted = 0  # messages that were taken, which the journal does not say

    # -- what comes next

    async def take(self) -> Job | None:
        """The next job to be tried now, if there is one."""
        while not self.closed:
            if self._waiting and self._waiting[0][0] <= asyncio.get_running_loop().time():
                job = heapq.heappop(self._waiting)[2]
                self._tell_waiting(len(self._waiting))
                return self._out(job)
            if self._ready:
                return self._out(self._ready.popleft())
            full = self._held > HELD or len(self._waiting) > HELD_MESSAGES
            if self._all_read or full:
                return None
            fresh = self._read()
            if fresh is not None:
                self.flying += 1
                return fresh
            await asyncio.sleep(0)
        return None

    def put_back(self, job: Job, *, first: bool = False) -> None:
        """It is to be tried again at once; that was no try."""
        self.flying -= 1
        self._held += len(job.message.content)
        if first:
            self._ready.appendleft(job)
        else:
            self._ready.append(job)
        self.ring()

    async def work(self) -> bool:
        """Wait until there may be something to do; False where there never will be."""
        if self._is_over:
            return False
        due = None
        if self._waiting:
            due = max(0.0, self._waiting[0][0] - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(due):
                await self._wake.wait()
        except TimeoutError:
            pass
        return True

    async def lasts(self, seconds: float) -> bool:
        """Whether there is work still after so long; False as soon as there is none any more."""
        return not await self._comes(lambda: self._is_over, seconds)

    @property
    def _is_over(self) -> bool:
        under_way = self.flying or self._waiting or self._ready
        return self.closed or (self._all_read and not under_way)

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until there is no work any more."""
        await self._comes(lambda: self.closed, seconds)

    async def _comes(self, end: Callable[[], bool], seconds: float) -> bool:
        """Whether the ``end`` comes before so long."""
        try:
            async with asyncio.timeout(seconds):
                while not end():
                    await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Hand out no more."""
        self.closed = True
        self.ring()

    def fail(self, error: Exception) -> None:
        """Hand out no more. Of all that went wrong, what the journal misses matters most."""
        if self.error is None or isinstance(error, JournalError):
            self.error = error
        self.close()

    def ring(self) -> None:
        """Wake whoever waits."""
        self._wake.set()
        self._wake.clear()

    def _out(self, job: Job) -> Job:
        self._held -= len(job.message.content)
        self.flying += 1
        return job

    def _read(self) -> Job | None:
        """A new job; None where many drafts were passed over, all are read, or none can be."""
        try:
            return self._next()
        except Exception as error:
            self.fail(error)
            return None

    def _next(self) -> Job | None:
        for _ in range(SKIPPED):
            draft = next(self._drafts, None)
            if draft is None:
                self._all_read = True
                self.ring()
                return None
            try:
                message = compose(draft, self._said, self._now())
            except Unusable as problem:
                self._report(Done(draft.where, problem=problem))
                continue
            job = self._known(message)
            if job is not None:
                return job
        return None

    def _known(self, message: Message) -> Job | None:
        """None where this run has had the message already, or an earlier one has sent it."""
        key, twice = bytes.fromhex(message.key), False
        has = self._book.sent_to(message.key)
        left = [] if has is None else [one for one in message.recipients if one not in has]
        if key in self._seen:
            twice = True
        self._seen.add(key)
        if left and not twice:
            return Job(message, left, unsure=self._book.doubtful(message.key))
        names = (message.where, message.key, message.message_id)
        self._report(Done(*names, before=not twice, twice=twice))
        return None

    # -- what became of it

    def under_way(self, job: Job) -> bool:
        """Its content may go out from now on; False: it may not."""
        try:
            self._book.under_way(job.message.key)
        except JournalError as error:
            self.fail(error)
            return False
        self.handed += 1
        return True

    def settle(
        self, job: Job, tried: Sequence[str], carried: Carried, *, host: str, peer: str, used: bool
    ) -> dict[str, Outcome]:
        """One try is over: how. ``used``: the connection that broke had carried others before."""
        self.handed -= 1
        found = outcomes_of(tried, carried, host, peer)
        taken = [r for r in tried if found[r].result is Result.DELIVERED]
        deferred = [r for r in tried if found[r].result is Result.DEFERRED]
        gone = set(tried)
        job.left = [r for r in job.left if r not in gone]
        job.outcomes |= found
        job.unsure = job.unsure or carried.unsure
        if carried.failure is not None and not carried.unsure and used and not taken:
            job.left += deferred  # the connection had its time: that says nothing of the message
        else:
            for one in deferred:
                # Too many recipients at once (RFC 5321 section 4.5.3.1.10).
                more = taken and found[one].cause == TOO_MANY
                (job.left if more else job.later).append(one)
        self._note(job, taken, found, unsure=carried.unsure)
        if job.left:
            self.put_back(job)
        elif job.later:
            self._again(job)
        else:
            self.finish(job)
        return found

    def _note(
        self, job: Job, taken: Sequence[str], found: dict[str, Outcome], *, unsure: bool
    ) -> None:
        try:
            if taken:
                said = found[taken[0]]
                text = " ".join(f"{said.code} {said.enhanced} {said.text}".split())
                last = not job.left and not job.later and _nobody_refused(job)
                self._book.sent(job.message.key, taken, last=last, said=text)
            elif not unsure:
                self._book.ended(job.message.key)
        except JournalError as error:
            self.unnoted += bool(taken)
            self.fail(error)

    def _again(self, job: Job) -> None:
        """Later, if it was not tried often enough."""
        if job.tries >= len(self._pauses) or self.closed:
            self.finish(job)
            return
        self.flying -= 1
        self._held += len(job.message.content)
        seconds = self._pauses[job.tries] * self._rng.uniform(0.8, 1.2)
        job.tries += 1
        job.left, job.later = job.later, []
        due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._waiting, (due, next(self._number), job))
        self._tell_waiting(len(self._waiting))
        self.ring()

    def finish(self, job: Job, problem: Unusable | None = None) -> None:
        """It is over, as it is."""
        self.flying -= 1
        self._tell(job, problem)
        self.ring()

    def _tell(self, job: Job, problem: Unusable | None = None) -> None:
        names = (job.message.where, job.message.key, job.message.message_id)
        outcomes = tuple(job.outcomes.values())
        self._report(Done(*names, outcomes, problem, unsure=job.unsure))

    def _report(self, done: Done) -> None:
        try:
            self._teller(done)
        except Exception as error:
            self.fail(error)

    def give_up(self) -> int:
        """At an early end: tell of what was tried; how many were read and not tried at all."""
        jobs = [*self._ready, *(job for _, _, job in self._waiting)]
        for job in jobs:
            if job.outcomes:
                self._tell(job)
        self._tell_waiting(0)
        return sum(not job.outcomes for job in jobs)

    @property
    def all_read(self) -> bool:
        """Whether the input has come to its end."""
        return self._all_read


def _nobody_refused(job: Job) -> bool:
    return all(outcome.result is Result.DELIVERED for outcome in job.outcomes.values())
