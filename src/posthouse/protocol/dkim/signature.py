"""A signature as facts: what its field says, before anything of it is believed.

Enters: the value of a DKIM-Signature field. Leaves: ``Signature``. Called by ``verify``; ``arc``
reads its ARC-Message-Signature with the same parts. Fails with SignatureError alone.
RFC 6376 sections 3.5 and 6.1.1, RFC 8301, RFC 8463, RFC 8616.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.protocol.dkim.canon import Canon
from posthouse.protocol.dkim.key import decode_base64
from posthouse.protocol.host import HostError, to_ascii
from posthouse.protocol.taglist import TagListError, parse_tags, without_wsp

NAMES_LIMIT: Final = 500  # names in h=; long lists of oversigned names reach some 60
KEY_NAME_LIMIT: Final = 253  # RFC 1035 section 2.3.4, in presentation form

_DOMAIN: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_LENGTH: Final = re.compile(r"[0-9]{1,76}", re.ASCII)


class SignatureError(Exception):
    """A field that cannot be taken as a signature. ``reason`` is a stable id, ``tag`` the culprit.

    Reasons: ``syntax``, ``tag_missing``, ``tag_value``, ``version``, ``algorithm``,
    ``canonicalization``, ``domain``, ``query``, ``from_not_signed``, ``identity``,
    ``too_many_names``.
    """

    def __init__(self, reason: str, tag: str = "") -> None:
        super().__init__(f"{reason}: {tag}" if tag else reason)
        self.reason = reason
        self.tag = tag


class Algorithm(StrEnum):
    """a=. RFC 8301 leaves SHA-1 its name alone: what it signs has failed."""

    RSA_SHA256 = "rsa-sha256"
    ED25519_SHA256 = "ed25519-sha256"
    RSA_SHA1 = "rsa-sha1"

    @property
    def key_kind(self) -> str:
        """The k= it needs."""
        return self.value.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature field says."""

    algorithm: Algorithm
    value: bytes  # b=, decoded
    body_hash: bytes  # bh=, decoded
    domain: str  # d=, lower case, A-labels
    selector: str  # s=
    names: tuple[bytes, ...]  # h=, lower case, repetitions kept
    header_canon: Canon = Canon.SIMPLE
    body_canon: Canon = Canon.SIMPLE
    identity: str = ""  # i=, as written; "@" and the domain where there is none
    identity_domain: str = ""
    length: int | None = None  # l=
    signed_at: int | None = None  # t=, seconds since 1970
    expires: int | None = None  # x=

    @property
    def key_name(self) -> str:
        """Where the public key is published. RFC 6376 section 3.6.2.1."""
        return f"{self.selector}._domainkey.{self.domain}"


def read_values(value: bytes) -> dict[str, str]:
    """The tags of a signature field. Raises SignatureError."""
    try:
        tags = parse_tags(value.decode("utf-8", "surrogateescape"))
    except TagListError as error:
        raise SignatureError("syntax", error.name) from None
    return {name: tag.value for name, tag in tags.items()}


def parse_signature(value: bytes) -> Signature:
    """What a DKIM-Signature field says. Raises SignatureError. RFC 6376 section 6.1.1."""
    tags = read_values(value)
    if required(tags, "v") != "1":
        raise SignatureError("version", "v")
    signature = read_signature(tags)
    if b"from" not in signature.names:
        raise SignatureError("from_not_signed", "h")
    return signature


def read_signature(tags: Mapping[str, str]) -> Signature:
    """The tags that DKIM-Signature and ARC-Message-Signature share. Raises SignatureError."""
    header_canon, body_canon = _canons(tags.get("c", "simple/simple"))
    domain = domain_of(required(tags, "d"), "d")
    selector = domain_of(required(tags, "s"), "s")
    check_key_name(selector, domain)
    signed_at, expires = seconds(tags, "t"), seconds(tags, "x")
    if signed_at is not None and expires is not None and expires <= signed_at:
        raise SignatureError("tag_value", "x")
    identity, identity_domain = _identity(tags.get("i", f"@{domain}"), domain)
    _query(tags.get("q", "dns/txt"))
    return Signature(
        algorithm=algorithm_of(tags),
        value=octets(tags, "b"),
        body_hash=octets(tags, "bh"),
        domain=domain,
        selector=selector,
        names=_names(required(tags, "h")),
        header_canon=header_canon,
        body_canon=body_canon,
        identity=identity,
        identity_domain=identity_domain,
        length=_length(tags.get("l")),
        signed_at=signed_at,
        expires=expires,
    )


def required(tags: Mapping[str, str], name: str) -> str:
    """A tag that must be there. Raises SignatureError."""
    if name not in tags:
        raise SignatureError("tag_missing", name)
    return tags[name]


def octets(tags: Mapping[str, str], name: str) -> bytes:
    """A tag that holds base64, and something. Raises SignatureError."""
    try:
        decoded = decode_base64(without_wsp(required(tags, name)))
    except ValueError:
        decoded = b""
    if not decoded:
        raise SignatureError("tag_value", name)
    return decoded


def seconds(tags: Mapping[str, str], name: str) -> int | None:
    """A tag that holds a time. Raises SignatureError."""
    if name not in tags:
        return None
    if not _SECONDS.fullmatch(tags[name]):
        raise SignatureError("tag_value", name)
    return int(tags[name])


def algorithm_of(tags: Mapping[str, str]) -> Algorithm:
    """a=. Raises SignatureError."""
    try:
        return Algorithm(required(tags, "a"))
    except ValueError:
        raise SignatureError("algorithm", "a") from None


def domain_of(text: str, tag: str) -> str:
    """d= or s= as DNS wants it. Raises SignatureError."""
    name = text.lower()
    if not name.isascii():
        try:
            name = to_ascii(name)  # RFC 8616 section 4: U-labels in the field, A-labels in DNS
        except HostError:
            raise SignatureError("domain", tag) from None
    if len(name) > KEY_NAME_LIMIT or not all(map(_DOMAIN.fullmatch, name.split("."))):
        raise SignatureError("domain", tag)
    return name


def check_key_name(selector: str, domain: str) -> None:
    """Whether DNS can hold the name of the key. Raises SignatureError."""
    if len(f"{selector}._domainkey.{domain}") > KEY_NAME_LIMIT:
        raise SignatureError("domain", "s")


def within(domain: str, parent: str) -> bool:
    """Whether ``domain`` is ``parent`` or a subdomain of it."""
    return domain == parent or domain.endswith("." + parent)


def _canons(text: str) -> tuple[Canon, Canon]:
    """c=: header "/" body; a body not named is simple."""
    header, slash, body = text.partition("/")
    try:
        return Canon(header), Canon(body) if slash else Canon.SIMPLE
    except ValueError:
        raise SignatureError("canonicalization", "c") from None


def _identity(text: str, domain: str) -> tuple[str, str]:
    """i=: a mailbox at d= or below it. The local part stays as written, and may be absent."""
    _, at, name = text.rpartition("@")
    if not at:
        raise SignatureError("tag_value", "i")
    found = domain_of(name, "i")
    if not within(found, domain):
        raise SignatureError("identity", "i")
    return text, found


def _query(text: str) -> None:
    """q=: one known way to the key is enough, unknown ones are ignored."""
    if "dns/txt" not in [way.strip() for way in text.split(":")]:
        raise SignatureError("query", "q")


def _names(text: str) -> tuple[bytes, ...]:
    """h=: names between colons, blanks around them allowed. An empty one means nothing."""
    names = text.split(":")
    if len(names) > NAMES_LIMIT:
        raise SignatureError("too_many_names", "h")
    return tuple(name.strip().lower().encode("utf-8", "surrogateescape") for name in names)


def _length(text: str | None) -> int | None:
    """l=."""
    if text is None:
        return None
    if not _LENGTH.fullmatch(text):
        raise SignatureError("tag_value", "l")
    return int(text)
