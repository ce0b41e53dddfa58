"""One mail, looked at for what the audit of its domain needs to know.

Enters: a message as bytes, the time, answers to the questions for its keys. Leaves: ``Sample``.
Called by the audit (a message handed in) and by ``message``. Nothing fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import getaddresses
from typing import Final

from posthouse.protocol import dkim
from posthouse.protocol.dns import Query
from posthouse.protocol.message.headers import Headers, split_headers, unix

SIZE_LIMIT: Final = 50_000_000  # octets; larger than any server lets pass
NEEDED: Final = ("from", "date", "message-id")  # of which there is exactly one (RFC 5322 3.6)
_LINE_END: Final = re.compile(rb"\r?\n")
_URI: Final = re.compile(r"<\s*([^<>\s]{1,2000})\s*>")


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """How readers leave a list. RFC 2369, RFC 8058."""

    uris: tuple[str, ...] = ()
    one_click: bool = False  # https, List-Unsubscribe-Post, both there
    signed: bool = False  # a good signature covers both fields (RFC 8058 section 4)


@dataclass(frozen=True, slots=True)
class Sample:
    """One mail. ``authors``: the domains in From; ``wrong``: fields that lack or come twice."""

    headers: Headers
    authors: tuple[str, ...]
    dkim: dkim.Verification
    unsubscribe: Unsubscribe
    wrong: tuple[str, ...] = ()

    @property
    def signers(self) -> tuple[tuple[str, str], ...]:
        """Domain and selector of each signature that can be read."""
        found = ((r.domain, r.selector) for r in self.dkim.results if r.domain and r.selector)
        return tuple(dict.fromkeys(found))


def wire(raw: bytes) -> bytes:
    """The message with the line ends it had on its way; an mbox's first line is taken off."""
    text = raw[:SIZE_LIMIT]
    if text.startswith((b"From ", b">From ")):
        text = text.partition(b"\n")[2]
    return _LINE_END.sub(b"\r\n", text)


def read_sample(raw: bytes, now: datetime) -> Query[Sample]:
    """Read the message and verify its signatures as of ``now``."""
    message = wire(raw)
    verified = yield from dkim.verify(message, now=int(now.timestamp()))
    headers, _ = split_headers(unix(message[: 1 << 20]))
    return Sample(
        headers,
        authors(headers),
        verified,
        _unsubscribe(headers, verified),
        tuple(name for name in NEEDED if len(headers.all(name)) != 1),
    )


def authors(headers: Headers) -> tuple[str, ...]:
    """The domains of all addresses in From, in lower case, each once."""
    found = getaddresses(headers.all("from"))
    domains = (address.rpartition("@")[2].strip().lower() for _, address in found)
    return tuple(dict.fromkeys(domain for domain in domains if domain))


def _unsubscribe(headers: Headers, verified: dkim.Verification) -> Unsubscribe:
    uris = tuple(_URI.findall(headers.get("list-unsubscribe")))
    post = headers.get("list-unsubscribe-post").replace(" ", "").lower()
    one_click = post == "list-unsubscribe=one-click" and any(
        uri.lower().startswith("https://") for uri in uris
    )
    needed = {"list-unsubscribe", "list-unsubscribe-post"}
    signed = any(needed <= {name.lower() for name in one.signed} for one in verified.passed)
    return Unsubscribe(uris, one_click, one_click and signed)
