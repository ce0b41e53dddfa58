"""The examples printed in the RFCs and in the vendors' guides."""

import base64

import pytest

from posthouse.flow import Secret
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.sasl import (
    ChannelBinding,
    SaslError,
    ScramKeys,
    auth_plain_line,
    client,
    decode_oauth_error,
    derive_keys,
    saslprep,
    tls_server_end_point,
)

TIM = Secret("tanstaaftanstaaf")


@pytest.mark.parametrize(
    ("authzid", "user", "password", "message"),
    [
        ("", "tim", "tanstaaftanstaaf", b"\0tim\0tanstaaftanstaaf"),  # RFC 4616 section 4
        ("Ursel", "Kurt", "xipj3plmq", b"Ursel\0Kurt\0xipj3plmq"),
        ("", "üser", "pässword", "\0üser\0pässword".encode()),
    ],
)
def test_plain(authzid: str, user: str, password: str, message: bytes) -> None:
    mechanism = client("plain", username=user, secret=Secret(password), authzid=authzid)
    assert mechanism.initial == message
    assert mechanism.respond(b"") == message


def test_the_line_of_errata_e033() -> None:
    assert auth_plain_line("user", Secret("pass")).reveal() == "AUTH PLAIN AHVzZXIAcGFzcw=="


def test_cram_md5_of_rfc_2195() -> None:
    mechanism = client("CRAM-MD5", username="tim", secret=TIM)
    assert mechanism.initial is None
    answer = mechanism.respond(b"<1896.697170952@postoffice.reston.mci.net>")
    assert answer == b"tim b913a602c7eda7a495b4e6e7334d3890"


RFC_7677 = {
    "client_first": b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "server_first": b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "client_final": b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "server_final": b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
}


def test_scram_client_of_rfc_7677() -> None:
    mechanism = client(
        "SCRAM-SHA-256", username="user", secret=Secret("pencil"), nonce=b"rOprNGfwEbeRWgbNEkqO"
    )
    assert mechanism.initial == RFC_7677["client_first"]
    assert mechanism.respond(RFC_7677["server_first"]) == RFC_7677["client_final"]
    assert not mechanism.verified
    assert mechanism.respond(RFC_7677["server_final"]) == b""
    assert mechanism.verified
    mechanism.done()


class OneUser(sasl.TableAccounts):
    """The stored keys of the RFC's user."""

    def __init__(self, keys: ScramKeys) -> None:
        super().__init__({})
        self.keys = keys

    def scram_keys(self, username: str) -> ScramKeys | None:
        return self.keys if username == "user" else None


def test_scram_server_of_rfc_7677() -> None:
    keys = derive_keys(Secret("pencil"), base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    mechanism = sasl.server("SCRAM-SHA-256", OneUser(keys), nonce=b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert mechanism.start(RFC_7677["client_first"]) == RFC_7677["server_first"]
    assert mechanism.receive(RFC_7677["client_final"]) == RFC_7677["server_final"]
    assert mechanism.username == ""
    assert mechanism.receive(b"") is None
    assert mechanism.username == "user"


def test_xoauth2_of_googles_guide() -> None:
    token = Secret("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    mechanism = client("XOAUTH2", username="someuser@example.com", secret=token)
    assert base64.b64encode(mechanism.initial or b"") == (
        b"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNr"
        b"QmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )


GOOGLE_ERROR = (
    b"eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2ds"
    b"ZS5jb20vIn0K"
)


@pytest.mark.parametrize("challenge", [GOOGLE_ERROR, base64.b64decode(GOOGLE_ERROR)])
def test_oauth_error(challenge: bytes) -> None:
    assert decode_oauth_error(challenge) == {
        "status": "401",
        "schemes": "bearer mac",
        "scope": "https://mail.google.com/",
    }


def test_oauthbearer_of_rfc_7628() -> None:
    token = Secret("vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==")
    mechanism = client(
        "OAUTHBEARER",
        username="user@example.com",
        secret=token,
        host="server.example.com",
        port=587,
    )
    assert mechanism.initial == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=587\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01"
    )
    refusal = b'{"status":"invalid_token","scope":"example_scope"}'
    assert mechanism.respond(refusal) == b"\x01"
    with pytest.raises(SaslError, match="token_refused"):
        mechanism.done()


@pytest.mark.parametrize(
    ("text", "prepared"),
    [  # RFC 4013 section 3, and what mail users type
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u3000b", "a b"),
        ("p\u00a0w", "p w"),
        ("Ａｂ１", "Ab1"),
        ("密码", "密码"),
        ("e\u0301", "\u00e9"),
        ("a\u200bb", "a b"),
        ("", ""),
    ],
)
def test_saslprep(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\u0007", "prohibited"),
        ("a\u0085", "prohibited"),
        ("\ue000", "prohibited"),
        ("\ufffd", "prohibited"),
        ("\u0627\u0031", "bidi"),
        ("\u0627a\u0627", "bidi"),
        ("\U0001f600", "unassigned"),
    ],
)
def test_saslprep_refuses(text: str, reason: str) -> None:
    with pytest.raises(SaslError) as caught:
        saslprep(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("hash_name", "length"), [("sha256", 32), ("SHA-1", 32), ("md5", 32), ("sha384", 48)]
)
def test_certificate_binding_of_rfc_5929(hash_name: str, length: int) -> None:
    binding = tls_server_end_point(b"certificate", hash_name)
    assert binding.kind == "tls-server-end-point"
    assert len(binding.data) == length


def test_an_unknown_signature_hash_binds_nothing() -> None:
    with pytest.raises(SaslError, match="no_channel_binding"):
        tls_server_end_point(b"certificate", "ed25519")


def test_channel_binding_is_in_the_proof() -> None:
    binding = ChannelBinding("tls-exporter", b"\x01" * 32)
    mechanism = client(
        "SCRAM-SHA-256-PLUS",
        username="user",
        secret=Secret("pencil"),
        nonce=b"rOprNGfwEbeRWgbNEkqO",
        channel_binding=binding,
    )
    assert mechanism.initial == b"p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = mechanism.respond(RFC_7677["server_first"])
    bound = base64.b64encode(b"p=tls-exporter,," + b"\x01" * 32)
    assert final.startswith(b"c=" + bound + b",")
    assert "\\x01" not in repr(binding)
