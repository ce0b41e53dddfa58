"""What each of several workers may open of a hop's connections."""

from __future__ import annotations

import pytest

from posthouse.send.crowd import Crowd, gone, memory
from posthouse.send.deliver.slots import AGAIN, STARVED, Slots


class Relay:
    """The slots of some workers, one pool each, and their clock."""

    def __init__(self, most: int, workers: int = 2) -> None:
        self.now = 0.0
        self.memory = memory()
        self.pools = [
            Slots("hop", most, workers, now=lambda: self.now, crowd=Crowd(n, self.memory))
            for n in range(workers)
        ]


def test_one_that_has_mail_takes_all_and_no_more() -> None:
    one, two = Relay(10).pools
    assert one.claim(7) == 7
    assert one.claim(7) == 3
    assert one.claim(1) == 0
    assert not one.waits  # it has more than its share
    one.have(6)
    assert two.claim(20) == 4


def test_who_has_less_than_its_share_gets_it() -> None:
    relay = Relay(10)
    one, two = relay.pools
    assert one.claim(10) == 10
    assert not one.gives_up()
    assert two.claim(3) == 0
    assert two.waits
    for left in (9, 8, 7):
        assert one.gives_up()
        one.have(left)
        assert one.claim(5) == 0  # not before the other
    assert two.claim(3) == 3
    assert not two.waits
    assert not one.gives_up()
    assert two.claim(7) == 0  # 7 and 3 are all
    assert two.waits
    assert two.claim(0) == 0
    assert not two.waits


def test_each_gets_its_share_where_both_want_all() -> None:
    relay = Relay(10)
    one, two = relay.pools
    assert one.claim(10) == 10
    for _ in range(100):
        relay.now += AGAIN
        two.claim(10)
        for pool, other in ((one, two), (two, one)):
            if pool.gives_up():
                pool.have(pool._mine - 1)
                other.claim(10)
        one.claim(10)
    assert (one._mine, two._mine) == (5, 5)


def test_one_for_two_goes_to_and_fro() -> None:
    relay = Relay(1)
    one, two = relay.pools
    assert one.claim(1) == 1
    assert two.claim(1) == 0
    assert one.gives_up()
    one.have(0)
    assert one.claim(1) == 0  # it has just given it up
    assert two.claim(1) == 1
    assert two.gives_up()


@pytest.mark.parametrize("dead", [True, False])
def test_nobody_waits_for_ever_for_a_wrong_count(dead: bool) -> None:
    relay = Relay(4)
    one, two = relay.pools
    assert one.claim(4) == 4
    assert two.claim(2) == 0
    if dead:
        gone(relay.memory, 0)
        assert two.claim(2) == 2
    else:
        relay.now += STARVED
        assert two.claim(2) == 1
        assert two.claim(2) == 0


def test_a_pool_without_others_is_free() -> None:
    alone = Slots("hop", 3, 1, now=lambda: 0.0)
    assert alone.claim(5) == 5  # whoever asks has looked at the hop's pool
    alone.have(5)
    assert not alone.waits
    assert not alone.gives_up()
