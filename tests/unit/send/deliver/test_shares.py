"""Who of equal servers is next, as a table of what was given to whom."""

from __future__ import annotations

from dataclasses import replace

from posthouse.flow import Trace
from posthouse.send.deliver.connect import Line
from posthouse.send.deliver.places import Place
from posthouse.send.deliver.shares import FEW, OUT, Shares
from posthouse.send.hop import Hop, Target

ONE, TWO = Target("one.test", 25, 1, 1), Target("two.test", 25, 1, 3)
SPARE = Target("spare.test", 25, 2, 1)
HOP = Hop("x", (ONE, TWO, SPARE))


class Course:
    """Shares, their clock, and lines to each server."""

    def __init__(self, hop: Hop = HOP) -> None:
        self.now = 0.0
        self.shares = Shares(hop, lambda: self.now)

    def line(self, target: Target, *equal: str, preference: int = 0) -> Line:
        place = Place(target.host, target.port, preference=preference)
        line = Line(HOP, place, Trace(lambda: 0.0))
        line.address, line.equal = target.address, equal
        return line

    def give(self, target: Target, times: int) -> None:
        for _ in range(times):
            self.shares.given(self.line(target))


async def test_the_one_furthest_behind_its_weight_is_picked() -> None:
    course = Course()
    course.give(ONE, 1)
    course.give(TWO, 2)  # 1 of 1, 2 of 3
    idle = [course.line(ONE), course.line(SPARE), course.line(TWO), course.line(ONE)]
    picked = course.shares.pick(list(idle))  # type: ignore[arg-type]
    assert picked is idle[2]


async def test_connections_are_shared_by_weight_too() -> None:
    course = Course()
    there: list[Target | None] = []
    for _ in range(8):
        there.append(course.shares.next(there))
    assert (there.count(ONE), there.count(TWO)) == (2, 6)


async def test_one_without_a_connection_is_lacking_when_it_is_next() -> None:
    course = Course()
    course.give(ONE, 1)
    assert course.shares.lacking([ONE])
    assert not course.shares.lacking([ONE, TWO])
    assert not course.shares.lacking([])
    assert not course.shares.lacking([TWO])  # ONE is not next


async def test_who_is_not_reached_is_left_out_and_begins_anew() -> None:
    course = Course()
    course.give(ONE, 50)
    course.shares.reached(TWO, course.line(ONE))  # TWO was wanted, ONE is what came
    assert course.shares.next([]) is None  # whoever the hop says
    assert not course.shares.lacking([ONE])
    course.now = OUT
    assert course.shares.next([]) == ONE  # nobody has anything to make up for


async def test_a_hop_of_unequal_servers_shares_nothing() -> None:
    course = Course(Hop("x", (ONE, SPARE)))
    assert not course.shares.any
    assert course.shares.next([]) is None
    idle = [course.line(ONE), course.line(SPARE)]
    last = idle[-1]
    assert course.shares.pick(idle) is last  # type: ignore[arg-type]


FARM = Target("farm.test", 25)
LEFT, RIGHT = replace(FARM, address="192.0.2.1"), replace(FARM, address="192.0.2.2")
BOTH = (RIGHT.address, LEFT.address)


def farm() -> Course:
    """One server of two addresses; a connection to the left one is there."""
    course = Course(Hop("x", (FARM, SPARE)))
    course.shares.reached(None, course.line(LEFT, *BOTH))
    return course


async def test_the_addresses_of_the_only_server_share_as_servers_do() -> None:
    course = farm()
    assert course.shares.any
    course.give(LEFT, 3)
    course.give(RIGHT, 2)
    idle = [course.line(LEFT), course.line(RIGHT), course.line(SPARE), course.line(LEFT)]
    assert course.shares.pick(list(idle)) is idle[1]  # type: ignore[arg-type]
    assert course.shares.next([LEFT]) == RIGHT


async def test_an_address_gets_a_connection_for_itself_only_where_there_is_much_mail() -> None:
    course = farm()
    course.give(LEFT, FEW - 1)
    assert not course.shares.lacking([LEFT])
    course.give(LEFT, 1)
    assert course.shares.lacking([LEFT])
    assert not course.shares.lacking([LEFT, RIGHT])


async def test_an_address_that_is_down_or_gone_from_dns_is_left_alone() -> None:
    course = farm()
    course.give(LEFT, FEW)
    course.shares.reached(RIGHT, course.line(LEFT, *BOTH))  # RIGHT was wanted
    assert not course.shares.lacking([LEFT])
    course.now = OUT
    assert course.shares.next([LEFT]) == RIGHT
    course.shares.reached(RIGHT, course.line(LEFT, LEFT.address))
    assert not course.shares.any


async def test_the_best_exchangers_share_by_address_and_those_behind_them_do_not() -> None:
    course = Course(Hop("direct"))
    spare, one, two = (Target(f"mx{n}.test", 25, address=f"192.0.2.{n}") for n in range(3))
    course.shares.reached(None, course.line(spare, spare.address, preference=20))
    assert not course.shares.any
    course.shares.reached(None, course.line(one, one.address, preference=10))
    assert not course.shares.any
    course.shares.reached(None, course.line(two, two.address, preference=10))
    course.shares.reached(None, course.line(spare, spare.address, preference=20))
    course.give(one, 3)
    course.give(spare, 1)
    idle = [course.line(spare), course.line(two), course.line(one)]
    assert course.shares.pick(list(idle)) is idle[1]  # type: ignore[arg-type]
    assert course.shares.next([one]) == two
