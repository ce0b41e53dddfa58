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


def renew(agenda: Agenda, *parts: list[Item], taken: tuple[Item, ...] = ()) -> None:
    agenda.begin(taken)
    for part in parts:
        agenda.renew(part)
    agenda.end()


def test_what_the_disk_says_as_before_is_due_as_before() -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    rows = [item(1, START + 60), item(2, START + HOUR)]
    renew(agenda, rows)
    clocks.wall += 6 * HOUR
    changed = item(3, clocks.wall + 30)  # by somebody, by the clock as it is now
    renew(agenda, rows, [changed])
    assert agenda.take(9) == {}
    clocks.go(31)
    assert [one.key for one in agenda.take(9)["x"]] == [3]
    clocks.go(30)
    assert [one.key for one in agenda.take(9)["x"]] == [1]
    assert len(agenda) == 1


@pytest.mark.parametrize("jump", [-6 * HOUR, 6 * HOUR])
def test_what_is_ready_is_due_whatever_its_date(jump: float) -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    asked, taken = item(1, START + jump, State.READY), item(2, START)
    clocks.wall += jump
    renew(agenda, [asked, taken], taken=(taken,))
    assert [one.key for one in agenda.take(9)["x"]] == [1, 2]


def test_no_date_is_further_off_than_a_day() -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    renew(agenda, [item(1, START + 400 * DAY)])
    clocks.go(FAR)
    assert len(agenda.take(9)["x"]) == 1


def test_what_is_due_is_taken_a_little_at_a_time_but_a_letter_whole() -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    for name in ("b", "a", "c"):
        for key in range(3):
            agenda.add(item(key, START)._replace(letter=name), START)
    assert {name: len(its) for name, its in agenda.take(4).items()} == {"a": 3, "b": 3}
    assert (list(agenda.take(1)), len(agenda)) == (["c"], 0)


def test_what_comes_back_while_the_queue_is_read_stays_as_it_came() -> None:
    """Put off, held and deleted between the first part and the last; nothing is there twice."""
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    rows = [item(key, START + 60) for key in range(5)]
    for one in rows:
        agenda.add(one, START + 60)
    agenda.begin(())
    agenda.renew(rows[:1])
    agenda.add(item(0, START + 30), START + 30)  # read before that
    agenda.add(item(7, START + 90), START + 90)  # is still to be read
    agenda.renew([rows[2], item(7, START + 90)])
    agenda.end()  # 1, 3 and 4 are no more
    assert len(agenda) == 3
    clocks.go(100)
    assert [one.key for one in agenda.take(9)["x"]] == [0, 2, 7]
    assert (agenda.take(9), len(agenda)) == ({}, 0)


def test_what_is_over_in_the_heap_is_let_go() -> None:
    clocks = Clocks()
    agenda = Agenda(clocks.steady)
    for change in range(2_000):
        renew(agenda, [item(1, START + change)])
    assert len(agenda._due) < 1_100
    clocks.go(DAY)
    assert [one.due for one in agenda.take(9)["x"]] == [START + 1_999]
