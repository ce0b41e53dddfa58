"""What a domain publishes is read back by the parsers that discovery uses."""

from __future__ import annotations

import re

import pytest

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery import autoconfig, autodiscover_pox, organisation, pacc, srv
from posthouse.setup.profile import make

from .shared import ADDRESS, IMAP, IMPLICIT, STARTTLS, content, note_ids, settings

BOTH = (IMPLICIT, STARTTLS)
BOB = "bob@example.com"


def records(**changes: object) -> dict[str, list[str]]:
    """name -> its records, in presentation form."""
    found: dict[str, list[str]] = {}
    for line in content(make("domain", settings(**changes)), "records.zone").splitlines():
        match = re.fullmatch(r"(\S+)\. \d+ IN (\S+) (.*)", line)
        assert match
        found.setdefault(f"{match[1]} {match[2]}", []).append(match[3])
    return found


def test_srv_records() -> None:
    found = records(outgoing=BOTH)
    (first,) = found["_submissions._tcp.example.com SRV"]
    (second,) = found["_submission._tcp.example.com SRV"]
    assert srv.parse(first) == srv.SrvRecord(0, 1, 465, "smtp.example.com")
    assert srv.parse(second) == srv.SrvRecord(1, 1, 587, "smtp.example.com")
    (reading,) = found["_imaps._tcp.example.com SRV"]
    assert srv.parse(reading).port == 993


def test_an_ip_address_is_no_target() -> None:
    assert not any(
        "_submission" in name
        for name in records(outgoing=(Endpoint("192.0.2.25", 587, Security.STARTTLS),))
    )


def test_autoconfig_is_for_everybody_of_the_domain() -> None:
    xml = content(make("domain", settings(outgoing=BOTH)), "config-v1.1.xml").encode()
    answer = autoconfig.parse(xml, address=BOB)
    assert [offer.endpoint for offer in answer.outgoing] == list(BOTH)
    assert {offer.username for offer in answer.outgoing} == {BOB}
    assert answer.incoming == (IMAP,)
    assert answer.domains == ("example.com",)
    assert answer.skipped == ()


@pytest.mark.parametrize(
    ("username", "for_bob", "personal"),
    [(ADDRESS, BOB, False), ("alice", "bob", False), ("apikey", "apikey", True)],
)
def test_the_user_name_of_everybody(username: str, for_bob: str, personal: bool) -> None:
    profile = make("domain", settings(username=username))
    xml = content(profile, "config-v1.1.xml").encode()
    assert autoconfig.parse(xml, address=BOB).outgoing[0].username == for_bob
    assert ("personal_login" in note_ids(profile)) is personal


def test_thunderbirds_own_file_is_for_one_person() -> None:
    xml = content(make("thunderbird", settings(username="alice"))).encode()
    assert autoconfig.parse(xml, address=BOB).outgoing[0].username == "alice"


def test_pacc_and_its_digest() -> None:
    profile = make("domain", settings(outgoing=BOTH))
    document = content(profile, "user-agent-configuration.json").encode()
    answer = pacc.parse(document, address=BOB)
    assert [offer.endpoint for offer in answer.outgoing] == [IMPLICIT]
    assert answer.incoming == (IMAP,)
    (record,) = records(outgoing=BOTH)["_ua-auto-config.example.com TXT"]
    assert pacc.verify(document, [record]) is pacc.Digest.MATCH
    assert pacc.verify(document + b" ", [record]) is pacc.Digest.MISMATCH


@pytest.mark.parametrize(
    "changes", [{"outgoing": (STARTTLS,)}, {"username": "alice", "outgoing": BOTH}]
)
def test_pacc_is_left_out_where_it_cannot_say_the_settings(changes: dict[str, object]) -> None:
    profile = make("domain", settings(**changes))
    assert "no_pacc" in note_ids(profile)
    assert "user-agent-configuration.json" not in {f.name for f in profile.files}
    assert "TXT" not in profile.text


@pytest.mark.parametrize("endpoint", BOTH)
def test_autodiscover(endpoint: Endpoint) -> None:
    text = content(make("autodiscover", settings(outgoing=(endpoint,))))
    answer = autodiscover_pox.parse(text.encode(), address=ADDRESS)
    assert [offer.endpoint for offer in answer.outgoing] == [endpoint]
    assert answer.outgoing[0].username == ADDRESS
    assert answer.outgoing[0].auth == ("password-cleartext",)
    assert answer.incoming == (IMAP,)
    assert "<AuthRequired>on</AuthRequired>" in text
    assert "<SPA>off</SPA>" in text
    assert f"<Encryption>{'TLS' if endpoint is STARTTLS else 'SSL'}</Encryption>" in text


@pytest.mark.parametrize("kind", [CredentialKind.AUTH_CODE, CredentialKind.UNKNOWN])
def test_the_organisations_file_is_read_back(kind: CredentialKind) -> None:
    data = content(make("posthouse", settings(outgoing=BOTH, credential=kind))).encode()
    read = organisation.parse(data, address=BOB)
    assert [offer.endpoint for offer in read.outgoing] == list(BOTH)
    assert read.outgoing[0].username == BOB
    expected = CredentialKind.PASSWORD if kind is CredentialKind.UNKNOWN else kind
    assert read.outgoing[0].credential is expected
    assert read.incoming == (IMAP,)
    assert read.speaks_for("example.com")
    assert not read.speaks_for("example.org")


def test_an_idn_domain_is_published_in_ascii() -> None:
    changes = {"address": "alice@例子.中国", "username": "alice@xn--fsqu00a.xn--fiqs8s"}
    assert all("xn--fsqu00a.xn--fiqs8s" in name for name in records(**changes))


def test_an_address_without_a_domain_has_nothing_to_publish() -> None:
    profile = make("domain", settings(address="alice@[192.0.2.1]"))
    assert profile.files == ()
    assert "no_domain" in note_ids(profile)
