"""Apple's profile: keys, stable identifiers, the authority, the signature."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fakes.certs import Authority
from posthouse.protocol.discovery import organisation
from posthouse.setup.profile import CertificateError, SettingsError, Signer, error_text, make

from .shared import ADDRESS, IMPLICIT, STARTTLS, note_ids, settings


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def plist(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = plistlib.loads(make("apple", settings(**changes)).files[0].content)
    return found


def test_the_mail_payload() -> None:
    mail = plist(outgoing=(IMPLICIT,))["PayloadContent"][0]
    expected = {
        "PayloadType": "com.apple.mail.managed",
        "EmailAddress": ADDRESS,
        "EmailAccountName": "Alice Example",
        "EmailAccountType": "EmailTypeIMAP",
        "IncomingMailServerHostName": "imap.example.com",
        "IncomingMailServerPortNumber": 993,
        "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": ADDRESS,
        "OutgoingMailServerHostName": "smtp.example.com",
        "OutgoingMailServerPortNumber": 465,
        "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": ADDRESS,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    assert expected.items() <= mail.items()
    assert not [key for key in mail if key.endswith("Password") and isinstance(mail[key], str)]


def test_two_user_names_have_two_passwords() -> None:
    mail = plist(username="apikey", incoming_username=ADDRESS)["PayloadContent"][0]
    assert mail["OutgoingPasswordSameAsIncomingPassword"] is False


def test_the_profile_around_it() -> None:
    whole = plist()
    assert whole["PayloadType"] == "Configuration"
    assert whole["PayloadVersion"] == 1
    assert whole["PayloadIdentifier"].startswith("com.example.mail.")


def test_identifiers_stay_with_the_settings_and_change_with_them() -> None:
    first, same, other = plist(), plist(), plist(outgoing=(IMPLICIT,))
    assert first["PayloadUUID"] == same["PayloadUUID"]
    assert first["PayloadUUID"] != other["PayloadUUID"]
    assert first["PayloadUUID"] != first["PayloadContent"][0]["PayloadUUID"]
    # the identifier is what makes the device replace the old profile
    assert first["PayloadIdentifier"] == other["PayloadIdentifier"]


def test_it_is_read_back_as_an_organisations_file() -> None:
    content = make("apple", settings(outgoing=(STARTTLS,))).files[0].content
    read = organisation.parse(content, address=ADDRESS)
    assert [offer.endpoint for offer in read.outgoing] == [STARTTLS]
    assert read.outgoing[0].username == ADDRESS
    assert read.incoming == (settings().incoming,)


def test_an_authority_is_a_payload_and_a_servers_own_certificate_is_refused(
    authority: Authority,
) -> None:
    root = authority.ca_file.read_text()
    payloads = plist(ca_pem=root)["PayloadContent"]
    assert [p["PayloadType"] for p in payloads] == [
        "com.apple.mail.managed",
        "com.apple.security.root",
    ]
    assert payloads[1]["PayloadDisplayName"] == "Posthouse Test Root"
    chain = plist(ca_pem=root + authority.intermediate_file.read_text())["PayloadContent"]
    assert [p["PayloadType"] for p in chain[1:]] == [
        "com.apple.security.root",
        "com.apple.security.pkcs1",
    ]
    leaf = authority.issue().cert_file.read_text()
    with pytest.raises(SettingsError) as error:
        settings(ca_pem=leaf)
    assert error.value.reason == "ca_leaf"
    assert "mail.test" in error_text(error.value, "zh")
    assert "CA 证书" in error_text(error.value, "zh")


def test_the_signature_verifies(authority: Authority, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the command openssl is not installed")
    issued = authority.issue()
    signer = Signer(issued.cert_file.read_bytes(), issued.key_file.read_bytes())
    profile = make("apple", settings(), signer=signer)
    assert "unsigned" not in note_ids(profile)
    (tmp_path / "signed").write_bytes(profile.files[0].content)
    command = [openssl, "cms", "-verify", "-inform", "DER", "-in", "signed", "-purpose", "any"]
    command += ["-CAfile", str(authority.ca_file), "-out", "content"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    unsigned = make("apple", settings()).files[0].content
    assert (tmp_path / "content").read_bytes() == unsigned
    read = organisation.parse(profile.files[0].content, address=ADDRESS)
    assert read.outgoing[0].endpoint == STARTTLS


def test_a_signer_that_cannot_be_read_is_said_without_its_key(authority: Authority) -> None:
    signer = Signer(authority.issue().cert_file.read_bytes(), b"no key at all")
    with pytest.raises(CertificateError) as error:
        make("apple", settings(), signer=signer)
    assert "PEM" in error_text(error.value, "en")
    assert "no key" not in repr(signer)
