"""The one thread that writes: it takes all that waits and commits it as one transaction.

Enters: jobs of whatever kind the ``Store`` it was given understands, each with its result. Leaves:
those results, after the commit is on the disk (SQLite, synchronous=FULL). Called by ``lane`` from
the event loop, which never waits for a disk. A job says how long it may wait for others, to share a
transaction with them: as a rule not at all, then it goes at the end of this turn of the loop, and
all that waits goes with it.

What can fail: a database error (disk full, damaged file) takes the whole batch with it as
StoreError: nothing of it was written, and nothing of it may be acknowledged.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from posthouse.letter import StoreError

BATCH: Final = 500  # jobs in one transaction; more only makes the first of them wait longer
OCTETS: Final = 32 * 1024 * 1024  # in one, but for a job that alone has more: they are in memory


class Sized(Protocol):
    """A job."""

    @property
    def octets(self) -> int:
        """How large it is."""
        ...


J = TypeVar("J", bound=Sized)
J_contra = TypeVar("J_contra", bound=Sized, contravariant=True)
T = TypeVar("T")


class Store(Protocol[J_contra]):
    """Where a batch goes."""

    def commit(self, jobs: Sequence[J_contra], /) -> int:
        """Write all of them or none, and give a number for all. Raises what it likes."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Written(Protocol[J_contra]):
    """Who is told of a batch in the loop, before its jobs' futures are done."""

    def __call__(
        self, jobs: Sequence[J_contra], number: int, failure: StoreError | None, /
    ) -> None:
        """``number`` is what the store gave."""
        ...


class _Submitted(NamedTuple, Generic[J]):
    job: J
    future: asyncio.Future[Any]
    result: Any


class Writer(Generic[J]):
    """The owner of the thread. ``connect`` is called in it."""

    def __init__(self, connect: Callable[[], Store[J]], written: Written[J]) -> None:
        self._connect = connect
        self._written = written
        self._held: list[_Submitted[J]] = []  # until the first of them can wait no longer
        self._handing = False  # over, at the end of this turn
        self._due = 0.0  # when the first of them must go, in the loop's time
        self._timer: asyncio.Handle | None = None
        self._wakes = 0.0  # when the timer ends
        self._closing = False
        self._handed: SimpleQueue[list[_Submitted[J]]] = SimpleQueue()
        self._waiting: deque[_Submitted[J]] = deque()  # the thread's own
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="queue writer", daemon=True)
        self._ready: Future[None] = Future()
        self.commits = 0
        self.jobs = 0

    async def start(self) -> None:
        """Open the store. Raises StoreError where it can't be opened."""
        self._thread.start()
        await asyncio.wrap_future(self._ready)

    def submit(self, job: J, result: T, *, within: float = 0.0) -> asyncio.Future[T]:
        """Queue a job; the future has its result after its commit.

        It goes to the disk at once, or with others that come ``within`` so many seconds. It is
        written all the same where the future is cancelled.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._held.append(_Submitted(job, future, result))
        if self._closing:
            self._refuse()
        elif within <= 0:
            if not self._handing:
                self._handing = True
                self._loop.call_soon(self._hand_over)
        elif not self._handing:
            self._hold(within)
        return future

    def _hold(self, within: float) -> None:
        due = self._loop.time() + within
        if len(self._held) == 1 or due < self._due:
            self._due = due
        if self._timer is not None and self._wakes > due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._wake(within)

    def _wake(self, seconds: float) -> None:
        self._wakes = self._loop.time() + seconds
        self._timer = self._loop.call_later(seconds, self._enough)

    async def close(self) -> None:
        """Write what waits and end the thread."""
        self._hand_over()
        self._closing = True
        self._handed.put([])  # it may sleep
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        self._handing = False
        if self._held:
            self._handed.put(self._held)
            self._held = []

    def _enough(self) -> None:
        """It is not stopped each time something goes earlier, so what is held may be younger."""
        self._timer = None
        if self._held:
            rest = self._due - self._loop.time()
            if rest > 0:
                self._wake(rest)
            else:
                self._hand_over()

    def _refuse(self) -> None:
        late, self._held = self._held, []
        self._resolve(late, 0, StoreError("the queue is closed"))

    def _resolve(
        self, batch: Sequence[_Submitted[J]], number: int, failure: StoreError | None
    ) -> None:
        self._written([one.job for one in batch], number, failure)
        for _, future, result in batch:
            if future.cancelled():
                continue
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)

    # -- in the thread

    def _run(self) -> None:
        try:
            store = self._connect()
        except Exception as error:  # whatever it is, whoever starts us must not wait for ever
            self._ready.set_exception(StoreError(str(error)))
            return
        self._ready.set_result(None)
        try:
            while batch := self._take():
                self._commit(store, batch)
        finally:
            store.close()

    def _take(self) -> list[_Submitted[J]]:
        """The next batch; nothing at the end."""
        waiting, handed = self._waiting, self._handed
        if not waiting and not (self._closing and handed.empty()):
            waiting += handed.get()
        while not handed.empty():
            waiting += handed.get()
        batch: list[_Submitted[J]] = []
        octets = 0
        while waiting and len(batch) < BATCH:
            octets += waiting[0].job.octets
            if batch and octets > OCTETS:
                break
            batch.append(waiting.popleft())
        return batch

    def _commit(self, store: Store[J], batch: list[_Submitted[J]]) -> None:
        number, failure = 0, None
        try:
            number = store.commit([one.job for one in batch])
            self.commits += 1
            self.jobs += len(batch)
        except Exception as error:  # whatever it is, nothing was kept: whoever waits must know
            failure = StoreError(str(error))
        self._loop.call_soon_threadsafe(self._resolve, batch, number, failure)
