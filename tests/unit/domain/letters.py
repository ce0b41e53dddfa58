"""Mails of good.test for the audit's tests, plain, signed, and as received."""

from __future__ import annotations

from typing import Any

from posthouse.net.clock import SystemClock
from posthouse.protocol import dkim

RECEIVED = (
    b"Return-Path: <ann@good.test>\r\n"
    b"Received: from mx.reader.test (mx.reader.test [10.1.1.1]) by store.reader.test with LMTP;\r\n"
    b" Wed, 25 Nov 2026 10:00:09 +0000\r\n"
    b"Received: from mx.good.test (mx.good.test [198.51.100.25])\r\n"
    b" by mx.reader.test (Postfix) with ESMTPS id 1; Wed, 25 Nov 2026 10:00:08 +0000\r\n"
    b"Received: from [192.168.1.7] (home.isp.test [203.0.113.77]) by mx.good.test\r\n"
    b" with ESMTPSA id 2; Wed, 25 Nov 2026 10:00:05 +0000\r\n"
)
LIST = (
    b"List-Unsubscribe: <https://good.test/u/1>, <mailto:u@good.test>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
)


def now() -> int:
    """Seconds, a little ago."""
    return int(SystemClock().now().timestamp()) - 10


def letter(extra: bytes = b"", sender: bytes = b"Ann <ann@good.test>") -> bytes:
    """A mail."""
    return (
        b"From: " + sender + b"\r\nTo: b@other.test\r\nSubject: Hello\r\n"
        b"Date: Wed, 25 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@good.test>\r\n"
        + extra
        + b"\r\nHello.\r\n"
    )


def signed(
    key: Any,
    extra: bytes = b"",
    *,
    domain: str = "good.test",
    names: tuple[bytes, ...] = dkim.SIGNED,
    sender: bytes = b"Ann <ann@good.test>",
) -> bytes:
    """The same with a signature of selector s1."""
    raw = letter(extra, sender)
    signer = dkim.Signer([dkim.SigningKey(domain, "s1", key)], names=names)
    return signer.sign(raw, at=now()) + raw
