"""PACC: the JSON of draft-ietf-mailmaint-pacc-02, and the digest that DNS holds of it.

Enters: the document's bytes, TXT records in presentation form, the user's address. Leaves:
PaccAnswer and a Digest verdict. Called by setup.find. The format knows implicit TLS on the
registered port alone, and the address as user name. Fails with DiscoveryError.

An answer counts only where ``verify`` says MATCH: the digest ties what the web server says to
what the domain's DNS says, so that taking over one of them is not enough.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.flow import Endpoint, Security
from posthouse.protocol.discovery.jsontree import Value, parse_json
from posthouse.protocol.discovery.offer import (
    OAUTH2,
    PASSWORD,
    DiscoveryError,
    Incoming,
    OAuth,
    Offer,
    credential_for,
    host_field,
    printable,
    web_url,
)
from posthouse.protocol.discovery.txt import txt_value

# The draft's "text" protocols: implicit TLS on the registered port (RFC 8314 section 7).
_SUBMISSIONS: Final = 465
_INCOMING: Final = {"imap": 993, "pop3": 995}


class Digest(StrEnum):
    """What DNS says about the document."""

    MATCH = "match"
    MISMATCH = "mismatch"  # DNS knows another document: never use this one
    ABSENT = "absent"  # no record
    UNUSABLE = "unusable"  # records, but none with a version and algorithm that we know


@dataclass(frozen=True, slots=True)
class PaccAnswer:
    """What one document says."""

    outgoing: tuple[Offer, ...]
    incoming: tuple[Incoming, ...]
    display_name: str = ""
    documentation: str | None = None
    oauth: OAuth | None = None


def urls(domain: str) -> tuple[str, ...]:
    """Where to ask; ``domain`` in A-labels. Redirects across domains are the caller's business."""
    return (f"https://ua-auto-config.{domain}/.well-known/user-agent-configuration.json",)


def digest_name(domain: str) -> str:
    """The name whose TXT record holds the digest."""
    return f"_ua-auto-config.{domain}"


def verify(document: bytes, records: Sequence[str]) -> Digest:
    """Compare the document's bytes as fetched with ``v=UAAC1; a=sha256; d=<base64>``.

    Several records may stand there while the document changes; one match is enough.
    """
    actual = hashlib.sha256(document).digest()
    verdict = Digest.UNUSABLE if records else Digest.ABSENT
    for record in records:
        expected = _digest(txt_value(record))
        if expected is None:
            continue
        if hmac.compare_digest(expected, actual):
            return Digest.MATCH
        verdict = Digest.MISMATCH
    return verdict


def _digest(record: str) -> bytes | None:
    tags: dict[str, str] = {}
    for part in record.split(";"):
        name, _, value = part.partition("=")
        tags.setdefault(name.strip().lower(), value.strip())
    if tags.get("v", "").upper() != "UAAC1" or tags.get("a", "").lower() != "sha256":
        return None
    try:
        return base64.b64decode(re.sub(r"\s+", "", tags.get("d", "")), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def parse(document: bytes, *, address: str) -> PaccAnswer:
    """Read one document. Raises DiscoveryError: ``no_outgoing`` where it has no SMTP server."""
    root = parse_json(document)
    protocols = root.need("protocols")
    smtp = protocols.get("smtp")
    if smtp is None:
        raise DiscoveryError("no_outgoing", protocols.line)
    auth, oauth = _authentication(root)
    offer = Offer(
        Endpoint(_host(smtp), _SUBMISSIONS, Security.TLS), address, auth, credential_for(auth)
    )
    incoming = tuple(
        Incoming(name, _host(server), port, Security.TLS)
        for name, port in _INCOMING.items()
        if (server := protocols.get(name))
    )
    info = root.get("info")
    return PaccAnswer((offer,), incoming, _provider(info), _help(info), oauth)


def _host(server: Value) -> str:
    host = server.need("host")
    return host_field(host.text(), host.line)


def _authentication(root: Value) -> tuple[tuple[str, ...], OAuth | None]:
    section = root.get("authentication")
    if section is None:
        return (), None
    public, password = section.get("oauth-public"), section.get("password")
    words = []
    oauth = None
    if public is not None:
        oauth = OAuth(issuer=printable(public.need("issuer").text()))
        words.append(OAUTH2)
    if password is not None and password.flag():
        words.append(PASSWORD)
    return tuple(words), oauth


def _provider(info: Value | None) -> str:
    provider = info.get("provider") if info else None
    name = provider.get("name") if provider else None
    return printable(name.text()) if name else ""


def _help(info: Value | None) -> str | None:
    section = info.get("help") if info else None
    page = section.get("documentation") if section else None
    return web_url(page.text()) if page else None
