"""A short chaos: some hundred messages, four kills -9, and a next hop, DNS and disk that fail.

``run.py`` is the long one, for ten thousand; this is the same code, small enough for every run. In
a private namespace the disk fills up too, and DNS is on port 53.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.judge import Arrival, Kill, Record, lane_of, why_again
from chaos.run import chaos
from posthouse.send.queue.ids import EPOCH, Ids, text_of

MESSAGES, KILLS = 400, 4
SEED = 7  # two of its four kills are the supervisor


async def test_nothing_is_lost_and_what_comes_twice_has_a_reason(tmp_path: Path) -> None:
    result = await chaos(MESSAGES, KILLS, SEED, tmp_path)
    assert result.acknowledged == MESSAGES
    assert result.lost == []
    assert result.unexplained == []
    assert result.kills == KILLS


A, B, OTHER = (text_of(Ids(lane).next(EPOCH + at)) for lane, at in ((0, 60), (1, 61), (0, 62)))
RECORDED = Arrival(2, OTHER, 10.9, cut=False)


@pytest.mark.parametrize(
    ("first", "second", "kills", "unsure", "others", "reason"),
    [
        (A, A, [(10.1, 0)], [], [], "worker killed before the record"),
        (A, A, [(9.8, 0)], [], [], "worker killed before the record"),  # it was on its way
        (A, A, [(11.0, 0)], [], [], "worker killed before the record, which took long"),
        (A, A, [(11.0, 0)], [], [RECORDED], ""),  # a newer one of that lane is recorded
        (A, A, [(12.0, 0)], [], [], ""),
        (A, A, [(9.0, 0)], [], [], ""),
        (A, A, [(10.1, 1)], [], [], ""),  # another worker
        (A, A, [], [10.1], [], ""),
        (A, B, [(10.1, 0)], [10.2], [], "handed in again"),
        (A, B, [(10.1, 0)], [], [], ""),  # its client had an answer
        (A, B, [(10.1, 1)], [10.2], [], ""),
        (A, B, [(10.1, 0)], [11.2], [], ""),  # no answer, but not for the kill
        (B, A, [(9.1, 0)], [9.2], [], "handed in again"),  # the older letter came later
    ],
)
def test_only_a_kill_at_that_moment_is_a_reason(
    first: str,
    second: str,
    kills: list[tuple[float, int]],
    unsure: list[float],
    others: list[Arrival],
    reason: str,
) -> None:
    copies = [Arrival(1, first, 10.0, cut=False), Arrival(1, second, 15.0, cut=False)]
    record = Record(
        [*copies, *others], [Kill(at, frozenset({lane})) for at, lane in kills], [], {1: unsure}
    )
    assert why_again(record, copies, 1) == reason


def test_a_cut_of_the_next_hop_is_a_reason_once() -> None:
    copies = [Arrival(1, A, at, cut=at == 10.0) for at in (10.0, 11.0, 12.0)]
    assert [why_again(Record(copies), copies, index) for index in (1, 2)] == ["hung up on", ""]


def test_a_letter_tells_its_lane() -> None:
    assert [lane_of(text) for text in (A, B, "none of ours")] == [0, 1, -1]


@pytest.mark.parametrize(
    ("kill", "reason"),
    [
        (Kill(14.0, frozenset({0})), "disk full, worker killed before the record"),
        (Kill(9.0, frozenset({0, 1}), supervisor=True), "disk full, supervisor killed"),
        (Kill(18.0, frozenset({0})), ""),  # there was room again
        (Kill(2.0, frozenset({0, 1}), supervisor=True), ""),  # its workers had ended
    ],
)
def test_a_full_disk_keeps_deliveries_from_being_recorded(kill: Kill, reason: str) -> None:
    copies = [Arrival(1, A, at, cut=False) for at in (10.0, 19.0)]
    assert why_again(Record(copies, [kill], [(9.5, 13.0)]), copies, 1) == reason
    assert kill.supervisor or why_again(Record(copies, [kill]), copies, 1) == ""
