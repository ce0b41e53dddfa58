"""A client that cannot work with the settings is told so, and gets no file."""

from __future__ import annotations

import re

import pytest

from fakes.certs import Authority
from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery.offer import Incoming
from posthouse.setup.profile import (
    PASSWORD_HERE,
    Level,
    SettingsError,
    UnknownClient,
    clients,
    error_text,
    find_client,
    make,
)

from .shared import ADDRESS, IMPLICIT, STARTTLS, content, made, note_ids, settings

ALL = [client.id for client in clients()]


@pytest.fixture(scope="module")
def ca_pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    return Authority(tmp_path_factory.mktemp("ca")).ca_file.read_text()


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_client_makes_something_in_both_languages(client: str, lang: str) -> None:
    profile = make(client, settings(outgoing=(STARTTLS, IMPLICIT)), lang)
    assert profile.usable
    assert profile.files or profile.steps or profile.text
    shown = [*profile.steps, *(n.text for n in profile.notes), profile.client.name(lang)]
    shown += [f.content.decode("utf-8", "replace") for f in profile.files if f.name[-3:] != "png"]
    for text in [*shown, profile.text]:
        assert "profile." not in text.replace("profile.client", "")  # a key without words


@pytest.mark.parametrize("client", ALL)
def test_the_same_settings_give_the_same_bytes(client: str) -> None:
    assert make(client, settings()) == make(client, settings())


@pytest.mark.parametrize("client", ALL)
def test_a_place_for_the_password_is_for_its_owner_alone(client: str) -> None:
    for file in make(client, settings()).files:
        if PASSWORD_HERE.encode() in file.content:
            assert file.mode == 0o600
            assert file.name in {"remotes", "sasl_passwd", "smtpd-secrets", ".env"} | {
                "relay-password",
                "passwd.client",
            }


OAUTH = {"credential": CredentialKind.OAUTH2, "auth": ("XOAUTH2",)}


@pytest.mark.parametrize(
    "client",
    [
        *("nullmailer", "git", "postfix", "exim", "exim-debian", "opensmtpd", "django", "flask"),
        *("rails", "gitlab", "laravel", "wordpress", "spring", "grafana", "apple", "autodiscover"),
    ],
)
def test_no_password_accepted_and_the_client_has_no_token(client: str) -> None:
    profile = make(client, settings(**OAUTH))
    assert not profile.usable
    assert profile.files == ()
    assert note_ids(profile) == {"oauth_only"}
    assert profile.notes[0].level is Level.FAIL
    assert profile.client.name("en") in profile.notes[0].text


@pytest.mark.parametrize(
    ("client", "line"),
    [
        ("msmtp", "auth xoauth2"),
        ("mutt", 'set smtp_authenticators="xoauth2"'),
        ("neomutt", "smtp_oauth_refresh_command"),
        ("python", 'client.auth("XOAUTH2", token)'),
        ("nodemailer", 'type: "OAuth2"'),
        ("thunderbird", "<authentication>OAuth2</authentication>"),
        ("thunderbird-android", "<authentication-type>XOAUTH2</authentication-type>"),
        ("posthouse", '"OAuth2"'),
    ],
)
def test_no_password_accepted_and_the_client_has_tokens(client: str, line: str) -> None:
    profile = make(client, settings(**OAUTH))
    assert profile.usable
    assert line in content(profile)


def test_oauth_is_seen_in_the_mechanisms_alone() -> None:
    assert settings(auth=("OAUTHBEARER", "XOAUTH2")).needs_oauth
    assert not settings(auth=("PLAIN", "XOAUTH2")).needs_oauth
    assert not settings(auth=()).needs_oauth
    assert settings(auth=("OAuth2",)).needs_oauth  # as an autoconfig file says it
    assert not settings(auth=("password-cleartext",)).needs_oauth


@pytest.mark.parametrize(
    ("client", "auth", "usable"),
    [
        ("opensmtpd", ("CRAM-MD5",), False),
        ("nodemailer", ("SCRAM-SHA-256",), False),
        ("msmtp", ("SCRAM-SHA-256",), True),
        ("grafana", ("NTLM",), False),
        ("spring", ("LOGIN",), True),
        ("django", ("password-cleartext",), True),
    ],
)
def test_mechanisms_in_common(client: str, auth: tuple[str, ...], usable: bool) -> None:
    profile = make(client, settings(auth=auth))
    assert profile.usable is usable
    assert ("mechanism" in note_ids(profile)) is not usable


@pytest.mark.parametrize(
    ("client", "auth", "line"),
    [
        ("msmtp", ("LOGIN",), "auth login"),
        ("msmtp", (), "auth on"),
        ("nullmailer", ("LOGIN",), " auth-login "),
        ("rails", ("CRAM-MD5",), "authentication: :cram_md5"),
        ("gitlab", ("LOGIN",), "['smtp_authentication'] = 'login'"),
        ("postfix", ("PLAIN", "LOGIN"), "smtp_sasl_mechanism_filter = plain, login"),
        ("exim", ("CRAM-MD5",), "driver = cram_md5"),
        ("wordpress", ("LOGIN",), "AuthType = 'LOGIN'"),
        ("spring", ("LOGIN",), "mail.smtp.auth.mechanisms=LOGIN"),
        ("git", ("LOGIN",), 'smtpAuth = "LOGIN"'),
    ],
)
def test_the_mechanism_is_named_where_it_is_known(
    client: str, auth: tuple[str, ...], line: str
) -> None:
    assert line in made(client, auth=auth)


@pytest.mark.parametrize(
    ("client", "changes", "reason"),
    [
        ("postfix", {"username": "a:b"}, "colon"),
        ("exim-debian", {"username": "a:b"}, "colon"),
        ("opensmtpd", {"username": "a:b"}, "colon"),
        ("django", {"username": "jörg"}, "unicode_login"),
        ("exim-debian", {"outgoing": (Endpoint("::1", 587, Security.STARTTLS),)}, "ipv6_host"),
        ("mutt", {"address": "用户@example.com"}, "unicode_sender"),
        ("apple", {"address": "jörg@example.com"}, "unicode_sender"),
    ],
)
def test_what_a_syntax_cannot_hold(client: str, changes: dict[str, object], reason: str) -> None:
    profile = make(client, settings(**changes))
    assert not profile.usable
    assert reason in note_ids(profile)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"username": ""}, "username_missing"),
        ({"username": "apikey", "credential": CredentialKind.KEY}, "username_differs"),
        ({"credential": CredentialKind.TOKEN, "username": "tok-4711"}, "token"),
        ({"address": "用户@example.com", "username": "u"}, "smtputf8"),
        ({"address": "alice@例子.中国"}, "idn"),
    ],
)
def test_what_to_know_although_it_works(changes: dict[str, object], note: str) -> None:
    assert note in note_ids(make("msmtp", settings(**changes)))


@pytest.mark.parametrize("client", ALL)
def test_a_token_that_is_user_name_and_password_is_in_no_file(client: str) -> None:
    secret = "tok-4711-secret"
    profile = make(client, settings(credential=CredentialKind.TOKEN, username=secret))
    assert secret not in profile.text
    for text in (*profile.steps, *(n.text for n in profile.notes)):
        assert secret not in text
    assert not any(secret.encode() in file.content for file in profile.files)


@pytest.mark.parametrize("client", ALL)
def test_an_idn_domain_is_written_in_ascii(client: str) -> None:
    profile = make(
        client, settings(address="alice@例子.中国", username="alice@xn--fsqu00a.xn--fiqs8s")
    )
    main = next((f for f in profile.files if f.name == client), None)
    for file in [main] if main else profile.files:
        text = file.content.decode("utf-8", "replace")
        assert "alice@例子" not in text


def test_without_a_server_for_reading() -> None:
    for client in ("apple", "thunderbird-android"):
        profile = make(client, settings(incoming=None))
        assert profile.files == ()
        assert profile.steps
        assert "needs_incoming" in note_ids(profile)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"address": "nobody"}, "address"),
        ({"outgoing": ()}, "no_server"),
        ({"outgoing": (Endpoint("smtp.example.com", 25, Security.NONE),)}, "plain"),
        ({"outgoing": (Endpoint("smtp example", 25, Security.TLS),)}, "server"),
        ({"outgoing": (Endpoint("SMTP.example.com", 465, Security.TLS),)}, "server"),
        ({"outgoing": (Endpoint("smtp.example.com", 0, Security.TLS),)}, "server"),
        ({"username": "a\nb"}, "username"),
        ({"username": "a\u2028b"}, "username"),
        ({"username": " a"}, "username"),
        ({"incoming_username": "a\tb"}, "username"),
        ({"display_name": "A\r\nBcc: x"}, "display_name"),
        ({"display_name": "x" * 321}, "display_name"),
        ({"ca_pem": "nothing"}, "ca_unreadable"),
    ],
)
def test_settings_that_no_client_could_use(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings(**changes)
    assert error.value.reason == reason
    for lang in ("en", "zh"):
        assert not error_text(error.value, lang).startswith("profile.")


@pytest.mark.parametrize(
    ("typed", "id"),
    [
        ("Postfix", "postfix"),
        ("git_send-email", "git"),
        ("iPhone", "apple"),
        ("K-9", "thunderbird-android"),
        ("spring boot", "spring"),
    ],
)
def test_clients_are_found_by_what_people_type(typed: str, id: str) -> None:
    assert find_client(typed).id == id


def test_an_unknown_client_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UnknownClient) as error:
        make("posfix", settings())
    assert error.value.suggestion == "postfix"
    with pytest.raises(UnknownClient) as error:
        make("zzzzzz", settings())
    assert error.value.suggestion == ""


def test_names_and_aliases_are_each_one_clients() -> None:
    names = [name for client in clients() for name in (client.id, *client.aliases)]
    assert len(names) == len(set(names))
    assert ADDRESS.split("@")[0] not in names


@pytest.mark.parametrize("client", ALL)
def test_an_authority_to_trust_is_a_file_or_a_payload_once(client: str, ca_pem: str) -> None:
    profile = make(client, settings(ca_pem=ca_pem))
    files = [file for file in profile.files if file.content == ca_pem.encode()]
    trusts = client not in {"apple", "autodiscover", "qr", "text", "posthouse", "domain"}
    assert len(files) == trusts
    told = "\n".join([*profile.steps, *(note.text for note in profile.notes)])
    assert ("ca.pem" in told or "SSL_CERT_FILE" in told) == (trusts or client == "apple")


# How these programs spell "do not check the certificate".
UNCHECKED = re.compile(
    r"VERIFY_NONE|verify_mode = 'none'|verify_peer|rejectUnauthorized|insecure|no-verify|CERT_NONE"
    r"|skip_verify = true|ssl\.trust|tls_certcheck|sslverify|check_hostname|avoid_tls",
    re.IGNORECASE,
)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("endpoint", [STARTTLS, IMPLICIT])
def test_no_certificate_goes_unchecked(client: str, endpoint: Endpoint) -> None:
    for file in make(client, settings(outgoing=(endpoint,))).files:
        assert not UNCHECKED.search(file.content.decode("utf-8", "replace"))


@pytest.mark.parametrize("client", ["apple", "thunderbird-android", "thunderbird"])
def test_a_server_for_reading_that_the_client_does_not_speak(client: str) -> None:
    jmap = Incoming("jmap", "api.example.com", 443, Security.TLS)
    profile = make(client, settings(incoming=jmap))
    assert profile.usable
    assert b"api.example.com" not in b"".join(file.content for file in profile.files)
