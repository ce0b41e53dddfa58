"""DNS messages: the octets sent, the octets read, and dnspython as the measure of both."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.dnspython import query, query_by_dnspython, read_by_dnspython
from posthouse.protocol.dnsmessage import (
    NEGATIVE_TTL,
    NO_TTL,
    Question,
    Reply,
    WireError,
    question,
    read,
)
from posthouse.protocol.dnsrecord import POINTERS_LIMIT, name_at, name_text

ID = b"\0\7"
SELF = b"\xc0\x0c"  # the question's name
MAIL = b"\4mail\4test\0"


def asked(type_: str = "A", name: str = "mail.test") -> Question:
    made = question(name, type_)
    assert made is not None
    return made


def record(type_: int, data: bytes, owner: bytes = SELF, ttl: int = 60, class_: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", type_, class_, ttl, len(data)) + data


def message(
    question: Question,
    answers: Sequence[bytes] = (),
    authorities: Sequence[bytes] = (),
    others: Sequence[bytes] = (),
    *,
    flags: int = 0x8180,
    section: bytes | None = None,
    questions: int = 1,
) -> bytes:
    """A reply, put together by hand."""
    counts = (questions, len(answers), len(authorities), len(others))
    section = question.section if section is None else section
    parts = (ID, struct.pack("!HHHHH", flags, *counts), section, *answers, *authorities, *others)
    return b"".join(parts)


# Questions


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("mail.test", "A"),
        ("MAIL.Test", "MX"),
        ("mail.test.", "TXT"),
        ("_25._tcp.mail.test", "TLSA"),
        ("", "NS"),
        (".", "DNSKEY"),
        ("a\\.b.test", "A"),
        ("a\\032b.test", "A"),
        ("bücher.example", "A"),
        ("*.test", "CAA"),
        ("@", "A"),
        ("mail.test", "TYPE65280"),
        ("x" * 63 + ".test", "A"),
        ("x" * 64 + ".test", "A"),
        ("a..b", "A"),
        (".a", "A"),
        (".".join(["a" * 49] * 5) + ".bbb", "A"),  # 253 characters
        (".".join(["a" * 49] * 5) + ".bbbb", "A"),
        ("mail.test", "NOSUCHTYPE"),
        ("mail.test", "TYPE65536"),
    ],
)
def test_questions(name: str, type_: str) -> None:
    made = question(name, type_)
    assert (made and made.message(ID)) == query_by_dnspython(name, type_)


# Replies, by hand

A1, A2 = record(1, b"\x0a\0\0\1"), record(1, b"\x0a\0\0\2")
TO_REAL = record(5, b"\4real\xc0\x11", ttl=30)
REAL_A = record(1, b"\x0a\0\0\1", b"\4real\xc0\x11")
NOTHING = Reply(3, canonical="real.test", ttl=30)
SOA_DATA = b"\2ns\xc0\x11\1h\xc0\x11" + struct.pack("!IIIII", 1, 2, 3, 4, 90)
SOA = record(6, SOA_DATA, b"\4test\0")
OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
OPT_UPPER = b"\0" + struct.pack("!HHIH", 41, 1232, 0x0100_0000, 0)
LOOP = [record(5, b"\xc0\x0c")]
NAME = "mail.test"
ONE, TWO = ("10.0.0.1",), ("10.0.0.1", "10.0.0.2")
MINIMUM_7 = record(6, SOA_DATA[:-4] + b"\0\0\0\7", b"\4test\0")
OTHER_SOA = record(6, SOA_DATA, b"\5other\0")
SHORT_SOA = record(6, SOA_DATA[:-1], b"\4test\0")


def ok(records: tuple[str, ...] = (), ttl: int = 60, canonical: str = NAME) -> Reply:
    return Reply(0, canonical=canonical, records=records, ttl=ttl)


REPLIES = [
    ("two", message(asked(), [A1, A2]), ok(TWO)),
    ("twice", message(asked(), [A1, A1]), ok(ONE)),
    ("authenticated", message(asked(), [A1], flags=0x81A0), Reply(0, False, True, NAME, ONE, 60)),
    ("edns", message(asked(), [A1], [], [OPT]), ok(ONE)),
    ("upper rcode", message(asked(), [], [], [OPT_UPPER]), Reply(16)),
    ("lower ttl", message(asked(), [A1, record(1, b"\x0a\0\0\2", ttl=9)]), ok(TWO, 9)),
    ("ttl below zero", message(asked(), [record(1, b"\x0a\0\0\1", ttl=0x80000000)]), ok(ONE, 0)),
    ("other letters", message(asked(), [A1], section=b"\4MAIL\4Test\0\0\1\0\1"), ok(ONE)),
    ("alias", message(asked(), [TO_REAL, REAL_A]), ok(ONE, 30, "real.test")),
    ("alias alone", message(asked(), [TO_REAL]), ok((), 30, "real.test")),
    ("alias to nothing", message(asked(), [TO_REAL], [SOA], flags=0x8183), NOTHING),
    ("no data", message(asked(), [], [SOA]), ok(ttl=60)),
    ("no data, by the minimum", message(asked(), [], [MINIMUM_7]), ok(ttl=7)),
    ("no soa", message(asked()), ok(ttl=NEGATIVE_TTL)),
    ("a strange soa", message(asked(), [], [OTHER_SOA]), ok(ttl=NEGATIVE_TTL)),
    ("no such name", message(asked(), [], [SOA], flags=0x8183), Reply(3, canonical=NAME, ttl=60)),
    ("another class", message(asked(), [record(1, b"xxxx", class_=3)]), ok(ttl=NEGATIVE_TTL)),
    ("another owner", message(asked(), [record(1, b"xxxx", b"\5other\0")]), ok(ttl=NEGATIVE_TTL)),
    ("unread", message(asked(), [record(46, b"junk"), A1]), ok(ONE)),
    ("junk behind", message(asked(), [A1]) + b"junk", ok(ONE)),
    ("refused", message(asked(), flags=0x8185), Reply(5)),
    ("refused, bare", message(asked(), flags=0x8185, section=b"", questions=0), Reply(5)),
    ("servfail, bare", message(asked(), flags=0x8182, section=b"", questions=0), Reply(2)),
    ("truncated", message(asked(), [A1[:5]], flags=0x8380), Reply(0, truncated=True)),
    # Another question's, or no reply at all: not ours
    ("a query", message(asked(), flags=0x0120), None),
    ("another opcode", message(asked(), flags=0x8980), None),
    ("another name", message(asked(), section=b"\4mall\4test\0\0\1\0\1"), None),
    ("another type", message(asked(), section=MAIL + b"\0\2\0\1"), None),
    ("the same but for a bit of the type", message(asked(), section=MAIL + b"\0\x21\0\1"), None),
    ("another class asked", message(asked(), section=MAIL + b"\0\1\0\3"), None),
    ("no question", message(asked(), section=b"", questions=0), None),
    ("two questions", message(asked(), section=asked().section * 2, questions=2), None),
    # Ours, and malformed
    ("short", ID + b"\x81\x80 junk", WireError),
    ("records that are not there", message(asked())[:7] + b"\1" + message(asked())[8:], WireError),
    ("cut", message(asked(), [A1])[:-1], WireError),
    ("cut in the head of a record", message(asked(), [A1])[:-6], WireError),
    ("cut in a name", message(asked(), [b"\4mai"]), WireError),
    ("a short address", message(asked(), [record(1, b"\x0a\0\0")]), WireError),
    ("a long address", message(asked(), [record(1, b"\x0a\0\0\1\1")]), WireError),
    ("aliases in a circle", message(asked(), LOOP), WireError),
    ("records of what is not", message(asked(), [A1], flags=0x8183), WireError),
    ("a pointer to itself", message(asked(), [record(1, b"xxxx", b"\xc0\x1b")]), WireError),
    ("a pointer onwards", message(asked(), [record(1, b"xxxx", b"\xc0\xff")]), WireError),
    ("a label of no known kind", message(asked(), [record(1, b"xxxx", b"\x40\0")]), WireError),
    ("an alias that is cut", message(asked(), [record(5, b"\4rea")]), WireError),
    ("an alias and more", message(asked(), [record(5, b"\4real\0x")]), WireError),
    ("an soa that is cut", message(asked(), [], [SHORT_SOA]), WireError),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "expected"), [pytest.param(*r[1:], id=r[0]) for r in REPLIES])
def test_replies(wire: bytes, expected: Reply | type[WireError] | None) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            read(asked(), wire)
    else:
        assert read(asked(), wire) == expected


def test_truncation_means_nothing_by_tcp() -> None:
    reply = read(asked(), message(asked(), [A1], flags=0x8380), whole=True)
    assert reply == ok(ONE)


# Data: (type, wire, text, or None where it is malformed)
DATA = [
    ("AAAA", b"\x20\1\x0d\xb8" + bytes(11) + b"\1", "2001:db8::1"),
    ("AAAA", bytes(10) + b"\xff\xff\x0a\0\0\1", "::ffff:10.0.0.1"),
    ("AAAA", bytes(15), None),
    ("MX", b"\0\x0a\2mx\xc0\x11", "10 mx.test."),
    ("MX", b"\0\0\0", "0 ."),
    ("MX", b"\0", None),
    ("MX", b"\0\x0a\2mx\xc0\x11x", None),
    ("NS", b"\2ns\xc0\x0c", "ns.mail.test."),
    ("CNAME", b"\1a\0", "a."),
    ("PTR", b"\5a.b c\1\xff\0", "a\\.b\\032c.\\255."),
    ("SRV", b"\0\1\0\2\2\x4b\2mx\xc0\x11", "1 2 587 mx.test."),
    ("SRV", b"\0\1\0\2\2", None),
    ("TXT", b"\3v=s\3pf1", "v=spf1"),
    ("TXT", b"\0", ""),
    ("TXT", b"\2\xc3\xbc", "ü"),
    ("TXT", b"\1\xfc", "ü"),
    ("TXT", b"", None),
    ("TXT", b"\3ab", None),
    ("TLSA", b"\3\1\1" + b"\xab" * 32, "3 1 1 " + "ab" * 32),
    ("CAA", b"\0\5issueca.test", '0 issue "ca.test"'),
    ("TYPE65280", b"\1\2", "\\# 2 0102"),
    ("DS", b"\0", None),
]


@pytest.mark.parametrize(("type_", "data", "text"), DATA)
def test_data(type_: str, data: bytes, text: str | None) -> None:
    ours = asked(type_)
    wire = message(ours, [record(ours.number, data)])
    if text is None:
        with pytest.raises(WireError):
            read(ours, wire)
    else:
        reply = read(ours, wire)
        assert reply is not None
        assert reply.records == (text,)
        if type_ != "CNAME":
            assert reply == read_by_dnspython(ours, wire)


def test_strings_of_txt_that_join_alike_are_two_records() -> None:
    ours = asked("TXT")
    reply = read(ours, message(ours, [record(16, b"\2ab"), record(16, b"\1a\1b")]))
    assert reply is not None
    assert reply.records == ("ab", "ab")


# Names


def test_a_name_of_255_octets_and_one_of_256() -> None:
    labels = b"".join(b"\x3f" + b"a" * 63 for _ in range(3))
    longest = labels + b"\x3d" + b"b" * 61 + b"\0"
    assert name_at(longest, 0, len(longest)) == (longest, 255)
    for more in (labels + b"\x3e" + b"b" * 62 + b"\0", labels * 2 + b"\0"):
        with pytest.raises(WireError):
            name_at(more, 0, len(more))
    pointed = longest + b"\1x\xc0\x00"
    with pytest.raises(WireError):
        name_at(pointed, len(longest), len(pointed))


@pytest.mark.parametrize("count", [POINTERS_LIMIT, POINTERS_LIMIT + 1])
def test_pointers_to_pointers(count: int) -> None:
    wire = b"\1a\0" + b"".join(
        struct.pack("!H", 0xC000 | max(0, 2 * n + 1)) if n else b"\xc0\x00" for n in range(count)
    )
    start = len(wire) - 2
    if count > POINTERS_LIMIT:
        with pytest.raises(WireError):
            name_at(wire, start, len(wire))
    else:
        assert name_at(wire, start, len(wire)) == (b"\1a\0", len(wire))


class Counted(bytes):
    """Octets that count how often one of them, or a piece, was taken."""

    taken = 0

    def __getitem__(self, key):  # type: ignore[no-untyped-def]
        Counted.taken += 1
        return super().__getitem__(key)


def costly() -> Iterator[tuple[str, bytes]]:
    """Messages of 64 KiB in which every name is as dear as can be."""
    ours = asked()
    chain = b"".join(struct.pack("!H", 0xC000 | max(12, 12 + 2 * n)) for n in range(8_000))
    small = b"\1a" * 100 + b"\0"
    hops = record(16, chain)
    rest = (65_535 - len(hops) - 40) // 12
    yield "pointers", message(ours, [hops, *[record(1, b"", b"\xff\xfe") for _ in range(rest)]])
    names = (65_535 - 40) // (len(small) + 10)
    yield "long names", message(ours, [record(1, b"", small) for _ in range(names)])
    deep = record(16, b"\1a" * 120 + b"\0")
    rest = (65_535 - len(deep) - 40) // 12
    yield "one long name", message(ours, [deep, *[record(1, b"", b"\xc0\x27")] * rest])
    aliases = [record(5, SELF)] * ((65_535 - 40) // 14)
    yield "aliases", message(ours, aliases)


@pytest.mark.parametrize(("kind", "wire"), list(costly()))
def test_hostile_names_cost_no_more_than_their_number(kind: str, wire: bytes) -> None:
    Counted.taken = 0
    with contextlib.suppress(WireError):
        read(asked(), Counted(wire), whole=True)
    most = len(wire) // 12 * (2 * POINTERS_LIMIT + 128)
    assert Counted.taken <= most


# dnspython as the measure

LABELS = st.one_of(
    st.sampled_from([b"mail", b"MAIL", b"_tcp", b"a", b"x" * 63]), st.binary(min_size=1, max_size=8)
)
NAMES = st.lists(LABELS, min_size=0, max_size=3).map(lambda labels: dns.name.Name([*labels, b""]))
OWNERS = st.sampled_from(
    [dns.name.from_text(text) for text in ("mail.test.", "Real.test.", "c.mail.test.", "test.")]
)
TYPES = ["A", "AAAA", "MX", "TXT", "CNAME", "NS", "PTR", "SRV", "SOA", "TLSA", "CAA", "TYPE65280"]
U16 = st.integers(0, 65_535)
U32 = st.integers(0, 2**32 - 1)


def rdata(type_: str) -> st.SearchStrategy[dns.rdata.Rdata]:
    """Any record of a type."""
    number = dns.rdatatype.from_text(type_)
    class_ = dns.rdata.get_rdata_class(dns.rdataclass.IN, number)
    fields: dict[str, list[st.SearchStrategy[object]]] = {
        "A": [st.ip_addresses(v=4).map(str)],
        "AAAA": [st.ip_addresses(v=6).map(str)],
        "MX": [U16, st.one_of(NAMES, OWNERS)],
        "TXT": [st.lists(st.binary(max_size=20), min_size=1, max_size=3)],
        "SRV": [U16, U16, U16, st.one_of(NAMES, OWNERS)],
        "SOA": [NAMES, NAMES, U32, U32, U32, U32, U32],
        "TLSA": [st.integers(0, 3), st.integers(0, 1), st.just(0), st.binary(min_size=1)],
        "CAA": [st.integers(0, 255), st.just(b"issue"), st.binary(max_size=9)],
        "TYPE65280": [st.binary(max_size=9)],
    }
    made = fields.get(type_, [st.one_of(OWNERS, NAMES)])
    return st.tuples(*made).map(lambda parts: class_(dns.rdataclass.IN, number, *parts))


TTLS = st.one_of(st.integers(0, 4_000), U32)
ROWS = st.tuples(OWNERS, TTLS, st.sampled_from([*TYPES, "CNAME"]).flatmap(rdata))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.lists(ROWS, max_size=8),
    st.lists(ROWS, max_size=3),
    st.sampled_from([0, 0, 0, 2, 3, 5, 16]),
    st.booleans(),
)
def test_dnspython_reads_the_same(
    type_: str,
    answers: list[tuple[dns.name.Name, int, dns.rdata.Rdata]],
    authorities: list[tuple[dns.name.Name, int, dns.rdata.Rdata]],
    rcode: int,
    authenticated: bool,
) -> None:
    ours = asked(type_)
    made = dns.message.make_response(query(NAME, type_, 7))
    made.set_rcode(dns.rcode.Rcode(rcode))
    made.flags |= dns.flags.AD if authenticated else 0
    for section, rows in ((made.answer, answers), (made.authority, authorities)):
        section += [dns.rrset.from_rdata(owner, ttl, row) for owner, ttl, row in rows]
    wire = made.to_wire(max_size=65_535)
    expected = read_by_dnspython(ours, wire)
    try:
        found = read(ours, wire)
    except WireError:
        found = None
    assert found == expected


@given(st.lists(LABELS, max_size=3))
def test_dnspython_writes_names_the_same(labels: list[bytes]) -> None:
    name = dns.name.Name([*labels, b""])
    assert name_text(name.to_wire() or b"") == name.to_text()


@given(st.binary(max_size=120))
def test_any_octets(data: bytes) -> None:
    for section in (b"", asked().section):
        head = ID + b"\x81\x80" + data[:8].ljust(8, b"\0")
        try:
            reply = read(asked(), head + section + data[8:])
        except WireError:
            continue
        assert reply is None or reply.ttl <= NO_TTL
