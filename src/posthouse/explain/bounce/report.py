"""Whether a message is a report at all, and where the returned message begins in it.

Enters: a parsed message. Leaves: ``Report``: its text, and the headers of the message it returns.
Called by ``read``. Nothing raises. Answers of people away, receipts and ordinary mail are no
reports, whatever words they have (RFC 3834 asks answering programs to say so).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from posthouse.explain.bounce.forms import forms
from posthouse.protocol.message import (
    Headers,
    Part,
    parse_headers,
    parse_received,
    text_of_html,
    walk,
)

TEXT_LIMIT: Final = 200_000  # characters of a report's text
_HEADERS_TYPES: Final = frozenset({"text/rfc822-headers", "message/global-headers"})
_OTHER_REPORTS: Final = frozenset({"disposition-notification", "feedback-report"})
_DECORATION: Final = " \t-=*+>#_:.：—–"
# Header fields that begin without a word: at the margin, and none that a report gives in its text.
_HEADER_LINE: Final = re.compile(
    r"^(?:received: ?(?:from|by|\()|return-path: ?<|dkim-signature: ?v)",
    re.IGNORECASE | re.MULTILINE,
)
_SUBJECT_LATER: Final = re.compile(r"^[ \t>]{0,8}(?:subject|from|date): ?\S", re.I | re.M)
_REPLY: Final = re.compile(r"(?:re|aw|sv|antw|ref|回复|回覆|答复|答覆|返信)\s*[:：]")


@dataclass(frozen=True, slots=True)
class Report:
    """A message that may report, taken apart."""

    message: Part
    text: str  # what it tells people, without the returned message
    original: Headers  # of the message returned; empty where none is

    @property
    def reporter(self) -> str:
        """The server that wrote it, as far as its headers tell."""
        domain = re.search(r"@([\w.-]{3,255})", self.message.headers.get("from"))
        lines = self.message.headers.all("received")
        by = parse_received(lines[-1]).by if lines else ""
        return by if "." in by else (domain[1].strip(".") if domain else by)


def take_apart(message: Part) -> list[Report]:
    """The message's plain text, then its HTML text: some tell the recipient in one alone.

    One at least, empty where there is no text.
    """
    plain, hyper, original = [], [], Headers()
    for part in walk(message):
        if part.media_type.startswith("message/") and part.parts:
            original = original if original.fields else part.parts[0].headers
        elif part.media_type in _HEADERS_TYPES:
            original = original if original.fields else parse_headers(part.content())
        elif original.fields:
            continue  # what stands after the returned message belongs to nobody
        elif part.media_type == "text/html":
            hyper.append(text_of_html(part.text()))
        elif part.media_type.startswith("text/"):
            plain.append(part.text())
    told = [texts for texts in (plain, hyper) if any(text.strip() for text in texts)] or [[""]]
    return [_split(message, "\n".join(texts)[:TEXT_LIMIT], original) for texts in told]


def _split(message: Part, text: str, original: Headers) -> Report:
    text = text.replace("\r\n", "\n")
    start, end = _original(text)
    if not original.fields and end < len(text):
        original = _quoted_headers(text[end:])
    return Report(message, text[:start], original)


def _original(text: str) -> tuple[int, int]:
    """Where the report ends and where the returned message begins."""
    position = 0
    for line in text.splitlines(keepends=True):
        bare = line.strip().strip(_DECORATION).lower()
        if bare and len(bare) < 120 and forms().original.match(bare) and position:
            return position, position + len(line)
        position += len(line)
    if (found := _HEADER_LINE.search(text)) and _SUBJECT_LATER.search(text, found.end()):
        return found.start(), found.start()
    return len(text), len(text)


def _quoted_headers(text: str) -> Headers:
    """Header fields, perhaps indented or quoted."""
    lines = text.lstrip("\n").split("\n")[:400]
    first = next((line for line in lines if line.strip()), "")
    margin = len(first) - len(first.lstrip(" >\t"))
    cut = [line[margin:] if not line[:margin].strip(" >\t") else line for line in lines]
    return parse_headers("\n".join(cut).lstrip("\n").encode("utf-8", "replace"))


def is_report(report: Report) -> bool:
    """Whether its sender, its subject and its words make it a report of failed delivery."""
    headers, data = report.message.headers, forms()
    subject = _low(headers.get("subject"))
    text = _low(report.text[:20_000])
    if report.message.params.get("report-type", "").lower() in _OTHER_REPORTS:
        return False
    strong = data.says("phrases.strong", text)
    titled = data.says("subject.failed", subject) or data.says("subject.delayed", subject)
    titled = titled and not _REPLY.match(subject)
    if data.says("subject.away", subject) and not titled:
        return _from_daemon(headers) and strong
    if _from_daemon(headers):
        return strong or titled or "x-failed-recipients" in headers
    return strong and (titled or _empty_path(headers)) and not _answers(headers)


def is_delayed(report: Report) -> bool:
    """Whether it only warns: the server still tries."""
    data, text = forms(), _low(report.text[:20_000])
    subject = _low(report.message.headers.get("subject"))
    warned = data.says("phrases.delayed", text) or data.says("subject.delayed", subject)
    return warned and not data.says("phrases.given_up", text)


def failed_header(message: Part) -> Iterator[str]:
    """X-Failed-Recipients of Exim, Gmail and others."""
    for value in message.headers.all("x-failed-recipients"):
        yield from (address.strip(" <>") for address in value.split(",") if "@" in address)


def _from_daemon(headers: Headers) -> bool:
    sender = _low(headers.get("from") or headers.get("sender"))
    return forms().says("sender.daemons", sender) or any(
        name in headers for name in forms().lists["sender.headers"]
    )


def _empty_path(headers: Headers) -> bool:
    return headers.get("return-path").replace(" ", "") == "<>"


def _answers(headers: Headers) -> bool:
    """RFC 3834 section 5: an answer to a message, not a report about it."""
    return headers.get("auto-submitted").lower().startswith("auto-replied") or any(
        name in headers for name in ("x-autoreply", "x-autorespond", "x-vacation")
    )


def _low(text: str) -> str:
    return " ".join(text.lower().split())
