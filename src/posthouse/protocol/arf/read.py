"""Reading feedback reports. RFC 5965 sections 2 and 3.

Enters: a mail as bytes. Leaves: ``FeedbackReport``, with a note for each thing that is not as it
should be. Called through the package. Fails with FeedbackError alone. The part with the fields is
found by its type, wherever it stands; where a DMARC failure report has none, as some servers send
it, the fields are looked for in its text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from posthouse.protocol.arf.model import (
    AUTH_FAILURES,
    DELIVERY_RESULTS,
    FEEDBACK_TYPES,
    FeedbackReport,
    Note,
)
from posthouse.protocol.message import Headers, Part, parse_headers, parse_message, walk
from posthouse.protocol.message.text import decode_base64

REPEATED: Final = 100  # values kept of a field that may come often
NUMBER: Final = 10**9  # incidents
VALUE: Final = 4_096  # characters of one value

_ORIGINALS: Final = ("message/rfc822", "message/global", "text/rfc822")
_HEADERS: Final = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
_BLANKS: Final = re.compile(r"\s+")
_DIGITS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_FAILURE: Final = re.compile(
    r"\bDMARC\b.{0,200}\b(?:failure|forensic)\b|authentication failure", re.I
)
_SPOKEN: Final = re.compile(r"^[ \t]*([A-Za-z][A-Za-z -]{2,40}):[ \t]*(\S[^\n]*)$", re.MULTILINE)
_COPY: Final = re.compile(r"^---[^\n]*\b(?:copy|original)\b[^\n]*$", re.MULTILINE | re.I)
_KNOWN: Final = frozenset(
    b"feedback-type user-agent version incidents source-ip source-port arrival-date received-date "
    b"original-mail-from original-rcpt-to original-envelope-id reporting-mta reported-domain "
    b"reported-uri authentication-results auth-failure delivery-result identity-alignment "
    b"dkim-domain dkim-identity dkim-selector dkim-selector-dns dkim-adsp-dns "
    b"dkim-canonicalized-header dkim-canonicalized-body spf-dns".decode().split()
)
# What servers without a machine-readable part call the same things.
_ALIASES: Final = {
    "sender ip address": "source-ip",
    "source ip": "source-ip",
    "sender domain": "reported-domain",
    "received date": "arrival-date",
    "envelope sender": "original-mail-from",
}


class FeedbackError(Exception):
    """A mail that is no feedback report.

    Reasons: ``empty``, ``too_big``, ``no_feedback``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what strangers send."""

    size: int = 25_000_000  # bytes: no server takes larger mails
    original: int = 200_000  # bytes kept of the message reported


DEFAULT_LIMITS: Final = Limits()


def read(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> FeedbackReport:
    """The report a mail brings. Raises FeedbackError."""
    if not raw.strip():
        raise FeedbackError("empty")
    if len(raw) > limits.size:
        raise FeedbackError("too_big", str(len(raw)))
    mail = parse_message(raw)
    parts = list(walk(mail, into_messages=True))
    at = next((n for n, part in enumerate(parts) if _is_feedback(part)), None)
    if at is None:
        return _spoken(mail, parts, limits)
    reader = _Reader(parse_headers(parts[at].content()))
    original, headers_only = _original(parts[at + 1 :], limits)
    if not original:
        reader.note("no_message")
    text = _text(parts[:at])
    return reader.report(original, headers_only, text, mail.headers.get("subject"))


def _is_feedback(part: Part) -> bool:
    return part.media_type == "message/feedback-report"


def _original(parts: list[Part], limits: Limits) -> tuple[bytes, bool]:
    """The first message, or its headers, after the fields."""
    for part in parts:
        if part.media_type in _ORIGINALS:
            return part.content()[: limits.original], False
        if part.media_type in _HEADERS:
            return part.content()[: limits.original], True
    return b"", False


def _text(parts: list[Part]) -> str:
    return next((one.text()[:20_000] for one in parts if one.media_type == "text/plain"), "")


def _spoken(mail: Part, parts: list[Part], limits: Limits) -> FeedbackReport:
    """A DMARC failure report for people alone, as Exim sends it."""
    subject = mail.headers.get("subject")
    text = _text(parts)
    if not _FAILURE.search(subject) and mail.params.get("report-type") != "feedback-report":
        raise FeedbackError("no_feedback")
    copy = _COPY.search(text)
    told = text[: copy.start()] if copy else text
    lines = [b"Feedback-Type: auth-failure", b"Auth-Failure: dmarc"]
    for name, value in _SPOKEN.findall(told):
        field = _ALIASES.get(name.strip().lower())
        if field is not None:
            lines.append(f"{field}: {value.strip()}".encode("utf-8", "replace"))
    if len(lines) == 2:
        raise FeedbackError("no_feedback")
    reader = _Reader(parse_headers(b"\n".join(lines) + b"\n"))
    reader.note("no_feedback_part")
    headers = text[copy.end() :].lstrip().encode("utf-8", "replace") if copy else b""
    return reader.report(headers[: limits.original], True, told, subject)


class _Reader:
    """The fields of one report."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._notes: list[Note] = []

    def note(self, id_: str, /, **params: Any) -> None:
        self._notes.append(Note(id_, params))

    def report(
        self, original: bytes, headers_only: bool, text: str, subject: str
    ) -> FeedbackReport:
        return FeedbackReport(
            self._kind(),
            self._one("user-agent"),
            self._one("version"),
            self._number("incidents", 1, NUMBER),
            self._address(self._one("source-ip")),
            self._number("source-port", 0, 65_535),
            self._date(self._one("arrival-date") or self._one("received-date")),
            self._sender(),
            tuple(_unbracketed(value) for value in self._all("original-rcpt-to")),
            self._one("original-envelope-id"),
            _host(self._one("reporting-mta")),
            tuple(value.lower() for value in self._all("reported-domain")),
            self._all("reported-uri"),
            self._all("authentication-results"),
            self._word("auth-failure", AUTH_FAILURES),
            self._word("delivery-result", DELIVERY_RESULTS),
            self._alignment(),
            self._one("dkim-domain"),
            self._one("dkim-identity"),
            self._one("dkim-selector"),
            self._one("dkim-selector-dns"),
            self._one("dkim-adsp-dns"),
            self._base64("dkim-canonicalized-header"),
            self._base64("dkim-canonicalized-body"),
            self._all("spf-dns"),
            tuple(self._others()),
            original,
            headers_only,
            text,
            subject,
            tuple(self._notes),
        )

    def _kind(self) -> str:
        kind = self._one("feedback-type").lower()
        if not kind:
            self.note("field_missing", field="Feedback-Type")
        elif kind not in FEEDBACK_TYPES:
            self.note("type_unknown", value=kind)
        return kind

    def _values(self, name: str) -> list[str]:
        return [_BLANKS.sub(" ", value)[:VALUE] for value in self._headers.all(name)]

    def _one(self, name: str) -> str:
        values = self._values(name)
        if len(values) > 1:
            self.note("repeated", field=name)
        return values[0] if values else ""

    def _all(self, name: str) -> tuple[str, ...]:
        return tuple(value for value in self._values(name) if value)[:REPEATED]

    def _others(self) -> Iterator[tuple[str, str]]:
        for one in self._headers.fields[:REPEATED]:
            if one.name not in _KNOWN:
                yield one.name, one.text[:VALUE]

    def _number(self, name: str, default: int, most: int) -> int:
        text = self._one(name)
        if not text:
            return default
        if _DIGITS.fullmatch(text) and int(text) <= most:
            return int(text)
        self.note("number", field=name, value=text[:40])
        return default

    def _address(self, text: str) -> str:
        """RFC 5965 wants an address alone; some add the host's name in brackets."""
        word = text.partition(" ")[0].strip("[]").removeprefix("IPv6:")
        if not word:
            return ""
        try:
            return str(ipaddress.ip_address(word))
        except ValueError:
            self.note("address", value=text[:100])
            return ""

    def _date(self, text: str) -> datetime | None:
        if not text:
            return None
        try:
            return parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            self.note("date", value=text[:100])
            return None

    def _sender(self) -> str | None:
        if "original-mail-from" not in self._headers:
            return None
        return _unbracketed(self._one("original-mail-from"))

    def _word(self, name: str, known: frozenset[str]) -> str:
        word = self._one(name).lower()[:100]
        if word and word not in known:
            self.note("word_unknown", field=name, value=word)
        return word

    def _alignment(self) -> tuple[str, ...] | None:
        """RFC 9991 section 4: "none", or what failed for an aligned identifier."""
        if "identity-alignment" not in self._headers:
            return None
        words = re.split(r"[\s,]+", self._one("identity-alignment").lower())
        return tuple(word for word in words if word and word != "none")[:10]

    def _base64(self, name: str) -> bytes:
        raw = next((one.raw for one in self._headers.fields if one.name == name), b"")
        return decode_base64(raw)


def _unbracketed(value: str) -> str:
    value = value.strip()
    return value[1:-1].strip() if value.startswith("<") and value.endswith(">") else value


def _host(value: str) -> str:
    """Of "dns; mx.example.org", the name."""
    return value.rpartition(";")[2].strip()[:255]
