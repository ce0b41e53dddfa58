"""Verifying a chain, the body streaming by.

Enters: the header, the body in chunks, and answers to the DNS questions it yields. Leaves:
``ArcResult``. Called by the relay and by audits. Nothing fails. RFC 8617 section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from posthouse.protocol.arc.chain import ArcSet, ChainError, Seal, present, read_chain, sealed_data
from posthouse.protocol.authres import MethodResult, Property
from posthouse.protocol.dkim.body import BodyHasher
from posthouse.protocol.dkim.fields import Header, split
from posthouse.protocol.dkim.key import PublicKey
from posthouse.protocol.dkim.signature import Algorithm, Signature
from posthouse.protocol.dkim.verify import (
    KeyFailure,
    body_problem,
    good,
    key_problem,
    published_keys,
    signature_problem,
    too_large,
)
from posthouse.protocol.dns import Answer, Ask, Query


class ArcCode(StrEnum):
    """The chain validation status. RFC 8617 section 4.4."""

    NONE = "none"
    PASS = "pass"  # noqa: S105  a result, not a password
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class ArcResult:
    """What a chain came to. The words of a reason stand under "dkim.arc.<id>"."""

    code: ArcCode
    reason: str = "ok"
    instance: int = 0  # the set that failed; 0 where none is to blame
    sets: tuple[ArcSet, ...] = ()  # the first hop's first; none where they cannot be read
    oldest_pass: int | None = None  # the oldest set whose message signature still holds; 0 is all
    closed: bool = False  # the last sealer found it broken: no set may be added

    @property
    def temporary(self) -> bool:
        """DNS did not answer: a later try may give another result."""
        return self.reason == "key_unavailable"

    @property
    def sealers(self) -> tuple[str, ...]:
        """The domains that sealed, the first hop's first."""
        return tuple(one.seal.domain for one in self.sets)

    @property
    def method_result(self) -> MethodResult:
        """The result to write into Authentication-Results. RFC 8617 sections 7.1 and 10.1."""
        properties: tuple[Property, ...] = ()
        if self.oldest_pass is not None:
            properties = (Property("header", "oldest-pass", str(self.oldest_pass)),)
        comment = f"i={len(self.sets)}" if self.sets else ""
        return MethodResult(
            method="arc",
            result=self.code.value,
            reason=self.reason if self.code is ArcCode.FAIL else "",
            properties=properties,
            comments=(comment,) if comment else (),
        )


class _Broken(Exception):
    """The chain does not hold. Caught in ``ArcVerifier.finish``."""

    def __init__(self, reason: str, instance: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.instance = instance


class ArcVerifier:
    """The owner of one message's chain: ``feed`` it the body, then ``finish``.

    ``oldest`` also looks at the older message signatures: who changed the message.
    """

    __slots__ = ("_answers", "_body", "_early", "_header", "_oldest", "_sets")

    def __init__(self, header: Header, *, oldest: bool = False) -> None:
        self._header = header
        self._oldest = oldest
        self._sets: tuple[ArcSet, ...] = ()
        self._early = self._read()
        looked_at: Sequence[ArcSet] = self._sets if oldest else self._sets[-1:]
        signed = [item.signature for item in looked_at]
        self._body = BodyHasher((item.body_canon, item.length) for item in signed)
        self._answers: dict[str, Answer] = {}

    def _read(self) -> ArcResult | None:
        """What is known before the body comes, or None where it must be waited for."""
        if not present(self._header):
            return ArcResult(ArcCode.NONE)
        if too_large(self._header):
            return ArcResult(ArcCode.FAIL, "header_too_large")
        try:
            sets = read_chain(self._header)
        except ChainError as error:
            return ArcResult(ArcCode.FAIL, error.reason, error.instance)
        if sets[-1].seal.validity == "fail":
            return ArcResult(ArcCode.FAIL, "chain_failed", len(sets), sets, closed=True)
        for one in sets:
            if one.seal.validity != ("none" if one.instance == 1 else "pass"):
                return ArcResult(ArcCode.FAIL, "chain_value", one.instance, sets)
        self._sets = sets
        return None

    def feed(self, chunk: bytes) -> None:
        """The next octets of the body."""
        if self._early is None:
            self._body.feed(chunk)

    def finish(self) -> Query[ArcResult]:
        """The body has ended: ask for the keys and judge. Call it once."""
        if self._early is not None:
            return self._early
        self._body.finish()
        try:
            yield from self._message(self._sets[-1])
            for number in range(len(self._sets), 0, -1):
                yield from self._seal(self._sets[:number])
        except _Broken as broken:
            return ArcResult(ArcCode.FAIL, broken.reason, broken.instance, self._sets)
        oldest = (yield from self._oldest_pass()) if self._oldest else None
        return ArcResult(ArcCode.PASS, sets=self._sets, oldest_pass=oldest)

    def _oldest_pass(self) -> Query[int]:
        """RFC 8617 section 5.2, step 5."""
        for one in reversed(self._sets[:-1]):
            try:
                yield from self._message(one)
            except _Broken:
                return one.instance + 1
        return 0

    def _message(self, one: ArcSet) -> Query[None]:
        signature = one.signature
        problem = body_problem(self._body, signature)
        if problem:
            raise _Broken(problem, one.instance)
        problem = "no_key"
        for key in (yield from self._keys(signature, one.instance)):
            problem = signature_problem(self._header, one.message_field, signature, key) or ""
            if not problem:
                return
        raise _Broken(problem, one.instance)

    def _seal(self, sets: tuple[ArcSet, ...]) -> Query[None]:
        seal, data = sets[-1].seal, sealed_data(sets)
        keys = yield from self._keys(seal, len(sets))
        if not any(good(key, seal.value, data) for key in keys):
            raise _Broken("seal_changed", len(sets))

    def _keys(self, signed: Signature | Seal, instance: int) -> Query[list[PublicKey]]:
        """The keys that may have signed; at least one."""
        if signed.algorithm is Algorithm.RSA_SHA1:
            raise _Broken("rsa_sha1", instance)
        answer = self._answers.get(signed.key_name)
        if answer is None:
            answer = self._answers[signed.key_name] = yield Ask(signed.key_name, "TXT")
        try:
            records = [published.record for published in published_keys(answer)]
        except KeyFailure as failure:
            raise _Broken(failure.reason, instance) from None
        problems = [key_problem(signed.algorithm, record) for record in records]
        keys = [record.key for record, bad in zip(records, problems, strict=True) if not bad]
        if not keys:
            raise _Broken(next(bad for bad in problems if bad), instance)
        return keys


def verify(message: bytes, *, oldest: bool = False) -> Query[ArcResult]:
    """The chain of a message."""
    header, start = split(message)
    verifier = ArcVerifier(header, oldest=oldest)
    verifier.feed(message[start:])
    return (yield from verifier.finish())
