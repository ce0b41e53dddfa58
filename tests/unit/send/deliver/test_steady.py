"""Steady time, and what waits by it, while the wall clock does as it likes."""

from __future__ import annotations

import pytest

from posthouse.letter import Item, Letter, Recipient, State
from posthouse.send.deliver.agenda import FAR, Agenda
from posthouse.send.deliver.steady import STEP, Steady

START = 1_764_000_000.0
HOUR, DAY = 3_600.0, 86_400.0


class Clocks:
    """Both of them."""

    def __init__(self) -> None:
        self.wall = START
        self.passed = 0.0
        self.steady = Steady(lambda: self.wall, lambda: self.passed)

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.passed += seconds


def letter(name: str, accepted: float) -> Letter:
    return Letter(name, "a@d.example", (), b"", accepted)


def item(key: int, due: float, state: State = State.DEFERRED) -> Item:
    return Item(key, "x", Recipient("b@e.example"), state, due=due)


@pytest.mark.parametrize("jump", [-400 * DAY, -6 * HOUR, 6 * HOUR, 400 * DAY])
def test_ages_are_what_passed(jump: float) -> None:
    clocks = Clocks()
    old = letter("old", clocks.wall)
    clocks.steady.arrived(old)
    clocks.go(HOUR)
    clocks.wall += jump
    new = letter("new", clocks.wall)
    clocks.steady.arrived(new)
    clocks.go(HOUR)
    now = clocks.steady()
    assert now - clocks.steady.accepted(old) == 2 * HOUR
    assert now - clocks.steady.accepted(new) == HOUR
    assert clocks.steady.wall(now) == clocks.wall
    clocks.wall -= jump
    assert now - clocks.steady.accepted(new) == HOUR


def test_small_steps_are_followed() -> None:
    clocks = Clocks()
    for _ in range(1_000):  # a clock that is kept right by small steps, for years
        clocks.wall += STEP * 0.9
        assert clocks.steady.off == 0.0
    assert clocks.steady() == clocks.wall


def test_a_letter_from_the_future_begins_its_time_now() -> None:
    clocks = Clocks()
    late = letter("late", START + 900 * DAY)
    assert clocks.steady.accepted(late) == START
    clocks.go(DAY)
    assert clocks.steady.accepted(late) == START


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.send.deliver.steady.KEPT", 10)
    clocks = Clocks()
    clocks.wall += DAY
    for number in range(100):
        clocks.steady.arrived(letter(str(number), clocks.wall))
    assert len(clocks.steady._accepted) == 10


def test_what_the_disk_says_as_before_is_due_as_before() -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    rows = [item(1, START + 60), item(2, START + HOUR)]
    agenda.renew(rows, ())
    clocks.wall += 6 * HOUR
    changed = item(3, clocks.wall + 30)  # by somebody, by the clock as it is now
    agenda.renew([*rows, changed], ())
    assert agenda.take() == {}
    clocks.go(31)
    assert [one.key for one in agenda.take()["x"]] == [3]
    clocks.go(30)
    assert [one.key for one in agenda.take()["x"]] == [1]
    assert len(agenda) == 1


@pytest.mark.parametrize("jump", [-6 * HOUR, 6 * HOUR])
def test_what_is_ready_is_due_whatever_its_date(jump: float) -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    asked, taken = item(1, START + jump, State.READY), item(2, START)
    clocks.wall += jump
    agenda.renew([asked, taken], [taken])
    assert [one.key for one in agenda.take()["x"]] == [1, 2]


def test_no_date_is_further_off_than_a_day() -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    agenda.renew([item(1, START + 400 * DAY)], ())
    clocks.go(FAR)
    assert len(agenda.take()["x"]) == 1
