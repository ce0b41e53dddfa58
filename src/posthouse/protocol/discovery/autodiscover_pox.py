"""Microsoft Autodiscover, "plain old XML": Outlook's request and what servers answer.

Enters: the user's address; the answer's bytes. Leaves: the request's bytes; PoxAnswer. Called by
setup.find. No password is ever sent with it. Fails with DiscoveryError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from posthouse.flow import Endpoint, Security
from posthouse.protocol.discovery.offer import (
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
    web_url,
)
from posthouse.protocol.discovery.xmltree import Node, parse_xml
from posthouse.protocol.ports import STARTTLS_PORTS

CONTENT_TYPE: Final = "text/xml; charset=utf-8"
_REQUEST_NS: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_RESPONSE_NS: Final = (
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)
# Protocol types of an Exchange account: Outlook then speaks MAPI, and SMTP may be switched off.
_EXCHANGE: Final = frozenset({"EXCH", "EXPR", "EXHTTP", "MAPIHTTP", "WEB"})
_INCOMING: Final = {"IMAP": ("imap", 143, 993), "POP3": ("pop3", 110, 995)}


@dataclass(frozen=True, slots=True)
class PoxAnswer:
    """What one answer says: settings, or where else to ask, or an error.

    ``exchange``: it describes an Exchange account. ``error``: (code, message).
    """

    outgoing: tuple[Offer, ...] = ()
    incoming: tuple[Incoming, ...] = ()
    display_name: str = ""
    exchange: bool = False
    redirect_address: str | None = None
    redirect_url: str | None = None
    error: tuple[str, str] | None = None
    skipped: tuple[DiscoveryError, ...] = ()


def urls(domain: str) -> tuple[str, ...]:
    """Where to POST, in Outlook's order; ``domain`` in A-labels."""
    path = "autodiscover/autodiscover.xml"
    return (f"https://{domain}/{path}", f"https://autodiscover.{domain}/{path}")


def request(address: str) -> bytes:
    """The request's body."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Autodiscover xmlns="{_REQUEST_NS}">\n'
        f"  <Request>\n    <EMailAddress>{escape(address)}</EMailAddress>\n"
        f"    <AcceptableResponseSchema>{_RESPONSE_NS}</AcceptableResponseSchema>\n"
        "  </Request>\n</Autodiscover>\n"
    ).encode("utf-8", "replace")


def parse(xml: bytes, *, address: str) -> PoxAnswer:
    """Read one answer. Raises DiscoveryError ``wrong_root``, ``no_account``, or where nothing in
    it is usable the reason."""
    root = parse_xml(xml)
    if root.name.lower() != "autodiscover":
        raise DiscoveryError("wrong_root", root.line, root.name)
    response = root.first("Response")
    if response is None:
        raise DiscoveryError("no_account", root.line)
    accounts = list(response.all("Account"))
    error = _error(response, *accounts)
    if error:
        return PoxAnswer(error=error)
    if not accounts:
        raise DiscoveryError("no_account", response.line)
    redirect = _redirect(accounts[0])
    if redirect:
        return redirect
    user = response.first("User")
    # some servers write one Account for each protocol
    protocols = [node for account in accounts for node in account.all("Protocol")][:MAX_SERVERS]
    return _settings(protocols, user.value("DisplayName") if user else "", address)


def _error(*nodes: Node) -> tuple[str, str] | None:
    for node in nodes:
        found = node.first("Error")
        if found:
            return printable(found.value("ErrorCode"), 16), printable(found.value("Message"))
    return None


def _redirect(account: Node) -> PoxAnswer | None:
    action = account.value("Action").lower()
    if action == "redirectaddr":
        address = account.first("RedirectAddr")
        if address is None or "@" not in address.text:
            raise DiscoveryError("bad_redirect", account.line)
        return PoxAnswer(redirect_address=printable(address.text, 320))
    if action == "redirecturl":
        url = web_url(account.value("RedirectUrl"))
        # An answer over TLS that leads away from TLS is not followed.
        if url is None or not url.lower().startswith("https://"):
            raise DiscoveryError("bad_redirect", account.line)
        return PoxAnswer(redirect_url=url)
    return None


def _settings(protocols: list[Node], display_name: str, address: str) -> PoxAnswer:
    outgoing: list[Offer] = []
    incoming: list[Incoming] = []
    skipped: list[DiscoveryError] = []
    exchange = False
    for node in protocols:
        kind = (node.value("Type") or node.attributes.get("Type", "")).upper()
        exchange = exchange or kind in _EXCHANGE
        try:
            if kind == "SMTP":
                outgoing.append(_smtp(node, address))
            elif kind in _INCOMING:
                incoming.append(_incoming(node, kind))
        except DiscoveryError as error:
            skipped.append(error)
    if not outgoing and not exchange:
        raise skipped[0] if skipped else DiscoveryError("no_outgoing")
    return PoxAnswer(
        tuple(outgoing), tuple(incoming), printable(display_name), exchange, skipped=tuple(skipped)
    )


def _smtp(node: Node, address: str) -> Offer:
    security = _security(node)
    default = 465 if security is Security.TLS else 587
    if _off(node, "AuthRequired"):
        auth: tuple[str, ...] = (NO_AUTH,)
    else:
        # SPA is what Outlook calls NTLM; many write "on" who cannot do it, so a password stays
        auth = ("NTLM", PASSWORD) if node.value("SPA").lower() == "on" else (PASSWORD,)
    credential = credential_for([PASSWORD] if PASSWORD in auth else auth)
    return Offer(
        Endpoint(_host(node), _port(node, default), security),
        _login(node, address),
        auth,
        credential,
    )


def _host(node: Node) -> str:
    server = node.first("Server")
    if server is None:
        raise DiscoveryError("missing_field", node.line, "Server")
    return host_field(server.text, server.line)


def _port(node: Node, default: int) -> int:
    # The schema's default for SMTP is 25, which is no place for clients (RFC 6409 section 3.1).
    port = node.first("Port")
    return port_field(port.text, port.line) if port and port.text else default


def _login(node: Node, address: str) -> str:
    name = node.first("LoginName")
    login = username_field(name.text, address, name.line) if name and name.text else address
    domain = printable(node.value("DomainName"), 64)
    if domain and node.value("DomainRequired").lower() == "on" and "\\" not in login:
        return f"{domain}\\{login}"
    return login


def _security(node: Node) -> Security:
    """``Encryption`` (None, SSL, TLS, Auto) wins over ``SSL`` (on by default).

    "TLS" is STARTTLS in Outlook's words. "SSL on" beside port 587 means it too: that port has no
    other mode.
    """
    encryption = node.value("Encryption").lower()
    if encryption == "none" or (not encryption and _off(node, "SSL")):
        return Security.NONE
    if encryption == "tls":
        return Security.STARTTLS
    if encryption == "ssl":
        return Security.TLS
    port = node.value("Port")
    starttls = {*map(str, STARTTLS_PORTS), "25", "143", "110", "80"}
    return Security.STARTTLS if port in starttls else Security.TLS


def _incoming(node: Node, kind: str) -> Incoming:
    protocol, plain_port, tls_port = _INCOMING[kind]
    security = _security(node)
    default = tls_port if security is Security.TLS else plain_port
    return Incoming(protocol, _host(node), _port(node, default), security)


def _off(node: Node, name: str) -> bool:
    return node.value(name).lower() in {"off", "false"}
