"""A short chaos: some hundred messages, four kills -9, and a next hop, DNS and disk that fail.

``run.py`` is the long one, for ten thousand; this is the same code, small enough for every run. In
a private namespace the disk fills up too, and DNS is on port 53.
"""

from __future__ import annotations

from pathlib import Path

from chaos.run import chaos

MESSAGES, KILLS = 400, 4
SEED = 7  # two of its four kills are the supervisor


async def test_nothing_is_lost_and_what_comes_twice_has_a_reason(tmp_path: Path) -> None:
    result = await chaos(MESSAGES, KILLS, SEED, tmp_path)
    assert result.acknowledged == MESSAGES
    assert result.lost == []
    assert result.unexplained == []
    assert result.kills == KILLS
