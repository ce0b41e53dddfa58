"""Apple's configuration profile: com.apple.mail.managed, and the authority to trust.

Enters: a Job. Leaves: Made: one .mobileconfig for iPhone, iPad and Mac. Called by ``making``. Its
UUIDs come from the settings alone, so that the same settings replace the same profile. There is no
password in it: the device asks. Fails with CertificateError where the signer cannot be read.
"""

from __future__ import annotations

import json
import plistlib
import uuid
from typing import Any, Final

from posthouse.setup.profile.certificate import check_authorities, common_name, sign
from posthouse.setup.profile.model import File, Job, Level, Made, Settings

_NAMESPACE: Final = uuid.UUID("6f2c1a9e-1d0b-5c55-9a57-3f0a70a5c0de")  # of these profiles alone
_TYPES: Final = {"imap": "EmailTypeIMAP", "pop3": "EmailTypePOP"}
_AUTH: Final = {"CRAM-MD5": "EmailAuthCRAMMD5", "NTLM": "EmailAuthNTLM"}


def mobileconfig(job: Job) -> Made:
    """The profile and the steps; without a server for reading mail the steps alone, since Apple's
    payload has to have one."""
    settings = job.settings
    if settings.incoming is None or settings.incoming.protocol not in _TYPES:
        return Made(steps=("by_hand",))
    content = plistlib.dumps(_profile(job), sort_keys=False)
    notes: tuple[tuple[str, Level], ...] = (("unsigned", Level.INFO),)
    if job.signer:
        content = sign(content, job.signer.certificate_pem, job.signer.key_pem)
        notes = ()
    return Made((File("mail.mobileconfig", content),), steps=("steps", "by_hand"), notes=notes)


def _profile(job: Job) -> dict[str, Any]:
    settings = job.settings
    return {
        "PayloadContent": [_mail(job), *_authorities(settings)],
        "PayloadDisplayName": settings.email,
        "PayloadIdentifier": f"{_reverse(settings)}.profile",
        "PayloadType": "Configuration",
        "PayloadUUID": _uuid(job, "profile"),
        "PayloadVersion": 1,
    }


def _mail(job: Job) -> dict[str, Any]:
    settings, incoming = job.settings, job.settings.incoming
    assert incoming is not None  # noqa: S101  the caller looked
    user = settings.reading_login
    payload = {
        "EmailAccountDescription": settings.email,
        "EmailAccountName": settings.display_name,
        "EmailAccountType": _TYPES[incoming.protocol],
        "EmailAddress": settings.email,
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": incoming.host,
        "IncomingMailServerPortNumber": incoming.port,
        "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": user,
        "OutgoingMailServerHostName": job.endpoint.host,
        "OutgoingMailServerPortNumber": job.endpoint.port,
        # For both modes: Apple's clients find out by themselves which one the port speaks.
        "OutgoingMailServerUseSSL": True,
        **_outgoing_login(job, user),
        "PayloadDisplayName": settings.email,
        "PayloadIdentifier": f"{_reverse(settings)}.mail",
        "PayloadType": "com.apple.mail.managed",
        "PayloadUUID": _uuid(job, "mail"),
        "PayloadVersion": 1,
    }
    return {key: value for key, value in payload.items() if value != ""}


def _outgoing_login(job: Job, incoming_user: str) -> dict[str, Any]:
    settings = job.settings
    if settings.anonymous:
        return {"OutgoingMailServerAuthentication": "EmailAuthNone"}
    return {
        "OutgoingMailServerAuthentication": _AUTH.get(job.mechanism, "EmailAuthPassword"),
        "OutgoingMailServerUsername": settings.login,
        # One password for both only where both know the same user name.
        "OutgoingPasswordSameAsIncomingPassword": settings.login == incoming_user,
    }


def _authorities(settings: Settings) -> list[dict[str, Any]]:
    """Settings has refused everything but authorities: trusted as a root, a server's own
    certificate would be trusted for every name."""
    if not settings.ca_pem:
        return []
    from cryptography.hazmat.primitives.serialization import Encoding

    payloads = []
    for number, certificate in enumerate(check_authorities(settings.ca_pem), 1):
        der = certificate.public_bytes(Encoding.DER)
        own = certificate.subject == certificate.issuer
        payloads.append(
            {
                "PayloadCertificateFileName": f"authority-{number}.cer",
                "PayloadContent": der,
                "PayloadDisplayName": common_name(certificate),
                "PayloadIdentifier": f"{_reverse(settings)}.authority-{number}",
                "PayloadType": "com.apple.security.root" if own else "com.apple.security.pkcs1",
                "PayloadUUID": str(uuid.uuid5(_NAMESPACE, der.hex())).upper(),
                "PayloadVersion": 1,
            }
        )
    return payloads


def _reverse(settings: Settings) -> str:
    """Identifiers are domains in reverse; the address makes them one account's own."""
    account = uuid.uuid5(_NAMESPACE, settings.email).hex[:12]
    labels = settings.domain.strip("[]").replace(":", "-").split(".")
    return ".".join([*reversed(labels), "mail", account])


def _uuid(job: Job, part: str) -> str:
    settings, incoming = job.settings, job.settings.incoming
    facts = [
        part,
        settings.email,
        settings.login,
        settings.incoming_username,
        settings.display_name,
        str(job.endpoint),
        job.endpoint.security,
        job.mechanism,
        incoming and [incoming.protocol, incoming.host, incoming.port, incoming.security],
        settings.ca_pem,
    ]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(facts))).upper()
