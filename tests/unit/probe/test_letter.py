"""The test message, and the caller's own made ready."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.setup.probe import letter

DATE = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_written_message_is_whole() -> None:
    made = letter.write(
        "a@x.test", "b@y.test", subject="驿站测试", body="你好\n", date=DATE, token="t0k3n", pad=700
    )
    message = message_from_bytes(made.data)
    assert message["From"] == "a@x.test"
    assert message["Message-ID"] == made.message_id == "<posthouse-t0k3n@x.test>"
    assert str(make_header(decode_header(message["Subject"]))) == "驿站测试"
    assert message["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert len(made.data) > 700
    assert b"\n" not in made.data.replace(b"\r\n", b"")
    assert max(map(len, made.data.split(b"\r\n"))) <= 998


def test_a_non_ascii_address_stays_readable() -> None:
    made = letter.write("jösé@x.test", "b@y.test", subject="s", body="b", date=DATE, token="t")
    assert "jösé@x.test".encode() in made.data


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (b"From: a@x.test\r\n\r\nhello\r\n", []),
        (b"From: a@x.test\n\nhello\n", ["message_bare_lf"]),
        (b"From: a@x.test\r\n\r\n" + b"x" * 999 + b"\r\n", ["message_long_line"]),
        (b"From: a@x.test\r\n\r\nhello\rworld\r\n", ["message_bare_lf"]),
    ],
)
def test_own_message_is_looked_at(content: bytes, ids: list[str]) -> None:
    made = letter.ready(content, token="t", domain="x.test")
    assert [f.id for f in made.findings] == ids
    assert made.data.startswith(b"Message-ID: <posthouse-t@x.test>\r\n")
    assert made.header_from == "a@x.test"


def test_its_own_message_id_is_kept() -> None:
    content = b"Subject: s\r\nMessage-Id:\r\n <own@x.test>\r\n\r\nbody\r\n"
    made = letter.ready(content, token="t", domain="x.test")
    assert made.message_id == "<own@x.test>"
    assert made.data == content


def test_raw_size_is_before_encoding() -> None:
    content = (
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b"QUJD" * 100
    )
    assert letter.ready(content, token="t", domain="x.test").raw_size == 300


@given(st.binary(max_size=400))
def test_any_bytes_become_clean_lines(content: bytes) -> None:
    made = letter.ready(content, token="t", domain="x.test")
    rest = made.data.replace(b"\r\n", b"")
    assert b"\r" not in rest
    assert b"\n" not in rest
    assert made.message_id.startswith("<")
