"""Targets of what the relay reads of strangers' mail and replies before it sends on."""

from __future__ import annotations

import base64

from posthouse.letter import Item, Letter, Outcome, Recipient, Result, State
from posthouse.net.smtp_open import Refused
from posthouse.protocol.message.recode import (
    RecodeError,
    to_binary,
    to_eight_bits,
    to_seven_bits,
    to_short_lines,
)
from posthouse.protocol.smtp.data import unstuff
from posthouse.send.deliver.bounce import Bounces
from posthouse.send.deliver.keys import Keys, from_domain
from posthouse.send.deliver.prepare import Prepare, stuffed
from posthouse.send.deliver.transaction import Task
from posthouse.send.deliver.waits import LEAST, MOST, read_wait

_BOB = Recipient("bob@e.example", {"NOTIFY": "FAILURE,SUCCESS"})
_ITEM = Item(0, "1", _BOB, State.READY)
_OFFERS = ((), ("8BITMIME",), ("8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME"))

_CODED = base64.encodebytes("Grüße\r\n你好\r\n".encode()).replace(b"\n", b"\r\n")
MESSAGES = [
    "From: a@d.example\r\nSubject: x\r\n\r\nGrüße\r\n.dot\r\n".encode(),
    b"From: a@d.example\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + _CODED,
    b'From: "x@y" <a@d.example>\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n'
    b"\xc3\xa4\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n\xc3\xa4\r\n"
    b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + _CODED
    + b"--b--\r\nend\r\n",
    b"DKIM-Signature: v=1;\r\n d=d.example\r\nFrom: a@d.example\r\n\r\n\xff\r\n",
    b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xe4\r\n--s--\r\n",
    b"To: a@d.example,"
    + b"b@d.example," * 99
    + b"\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    b"\r\n--b\r\n\r\n"
    + b"word " * 220
    + b"\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + b"QUJD" * 300
    + b"\r\n--b--\r\n",
]
REPLIES = [
    b"Greylisted, see you in 300 seconds",
    "请在5分钟后重试".encode(),
    b"please come back in 00:04:55, grey",
    b"100 messages per 60 minutes, Retry-After: 120 again",
]


def recoded(data: bytes) -> None:
    """What is recoded is what was asked for, and recoding once is enough."""
    for recode in (to_seven_bits, to_eight_bits, to_binary, to_short_lines):
        try:
            made = recode(data)
        except RecodeError:
            continue
        if recode is to_seven_bits:
            assert made.isascii()
            assert to_seven_bits(made) is made
        if recode is to_short_lines:
            assert to_short_lines(made) is made
        if recode in (to_eight_bits, to_short_lines) and _is_lines(data):
            assert _is_lines(made)
        assert len(made) <= 4 * len(data) + 4_000


def _is_lines(data: bytes) -> bool:
    return data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r")


def prepared(data: bytes) -> None:
    """Any content is sent or refused, in sound wire form; its sender can be told."""
    wire = stuffed(data)
    assert unstuff(wire) == data
    letter = Letter("1", "alice@d.example", (_BOB,), wire, 0.0)
    for offers in _OFFERS:
        for binary in (False, True):
            ready = Prepare(Keys(()), lambda: 0.0)
            try:
                made = ready(Task(letter, (_ITEM,)), dict.fromkeys(offers, ""), binary=binary)
            except Refused:
                continue
            if "BODY" not in made.mail.params:
                assert made.content.isascii()
            if made.mail.params.get("BODY") != "BINARYMIME":
                assert b"\r\n.\r\n" not in made.content
    assert from_domain(data).isascii()


def reported(data: bytes) -> None:
    """Whatever was sent and whatever was said: one sound report of three parts."""
    text = data.decode("utf-8", "replace")
    letter = Letter("1", "alice@d.example", (_BOB,), stuffed(data), 0.0, {"RET": "FULL"})
    outcome = Outcome("bob@e.example", Result.REFUSED, 550, "5.1.1", text, "mx", cause="msg.spam")
    report = Bounces("relay.d.example", lambda: "7")(letter, [(_ITEM, outcome)], "failed", 1.0)
    assert report is not None
    assert _is_lines(report.content)
    assert max(map(len, report.content.split(b"\r\n"))) <= 998
    assert b"\r\n.\r\n" not in report.content


def waited(data: bytes) -> None:
    found = read_wait(data.decode("utf-8", "replace"))
    assert found is None or LEAST <= found <= MOST
