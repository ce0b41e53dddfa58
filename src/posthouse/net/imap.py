"""Fetch a test message back: log in by IMAP, and wait until its Message-ID shows up.

Enters: where the mailbox is, how to log in, the id. Leaves: ``Fetched``, the message's header and
the folder it came to (a message in the spam folder has arrived, and that is worth knowing). Called
by the probe after the server accepted its test message. The password is sent once, and only inside
TLS with a trusted certificate. Nothing in the mailbox is changed (EXAMINE, BODY.PEEK).

RFC 9051 (and servers of RFC 3501), RFC 2971, RFC 6154. What can fail: ``NetworkFailure`` as in
``net.dial`` and ``net.stream``; CERTIFICATE, TLS_NOT_OFFERED and AUTH_NOT_OFFERED; BAD_REPLY with
"reason" login_refused or not_imap; SILENT with "reason" not_arrived when ``wait`` is over.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Failure, NetworkFailure, Secret, Security, Stage
from posthouse.net.clock import Clock
from posthouse.net.dial import Dialer
from posthouse.net.imap_wire import ImapWire, Refused, Response
from posthouse.net.stream import Stream
from posthouse.net.tls import TlsOptions
from posthouse.protocol.smtp import command as c

IMAP_PORT: Final = 143  # RFC 9051 section 2.1: STARTTLS here, TLS from the first byte elsewhere
CONNECT_SECONDS: Final = 15.0
LOOK_BACK: Final = 30  # newest messages looked at; more do not arrive between two looks
FIRST_PAUSE: Final = 1.0  # seconds between looks: most mail arrives within a few
LONGEST_PAUSE: Final = 5.0
PAUSE_GROWTH: Final = 1.5
SPAM_FOLDERS: Final = 3  # looked at besides the inbox

# For servers that do not mark the spam folder (RFC 6154 section 2). The last is 垃圾邮件 in
# modified UTF-7 (RFC 3501 section 5.1.3), as NetEase writes it.
_SPAM_NAMES: Final = frozenset(("junk", "spam", "junk e-mail", "junk email", "&v4nxppcutvy-"))
_LIST: Final = re.compile(rb'^LIST \(([^)]*)\) (?:"[^"]*"|NIL) (.+)$', re.I | re.S)
_EXISTS: Final = re.compile(rb"^(\d{1,10}) EXISTS$", re.I)
_FETCHED: Final = re.compile(rb"^(\d{1,10}) FETCH ", re.I)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The message that arrived."""

    folder: str  # as the server writes it; "INBOX"
    header: bytes  # up to and without the empty line; at most 64 KiB
    seconds: float  # of waiting, after login

    @property
    def in_spam(self) -> bool:
        """Whether it was sorted away."""
        return self.folder.upper() != "INBOX"


async def fetch_by_message_id(
    message_id: str,
    *,
    host: str,
    username: str,
    secret: Secret,
    dialer: Dialer,
    clock: Clock,
    port: int = 993,
    wait: float = 60.0,
    ca_file: str | None = None,
) -> Fetched:
    """Wait up to ``wait`` seconds for the message ``<...>``. One login, then quiet polling."""
    wanted = message_id.strip().encode("ascii", "replace")
    async with _session(host, port, dialer, ca_file) as wire:
        await _login(wire, username, secret)
        folders = ["INBOX", *await _spam_folders(wire)]
        began = clock.monotonic()
        pause = FIRST_PAUSE
        while True:
            for folder in folders:
                header = await _look(wire, folder, wanted)
                if header is not None:
                    await wire.goodbye()
                    return Fetched(folder, header, clock.monotonic() - began)
            spent = clock.monotonic() - began
            if spent >= wait:
                detail = {"reason": "not_arrived", "seconds": spent, "folders": folders}
                raise NetworkFailure(Failure.SILENT, Stage.ANY, **detail)
            await clock.sleep(min(pause, wait - spent))
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE)


@asynccontextmanager
async def _session(
    host: str, port: int, dialer: Dialer, ca_file: str | None
) -> AsyncIterator[ImapWire]:
    """A connection inside trusted TLS, greeted, with its capabilities known."""
    connected = await dialer.dial(host, port, timeout=CONNECT_SECONDS)
    stream = connected.stream
    security = Security.STARTTLS if port == IMAP_PORT else Security.TLS
    try:
        options = TlsOptions(host, ca_file=ca_file)
        if security is Security.TLS:
            await stream.start_tls(options)
        wire = ImapWire(stream)
        await wire.greeting()
        await wire.learn_capabilities()
        if security is Security.STARTTLS:
            if "STARTTLS" not in wire.capabilities:
                raise NetworkFailure(Failure.TLS_NOT_OFFERED, Stage.TLS, host=host, port=port)
            await wire.command("STARTTLS")
            wire.discard()
            await stream.start_tls(options)
            await wire.learn_capabilities()  # RFC 9051 section 6.2.1: what was said before is void
        _require_trust(stream, host, port)
        yield wire
    finally:
        await stream.close()


def _require_trust(stream: Stream, host: str, port: int) -> None:
    session = stream.tls
    if session is None or not session.trusted:
        problems = [str(p.kind) for p in session.problems] if session is not None else []
        detail: dict[str, Any] = {"host": host, "port": port, "problems": problems}
        raise NetworkFailure(Failure.CERTIFICATE, Stage.TLS, **detail)


async def _login(wire: ImapWire, username: str, secret: Secret) -> None:
    try:
        if "AUTH=PLAIN" in wire.capabilities:  # RFC 9051 section 6.2.2; carries any character
            plain = f"\0{username}\0{secret.reveal()}".encode()
            wire.masker.learn(c.Auth("PLAIN", plain))
            await wire.command("AUTHENTICATE PLAIN", b64encode(plain))
        elif "LOGINDISABLED" in wire.capabilities:
            raise NetworkFailure(Failure.AUTH_NOT_OFFERED, Stage.AUTH)
        else:
            # As literals, so that no character of a password has to be quoted.
            name, word = username.encode(), secret.reveal().encode()
            wire.masker.learn(c.Auth("LOGIN", name))
            wire.masker.learn(c.AuthResponse(word))
            await wire.command(f"LOGIN {{{len(name)}}}", name + b" {%d}" % len(word), word)
    except Refused as refused:
        detail = {"reason": "login_refused", "text": refused.text}
        raise NetworkFailure(Failure.BAD_REPLY, Stage.AUTH, **detail) from None
    await wire.learn_capabilities()
    if "ID" in wire.capabilities:
        # RFC 2971. NetEase (163, 126) opens no folder for a client that gives no name.
        await wire.attempt('ID ("name" "posthouse")')


async def _spam_folders(wire: ImapWire) -> list[str]:
    found = []
    for response in await wire.attempt('LIST "" "*"'):
        match = _LIST.match(response.joined())
        if match is None:
            continue
        name = _folder_name(match[2])
        if not name.isprintable():  # a line break in it would begin a command of its own
            continue
        flags = match[1].lower().split()
        leaf = re.split(r"[./]", name)[-1].lower()
        if b"\\junk" in flags or leaf in _SPAM_NAMES:
            found.append(name)
    return found[:SPAM_FOLDERS]


def _folder_name(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    if text.startswith('"') and text.endswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


async def _look(wire: ImapWire, folder: str, wanted: bytes) -> bytes | None:
    """The header of the wanted message, if it is among the newest of that folder.

    SEARCH would be shorter, but servers that index later do not find what has just arrived.
    """
    quoted = folder.replace("\\", "\\\\").replace('"', '\\"')
    responses = await wire.attempt(f'EXAMINE "{quoted}"')
    counts = [int(m[1]) for r in responses if (m := _EXISTS.match(r.joined()))]
    if not counts or counts[-1] == 0:
        return None
    first = max(1, counts[-1] - LOOK_BACK + 1)
    fields = await wire.attempt(f"FETCH {first}:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
    number = next((_number(r) for r in reversed(fields) if _has_id(r, wanted)), None)
    if number is None:
        return None
    for response in await wire.attempt(f"FETCH {number} (BODY.PEEK[HEADER])"):
        if _number(response) == number and response.literals:
            return response.literals[0].rstrip(b"\r\n")
    return None


def _number(response: Response) -> int | None:
    match = _FETCHED.match(response.joined())
    return int(match[1]) if match else None


def _has_id(response: Response, wanted: bytes) -> bool:
    text = b" ".join(response.literals) or response.joined()
    return _number(response) is not None and wanted in text.split()
