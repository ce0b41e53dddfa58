"""What replies and failures mean for a recipient."""

from __future__ import annotations

from typing import Any

import pytest

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.letter import Item, Letter, Outcome, Recipient, Result, State
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp.reply import Reply, parse_reply
from posthouse.send.deliver.connect import Line
from posthouse.send.deliver.outcome import ours, outcomes, words
from posthouse.send.deliver.places import Place
from posthouse.send.deliver.transaction import Task
from posthouse.send.hop import Hop, Target

BOB, CAROL = "bob@e.example", "carol@e.example"
DELIVERED, DEFERRED, REFUSED = Result.DELIVERED, Result.DEFERRED, Result.REFUSED


class Known(Line):
    """A line that is not connected."""

    def __init__(self, *, direct: bool, lmtp: bool = False, offers: tuple[str, ...] = ()) -> None:
        self.hop = Hop("x", () if direct else (Target("mx.e.example", 25),), lmtp=lmtp)
        self.place = Place("mx.e.example", 25, direct=direct)
        self.offers = offers

    @property
    def extensions(self) -> dict[str, str]:
        return dict.fromkeys(self.offers, "")

    @property
    def peer(self) -> str:
        return "192.0.2.1"


MX, SMART = Known(direct=True), Known(direct=False)


def task(*addresses: str) -> Task:
    recipients = tuple(Recipient(address) for address in addresses or (BOB,))
    items = tuple(Item(n, "1", r, State.READY) for n, r in enumerate(recipients))
    return Task(Letter("1", "alice@d.example", recipients, b"", 0.0), items)


def reply(text: str) -> Reply:
    found = parse_reply(text)
    assert found is not None
    return found


def judged(text: str, stage: Stage = Stage.RCPT, line: Line | None = MX) -> Outcome:
    return outcomes(task(), Carried({BOB: (stage, reply(text))}), line)[0]


@pytest.mark.parametrize(
    ("text", "stage", "line", "result", "cause"),
    [
        # codes decide
        ("550 5.1.1 User unknown", Stage.RCPT, MX, REFUSED, "rcpt.unknown"),
        ("550 5.1.1 User unknown", Stage.RCPT, SMART, REFUSED, "rcpt.unknown"),
        ("450 4.2.1 Mailbox busy", Stage.RCPT, MX, DEFERRED, None),
        ("554 5.7.1 Message rejected as spam", Stage.DATA, MX, REFUSED, "msg.spam"),
        ("552 5.2.2 Mailbox full", Stage.RCPT, MX, REFUSED, "rcpt.mailbox_full"),
        ("452 4.2.2 Mailbox full", Stage.RCPT, MX, DEFERRED, "rcpt.mailbox_full"),
        ("552 5.3.4 Message size exceeds limit", Stage.MAIL, MX, REFUSED, "msg.too_big"),
        ("421 4.3.2 Shutting down", Stage.DATA, MX, DEFERRED, None),
        # RFC 5321 section 4.5.3.1.10
        ("552 Too many recipients", Stage.RCPT, MX, DEFERRED, "rate.recipients"),
        ("550 5.4.5 Daily sending limit exceeded", Stage.DATA, SMART, DEFERRED, "sender.quota"),
        # before any message: about us
        ("554 5.3.2 No SMTP service here", Stage.GREETING, MX, DEFERRED, None),
        ("550 5.7.1 Bad HELO", Stage.EHLO, MX, DEFERRED, None),
        ("535 5.7.8 Bad credentials", Stage.AUTH, None, DEFERRED, "auth.credentials"),
        ("530 5.7.0 Authentication required", Stage.MAIL, SMART, DEFERRED, "auth.required"),
        ("530 5.7.0 Must issue STARTTLS first", Stage.MAIL, MX, DEFERRED, "tls.required"),
        # our place at a smart host; at somebody's MX it is their last word
        ("554 5.7.1 Relay access denied", Stage.RCPT, SMART, DEFERRED, "relay.denied"),
        ("554 5.7.1 Relay access denied", Stage.RCPT, MX, REFUSED, "relay.denied"),
        # DNS said so for good
        ("550 5.1.2 The domain e.example does not exist", Stage.DNS, None, REFUSED, "rcpt.domain"),
        ("556 5.1.10 e.example does not accept mail", Stage.DNS, None, REFUSED, "rcpt.domain"),
        # what prepare says
        ("550 5.6.7 SMTPUTF8 is required for the header, but was not offered",
         Stage.MAIL, MX, REFUSED, "protocol.error"),
    ],
)  # fmt: skip
def test_replies(text: str, stage: Stage, line: Line, result: Result, cause: str | None) -> None:
    found = judged(text, stage, line)
    assert found.result is result
    assert found.stage is stage
    assert found.cause == (cause or found.cause)
    assert found.cause is not None
    assert found.code == int(text[:3])


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_is_tried_again_and_has_a_cause(failure: Failure) -> None:
    error = NetworkFailure(failure, Stage.CONNECT, host="mx.e.example", port=25)
    found = outcomes(task(), Carried(failure=error), None)[0]
    assert (found.result, found.code, found.host) == (DEFERRED, 0, "mx.e.example")
    assert found.cause
    assert found.text.startswith("mx.e.example:25: ")
    assert not found.text.endswith(": ")


def test_their_missing_server_is_not_our_typing_error() -> None:
    for direct, cause in ((True, "rcpt.domain"), (False, "dns.server_name")):
        detail: dict[str, Any] = {"host": "mx.e.example", "direct": direct}
        error = NetworkFailure(Failure.NAME_NOT_FOUND, Stage.DNS, **detail)
        assert outcomes(task(), Carried(failure=error), None)[0].cause == cause


def test_a_break_after_the_end_may_be_a_duplicate() -> None:
    error = NetworkFailure(Failure.RESET, Stage.ANY, host="192.0.2.1")
    found = outcomes(task(), Carried(failure=error, unsure=True), MX)[0]
    assert (found.result, found.stage, found.cause) == (DEFERRED, Stage.DATA, "conn.lost")
    assert "may arrive twice" in found.text
    assert found.host == "mx.e.example [192.0.2.1]"


def test_each_recipient_has_its_own_in_their_order() -> None:
    replies = {
        CAROL: (Stage.DATA, reply("250 2.0.0 Queued as 7")),
        BOB: (Stage.RCPT, reply("550 5.1.1 No such user")),
    }
    lost = NetworkFailure(Failure.CLOSED, Stage.ANY)
    found = outcomes(task(BOB, CAROL, "dave@e.example"), Carried(replies, lost), MX)
    assert [(one.recipient[:4], one.result) for one in found] == [
        ("bob@", REFUSED),
        ("caro", DELIVERED),
        ("dave", DEFERRED),
    ]
    assert (found[1].code, found[1].enhanced, found[1].text) == (250, "2.0.0", "Queued as 7")


@pytest.mark.parametrize(
    ("line", "action"),
    [
        (Known(direct=True), "relayed"),
        (Known(direct=True, offers=("DSN",)), ""),  # it reports itself
        (Known(direct=False, lmtp=True), "delivered"),
        (Known(direct=False, lmtp=True, offers=("DSN",)), ""),  # so does this one
    ],
)
def test_who_reports_a_success(line: Line, action: str) -> None:
    found = judged("250 2.0.0 Ok", Stage.DATA, line)
    assert (found.result, found.action, found.cause) == (DELIVERED, action, None)


def test_a_success_asks_nobody_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("explained a success")

    module = "posthouse.send.deliver.outcome"
    for name in ("explain_reply", "explain_failure", "read_wait"):
        monkeypatch.setattr(f"{module}.{name}", never)
    assert judged("250 2.0.0 Ok", Stage.DATA).result is DELIVERED


def test_the_wait_is_read_of_what_passes_alone() -> None:
    assert judged("451 4.7.1 Greylisted, see you in 300 seconds").wait == 300
    assert judged("451 4.7.1 Greylisted, see you in 300 seconds").cause == "rate.greylisted"
    assert judged("550 5.7.1 Blocked, try again in 300 seconds", line=MX).wait in (None, 300)
    assert judged("550 5.1.1 User unknown, try again in 300 seconds").wait is None


@pytest.mark.parametrize(
    ("text", "stage", "line", "alarm"),
    [
        ("535 5.7.8 Bad credentials", Stage.AUTH, None, True),
        ("554 5.7.1 Relay access denied", Stage.RCPT, SMART, True),
        ("554 5.7.1 Relay access denied", Stage.RCPT, MX, False),
        ("550 5.1.1 User unknown", Stage.RCPT, SMART, False),
        ("450 4.2.0 Greylisted", Stage.RCPT, MX, False),
    ],
)
def test_what_raises_an_alarm(text: str, stage: Stage, line: Line, alarm: bool) -> None:
    assert ours(judged(text, stage, line)) is alarm


def test_words_name_the_place_and_the_reason() -> None:
    error = NetworkFailure(Failure.CERTIFICATE, Stage.TLS, host="a.test", port=25, reason="expired")
    assert words(error) == "a.test:25: Server certificate not trusted (expired)"


def test_a_huge_reply_is_cut() -> None:
    assert len(judged("550 5.1.1 " + "x" * 50_000).text) <= 1_000
