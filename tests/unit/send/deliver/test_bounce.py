"""Reports to senders: who gets one, what is in it, and that others can read it."""

from __future__ import annotations

import email
import email.policy
import re
import time
from collections.abc import Sequence
from itertools import count

import pytest

from posthouse import explain
from posthouse.explain.bounce import Bounce, read_bounce
from posthouse.explain.causes import example
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.letter import Item, Letter, Outcome, Recipient, Result, State
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.message import parse_delivery_status, parse_message, walk
from posthouse.protocol.message.report import headers_alone
from posthouse.protocol.smtp.data import unstuff
from posthouse.protocol.smtp.reply import parse_reply
from posthouse.send.deliver.bounce import Bounces
from posthouse.send.deliver.keys import Keys
from posthouse.send.deliver.outcome import outcomes
from posthouse.send.deliver.places import loops, never
from posthouse.send.deliver.prepare import Prepare
from posthouse.send.deliver.transaction import Task

NOW, ACCEPTED = 1_760_000_900.0, 1_760_000_000.0
HOUR, DAY = 3_600.0, 86_400.0
MESSAGE = (
    b"From: Alice <alice@d.example>\r\nTo: bob@e.example\r\nSubject: Dinner\r\n"
    b"Message-ID: <dinner@d.example>\r\nDate: Thu, 09 Oct 2025 08:53:20 +0000\r\n\r\n"
    b"Shall we?\r\n..\r\n"
)


def letter(sender: str = "alice@d.example", content: bytes = MESSAGE, **params: str) -> Letter:
    return Letter(
        "42", sender, (), content, ACCEPTED, dict(params), message_id="<dinner@d.example>"
    )


def item(address: str = "bob@e.example", **params: str) -> Item:
    return Item(1, "42", Recipient(address, dict(params)), State.READY)


UNKNOWN = Outcome(
    "bob@e.example",
    Result.REFUSED,
    550,
    "5.1.1",
    "User unknown",
    "mx.e.example [192.0.2.1]",
    Stage.RCPT,
    "rcpt.unknown",
)
LATER = Outcome(
    "bob@e.example",
    Result.DEFERRED,
    text="mx.e.example:25: Connection timed out",
    host="mx.e.example",
    stage=Stage.CONNECT,
    cause="conn.timeout",
)
GOOD = Outcome(
    "bob@e.example",
    Result.DELIVERED,
    250,
    "2.0.0",
    "Ok",
    "mx.e.example",
    Stage.DATA,
    action="relayed",
)


def bounces(langs: Sequence[str] = ("en", "zh")) -> Bounces:
    ids = count(70)
    return Bounces("relay.d.example", lambda: str(next(ids)), langs=langs)


def made(
    one: Outcome = UNKNOWN,
    kind: str = "failed",
    of: Letter | None = None,
    to: Item | None = None,
    langs: Sequence[str] = ("en", "zh"),
    now: float = NOW,
) -> Letter:
    report = bounces(langs)(of or letter(), [(to or item(), one)], kind, now)
    assert report is not None
    return report


def text_of(report: Letter) -> str:
    message = email.message_from_bytes(unstuff(report.content), policy=email.policy.default)
    return str(next(message.walk().__iter__()).get_body(("plain",)).get_content())  # type: ignore


def read(report: Letter) -> Bounce:
    found = read_bounce(unstuff(report.content))
    assert found is not None
    return found


def prepared(of: Letter, to: Item, **offers: str) -> bytes | Outcome:
    """What goes to a server with such extensions, or why it can't."""
    task = Task(of, (to,))
    try:
        return Prepare(Keys(()), lambda: NOW)(task, offers).content
    except Refused as error:
        return decided(error, of, to, "mx.e.example [192.0.2.1]")


def decided(error: Refused, of: Letter, to: Item, host: str = "") -> Outcome:
    """What we know without asking, as the pool hands it on."""
    replies = {to.recipient.address: (error.stage, error.reply)}
    [one] = outcomes(Task(of, (to,)), Carried(replies, host=host, heard=error.heard), None)
    return one


# Who gets one


@pytest.mark.parametrize(
    ("notify", "kinds"),
    [
        (None, {"failed", "delayed"}),
        ("NEVER", set()),
        ("FAILURE", {"failed"}),
        ("DELAY", {"delayed"}),
        ("SUCCESS", {"delivered"}),
        ("success,failure,delay", {"failed", "delayed", "delivered"}),
    ],
)
def test_notify(notify: str | None, kinds: set[str]) -> None:
    to = item(NOTIFY=notify) if notify else item()
    told = {
        kind
        for kind, one in (("failed", UNKNOWN), ("delayed", LATER), ("delivered", GOOD))
        if bounces()(letter(), [(to, one)], kind, NOW) is not None
    }
    assert told == kinds


def test_the_null_path_is_never_answered() -> None:
    assert bounces()(letter(""), [(item(), UNKNOWN)], "failed", NOW) is None


def test_a_server_with_dsn_reports_success_itself() -> None:
    there = Outcome("bob@e.example", Result.DELIVERED, 250)
    assert bounces()(letter(), [(item(NOTIFY="SUCCESS"), there)], "delivered", NOW) is None


def test_only_those_who_want_it_are_named() -> None:
    told = [(item(), UNKNOWN), (item("carol@e.example", NOTIFY="NEVER"), UNKNOWN)]
    report = bounces()(letter(), told, "failed", NOW)
    assert report is not None
    assert b"carol" not in report.content


# The envelope and the header


def test_the_letter_and_its_header() -> None:
    report = made()
    assert (report.sender, [r.address for r in report.recipients]) == ("", ["alice@d.example"])
    assert (report.id, report.message_id) == ("70", "<70@relay.d.example>")
    message = email.message_from_bytes(report.content, policy=email.policy.default)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    wanted = {
        "From": "Mail Delivery System <MAILER-DAEMON@relay.d.example>",
        "To": "alice@d.example",
        "Auto-Submitted": "auto-replied",
        "Message-ID": "<70@relay.d.example>",
        "References": "<dinner@d.example>",
        "Date": "Thu, 09 Oct 2025 09:08:20 +0000",
    }
    assert {name: message[name] for name in wanted} == wanted
    assert "bob@e.example" in message["Subject"]
    assert "邮件未送达" in message["Subject"]
    assert report.content.isascii()
    assert "BODY" not in report.params


@pytest.mark.parametrize("bad", ["<x>\r\nBcc: evil@x.example", "no id", "<a b>", ""])
def test_nothing_of_a_bad_message_id_gets_into_the_header(bad: str) -> None:
    of = Letter("42", "alice@d.example", (), MESSAGE, ACCEPTED, message_id=bad)
    assert b"References" not in made(of=of).content
    assert b"evil" not in made(of=of).content


# The fields


def fields(report: Letter) -> dict[str, str]:
    parts = walk(parse_message(unstuff(report.content)))
    status = next(part for part in parts if part.media_type == "message/delivery-status")
    group = parse_delivery_status(status.content()).recipients[0]
    return dict(group.fields)


def test_failed() -> None:
    of = letter(ENVID="id+2B7")
    got = fields(made(of=of, to=item(ORCPT="rfc822;Bob+2Bx@e.example")))
    assert got["original-recipient"] == "rfc822; Bob+x@e.example"
    assert got["final-recipient"] == "rfc822; bob@e.example"
    assert (got["action"], got["status"]) == ("failed", "5.1.1")
    assert got["remote-mta"] == "dns; mx.e.example"
    assert got["diagnostic-code"] == "smtp; 550 5.1.1 User unknown"
    assert got["x-posthouse-cause"] == "rcpt.unknown"
    assert b"Original-Envelope-Id: id+7\r\n" in made(of=of).content


@pytest.mark.parametrize(
    ("orcpt", "told"),
    [
        ('rfc822;"john+20doe"@e.example', 'rfc822; "john doe"@e.example'),
        ('rfc822;"a+20+20b"@e.example', 'rfc822; "a  b"@e.example'),
        ('rfc822;"a+5Cx{41}"@e.example', 'rfc822; "a\\x{41}"@e.example'),
        (f"rfc822;{'x' * 435}@old.example", f"rfc822; {'x' * 435}@old.example"),
        (f'rfc822;"{"x+20+20" * 80}"@old.example', f'rfc822; "{"x  " * 80}"@old.example'),
        ("rfc822;a+0D+0ABcc:+20b@e.example", "rfc822; a Bcc: b@e.example"),
        ("rfc822;a+00+1B+7Fb@e.example", "rfc822; a b@e.example"),
        ("utf-8;\\x{7528}+2Ba@e.example", "utf-8; \\x{7528}\\x{2B}a@e.example"),
        ("utf-8;a\\x{5C}\\x{3D}@e.example", "utf-8; a\\x{5C}\\x{3D}@e.example"),
    ],
)
def test_the_original_address_as_it_was(orcpt: str, told: str) -> None:
    """RFC 3464 section 2.3.1: rfc822 unchanged; RFC 6533 section 3: utf-8 in ASCII."""
    report = made(to=item(ORCPT=orcpt))
    assert max(map(len, report.content.split(b"\r\n"))) <= 998
    (raw,) = re.findall(rb"Original-Recipient: [^\r]*(?:\r\n [^\r]*)*", report.content)
    assert raw.replace(b"\r\n", b"").decode() == f"Original-Recipient: {told}"


def test_a_long_original_address_comes_back_with_its_domain() -> None:
    address = f"{'x' * 435}@old.example"
    report = made(to=item(ORCPT=f"rfc822;{address}"))
    assert read(report).recipients[0].original == address


def test_a_quoted_recipient_is_told_as_it_is() -> None:
    report = made(to=item('"john doe"@no.test'))
    assert b'\r\nFinal-Recipient: rfc822; "john doe"@no.test\r\n' in report.content
    assert read(report).recipients[0].recipient == '"john doe"@no.test'


REFUSED_PORT = NetworkFailure(Failure.REFUSED, Stage.CONNECT, host="mx.e.example", port=25)
NO_DNS = NetworkFailure(Failure.DNS_TIMEOUT, Stage.DNS, host="e.example")
NO_NAME = NetworkFailure(Failure.NAME_NOT_FOUND, Stage.DNS, host="mx.e.example", direct=True)


@pytest.mark.parametrize(
    ("carried", "remote"),
    [
        (Carried(failure=REFUSED_PORT), "dns; mx.e.example"),
        (Carried(failure=NO_DNS), None),
        (Carried(failure=NO_NAME), None),
    ],
)
def test_no_remote_server_where_none_was_met(carried: Carried, remote: str | None) -> None:
    """RFC 3464 section 2.3.5."""
    [one] = outcomes(Task(letter(), (item(),)), carried, None)
    assert fields(made(one, "delayed")).get("remote-mta") == remote


@pytest.mark.parametrize(
    ("host", "remote"),
    [
        ("192.0.2.1", "dns; [192.0.2.1]"),
        ("2001:db8::1", "dns; [IPv6:2001:db8::1]"),
        ("mx.e.example [192.0.2.1]", "dns; mx.e.example"),
    ],
)
def test_an_address_stands_in_brackets(host: str, remote: str) -> None:
    assert fields(made(UNKNOWN._replace(host=host)))["remote-mta"] == remote


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (never(556, "5.1.10", "e.example does not accept mail (null MX)"), "556 5.1.10 "),
        (never(550, "5.1.2", "The domain e.example does not exist"), "550 5.1.2 "),
        (loops("mx.e.example"), "554 5.4.6 "),
    ],
)
def test_what_dns_says_is_not_told_as_a_servers_words(error: Refused, told: str) -> None:
    one = decided(error, letter(), item(), host="mx.e.example")
    report = made(one)
    got = fields(report)
    assert got["diagnostic-code"].startswith(f"x-posthouse; {told}")
    assert got["status"] == told.split()[1]
    assert "remote-mta" not in got
    assert "What happened:\r\n  > " + told in text_of(report)
    assert "当时的情况：\r\n  > " + told in text_of(report)
    assert " said:" not in text_of(report)


@pytest.mark.parametrize(
    ("of", "offers", "told"),
    [
        (letter("爱丽丝@d.example"), {}, "550 5.6.7 SMTPUTF8 is required for an address, but"),
        (letter(), {"SIZE": "20"}, "552 5.3.4 Message size 154 exceeds the limit of 20 octets"),
        (letter(content=b"X: \xff\r\n\r\n"), {}, "554 5.6.3 8BITMIME is required and"),
    ],
)
def test_what_we_decided_is_not_told_as_a_servers_words(
    of: Letter, offers: dict[str, str], told: str
) -> None:
    one = prepared(of, item(), **offers)
    assert isinstance(one, Outcome)
    report = made(one, of=of)
    assert fields(report)["diagnostic-code"].startswith(f"x-posthouse; {told}")
    assert fields(report)["remote-mta"] == "dns; mx.e.example"  # it was met: its EHLO decided
    assert f"What happened:\r\n  > {told}" in text_of(report)
    assert " said:" not in text_of(report)


def test_delayed_says_until_when() -> None:
    report = made(LATER, "delayed", now=ACCEPTED + 4 * HOUR)
    got = fields(report)
    assert (got["action"], got["status"][0]) == ("delayed", "4")
    assert got["will-retry-until"] == "Tue, 14 Oct 2025 08:53:20 +0000"
    assert got["diagnostic-code"] == "x-posthouse; mx.e.example:25: Connection timed out"
    assert "2025-10-14 08:53 UTC" in text_of(report)
    assert read(report).kind == "delayed"


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Shanghai", "2025-10-14 16:53 UTC+08:00"),
        ("America/St_Johns", "2025-10-14 06:23 UTC-02:30"),
        ("UTC", "2025-10-14 08:53 UTC"),
    ],
)
def test_people_read_their_own_clock(
    monkeypatch: pytest.MonkeyPatch, zone: str, shown: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        report = made(LATER, "delayed", now=ACCEPTED + 4 * HOUR)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text_of(report).count(shown) == 2  # in both languages
    assert fields(report)["will-retry-until"] == "Tue, 14 Oct 2025 08:53:20 +0000"


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "cause"),
    [
        (550, "5.7.26", "Your email is unauthenticated: SPF or DKIM", "sender.auth_failed"),
        (554, "5.7.1", "Your IP 192.0.2.9 is blocked using zen.spamhaus.org", "sender.reputation"),
        (550, "5.7.25", "The IP address has no PTR record", "sender.ip_identity"),
        (550, "", "Ip frequency limited [x IP: 192.0.2.9]", "rate.limited"),
    ],
)
def test_what_only_the_admin_can_mend_is_to_be_forwarded(
    code: int, enhanced: str, text: str, cause: str
) -> None:
    """Whoever wrote the message runs no server: first of all they learn who has to be told."""
    one = UNKNOWN._replace(code=code, enhanced=enhanced, text=text, cause=cause)
    english, chinese = text_of(made(one)).split("-" * 60)
    first = english.partition("What to do:")[2].split("  - ")[1]
    assert "forward this report" in " ".join(first.split())
    first = chinese.partition("解决办法：")[2].split("  - ")[1]
    assert "relay.d.example 的管理员" in first
    assert "转发" in first


def test_given_up_after_five_days() -> None:
    report = made(LATER, now=ACCEPTED + 5 * DAY)
    assert (fields(report)["action"], fields(report)["status"]) == ("failed", "4.4.7")
    text = text_of(report)
    assert "5 days" in text
    assert "5 天" in text


def test_delivered_and_relayed() -> None:
    for action in ("delivered", "relayed"):
        one = Outcome("bob@e.example", Result.DELIVERED, 250, "2.0.0", "Ok", "mx", action=action)
        report = made(one, "delivered", to=item(NOTIFY="SUCCESS"))
        assert (fields(report)["action"], fields(report)["status"]) == (action, "2.0.0")
        assert read(report).kind == "delivered"


@pytest.mark.parametrize(
    ("actions", "subject"),
    [
        (["delivered"], "Delivered: bob@e.example / 邮件已送达：bob@e.example"),
        (["relayed"], "Handed over: bob@e.example / 邮件已转交：bob@e.example"),
        (["delivered", "relayed"], "Handed over: bob@e.example and 1 more / "),
    ],
)
def test_the_subject_says_no_more_than_the_actions(actions: list[str], subject: str) -> None:
    told = [(item(NOTIFY="SUCCESS"), GOOD._replace(action=action)) for action in actions]
    report = bounces()(letter(), told, "delivered", NOW)
    assert report is not None
    message = email.message_from_bytes(report.content, policy=email.policy.default)
    assert message["Subject"].startswith(subject)


def test_one_report_for_many() -> None:
    names = [f"user{n}@e.example" for n in range(60)]
    told = [(item(name), UNKNOWN) for name in names] + [(item("late@f.example"), LATER)]
    report = bounces()(letter(), told, "failed", NOW + 5 * DAY)
    assert report is not None
    found = read(report)
    assert [one.recipient for one in found.recipients] == [*names, "late@f.example"]
    text = text_of(report)
    assert text.count("User unknown") == 2  # once in each language, not once for each recipient
    assert text.count("late@f.example") == 2


@pytest.mark.parametrize("where", ["{}: Recipient address rejected: User unknown", "no {} here"])
def test_who_is_named_in_the_reply_is_told_with_the_others(where: str) -> None:
    names = [f"user{n}@e.example" for n in range(40)]
    told = [(item(name), UNKNOWN._replace(text=where.format(name))) for name in names]
    report = bounces()(letter(), told, "failed", NOW)
    assert report is not None
    assert [one.recipient for one in read(report).recipients] == names
    status = report.content.partition(b"message/delivery-status")[2]
    assert all(status.count(name.encode()) == 2 for name in names)  # its address, and the reply
    text = text_of(report)
    assert text.count(where.format(names[0])) == 2  # once in each language
    assert text.count(where.format(names[1])) == 0
    assert all(name in text for name in names)


# The text


@pytest.mark.parametrize(
    "one",
    [
        LATER,
        LATER._replace(code=452, enhanced="4.2.2", text="Full", cause="rcpt.mailbox_full"),
        LATER._replace(code=451, enhanced="4.3.0", text="Not now", cause="server.error"),
    ],
)
def test_nobody_is_told_to_send_again_what_is_still_tried(one: Outcome) -> None:
    """It would arrive twice."""
    text = text_of(made(one, "delayed", now=ACCEPTED + 5 * HOUR))
    assert "You need not do anything" in text
    assert "无需操作" in text
    for again in ("send again", "Try again", "send a smaller", "稍后重发", "再发"):
        assert again not in text
    failed = text_of(made(one, "failed", now=ACCEPTED + 6 * DAY))
    assert "What to do:" in failed


def test_the_words_of_both_languages_with_the_servers_own() -> None:
    text = text_of(made())
    english, chinese = text.split("-" * 60)
    for part in (english, chinese):
        assert "bob@e.example" in part
        assert "> 550 5.1.1 User unknown" in part
        assert "Dinner" in part
    assert explain.catalogue("en").text("causes.rcpt.unknown.title") in english
    assert explain.catalogue("zh").text("causes.rcpt.unknown.title") in chinese


@pytest.mark.parametrize(("lang", "has", "lacks"), [("en", "Why:", "原因"), ("zh", "原因", "Why:")])
def test_one_language(lang: str, has: str, lacks: str) -> None:
    text = text_of(made(langs=(lang,)))
    assert has in text
    assert lacks not in text
    assert re.search(r"bounce\.|\{|\[\[", text) is None


def test_a_sender_is_not_told_to_mend_our_settings() -> None:
    one = Outcome("b@e.example", Result.DEFERRED, 535, "5.7.8", "Bad", "mx", Stage.AUTH)
    denied = Outcome(
        *("b@e.example", Result.DEFERRED, 535, "5.7.8", "Bad credentials", "mx"),
        stage=Stage.AUTH,
        cause="auth.credentials",
    )
    assert one.cause is None
    text = text_of(made(denied, langs=("en",)))
    assert "relay.d.example to put right" in text
    assert "password" not in text.partition("What to do")[2].lower()


@pytest.mark.parametrize(
    ("sender", "lang", "has", "lacks"),
    [
        ("alice@d.example", "en", "header has characters", "address of plain letters"),
        ("alice@d.example", "zh", "信头里有", "地址里有"),
        ("爱丽丝@d.example", "en", "The address has letters", "header has characters"),
        ("爱丽丝@d.example", "zh", "地址里有", "信头里有"),
    ],
)
def test_what_smtputf8_was_needed_for(sender: str, lang: str, has: str, lacks: str) -> None:
    of = letter(sender, "Subject: Grüße\r\n\r\nhi\r\n".encode(), SMTPUTF8="")
    one = prepared(of, item(), **{"8BITMIME": ""})
    assert isinstance(one, Outcome)
    text = text_of(made(one, of=of, langs=(lang,)))
    assert has in text
    assert lacks not in text


def test_a_broken_end_is_told() -> None:
    text = "Lost connection after the end of the message: it may arrive twice"
    one = Outcome("b@e.example", Result.DEFERRED, text=text, stage=Stage.DATA, cause="conn.lost")
    assert "may have arrived" in text_of(made(one, langs=("en",)))


# The message returned


def returned(report: Letter) -> tuple[str, bytes]:
    message = email.message_from_bytes(unstuff(report.content))
    last = message.get_payload()[-1]
    if last.get_content_maintype() == "message" and isinstance(last.get_payload(), list):
        return last.get_content_type(), last.get_payload()[0].as_bytes()
    return last.get_content_type(), last.get_payload(decode=True)


def test_headers_alone_are_returned() -> None:
    kind, content = returned(made())
    assert kind == "text/rfc822-headers"
    assert b"Subject: Dinner" in content
    assert b"Shall we" not in content


@pytest.mark.parametrize(
    ("kind", "ret", "full"),
    [("failed", "FULL", True), ("failed", "HDRS", False), ("delayed", "FULL", False)],
)
def test_ret(kind: str, ret: str, full: bool) -> None:
    one = UNKNOWN if kind == "failed" else LATER
    got, content = returned(made(one, kind, letter(RET=ret)))
    assert (got == "message/rfc822", b"Shall we" in content) == (full, full)


def test_a_large_message_is_not_returned_whole() -> None:
    of = letter(content=MESSAGE + b"x" * 70 * 1024 + b"\r\n", RET="FULL")
    assert returned(made(of=of))[0] == "text/rfc822-headers"


def test_a_header_in_utf8_does_not_keep_the_message_from_being_returned() -> None:
    """RFC 3461 section 4.3, RFC 6532 section 3.7; and with less, where that is too large."""
    of = letter(content=MESSAGE.replace(b"Dinner", "Grüße".encode()), RET="FULL")
    report = made(of=of)
    kind, _ = returned(report)
    assert (kind, report.params, report.content.isascii()) == ("message/global", {}, True)
    *_, whole = parse_message(unstuff(report.content)).parts
    assert whole.content() == unstuff(of.content)
    assert read(report).message_id == "<dinner@d.example>"
    to = Item(1, report.id, report.recipients[0], State.READY)
    large = UNKNOWN._replace(code=552, enhanced="5.3.4", cause="msg.too_big")
    again = bounces()(report, [(to, large)], "failed", NOW)
    assert again is not None
    *_, header = parse_message(unstuff(again.content)).parts
    assert header.media_type == "message/global-headers"
    assert header.content() + b"\r\nShall we?\r\n.\r\n" == unstuff(of.content)


def test_eight_bits_are_returned_and_told() -> None:
    of = letter(content=MESSAGE + "Grüße\r\n".encode(), RET="FULL")
    report = made(of=of)
    assert report.params == {"BODY": "8BITMIME"}
    assert "Grüße".encode() in report.content
    assert read(report).message_id == "<dinner@d.example>"


def test_the_encoding_of_the_whole_is_that_of_its_parts() -> None:
    """RFC 2045 section 6.4."""
    for body, encoding in (("Grüße", "8bit"), ("Greetings", None)):
        report = made(of=letter(content=MESSAGE + body.encode() + b"\r\n", RET="FULL"))
        message = email.message_from_bytes(report.content)
        assert message["Content-Transfer-Encoding"] == encoding


# A report that is too much for its way


EIGHT = "Grüße\r\n".encode()
SIGNED = b"DKIM-Signature: v=1; d=d.example\r\n" + MESSAGE + EIGHT
PREAMBLE = MESSAGE.replace(
    b"\r\n\r\n",
    b'\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n' + EIGHT + b"--b\r\n\r\n",
)
LONG = MESSAGE + b"x" * 70 + b"\r\n"
NO_HEADER = b"\r\n" + b"x" * 70 + b"\r\n"


@pytest.mark.parametrize(
    ("content", "size", "why"),
    [
        (SIGNED, 0, "5.6.3"),
        (PREAMBLE, 0, "5.6.3"),
        (LONG, -9, "5.3.4"),
        (MESSAGE + EIGHT * 9, -9, "5.3.4"),
        (NO_HEADER, -9, "5.3.4"),
    ],
)
def test_a_report_too_much_for_its_hop_goes_again_with_less(
    content: bytes, size: int, why: str
) -> None:
    report = made(of=letter(content=content, RET="FULL"))
    assert returned(report)[0] == "message/rfc822"
    to = Item(1, report.id, report.recipients[0], State.READY)
    offers = {"SIZE": str(len(report.content) + size)} if size else {}
    if b"\xc3" in content and size:
        offers["8BITMIME"] = ""
    one = prepared(report, to, **offers)
    assert isinstance(one, Outcome)
    assert one.enhanced == why
    again = bounces()(report, [(to, one)], "failed", NOW)
    assert again is not None
    assert (again.sender, again.recipients, again.params) == ("", report.recipients, {})
    assert prepared(again, to, **offers) is again.content
    assert again.content.isascii()
    kind, header = returned(again)
    assert kind == "text/rfc822-headers"
    assert header.split() == content[: content.find(b"\r\n\r\n") + 2].split()
    assert email.message_from_bytes(again.content)["Content-Transfer-Encoding"] is None
    assert (text_of(again), fields(again)) == (text_of(report), fields(report))
    assert bounces()(again, [(to, one)], "failed", NOW) is None  # and that is the end


@pytest.mark.parametrize(
    ("one", "client", "again"),
    [
        (UNKNOWN._replace(code=552, enhanced="5.3.4", cause="msg.too_big"), "", True),
        (UNKNOWN._replace(code=552, enhanced="", cause="msg.too_big"), "192.0.2.7", False),
        (UNKNOWN, "", False),
    ],
)
def test_which_reports_go_again(one: Outcome, client: str, again: bool) -> None:
    report = made(of=letter(RET="FULL"))._replace(client=client)
    assert (bounces()(report, [(item(), one)], "failed", NOW) is not None) is again


@pytest.mark.parametrize(
    "content", [b"", b"\r\n\r\n", MESSAGE, b'boundary="=_1_posthouse"\r\n\r\n']
)
def test_what_is_no_report_of_ours_is_left_alone(content: bytes) -> None:
    assert headers_alone(content) is None


HOSTILE = [
    b"Subject: " + b"x" * 5_000 + b"\r\n\r\nhi\r\n",
    "Subject: Grüße\r\n\r\nhi\r\n".encode(),
    b"Subject: \xff\xfe\x80\r\n\r\nhi\r\n",
    b"no header at all",
    b"",
    b"\r\n",
    b"Subject: a\nbare\rends\r\n\r\n",
    b"X: " + b"y" * 900 + b"\r\n" + b"Z: 1\r\n" * 40_000 + b"\r\n",
    b"--=_70_posthouse\r\nSubject: x\r\n\r\n--=_70_posthouse--\r\n",
]


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("ret", ["FULL", "HDRS"])
def test_whatever_was_sent_the_report_is_sound(content: bytes, ret: str) -> None:
    report = made(of=letter(content=content, RET=ret))
    lines = report.content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert not any(line.startswith(b".") and not line.startswith(b"..") for line in lines)
    message = email.message_from_bytes(unstuff(report.content))
    assert len(message.get_payload()) == 3
    assert read(report).recipients[0].recipient == "bob@e.example"


@pytest.mark.parametrize(
    "text",
    [
        "邮箱不存在",
        "Utilisateur inconnu: é" * 60,
        "x" * 3_000,
        "a\r\nFinal-Recipient: rfc822; evil@x.example\r\n\r\n",
        "\x00\x1b[31m",
        "\ud800",
        "=?utf-8?q?x?= %s {host} [[x]]",
    ],
)
def test_whatever_the_server_said_the_report_is_sound(text: str) -> None:
    one = Outcome(
        "bob@e.example", Result.REFUSED, 550, "5.1.1", text, "mx", Stage.RCPT, "rcpt.unknown"
    )
    report = made(one)
    assert max(map(len, report.content.split(b"\r\n"))) <= 998
    found = read(report)
    assert [one.recipient for one in found.recipients] == ["bob@e.example"]
    assert found.recipients[0].diagnostic.startswith("550 5.1.1")


def test_words_of_a_chinese_server_come_back() -> None:
    one = Outcome(
        *("bob@e.example", Result.REFUSED, 550, "", "收件人邮箱不存在，请检查地址", "mx"),
        stage=Stage.RCPT,
        cause="rcpt.unknown",
    )
    assert "收件人邮箱不存在，请检查地址" in read(made(one)).recipients[0].diagnostic


def test_addresses_beyond_ascii() -> None:
    one = Outcome(
        "用户@例子.example", Result.REFUSED, 550, "5.1.1", "No", "mx", cause="rcpt.unknown"
    )
    to = item("用户@例子.example", ORCPT="utf-8;\\x{7528}\\x{6237}@e.example")
    report = made(one, of=letter("爱丽丝@d.example"), to=to)
    assert "SMTPUTF8" in report.params
    assert "To: <爱丽丝@d.example>".encode() in report.content
    got = fields(report)
    assert got["final-recipient"] == "utf-8; \\x{7528}\\x{6237}@\\x{4F8B}\\x{5B50}.example"
    assert got["original-recipient"] == "utf-8; \\x{7528}\\x{6237}@e.example"
    assert read(report).recipients[0].recipient == "用户@例子.example"


# Round trip


def by_reply(text: str) -> Outcome:
    reply = parse_reply(text)
    assert reply is not None
    bob = item()
    task = Task(letter(), (bob,))
    stage = explain.explain_reply(text).stage
    carried = Carried({"bob@e.example": (stage, reply)})
    return outcomes(task, carried, None)[0]


REPLIES = [cause.id for cause in explain.causes() if re.match(r"[45]\d\d ", example(cause.id))]


@pytest.mark.parametrize("id_", REPLIES)
def test_every_cause_of_a_reply_comes_back(id_: str) -> None:
    one = by_reply(example(id_))
    assert one.cause == id_
    report = made(one, "failed" if one.result is Result.REFUSED else "delayed")
    found = read(report).recipients[0].explanation
    assert found is not None
    assert found.cause.id == id_


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_can_be_reported(failure: Failure) -> None:
    error = NetworkFailure(failure, Stage.CONNECT, host="mx.e.example", port=25)
    one = outcomes(Task(letter(), (item(),)), Carried(failure=error), None)[0]
    report = made(one, "delayed")
    found = read(report).recipients[0]
    assert found.explanation is not None
    assert found.action == "delayed"
    assert found.explanation.cause.id == one.cause


@pytest.mark.parametrize("told", ["no.such", "", "../x"])
def test_a_cause_that_is_none_is_not_believed(told: str) -> None:
    content = made().content.replace(b"Cause: rcpt.unknown", b"Cause: " + told.encode())
    found = read_bounce(unstuff(content))
    assert found is not None
    assert found.recipients[0].explanation is not None
    assert found.recipients[0].explanation.cause.id == "rcpt.unknown"


@pytest.mark.parametrize("id_", [cause.id for cause in explain.causes()])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_cause_has_words_for_a_sender(id_: str, lang: str) -> None:
    one = Outcome("bob@e.example", Result.DEFERRED, text="x", host="mx.e.example", cause=id_)
    text = text_of(made(one, "delayed", langs=(lang,)))
    title = explain.catalogue(lang).text(f"causes.{id_}.title", host="mx.e.example")
    assert title in text
    assert re.search(r"bounce\.|causes\.|\{|\[\[|\]\]", text) is None
