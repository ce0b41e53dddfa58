"""What people type: addresses, servers, mistakes (rows 2, 8, 13, 19, 42, 47)."""

from __future__ import annotations

import pytest

from posthouse.flow import Security, Status
from posthouse.setup.find import Entry, check_port, check_server, read_address, read_input
from posthouse.setup.find.words import finding_text

TLS, STARTTLS = Security.TLS, Security.STARTTLS


def ids(entry: Entry) -> list[str]:
    return [f.id for f in entry.findings]


@pytest.mark.parametrize(
    ("text", "wire", "findings"),
    [
        ("alice@example.com", "alice@example.com", []),
        (" Alice <alice@Example.COM> ", "alice@example.com", []),
        ("mailto:alice@example.com", "alice@example.com", []),
        ("mailto:alice%2Bx@example.com?subject=hi", "alice+x@example.com", []),
        ('"Alice Smith" <alice@example.com>', "alice@example.com", []),
        ("E-Mail: alice@example.com", "alice@example.com", []),
        ("邮箱：alice@example.com", "alice@example.com", []),
        ("alice@example.com.", "alice@example.com", []),
        ("alice@qq.con", "alice@qq.con", ["domain_typo"]),
        ("用户@qq.com", "用户@qq.com", ["needs_smtputf8"]),
        ("alice＠example。com", "alice@example.com", ["address.full_width"]),
        ("alice@gmial.com", "alice@gmial.com", ["domain_typo"]),
        ("用户@例子.中国", "用户@xn--fsqu00a.xn--fiqs8s", ["needs_smtputf8", "idn"]),
        ("alice@localhost", "alice@localhost", ["address.single_label"]),
        ("alice@[192.0.2.1]", "alice@[192.0.2.1]", ["address.literal"]),
    ],
)
def test_addresses(text: str, wire: str, findings: list[str]) -> None:
    entry = read_input(text)
    assert entry.address is not None
    assert entry.address.wire == wire
    assert ids(entry) == findings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "server.empty"),
        ("alice@", "address.empty_domain"),
        ("@example.com", "address.empty_local"),
        ("a@b@example.com", "address.too_many_at"),
        ("a@example.com, b@example.com", "address.several_addresses"),
        ("a..b@example.com", "address.double_dot"),
        ("a@smtp.10.10.10.10", "address.numeric_tld"),
        ("a@exa_mple.com", "address.underscore"),
        ("smtp.10.10.10.10", "server.numeric_tld"),
        ("imap://imap.qq.com", "server.incoming_scheme"),
        ("smtp.qq.com:99999", "server.port_out_of_range"),
        ("smtp.qq.com:abc", "server.bad_port"),
        ("ftp://smtp.qq.com", "server.unknown_scheme"),
        ("https://mail.qq.com/cgi-bin/login", "server.url_with_path"),
    ],
)
def test_no_good(text: str, reason: str) -> None:
    entry = read_input(text)
    assert not entry.ok
    assert [(f.id, f.status) for f in entry.findings] == [(reason, Status.FAIL)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("alice@qq,com", "alice@qq.com"),
        ("alice @ example.com", "alice@example.com"),
        ("alice(at)example.com", "alice@example.com"),
        ("alice [at] example.com", "alice@example.com"),
        ("alice%40example.com", "alice@example.com"),
        ("alice@exa mple.com", ""),
        ("alice@gmail.com secret", ""),
    ],
)
def test_what_was_probably_meant(text: str, meant: str) -> None:
    entry = read_input(text)
    assert not entry.ok
    assert entry.findings[0].params["suggestion"] == meant
    for lang in ("en", "zh"):
        assert meant in finding_text(entry.findings[0], lang)


def test_find_wants_an_address() -> None:
    assert ids(read_address("example.com")) == ["address.no_at"]


@pytest.mark.parametrize(
    ("text", "host", "port", "security"),
    [
        ("smtp://smtp.qq.com:587", "smtp.qq.com", 587, None),
        ("smtps://smtp.qq.com", "smtp.qq.com", None, TLS),
        ("smtp.qq.com:465", "smtp.qq.com", 465, None),
        ("smtp.qq.com 465", "smtp.qq.com", 465, None),
        ("smtp.qq.com：465", "smtp.qq.com", 465, None),
        ("smtp.qq.com port 465", "smtp.qq.com", 465, None),
        ("Server: smtp.qq.com, port: 465", "smtp.qq.com", 465, None),
        ("SMTP服务器：smtp.qq.com 端口：465", "smtp.qq.com", 465, None),
        ("smtp.qq.com:587 (STARTTLS)", "smtp.qq.com", 587, None),
        ("mail:587", "mail", 587, None),
        ("smtp://mail:587", "mail", 587, None),
        ("SMTP.QQ.COM.", "smtp.qq.com", None, None),
        ("[::1]:25", "::1", 25, None),
    ],
)
def test_servers(text: str, host: str, port: int | None, security: Security | None) -> None:
    server = read_input(text).server
    assert server is not None
    assert (server.host, server.port, server.security) == (host, port, security)


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("imap.qq.com", [("incoming_host", "smtp.qq.com")]),
        ("pop.163.com:995", [("incoming_host", "smtp.163.com"), ("port.incoming_port", None)]),
        ("smtp.gmial.com", [("host_typo", "smtp.gmail.com")]),
        ("smtp.gmail.com", []),
        ("192.168.1.100", [("server.private_address", None)]),
        ("127.0.0.1:1025", [("server.loopback_address", None), ("port.dev_catcher", None)]),
    ],
)
def test_server_findings(text: str, findings: list[tuple[str, str | None]]) -> None:
    found = [(f.id, f.params.get("suggestion")) for f in read_input(text).findings]
    assert found == findings


def test_a_pasted_password_is_never_repeated() -> None:
    for text in ("smtp://bob:hunter2@smtp.qq.com:99999", "smtp://bob:hunter2@smtp.qq.com:587"):
        assert "hunter2" not in repr(read_input(text))


@pytest.mark.parametrize(
    ("port", "security", "verdict"),
    [
        (465, TLS, None),
        (587, STARTTLS, None),
        (465, STARTTLS, "port.mismatch_use_tls"),
        (587, TLS, "port.mismatch_use_starttls"),
        (25, STARTTLS, "port.relay_only"),
        (25, TLS, "port.mismatch_use_starttls"),
        (1025, None, "port.dev_catcher"),
        (993, TLS, "port.incoming_port"),
        (12345, TLS, "port.unusual"),
    ],
)
def test_port_matrix(port: int, security: Security | None, verdict: str | None) -> None:
    assert [f.id for f in check_port(port, security)] == ([verdict] if verdict else [])


@pytest.mark.parametrize(
    ("address", "host", "warned"),
    [
        ("user@outlook.com", "smtp.gmail.com", True),  # row 47
        ("user@gmail.com", "smtp.gmail.com", False),
        ("user@company.example", "smtp.gmail.com", False),  # may be a tenant
        ("user@gmail.com", "smtp.sendgrid.net", False),  # a service takes any verified sender
    ],
)
def test_the_account_of_another_provider(address: str, host: str, warned: bool) -> None:
    server, known = read_input(host).server, read_input(address).address
    assert server is not None
    found = {f.id for f in check_server(server, known)}
    assert ("other_provider" in found) is warned
