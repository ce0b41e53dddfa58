"""Mozilla autoconfig: what servers publish, well and badly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.address import AddressError
from posthouse.protocol.discovery import autoconfig
from posthouse.protocol.discovery.offer import (
    DiscoveryError,
    Documentation,
    Incoming,
    OAuth,
    Offer,
    auth_word,
    credential_for,
)

ADDRESS = "alice@example.com"
TLS, STARTTLS, NONE = Security.TLS, Security.STARTTLS, Security.NONE

FULL = """<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.2">
  <emailProvider id="example.com">
    <domain>example.com</domain>
    <domain>BÜCHER.example</domain>
    <domain purpose="mx">example-hosting.com</domain>
    <domain>%EMAILDOMAIN%</domain>
    <displayName>Example  Mail</displayName>
    <incomingServer type="imap">
      <hostname>imap.example.com</hostname><port>993</port><socketType>SSL</socketType>
    </incomingServer>
    <incomingServer type="pop3">
      <hostname>pop.%EMAILDOMAIN%</hostname><port>110</port><socketType>STARTTLS</socketType>
    </incomingServer>
    <incomingServer type="jmap"><url>https://jmap.example.com/session</url></incomingServer>
    <incomingServer type="ews"><url>https://ews.example.com/</url></incomingServer>
    <incomingServer type="imap"><hostname>broken</hostname></incomingServer>
    <outgoingServer type="smtp">
      <hostname>SMTP.example.com.</hostname>
      <port> 465 </port>
      <socketType>SSL</socketType>
      <authentication>OAuth2</authentication>
      <authentication>password-cleartext</authentication>
      <authentication>SASL scram-sha-256</authentication>
      <authentication>telepathy</authentication>
      <username>%EMAILADDRESS%</username>
    </outgoingServer>
    <outgoingServer type="smtp">
      <hostname>smtp.example.com</hostname>
      <port>587</port>
      <socketType>starttls</socketType>
      <authentication>password-encrypted</authentication>
      <username>%EMAILLOCALPART%.%EMAILDOMAIN%</username>
    </outgoingServer>
    <outgoingServer type="smtp">
      <hostname>relay.example.com</hostname>
      <port>25</port>
      <socketType>plain</socketType>
      <authentication>client-IP-address</authentication>
    </outgoingServer>
    <documentation url="https://example.com/help">
      <descr lang="en">Set up</descr><descr lang="zh">设置</descr>
    </documentation>
    <documentation url="javascript:alert(1)"/>
  </emailProvider>
  <oAuth2>
    <issuer>login.example.com</issuer><scope>SMTP IMAP</scope>
    <authURL>https://login.example.com/auth</authURL>
    <tokenURL>https://login.example.com/token</tokenURL>
    <clientSecret>not-for-us</clientSecret>
  </oAuth2>
</clientConfig>
""".encode()


def test_the_whole_format() -> None:
    answer = autoconfig.parse(FULL, address=ADDRESS)
    assert answer.outgoing == (
        Offer(
            Endpoint("smtp.example.com", 465, TLS),
            ADDRESS,
            ("OAuth2", "password-cleartext", "SASL SCRAM-SHA-256"),
            CredentialKind.OAUTH2,
        ),
        Offer(
            Endpoint("smtp.example.com", 587, STARTTLS),
            "alice.example.com",
            ("password-encrypted",),
            CredentialKind.PASSWORD,
        ),
        Offer(
            Endpoint("relay.example.com", 25, NONE),
            ADDRESS,
            ("client-IP-address",),
            CredentialKind.NONE,
        ),
    )
    assert answer.incoming == (
        Incoming("imap", "imap.example.com", 993, TLS),
        Incoming("pop3", "pop.example.com", 110, STARTTLS),
        Incoming("jmap", "jmap.example.com", 443, TLS),
    )
    assert answer.domains == ("example.com", "xn--bcher-kva.example")
    assert (answer.display_name, answer.provider_id) == ("Example  Mail", "example.com")
    titles = (("en", "Set up"), ("zh", "设置"))
    assert answer.documentation == (Documentation("https://example.com/help", titles),)
    assert answer.oauth == OAuth(
        "login.example.com",
        "SMTP IMAP",
        "https://login.example.com/auth",
        "https://login.example.com/token",
    )
    assert answer.skipped == ()
    assert "not-for-us" not in repr(answer)


def outgoing(body: str, extra: str = "") -> bytes:
    return (
        f"<clientConfig>\n<emailProvider>\n<outgoingServer type='smtp'>\n{body}\n"
        f"</outgoingServer>\n{extra}\n</emailProvider>\n</clientConfig>"
    ).encode()


HOST = "<hostname>h.example</hostname>"
PORT = "<port>465</port>"
SSL = "<socketType>SSL</socketType>"
GOOD = HOST + PORT + SSL


@pytest.mark.parametrize(
    ("word", "security"),
    [
        ("SSL", TLS),
        ("ssl", TLS),
        ("TLS", TLS),
        ("SSL/TLS", TLS),
        ("STARTTLS", STARTTLS),
        ("plain", NONE),
        ("none", NONE),
    ],
)
def test_spellings_of_the_mode(word: str, security: Security) -> None:
    xml = outgoing(f"{HOST}{PORT}<socketType> {word} </socketType>")
    assert autoconfig.parse(xml, address=ADDRESS).outgoing[0].endpoint.security is security


@pytest.mark.parametrize(
    ("body", "reason", "line"),
    [
        (PORT + SSL, "missing_field", 3),
        (HOST + SSL, "missing_field", 3),
        (HOST + PORT, "missing_field", 3),
        (f"{PORT}\n{SSL}\n<hostname></hostname>", "empty_field", 6),
        (f"{HOST}{PORT}\n<socketType>TLSv9</socketType>", "unknown_socket_type", 5),
        (f"{HOST}{SSL}\n<port>465x</port>", "bad_port", 5),
        (f"{HOST}{SSL}<port>0</port>", "bad_port", 4),
        (f"{HOST}{SSL}<port>65536</port>", "bad_port", 4),
        (f"{HOST}{SSL}<port>-1</port>", "bad_port", 4),
        (f"{HOST}{SSL}<port>٤٦٥</port>", "bad_port", 4),
        (f"{HOST}{SSL}<port>{'9' * 5000}</port>", "bad_port", 4),
        (f"{PORT}{SSL}\n\n<hostname>a b</hostname>", "bad_host", 6),
        (f"{PORT}{SSL}<hostname>h_h.example</hostname>", "bad_host", 4),
        (f"{PORT}{SSL}<hostname>smtp.10.10.10.10</hostname>", "bad_host", 4),
        (f"{GOOD}<authentication>telepathy</authentication>", "unknown_auth", 3),
        (f"{GOOD}\n<username>a&#10;b</username>", "bad_username", 5),
        (f"{GOOD}<username>{'a' * 400}</username>", "bad_username", 4),
    ],
)
def test_a_broken_server_is_named_with_its_line(body: str, reason: str, line: int) -> None:
    with pytest.raises(DiscoveryError) as caught:
        autoconfig.parse(outgoing(body), address=ADDRESS)
    assert (caught.value.reason, caught.value.line) == (reason, line)


def test_a_broken_server_does_not_spoil_a_good_one() -> None:
    xml = outgoing(HOST, f"<outgoingServer type='smtp'>{GOOD}</outgoingServer>")
    answer = autoconfig.parse(xml, address=ADDRESS)
    assert [offer.endpoint.host for offer in answer.outgoing] == ["h.example"]
    assert [error.reason for error in answer.skipped] == ["missing_field"]


LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>\n'
    b"<clientConfig><emailProvider>&b;</emailProvider></clientConfig>"
)


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "not_xml"),
        (b"not found", "not_xml"),
        (b"<html><body>Log in</body></html>", "wrong_root"),
        (b"<clientConfig", "not_xml"),
        (b"<clientConfig></clientConfig>", "no_outgoing"),
        (b"<clientConfig>&nbsp;</clientConfig>", "not_xml"),
        (b"<?xml version='1.0' encoding='utf-32'?><clientConfig/>", "not_xml"),
        (b"<?xml version='1.0' encoding='nonsense'?><clientConfig/>", "not_xml"),
        (b"\xff\xfe<\0c\0/\0>\0", "wrong_root"),
        (b"<clientConfig>\xff</clientConfig>", "not_xml"),
        (LAUGHS, "forbidden_xml"),
        (b"<!DOCTYPE clientConfig><clientConfig/>", "forbidden_xml"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><clientConfig/>', "forbidden_xml"),
        (
            b'<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1/">]><clientConfig>&e;</clientConfig>',
            "forbidden_xml",
        ),
        (b"<a>" * 100 + b"</a>" * 100, "too_deep"),
        (b"<clientConfig>" + b"<a/>" * 20_000 + b"</clientConfig>", "too_many"),
        (b"<clientConfig>" + b" " * 300_000 + b"</clientConfig>", "too_big"),
    ],
)
def test_hostile_documents(xml: bytes, reason: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        autoconfig.parse(xml, address=ADDRESS)
    assert caught.value.reason == reason


def test_the_number_of_servers_is_capped() -> None:
    many = f"<outgoingServer>{GOOD}</outgoingServer>" * 200
    assert len(autoconfig.parse(outgoing(GOOD, many), address=ADDRESS).outgoing) == 50


def test_error_text_is_short_and_printable() -> None:
    xml = outgoing(f"{HOST}{PORT}<socketType>&#10;\u202e{'x' * 500}</socketType>")
    with pytest.raises(DiscoveryError) as caught:
        autoconfig.parse(xml, address=ADDRESS)
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) <= 80


def test_urls() -> None:
    assert autoconfig.urls("a+b@bücher.example") == (
        "https://autoconfig.xn--bcher-kva.example/mail/config-v1.1.xml"
        "?emailaddress=a%2Bb@xn--bcher-kva.example",
        "https://xn--bcher-kva.example/.well-known/autoconfig/mail/config-v1.1.xml",
    )
    assert autoconfig.insecure_urls("alice@example.com") == (
        "http://autoconfig.example.com/mail/config-v1.1.xml",
    )
    assert autoconfig.urls("a@[192.0.2.1]") == autoconfig.insecure_urls("a@[192.0.2.1]") == ()
    with pytest.raises(AddressError):
        autoconfig.urls("example.com")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("plain", "password-cleartext"),
        ("secure", "password-encrypted"),
        ("OAUTH2", "OAuth2"),
        ("OAuth", "OAuth2"),
        ("SASL x y", None),
        ("SASL ", None),
        ("SASL ＰＬＡＩＮ", None),
        ("", None),
    ],
)
def test_auth_words(text: str, word: str | None) -> None:
    assert auth_word(text) == word


@pytest.mark.parametrize(
    ("auth", "kind"),
    [
        ((), "unknown"),
        (("GSSAPI",), "unknown"),
        (("TLS-client-cert",), "unknown"),
        (("NTLM",), "password"),
        (("SASL PLAIN",), "password"),
        (("SASL XOAUTH2",), "oauth2"),
        (("none",), "none"),
    ],
)
def test_credential_kinds(auth: tuple[str, ...], kind: str) -> None:
    assert credential_for(auth) == kind


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "<clientConfig>", "</clientConfig>", "<emailProvider>", "</emailProvider>",
            "<outgoingServer type='smtp'>", "</outgoingServer>", "<hostname>", "</hostname>",
            "h.example", "<port>", "465", "</port>", SSL, "<oAuth2>", "</oAuth2>", "&amp;", "&#0;",
            "<![CDATA[", "]]>", "<?pi x?>", "\0", "é", "<incomingServer type='jmap'>", "<url>http://[",
            "</url>", "</incomingServer>", "<!--", "-->", "%EMAILADDRESS%", GOOD, "\n",
        ]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200)
    | FRAGMENTS.map(str.encode)
    | FRAGMENTS.map(outgoing)
    | st.tuples(st.integers(0, len(FULL)), st.binary(max_size=4)).map(
        lambda cut: FULL[: cut[0]] + cut[1] + FULL[cut[0] :]
    )
)
def test_any_bytes_are_an_answer_or_a_discovery_error(xml: bytes) -> None:
    try:
        answer = autoconfig.parse(xml, address=ADDRESS)
    except DiscoveryError as error:
        lines = error.line
    else:
        lines = None
        assert answer.outgoing
    assert lines is None or 1 <= lines <= xml.count(b"\n") + xml.count(b"\r") + 1
