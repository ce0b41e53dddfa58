"""Letters that the server they met lacks something for, on their way to one that is as good.

Enters: what a server lacks (no SMTPUTF8, SIZE too small, 8 bits that can't be recoded), what became
of a connection to an equal. Leaves: what an idle connection can take, whom to connect to, and whom
nobody is left to be asked for. The owner of one pool's letters of that kind; called by it alone.
Nothing fails.

Equal is who has the best priority, too (a hop's, or an MX's preference): what only a stand-in lacks
waits for the first (``outcome``). Each equal is asked once, so nothing goes round; one that can't
be reached counts as asked, lest a letter waits for a server that is gone for good. What the first
lacks is what the sender is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.send.deliver.connect import Line
from posthouse.send.deliver.places import End, Place
from posthouse.send.deliver.transaction import Lack, Task
from posthouse.send.hop import Hop, Target


class Equals:
    """See the module."""

    def __init__(self, hop: Hop) -> None:
        self._targets = {(one.host, one.port): one for one in hop.targets}
        self.tasks: list[Task] = []  # to be read by the pool, for it asks often
        self._asked: Target | None = None  # whom a connection is being opened to

    def lacks(self, carrier: Carrier, task: Task, error: Refused) -> list[Task]:
        """Take it where an equal is left; else it is in the list."""
        return self._add(carrier, task, error, [p.end for p in _others(carrier) if not p.spare])

    def closed(self, carrier: Carrier, task: Task, error: Refused) -> list[Task]:
        """The same for one that takes no mail at all: then those that stand in are asked, too."""
        return self._add(carrier, task, error, [place.end for place in _others(carrier)])

    def _add(
        self, carrier: Carrier, task: Task, error: Refused, others: Iterable[End]
    ) -> list[Task]:
        lack = task.lack or Lack(error, carrier, tuple(others))
        return self._sorted([task._replace(lack=lack)], _end(carrier))

    def take(self, idle: list[Carrier]) -> tuple[Carrier, Task] | None:
        """A letter, and an idle connection to an equal that it has not met; both are taken."""
        for task in self.tasks:
            for carrier in idle:
                fits = task.lack is not None and _end(carrier) in task.lack.left
                if fits and carrier.failure is None:
                    self.tasks.remove(task)
                    idle.remove(carrier)
                    return carrier, task
        return None

    def next(self) -> Target | None:
        """Whom to connect to; None while that is under way."""
        lack = self.tasks[0].lack if self.tasks else None
        if self._asked is not None or lack is None:
            return None
        host, port = lack.left[0]
        return self._targets.get((host, port)) or Target(host, port)

    def asks(self, target: Target) -> None:
        """A connection is being opened to it."""
        self._asked = target

    def reached(self, target: Target | None, carrier: Carrier | None) -> list[Task]:
        """What came of a connection. Leaves those for whom nobody is left to be asked."""
        if target is None or target is not self._asked:
            return []
        self._asked = None
        end = target.host, target.port
        if carrier is not None and _end(carrier) == end:
            return []
        return self._sorted(self.withdraw(), end)

    def withdraw(self) -> list[Task]:
        """Give all back."""
        tasks, self.tasks = self.tasks, []
        return tasks

    def _sorted(self, tasks: Iterable[Task], end: End) -> list[Task]:
        """Keep those that have an equal left besides this one; the others are in the list."""
        over: list[Task] = []
        for task in tasks:
            lack = task.lack.without(end) if task.lack else None
            keep = self.tasks if lack and lack.left else over
            keep.append(task._replace(lack=lack))
        return over


def _end(carrier: Carrier) -> End:
    """Where it leads."""
    return carrier.place.end if isinstance(carrier, Line) else ("", 0)


def _others(carrier: Carrier) -> Sequence[Place]:
    """Those that might have been it; none where it only stands in, for that is ``outcome``'s."""
    return carrier.places if isinstance(carrier, Line) and not carrier.place.spare else ()
