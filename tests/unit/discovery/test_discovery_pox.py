"""Microsoft Autodiscover POX."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery import autodiscover_pox as pox
from posthouse.protocol.discovery.offer import DiscoveryError, Incoming, Offer
from posthouse.protocol.discovery.xmltree import parse_xml

ADDRESS = "alice@example.com"
TLS, STARTTLS, NONE = Security.TLS, Security.STARTTLS, Security.NONE


def answer(account: str, response: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">\n'
        '<Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">\n'
        f"{response}\n<Account>{account}</Account>\n</Response>\n</Autodiscover>"
    ).encode()


def smtp(fields: str) -> bytes:
    return answer(f"<Protocol><Type>SMTP</Type><Server>h.example</Server>{fields}</Protocol>")


def test_settings() -> None:
    found = pox.parse(
        answer(
            "<AccountType>email</AccountType><Action>settings</Action>"
            "<Protocol><Type>IMAP</Type><Server>imap.example.com</Server><Port>993</Port>"
            "<SSL>on</SSL></Protocol>"
            "<Protocol><Type>POP3</Type><Server>pop.example.com</Server><SSL>off</SSL></Protocol>"
            "<Protocol><Type>SMTP</Type><Server>smtp.example.com</Server><Port>587</Port>"
            "<LoginName>alice</LoginName><Encryption>TLS</Encryption><SPA>off</SPA>"
            "<AuthRequired>on</AuthRequired></Protocol>",
            "<User><DisplayName>Alice A.</DisplayName></User>",
        ),
        address=ADDRESS,
    )
    assert found.outgoing == (
        Offer(
            Endpoint("smtp.example.com", 587, STARTTLS),
            "alice",
            ("password-cleartext",),
            CredentialKind.PASSWORD,
        ),
    )
    assert found.incoming == (
        Incoming("imap", "imap.example.com", 993, TLS),
        Incoming("pop3", "pop.example.com", 110, NONE),
    )
    assert (found.display_name, found.exchange, found.skipped) == ("Alice A.", False, ())


@pytest.mark.parametrize(
    ("fields", "port", "security"),
    [
        ("<Port>465</Port><Encryption>SSL</Encryption>", 465, TLS),
        ("<Port>587</Port><Encryption>TLS</Encryption>", 587, STARTTLS),
        ("<Port>465</Port><SSL>on</SSL>", 465, TLS),
        ("<Port>587</Port><SSL>on</SSL>", 587, STARTTLS),
        ("<Port>25</Port><SSL>on</SSL>", 25, STARTTLS),
        ("<Port>587</Port><SSL>off</SSL>", 587, NONE),
        ("<Port>587</Port><SSL>off</SSL><Encryption>TLS</Encryption>", 587, STARTTLS),
        ("<Port>587</Port><SSL>on</SSL><Encryption>None</Encryption>", 587, NONE),
        ("<Port>587</Port><Encryption>Auto</Encryption>", 587, STARTTLS),
        ("<Port>2465</Port><Encryption>Auto</Encryption>", 2465, TLS),
        ("<Encryption>SSL</Encryption>", 465, TLS),
        ("<Encryption>TLS</Encryption>", 587, STARTTLS),
        ("", 465, TLS),
    ],
)
def test_mode(fields: str, port: int, security: Security) -> None:
    endpoint = pox.parse(smtp(fields), address=ADDRESS).outgoing[0].endpoint
    assert (endpoint.port, endpoint.security) == (port, security)


@pytest.mark.parametrize(
    ("fields", "username", "auth", "credential"),
    [
        ("", ADDRESS, ("password-cleartext",), "password"),
        ("<SPA>on</SPA>", ADDRESS, ("NTLM", "password-cleartext"), "password"),
        ("<AuthRequired>off</AuthRequired>", ADDRESS, ("none",), "none"),
        (
            "<DomainRequired>on</DomainRequired><DomainName>CORP</DomainName><LoginName>a</LoginName>",
            "CORP\\a",
            ("password-cleartext",),
            "password",
        ),
        ("<DomainName>CORP</DomainName>", ADDRESS, ("password-cleartext",), "password"),
    ],
)
def test_login(fields: str, username: str, auth: tuple[str, ...], credential: str) -> None:
    offer = pox.parse(smtp(fields), address=ADDRESS).outgoing[0]
    assert (offer.username, offer.auth, offer.credential) == (username, auth, credential)


def test_exchange_is_a_hint() -> None:
    found = pox.parse(
        answer(
            '<Protocol><Type>EXCH</Type><Server>x@y</Server></Protocol><Protocol Type="mapiHttp"/>'
        ),
        address=ADDRESS,
    )
    assert (found.outgoing, found.exchange) == ((), True)


def test_one_account_for_each_protocol() -> None:
    xml = answer(
        "<Protocol><Type>IMAP</Type><Server>i.example</Server></Protocol></Account>"
        "<Account><Protocol><Type>SMTP</Type><Server>s.example</Server></Protocol>"
    )
    assert pox.parse(xml, address=ADDRESS).outgoing[0].endpoint.host == "s.example"


def test_redirects() -> None:
    to_address = answer(
        "<Action>redirectAddr</Action><RedirectAddr>alice@corp.example</RedirectAddr>"
    )
    assert pox.parse(to_address, address=ADDRESS).redirect_address == "alice@corp.example"
    to_url = answer(
        "<Action>redirectUrl</Action><RedirectURL>https://x.example/a.xml</RedirectURL>"
    )
    assert pox.parse(to_url, address=ADDRESS).redirect_url == "https://x.example/a.xml"


def test_error() -> None:
    error = "<Error Time='1' Id='2'><ErrorCode>600</ErrorCode><Message>Invalid</Message></Error>"
    assert pox.parse(answer("", error), address=ADDRESS).error == ("600", "Invalid")
    assert pox.parse(answer(error), address=ADDRESS).error == ("600", "Invalid")


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"<html/>", "wrong_root"),
        (b"<Autodiscover/>", "no_account"),
        (b"<Autodiscover><Response/></Autodiscover>", "no_account"),
        (answer(""), "no_outgoing"),
        (answer("<Protocol><Type>SMTP</Type></Protocol>"), "missing_field"),
        (smtp("<Port>x</Port>"), "bad_port"),
        (answer("<Protocol><Type>SMTP</Type><Server>a b</Server></Protocol>"), "bad_host"),
        (answer("<Action>redirectAddr</Action>"), "bad_redirect"),
        (answer("<Action>redirectAddr</Action><RedirectAddr>x</RedirectAddr>"), "bad_redirect"),
        (
            answer("<Action>redirectUrl</Action><RedirectUrl>http://x.example</RedirectUrl>"),
            "bad_redirect",
        ),
        (answer("<Action>redirectUrl</Action>"), "bad_redirect"),
        (b"<!DOCTYPE a><Autodiscover/>", "forbidden_xml"),
    ],
)
def test_refused(xml: bytes, reason: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        pox.parse(xml, address=ADDRESS)
    assert caught.value.reason == reason


def test_request_is_well_formed() -> None:
    root = parse_xml(pox.request("<o'b&>@bücher.example"))
    request = root.first("Request")
    assert request is not None
    assert request.value("EMailAddress") == "<o'b&>@bücher.example"
    assert request.value("AcceptableResponseSchema").endswith("outlook/responseschema/2006a")


def test_urls() -> None:
    assert pox.urls("example.com") == (
        "https://example.com/autodiscover/autodiscover.xml",
        "https://autodiscover.example.com/autodiscover/autodiscover.xml",
    )


FIELDS = st.lists(
    st.sampled_from(
        ["<Protocol>", "</Protocol>", "<Type>SMTP</Type>", "<Type>EXPR</Type>", "<Server>",
         "h.example", "</Server>", "<Port>587</Port>", "<Port>é</Port>", "<SSL>off</SSL>",
         "<LoginName>&#9;</LoginName>", "<Action>redirectUrl</Action>", "<Error/>", "</Account>",
         "<Account>", "&#1;", "x"]
    ),
    max_size=14,
).map(lambda parts: answer("".join(parts)))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120) | FIELDS)
def test_any_bytes_are_an_answer_or_a_discovery_error(xml: bytes) -> None:
    try:
        found = pox.parse(xml, address=ADDRESS)
    except DiscoveryError:
        return
    assert found.outgoing or found.exchange or found.error or found.redirect_url
