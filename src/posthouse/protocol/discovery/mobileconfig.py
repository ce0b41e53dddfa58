"""Apple configuration profiles (.mobileconfig): the payload ``com.apple.mail.managed``.

Enters: the profile's bytes, as XML, binary, or signed (CMS) with the XML inside. Leaves: one
MailPayload for each mail account in it. Called by ``organisation``. A signature is not checked:
whoever gives us the file vouches for it. Passwords in a profile are not read at all.
Fails with DiscoveryError.
"""

from __future__ import annotations

import plistlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from posthouse.flow import Endpoint, Security
from posthouse.protocol.discovery.offer import (
    ENCRYPTED,
    MAX_DEPTH,
    MAX_DOCUMENT,
    MAX_SERVERS,
    NO_AUTH,
    PASSWORD,
    DiscoveryError,
    Incoming,
    Offer,
    credential_for,
    host_field,
    port_field,
    printable,
    username_field,
)
from posthouse.protocol.discovery.xmltree import Node, parse_xml
from posthouse.protocol.ports import STARTTLS_PORTS

_MAX_VALUES: Final = 10_000
_PAYLOAD: Final = "com.apple.mail.managed"
_AUTH: Final = {
    "EmailAuthPassword": PASSWORD,
    "EmailAuthCRAMMD5": ENCRYPTED,
    "EmailAuthHTTPMD5": ENCRYPTED,
    "EmailAuthNTLM": "NTLM",
    "EmailAuthNone": NO_AUTH,
}
_INCOMING: Final = {"EmailTypeIMAP": ("imap", 143, 993), "EmailTypePOP": ("pop3", 110, 995)}


@dataclass(frozen=True, slots=True)
class MailPayload:
    """One mail account of a profile. ``address`` is empty where the profile leaves it open."""

    offer: Offer
    incoming: Incoming | None
    address: str
    name: str


@dataclass(slots=True)
class Dictionary:
    """A property list's <dict>: values, and the line each key stands in (None in binary)."""

    line: int | None
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int | None] = field(default_factory=dict)

    def text(self, key: str) -> str:
        """A string, "" where absent. Raises DiscoveryError ``wrong_type``."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise DiscoveryError("wrong_type", self.lines.get(key), f"{key}: string")
        return value.strip()

    def flag(self, key: str) -> bool:
        """A boolean, False where absent. Raises DiscoveryError ``wrong_type``."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise DiscoveryError("wrong_type", self.lines.get(key), f"{key}: true or false")
        return value


def parse(data: bytes, *, address: str) -> tuple[MailPayload, ...]:
    """The mail accounts of a profile. Raises DiscoveryError: ``not_plist``, ``signed_profile``
    (the content cannot be taken out), ``no_mail_payload``, or what is wrong with an account."""
    root = _read(data)
    if not isinstance(root, Dictionary):
        raise DiscoveryError("not_plist", 1)
    content = root.values.get("PayloadContent", [])
    items = content if isinstance(content, list) else []
    payloads = [
        item
        for item in (root, *items)
        if isinstance(item, Dictionary) and item.values.get("PayloadType") == _PAYLOAD
    ]
    if not payloads:
        raise DiscoveryError("no_mail_payload", root.line)
    return tuple(_payload(item, address) for item in payloads[:MAX_SERVERS])


def _read(data: bytes) -> Any:
    if len(data) > MAX_DOCUMENT:
        raise DiscoveryError("too_big", None, f"{len(data)} bytes")
    if data.startswith(b"bplist"):
        return _read_binary(data)
    if data[:1] == b"\x30":  # DER: a signed profile
        start, end = data.find(b"<?xml"), data.rfind(b"</plist>")
        if start < 0 or end < start:
            raise DiscoveryError("signed_profile")
        try:
            return _read_xml(data[start : end + len(b"</plist>")])
        except DiscoveryError:  # cut into chunks by the signer
            raise DiscoveryError("signed_profile") from None
    return _read_xml(data)


def _read_binary(data: bytes) -> Any:
    try:
        return _wrap(plistlib.loads(data, fmt=plistlib.FMT_BINARY), 0, iter(range(_MAX_VALUES)))
    except DiscoveryError:
        raise
    except Exception as error:  # plistlib names no limit to what it raises on hostile bytes
        raise DiscoveryError("not_plist", None, type(error).__name__) from None


def _wrap(value: Any, depth: int, budget: Iterator[int]) -> Any:
    """As our XML reader gives it. The binary form may refer to one object many times, so what is
    small on disk can unfold without end: depth and number are capped."""
    if depth > MAX_DEPTH:
        raise DiscoveryError("too_deep")
    if next(budget, None) is None:
        raise DiscoveryError("too_many")
    if isinstance(value, dict):
        return Dictionary(None, {k: _wrap(v, depth + 1, budget) for k, v in value.items()})
    if isinstance(value, list):
        return [_wrap(item, depth + 1, budget) for item in value]
    return value


def _read_xml(data: bytes) -> Any:
    # Our own reader of the XML form, because plistlib's knows no line numbers.
    root = parse_xml(data, allow_doctype=True)
    if root.name != "plist" or len(root.children) != 1:
        raise DiscoveryError("not_plist", root.line, root.name)
    return _element(root.children[0])


def _element(node: Node) -> Any:
    match node.name:
        case "dict":
            return _dictionary(node)
        case "array":
            return [_element(child) for child in node.children]
        case "true" | "false":
            return node.name == "true"
        case "integer":
            if not (node.text.isascii() and node.text.isdigit() and len(node.text) < 16):
                raise DiscoveryError("wrong_type", node.line, node.text)
            return int(node.text)
        case "string" | "date" | "data" | "real":
            return node.text
    raise DiscoveryError("not_plist", node.line, node.name)


def _dictionary(node: Node) -> Dictionary:
    found = Dictionary(node.line)
    children = node.children
    if len(children) % 2:
        raise DiscoveryError("not_plist", node.line, "key without value")
    for key, value in zip(children[::2], children[1::2], strict=True):
        if key.name != "key":
            raise DiscoveryError("not_plist", key.line, "value without key")
        found.values[key.text] = _element(value)
        found.lines[key.text] = value.line
    return found


def _payload(item: Dictionary, address: str) -> MailPayload:
    own = item.text("EmailAddress")
    host = item.text("OutgoingMailServerHostName")
    if not host:
        raise DiscoveryError("missing_field", item.line, "OutgoingMailServerHostName")
    # "no port" means 587 to Apple's clients, and with it STARTTLS
    port = _port(item, "OutgoingMailServerPortNumber", 587)
    kind = item.text("OutgoingMailServerAuthentication")
    if kind and kind not in _AUTH:
        key = "OutgoingMailServerAuthentication"
        raise DiscoveryError("unknown_auth", item.lines.get(key), kind)
    auth = (_AUTH[kind],) if kind else ()
    key = "OutgoingMailServerUsername"
    user = username_field(item.text(key) or own or address, address, item.lines.get(key))
    security = _security(item.flag("OutgoingMailServerUseSSL"), port)
    endpoint = Endpoint(
        host_field(host, item.lines.get("OutgoingMailServerHostName")), port, security
    )
    name = item.text("EmailAccountDescription") or item.text("PayloadDisplayName")
    offer = Offer(endpoint, user, auth, credential_for(auth))
    return MailPayload(offer, _incoming(item), own, printable(name))


def _port(item: Dictionary, key: str, default: int) -> int:
    value = item.values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DiscoveryError("wrong_type", item.lines.get(key), f"{key}: integer")
    # cut before it is printed: a binary profile's integer may have ten thousand digits
    return port_field(str(min(value, 65_536)) if value > 0 else "0", item.lines.get(key))


def _security(use_ssl: bool, port: int) -> Security:
    """Apple's clients find out by themselves whether "SSL" is TLS or STARTTLS; the port tells."""
    if not use_ssl:
        return Security.NONE
    plain = STARTTLS_PORTS | {25, 110, 143}
    return Security.STARTTLS if port in plain else Security.TLS


def _incoming(item: Dictionary) -> Incoming | None:
    known = _INCOMING.get(item.text("EmailAccountType"))
    host = item.text("IncomingMailServerHostName")
    if known is None or not host:
        return None
    protocol, plain_port, tls_port = known
    ssl = item.flag("IncomingMailServerUseSSL")
    port = _port(item, "IncomingMailServerPortNumber", tls_port if ssl else plain_port)
    host = host_field(host, item.lines.get("IncomingMailServerHostName"))
    return Incoming(protocol, host, port, _security(ssl, port))
