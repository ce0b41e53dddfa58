"""Turns of a paced way: among processes, after a restart, with a file that is no good."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from posthouse.send.deliver import pace
from posthouse.send.deliver.pace import Turns
from posthouse.send.hop import Hop

HOP = Hop("ses", interval=30.0)


def test_one_turn_each_interval_whoever_asks(tmp_path: Path) -> None:
    one, two = Turns(tmp_path / "pace"), Turns(tmp_path / "pace")
    assert one.take(HOP, "", 100.0) == 0.0
    assert two.take(HOP, "", 101.0) == 29.0
    assert one.take(HOP, "", 129.5) == 0.5
    assert two.left(HOP, "", 130.0) == 0.0
    assert two.take(HOP, "", 130.0) == 0.0
    assert one.take(HOP, "", 130.0) == 30.0


def test_the_interval_begins_with_the_answer(tmp_path: Path) -> None:
    one, two = Turns(tmp_path), Turns(tmp_path)
    assert one.take(HOP, "", 100.0) == 0.0
    one.over(HOP, "", 102.5)
    assert two.take(HOP, "", 130.0) == 2.5
    assert two.take(HOP, "", 132.5) == 0.0


def test_each_domain_and_each_hop_has_its_own(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    assert turns.take(HOP, "a.example", 100.0) == 0.0
    assert turns.take(HOP, "b.example", 100.0) == 0.0
    assert turns.take(Hop("direct", interval=60.0), "a.example", 100.0) == 0.0
    assert turns.take(HOP, "a.example", 110.0) == 20.0


def test_what_is_over_is_forgotten(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    for number in range(100):
        turns.take(HOP, f"d{number}.example", 100.0 + number)
    assert len(json.loads((tmp_path / "ses.json").read_text())) <= 30


def test_after_the_machine_was_started_anew_one_interval_is_waited(tmp_path: Path) -> None:
    Turns(tmp_path).take(HOP, "", 5_000.0)
    turns = Turns(tmp_path)
    assert turns.take(HOP, "", 10.0) == 30.0
    assert turns.take(HOP, "", 40.0) == 0.0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"": "x"}',
        '{"": null}',
        "\xff\xfe",
        "[" * 9_999,
        '{"": 1' + "0" * 400 + "}",
        '{"": NaN}',
    ],
)
def test_a_damaged_file_stops_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "ses.json").write_text(content, encoding="latin-1")
    turns = Turns(tmp_path)
    assert turns.take(HOP, "", 100.0) == 0.0
    assert turns.take(HOP, "", 101.0) == 29.0


@pytest.mark.parametrize("folder", [None, Path("/dev/null/pace")])
def test_without_a_file_this_process_keeps_to_it(folder: Path | None) -> None:
    turns = Turns(folder)
    assert turns.take(HOP, "", 100.0) == 0.0
    assert turns.take(HOP, "", 101.0) == 29.0


def test_who_dies_amid_it_leaves_the_turns_that_were_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was empty for a moment: then nobody's turn had ever been."""

    def die(_lasts: object) -> str:
        raise KeyboardInterrupt

    Turns(tmp_path).take(HOP, "a.example", 100.0)
    monkeypatch.setattr(json, "dumps", die)
    with pytest.raises(KeyboardInterrupt):
        Turns(tmp_path).take(HOP, "b.example", 101.0)
    monkeypatch.undo()
    assert Turns(tmp_path).take(HOP, "a.example", 102.0) == 28.0


def test_what_is_written_is_whole_before_the_rest_is_cut_off() -> None:
    class Killed(io.BytesIO):
        def truncate(self, size: int | None = None, /) -> int:
            raise OSError

    file = Killed(json.dumps({f"d{number}.example": 1.0 for number in range(9)}).encode())
    pace._write(file, {"a.example": 2.0})
    assert json.loads(file.getvalue()) == {"a.example": 2.0}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_on_a_full_disk_this_process_keeps_to_what_it_knows(tmp_path: Path) -> None:
    """It was forgotten, and what could not be written was raised when the file was closed."""
    (tmp_path / "ses.json").symlink_to("/dev/full")
    turns = Turns(tmp_path)
    assert turns.take(HOP, "", 100.0) == 0.0
    assert turns.take(HOP, "", 101.0) == 29.0
