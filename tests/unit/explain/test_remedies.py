"""Where providers differ, each line must lead to the right kind and to that provider's words."""

from __future__ import annotations

import pytest

from posthouse import directory, explain

M365 = "535 5.7.139 Authentication unsuccessful, "
KINDS = {
    M365 + "SmtpClientAuthentication is disabled for the Tenant.": ("tenant", "整个组织"),
    M365 + "SmtpClientAuthentication is disabled for the Mailbox.": ("mailbox", "这个邮箱"),
    M365 + "user is locked by your organization's security defaults policy": (
        "security_defaults",
        "安全默认值",
    ),
    M365 + "the request did not meet the criteria to be authenticated": (
        "conditional_access",
        "条件访问",
    ),
    M365 + "basic authentication is disabled.": ("consumer", "Outlook.com"),
    M365 + "user is locked": ("locked", "解锁"),
    "550 5.7.30 Basic authentication is not supported for Client Submission.": (
        "basic_retired",
        "OAuth2",
    ),
}
OWN = {
    "535 Login fail. Please use the authorization code. https://service.mail.qq.com": "qq",
    "535 Error: authentication failed smtp.163.com": "netease-163",
    "535 Error: authentication failed smtp.126.com": "netease-126",
    "535 Error: authentication failed smtp.yeah.net": "netease-yeah",
    "550 User has no permission smtp.163.com": "netease-163",
    "535 authentication failed smtp.sina.com": "sina",
    "535 auth failed smtp.139.com": "139",
    "534-5.7.9 Application-specific password required - gsmtp": "gmail",
    "534-5.7.14 Please log in via your web browser and try again - gsmtp": "gmail",
    "535-5.7.8 Username and Password not accepted. p=BadCredentials - gsmtp": "gmail",
    "535 5.7.0 (#AUTH005) Too many bad auth attempts.": "yahoo",
    "535 5.7.0 authentication failed p00-icloudmta-asmtp.icloud.com": "icloud",
    "535 5.7.8 This user does not have access rights to this service smtp.yandex.ru": "yandex",
    "535 Authentication Failed smtp.zoho.eu": "zoho",
    "535 5.7.0 NEOBHODIM parol prilozheniya": "mailru",
    "535 5.7.1 naver login failed smtp.naver.com": "naver",
}


@pytest.mark.parametrize("line", KINDS)
def test_kinds_of_microsofts_refusal(line: str) -> None:
    variant, words = KINDS[line]
    found = explain.explain_reply(line)
    assert (found.cause.id, found.variant) == ("auth.disabled", variant)
    assert found.provider == "m365"
    assert words in explain.remedy(found, "zh") + explain.title(found, "zh")


def test_wrong_password_at_microsoft() -> None:
    found = explain.explain_reply(M365 + "the user credentials were incorrect.")
    assert (found.cause.id, found.variant) == ("auth.credentials", None)


@pytest.mark.parametrize("line", OWN)
def test_providers_own_words(line: str) -> None:
    found = explain.explain_reply(line)
    assert found.provider == OWN[line]
    theirs = directory.load(OWN[line]).remedies
    for lang in ("en", "zh"):
        said = [words[lang] for kinds in theirs.values() for words in kinds.values()]
        assert explain.remedy(found, lang) in said


def test_a_kind_apart_has_the_general_words() -> None:
    found = explain.explain_reply("535-5.7.8 OAuth token expired - gsmtp")
    assert (found.provider, found.variant) == ("gmail", "oauth_expired")
    assert explain.remedy(found, "en") != directory.load("gmail").remedy("auth.credentials", "en")


def test_a_connection_limit_at_godaddy() -> None:
    found = explain.explain_reply("554 refused, you have too many connections. IB607")
    assert (found.cause.id, found.provider) == ("rate.limited", "godaddy")
