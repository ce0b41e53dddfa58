"""``posthouse explain FILE.eml``: bounces, mailboxes of them, and mail that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.explain import LANGUAGES
from unit.cli.world import World

BOUNCE = """\
From: MAILER-DAEMON@mx.d.example
To: alice@d.example
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

<bob@e.example>: host mx.e.example[192.0.2.1] said: 550 5.1.1 User unknown
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.d.example

Final-Recipient: rfc822; bob@e.example
Action: {action}
Status: {status}
Remote-MTA: dns; mx.e.example
Diagnostic-Code: smtp; {diagnostic}

--b
Content-Type: text/rfc822-headers

Message-ID: <1@d.example>
Subject: Lunch
--b--
"""
UNKNOWN = BOUNCE.format(action="failed", status="5.1.1", diagnostic="550 5.1.1 User unknown")
FULL = BOUNCE.format(action="delayed", status="4.2.2", diagnostic="452 4.2.2 Mailbox full")


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    return tmp_path / "bounce.eml"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_bounce(world: World, mail: Path, lang: str) -> None:
    mail.write_text(UNKNOWN)
    ran = world.run("explain", str(mail), lang=lang)
    assert ran.code == 1
    assert "bob@e.example" in ran.out
    assert "rcpt.unknown" in ran.out
    assert "<1@d.example>" in ran.out
    assert "Lunch" in ran.out
    assert "screen." not in ran.out


def test_a_bounce_as_json(world: World, mail: Path) -> None:
    mail.write_text(UNKNOWN)
    answer = world.run("explain", str(mail), "--json").json
    (bounce,) = answer["bounces"]
    assert bounce["recipients"][0]["explanation"]["cause"] == "rcpt.unknown"


def test_a_mailbox(world: World, mail: Path) -> None:
    mail.write_text("".join(f"From x Tue Nov 24 12:00:00 2026\n{m}\n" for m in (UNKNOWN, FULL)))
    answer = world.run("explain", str(mail), "--json").json
    assert answer["messages"] == 2
    causes = [b["recipients"][0]["explanation"]["cause"] for b in answer["bounces"]]
    assert causes == ["rcpt.unknown", "rcpt.mailbox_full"]


def test_mail_that_is_no_bounce(world: World, mail: Path) -> None:
    mail.write_text("From: bob@e.example\nTo: alice@d.example\nSubject: Lunch\n\nAt noon?\n")
    ran = world.run("explain", str(mail))
    assert ran.code == 3
    assert "No bounce" in ran.out
