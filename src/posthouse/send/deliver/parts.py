"""What the dispatcher and its pools are given, by the role each part plays for them.

``route`` chooses, ``connect`` connects, ``prepare`` prepares, ``outcome`` judges, ``retry``
schedules, ``bounce`` reports; none knows the dispatcher. Types only: nothing here runs or fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from posthouse.letter import Item, Letter, Outcome
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_work import Carried
from posthouse.send.deliver.transaction import Task, Transaction
from posthouse.send.hop import Choice, Hop, Target


class Choose(Protocol):
    """The routes."""

    def __call__(self, letter: Letter, item: Item) -> Choice:
        """What is done with one recipient; an ``item`` may have been released."""
        ...


class Connector(Protocol):
    """Makes a connection that is ready to carry: addresses, TLS, login are its business."""

    def __call__(self, hop: Hop, domain: str, first: Target | None, /) -> Awaitable[Carrier]:
        """``first`` before others that are as good. Raises NetworkFailure or Refused."""
        ...


class Prepare(Protocol):
    """What is said and sent to a server that offers ``extensions``."""

    def __call__(
        self, task: Task, extensions: Mapping[str, str], *, binary: bool = False
    ) -> Transaction:
        """``binary``: the hop's setting. Raises Refused where the letter cannot go there."""
        ...


class Judge(Protocol):
    """What replies and failures mean."""

    def __call__(self, task: Task, carried: Carried, carrier: Carrier | None) -> list[Outcome]:
        """One outcome for each recipient of the task, in their order."""
        ...


class Schedule(Protocol):
    """When to try again, and when to tell the sender."""

    def next_try(self, item: Item, outcome: Outcome, accepted: float, now: float) -> float | None:
        """When; None: the time is over."""
        ...

    def warn_due(self, item: Item, accepted: float, now: float) -> bool:
        """Whether the sender is to be told that it takes longer."""
        ...


class Bounce(Protocol):
    """Reports to senders (RFC 3464)."""

    def __call__(
        self, letter: Letter, told: Sequence[tuple[Item, Outcome]], kind: str, now: float
    ) -> Letter | None:
        """One report of ``kind`` "failed", "delayed" or "delivered"; None where none is due."""
        ...
