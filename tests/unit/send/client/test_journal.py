"""The journal: what a later run knows, whatever happened to the one before."""

from __future__ import annotations

import json
import os
import stat
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.send.client import Journal, JournalError

A, B = "aa" * 16, "bb" * 16


def opened(path: Path) -> Journal:
    return Journal(path, lambda: 1000.0)


def test_a_second_run_knows_what_was_taken_and_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first = opened(path)
    assert first.sent_to(A) == frozenset()
    for key in (A, B):
        first.under_way(key)
    first.sent(A, ["x@e.example"], last=True, said="250 Ok")
    first.sent(B, ["x@e.example"], last=False, said="250 Ok")
    first.close()
    second = opened(path)
    assert second.sent_to(A) is None
    assert second.sent_to(B) == {"x@e.example"}
    assert (second.known, second.uncertain) == (1, 0)
    second.close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_what_this_run_sends_takes_no_memory(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j")
    tracemalloc.start()
    for number in range(2_000):
        journal.under_way(key := f"{number:032x}")
        journal.sent(key, ["x@e.example"], last=number % 2 == 0, said="250 Ok")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20_000  # octets: ten for each
    journal.close()
    again = opened(tmp_path / "j")
    assert again.known == 1_000
    again.close()


@pytest.mark.parametrize(("ended", "uncertain"), [(True, 0), (False, 1)])
def test_what_was_under_way_is_told(tmp_path: Path, ended: bool, uncertain: int) -> None:
    path = tmp_path / "j"
    first = opened(path)
    first.under_way(A)
    if ended:
        first.ended(A)
    first.close()
    for _ in range(2):  # and told again, until it is known
        second = opened(path)
        assert second.uncertain == uncertain
        second.close()


def test_half_a_line_of_a_killed_run_costs_only_that_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first = opened(path)
    first.sent(A, ["x@e.example"], last=True, said="250")
    first.close()
    with path.open("ab") as file:
        file.write(b'{"sent":"bbbb')
    second = opened(path)
    second.sent(B, ["x@e.example"], last=True, said="250")
    second.close()
    third = opened(path)
    assert (third.sent_to(A), third.sent_to(B)) == (None, None)
    third.close()


def test_a_file_torn_at_any_octet_says_no_more_than_was_written(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    first = opened(path)
    first.under_way(A)
    first.sent(A, ["ü@e.example"], last=False, said="250")
    first.under_way(A)
    first.sent(A, ["y@e.example"], last=True, said="250")
    first.close()
    raw = path.read_bytes()
    known: list[frozenset[str] | None] = []
    for cut in range(len(raw) + 1):
        torn = tmp_path / "torn"
        torn.write_bytes(raw[:cut])
        second = opened(torn)
        known.append(second.sent_to(A))
        second.sent(B, ["x@e.example"], last=True, said="250")
        second.close()
        third = opened(torn)
        assert (third.sent_to(A), third.sent_to(B)) == (known[-1], None)
        third.close()
    assert list(dict.fromkeys(known)) == [frozenset(), {"ü@e.example"}, None]


@pytest.mark.parametrize("content", [b"words\n", b'{"from": "a@d.example"}\n', b"\xff\n", b"[]\n"])
def test_another_file_is_not_written_to(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(JournalError) as caught:
        opened(path)
    assert caught.value.reason == "not_a_journal"
    assert path.read_bytes() == content


@pytest.mark.parametrize("schema", [1, 3])
def test_a_journal_of_another_version_is_left_as_it_is(tmp_path: Path, schema: int) -> None:
    """Its keys may be others: with none of them known, everybody would get everything again."""
    path = tmp_path / "j"
    opened(path).close()
    other = path.read_bytes().replace(b'"schema":2', b'"schema":%d' % schema)
    path.write_bytes(other)
    with pytest.raises(JournalError) as caught:
        opened(path)
    assert caught.value.reason == "version"
    assert path.read_bytes() == other


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    first = opened(tmp_path / "j")
    with pytest.raises(JournalError) as caught:
        opened(tmp_path / "j")
    assert caught.value.reason == "locked"
    first.close()
    opened(tmp_path / "j").close()


class Full:
    """A disk that takes nothing more, or only a part."""

    def __init__(self, takes: int | None) -> None:
        self.takes = takes

    def write(self, data: bytes) -> int:
        if self.takes is None:
            raise OSError(28, "No space left on device")
        return self.takes


@pytest.mark.parametrize("takes", [None, 3])
def test_a_full_disk_is_an_error(tmp_path: Path, takes: int | None) -> None:
    journal = opened(tmp_path / "j")
    file, journal._file = journal._file, Full(takes)  # type: ignore[assignment]
    with pytest.raises(JournalError) as caught:
        journal.sent(A, ["x@e.example"], last=True, said="250")
    assert caught.value.reason == "write"
    assert journal.sent_to(A) == frozenset()
    file.close()


def test_a_line_that_the_disk_took_a_part_of_spoils_no_other(tmp_path: Path) -> None:
    class Part:
        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            return self.file.write(data[:20])

    journal = opened(tmp_path / "j")
    file, journal._file = journal._file, Part(journal._file)  # type: ignore[assignment]
    with pytest.raises(JournalError):
        journal.sent(A, ["x@e.example"], last=True, said="250")
    journal._file = file
    journal.sent(B, ["x@e.example"], last=True, said="250")
    journal.close()
    again = opened(tmp_path / "j")
    assert (again.sent_to(A), again.sent_to(B)) == (frozenset(), None)
    again.close()


@given(st.binary(max_size=200))
def test_whatever_stands_in_it_no_key_is_made_up(tmp_path_factory, raw: bytes) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("j") / "j"
    head = json.dumps({"journal": "posthouse send", "schema": 2}).encode() + b"\n"
    path.write_bytes(head + raw)
    journal = opened(path)
    assert journal.sent_to(A) == frozenset()
    journal.close()
