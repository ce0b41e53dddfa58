"""Whose turn it is on a paced way: one message each interval, whichever process sends it.

Enters: a hop with an ``interval``, the domain where its MX decides, monotonic seconds. Leaves: how
long to wait; 0.0 where the turn is ours, and then it is taken. Called by ``pool``. An interval
begins where the last message was answered: what leaves us 30 s after another may arrive a
millisecond less than that after it, and who has answered one had it before.

The owner of when the last message went: a file a hop, since workers, lanes and the process after a
restart send to the same server. Monotonic time is the same to all processes until the machine
starts anew; what is later than now is from before that, and counts as just now.

``Turns`` are those of all pools of a process, ``Pace`` is one pool's part. Nothing raises: where
the file can't be used, what this process knows holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from posthouse.send.hop import Hop

# A domain is there for one interval, so this many would be as many messages within it.
SIZE_LIMIT: Final = 4 * 1024 * 1024  # octets read of a file


class Turns:
    """See the module. Without a ``folder`` it holds for this process alone."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, dict[str, float]] = {}  # hop -> domain -> when the last one went

    def take(self, hop: Hop, domain: str, now: float) -> float:
        """0.0: the turn is ours. Else seconds to wait, before asking again."""
        return self._ask(hop, domain, now, take=True)

    def left(self, hop: Hop, domain: str, now: float) -> float:
        """Seconds until it may be somebody's turn; nothing is taken."""
        return self._ask(hop, domain, now, take=False)

    def over(self, hop: Hop, domain: str, now: float) -> None:
        """What had the turn is answered, or has failed: the interval begins."""
        self._ask(hop, domain, now, take=True, ours=True)

    def _ask(self, hop: Hop, domain: str, now: float, *, take: bool, ours: bool = False) -> float:
        with contextlib.ExitStack() as stack:
            file = _locked(self._folder, hop.name)
            if file is not None:
                stack.enter_context(file)
                # What we know may be the later: the disk was full.
                known, told = self._known.setdefault(hop.name, {}), _read(file)
                known |= {name: max(known.get(name, at), at) for name, at in told.items()}
            # Later than now is from before the machine was started anew.
            lasts = {name: min(at, now) for name, at in self._known.get(hop.name, {}).items()}
            lasts = {name: at for name, at in lasts.items() if at + hop.interval > now}
            wait = lasts[domain] + hop.interval - now if domain in lasts else 0.0
            if ours or (take and wait == 0.0):
                lasts[domain] = now
            self._known[hop.name] = lasts
            if file is not None:
                _write(file, lasts)
            return wait


class Pace:
    """When one pool's next message may go."""

    def __init__(
        self,
        turns: Turns,
        hop: Hop,
        domain: str,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._turns = turns
        self._hop = hop
        self._domain = domain
        self._now = now
        self._sleep = sleep
        self._next = now() + turns.left(hop, domain, now()) if hop.interval else float("-inf")
        self._waiting: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether somebody is to be called."""
        return self._waiting is not None

    def may_go(self, go_on: Callable[[], None], *, busy: bool) -> bool:
        """Whether to try for the turn; ``busy``: a message is under way, whose end says more.

        ``go_on`` is called when that may be. It is not kept for longer, or a pool that is forgotten
        would be in a circle with this.
        """
        wait = self._next - self._now()
        if wait <= 0 and not busy:
            return True
        if self._waiting is None and not busy:
            self._waiting = asyncio.create_task(self._wait(wait, go_on))
        return False

    def is_our_turn(self) -> bool:
        """Take the turn, unless another process was before us."""
        now = self._now()
        wait = self._turns.take(self._hop, self._domain, now)
        self._next = now + (wait or self._hop.interval)
        return wait == 0.0

    def over(self) -> None:
        """What had the turn is answered."""
        self._next = self._now() + self._hop.interval
        self._turns.over(self._hop, self._domain, self._now())

    async def _wait(self, seconds: float, go_on: Callable[[], None]) -> None:
        await self._sleep(seconds)
        self._waiting = None
        go_on()


def _locked(folder: Path | None, name: str) -> BinaryIO | None:
    """The hop's file, ours alone until it is closed; None where there is none to be had."""
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(folder / f"{name}.json", os.O_RDWR | os.O_CREAT, 0o600)
        # Without a buffer: what a full disk does not take must not be written once more at the end.
        file = os.fdopen(number, "r+b", buffering=0)
    except OSError:
        return None
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)  # held for microseconds
    except ImportError:  # Windows, where there is one worker
        pass
    except OSError:
        file.close()
        return None
    return file


def _read(file: BinaryIO) -> dict[str, float]:
    """What the file says; nothing, where somebody has damaged it."""
    try:
        table: Any = json.loads(file.read(SIZE_LIMIT) or b"{}")
        return {name: float(at) for name, at in table.items() if isinstance(at, int | float)}
    except (OSError, ValueError, OverflowError, RecursionError, AttributeError):
        return {}


def _write(file: BinaryIO, lasts: dict[str, float]) -> None:
    """Over what is there, and then the rest is cut off: whoever dies amid it leaves a whole one."""
    text = json.dumps(lasts).encode()
    with contextlib.suppress(OSError):  # the disk is full: what we know ourselves still holds
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        file.write(text.ljust(length))
        file.truncate(len(text))
