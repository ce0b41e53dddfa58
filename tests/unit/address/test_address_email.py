"""E-mail addresses as people type and paste them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.address import Address, AddressError, parse_address

GOOD = [
    # typed, local, domain, ASCII domain, notes
    ("alice@example.com", "alice", "example.com", "example.com", ()),
    (" alice@example.com\n", "alice", "example.com", "example.com", ()),
    ("\ufeffalice@example.com\u200b", "alice", "example.com", "example.com", ()),
    ("Alice@Example.COM", "Alice", "example.com", "example.com", ()),
    ("alice@example.com.", "alice", "example.com", "example.com", ("trailing_dot",)),
    ("a+b.c_d=e@example.com", "a+b.c_d=e", "example.com", "example.com", ()),
    (
        "o'brien!#$%&*/?^`{|}~-@example.com",
        "o'brien!#$%&*/?^`{|}~-",
        "example.com",
        "example.com",
        (),
    ),
    ("jösé@bücher.example", "jösé", "bücher.example", "xn--bcher-kva.example", ()),
    ("alice@BÜCHER.example", "alice", "bücher.example", "xn--bcher-kva.example", ()),
    ("alice@xn--bcher-kva.example", "alice", "bücher.example", "xn--bcher-kva.example", ()),
    ("alice@xn--ls8h.la", "alice", "xn--ls8h.la", "xn--ls8h.la", ()),
    ("张三@例子.中国", "张三", "例子.中国", "xn--fsqu00a.xn--fiqs8s", ()),
    ("Alice <alice@example.com>", "alice", "example.com", "example.com", ("display_name",)),
    ('"Doe, Alice" <alice@example.com>', "alice", "example.com", "example.com", ("display_name",)),
    ("<alice@example.com>", "alice", "example.com", "example.com", ()),
    ("alice@example.com;", "alice", "example.com", "example.com", ()),
    ("mailto:alice@example.com", "alice", "example.com", "example.com", ("mailto",)),
    ("mailto:a%2Bb@example.com?subject=hi", "a+b", "example.com", "example.com", ("mailto",)),
    ("<MAILTO:alice@example.com>", "alice", "example.com", "example.com", ("mailto",)),
    ("１２３＠ｑｑ．ｃｏｍ", "123", "qq.com", "qq.com", ("full_width",)),
    ("alice@qq。com", "alice", "qq.com", "qq.com", ("full_width",)),
    ("alice＠qq.com。", "alice", "qq.com", "qq.com", ("trailing_dot", "full_width")),
    ("爱丽丝《alice@qq.com》", "alice", "qq.com", "qq.com", ("display_name",)),
    ("alice@localhost", "alice", "localhost", "localhost", ("single_label",)),
    ('"joe"@example.com', "joe", "example.com", "example.com", ()),
    ('"joe doe"@example.com', '"joe doe"', "example.com", "example.com", ()),
    ('"joe@home"@example.com', '"joe@home"', "example.com", "example.com", ()),
    (r'"a\"b\\c"@example.com', r'"a\"b\\c"', "example.com", "example.com", ()),
    (r'"\j\o\e"@example.com', "joe", "example.com", "example.com", ()),
    ('"a(b)"@example.com', '"a(b)"', "example.com", "example.com", ()),
    ('""@example.com', '""', "example.com", "example.com", ()),
    ("e\u0301@example.com", "\u00e9", "example.com", "example.com", ()),
    ("alice@[192.0.2.1]", "alice", "[192.0.2.1]", "[192.0.2.1]", ()),
    ("alice@[IPv6:2001:DB8::1]", "alice", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", ()),
    ("a" * 64 + "@example.com", "a" * 64, "example.com", "example.com", ()),
]


@pytest.mark.parametrize(("text", "local", "domain", "ascii_domain", "notes"), GOOD)
def test_good(
    text: str, local: str, domain: str, ascii_domain: str, notes: tuple[str, ...]
) -> None:
    found = parse_address(text)
    assert found == Address(local, domain, ascii_domain, not local.isascii(), text, notes)
    assert str(found) == f"{local}@{domain}"
    assert found.wire == f"{local}@{ascii_domain}"
    assert found.is_literal == domain.startswith("[")


BAD = [
    ("", "empty", 0),
    ("   ", "empty", 0),
    ("\u3000", "empty", 0),
    ("<>", "empty", 1),
    ("mailto:", "empty", 6),
    ("alice", "no_at", 5),
    ("@example.com", "empty_local", 0),
    ("alice@", "empty_domain", 5),
    ("alice@.", "empty_domain", 6),
    ("a@b@example.com", "too_many_at", 3),
    ("a@x.org, b@x.org", "several_addresses", 10),
    ("a@x.org;b@x.org", "several_addresses", 9),
    (".a@example.com", "dot_at_start", 0),
    ("a.@example.com", "dot_at_end", 1),
    ("a..b@example.com", "double_dot", 1),
    ("a b@example.com", "illegal_character", 1),
    ("a,b@example.com", "illegal_character", 1),
    ("a\u200bb@example.com", "illegal_character", 1),
    ("a\tb@example.com", "illegal_character", 1),
    ("a\ud800@example.com", "illegal_character", 1),
    ("alice(home)@example.com", "comment", 5),
    ("alice@(home)example.com", "comment", 6),
    ("alice@example.com(home)", "comment", 17),
    ('"alice@example.com', "unclosed_quote", 0),
    ('"alice\\"@example.com', "unclosed_quote", 0),
    ('"al"ice"@example.com', "illegal_character", 3),
    ("Alice <alice@example.com", "unclosed_angle", 6),
    ("alice@example.com>", "unclosed_angle", 17),
    ("alice@exa_mple.com", "underscore", 9),
    ("alice@-example.com", "hyphen", 6),
    ("alice@example-.com", "hyphen", 13),
    ("alice@example..com", "empty_label", 14),
    ("alice@例子。。中国", "empty_label", 9),
    ("alice@exam ple.com", "illegal_character", 10),
    ("alice@exam\u00a0ple.com", "illegal_character", 10),
    ("alice@example.com/x", "illegal_character", 17),
    ("alice@192.0.2.1", "numeric_tld", 14),
    ("alice@smtp.10.10.10.10", "numeric_tld", 20),
    ("alice@💩.la", "bad_idn", 6),
    ("alice@" + "a" * 64 + ".com", "label_too_long", 6),
    ("alice@[192.0.2.256]", "bad_literal", 6),
    ("alice@[2001:db8::1]", "bad_literal", 6),
    ("alice@[IPv6:192.0.2.1]", "bad_literal", 6),
    ("alice@[IPv6:fe80::1%eth0]", "bad_literal", 6),
    ("alice@[192.0.2.1", "bad_literal", 6),
    ("alice@[x-tag:what]", "bad_literal", 6),
    ("mailto:%FF@example.com", "illegal_character", 7),
    ("a" * 65 + "@example.com", "local_too_long", 0),
    ("é" * 33 + "@example.com", "local_too_long", 0),
    ("abc@" + "b." * 120 + "example.com", "too_long", 0),
    ("a" * 1001, "too_long", 1000),
]


@pytest.mark.parametrize(("text", "reason", "position"), BAD)
def test_bad(text: str, reason: str, position: int) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert (caught.value.reason, caught.value.position) == (reason, position)


SPECIAL = st.text('ab.@"\\<>()[]:;,% 。＠1-_éß例\u200b\ud800mailto', max_size=40)


@given(st.text(max_size=60) | SPECIAL | SPECIAL.map(lambda text: text + "@example.com"))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    try:
        found = parse_address(text)
    except AddressError as error:
        position = error.position
    else:
        position = 0
        assert found.ascii_domain.isascii()
        assert len(found.wire.encode()) <= 254
        # what we give out is read back as the same mailbox
        again = parse_address(found.wire)
        assert (again.local, again.ascii_domain) == (found.local, found.ascii_domain)
    assert 0 <= position <= len(text)
