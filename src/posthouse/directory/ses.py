"""Amazon SES: the host of a region, and the SMTP password that an IAM secret key stands for.

Enters: a region, an IAM secret access key. Leaves: a host name, a ``Secret``. Callers: the settings
card and ``find``. Fails with ``SesError``, whose ``reason`` is an id for the catalogue.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import Final

from posthouse.directory.read import read
from posthouse.directory.typo import edits
from posthouse.flow import Endpoint, Secret

REGIONS: Final = read("ses").regions  # a fact of the file, not of the code
_DATE: Final = "11111111"  # fixed: the password must not depend on the day
_VERSION: Final = b"\x04"  # of the way the password is made
_TEMPORARY: Final = "ASIA"  # how the access key ids of a session begin
_SLIPS: Final = 2  # region names differ from each other by little more
_KEY_ID: Final = re.compile(r"A[A-Z0-9]{19}")  # an id, never a secret: those have 40 characters


class SesError(ValueError):
    """``reason``: ses.unknown_region, ses.temporary_key, ses.key_id_as_secret.

    ``suggestion`` is the region that was probably meant, where there is one.
    """

    def __init__(self, reason: str, suggestion: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion


def host(region: str) -> str:
    """The SMTP host of a region. SesError for a region that is not known to have one."""
    return f"email-smtp.{_known(region)}.amazonaws.com"


def endpoints(region: str) -> tuple[Endpoint, ...]:
    """All ports of a region's host, in the order RFC 8314 prefers."""
    name = host(region)
    servers = (server.endpoint for server in read("ses").servers)
    return tuple(Endpoint(name, one.port, one.security) for one in servers)


def one_per_region() -> tuple[Endpoint, ...]:
    """The preferred port of every region, to be measured: the nearest is the fastest."""
    return tuple(endpoints(region)[0] for region in REGIONS)


def password(secret: Secret | str, region: str, *, key_id: str = "") -> Secret:
    """The SMTP password for an IAM secret access key; it holds in that one region.

    ``key_id`` is the access key id (the SMTP user name), looked at where given: keys made for a
    session can't be turned into a password, as SMTP has no place for their session token.
    """
    value = secret.reveal() if isinstance(secret, Secret) else secret
    region = _known(region)
    pasted_id = value if _KEY_ID.fullmatch(value) else key_id
    if pasted_id.startswith(_TEMPORARY):
        raise SesError("ses.temporary_key")
    if pasted_id == value:
        raise SesError("ses.key_id_as_secret")
    key = ("AWS4" + value).encode()
    for part in (_DATE, region, "ses", "aws4_request", "SendRawEmail"):
        key = hmac.digest(key, part.encode(), "sha256")
    return Secret(base64.b64encode(_VERSION + key).decode())


def _known(region: str) -> str:
    name = region.strip().lower()
    if name not in REGIONS:
        near = min(REGIONS, key=lambda region: edits(name, region, limit=_SLIPS))
        fits = edits(name, near, limit=_SLIPS) <= _SLIPS
        raise SesError("ses.unknown_region", near if fits else None)
    return name
