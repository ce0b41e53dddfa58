"""Verifying the signatures of a message, its body streaming by.

Enters: the header, the body in chunks, the time now, and answers to the DNS questions it yields.
Leaves: ``Verification``. Called by relay, audit and ``arc``. Nothing fails: whatever a message,
a key record or DNS does, it ends as a result. RFC 6376 section 6, RFC 8301, RFC 8463, RFC 8616.

    verifier = Verifier(header, now=...)       # or verify(message, now=...) for all at once
    for chunk in body: verifier.feed(chunk)
    verification = yield from verifier.finish()
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from posthouse.protocol.dkim.body import BodyHasher
from posthouse.protocol.dkim.canon import Canon, relaxed_field
from posthouse.protocol.dkim.fields import Field, Header, split
from posthouse.protocol.dkim.key import (
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    KeyRecord,
    KeyRecordError,
    PublicKey,
    parse_key_record,
)
from posthouse.protocol.dkim.result import REASONS, Result, Verification
from posthouse.protocol.dkim.signature import (
    Algorithm,
    Signature,
    SignatureError,
    parse_signature,
)
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, Query

SIGNATURES_LIMIT: Final = 8  # verified of one message; each costs a DNS question and a check
FIELDS_LIMIT: Final = 2_000  # of a header whose signatures are looked at; long lists reach 300
HEADER_LIMIT: Final = 1_048_576  # octets of such a header; no large server lets pass as much
FUTURE_LIMIT: Final = 3_600  # seconds the signer's clock may be ahead of ours
KEY_RECORDS_LIMIT: Final = 3  # TXT records tried at one name; there should be one
EMAIL: Final = "email"  # the service of s= in a key record that is meant for mail
_SHOWN: Final = 8  # characters of b= in a result: RFC 6008 section 4 wants at least eight

_PKCS1: Final = padding.PKCS1v15()
_SHA256: Final = hashes.SHA256()


class KeyFailure(Exception):
    """No usable key. ``reason`` is a key of REASONS. Caught in ``verify`` and in ``arc``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key record and whether DNSSEC proved it."""

    record: KeyRecord
    authenticated: bool


class Verifier:
    """The owner of one message's verification.

    ``now`` in seconds since 1970. ``service`` is "tlsrpt" for a report by RFC 8460 section 3.
    """

    __slots__ = ("_body", "_candidates", "_header", "_now", "_service")

    def __init__(self, header: Header, *, now: int, service: str = EMAIL) -> None:
        self._header = header
        self._now = now
        self._service = service
        found = header.named(b"dkim-signature")
        self._candidates = [self._candidate(i, item) for i, item in enumerate(found)]
        self._body = BodyHasher(
            (one.body_canon, one.length)
            for _, one in self._candidates
            if isinstance(one, Signature)
        )

    def feed(self, chunk: bytes) -> None:
        """The next octets of the body."""
        self._body.feed(chunk)

    def finish(self) -> Query[Verification]:
        """The body has ended: ask for the keys and judge. Call it once."""
        self._body.finish()
        answers: dict[str, Answer] = {}
        results = []
        for item, one in self._candidates:
            if isinstance(one, Result):
                results.append(one)
                continue
            answer = answers.get(one.key_name)
            if answer is None:
                answer = answers[one.key_name] = yield Ask(one.key_name, "TXT")
            results.append(self._judge(item, one, answer))
        return Verification(tuple(results))

    def _candidate(self, number: int, item: Field) -> tuple[Field, Signature | Result]:
        """A signature worth a look, or why it is none."""
        if number >= SIGNATURES_LIMIT:
            return item, _failed("too_many_signatures")
        if too_large(self._header):
            return item, _failed("header_too_large")
        try:
            signature = parse_signature(item.value)
        except SignatureError as error:
            return item, _failed(error.reason, error.tag)
        reason = _not_now(signature, self._now)
        if signature.algorithm is Algorithm.RSA_SHA1:
            reason = "rsa_sha1"  # RFC 8301 section 3.1
        return item, self._described(signature, reason) if reason else signature

    def _judge(self, item: Field, signature: Signature, answer: Answer) -> Result:
        """RFC 6376 sections 6.1.2 and 6.1.3, with the best of the key records."""
        length = self._body.length(signature.body_canon)
        result = replace(
            self._described(signature, "no_key"),
            body_length=length,
            authenticated_key=answer.authenticated,
        )
        try:
            keys = published_keys(answer)
        except KeyFailure as failure:
            return _with(result, failure.reason)
        for published in keys:
            record = published.record
            result = replace(result, key_bits=record.bits, testing=record.testing)
            reason = (
                key_problem(signature.algorithm, record, self._service)
                or _strict_problem(signature, record)
                or body_problem(self._body, signature)
                or signature_problem(self._header, item, signature, record.key)
            )
            result = _with(result, reason or "ok")
            if reason is None:
                break
        return result

    def _described(self, signature: Signature, reason: str) -> Result:
        present = self._header.places
        counts = Counter(signature.names)
        once = dict.fromkeys(signature.names)
        return Result(
            code=REASONS[reason],
            reason=reason,
            domain=signature.domain,
            selector=signature.selector,
            algorithm=signature.algorithm.value,
            identity=signature.identity,
            signature=_shown(signature),
            length=signature.length,
            signed=_names(name for name in once if name in present),
            oversigned=_names(n for n in once if n and counts[n] > len(present.get(n, ()))),
            signed_at=signature.signed_at,
            expires=signature.expires,
        )


def verify(message: bytes, *, now: int, service: str = EMAIL) -> Query[Verification]:
    """All signatures of a message, as ``Verifier`` looks at them."""
    header, start = split(message)
    verifier = Verifier(header, now=now, service=service)
    verifier.feed(message[start:])
    return (yield from verifier.finish())


def published_keys(answer: Answer) -> list[PublishedKey]:
    """The keys in an answer, in its order. Raises KeyFailure. RFC 6376 section 6.1.2.

    Records that publish no key are passed over where another one does.
    """
    if answer.failed:
        raise KeyFailure("key_unavailable")
    if answer.status is not AnswerStatus.OK or not answer.records:
        raise KeyFailure("no_key")
    keys: list[PublishedKey] = []
    reasons: list[str] = []
    for text in answer.records[:KEY_RECORDS_LIMIT]:
        try:
            keys.append(PublishedKey(parse_key_record(text), answer.authenticated))
        except KeyRecordError as error:
            reasons.append(error.reason)
    if not keys:
        raise KeyFailure(reasons[0])
    return keys


def key_problem(algorithm: Algorithm, record: KeyRecord, service: str = EMAIL) -> str | None:
    """Why the key may not be used for what was signed, or None."""
    if record.kind != algorithm.key_kind:
        return "key_mismatch"
    if not record.allows(service):
        return "key_service"
    if not record.for_sha256:
        return "key_hash"
    if record.kind != "rsa":
        return None
    if record.bits < MIN_RSA_BITS:
        return "key_too_short"  # RFC 8301 section 3.2
    return "key_too_long" if record.bits > MAX_RSA_BITS else None


def body_problem(body: BodyHasher, signature: Signature) -> str | None:
    """Why bh= does not fit the body, or None."""
    if signature.length is not None and signature.length > body.length(signature.body_canon):
        return "body_too_short"  # RFC 6376 section 3.5, l=: MUST NOT be larger
    digest = body.digest(signature.body_canon, signature.length)
    return None if digest == signature.body_hash else "body_changed"


def signature_problem(
    header: Header, item: Field, signature: Signature, key: PublicKey
) -> str | None:
    """Whether b= fits the header. RFC 6376 section 3.7."""
    canon = signature.header_canon
    chosen = header.select(signature.names, without=item.place)
    data = header.canonical(chosen, canon) + own_field(item, canon)
    return None if good(key, signature.value, data) else "header_changed"


def own_field(item: Field, canon: Canon) -> bytes:
    """The signature's field as its signer hashed it: b= empty, no line end at its end."""
    raw = without_b(item.raw)
    if canon is Canon.SIMPLE:
        return raw
    return relaxed_field(raw)


def without_b(raw: bytes) -> bytes:
    """A field with the value of its b= tag gone, and the white space around it. Section 3.5, b=."""
    start = raw.find(b":") + 1
    for spec in raw[start:].split(b";"):
        name, equals, _ = spec.partition(b"=")
        if equals and name.strip() == b"b":
            return raw[: start + len(name) + 1] + raw[start + len(spec) :]
        start += len(spec) + 1
    return raw


def good(key: PublicKey, value: bytes, data: bytes) -> bool:
    """Whether ``value`` signs ``data`` with that key."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, data, _PKCS1, _SHA256)
        else:  # RFC 8463 section 3: PureEdDSA over the SHA-256 of the data
            key.verify(value, hashlib.sha256(data).digest())
    except (InvalidSignature, ValueError):
        return False
    return True


def _strict_problem(signature: Signature, record: KeyRecord) -> str | None:
    """RFC 6376 section 3.6.1, t=s: the domain of i= must be that of d=, not one below."""
    strict = record.strict and signature.identity_domain != signature.domain
    return "key_strict" if strict else None


def _not_now(signature: Signature, now: int) -> str | None:
    if signature.expires is not None and now > signature.expires:
        return "expired"
    if signature.signed_at is not None and signature.signed_at > now + FUTURE_LIMIT:
        return "future"
    return None


def too_large(header: Header) -> bool:
    """Whether a header is beyond what is looked at."""
    return len(header.names) > FIELDS_LIMIT or header.octets > HEADER_LIMIT


def _failed(reason: str, tag: str = "") -> Result:
    return Result(REASONS[reason], reason, tag)


def _with(result: Result, reason: str) -> Result:
    return replace(result, code=REASONS[reason], reason=reason)


def _names(names: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(name.decode("utf-8", "replace") for name in names)


def _shown(signature: Signature) -> str:

    return base64.b64encode(signature.value[:_SHOWN]).decode("ascii")[:_SHOWN]
