"""What the queue keeps, and what any queue must be able to do.

``Queue`` is the contract: SQLite now (``lane``), a shared database later; nothing above knows
which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from posthouse.letter import Event, Letter, Outcome, Recipient


class QueueFull(Exception):
    """No room for one more message: 452 4.3.1, try again later."""


class StoreError(Exception):
    """The store can't be written (disk full, damaged): nothing may be accepted or delivered now."""


class State(StrEnum):
    """Where one recipient of a message is."""

    READY = "ready"  # due, or in the hands of delivery
    DEFERRED = "deferred"  # waits for ``due``
    HELD = "held"  # waits for a person


@dataclass(frozen=True, slots=True)
class Item:
    """One recipient that is still to be delivered to."""

    key: int  # of the row
    letter: str  # Letter.id
    recipient: Recipient
    state: State
    attempts: int = 0
    due: float = 0.0  # seconds since 1970
    last: str = ""  # the last answer, for people
    cause: str | None = None
    warned: bool = False  # the sender has been told of the delay


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in the queue, for lists and searches."""

    id: str
    sender: str
    accepted: float
    size: int
    user: str
    client: str
    message_id: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one item: an outcome, and when it is due again (None: it is over)."""

    item: Item
    outcome: Outcome
    due: float | None = None
    warned: bool = False


class Queue(Protocol):
    """Where accepted messages wait. All calls that write are durable when they return."""

    async def put(self, letter: Letter, *, events: Sequence[Event] = ()) -> tuple[Item, ...]:
        """Keep a message. Raises QueueFull or StoreError: then it was not accepted."""
        ...

    async def settle(
        self, settled: Sequence[Settled], events: Sequence[Event], bounces: Sequence[Letter] = ()
    ) -> tuple[Item, ...]:
        """Record outcomes, their events and the bounces they cause, all in one transaction.

        Gives the items of the bounces. Raises StoreError: then nothing was recorded.
        """
        ...

    async def load(self, letter: str) -> Letter | None:
        """A message with its content; None where it is gone."""
        ...

    async def waiting(self) -> tuple[Item, ...]:
        """Everything not yet delivered, to begin with after a start."""
        ...

    def changed(self) -> bool:
        """Whether somebody else (the command) has changed the queue since the last look."""
        ...

    async def close(self) -> None:
        """Write what waits, and let go."""
        ...
