"""Our reports, read by programs that others wrote: Python's email, flufl.bounce, JavaMail, Ruby.

Each of them takes a message/delivery-status apart in its own way; what they find has to be what we
meant. flufl.bounce is what Mailman asks who has bounced; JavaMail and Ruby's mail are what
applications read their bounces with. Mail servers write such reports and do not read them.
"""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from peers import process
from posthouse.flow import Stage
from posthouse.letter import Item, Letter, Outcome, Recipient, Result, State
from posthouse.protocol.smtp.data import unstuff
from posthouse.send.deliver.bounce import Bounces

pytestmark = pytest.mark.netns

ACCEPTED = 1_760_000_000.0  # Thu, 09 Oct 2025 08:53:20 +0000
MESSAGE = (
    b"From: Alice <alice@d.example>\r\nTo: bob@e.example\r\nSubject: Dinner\r\n"
    b"Message-ID: <dinner@d.example>\r\n\r\nShall we?\r\n"
)
BOB, CHINESE = "bob@e.example", "用户@例子.example"
UNKNOWN = Outcome(
    BOB, Result.REFUSED, 550, "5.1.1", "User unknown", "mx.e.example [192.0.2.1]", Stage.RCPT,
    "rcpt.unknown",
)  # fmt: skip
LATER = Outcome(
    BOB, Result.DEFERRED, text="mx.e.example:25: Connection timed out", host="mx.e.example",
    stage=Stage.CONNECT, cause="conn.timeout",
)  # fmt: skip
GOOD = Outcome(BOB, Result.DELIVERED, 250, "2.0.0", "Ok", "mx.e.example", Stage.DATA)

# What a report has to say: fields of the message, then of each recipient.
WE = {
    "Reporting-MTA": "dns; relay.d.example",
    "Arrival-Date": "Thu, 09 Oct 2025 08:53:20 +0000",
    "X-Posthouse-Queue-Id": "42",
}
SOON, LATE = "Thu, 09 Oct 2025 09:53:20 +0000", "Tue, 14 Oct 2025 08:53:20 +0000"
FAILED = {
    "Final-Recipient": "rfc822; bob@e.example",
    "Action": "failed",
    "Status": "5.1.1",
    "Remote-MTA": "dns; mx.e.example",
    "Diagnostic-Code": "smtp; 550 5.1.1 User unknown",
    "Last-Attempt-Date": SOON,
    "X-Posthouse-Cause": "rcpt.unknown",
}
TIMED_OUT = {
    "Final-Recipient": "rfc822; bob@e.example",
    "Action": "delayed",
    "Status": "4.4.1",
    "Remote-MTA": "dns; mx.e.example",
    "Diagnostic-Code": "x-posthouse; mx.e.example:25: Connection timed out",
    "Last-Attempt-Date": SOON,
    "Will-Retry-Until": LATE,
    "X-Posthouse-Cause": "conn.timeout",
}
GIVEN_UP = {
    **{name: value for name, value in TIMED_OUT.items() if name != "Will-Retry-Until"},
    "Action": "failed",
    "Status": "4.4.7",
    "Last-Attempt-Date": LATE,
}
DELIVERED = {
    "Final-Recipient": "rfc822; bob@e.example",
    "Action": "delivered",
    "Status": "2.0.0",
    "Remote-MTA": "dns; mx.e.example",
    "Diagnostic-Code": "smtp; 250 2.0.0 Ok",
    "Last-Attempt-Date": SOON,
}
LONG = " ".join(["mailbox"] * 80)


class Case(NamedTuple):
    """A report, and what is to be found in it."""

    kind: str
    told: Sequence[tuple[Item, Outcome]]
    groups: Sequence[Mapping[str, str]]
    langs: Sequence[str] = ("en", "zh")
    hours: float = 1.0
    sender: str = "alice@d.example"
    params: Mapping[str, str] = {}
    permanent: frozenset[bytes] = frozenset()  # as flufl.bounce says it
    temporary: frozenset[bytes] = frozenset()


def to(address: str = BOB, **params: str) -> Item:
    return Item(1, "42", Recipient(address, params), State.READY)


IT = frozenset({b"bob@e.example"})
CASES = {
    "failed": Case("failed", [(to(), UNKNOWN)], [WE, FAILED], permanent=IT),
    "failed_en": Case("failed", [(to(), UNKNOWN)], [WE, FAILED], ("en",), permanent=IT),
    "failed_zh": Case("failed", [(to(), UNKNOWN)], [WE, FAILED], ("zh",), permanent=IT),
    "given_up": Case("failed", [(to(), LATER)], [WE, GIVEN_UP], hours=120.0, permanent=IT),
    "delayed": Case("delayed", [(to(), LATER)], [WE, TIMED_OUT], temporary=IT),
    "delayed_zh": Case("delayed", [(to(), LATER)], [WE, TIMED_OUT], ("zh",), temporary=IT),
    "delivered": Case(
        "delivered", [(to(NOTIFY="SUCCESS"), GOOD._replace(action="delivered"))], [WE, DELIVERED]
    ),
    "relayed": Case(
        "delivered",
        [(to(NOTIFY="SUCCESS"), GOOD._replace(action="relayed"))],
        [WE, {**DELIVERED, "Action": "relayed"}],
    ),
    "asked_by_dsn": Case(
        "failed",
        [(to(ORCPT="rfc822;Bob+2Bx@d.example"), UNKNOWN)],
        [
            {"Original-Envelope-Id": "id+7", **WE},
            {"Original-Recipient": "rfc822; Bob+x@d.example", **FAILED},
        ],
        params={"ENVID": "id+2B7", "RET": "FULL"},
        permanent=frozenset({b"Bob+x@d.example"}),
    ),
    "several": Case(
        "failed",
        [(to(), UNKNOWN), (to("carol@f.example"), UNKNOWN), (to("dora@g.example"), LATER)],
        [
            WE,
            {**FAILED, "Last-Attempt-Date": LATE},
            {
                **FAILED,
                "Final-Recipient": "rfc822; carol@f.example",
                "Last-Attempt-Date": LATE,
            },
            {**GIVEN_UP, "Final-Recipient": "rfc822; dora@g.example"},
        ],
        hours=120.0,
        permanent=frozenset({b"bob@e.example", b"carol@f.example", b"dora@g.example"}),
    ),
    "long": Case(
        "failed",
        [(to(), UNKNOWN._replace(text=LONG))],
        [WE, {**FAILED, "Diagnostic-Code": f"smtp; 550 5.1.1 {LONG}"}],
        permanent=IT,
    ),
    "chinese_server": Case(
        "failed",
        [(to(), UNKNOWN._replace(text="邮箱不存在"))],
        [WE, {**FAILED, "Diagnostic-Code": "smtp; 550 5.1.1 =?utf-8?b?6YKu566x5LiN5a2Y5Zyo?="}],
        permanent=IT,
    ),
    "quoted": Case(
        "failed",
        [(to('"bob  b"@e.example', ORCPT='rfc822;"bob+20+20b"@d.example'), UNKNOWN)],
        [
            WE,
            {
                "Original-Recipient": 'rfc822; "bob  b"@d.example',
                **FAILED,
                "Final-Recipient": 'rfc822; "bob  b"@e.example',
            },
        ],
        permanent=frozenset({b'"bob  b"@d.example'}),
    ),
    # RFC 6533 section 3. flufl.bounce knows addresses of the type rfc822 alone.
    "smtputf8": Case(
        "failed",
        [(to(CHINESE, ORCPT="utf-8;\\x{7528}\\x{6237}@d.example"), UNKNOWN)],
        [
            WE,
            {
                "Original-Recipient": "utf-8; \\x{7528}\\x{6237}@d.example",
                **FAILED,
                "Final-Recipient": "utf-8; \\x{7528}\\x{6237}@\\x{4F8B}\\x{5B50}.example",
            },
        ],
        sender="爱丽丝@d.example",
    ),
}


def written(case: Case) -> bytes:
    ids = count(70)
    bounces = Bounces("relay.d.example", lambda: str(next(ids)), langs=case.langs)
    of = Letter(
        *("42", case.sender, (), MESSAGE, ACCEPTED, case.params), message_id="<dinner@d.example>"
    )
    report = bounces(of, case.told, case.kind, ACCEPTED + case.hours * 3_600)
    assert report is not None
    return unstuff(report.content)


@pytest.fixture(scope="module")
def files() -> dict[str, Path]:
    folder = process.new_folder("reports")
    found = {name: folder / f"{name}.eml" for name in CASES}
    for name, path in found.items():
        path.write_bytes(written(CASES[name]))
    return found


def subject(case: Case) -> str:
    words = {
        ("failed", "en"): "Not delivered: ", ("failed", "zh"): "邮件未送达：",
        ("delayed", "en"): "Delayed: ", ("delayed", "zh"): "邮件延迟：",
        ("delivered", "en"): "Delivered: ", ("delivered", "zh"): "邮件已送达：",
        ("relayed", "en"): "Handed over: ", ("relayed", "zh"): "邮件已转交：",
    }  # fmt: skip
    more = {"en": " and 2 more", "zh": " 及另外 2 个收件人"} if len(case.told) > 1 else {}
    item, outcome = case.told[0]
    kind, address = outcome.action or case.kind, item.recipient.address
    return " / ".join(f"{words[kind, lang]}{address}{more.get(lang, '')}" for lang in case.langs)


@pytest.mark.parametrize("name", CASES)
def test_python(name: str) -> None:
    case = CASES[name]
    message = email.message_from_bytes(written(case), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not [defect for part in message.walk() for defect in part.defects]
    assert message["Subject"] == subject(case)
    address = message["To"].addresses[0].addr_spec  # raw UTF-8 (RFC 6532) it keeps as octets
    assert address.encode("utf-8", "surrogateescape").decode() == case.sender
    assert message["Date"].datetime == datetime.fromisoformat(
        "2025-10-14T08:53:20Z" if case.hours > 1 else "2025-10-09T09:53:20Z"
    )
    text, status, original = message.iter_parts()
    assert case.told[0][0].recipient.address in text.get_content()
    assert status.get_content_type() == "message/delivery-status"
    groups = [dict(group.items()) for group in status.get_payload()]
    # The modern policy decodes the encoded words of any field.
    expected = [dict(group) for group in case.groups]
    if name == "chinese_server":
        expected[1]["Diagnostic-Code"] = "smtp; 550 5.1.1 邮箱不存在"
    assert groups == expected
    returned = original.get_content()
    assert "Dinner" in (returned if isinstance(returned, str) else returned["Subject"])


@pytest.mark.parametrize("name", CASES)
def test_flufl_bounce(name: str) -> None:
    flufl = pytest.importorskip("flufl.bounce")
    case = CASES[name]
    found = flufl.all_failures(email.message_from_bytes(written(case)))
    assert found == (case.temporary, case.permanent)


JAVA = """
import com.sun.mail.dsn.*;
import java.io.*;
import java.util.*;
import javax.mail.*;
import javax.mail.internet.*;

public class Read {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        for (String name : args) {
            Session session = Session.getInstance(new Properties());
            MimeMessage mail = new MimeMessage(session, new FileInputStream(name));
            MultipartReport report = (MultipartReport) mail.getContent();
            DeliveryStatus status = (DeliveryStatus) report.getReport();
            out.println("file\\t" + new File(name).getName() + "\\t" + mail.getSubject());
            tell(out, status.getMessageDSN());
            for (int i = 0; i < status.getRecipientDSNCount(); i++)
                tell(out, status.getRecipientDSN(i));
            out.println("back\\t" + report.getReturnedMessage().getMessageID()
                + "\\t" + report.getText().length());
        }
    }

    static void tell(PrintStream out, InternetHeaders group) {
        out.println("group");
        for (Header one : Collections.list(group.getAllHeaders()))
            out.println("field\\t" + one.getName() + "\\t" + MimeUtility.unfold(one.getValue()));
    }
}
"""


@pytest.mark.peer("javamail")
def test_javamail(files: dict[str, Path]) -> None:
    program = files["failed"].parent / "Read.java"
    program.write_text(JAVA)
    jars = ":".join(f"/usr/share/java/{n}.jar" for n in ("dsn", "javax.mail", "javax.activation"))
    ran = process.run_client(["java", "-cp", jars, program, *files.values()], seconds=60)
    assert ran.ok, ran.output
    found: dict[str, list[dict[str, str]]] = {}
    name = ""
    for kind, *rest in (line.split("\t") for line in ran.output.splitlines()):
        if kind == "file":
            name = rest[0].removesuffix(".eml")
            found[name] = []
            assert rest[1] == subject(CASES[name])
        elif kind == "group":
            found[name].append({})
        elif kind == "field":
            found[name][-1][rest[0]] = rest[1]
        else:
            assert rest[0] == "<dinner@d.example>"
            assert int(rest[1]) > 100
    assert found == {name: [dict(g) for g in case.groups] for name, case in CASES.items()}


RUBY = """
require "mail"
require "json"
ARGV.each do |name|
  mail = Mail.new(File.binread(name))
  puts JSON.generate(
    name: File.basename(name, ".eml"), report: !!mail.delivery_status_report?,
    subject: mail.subject, bounced: mail.bounced?,
    Action: mail.action, Status: mail.error_status, "Final-Recipient": mail.final_recipient,
    "Remote-MTA": mail.remote_mta, "Diagnostic-Code": mail.diagnostic_code)
end
"""


@pytest.mark.peer("actionmailer")
def test_ruby(files: dict[str, Path]) -> None:
    ran = process.run_client(["ruby", "-e", RUBY, *files.values()], seconds=60)
    assert ran.ok, ran.output
    told = [json.loads(line) for line in ran.output.splitlines()]
    assert [one["name"] for one in told] == list(CASES)
    for one in told:
        case = CASES[one["name"]]
        assert one["report"], one
        assert one["subject"] == subject(case)
        assert one["bounced"] is (case.kind == "failed")
        for name in ("Action", "Status", "Final-Recipient", "Remote-MTA", "Diagnostic-Code"):
            values = [group[name] for group in case.groups[1:]]
            assert one[name] == (values if len(values) > 1 else values[0])
