"""When to try again, to warn, to give up; and what servers ask for."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import soon
from posthouse.letter import Item, Outcome, Recipient, Result, State
from posthouse.send.deliver.retry import Retry, Schedule, next_try, read_retry, warn_due
from posthouse.send.deliver.waits import LEAST, MOST, read_wait
from posthouse.send.settings import SettingError

HOUR, DAY = 3_600.0, 86_400.0


class Fixed(random.Random):
    """Chance that always says the same."""

    def __init__(self, value: float) -> None:
        super().__init__(1)
        self.value = value

    def random(self) -> float:
        return self.value


NONE, ALL = Fixed(0.0), Fixed(0.999999)


@pytest.mark.parametrize(
    ("attempts", "step"), [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (50, 3600)]
)
def test_steps_double_up_to_the_most(attempts: int, step: float) -> None:
    assert next_try(Retry(), attempts, 0.0, 1000.0, NONE) == 1000.0 + step
    earliest = next_try(Retry(), attempts, 0.0, 1000.0, ALL)
    assert earliest == pytest.approx(1000.0 + step * 0.75, abs=0.01)


@pytest.mark.parametrize(
    ("wait", "greylisted", "attempts", "earliest", "latest"),
    [
        (300.0, False, 1, 300, 375),
        (300.0, True, 8, 300, 375),
        (7200.0, False, 1, 7200, 9000),
        (5.0, False, 5, 5, 6.25),
        (5.0, False, 6, 1440, 1920),  # the back-off again
        (5.0, True, 12, 225, 300),
        (7200.0, False, 50, 7200, 9000),
        (80_000.0, False, 1, 6 * HOUR, 7.5 * HOUR),
        (None, True, 8, 225, 300),
        (None, True, 1, 45, 60),
        (None, True, 13, 2700, 3600),
    ],
)
def test_what_the_server_asks_for(
    wait: float | None, greylisted: bool, attempts: int, earliest: float, latest: float
) -> None:
    due = [
        next_try(Retry(), attempts, 0.0, 0.0, rng, wait=wait, greylisted=greylisted)
        for rng in (NONE, ALL)
    ]
    assert sorted(due) == pytest.approx([earliest, latest], abs=0.1)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (5 * DAY - 1, 5 * DAY),  # the last try is at the very end
        (5 * DAY, None),
        (9 * DAY, None),
        (-DAY, -DAY + 3600),  # the clock went back
    ],
)
def test_the_end(now: float, due: float | None) -> None:
    assert next_try(Retry(), 20, 0.0, now, NONE) == due


def test_five_days_of_a_dead_server() -> None:
    rng, now, tries = random.Random(7), 0.0, []
    policy = Retry()
    while (due := next_try(policy, len(tries) + 1, 0.0, now, rng)) is not None:
        tries.append(due)
        now = due
    gaps = [b - a for a, b in pairwise(tries)]
    assert 120 < len(tries) < 180
    assert tries[-1] == 5 * DAY
    assert all(gap <= HOUR for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) > 100  # no two letters in step


def test_the_schedule_counts_the_try_just_made_and_warns_once() -> None:
    schedule = Schedule(Retry(), NONE)
    item = Item(1, "x", Recipient("bob@e.example"), State.READY)
    outcome = Outcome("bob@e.example", Result.DEFERRED)
    assert schedule.next_try(item, outcome, 0.0, 0.0) == 60.0
    third = Item(1, "x", Recipient("bob@e.example"), State.DEFERRED, attempts=2)
    assert schedule.next_try(third, outcome, 0.0, 0.0) == 240.0
    grey = Outcome("bob@e.example", Result.DEFERRED, cause="rate.greylisted")
    ninth = Item(1, "x", Recipient("bob@e.example"), State.DEFERRED, attempts=8)
    assert schedule.next_try(ninth, grey, 0.0, 0.0) == 300.0
    assert [schedule.warn_due(item, 0.0, at) for at in (4 * HOUR - 1, 4 * HOUR)] == [False, True]
    warned = Item(1, "x", Recipient("bob@e.example"), State.DEFERRED, warned=True)
    assert not schedule.warn_due(warned, 0.0, 9 * HOUR)
    assert not warn_due(Retry(warn=0.0), 0.0, 9 * HOUR)


@given(
    st.integers(-5, 10_000),
    st.floats(-1e10, 1e10),
    st.floats(-1e10, 1e10),
    st.one_of(st.none(), st.floats(0, 1e9)),
)
def test_always_later_and_never_past_the_end(
    attempts: int, accepted: float, now: float, wait: float | None
) -> None:
    due = next_try(Retry(), attempts, accepted, now, random.Random(1), wait=wait)
    assert due is None or now <= due <= accepted + 5 * DAY


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, Retry()),
        ({"first": "30s", "most": "1.5h"}, Retry(first=30, most=5400)),
        ({"expire": "2d", "warn": "0s"}, Retry(expire=2 * DAY, warn=0)),
    ],
)
def test_the_table(table: dict[str, Any], expected: Retry) -> None:
    assert read_retry(table) == expected


@pytest.mark.parametrize(
    ("table", "key", "reason"),
    [
        ({"first": 60}, "retry.first", "time"),
        ({"first": "60"}, "retry.first", "time"),
        ({"first": "-1m"}, "retry.first", "time"),
        ({"most": "0s"}, "retry.most", "range"),
        ({"expire": "90d"}, "retry.expire", "range"),
        ({"first": "2h"}, "retry.most", "order"),
        ({"frist": "1m"}, "retry.frist", "unknown_key"),
        ({"warn": True}, "retry.warn", "time"),
    ],
)
def test_wrong_tables(table: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(SettingError) as error:
        read_retry(table)
    assert (error.value.key, error.value.reason) == (key, reason)


WAITS = [
    ("Greylisted, see you in 300 seconds", 300),
    ("Recipient address rejected: Greylisted for 5 minutes", 300),
    ("Greylisting in action, please come back in 00:04:55", 295),
    ("Please try again after 5 minutes", 300),
    ("temporarily deferred, retry in 90s", 90),
    ("rate limit: 100 messages per 60 minutes, retry in 2 hours", 7200),
    ("Too many messages, Retry-After: 120", 120),
    ("Service busy, wait 30 sec", 30),
    ("try again in 24h", 86_400),
    ("try again in 5000 hours", MOST),
    ("try again in 0 seconds", LEAST),
    ("请在5分钟后重试", 300),
    ("发送太频繁，请 300 秒后再试", 300),
    ("請於 10 分鐘後重試", 600),
    ("Versuchen Sie es in 10 Minuten erneut", 600),
    ("Veuillez réessayer dans 300 secondes", 300),
    ("Intente de nuevo en 5 minutos", 300),
    ("Tente novamente em 2 horas", 7200),
    ("Riprova tra 5 minuti", 300),
    ("Попробуйте повторить через 5 минут", 300),
    ("5分後に再試行してください。しばらくお待ちください", 300),
    ("lütfen 5 dakika sonra tekrar deneyin", 300),
    ("5분 후에 다시 시도하십시오", 300),
    ("Probeer het over 5 minuten opnieuw", 300),
    ("Spróbuj ponownie za 5 minut", 300),
]
NO_WAITS = [
    "",
    "try again later",
    "Too many messages (100 in 60 minutes), try again later",
    "You sent 500 mails in 10 minutes, slow down and try later",
    "no more than 20 messages within the last 5 minutes, retry later",
    "User unknown in 5 minutes",
    "try again, error 4711 at 10.0.0.5",
    "Greylisted, see http://postgrey.schweikert.ch/help/d.example.html",
    "IPs are listed for 2020-05-06 12:00:00, try again",
    "请稍后再试",
]


@pytest.mark.parametrize(("text", "seconds"), WAITS)
def test_waits_are_read(text: str, seconds: float) -> None:
    assert read_wait(text) == seconds


@pytest.mark.parametrize("text", NO_WAITS)
def test_what_is_no_wait(text: str) -> None:
    assert read_wait(text) is None


@pytest.mark.parametrize(
    "text", ["again in 1 ", "in " * 400, "for another " * 300, "retry 1" * 900]
)
def test_long_texts_are_read_at_once(text: str) -> None:
    with soon():
        read_wait("try again " + text * 200)
