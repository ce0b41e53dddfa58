"""A message that tries what breaks on the way, and what servers may do to one.

``HARD`` has lines of dots, words that look like the end of data and commands behind it, the longest
line allowed, 8-bit text and blanks at ends of lines. ``unchanged`` says whether it came through.
"""

from __future__ import annotations

import re

# One trace field: its first line and the lines it was folded into.
_TRACE = re.compile(
    rb"(?:Return-Path|Received|Delivered-To|X-Original-To|X-Peer|X-MailFrom|X-RcptTo):"
    rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*",
    re.IGNORECASE,
)


def letter(
    subject: str, *body: bytes, sender: str = "alice@example.test", to: str = "bob@example.test"
) -> bytes:
    """A whole message with all the fields that a server would otherwise add."""
    head = [
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        "Date: Tue, 24 Nov 2026 12:00:00 +0000",
        f"Message-ID: <{subject.replace(' ', '.')}@example.test>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    return b"".join(line + b"\r\n" for line in [*(h.encode() for h in head), b"", *body])


LINES = (
    b".",
    b"..",
    b"...",
    b". ",
    b".leading",
    b"..two",
    b"",
    b".",
    b"MAIL FROM:<evil@example.test>",
    b"RCPT TO:<bob@example.test>",
    b"DATA",
    b"." + b"x" * 996,  # 998 with the dot that is doubled on the way (RFC 5321 section 4.5.3.1.6)
    b"y" * 998,
    "Grüße, 邮件, почта".encode(),
    b"blanks at the end  \t ",
    b"From the beginning of a line",
    b"QUIT",
    b"",
    b".",
)


def hard(subject: str) -> bytes:
    """The hard one, told apart from others by its subject."""
    return letter(subject, *LINES)


def kept(stored: bytes) -> bytes:
    """A stored message with the line ends it had on the way: a Maildir may keep LF alone."""
    return stored if b"\r\n" in stored else stored.replace(b"\n", b"\r\n")


def unchanged(stored: bytes, sent: bytes) -> bool:
    """Whether every octet of ``sent`` is there, behind nothing but trace fields."""
    text = kept(stored)
    if not text.endswith(sent):
        return False
    return _TRACE.sub(b"", text[: len(text) - len(sent)]) == b""
