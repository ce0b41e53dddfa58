"""Mozilla autoconfig: config-v1.1.xml as in draft-ietf-mailmaint-autoconfig.

Enters: the file's bytes and the user's address. Leaves: AutoconfigAnswer. Called by setup.find
and by ``organisation``. Fails with DiscoveryError; servers that cannot be used are left out and
named in ``skipped``, as the draft wants ("MUST be ignored and continue").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from posthouse.flow import Endpoint, Security
from posthouse.protocol.address import parse_address
from posthouse.protocol.discovery.offer import (
    MAX_DOMAINS,
    MAX_SERVERS,
    DiscoveryError,
    Documentation,
    Incoming,
    OAuth,
    Offer,
    auth_word,
    credential_for,
    fill,
    host_field,
    port_field,
    printable,
    username_field,
    web_url,
)
from posthouse.protocol.discovery.xmltree import Node, parse_xml
from posthouse.protocol.host import HostError, to_ascii

_SOCKETS: Final = {
    "ssl": Security.TLS,
    "tls": Security.TLS,
    "ssl/tls": Security.TLS,
    "starttls": Security.STARTTLS,
    "plain": Security.NONE,
    "none": Security.NONE,
}
_INCOMING: Final = frozenset({"imap", "pop3", "jmap"})


@dataclass(frozen=True, slots=True)
class AutoconfigAnswer:
    """What one file says. ``outgoing`` is in the provider's order of preference."""

    outgoing: tuple[Offer, ...]
    incoming: tuple[Incoming, ...]
    documentation: tuple[Documentation, ...] = ()
    display_name: str = ""
    provider_id: str = ""
    domains: tuple[str, ...] = ()  # A-labels the file says it is for
    oauth: OAuth | None = None
    skipped: tuple[DiscoveryError, ...] = ()  # servers left out, and why


def urls(address: str) -> tuple[str, ...]:
    """Where to ask over HTTPS, the best place first. Raises AddressError; () for an IP domain."""
    found = parse_address(address)
    if found.is_literal:
        return ()
    domain, query = found.ascii_domain, quote(found.wire, safe="@")
    return (
        f"https://autoconfig.{domain}/mail/config-v1.1.xml?emailaddress={query}",
        f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
    )


def insecure_urls(address: str) -> tuple[str, ...]:
    """Where to ask without TLS: anybody on the way can answer. Raises AddressError."""
    found = parse_address(address)
    if found.is_literal:
        return ()
    return (f"http://autoconfig.{found.ascii_domain}/mail/config-v1.1.xml",)


def parse(xml: bytes, *, address: str) -> AutoconfigAnswer:
    """Read one file. Raises DiscoveryError: ``wrong_root``, ``no_outgoing``, or the first reason
    why a server is unusable where none is usable; and what ``parse_xml`` refuses."""
    root = parse_xml(xml)
    if root.name != "clientConfig":
        raise DiscoveryError("wrong_root", root.line, root.name)
    # emailProvider "has no semantic purpose": what is in it may stand in the root as well
    provider = root.first("emailProvider") or root
    skipped: list[DiscoveryError] = []
    outgoing = _servers(provider, "outgoingServer", address, skipped)
    if not outgoing:
        raise skipped[0] if skipped else DiscoveryError("no_outgoing", provider.line)
    return AutoconfigAnswer(
        outgoing=tuple(outgoing),
        incoming=tuple(_incoming(provider, address)),
        documentation=tuple(_documentation(provider)),
        display_name=printable(fill(provider.value("displayName"), address)),
        provider_id=printable(provider.attributes.get("id", "")),
        domains=tuple(_domains(provider)),
        oauth=_oauth(root, provider),
        skipped=tuple(skipped),
    )


def _servers(provider: Node, name: str, address: str, skipped: list[DiscoveryError]) -> list[Offer]:
    found = []
    for node in list(provider.all(name))[:MAX_SERVERS]:
        try:
            found.append(_offer(node, address))
        except DiscoveryError as error:
            skipped.append(error)
    return found


def _offer(node: Node, address: str) -> Offer:
    kind = node.attributes.get("type", "smtp")
    if kind.lower() != "smtp":
        raise DiscoveryError("not_smtp", node.line, kind)
    security = _security(node)
    host = host_field(fill(_need(node, "hostname").text, address), _need(node, "hostname").line)
    port = _need(node, "port")
    user = node.first("username")
    auth = [word for item in node.all("authentication") if (word := auth_word(item.text))]
    if not auth and node.first("authentication"):
        raise DiscoveryError("unknown_auth", node.line, node.value("authentication"))
    return Offer(
        Endpoint(host, port_field(port.text, port.line), security),
        # Without a user name there is nobody to log in as but the address itself.
        username_field(user.text, address, user.line) if user and user.text else address,
        tuple(dict.fromkeys(auth)),
        credential_for(auth),
    )


def _need(node: Node, name: str) -> Node:
    child = node.first(name)
    if child is None:
        raise DiscoveryError("missing_field", node.line, name)
    if not child.text:
        raise DiscoveryError("empty_field", child.line, name)
    return child


def _security(node: Node) -> Security:
    child = _need(node, "socketType")
    security = _SOCKETS.get(child.text.lower())
    if security is None:
        raise DiscoveryError("unknown_socket_type", child.line, child.text)
    return security


def _incoming(provider: Node, address: str) -> list[Incoming]:
    """IMAP, POP3 and JMAP; broken ones are no loss here, nothing is set up from them."""
    found = []
    for node in list(provider.all("incomingServer"))[:MAX_SERVERS]:
        kind = node.attributes.get("type", "").lower()
        if kind not in _INCOMING:
            continue
        try:
            found.append(_url_server(node, kind) if kind == "jmap" else _tcp(node, kind, address))
        except DiscoveryError:
            continue
    return found


def _tcp(node: Node, kind: str, address: str) -> Incoming:
    host = host_field(fill(_need(node, "hostname").text, address))
    return Incoming(kind, host, port_field(_need(node, "port").text), _security(node))


def _url_server(node: Node, kind: str) -> Incoming:
    try:
        parts = urlsplit(_need(node, "url").text)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise DiscoveryError("bad_host", node.line) from None
    return Incoming(kind, host_field(host), port, Security.TLS)


def _documentation(provider: Node) -> list[Documentation]:
    found = []
    for node in provider.all("documentation"):
        url = web_url(node.attributes.get("url", ""))
        if url:
            titles = tuple(
                (printable(item.attributes.get("lang", "en"), 16), printable(item.text))
                for item in node.all("descr")
            )
            found.append(Documentation(url, titles))
    return found[:MAX_SERVERS]


def _domains(provider: Node) -> list[str]:
    found = []
    for node in list(provider.all("domain"))[:MAX_DOMAINS]:
        if node.attributes.get("purpose", "").lower() == "mx":
            continue  # names the MX server's domain, not one of addresses
        try:
            found.append(to_ascii(node.text))
        except HostError:
            continue  # "%EMAILDOMAIN%", as some servers write, speaks for nothing in particular
    return found


def _oauth(root: Node, provider: Node) -> OAuth | None:
    node = root.first("oAuth2") or provider.first("oAuth2")
    if node is None:
        return None
    return OAuth(
        issuer=printable(node.value("issuer")),
        scope=printable(node.value("scope"), 1_000),
        auth_url=web_url(node.value("authURL")) or "",
        token_url=web_url(node.value("tokenURL")) or "",
    )
