"""Which protocol the first bytes of an answer belong to.

Enters: the first bytes a peer sent. Leaves: one word. The probe uses it to say "an IMAP server
answers here" instead of "protocol error"; the TLS pump to say what met its hello. Never fails.
"""

from __future__ import annotations

import re
from typing import Final

_RULES: Final = (
    ("tls", re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")),  # RFC 8446 section 5.1, record header
    ("imap", re.compile(rb"\* (OK|PREAUTH|BYE)\b", re.I)),  # RFC 9051 section 7.1
    ("pop3", re.compile(rb"(\+OK|-ERR)\b", re.I)),  # RFC 1939 section 3
    ("ssh", re.compile(rb"SSH-\d")),  # RFC 4253 section 4.2
    ("http", re.compile(rb"HTTP/\d|\s*<(!doctype|html|\?xml)", re.I)),
    ("sieve", re.compile(rb'"IMPLEMENTATION"', re.I)),  # RFC 5804 section 1.7
    ("ftp", re.compile(rb"220[ -][^\r\n]*\bftp", re.I)),
    ("smtp", re.compile(rb"[2-5]\d\d([ -]|\r?\n|$)")),  # RFC 5321 section 4.2
)


def protocol_of(data: bytes) -> str:
    """ "smtp", "imap", "pop3", "http", "ssh", "ftp", "sieve", "tls", or "unknown"."""
    return next((name for name, rule in _RULES if rule.match(data)), "unknown")


def is_tls(data: bytes) -> bool:
    """Whether ``data`` can be the start of a TLS record; one byte is enough for a first guess."""
    if len(data) < 3:
        return bytes(data[:1]) in (b"\x15", b"\x16") and data[1:2] in (b"", b"\x03")
    return protocol_of(data) == "tls"
