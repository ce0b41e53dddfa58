"""S30-S36: signing in, with exactly one try."""

from __future__ import annotations

import pytest

from canaries import AUTH_CODE, PASSWORD, TOKEN, UNICODE_PASSWORD
from posthouse import directory
from posthouse.flow import CredentialKind, Endpoint, Secret, Security, Status
from posthouse.setup.probe import Login, ProbeResult, to_dict
from scenarios.conftest import Scene, finding_ids, login, says, steps
from scenarios.peer import CAPABILITIES, Peer

PLAIN_CAPABILITIES = tuple(c for c in CAPABILITIES if not c.startswith("AUTH"))


def one_try(server: Peer) -> None:
    """A second try could lock the account."""
    assert server.verbs().count("AUTH") == 1


async def refused(
    scene: Scene, reply: str | bytes, host: str = "mail.test", who: Login | None = None
) -> tuple[ProbeResult, Peer]:
    """One login that gets ``reply``."""
    scene.dns.set(host, "A", ["127.0.0.1"])
    server = await scene.server(587, hosts=(host,), replies={"AUTH": reply})
    endpoint = Endpoint(host, 587, Security.STARTTLS)
    result = await scene.probe(endpoint, login=who or login())
    one_try(server)
    return result, server


async def test_login_works(scene: Scene) -> None:
    server = await scene.server(587)
    result = await scene.probe(587, login=login())
    says(result, "ok", None, "mail.test:587")
    assert result.verdict.params["variant"] == "auth"
    one_try(server)
    assert [s.name for s in result.trace.steps] == [
        "resolve", "connect", "greeting", "ehlo", "starttls", "tls", "certificate", "ehlo_tls",
        "auth", "quit",
    ]  # fmt: skip


async def test_s30_wrong_password(scene: Scene) -> None:
    result, _ = await refused(scene, "535 5.7.8 Error: authentication failed")
    says(result, "wrong_password", "auth.credentials", "mail.test", "alice@mail.test")
    assert steps(result)["auth"] is Status.FAIL


@pytest.mark.parametrize(
    ("who", "variant", "en", "zh"),
    [
        (login(password=PASSWORD + " "), "blanks", "blank", "空格"),
        (login("alice"), "local_part", "full e-mail address", "完整的邮箱地址"),
    ],
    ids=["blanks", "local part"],
)
async def test_s30_what_looks_odd_is_said(
    scene: Scene, who: Login, variant: str, en: str, zh: str
) -> None:
    result, _ = await refused(scene, "535 5.7.8 authentication failed", who=who)
    says(result, "wrong_password", "auth.credentials", "mail.test", en=(en,), zh=(zh,))
    assert result.verdict.params["variant"] == variant


async def test_row_48_the_provider_s_own_way(scene: Scene) -> None:
    """Gmail with the account's password: an app password is named, and 2-Step."""
    reply = "535 5.7.8 Username and Password not accepted. https://support.google.com/mail/"
    result, _ = await refused(scene, reply, "smtp.gmail.com", login("alice@gmail.com"))
    says(result, "wrong_password", "auth.credentials", en=("app password",), zh=("应用专用密码",))


async def test_s31_app_password_at_gmail(scene: Scene) -> None:
    reply = (
        "534 5.7.9 Application-specific password required. For more information, go to "
        "https://support.google.com/mail/?p=InvalidSecondFactor"
    )
    who = login("alice@gmail.com")
    result, _ = await refused(scene, reply, "smtp.gmail.com", who)
    says(
        result,
        "app_password",
        "auth.app_password",
        "https://",
        en=("app password",),
        zh=("授权码",),
    )
    assert result.explanation is not None
    assert result.explanation.provider == "gmail"


DEMANDS = [
    ("smtp.gmail.com", "alice@gmail.com",
     "534 5.7.9 Application-specific password required. p=InvalidSecondFactor"),
    ("smtp.mail.ru", "alice@mail.ru",
     "535 5.7.0 NEOBHODIM parol prilozheniya https://help.mail.ru/mail/security/protection/external"),
    ("smtp.mail.ru", "alice@mail.ru",
     "535 5.7.0 Application password is REQUIRED, see https://help.mail.ru/mail/security"),
    ("smtp.qq.com", "10000@qq.com",
     "535 Login Fail. Please enter your authorization code to login. More information in "
     "https://service.mail.qq.com/detail/0/53"),
    ("smtp.mail.yahoo.com", "alice@yahoo.com", "535 5.7.0 (#AUTH005) Too many bad auth attempts."),
]  # fmt: skip


@pytest.mark.parametrize(("host", "account", "reply"), DEMANDS, ids=[d[0] for d in DEMANDS])
async def test_s31_link_and_steps_are_the_provider_s(
    scene: Scene, host: str, account: str, reply: str
) -> None:
    """What to make, where, and how: the same that the settings card says."""
    result, _ = await refused(scene, reply, host, login(account, AUTH_CODE))
    provider = directory.by_host(host)
    assert provider is not None
    assert provider.credential.url is not None
    assert provider.credential.steps is not None
    says(result, "app_password", "auth.app_password", "https://")
    for lang in ("en", "zh"):
        said = to_dict(result, lang)["verdict"]
        assert provider.credential.url in said["text"] + said["remedy"]
        assert all(step in said["remedy"] for step in provider.credential.steps[lang])


async def test_s31_qq_says_it_in_gbk(scene: Scene) -> None:
    reply = b"535 " + "登录失败,请使用授权码登录。详情请看: http://service.mail.qq.com/".encode(
        "gbk"
    )
    who = login("10000@qq.com", AUTH_CODE)
    result, _ = await refused(scene, reply + b"\r\n", "smtp.qq.com", who)
    says(result, "app_password", "auth.app_password", "https://mail.qq.com", zh=("授权码",))
    assert "reply_encoding" in finding_ids(result)
    auth = result.trace.find("auth")
    assert auth is not None
    assert "授权码登录" in auth.detail["text"]


M365 = "smtp.office365.com"
AUTH_139 = "535 5.7.139 Authentication unsuccessful, "


@pytest.mark.parametrize(
    ("reply", "variant"),
    [
        (AUTH_139 + "SmtpClientAuthentication is disabled for the Tenant. "
         "Visit https://aka.ms/smtp_auth_disabled for more information.", "tenant"),
        (AUTH_139 + "SmtpClientAuthentication is disabled for the Mailbox. "
         "Visit https://aka.ms/smtp_auth_disabled for more information.", "mailbox"),
        (AUTH_139 + "user is locked by your organization's security defaults policy. "
         "Contact your administrator.", "security_defaults"),
        (AUTH_139 + "the request did not meet the criteria to be authenticated successfully. "
         "Contact your administrator.", "conditional_access"),
        (AUTH_139 + "basic authentication is disabled.", "consumer"),
    ],
    ids=["tenant", "mailbox", "security defaults", "conditional access", "consumer"],
)  # fmt: skip
async def test_s32_five_ways_to_be_switched_off(scene: Scene, reply: str, variant: str) -> None:
    who = login("alice@outlook.com" if variant == "consumer" else "alice@firma.test")
    result, _ = await refused(scene, reply, M365, who)
    says(result, "auth_disabled", "auth.disabled")
    assert result.verdict.params["variant"] == variant
    told = {"en": FIVE_REMEDIES[variant][0], "zh": FIVE_REMEDIES[variant][1]}
    for lang, words in told.items():
        remedy = to_dict(result, lang)["verdict"]["remedy"]
        assert words in remedy
        others = {w[0 if lang == "en" else 1] for v, w in FIVE_REMEDIES.items() if v != variant}
        assert not [w for w in others if w in remedy]


# What sets the five remedies apart, in both languages.
FIVE_REMEDIES = {
    "tenant": ("off for the whole organisation", "整个组织都关闭了"),
    "mailbox": ("off for this mailbox", "这个邮箱关闭了"),
    "security_defaults": ("security defaults", "安全默认值"),
    "conditional_access": ("conditional access rule refused", "条件访问策略拒绝了"),
    "consumer": ("not even an app password", "已不接受任何密码"),
}


async def test_s32_netease_has_smtp_closed(scene: Scene) -> None:
    result, _ = await refused(
        scene, "550 User has no permission", "smtp.163.com", login("alice@163.com", AUTH_CODE)
    )
    says(result, "auth_disabled", "auth.disabled", "alice@163.com", "SMTP", zh=("授权码",))


@pytest.mark.parametrize(
    ("offered", "verdict"),
    [("AUTH XOAUTH2 OAUTHBEARER", "oauth_only"), ("AUTH NTLM GSSAPI", "no_mechanism")],
)
async def test_s33_no_way_of_signing_in_in_common(scene: Scene, offered: str, verdict: str) -> None:
    server = await scene.server(587, ehlo=(*PLAIN_CAPABILITIES, offered))
    result = await scene.probe(587, login=login())
    says(result, verdict, "auth.mechanism", "mail.test", offered.split()[1])
    assert "AUTH" not in server.verbs()


async def test_s33_cram_md5_with_a_hashed_store(scene: Scene) -> None:
    """Such a store can never answer CRAM-MD5: the right password is refused as well."""
    server = await scene.server(
        587, ehlo=(*PLAIN_CAPABILITIES, "AUTH CRAM-MD5"), more={"accounts": {}}
    )
    result = await scene.probe(587, login=login())
    says(
        result,
        "wrong_password",
        "auth.credentials",
        "mail.test",
        "CRAM-MD5",
        "PLAIN",
        en=("stored as hashes",),
        zh=("密码散列",),
    )
    assert result.verdict.params["variant"] == "hashed_store"
    one_try(server)


async def test_s34_oauth_token_expired(scene: Scene) -> None:
    told = {"status": "400", "schemes": "Bearer", "scope": "https://mail.example/"}
    server = await scene.server(
        587, ehlo=(*PLAIN_CAPABILITIES, "AUTH PLAIN XOAUTH2"), more={"oauth_error": told}
    )
    who = Login("alice@mail.test", Secret(TOKEN), CredentialKind.OAUTH2)
    result = await scene.probe(587, login=who)
    says(result, "oauth_expired", "auth.credentials", "mail.test", "400", "https://mail.example/")
    one_try(server)
    assert server.credentials[-1] == b""  # the empty line that acknowledges the error


async def test_s35_account_locked(scene: Scene) -> None:
    result, _ = await refused(scene, "454 4.7.0 Too many login attempts, please try again later.")
    says(
        result,
        "locked",
        "auth.temporary",
        "mail.test",
        "15",
        "60",
        en=("Stop trying",),
        zh=("停止尝试",),
    )


async def test_s36_password_beyond_ascii(scene: Scene) -> None:
    result, server = await refused(
        scene, "535 5.7.8 authentication failed", who=login(password=UNICODE_PASSWORD)
    )
    says(result, "password_encoding", "auth.credentials", "mail.test", "UTF-8", "Latin-1")
    assert "password_non_ascii" in finding_ids(result)
    assert server.credentials[0].endswith(UNICODE_PASSWORD.encode())


@pytest.mark.parametrize(
    ("username", "variant"),
    [("alice%40mail.test", "percent_at"), (f"alice@mail.test:{PASSWORD}", "colon")],
    ids=["percent", "colon"],
)
async def test_s36_pasted_wrong(scene: Scene, username: str, variant: str) -> None:
    result, _ = await refused(scene, "535 5.7.8 authentication failed", who=login(username))
    essential = "%40" if variant == "percent_at" else "mail.test"
    colon = variant == "colon"
    says(
        result,
        "wrong_password",
        "auth.credentials",
        "mail.test",
        essential,
        en=("colon" if colon else "real @",),
        zh=("冒号" if colon else "真正的 @",),
    )
    assert result.verdict.params["variant"] == variant


async def test_row_47_an_account_of_another_provider(scene: Scene) -> None:
    """Warned before AUTH."""
    shown: list[str] = []
    scene.dns.set("smtp.gmail.com", "A", ["127.0.0.1"])
    await scene.server(
        587, hosts=("smtp.gmail.com",), replies={"AUTH": "535 5.7.8 Username not accepted"}
    )
    await scene.probe(
        Endpoint("smtp.gmail.com", 587, Security.STARTTLS),
        login=login("user@outlook.com"),
        observer=lambda item: shown.append(getattr(item, "name", "")),
    )
    assert shown.index("pairing") < shown.index("auth")
