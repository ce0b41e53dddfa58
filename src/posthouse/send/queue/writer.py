"""The one thread that writes: it takes all that waits and commits it as one transaction.

Enters: jobs of whatever kind the ``commit`` it was given understands. Leaves: their results, after
the commit is on the disk (SQLite, synchronous=FULL). Called by ``lane`` from the event loop, which
never waits for a disk. A busy queue makes large batches by itself, a quiet one commits at once;
jobs that nobody waits for (a delivery is recorded) ride with the next, or go after ``PATIENCE``.

What can fail: a database error (disk full, damaged file) takes the whole batch with it as
StoreError: nothing of it was written, and nothing of it may be acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

from posthouse.letter import StoreError

J = TypeVar("J")
Commit = Callable[[sqlite3.Connection, Sequence[J]], Sequence[Any]]
BATCH: Final = 500  # jobs in one transaction; more only makes the first of them wait longer
PATIENCE: Final = 0.01  # seconds: a kill within them repeats deliveries, so they are few


class Writer(Generic[J]):
    """The owner of the connection that writes. ``commit`` writes a batch; it gives each result."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], commit: Commit[J]) -> None:
        self._connect = connect
        self._commit_batch = commit
        self._jobs: deque[tuple[J, asyncio.Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._urgent = 0  # jobs that somebody waits for
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="queue writer", daemon=True)
        self._ready: Future[None] = Future()
        self.commits = 0
        self.jobs = 0

    async def start(self) -> None:
        """Open the store. Raises StoreError where it can't be opened."""
        self._thread.start()
        await asyncio.wrap_future(self._ready)

    def submit(self, job: J, *, urgent: bool = True) -> asyncio.Future[Any]:
        """Queue a job; the future is done after its commit."""
        future: asyncio.Future[Any] = self._loop.create_future()
        with self._wake:
            if self._closing:
                future.set_exception(StoreError("the queue is closed"))
                return future
            self._jobs.append((job, future))
            self._urgent += urgent
            if self._urgent == 1 or len(self._jobs) == 1:
                self._wake.notify()
        return future

    async def close(self) -> None:
        """Write what waits and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    # -- in the thread

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # whatever it is, whoever starts us must not wait for ever
            self._ready.set_exception(StoreError(str(error)))
            return
        self._ready.set_result(None)
        try:
            while batch := self._take():
                self._commit(connection, batch)
        finally:
            connection.close()

    def _take(self) -> list[tuple[J, asyncio.Future[Any]]]:
        with self._wake:
            while not self._jobs and not self._closing:
                self._wake.wait()
            if not self._urgent and not self._closing:
                self._wake.wait(PATIENCE)
            taken = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
            if not self._jobs:
                self._urgent = 0
            return taken

    def _commit(
        self, connection: sqlite3.Connection, batch: list[tuple[J, asyncio.Future[Any]]]
    ) -> None:
        failure: StoreError | None = None
        results: Sequence[Any] = ()
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = self._commit_batch(connection, [job for job, _ in batch])
            connection.execute("COMMIT")
            self.commits += 1
            self.jobs += len(batch)
        except Exception as error:  # whatever it is, nothing was kept: whoever waits must know
            with contextlib.suppress(sqlite3.Error):  # a full disk ends the transaction by itself
                connection.rollback()
            failure = StoreError(str(error))
        futures = [future for _, future in batch]
        self._loop.call_soon_threadsafe(_resolve, futures, results, failure)


def _resolve(
    futures: Sequence[asyncio.Future[Any]], results: Sequence[Any], failure: StoreError | None
) -> None:
    for n, future in enumerate(futures):
        if future.cancelled():
            continue
        if failure is None:
            future.set_result(results[n])
        else:
            future.set_exception(failure)
