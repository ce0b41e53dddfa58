"""What became of mail, on its way to the disk: one transaction for all that came back together.

Enters: outcomes with their events and reports, gathered in ``record``. Leaves: the same written
(``written`` is told of each record, with the items of its reports). One record at a time is on its
way; what comes meanwhile is the next. Owned by ``dispatch``.

What can fail: the store. Then ``stopped`` is true, for what is delivered and not recorded would be
delivered again; nothing is lost, and ``again`` tries once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from posthouse.letter import Event, Item, Letter, Queue, Settled

LAST: Final = 4.0  # seconds to record what has been delivered when we end
AGAIN: Final = 0.25  # seconds between tries to do so where the store fails


@dataclass(slots=True)
class Record:
    """What is to be written: outcomes with their events and reports."""

    settled: list[Settled] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    bounces: list[Letter] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)  # out of our hands when it is written
    due: dict[tuple[str, int], float] = field(default_factory=dict)  # (letter, item) -> steady

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write; of what goes another way there is only an event."""
        return not (self.settled or self.events or self.letters)


class Recorder:
    """The owner of what is not written yet. ``halted`` gets the error when the store fails."""

    def __init__(
        self,
        queue: Queue,
        written: Callable[[Record, Sequence[Item]], None],
        halted: Callable[[BaseException], None],
    ) -> None:
        self._queue = queue
        self._written = written
        self._halted = halted
        self.record = Record()
        self._under_way: asyncio.Future[tuple[Item, ...]] | None = None
        self._soon = False  # it is written at the end of this turn of the loop
        self.stopped = False  # the store fails

    def soon(self) -> None:
        """Write at the end of this turn of the loop, with all that comes back in it."""
        if self._under_way is None and not (self._soon or self.stopped):
            self._soon = True
            asyncio.get_running_loop().call_soon(self._write)

    async def again(self) -> None:
        """Where it is ``stopped``: try once more. It is not, if that went well."""
        self._write()
        if self._under_way is not None:
            # Not awaited itself: who cancels us must not cancel the record with it.
            await asyncio.wait([self._under_way])
        if self._under_way is None and self.record.is_empty:
            self.stopped = False

    async def close(self) -> None:
        """Write what is there, and what comes back meanwhile, within ``LAST`` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST
        while not (self._under_way is None and self.record.is_empty) and loop.time() < until:
            if self._under_way is not None:
                await asyncio.wait([self._under_way], timeout=AGAIN)
            elif self._soon:
                await asyncio.sleep(0)
            else:  # the store failed: what is not recorded will be delivered once more
                await asyncio.sleep(AGAIN)
                self._write()

    def _write(self) -> None:
        self._soon = False
        record, self.record = self.record, Record()
        writing = self._queue.settle(record.settled, record.events, record.bounces)
        self._under_way = under_way = asyncio.ensure_future(writing)
        under_way.add_done_callback(partial(self._done, record))

    def _done(self, record: Record, under_way: asyncio.Future[tuple[Item, ...]]) -> None:
        self._under_way = None
        error = asyncio.CancelledError() if under_way.cancelled() else under_way.exception()
        if error is not None:
            self._halt(record, error)
            return
        self._written(record, under_way.result())
        if not self.record.is_empty:
            self.soon()

    def _halt(self, record: Record, error: BaseException) -> None:
        """Keep what is to be recorded, in its order."""
        newer, self.record = self.record, record
        record.settled += newer.settled
        record.events += newer.events
        record.bounces += newer.bounces
        record.letters += newer.letters
        record.due |= newer.due
        first, self.stopped = not self.stopped, True
        if first:
            self._halted(error)
