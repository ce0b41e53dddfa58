"""What a path holds, and the messages in it, one by one."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.send.client import source as module
from posthouse.send.client.facts import Draft, Problem
from posthouse.send.client.source import (
    Source,
    SourceError,
    json_lines,
    mbox,
    one_message,
    open_source,
)

FROM = b"From alice@d.example Mon May  4 03:02:01 2026\n"
ONE = b"From: a@d.example\nTo: b@e.example\nSubject: 1\n\nFrom here on\n"


def data(drafts: Iterator[Draft]) -> list[bytes]:
    return [draft.data for draft in drafts]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b'{"to": "b@e.example"}\n', "json"),
        (b'\xef\xbb\xbf{"to": 1}\n', "json"),
        (FROM + ONE, "mbox"),
        (b"\xef\xbb\xbf" + FROM + ONE, "mbox"),
        (ONE, "mail"),
        (b"\xef\xbb\xbf" + ONE, "mail"),
    ],
)
def test_a_file_is_told_by_its_beginning(tmp_path: Path, content: bytes, form: str) -> None:
    (tmp_path / "x").write_bytes(content)
    source = open_source(str(tmp_path / "x"))
    assert source.form == form
    assert source.count() == len(list(source.drafts())) == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf\r\n"])
def test_nothing_to_say_today_is_no_mistake(tmp_path: Path, content: bytes) -> None:
    """A nightly job has no rows on some nights."""
    (tmp_path / "x").write_bytes(content)
    for name in ("new", "cur", "tmp"):
        (tmp_path / "maildir" / name).mkdir(parents=True)
    for name in ("x", "maildir"):
        source = open_source(str(tmp_path / name))
        assert source.count() == len(list(source.drafts())) == 0


@pytest.mark.parametrize("reason", ["missing", "empty_folder", "unknown"])
def test_what_cannot_be_sent_from(tmp_path: Path, reason: str) -> None:
    place = tmp_path / "x"
    if reason == "empty_folder":
        place.mkdir()
    elif reason == "unknown":
        place.write_bytes(b"some words\n")
    with pytest.raises(SourceError) as caught:
        open_source(str(place))
    assert caught.value.reason == reason


def test_a_folder_of_messages_and_a_maildir(tmp_path: Path) -> None:
    (tmp_path / "b.eml").write_bytes(b"b")
    (tmp_path / "a.EML").write_bytes(b"a")
    (tmp_path / "notes.txt").write_bytes(b"no")
    assert data(open_source(str(tmp_path)).drafts()) == [b"a", b"b"]
    maildir = tmp_path / "m"
    for name in ("new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True)
        (maildir / name / f"1.{name}:2,S").write_bytes(name.encode())
    assert data(open_source(str(maildir)).drafts()) == [b"new", b"cur"]


def test_a_file_that_went_away_is_told(tmp_path: Path) -> None:
    draft = next(Source(tmp_path, "folder", files=(tmp_path / "gone.eml",)).drafts())
    assert draft.problem is not None
    assert draft.problem.problem is Problem.UNREADABLE


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"b": 2}\n', FROM + ONE + b"\n" + FROM + ONE])
def test_standard_input_can_be_read_twice(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    source = open_source("-")
    assert source.count() == len(list(source.drafts())) == 2
    assert {draft.where[0] for draft in source.drafts()} == {"-"}


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"b": 2}\n', FROM + ONE + b"\n" + FROM + ONE])
def test_a_pipe_can_be_read_twice(tmp_path: Path, content: bytes) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    source = open_source(str(pipe))
    writer.join()
    assert source.count() == len(list(source.drafts())) == 2
    assert {draft.where[:4] for draft in source.drafts()} == {"pipe"}


@pytest.mark.parametrize(
    ("content", "several"),
    [
        (b'{"a": 1}\n', True),
        (FROM + ONE + b"\n" + FROM + ONE, True),
        (FROM + ONE, False),
        (ONE + b"\n" + FROM + ONE, False),  # a text may quote an mbox
        (b"words\n", False),
    ],
)
def test_what_is_more_than_one_message(content: bytes, several: bool) -> None:
    if several:
        with pytest.raises(SourceError, match="several"):
            one_message(io.BytesIO(content), "x")
    else:
        assert one_message(io.BytesIO(content), "x").data == content


def test_one_message_is_not_read_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_LIMIT", 100)
    endless = io.BytesIO(ONE * 1000)
    problem = one_message(endless, "x").problem
    assert problem is not None
    assert (problem.problem, endless.tell()) == (Problem.TOO_LONG, 101)


def test_an_mbox_is_cut_where_messages_begin() -> None:
    text = b"From: c@d.example\n\n>From me\n>>From you\nFrom a to b 10:20\n"
    found = list(mbox(io.BytesIO(FROM + ONE + b"\n" + FROM + text), "box"))
    assert [draft.where for draft in found] == ["box#1", "box#2"]
    assert found[0].data == ONE
    assert found[1].data == b"From: c@d.example\n\nFrom me\n>From you\nFrom a to b 10:20\n"


def test_lines_of_json_know_their_numbers() -> None:
    found = list(json_lines(io.BytesIO(b'{"a":1}\n\n{"b":2}'), "l"))
    assert [(d.where, d.data) for d in found] == [("l:1", b'{"a":1}\n'), ("l:3", b'{"b":2}')]


def test_what_is_too_large_is_told_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_LIMIT", 100)
    monkeypatch.setattr(module, "BLOCK", 64)
    long = b'{"a": "' + b"x" * 500 + b'"}\n'
    first, second = json_lines(io.BytesIO(long + b'{"b":2}\n'), "l")
    assert first.problem is not None
    assert first.problem.problem is Problem.TOO_LONG
    assert (second.where, second.problem) == ("l:2", None)
    box = FROM + ONE + b"y\n" * 100 + b"\n" + FROM + ONE
    first, second = mbox(io.BytesIO(box), "box")
    assert first.problem is not None
    assert second.data == ONE


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_whatever_an_mbox_holds_counting_and_reading_agree(pieces: list[bytes]) -> None:
    raw = FROM + ONE + b"".join(b"\n" + FROM + piece for piece in pieces)
    assert len(list(mbox(io.BytesIO(raw), "b"))) == sum(1 for _ in module._starts(io.BytesIO(raw)))
