"""What clients are shown: the certificate of the listeners.

Enters: a ``Config``, the time. Leaves: ``Finding``s. Called by ``look``. That the file can be read
and fits its key, the configuration has made sure of. Nothing fails.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from posthouse.config import Config
from posthouse.flow import Finding, Status
from posthouse.net.certificate import is_self_signed
from posthouse.net.verify import name_fits
from posthouse.send.submit.settings import Mode
from posthouse.send.submit.tls import SELF_MADE

# Renewal begins when a third of the life is left, whatever that life is: of 90 days, of 6.
OVERDUE: Final = 6  # so below a sixth it has not worked for a while
SHOWN: Final = 5  # names of the certificate


def look(config: Config, now: datetime) -> Iterator[Finding]:
    """Everything about it."""
    if config.certificate is None:
        if any(one.mode is not Mode.RELAY for one in config.listen):
            path = str(config.server.data / SELF_MADE)
            yield Finding("relay.certificate.self_made", Status.WARN, params={"path": path})
        return
    chain = _read(config.certificate)
    if not chain:
        params = {"path": str(config.certificate)}
        yield Finding("relay.certificate.unreadable", Status.UNKNOWN, params=params)
        return
    leaf, path = chain[0], str(config.certificate)
    yield _dates(leaf, path, now)
    if not name_fits(leaf, config.server.name):
        params = {"path": path, "name": config.server.name, "names": ", ".join(_names(leaf))}
        yield Finding("relay.certificate.name", Status.FAIL, "tls.certificate", params)
    if is_self_signed(leaf):
        yield Finding("relay.certificate.self_signed", Status.WARN, params={"path": path})
    elif len(chain) == 1:
        yield Finding("relay.certificate.alone", Status.WARN, params={"path": path})


def _read(path: Path) -> list[x509.Certificate]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd serial numbers are its maker's business
            return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []


def _dates(leaf: x509.Certificate, path: str, now: datetime) -> Finding:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    params: dict[str, Any] = {
        "path": path,
        "from": begin.date().isoformat(),
        "until": end.date().isoformat(),
        "days": (end - now).days,
    }
    if now >= end:
        return Finding("relay.certificate.expired", Status.FAIL, "tls.certificate", params)
    if now < begin:
        return Finding("relay.certificate.early", Status.FAIL, "tls.certificate", params)
    if (end - now) * OVERDUE < end - begin:
        return Finding("relay.certificate.overdue", Status.WARN, params=params)
    return Finding("relay.certificate.ok", Status.OK, params=params)


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in found.value][:SHOWN]
