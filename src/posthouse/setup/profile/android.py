"""Thunderbird for Android and K-9 Mail: the settings file they import, and their QR code.

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails. The file's elements are those that
the program's own settings import reads (format 1, content version 99); the QR code's payload is
Thunderbird's "Export for Mobile" format, version 1. Both may leave the password out, and do.
"""

from __future__ import annotations

import json
import uuid
from typing import Final

from posthouse.flow import Security
from posthouse.setup.profile import quote
from posthouse.setup.profile.model import File, Job, Made
from posthouse.setup.profile.text import code_files, terminal

_NAMESPACE: Final = uuid.UUID("0d2e4c1b-88f0-5f7e-8f7c-6b8bb14f6b9a")
_FORMAT: Final = 1
_CONTENT: Final = 99
_SECURITY: Final = {Security.STARTTLS: "STARTTLS_REQUIRED", Security.TLS: "SSL_TLS_REQUIRED"}
_QR_SECURITY: Final = {Security.STARTTLS: 2, Security.TLS: 3}
_QR_PROTOCOL: Final = {"imap": 0, "pop3": 1}
_QR_AUTH: Final = {"NONE": 0, "PLAIN": 1, "CRAM_MD5": 2, "XOAUTH2": 6}


def settings(job: Job) -> Made:
    """File, QR code and steps; without a server for reading mail the steps alone, since the program
    imports no account without one."""
    incoming = job.settings.incoming
    if incoming is None or incoming.protocol not in _QR_PROTOCOL:
        return Made(steps=("by_hand",))
    payload = qr_payload(job)
    codes = code_files(payload, "thunderbird-qr")
    files = (File("thunderbird.k9s", _k9s(job).encode()), *codes)
    params = {"code": "thunderbird-qr.svg" if codes else ""}
    return Made(files, ("steps", "by_hand"), params, text=terminal(payload))


def _auth(job: Job) -> str:
    """The program's words; PLAIN stands for every password that is sent as it is."""
    if job.settings.anonymous:
        return "NONE"
    if job.settings.needs_oauth:
        return "XOAUTH2"
    return "CRAM_MD5" if job.mechanism == "CRAM-MD5" else "PLAIN"


def _k9s(job: Job) -> str:
    own, incoming = job.settings, job.settings.incoming
    assert incoming is not None  # noqa: S101  the caller looked
    user = own.reading_login
    reading_auth = "XOAUTH2" if own.needs_oauth else "PLAIN"
    account = uuid.uuid5(_NAMESPACE, own.email)
    sending = (job.endpoint.host, job.endpoint.port, job.endpoint.security)
    reading = (incoming.host, incoming.port, incoming.security)
    login = "" if own.anonymous else own.login
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f'<k9settings version="{_CONTENT}" format="{_FORMAT}">\n  <accounts>\n'
        f'    <account uuid="{account}">\n      <name>{quote.xml(own.email)}</name>\n'
        + _server("incoming-server", incoming.protocol.upper(), reading, reading_auth, user)
        + _server("outgoing-server", "SMTP", sending, _auth(job), login)
        + "      <identities>\n        <identity>\n"
        f"          <name>{quote.xml(own.display_name)}</name>\n"
        f"          <email>{quote.xml(own.email)}</email>\n"
        "        </identity>\n      </identities>\n    </account>\n  </accounts>\n</k9settings>\n"
    )


def _server(element: str, kind: str, place: tuple[str, int, Security], auth: str, user: str) -> str:
    host, port, security = place
    lines = [
        f"<host>{quote.xml(host)}</host>",
        f"<port>{port}</port>",
        f"<connection-security>{_SECURITY[security]}</connection-security>",
        f"<authentication-type>{auth}</authentication-type>",
        f"<username>{quote.xml(user)}</username>",
    ]
    body = "".join(f"        {line}\n" for line in lines)
    return f'      <{element} type="{kind}">\n{body}      </{element}>\n'


def qr_payload(job: Job) -> str:
    """Nested arrays, to be small: version, part 1 of 1, reading server, [[sending, identity]]."""
    own, incoming = job.settings, job.settings.incoming
    assert incoming is not None  # noqa: S101  the caller looked
    reading = [
        _QR_PROTOCOL[incoming.protocol],
        incoming.host,
        incoming.port,
        _QR_SECURITY[incoming.security],
        _QR_AUTH["XOAUTH2" if own.needs_oauth else "PLAIN"],
        own.reading_login,
    ]
    sending = [
        0,
        job.endpoint.host,
        job.endpoint.port,
        _QR_SECURITY[job.endpoint.security],
        _QR_AUTH[_auth(job)],
        "" if own.anonymous else own.login,
    ]
    identity = [own.email, own.display_name]
    whole = [1, [1, 1], reading, [[sending, identity]]]
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
