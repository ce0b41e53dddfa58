"""What ``posthouse serve`` tells a sender of mail that could not be delivered.

A real Dovecot holds the sender's mailbox; the next hop of the others is our own server, which
refuses. The report has to be one, in both languages, with the reply and a remedy.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from canaries import PASSWORD
from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.certs import Authority
from fakes.letter import hard
from fakes.smtp import FakeSmtpServer
from peers import dovecot, process, relay
from posthouse.explain.bounce import read_bounce

pytestmark = [pytest.mark.netns, pytest.mark.peer("dovecot")]

FAR, BOXES = "127.0.0.30", "127.0.0.20"
ALICE = "alice@home.test"
NOBODY, FULL, LATE, BOB = (f"{who}@far.test" for who in ("nobody", "full", "late", "bob"))
BEHAVIOUR = Behaviour(
    replies=(
        (f"^RCPT TO:<{NOBODY}>", "550 5.1.1 <nobody>: Recipient address rejected: User unknown"),
        (f"^RCPT TO:<{FULL}>", "552 5.2.2 The mailbox is over its quota"),
        (f"^RCPT TO:<{LATE}>", "451 4.7.1 Greylisted, come back in some minutes"),
    )
)
CONFIG = f"""
[[hop]]
name = "boxes"
hosts = ["{BOXES}:24"]
security = "none"
tls = "none"
lmtp = true
[[hop]]
name = "far"
hosts = ["{FAR}:25"]
security = "none"
tls = "none"
[[route]]
name = "home"
recipient = ["@home.test"]
hop = "boxes"
[[route]]
hop = "far"
"""


@dataclass
class World:
    relay: relay.Relay
    boxes: dovecot.Dovecot
    far: FakeSmtpServer

    def new(
        self, sent: bytes, *recipients: str, sender: str = ALICE, **how: list[str]
    ) -> list[str]:
        """Hand in, wait until nothing is left; the reports that have come, whole."""
        before = len(self.boxes.messages(ALICE))
        self.relay.send(sent, sender, *recipients, **how)
        self.relay.wait_until_empty()
        return [m.decode() for m in self.boxes.messages(ALICE)[before:]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    certificate = Authority(process.new_folder("ca")).issue(hosts=("mail.test", BOXES))
    with (
        dovecot.running(BOXES, {ALICE: PASSWORD}, certificate) as boxes,
        in_background(FakeSmtpServer(BEHAVIOUR, host=FAR, port=25)) as far,
        relay.running(relay.text(CONFIG, warn="1s")) as ours,
    ):
        yield World(ours, boxes, far)


def test_one_report_in_both_languages(world: World) -> None:
    (text,) = world.new(hard("to nobody"), NOBODY, BOB, mail=["ENVID=E-1"])
    report = email.message_from_string(text, policy=email.policy.default)
    assert report["Return-Path"] == "<>"
    assert report["To"] == ALICE
    assert report["Auto-Submitted"].startswith("auto-")
    assert report.get_content_type() == "multipart/report"
    words, fields, original = report.iter_parts()
    body = words.get_content()
    english, rule, chinese = body.partition("-" * 60)
    assert rule
    for part in (english, chinese):
        assert NOBODY in part
        assert "550 5.1.1 <nobody>: Recipient address rejected: User unknown" in part
    assert "could not be delivered" in english
    assert "未能送达以下地址" in chinese
    assert "收件人的邮箱不存在" in chinese
    assert BOB not in body
    told = fields.get_payload()
    assert [block.get("Original-Envelope-Id") for block in told if "Reporting-MTA" in block] == [
        "E-1"
    ]
    (failed,) = read_bounce(text.encode()).recipients
    assert (failed.recipient, failed.status, failed.action) == (NOBODY, "5.1.1", "failed")
    assert "Subject: to nobody" in original.as_string()
    # Who was there got it, once.
    assert [r.recipient for m in world.far.messages for r in m.recipients] == [BOB]


def test_two_that_fail_together_are_told_together(world: World) -> None:
    (text,) = world.new(hard("to two"), NOBODY, FULL)
    failed = {one.recipient: one.status for one in read_bounce(text.encode()).recipients}
    assert failed == {NOBODY: "5.1.1", FULL: "5.2.2"}


def test_whoever_wants_none_gets_none(world: World) -> None:
    assert world.new(hard("never"), NOBODY, rcpt=["NOTIFY=NEVER"]) == []
    assert world.new(hard("only delays"), NOBODY, rcpt=["NOTIFY=DELAY"]) == []


def test_the_null_sender_gets_none(world: World) -> None:
    before = len(world.relay.log("bounced"))
    assert world.new(hard("a report of others"), NOBODY, sender="") == []
    assert len(world.relay.log("bounced")) == before
    assert world.relay.log("refused")[-1]["recipient"] == NOBODY


def test_a_report_that_fails_is_the_end(world: World) -> None:
    """The sender does not exist: its report is refused, and nothing comes of that."""
    before = len(world.relay.log("bounced", "failed"))
    assert world.new(hard("from nobody"), NOBODY, sender="gone@home.test") == []
    refused = [one["recipient"] for one in world.relay.log("refused")][-2:]
    assert refused == [NOBODY, "gone@home.test"]
    assert len(world.relay.log("bounced", "failed")) == before + 1


def test_success_is_told_to_whoever_asked(world: World) -> None:
    """The mailbox's server knows no DSN, so the report is ours (RFC 3461 section 5.2.2)."""
    texts = world.new(hard("to myself"), ALICE, rcpt=["NOTIFY=SUCCESS"])
    reports = [text for text in texts if "multipart/report" in text]
    (report,) = reports
    (done,) = read_bounce(report.encode()).recipients
    assert (done.recipient, done.action) == (ALICE, "delivered")


def test_a_delay_is_told_once_and_waits(world: World) -> None:
    """``warn = "1s"`` here: the first try that fails later than that is told, no later one."""
    before = len(world.boxes.messages(ALICE))
    world.relay.send(hard("put off"), ALICE, LATE)
    process.wait_until("a warning", lambda: len(world.boxes.messages(ALICE)) > before)
    world.relay.wait_for_log("deferred", len(world.relay.log("deferred")) + 1)
    world.relay.asked("queue", "delete", "--to", LATE, "--yes")
    texts = [m.decode() for m in world.boxes.messages(ALICE)[before:]]
    (one,) = read_bounce(texts[0].encode()).recipients
    assert len(texts) == 1
    assert (one.recipient, one.action, one.status) == (LATE, "delayed", "4.7.1")
