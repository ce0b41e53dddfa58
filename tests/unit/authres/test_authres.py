"""Authentication-Results: read leniently, written strictly."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posthouse.protocol import authres, dkim
from posthouse.protocol.authres import AuthResError, AuthResults, MethodResult, Property
from posthouse.protocol.dkim import parse_header

# value -> id, (method, result, {property: value})... The first are RFC 8601's appendix B.
ROWS = {
    "example.org 1; none": ("example.org", []),
    "example.com;\r\n\tspf=pass smtp.mailfrom=example.net": (
        "example.com",
        [("spf", "pass", {"smtp.mailfrom": "example.net"})],
    ),
    'x; auth=pass (cleartext) smtp.auth=sender@example.net; spf=pass smtp.mailfrom="a b"@c': (
        "x",
        [
            ("auth", "pass", {"smtp.auth": "sender@example.net"}),
            ("spf", "pass", {"smtp.mailfrom": "a b@c"}),
        ],
    ),
    'x; dkim=pass reason="good signature" header.i=@mail-router.example.net;'
    " dkim=fail header.i=@newyork.example.com header.b=oINEO8hg": (
        "x",
        [
            ("dkim", "pass", {"header.i": "@mail-router.example.net"}),
            ("dkim", "fail", {"header.i": "@newyork.example.com", "header.b": "oINEO8hg"}),
        ],
    ),
    "foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it)"
    " fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = "
    "(as I wasn't expecting it) 1362471462": (
        "foo.example.net",
        [("dkim", "fail", {"policy.expired": "1362471462"})],
    ),
    "x; arc=pass (as.1.a=pass) header.oldest-pass=1 arc.chain=b:a smtp.remote-ip=2001:db8::1": (
        "x",
        [
            (
                "arc",
                "pass",
                {"header.oldest-pass": "1", "arc.chain": "b:a", "smtp.remote-ip": "2001:db8::1"},
            )
        ],
    ),
    "x; dkim=policy policy.dkim-rules=weak-key header.b=ab/c+d==": (
        "x",
        [("dkim", "policy", {"policy.dkim-rules": "weak-key", "header.b": "ab/c+d=="})],
    ),
    "spf=pass (sender IP is 1.2.3.4)\r\n smtp.mailfrom=a.b; dkim=none (message not signed)": (
        "",
        [("spf", "pass", {"smtp.mailfrom": "a.b"}), ("dkim", "none", {})],
    ),
    '"my; server" ; SPF=Pass;;': ("my; server", [("spf", "pass", {})]),
    "x; dkim=pass (a ; b (c) \\) d) header.d=y (unclosed ; e": (
        "x",
        [("dkim", "pass", {"header.d": "y"})],
    ),
    "x; dkim=": ("x", [("dkim", "", {})]),
    "": ("", []),
    ";": ("", []),
}


@pytest.mark.parametrize("value", ROWS)
def test_read(value: str) -> None:
    wanted_id, wanted = ROWS[value]
    found = authres.parse(value.encode())
    assert found.authserv_id == wanted_id
    assert [
        (one.method, one.result, {f"{p.ptype}.{p.name}": p.value for p in one.properties})
        for one in found.results
    ] == wanted


def test_read_the_rest() -> None:
    found = authres.parse('x 1; dkim/2=pass (2048-bit key) reason="all; well" header.d=a; spf=fail')
    (one,) = found.get("dkim")
    assert (found.version, one.version, one.reason, one.comments) == (
        "1", "2", "all; well", ("2048-bit key",),
    )  # fmt: skip
    assert (one.get("header", "d"), one.get("header", "x")) == ("a", "")


def test_write() -> None:
    results = AuthResults(
        "mx.example.org",
        (
            MethodResult(
                "spf", "pass", properties=(Property("smtp", "mailfrom", "a@example.com"),)
            ),
            MethodResult(
                "dkim",
                "fail",
                'the "body" changed',
                (Property("header", "d", "example.com"), Property("header", "b", "ab/c+d==")),
                ("2048-bit (RSA) key",),
            ),
        ),
    )
    assert authres.write_value(results) == (
        "mx.example.org; spf=pass smtp.mailfrom=a@example.com; dkim=fail (2048-bit \\(RSA\\) key) "
        'reason="the \\"body\\" changed" header.d=example.com header.b="ab/c+d=="'
    )
    assert authres.write(results) == (
        "Authentication-Results: mx.example.org;\r\n"
        " spf=pass smtp.mailfrom=a@example.com;\r\n"
        ' dkim=fail (2048-bit \\(RSA\\) key) reason="the \\"body\\" changed"\r\n'
        ' header.d=example.com header.b="ab/c+d=="\r\n'
    )
    assert authres.write(AuthResults("x")) == "Authentication-Results: x; none\r\n"
    arc = authres.write(AuthResults("x"), name="ARC-Authentication-Results", instance=3)
    assert arc == "ARC-Authentication-Results: i=3; x; none\r\n"
    assert authres.parse_arc(arc.partition(":")[2]) == (3, AuthResults("x"))


@pytest.mark.parametrize(
    "results",
    [
        AuthResults(""),
        AuthResults("x", (MethodResult("", "pass"),)),
        AuthResults("x", (MethodResult("spf;", "pass"),)),
        AuthResults("x", (MethodResult("spf", "pass fail"),)),
        AuthResults("x", (MethodResult("spf", "pass", properties=(Property("a b", "c", ""),)),)),
        AuthResults("x", (MethodResult("spf", "pass", properties=(Property("a", "c=", ""),)),)),
        AuthResults("x", (MethodResult("spf", "pass", version="1;"),)),
    ],
)
def test_what_cannot_be_written(results: AuthResults) -> None:
    with pytest.raises(AuthResError):
        authres.write(results)


KEYWORDS = st.from_regex(r"[a-z][a-z0-9-]{0,6}[a-z0-9]", fullmatch=True)
VALUES = st.text(alphabet='ab@.;()"\\= \r\n\t/ü', max_size=12)
RESULTS = st.builds(
    MethodResult,
    method=KEYWORDS,
    result=KEYWORDS,
    reason=VALUES,
    properties=st.lists(st.builds(Property, KEYWORDS, KEYWORDS, VALUES), max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(st.builds(AuthResults, VALUES.filter(str.strip), st.lists(RESULTS, max_size=3).map(tuple)))
def test_what_is_written_is_read_again(results: AuthResults) -> None:
    """But for line ends and control characters, which no field may hold."""
    text = authres.write(results)
    assert text.count("\r\n") == text.count("\n") == text.count("\r")
    assert all(line.startswith(" ") for line in text.split("\r\n")[1:-1])
    found = authres.parse(text.partition(":")[2])
    assert len(found.results) == len(results.results)
    for one, other in zip(found.results, results.results, strict=True):
        assert (one.method, one.result) == (other.method, other.result)
        assert squeezed(one.reason) == squeezed(other.reason)
        assert [(p.ptype, p.name, squeezed(p.value)) for p in one.properties] == [
            (p.ptype, p.name, squeezed(p.value)) for p in other.properties
        ]


def squeezed(text: str) -> str:
    return "".join(text.split())


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60), st.text(alphabet='ab=;()"\\./@ \r\n', max_size=40).map(str.encode)
    )
)
@example(b'x ""=')
@example(b'h; "" x="" ""=""')
def test_reading_never_raises(value: bytes) -> None:
    for one in authres.parse(value).results:
        assert isinstance(one, MethodResult)
    authres.parse_arc(value)
    authres.is_forged(value, ["x"])


FORGED = [
    (b"mx.example.org; spf=pass", True),
    (b"MX.Example.ORG ; none", True),
    (b" \r\n\tmx.example.org 1; none", True),
    (b"(comment) mx.example.org (x); none", True),
    (b'"mx.example.org"; none', True),
    (b"mx.example.org.; none", True),
    (b"mx.example.org", True),
    (b"spf=pass smtp.mailfrom=x", True),  # nobody's name: it cannot be told
    (b"", True),
    (b"mx.example.net; spf=pass", False),
    (b"evil.mx.example.org; spf=pass", False),
    (b"x (mx.example.org); spf=pass", False),
]


@pytest.mark.parametrize(("value", "forged"), FORGED)
def test_forged(value: bytes, forged: bool) -> None:
    assert authres.is_forged(value, ["other", "mx.example.org"]) is forged
    section = b"A: 1\r\nauthentication-RESULTS :" + value + b"\r\nB: 2\n\n"
    kept = authres.without_forged(section, ["mx.example.org"])
    names = parse_header(kept).names
    assert names == ([b"a", b"b"] if forged else [b"a", b"authentication-results", b"b"])


def test_fields_of_others_stay_as_they_are() -> None:
    section = b"ARC-Authentication-Results: i=1; me; none\r\nX: a\r\n\t b\r\n"
    assert authres.without_forged(section, ["me"]) == section


def test_merged() -> None:
    header = parse_header(
        b"Authentication-Results: me.example; arc=none;\r\n  spf=pass   smtp.mfrom=a@b\r\n"
        b"Authentication-Results: other.example; something=ignored\r\n"
        b"Authentication-Results: ME.example 1; dkim=pass (1024-bit; key) header.i=@b ;\r\n"
        b"Authentication-Results: me.example; none\r\n"
    )
    assert authres.merged(header, "me.example") == (
        "me.example; arc=none; spf=pass smtp.mfrom=a@b; dkim=pass (1024-bit; key) header.i=@b"
    )
    assert authres.merged(header, "nobody") == "nobody; none"


def test_a_signature_s_result_is_written() -> None:
    result = dkim.Result(
        code=dkim.Code.FAIL,
        reason="body_changed",
        domain="example.com",
        selector="s1",
        algorithm="rsa-sha256",
        identity="@example.com",
        signature="ab/cdefg",
        key_bits=2048,
        testing=True,
    )
    assert authres.write_value(AuthResults("x", (authres.dkim_result(result),))) == (
        "x; dkim=fail (2048-bit key) (test mode) reason=body_changed header.d=example.com"
        ' header.i=@example.com header.s=s1 header.a=rsa-sha256 header.b="ab/cdefg"'
    )
    unread = dkim.Result(dkim.Code.NEUTRAL, "syntax")
    assert authres.write_value(AuthResults("x", (authres.dkim_result(unread),))) == (
        "x; dkim=neutral reason=syntax"
    )
