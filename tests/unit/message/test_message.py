"""Headers, parts, trace lines, reports, HTML and mailboxes: whole ones, broken ones, any bytes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol import message
from posthouse.protocol.message import (
    decode_charset,
    decode_words,
    looks_like_message,
    parse_delivery_status,
    parse_headers,
    parse_message,
    parse_received,
    split_mbox,
    text_of_html,
    walk,
)

# Text


@pytest.mark.parametrize(
    ("coded", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?B?6YCA5L+h?=", "退信"),
        ("=?gb2312?B?zcvQxQ==?=", "退信"),
        ("=?UTF-8?Q?Stra=C3=9Fe_1?=", "Straße 1"),
        ("Re: =?iso-8859-1?q?caf=E9?= now", "Re: café now"),
        ("=?utf-8?B?6YCA?= =?utf-8?B?5L+h?=", "退信"),  # RFC 2047 section 6.2
        ("=?utf-8?B?6YA=?= =?utf-8?B?gOS/oQ==?=", "退信"),  # cut in a character, as many do
        ("=?utf-8*zh?B?6YCA5L+h?=", "退信"),  # RFC 2231 section 5
        ("=?no-such?B?6YCA5L+h?=", "退信"),
        ("=?utf-8?X?zzz?=", "=?utf-8?X?zzz?="),
        ("=?", "=?"),
    ],
)
def test_encoded_words(coded: str, text: str) -> None:
    assert decode_words(coded) == text


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        ("退信".encode(), "", "退信"),
        ("退信".encode("gb18030"), "", "退信"),
        ("退信".encode("gb18030"), "us-ascii", "退信"),
        ("退信".encode("gbk"), "GB2312", "退信"),
        ("é".encode("latin-1"), "", "é"),
        ("配信".encode("iso-2022-jp"), "iso-2022-jp", "配信"),
        (b"abc", "punycode", "abc"),  # a codec, but no charset
        (b"abc", "hex", "abc"),
        (b"\xff\xfe", "utf-8", "ÿþ"),
    ],
)
def test_charsets(raw: bytes, charset: str, text: str) -> None:
    assert decode_charset(raw, charset) == text


# Headers


def test_headers_are_unfolded_and_found_in_any_case() -> None:
    headers = parse_headers(
        b"From x Thu\r\nSUBJECT: one\r\n two\r\nReceived: a\r\nReceived: b\r\n\r\nX: y"
    )
    assert headers.get("subject") == "one two"
    assert headers.all("received") == ["a", "b"]
    assert "x" not in headers
    assert headers.get("absent") == ""


def test_what_is_no_field_begins_the_body() -> None:
    headers, body = message.split_headers(b"A: 1\nno field\nB: 2\n")
    assert [field.name for field in headers.fields] == ["a"]
    assert body == b"no field\nB: 2\n"


# Parts

NESTED = b"""\
Content-Type: multipart/report; report-type=delivery-status; boundary="b 1"

preamble
--b 1
Content-Type: multipart/alternative; boundary=b2

--b2
Content-Type: text/plain; charset="gb2312"
Content-Transfer-Encoding: base64

zcvQxQ==
--b2
Content-Type: text/html

<p>x</p>
--b2--
--b 1
Content-Type: message/rfc822

Subject: inside

text
--b 1--
epilogue
"""


def test_the_tree_of_parts() -> None:
    whole = parse_message(NESTED)
    assert [part.media_type for part in walk(whole)] == [
        "multipart/report",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "message/rfc822",
    ]
    inside = list(walk(whole, into_messages=True))[-1]
    assert inside.headers.get("subject") == "inside"
    assert next(p for p in walk(whole) if p.media_type == "text/plain").text() == "退信"
    assert whole.params["report-type"] == "delivery-status"


def test_a_missing_end_and_a_missing_boundary() -> None:
    cut = parse_message(NESTED.partition(b"--b2--")[0])
    assert [part.media_type for part in walk(cut)][-1] == "text/html"
    assert parse_message(b"Content-Type: multipart/mixed\n\n--x\n\ny").parts == ()


def test_depth_and_number_of_parts_are_capped() -> None:
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(99)
    )
    assert len(list(walk(parse_message(deep)))) <= message.mime.DEPTH_LIMIT + 1
    wide = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 5_000
    assert len(parse_message(wide).parts) <= message.mime.PARTS_LIMIT + 1


# Trace lines


def test_received() -> None:
    hop = parse_received(
        "from mx.sender.test (unknown [192.0.2.7]) (using TLSv1.3) by mail.else.test (Postfix)"
        " with ESMTPS id 4F1 for <bob@else.test>; Tue, 3 Mar 2026 10:00:00 +0100 (CET)"
    )
    assert (hop.sender, hop.address, hop.by) == ("mx.sender.test", "192.0.2.7", "mail.else.test")
    assert (hop.protocol, hop.id, hop.recipient) == ("ESMTPS", "4F1", "bob@else.test")
    assert hop.date is not None
    assert hop.date.isoformat() == "2026-03-03T10:00:00+01:00"


def test_received_of_an_ipv6_client_without_a_date() -> None:
    hop = parse_received("from [IPv6:2001:db8::7] by mail.else.test with SMTP")
    assert (hop.address, hop.by, hop.date) == ("2001:db8::7", "mail.else.test", None)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("from x (1.2.3.4) by y", "1.2.3.4"),
        ("from x (host 1.2.3.4) by y", "1.2.3.4"),
        ("from a.test (2001:db8:20b::5) by b.test (2001:db8::2) with SMTP", "2001:db8:20b::5"),
        ("from x (dead.beef) (host 1.2.3.4) by y", "1.2.3.4"),
        ("from x (host [1.2.3.4]) by y (5.6.7.8)", "1.2.3.4"),
        ("from unknown (HELO mail.x) (1.2.3.4) by y", "1.2.3.4"),
        ("from unknown (HELO 10.0.0.1) (1.2.3.4) by y", "1.2.3.4"),  # what a client says of itself
        ("from unknown (EHLO 10.0.0.1) by y", ""),
        ("from x (cafe) by y", ""),
        ("from x by y (5.6.7.8)", ""),
        ("from [10.0.0.1] (mail.test [192.0.2.7]) by mx.test with ESMTP id 1", "192.0.2.7"),
        ("from [10.0.0.1] (unknown 192.0.2.7) by mx.test", "192.0.2.7"),
        ("from [192.0.2.7] (port=4711 helo=[10.0.0.1]) by mx.test with esmtps", "192.0.2.7"),
        ("from mail.test ([192.0.2.7] helo=[10.0.0.1]) by mx.test", "192.0.2.7"),
    ],
)
def test_received_with_the_address_in_round_brackets(value: str, address: str) -> None:
    assert parse_received(value).address == address


# Reports


def test_groups_without_blank_lines_between_them() -> None:
    found = parse_delivery_status(
        b"Reporting-MTA: dns; mail.test (192.0.2.1)\nFinal-Recipient: rfc822;<bob@else.test>\n"
        b"Action: failed (too old)\nStatus: 5.1.1 (unknown)\n"
        b"Final-Recipient: rfc822; eve@else.test\nAction: DELAYED\n"
        b"Remote-MTA: dns;mx.else.test (TCP|1|2)\nDiagnostic-Code: 450 later\n"
    )
    assert found.reporter == "mail.test"
    bob, eve = found.recipients
    assert (bob.recipient, bob.action, bob.status) == ("bob@else.test", "failed", "5.1.1")
    assert (eve.action, eve.remote, eve.diagnostic) == ("delayed", "mx.else.test", "450 later")


def test_addresses_that_are_not_ascii() -> None:
    found = parse_delivery_status(
        rb"Final-Recipient: utf-8; \x{7528}\x{6237}@else.test" + b"\nAction: failed\n"
    )
    assert found.recipients[0].recipient == "用户@else.test"


def test_recipients_are_capped() -> None:
    many = b"".join(
        b"\nFinal-Recipient: rfc822; u%d@else.test\nAction: failed\n" % n for n in range(999)
    )
    assert len(parse_delivery_status(many).recipients) == message.dsn.RECIPIENTS_LIMIT


# HTML


def test_html_becomes_the_lines_a_person_reads() -> None:
    source = (
        "<html><head><title>no</title></head><body><style>p{}</style><table><tr><td>收件人：</td>"
        "<td>&lt;bob@else.test&gt;</td></tr></table><!-- no --><p>a <b>bold</b>&nbsp;word<br>next"
    )
    assert text_of_html(source).split("\n") == [
        "收件人：",
        "<bob@else.test>",
        "a bold word",
        "next",
    ]


# Mailboxes


@pytest.mark.parametrize(
    ("raw", "is_message"),
    [
        (b"From: a@b.test\nSubject: x\n\nhi", True),
        (b"\r\nReturn-Path: <>\r\nReceived: by x\r\n\tid 1\r\n\r\n", True),
        (b"From a@b.test Tue Mar  3 10:00:00 2026\nFrom: a@b.test\nTo: c@d.test\n\n", True),
        (b"Mar  3 10:00:00 mail postfix/smtp[1]: 4F1: to=<b@c>, status=bounced\n" * 3, False),
        (b"550 5.1.1 user unknown", False),
        (b"Subject: one field is not enough\n\n", False),
        (b"2026-03-03 10:00:00 1abc-000 ** bob@else.test: 550 no\n", False),
        (b"", False),
    ],
)
def test_a_message_is_told_from_a_log(raw: bytes, is_message: bool) -> None:
    assert looks_like_message(raw) is is_message


def test_an_mbox_is_parted() -> None:
    one = (
        b"From a@b.test Tue Mar  3 10:00:00 2026\nSubject: 1\n\nFrom here on 10:00 it is text.\n\n"
    )
    assert list(split_mbox(one * 3)) == [one] * 3
    assert list(split_mbox(b"Subject: x\n\n" + one)) == [b"Subject: x\n\n" + one]


# Anything


@given(st.binary(max_size=600))
def test_any_bytes(raw: bytes) -> None:
    for part in walk(parse_message(raw), into_messages=True):
        part.text()
    parse_delivery_status(raw)
    looks_like_message(raw)
    assert b"".join(split_mbox(raw)) == raw
    text = raw.decode("latin-1")
    parse_received(text)
    text_of_html(text)
    decode_words(text)
    decode_charset(raw, text[:30])


PIECES = [b"\n", b"--b", b"--b--", b"Content-Type: multipart/mixed; boundary=b", b"message/rfc822"]
PIECES += [
    b"Content-Type: ",
    b"Content-Transfer-Encoding: base64",
    b"=?utf-8?B?",
    b"?=",
    b"(",
    b"<",
]


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_any_arrangement_of_real_pieces(pieces: list[bytes]) -> None:
    for part in walk(parse_message(b"".join(pieces)), into_messages=True):
        part.text()


@pytest.mark.parametrize(
    "piece", [b"(", b"<", b"=?utf-8?q?", b"--b\n", b"a=b;", b"\n", b"<p ", b"<!--"]
)
def test_hostile_repetition_takes_no_long_time(piece: bytes) -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b;" + piece * (200_000 // len(piece))
    began = time.perf_counter()
    for part in walk(parse_message(raw), into_messages=True):
        part.text()
    text_of_html(raw.decode())
    parse_received(raw.decode())
    assert time.perf_counter() - began < 2  # a quadratic one takes minutes
