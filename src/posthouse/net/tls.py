"""What TLS is asked to do and what came of it: options, contexts, session, certificate facts.

Enters: ``TlsOptions`` from whoever opens a connection. Leaves: ``ssl`` contexts for the pump in
``net.stream`` and, from it, a ``TlsSession`` for the caller. A bad certificate never fails a
handshake here: the chain is captured whatever it is, ``net.verify`` judges it afterwards, and the
caller sends a password only where ``TlsSession.trusted``. What can fail: ``NetworkFailure`` with
``Failure.CERTIFICATE`` when a CA file or own certificate cannot be read.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

HANDSHAKE_SECONDS: Final = (
    20.0  # a healthy handshake takes 2 round trips; a busy server some seconds
)

# RFC 9325 section 4.2.1: forward secrecy and AEAD first; no NULL, no anonymous, no SHA-1 MACs, no
# static RSA. AES-CBC with SHA-2 stays for servers of the first TLS 1.2 years.
MODERN_CIPHERS: Final = (
    "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
)
# For looking only, never for a password: everything this OpenSSL can still speak.
LEGACY_CIPHERS: Final = "ALL:@SECLEVEL=0"


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to start TLS as a client.

    ``server_name`` is the name or address the certificate must carry. ``ca_file`` (PEM) is trusted
    besides the system's roots. ``legacy`` also speaks TLS 1.0/1.1 and weak ciphers: for looking at
    a server, never for handing it a secret. ``at`` judges the chain as of that time (None: now).
    """

    server_name: str
    ca_file: str | None = None
    alpn: tuple[str, ...] = ()
    legacy: bool = False
    at: datetime | None = None
    seconds: float = HANDSHAKE_SECONDS


class Problem(StrEnum):
    """What may be wrong with a certificate chain."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    SELF_SIGNED = "self_signed"
    UNKNOWN_CA = "unknown_ca"
    MISSING_INTERMEDIATE = "missing_intermediate"
    WRONG_NAME = "wrong_name"
    WEAK_KEY = "weak_key"
    WEAK_SIGNATURE = "weak_signature"
    INTERCEPTION = "interception"  # a TLS-scanning product signed it; may well be trusted here
    INVALID = "invalid"  # anything else OpenSSL refuses (params "reason")


# What OpenSSL's codes say by themselves (X509_V_ERR_* of x509_vfy.h). For a missing issuer (2, 20,
# 21) one has to look at the chain.
PROBLEM_OF: Final = {
    9: Problem.NOT_YET_VALID,
    10: Problem.EXPIRED,
    18: Problem.SELF_SIGNED,
    19: Problem.UNKNOWN_CA,  # a self-signed certificate further up
    62: Problem.WRONG_NAME,
    64: Problem.WRONG_NAME,  # of an IP address
    66: Problem.WEAK_KEY,
    67: Problem.WEAK_KEY,
    68: Problem.WEAK_SIGNATURE,
}


@dataclass(frozen=True, slots=True)
class CertificateProblem:
    """One thing wrong. ``params`` are plain JSON values for the words (date, days, names...)."""

    kind: Problem
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """One certificate, as far as people and tests ask about it. Names are RFC 4514 strings."""

    subject: str
    issuer: str
    common_name: str
    names: tuple[str, ...]  # SAN DNS names and IP addresses, as written
    not_before: datetime
    not_after: datetime
    serial: str  # hex
    key: str  # "RSA", "EC", "Ed25519"...
    key_bits: int
    signature_hash: str  # "sha256"; "" where the algorithm has none of its own
    sha256: str  # fingerprint, hex in pairs with colons, as browsers show it
    is_ca: bool
    self_signed: bool
    issuer_url: str  # AIA caIssuers, or ""
    pem: str
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TlsSession:
    """One handshake, done.

    ``trusted``: the chain leads to a known root, the name fits, the dates fit, and nothing is too
    weak. ``channel_binding`` is tls-server-end-point (RFC 5929 section 4); ``bindings`` has it by
    name, and tls-unique for TLS 1.2. (tls-exporter, RFC 9266, is not reachable through ``ssl``.)
    """

    version: str  # "TLSv1.3"
    cipher: str  # OpenSSL's name
    bits: int
    alpn: str | None = None
    server_name: str = ""
    chain: tuple[CertificateInfo, ...] = ()  # as sent, leaf first
    problems: tuple[CertificateProblem, ...] = ()
    trusted: bool = False
    channel_binding: bytes | None = field(default=None, repr=False)
    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def leaf(self) -> CertificateInfo | None:
        """The server's own certificate."""
        return self.chain[0] if self.chain else None

    def problem(self, kind: Problem) -> CertificateProblem | None:
        """The first problem of that kind."""
        return next((p for p in self.problems if p.kind is kind), None)


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """A context that completes the handshake with any certificate; verification comes after."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # judged by net.verify, with the chain kept
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if options.legacy:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point here
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
        context.set_ciphers(LEGACY_CIPHERS)
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8997, RFC 9325 section 3.1.1
        context.set_ciphers(MODERN_CIPHERS)
    if options.alpn:
        context.set_alpn_protocols(list(options.alpn))
    return context


def verify(context: ssl.SSLContext, ca_file: str | None) -> None:
    """Have a client's context verify by the system's roots and ``ca_file``, as ``net.verify`` does.

    What ``ca_file`` names is an anchor, root or not. ``ssl.create_default_context`` is not the same
    on each Python: 3.13 asks of a CA for all of RFC 5280, which many a company's own has not.
    Raises OSError or ssl.SSLError where the file can't be read.
    """
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_ciphers(MODERN_CIPHERS)
    context.load_default_certs()
    if ca_file is not None:
        context.load_verify_locations(ca_file)


def server_context(certificate_file: str, key_file: str | None = None) -> ssl.SSLContext:
    """A context for the server side, TLS 1.2 and newer.

    ``certificate_file`` holds the chain in PEM, leaf first (and the key, if no ``key_file``).
    Raises OSError or ssl.SSLError when the files are not usable: ours to fix, not the network's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(MODERN_CIPHERS)
    context.load_cert_chain(certificate_file, key_file)
    return context


def a_label(host: str) -> str:
    """The ASCII form of a host name (IDNA 2008 with UTS 46 mapping); unchanged if it has none."""
    if host.isascii():
        return host.lower()
    import idna

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host
