"""S41-S45: the recipient."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from posthouse.flow import Status
from posthouse.net.clock import FakeClock
from posthouse.setup.probe import Envelope, Options, TestMessage, finding_text
from scenarios.conftest import Scene, finding_ids, login, says, steps
from scenarios.peer import CAPABILITIES


def to(*recipients: str) -> Envelope:
    return Envelope("alice@mail.test", recipients)


@pytest.mark.parametrize(
    ("reply", "verdict", "cause"),
    [
        ("550 5.1.1 <bob@else.test>: Recipient address rejected: User unknown",
         "unknown_user", "rcpt.unknown"),
        ("501 5.1.3 Bad recipient address syntax", "unknown_user", "rcpt.syntax"),
        ("550 5.2.1 The email account that you tried to reach is disabled",
         "recipient_closed", "rcpt.disabled"),
        ("452 4.2.2 The email account that you tried to reach is over quota, mailbox full",
         "recipient_closed", "rcpt.mailbox_full"),
    ],
    ids=["unknown", "syntax", "disabled", "full"],
)  # fmt: skip
async def test_s41_the_mailbox(scene: Scene, reply: str, verdict: str, cause: str) -> None:
    await scene.server(587, replies={"RCPT": reply})
    result = await scene.probe(587, login=login(), envelope=to("bob@else.test"))
    says(result, verdict, cause, "bob@else.test")


async def test_s41_typo_in_the_domain(scene: Scene) -> None:
    await scene.server(587, replies={"RCPT": "550 5.1.1 User unknown in virtual mailbox table"})
    result = await scene.probe(587, login=login(), envelope=to("bob@gmial.com"))
    says(result, "unknown_user", "rcpt.unknown", "bob@gmial.com", "bob@gmail.com")


@pytest.mark.parametrize(
    ("recipient", "remark", "en", "zh"),
    [
        ("info@else.test", "recipient_role", "address of a task", "岗位邮箱"),
        ("bob@mailinator.com", "recipient_disposable", "throw-away", "一次性邮箱"),
        ("bob@else.test", None, "", ""),
    ],
)
async def test_s41_what_kind_of_address(
    scene: Scene, recipient: str, remark: str | None, en: str, zh: str
) -> None:
    await scene.server(587, replies={"RCPT": "550 5.1.1 User unknown"})
    result = await scene.probe(587, login=login(), envelope=to(recipient))
    says(result, "unknown_user", "rcpt.unknown", recipient)
    found = [f for f in result.findings if f.id.startswith("recipient_")]
    assert [f.id for f in found] == ([remark] if remark else [])
    for finding in found:
        assert en in finding_text(finding, "en")
        assert zh in finding_text(finding, "zh")


DENIED = "554 5.7.1 <bob@else.test>: Relay access denied"


async def test_s42_not_signed_in(scene: Scene) -> None:
    await scene.server(587, replies={"RCPT": DENIED})
    result = await scene.probe(587, envelope=to("bob@else.test"))
    says(
        result,
        "relay_denied",
        "relay.denied",
        "mail.test",
        "bob@else.test",
        en=("did not sign in",),
        zh=("没有登录",),
    )


async def test_s42_signed_in_at_the_wrong_server(scene: Scene) -> None:
    await scene.server(587, replies={"RCPT": DENIED})
    result = await scene.probe(587, login=login(), envelope=to("bob@else.test"))
    says(
        result,
        "relay_denied",
        "relay.denied",
        "bob@else.test",
        en=("wrong server",),
        zh=("服务器不对",),
    )


async def test_s42_no_login_to_be_had(scene: Scene) -> None:
    await scene.server(587, ehlo=("SIZE 1000000",), replies={"RCPT": DENIED})
    result = await scene.probe(587, envelope=to("bob@else.test"))
    says(result, "relay_denied", "relay.denied", "bob@else.test")
    assert result.verdict.params["variant"] == "no_login_here"


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.1 Relaying denied; POP before SMTP authentication is required",
        "553 sorry, you must check for new mail first before sending (relay not permitted)",
    ],
)
async def test_s42_mail_is_to_be_fetched_first(scene: Scene, reply: str) -> None:
    await scene.server(587, ehlo=("SIZE 1000000",), replies={"RCPT": reply})
    result = await scene.probe(587, envelope=to("bob@else.test"))
    says(
        result,
        "relay_denied",
        "relay.denied",
        "bob@else.test",
        "POP before SMTP",
        en=("Fetch your mail",),
        zh=("先收一次邮件",),
    )


GREY = "450 4.2.0 <bob@else.test>: Recipient address rejected: Greylisted, try again in 5 minutes"


async def test_s43_greylisted(scene: Scene) -> None:
    await scene.server(587, replies={"RCPT": GREY})
    result = await scene.probe(587, login=login(), envelope=to("bob@else.test"))
    says(
        result,
        "greylisted",
        "rate.greylisted",
        "mail.test",
        en=("Nothing is wrong", "5 min"),
        zh=("一切正常", "5 分钟"),
    )
    assert result.verdict.status is Status.WARN


async def test_s43_a_real_second_try(scene: Scene) -> None:
    clock = FakeClock(datetime.now(UTC))
    scene.clock = clock
    server = await scene.server(587, replies={"RCPT": (GREY, "250 2.1.5 Ok")})
    result = await scene.probe(
        587, login=login(), envelope=to("bob@else.test"), options=Options(patience=600)
    )
    says(result, "greylisted", "rate.greylisted", en=("5 min",), zh=("5 分钟",))
    assert result.verdict.status is Status.OK
    assert clock.slept == [300]
    assert server.connections == 2
    assert steps(result)["wait"] is Status.OK


async def test_s43_patience_has_an_end(scene: Scene) -> None:
    clock = FakeClock(datetime.now(UTC))
    scene.clock = clock
    await scene.server(587, replies={"RCPT": GREY})
    result = await scene.probe(
        587, login=login(), envelope=to("bob@else.test"), options=Options(patience=700)
    )
    says(result, "greylisted", "rate.greylisted", en=("10 min",), zh=("10 分钟",))
    assert clock.slept == [300, 300]


async def test_s44_too_many_recipients_are_split(scene: Scene) -> None:
    full = "452 4.5.3 Error: too many recipients"
    ok = "250 2.1.5 Ok"
    server = await scene.server(587, replies={"RCPT": (ok, ok, full, ok, ok, full, ok)})
    five = to(*(f"user{n}@else.test" for n in range(5)))
    result = await scene.probe(587, login=login(), envelope=five, message=TestMessage())
    says(result, "too_many_recipients", "rate.recipients", "5", "2", "3")
    assert result.verdict.status is Status.WARN
    assert result.delivery.batches == (2, 2, 1)
    assert len(server.messages) == 3
    assert len(set(server.messages)) == 1  # one message, one Message-ID
    assert "recipients_split" in finding_ids(result)


async def test_s44_not_even_one(scene: Scene) -> None:
    await scene.server(587, replies={"RCPT": "452 4.5.3 Error: too many recipients"})
    result = await scene.probe(587, login=login(), envelope=to("a@else.test", "b@else.test"))
    says(result, "too_many_recipients", "rate.recipients", "2")
    assert result.verdict.status is Status.FAIL


async def test_s45_recipient_domain_is_a_typo(scene: Scene) -> None:
    reply = "450 4.1.2 <bob@gmal.com>: Recipient address rejected: Domain not found"
    await scene.server(587, replies={"RCPT": reply})
    result = await scene.probe(587, login=login(), envelope=to("bob@gmal.com"))
    says(result, "rcpt_domain", "rcpt.domain", "gmal.com", "gmail.com")


async def test_s45_null_mx(scene: Scene) -> None:
    scene.dns.set("nomail.test", "MX", ["0 ."])
    reply = (
        "556 5.1.10 Recipient address rejected: Domain nomail.test does not accept mail (nullMX)"
    )
    await scene.server(587, replies={"RCPT": reply})
    result = await scene.probe(587, login=login(), envelope=to("bob@nomail.test"))
    says(result, "rcpt_domain", "rcpt.domain", "nomail.test", "null MX")


async def test_row_146_open_relay(scene: Scene) -> None:
    """Open relay, no TLS, no PTR; weak TLS is S27's. Nothing is ever sent."""
    from posthouse.flow import Security

    server = await scene.server(25, starttls="", ehlo=CAPABILITIES)
    result = await scene.probe(
        25,
        Security.NONE,
        envelope=Envelope("a@strange.test", ("b@foreign.test",)),
        options=Options(open_relay=True, thorough=True),
    )
    assert {"open_relay", "no_tls", "no_ptr", "relay_port"} <= finding_ids(result)
    assert server.verbs()[-4:] == ["MAIL", "RCPT", "RSET", "QUIT"]
    assert server.messages == []


async def test_row_146_closed_relay(scene: Scene) -> None:
    await scene.server(25, replies={"RCPT": DENIED})
    result = await scene.probe(
        25, envelope=Envelope("a@s.test", ("b@f.test",)), options=Options(open_relay=True)
    )
    assert "relay_closed" in finding_ids(result)
    says(result, "ok", None)
