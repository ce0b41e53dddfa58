"""A draft made ready: envelope found, what must not be sent taken out, what is missing put in.

Enters: a ``Draft``, what the user said of the envelope, the time. Leaves: a ``Message``, or
Unusable. Called by ``crew`` for each draft when its turn comes. Bcc goes (RFC 5322 section 3.6.3),
Return-Path too (RFC 5321 section 4.4); Date, Message-ID and From are added where they are missing.
A header typed by hand, in UTF-8, is written in encoded words, which every server carries: SMTPUTF8
is asked for where an address needs it (RFC 6531), and few servers on the way have it. A text in
UTF-8 that does not say so does then. A line of more than 998 octets is broken so that readers see
the same, for many servers refuse it; where it can't be (it is signed) the server decides.
The Message-ID is made from what is sent to whom, so that a repeat of it can be recognised.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from posthouse.protocol.address import Address
from posthouse.protocol.message.recode import RecodeError, to_short_lines
from posthouse.protocol.smtp.data import normalize, stuff
from posthouse.send.client import written
from posthouse.send.client.addresses import addresses, mailbox
from posthouse.send.client.facts import BOM, Draft, Envelope, Kind, Message, Problem, Unusable

RECIPIENTS_LIMIT: Final = 10_000  # of one message; a list that long is for --many
KEY_DIGITS: Final = 32  # of a SHA-256: 128 bits never meet by chance

_FIELD: Final = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
_NOT_SENT: Final = frozenset((b"bcc", b"resent-bcc", b"return-path"))
_TO: Final = (b"to", b"cc", b"bcc")
_MAILBOXES: Final = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc"))
_TEXT: Final = re.compile(rb"subject|comments|organization|x-.+")  # the fields that are any text
_UTF8_TEXT: Final = (
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
)
Fields = list[tuple[bytes, bytes]]  # lower-case name, the whole field with its CRLF


def compose(draft: Draft, said: Envelope, now: datetime) -> Message:
    """The message. Raises Unusable."""
    if draft.problem is not None:
        raise draft.problem
    if draft.kind is Kind.JSON:
        fields = _object(draft.data)
        if fields.get("id") in (None, ""):
            fields.pop("id", None)  # an empty column of a table names nobody
        identity = json.dumps(fields.get("id", fields), sort_keys=True).encode()
        raw = written.written(fields, hashlib.sha256(identity).hexdigest()[:KEY_DIGITS])
        return _message(draft.where, raw, said, now, b"json\0" + identity)
    return _message(draft.where, draft.data, said, now, None)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise Unusable(Problem.NOT_JSON) from None
    if not isinstance(found, dict):
        raise Unusable(Problem.NOT_JSON)
    return found


def _message(
    where: str, raw: bytes, said: Envelope, now: datetime, identity: bytes | None
) -> Message:
    fields, body = split(normalize(raw))
    sender = _sender(fields, said)
    recipients = _recipients(fields, said)
    kept = [(name, field) for name, field in fields if name not in _NOT_SENT]
    head = b"".join(field for _, field in kept)
    key = _key(identity, sender, recipients, head, body)
    names = {name for name, _ in kept}
    if not head.isascii() and b"dkim-signature" not in names:
        head = b"".join(_encoded(name, field) for name, field in kept)
    message_id = _text(kept, b"message-id").strip()
    if b"from" not in names:
        head += f"{written.address_field('From', [said.sender or sender.wire])}\r\n".encode()
    if b"date" not in names:
        head += f"Date: {format_datetime(now)}\r\n".encode()
    if b"message-id" not in names:
        message_id = f"<{key}@{_id_domain(sender)}>"
        head += f"Message-ID: {message_id}\r\n".encode()
    if names.isdisjoint((b"mime-version", b"content-type")) and _is_utf8(body):
        head += _UTF8_TEXT
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    content = _short(head + b"\r\n" + body)
    return Message(
        key=key,
        where=where,
        sender=sender.wire,
        recipients=tuple(one.wire for one in recipients),
        content=stuff(content),
        size=len(content),
        message_id=message_id,
        eight_bit=not content.isascii(),
        utf8=not head.isascii() or any(a.needs_smtputf8 for a in (sender, *recipients)),
    )


def _short(content: bytes) -> bytes:
    try:
        return to_short_lines(content)
    except RecodeError:
        return content


def split(raw: bytes) -> tuple[Fields, bytes]:
    """The header fields and the body, of a message with CRLF line ends. Raises Unusable."""
    raw = raw.removeprefix(BOM).lstrip(b"\r\n")
    if raw.startswith((b"From ", b">From ")):
        raw = raw.partition(b"\n")[2]  # what an mbox puts before a message
    head, empty, body = (b"\r\n" + raw).partition(b"\r\n\r\n")
    if not empty:
        head = head.removesuffix(b"\r\n")
    fields = list(_fields(head[2:]))
    if not fields:
        raise Unusable(Problem.NOT_MAIL)
    return fields, body


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each with the lines that continue it (RFC 5322 section 2.2.3)."""
    name = b""
    lines: list[bytes] = []
    for line in head.split(b"\r\n") if head else []:
        if line[:1] in (b" ", b"\t") and lines:
            lines.append(line)
            continue
        if lines:
            yield name, b"\r\n".join(lines) + b"\r\n"
        found = _FIELD.match(line)
        if found is None:
            text = line[:40].decode("utf-8", "replace")
            raise Unusable(Problem.NOT_MAIL if not name else Problem.BAD_HEADER, name=text)
        name, lines = found[1].lower(), [line]
    if lines:
        yield name, b"\r\n".join(lines) + b"\r\n"


def _is_utf8(body: bytes) -> bool:
    """Whether it needs to be said that this is UTF-8: who reads it would have to guess."""
    try:
        return not body.isascii() and bool(body.decode())
    except UnicodeDecodeError:
        return False


def _encoded(name: bytes, field: bytes) -> bytes:
    """The field in ASCII, if it is one whose words may be encoded (RFC 2047 section 5)."""
    mailboxes = name in _MAILBOXES
    if field.isascii() or not (mailboxes or _TEXT.fullmatch(name)):
        return field
    label, _, value = field.replace(b"\r\n", b"").partition(b":")
    try:
        text = value.decode().strip()
        known = label.decode().strip()
        made = written.address_field(known, [text]) if mailboxes else written.field(known, text)
    except (UnicodeDecodeError, Unusable):  # the server may know what it is
        return field
    return f"{made}\r\n".encode() if made else field


def _text(fields: Fields, wanted: bytes) -> str:
    for name, field in fields:
        if name == wanted:
            value = field.partition(b":")[2].replace(b"\r\n", b"")
            return value.decode("utf-8", "replace")
    return ""


def _sender(fields: Fields, said: Envelope) -> Address:
    """As told, else the Sender, else the first of From (RFC 6409 section 8 leaves it to us)."""
    if said.sender:
        return mailbox(said.sender)[1]
    for name in (b"sender", b"from"):
        found = addresses([_text(fields, name)])
        if found:
            return found[0]
    raise Unusable(Problem.NO_SENDER)


def _recipients(fields: Fields, said: Envelope) -> list[Address]:
    """As told, else To, Cc and Bcc; each once."""
    if said.recipients:
        found = addresses(said.recipients)
    else:
        found = addresses(
            field.partition(b":")[2].replace(b"\r\n", b"").decode("utf-8", "replace")
            for name, field in fields
            if name in _TO
        )
    once = list({one.wire: one for one in found}.values())
    if not once or len(once) > RECIPIENTS_LIMIT:
        raise Unusable(Problem.NO_RECIPIENT if not once else Problem.TOO_LONG)
    return once


def _key(
    identity: bytes | None, sender: Address, to: Sequence[Address], head: bytes, body: bytes
) -> str:
    """From the envelope, and the user's own id or all that is sent.

    The same to somebody else is another message: a trial run with ``--to`` is none of the real one.
    A Date we add is no part of it.
    """
    digest = hashlib.sha256()
    for part in (sender.wire, *sorted(one.wire for one in to)):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    if identity is not None:
        digest.update(identity)
    else:
        digest.update(head)
        digest.update(b"\0")
        digest.update(body)
    return digest.hexdigest()[:KEY_DIGITS]


def _id_domain(sender: Address) -> str:
    """A literal's brackets are no domain of a Message-ID that all programs read."""
    return sender.ascii_domain.strip("[]").replace(":", ".")
