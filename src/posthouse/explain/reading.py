"""From whatever was pasted to one readable line with its codes.

Enters: bytes, text or a ``Reply``. Leaves: ``Reading``: the text decoded (UTF-8, else GB18030,
else Cyrillic or Latin-1), mojibake put right where it is evident, the base64 JSON of a failed
OAuth login opened, basic and enhanced code picked out. Called by ``reply``; ``engine`` judges it.
Nothing can fail, whatever comes in.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from posthouse.protocol.text import head, unescaped

TEXT_LIMIT: Final = 4_096  # characters judged; RFC 5321 4.5.3.1.5 allows 512 octets a line
OAUTH_LIMIT: Final = 2_048  # base64 characters of a 334 challenge that are opened

_LEADING: Final = re.compile(
    r"[\s\W]{0,3}(?:smtp;\s*)?([2345]\d\d)(?![\d.]|\w)"
    r"(?:[ -]([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d))?"
)
_PLAIN_REPLY: Final = re.compile(r"([245]\d\d)[ -]([245]\.\d{1,3}\.\d{1,3})[ ,:;]")
_BEFORE_ENHANCED: Final = re.compile(r"(?<![\w.])([245]\d\d)[ \-]+(?:smtp; ?)?#?$")
_BEFORE: Final = 12  # characters that ``_BEFORE_ENHANCED`` may span
# A code further inside, and what must stand before it: the digits first, which are soon searched.
_INSIDE: Final = re.compile(r"[245][0-5]\d(?=[\s\-:,;'\")#]|$)")
_LEADS_IN: Final = re.compile(
    r"(?:said|smtp|returned|response|responded|code|status|error|reply|server|exception|[:(;\]>\n])"
    r"[\s:=\"'(<-]{0,4}$",
    re.IGNORECASE,
)
_LEAD: Final = 14  # characters that ``_LEADS_IN`` may span
_ENHANCED: Final = re.compile(r"([245](?<![\d.][245])\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")
_BASE64_JSON: Final = re.compile(r"eyJ[A-Za-z0-9+/_\-]{8,}={0,2}")
_ADDRESS: Final = re.compile(
    r"(?<![^\s<>@:;,\"'()=])[^\s<>@:;,\"'()=]{1,255}+@[^\s<>@:;,\"'()]{1,255}+"
)
# What log lines of Postfix, sendmail, OpenSMTPD and Exim say beside the failure itself:
# "relay=...", "helo=<pc>", "T=remote_smtp" are no words about relaying, HELO names or SMTP.
_LOG_SIGNS: Final = ("relay=", "helo=", " T=")
_LOG_FIELDS: Final = re.compile(
    r"(?<![\w?&])(?:relay|helo|dsn|proto|from|to|orig_to|ctladdr|mailer|source|evpid|rcpt|delays?|xdelay|pri"
    r"|size|nrcpt|sasl_\w+|[A-Z]{1,3})=(?:\"[^\"]*\"|<[^>]*>|[^\s,;]*)"
)
# What introduces another server's reply, in words of its own ("recipient domain", "unexpected").
_QUOTES: Final = ("returned was:", 'with message "', "stat=Service unavailable:")
# What every IPv4 address has, found the faster for its beginning with one character.
_DOTTED: Final = re.compile(r"\.\d{1,3}\.\d{1,3}\.\d")
_IPV4: Final = re.compile(r"\d(?<![\d.]\d)\d{0,2}(?:\.\d{1,3}){3}(?![\d.])")

# GB 2312 puts its 3,755 common characters under lead bytes B0-D7, punctuation under A1-A3.
_GBK_COMMON: Final = re.compile(rb"[\xb0-\xd7\xa1\xa3][\xa1-\xfe]")
_HIGH_RUN: Final = re.compile(rb"[\x80-\xff]+")
_LATIN_RUN: Final = re.compile(r"[\x80-\xff](?:[\x00-\xff]*[\x80-\xff])?")
# Two and more, the first of them beyond ASCII: a Windows path has one at a time.
_ESCAPES: Final = re.compile(
    r"\\(?:x[89A-Fa-f][0-9A-Fa-f]|[2-3][0-7]{2})(?:\\(?:x[0-9A-Fa-f]{2}|[0-3][0-7]{2}))+"
)


class Reading(NamedTuple):
    """One line, read."""

    text: str  # decoded and repaired; what people are shown
    judged: str  # the same without addresses and log fields, whose words ("spam@...") say nothing
    code: str  # "535", or "" where there is none
    enhanced: str  # "5.7.8", or ""


def read(line: str | bytes) -> Reading:
    """Decode, repair and pick out the codes."""
    if isinstance(line, str):
        line = unescaped(line[: TEXT_LIMIT * 4])
    text = decode(line) if isinstance(line, bytes) else line
    text = text[:TEXT_LIMIT]
    if "\\" in text:
        text = _ESCAPES.sub(_octets, text)
    if not text.isascii():
        text = repair(text)
    if "eyJ" in text:
        text = f"{text} {_open_oauth(text)}"
    judged = text
    for quote in _QUOTES:
        if quote in judged:
            judged = _quoted(judged, quote)
    code, enhanced = _codes(judged)
    if "\n" in text:
        judged = _join(judged, code)
    if "=" in judged and any(sign in judged for sign in _LOG_SIGNS):
        judged = _LOG_FIELDS.sub(" ", judged)
    if "@" in judged:
        judged = _ADDRESS.sub(" mailaddr ", judged)
    if _DOTTED.search(judged):
        judged = _IPV4.sub("ipaddr", judged)  # "[192.0.2.1] blocked": the word rules can name
    return Reading(text, judged, code, enhanced)


def ipv4(text: str) -> str | None:
    """The first IPv4 address that a text names."""
    found = _IPV4.search(text) if _DOTTED.search(text) else None
    return found[0] if found else None


def _quoted(text: str, quote: str) -> str:
    """What follows the introduction, where that is a reply."""
    reply = text.partition(quote)[2].lstrip()
    return reply if reply[:3].isdigit() and reply[3:4] in " -" else text


def decode(raw: bytes) -> str:
    """UTF-8, else the Chinese, Cyrillic or Western 8-bit set that the bytes look like."""
    raw = head(raw, TEXT_LIMIT * 4)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_8bit(raw)


def _decode_8bit(raw: bytes) -> str:
    if _looks_gbk(raw):
        return raw.decode("gb18030", "replace")
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    high = b"".join(_HIGH_RUN.findall(raw))
    # Russian in windows-1251 is letters C0-FF only, in runs longer than any accent's.
    if min(high) >= 0xA8 and len(max(_HIGH_RUN.findall(raw), key=len)) >= 4:
        cyrillic = sum(byte >= 0xE0 for byte in high)
        if cyrillic >= 0.6 * len(high):
            return raw.decode("cp1251", "replace")
    if text and all(len(run) >= 2 for run in _HIGH_RUN.findall(raw)):
        return text
    return raw.decode("latin-1")


def _looks_gbk(raw: bytes) -> bool:
    """Runs of high bytes come in pairs, and nearly all pairs are common characters."""
    runs = _HIGH_RUN.findall(raw)
    pairs = sum(len(run) // 2 for run in runs)
    common = sum(len(_GBK_COMMON.findall(run)) for run in runs)
    return pairs >= 2 and all(len(run) % 2 == 0 for run in runs) and common >= 0.7 * pairs


def repair(text: str) -> str:
    """Put mojibake right where it is evident; other text comes back as it is."""
    if "\ufffd" in text and "\u0228" in text:
        # 授权码 in GBK, read as UTF-8: of its six bytes only C8 A8 survive, as this letter.
        return f"{text} 授权码"
    # Run by run: what a program adds in its user's language is beside what it could not read.
    return _LATIN_RUN.sub(lambda run: _repaired(run[0]), text)


def _repaired(run: str) -> str:
    raw = run.encode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace") if _looks_gbk(raw) else run


def _octets(escaped: re.Match[str]) -> str:
    """Octets that a program has written down: ``\\xc7\\xeb`` (Python), ``\\307\\353`` (C)."""
    digits = re.findall(r"\\(?:x([0-9A-Fa-f]{2})|([0-3][0-7]{2}))", escaped[0])
    return decode(bytes(int(hexa, 16) if hexa else int(octal, 8) for hexa, octal in digits))


def _open_oauth(text: str) -> str:
    """The JSON that a server sends, base64 coded, after a failed OAuth login (RFC 7628 3.2.2)."""
    found = _BASE64_JSON.search(text)
    if found is None or len(found[0]) > OAUTH_LIMIT:
        return ""
    coded = found[0].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        opened = base64.b64decode(coded + "=" * (-len(coded) % 4))
    except (binascii.Error, ValueError):
        return ""
    return opened.decode("utf-8", "replace") if opened.startswith(b'{"') else ""


def _codes(text: str) -> tuple[str, str]:
    if plain := _PLAIN_REPLY.match(text):
        return plain[1], plain[2]
    leading = _LEADING.match(text)
    if leading and leading[2]:
        return leading[1], leading[2]
    found = _ENHANCED.search(text)
    enhanced = found[1] if found else ""
    if leading:
        return leading[1], enhanced
    if found:
        start = found.start()
        if before := _BEFORE_ENHANCED.search(text[max(0, start - _BEFORE) : start]):
            return before[1], enhanced
    for inside in _INSIDE.finditer(text):
        start = inside.start()
        if _LEADS_IN.search(text[max(0, start - _LEAD) : start]):
            return inside[0], enhanced
    return "", enhanced


def _join(text: str, code: str) -> str:
    """A reply of several lines as one: without the codes that begin its later lines."""
    if not code:
        return text
    again = re.compile(rf"\r?\n[ \t]*{code}[- ](?:[245]\.\d{{1,3}}\.\d{{1,3}} )?")
    return again.sub(" ", text)
