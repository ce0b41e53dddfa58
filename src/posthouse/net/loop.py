"""The event loop of what must be quick: the relay's workers, and ``send``. Who hears of bugs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, in uvloop where it is installed (not on Windows).

    In the relay plain asyncio reaches about 60 % of it, and a third of the time of one message
    that ``send`` hands in is the loop's.
    """
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def tell(message: str, error: BaseException) -> None:
    """What went wrong and nobody waits for: the loop's handler hears of it, and so the log."""
    told = {"message": message, "exception": error}
    asyncio.get_running_loop().call_exception_handler(told)
