"""Run any of the async fakes in a thread of its own, for tests that start whole commands.

``with running(FakeDns({...})) as dns: subprocess.run(...)``
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def running(fake: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter ``fake`` in a loop and thread of its own; end all of it with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=f"fake {type(fake).__name__}")
    thread.start()
    try:
        value = asyncio.run_coroutine_threadsafe(fake.__aenter__(), loop).result(10)
        try:
            yield value
        finally:
            leave = fake.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(leave, loop).result(10)
            asyncio.run_coroutine_threadsafe(_end_all(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end_all() -> None:
    """What a fake has left open ends while its loop can still do that, as by ``asyncio.run``."""
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
