"""Targets of what is handed in: files with messages, lines of JSON, the journal of a run."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime

from posthouse.protocol.smtp.data import END, check_lines
from posthouse.send.client import Draft, Envelope, Kind, Unusable, compose
from posthouse.send.client.journal import _parsed
from posthouse.send.client.source import json_lines, mbox

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FROM = b"From a@d.example Mon May  4 03:02:01 2026\n"
MAILS = (
    b"From: a@d.example\nTo: b@e.example, \"C\" <c@e.example>\nBcc: d@e.example\n\n.x\n",
    b"Sender: a@d.example\r\nFrom: x:;\r\nCc: g: b@e.example;\r\n folded\r\n\r\n",
)  # fmt: skip
BOXES = tuple(FROM + mail + b"\n" + FROM + mail for mail in MAILS)
OBJECTS = (
    b'{"from": "A <a@d.example>", "to": ["b@e.example"], "subject": "\\u00fc", "text": "x"}',
    b'{"id": 7, "from": "a@d.example", "to": "b@e.example", "html": "<p>", "headers": {"X": "1"}}',
)


def mail(data: bytes) -> None:
    _composed(Draft("m", data))


def line(data: bytes) -> None:
    _composed(Draft("l:1", data, Kind.JSON))


def files(data: bytes) -> None:
    for draft in [*mbox(io.BytesIO(data), "m"), *json_lines(io.BytesIO(data), "l")]:
        _composed(draft)
    entry = _parsed(data)
    assert entry is None or json.dumps(entry)


def _composed(draft: Draft) -> None:
    try:
        message = compose(draft, Envelope(), NOW)
    except Unusable:
        return
    check_lines(message.content)
    assert END not in message.content
    assert message.recipients
    head = message.content.partition(b"\r\n\r\n")[0].lower()
    assert re.search(rb"\r\nbcc[ \t]*:", b"\r\n" + head) is None
