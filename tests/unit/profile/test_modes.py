"""STARTTLS and TLS from the first byte in each syntax: the one mistake every guide makes."""

from __future__ import annotations

import pytest

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.setup.profile import make

from .shared import IMPLICIT, STARTTLS, content, made, settings

# client, a line for 587, a line for 465; each must be there in its mode and absent in the other
MODES = [
    ("msmtp", "tls_starttls on", "tls_starttls off"),
    ("nullmailer", "port=587 starttls ", "port=465 tls "),
    ("git", 'smtpEncryption = "tls"', 'smtpEncryption = "ssl"'),
    ("mutt", 'smtp_url="smtp://', 'smtp_url="smtps://'),
    ("neomutt", "set ssl_starttls=yes", 'smtp_url="smtps://'),
    ("postfix", "smtp_tls_wrappermode = no", "smtp_tls_wrappermode = yes"),
    ("exim", "protocol = smtp\n", "protocol = smtps\n"),
    ("opensmtpd", '"smtp+tls://posthouse@', '"smtps://posthouse@'),
    ("python", "client.starttls(context=context)", "smtplib.SMTP_SSL(HOST, PORT"),
    ("django", "EMAIL_USE_TLS = True", "EMAIL_USE_SSL = True"),
    ("flask", "MAIL_USE_TLS = True", "MAIL_USE_SSL = True"),
    ("rails", "enable_starttls: true", "    tls: true"),
    ("gitlab", "['smtp_enable_starttls_auto'] = true", "['smtp_tls'] = true"),
    ("laravel", "MAIL_SCHEME=smtp\n", "MAIL_SCHEME=smtps\n"),
    ("wordpress", "SMTPSecure = 'tls'", "SMTPSecure = 'ssl'"),
    ("nodemailer", "secure: false,\n  requireTLS: true", "secure: true"),
    ("spring", "mail.smtp.starttls.required=true", "mail.smtp.ssl.enable=true"),
    ("grafana", "startTLS_policy = MandatoryStartTLS", "startTLS_policy = NoStartTLS"),
    ("systemd", 'SMTP_SECURITY="starttls"', 'SMTP_SECURITY="tls"'),
    ("thunderbird", "<socketType>STARTTLS</socketType>", "<port>465</port>"),
    ("autodiscover", "<Encryption>TLS</Encryption>", "<Port>465</Port>"),
    ("thunderbird-android", "STARTTLS_REQUIRED", "<port>465</port>"),
    ("posthouse", '"security": "starttls"', '"port": 465'),
    ("domain", "_submission._tcp.example.com.", "_submissions._tcp.example.com."),
]


@pytest.mark.parametrize(("client", "starttls", "implicit"), MODES, ids=[m[0] for m in MODES])
def test_each_mode_is_said_in_the_clients_words(client: str, starttls: str, implicit: str) -> None:
    first = made(client, outgoing=(STARTTLS,))
    assert starttls in first
    assert implicit not in first
    second = made(client, outgoing=(IMPLICIT,))
    assert implicit in second
    assert starttls not in second


def test_exim_on_debian_says_smtps_only_for_tls_from_the_first_byte() -> None:
    macro = "REMOTE_SMTP_SMARTHOST_PROTOCOL = smtps"
    assert macro not in made("exim-debian", "exim4.conf.localmacros")
    profile = make("exim-debian", settings(outgoing=(IMPLICIT,)))
    assert macro in content(profile, "exim4.conf.localmacros")
    assert macro in content(profile, "000_localmacros")


@pytest.mark.parametrize("client", ["laravel", "gitlab"])
def test_who_cannot_insist_on_starttls_is_given_the_other_port(client: str) -> None:
    both = make(client, settings(outgoing=(STARTTLS, IMPLICIT)))
    assert both.endpoint == IMPLICIT
    assert "starttls_optional" not in {n.id for n in both.notes}
    one = make(client, settings(outgoing=(STARTTLS,)))
    assert one.endpoint == STARTTLS
    assert "starttls_optional" in {n.id for n in one.notes}


def test_grafana_says_that_tls_goes_by_465_alone() -> None:
    odd = Endpoint("smtp.example.com", 2465, Security.TLS)
    assert "grafana_port" in {n.id for n in make("grafana", settings(outgoing=(odd,))).notes}


# An IPv6 address as host: where brackets belong and where not.
V6 = Endpoint("2001:db8::25", 587, Security.STARTTLS)
V6_LINES = [
    ("msmtp", "host 2001:db8::25\n"),
    ("nullmailer", "2001:db8::25 smtp port=587"),
    ("git", 'smtpServer = "2001:db8::25"'),
    ("mutt", "@[2001:db8::25]:587/"),
    ("postfix", "relayhost = [2001:db8::25]:587"),
    ("exim", 'route_list = * "<+ 2001:db8::25" byname'),
    ("opensmtpd", "@[2001:db8::25]:587"),
    ("python", 'HOST, PORT = "2001:db8::25", 587'),
    ("laravel", 'MAIL_HOST="[2001:db8::25]"'),
    ("wordpress", "$mail->Host = '[2001:db8::25]';"),
    ("spring", "spring.mail.host=2001\\:db8\\:\\:25"),
    ("grafana", "host = [2001:db8::25]:587"),
]


@pytest.mark.parametrize(("client", "line"), V6_LINES, ids=[v[0] for v in V6_LINES])
def test_an_ipv6_address_as_host(client: str, line: str) -> None:
    profile = make(client, settings(outgoing=(V6,)))
    assert line in content(profile)
    assert "ip_host" in {n.id for n in profile.notes}


@pytest.mark.parametrize(
    ("client", "absent", "present"),
    [
        ("msmtp", "user ", "auth off"),
        ("nullmailer", "user=", "starttls"),
        ("git", "smtpUser", 'smtpAuth = "none"'),
        ("mutt", "smtp_pass", 'smtp_url="smtp://smtp.example.com:587/"'),
        ("postfix", "password_maps", "smtp_sasl_auth_enable = no"),
        ("exim", "driver = plaintext", "hosts_require_tls = *"),
        ("opensmtpd", "auth <secrets>", '"smtp+tls://smtp.example.com:587"'),
        ("python", "login", "starttls"),
        ("django", "EMAIL_HOST_USER", "EMAIL_HOST"),
        ("rails", "user_name", "address:"),
        ("gitlab", "smtp_user_name", "smtp_authentication'] = false"),
        ("wordpress", "Username", "SMTPAuth = false"),
        ("nodemailer", "auth:", "requireTLS"),
        ("spring", "username", "mail.smtp.auth=false"),
        ("grafana", "user =", "host ="),
        ("autodiscover", "<AuthRequired>on</AuthRequired>\n        <UsePOP", "AuthRequired>off"),
    ],
)
def test_a_relay_without_login(client: str, absent: str, present: str) -> None:
    profile = make(client, settings(credential=CredentialKind.NONE, username=""))
    assert profile.usable
    text = content(profile)
    assert absent not in text
    assert present in text
    assert not any("PUT-THE" in f.content.decode("utf-8", "replace") for f in profile.files)
