"""When to try again, when to tell the sender, and when to give up. RFC 5321 section 4.5.4.1.

Enters: how often a recipient was tried, when the message was accepted, the time, what the server
asked for. Leaves: a time, or None. ``next_try`` and ``warn_due`` are pure; ``Schedule`` is what
the dispatcher is given. ``read_retry`` reads the ``[retry]`` table and raises SettingError; nothing
else fails, whatever the clock does.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from posthouse.letter import Item, Outcome
from posthouse.send import units
from posthouse.send.settings import Table

DAY: Final = 86_400.0
JITTER: Final = 0.25  # of a step: what failed together does not come back together
DOUBLINGS: Final = 30  # beyond any ``most``; keeps the power small
# Greylisting lets pass after one to five minutes; whoever waits an hour delays mail for nothing.
GREYLISTED: Final = 300.0  # seconds at most between tries
GREY_TRIES: Final = 12  # after these it is no greylisting, whatever the server calls it
NAMED_TRIES: Final = 5  # "in 5 seconds" is believed so often; then it lengthens a step, no more
# "Try again in 24 hours" is said by servers that forget it; more than this is never waited.
WAIT_MOST: Final = 6 * 3_600.0  # seconds


@dataclass(frozen=True, slots=True)
class Retry:
    """The ``[retry]`` table, in seconds. ``first`` doubles up to ``most``; ``warn`` 0 is never."""

    first: float = 60.0
    most: float = 3_600.0
    expire: float = 5 * DAY
    warn: float = 4 * 3_600.0


def next_try(
    policy: Retry,
    attempts: int,
    accepted: float,
    now: float,
    rng: random.Random,
    *,
    wait: float | None = None,
    greylisted: bool = False,
) -> float | None:
    """When the next try is due; None where the time is over. ``attempts``: made so far, 1 and more.

    A step is never longer than the back-off allows and up to a quarter shorter; with ``wait`` it is
    never shorter than asked, and after some tries no shorter than without. The last try is made at
    the very end, so that a message whose server comes back in the last hour is not lost to an
    unlucky step.
    """
    end = accepted + policy.expire
    if now >= end:
        return None
    step = min(policy.most, policy.first * 2.0 ** min(max(attempts, 1) - 1, DOUBLINGS))
    if greylisted and attempts <= GREY_TRIES:
        step = min(step, GREYLISTED)
    chance = JITTER * rng.random()
    step *= 1 - chance
    if wait is not None:
        named = min(wait, WAIT_MOST) * (1 + chance)
        step = named if attempts <= NAMED_TRIES else max(named, step)
    return min(now + step, end)


def warn_due(policy: Retry, accepted: float, now: float) -> bool:
    """Whether the sender is to be told now that it takes longer."""
    return policy.warn > 0 and now - accepted >= policy.warn


class Schedule:
    """The policy, as the dispatcher asks for it."""

    def __init__(self, policy: Retry, rng: random.Random) -> None:
        self.policy = policy
        self._rng = rng

    def next_try(self, item: Item, outcome: Outcome, accepted: float, now: float) -> float | None:
        """When one recipient is due again. ``item.attempts`` does not count the try just made."""
        greylisted = outcome.cause == "rate.greylisted"
        return next_try(
            self.policy,
            item.attempts + 1,
            accepted,
            now,
            self._rng,
            wait=outcome.wait,
            greylisted=greylisted,
        )

    def warn_due(self, item: Item, accepted: float, now: float) -> bool:
        """Whether the sender is to be told; once for each recipient."""
        return not item.warned and warn_due(self.policy, accepted, now)


_KEYS: Final = {  # key -> least and most, in seconds
    "first": (1.0, DAY),
    "most": (1.0, DAY),
    "expire": (60.0, 30 * DAY),
    "warn": (0.0, 30 * DAY),
}


def read_retry(raw: object, path: str = "retry") -> Retry:
    """The ``[retry]`` table. Raises SettingError."""
    table, usual = Table(raw, path, _KEYS), Retry()
    policy = Retry(
        **{
            name: table.seconds(name, getattr(usual, name), least=least, most=most)
            for name, (least, most) in _KEYS.items()
        }
    )
    if policy.most < policy.first:
        raise table.wrong("order", "most", first=units.time_text(policy.first))
    return policy
