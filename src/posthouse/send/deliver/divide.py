"""How many recipients a server gets at once.

Enters: a connection, a task; what became of it. Leaves: what of it goes in one transaction, and the
rest; who goes once more, since the others were too many beside him. Called by ``pool`` and
``dispatch``. Nothing fails.

As many as the server says (RFC 9422 section 4: RCPTMAX, and RCPTDOMAINMAX domains), else as many as
every server takes; fewer, where it found those too many at the end of a message (``Line.most``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from posthouse.flow import Stage
from posthouse.letter import Item, Outcome, Result
from posthouse.net.smtp_carry import Carrier
from posthouse.protocol.smtp.extensions import session_limits
from posthouse.protocol.smtp.limits import RECIPIENTS
from posthouse.send.deliver.connect import Line
from posthouse.send.deliver.transaction import Task

_COUNTED: Final = (Stage.RCPT, Stage.DATA)  # where


def divided(carrier: Carrier, task: Task) -> tuple[Task, Task | None]:
    """The task as it may go, and the rest where there is one."""
    most, domains = RECIPIENTS, None
    if "LIMITS" in carrier.extensions:
        limits = session_limits(carrier.extensions)
        most, domains = limits.rcpt_max or RECIPIENTS, limits.rcpt_domain_max
    if isinstance(carrier, Line) and carrier.most is not None:
        most = min(most, carrier.most)
    items = task.items
    if domains is not None:
        first = list(dict.fromkeys(map(_domain, items)))[:domains]
        # The others behind them; the order of recipients says nothing.
        theirs = [item for item in items if _domain(item) in first]
        most = min(most, len(theirs))
        items = (*theirs, *[item for item in items if _domain(item) not in first])
    if len(items) <= most:
        return task, None
    return task._replace(items=items[:most]), task._replace(items=items[most:])


def too_many(told: Sequence[tuple[Item, Outcome]], carrier: Carrier | None) -> tuple[Item, ...]:
    """Who goes once more at once: nothing was tried for him.

    Whom a server finds too many beside others that it took (RFC 5321 section 4.5.3.1.10); all
    recipients of a message that it refused for their number at its end, as some providers do: half
    as many go next time, down to one, who is told what the server says.
    """
    rest = [
        (item, outcome.stage)
        for item, outcome in told
        if outcome.cause == "rate.recipients"
        and outcome.result is Result.DEFERRED
        and outcome.stage in _COUNTED
    ]
    if not rest:
        return ()
    ended = sum(stage is Stage.DATA for _, stage in rest)
    if ended > 1 and isinstance(carrier, Line):
        carrier.too_many(ended)
    elif all(outcome.result is not Result.DELIVERED for _, outcome in told):
        return ()
    return tuple([item for item, _ in rest])


def _domain(item: Item) -> str:
    return item.recipient.address.rpartition("@")[2].lower()
