"""The one shape that every source's answer has, and the error they share.

Enters: fields as a source spells them. Leaves: Offer, Incoming, checked and in normal form.
Called by the parsers of this package. Fails with DiscoveryError alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.host import HostError, parse_host

# A configuration is a few kilobytes. The fetcher stops reading before this; it is checked again
# here, because a parser must not trust its caller with memory.
MAX_DOCUMENT: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_SERVERS: Final = 50  # more in one file is a mistake or an attack on the probe that follows
MAX_DOMAINS: Final = 500  # of one file: each costs an IDNA encoding
_MAX_TEXT: Final = 200
_MAX_URL: Final = 2_000
_MAX_USERNAME: Final = 320

# How a client may log in: the words of draft-ietf-mailmaint-autoconfig, used for all sources.
PASSWORD: Final = "password-cleartext"  # noqa: S105  a word of the format
ENCRYPTED: Final = "password-encrypted"
OAUTH2: Final = "OAuth2"
CLIENT_IP: Final = "client-IP-address"
NO_AUTH: Final = "none"
_AUTH_WORDS: Final = {
    "password-cleartext": PASSWORD,
    "plain": PASSWORD,  # as in config-v1.0
    "password-encrypted": ENCRYPTED,
    "secure": ENCRYPTED,
    "oauth2": OAUTH2,
    "oauth": OAUTH2,
    "client-ip-address": CLIENT_IP,
    "none": NO_AUTH,
    "ntlm": "NTLM",
    "gssapi": "GSSAPI",
    "tls-client-cert": "TLS-client-cert",
}


class DiscoveryError(Exception):
    """A document that cannot be used. ``reason`` is a stable id; ``line`` counts from 1, None
    where the format has no lines; ``detail`` is short printable text from the document."""

    def __init__(self, reason: str, line: int | None = None, detail: str = "") -> None:
        detail = printable(detail, 80)
        where = f" (line {line})" if line else ""
        super().__init__(f"{reason}{where}{': ' if detail else ''}{detail}")
        self.reason = reason
        self.line = line
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Offer:
    """One outgoing server, as a source describes it.

    ``username`` is ready to use. ``auth``: the words above, in the source's order, empty where it
    does not say. ``credential``: PASSWORD means "a password of some kind", since no file tells
    the mailbox password from an app password.
    """

    endpoint: Endpoint
    username: str
    auth: tuple[str, ...]
    credential: CredentialKind


@dataclass(frozen=True, slots=True)
class Incoming:
    """One server for reading mail, kept to recognise it in the wrong place."""

    protocol: str  # "imap", "pop3", "jmap"
    host: str
    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class OAuth:
    """Where a token comes from. Empty where the source does not say."""

    issuer: str
    scope: str = ""
    auth_url: str = ""
    token_url: str = ""


@dataclass(frozen=True, slots=True)
class Documentation:
    """A page of the provider for people, with its titles by language."""

    url: str
    titles: tuple[tuple[str, str], ...] = ()


def printable(text: str, limit: int = _MAX_TEXT) -> str:
    """Text from a document, fit to be shown: one line, no control characters, not long."""
    return "".join(c if c.isprintable() else " " for c in text[: 4 * limit]).strip()[:limit]


def web_url(text: str) -> str | None:
    """An http(s) URL fit to be shown or fetched, else None."""
    url = text.strip()
    if len(url) > _MAX_URL or not url.isprintable() or " " in url:
        return None
    return url if url.lower().startswith(("https://", "http://")) else None


def host_field(text: str, line: int | None = None) -> str:
    """A host in normal form. Raises DiscoveryError ``bad_host``."""
    try:
        return parse_host(text.strip())
    except HostError as error:
        raise DiscoveryError("bad_host", line, f"{error.reason}: {text.strip()}") from None


def port_field(text: str, line: int | None = None) -> int:
    """A TCP port. Raises DiscoveryError ``bad_port``."""
    value = text.strip()
    if not (value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= 65_535):
        raise DiscoveryError("bad_port", line, value)
    return int(value)


def username_field(template: str, address: str, line: int | None = None) -> str:
    """A user name with its placeholders filled. Raises DiscoveryError ``bad_username``."""
    name = fill(template.strip(), address)
    if not name or len(name) > _MAX_USERNAME or not name.isprintable():
        raise DiscoveryError("bad_username", line, name)
    return name


def fill(template: str, address: str) -> str:
    """Placeholders of draft-ietf-mailmaint-autoconfig, "Placeholders"."""
    local, _, domain = address.rpartition("@")
    parts = {"%EMAILADDRESS%": address, "%EMAILLOCALPART%": local, "%EMAILDOMAIN%": domain}
    for word, value in parts.items():
        template = template.replace(word, value)
    return template


def auth_word(text: str) -> str | None:
    """One way to log in, in this package's words; None for one that we do not know."""
    value = text.strip()
    if value.upper().startswith("SASL "):
        mechanism = value[5:].strip().upper()
        plausible = mechanism.isascii() and mechanism.replace("-", "").replace("_", "").isalnum()
        return f"SASL {mechanism}" if plausible and len(mechanism) <= 20 else None
    return _AUTH_WORDS.get(value.lower())


def credential_for(auth: Sequence[str]) -> CredentialKind:
    """What the first way to log in wants."""
    if not auth:
        return CredentialKind.UNKNOWN
    first = auth[0]
    if first in {OAUTH2, "SASL OAUTHBEARER", "SASL XOAUTH2"}:
        return CredentialKind.OAUTH2
    if first in {CLIENT_IP, NO_AUTH}:
        return CredentialKind.NONE
    if first in {PASSWORD, ENCRYPTED, "NTLM"} or first.startswith("SASL "):
        return CredentialKind.PASSWORD
    return CredentialKind.UNKNOWN  # Kerberos, client certificates
