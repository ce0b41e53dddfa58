"""The one thread that writes: it takes all that waits and commits it as one transaction.

Enters: jobs, each a function of the connection. Leaves: their results, after the commit is on the
disk (SQLite, synchronous=FULL). Called by ``lane`` from the event loop, which never waits for a
disk. A busy queue makes large batches by itself, a quiet one commits at once.

What can fail: a job that raises anything but a database error gets its exception, alone, and must
have raised it before its first write. A database error (disk full, damaged file) takes the whole
batch with it as StoreError: nothing of it was written, and nothing of it may be acknowledged.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from posthouse.letter import StoreError

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]
BATCH: Final = 500  # jobs in one transaction; more only makes the first of them wait longer


class Writer:
    """The owner of the connection that writes."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._jobs: deque[tuple[Job, asyncio.Future[Any]]] = deque()
        self._wake = threading.Condition()
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

    def submit(self, job: Job) -> asyncio.Future[Any]:
        """Queue a job; the future is done after its commit."""
        future: asyncio.Future[Any] = self._loop.create_future()
        with self._wake:
            if self._closing:
                future.set_exception(StoreError("the queue is closed"))
                return future
            self._jobs.append((job, future))
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
        except (sqlite3.Error, OSError) as error:
            self._ready.set_exception(StoreError(str(error)))
            return
        self._ready.set_result(None)
        try:
            while batch := self._take():
                self._commit(connection, batch)
        finally:
            connection.close()

    def _take(self) -> list[tuple[Job, asyncio.Future[Any]]]:
        with self._wake:
            while not self._jobs and not self._closing:
                self._wake.wait()
            return [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]

    def _commit(
        self, connection: sqlite3.Connection, batch: list[tuple[Job, asyncio.Future[Any]]]
    ) -> None:
        done: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job, future in batch:
                done.append((future, *_one(connection, job)))
            connection.execute("COMMIT")
            self.commits += 1
            self.jobs += len(batch)
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            failure = StoreError(str(error))
            done = [(future, None, failure) for _, future in batch]
        self._loop.call_soon_threadsafe(_resolve, done)


def _one(connection: sqlite3.Connection, job: Job) -> tuple[Any, BaseException | None]:
    """Run one job. A full disk or a damaged file concerns all; anything else only this one."""
    try:
        return job(connection), None
    except sqlite3.Error:
        raise
    except Exception as error:  # handed to whoever asked
        return None, error


def _resolve(done: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in done:
        if future.cancelled():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
