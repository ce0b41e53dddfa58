"""What is answered, over real sockets: rows of what a client says and how it is taken."""

from __future__ import annotations

import email
from email.utils import getaddresses, parsedate_to_datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from posthouse.letter import QueueFull, StoreError
from posthouse.net import smtp_listen
from posthouse.net.smtp_listen import ERRORS, EXCESS
from posthouse.net.smtp_session import Peer
from posthouse.protocol.message.received import parse_received
from posthouse.protocol.smtp.data import stuff, unstuff
from posthouse.send.submit import login
from posthouse.send.submit.desk import CONNECTIONS
from posthouse.send.submit.login import GUESSES
from posthouse.send.submit.session import JUNK
from posthouse.send.submit.settings import Limits, Listening, Mode
from unit.send.submit.world import ALICE, NAME, World, b64, plain

HEADER = (
    b"From: Alice <alice@d.example>\r\n"
    b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    b"Message-ID: <m@d>\r\n"
)
MESSAGE = HEADER + b"\r\nhello\r\n..a dot\r\n"
OFFERED = {
    "PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN",
    "CHUNKING", "LIMITS RCPTMAX=100",
}  # fmt: skip


def offered(text: str) -> set[str]:
    return {line[4:] for line in text.splitlines()[1:]}


# What is offered, and when


async def test_ehlo_says_what_is_true(world: World) -> None:
    async with world.client(Mode.STARTTLS) as client:
        assert client.greeting == "220"
        await client.say("EHLO laptop.home")
        assert offered(client.text) == OFFERED | {"STARTTLS"}
        assert await client.say("STARTTLS") == "220 2.0.0"
        await client.start_tls(world.authority.client_context())
        await client.say("EHLO laptop.home")
        assert offered(client.text) == OFFERED | {"AUTH PLAIN LOGIN"}
        assert await client.say(f"AUTH PLAIN {plain(ALICE, world.secret)}") == "235 2.7.0"
    async with world.client(Mode.TLS) as client:
        await client.say("EHLO laptop.home")
        assert offered(client.text) == OFFERED | {"AUTH PLAIN LOGIN"}
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO laptop.home")
        assert offered(client.text) == OFFERED | {"STARTTLS"}
        await client.say("STARTTLS")
        await client.start_tls(world.authority.client_context())
        await client.say("EHLO laptop.home")
        assert offered(client.text) == OFFERED  # never AUTH


DIALOGUES: list[tuple[Mode, list[tuple[str, str]]]] = [
    # No login, no mail in the clear.
    (Mode.STARTTLS, [
        ("EHLO x", "250"),
        (f"AUTH PLAIN {plain(ALICE, 'x')}", "538 5.7.11"),
        ("AUTH LOGIN", "538 5.7.11"),
        (f"MAIL FROM:<{ALICE}>", "530 5.7.0"),
        ("RCPT TO:<bob@e.example>", "503 5.5.1"),
    ]),
    (Mode.TLS, [
        ("EHLO x", "250"),
        (f"MAIL FROM:<{ALICE}>", "530 5.7.0"),
        ("STARTTLS", "502 5.5.1"),
        ("AUTH CRAM-MD5", "504 5.5.4"),
        ("AUTH PLAIN ====", "501 5.5.2"),
        (f"AUTH PLAIN {b64('no nul')}", "501 5.5.2"),
        (f"AUTH PLAIN {plain('', 'x')}", "501 5.5.2"),
        ("AUTH PLAIN", "334"),
        ("*", "501 5.7.0"),
        ("AUTH LOGIN", "334"),
        (b64(ALICE), "334"),
        ("*", "501 5.7.0"),
        ("AUTH PLAIN", "334"),
        ("!!!", "501 5.5.2"),
        ("NOOP", "250 2.0.0"),
    ]),
    # HELO is no ESMTP: no login, so no mail.
    (Mode.TLS, [("HELO x", "250"), ("AUTH LOGIN", "502 5.5.1"), ("MAIL FROM:<>", "530 5.7.0")]),
    (Mode.RELAY, [
        ("EHLO x", "250"),
        (f"AUTH PLAIN {plain(ALICE, 'x')}", "538 5.7.11"),
        ("MAIL FROM:<>", "250 2.1.0"),
        ("RCPT TO:<bob@e.example>", "250 2.1.5"),
        ("RSET", "250 2.0.0"),
        ("VRFY bob", "252 2.1.5"),
        ("EXPN all", "502 5.5.1"),
        ("HELP", "214 2.0.0"),
        ("XCLIENT ADDR=1.2.3.4", "502 5.5.1"),
        ("HULLO x", "500 5.5.1"),
        ("QUIT", "221 2.0.0"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "dialogue"), DIALOGUES)
async def test_a_dialogue(world: World, mode: Mode, dialogue: list[tuple[str, str]]) -> None:
    async with world.client(mode) as client:
        for line, expected in dialogue:
            assert (line, await client.say(line)) == (line, expected)
    assert not world.kept


SIGNED_IN = [
    # (what is said after the login, the answer to the last line, words in it)
    (["MAIL FROM:<ALICE@d.example>"], "250 2.1.0", ""),
    (["MAIL FROM:<bob@shop.d.example>"], "250 2.1.0", ""),
    (["MAIL FROM:<bob@d.example>"], "553 5.7.1", "alice@d.example, *@shop.d.example"),
    (["MAIL FROM:<>"], "250 2.1.0", ""),
    ([f"MAIL FROM:<{ALICE}> SIZE=52428800"], "250 2.1.0", ""),
    ([f"MAIL FROM:<{ALICE}> SIZE=52428801"], "552 5.3.4", "52428800"),
    ([f"MAIL FROM:<{ALICE}> SIZE=99999999999999999999"], "552 5.3.4", ""),
    ([f"MAIL FROM:<{ALICE}> BODY=BINARYMIME"], "555 5.5.4", ""),
    ([f"MAIL FROM:<{ALICE}> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q+2B1"], "250 2.1.0", ""),
    ([f"MAIL FROM:<{ALICE}>", "MAIL FROM:<x@y.example>"], "503 5.5.1", ""),
    ([f"MAIL FROM:<{ALICE}>", "DATA"], "554 5.5.1", ""),
    ([f"MAIL FROM:<{ALICE}>", "RCPT TO:<nobody>"], "501 5.1.3", ""),
    ([f"MAIL FROM:<{ALICE}>", "RCPT TO:<爱@例.example>"], "553 5.6.7", ""),
    ([f"MAIL FROM:<{ALICE}> SMTPUTF8", "RCPT TO:<爱@例.example>"], "250 2.1.5", ""),
    ([f"MAIL FROM:<{ALICE}>", "RCPT TO:<Postmaster>"], "250 2.1.5", ""),
    (["RCPT TO:<bob@e.example>"], "503 5.5.1", ""),
    (["AUTH PLAIN"], "503 5.5.1", ""),
]


@pytest.mark.parametrize(("lines", "expected", "words"), SIGNED_IN)
async def test_after_the_login(world: World, lines: list[str], expected: str, words: str) -> None:
    async with world.alice() as client:
        for line in lines:
            answer = await client.say(line)
        assert answer == expected
        assert words in client.text


@pytest.mark.parametrize("mechanism", ["PLAIN", "PLAIN initial", "LOGIN", "LOGIN initial"])
async def test_each_way_to_sign_in(world: World, mechanism: str) -> None:
    name, _, initial = mechanism.partition(" ")
    parts = [plain(ALICE, world.secret)] if name == "PLAIN" else [b64(ALICE), b64(world.secret)]
    async with world.client(Mode.TLS) as client:
        await client.say("EHLO x")
        answer = await client.say(f"AUTH {name}{' ' + parts.pop(0) if initial else ''}")
        for part in parts:
            assert answer == "334"
            answer = await client.say(part)
        assert answer == "235 2.7.0"
        assert await client.deliver(MESSAGE) == "250 2.0.0"


@pytest.mark.parametrize(
    ("authzid", "expected"), [("", "235 2.7.0"), (ALICE, "235 2.7.0"), ("bob", "535 5.7.8")]
)
async def test_one_identity(world: World, authzid: str, expected: str) -> None:
    async with world.client(Mode.TLS) as client:
        await client.say("EHLO x")
        assert await client.say(f"AUTH PLAIN {plain(ALICE, world.secret, authzid)}") == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"From: alice@d.example", "250 2.0.0"),
        (b"From: bob@shop.d.example", "250 2.0.0"),
        (b"From: eve@d.example", "550 5.7.1"),
        (b"From: alice@d.example\r\nSender: eve@d.example", "550 5.7.1"),
        (b"From: <>", "550 5.6.0"),
        (b"Sender: alice@d.example", "550 5.6.0"),
        (b"Subject: x", "550 5.6.0"),
    ],
)
async def test_a_receipt_has_no_sender_and_an_author(
    world: World, header: bytes, expected: str
) -> None:
    """RFC 8098 section 3: mail programs send it from the null path, and it belongs to the login."""
    async with world.alice() as client:
        assert await client.deliver(header + b"\r\n\r\nread\r\n", "") == expected
    assert [(one.sender, one.user) for one in world.kept] == (
        [("", ALICE)] if expected == "250 2.0.0" else []
    )


async def test_starttls_forgets_who_was_there(world: World) -> None:
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO before.example")
        await client.say("MAIL FROM:<a@x.example>")
        await client.say("RSET")
        await client.say("STARTTLS")
        await client.start_tls(world.authority.client_context())
        assert await client.say("MAIL FROM:<a@x.example>") == "503 5.5.1"
        await client.say("EHLO after.example")
        assert await client.deliver(MESSAGE) == "250 2.0.0"
    trace = parse_received(world.kept[0].content.partition(b"Received:")[2].decode())
    assert trace.sender == "after.example"


# The message


async def test_what_is_kept_and_told(world: World) -> None:
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}> BODY=8BITMIME RET=HDRS ENVID=q+2B1 SIZE=99 AUTH=<>")
        await client.say(
            "RCPT TO:<bob@e.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bb@e.example"
        )
        await client.say("RCPT TO:<carol@e.example>")
        await client.say("RCPT TO:<bob@e.example>")  # said twice, delivered once
        await client.say("DATA")
        client.write(MESSAGE + b".\r\n")
        assert await client.reply() == "250 2.0.0"
        assert "id1" in client.text
    (letter,) = world.kept
    assert (letter.id, letter.sender, letter.user) == ("id1", ALICE, ALICE)
    assert (letter.client, letter.message_id) == ("127.0.0.1", "<m@d>")
    assert letter.accepted == world.clock.now().timestamp()
    assert letter.params == {"BODY": "8BITMIME", "RET": "HDRS", "ENVID": "q+2B1"}
    assert [(r.address, dict(r.params)) for r in letter.recipients] == [
        ("bob@e.example", {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;b+2Bb@e.example"}),
        ("carol@e.example", {}),
    ]
    assert letter.content.endswith(MESSAGE)
    (event,) = world.events
    assert (event.kind, event.letter, event.at) == ("accepted", "id1", letter.accepted)
    assert event.data == {
        "sender": ALICE,
        "recipients": ["bob@e.example", "carol@e.example"],
        "size": len(letter.content),
        "message_id": "<m@d>",
        "user": ALICE,
        "label": "laptop",
        "client": "127.0.0.1",
        "tls": event.data["tls"],
    }
    assert event.data["tls"].startswith("TLSv1.3 ")


@pytest.mark.parametrize(
    ("mode", "hello", "params", "protocol"),
    [
        (Mode.TLS, "EHLO", "", "ESMTPSA"),
        (Mode.TLS, "EHLO", " SMTPUTF8", "UTF8SMTPSA"),
        (Mode.RELAY, "EHLO", "", "ESMTP"),
        (Mode.RELAY, "EHLO", " SMTPUTF8", "UTF8SMTP"),
        (Mode.RELAY, "HELO", "", "SMTP"),
    ],
)
async def test_the_received_line(
    world: World, mode: Mode, hello: str, params: str, protocol: str
) -> None:
    async with world.client(mode) as client:
        await client.say(f"{hello} laptop.home")
        if mode is Mode.TLS:
            await client.say(f"AUTH PLAIN {plain(ALICE, world.secret)}")
        await client.say(f"MAIL FROM:<{ALICE}>{params}")
        await client.say("RCPT TO:<bob@e.example>")
        await client.say("DATA")
        client.write(MESSAGE + b".\r\n")
        assert await client.reply() == "250 2.0.0"
    first, _, rest = world.kept[0].content.decode().partition("\r\nFrom:")
    assert first.startswith("Received: from laptop.home ([127.0.0.1])")
    assert ("(using TLSv1.3 TLS_" in first) is (mode is Mode.TLS)
    assert all(len(line) <= 78 for line in first.split("\r\n"))
    trace = parse_received(first.removeprefix("Received:"))
    assert (trace.sender, trace.address, trace.by) == ("laptop.home", "127.0.0.1", NAME)
    assert (trace.protocol, trace.id, trace.recipient) == (protocol, "id1", "bob@e.example")
    assert trace.date == world.clock.now()
    assert rest.endswith("..a dot\r\n")


SENT_BY = [
    b" alice@d.example",
    b" Alice's office <bob@SHOP.d.example>",  # one may send for the other, and both are hers
    b"\r\n\t(on a train) alice@d.example",
    b" =?utf-8?q?boss=40d.example?= <alice@d.example>",
]


@pytest.mark.parametrize("value", SENT_BY)
async def test_one_s_own_sender_field_is_left_as_it_is(world: World, value: bytes) -> None:
    async with world.alice() as client:
        assert await client.deliver(b"Sender:" + value + b"\r\n" + MESSAGE) == "250 2.0.0"
    assert b"\r\nSender:" + value + b"\r\nFrom: Alice" in world.kept[0].content


async def test_who_has_sent_it_on_before_may_be_anybody(world: World) -> None:
    again = b"Resent-From: Alice <alice@d.example>, bob@shop.d.example\r\n"
    before = b"Resent-From: eve@x.example\r\nResent-Sender: alice@d.example\r\n"
    async with world.alice() as client:
        assert await client.deliver(again + before + MESSAGE) == "250 2.0.0"
    assert again + before in world.kept[0].content


async def test_several_recipients_are_not_told_of_each_other(world: World) -> None:
    async with world.alice() as client:
        assert await client.deliver(MESSAGE, ALICE, "bob@e.example", "carol@e.example")
    assert b"e.example" not in world.kept[0].content


FIELDS = [
    # (header of the message, fields that are there in the end, fields that are not)
    (b"From: alice@d.example\r\n", ["Date", "Message-ID"], []),
    (b"From: alice@d.example\r\nBcc: eve@x.example,\r\n mallory@x.example\r\n", ["Date"], ["Bcc"]),
    (b"Subject: x\r\n", ["From", "Date", "Message-ID"], []),
    (b"", ["From", "Date", "Message-ID"], []),
    (b"Message-ID:\r\nFrom: alice@d.example\r\n", ["From", "Message-ID"], []),
    (b"From: alice@d.example\r\nMessage-ID: \r\n\tnone\r\nBcc: x\r\n", ["Message-ID"], ["Bcc"]),
]


@pytest.mark.parametrize(("fields", "there", "gone"), FIELDS)
async def test_what_is_added_and_taken_out(
    world: World, fields: bytes, there: list[str], gone: list[str]
) -> None:
    async with world.alice() as client:
        assert await client.deliver(fields + b"\r\nBcc: body\r\n") == "250 2.0.0"
    header, _, body = world.kept[0].content.decode().partition("\r\n\r\n")
    names = [line.partition(":")[0] for line in header.split("\r\n") if line[:1].isalpha()]
    assert all(names.count(name) == 1 for name in there), names
    assert not set(gone) & set(names)
    assert "mallory" not in header
    assert body == "Bcc: body\r\n"
    date = next(line for line in header.split("\r\n") if line.startswith("Date: "))
    assert parsedate_to_datetime(date[6:]) == world.clock.now()
    assert world.kept[0].message_id == f"<id1@{NAME}>"
    assert f"Message-ID: <id1@{NAME}>" in header


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("info@müller.example", "info@xn--mller-kva.example"),
        ('"a b"@Müller.例.example', '"a b"@xn--mller-kva.xn--fsq.example'),
        ("info@straße.example", "info@xn--strae-oqa.example"),
        ("info@XN--mller-kva.example", "info@XN--mller-kva.example"),
        ("爱@müller.example", "爱@müller.example"),
        ("info@\U0001f4a9.example", "info@\U0001f4a9.example"),  # no name by IDNA 2008
        (f"{'x' * 190}@{'é.' * 12}example", f"{'x' * 190}@{'é.' * 12}example"),  # no path any more
    ],
)
async def test_a_domain_of_another_script_needs_no_smtputf8(
    world: World, given: str, kept: str
) -> None:
    """Amazon SES and others take no SMTPUTF8, but every domain in A-labels (RFC 5890)."""
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO app.example", f"MAIL FROM:<{given}> SMTPUTF8", f"RCPT TO:<{given}>")
        await client.say("DATA")
        client.write(MESSAGE + b".\r\n")
        assert await client.reply() == "250 2.0.0"
    [letter] = world.kept
    assert (letter.sender, letter.recipients[0].address) == (kept, kept)
    assert letter.content.isascii() is kept.isascii()


@pytest.mark.parametrize(
    ("block", "added"),
    [
        (b"", []),
        (b"Resent-From: alice@d.example\r\n", ["Resent-Date", "Resent-Message-ID"]),
        (b"Resent-Date: x\r\nResent-From: alice@d.example\r\n", ["Resent-Message-ID"]),
        (b"resent-message-id: <r@d>\r\nResent-From: alice@d.example\r\n", ["Resent-Date"]),
    ],
)
async def test_who_sends_it_again_says_when(world: World, block: bytes, added: list[str]) -> None:
    """RFC 5322 section 3.6.6; Date and Message-ID are those of the first time."""
    async with world.alice() as client:
        assert await client.deliver(block + MESSAGE) == "250 2.0.0"
    ours = world.kept[0].content.removesuffix(block + MESSAGE).decode()
    names = [line.partition(":")[0] for line in ours.split("\r\n") if line[:1].isalpha()]
    assert names == ["Received", *added]


@pytest.mark.parametrize(
    "fields", [b"Message-ID: (mine) <m@d>\r\n", b"Message-ID: m@d\r\nDKIM-Signature: v=1\r\n"]
)
async def test_a_message_id_that_may_be_read_or_signed_stays(world: World, fields: bytes) -> None:
    async with world.alice() as client:
        assert await client.deliver(fields + b"From: alice@d.example\r\n\r\nx\r\n") == "250 2.0.0"
    content = world.kept[0].content
    assert b"\r\n" + fields in content
    assert content.count(b"\r\nMessage-ID:") == 1


async def test_a_lost_empty_line_is_put_in(world: World) -> None:
    async with world.alice() as client:
        assert (
            await client.deliver(b"Subject: x\r\nhello\r\nFrom: eve@x.example\r\n") == "250 2.0.0"
        )
    assert world.kept[0].content.endswith(b"Subject: x\r\n\r\nhello\r\nFrom: eve@x.example\r\n")


async def test_another_server_s_message_is_left_as_it_is(world: World) -> None:
    message = b"From: eve@x.example\r\nSender: list@y.example\r\n\r\nBcc: body\r\n"
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO mta.example")
        assert await client.deliver(message, "") == "250 2.0.0"
    assert world.kept[0].content.endswith(message)
    assert (world.kept[0].sender, world.kept[0].user) == ("", "")


@pytest.mark.parametrize("trace", [b"", b"Received: from app\r\n"])
async def test_nobody_sees_bcc_whoever_hands_it_in(world: World, trace: bytes) -> None:
    """Programs on port 25 rely on their server for that, as Postfix does it."""
    private = b"Return-Path: <app@x.example>\r\nBcc: boss@x.example\r\n"
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO app.example")
        assert await client.deliver(trace + private + MESSAGE, ALICE, "boss@x.example")
    assert b"boss@x.example" not in world.kept[0].content.replace(b"for <boss@x.example>", b"")
    assert b"Return-Path" not in world.kept[0].content


REFUSED = [
    (b"From: bob@d.example\r\n\r\nx\r\n", "550 5.7.1", "alice@d.example, *@shop.d.example"),
    (b"From: alice@d.example, eve@x.example\r\n\r\nx\r\n", "550 5.7.1", ""),
    (b'From: "alice@d.example" <eve@x.example>\r\n\r\nx\r\n', "550 5.7.1", ""),
    (b"From : eve@x.example\r\n\r\nx\r\n", "550 5.7.1", ""),
    (b"From:\r\n eve@x.example\r\n\r\nx\r\n", "550 5.7.1", ""),
    (b"From: alice@d.example\r\nFrom: eve@x.example\r\n\r\nx\r\n", "550 5.6.0", ""),
    (b"From: alice@d.example\r\nfrom: alice@d.example\r\n\r\nx\r\n", "550 5.6.0", ""),
    (b"From: undisclosed:;\r\n\r\nx\r\n", "550 5.6.0", ""),
    (b"Sender: boss@d.example\r\n" + MESSAGE, "550 5.7.1", "Header Sender must be alice@d.exam"),
    (b"Sender: alice@d.example,\r\n (or) eve@x.example\r\n" + MESSAGE, "550 5.6.0", "Sender"),
    (b"sEnDeR\t:\r\n eve@x.example\r\n" + MESSAGE, "550 5.7.1", "Header Sender"),
    (b'Sender: "alice@d.example" <eve@x.example>\r\n' + MESSAGE, "550 5.7.1", "Header Sender"),
    (b"Sender: \xe6\x84\x9b <\xe6\x84\x9b@d.example>\r\n" + MESSAGE, "550 5.7.1", "Header Sender"),
    (b"Sender: eve@x.example\r\nSubject: x\r\n\r\nx\r\n", "550 5.7.1", "Header Sender"),  # no From
    (b"Sender: alice@d.example\r\nSENDER: alice@d.example\r\n" + MESSAGE, "550 5.6.0", "More"),
    (b"Sender: alice@d.example, bob@shop.d.example\r\n" + MESSAGE, "550 5.6.0", "Sender"),
    (b"Sender: eve@x.example <alice@d.example>\r\n" + MESSAGE, "550 5.6.0", "Sender"),
    (b"Sender:\r\n" + MESSAGE, "550 5.6.0", "Sender"),
    (b"Sender: <>\r\n" + MESSAGE, "550 5.6.0", "Sender"),
    (b"Sender: alice@d.example\x00\r\n" + MESSAGE, "554 5.6.0", "NUL"),
    (b"Resent-From: eve@x.example\r\n" + MESSAGE, "550 5.7.1", "Header Resent-From must be alice"),
    (
        MESSAGE.replace(b"\r\n\r\n", b"\r\nresent-sender :eve@x.example\r\n\r\n", 1),
        "550 5.7.1",
        "Header Resent-Sender",
    ),
    (b"Resent-From: eve@x.example <alice@d.example>\r\n" + MESSAGE, "550 5.6.0", "Resent-From"),
    (b"Resent-Sender: alice@d.example, bob@shop.d.example\r\n" + MESSAGE, "550 5.6.0", "Resent"),
    (b"Received: x\r\n" * 100 + MESSAGE, "554 5.4.6", ""),
    (b"X: " + b"x" * 999 + b"\r\n" + MESSAGE, "554 5.6.0", "998"),
    (b"DKIM-Signature: v=1\r\n" + MESSAGE + b"x" * 999 + b"\r\n", "554 5.6.0", "a signature"),
    (MESSAGE + b"\0\r\n", "554 5.6.0", "NUL"),
    (b"X: y\r\n" * 50_000 + MESSAGE, "552 5.3.4", "Header"),
]


@pytest.mark.parametrize(("message", "expected", "words"), REFUSED)
async def test_a_message_that_is_refused(
    world: World, message: bytes, expected: str, words: str
) -> None:
    async with world.alice() as client:
        assert await client.deliver(message) == expected
        assert words in client.text
        assert not world.kept
        assert await client.deliver(MESSAGE) == "250 2.0.0"  # and the session goes on
    assert world.reasons() == ["content"]


async def test_a_line_too_long_for_any_server_is_broken(world: World) -> None:
    """Programs that write their HTML in one line have never heard of a limit."""
    page = b"<p>" + b"hello, world. " * 200 + b"</p>\r\n.\r\nnot the end\r\n"
    to = b"To: " + b",".join(b"user%d@d.example" % n for n in range(100)) + b"\r\n"
    message = to + HEADER + b"Content-Type: text/html\r\n\r\n" + page
    async with world.alice() as client:
        assert await client.deliver(stuff(message)) == "250 2.0.0"
    content = world.kept[-1].content
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.endswith(b"\r\n")
    parsed = email.message_from_bytes(unstuff(content))
    assert parsed.get_payload(decode=True) == page
    assert parsed["Content-Type"] == "text/html"
    assert len(getaddresses([parsed["To"]])) == 100


@pytest.mark.parametrize("received", [0, 99])
async def test_a_message_that_is_long_under_way_is_no_loop(world: World, received: int) -> None:
    async with world.alice() as client:
        assert await client.deliver(b"Received: x\r\n" * received + MESSAGE) == "250 2.0.0"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(QueueFull("of what"), "452 4.3.1"), (StoreError("of what"), "451 4.3.0")],
)
async def test_nothing_is_accepted_that_is_not_kept(
    world: World, failure: Exception, expected: str
) -> None:
    async with world.alice() as client:
        world.failure = failure
        assert await client.deliver(MESSAGE) == expected
        assert world.told[-1][1]["error"] == "of what"  # for the log alone
        world.failure = None
        assert await client.deliver(MESSAGE) == "250 2.0.0"


# BDAT (RFC 3030)


async def test_chunks_come_out_as_data_does(world: World) -> None:
    message = MESSAGE.replace(b"\r\n..", b"\r\n.")
    async with world.alice() as client:
        assert await client.deliver(MESSAGE) == "250 2.0.0"
        for cut in (0, 1, 40, len(HEADER), len(HEADER) + 1, len(message) - 3, len(message)):
            await client.say(f"MAIL FROM:<{ALICE}>")
            await client.say("RCPT TO:<bob@e.example>")
            client.write(f"BDAT {cut}\r\n".encode() + message[:cut])
            assert await client.reply() == "250 2.0.0"
            rest = message[cut:]
            client.write(f"BDAT {len(rest)} LAST\r\n".encode() + rest)
            assert await client.reply() == "250 2.0.0"
    bodies = {letter.content.partition(b"\r\nFrom:")[2] for letter in world.kept}
    assert len(bodies) == 1
    assert len(world.kept) == 8


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (b"a\nb\r\n", "554 5.6.0"),
        (b"a\rb\r\n", "554 5.6.0"),
        (b"a\r\n.\n", "554 5.6.0"),
        (b"a\r\n.\r\n.\r\n", "250 2.0.0"),
        (b"no end", "250 2.0.0"),
        (b"", "250 2.0.0"),
    ],
)
async def test_what_a_chunk_may_hold(world: World, chunk: bytes, expected: str) -> None:
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}>")
        await client.say("RCPT TO:<bob@e.example>")
        body = HEADER + b"\r\n" + chunk
        client.write(f"BDAT {len(body)} LAST\r\n".encode() + body)
        assert await client.reply() == expected
    for letter in world.kept:
        assert b"\r\n.\r\n" not in letter.content
        assert letter.content.endswith(b"\r\n")


# How much


async def test_recipients_of_one_message(tmp_path) -> None:
    world = World(tmp_path, recipients=3)
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}>")
        said = [await client.say(f"RCPT TO:<b{n}@e.example>") for n in range(5)]
        assert said == ["250 2.1.5"] * 3 + ["452 4.5.3"] * 2
        await client.say("DATA")
        client.write(MESSAGE + b".\r\n")
        assert await client.reply() == "250 2.0.0"
    assert len(world.kept[0].recipients) == 3


async def test_fifty_in_a_second_are_taken_the_next_is_told_when(tmp_path) -> None:
    world = World(tmp_path, limits=Limits(50, 1000, 10_000))
    async with world.alice() as client:
        said = [await client.deliver(MESSAGE) for _ in range(51)]
        assert said == ["250 2.0.0"] * 50 + ["450 4.7.1"]
        assert "try again in 2 seconds" in client.text
        world.clock.advance(2)
        assert await client.deliver(MESSAGE) == "250 2.0.0"
    assert world.reasons()[0] == "rate"


async def test_a_relay_client_has_a_count_of_its_own(tmp_path) -> None:
    world = World(tmp_path, limits=Limits(0, 1, 0))
    async with world.alice() as client:
        assert await client.deliver(MESSAGE) == "250 2.0.0"
        assert await client.deliver(MESSAGE) == "450 4.7.1"
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO mta.example")
        assert await client.deliver(MESSAGE) == "250 2.0.0"
        assert await client.deliver(MESSAGE) == "450 4.7.1"


async def test_mail_and_rset_cost_nothing(tmp_path) -> None:
    world = World(tmp_path, limits=Limits(1, 1, 1))
    async with world.alice() as client:
        for _ in range(5):
            await client.say(f"MAIL FROM:<{ALICE}>")
            await client.say("RSET")
        assert await client.deliver(MESSAGE) == "250 2.0.0"


@pytest.mark.parametrize("recipients", [3, 100])
async def test_the_rest_of_a_long_list_does_not_lose_those_before_it(
    tmp_path: Path, recipients: int
) -> None:
    """RFC 5321 section 4.5.3.1.10: 452 to each, and the message goes to the others."""
    world = World(tmp_path, recipients=recipients)
    rest = int(ERRORS / EXCESS) - 1
    async with world.alice() as client:
        for _ in range(2):
            await client.say(f"MAIL FROM:<{ALICE}>")
            many = [f"RCPT TO:<b{n}@e.example>" for n in range(recipients + rest)]
            assert await client.say(*many, "NOOP") == "250 2.0.0"
            await client.say("DATA")
            client.write(MESSAGE + b".\r\n")
            assert await client.reply() == "250 2.0.0"
        await client.say(f"MAIL FROM:<{ALICE}>")
        many = [f"RCPT TO:<b{n}@e.example>" for n in range(recipients + rest + 2)]
        client.write("".join(f"{line}\r\n" for line in many).encode())
        assert b"421 4.7.0 " in await client.rest()  # but there is an end
    assert [len(letter.recipients) for letter in world.kept] == [recipients] * 2
    assert world.reasons().count("recipients") == 3 * rest + 1


async def test_errors_are_counted_from_the_last_message(world: World) -> None:
    """A client that keeps its connection may name a bad recipient now and then."""
    body = HEADER + b"\r\nx\r\n"
    async with world.alice() as client:
        for chunked in (False, True) * 2:
            for _ in range(ERRORS - 1):
                assert await client.say("RCPT TO:<nobody>") == "503 5.5.1"
            if chunked:
                await client.say(f"MAIL FROM:<{ALICE}>", "RCPT TO:<bob@e.example>")
                client.write(f"BDAT {len(body)} LAST\r\n".encode() + body)
                assert await client.reply() == "250 2.0.0"
            else:
                assert await client.deliver(body) == "250 2.0.0"
        said = [await client.say("RCPT TO:<nobody>") for _ in range(ERRORS)]
        assert said == ["503 5.5.1"] * ERRORS
        assert await client.reply() == "421 4.7.0"


# From where


@pytest.mark.parametrize("mode", [Mode.RELAY, Mode.STARTTLS])
async def test_from_elsewhere_nothing_is_taken(world: World, mode: Mode) -> None:
    async with world.client(mode, networks=(ip_network("10.0.0.0/8"),)) as client:
        assert client.greeting == "554 5.7.1"
        for line in ("EHLO x", "STARTTLS", "MAIL FROM:<>", "RCPT TO:<a@b.example>"):
            assert (await client.say(line))[:3] == "503"
        assert await client.say("QUIT") == "221 2.0.0"
        assert world.reasons() == ["network", *["bad_sequence"] * 4]


async def test_a_relay_without_networks_is_open_to_nobody(world: World) -> None:
    async with world.client(Mode.RELAY, networks=()) as client:
        assert client.greeting == "554 5.7.1"


async def test_connections_of_one_client_are_bounded(world: World) -> None:
    async with world.listening(Mode.RELAY) as port:
        clients = [await world.connect(port, Mode.RELAY) for _ in range(CONNECTIONS + 1)]
        assert [c.greeting for c in clients] == ["220"] * CONNECTIONS + ["421 4.7.0"]
        for client in clients:
            client.close()
    assert world.desk.clients == {}


@pytest.mark.parametrize(
    ("mode", "addresses", "places"),
    [
        (Mode.TLS, ["192.0.2.1", "192.0.2.2"], 2),
        (Mode.STARTTLS, ["2001:db8::1", "2001:db8::ffff:1"], 1),
        (Mode.TLS, ["2001:db8::1", "2001:db8:0:1::1"], 2),
        (Mode.RELAY, ["2001:db8::1", "2001:db8::2"], 2),
    ],
)
def test_whom_a_connection_counts_for(
    world: World, mode: Mode, addresses: list[str], places: int
) -> None:
    """As many IPv6 addresses as one customer has, they are one client; machines of ours are not."""
    make = world.desk.sessions(Listening("::", 0, mode, (ip_network("2001:db8::/32"),)))
    sessions = [make() for _ in addresses]
    for session, address in zip(sessions, addresses, strict=True):
        session.greet(Peer(address, 1, tls=False))
    assert len(world.desk.clients) == places
    for session in sessions:
        session.closed("closed")
    assert world.desk.clients == {}


# Logins that end


async def test_revoking_ends_an_open_session(world: World) -> None:
    async with world.alice() as client:
        assert await client.deliver(MESSAGE) == "250 2.0.0"
        world.accounts.revoke(ALICE, 0.0, "laptop")
        world.clock.advance(login.FRESH)
        assert await client.say(f"MAIL FROM:<{ALICE}>") == "421 4.7.0"
        assert await client.reply() == "closed"


async def test_revoking_ends_a_session_that_says_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or amid a message: nothing of it is taken."""
    monkeypatch.setattr(smtp_listen, "SWEEP", 0.02)
    async with world.listening(Mode.TLS) as port:
        clients = [await world.connect(port, Mode.TLS) for _ in range(2)]
        for client in clients:
            await client.say("EHLO laptop.home", f"AUTH PLAIN {plain(ALICE, world.secret)}")
        await clients[1].say(f"MAIL FROM:<{ALICE}>", "RCPT TO:<bob@e.example>", "DATA")
        clients[1].write(MESSAGE)
        world.accounts.revoke(ALICE, 0.0, "laptop")
        world.clock.advance(login.FRESH)
        for client in clients:
            assert await client.reply() == "421 4.7.0"
            assert await client.reply() == "closed"
    assert world.kept == []
    assert world.desk.clients == {}


async def test_a_message_that_ends_after_its_login_is_not_taken(world: World) -> None:
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}>", "RCPT TO:<bob@e.example>", "DATA")
        world.accounts.enable(ALICE, False)
        world.clock.advance(login.FRESH)
        client.write(MESSAGE + b".\r\n")
        assert await client.reply() == "421 4.7.0"
    assert world.kept == []


async def test_an_app_password_that_runs_out_ends_its_sessions(world: World) -> None:
    now = world.clock.now().timestamp()
    secret = world.accounts.make_password(ALICE, "short", now, now + 100).reveal()
    async with world.client(Mode.TLS) as client:
        await client.say("EHLO x", f"AUTH PLAIN {plain(ALICE, secret)}")
        world.clock.advance(99)
        assert await client.deliver(MESSAGE) == "250 2.0.0"
        world.clock.advance(1)
        assert await client.say(f"MAIL FROM:<{ALICE}>") == "421 4.7.0"


async def test_guessing_over_the_wire_is_ended(world: World) -> None:
    async with world.listening(Mode.TLS) as port:
        client = await world.connect(port, Mode.TLS)
        await client.say("EHLO x")
        guess = f"AUTH PLAIN {plain(ALICE, world.secret[:-1] + '_')}"
        said = [await client.say(guess) for _ in range(GUESSES.most)]
        assert said == ["535 5.7.8"] * GUESSES.most
        assert await client.say(guess) == "421 4.7.0"
        again = await world.connect(port, Mode.TLS)
        await again.say("EHLO x")
        assert await again.say(f"AUTH PLAIN {plain(ALICE, world.secret)}") == "421 4.7.0"
        client.close()
        again.close()
    assert world.logins() == ["wrong"] * GUESSES.most + ["blocked"] * 2
    assert world.secret[:-1] not in repr(world.told)


@pytest.mark.parametrize("command", ["EHLO x", "HELO x", "NOOP", "RSET", "VRFY bob", "HELP"])
async def test_each_command_that_leads_nowhere_is_counted(world: World, command: str) -> None:
    async with world.client(Mode.RELAY) as client:
        for _ in range(JUNK):
            assert (await client.say(command))[:1] == "2"
        assert await client.say(command) == "421 4.7.0"


async def test_commands_that_lead_nowhere_are_bounded(world: World) -> None:
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO x")
        for _ in range(JUNK - 1):
            assert await client.say("NOOP") == "250 2.0.0"
        assert await client.deliver(MESSAGE) == "250 2.0.0"
        for _ in range(JUNK):
            assert await client.say("RSET") == "250 2.0.0"
        assert await client.say("RSET") == "421 4.7.0"


@pytest.mark.parametrize("behind", [b"", b"QUIT\r\n", b"MAIL FROM:<half"])
async def test_who_says_nothing_more_is_answered(world: World, behind: bytes) -> None:
    """RFC 5321 section 4.1.1.4: the 250 is owed; without it the message would come once more."""
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO mta.example")
        client.write(
            b"MAIL FROM:<>\r\nRCPT TO:<bob@e.example>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"
        )
        client.write(behind)
        client.writer.write_eof()
        said = (await client.rest()).decode().splitlines()
    assert [line[:3] for line in said[:4]] == ["250", "250", "354", "250"]
    assert "Queued as id1" in said[3]
    assert [line[:3] for line in said[4:]] == (["221"] if behind.startswith(b"QUIT") else [])
    assert len(world.kept) == 1


async def test_doubled_dots_are_no_part_of_the_size(tmp_path: Path) -> None:
    """RFC 1870 section 5, for DATA as for BDAT."""
    body = b"Subject: x\r\n\r\n" + b".x\r\n" * 400
    world = World(tmp_path, size=len(body))
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO mta.example")
        assert await client.deliver(body.replace(b"\r\n.", b"\r\n.."), "") == "250 2.0.0"
        more = body + b"y"
        assert await client.deliver(more.replace(b"\r\n.", b"\r\n..") + b"\r\n", "") == "552 5.3.4"
        for message, expected in ((body, "250 2.0.0"), (more, "552 5.3.4")):
            await client.say("MAIL FROM:<>", "RCPT TO:<bob@e.example>")
            client.write(f"BDAT {len(message)} LAST\r\n".encode() + message)
            assert await client.reply() == expected


@pytest.mark.parametrize("mode", [Mode.RELAY, Mode.TLS])
@pytest.mark.parametrize(
    "first", [b"From bob@e.example Thu Nov 26 10:00:00 2026\r\n", b">From x\r\n"]
)
async def test_the_line_of_an_mbox_is_none_of_the_message(
    world: World, mode: Mode, first: bytes
) -> None:
    message = b"From: alice@d.example\r\nSubject: x\r\n\r\nFrom here on\r\n"
    async with world.client(mode) as client:
        await client.say("EHLO laptop.home")
        if mode is Mode.TLS:
            await client.say(f"AUTH PLAIN {plain(ALICE, world.secret)}")
        assert await client.deliver(first + message) == "250 2.0.0"
    assert first not in world.kept[0].content
    assert world.kept[0].content.endswith(message)


async def test_what_another_server_had_is_left_as_it_is(world: World) -> None:
    """RFC 5321 section 6.4; what comes from its author by a relay listener is completed."""
    passed = b"Received: from a by b; Thu, 26 Nov 2026 10:00:00 +0000\r\nSubject: x\r\nno field\r\n"
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO mta.example")
        await client.deliver(passed + b"\r\nx\r\n", "")
        await client.deliver(b"Subject: x\r\n\r\nx\r\n", "")
    left, added = (
        letter.content.partition(b"\r\n\tfor <bob@e.example>")[2] for letter in world.kept
    )
    ours, theirs = left[: -len(passed) - 5], left[-len(passed) - 5 :]
    assert theirs == passed + b"\r\nx\r\n"
    assert ours.endswith(b" +0000\r\n")
    assert b"\r\nDate: " in added
    assert b"\r\nMessage-ID: " in added


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("MAILFROM:<a@b.example>", "500 5.5.1"),
        ("RCPTTO:<a@b.example>", "500 5.5.1"),
        ("MAIL:<a@b.example>", "500 5.5.1"),
        ("NOOP:", "500 5.5.1"),
        ("From: a@b.example", "421 4.7.0"),
        ("Subject: x", "421 4.7.0"),
        ("X-Mail: x", "421 4.7.0"),
    ],
)
async def test_a_command_without_its_blank_is_no_header(
    world: World, line: str, expected: str
) -> None:
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO mta.example")
        assert await client.say(line) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["MAIL FROM:<alice@d.example> AUTH=a+2Bb@d.example"], "250 2.1.0"),
        (["MAIL FROM:<alice@d.example> AUTH=<>"], "250 2.1.0"),
        (["MAIL FROM:<alice@d.example> AUTH=a+zz"], "501 5.5.4"),
        (["MAIL FROM:<alice@d.example> AUTH=a+2b"], "501 5.5.4"),
        (
            ["MAIL FROM:<alice@d.example>", "RCPT TO:<b@e.example> ORCPT=utf-8;ü@e.example"],
            "501 5.5.4",
        ),
        (
            ["MAIL FROM:<alice@d.example>", "RCPT TO:<b@e.example> ORCPT=utf-8;\\x{FC}@e.example"],
            "250 2.1.5",
        ),
        (
            [
                "MAIL FROM:<alice@d.example> SMTPUTF8",
                "RCPT TO:<b@e.example> ORCPT=utf-8;ü@e.example",
            ],
            "250 2.1.5",
        ),
    ],
)
async def test_values_in_their_own_encoding(world: World, lines: list[str], expected: str) -> None:
    """RFC 4954 section 5, RFC 6533 section 3."""
    async with world.alice() as client:
        for line in lines[:-1]:
            assert (await client.say(line)).startswith("250")
        assert await client.say(lines[-1]) == expected


async def test_a_login_that_is_too_long_has_its_own_code(world: World) -> None:
    """RFC 4954 section 6."""
    async with world.client(Mode.TLS) as client:
        await client.say("EHLO laptop.home")
        assert await client.say("AUTH PLAIN " + "a" * 12_300) == "500 5.5.6"
        assert await client.say("AUTH PLAIN") == "334"
        assert await client.say("a" * 12_300) == "500 5.5.6"
