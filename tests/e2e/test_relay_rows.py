"""What is promised of ``posthouse serve`` in numbers, shown by the process that people run."""

from __future__ import annotations

import email
import smtplib
import time
from base64 import encodebytes
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.smtp import FakeSmtpServer
from peers import relay

pytestmark = pytest.mark.netns

FAR, PROVIDER = "127.0.0.30", "127.0.0.40"
ALICE, BOB = "alice@home.test", "bob@away.test"
SPLIT = f"""
[[hop]]
name = "mailboxes"
hosts = ["{FAR}:25"]
security = "none"
[[hop]]
name = "provider"
hosts = ["{PROVIDER}:25"]
security = "none"
[[route]]
recipient = ["@home.test"]
hop = "mailboxes"
[[route]]
hop = "provider"
"""


@contextmanager
def there(host: str, *extensions: str) -> Iterator[FakeSmtpServer]:
    behaviour = Behaviour(extensions=extensions or ("PIPELINING", "8BITMIME"))
    with in_background(FakeSmtpServer(behaviour, host=host, port=25)) as server:
        yield server


def for_whom(server: FakeSmtpServer) -> list[list[str]]:
    return [[one.recipient for one in message.recipients] for message in server.messages]


@pytest.mark.parametrize("workers", [1, 3])
def test_fifty_in_a_second_and_the_next_is_told_when(workers: int) -> None:
    """Each over a connection of its own, so that all workers have some; others are not touched."""
    config = relay.text(relay.plain("far", f"{FAR}:25"), workers=workers)
    replies: list[tuple[int, bytes]] = []

    def hand_in(source: str) -> tuple[int, bytes]:
        with smtplib.SMTP(relay.HOST, 25, timeout=20, source_address=(source, 0)) as client:
            client.ehlo("client.test")
            client.mail(ALICE)
            reply = client.rcpt(BOB)
            return client.data(b"Subject: x\r\n\r\nx\r\n") if reply[0] == 250 else reply

    with there(FAR), relay.running(config.replace("burst = 0", "burst = 50")) as ours:
        for _ in range(5):  # a busy machine may not do 51 in a second
            replies = [hand_in("127.0.0.61") for _ in range(51)]
            if replies[-1][0] != 250:
                break
            time.sleep(1.1)  # those of this round count in the next one's first second
        assert [code for code, _ in replies] == [250] * 50 + [450]
        assert replies[-1][1] == b"4.7.1 Too many messages, try again in 1 seconds"
        assert hand_in("127.0.0.62")[0] == 250
        ours.wait_until_empty()


def test_each_recipient_goes_the_way_of_its_own() -> None:
    """Mail for ourselves never goes to the provider, in one message with others or without hope."""
    with relay.running(relay.text(SPLIT)) as ours, there(PROVIDER) as provider:
        with there(FAR) as mailboxes:
            ours.send(b"Subject: x\r\n\r\nx\r\n", ALICE, "in@home.test", BOB, "IN@HOME.TEST")
            ours.wait_until_empty()
            assert for_whom(mailboxes) == [["in@home.test", "IN@HOME.TEST"]]
            assert for_whom(provider) == [[BOB]]
        before = len(ours.log("deferred"))
        ours.send(b"Subject: x\r\n\r\nx\r\n", ALICE, "in@home.test", BOB)
        ours.wait_for_log("deferred", before + 2)
        assert for_whom(provider) == [[BOB], [BOB]]
        trace = provider.messages[-1].content.partition(b"\r\n\tby ")[2]
        assert trace.startswith(b"relay.test with ")
        ours.asked("queue", "delete", "--all", "--yes")


def business(number: int) -> bytes:
    """A text and a file, both in base64, as Outlook and its kin send them."""
    rng = Random(number)
    text = ("Sehr geehrte Damen und Herren, 您好\r\n" * 400).encode()
    parts = [("text/plain; charset=utf-8", text)]
    if number % 2:
        parts.append(("application/pdf", rng.randbytes(rng.choice([20_000, 90_000]))))
    body = b"".join(
        b"--b\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n%s"
        % (kind.encode(), encodebytes(content).replace(b"\n", b"\r\n"))
        for kind, content in parts
    )
    head = f"From: {ALICE}\r\nTo: {BOB}\r\nSubject: {number}\r\nMessage-ID: <{number}@x.test>\r\n"
    mime = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return (head + mime).encode() + body + b"--b--\r\n"


def contents(message: bytes) -> list[bytes]:
    parts = [part for part in email.message_from_bytes(message).walk() if not part.is_multipart()]
    return [bytes(part.get_payload(decode=True)) for part in parts]


@pytest.mark.parametrize(
    ("extensions", "numbers", "body"),
    [
        (("PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME"), range(10), "BINARYMIME"),
        (("PIPELINING", "8BITMIME"), range(0, 10, 2), "8BITMIME"),  # texts alone
    ],
)
def test_base64_undone_saves_a_quarter_and_changes_no_octet(
    extensions: tuple[str, ...], numbers: range, body: str
) -> None:
    mails = {str(n): business(n) for n in numbers}
    config = relay.text(relay.plain("far", f"{FAR}:25", more="binary = true"))
    with there(FAR, *extensions) as far, relay.running(config) as ours:
        for mail in mails.values():
            ours.send(mail, ALICE, BOB)
        ours.wait_until_empty()
        carried = sum(seen.body_octets for seen in far.seen)
    assert carried <= 0.76 * sum(map(len, mails.values()))  # our Received field is in it
    assert {message.mail.params.get("BODY") for message in far.messages} == {body}
    arrived = {email.message_from_bytes(m.content)["Subject"]: m.content for m in far.messages}
    assert arrived.keys() == mails.keys()
    for subject, mail in mails.items():
        assert contents(arrived[subject]) == contents(mail)
