"""What this machine brings for TLS: the OpenSSL it uses, the root certificates it trusts.

Enters: nothing. Leaves: plain values, for ``doctor``. Never fails.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Where root certificates come from. ``place`` is "" where the system tells none."""

    place: str
    found: bool


def openssl_version() -> str:
    """As OpenSSL names itself."""
    return ssl.OPENSSL_VERSION


def trust_store() -> TrustStore:
    """Whether any root certificate is there; slim containers often have none."""
    paths = ssl.get_default_verify_paths()  # None for a place that does not exist
    if paths.cafile:
        return TrustStore(paths.cafile, os.path.getsize(paths.cafile) > 0)
    if paths.capath:
        return TrustStore(paths.capath, any(os.scandir(paths.capath)))
    # Windows and macOS builds keep them in the system's own store.
    count = ssl.create_default_context().cert_store_stats()["x509_ca"]
    return TrustStore("", count > 0)
