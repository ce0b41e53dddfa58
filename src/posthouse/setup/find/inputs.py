"""What somebody typed: an address, a server, or neither; and whether the two fit together.

Enters: text from the command line or a prompt. Leaves: ``Entry``, with a finding for whatever is
wrong or was set right. Called by the command line before ``find`` and ``probe``, and by ``find``
itself. Nothing is raised: a bad input is an Entry that is not ``ok``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from posthouse import directory
from posthouse.flow import Finding, Security, Status
from posthouse.protocol.address import (
    Address,
    AddressError,
    PortVerdict,
    ServerError,
    ServerInput,
    incoming_protocol,
    judge_port,
    parse_address,
    parse_server,
)

# Worth a word, as the user may have meant something else. Other notes of the parsers are silent
# corrections of how the text was pasted.
_ADDRESS_NOTES: Final = ("full_width", "single_label")
_SERVER_NOTES: Final = (
    "full_width",
    "web_address",
    "private_address",
    "loopback_address",
    "single_label",
    "login_dropped",
)


# What stands around addresses and servers in the mails and pages they are pasted from.
_LABEL: Final = re.compile(
    r"^\s*(?:e-?mail|address|(?:smtp|outgoing|mail)?[ ]?(?:server|host)|smtp|mail"
    r"|邮箱(?:地址)?|(?:发件|SMTP[ ]?)?服务器(?:地址)?|主机)\s*[:：](?!//)\s*(?=[^\s/]*[.@＠])",
    re.IGNORECASE,
)
_PORT_WORD: Final = re.compile(
    r"[\s,，;；]{1,4}(?:port|端口)\s{0,3}[:：]?\s{0,3}(?=\d)", re.IGNORECASE
)
_REMARK: Final = re.compile(r"[(（][^()（）]{0,40}[)）]$")
_ADDRESS: Final = re.compile(r"[@＠﹫]|^\s*mailto:|[(\[]\s{0,4}at\s{0,4}[)\]]|%40", re.IGNORECASE)
_AT: Final = re.compile(r"\s{0,4}(?:[@＠﹫]|[(\[]\s{0,4}at\s{0,4}[)\]]|%40)\s{0,4}", re.IGNORECASE)
MEANT_LIMIT: Final = 320  # characters; no address is longer, so nothing longer was meant as one


@dataclass(frozen=True, slots=True)
class Entry:
    """One of ``address`` and ``server``, or neither where the text is no good."""

    address: Address | None = None
    server: ServerInput | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is something to go on with."""
        return self.address is not None or self.server is not None


def read_input(text: str) -> Entry:
    """``alice@example.com``, ``smtp://host:587``, ``host:465``, ``host 465``, ``[::1]:25``..."""
    text = _LABEL.sub("", text)
    with_login = "://" in text
    is_address = not with_login and _ADDRESS.search(text) is not None
    return read_address(text) if is_address else read_server(_server_alone(text))


def read_address(text: str) -> Entry:
    """An address, with its findings: a typo in the domain, what it needs from the server."""
    try:
        address = parse_address(text)
    except AddressError as error:
        params = {"input": text[:254], "position": error.position + 1, "suggestion": _meant(text)}
        return Entry(findings=(Finding(f"address.{error.reason}", Status.FAIL, None, params),))
    return Entry(address=address, findings=tuple(_about_address(address)))


def read_server(text: str) -> Entry:
    """A server, with its findings: an incoming host, a port that does not fit, a typo."""
    try:
        server = parse_server(text)
    except ServerError as error:
        params = {"input": _without_login(text), "position": error.position + 1}
        params["host"] = error.host or ""
        if error.host and error.reason == "incoming_scheme":
            params["suggestion"] = directory.suggest_host(error.host) or ""
        return Entry(findings=(Finding(f"server.{error.reason}", Status.FAIL, None, params),))
    return Entry(server=server, findings=tuple(check_server(server)))


def check_server(server: ServerInput, address: Address | None = None) -> Iterator[Finding]:
    """Everything to be said about a server before it is asked.

    ``address``: whose outgoing server it is to be; shows an account of another provider (a password
    on its way to the wrong company) and sharpens the typo check.
    """
    for note in server.notes:
        if note in _SERVER_NOTES:
            yield Finding(f"server.{note}", _note_status(note), None, {"host": server.host})
    yield from _about_host(server.host, address)
    if server.port is not None:
        yield from check_port(server.port, server.security)


def check_port(port: int, security: Security | None) -> Iterator[Finding]:
    """The port/mode matrix of RFC 8314 and RFC 6409, one finding where they don't fit."""
    verdict = judge_port(port, security)
    if verdict is PortVerdict.OK:
        return
    status = Status.FAIL if verdict is PortVerdict.INCOMING_PORT else Status.WARN
    mode = security.value if security else ""
    params = {"port": port, "security": mode}
    yield Finding(f"port.{verdict.value}", status, None, params)


def _about_address(address: Address) -> Iterator[Finding]:
    known = directory.by_domain(address.ascii_domain)  # spares the lists of typos
    meant = None if known else directory.suggest_domain(address.ascii_domain)
    if meant:
        # Kept even where the domain answers: a look-alike may well publish settings of its own.
        params = {"domain": address.domain, "suggestion": meant}
        params["address"] = f"{address.local}@{meant}"
        yield Finding("domain_typo", Status.WARN, None, params)
    if address.is_literal:
        yield Finding("address.literal", Status.FAIL, None, {"domain": address.domain})
    if address.needs_smtputf8:
        # RFC 6531 section 3.1: only a server that offers SMTPUTF8 takes such an address.
        params = {"address": str(address)}
        yield Finding("needs_smtputf8", Status.WARN, "protocol.error", params)
    if address.domain != address.ascii_domain:
        params = {"domain": address.domain, "ascii_domain": address.ascii_domain}
        yield Finding("idn", Status.OK, None, params)
    for note in address.notes:
        if note in _ADDRESS_NOTES:
            params = {"address": str(address), "domain": address.domain}
            yield Finding(f"address.{note}", _note_status(note), None, params)


def _about_host(host: str, address: Address | None) -> Iterator[Finding]:
    domain = address.ascii_domain if address else None
    suggestion = directory.suggest_host(host, domain=domain) or ""
    protocol = incoming_protocol(host)
    if protocol:
        params = {"host": host, "protocol": protocol.upper(), "suggestion": suggestion}
        yield Finding("incoming_host", Status.FAIL, None, params)
    elif suggestion:
        params = {"host": host, "suggestion": suggestion}
        yield Finding("host_typo", Status.WARN, None, params)
    if address is not None and directory.pairing(address.wire, host):
        theirs, own = directory.by_host(host), directory.by_domain(address.ascii_domain)
        params = {"address": str(address), "host": host}
        params["provider"] = theirs.id if theirs else ""
        params["own_provider"] = own.id if own else ""
        yield Finding("other_provider", Status.WARN, "auth.credentials", params)


def _server_alone(text: str) -> str:
    """Host and port, out of a line of somebody's instructions."""
    return _PORT_WORD.sub(":", _REMARK.sub("", text.strip()))


def _meant(text: str) -> str:
    """The address that was probably meant by one that is none; "" where that can't be told."""
    local, at, domain = _AT.sub("@", text.strip()).partition("@")
    candidate = f"{local}{at}{domain.replace(',', '.').replace('，', '.')}"
    if candidate == text or len(text) > MEANT_LIMIT:
        return ""
    try:
        return str(parse_address(candidate))
    except AddressError:
        return ""


def _note_status(note: str) -> Status:
    return Status.OK if note in ("full_width", "web_address") else Status.WARN


def _without_login(text: str) -> str:
    """The text for a message, less what may be a password in a URL."""
    scheme, mark, rest = text.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"[:254] if mark else text[:254]
