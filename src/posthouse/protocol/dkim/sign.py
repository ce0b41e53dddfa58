"""Signing a message.

Enters: a message, keys, the time. Leaves: DKIM-Signature fields to put before it. Called by the
relay and by ``send``; one ``Signer`` is made for a domain and kept: it holds the keys ready.
Fails with SigningError (what was asked for cannot be signed). RFC 6376 sections 5 and 3.7,
RFC 8301, RFC 8463.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from posthouse.protocol.dkim.body import BodyHasher, canonical_body, hash_body
from posthouse.protocol.dkim.canon import CRLF, Canon, relaxed_field
from posthouse.protocol.dkim.fields import Header, crlf, split
from posthouse.protocol.dkim.fold import fold_base64, fold_tags
from posthouse.protocol.dkim.key import (
    PrivateKey,
    PrivateKeyError,
    check_private_key,
    kind_of,
)
from posthouse.protocol.dkim.signature import SignatureError, check_key_name, domain_of, within

NAME: Final = b"DKIM-Signature"
_PLANS_LIMIT: Final = 256  # kept, one for each order of fields; mail of one source has few

# RFC 6376 section 5.4.1, and what mail programs show or act upon since. Not in it: what relays
# add or change (Received, Return-Path, DKIM-Signature, Authentication-Results).
SIGNED: Final[tuple[bytes, ...]] = tuple(
    b"from subject date to cc message-id reply-to sender in-reply-to references mime-version "
    b"content-type content-transfer-encoding content-id content-description "
    b"resent-date resent-from resent-sender resent-to resent-cc resent-message-id "
    b"list-id list-help list-unsubscribe list-unsubscribe-post list-subscribe list-post "
    b"list-owner list-archive feedback-id autocrypt openpgp".split()
)
# Named once more than present, so that no second one can be added (section 8.15).
OVERSIGNED: Final[tuple[bytes, ...]] = (b"from",)
# For senders whose mail is replayed: what a reader would be shown, whether it is there or not.
OVERSIGNED_ALL: Final[tuple[bytes, ...]] = tuple(
    b"from subject date to cc reply-to message-id mime-version content-type".split()
)

_PKCS1: Final = padding.PKCS1v15()
_SHA256: Final = hashes.SHA256()


class SigningError(Exception):
    """What cannot be signed. ``reason`` is a stable id.

    Reasons: ``domain`` (of a key: not a domain, or a bad selector), ``identity`` (i= outside of
    d=), ``key`` (no verifier would take it), ``no_from`` (the message has no From field),
    ``from_not_signed`` (the list of names lacks it).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and where its public half is published. Raises SigningError."""

    domain: str  # d=
    selector: str  # s=
    private: PrivateKey
    identity: str = ""  # i=; must be "@" and the domain, or below it
    algorithm: str = field(init=False)  # a=

    def __post_init__(self) -> None:
        object.__setattr__(self, "algorithm", f"{kind_of(self.private)}-sha256")
        try:
            object.__setattr__(self, "domain", domain_of(self.domain, "d"))
            object.__setattr__(self, "selector", domain_of(self.selector, "s"))
            check_key_name(self.selector, self.domain)
            check_private_key(self.private)
            if self.identity:
                _check_identity(self.identity, self.domain)
        except SignatureError:
            raise SigningError("domain") from None
        except PrivateKeyError:
            raise SigningError("key") from None

    def sign(self, data: bytes) -> bytes:
        """The signature of ``data``. RFC 8463 section 3: Ed25519 signs the hash, not the data."""
        if self.algorithm == "ed25519-sha256":
            return cast(Ed25519PrivateKey, self.private).sign(hashlib.sha256(data).digest())
        return cast(rsa.RSAPrivateKey, self.private).sign(data, _PKCS1, _SHA256)


class _Template(NamedTuple):
    """A signature field up to what changes with each message."""

    raw: bytes  # folded
    hashed: bytes  # as it is hashed


class _Plan(NamedTuple):
    """What is signed of a header with certain fields in a certain order."""

    places: tuple[int, ...]  # of the fields to hash, in h='s order
    templates: tuple[_Template, ...]  # one for each key


class Signer:
    """Signs with one or several keys: the body is hashed once for all of them.

    ``names`` are signed where present, every one of their fields; ``oversigned`` once more, present
    or not. ``lifetime`` in seconds sets x=. ``limit_body`` writes l=, which lets anybody append to
    the message: for tests and old lists alone.
    """

    def __init__(
        self,
        keys: Sequence[SigningKey],
        *,
        names: Sequence[bytes] = SIGNED,
        oversigned: Sequence[bytes] = OVERSIGNED,
        header_canon: Canon = Canon.RELAXED,
        body_canon: Canon = Canon.RELAXED,
        lifetime: int | None = None,
        limit_body: bool = False,
    ) -> None:
        self._keys = tuple(keys)
        self._oversigned = tuple(name.lower() for name in oversigned)
        self._names = tuple(dict.fromkeys([name.lower() for name in [*names, *oversigned]]))
        if b"from" not in self._names:  # RFC 6376 section 5.4: From MUST be signed
            raise SigningError("from_not_signed")
        self._header_canon = header_canon
        self._body_canon = body_canon
        self._lifetime = lifetime
        self._limit_body = limit_body
        self._plans: dict[tuple[bytes, ...], _Plan] = {}

    def sign(self, message: bytes, *, at: int) -> bytes:
        """The fields to put before ``message``, each with its line end. Raises SigningError.

        ``at`` in seconds since 1970. The message is to be sent with CRLF line ends.
        """
        message = crlf(message)
        header, start = split(message)
        body = canonical_body(message[start:], self._body_canon)
        return self._signed(header, hashlib.sha256(body).digest(), len(body), at)

    def hash(self, body: Iterable[bytes]) -> BodyHasher:
        """The finished hash of a body, for ``sign_streamed``."""
        return hash_body(body, ((self._body_canon, None),))

    def sign_streamed(self, header: Header, body: BodyHasher, *, at: int) -> bytes:
        """Like ``sign``, for a body that went through ``hash``."""
        canon = self._body_canon
        return self._signed(header, body.digest(canon), body.length(canon), at)

    def _signed(self, header: Header, digest: bytes, length: int, at: int) -> bytes:
        plan = self._plan(header)
        data = header.canonical(plan.places, self._header_canon)
        varying = self._varying(digest, length, at)
        hashed = varying if self._header_canon is Canon.SIMPLE else _unfolded(varying)
        fields: list[bytes] = []
        for key, template in zip(self._keys, plan.templates, strict=True):
            value = b2a_base64(key.sign(data + template.hashed + hashed), newline=False)
            fields += (template.raw, varying[:-3], fold_base64(b"b=", value), CRLF)
        return b"".join(fields)

    def _plan(self, header: Header) -> _Plan:
        """What to sign, kept: finding it costs more than all else but the signature itself."""
        shape = tuple(header.names)
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= _PLANS_LIMIT:
                self._plans.clear()
            plan = self._plans[shape] = self._planned(header)
        return plan

    def _planned(self, header: Header) -> _Plan:
        if b"from" not in header.places:
            raise SigningError("no_from")
        names: list[bytes] = []
        places: list[int] = []
        for name in self._names:
            present = header.places.get(name, ())
            names += [name] * (len(present) + (name in self._oversigned))
            places += reversed(present)  # RFC 6376 section 5.4.2: from the bottom
        return _Plan(tuple(places), tuple(self._made(key, names) for key in self._keys))

    def _varying(self, digest: bytes, length: int, at: int) -> bytes:
        """The tags that differ from message to message, folded, b= last and empty."""
        more = b""
        if self._lifetime is not None:
            more += b" x=%d;" % (at + self._lifetime)
        if self._limit_body:
            more += b" l=%d;" % length
        hashed = b2a_base64(digest, newline=False)
        return b"\r\n t=%d;%b\r\n bh=%b;\r\n b=" % (at, more, hashed)

    def _made(self, key: SigningKey, names: Sequence[bytes]) -> _Template:
        tags = [
            (b"v", b"1"),
            (b"a", key.algorithm.encode()),
            (b"c", f"{self._header_canon}/{self._body_canon}".encode()),
            (b"d", key.domain.encode()),
            (b"s", key.selector.encode()),
        ]
        if key.identity:
            tags.append((b"i", key.identity.encode()))
        raw = fold_tags(NAME, [*tags, (b"h", b":".join(names))]) + b";"
        if self._header_canon is Canon.SIMPLE:
            return _Template(raw, raw)
        return _Template(raw, relaxed_field(raw))


def _unfolded(varying: bytes) -> bytes:
    """What relaxed form makes of ``_varying``: each fold is a line end and one blank."""
    return varying.replace(b"\r\n", b"")


def _check_identity(identity: str, domain: str) -> None:
    local, at, name = identity.rpartition("@")
    plain = local.isascii() and local.isprintable() and not set(local) & set(" ;=")
    if not at or not plain or not within(domain_of(name, "i"), domain):
        raise SigningError("identity")
