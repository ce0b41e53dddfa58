"""Profile files of an organisation: three forms, read strictly, errors with their line."""

from __future__ import annotations

import json
import plistlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery import organisation
from posthouse.protocol.discovery.offer import DiscoveryError, Documentation, Incoming, Offer

ADDRESS = "alice@example.com"
TLS, STARTTLS, NONE = Security.TLS, Security.STARTTLS, Security.NONE

PROFILE = """{
  "schema": 1,
  "name": "示例公司",
  "domains": ["example.com", "bücher.example"],
  "outgoing": [
    {"host": "smtp.example.com", "port": 465, "security": "tls",
     "username": "%EMAILLOCALPART%", "auth": ["password-cleartext"],
     "credential": "app_password"},
    {"host": "192.168.1.100", "port": 587, "security": "STARTTLS"}
  ],
  "incoming": [{"type": "imap", "host": "imap.example.com", "port": 993, "security": "tls"}],
  "documentation": "https://it.example.com/mail"
}
"""


def test_json() -> None:
    found = organisation.parse(PROFILE.encode(), address=ADDRESS)
    assert found == organisation.Organisation(
        "json",
        (
            Offer(
                Endpoint("smtp.example.com", 465, TLS),
                "alice",
                ("password-cleartext",),
                CredentialKind.APP_PASSWORD,
            ),
            Offer(Endpoint("192.168.1.100", 587, STARTTLS), ADDRESS, (), CredentialKind.UNKNOWN),
        ),
        (Incoming("imap", "imap.example.com", 993, TLS),),
        "示例公司",
        ("example.com", "xn--bcher-kva.example"),
        (Documentation("https://it.example.com/mail"),),
    )
    assert found.speaks_for("example.com")
    assert not found.speaks_for("example.org")


def test_a_file_without_domains_speaks_for_the_address_at_hand() -> None:
    text = '{"schema": 1, "outgoing": [{"host": "h.example", "port": 465, "security": "tls"}]}'
    found = organisation.parse(text.encode(), address=ADDRESS)
    assert found.speaks_for("anything.example")


@pytest.mark.parametrize(
    ("old", "new", "reason", "line"),
    [
        ('"schema": 1', '"schema": 2', "unsupported_schema", 2),
        ('"schema": 1', '"schema": "1"', "wrong_type", 2),
        ('"schema": 1,', "", "missing_field", 1),
        ('"port": 465', '"prot": 465', "unknown_field", 6),
        ('"port": 465', '"port": 99999', "bad_port", 6),
        ('"port": 465', '"port": "465"', "wrong_type", 6),
        ('"port": 465, ', "", "missing_field", 6),
        ('"security": "tls",\n', '"security": "ssl",\n', "unknown_security", 6),
        ('"smtp.example.com"', '"smtp example"', "bad_host", 6),
        ('"%EMAILLOCALPART%"', '""', "bad_username", 7),
        ('"password-cleartext"', '"telepathy"', "unknown_auth", 7),
        ('"app_password"', '"pin"', "unknown_credential", 8),
        ('"192.168.1.100"', '"smtp.10.10.10.10"', "bad_host", 9),
        ('"type": "imap"', '"type": "x400"', "unknown_type", 11),
        ('"bücher.example"', '"a_b.example"', "bad_domain", 4),
        ('"https://it.example.com/mail"', '"it.example.com"', "bad_url", 12),
        ('"name": "示例公司"', '"name": ["x"]', "wrong_type", 3),
        ('"示例公司",', '"示例公司"', "not_json", 4),
        ('"name"', '"schema"', "duplicate_field", 3),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, reason: str, line: int) -> None:
    assert old in PROFILE
    with pytest.raises(DiscoveryError) as caught:
        organisation.parse(PROFILE.replace(old, new, 1).encode(), address=ADDRESS)
    assert (caught.value.reason, caught.value.line) == (reason, line)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unknown_format"),
        (b"smtp.example.com 465", "unknown_format"),
        (b"\x00\x01", "unknown_format"),
        (b'{"schema": 1, "outgoing": []}', "no_outgoing"),
        (b"<html/>", "wrong_root"),
        (b"<?xml version='1.0'?>\n<clientConfig/>", "no_outgoing"),
        (b"\x30\x82\x00\x01", "signed_profile"),
        (b"\x30\x82<?xml</plist>", "signed_profile"),
        (b"bplist00", "not_plist"),
        (b"bplist00" + b"\xff" * 40, "not_plist"),
        (b"<plist/>", "not_plist"),
        (b"<plist><array/></plist>", "not_plist"),
        (b"<plist><dict/></plist>", "no_mail_payload"),
        (b"<plist><dict><key>a</key></dict></plist>", "not_plist"),
        (b"<plist><dict><string/><key>a</key></dict></plist>", "not_plist"),
        (b"<plist><dict><key>a</key><blob/></dict></plist>", "not_plist"),
        (b"<plist><dict><key>a</key><integer>x</integer></dict></plist>", "wrong_type"),
        (b'<!DOCTYPE plist [<!ENTITY a "b">]><plist><dict/></plist>', "forbidden_xml"),
        (b"bplist00" + b"\0" * 300_000, "too_big"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        organisation.parse(data, address=ADDRESS)
    assert caught.value.reason == reason


AUTOCONFIG = b"""<?xml version="1.0"?>
<clientConfig version="1.1">
  <emailProvider id="example.com">
    <domain>example.com</domain>
    <displayName>Example</displayName>
    <outgoingServer type="smtp">
      <hostname>smtp.example.com</hostname><port>465</port><socketType>SSL</socketType>
    </outgoingServer>
    <outgoingServer type="ews"><url>https://x.example/</url></outgoingServer>
    <outgoingServer type="smtp">
      <hostname>smtp.example.com</hostname><port>587</port><socketType>STARTTLS</socketType>
    </outgoingServer>
  </emailProvider>
</clientConfig>
"""


def test_autoconfig() -> None:
    found = organisation.parse(AUTOCONFIG, address=ADDRESS)
    assert found.form == "autoconfig"
    assert [offer.endpoint.port for offer in found.outgoing] == [465, 587]
    assert (found.display_name, found.domains) == ("Example", ("example.com",))


def test_autoconfig_is_read_strictly() -> None:
    with pytest.raises(DiscoveryError, match=r"bad_port \(line 11\)"):
        organisation.parse(AUTOCONFIG.replace(b"587", b"587a"), address=ADDRESS)


MAIL = {
    "PayloadType": "com.apple.mail.managed",
    "PayloadDisplayName": "Mail",
    "EmailAccountDescription": "Example Mail",
    "EmailAccountType": "EmailTypeIMAP",
    "EmailAddress": ADDRESS,
    "IncomingMailServerHostName": "imap.example.com",
    "IncomingMailServerPortNumber": 993,
    "IncomingMailServerUseSSL": True,
    "OutgoingMailServerAuthentication": "EmailAuthPassword",
    "OutgoingMailServerHostName": "smtp.example.com",
    "OutgoingMailServerPortNumber": 465,
    "OutgoingMailServerUseSSL": True,
    "OutgoingMailServerUsername": "alice",
    "OutgoingPassword": "S3cretWord",
}


def mobileconfig(form: plistlib.PlistFormat = plistlib.FMT_XML, **changes: object) -> bytes:
    payload = {name: value for name, value in {**MAIL, **changes}.items() if value is not None}
    wifi = {"PayloadType": "com.apple.wifi.managed", "SSID_STR": "x", "Blob": b"\0"}
    root = {"PayloadType": "Configuration", "PayloadContent": [wifi, payload]}
    return plistlib.dumps(root, fmt=form)


def test_mobileconfig_in_all_its_forms() -> None:
    xml = mobileconfig()
    signed = b"\x30\x82\x10\x00\x06\x09" + xml + b"\xa0\x82certificates"
    answers = [
        organisation.parse(data, address=ADDRESS)
        for data in (xml, signed, mobileconfig(plistlib.FMT_BINARY))
    ]
    assert answers[0] == organisation.Organisation(
        "mobileconfig",
        (
            Offer(
                Endpoint("smtp.example.com", 465, TLS),
                "alice",
                ("password-cleartext",),
                CredentialKind.PASSWORD,
            ),
        ),
        (Incoming("imap", "imap.example.com", 993, TLS),),
        "Example Mail",
        ("example.com",),
    )
    assert answers[1:] == [answers[0], answers[0]]
    assert "S3cretWord" not in repr(answers)


@pytest.mark.parametrize(
    ("changes", "endpoint", "username", "auth"),
    [
        (
            {"OutgoingMailServerPortNumber": 587, "OutgoingMailServerUsername": None},
            Endpoint("smtp.example.com", 587, STARTTLS),
            ADDRESS,
            ("password-cleartext",),
        ),
        (
            {"OutgoingMailServerPortNumber": None, "OutgoingMailServerAuthentication": None},
            Endpoint("smtp.example.com", 587, STARTTLS),
            "alice",
            (),
        ),
        (
            {"OutgoingMailServerUseSSL": None, "OutgoingMailServerAuthentication": "EmailAuthNone"},
            Endpoint("smtp.example.com", 465, NONE),
            "alice",
            ("none",),
        ),
    ],
)
def test_mobileconfig_variants(
    changes: dict[str, object], endpoint: Endpoint, username: str, auth: tuple[str, ...]
) -> None:
    offer = organisation.parse(mobileconfig(**changes), address=ADDRESS).outgoing[0]
    assert (offer.endpoint, offer.username, offer.auth) == (endpoint, username, auth)


def test_mobileconfig_without_an_address_speaks_for_any() -> None:
    found = organisation.parse(
        mobileconfig(EmailAddress=None, EmailAccountType=None), address=ADDRESS
    )
    assert (found.domains, found.incoming) == ((), ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"OutgoingMailServerHostName": None}, "missing_field"),
        ({"OutgoingMailServerHostName": "a b"}, "bad_host"),
        ({"OutgoingMailServerHostName": 7}, "wrong_type"),
        ({"OutgoingMailServerPortNumber": "465"}, "wrong_type"),
        ({"OutgoingMailServerPortNumber": True}, "wrong_type"),
        ({"OutgoingMailServerPortNumber": 70_000}, "bad_port"),
        ({"OutgoingMailServerPortNumber": 0}, "bad_port"),
        ({"OutgoingMailServerUseSSL": "yes"}, "wrong_type"),
        ({"OutgoingMailServerAuthentication": "EmailAuthMagic"}, "unknown_auth"),
        ({"OutgoingMailServerUsername": "a\tb"}, "bad_username"),
        ({"IncomingMailServerHostName": "-"}, "bad_host"),
        ({"PayloadType": "com.apple.vpn.managed"}, "no_mail_payload"),
    ],
)
def test_mobileconfig_mistakes(changes: dict[str, object], reason: str) -> None:
    xml = mobileconfig(**changes)
    with pytest.raises(DiscoveryError) as caught:
        organisation.parse(xml, address=ADDRESS)
    assert caught.value.reason == reason
    assert caught.value.line is not None
    name = next(iter(changes))
    if reason not in {"missing_field", "no_mail_payload"}:
        assert name in "".join(xml.decode().splitlines()[caught.value.line - 2 : caught.value.line])
    with pytest.raises(DiscoveryError, match=reason):
        organisation.parse(mobileconfig(plistlib.FMT_BINARY, **changes), address=ADDRESS)


def test_a_binary_list_that_unfolds_without_end_is_refused() -> None:
    bomb: list[object] = ["x"]
    for _ in range(20):
        bomb = [bomb, bomb]
    with pytest.raises(DiscoveryError, match="too_many"):
        organisation.parse(plistlib.dumps(bomb_root(bomb), fmt=plistlib.FMT_BINARY), address="a@b")


def bomb_root(bomb: list[object]) -> dict[str, object]:
    return {"PayloadContent": bomb}


def test_a_deep_binary_list_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(DiscoveryError, match="too_deep"):
        organisation.parse(plistlib.dumps(deep, fmt=plistlib.FMT_BINARY), address="a@b")


BASES = [PROFILE.encode(), AUTOCONFIG, mobileconfig(), mobileconfig(plistlib.FMT_BINARY)]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file with a piece taken out or put in."""
    base = draw(st.sampled_from(BASES))
    start = draw(st.integers(0, len(base)))
    end = draw(st.integers(start, min(len(base), start + 12)))
    return base[:start] + draw(st.binary(max_size=3)) + base[end:]


@settings(max_examples=250, deadline=None)
@given(st.binary(max_size=80) | damaged() | st.just(json.dumps({"schema": 1}).encode()))
def test_any_bytes_are_a_profile_or_a_discovery_error(data: bytes) -> None:
    try:
        found = organisation.parse(data, address=ADDRESS)
    except DiscoveryError:
        return
    assert found.outgoing
