"""The short way to read a reply gives what the long one gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp.limits import Limits
from posthouse.protocol.smtp.reply import ReplyReader, common

LINES = [
    b"250 2.1.0 Ok\r\n",
    b"250 Ok\r\n",
    b"550 5.1.1 <a@b.example>: User unknown\r\n",
    b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b"250 2.0.0 5.1.1 odd\r\n",
    b"250  two blanks\r\n",
    b"250 2.0.0: colon\r\n",
    b"250\r\n",
    b"250 \r\n",
    b"250-2.1.0 more\r\n",
    b"250 2.1.0 Ok\n",
    b"250\tOk\r\n",
    b"250 trailing \r\n",
    b"999 no\r\n",
    b"250 \xe4\xbd\xa0\xe5\xa5\xbd\r\n",
    b"250 " + b"x" * 600 + b"\r\n",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_as_the_reader(line: bytes) -> None:
    same(line)


@given(
    st.from_regex(
        rb"\A[1-6][0-9]{2}[ \-\t]?([245]\.[0-9]{1,3}\.[0-9]{1,4}[ :]?)?[ -~]{0,30}\r?\n\Z"
    )
)
def test_as_the_reader_whatever_comes(line: bytes) -> None:
    same(line)


def same(line: bytes) -> None:
    reply = common(line)
    if reply is None:
        return
    assert ReplyReader(Limits()).add(line) == reply


def test_most_replies_are_common() -> None:
    assert all(common(line) for line in LINES[:4])
