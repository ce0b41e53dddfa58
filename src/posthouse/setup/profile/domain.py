"""For whoever runs the domain: what to publish so that mail programs set themselves up.

Enters: a Job. Leaves: Made: SRV and TXT records as a zone file's lines, autoconfig, Autodiscover,
PACC's JSON, and Posthouse's own settings file for an organisation. Called by ``making``. Nothing
fails. RFC 6186, RFC 8314 section 5.1, draft-ietf-mailmaint-autoconfig, draft-ietf-mailmaint-pacc.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery.pacc import digest_name
from posthouse.protocol.discovery.srv import SUBMISSION, SUBMISSIONS
from posthouse.protocol.host import parse_ip
from posthouse.setup.profile import people
from posthouse.setup.profile.model import File, Job, Level, Made, Settings

_TTL: Final = 3600  # seconds; short enough to move a server within the hour
_PACC_PORTS: Final = {"smtp": 465, "imap": 993, "pop3": 995}
_SUBMISSION: Final = {Security.TLS: SUBMISSIONS, Security.STARTTLS: SUBMISSION}
_READING: Final = {
    ("imap", Security.TLS): "_imaps._tcp",
    ("imap", Security.STARTTLS): "_imap._tcp",
    ("pop3", Security.TLS): "_pop3s._tcp",
    ("pop3", Security.STARTTLS): "_pop3._tcp",
}


def domain(job: Job) -> Made:
    """Records, files and where to put them."""
    settings, notes = job.settings, []
    if settings.mailbox.is_literal:
        return Made(steps=(), notes=(("no_domain", Level.FAIL),))
    document = _pacc(job)
    zone = "".join(f"{line}\n" for line in records(settings, document))
    files = [
        File("records.zone", zone.encode()),
        File(
            "config-v1.1.xml",
            people.autoconfig(settings, job.endpoint, personal=False),
            f"https://autoconfig.{settings.domain}/mail/config-v1.1.xml",
        ),
    ]
    if document:
        where = (
            f"https://ua-auto-config.{settings.domain}/.well-known/user-agent-configuration.json"
        )
        files.append(File("user-agent-configuration.json", document, where))
    else:
        notes.append(("no_pacc", Level.INFO))
    if people.template(settings.login, settings) == settings.login:
        notes.append(("personal_login", Level.WARN))
    if settings.incoming is None:
        notes.append(("no_incoming", Level.WARN))
    params = {"pacc": "user-agent-configuration.json" if document else ""}
    return Made(
        tuple(files), ("steps", *(("pacc",) if document else ())), params, tuple(notes), zone
    )


def records(settings: Settings, document: bytes | None) -> Iterator[str]:
    """Lines of a zone file, each with its whole name."""
    # RFC 2782: the lower priority is tried first; the order of ``outgoing`` is the order to try.
    for priority, endpoint in enumerate(settings.outgoing):
        service = _SUBMISSION[endpoint.security]
        yield from _srv(service, priority, endpoint.port, endpoint.host, settings.domain)
    incoming = settings.incoming
    if incoming and (incoming.protocol, incoming.security) in _READING:
        service = _READING[incoming.protocol, incoming.security]
        yield from _srv(service, 0, incoming.port, incoming.host, settings.domain)
    if document:
        digest = base64.b64encode(hashlib.sha256(document).digest()).decode()
        name = digest_name(settings.domain)
        yield f'{name}. {_TTL} IN TXT "v=UAAC1; a=sha256; d={digest}"'


def _srv(service: str, priority: int, port: int, host: str, domain: str) -> Iterator[str]:
    """RFC 2782: a target is a name, never an address."""
    if parse_ip(host) is None:
        yield f"{service}.{domain}. {_TTL} IN SRV {priority} 1 {port} {host}."


def _pacc(job: Job) -> bytes | None:
    """The JSON, where the settings fit: implicit TLS on the registered ports alone, and the address
    as user name. None where they do not."""
    settings = job.settings
    own = _registered(settings)
    fits = settings.login == settings.email and settings.incoming_username in ("", settings.email)
    if "smtp" not in own or not fits or settings.needs_oauth or settings.anonymous:
        return None
    document = {
        "protocols": {name: {"host": host} for name, host in own.items()},
        "authentication": {"password": True},
        "info": {"provider": {"name": settings.mailbox.domain}},
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _registered(settings: Settings) -> dict[str, str]:
    """Protocol to host, for the servers with TLS from the first byte on the registered port."""
    incoming = settings.incoming
    servers = [("smtp", e.host, e.port, e.security) for e in reversed(settings.outgoing)]
    if incoming:
        servers.append((incoming.protocol, incoming.host, incoming.port, incoming.security))
    return {
        protocol: host
        for protocol, host, port, security in servers
        if security is Security.TLS and _PACC_PORTS.get(protocol) == port
    }


def organisation(job: Job) -> Made:
    """The file that ``posthouse setup --profile`` reads: an IT department's own word."""
    settings, incoming = job.settings, job.settings.incoming
    auth = ["none"] if settings.anonymous else [_way(settings)]
    document: dict[str, Any] = {
        "schema": 1,
        "name": settings.mailbox.domain,
        "domains": [] if settings.mailbox.is_literal else [settings.domain],
        "outgoing": [_outgoing(e, settings, auth) for e in settings.outgoing],
    }
    if incoming:
        place = Endpoint(incoming.host, incoming.port, incoming.security)
        document["incoming"] = [{"type": incoming.protocol, **_place(place)}]
    content = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    notes: tuple[tuple[str, Level], ...] = ()
    if people.template(settings.login, settings) == settings.login and not settings.anonymous:
        notes = (("personal_login", Level.WARN),)
    return Made((File("mail.json", content.encode()),), notes=notes)


def _way(settings: Settings) -> str:
    return "OAuth2" if settings.needs_oauth else "password-cleartext"


def _outgoing(endpoint: Endpoint, settings: Settings, auth: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = _place(endpoint) | {"auth": auth}
    if not settings.anonymous:
        found["username"] = people.template(settings.login, settings)
    if settings.credential is not CredentialKind.UNKNOWN:
        found["credential"] = settings.credential.value
    return found


def _place(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "security": endpoint.security.value,
    }
