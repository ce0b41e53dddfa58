"""The message on the wire, and SMTP smuggling: what never ends data."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp import LocalProtocolError, normalize, stuff, unstuff
from posthouse.protocol.smtp.data import END, DataReader, Meter, Stuffer, find_end

# Pieces that every mistake about ends of lines and data is made of.
PIECES = st.sampled_from(
    [b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"a", b"..", b"\xe4"]
)
BODIES = st.lists(PIECES, max_size=14).map(b"".join)


def feed(*pieces: bytes) -> tuple[bytes, bytes | None, DataReader]:
    reader = DataReader()
    body = b""
    for number, piece in enumerate(pieces):
        out, rest = reader.feed(piece)
        body += out
        if rest is not None:
            return body, rest + b"".join(pieces[number + 1 :]), reader
    return body, None, reader


@pytest.mark.parametrize(
    ("stream", "body", "rest"),
    [
        (b".\r\n", b"", b""),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"..\r\n.\r\n", b"..\r\n", b""),
        (b".a\r\n.\r\n", b".a\r\n", b""),
        (b"a.\r\n.\r\n", b"a.\r\n", b""),
    ],
)
def test_the_one_true_end(stream: bytes, body: bytes, rest: bytes) -> None:
    assert feed(stream)[:2] == (body, rest)
    assert feed(*(stream[i : i + 1] for i in range(len(stream))))[:2] == (body, rest)


SMUGGLED = b"MAIL FROM:<evil@x.test>\r\n"


@pytest.mark.parametrize(
    "fake_end",
    [
        pytest.param(b"\n.\n", id="LF.LF"),
        pytest.param(b"\n.\r\n", id="LF.CRLF-CVE-2023-51764-Postfix-CVE-2023-51765-Sendmail"),
        pytest.param(b"\r\n.\n", id="CRLF.LF-CVE-2023-51766-Exim"),
        pytest.param(b"\r.\r", id="CR.CR"),
        pytest.param(b"\r.\r\n", id="CR.CRLF-CVE-2024-27305-aiosmtpd"),
        pytest.param(b"\r\n.\r", id="CRLF.CR-CVE-2024-27305-aiosmtpd"),
        pytest.param(b"\n.\r", id="LF.CR"),
        pytest.param(b"\r.\n", id="CR.LF"),
        pytest.param(b"\r\n\0.\r\n", id="CRLF-NUL.CRLF"),
        pytest.param(b"\r\n.\0\r\n", id="CRLF.NUL-CRLF"),
        pytest.param(b"\r\n.\r\r\n", id="CRLF.CRCRLF"),
        pytest.param(b"\r\r\n.\r\r\n", id="CRCRLF.CRCRLF"),
        pytest.param(b"\n\n.\n\n", id="LFLF.LFLF"),
        pytest.param(b"\r\n. \r\n", id="CRLF.BLANK-CRLF"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_smuggling(fake_end: bytes, size: int) -> None:
    stream = b"Subject: x\r\n\r\nhello" + fake_end + SMUGGLED + b"\r\n.\r\nQUIT\r\n"
    body, rest, reader = feed(*(stream[i : i + size] for i in range(0, len(stream), size)))
    assert SMUGGLED in body
    assert rest == b"QUIT\r\n"
    facts = reader.meter.facts()
    bare = fake_end.replace(b"\r\n", b"")
    assert (facts.bare_cr, facts.bare_lf) == (bare.count(b"\r"), bare.count(b"\n"))


def test_facts() -> None:
    meter = Meter()
    for piece in (b"ok\r", b"\nbad\nworse\rlast\r", b"x\0\xff"):
        meter.add(piece)
    facts = meter.facts()
    assert (facts.size, facts.bare_cr, facts.bare_lf) == (22, 2, 1)
    assert facts.defects == ("bare_cr", "bare_lf", "nul")
    assert facts.eight_bit


@pytest.mark.parametrize(
    ("body", "long"),
    [
        (b"x" * 998 + b"\r\n", False),
        (b"x" * 999 + b"\r\n", True),
        (b"a\r\n" + b"x" * 998 + b"\r\nb\r\n", False),
        ((b"y" * 600 + b"\r\n") * 5, False),
        ((b"y" * 600 + b"\r\n") * 5 + b"x" * 1001, True),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 997, 999, 10_000])
def test_long_lines(body: bytes, long: bool, size: int) -> None:
    meter = Meter()
    for i in range(0, len(body), size):
        meter.add(body[i : i + size])
    assert meter.facts().long_line is long


@pytest.mark.parametrize(
    ("body", "long"),
    [
        (b".." + b"y" * 997 + b"\r\n", False),
        (b".." + b"y" * 998 + b"\r\n", True),
        (b"a\r\n.." + b"y" * 997 + b"\r\n.." + b"z" * 997 + b"\r\nb\r\n", False),
        (b"a\r\n.." + b"y" * 997 + b"\r\n" + b"z" * 999 + b"\r\n", True),
        ((b".." + b"y" * 600 + b"\r\n") * 5 + b"x" * 998 + b"\r\n", False),
        (b"x" * 997 + b"..\r\n", True),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 7, 997, 1000, 1001, 10_000])
def test_a_doubled_dot_makes_no_line_longer(body: bytes, long: bool, size: int) -> None:
    """RFC 5321 section 4.5.3.1.6."""
    reader = DataReader()
    stream = body + b".\r\n"
    for i in range(0, len(stream), size):
        reader.feed(stream[i : i + size])
    assert reader.meter.facts().long_line is long


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b""),
        (b"a\r\n", b"a\r\n"),
        (b".", b".."),
        (b".\r\n.a\r\n..\r\n", b"..\r\n..a\r\n...\r\n"),
        (b"a.\r\n\r\n.\r\n", b"a.\r\n\r\n..\r\n"),
    ],
)
def test_stuffing(message: bytes, wire: bytes) -> None:
    assert stuff(message) == wire
    assert unstuff(wire) == message


@pytest.mark.parametrize("message", [b"a\nb", b"a\rb", b"\n", b"\n\r", b"a\r\r\n", b"a\r\n\n"])
def test_bare_cr_and_lf_are_never_written(message: bytes) -> None:
    for cut in range(len(message)):
        stuffer = Stuffer()
        with pytest.raises(LocalProtocolError):
            _write(stuffer, message[:cut], message[cut:])


def _write(stuffer: Stuffer, *pieces: bytes) -> bytes:
    return b"".join([stuffer.add(piece) for piece in pieces]) + stuffer.end()


def test_a_cr_at_the_end_is_bare() -> None:
    stuffer = Stuffer()
    assert stuffer.add(b"a\r") == b"a"
    with pytest.raises(LocalProtocolError):
        stuffer.end()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"a\r\n.\r\nMAIL"],
        [b".\r\nMAIL"],
        [b"a\r\n.", b"\r\nMAIL"],
        [b"a\r\n", b".\r\n"],
        [b"a\r", b"\n.\r", b"\n"],
        [b"a\r\n."],
        [b"."],
    ],
)
def test_no_end_hides_in_wire_form(pieces: list[bytes]) -> None:
    stuffer = Stuffer()
    with pytest.raises(LocalProtocolError, match="end of data"):
        _write_wire(stuffer, pieces)


def _write_wire(stuffer: Stuffer, pieces: list[bytes]) -> bytes:
    return b"".join([stuffer.add_wire(piece) for piece in pieces]) + stuffer.end()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"a\nb\rc\r\nd", b"a\r\nb\r\nc\r\nd"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"\n\r", b"\r\n\r\n"),
        (b"\r\r\n", b"\r\n\r\n"),
        (b"", b""),
    ],
)
def test_normalize(message: bytes, expected: bytes) -> None:
    assert normalize(message) == expected


def cuts(data: bytes, where: list[int]) -> list[bytes]:
    points = sorted({min(w, len(data)) for w in where} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(points)]


@given(BODIES)
def test_the_quick_search_finds_the_first_end(octets: bytes) -> None:
    assert find_end(octets) == octets.find(END)
    assert find_end(octets + END + octets) == (octets + END + octets).find(END)


@given(BODIES, st.lists(st.integers(0, 30), max_size=6))
def test_any_cut_of_a_stream_is_read_alike(body: bytes, where: list[int]) -> None:
    stream = body + b"\r\n.\r\n"
    whole, cut = feed(stream), feed(*cuts(stream, where))
    assert whole[:2] == cut[:2]
    assert whole[2].meter.facts() == cut[2].meter.facts()


@given(BODIES, st.lists(st.integers(0, 30), max_size=6))
def test_what_is_written_is_what_is_read(body: bytes, where: list[int]) -> None:
    message = normalize(body)
    wire = _write(Stuffer(), *cuts(message, where))
    received, rest, reader = feed(wire)
    assert rest == b""
    assert unstuff(received) == (
        message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    )
    assert (reader.meter.facts().bare_cr, reader.meter.facts().bare_lf) == (0, 0)
    assert _write_wire(Stuffer(), cuts(received, where)) == wire
