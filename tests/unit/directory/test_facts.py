"""Every provider that is known by hand: domain or MX -> host, ports, credential, user name."""

from __future__ import annotations

import re

import pytest

from posthouse import directory
from posthouse.directory import Provider, Trust, UsernameForm
from posthouse.flow import CredentialKind, Security

from .shared import path

# what identifies it | first host | ports in order | first credential | user name form
ROWS = """
gmail.com            smtp.gmail.com                465T 587S            app_password address
googlemail.com       smtp.gmail.com                465T 587S            app_password address
mx:aspmx.l.google.com smtp.gmail.com               465T 587S            oauth2       address
id:workspace-relay   smtp-relay.gmail.com          465T 587S            app_password address
outlook.com          smtp-mail.outlook.com         587S                 oauth2       address
hotmail.com          smtp-mail.outlook.com         587S                 oauth2       address
hotmail.co.uk        smtp-mail.outlook.com         587S                 oauth2       address
live.com             smtp-mail.outlook.com         587S                 oauth2       address
msn.com              smtp-mail.outlook.com         587S                 oauth2       address
onmicrosoft.com      smtp.office365.com            587S                 oauth2       address
firm.onmicrosoft.com smtp.office365.com            587S                 oauth2       address
mx:x-de.mail.protection.outlook.com smtp.office365.com 587S             oauth2       address
mx:x-de.a-v1.mx.microsoft smtp.office365.com       587S                 oauth2       address
mx:x.mail.protection.partner.outlook.cn smtp.partner.outlook.cn 587S    oauth2       address
qq.com               smtp.qq.com                   465T 587S            auth_code    address
vip.qq.com           smtp.qq.com                   465T 587S            auth_code    address
foxmail.com          smtp.qq.com                   465T 587S            auth_code    address
mx:mxbiz1.qq.com     smtp.exmail.qq.com            465T                 app_password address
163.com              smtp.163.com                  465T 994T            auth_code    address
126.com              smtp.126.com                  465T 994T            auth_code    address
yeah.net             smtp.yeah.net                 465T 994T            auth_code    address
vip.163.com          smtp.vip.163.com              465T 994T            auth_code    address
188.com              smtp.188.com                  465T 994T            auth_code    address
mx:mx.qiye.163.com   smtp.qiye.163.com             465T                 app_password address
icloud.com           smtp.mail.me.com              587S                 app_password address
me.com               smtp.mail.me.com              587S                 app_password address
mac.com              smtp.mail.me.com              587S                 app_password address
mx:mx01.mail.icloud.com smtp.mail.me.com           587S                 app_password custom
yahoo.com            smtp.mail.yahoo.com           465T 587S            app_password address
yahoo.co.uk          smtp.mail.yahoo.com           465T 587S            app_password address
yahoo.co.jp          smtp.mail.yahoo.co.jp         465T                 password     local
zoho.com             smtp.zoho.com                 465T 587S            password     address
zoho.eu              smtp.zoho.eu                  465T 587S            password     address
zoho.in              smtp.zoho.in                  465T 587S            password     address
zoho.com.au          smtp.zoho.com.au              465T 587S            password     address
zoho.jp              smtp.zoho.jp                  465T 587S            password     address
zohocloud.ca         smtp.zohocloud.ca             465T 587S            password     address
mx:mx2.zoho.eu       smtppro.zoho.eu               465T 587S            password     address
fastmail.com         smtp.fastmail.com             465T 587S            app_password address
mx:in1-smtp.messagingengine.com smtp.fastmail.com  465T 587S            app_password address
proton.me            127.0.0.1                     1025S                app_password address
mx:mail.protonmail.ch smtp.protonmail.ch           587S                 token        address
id:ses               email-smtp.us-east-1.amazonaws.com 465T 587S 2465T 2587S 25S key issued
aliyun.com           smtp.aliyun.com               465T                 auth_code    address
mx:mxn.mxhichina.com smtp.qiye.aliyun.com          465T                 app_password address
mx:mx1.qiye.aliyun.com smtp.qiye.aliyun.com        465T                 app_password address
id:aliyun-directmail smtpdm.aliyun.com             465T 80S 25S         password     issued
139.com              smtp.139.com                  465T                 auth_code    address
189.cn               smtp.189.cn                   465T                 app_password address
wo.cn                smtp.wo.cn                    465T                 password     address
sina.com             smtp.sina.com                 465T                 auth_code    address
sina.cn              smtp.sina.cn                  465T                 auth_code    address
vip.sina.com         smtp.vip.sina.com             465T                 auth_code    address
sohu.com             smtp.sohu.com                 465T                 auth_code    address
263.net              smtp.263.net                  465T                 auth_code    address
88.com               smtp.88.com                   465T                 app_password address
111.com              smtp.88.com                   465T                 app_password address
mx:mx1.feishu.cn     smtp.feishu.cn                465T                 app_password address
id:sendgrid          smtp.sendgrid.net             465T 587S 2525S 25S  key          fixed
id:mailgun           smtp.mailgun.org              465T 587S 2525S 25S  password     issued
id:postmark          smtp.postmarkapp.com          587S 2525S 25S       token        token
id:brevo             smtp-relay.brevo.com          465T 587S 2525S      key          issued
id:mailjet           in-v3.mailjet.com             465T 587S 2525S 25S  key          issued
id:sparkpost         smtp.sparkpostmail.com        587S 2525S           key          fixed
id:resend            smtp.resend.com               465T 587S 2465T 2587S 25S key     fixed
"""
FURTHER = """
exmail hwsmtp.exmail.qq.com
qiye163 smtphz.qiye.163.com
qiye163 hwhzsmtp.qiye.163.com
263 smtpcom.263xmail.com
mailgun smtp.eu.mailgun.org
sparkpost smtp.eu.sparkpostmail.com
postmark smtp-broadcasts.postmarkapp.com
aliyun-directmail smtpdm-ap-southeast-1.aliyuncs.com
aliyun-directmail smtpdm-us-east-1.aliyuncs.com
aliyun-directmail smtpdm-eu-central-1.aliyuncs.com
proton-domain 127.0.0.1
"""
MODES = {"T": Security.TLS, "S": Security.STARTTLS}


def find(key: str) -> Provider:
    kind, _, name = key.rpartition(":")
    if kind == "id":
        return directory.load(name)
    if kind == "mx":
        match = directory.by_mx(name)
        assert match is not None
        return match.provider
    provider = directory.by_domain(name)
    assert provider is not None
    return provider


@pytest.mark.parametrize("row", ROWS.strip().splitlines(), ids=lambda row: row.split()[0])
def test_provider(row: str) -> None:
    key, host, *ports, kind, form = row.split()
    provider = find(key)
    first = [s.endpoint for s in provider.offered if s.endpoint.host == host]
    assert provider.offered[0].endpoint.host == host
    assert [(e.port, e.security) for e in first] == [(int(p[:-1]), MODES[p[-1]]) for p in ports]
    assert provider.credential.kinds[0] is CredentialKind(kind)
    assert provider.username.form is UsernameForm(form)


@pytest.mark.parametrize("row", FURTHER.strip().splitlines())
def test_further_hosts_are_offered(row: str) -> None:
    provider_id, host = row.split()
    hosts = {s.endpoint.host for s in directory.load(provider_id).offered}
    assert host in hosts


def test_every_host_of_the_facts_is_known() -> None:
    """Whatever host the table of checked facts names is one this directory knows."""
    text = path("providers.md").read_text("utf-8").partition("## What today")[0]
    text = re.sub(r"MX [^)]*\)", ")", text)  # those are incoming hosts
    hosts = set(re.findall(r"\b(?:hw|hz)*smtp[a-z0-9-]*(?:\.[a-z0-9-]+)+\b", text))
    hosts -= {"smtp.zoho", "smtppro.zoho"}  # written once for all its top-level domains
    assert len(hosts) > 40
    assert {host for host in hosts if directory.by_host(host) is None} == set()


USERNAMES = [
    ("gmail", "ann@gmail.com", "ann@gmail.com"),
    ("yahoo-jp", "ann@yahoo.co.jp", "ann"),
    ("iij4u", "ann@dd.iij4u.or.jp", "ann.dd.iij4u.or.jp"),
    ("sendgrid", "ann@example.com", "apikey"),
    ("resend", "ann@example.com", "resend"),
    ("sparkpost", "ann@example.com", "SMTP_Injection"),
    ("postmark", "ann@example.com", None),
    ("ses", "ann@example.com", None),
    ("icloud-domain", "ann@example.com", None),
]


@pytest.mark.parametrize(("provider_id", "address", "username"), USERNAMES)
def test_user_name(provider_id: str, address: str, username: str | None) -> None:
    assert directory.load(provider_id).username.for_address(address) == username


def test_icloud_sources_differ_and_custom_domains_log_in_with_the_icloud_address() -> None:
    assert directory.load("icloud").username.alternatives == (UsernameForm.LOCAL,)
    note = directory.load("icloud-domain").username.note
    assert note is not None
    assert "@icloud.com" in note["zh"]


PLAIN = ["wo", "aliyun-qiye", "rediff"]


@pytest.mark.parametrize("provider_id", PLAIN)
def test_plain_text_is_told_and_never_offered(provider_id: str) -> None:
    provider = directory.load(provider_id)
    assert provider.plain_only
    assert all(s.note for s in provider.plain_only)
    assert [s for s in provider.plain_only if s in provider.offered] == []


def test_nothing_offered_anywhere_is_plain_and_port_25_is_never_first() -> None:
    for provider in map(directory.load, directory.ids()):
        assert all(s.endpoint.security is not Security.NONE for s in provider.offered), provider.id
        assert not provider.offered or provider.offered[0].endpoint.port != 25, provider.id


def test_carriers_are_kept_apart() -> None:
    """Rows 41-43: Mobile is never sent to Telecom's server, and Unicom has a real host name."""
    hosts = {d: find(d).offered[0].endpoint.host for d in ("139.com", "189.cn", "wo.cn")}
    assert hosts == {"139.com": "smtp.139.com", "189.cn": "smtp.189.cn", "wo.cn": "smtp.wo.cn"}
    assert all("10.10" not in s.endpoint.host for s in directory.load("wo").servers)


def test_providers_without_smtp_say_so() -> None:
    for domain in ("tuta.com", "hey.com"):
        provider = find(domain)
        assert not provider.servers
        assert provider.notes
        assert provider.credential.kinds == (CredentialKind.NONE,)


HOW_TO = [
    "gmail",
    "workspace",
    "outlook",
    "m365",
    "qq",
    "exmail",
    "netease-163",
    "netease-126",
    "netease-yeah",
    "netease-vip-163",
    "netease-188",
    "qiye163",
    "icloud",
    "yahoo",
    "aol",
    "zoho",
    "zoho-eu",
    "fastmail",
    "proton",
    "proton-domain",
    "ses",
    "aliyun",
    "aliyun-qiye",
    "aliyun-directmail",
    "139",
    "189",
    "wo",
    "sina",
    "sina-cn",
    "sohu",
    "263",
    "88",
    "feishu",
    "sendgrid",
    "mailgun",
    "postmark",
    "brevo",
    "mailjet",
    "sparkpost",
    "resend",
    "yandex",
    "mailru",
    "gmx",
    "gmx-com",
    "webde",
    "t-online",
    "orange",
    "naver",
    "yahoo-jp",
]


@pytest.mark.parametrize("provider_id", HOW_TO)
def test_where_to_make_the_credential(provider_id: str) -> None:
    credential = directory.load(provider_id).credential
    assert credential.url is not None
    assert credential.url.startswith("https://")
    assert credential.steps is not None
    assert len(credential.steps["en"]) == len(credential.steps["zh"]) >= 2


def test_like_takes_over_what_the_file_does_not_say() -> None:
    own, model = directory.load("netease-126"), directory.load("netease-163")
    assert own.credential.steps == model.credential.steps
    assert own.credential.url == "https://mail.126.com"
    assert own.servers != model.servers
    assert own.remedies == model.remedies


def test_ends() -> None:
    ends = {(p, e.what): e.date for p in ("gmail", "workspace", "m365") for e in find_ends(p)}
    assert ends == {
        ("gmail", "password_login"): "2022-05-30",
        ("workspace", "password_login"): "2025-05-01",
        ("m365", "basic_auth_default_off"): "2026-12",
        ("m365", "basic_auth_final_date"): "2027-H2",
    }


def find_ends(provider_id: str) -> tuple[directory.End, ...]:
    return directory.load(provider_id).ends


LIMITS = [
    ("gmail", "per_day", 500),
    ("workspace", "per_day", 2000),
    ("workspace-relay", "per_day", 10000),
    ("m365", "per_minute", 30),
]


@pytest.mark.parametrize(("provider_id", "field", "value"), LIMITS)
def test_limits(provider_id: str, field: str, value: int) -> None:
    assert getattr(directory.load(provider_id).limits, field) == value


def test_what_only_somebody_says_is_marked_so() -> None:
    """Rows marked [2] in the checked facts keep that mark."""
    marks = {
        ("yahoo", "smtp.mail.yahoo.com", 587): Trust.SECONDARY,
        ("fastmail", "smtp.fastmail.com", 465): Trust.OFFICIAL,
        ("fastmail", "smtp.fastmail.com", 587): Trust.SECONDARY,
        ("netease-163", "smtp.163.com", 994): Trust.SECONDARY,
        ("mailjet", "in-v3.mailjet.com", 465): Trust.SECONDARY,
        ("139", "smtp.139.com", 465): Trust.SECONDARY,
    }
    for (provider_id, host, port), trust in marks.items():
        endpoints = {s.endpoint: s.trust for s in directory.load(provider_id).servers}
        found = [t for e, t in endpoints.items() if (e.host, e.port) == (host, port)]
        assert found == [trust], (provider_id, port)


def test_admin_must_allow() -> None:
    assert {p for p in directory.ids() if directory.load(p).credential.admin_must_allow} >= {
        "m365",
        "exmail",
        "aliyun-qiye",
        "feishu",
    }
