"""The header as submission sees it: its end, its authors, what is missing."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import soon
from posthouse.protocol.mailboxes import MailboxError
from posthouse.send.submit.header import mailboxes, mended, scan

BODY = b"\r\nFrom: nobody@body.example\r\n\r\nx\r\n"

AUTHORS = [
    (b" alice@d.example", ("alice@d.example",)),
    (b"alice@d.example", ("alice@d.example",)),
    (b" Alice <alice@d.example>", ("alice@d.example",)),
    (b' "Bob, or eve@x" <alice@d.example>', ("alice@d.example",)),
    (b' "a \\" b" <alice@d.example>', ("alice@d.example",)),
    (b" =?utf-8?q?eve=40x?= <alice@d.example>", ("alice@d.example",)),
    ("爱丽丝 <alice@d.example>".encode(), ("alice@d.example",)),
    ("<爱@例.example>".encode(), ("爱@例.example",)),
    (b" alice@d.example <alice@D.example>", ("alice@D.example",)),
    (b" Ren\xe9 <alice@d.example>", ("alice@d.example",)),  # Latin-1, as old programs do
    (b" Alice\r\n\t<alice@d.example>", ("alice@d.example",)),
    (b" (eve@x) alice@d.example (c(o)\\)m)", ("alice@d.example",)),
    (b" a@d.example, B <b@d.example>", ("a@d.example", "b@d.example")),
    (b" , a@d.example,,", ("a@d.example",)),
    (b" Team: a@d.example, B <b@d.example>;", ("a@d.example", "b@d.example")),
    (b' "a b"@d.example', ('"a b"@d.example',)),
    (b" a@[192.0.2.1]", ("a@[192.0.2.1]",)),
]
NO_AUTHORS = [
    b"",
    b" ",
    b" undisclosed:;",
    b" eve@x.example <alice@d.example>",  # some readers take the first
    b" <alice@d.example> <eve@x.example>",
    b" <alice@d.example> eve@x.example",
    b" alice@d.example eve@x.example",
    b" <@eve.example:alice@d.example>",
    b" alice@d.example@eve.example",
    b" alice @ eve . example",
    b" Alice <alice@d.example",
    b" alice@d.example>",
    b" a: b: c@d.example;",
    b" team: alice@d.example",
    b" alice@d.example;",
    b' "alice@d.example',
    b" (alice@d.example",
    b" alice@d.example\x00",
    b" \xff, <alice@d.example>",
    b" <>",
    b" " + b"a@b.example," * 21,
    b" " * 20_000 + b"a@b.example",
]


@pytest.mark.parametrize(("value", "expected"), AUTHORS)
def test_authors(value: bytes, expected: tuple[str, ...]) -> None:
    assert mailboxes(value) == expected


@pytest.mark.parametrize("value", NO_AUTHORS)
def test_who_cannot_be_told_for_certain(value: bytes) -> None:
    with pytest.raises(MailboxError):
        mailboxes(value)


HEADERS = [
    # (header with the empty line, authors, received, date, message-id)
    (b"From: a\r\nDate: x\r\nMessage-ID: <m@x>\r\n", [b" a"], 0, True, b"<m@x>"),
    (b"fRoM : a\r\n b\r\nX: y\r\n", [b" a\r\n b"], 0, False, b""),
    (b"From:a\r\nFROM:b\r\n", [b"a", b"b"], 0, False, b""),
    (b"Received: x\r\nReceived: y\r\nX-Received: z\r\n", [], 2, False, b""),
    (b"Subject: x\r\n From: folded\r\n", [], 0, False, b""),
    (b"Message-Id:\r\n <m@x>\r\n", [], 0, False, b"<m@x>"),
    (b"Message-Id: none\r\n", [], 0, False, b""),
    (b"Resent-From: a\r\nX-From: b\r\n", [], 0, False, b""),
]


@pytest.mark.parametrize(("fields", "authors", "received", "date", "id_"), HEADERS)
def test_what_is_there(
    fields: bytes, authors: list[bytes], received: int, date: bool, id_: bytes
) -> None:
    header = scan(fields + BODY)
    assert (list(header.authors), header.received, header.date, header.message_id) == (
        authors, received, date, id_,
    )  # fmt: skip
    assert (header.end, header.parted) == (len(fields), True)


@pytest.mark.parametrize(
    ("fields", "senders"),
    [
        (b"Sender: a\r\nFrom: b\r\n", [b" a"]),
        (b"sEnDeR\t:\r\n a\r\nSENDER:b\r\n", [b"\r\n a", b"b"]),
        (b"X-Sender: a\r\nResent-Sender: b\r\nSenders: c\r\n", []),
        (b"Subject: x\r\n Sender: folded\r\n", []),
    ],
)
def test_who_sends_it(fields: bytes, senders: list[bytes]) -> None:
    assert list(scan(fields + b"\r\nSender: nobody@body.example\r\n").senders) == senders


def test_who_sends_it_again() -> None:
    header = scan(
        b"Resent-From: a\r\nresent-sender: b\r\nRESENT-FROM:c\r\nX-Resent-From: d\r\n\r\n"
    )
    assert (header.resent, header.resent_senders) == ((b" a", b"c"), (b" b",))
    assert (header.authors, header.senders) == ((), ())


@pytest.mark.parametrize(
    ("wire", "end", "parted"),
    [
        (b"", 0, True),
        (b"\r\nFrom: a\r\n", 0, True),
        (b"From: a\r\n", 9, True),
        (b"From: a\r\nhello\r\n", 9, False),
        (b"hello\r\n\r\nworld\r\n", 0, False),
        (b" From: a\r\n\r\n", 0, False),
        (b"From: a\r\n: b\r\n\r\n", 9, False),
        (b"From: a\r\nX Y: b\r\n\r\n", 9, False),
        (b"X\xc3\xa9: b\r\n\r\n", 0, False),
    ],
)
def test_where_the_header_ends(wire: bytes, end: int, parted: bool) -> None:
    header = scan(wire)
    assert (header.end, header.parted) == (end, parted)
    if not parted:
        whole = b"".join(mended(wire, header))
        assert whole == wire[:end] + b"\r\n" + wire[end:]


def test_bcc_goes_and_nothing_else() -> None:
    wire = (
        b"Return-Path: <z@x.example>\r\nBcc: a,\r\n\tb\r\nTo: x\r\nbcc:\r\nX-Bcc: y\r\n"
        b"Resent-Bcc: z\r\n\r\nBcc: body\r\n"
    )
    kept = b"".join(mended(wire, scan(wire)))
    assert kept == b"To: x\r\nX-Bcc: y\r\n\r\nBcc: body\r\n"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "From",
                    "Sender",
                    "To",
                    "Bcc",
                    "Return-Path",
                    "Date",
                    "X-A",
                    "Received",
                    "Message-ID",
                ]
            ),
            st.text('abc <>@.,:;()"', max_size=30),
        ),
        max_size=8,
    )
)
def test_the_mail_library_sees_the_same_fields(fields: list[tuple[str, str]]) -> None:
    wire = "".join(f"{name}: {value.strip()}\r\n" for name, value in fields).encode() + BODY
    header = scan(wire)
    other = message_from_bytes(b"".join(mended(wire, header)), policy=policy.compat32)
    assert [v.decode().strip() for v in header.authors] == other.get_all("From", [])
    assert [v.decode().strip() for v in header.senders] == other.get_all("Sender", [])
    assert header.received == len(other.get_all("Received", []))
    assert header.date == ("Date" in other)
    assert "Bcc" not in other
    assert "Return-Path" not in other


@pytest.mark.parametrize(
    "value",
    [
        b" " * 9_999,
        b"a " * 4_999,
        b"<" * 9_999,
        b"(" * 9_999,
        b'"\\' * 4_999,
        b"a." * 4_999,
        b"a@" * 4_999,
        b":<" * 4_999,
        b'"' + b" " * 9_000 + b'"' + b" " * 900,
        b"\r\n " * 3_333,
    ],
)
def test_no_from_field_costs_much(value: bytes) -> None:
    with soon(), pytest.raises(MailboxError):
        mailboxes(value)


@pytest.mark.parametrize(
    "wire",
    [
        b"From:" * 50_000,
        b"From: a\r\n" * 25_000,
        b"Sender: a\r\n" * 20_000,
        b"a" * 250_000,
        b"\r\n \r\n" * 50_000,
        b"From" + b" " * 250_000,
        (b"X" * 200 + b"\r\n") * 1_000,
    ],
)
def test_no_header_costs_much(wire: bytes) -> None:
    with soon():
        scan(wire)
