"""Macros: the examples of RFC 7208 section 7.4, and the corners."""

from __future__ import annotations

import pytest

from posthouse.protocol.spf import names
from posthouse.protocol.spf.client import Client
from posthouse.protocol.spf.macro import expand, read

SENDER = "strong-bad@email.example.com"


def filled(
    text: str, ip: str = "192.0.2.3", sender: str = SENDER, p: str = "mx.example.org"
) -> str:
    client = Client(ip, sender, "mail.test", receiver="", now=1_234, names_limit=10)
    values = {**client.values, "d": names.split_sender(sender)[1], "p": "mx.example.org"}
    return expand(read(text, explanation=True), values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ("%{S}", "strong-bad%40email.example.com"),
        ("%{D1R}", "email"),
        ("%{p2} %{h} %{t} %{r} %{c}", "example.org mail.test 1234 unknown 192.0.2.3"),
        ("%%|%_|%-", "%| |%20"),
        ("{d}", "{d}"),
        ("%{d.-}", "email.example.com"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert filled(text) == value


def test_ip6() -> None:
    assert filled("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01") == (
        "1.0.B.C" + ".0" * 20 + ".8.B.D.0.1.0.0.2.ip6._spf.example.com"
    )
    assert filled("%{c} %{v}", "::ffff:192.0.2.3") == "192.0.2.3 in-addr"


def test_local_parts() -> None:
    assert filled("%{l}", sender="@a.test") == "postmaster"
    assert filled("%{l}/%{o}", sender='"a@b"@c.test') == '"a@b"/c.test'
    assert filled("%{lr+-}", sender="foo-bar+zip+quux@a.test") == "quux.zip.bar.foo"
    assert filled("%{o}", sender="x@bücher.test") == "xn--bcher-kva.test"
    assert filled("%{L}", sender="ü&@a.test") == "%C3%BC%26"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("A.Example.Com.", "a.example.com"),
        (".".join(["x" * 63] * 4), ".".join(["x" * 63] * 3)),
        ("a." * 200 + "test", ("a." * 200 + "test")[-252:]),
        ("ab." * 90 + "test", ("ab." * 90 + "test")[-253:]),
        ("x" * 64 + ".test", None),
        ("x" * 300, None),
        ("a..b", None),
        (".a", None),
        ("", None),
        ("ü.test", None),
        ("a\\.b.test", "a\\\\.b.test"),
        ("a b%c.test", "a b%c.test"),
    ],
)
def test_names_to_ask(target: str, name: str | None) -> None:
    assert names.question(target) == name
    assert name is None or len(name.replace("\\\\", "\\")) <= 253
