"""What is hashed of a body and of header fields."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.dkim import Canon, hash_body, parse_header, split
from posthouse.protocol.dkim.body import BodyHasher, canonical_body
from posthouse.protocol.dkim.canon import relaxed_field
from posthouse.protocol.dkim.fields import crlf

# body -> simple, relaxed. RFC 6376 sections 3.4.3 to 3.4.5.
BODIES = [
    (b"", b"\r\n", b""),
    (b"\r\n", b"\r\n", b""),
    (b"\r\n\r\n\r\n", b"\r\n", b""),
    (b"a", b"a\r\n", b"a\r\n"),
    (b"a\r\n", b"a\r\n", b"a\r\n"),
    (b"a\r\n\r\n\r\n", b"a\r\n", b"a\r\n"),
    (b"\r\n\r\na", b"\r\n\r\na\r\n", b"\r\n\r\na\r\n"),
    (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n", b" C\r\nD E\r\n"),  # section 3.4.5
    (b"a \t \r\n", b"a \t \r\n", b"a\r\n"),
    (b"a\t", b"a\t\r\n", b"a\r\n"),
    (b"\t\ta", b"\t\ta\r\n", b" a\r\n"),
    (b" \t\r\n", b" \t\r\n", b""),
    (b" ", b" \r\n", b""),
    (b"a\r\n \t \r\n\r\n", b"a\r\n \t \r\n", b"a\r\n"),
    (b"a\r\n \t \r\n\r\nb", b"a\r\n \t \r\n\r\nb\r\n", b"a\r\n\r\n\r\nb\r\n"),
    (b"a\rb", b"a\rb\r\n", b"a\rb\r\n"),  # a bare CR is an octet
    (b"a \r", b"a \r\r\n", b"a \r\r\n"),
    (b"a\r\r\n", b"a\r\r\n", b"a\r\r\n"),
    (b"a\r\n\r\r\n\r\n", b"a\r\n\r\r\n", b"a\r\n\r\r\n"),
    (b"\r", b"\r\r\n", b"\r\r\n"),
    (b"a\nb \n\n", b"a\r\nb \r\n", b"a\r\nb\r\n"),  # a bare LF is a line end
    (b"a\x0b \x0c\r\n", b"a\x0b \x0c\r\n", b"a\x0b \x0c\r\n"),  # no white space in the RFC's sense
    (b"\x00\xff\xa0\r\n", b"\x00\xff\xa0\r\n", b"\x00\xff\xa0\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "simple", "relaxed"), BODIES)
def test_body(body: bytes, simple: bytes, relaxed: bytes) -> None:
    wants = [(Canon.SIMPLE, None), (Canon.RELAXED, None), (Canon.SIMPLE, 1), (Canon.RELAXED, 0)]
    hashed = hash_body(body, wants)
    assert hashed.digest(Canon.SIMPLE) == hashlib.sha256(simple).digest()
    assert hashed.digest(Canon.RELAXED) == hashlib.sha256(relaxed).digest()
    assert hashed.digest(Canon.SIMPLE, 1) == hashlib.sha256(simple[:1]).digest()
    assert hashed.digest(Canon.RELAXED, 0) == hashlib.sha256(b"").digest()
    assert (hashed.length(Canon.SIMPLE), hashed.length(Canon.RELAXED)) == (
        len(simple),
        len(relaxed),
    )
    assert canonical_body(crlf(body), Canon.SIMPLE) == simple
    assert canonical_body(crlf(body), Canon.RELAXED) == relaxed


PIECES = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b"\t", b"a", b"b c", b""]), max_size=24
)


@settings(max_examples=400, deadline=None)
@given(PIECES)
def test_chunks_cut_anywhere_give_the_same(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    for canon in Canon:
        whole = canonical_body(crlf(body), canon)
        hashed = hash_body(iter(pieces), [(canon, None), (canon, 5)])
        assert hashed.digest(canon) == hashlib.sha256(whole).digest()
        assert hashed.digest(canon, 5) == hashlib.sha256(whole[:5]).digest()
        assert canonical_body(whole, canon) == whole


@pytest.mark.parametrize(
    "chunk", [b"\r\n" * 8_192, b" \t" * 8_192, b" \r\n" * 5_000, b"ab c\n" * 3_000]
)
def test_memory_does_not_grow_with_the_body(chunk: bytes) -> None:
    hasher = BodyHasher([(canon, None) for canon in Canon])
    hasher.feed(chunk)
    tracemalloc.start()
    for _ in range(200):
        hasher.feed(chunk)
    hasher.feed(b"end")
    hasher.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(chunk)


FIELDS = [
    (b"A: X", b"a:X"),  # section 3.4.5
    (b"B : Y\t\r\n\tZ  ", b"b:Y Z"),
    (b"Subject:", b"subject:"),
    (b"Subject: \t ", b"subject:"),
    (b"Subject:\r\n \r\n\tx", b"subject:x"),
    (b"SUBJect \t :a:b : c", b"subject:a:b : c"),
    (b"X: \xe9\xff  \xa0", b"x:\xe9\xff \xa0"),
    (b"X: a\rb", b"x:a\rb"),
    (b"X: a\x0b\x0c b", b"x:a\x0b\x0c b"),
]


@pytest.mark.parametrize(("raw", "relaxed"), FIELDS)
def test_relaxed_field(raw: bytes, relaxed: bytes) -> None:
    assert relaxed_field(raw) == relaxed
    header = parse_header(b"From: a\r\n" + raw + b"\r\nTo: b\r\n")
    assert header.relaxed == [b"from:a", relaxed, b"to:b"]
    assert header.raws == [b"From: a", raw, b"To: b"]


# message -> names, offset of the body
SPLITS = [
    (b"", [], 0),
    (b"\r\n", [], 2),
    (b"\r\nbody", [], 2),
    (b"\nbody", [], 1),
    (b"A: 1", [b"a"], 4),
    (b"A: 1\r\n", [b"a"], 6),
    (b"A: 1\r\n\r\nbody", [b"a"], 8),
    (b"A: 1\n\nbody\r\n\r\n", [b"a"], 6),
    (b"A: 1\r\nB:2\r\n\r\n", [b"a", b"b"], 13),
    (b"A: 1\r\n x\r\n\ty\r\nB:2\n\nz", [b"a", b"b"], 19),
    (b"A: 1\r\n \t\r\nB: 2\r\n\r\n", [b"a", b"b"], 18),
    (b"From me@x Thu Jan 1\r\nA: 1\r\n\r\n", [b"a"], 29),
    (b"From me", [], 7),
    (b"no colon\r\nA: 1\r\n\r\n", [b"", b"a"], 18),
    (b" folded first\r\nA: 1\r\n\r\n", [b"", b"a"], 23),
    (b": no name\r\n\r\n", [b""], 13),
    (b"A\r\n: x\r\n\r\n", [b"", b""], 10),
    (b"A: 1\r", [b"a"], 5),
]


@pytest.mark.parametrize(("message", "names", "body"), SPLITS)
def test_split(message: bytes, names: list[bytes], body: int) -> None:
    header, start = split(message)
    assert (header.names, start) == (names, body)
    assert len(header.raws) == len(header.relaxed) == len(names)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b"\t", b"A", b"b:", b"From ", b":"]),
        max_size=20,
    )
)
def test_any_header_splits_alike_in_both_forms(pieces: list[bytes]) -> None:
    message = b"".join(pieces)
    header, start = split(message)
    assert 0 <= start <= len(message)
    assert len(header.names) == len(header.raws) == len(header.relaxed)
    for name, raw, relaxed in zip(header.names, header.raws, header.relaxed, strict=True):
        assert relaxed_field(raw) == relaxed
        assert relaxed.startswith(name)


def test_select_from_the_bottom() -> None:
    header = parse_header(b"A: 1\r\nB: 2\r\na: 3\r\nA : 4\r\n")
    assert header.select([b"a", b"b", b"a", b"c", b"a", b"a", b""]) == [3, 1, 2, 0]
    assert header.select([b"a", b"a", b"a"], without=2) == [3, 0]
