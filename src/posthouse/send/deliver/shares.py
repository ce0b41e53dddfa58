"""Which of several equal servers of a hop gets the next message, and the next connection.

Enters: a hop, and what became of each connection. Leaves: the idle connection to use, the server to
connect to. The owner of the counts of one pool; called by it alone. Nothing fails.

Chance for each connection, as RFC 2782 has it, shares badly where one connection carries a thousand
messages: so messages are counted, and who is furthest behind its weight is next. Only servers of
the first priority share; where there is one, or MX decides, the addresses of the best do (RFC 1794,
RFC 5321 section 5.1), as far as connections have told them. One that could not be reached is left
out for ``OUT`` seconds, and begins anew: it need not catch up with what it missed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Final

from posthouse.net.smtp_carry import Carrier
from posthouse.send.deliver.connect import Line
from posthouse.send.hop import Hop, Target

OUT: Final = 60.0  # seconds, as the connector's own memory of who failed
# Messages an address may be behind another before it gets a connection for that alone: who has one
# server with many addresses and little mail is not to keep a connection to each.
FEW: Final = 10
MOST: Final = 16  # addresses that share
FAINT: Final = 0.01  # what a weight of 0 is worth: a small chance beside others (RFC 2782)


class Shares:
    """See the module. ``now`` gives monotonic seconds."""

    def __init__(self, hop: Hop, now: Callable[[], float]) -> None:
        first = min((target.priority for target in hop.targets), default=0)
        equal = [target for target in hop.targets if target.priority == first]
        self._equal = {_end(one): one for one in equal} if len(equal) > 1 else {}
        self.any = len(equal) > 1  # whether there is anything to share
        self._by_address = not self.any
        self._only = equal[0] if len(equal) == 1 else None  # whose addresses are equal
        self._preference = float("inf")  # of the MX whose addresses are equal
        self._now = now
        self._given: Counter[Target] = Counter()
        self._out: dict[Target, float] = {}  # until then

    def pick(self, idle: list[Carrier]) -> Carrier:
        """Take the best of some idle connections: the last used, where nothing is to be shared."""
        if not self.any:
            return idle.pop()
        behind = [self._behind(self.target_of(carrier)) for carrier in reversed(idle)]
        return idle.pop(len(idle) - 1 - behind.index(min(behind)))

    def given(self, carrier: Carrier) -> None:
        """A message goes over this one."""
        target = self.target_of(carrier) if self.any else None
        if target is not None:
            self._given[target] += 1

    def lacking(self, there: Collection[Target | None]) -> bool:
        """Whether the one that is next has no connection among ``there``, while others have."""
        up = self._up()
        if len(up) < 2 or not there:
            return False
        last = min(up, key=self._behind)
        few = FEW if self._by_address else 0
        return last not in there and max(map(self._behind, up)) >= self._behind(last) + few

    def next(self, there: Iterable[Target | None]) -> Target | None:
        """Whom to connect to, given the connections there are; None: whoever the hop says."""
        counts = Counter(there)
        up = self._up()
        if len(up) < 2:
            return None
        return min(up, key=lambda one: (counts[one] / _weight(one), self._behind(one)))

    def reached(self, target: Target | None, carrier: Carrier | None) -> None:
        """What came of it."""
        if self._by_address and isinstance(carrier, Line):
            self._learn(carrier)
        if target is None or _end(target) not in self._equal:  # one that does not share
            return
        if carrier is None or self.target_of(carrier) != target:
            self._out[target] = self._now() + OUT
            self._given.clear()

    def went(self, carrier: Carrier, *, well: bool) -> None:
        """A message over it did, or the server is in trouble: then others come first."""
        if isinstance(carrier, Line):
            carrier.went(well=well)
        if not well:
            self.reached(self.target_of(carrier), None)

    def target_of(self, carrier: Carrier) -> Target | None:
        """Where a connection leads, if it is one of the equal."""
        if not isinstance(carrier, Line):
            return None
        address = carrier.address if self._by_address else ""
        return self._equal.get((carrier.place.host, carrier.place.port, address))

    def _learn(self, line: Line) -> None:
        """A connection knows what addresses its server has now."""
        host, port, preference = line.place.host, line.place.port, line.place.preference
        only = self._only
        if preference > self._preference or (only and (host, port) != (only.host, only.port)):
            return  # it stands in for others
        keep = self._equal if preference == self._preference else {}
        self._preference = preference
        ends = [Target(host, port, address=address) for address in sorted(line.equal)]
        others = {end: one for end, one in keep.items() if one.host != host}
        self._equal = others | {_end(one): one for one in ends[: MOST - len(others)]}
        self.any = len(self._equal) > 1

    def _up(self) -> list[Target]:
        back = [target for target, until in self._out.items() if until <= self._now()]
        for target in back:
            del self._out[target]
            self._given.clear()
        return [target for target in self._equal.values() if target not in self._out]

    def _behind(self, target: Target | None) -> float:
        """Messages by weight: the lowest is next; a server that only stands in comes last."""
        return float("inf") if target is None else self._given[target] / _weight(target)


def _end(target: Target) -> tuple[str, int, str]:
    return target.host, target.port, target.address


def _weight(target: Target) -> float:
    return target.weight or FAINT
