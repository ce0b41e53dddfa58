"""The certificate of the listeners: loaded, renewed without a restart, made here for a first try.

Enters: two PEM files. Leaves: an SSL context for ``Listener`` (its ``ssl=`` and its ``tls``), the
same one for as long as the process lives, which shows the newest certificate that could be loaded.
Called by the daemon. CertificateError where there is nothing to begin with; a later failure is
told to ``Watch``, and the certificate that is there goes on serving.

TLS 1.2 and 1.3 with forward secrecy (RFC 9325). Session tickets stay on: a resumed handshake costs
a tenth of a full one, and clients of a relay come again every second.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from posthouse.net.clock import Clock
from posthouse.send.submit.alone import alone
from posthouse.send.submit.login import Watch

LOOK: Final = 10.0  # seconds between looks at the files: two stat calls then
SELF_MADE: Final = "self-made.pem"  # in the data folder
DAYS: Final = 365  # a certificate made here is good for: long enough for any trial
LEFT: Final = 1  # days: one that ends sooner is made anew

# TLS 1.2: ephemeral keys and authenticated encryption only (RFC 9325 section 4.2).
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
# OpenSSL's words; the last where the two are of different kinds (EC and RSA).
_STRANGERS: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_STRANGE: Final = "key and certificate do not belong together"
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class CertificateError(Exception):
    """The files cannot be used; the text says why, without anything of the key.

    ``strangers``: each for itself can be read, but the key is another certificate's.
    ``encrypted``: the key wants a password.
    """

    strangers = False
    encrypted = False


class Lasting(NamedTuple):
    """From when until when a certificate is valid."""

    begin: datetime
    end: datetime

    def unfit(self, now: datetime) -> str:
        """Why it is not valid then; "" where it is."""
        if now < self.begin:
            return f"it begins on {self.begin.date()} only"
        return f"it ended on {self.end.date()}" if now >= self.end else ""


def worse(fresh: Lasting | None, shown: Lasting | None, now: datetime) -> str:
    """Why a new certificate must not replace the one that is shown: no client would take it.

    "" where it may; also where the old one is no better, and where nothing is known of one.
    """
    if fresh is None or (shown is not None and shown.unfit(now)):
        return ""
    return fresh.unfit(now)


class Certificates:
    """The owner of what the listeners show."""

    def __init__(self, certificate: Path, key: Path, clock: Clock, watch: Watch) -> None:
        self._files = (certificate, key)
        self._clock = clock
        self._watch = watch
        self._stamp = self._seen()
        self._looked = clock.monotonic()
        # Sessions are made from the first context, which keeps the keys of the tickets; a newer
        # one lends it its certificate.
        self._first = self._newest = loaded(certificate, key)
        self._lasting = lasting(certificate)
        self._early: datetime | None = None  # when the files that were put aside begin
        self._first.sni_callback = self._hello  # called for each handshake, with a name or without

    def context(self) -> ssl.SSLContext:
        """What to give to a listener, or to ``start_tls``."""
        return self._first

    def look(self) -> None:
        """Load the files again if they have changed, or their time has come."""
        stamp, now = self._seen(), self._clock.now()
        if stamp == self._stamp and (self._early is None or now < self._early):
            return
        self._stamp, self._early = stamp, None
        try:
            self._newest = self._better(now)
        except CertificateError as error:
            self._watch("certificate", {"result": "kept", "reason": str(error)})
        else:
            self._watch("certificate", {"result": "loaded", "file": str(self._files[0])})

    def _better(self, now: datetime) -> ssl.SSLContext:
        """The files' context, unless the old one is better. Raises CertificateError."""
        fresh, found = loaded(*self._files), lasting(self._files[0])
        if why := worse(found, self._lasting, now):
            if found is not None and now < found.begin:
                self._early = found.begin
            raise CertificateError(f"{self._files[0]}: {why}")
        self._lasting = found
        return fresh

    def _hello(self, handshake: Any, name: str | None, context: ssl.SSLContext) -> None:
        now = self._clock.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            self.look()
        if self._newest is not self._first:
            handshake.context = self._newest

    def _seen(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stat(path) for path in self._files)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def loaded(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context of the two files. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8997, RFC 9325 section 3.1.1
    context.set_ciphers(_CIPHERS)
    # RFC 9325 sections 3.3 and 3.5: compression tells secrets, renegotiation costs the server.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    asked = False

    def no_password() -> str:
        """Else OpenSSL would ask at the terminal: there is none to ask at."""
        nonlocal asked
        asked = True
        return ""

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        strangers = error.reason in _STRANGERS
        why = _STRANGE if strangers else error.reason or "not readable as PEM"
        failed = CertificateError(f"{certificate}, {key}: {why}")
        failed.strangers, failed.encrypted = strangers, asked
        raise failed from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else ""
        raise CertificateError(f"{certificate}, {key}: {reason or 'not usable'}") from None
    return context


def lasting(certificate: Path) -> Lasting | None:
    """Of the server's own certificate, the first of the file; None where it can't be read."""
    from cryptography import x509

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd serial numbers are its maker's business
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return Lasting(found.not_valid_before_utc, found.not_valid_after_utc)


def self_made(folder: Path, now: datetime, names: Sequence[str] = ()) -> tuple[Path, Path]:
    """(certificate, key) made here, for this machine's names and ``names``; kept while good.

    For a first try: no client trusts it without being told to. Raises OSError.
    """
    certificate, key = folder / SELF_MADE, folder / "self-made.key"
    with alone(folder / "self-made.lock"):
        if not _still_good(certificate, key, now):
            shown, hidden = _make(now, list(dict.fromkeys([*_LOCAL, *names])))
            _write(key, hidden, 0o600)
            _write(certificate, shown, 0o644)
    return certificate, key


def _still_good(certificate: Path, key: Path, now: datetime) -> bool:
    found = lasting(certificate)
    return found is not None and key.exists() and found.end - now > timedelta(days=LEFT)


def _make(now: datetime, names: Sequence[str]) -> tuple[bytes, bytes]:
    """A P-256 key and a certificate it has signed itself, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Posthouse, self-made")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of clients differ
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, mode: int) -> None:
    """The whole file or nothing, never readable by others for a moment."""
    fresh = path.with_suffix(f"{path.suffix}.new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
