"""The steps: the user's own values, the words that the programs use today, nothing invented."""

from __future__ import annotations

import re

import pytest

from posthouse.flow import CredentialKind
from posthouse.setup.profile import clients, make

from .shared import ADDRESS, IMPLICIT, STARTTLS, note_ids, settings

PEOPLE = ["thunderbird", "outlook", "outlook-new", "apple", "thunderbird-android"]


def steps(client: str, lang: str, **changes: object) -> str:
    return "\n".join(make(client, settings(**changes), lang).steps)


@pytest.mark.parametrize("client", PEOPLE)
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("endpoint", [STARTTLS, IMPLICIT])
def test_every_value_of_a_guide_is_the_settings_own(
    client: str, lang: str, endpoint: object
) -> None:
    text = steps(client, lang, outgoing=(endpoint,))
    for value in (ADDRESS, "smtp.example.com", str(getattr(endpoint, "port", ""))):
        assert value in text
    others = set(re.findall(r"\b(?:25|465|587|993|995|143|110)\b", text))
    allowed = {str(getattr(endpoint, "port", "")), "993"}
    if client == "thunderbird-android":
        allowed |= {"465", "587"}  # it says which mode goes with which
    assert others <= allowed
    hosts = set(re.findall(r"\b[\w-]+\.example\.com\b", text))
    assert hosts <= {"smtp.example.com", "imap.example.com", "autoconfig.example.com"}


@pytest.mark.parametrize("client", ["outlook", "outlook-new", "apple", "thunderbird-android"])
def test_it_is_ones_own_address_that_is_entered(client: str) -> None:
    assert "本人邮箱地址" in steps(client, "zh")
    assert "your own address" in steps(client, "en")


@pytest.mark.parametrize("client", [client.id for client in clients()])
def test_no_guide_asks_for_the_recipients_address(client: str) -> None:
    text = steps(client, "zh")
    assert "收件人邮箱地址" not in text
    for invented in (
        "启用连接复用",
        "Keepalive",
        "使用其他服务器设置发送邮件",
        "我的服务器发送邮件",
    ):
        assert invented not in text


@pytest.mark.parametrize(
    ("endpoint", "word", "other"),
    [(STARTTLS, "STARTTLS", "SSL/TLS"), (IMPLICIT, "SSL/TLS", "STARTTLS")],
)
@pytest.mark.parametrize("client", ["outlook", "outlook-new", "thunderbird"])
def test_587_is_starttls_and_465_is_ssl_tls(
    client: str, endpoint: object, word: str, other: str
) -> None:
    port = str(getattr(endpoint, "port", ""))
    line = next(s for s in make(client, settings(outgoing=(endpoint,)), "zh").steps if port in s)
    assert word in line
    assert other not in line


def test_outlook_names_the_box_as_it_is_called() -> None:
    assert "我的发送服务器(SMTP)要求验证" in steps("outlook", "zh")
    assert "My outgoing server (SMTP) requires authentication" in steps("outlook", "en")


def test_outlook_is_told_that_a_firewall_may_block_the_port_and_what_else_works() -> None:
    text = steps("outlook", "zh", outgoing=(STARTTLS, IMPLICIT))
    assert "防火墙封锁了 TCP 587 端口：请试 smtp.example.com:465 (SSL/TLS)" in text
    assert "请试" not in steps("outlook", "zh")


@pytest.mark.parametrize("client", ["outlook", "outlook-new"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_exchange_mailbox_is_added_as_one(client: str, lang: str) -> None:
    text = steps(client, lang, exchange=True)
    assert "Exchange" in text
    assert "Microsoft 365" in text
    assert "587" not in text
    assert "smtp.example.com" not in text


def test_macos_says_settings_since_13() -> None:
    assert "邮件 → 设置…（macOS 13 以前叫“偏好设置…”）" in steps("apple", "zh")
    assert "Settings… (Preferences… before macOS 13)" in steps("apple", "en")


@pytest.mark.parametrize(
    ("kind", "en", "zh"),
    [
        (CredentialKind.AUTH_CODE, "authorization code (授权码)", "授权码"),
        (CredentialKind.APP_PASSWORD, "app password", "应用专用密码"),
        (CredentialKind.PASSWORD, "mailbox password", "邮箱密码"),
        (CredentialKind.KEY, "SMTP key", "SMTP 密钥"),
    ],
)
@pytest.mark.parametrize("client", ["outlook", "postfix", "msmtp", "django", "wordpress"])
def test_the_guide_names_the_right_kind_of_password(
    client: str, kind: CredentialKind, en: str, zh: str
) -> None:
    assert en in steps(client, "en", credential=kind)
    assert zh in steps(client, "zh", credential=kind)


def test_a_user_name_that_is_not_the_address_is_said() -> None:
    profile = make("outlook", settings(username="apikey", credential=CredentialKind.KEY), "en")
    assert "username_differs" in note_ids(profile)
    assert "apikey" in "\n".join(profile.steps)


def test_a_name_in_a_command_is_one_word_of_the_shell() -> None:
    odd = "o'brien&co@example.com"
    text = steps("postfix", "en", address=odd, username=odd)
    assert "sendmail -f 'o'\"'\"'brien&co@example.com'" in text


def test_postfix_tells_mode_and_map() -> None:
    text = steps("postfix", "en")
    assert "chmod 600 /etc/postfix/sasl_passwd" in text
    assert "postmap /etc/postfix/sasl_passwd" in text


@pytest.mark.parametrize("client", ["thunderbird", "outlook", "outlook-new", "thunderbird-android"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_where_no_password_is_accepted_none_is_asked_for(client: str, lang: str) -> None:
    text = steps(client, lang, credential=CredentialKind.OAUTH2, auth=("XOAUTH2",))
    assert "OAuth2" in text
    for word in ("Normal password", "普通密码", "询问", "asks for"):
        assert word not in text
    assert "OAuth2" not in steps(client, lang)


@pytest.mark.parametrize("client", ["msmtp", "mutt", "python", "nodemailer"])
def test_a_program_is_given_an_access_token(client: str) -> None:
    assert "access token" in steps(client, "en", credential=CredentialKind.OAUTH2)
    assert "访问令牌" in steps(client, "zh", credential=CredentialKind.OAUTH2)
