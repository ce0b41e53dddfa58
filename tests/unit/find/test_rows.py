"""The capability rows that find serves, one table each (rows 1-9, 13, 18, 19, 29-36, 41-43, 47, 48,
90, 128-131), and the built-in directory as find shows it."""

from __future__ import annotations

import json
import plistlib
from pathlib import Path
from typing import Any

import pytest

from posthouse.flow import CredentialKind, Status
from posthouse.setup.find import (
    FindResult,
    Net,
    ProfileError,
    ProviderError,
    find_provider,
    to_dict,
)

from .doubles import LoopClock, World, autoconfig, ids, run, where

ADDRESS = "alice@d.example"
MX = ("d.example", "MX")


def by_mx(row: str) -> FindResult:
    return World({MX: [row]}).find(ADDRESS)


def builtin(address: str) -> FindResult:
    return World().find(address, offline=True)


def of_provider(provider: str, **options: Any) -> FindResult:
    world = World()
    return run(find_provider(provider, Net(world.resolver, world.http, LoopClock()), **options))


# Rows 4-6, 18, 29-32, 36, 41-43: address -> servers in order, credential, user name.
KNOWN = [
    ("a@gmail.com", "smtp.gmail.com", [(465, "tls"), (587, "starttls")], "app_password"),
    ("a@googlemail.com", "smtp.gmail.com", [(465, "tls"), (587, "starttls")], "app_password"),
    ("a@qq.com", "smtp.qq.com", [(465, "tls"), (587, "starttls")], "auth_code"),
    ("a@foxmail.com", "smtp.qq.com", [(465, "tls"), (587, "starttls")], "auth_code"),
    ("a@163.com", "smtp.163.com", [(465, "tls"), (994, "tls")], "auth_code"),
    ("a@outlook.com", "smtp-mail.outlook.com", [(587, "starttls")], "oauth2"),
    ("a@hotmail.com", "smtp-mail.outlook.com", [(587, "starttls")], "oauth2"),
    ("a@live.com", "smtp-mail.outlook.com", [(587, "starttls")], "oauth2"),
    ("a@firm.onmicrosoft.com", "smtp.office365.com", [(587, "starttls")], "oauth2"),
    ("a@aliyun.com", "smtp.aliyun.com", [(465, "tls")], None),
    ("a@139.com", "smtp.139.com", [(465, "tls")], "auth_code"),
    ("a@189.cn", "smtp.189.cn", [(465, "tls")], None),
    ("a@wo.cn", "smtp.wo.cn", [(465, "tls")], None),
]


@pytest.mark.parametrize(("address", "host", "ports", "credential"), KNOWN)
def test_known_domains(
    address: str, host: str, ports: list[tuple[int, str]], credential: str | None
) -> None:
    result = builtin(address)
    assert {c.endpoint.host for c in result.candidates} == {host}
    assert [(c.endpoint.port, c.endpoint.security.value) for c in result.candidates] == ports
    assert result.best is not None
    assert credential in (None, result.best.credential.value)
    assert result.best.username == address


def test_yahoo_japan_wants_the_local_part() -> None:
    best = builtin("taro@yahoo.co.jp").best
    assert best is not None
    assert (best.endpoint.host, best.username) == ("smtp.mail.yahoo.co.jp", "taro")


# Row 32, 34, 36, 90: companies' own domains, by MX.
TENANTS = [
    ("5 mxbiz1.qq.com.", "smtp.exmail.qq.com:465 tls"),
    ("5 qiye163mx01.mxmail.netease.com.", "smtp.qiye.163.com:465 tls"),
    ("5 mxn.mxhichina.com.", "smtp.qiye.aliyun.com:465 tls"),
    ("0 d-example.mail.protection.outlook.com.", "smtp.office365.com:587 starttls"),
    ("1 aspmx.l.google.com.", "smtp.gmail.com:465 tls"),
]


@pytest.mark.parametrize(("row", "first"), TENANTS)
def test_tenants(row: str, first: str) -> None:
    result = by_mx(row)
    assert where(result)[0] == first
    assert "smtp.qq.com" not in {c.endpoint.host for c in result.candidates}


def test_row_90_exchange_needs_no_smtp() -> None:
    result = by_mx("0 d-example.mail.protection.outlook.com.")
    assert "exchange_account" in ids(result)
    assert "exchange_account" not in ids(by_mx("1 aspmx.l.google.com."))


# Rows 5, 33, 48: what to make instead of the password.
@pytest.mark.parametrize(
    ("address", "finding"),
    [
        ("a@gmail.com", "credential.app_password"),
        ("a@qq.com", "credential.auth_code"),
        ("a@163.com", "credential.auth_code"),
        ("a@outlook.com", "credential.oauth2"),
        ("a@firm.onmicrosoft.com", "credential.oauth2"),
    ],
)
def test_the_credential_is_said(address: str, finding: str) -> None:
    assert finding in ids(builtin(address))


def test_qq_in_chinese_names_the_code_and_where_to_make_it() -> None:
    credential = to_dict(builtin("alice@qq.com"), "zh")["candidates"][0]["credential"]
    assert credential["kind"] == "auth_code"
    assert "mail.qq.com" in credential["url"]
    assert any("授权码" in step for step in credential["steps"])


# Rows 35, 131: SES by region.
def test_ses_regions() -> None:
    from posthouse.directory import ses

    assert len(ses.REGIONS) >= 19
    for region in ses.REGIONS:
        result = of_provider("ses", region=region)
        host = f"email-smtp.{region}.amazonaws.com"
        ports = [(c.endpoint.port, c.endpoint.security.value) for c in result.candidates]
        assert {c.endpoint.host for c in result.candidates} == {host}
        assert ports == [(465, "tls"), (587, "starttls"), (2465, "tls"), (2587, "starttls")]
        assert result.best is not None
        assert result.best.credential is CredentialKind.KEY


@pytest.mark.parametrize(
    ("provider", "region", "finding", "suggestion"),
    [
        ("ses", "eu-centrl-1", "region_unknown", "eu-central-1"),
        ("sendgird", None, "provider_unknown", "sendgrid"),
        ("../x", None, "provider_unknown", ""),
        ("sendgrid", "eu", "region_unknown", ""),
    ],
)
def test_unknown_providers_and_regions(
    provider: str, region: str | None, finding: str, suggestion: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        of_provider(provider, region=region)
    assert caught.value.finding.id == finding
    assert caught.value.finding.params["suggestion"] == suggestion


def test_a_region_is_asked_for() -> None:
    assert "choose_region" in ids(of_provider("ses"))
    assert "choose_region" not in ids(of_provider("sendgrid"))


@pytest.mark.parametrize(
    ("provider", "username"),
    [("sendgrid", "apikey"), ("resend", "resend"), ("sparkpost", "SMTP_Injection"), ("ses", "")],
)
def test_fixed_user_names(provider: str, username: str) -> None:
    for address in ("", ADDRESS):
        best = of_provider(provider, address=address).best
        assert best is not None
        assert best.username == username


def test_services_want_a_key() -> None:
    assert "credential.key" in ids(of_provider("sendgrid"))
    assert "username_issued" in ids(of_provider("ses"))


@pytest.mark.parametrize(
    ("provider", "hosts"),
    [
        ("aliyun", {"smtp.aliyun.com"}),
        ("aliyun-qiye", {"smtp.qiye.aliyun.com"}),
    ],
)
def test_three_aliyun_products(provider: str, hosts: set[str]) -> None:
    assert {c.endpoint.host for c in of_provider(provider).candidates} == hosts
    direct = {c.endpoint.host for c in of_provider("aliyun-directmail").candidates}
    assert "smtpdm.aliyun.com" in direct
    assert not direct & hosts


# Row 9: the organisation's own file.
PROFILE = {
    "schema": 1,
    "name": "QQ 公司",
    "domains": ["qq.com"],
    "outgoing": [{"host": "smtp.corp.example", "port": 465, "security": "tls"}],
}


def with_profile(tmp_path: Path, content: bytes, address: str = "alice@qq.com") -> FindResult:
    file = tmp_path / "mail.settings"
    file.write_bytes(content)
    return World().find(address, profile_file=file, offline=True)


def test_the_profile_beats_the_table(tmp_path: Path) -> None:
    result = with_profile(tmp_path, json.dumps(PROFILE).encode())
    assert where(result)[0] == "smtp.corp.example:465 tls"
    assert result.best is not None
    assert result.best.trust.value == "organisation"
    assert [c.field for c in result.conflicts] == ["host"]


def test_the_profile_as_autoconfig_or_mobileconfig(tmp_path: Path) -> None:
    result = with_profile(tmp_path, autoconfig("smtp.corp.example"))
    assert where(result)[0] == "smtp.corp.example:465 tls"
    payload = {
        "PayloadType": "com.apple.mail.managed",
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAddress": "alice@qq.com",
        "IncomingMailServerHostName": "imap.corp.example",
        "OutgoingMailServerHostName": "smtp.corp.example",
        "OutgoingMailServerPortNumber": 465,
        "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": "alice",
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
    }
    content = plistlib.dumps({"PayloadType": "Configuration", "PayloadContent": [payload]})
    result = with_profile(tmp_path, content)
    assert where(result)[0] == "smtp.corp.example:465 tls"
    assert result.best is not None
    assert result.best.username == "alice"


def test_a_wrong_profile_is_an_error_with_its_line(tmp_path: Path) -> None:
    text = (
        '{"schema": 1,\n "outgoing": [\n  {"host": "h.example", "port": 70000, "security": "tls"}]}'
    )
    with pytest.raises(ProfileError) as caught:
        with_profile(tmp_path, text.encode())
    finding = caught.value.finding
    assert (finding.id, finding.status) == ("profile_unusable", Status.FAIL)
    assert (finding.params["reason"], finding.params["line"]) == ("bad_port", 3)


def test_a_missing_or_huge_profile(tmp_path: Path) -> None:
    with pytest.raises(ProfileError):
        World().find("a@qq.com", profile_file=tmp_path / "none", offline=True)
    with pytest.raises(ProfileError):
        with_profile(tmp_path, b"{" + b" " * 10_000_000)


def test_a_profile_for_others_is_not_used(tmp_path: Path) -> None:
    result = with_profile(tmp_path, json.dumps(PROFILE).encode(), "alice@163.com")
    assert where(result)[0] == "smtp.163.com:465 tls"
    assert "profile_other_domain" in ids(result)


# Row 1 and 128: what the domain publishes beats the names one would guess.
def test_row_1_submissions_beats_submission() -> None:
    dns = {
        MX: ["5 mx.d.example."],
        ("_submission._tcp.d.example", "SRV"): ["0 1 587 b.d.example."],
        ("_submissions._tcp.d.example", "SRV"): ["9 1 465 a.d.example."],
        ("smtp.d.example", "A"): ["192.0.2.1"],
    }
    result = World(dns).find(ADDRESS)
    assert where(result) == ["a.d.example:465 tls", "b.d.example:587 starttls"]
    assert all(c.evidence[0].where for c in result.candidates)


# Row 3: one name may serve both ways.
def test_row_3_one_host_for_both_is_fine() -> None:
    dns = {
        MX: ["5 mail.d.example."],
        ("_submissions._tcp.d.example", "SRV"): ["0 1 465 mail.d.example."],
    }
    assert ids(World(dns).find(ADDRESS)) == []


# Row 7: a provider known only in plain text is never shown as good.
def test_plain_only_providers_are_never_offered() -> None:
    from posthouse import directory

    known = [p for p in map(directory.load, directory.ids()) if p.servers and not p.offered]
    plain = [p for p in known if p.domains]
    for provider in plain:
        domain = next((d for d in provider.domains if "*" not in d), None)
        if domain is None:
            continue
        result = builtin(f"alice@{domain}")
        assert result.candidates == ()
        assert "plain_only" in ids(result), provider.id


def test_a_provider_without_smtp_is_said_at_once() -> None:
    result = builtin("alice@hey.com")
    assert (ids(result), result.candidates, result.outcome.value) == (["no_smtp"], (), "nothing")


def test_no_domain_of_the_directory_gets_port_25_or_plain_text() -> None:
    from posthouse import directory

    for provider in map(directory.load, directory.ids()):
        for domain in provider.domains[:1]:
            for candidate in builtin(f"alice@{domain.replace('*', 'x')}").candidates:
                assert candidate.endpoint.security.value != "none"
                others = [s for s in provider.offered if s.endpoint.port != 25]
                assert candidate.endpoint.port != 25 or not others
