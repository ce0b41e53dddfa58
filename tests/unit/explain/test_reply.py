"""explain_reply: what is taken from the line, from the caller and from the provider."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse import explain
from posthouse.explain import reading
from posthouse.flow import Stage
from posthouse.protocol.smtp import Reply

APP_PASSWORD_ZH = "535 Error: 请使用授权码登录"


@pytest.mark.parametrize(
    ("line", "code", "enhanced"),
    [
        ("535 5.7.8 no", "535", "5.7.8"),
        ("535-5.7.8 no", "535", "5.7.8"),
        ("smtp; 550 5.1.1 no", "550", "5.1.1"),
        ("smtp;550 #5.1.1 no", "550", "5.1.1"),
        ("Error: Invalid login: 535 Authentication failed", "535", ""),
        ("(535, b'5.7.8 no')", "535", "5.7.8"),
        ("dsn=5.1.1, status=bounced (host mx.test[192.0.2.1] said: 550 5.1.1 no)", "550", "5.1.1"),
        ("connect to mx.test[192.0.2.5]:587: Connection refused", "", ""),
        ("port 465", "", ""),
        ("Exim 4.96 on 5.9.1.2", "", ""),
        ("", "", ""),
    ],
)
def test_codes_are_picked_out(line: str, code: str, enhanced: str) -> None:
    found = reading.read(line)
    assert (found.code, found.enhanced) == (code, enhanced)


@pytest.mark.parametrize(
    "line",
    [
        APP_PASSWORD_ZH,
        APP_PASSWORD_ZH.encode(),
        APP_PASSWORD_ZH.encode("gb18030"),
        APP_PASSWORD_ZH.encode("gb18030").decode("latin-1"),  # mojibake, as clients show it
        APP_PASSWORD_ZH.encode().decode("latin-1"),
        APP_PASSWORD_ZH.encode("gb18030").decode("utf-8", "replace"),
        "535 Error: ÇëÊ¹ÓÃÊÚÈ¨ÂëµÇÂ¼",
    ],
)
def test_garbled_chinese_is_understood(line: str | bytes) -> None:
    assert explain.explain_reply(line).cause.id == "auth.app_password"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("550 Empfänger unbekannt".encode("latin-1"), "Empfänger"),
        ("550 Boîte pleine".encode("latin-1"), "Boîte"),
        ("550 Пользователь не найден".encode("cp1251"), "Пользователь"),
        ("550 用户不存在".encode("gbk"), "用户不存在"),
        ("550 宛先が存在しません".encode(), "宛先"),
        (b"550 \xff\xfe\x00", "550"),
    ],
)
def test_bytes_are_decoded_as_what_they_look_like(raw: bytes, shown: str) -> None:
    assert shown in reading.read(raw).text


def test_french_is_not_taken_for_mojibake() -> None:
    line = "552 Boîte aux lettres pleine, réessayez plus tard"
    assert reading.read(line).text == line


def test_an_oauth_challenge_is_opened() -> None:
    found = explain.explain_reply(
        "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0="
    )
    assert (found.cause.id, found.variant) == ("auth.credentials", "oauth_expired")


def test_words_win_over_codes() -> None:
    for line, cause in [
        ("550 5.1.1 this account has exceeded its daily sending quota IB607", "sender.quota"),
        ("550 5.4.1 Recipient address rejected: Access denied", "rcpt.unknown"),
        ("554 5.7.1 Client host blocked using zen.spamhaus.org", "sender.reputation"),
        ("553 5.7.1 Sender address rejected: not logged in", "auth.required"),
    ]:
        assert explain.explain_reply(line).cause.id == cause


def test_the_words_of_an_address_say_nothing() -> None:
    found = explain.explain_reply("550 5.1.1 <spam-virus@greylist.test>: no such user")
    assert found.cause.id == "rcpt.unknown"


def test_stage_is_taken_from_the_caller_then_the_words_then_the_cause() -> None:
    line = "550 5.7.1 rejected (in reply to MAIL FROM command)"
    assert explain.explain_reply(line, stage=Stage.DATA).stage is Stage.DATA
    assert explain.explain_reply(line).stage is Stage.MAIL
    assert explain.explain_reply("552 5.2.2 mailbox full").stage is Stage.RCPT
    assert explain.explain_reply("552 5.2.2 mailbox full", stage=Stage.ANY).stage is Stage.RCPT


def test_the_stage_decides_where_words_are_bare() -> None:
    assert explain.explain_reply("550 no", stage=Stage.RCPT).cause.id == "rcpt.unknown"
    assert explain.explain_reply("550 no", stage=Stage.EHLO).cause.id == "sender.ip_identity"
    assert explain.explain_reply("550 no", stage=Stage.TLS).cause.id == "tls.failed"
    assert explain.explain_reply("550 no", stage=Stage.GREETING).cause.id == "sender.reputation"
    assert explain.explain_reply("501 no", stage=Stage.AUTH).cause.id.startswith("auth.")


@pytest.mark.parametrize(
    ("line", "provider"),
    [
        ("535-5.7.8 no https://support.google.com/mail/?p=BadCredentials x-y.1 - gsmtp", "gmail"),
        ("535 5.7.3 no [AB1.PROD.OUTLOOK.COM]", "m365"),
        ("535 no http://service.mail.qq.com/cgi-bin/help", "qq"),
        ("550 no http://mail.163.com/help/", "netease-163"),
        ("535 no, from smtp.exmail.qq.com", "exmail"),
        ("550 no", None),
    ],
)
def test_provider_is_read_from_the_line(line: str, provider: str | None) -> None:
    assert explain.explain_reply(line).provider == provider
    assert explain.explain_reply(line, provider="ses").provider == "ses"


def test_host_names_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    from posthouse import directory

    qq = directory.read("qq")
    monkeypatch.setattr(directory, "by_host", {"smtp.qq.com": qq}.get)
    monkeypatch.setattr(directory, "load", {"qq": qq}.__getitem__)
    found = explain.explain_reply("535 Login fail", host="SMTP.QQ.COM.")
    assert found.provider == "qq"
    assert found.params["host"] == "SMTP.QQ.COM."
    assert "授权码" in explain.remedy(found, "zh")
    assert explain.remedy(found, "zh") != explain.remedy(explain.explain_reply("535 x"), "zh")
    assert explain.explain_reply("550 no", host="mx.nowhere.test").provider is None


def test_an_unknown_provider_has_the_general_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from posthouse import directory

    def unknown(name: str) -> Any:
        raise KeyError(name)

    monkeypatch.setattr(directory, "load", unknown)
    found = explain.explain_reply("535 no", provider="nobody")
    assert explain.remedy(found, "en") == explain.remedy(explain.explain_reply("535 no"), "en")


@pytest.mark.parametrize(
    ("line", "context", "variant"),
    [
        ("554 5.7.1 Relay access denied", {"authenticated": False}, "not_logged_in"),
        ("554 5.7.1 Relay access denied", {"authenticated": True}, "wrong_server"),
        ("554 5.7.1 Relay access denied", {}, None),
        ("535 5.7.8 no", {"non_ascii": True}, "non_ascii"),
        ("Connection timed out", {"port": 25}, "port25"),
        ("504 5.7.4 Unrecognized authentication type", {"tls": False}, "after_tls"),
    ],
)
def test_context_tells_the_variant(line: str, context: dict[str, Any], variant: str | None) -> None:
    assert explain.explain_reply(line, context=context).variant == variant


DISABLED = "535 5.7.139 Authentication unsuccessful, "


@pytest.mark.parametrize(
    ("line", "cause", "variant"),
    [
        (DISABLED + "SmtpClientAuthentication is disabled for the Tenant.",
         "auth.disabled", "tenant"),
        (DISABLED + "SmtpClientAuthentication is disabled for the Mailbox.",
         "auth.disabled", "mailbox"),
        (DISABLED + "user is locked by your organization's security defaults policy.",
         "auth.disabled", "security_defaults"),
        (DISABLED + "the request did not meet the criteria to be authenticated successfully.",
         "auth.disabled", "conditional_access"),
        (DISABLED + "basic authentication is disabled.", "auth.disabled", "consumer"),
        (DISABLED + "the user credentials were incorrect.", "auth.credentials", None),
        ("550 5.7.30 Basic authentication is not supported for Client Submission.",
         "auth.disabled", "basic_retired"),
        ("wrong version number", "tls.failed", "plain_expected"),
        ("Greeting never received", "tls.failed", "tls_expected"),
        ("STARTTLS extension not supported by server", "tls.failed", "not_offered"),
        ("454 4.7.0 TLS not available", "tls.failed", "unavailable"),
        ("certificate has expired", "tls.certificate", "expired"),
        ("self signed certificate in certificate chain", "tls.certificate", "self_signed"),
        ("certificate is valid for a.test, not b.test: hostname mismatch",
         "tls.certificate", "wrong_name"),
        ("unable to verify the first certificate", "tls.certificate", "missing_intermediate"),
        ("550 SPF check failed", "sender.auth_failed", "spf"),
        ("550 rejected by DMARC policy", "sender.auth_failed", "dmarc"),
        ("534 5.7.14 Please log in via your web browser", "auth.app_password", "web_login"),
        ("550 5.6.7 SMTPUTF8 is required", "protocol.error", "smtputf8"),
        ("550 5.6.7 SMTPUTF8 is required for the header, but was not offered",
         "protocol.error", "smtputf8_header"),
    ],
)  # fmt: skip
def test_the_words_tell_the_variant(line: str, cause: str, variant: str | None) -> None:
    found = explain.explain_reply(line)
    assert (found.cause.id, found.variant) == (cause, variant)


def test_what_the_reply_names_fills_the_words() -> None:
    found = explain.explain_reply(
        "554 5.7.1 Client host [192.0.2.1] blocked; see https://bl.test/query/192.0.2.1."
    )
    assert found.params["ip"] == "192.0.2.1"
    assert found.params["url"] == "https://bl.test/query/192.0.2.1"
    assert "192.0.2.1" in explain.title(found, "zh")
    assert "https://bl.test/query/192.0.2.1" in explain.remedy(found, "en")
    six = explain.explain_reply("550 5.7.25 [2001:db8::1      19] has no PTR record")
    assert six.params["ip"] == "2001:db8::1"


def test_to_dict_is_plain_json_in_either_language() -> None:
    found = explain.explain_reply("550 5.1.1 no such user")
    for lang in ("en", "zh"):
        told = json.loads(json.dumps(found.to_dict(lang)))
        assert told["cause"] == "rcpt.unknown"
        assert told["who"] == ["you"]
        assert told["retry"] == "no"
        assert told["stage"] == "rcpt"
        assert told["evidence"] == ["no such user", "550", "5.1.1"]
        assert told["rule"].startswith("rcpt.unknown/")
        assert told["title"]
        assert told["remedy"]
    assert found.to_dict("en")["title"] != found.to_dict("zh")["title"]


def test_a_reply_object_is_as_good_as_its_text() -> None:
    reply = Reply.make(535, "no such\npassword", "5.7.8")
    assert explain.explain_reply(reply).cause.id == "auth.credentials"
    assert explain.explain_reply(reply).evidence[-2:] == ("535", "5.7.8")


def test_an_empty_line_is_believed_not_at_all() -> None:
    found = explain.explain_reply("")
    assert found.cause.id == "policy.other"
    assert found.confidence == 0.0
    assert found.evidence == ()


def test_clear_words_are_believed_more_than_a_bare_code() -> None:
    bare = explain.explain_reply("550 5.7.1 no").confidence
    assert explain.explain_reply("550 5.1.1 user unknown").confidence > 2 * bare


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
def test_nothing_raises(line: str | bytes) -> None:
    found = explain.explain_reply(line)
    assert 0.0 <= found.confidence <= 1.0
    json.dumps(found.to_dict("zh"))


@given(
    st.lists(
        st.sampled_from(
            ["550", "5.7.1", "eyJ", "eyJhIjoxfQ==", "535-5.7.8", "\ufffd", "\u0228", "::", "http://",
             "[1.2.3.4]", "@", "授权码", "smtp;", "\n", "user unknown", "{", "[[", "\x00"]
        ),
        max_size=30,
    ).map(" ".join)
)  # fmt: skip
def test_no_mixture_of_tricky_pieces_raises(line: str) -> None:
    for given_line in (line, line.encode("gb18030", "replace"), line.encode("utf-16")):
        json.dumps(explain.explain_reply(given_line, host="", context={"port": 25}).to_dict("en"))
