"""How fast a hop is asked for more, and for less."""

from __future__ import annotations

import pytest

from posthouse.send.deliver.speed import EASE, Speed
from posthouse.send.hop import START


class Course:
    """A speed and its clock. "+" is a success, "-" a failure, "." the end of a second."""

    def __init__(self, most: int) -> None:
        self.now = 0.0
        self.speed = Speed(most, lambda: self.now)

    def run(self, course: str) -> int:
        for step in course:
            if step == ".":
                self.now += EASE
            else:
                self.speed.went(well=step == "+")
        return self.speed.allowed


@pytest.mark.parametrize(
    ("most", "course", "allowed"),
    [
        (50, "", START),
        (2, "", 2),
        (50, "+" * 10, START + 10),
        (50, "+" * 100, 50),
        (50, "+" * 100 + "-", 25),
        (50, "+" * 100 + "-" * 30, 25),  # fifty that fail together are one sign
        (50, "+" * 100 + "-.-", 12),
        (50, "-.-.-.-.-.-.-", 1),  # never nothing
        (50, "+" * 100 + "-" + "+" * 10, 25),  # from there slowly: a round for each
        (50, "+" * 100 + "-" + "+" * 26, 26),
        (1, "-.-++", 1),
    ],
)
def test_growth_and_retreat(most: int, course: str, allowed: int) -> None:
    assert Course(most).run(course) == allowed
