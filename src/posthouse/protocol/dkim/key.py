"""Keys: the public one as a DNS record, the private one as a file.

Enters: the text of a key record, PEM octets. Leaves: ``KeyRecord``, private keys of
``cryptography``, the text to publish. Called by ``verify``, ``sign``, ``arc`` and whoever sets
up a domain. Fails with KeyRecordError (a record) and PrivateKeyError (a file).
RFC 6376 section 3.6.1, RFC 8301 section 3.2, RFC 8463 section 4.

``generate`` is the one place here that makes randomness, that of ``cryptography``; nothing else
calls it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from posthouse.protocol.taglist import TagListError, parse_tags, without_wsp

MIN_RSA_BITS: Final = 1_024  # RFC 8301 section 3.2: less MUST NOT be taken as valid
MAX_RSA_BITS: Final = 8_192  # above, one check takes milliseconds; nobody publishes such keys
RSA_BITS: Final = 2_048  # RFC 8301 section 3.2: signers SHOULD use at least this
_CACHED_KEYS: Final = 512  # of the same domains again and again; some 2 KB each

PublicKey = rsa.RSAPublicKey | Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | Ed25519PrivateKey


class KeyRecordError(Exception):
    """Text that is no usable key record. ``reason`` is a stable id.

    Reasons: ``key_syntax``, ``key_version`` (not DKIM1, or not the first tag), ``key_missing``
    (no p=), ``key_type`` (k= unknown), ``key_data`` (p= holds no such key), ``key_revoked``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class PrivateKeyError(Exception):
    """A file that is no usable private key. ``reason`` is a stable id.

    Reasons: ``unreadable``, ``encrypted`` (or the wrong password), ``kind`` (neither RSA nor
    Ed25519), ``too_short``, ``too_long``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A published key. Lists are as published; an absent one is None and means "any"."""

    key: PublicKey
    kind: str  # "rsa" or "ed25519"
    hashes: tuple[str, ...] | None = None  # h=
    services: tuple[str, ...] | None = None  # s=
    flags: frozenset[str] = frozenset()  # t=
    notes: str = ""  # n=, as written

    @property
    def testing(self) -> bool:
        """The domain only tries DKIM: a signature counts no more than none. t=y."""
        return "y" in self.flags

    @property
    def strict(self) -> bool:
        """i= must have the very domain of d=. t=s."""
        return "s" in self.flags

    def allows(self, service: str) -> bool:
        """Whether the key may be used for that service ("email", "tlsrpt"). s=."""
        return self.services is None or not {"*", service}.isdisjoint(self.services)

    @property
    def for_sha256(self) -> bool:
        """The key may be used with SHA-256, the one hash that is still safe."""
        return self.hashes is None or "sha256" in self.hashes

    @property
    def bits(self) -> int:
        """The length of the key."""
        return bits_of(self.key)


def parse_key_record(text: str) -> KeyRecord:
    """The key that ``text`` publishes. Raises KeyRecordError. RFC 6376 section 3.6.1."""
    try:
        tags = parse_tags(text)
    except TagListError as error:
        raise KeyRecordError("key_syntax", str(error)) from None
    values = {name: tag.value for name, tag in tags.items()}
    if "v" in values and (next(iter(values)) != "v" or values["v"] != "DKIM1"):
        raise KeyRecordError("key_version", values["v"][:40])
    kind = values.get("k", "rsa")
    if kind not in ("rsa", "ed25519"):
        raise KeyRecordError("key_type", kind[:40])
    if "p" not in values:
        raise KeyRecordError("key_missing")
    encoded = without_wsp(values["p"])
    if not encoded:
        raise KeyRecordError("key_revoked")
    return KeyRecord(
        key=_public(kind, encoded),
        kind=kind,
        hashes=_list(values.get("h")),
        services=_list(values.get("s")),
        flags=frozenset(_list(values.get("t")) or ()),
        notes=values.get("n", ""),
    )


def decode_base64(text: str) -> bytes:
    """The octets of a base64string, its white space removed before. Raises ValueError.

    RFC 6376 section 2.10: the padding may be left out.
    """
    if not text.isascii():
        raise ValueError("not base64")
    bare = text.rstrip("=")
    if len(text) - len(bare) > 2:
        raise ValueError("too much padding")
    return binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)


def _list(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(part.strip() for part in value.split(":"))


@lru_cache(_CACHED_KEYS)
def _public(kind: str, encoded: str) -> PublicKey:
    try:
        octets = decode_base64(encoded)
        if kind == "ed25519":  # RFC 8463 section 4: the 32 octets themselves
            return Ed25519PublicKey.from_public_bytes(octets)
        # RFC 6376 says RSAPublicKey, its examples and everybody else SubjectPublicKeyInfo
        # (erratum 3017): both are read.
        key = serialization.load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyRecordError("key_data", str(error)) from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeyRecordError("key_data", "not an RSA key")
    return key


def bits_of(key: PublicKey | PrivateKey) -> int:
    """The length of a key in bits."""
    return key.key_size if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey) else 256


def kind_of(key: PublicKey | PrivateKey) -> str:
    """What k= calls a key."""
    return "rsa" if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey) else "ed25519"


def generate(kind: str = "rsa", bits: int = RSA_BITS) -> PrivateKey:
    """A new private key: "rsa" of that many bits, or "ed25519"."""
    if kind == "ed25519":
        return Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def read_private_key(pem: bytes, password: bytes | None = None) -> PrivateKey:
    """The key of a PEM file (PKCS#1 or PKCS#8). Raises PrivateKeyError."""
    try:
        key = serialization.load_pem_private_key(pem, password)
    except TypeError:  # encrypted without a password, or the other way round
        raise PrivateKeyError("unreadable" if password else "encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise PrivateKeyError("encrypted" if password else "unreadable") from None
    if not isinstance(key, rsa.RSAPrivateKey | Ed25519PrivateKey):
        raise PrivateKeyError("kind")
    check_private_key(key)
    return key


def check_private_key(key: PrivateKey) -> None:
    """Whether verifiers will take what this key signs. Raises PrivateKeyError."""
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise PrivateKeyError("too_short")
        if key.key_size > MAX_RSA_BITS:
            raise PrivateKeyError("too_long")


def write_private_key(key: PrivateKey) -> bytes:
    """The key as PEM, PKCS#8, not encrypted: whoever stores it guards it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def record_text(key: PublicKey | PrivateKey, *, testing: bool = False, strict: bool = False) -> str:
    """The TXT record that publishes a key, at <selector>._domainkey.<domain>."""
    public = key if isinstance(key, rsa.RSAPublicKey | Ed25519PublicKey) else key.public_key()
    flags = ":".join(flag for flag, on in (("y", testing), ("s", strict)) if on)
    parts = ["v=DKIM1", f"k={kind_of(public)}", f"t={flags}" if flags else "", f"p={_p(public)}"]
    return "; ".join(part for part in parts if part)


def matches(private: PrivateKey, record: KeyRecord) -> bool:
    """Whether the record publishes the public half of this private key."""
    return _p(private.public_key()) == _p(record.key)


def _p(key: PublicKey) -> str:
    """The value of p=."""
    if isinstance(key, Ed25519PublicKey):
        octets = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    else:
        octets = key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return base64.b64encode(octets).decode("ascii")
