"""Servers as people type them, host name sanity, and the port matrix of capability row 8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.flow import Security
from posthouse.protocol.address import (
    HostError,
    ServerError,
    ServerInput,
    incoming_protocol,
    is_incoming_name,
    judge_port,
    parse_host,
    parse_server,
    to_ascii,
    to_unicode,
    usual_security,
)

TLS, STARTTLS, NONE = Security.TLS, Security.STARTTLS, Security.NONE
LOCAL = ("ip_literal", "loopback_address")
PRIVATE = ("ip_literal", "private_address")
WEB = ("web_address",)
LOGIN = ("login_dropped",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp.qq.com", ServerInput("smtp.qq.com")),
        (" SMTP.QQ.COM. ", ServerInput("smtp.qq.com")),
        ("smtp://smtp.qq.com:587", ServerInput("smtp.qq.com", 587, None, "smtp")),
        ("smtp:smtp.qq.com", ServerInput("smtp.qq.com", None, None, "smtp")),
        ("ssl://smtp.qq.com", ServerInput("smtp.qq.com", None, TLS, "ssl")),
        ("smtps://smtp.qq.com/", ServerInput("smtp.qq.com", None, TLS, "smtps")),
        ("STARTTLS://smtp.qq.com", ServerInput("smtp.qq.com", None, STARTTLS, "starttls")),
        ("submission://h.example:587", ServerInput("h.example", 587, STARTTLS, "submission")),
        ("tls://h.example", ServerInput("h.example", None, None, "tls")),
        ("smtp.qq.com:465", ServerInput("smtp.qq.com", 465)),
        ("smtp.qq.com 465", ServerInput("smtp.qq.com", 465)),
        ("smtp.qq.com, 465", ServerInput("smtp.qq.com", 465)),
        ("smtp.qq.com：465", ServerInput("smtp.qq.com", 465, notes=("full_width",))),
        ("smtp。qq。com", ServerInput("smtp.qq.com", notes=("full_width",))),
        ("https://h.example", ServerInput("h.example", None, None, "https", WEB)),
        ("http://h.example:8080/", ServerInput("h.example", None, None, "http", WEB)),
        ("smtp://u:p@h.example:25", ServerInput("h.example", 25, None, "smtp", LOGIN)),
        ("smtp://u%40x:p@@h.example", ServerInput("h.example", None, None, "smtp", LOGIN)),
        ("[::1]:25", ServerInput("::1", 25, notes=LOCAL)),
        ("[::1] 25", ServerInput("::1", 25, notes=LOCAL)),
        ("smtp://[2001:db8::1]", ServerInput("2001:db8::1", None, None, "smtp", PRIVATE)),
        ("::1", ServerInput("::1", notes=LOCAL)),
        ("127.0.0.1:1025", ServerInput("127.0.0.1", 1025, notes=LOCAL)),
        ("192.168.1.100", ServerInput("192.168.1.100", notes=PRIVATE)),
        ("10.10.10.10:25", ServerInput("10.10.10.10", 25, notes=PRIVATE)),
        ("8.8.8.8", ServerInput("8.8.8.8", notes=("ip_literal",))),
        ("mailhost", ServerInput("mailhost", notes=("single_label",))),
        ("邮件.中国:465", ServerInput("xn--5nq051n.xn--fiqs8s", 465)),
    ],
)  # fmt: skip
def test_server(text: str, expected: ServerInput) -> None:
    assert parse_server(text) == expected


@pytest.mark.parametrize(
    ("text", "reason", "position", "host"),
    [
        ("", "empty", 0, None),
        ("  ", "empty", 2, None),
        ("smtp://", "empty", 7, None),
        (":25", "empty", 0, None),
        ("smtp.10.10.10.10", "numeric_tld", 14, None),  # errata E-036
        ("256.1.1.1", "numeric_tld", 8, None),
        ("https://mail.example.com/foo", "url_with_path", 24, "mail.example.com"),
        ("mail.example.com/owa", "url_with_path", 16, "mail.example.com"),
        ("imaps://h.example:993", "incoming_scheme", 0, "h.example"),
        ("ldap://h.example", "unknown_scheme", 0, None),
        ("alice@qq.com", "email_address", 5, "qq.com"),
        ("alice@", "email_address", 5, None),
        ("a_b.example", "underscore", 1, None),
        ("-a.example", "hyphen", 0, None),
        ("a..example", "empty_label", 2, None),
        ("a*b.example", "illegal_character", 1, None),
        ("smtp qq com", "illegal_character", 4, None),
        ("a" * 64 + ".example", "label_too_long", 0, None),
        ("a." * 130 + "example", "too_long", 253, None),
        ("a" * 1001, "too_long", 1000, None),
        ("h.example:99999", "port_out_of_range", 10, "h.example"),
        ("h.example:0", "port_out_of_range", 10, "h.example"),
        ("h.example:" + "9" * 40, "port_out_of_range", 10, "h.example"),
        ("h.example:smtp", "bad_port", 10, "h.example"),
        ("h.example:", "bad_port", 10, "h.example"),
        ("[::1]:", "bad_port", 6, "::1"),
        ("[::1", "bad_literal", 0, None),
        ("fe80::1%eth0", "bad_literal", 0, None),
        ("smtp://u:p@", "empty", 11, None),
    ],
)
def test_no_server(text: str, reason: str, position: int, host: str | None) -> None:
    with pytest.raises(ServerError) as caught:
        parse_server(text)
    error = caught.value
    assert (error.reason, error.position, error.host) == (reason, position, host)


def test_a_password_in_a_url_is_not_kept() -> None:
    assert "S3cret" not in repr(parse_server("smtp://alice:S3cret@h.example"))
    with pytest.raises(ServerError) as caught:
        parse_server("smtp://alice:S3cret@h_h.example")
    assert "S3cret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("host", "protocol"),
    [
        ("imap.example.com", "imap"),
        ("imaps.example.com", "imap"),
        ("hwimap.exmail.qq.com", "imap"),
        ("imap-mail.outlook.com", "imap"),
        ("IMAP4.example.com", "imap"),
        ("pop.163.com", "pop3"),
        ("pop3.example.com", "pop3"),
        ("pop3s.example.com", "pop3"),
        ("pophz.qiye.163.com", "pop3"),
        ("pop-mail.outlook.com", "pop3"),
        ("smtp.example.com", None),
        ("mail.example.com", None),
        ("popcorn.example.com", None),
        ("pops-and-moms", "pop3"),
        ("imap-smtp.example.com", None),
        ("", None),
    ],
)
def test_incoming_names(host: str, protocol: str | None) -> None:
    assert incoming_protocol(host) == protocol
    assert is_incoming_name(host) == (protocol is not None)


@pytest.mark.parametrize(
    ("port", "security", "verdict"),
    [
        (465, TLS, "ok"),
        (465, STARTTLS, "mismatch_use_tls"),
        (465, NONE, "mismatch_use_tls"),
        (587, STARTTLS, "ok"),
        (587, TLS, "mismatch_use_starttls"),
        (587, NONE, "mismatch_use_starttls"),
        (25, STARTTLS, "relay_only"),
        (25, NONE, "relay_only"),
        (25, TLS, "mismatch_use_starttls"),
        (994, TLS, "ok"),
        (2465, TLS, "ok"),
        (2465, STARTTLS, "mismatch_use_tls"),
        (2525, STARTTLS, "ok"),
        (2587, TLS, "mismatch_use_starttls"),
        (1025, NONE, "dev_catcher"),
        (1025, STARTTLS, "dev_catcher"),
        (993, TLS, "incoming_port"),
        (995, TLS, "incoming_port"),
        (143, STARTTLS, "incoming_port"),
        (110, NONE, "incoming_port"),
        (80, TLS, "unusual"),
        (0, NONE, "unusual"),
        (465, None, "ok"),
        (587, None, "ok"),
        (25, None, "relay_only"),
        (993, None, "incoming_port"),
    ],
)
def test_port_matrix(port: int, security: Security | None, verdict: str) -> None:
    assert judge_port(port, security) == verdict


@pytest.mark.parametrize(
    ("port", "security"), [(465, TLS), (587, STARTTLS), (25, STARTTLS), (993, None), (1, None)]
)
def test_usual_security(port: int, security: Security | None) -> None:
    assert usual_security(port) == security


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8:0::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("Bücher.Example.", "xn--bcher-kva.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("1and1.com", "1and1.com"),
        ("3com", "3com"),
    ],
)
def test_parse_host(text: str, host: str) -> None:
    assert parse_host(text) == host


def test_an_address_is_no_domain() -> None:
    with pytest.raises(HostError, match="numeric_tld"):
        to_ascii("192.0.2.1")


def test_to_unicode() -> None:
    assert to_unicode("xn--bcher-kva.example") == "bücher.example"
    assert to_unicode("xn--a.example") == "xn--a.example"
    assert to_unicode("example") == "example"


TYPED = st.text("ahtps.:/[]@ 。：1250-_é例?#%\ud800", max_size=40)


@given(st.text(max_size=60) | TYPED)
def test_any_text_is_a_server_or_a_server_error(text: str) -> None:
    try:
        found = parse_server(text)
    except ServerError as error:
        position = error.position
    else:
        position = 0
        assert found.host == parse_host(found.host)
        assert found.port is None or 1 <= found.port <= 65_535
    assert 0 <= position <= len(text)


@given(st.text(max_size=60) | TYPED | st.integers(200, 1200).map(lambda n: "é" * n))
def test_any_text_is_a_host_or_a_host_error(text: str) -> None:
    try:
        host, position = parse_host(text), 0
    except HostError as error:
        host, position = "", error.position
    assert host.isascii()
    assert 0 <= position <= len(text)
