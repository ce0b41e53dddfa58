"""A settings file that an IT department hands out: ``--profile FILE``.

Enters: the file's bytes and the user's address. Leaves: Organisation. Three forms: Mozilla's
autoconfig XML, Apple's .mobileconfig, and our own JSON, described below. Called by setup.find.
Unlike an answer from the network, such a file is read strictly: whoever wrote it wants to hear
of a mistake, with its line. Fails with DiscoveryError.

The JSON form::

    {"schema": 1, "name": "Example Ltd", "domains": ["example.com"],
     "outgoing": [{"host": "smtp.example.com", "port": 465, "security": "tls",
                   "username": "%EMAILADDRESS%", "auth": ["password-cleartext"],
                   "credential": "app_password"}],
     "incoming": [{"type": "imap", "host": "imap.example.com", "port": 993, "security": "tls"}],
     "documentation": "https://it.example.com/mail"}

Only ``schema`` and ``outgoing`` with host, port and security are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery import autoconfig, mobileconfig
from posthouse.protocol.discovery.jsontree import Value, parse_json
from posthouse.protocol.discovery.offer import (
    MAX_DOMAINS,
    MAX_SERVERS,
    DiscoveryError,
    Documentation,
    Incoming,
    Offer,
    auth_word,
    credential_for,
    host_field,
    port_field,
    printable,
    username_field,
    web_url,
)
from posthouse.protocol.host import HostError, to_ascii

_SCHEMA: Final = 1
_FIELDS: Final = frozenset({"schema", "name", "domains", "outgoing", "incoming", "documentation"})
_SERVER: Final = frozenset({"host", "port", "security"})
_OUTGOING: Final = _SERVER | {"username", "auth", "credential"}
_INCOMING: Final = _SERVER | {"type"}


@dataclass(frozen=True, slots=True)
class Organisation:
    """What a profile file says. ``form``: "autoconfig", "mobileconfig" or "json"."""

    form: str
    outgoing: tuple[Offer, ...]
    incoming: tuple[Incoming, ...] = ()
    display_name: str = ""
    domains: tuple[str, ...] = ()
    documentation: tuple[Documentation, ...] = ()

    def speaks_for(self, ascii_domain: str) -> bool:
        """Whether the file is meant for addresses of that domain. One that names no domain was
        given for the address at hand."""
        return not self.domains or ascii_domain.lower() in self.domains


def parse(data: bytes, *, address: str) -> Organisation:
    """Read a profile file, whatever its form. Raises DiscoveryError: ``unknown_format`` for one
    that is none of the three, else what is wrong and in which line."""
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:2_000]
    if start.startswith(b"{"):
        return _from_json(data, address)
    if start.startswith((b"bplist", b"\x30")) or b"<plist" in start or b"PropertyList" in start:
        return _from_mobileconfig(data, address)
    if start.startswith(b"<") or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _from_autoconfig(data, address)
    raise DiscoveryError("unknown_format", 1)


def _from_autoconfig(data: bytes, address: str) -> Organisation:
    answer = autoconfig.parse(data, address=address)
    for error in answer.skipped:
        if error.reason != "not_smtp":  # another protocol is no mistake, only not for us
            raise error
    return Organisation(
        "autoconfig",
        answer.outgoing,
        answer.incoming,
        answer.display_name,
        answer.domains,
        answer.documentation,
    )


def _from_mobileconfig(data: bytes, address: str) -> Organisation:
    payloads = mobileconfig.parse(data, address=address)
    domains = []
    for payload in payloads:
        try:
            domains.append(to_ascii(payload.address.rpartition("@")[2]))
        except HostError:
            continue  # the profile asks for the address when it is installed
    return Organisation(
        "mobileconfig",
        tuple(payload.offer for payload in payloads),
        tuple(payload.incoming for payload in payloads if payload.incoming),
        payloads[0].name,
        tuple(dict.fromkeys(domains)),
    )


def _from_json(data: bytes, address: str) -> Organisation:
    root = parse_json(data)
    _only(root, _FIELDS)
    schema = root.need("schema")
    if schema.number() != _SCHEMA:
        raise DiscoveryError("unsupported_schema", schema.line, str(schema.data))
    outgoing = root.need("outgoing")
    offers = tuple(_offer(item, address) for item in outgoing.items()[:MAX_SERVERS])
    if not offers:
        raise DiscoveryError("no_outgoing", outgoing.line)
    incoming, name = root.get("incoming"), root.get("name")
    return Organisation(
        "json",
        offers,
        tuple(_incoming(item) for item in incoming.items()[:MAX_SERVERS]) if incoming else (),
        printable(name.text()) if name else "",
        _domains(root.get("domains")),
        _documentation(root.get("documentation")),
    )


def _only(value: Value, known: frozenset[str]) -> None:
    """A misspelt field must not pass as an absent one."""
    for name, member in value.members().items():
        if name not in known:
            raise DiscoveryError("unknown_field", member.line, member.path)


def _endpoint(item: Value) -> Endpoint:
    host, port, security = item.need("host"), item.need("port"), item.need("security")
    try:
        mode = Security(security.text().lower())
    except ValueError:
        raise DiscoveryError("unknown_security", security.line, str(security.data)) from None
    return Endpoint(
        host_field(host.text(), host.line), port_field(str(port.number()), port.line), mode
    )


def _offer(item: Value, address: str) -> Offer:
    _only(item, _OUTGOING)
    endpoint = _endpoint(item)
    user, auth, credential = item.get("username"), item.get("auth"), item.get("credential")
    words = tuple(_auth(word) for word in auth.items()) if auth else ()
    kind = credential_for(words)
    if credential is not None:
        try:
            kind = CredentialKind(credential.text())
        except ValueError:
            detail = str(credential.data)
            raise DiscoveryError("unknown_credential", credential.line, detail) from None
    name = username_field(user.text(), address, user.line) if user else address
    return Offer(endpoint, name, words, kind)


def _auth(value: Value) -> str:
    word = auth_word(value.text())
    if word is None:
        raise DiscoveryError("unknown_auth", value.line, value.text())
    return word


def _incoming(item: Value) -> Incoming:
    _only(item, _INCOMING)
    kind = item.need("type")
    if kind.text() not in {"imap", "pop3", "jmap"}:
        raise DiscoveryError("unknown_type", kind.line, kind.text())
    endpoint = _endpoint(item)
    return Incoming(kind.text(), endpoint.host, endpoint.port, endpoint.security)


def _domains(value: Value | None) -> tuple[str, ...]:
    found = []
    if value and len(value.items()) > MAX_DOMAINS:
        raise DiscoveryError("too_many", value.line, value.path)
    for item in value.items() if value else []:
        try:
            found.append(to_ascii(item.text()))
        except HostError as error:
            raise DiscoveryError("bad_domain", item.line, f"{error.reason}: {item.data}") from None
    return tuple(found)


def _documentation(value: Value | None) -> tuple[Documentation, ...]:
    if value is None:
        return ()
    url = web_url(value.text())
    if url is None:
        raise DiscoveryError("bad_url", value.line, value.text())
    return (Documentation(url),)
